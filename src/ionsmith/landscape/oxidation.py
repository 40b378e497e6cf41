"""Oxidation states for the bond-valence field: given, by bond valence, or by composition; the choice is recorded."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymatgen.core import DummySpecies, Element, Species, Structure

from ionsmith.core.errors import PhysicsError
from ionsmith.landscape.parameters import Ion, anion_charges, find_pair, mobile_charges

States = Mapping[int, tuple[tuple[int, float], ...]]
"""Atomic number to ((charge, share), ...); the shares of one element add up to one."""

_CUTOFF = 5.0  # angstrom; bonds beyond add under 1 % to a valence sum
_ORDERED_IMBALANCE = 1e-3
_DISORDERED_IMBALANCE = 0.05  # refined occupancies are rarely neutral to better than this
_FIRM_ANIONS = frozenset({"F", "O", "N", "Cl", "Br", "I", "S", "Se", "Te"})
_ANIONS = _FIRM_ANIONS | {"H"}  # beside one of the firm anions, P, C, Sb and their like are cations
_SAME_IMBALANCE = 0.01  # assignments this close in balance compete by their bonds
_LANTHANUM = 57  # counted among the transition metals by pymatgen, but always 3+
_MOST_ASSIGNMENTS = 400
_MOST_COMBINATIONS = 500_000
_NO_PARAMETERS = 2.0  # valence units charged to an ion whose bonds the tables do not know


@dataclass(frozen=True)
class OxidationStates:
    """The charges that were used and how they were found.

    Attributes:
        states: atomic number to ((charge, share), ...).
        method: ``given``, ``bond valence`` or ``composition``.
        instability: global instability index of the assignment, valence units; None where it was not computed.
        imbalance: net charge over total positive charge.
        alternatives: how many other neutral assignments were weighed.
        note: one line for a person.
    """

    states: States
    method: str
    instability: float | None
    imbalance: float
    alternatives: int
    note: str

    def label(self) -> dict[str, str]:
        """Return element symbol to text such as ``5+`` or ``2+ (0.67), 3+ (0.33)``."""
        return {Element.from_Z(z).symbol: _states_label(shares) for z, shares in self.states.items()}


def assign(structure: Structure, mobile: Ion) -> OxidationStates:
    """Choose the oxidation state of every element of a crystal, ordered or disordered.

    In this order: (1) charges that the structure carries; (2) among the charge-neutral assignments of known
    states, the one with the lowest global instability index G = sqrt(<(V_i - |q_i|)^2>),
    V_i = sum_j exp(alpha (r0 - r_ij)), where bonds of partly occupied sites count with their occupancy; (3) by
    composition: two neighbouring states of one element mixed so that the cell is neutral, or else the known states
    closest to neutral, with the imbalance recorded. (A file that lacks its hydrogen atoms, say, is not neutral; its
    energies still follow from the ions that it has.) Common states come first, rarer ones where those do not fit.

    Args:
        structure: crystal; sites may hold several species with partial occupancy.
        mobile: the mobile ion, whose charge is fixed.

    Raises:
        PhysicsError: no assignment of known states in which the most electronegative element is the anion.

    Source: bond-valence sums, I. D. Brown, Chem. Rev. 109, 6858 (2009), doi 10.1021/cr900053k.
    """
    amounts = _amounts(structure)
    given = _given(structure)
    if given is not None:
        imbalance = _imbalance(amounts, given)
        return OxidationStates(given, "given", None, imbalance, 0, "oxidation states given with the structure")
    tolerance = _ORDERED_IMBALANCE if structure.is_ordered else _DISORDERED_IMBALANCE
    if neutral := _within(amounts, mobile, tolerance, rare=False):
        return _by_bond_valence(structure, amounts, neutral)
    # where occupancies were refined, an exactly neutral mixture says more than a rare state that happens to fit
    if not structure.is_ordered and (mixture := _by_mixture(amounts, mobile)):
        return mixture
    if neutral := _within(amounts, mobile, tolerance, rare=True):
        return _by_bond_valence(structure, amounts, neutral)
    return _by_mixture(amounts, mobile) or _closest_to_neutral(amounts, mobile)


def _amounts(structure: Structure) -> dict[int, float]:
    amounts: dict[int, float] = {}
    for species, amount in structure.composition.items():
        if not isinstance(species, Element | Species) or isinstance(species, DummySpecies):
            formula = structure.composition.formula
            raise PhysicsError(f"expected chemical elements, found {species} in {formula}")
        number = species.Z
        amounts[int(number)] = amounts.get(int(number), 0.0) + float(amount)
    return amounts


def _given(structure: Structure) -> States | None:
    charges: dict[int, dict[float, float]] = {}
    for species, amount in structure.composition.items():
        charge = getattr(species, "oxi_state", None)
        if charge is None:
            return None
        shares = charges.setdefault(int(species.Z), {})
        shares[float(charge)] = shares.get(float(charge), 0.0) + float(amount)
    if all(q == 0.0 for shares in charges.values() for q in shares):
        return None
    return {number: _integer_shares(shares) for number, shares in charges.items()}


def _integer_shares(amounts: Mapping[float, float]) -> tuple[tuple[int, float], ...]:
    shares: dict[int, float] = {}
    total = sum(amounts.values())
    for charge, amount in amounts.items():
        for whole, part in _bracket(charge, math.floor(charge), math.floor(charge) + 1):
            shares[whole] = shares.get(whole, 0.0) + part * amount / total
    return tuple(sorted((q, s) for q, s in shares.items() if s > 0.0))


def _bracket(charge: float, low: int, high: int) -> tuple[tuple[int, float], ...]:
    upper = (charge - low) / (high - low)
    return tuple((q, s) for q, s in ((low, 1.0 - upper), (high, upper)) if s > 1e-9)


def _imbalance(amounts: Mapping[int, float], states: States) -> float:
    terms = [amounts[z] * q * share for z, shares in states.items() for q, share in shares]
    positive = sum(t for t in terms if t > 0.0)
    return sum(terms) / positive if positive > 0.0 else math.inf


@lru_cache(maxsize=512)
def _known_states(number: int, rare: bool) -> tuple[int, ...]:
    element = Element.from_Z(number)
    common = set(element.common_oxidation_states)
    if rare or not common:
        common |= set(element.icsd_oxidation_states) | set(anion_charges(number))
    if element.symbol in ("O", "F"):
        common &= {-2, -1} if rare else {-2} if element.symbol == "O" else {-1}
    return tuple(sorted(int(q) for q in common if q != 0))


def _within(
    amounts: Mapping[int, float], mobile: Ion, tolerance: float, *, rare: bool
) -> list[tuple[tuple[int, int], ...]]:
    numbers, charges = _assignments(amounts, mobile, rare=rare)
    terms = charges * np.array([amounts[z] for z in numbers])
    positive = np.where(terms > 0.0, terms, 0.0).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(positive > 0.0, np.abs(terms.sum(axis=1)) / positive, np.inf)
    best = float(share.min())
    closest = min(tolerance, best + _SAME_IMBALANCE) if math.isfinite(tolerance) else tolerance
    near = np.flatnonzero((positive > 0.0) & (share <= closest))
    rows = [tuple(zip(numbers, charges[row].tolist(), strict=True)) for row in near]
    return [row for row in rows if _anions_are_anions(row)][:_MOST_ASSIGNMENTS]


def _assignments(
    amounts: Mapping[int, float], mobile: Ion, *, rare: bool
) -> tuple[tuple[int, ...], NDArray[np.int64]]:
    """Atomic numbers, and every combination of one known state each; shape (m, elements)."""
    numbers = tuple(sorted(amounts))
    choices = [(mobile.charge,) if z == mobile.number else _known_states(z, rare) for z in numbers]
    if math.prod(len(c) for c in choices) > _MOST_COMBINATIONS:  # many elements: the common states only
        choices = [
            c if z == mobile.number else _known_states(z, False)[-3:] for z, c in zip(numbers, choices, strict=True)
        ]
    grids = np.meshgrid(*(np.array(c, dtype=np.int64) for c in choices), indexing="ij")
    return numbers, np.stack([g.ravel() for g in grids], axis=1)


def _pure(assignment: Sequence[tuple[int, int]]) -> States:
    return {z: ((q, 1.0),) for z, q in assignment}


def _anions_are_anions(assignment: Sequence[tuple[int, int]]) -> bool:
    """Whether the strongest puller is an anion, no metal outpulls one, and no semimetal competes with one."""
    pulls = [(Element.from_Z(z).X, q, Element.from_Z(z)) for z, q in assignment]
    known = [row for row in pulls if not math.isnan(row[0])]
    if not known or max(known, key=lambda row: row[0])[1] > 0:
        return False
    anions = [(x, element.symbol) for x, q, element in known if q < 0]
    if any(symbol in _FIRM_ANIONS for _, symbol in anions) and any(s not in _ANIONS for _, s in anions):
        return False
    weakest = min(x for x, _ in anions)
    return all(x <= weakest for x, q, element in known if q > 0 and element.is_metal)


def _by_bond_valence(
    structure: Structure, amounts: Mapping[int, float], neutral: list[tuple[tuple[int, int], ...]]
) -> OxidationStates:
    bonds = _bonds(structure)
    scored = sorted((_instability(bonds, dict(one), amounts), one) for one in neutral)
    (score, known), best = scored[0]
    imbalance = _imbalance(amounts, _pure(best))
    if not known:  # no bond of this crystal is in the tables: only the composition spoke
        note = "charge-neutral common states; the tables know none of the bonds"
        return OxidationStates(_pure(best), "composition", None, imbalance, len(neutral) - 1, note)
    note = f"lowest global instability index ({score:.2f} v.u.) of {len(neutral)} charge-neutral assignments"
    return OxidationStates(_pure(best), "bond valence", score, imbalance, len(neutral) - 1, note)


def _bonds(structure: Structure) -> dict[str, Any]:
    centers, neighbors, _, distances = structure.get_neighbor_list(_CUTOFF)
    rows = [(i, int(s.Z), float(n)) for i, site in enumerate(structure) for s, n in site.species.items()]
    site, number, amount = (np.array(column) for column in zip(*rows, strict=True))
    first = np.searchsorted(site, centers)
    count = np.bincount(site, minlength=len(structure))
    one, two, length = [], [], []
    for a in range(int(count.max())):
        for b in range(int(count.max())):
            keep = (a < count[centers]) & (b < count[neighbors])
            one.append(first[keep] + a)
            two.append(np.searchsorted(site, neighbors[keep]) + b)
            length.append(distances[keep])
    return {
        "number": number,
        "amount": amount,
        "one": np.concatenate(one),
        "two": np.concatenate(two),
        "length": np.concatenate(length),
    }


def _instability(
    bonds: Mapping[str, Any], charges: Mapping[int, int], amounts: Mapping[int, float]
) -> tuple[float, bool]:
    """Global instability index in valence units (unknown bonds cost extra), and whether any bond was known."""
    number, amount, one, two = bonds["number"], bonds["amount"], bonds["one"], bonds["two"]
    sums = np.zeros(len(number))
    any_known = False
    for cation, anion in itertools.permutations(charges, 2):
        if not charges[cation] > 0 > charges[anion]:
            continue
        found = find_pair(Ion(cation, charges[cation]), Ion(anion, charges[anion]))
        if found is None:
            continue
        any_known = True
        mask = (number[one] == cation) & (number[two] == anion)
        valence = np.exp(found.alpha * (found.r0 - bonds["length"][mask]))
        np.add.at(sums, one[mask], valence * amount[two[mask]])
        np.add.at(sums, two[mask], valence * amount[one[mask]])
    ideal = np.array([abs(charges[int(z)]) for z in number], dtype=float)
    deviation = np.where(sums > 0.0, sums - ideal, _NO_PARAMETERS)
    return float(np.sqrt(np.average(deviation**2, weights=amount))), any_known


def _by_mixture(amounts: Mapping[int, float], mobile: Ion) -> OxidationStates | None:
    mixed = [*_mixed_states(amounts, mobile, rare=False), *_mixed_states(amounts, mobile, rare=True)]
    if not mixed:
        return None
    best = min(mixed, key=lambda states: _rarity(amounts, states))
    note = "composition: one element holds two neighbouring states so that the cell is neutral"
    return OxidationStates(best, "composition", None, _imbalance(amounts, best), len(mixed) - 1, note)


def _closest_to_neutral(amounts: Mapping[int, float], mobile: Ion) -> OxidationStates:
    for rare in (False, True):
        loose = _within(amounts, mobile, math.inf, rare=rare)
        if loose := [one for one in loose if all(q < 0 for z, q in one if Element.from_Z(z).is_halogen)]:
            nearest = min(loose, key=lambda one: abs(_imbalance(amounts, _pure(one))))
            imbalance = _imbalance(amounts, _pure(nearest))
            note = (
                f"composition: not neutral, net charge {imbalance:+.1%} of the positive charge; closest known states"
            )
            return OxidationStates(_pure(nearest), "composition", None, imbalance, len(loose) - 1, note)
    formula = " ".join(f"{Element.from_Z(z).symbol}{n:g}" for z, n in sorted(amounts.items()))
    raise PhysicsError(f"no oxidation states: expected an anion among the elements of {formula}")


def _mixed_states(amounts: Mapping[int, float], mobile: Ion, *, rare: bool) -> list[States]:
    """Assignments that one element makes exactly neutral by holding two neighbouring known states of one sign."""
    found: list[States] = []
    numbers, charges = _assignments(amounts, mobile, rare=rare)
    net = charges @ np.array([amounts[z] for z in numbers])
    for column, z in enumerate(numbers):
        states = _known_states(z, rare)
        for low, high in itertools.pairwise(() if z == mobile.number else states):
            wanted = low - net / amounts[z]
            fits = (charges[:, column] == low) & (wanted > low) & (wanted < high) & (low * high > 0)
            for row in np.flatnonzero(fits):
                assignment = tuple(zip(numbers, charges[row].tolist(), strict=True))
                if _anions_are_anions(assignment):
                    found.append({**_pure(assignment), z: _bracket(float(wanted[row]), low, high)})
    return found[:_MOST_ASSIGNMENTS]


def _rarity(amounts: Mapping[int, float], states: States) -> tuple[int, int, float]:
    """Sort key: transition metals change valence first; then few uncommon charges; then little is mixed."""
    rare = sum(q not in Element.from_Z(z).common_oxidation_states for z, shares in states.items() for q, _ in shares)
    mixed = [z for z, shares in states.items() if len(shares) > 1]
    stiff = sum(not Element.from_Z(z).is_transition_metal or z == _LANTHANUM for z in mixed)
    return stiff, rare, sum(amounts[z] for z in mixed)


def _states_label(shares: Sequence[tuple[int, float]]) -> str:
    def one(charge: int) -> str:
        return f"{abs(charge)}{'+' if charge > 0 else '-' if charge < 0 else ''}"

    if len(shares) == 1:
        return one(shares[0][0])
    return ", ".join(f"{one(q)} ({s:.2f})" for q, s in shares)


def mobile_ion(number: int, charge: int | None, structure: Structure) -> Ion:
    """The mobile ion with its charge: as asked for, as given in the structure, or the smallest the tables know.

    Args:
        number: atomic number.
        charge: charge asked for, or None.
        structure: crystal that may carry oxidation states.

    Raises:
        PhysicsError: the crystal holds no such element, or the tables do not know it as a mobile ion.
    """
    present: dict[int, Any] = {int(getattr(s, "Z", 0)): getattr(s, "oxi_state", None) for s in structure.composition}
    symbol = Element.from_Z(number).symbol
    if number not in present:
        raise PhysicsError(f"no mobile ion: {structure.composition.reduced_formula} contains no {symbol}")
    known = mobile_charges(number)
    if charge is None and present[number]:
        charge = round(float(present[number]))
    if charge is None and known:
        charge = known[0]
    if charge is None or charge not in known:
        listed = ", ".join(str(Ion(number, q)) for q in known) or "none"
        raise PhysicsError(f"no bond-valence parameters for mobile {symbol} with charge {charge}; known: {listed}")
    return Ion(number, charge)
