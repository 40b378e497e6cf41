"""Oxidation states of a crystal from what its file says, or else from its composition alone; the choice is told."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from pymatgen.core import Composition, Element, Species

from ionsmith.core.records import FloatArray

_NEAR = 0.02  # imbalance over positive charge below which refined occupancies count as neutral
_SCATTER = 0.005  # typical imbalance of refined occupancies
_MISSING = 0.2  # typical imbalance of a crystal with atoms missing
_LOOSE = 0.10  # the same for a sloppily refined or incomplete crystal
_MOST = 200_000  # combinations of oxidation states that are tried
_USUAL = 0.07  # share of an element's ions in known crystals from which a charge is usual: without P4+, Ge3+ and Zr3+
_METALS = "Ti V Cr Mn Fe Co Ni Cu Nb Mo W Ru Re U Ce Pr Eu Yb Sn Sb Bi"
_MIXED_VALENCE = frozenset(_METALS.split())


@dataclass(frozen=True)
class Charges:
    """Charge of every species of a crystal.

    Attributes:
        states: species label as it stands in the crystal (``Li``, ``S2-``) to charge, e.
        mixed: symbol of the element whose charge is an average of two valences, empty where there is none.
        note: one line, how the charges were chosen.
    """

    states: Mapping[str, float]
    mixed: str
    note: str


def guess_charges(composition: Composition) -> Charges:
    """Return the charges a crystal carries, or the neutral assignment most frequent among known crystals.

    Without given charges, every combination of one known state per element is weighed in which the most
    electronegative element is an anion. In this order: among those neutral within 2 % of the positive charge the
    likeliest one, by the frequency of its states in the ICSD and its imbalance; one mixed-valence metal at the
    average that makes it neutral; the most frequent within 10 %; the likeliest if atoms are missing from the file.

    Args:
        composition: of the crystal, partial occupancies included.
    """
    given = {str(s): float(s.oxi_state) for s in composition if isinstance(s, Species) and s.oxi_state is not None}
    if len(given) == len(composition) and any(given.values()):
        return Charges(given, "", "charges as given")
    amounts = {e.symbol: float(n) for e, n in composition.element_composition.items()}
    states, mixed, how = _assign(amounts)
    labels = {str(s): states[s.symbol] for s in composition}
    told = ", ".join(f"{symbol} {charge:+.3g}" for symbol, charge in states.items())
    return Charges(labels, mixed, f"{how}: {told}")


def _assign(amounts: Mapping[str, float]) -> tuple[dict[str, float], str, str]:
    symbols = list(amounts)
    choices = _choices(symbols)
    if not all(choices):  # an element or alloy: nothing to balance
        return dict.fromkeys(symbols, 0.0), "", "no charges"
    grids = np.meshgrid(*(np.arange(len(states)) for states in choices), indexing="ij")
    picks = np.stack([grid.ravel() for grid in grids], axis=1)
    charges = np.stack([np.array(states)[pick, 0] for states, pick in zip(choices, picks.T, strict=True)], axis=1)
    frequency = sum(np.array(states)[pick, 1] for states, pick in zip(choices, picks.T, strict=True))
    terms = charges * np.array(list(amounts.values()))
    imbalance = np.abs(terms.sum(axis=1)) / np.maximum(terms.clip(min=0.0).sum(axis=1), 1e-9)

    def named(row: int) -> dict[str, float]:
        return dict(zip(symbols, charges[row].tolist(), strict=True))

    if imbalance.min() <= _NEAR:
        # refined occupancies scatter: an imbalance counts like a deviation of a normal distribution
        likelihood = frequency - 0.5 * (imbalance / _SCATTER) ** 2
        return named(int(np.where(imbalance <= _NEAR, likelihood, -np.inf).argmax())), "", "neutral charges"
    averaged = _averaged(amounts, charges, frequency)
    if averaged:
        row, symbol, average = averaged
        return {**named(row), symbol: average}, symbol, "mixed valence"
    if imbalance.min() <= _LOOSE:
        return named(int(np.where(imbalance <= _LOOSE, frequency, -np.inf).argmax())), "", "nearly neutral charges"
    # something is missing from the file, often hydrogen: what is there keeps its usual charge
    likelihood = frequency - 0.5 * (imbalance / _MISSING) ** 2
    return named(int(likelihood.argmax())), "", "no neutral charges known, usual ones"


def _choices(symbols: list[str]) -> list[tuple[tuple[float, float], ...]]:
    """Return the states of every element: metals are cations, the most electronegative element is an anion."""
    pull = {symbol: Element(symbol).X for symbol in symbols}
    strongest = max(pull, key=lambda symbol: (pull[symbol] if pull[symbol] == pull[symbol] else 0.0, symbol))
    choices = []
    for symbol in symbols:
        states = _states(symbol)
        if Element(symbol).is_metal:
            states = tuple(state for state in states if state[0] > 0.0)
        if symbol == strongest:
            states = tuple(state for state in states if state[0] < 0.0)
        choices.append(states)
    while math.prod(map(len, choices)) > _MOST:  # the richest element loses its rarest state
        widest = max(range(len(choices)), key=lambda k: len(choices[k]))
        choices[widest] = choices[widest][:-1]
    return choices


@lru_cache(maxsize=256)
def usual_states(symbol: str) -> frozenset[int]:
    """Return the charges of an element that no chemist wonders at, e: common ones, or frequent in known crystals.

    Args:
        symbol: of the element.
    """
    from pymatgen.analysis.bond_valence import PRIOR_PROB

    counts = {int(s.oxi_state): float(n) for s, n in PRIOR_PROB.items() if s.symbol == symbol and s.oxi_state}
    frequent = {charge for charge, n in counts.items() if n >= _USUAL * sum(counts.values())}
    return frozenset(frequent | {int(charge) for charge in Element(symbol).common_oxidation_states})


def unusual_states(states: Mapping[str, float]) -> dict[str, int]:
    """Return those elements whose whole charge is not among the usual ones, with it; averages are left out.

    Args:
        states: symbol to charge, e.
    """
    whole = {symbol: round(charge) for symbol, charge in states.items() if charge and charge == round(charge)}
    return {symbol: charge for symbol, charge in whole.items() if charge not in usual_states(symbol)}


@lru_cache(maxsize=256)
def _states(symbol: str) -> tuple[tuple[float, float], ...]:
    """Return the known states of an element with the logarithm of their share, most frequent first."""
    from pymatgen.analysis.bond_valence import PRIOR_PROB

    element = Element(symbol)
    known = {int(q) for q in (*element.common_oxidation_states, *element.icsd_oxidation_states) if q}
    counts = {q: float(PRIOR_PROB.get(Species(symbol, q), 0.0)) + 0.5 for q in known}
    total = sum(counts.values())
    ranked = sorted(((float(q), math.log(n / total)) for q, n in counts.items()), key=lambda s: (-s[1], s[0]))
    return tuple(ranked)


def _averaged(
    amounts: Mapping[str, float], charges: FloatArray, frequency: FloatArray
) -> tuple[int, str, float] | None:
    """Return the likeliest assignment in which one metal averages two neighbouring valences, and that average."""
    found = []
    net = charges @ np.array(list(amounts.values()))
    for column, symbol in enumerate(amounts):
        if symbol not in _MIXED_VALENCE:
            continue
        positive = [q for q, _ in _states(symbol) if q > 0]
        average = charges[:, column] - net / amounts[symbol]
        fits = (np.abs(average - charges[:, column]) < 1.0) & (average >= min(positive)) & (average <= max(positive))
        if fits.any():
            row = int(np.where(fits, frequency, -np.inf).argmax())
            found.append((float(frequency[row]), symbol, row, float(average[row])))
    if not found:
        return None
    _, symbol, row, value = max(found)
    return row, symbol, value
