"""Empty places for an extra ion, and the defects of its two mechanisms: direct hop and knock-off (interstitialcy)."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from pymatgen.core import DummySpecies, Structure

from ionsmith.core.errors import InputError, PhysicsError
from ionsmith.core.records import FloatArray
from ionsmith.landscape import build_network, percolation
from ionsmith.simulate.hops import SiteHop, symmetry_operations
from ionsmith.simulate.neb_run import Defect

EMPTY = "X"
"""Symbol of an empty place in a crystal that shows them."""

FREE = 1.2
"""A place nearer to a lattice site belongs to the ion there, angstrom."""

ONE = 0.8
"""Places nearer to each other are one, angstrom."""

_DETOUR = 1.5  # a lattice ion so far off the way is not the one that is knocked off
_APART = 0.8  # angstrom; least way of each of the two ions of a knock-off
_SAME = 0.05  # angstrom


def with_empty_places(structure: Structure, mobile: str) -> Structure:
    """Return a crystal with the empty places for its mobile ion as further sites of the species ``X``.

    They are the minima of the bond-valence landscape that no lattice site accounts for, made symmetric.

    Args:
        structure: ordered crystal of elements, its mobile sites filled.
        mobile: element symbol.

    Raises:
        PhysicsError: the bond-valence model has no parameters for the crystal, or it has no empty place.
    """
    try:
        network = build_network(percolation(structure, mobile, resolution=0.3))
    except InputError as reason:
        raise PhysicsError(f"no interstitial place can be sought: {reason}") from reason
    lattice, filled = structure.lattice, [s.frac_coords for s in structure if s.specie.symbol == mobile]
    operations = symmetry_operations(structure)
    places: list[FloatArray] = []
    for site in sorted(network.sites, key=lambda s: s.energy):
        if lattice.get_all_distances([site.fractional], [*filled, *places]).min(initial=np.inf) < ONE:
            continue  # a lattice site, or seen from a lower minimum already
        images = orbit(site.fractional, operations, structure)
        if lattice.get_all_distances(images, filled).min() >= FREE:
            places.extend(images)
    if not places:
        raise PhysicsError(f"no interstitial place for {mobile} in {structure.composition.reduced_formula}")
    extended = structure.copy()
    for place in places:
        extended.append(DummySpecies(EMPTY, 0), place)
    return extended


def orbit(point: FloatArray, operations: Any, structure: Structure) -> list[FloatArray]:
    """Return all images of a point, after moving it to the middle of those that nearly coincide with it.

    Args:
        point: fractional; shape (3,).
        operations: from :func:`ionsmith.simulate.hops.symmetry_operations`.
        structure: the crystal.
    """
    rotations, translations = operations
    images = rotations @ point + translations
    away = images - point
    away -= np.round(away)
    near = np.linalg.norm(away @ structure.lattice.matrix, axis=1) < ONE
    centre = point + away[near].mean(axis=0)
    found: list[FloatArray] = []
    for image in (rotations @ centre + translations) % 1.0:
        if not found or structure.lattice.get_all_distances([image], found).min() > _SAME:
            found.append(image)
    return found


@dataclass(frozen=True)
class Knocked:
    """The lattice ion that an extra ion pushes on.

    Attributes:
        place: where it sits, Cartesian, angstrom, in the frame of the hop's start; shape (3,).
        way: of the extra ion to it and of the lattice ion on, together, angstrom.
    """

    place: FloatArray
    way: float


def knocked_ion(extended: Structure, hop: SiteHop, mobile: str) -> Knocked | None:
    """Return the lattice ion nearest to the way between two empty places; None where none is near it.

    Args:
        extended: crystal with its empty places.
        hop: from one empty place to another.
        mobile: element symbol.
    """
    start, end = ends_of(extended, hop)
    sites = np.array([site.frac_coords for site in extended if site.specie.symbol == mobile]).reshape(-1, 3)
    middle = extended.lattice.get_fractional_coords(0.5 * (start + end))
    shifts = np.array(list(itertools.product((-1, 0, 1), repeat=3)))
    places = ((sites - np.floor(sites - middle + 0.5))[:, None] + shifts[None]).reshape(-1, 3)
    points = places @ extended.lattice.matrix
    one, two = np.linalg.norm(points - start, axis=1), np.linalg.norm(points - end, axis=1)
    fine = np.flatnonzero((one > _APART) & (two > _APART) & (one + two < _DETOUR * hop.length))
    if not len(fine):
        return None
    best = int(fine[(one + two)[fine].argmin()])
    return Knocked(points[best], float(one[best] + two[best]))


def ends_of(structure: Structure, hop: SiteHop) -> tuple[FloatArray, FloatArray]:
    """Return the two ends of a hop, Cartesian, angstrom, each of shape (3,).

    Args:
        structure: that holds the sites of the hop.
        hop: between two of them.
    """
    start = np.asarray(structure[hop.start].coords, dtype=float)
    lattice = np.asarray(structure.lattice.matrix, dtype=float)
    return start, np.asarray(structure[hop.end].coords, dtype=float) + np.array(hop.cell, dtype=float) @ lattice


def interstitial(extended: Structure, hop: SiteHop, matrix: Any, mobile: str, *, knocks: bool) -> Defect:
    """Build the supercell of a crystal with an extra ion that leaves one empty place for another.

    Args:
        extended: crystal with its empty places.
        hop: from one empty place to another.
        matrix: supercell vectors in units of the crystal's; shape (3, 3).
        mobile: element symbol.
        knocks: whether the extra ion takes the place of a lattice ion that goes on in its stead.

    Raises:
        PhysicsError: the supercell is too small to hold both places, or no lattice ion lies between them.
    """
    from ase import Atom

    start, end = ends_of(extended, hop)
    large = extended.copy()
    large.remove_species([DummySpecies(EMPTY, 0)])
    large.make_supercell(matrix, to_unit_cell=False)
    first, last = (large.lattice.get_fractional_coords(point) for point in (start, end))
    if large.lattice.get_all_distances([first], [last])[0, 0] < _SAME:
        raise PhysicsError("the supercell is too small: the hop leads to the ion's own image")
    atoms = large.to_ase_atoms()
    atoms.append(Atom(mobile, start))
    extra = len(atoms) - 1
    if not knocks:
        return Defect(atoms, (extra,), (end - start)[None])
    knocked = knocked_ion(extended, hop, mobile)
    if knocked is None:
        raise PhysicsError("no lattice ion lies between the two places")
    place = large.lattice.get_fractional_coords(knocked.place)
    ion = int(large.lattice.get_all_distances([place], large.frac_coords)[0].argmin())
    return Defect(atoms, (extra, ion), np.array([knocked.place - start, end - knocked.place]))
