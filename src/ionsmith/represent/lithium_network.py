"""The sites that lithium shares in a crystal: how near they lie, how empty they are, how far its hops must reach."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pymatgen.core import Element, Structure

from ionsmith.core.crystals import crystal_of
from ionsmith.core.records import Candidate, FloatArray
from ionsmith.core.registry import register
from ionsmith.represent.elements import anion_mask

NAMES = (
    "split_lithium",
    "empty_places",
    "shared_lithium",
    "hop_length",
    "lithium_anion_distance",
    "lithium_cation_distance",
)
"""Share of lithium with another lithium site within 2.2 angstrom; empty lithium places within 4 angstrom of a
lithium; share of lithium on sites that other elements occupy too; length of the hops that join the lithium sites,
full or empty, into a net that repeats in two directions; mean distance of lithium to the nearest anion and to the
nearest other cation; lengths in angstrom."""

_FAR = 7.0  # angstrom; what is farther apart is told as this far
_SPLIT = 2.2  # angstrom; no two lithium ions sit this near to each other
_VICINITY = 4.0  # angstrom
_EXCLUSIVE = 1.6  # angstrom; partly occupied sites nearer than this are two places of one atom
_FULL = 0.99  # occupancy that counts as full
_MOBILE = "Li"
_DIRECTIONS = 2

Vector = tuple[int, int, int]
Symbols = Mapping[str, float]


@register("representation", "lithium_network")
class LithiumNetwork:
    """Six numbers on the sites of lithium; see :data:`NAMES`.

    Occupancies are expectations, and a site counts as a place to hop to whether it is filled or not, so an ordered
    crystal and a disordered one are measured in the same way. What they tell is not the same: full occupancy is an
    observation in a refined crystal and an assumption in a computed one (see :func:`spreads_lithium`).
    """

    name: ClassVar[str] = "lithium_network"
    names: ClassVar[tuple[str, ...]] = NAMES

    def encode(self, candidates: Sequence[Candidate]) -> FloatArray:
        """Return features of shape (n, 6); NaN where no crystal is known, or one without lithium or anions.

        Args:
            candidates: n crystals or compositions.

        Raises:
            InputError: crystal facts that make no crystal.
        """
        table = np.full((len(candidates), len(NAMES)), np.nan)
        for row, candidate in enumerate(candidates):
            structure = crystal_of(candidate)
            if structure is not None:
                table[row] = _features(structure)
        return table


def spreads_lithium(candidate: Candidate) -> bool:
    """Return whether a crystal is known in which lithium has more sites than it fills, or shares them.

    Only then do its occupancies say something that was measured. True where the mean occupancy that a lithium ion
    sees on its own site is below 0.99, and there are anions.

    Args:
        candidate: crystal or composition.

    Raises:
        InputError: crystal facts that make no crystal.
    """
    structure = crystal_of(candidate)
    if structure is None:
        return False
    lithium, anion, _ = _occupancies(structure)
    return bool(lithium.sum() > 0.0 and anion.sum() > 0.0 and (lithium**2).sum() < _FULL * lithium.sum())


def _occupancies(structure: Structure) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return how far lithium, anions and other cations fill each site, each of shape (sites,)."""
    held: list[Symbols] = [
        {Element(species.symbol).symbol: float(amount) for species, amount in site.species.items()}
        for site in structure
    ]
    present = sorted({symbol for site in held for symbol in site})
    numbers = np.array([[Element(symbol).Z for symbol in present]])
    negative = {symbol for symbol, flag in zip(present, anion_mask(numbers)[0], strict=True) if flag}
    lithium = np.array([site.get(_MOBILE, 0.0) for site in held])
    anion = np.array([sum(amount for symbol, amount in site.items() if symbol in negative) for site in held])
    total = np.array([sum(site.values()) for site in held])
    return lithium, anion, np.maximum(total - lithium - anion, 0.0)


@dataclass(frozen=True)
class _Around:
    """Every pair of a lithium site and a site within ``_FAR``, nearest first for each lithium site; m pairs.

    Attributes:
        first: lithium site, shape (m,).
        second: the other site, shape (m,).
        image: cell of the second as seen from the first, shape (m, 3).
        distance: angstrom, shape (m,).
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    image: NDArray[np.int64]
    distance: FloatArray

    def __getitem__(self, chosen: Any) -> _Around:
        return _Around(self.first[chosen], self.second[chosen], self.image[chosen], self.distance[chosen])


def _around(structure: Structure, centres: NDArray[np.int64]) -> _Around:
    chosen = [structure[int(place)] for place in centres]
    first, second, image, distance = structure.get_neighbor_list(_FAR, sites=chosen, exclude_self=False)
    first, second = centres[np.asarray(first, dtype=np.int64)], np.asarray(second, dtype=np.int64)
    every = _Around(first, second, np.rint(image).astype(np.int64), np.asarray(distance))
    order = np.lexsort((second, distance, first))
    another = (first != second) | every.image.any(axis=1)
    return every[order[another[order]]]


def _features(structure: Structure) -> list[float]:
    lithium, anion, cation = _occupancies(structure)
    if not (lithium.sum() > 0.0 and anion.sum() > 0.0):
        return [np.nan] * len(NAMES)
    total = lithium + anion + cation
    around = _around(structure, np.flatnonzero(lithium > 0.0))
    sites = around[lithium[around.second] > 0.0]
    near, close = sites[sites.distance < _VICINITY], sites[sites.distance < _SPLIT]
    split = np.zeros(len(structure), dtype=bool)
    split[close.first] = True
    empty = np.maximum(1.0 - total, 0.0)
    shared = (lithium > 0.0) & (anion + cation > 1.0 - _FULL)
    excluded = around.distance < _EXCLUSIVE
    excluded &= np.minimum(total[around.first], total[around.second]) < _FULL
    real = around[~excluded]
    return [
        float(lithium[split].sum() / lithium.sum()),
        float((lithium[near.first] * empty[near.second]).sum() / lithium.sum()),
        float(lithium[shared].sum() / lithium.sum()),
        _hop_length(sites),
        _nearest(real, lithium, anion),
        _nearest(real, lithium, cation),
    ]


def _nearest(pairs: _Around, lithium: FloatArray, wanted: FloatArray) -> float:
    """Mean over lithium of the expected distance to the nearest wanted atom; ``_FAR`` where there is none.

    Sites count as independently occupied: the k-th nearest is asked only where all nearer ones are empty.
    """
    absent = np.log1p(-np.minimum(wanted[pairs.second], 1.0 - 1e-12))
    after = np.cumsum(absent)
    starts = np.flatnonzero(np.diff(pairs.first, prepend=-1))
    offset = np.repeat((after - absent)[starts], np.diff(np.append(starts, len(absent))))
    chance = np.exp(after - absent - offset) - np.exp(after - offset)  # that the nearest is this one
    missing = _FAR - pairs.distance
    return float(_FAR - (lithium[pairs.first] * chance * missing).sum() / lithium.sum())


def _hop_length(pairs: _Around) -> float:
    """Return the hop at which the lithium sites first form a net in two directions, angstrom; at most ``_FAR``.

    Hops enter a union-find in order of length. Each site knows its cell as seen from its cluster's root, so a hop
    within a cluster closes a loop whose winding is the difference of the cells.

    Source: Newman and Ziff 2001, doi 10.1103/PhysRevE.64.016706.
    """
    once = pairs[pairs.first <= pairs.second]
    order = np.argsort(once.distance, kind="stable")
    clusters = _Clusters()
    hops = zip(once.first[order].tolist(), once.second[order].tolist(), once.image[order].tolist(), strict=True)
    for place, (first, second, image) in enumerate(hops):
        if clusters.join(first, second, (image[0], image[1], image[2])) >= _DIRECTIONS:
            return float(once.distance[order[place]])
    return _FAR


class _Clusters:
    """Sites joined by hops, with the cell of each as seen from the root of its cluster."""

    def __init__(self) -> None:
        self._parent: dict[int, int] = {}
        self._cell: dict[int, Vector] = {}
        self._loops: dict[int, list[Vector]] = {}

    def join(self, first: int, second: int, image: Vector) -> int:
        """Add a hop; returns in how many directions the cluster repeats, counted up to two."""
        one, here = self._root(first)
        two, there = self._root(second)
        winding = _minus(_plus(here, image), there)
        if one == two:
            return self._wind(one, winding)
        self._parent[two], self._cell[two] = one, winding
        return max(
            (self._wind(one, loop) for loop in self._loops.pop(two, [])), default=len(self._loops.get(one, []))
        )

    def _root(self, site: int) -> tuple[int, Vector]:
        cell: Vector = (0, 0, 0)
        while site in self._parent:
            cell = _plus(cell, self._cell[site])
            site = self._parent[site]
        return site, cell

    def _wind(self, root: int, winding: Vector) -> int:
        loops = self._loops.setdefault(root, [])
        if any(winding) and (not loops or (len(loops) < _DIRECTIONS and any(_cross(loops[0], winding)))):
            loops.append(winding)
        return len(loops)


def _plus(one: Vector, two: Vector) -> Vector:
    return one[0] + two[0], one[1] + two[1], one[2] + two[2]


def _minus(one: Vector, two: Vector) -> Vector:
    return one[0] - two[0], one[1] - two[1], one[2] - two[2]


def _cross(one: Vector, two: Vector) -> Vector:
    return (
        one[1] * two[2] - one[2] * two[1],
        one[2] * two[0] - one[0] * two[2],
        one[0] * two[1] - one[1] * two[0],
    )
