"""Builds the reference hull from DFT formation energies by formula: shift to the newer release, reduce, write."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymatgen.core import Composition

from ionsmith.artifacts.cards import save_artifact
from ionsmith.core.errors import InputError
from ionsmith.core.records import FloatArray
from ionsmith.thermodynamics.phases import HULL, HullTable
from ionsmith.thermodynamics.terms import TermFit, fit_terms, release_terms

Formula = tuple[tuple[str, int], ...]
"""Elements and their numbers in a reduced formula, in alphabetical order."""

PLAUSIBLE = (-6.0, 6.0)
"""Formation energies outside are mistakes of the source, eV/atom; no known solid lies there."""

MARGIN = 0.03
"""Compounds further above the hull than this are left out, eV/atom."""

_ON_HULL = 1e-9  # eV/atom
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class HullBuild:
    """A table, with both sets of energies and how one was made from the other.

    Attributes:
        table: with the energies of the newer release.
        source_energies: with the energies as given, same order; shape (n,).
        shift: given minus newer, fitted.
        report: counts and errors, JSON-ready.
    """

    table: HullTable
    source_energies: FloatArray
    shift: TermFit
    report: Mapping[str, Any]


def build_hull(
    energies: Mapping[Formula, float],
    newer: Mapping[Formula, float],
    *,
    further: Mapping[Formula, float] | None = None,
    margin: float = MARGIN,
) -> HullBuild:
    """Shift formation energies to a newer release and keep the stable and near-stable compounds.

    The releases carry different corrections for anions and for metals treated with U; the difference is fitted,
    term by term, on compounds whose formation energy is known in both, and taken off the table. A compound stays if
    it then lies within ``margin`` of the hull.

    Args:
        energies: formula to formation energy of the most stable polymorph, eV/atom, older release.
        newer: the same in the newer release, for the compounds where it is known (rows for fitting only).
        further: compounds of the newer release that the table lacks, if any are to be added.
        margin: eV/atom.

    Raises:
        InputError: no formula is in both releases.
    """
    kept = {f: e for f, e in energies.items() if len(f) > 1 and PLAUSIBLE[0] <= e <= PLAUSIBLE[1]}
    both = [formula for formula in newer if formula in kept]
    if not both:
        raise InputError(f"expected formulas known in both releases, got none of {len(newer)} among {len(kept)}")
    offset = np.array([kept[formula] - newer[formula] for formula in both])
    shift = fit_terms([release_terms(dict(formula)) for formula in both], offset)
    left = offset - [shift.energy(release_terms(dict(formula))) for formula in both]
    shifts = {formula: shift.energy(release_terms(dict(formula))) for formula in (*kept, *(further or {}))}
    added = {formula: energy + shifts[formula] for formula, energy in (further or {}).items() if formula not in kept}
    kept |= added
    shifted = [energy - shifts[formula] for formula, energy in kept.items()]
    given = np.array(list(kept.values()))
    near = _near_hull(list(kept), np.array(shifted), margin)
    formulas = [formula for formula, keep in zip(kept, near, strict=True) if keep]
    chosen = np.flatnonzero(near)
    table = HullTable.from_energies(
        (Composition(dict(formula)), shifted[place]) for formula, place in zip(formulas, chosen, strict=True)
    )
    report = {
        "formulas": len(energies),
        "implausible_or_elements": len(energies) + len(added) - len(kept),
        "added_from_structures": len(added),
        "kept": len(table),
        "margin_ev_atom": margin,
        "formulas_in_both_releases": len(both),
        "offset_between_releases_mae": float(np.abs(offset).mean()),
        "offset_between_releases_mae_after_shift": float(np.abs(left).mean()),
        "offset_between_releases_median_after_shift": float(np.median(np.abs(left))),
    }
    return HullBuild(table, given[chosen], shift, report)


def save_hull(build: HullBuild, *, card: Mapping[str, Any], folder: Path | None = None) -> Path:
    """Write the table as an artifact.

    Args:
        build: from :func:`build_hull`.
        card: title, data, split, metrics, command.
        folder: parent folder; the package's own artifacts if None.

    Raises:
        InputError: an incomplete card.
    """
    table = build.table
    arrays: dict[str, NDArray[Any]] = {
        "element": table.elements.astype(np.uint8),
        "count": table.counts.astype(np.uint8),
        "length": table.lengths.astype(np.uint8),
        "formation_energy": table.energies.astype(np.float32),
        "formation_energy_2018": build.source_energies.astype(np.float32),
    }
    settings = {**build.report, "release_shift_ev": dict(build.shift.coefficients)}
    return save_artifact(HULL, arrays, card={**card, "settings": settings}, folder=folder)


def _near_hull(formulas: Sequence[Formula], energies: FloatArray, margin: float) -> NDArray[np.bool_]:
    """Return which compounds lie within ``margin`` of the hull.

    Systems of few elements come first: what lies above the hull of its own elements lies above the hull of any
    larger system, so it need not be compared again.
    """
    compositions = [Composition(dict(formula)) for formula in formulas]
    near = np.zeros(len(formulas), dtype=bool)
    stable: list[tuple[Composition, float]] = []
    sizes = np.array([len(formula) for formula in formulas])
    for size in np.unique(sizes):
        places = np.flatnonzero(sizes == size).tolist()
        table = HullTable.from_energies(stable + [(compositions[place], float(energies[place])) for place in places])
        for place in places:
            energy = float(energies[place])
            above = table.energy_above_hull(compositions[place], energy).energy_above_hull
            near[place] = above <= margin
            if above <= _ON_HULL:
                stable.append((compositions[place], energy))
        _log.info("hull: compounds of %d elements compared, %d on the hull so far", size, len(stable))
    return near
