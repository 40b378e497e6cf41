"""Bonds and angles of a batch of configurations as index arrays; neighbours are searched anew only after a move."""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from ionsmith.core.records import FloatArray

SKIN = 0.6
"""Distance beyond the cutoff up to which neighbours are kept, angstrom; searched again once an atom moved half."""

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Bonds:
    """Bonds and angles of a batch, the second half of the directed bonds being the first half reversed.

    Attributes:
        first: atom that a directed bond leaves; shape (2 n,).
        second: atom it reaches; shape (2 n,).
        shift: cell of the second atom, in Cartesian coordinates, angstrom; shape (2 n, 3).
        center: atom of each angle; shape (m,).
        one: directed bond of its first leg; shape (m,).
        two: directed bond of its second leg; shape (m,).
    """

    first: Indices
    second: Indices
    shift: FloatArray
    center: Indices
    one: Indices
    two: Indices


class NeighborList:
    """Candidates for bonds in one cell; exact bonds are cut out of them for every configuration.

    Args:
        cell: rows are the cell vectors, angstrom; shape (3, 3).
        cutoff: longest bond, angstrom.
    """

    def __init__(self, cell: FloatArray, cutoff: float) -> None:
        self._cell = np.asarray(cell, dtype=float)
        self._reach = cutoff + SKIN
        self._cutoff = cutoff
        self._anchor: FloatArray | None = None
        self._first = self._second = np.zeros(0, dtype=np.int64)
        self._shift = np.zeros((0, 3))

    def forget(self) -> None:
        """Search anew at the next call, so that what follows does not depend on what was before."""
        self._anchor = None

    def pairs(self, positions: FloatArray) -> tuple[Indices, Indices, FloatArray]:
        """Return half of the directed bonds (their reverses are the other half): atoms, atoms, Cartesian cell.

        Args:
            positions: Cartesian, not wrapped, angstrom; shape (atoms, 3).
        """
        if self._anchor is None or self._moved(positions):
            self._search(positions)
        away = positions[self._second] + self._shift - positions[self._first]
        near = np.einsum("ij,ij->i", away, away) < self._cutoff**2
        return self._first[near], self._second[near], self._shift[near]

    def _moved(self, positions: FloatArray) -> bool:
        apart = positions - np.asarray(self._anchor)
        return bool(np.einsum("ij,ij->i", apart, apart).max() > (0.5 * SKIN) ** 2)

    def _search(self, positions: FloatArray) -> None:
        heights = 1.0 / np.linalg.norm(np.linalg.inv(self._cell), axis=0)
        fractional = positions @ np.linalg.inv(self._cell)
        home = np.floor(fractional)
        wrapped = (fractional - home) @ self._cell
        reach = [int(np.ceil(self._reach / h)) for h in heights]
        shifts = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in reach), indexing="ij"), -1).reshape(-1, 3)
        shifts = shifts[np.lexsort((shifts[:, 2], shifts[:, 1], shifts[:, 0]))]
        first, second, cell = _find(wrapped, shifts @ self._cell, self._reach)
        whole = shifts[cell] + home[first] - home[second]
        self._first, self._second, self._shift = first, second, whole @ self._cell
        self._anchor = np.array(positions, dtype=float)


@numba.njit(cache=True)
def _find(positions, shifts, reach):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Half of the pairs within reach: by index, and for an atom and its own images by the order of the cells."""
    limit = reach * reach
    middle = len(shifts) // 2
    first, second, cell = [], [], []
    for i in range(len(positions)):
        for j in range(i, len(positions)):
            for s in range(len(shifts)):
                if i == j and s <= middle:
                    continue
                dx = positions[j, 0] + shifts[s, 0] - positions[i, 0]
                dy = positions[j, 1] + shifts[s, 1] - positions[i, 1]
                dz = positions[j, 2] + shifts[s, 2] - positions[i, 2]
                if dx * dx + dy * dy + dz * dz < limit:
                    first.append(i)
                    second.append(j)
                    cell.append(s)
    return np.array(first, dtype=np.int64), np.array(second, dtype=np.int64), np.array(cell, dtype=np.int64)


def join(
    parts: list[tuple[Indices, Indices, FloatArray]], positions: FloatArray, *, atoms: int, short: float
) -> Bonds:
    """Return the bonds of a batch with its angles.

    Args:
        parts: per configuration what :meth:`NeighborList.pairs` gave.
        positions: of all configurations, one after the other; shape (configurations * atoms, 3).
        atoms: in one configuration.
        short: bonds shorter than this form angles, angstrom.
    """
    half = [np.concatenate([p[k] + n * atoms for n, p in enumerate(parts)]) for k in (0, 1)]
    shift = np.concatenate([p[2] for p in parts])
    first, second = np.concatenate(half), np.concatenate(half[::-1])
    shift = np.concatenate([shift, -shift])
    away = positions[second] + shift - positions[first]
    legs = np.flatnonzero(np.einsum("ij,ij->i", away, away) < short**2)
    one, two = _angles(legs, first[legs], len(positions))
    return Bonds(first, second, shift, first[one], one, two)


@numba.njit(cache=True)
def _angles(legs, center, count):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """All ordered pairs of different short bonds that leave the same atom."""
    start = np.zeros(count + 1, dtype=np.int64)
    for c in center:
        start[c + 1] += 1
    for n in range(count):
        start[n + 1] += start[n]
    place = start[:-1].copy()
    order = np.empty(len(legs), dtype=np.int64)
    for n in range(len(legs)):
        order[place[center[n]]] = legs[n]
        place[center[n]] += 1
    total = 0
    for n in range(count):
        size = start[n + 1] - start[n]
        total += size * (size - 1)
    one = np.empty(total, dtype=np.int64)
    two = np.empty(total, dtype=np.int64)
    row = 0
    for n in range(count):
        for a in range(start[n], start[n + 1]):
            for b in range(start[n], start[n + 1]):
                if a != b:
                    one[row] = order[a]
                    two[row] = order[b]
                    row += 1
    return one, two
