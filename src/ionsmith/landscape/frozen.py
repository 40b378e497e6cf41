"""The frozen framework that one mobile ion is moved through under a potential: whole atoms, primitive cell."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import spglib
from numpy.typing import NDArray
from pymatgen.core import Element, Structure

from ionsmith.core.errors import PhysicsError
from ionsmith.core.records import FloatArray
from ionsmith.landscape.framework import Framework
from ionsmith.landscape.parameters import Ion, covalent_radius, parse_mobile
from ionsmith.landscape.symmetry import SYMPREC

SEPARATION = 5.0
"""Least distance between the ion and its images in the neighbouring cells, angstrom."""

_WHOLE = 0.995  # a framework site at least this full is whole
_OVERLAP = 0.5  # of the sum of covalent radii: closer atoms are alternatives to each other
_FILLED = 0.5  # a group of alternatives that is filled less than this stays empty


@dataclass(frozen=True)
class _Sites:
    """Framework sites with one element each.

    Attributes:
        places: fractional; shape (n, 3).
        numbers: atomic number of the most frequent element that stays; shape (n,).
        filling: occupancy by anything but the mobile ion; shape (n,).
        mixed: whether another element, the mobile ion included, shares the site; shape (n,).
    """

    places: FloatArray
    numbers: NDArray[np.int64]
    filling: FloatArray
    mixed: NDArray[np.bool_]


def frozen_framework(structure: Structure, mobile: str = "Li") -> tuple[Structure, Framework, str]:
    """The crystal without its mobile ions in its primitive cell, as a structure and as weights for symmetry.

    Disorder of the mobile ions alone does not matter, for they are all taken out. Where the framework itself is
    disordered, every site is given the most frequent element of those that stay, and of sites too close to be filled
    at once the fullest is kept; sites that are, together with such neighbours, less than half full stay empty. This
    keeps the symmetry, unlike an ordered supercell, but neglects the minority; the note says so. What is left is
    often far more symmetric than the crystal, and its levels do not depend on the cell given.

    Args:
        structure: crystal, ordered or disordered.
        mobile: the ion that moves.

    Returns:
        The framework's primitive cell; the same for the engine; one line on what was neglected, or empty text.

    Raises:
        PhysicsError: no mobile ion, or no framework.
        InputError: text that is no ion.
    """
    number, charge = parse_mobile(mobile)
    formula = structure.composition.reduced_formula
    if not any(int(species.Z) == number for site in structure for species in site.species):
        raise PhysicsError(f"no mobile ion: {formula} contains no {mobile}")
    matrix = np.array(structure.lattice.matrix)
    if np.linalg.det(matrix) < 0.0:  # the mirror image has the same energies, and potentials expect it
        matrix = -matrix
    sites = _sites(structure, number)
    kept, note = _chosen(sites, matrix)
    if not len(kept):
        raise PhysicsError(f"expected a framework around {mobile}, got {formula}")
    lattice, places, numbers = _primitive(matrix, sites.places[kept], sites.numbers[kept])
    frame = Structure(lattice, [Element.from_Z(int(z)) for z in numbers], places)
    species, kinds = np.unique(numbers, return_inverse=True)
    ions = tuple(Ion(int(z), 0) for z in species)
    weights = np.ones(len(kinds))
    moving = Ion(number, charge or 0)
    return frame, Framework(lattice, places % 1.0, kinds.astype(np.int64), weights, ions, moving), note


def host(frame: Structure, mobile: str = "Li") -> tuple[Structure, FloatArray]:
    """The framework repeated until the ion is far from its own images, with the ion last.

    Args:
        frame: the framework's primitive cell.
        mobile: the ion that moves.

    Returns:
        The supercell, the ion at its origin; and how often it repeats along each vector, shape (3,).
    """
    repeats = np.array([max(1, math.ceil(SEPARATION / length - 1e-6)) for length in frame.lattice.abc])
    cell = frame.make_supercell(repeats.tolist(), in_place=False)
    cell.append(Element.from_Z(parse_mobile(mobile)[0]), [0.0, 0.0, 0.0])
    return cell, repeats.astype(float)


def _sites(structure: Structure, number: int) -> _Sites:
    places, numbers, filling, mixed = [], [], [], []
    for site in structure:
        amounts: dict[int, float] = {}
        for species, amount in site.species.items():
            amounts[int(species.Z)] = amounts.get(int(species.Z), 0.0) + float(amount)
        if set(amounts) == {number}:
            continue
        others = {z: amount for z, amount in amounts.items() if z != number}
        places.append(np.asarray(site.frac_coords))
        numbers.append(max(others, key=lambda z: (others[z], z)))
        filling.append(sum(others.values()))
        mixed.append(len(amounts) > 1)
    return _Sites(
        np.array(places).reshape(-1, 3), np.array(numbers, dtype=np.int64), np.array(filling), np.array(mixed)
    )


def _chosen(sites: _Sites, matrix: FloatArray) -> tuple[NDArray[np.int64], str]:
    """Indices of the sites that are filled, and what that neglects."""
    count = len(sites.numbers)
    partial = np.flatnonzero(sites.filling < _WHOLE)
    close = _overlaps(sites, matrix) if len(partial) else np.zeros((count, count), dtype=bool)
    together = sites.filling + close @ sites.filling
    kept: list[int] = []
    for n in np.argsort(-sites.filling, kind="stable"):
        if together[n] >= _FILLED and not close[n][kept].any():
            kept.append(int(n))
    parts = []
    if sites.mixed.any():
        parts.append(f"{int(sites.mixed.sum())} mixed sites hold their most frequent element")
    if len(partial):
        full = len(np.intersect1d(partial, kept))
        parts.append(f"of {len(partial)} partly filled sites {full} are full and {len(partial) - full} empty")
    return np.array(sorted(kept), dtype=np.int64), "; ".join(parts)


def _overlaps(sites: _Sites, matrix: FloatArray) -> NDArray[np.bool_]:
    away = sites.places[:, None] - sites.places[None]
    distance = np.linalg.norm((away - np.round(away)) @ matrix, axis=-1)
    radii = np.array([covalent_radius(Ion(int(z), 0)) for z in sites.numbers])
    close = distance < _OVERLAP * (radii[:, None] + radii[None])
    np.fill_diagonal(close, False)
    return np.asarray(close)


def _primitive(
    matrix: FloatArray, places: FloatArray, numbers: NDArray[np.int64]
) -> tuple[FloatArray, FloatArray, NDArray[np.int64]]:
    """Primitive cell of some atoms: cell vectors, fractional places, atomic numbers."""
    try:  # spglib raises or returns None, depending on a switch that other libraries turn
        found = spglib.standardize_cell(
            (matrix, places, numbers), to_primitive=True, no_idealize=True, symprec=SYMPREC
        )
    except getattr(spglib, "SpglibError", ValueError):
        found = None
    if found is None or len(found[2]) >= len(numbers):
        return matrix, places, numbers
    smaller, inside, kinds = found
    return np.array(smaller), np.asarray(inside), np.asarray(kinds, dtype=np.int64)
