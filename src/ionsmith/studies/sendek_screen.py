"""The stepwise screen of Sendek 2017 over every lithium crystal of the Materials Project files, with its counts."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from pymatgen.core import Element

from ionsmith.core.errors import InputError
from ionsmith.core.records import Candidate, FloatArray, Outcome
from ionsmith.data.materials_project import load_materials_project
from ionsmith.predict.logistic import Logistic
from ionsmith.represent.lithium_sites import lithium_site_features
from ionsmith.thermodynamics.phases import HullTable

FILES = ("mpts_52", "mp_20_biternary", "li_binaries")
GAP, HULL, OXIDATION, CHANCE = 1.0, 1e-6, 4.0, 0.5
"""eV, eV/atom, V against Li/Li+, probability: limits of the steps."""

_HIGHEST = 10.0  # V
_CLOSE = 1e-6  # eV
_MOST_CUTS = 60


@dataclass(frozen=True)
class Screened:
    """What became of the screen.

    Attributes:
        steps: name and count that remains after each, the first is what was received.
        alone: step to how many of the received pass it by itself.
        unknown: how many lack a band gap; they fail that step.
        survivors: what passes every step, most probable first: id, formula, probability, gap, oxidation potential.
        left_out: id to why the classifier could not read a crystal that had come so far.
    """

    steps: tuple[tuple[str, int], ...]
    alone: Mapping[str, int]
    unknown: int
    survivors: tuple[Mapping[str, str | float], ...]
    left_out: Mapping[str, str]


def lithium_crystals() -> list[Outcome]:
    """Return every lithium crystal of the three files, each material id once; the first file that has it counts.

    Raises:
        DataError: a file is absent or damaged.
    """
    found: dict[str, Outcome] = {}
    for file in FILES:
        for outcome in load_materials_project(file):
            name = str(outcome.candidate.source.facts["material_id"])
            if "Li" in outcome.candidate.composition and name not in found:
                found[name] = outcome
    return list(found.values())


def screen(outcomes: Sequence[Outcome], classifier: Logistic, table: HullTable) -> Screened:
    """Run the steps in order; a crystal without a value fails the step that asks for it.

    Args:
        outcomes: lithium crystals with DFT values.
        classifier: superionic or not, on the five lithium site features.
        table: known phases, for the oxidation potential.
    """
    tests: dict[str, Callable[[Outcome], bool]] = {
        "on the hull": lambda o: _value(o, "energy_above_hull", math.inf) <= HULL,
        "band gap above 1 eV": lambda o: _value(o, "band_gap", -math.inf) > GAP,
        "no transition metal": lambda o: not _transition(o.candidate),
    }
    alone = {name: sum(map(test, outcomes)) for name, test in tests.items()}
    steps, left = [("lithium crystals", len(outcomes))], list(outcomes)
    for name, test in tests.items():
        left = [outcome for outcome in left if test(outcome)]
        steps.append((name, len(left)))
    potentials = [oxidation_potential(outcome, table) for outcome in left]
    pairs = [(o, v) for o, v in zip(left, potentials, strict=True) if v >= OXIDATION]
    steps.append(("stable against oxidation to 4 V", len(pairs)))
    survivors, left_out = _classified(pairs, classifier)
    steps.append(("called superionic", len(survivors)))
    unknown = sum("band_gap" not in outcome.values for outcome in outcomes)
    return Screened(tuple(steps), alone, unknown, survivors, left_out)


def oxidation_potential(outcome: Outcome, table: HullTable) -> float:
    """Return the voltage above which a compound on the hull gives lithium away, V against Li/Li+.

    The lowest V at which a mixture of known phases with less lithium has E + V n below the compound's; n counts
    lithium atoms and E is the formation energy (grand potential hull, doi 10.1021/cm702327g). Phases that the table
    lacks make the result too high.

    Args:
        outcome: crystal with ``formation_energy``.
        table: known phases.
    """
    composition = outcome.candidate.composition.element_composition
    energy = outcome.values["formation_energy"].mean * composition.num_atoms
    lithium = float(composition["Li"])
    fixed = [e.symbol for e in composition.elements if e.symbol != "Li"]
    if not fixed:
        return 0.0
    entries = table.entries([e.symbol for e in composition.elements])
    energies = np.array([float(entry.energy) for entry in entries])
    content = np.array([float(entry.composition["Li"]) for entry in entries])
    matrix = np.array([[float(entry.composition[s]) for entry in entries] for s in fixed])
    wanted = np.array([float(composition[s]) for s in fixed])
    voltage = _HIGHEST
    for _ in range(_MOST_CUTS):
        best = _cheapest(energies + voltage * content, matrix, wanted)
        less, cost = float(content @ best), float(energies @ best)
        if cost + voltage * less >= energy + voltage * lithium - _CLOSE or less >= lithium - _CLOSE:
            break
        voltage = (cost - energy) / (lithium - less)
    return max(voltage, 0.0)


def _cheapest(prices: FloatArray, matrix: FloatArray, wanted: FloatArray) -> FloatArray:
    from scipy.optimize import linprog

    found = linprog(prices, A_eq=matrix, b_eq=wanted, method="highs")
    return np.asarray(found.x, dtype=float)


def _value(outcome: Outcome, name: str, missing: float) -> float:
    return outcome.values[name].mean if name in outcome.values else missing


def _transition(candidate: Candidate) -> bool:
    return any(Element(e.symbol).is_transition_metal for e in candidate.composition.elements)


def _classified(
    pairs: Sequence[tuple[Outcome, float]], classifier: Logistic
) -> tuple[tuple[Mapping[str, str | float], ...], dict[str, str]]:
    found: list[Mapping[str, str | float]] = []
    left_out: dict[str, str] = {}
    for outcome, voltage in pairs:
        candidate = outcome.candidate
        name = str(candidate.source.facts["material_id"])
        try:
            chance = float(classifier.probability(lithium_site_features([candidate]))[0])
        except InputError as error:
            left_out[name] = str(error)
            continue
        if chance >= CHANCE:
            gap = outcome.values["band_gap"].mean
            numbers = {"probability": round(chance, 3), "band_gap": round(gap, 2)}
            found.append(
                {"id": name, "formula": candidate.formula, **numbers, "oxidation_potential": round(voltage, 2)}
            )
    return tuple(sorted(found, key=lambda entry: -float(entry["probability"]))), left_out
