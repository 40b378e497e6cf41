"""Sites and hops: the minima of a landscape, the saddles between them, and percolation on that graph."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ionsmith.core.errors import PhysicsError
from ionsmith.core.records import FloatArray
from ionsmith.landscape.bvse import Percolation
from ionsmith.landscape.field import EnergyField
from ionsmith.landscape.surface import GridSurface, PairSurface, Surface, find_stationary

SHALLOW = 0.02
"""Depth below which a minimum is part of its neighbour's basin, eV; about the error of a 0.2 angstrom grid."""

MARGIN = 0.5
"""Saddles are kept up to this height above the highest percolation level, eV."""

_HALF_NEIGHBORS = tuple(s for s in itertools.product((-1, 0, 1), repeat=3) if s > (0, 0, 0))
_SAME_PLACE = 0.15  # angstrom
_CODE = 1 << 20
_HALF = 1 << 19


@dataclass(frozen=True)
class Site:
    """A minimum of the landscape.

    Attributes:
        fractional: position; shape (3,), may lie just outside the cell.
        energy: eV above the lowest site.
        refined: whether the position was found off the grid.
    """

    fractional: FloatArray
    energy: float
    refined: bool


@dataclass(frozen=True)
class Hop:
    """A passage from one site to another, possibly in another cell.

    Attributes:
        start: index of the site it leaves.
        end: index of the site it reaches.
        cell: cell of the end as seen from the start; three integers.
        fractional: position of the saddle, in the frame of the starting site's cell; shape (3,).
        energy: saddle energy, eV above the lowest site.
        refined: whether the saddle was found off the grid.
    """

    start: int
    end: int
    cell: tuple[int, int, int]
    fractional: FloatArray
    energy: float
    refined: bool


@dataclass(frozen=True)
class Network:
    """The landscape as a graph.

    Attributes:
        sites: the minima.
        hops: the passages, each listed once.
        lattice: rows are the cell vectors, angstrom; shape (3, 3).
        reference: energy of the lowest site, eV, on the scale of the field.
        surface: the energy off the grid.
    """

    sites: tuple[Site, ...]
    hops: tuple[Hop, ...]
    lattice: FloatArray
    reference: float
    surface: Surface

    def levels(self) -> tuple[float, float, float]:
        """1-D, 2-D and 3-D percolation barrier on the graph, eV above the lowest site; infinity where there is none.

        With refined sites and saddles these do not depend on the grid any more.
        """
        levels = [math.inf] * 3
        walker = _Windings(len(self.sites))
        for hop in sorted(self.hops, key=lambda h: h.energy):
            for dimension in range(walker.add(hop)):
                levels[dimension] = min(levels[dimension], hop.energy)
        one, two, three = levels
        return one, two, three


def build_network(percolation: Percolation, *, refine: bool = True, shallow: float = SHALLOW) -> Network:
    """Find the sites of a landscape and the hops between them.

    The grid is drained: every point belongs to the minimum below it. Where two basins touch, the lowest touching
    point is their saddle (one per pair of basins and cell). Minima and saddles are then moved off the grid to the
    stationary points beside them; sites that end in the same place are one.

    Args:
        percolation: a landscape that percolates in at least one dimension.
        refine: move sites and saddles off the grid.
        shallow: minima less deep than this are part of a neighbour's basin, eV.

    Raises:
        PhysicsError: a landscape that does not percolate below its ceiling.
    """
    field, found = percolation.field, [o for o in percolation.openings if o.point >= 0]
    if not found:
        raise PhysicsError("no hop network: the landscape does not percolate below its ceiling")
    surface: Surface = GridSurface(field)
    if percolation.framework is not None:
        surface = PairSurface(percolation.framework, percolation.cutoff)
    ceiling = field.minimum + found[-1].energy + MARGIN
    minima, hops = _drain(field, ceiling, shallow)
    return _assemble(field, surface, minima, hops, refine=refine)


def _drain(field: EnergyField, ceiling: float, shallow: float) -> tuple[NDArray[np.int64], list[tuple[int, ...]]]:
    """Minima (linear indices), and per pair of touching basins (one, two, packed cell, saddle point, its cell)."""
    from ionsmith.landscape import pointwise

    flat = field.values.ravel()
    inside = np.flatnonzero(flat <= ceiling)
    order = inside[np.argsort(flat[inside])]
    owner, cell = pointwise.watershed(order, flat, field.shape, shallow)
    best: dict[tuple[int, int, int], tuple[float, int, int]] = {}
    for shift in _HALF_NEIGHBORS:
        for key, entry in _touching(field, owner, cell, shift).items():
            if key not in best or entry < best[key]:
                best[key] = entry
    minima = np.unique(owner[order])
    rank = {int(m): n for n, m in enumerate(minima)}
    hops: list[tuple[int, ...]] = [
        (rank[a], rank[b], code, point, home) for (a, b, code), (_, point, home) in best.items()
    ]
    return np.asarray(minima, dtype=np.int64), hops


def _touching(
    field: EnergyField, owner: NDArray[np.int64], cell: NDArray[np.int64], shift: tuple[int, ...]
) -> dict[tuple[int, int, int], tuple[float, int, int]]:
    """Lowest meeting point of every pair of basins along one neighbour direction."""
    shape = field.shape
    index = np.indices(shape)
    moved = [index[d] + shift[d] for d in range(3)]
    crossing = sum((m // n) * _CODE**d for d, (m, n) in enumerate(zip(moved, shape, strict=True)))
    neighbor = np.ravel_multi_index([m % n for m, n in zip(moved, shape, strict=True)], shape).ravel()
    here, there = owner, owner[neighbor]
    flat = field.values.ravel()
    step = np.asarray(crossing).ravel() + cell[neighbor] - cell
    apart = np.flatnonzero((here >= 0) & (there >= 0) & ((here != there) | (step != 0)))
    a, b, code = here[apart], there[apart], step[apart]
    swap = (a > b) | ((a == b) & (code < 0))
    a, b, code = np.where(swap, b, a), np.where(swap, a, b), np.where(swap, -code, code)
    higher = flat[neighbor[apart]] > flat[apart]
    energy = np.where(higher, flat[neighbor[apart]], flat[apart])
    point = np.where(higher, neighbor[apart], apart)
    # cell of the saddle point as seen from the cell of basin a's minimum
    home_here = np.where(swap, -(np.asarray(crossing).ravel()[apart] + cell[neighbor[apart]]), -cell[apart])
    home = np.where(higher, home_here + np.asarray(crossing).ravel()[apart], home_here)
    rows = np.lexsort((energy, code, b, a))
    keys = np.stack([a, b, code], axis=1)[rows]
    fresh = np.ones(len(rows), dtype=bool)
    fresh[1:] = (keys[1:] != keys[:-1]).any(axis=1)
    return {
        (int(a[r]), int(b[r]), int(code[r])): (float(energy[r]), int(point[r]), int(home[r])) for r in rows[fresh]
    }


def _unpack(code: int) -> tuple[int, int, int]:
    i = ((code + _HALF) % _CODE) - _HALF
    code = (code - i) // _CODE
    j = ((code + _HALF) % _CODE) - _HALF
    return i, j, (code - j) // _CODE


def _assemble(
    field: EnergyField, surface: Surface, minima: NDArray[np.int64], rows: list[tuple[int, ...]], *, refine: bool
) -> Network:
    places = np.array([field.fractional(int(m)) for m in minima])
    energies, good = field.values.ravel()[minima].astype(float), np.zeros(len(minima), dtype=bool)
    if refine:
        found = find_stationary(surface, places @ field.lattice, saddle=False)
        places, energies, good = found.points @ np.linalg.inv(field.lattice), found.energies, found.converged
    owner, cells, first = _coincide(places, field.lattice)
    reference = float(energies.min())
    sites = tuple(Site(places[n] % 1.0, float(energies[n]) - reference, bool(good[n])) for n in first)
    hops = _passages(field, surface, rows, refine=refine)
    moved = []
    for hop in hops:
        shift = cells[hop.end] - cells[hop.start]
        cell = (hop.cell[0] + int(shift[0]), hop.cell[1] + int(shift[1]), hop.cell[2] + int(shift[2]))
        start, end = int(owner[hop.start]), int(owner[hop.end])
        if start == end and cell == (0, 0, 0):
            continue  # two dips of the grid that are one site
        # a saddle cannot lie below the sites it joins; where rounding says so the hop is free
        energy = max(hop.energy - reference, sites[start].energy, sites[end].energy)
        moved.append(Hop(start, end, cell, hop.fractional - cells[hop.start], energy, hop.refined))
    return Network(sites, _distinct(moved, field.lattice), field.lattice, reference, surface)


def _coincide(places: FloatArray, lattice: FloatArray) -> tuple[NDArray[np.int64], NDArray[np.int64], list[int]]:
    """Unite sites that ended in the same place.

    Returns:
        New index of each site, the cell of the united site as seen from it, and the old index that stands for each.
    """
    owner = np.full(len(places), -1, dtype=np.int64)
    cells = np.zeros((len(places), 3), dtype=np.int64)
    first: list[int] = []
    for n, place in enumerate(places):
        homes = np.array([places[m] % 1.0 for m in first]).reshape(-1, 3)
        away = place - homes
        apart = np.linalg.norm((away - np.round(away)) @ lattice, axis=1)
        match = int(apart.argmin()) if len(apart) and apart.min() < _SAME_PLACE else len(first)
        if match == len(first):
            first.append(n)
            away = (place - place % 1.0)[None]
            cells[n] = np.round(away[0])
        else:
            cells[n] = np.round(away[match])
        owner[n] = match
    return owner, cells, first


def _distinct(hops: list[Hop], lattice: FloatArray) -> tuple[Hop, ...]:
    """Keep one of every set of hops between the same sites over the same saddle, lowest first."""
    kept: dict[tuple[int, int, tuple[int, int, int]], list[Hop]] = {}
    for hop in sorted(hops, key=lambda h: h.energy):
        same = kept.setdefault((hop.start, hop.end, hop.cell), [])
        if all(np.linalg.norm((hop.fractional - h.fractional) @ lattice) > _SAME_PLACE for h in same):
            same.append(hop)
    return tuple(sorted((h for group in kept.values() for h in group), key=lambda h: h.energy))


def _trust(field: EnergyField) -> float:
    """How far a saddle may lie from its grid point in energy, eV: 0.1 at 0.2 angstrom, with the spacing squared."""
    spacing = float((np.linalg.norm(field.lattice, axis=1) / np.array(field.shape)).max())
    return min(max(0.1 * (spacing / 0.2) ** 2, 0.05), 0.4)


def _passages(field: EnergyField, surface: Surface, hops: Sequence[tuple[int, ...]], *, refine: bool) -> list[Hop]:
    """Hops between grid minima, energies on the scale of the field."""
    points = np.array([h[3] for h in hops], dtype=np.int64)
    homes = np.array([_unpack(h[4]) for h in hops], dtype=float).reshape(-1, 3)
    places = np.array([field.fractional(int(p)) for p in points]).reshape(-1, 3) + homes
    energies = field.values.ravel()[points].astype(float)
    converged = np.zeros(len(points), dtype=bool)
    if refine and len(points):
        found = find_stationary(surface, places @ field.lattice, saddle=True)
        # a saddle far from where the basins touch in energy joins another pair of sites: keep the grid's value then
        converged = found.converged & (np.abs(found.energies - energies) < _trust(field))
        places = np.where(converged[:, None], found.points @ np.linalg.inv(field.lattice), places)
        energies = np.where(converged, found.energies, energies)
    rows = zip(hops, places, energies, converged, strict=True)
    return [Hop(h[0], h[1], _unpack(h[2]), p, float(e), bool(c)) for h, p, e, c in rows]


def windings_at(network: Network, dimension: int) -> tuple[int, list[list[int]]]:
    """A site on the bottleneck that opens a dimension, and the directions its cluster had opened before.

    Args:
        network: sites and hops.
        dimension: 1, 2 or 3.

    Raises:
        PhysicsError: the network does not percolate in so many dimensions.
    """
    walker = _Windings(len(network.sites))
    for hop in network.hops:  # lowest first
        before = walker.loops(hop.start)
        if walker.add(hop) >= dimension:
            return hop.start, [loop.tolist() for loop in before]
    raise PhysicsError(f"the network does not percolate in {dimension} dimensions")


class _Windings:
    """Union-find over sites with cell displacements; tells in how many directions the cluster of a hop winds."""

    def __init__(self, count: int) -> None:
        self._parent = list(range(count))
        self._cell = [np.zeros(3, dtype=int) for _ in range(count)]
        self._loops: list[list[NDArray[np.int_]]] = [[] for _ in range(count)]

    def find(self, site: int) -> tuple[int, NDArray[np.int_]]:
        """Root of a site, and the site's cell as seen from the root's."""
        shift = np.zeros(3, dtype=int)
        while self._parent[site] != site:
            shift = shift + self._cell[site]
            site = self._parent[site]
        return site, shift

    def loops(self, site: int) -> list[NDArray[np.int_]]:
        """Independent closed loops of the cluster of a site."""
        return _independent(self._loops[self.find(site)[0]])

    def add(self, hop: Hop) -> int:
        """Join the two sites of a hop; returns the dimension of the cluster."""
        one, here = self.find(hop.start)
        two, there = self.find(hop.end)
        shift = here + np.array(hop.cell) - there
        if one != two:
            self._parent[two] = one
            self._cell[two] = shift
            self._loops[one] += self._loops[two]
        else:
            self._loops[one].append(shift)
        loops = self._loops[one]
        if not loops:
            return 0
        rank = int(np.linalg.matrix_rank(np.array(loops)))
        if len(loops) > 8:
            self._loops[one] = _independent(loops)
        return rank


def _independent(loops: list[NDArray[np.int_]]) -> list[NDArray[np.int_]]:
    kept: list[NDArray[np.int_]] = []
    for loop in loops:
        if np.linalg.matrix_rank(np.array([*kept, loop])) > len(kept):
            kept.append(loop)
    return kept
