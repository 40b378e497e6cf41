"""What a potential can compute: an ordered crystal of bounded size, without decorations, with its atoms apart."""

from __future__ import annotations

import numpy as np
import spglib
from ase.data import covalent_radii
from pymatgen.core import Element, Structure

from ionsmith.core.errors import PhysicsError
from ionsmith.core.records import Candidate
from ionsmith.io.ordering import order_candidate

CLOSEST = 0.5
"""Atoms closer than this share of the sum of their covalent radii (doi 10.1039/b801115j) overlap; the closest pair of
8,553 Materials Project crystals, U-Fe, is at 0.65, and the H2 molecule at 1.2."""

DENSEST = 0.3
"""Atoms per cubic angstrom beyond which no solid exists at ambient pressure: CrH2, the densest of the same crystals,
has 0.17. Denser cells have so many neighbours within a potential's range that computing them takes minutes."""

_SAME_PLACE = 0.01  # angstrom; atoms that a lattice translation brings this close are repeats of each other


def ordered_crystal(candidate: Candidate, *, max_sites: int = 200) -> tuple[Candidate, Structure]:
    """Return an ordered form of a crystal candidate and the plain structure that goes to a potential.

    A disordered crystal is replaced by its ordered approximant, whose note stays in ``source.notes``; the plain
    structure has elements in place of oxidation states and isotopes, and right-handed cell vectors: a left-handed
    cell goes in as its mirror image, whose energy is the same.

    Args:
        candidate: a crystal.
        max_sites: largest cell, atoms.

    Raises:
        InputError: not a crystal.
        PhysicsError: no ordered approximant, too many atoms, or atoms that are not apart.
    """
    smallest = primitive_crystal(candidate)
    sites = len(smallest.structure)
    if smallest.structure.is_ordered and sites > max_sites:
        raise PhysicsError(f"expected a primitive cell of at most {max_sites} atoms, got {sites}")
    ordered = order_candidate(smallest, max_sites=max_sites)
    plain = _plain(ordered.structure)
    check_apart(plain)
    return ordered, plain


def primitive_crystal(candidate: Candidate) -> Candidate:
    """Return an ordered crystal in its primitive cell: the same energies per atom for a fraction of the work.

    The atoms stay where they are (nothing is idealised). A disordered crystal, one that is primitive already, and one
    whose symmetry spglib cannot find come back as they are.

    Args:
        candidate: a crystal.
    """
    structure = candidate.structure
    if not structure.is_ordered:
        return candidate
    kinds = list(dict.fromkeys(site.specie for site in structure))
    numbers = [kinds.index(site.specie) for site in structure]
    cell = (structure.lattice.matrix, structure.frac_coords, numbers)
    try:  # spglib raises or returns None, depending on a switch that other libraries turn
        found = spglib.standardize_cell(cell, to_primitive=True, no_idealize=True, symprec=_SAME_PLACE)
    except getattr(spglib, "SpglibError", ValueError):
        found = None
    if found is None or len(found[2]) >= len(structure):
        return candidate
    matrix, places, numbers = found
    primitive = Structure(matrix, [kinds[n] for n in numbers], places)
    return candidate.child(
        primitive, note=f"reduced from {len(structure)} to {len(primitive)} atoms, the primitive cell"
    )


def check_apart(structure: Structure) -> None:
    """Refuse a crystal whose atoms overlap or are packed more densely than in any solid.

    Args:
        structure: ordered crystal of elements.

    Raises:
        PhysicsError: two atoms too close, periodic images included, or too many in the volume.
    """
    radii = covalent_radii[[site.specie.Z for site in structure]]
    expected = CLOSEST * (radii[:, None] + radii)
    distance = structure.distance_matrix
    np.fill_diagonal(distance, min(structure.lattice.get_lll_reduced_lattice().abc))  # to an atom's own images
    first, second = np.unravel_index(np.argmin(distance - expected), distance.shape)
    if distance[first, second] < expected[first, second]:
        raise PhysicsError(
            f"atoms overlap: expected at least {expected[first, second]:.2f} angstrom between "
            f"{structure[first].specie} and {structure[second].specie}, got {distance[first, second]:.2f}"
        )
    density = len(structure) / structure.volume
    if not density <= DENSEST:
        raise PhysicsError(f"expected at most {DENSEST:g} atoms per cubic angstrom, got {density:.2g}")


def left_handed(structure: Structure) -> bool:
    """Return whether the cell vectors form a left-handed set.

    Potentials that divide by the signed volume (CHGNet does) give such a cell a stress of the wrong sign, and a
    relaxation that follows it crushes the crystal.

    Args:
        structure: any crystal.
    """
    return bool(np.linalg.det(structure.lattice.matrix) < 0.0)


def _plain(structure: Structure) -> Structure:
    species = [Element.from_Z(site.specie.Z) for site in structure]
    matrix = -structure.lattice.matrix if left_handed(structure) else structure.lattice.matrix
    return Structure(matrix, species, structure.frac_coords)
