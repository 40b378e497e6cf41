"""The minimum-energy path through a crystal: profile, sites and saddles on it, and what the bottleneck is made of."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ionsmith.core.errors import InputError, PhysicsError
from ionsmith.core.physics import BOLTZMANN_EV, ROOM_TEMPERATURE
from ionsmith.core.records import FloatArray
from ionsmith.landscape.field import EnergyField
from ionsmith.landscape.framework import Framework
from ionsmith.landscape.network import Hop, Network, windings_at
from ionsmith.landscape.surface import Surface

_IMAGES = 10  # points between a site and the saddle beside it
_RELAXATIONS = 80
_MOBILITY = 0.03  # angstrom^2/eV; stable for curvatures up to 60 eV/angstrom^2
_LONGEST_MOVE = 0.05  # angstrom
_BOX = 3  # cells around the start in which a path is looked for
_SOFT = 0.1  # eV; a hop this far below the level costs e times less
_SHELL = 3.5  # angstrom


@dataclass(frozen=True)
class Neighbor:
    """A framework ion beside the bottleneck.

    Attributes:
        ion: element and charge, such as ``O2-``.
        distance: angstrom.
        occupancy: share of the time that it is there.
    """

    ion: str
    distance: float
    occupancy: float


@dataclass(frozen=True)
class MigrationPath:
    """The lowest way from a site to its copy in another cell.

    Attributes:
        dimension: the percolation level that the path shows, 1 to 3.
        cell: cell in which it ends, as seen from its start.
        points: cartesian, angstrom; shape (n, 3); not wrapped into the cell.
        length: way along the path up to each point, angstrom; shape (n,).
        energies: eV above the lowest site; shape (n,).
        sites: indices of the sites passed, first and last being the same site.
        hops: the hops taken.
        bottleneck: fractional coordinates of the highest saddle; shape (3,).
        neighbors: framework ions within 3.5 angstrom of it, nearest first; empty for fields from elsewhere.
    """

    dimension: int
    cell: tuple[int, int, int]
    points: FloatArray
    length: FloatArray
    energies: FloatArray
    sites: tuple[int, ...]
    hops: tuple[Hop, ...]
    bottleneck: FloatArray
    neighbors: tuple[Neighbor, ...]

    @property
    def barrier(self) -> float:
        """Highest saddle on the path above the lowest site of the landscape, eV."""
        return max(hop.energy for hop in self.hops)


def migration_path(network: Network, dimension: int = 1, *, framework: Framework | None = None) -> MigrationPath:
    """The minimum-energy path that opens a dimension, relaxed on the continuous energy surface.

    Over the hops at or below the percolation level, the cheapest sequence is sought that leads from a site to a copy
    of itself in a direction that lower levels did not open; a hop costs exp((E - level) / 0.1 eV). Every half hop,
    from a saddle down to a site, is then relaxed with the string method between its fixed ends.

    Args:
        network: sites and hops.
        dimension: 1, 2 or 3.
        framework: the fixed ions, to name the neighbours of the bottleneck.

    Raises:
        InputError: another dimension.
        PhysicsError: the network does not percolate in so many dimensions, or only through more than three cells.

    Source: simplified string method, W. E, W. Ren and E. Vanden-Eijnden, J. Chem. Phys. 126, 164103 (2007),
    doi 10.1063/1.2720838.
    """
    if dimension not in (1, 2, 3):
        raise InputError(f"migration path: expected dimension 1, 2 or 3, got {dimension}")
    level = network.levels()[dimension - 1]
    if not math.isfinite(level):
        raise PhysicsError(f"no migration path: the network does not percolate in {dimension} dimensions")
    start, spanned = windings_at(network, dimension)
    route = _cheapest(network, start, level, spanned)
    sites, cells = [start], [np.zeros(3, dtype=int)]
    pieces: list[FloatArray] = []
    for hop, forward in route:
        pieces += _halves(network, hop, forward, cells[-1])
        sites.append(hop.end if forward else hop.start)
        cells.append(cells[-1] + (1 if forward else -1) * np.array(hop.cell))
    points = np.concatenate([pieces[0][:1], *(piece[1:] for piece in pieces)])
    steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
    energies = network.surface.evaluate(points)[0] - network.reference
    highest = max((hop for hop, _ in route), key=lambda h: h.energy)
    around = neighbors(framework, highest.fractional) if framework is not None else ()
    end = tuple(int(c) for c in cells[-1])
    return MigrationPath(
        dimension, (end[0], end[1], end[2]), points, np.concatenate([[0.0], np.cumsum(steps)]), energies,
        tuple(sites), tuple(hop for hop, _ in route), highest.fractional % 1.0, around,
    )  # fmt: skip


def _cheapest(network: Network, start: int, level: float, spanned: Sequence[Sequence[int]]) -> list[tuple[Hop, bool]]:
    """Dijkstra over (site, cell), from the start to a copy of it outside the directions already spanned."""
    rank = len(spanned)
    leaving: dict[int, list[tuple[Hop, bool]]] = {}
    for hop in network.hops:
        if hop.energy <= level + 1e-9:
            leaving.setdefault(hop.start, []).append((hop, True))
            leaving.setdefault(hop.end, []).append((hop, False))
    origin = (start, (0, 0, 0))
    best: dict[tuple[int, tuple[int, int, int]], float] = {origin: 0.0}
    came: dict[tuple[int, tuple[int, int, int]], tuple[tuple[int, tuple[int, int, int]], Hop, bool]] = {}
    counter = itertools.count()
    queue = [(0.0, next(counter), origin)]
    while queue:
        cost, _, here = heapq.heappop(queue)
        site, cell = here
        if cost > best[here]:
            continue
        if site == start and np.linalg.matrix_rank(np.array([*spanned, cell])) > rank:
            return _unwind(came, here)
        for hop, forward in leaving.get(site, ()):
            sign = 1 if forward else -1
            there = (
                hop.end if forward else hop.start,
                (cell[0] + sign * hop.cell[0], cell[1] + sign * hop.cell[1], cell[2] + sign * hop.cell[2]),
            )
            price = cost + math.exp((hop.energy - level) / _SOFT)
            if max(map(abs, there[1])) <= _BOX and price < best.get(there, math.inf):
                best[there] = price
                came[there] = (here, hop, forward)
                heapq.heappush(queue, (price, next(counter), there))
    raise PhysicsError(f"no migration path within {_BOX} cells of site {start}")


def _unwind(
    came: Mapping[tuple[int, tuple[int, int, int]], tuple[object, Hop, bool]], end: object
) -> list[tuple[Hop, bool]]:
    route = []
    while end in came:
        before, hop, forward = came[end]  # type: ignore[index]
        route.append((hop, forward))
        end = before
    return route[::-1]


def _halves(network: Network, hop: Hop, forward: bool, cell: FloatArray) -> list[FloatArray]:
    """Relaxed points site -> saddle -> site of one hop, cartesian, the first site lying in ``cell``."""
    lattice = network.lattice
    home = cell if forward else cell - np.array(hop.cell)
    one = (network.sites[hop.start].fractional + home) @ lattice
    two = (network.sites[hop.end].fractional + home + np.array(hop.cell)) @ lattice
    saddle = (hop.fractional + home) @ lattice
    first, second = _string(network.surface, one, saddle), _string(network.surface, saddle, two)
    return [first, second] if forward else [second[::-1], first[::-1]]


def _string(surface: Surface, one: FloatArray, two: FloatArray) -> FloatArray:
    """String between two fixed points; shape (_IMAGES + 2, 3)."""
    share = np.linspace(0.0, 1.0, _IMAGES + 2)[:, None]
    points = (1.0 - share) * one + share * two
    for _ in range(_RELAXATIONS):
        _, gradients = surface.evaluate(points[1:-1])
        moves = -_MOBILITY * gradients
        size = np.linalg.norm(moves, axis=1, keepdims=True)
        points[1:-1] += moves * np.minimum(1.0, _LONGEST_MOVE / np.maximum(size, 1e-12))
        way = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
        if way[-1] <= 0.0:
            break
        points = np.stack([np.interp(share[:, 0] * way[-1], way, points[:, d]) for d in range(3)], axis=1)
    return points


def neighbors(framework: Framework, fractional: FloatArray) -> tuple[Neighbor, ...]:
    """Framework ions within 3.5 angstrom of a point, nearest first.

    Args:
        framework: the fixed ions.
        fractional: the point; shape (3,).
    """
    heights = 1.0 / np.linalg.norm(np.linalg.inv(framework.lattice), axis=0)
    reach = [int(np.ceil(_SHELL / h)) + 1 for h in heights]
    shifts = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in reach), indexing="ij"), -1).reshape(-1, 3)
    away = (framework.positions[:, None] + shifts[None] - np.asarray(fractional) % 1.0).reshape(-1, 3)
    distances = np.linalg.norm(away @ framework.lattice, axis=1)
    entry = np.repeat(np.arange(len(framework.kinds)), len(shifts))
    order = [n for n in np.argsort(distances, kind="stable") if distances[n] <= _SHELL]
    return tuple(
        Neighbor(
            str(framework.ions[framework.kinds[entry[n]]]), float(distances[n]), float(framework.weights[entry[n]])
        )
        for n in order
    )


def accessible_volume(
    field: EnergyField, multiples: Sequence[float] = (5.0, 10.0, 20.0, 40.0), *, temperature: float = ROOM_TEMPERATURE
) -> dict[float, float]:
    """Share of the cell in which the ion is within so many k_B T of its lowest energy.

    Args:
        field: the energies.
        multiples: of k_B T.
        temperature: K.

    Raises:
        InputError: a temperature not above zero.
    """
    if not temperature > 0.0:
        raise InputError(f"expected a temperature above zero (K), got {temperature:g}")
    height = (field.values - field.minimum) / (BOLTZMANN_EV * temperature)
    return {float(m): float((height <= m).mean()) for m in multiples}
