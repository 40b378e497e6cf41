"""What the composition models learn from: one row per reduced formula with every property that is known for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from types import MappingProxyType

import numpy as np
from pymatgen.core import Composition, Element

from ionsmith.artifacts.cards import read_card
from ionsmith.core.records import Candidate, FloatArray, Kind, Origin, Outcome, Value
from ionsmith.data.matbench import CARD, PARTED_CARD, Amounts, load_formula_table, load_matbench
from ionsmith.represent.composition import Elements
from ionsmith.represent.elements import LAST
from ionsmith.thermodynamics.phases import HULL
from ionsmith.thermodynamics.terms import TermFit, release_terms

TASKS = ("formation_energy", "band_gap", "bulk_modulus", "shear_modulus", "energy_above_hull")
"""Quantities learnt together, in the order of the network's outputs."""

CARDS = (CARD, PARTED_CARD)
_PLAUSIBLE = (-6.0, 6.0)  # eV/atom; formation energies outside are mistakes of the source
_SOFTEST = 0.0  # GPa; the seven shear moduli of zero have no logarithm
_METHOD = "dft-pbe"


def formula_properties() -> dict[Amounts, dict[str, float]]:
    """Return what is known of each reduced formula, in the unit of each quantity.

    ``formation_energy`` is that of the lowest polymorph, shifted from the corrections of 2018 to those of 2020 by the
    fit that the reference hull was made with; ``band_gap`` is the median over polymorphs; moduli and
    ``energy_above_hull`` have one row per formula in their source. Elements, formation energies beyond 6 eV/atom in
    size and moduli of zero are left out.

    Raises:
        DataError: a table is absent or damaged.
        ArtifactError: the reference hull is absent or damaged.
    """
    shift = TermFit(dict(read_card(HULL)["settings"]["release_shift_ev"]), ridge=0.0, floor=0.0)
    found: dict[Amounts, dict[str, float]] = {}
    for amounts, energy in load_matbench("e_form").lowest().items():
        if len(amounts) > 1 and _PLAUSIBLE[0] <= energy <= _PLAUSIBLE[1]:
            found.setdefault(amounts, {})["formation_energy"] = energy - shift.energy(release_terms(dict(amounts)))
    for amounts, gaps in load_matbench("gap").grouped().items():
        if len(amounts) > 1:
            found.setdefault(amounts, {})["band_gap"] = median(gaps)
    for name, task in (("bulk_modulus",) * 2, ("shear_modulus",) * 2, ("e_hull", "energy_above_hull")):
        for amounts, values in load_formula_table(name).grouped().items():
            if len(amounts) > 1 and (name == "e_hull" or min(values) > _SOFTEST):
                found.setdefault(amounts, {})[task] = median(values)
    return dict(sorted(found.items()))


def outcomes_of(known: Mapping[Amounts, Mapping[str, float]]) -> tuple[Outcome, ...]:
    """Return one Outcome per formula, with all its values.

    Args:
        known: formula to quantity to value.
    """
    return tuple(_outcome(amounts, values) for amounts, values in known.items())


def _outcome(amounts: Sequence[tuple[str, int]], values: Mapping[str, float]) -> Outcome:
    candidate = Candidate(Kind.COMPOSITION, Composition(dict(amounts)), Origin("mp-by-formula", "formula"))
    return Outcome(candidate, MappingProxyType({name: Value(value, 0.0, _METHOD) for name, value in values.items()}))


def formula_table(known: Mapping[Amounts, Mapping[str, float]]) -> tuple[Elements, FloatArray]:
    """Return elements and values of formulas without building a record for each; values are NaN where unknown.

    Formulas with an element beyond ``LAST`` are left out.

    Args:
        known: formula to quantity to value.
    """
    kept = [
        (sorted((Element(symbol).Z, count) for symbol, count in amounts), values) for amounts, values in known.items()
    ]
    kept = [(content, values) for content, values in kept if content[-1][0] <= LAST]
    width = max(len(content) for content, _ in kept)
    numbers = np.zeros((len(kept), width), dtype=np.int64)
    amounts_of = np.zeros((len(kept), width))
    for row, (content, _) in enumerate(kept):
        numbers[row, : len(content)], amounts_of[row, : len(content)] = zip(*content, strict=True)
    wanted = np.array([[values.get(task, np.nan) for task in TASKS] for _, values in kept])
    return Elements(numbers, amounts_of, amounts_of / amounts_of.sum(axis=1, keepdims=True)), wanted
