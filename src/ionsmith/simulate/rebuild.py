"""Rebuilds the reference hull and the element references from public data, and judges them on crystals kept out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ionsmith.core.errors import PhysicsError
from ionsmith.core.records import FloatArray, Outcome, Status
from ionsmith.data import matbench, materials_project
from ionsmith.data.files import DataCard
from ionsmith.simulate.hull import place_on_hull
from ionsmith.simulate.phase_build import Formula, HullBuild, build_hull, save_hull
from ionsmith.simulate.potentials import DEFAULT, potential_fingerprint
from ionsmith.simulate.reference_build import ReferenceRow, build_references, save_references, static_energies
from ionsmith.thermodynamics.references import ElementReferences

COMMAND = "python benchmarks/thermodynamics.py --write"
"""What rebuilds both artifacts and prints the figures."""

SEED = 0
"""Division by formula that the shipped artifacts were made with."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ThermodynamicData:
    """Crystals with DFT energies, their energies by the potential, and the formula table; the same order throughout.

    Attributes:
        crystals: n outcomes with DFT formation energy and energy above hull.
        energies: of the potential, NaN where it has no answer, eV/atom; shape (n,).
        table: formula to DFT formation energy of the most stable polymorph, eV/atom, release of 2018.
        potential: name of the potential.
    """

    crystals: Sequence[Outcome]
    energies: FloatArray
    table: Mapping[Formula, float]
    potential: str


@dataclass(frozen=True)
class ThermodynamicBuild:
    """Both tables, made without the crystals kept out, and what they say about those.

    Attributes:
        hull: reference hull.
        references: element references.
        truths: the crystals kept out, with DFT values.
        predictions: one per truth, rejected where there is no answer.
        fitted: number of crystals that the references were fitted on.
    """

    hull: HullBuild
    references: ElementReferences
    truths: tuple[Outcome, ...]
    predictions: tuple[Outcome, ...]
    fitted: int


def load_thermodynamic_data(*, potential: str = DEFAULT, cache: Path | None = None) -> ThermodynamicData:
    """Read ``mpts_52`` and the matbench table, and compute (or read) the energies of all crystals.

    Args:
        potential: name of the potential; CHGNet takes some 5 to 10 minutes for all crystals.
        cache: npz file that keeps the energies; None computes them all.

    Raises:
        DataError: a data file is absent or damaged.
        InputError: an unknown potential, or a cache of another one.
    """
    crystals = tuple(materials_project.load_materials_project("mpts_52"))
    energies = static_energies((each.candidate for each in crystals), potential=potential, cache=cache)
    return ThermodynamicData(crystals, energies, matbench.load_matbench("e_form").lowest(), potential)


def build_thermodynamics(
    data: ThermodynamicData, kept_out: Sequence[bool], *, complete: bool = False
) -> ThermodynamicBuild:
    """Build hull and references without the crystals kept out, and predict those.

    The hull's shift between releases and the references are fitted on the other crystals only. The hull itself is
    reference data: it holds DFT energies of known formulas, those of the crystals kept out included, as it will when
    the package is used; their energies above hull are not used anywhere but for judging.

    Args:
        data: from :func:`load_thermodynamic_data`.
        kept_out: per crystal; n of them.
        complete: whether to add to the hull the compounds that the formula table lacks and a crystal that is not
            kept out has (their DFT formation energies).

    Raises:
        InputError: nothing to fit on.
    """
    fitted = ~np.asarray(kept_out, dtype=bool)
    further = _lowest_energies(data, fitted) if complete else None
    return refit_references(data, kept_out, build_hull(data.table, _stable_energies(data, fitted), further=further))


def refit_references(data: ThermodynamicData, kept_out: Sequence[bool], hull: HullBuild) -> ThermodynamicBuild:
    """Build the references alone, on a hull that exists already, and predict the crystals kept out.

    Args:
        data: from :func:`load_thermodynamic_data`.
        kept_out: per crystal; n of them.
        hull: from an earlier build.

    Raises:
        InputError: nothing to fit on.
    """
    out = np.asarray(kept_out, dtype=bool)
    usable = np.flatnonzero(~out & np.isfinite(data.energies)).tolist()
    rows = [_row(data.crystals[place], float(data.energies[place])) for place in usable]
    references = build_references(rows, hull.table, potential=data.potential)
    judged = np.flatnonzero(out).tolist()
    predictions = tuple(_predict(data, place, references, hull) for place in judged)
    return ThermodynamicBuild(
        hull, references, tuple(data.crystals[place] for place in judged), predictions, len(usable)
    )


def rebuild(
    judge: Callable[[Sequence[Outcome], Sequence[Outcome]], Mapping[str, Any]],
    *,
    cache: Path | None = None,
    folder: Path | None = None,
) -> tuple[Path, Path]:
    """Rebuild both shipped artifacts and write them with the figures that ``judge`` finds.

    Args:
        judge: takes true and predicted outcomes of the crystals kept out, returns JSON-ready figures.
        cache: as in :func:`load_thermodynamic_data`.
        folder: parent folder of the artifacts; the package's own if None.

    Raises:
        DataError: a data file is absent or damaged.
    """
    data = load_thermodynamic_data(cache=cache)
    build = build_thermodynamics(data, kept_out_by_formula(data.crystals, seed=SEED))
    return write_thermodynamics(build, judge(build.truths, build.predictions), folder=folder)


def kept_out_by_formula(crystals: Sequence[Outcome], *, seed: int = SEED) -> list[bool]:
    """Return for every crystal whether its formula is kept out; about 15 %.

    Args:
        crystals: n of them.
        seed: of the division.
    """
    return [materials_project.held_out(each.candidate.formula, seed=seed) for each in crystals]


def write_thermodynamics(
    build: ThermodynamicBuild, metrics: Mapping[str, Any], *, folder: Path | None = None
) -> tuple[Path, Path]:
    """Write both artifacts with their cards and return their folders, hull first.

    Args:
        build: from :func:`build_thermodynamics`.
        metrics: figures for both cards, JSON-ready.
        folder: parent folder; the package's own artifacts if None.

    Raises:
        InputError: metrics that are not a mapping.
    """
    potential = build.references.potential
    hull_card = {
        "title": "Stable and near-stable compounds with DFT formation energies, corrections of 2020 and of 2018",
        "data": [_source(matbench.CARD), _source(materials_project.CARD)],
        "split": "All formulas of the matbench table (a random sample of which is missing). The shift from the "
        "corrections of 2018 to those of 2020 was fitted on formulas of mpts_52 that are not kept out.",
        "metrics": {**build.hull.report, "kept_out": dict(metrics)},
        "command": COMMAND,
    }
    reference_card = {
        "title": f"Element references from {potential} energies to Materials Project formation energies",
        "data": [_source(materials_project.CARD)],
        "split": f"mpts_52 without the 15 % of reduced formulas that held_out(formula, share=0.15, seed={SEED}) "
        f"keeps out; {build.fitted} crystals fitted, {len(build.truths)} judged. CHGNet itself was trained on MPtrj, "
        "which holds relatives of all these crystals: the figures test the mapping, not unseen chemistry.",
        "metrics": dict(metrics),
        "command": COMMAND,
        "potential_version": potential_fingerprint(potential),
    }
    return (
        save_hull(build.hull, card=hull_card, folder=folder),
        save_references(build.references, card=reference_card, folder=folder),
    )


def _stable_energies(data: ThermodynamicData, chosen: np.ndarray[Any, Any]) -> dict[Formula, float]:
    """Return formation energies of crystals on the hull: their polymorph is the one that both releases hold."""
    found: dict[Formula, float] = {}
    for place in np.flatnonzero(chosen).tolist():
        values = data.crystals[place].values
        if values["energy_above_hull"].mean <= 1e-6:
            found[_formula(data.crystals[place])] = values["formation_energy"].mean
    return found


def _lowest_energies(data: ThermodynamicData, chosen: np.ndarray[Any, Any]) -> dict[Formula, float]:
    """Return the lowest formation energy per formula that the formula table lacks."""
    found: dict[Formula, float] = {}
    for place in np.flatnonzero(chosen).tolist():
        formula = _formula(data.crystals[place])
        if len(formula) > 1 and formula not in data.table:
            energy = data.crystals[place].values["formation_energy"].mean
            found[formula] = min(energy, found.get(formula, np.inf))
    return found


def _formula(crystal: Outcome) -> Formula:
    reduced = crystal.candidate.composition.reduced_composition
    return tuple(sorted((element.symbol, round(number)) for element, number in reduced.items()))


def _row(crystal: Outcome, energy: float) -> ReferenceRow:
    values = crystal.values
    return ReferenceRow(
        crystal.candidate.composition, energy, values["formation_energy"].mean, values["energy_above_hull"].mean
    )


def _predict(data: ThermodynamicData, place: int, references: ElementReferences, hull: HullBuild) -> Outcome:
    candidate, energy = data.crystals[place].candidate, float(data.energies[place])
    if not np.isfinite(energy):
        return Outcome(candidate, status=Status.REJECTED, note=f"{data.potential} has no answer for this crystal")
    try:
        values, details = place_on_hull(candidate, energy, references=references, table=hull.table)
    except PhysicsError as reason:
        return Outcome(candidate, status=Status.REJECTED, note=str(reason))
    return Outcome(candidate, values, details=details)


def _source(card: DataCard) -> dict[str, str]:
    return {"name": card.name, "licence": card.licence, "source": f"{card.source}; {card.citation}"}
