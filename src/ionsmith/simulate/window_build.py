"""Builds the supplement of the reference hull: known phases that it lacks, by DFT or by our relaxations."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pymatgen.core import Composition, Lattice, Structure

from ionsmith.artifacts.cards import save_artifact
from ionsmith.core.records import Candidate, Kind, Origin, Outcome, Status
from ionsmith.data import materials_project
from ionsmith.data.files import DataCard
from ionsmith.thermodynamics.known import SUPPLEMENT, release_shift, supplement_arrays
from ionsmith.thermodynamics.phases import HullTable

FILES = ("mpts_52", "mp_20_biternary")
"""Structure files of one Materials Project release with the corrections of 2020 and a stated licence."""

ON_HULL = 8e-3
"""Compounds further above the hull of the Materials Project than this are left out, eV/atom: what is unstable there
could be an equilibrium product here only because its competitors are missing. Not zero, as the stable polymorph may
be the one that is missing (CO2)."""

COMMAND = "python benchmarks/window.py --supplement"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Missing:
    """A phase that the reference hull lacks.

    Attributes:
        composition: reduced.
        energy: formation energy with the corrections of 2020, eV/atom.
        origin: where the energy comes from.
    """

    composition: Composition
    energy: float
    origin: str


def missing_from_structures(table: HullTable) -> list[Missing]:
    """Return stable compounds of the Materials Project structure files that the table lacks.

    Args:
        table: reference hull with the corrections of 2020.

    Raises:
        DataError: a data file is absent or damaged.
    """
    lowest: dict[str, Missing] = {}
    for file in FILES:
        for crystal in materials_project.load_materials_project(file):
            composition = crystal.candidate.composition.reduced_composition
            near = crystal.values["energy_above_hull"].mean <= ON_HULL
            if near and len(composition) > 1 and table.known(composition) is None:
                energy = crystal.values["formation_energy"].mean
                held = lowest.get(composition.reduced_formula)
                if held is None or energy < held.energy:
                    lowest[composition.reduced_formula] = Missing(composition, energy, file)
    return [lowest[formula] for formula in sorted(lowest)]


def missing_from_relaxed(outcomes: Iterable[Outcome], table: HullTable, known: Iterable[Missing]) -> list[Missing]:
    """Return stoichiometric relaxed crystals that neither the table nor the list of further compounds holds.

    Args:
        outcomes: of the relaxation, with formation energies.
        table: reference hull with the corrections of 2020.
        known: compounds that are already to be added.
    """
    taken = {each.composition.reduced_formula for each in known}
    found: dict[str, Missing] = {}
    for outcome in outcomes:
        if outcome.status is not Status.OK:
            _log.info("supplement: %s left out: %s", outcome.candidate.source.locator, outcome.note)
            continue
        composition = outcome.candidate.composition.reduced_composition
        formula, energy = composition.reduced_formula, outcome.values["formation_energy"].mean
        if formula in taken or table.known(composition) is not None:
            continue
        if formula not in found or energy < found[formula].energy:
            found[formula] = Missing(composition, energy, "chgnet")
    return [found[formula] for formula in sorted(found)]


def save_supplement(rows: list[Missing], *, metrics: Mapping[str, Any], folder: Path | None = None) -> Path:
    """Write the supplement as an artifact.

    Args:
        rows: the phases.
        metrics: figures for the card, JSON-ready.
        folder: parent folder; the package's own artifacts if None.

    Raises:
        InputError: no rows, or metrics that are not a mapping.
    """
    own = [row.composition.reduced_formula for row in rows if row.origin not in FILES]
    card = {
        "title": "Known phases that the reference hull lacks, with formation energies, corrections of 2020 and 2018",
        "data": [_source(materials_project.CARD), _OWN],
        "split": "Not a model. Compounds of the structure files on the hull of the Materials Project "
        "whose formula the table lacks (DFT), and crystals built from published facts and relaxed with CHGNet.",
        "metrics": dict(metrics),
        "command": COMMAND,
        "settings": {"margin_ev_atom": ON_HULL, "computed_with_chgnet": sorted(own)},
    }
    arrays = supplement_arrays([row.composition for row in rows], [row.energy for row in rows], release_shift())
    return save_artifact(SUPPLEMENT, arrays, card=card, folder=folder)


def _source(card: DataCard) -> dict[str, str]:
    return {"name": card.name, "licence": card.licence, "source": f"{card.source}; {card.citation}"}


_OWN = {
    "name": "library",
    "licence": "own work: facts with DOI",
    "source": "the built-in library, relaxed with CHGNet 0.3.0 and mapped by the element references",
}


def zirconium_chloride() -> Candidate:
    """Return ZrCl4, which the tables lack: zigzag chains of edge-sharing octahedra in space group P2/c.

    Cell: a = 6.361, b = 7.407, c = 6.256 angstrom, beta = 109.30 degrees. The atoms are placed as ideal octahedra
    along the chain (Zr-Cl 2.50 angstrom within it, 2.33 outside) and find their places when relaxed.
    """
    lattice = Lattice.from_parameters(6.361, 7.407, 6.256, 90.0, 109.30, 90.0)
    along = lattice.matrix[2] / lattice.c
    up = lattice.matrix[1] / lattice.b
    across = np.cross(up, along)
    angle = math.atan(math.sqrt(0.5))  # between the chain and the axis through its bridging atoms
    axis = math.cos(angle) * along + math.sin(angle) * across
    side = -math.sin(angle) * along + math.cos(angle) * across
    metal = lattice.get_cartesian_coords([0.0, 0.164, 0.25])
    bridge, terminal = metal + 2.50 * axis, metal + 2.33 * math.sqrt(0.5) * (side + up)
    places = [lattice.get_fractional_coords(place) for place in (metal, bridge, terminal)]
    structure = Structure.from_spacegroup("P2/c", lattice, ["Zr", "Cl", "Cl"], places)
    return Candidate(Kind.CRYSTAL, structure, Origin("library", "facts:ZrCl4"))
