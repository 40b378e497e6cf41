"""Hops of the mobile ion between its sites: all of them up to a distance, by symmetry, and how they percolate."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import spglib
from numpy.typing import NDArray
from pymatgen.core import DummySpecies, Structure

from ionsmith.core.errors import PhysicsError
from ionsmith.core.records import FloatArray
from ionsmith.landscape import Hop, Network, Site

_SYMMETRY = 0.01  # angstrom
_SAME = 0.05  # angstrom
_BLOCKED = 1.08  # a detour over a third site that is hardly longer than the hop is two hops
_LONGEST = 7.0  # angstrom; up to which hops are sought where the wanted distance does not percolate
_STEP = 0.25  # angstrom


@dataclass(frozen=True)
class SiteHop:
    """An ion goes from one site to another.

    Attributes:
        start: index of the site that it leaves.
        end: index of the site that it reaches.
        cell: cell of the end as seen from the start.
        length: angstrom.
    """

    start: int
    end: int
    cell: tuple[int, int, int]
    length: float


@dataclass(frozen=True)
class HopClass:
    """Hops that symmetry makes alike.

    Attributes:
        example: the one to compute.
        members: all of them, each direction and cell once.
        turned: for each member whether it is the example run backwards.
    """

    example: SiteHop
    members: tuple[SiteHop, ...]
    turned: tuple[bool, ...]


def distinct_hops(
    structure: Structure, mobile: str, *, distance: float, allowed: Callable[[SiteHop], bool] | None = None
) -> tuple[HopClass, ...]:
    """All hops between neighbouring sites up to a distance, grouped by symmetry, shortest first.

    If they do not connect the crystal with its copy in a next cell, the distance is raised in steps of 0.25 angstrom
    until they do. A hop that passes over a third site of the ion is left out: it is two hops.

    Args:
        structure: ordered crystal of elements, its mobile sites filled; it may show empty places as dummy sites.
        mobile: symbol of the sites: of the ion, or of the empty places.
        distance: angstrom.
        allowed: which hops count; all if None.

    Raises:
        PhysicsError: no mobile ion, or no percolation up to 7 angstrom.
    """
    sites = [n for n, site in enumerate(structure) if site.specie.symbol == mobile]
    if not sites:
        raise PhysicsError(f"no {mobile} in {structure.composition.reduced_formula}: nothing hops")
    reach = distance
    while True:
        hops = [hop for hop in _all_hops(structure, sites, reach) if allowed is None or allowed(hop)]
        if hops and math.isfinite(percolation_levels(structure, [(h, 1.0) for h in hops], {})[0]):
            return _classes(structure, hops)
        if reach >= _LONGEST:
            raise PhysicsError(f"{mobile} sites do not percolate by hops of up to {_LONGEST:g} angstrom")
        reach = min(reach + _STEP, _LONGEST)


def percolation_levels(
    structure: Structure, hops: Sequence[tuple[SiteHop, float]], energies: Mapping[int, float]
) -> tuple[float, float, float]:
    """Percolation barrier in one, two and three dimensions, eV above the lowest site; infinity where there is none.

    Args:
        structure: the crystal.
        hops: hops with the energy of their saddles, eV.
        energies: energy of the vacancy on each site, eV, on the same scale; zero where it is missing.
    """
    used = sorted({n for hop, _ in hops for n in (hop.start, hop.end)})
    place = {site: n for n, site in enumerate(used)}
    lowest = min((energies.get(n, 0.0) for n in used), default=0.0)
    sites = tuple(Site(structure[n].frac_coords, energies.get(n, 0.0) - lowest, True) for n in used)
    passages = tuple(
        Hop(place[h.start], place[h.end], h.cell, np.zeros(3), energy - lowest, True) for h, energy in hops
    )
    matrix = np.asarray(structure.lattice.matrix, dtype=float)
    return Network(sites, passages, matrix, 0.0, _Nowhere(matrix)).levels()


@dataclass(frozen=True)
class _Nowhere:
    """Stands for the surface of a network that was not made from one."""

    lattice: FloatArray

    def evaluate(self, points: FloatArray) -> tuple[FloatArray, FloatArray]:
        return np.zeros(len(points)), np.zeros((len(points), 3))


def _all_hops(structure: Structure, sites: list[int], reach: float) -> list[SiteHop]:
    first, second, cells, lengths = structure.get_neighbor_list(reach + 1e-3, sites=[structure[n] for n in sites])
    mobile = set(sites)
    hops = []
    for n, j, cell, length in zip(first, second, cells, lengths, strict=True):
        i = sites[int(n)]
        shift = (int(cell[0]), int(cell[1]), int(cell[2]))
        # each pair comes from both ends; one of them is kept
        if int(j) not in mobile or int(j) < i or (int(j) == i and shift <= (0, 0, 0)):
            continue
        hop = SiteHop(i, int(j), shift, float(length))
        if not _blocked(structure, sites, hop):
            hops.append(hop)
    return sorted(hops, key=lambda h: (round(h.length, 3), h.start, h.end, h.cell))


def _blocked(structure: Structure, sites: list[int], hop: SiteHop) -> bool:
    matrix = structure.lattice.matrix
    start = structure[hop.start].frac_coords
    end = structure[hop.end].frac_coords + np.array(hop.cell)
    places = structure.frac_coords[sites]
    shifts = np.array(list(itertools.product((-1, 0, 1), repeat=3)))
    middle = np.floor(0.5 * (start + end))
    around = (places[:, None] % 1.0 + shifts[None] + middle).reshape(-1, 3)
    one, two = (np.linalg.norm((around - p) @ matrix, axis=1) for p in (start, end))
    others = (one > _SAME) & (two > _SAME)
    return bool((one[others] + two[others] < _BLOCKED * hop.length).any())


def _classes(structure: Structure, hops: list[SiteHop]) -> tuple[HopClass, ...]:
    known = {(h.start, h.end, h.cell): h for h in hops}
    operations = _operations(structure)
    grouped: dict[tuple[int, int, tuple[int, int, int]], tuple[list[SiteHop], list[bool]]] = {}
    seen: set[tuple[int, int, tuple[int, int, int]]] = set()
    for hop in hops:
        if (hop.start, hop.end, hop.cell) in seen:
            continue
        members, turned = [], []
        for images, shifts, rotation in operations:
            start, end = int(images[hop.start]), int(images[hop.end])
            cell = rotation @ np.array(hop.cell) + shifts[hop.end] - shifts[hop.start]
            for a, b, c, back in ((start, end, cell, False), (end, start, -cell, True)):
                key = (a, b, (int(c[0]), int(c[1]), int(c[2])))
                if key in known and key not in seen:
                    seen.add(key)
                    members.append(known[key])
                    turned.append(back)
        grouped[(hop.start, hop.end, hop.cell)] = (members or [hop], turned or [False])
    return tuple(HopClass(known[key], tuple(m), tuple(t)) for key, (m, t) in grouped.items())


def symmetry_operations(structure: Structure) -> tuple[NDArray[np.int64], FloatArray]:
    """Return rotations, shape (n, 3, 3), and translations, shape (n, 3), of a crystal in fractional coordinates.

    Dummy sites are not asked: their places are known less well than those of atoms.

    Args:
        structure: ordered crystal.
    """
    atoms = [site for site in structure if not isinstance(site.specie, DummySpecies)]
    cell = (structure.lattice.matrix, [site.frac_coords for site in atoms], [site.specie.Z for site in atoms])
    try:  # spglib raises or returns None, depending on a switch that other libraries turn
        found = spglib.get_symmetry(cell, symprec=_SYMMETRY)
    except getattr(spglib, "SpglibError", ValueError):
        found = None
    if found is None:
        return np.eye(3, dtype=np.int64)[None], np.zeros((1, 3))
    return found["rotations"].astype(np.int64), found["translations"]


def _operations(structure: Structure) -> list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]]:
    """Per operation: site that each site goes to, the cell it lands in, and the rotation."""
    places = np.asarray(structure.frac_coords, dtype=float)
    identity = (np.arange(len(places)), np.zeros((len(places), 3), dtype=np.int64), np.eye(3, dtype=np.int64))
    operations = []
    for rotation, translation in zip(*symmetry_operations(structure), strict=True):
        moved = places @ rotation.T + translation
        away = moved[:, None] - places[None]
        cells = np.round(away)
        distance = np.linalg.norm((away - cells) @ structure.lattice.matrix, axis=2)
        images = distance.argmin(axis=1)
        rows = np.arange(len(places))
        if distance[rows, images].max() < 5 * _SAME:
            operations.append((images.astype(np.int64), cells[rows, images].astype(np.int64), rotation))
    return operations or [identity]
