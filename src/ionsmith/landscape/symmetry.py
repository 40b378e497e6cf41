"""Space-group symmetry of a framework on a grid: which points are alike, so that each kind is computed once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import spglib
from numpy.typing import NDArray

from ionsmith.landscape.framework import Framework

SYMPREC = 1e-3
"""Position tolerance, angstrom; energies of points that are alike to within it differ by about as many eV."""

_ON_GRID = 0.01  # grid steps by which a translation may miss a grid point (rounded coordinates in files)


@dataclass(frozen=True)
class GridSymmetry:
    """Symmetry operations that map a grid onto itself.

    Attributes:
        rotations: act on integer grid coordinates; shape (m, 3, 3).
        shifts: grid steps added after the rotation; shape (m, 3).
        shape: the grid.
    """

    rotations: NDArray[np.int64]
    shifts: NDArray[np.int64]
    shape: tuple[int, int, int]

    def representatives(self) -> NDArray[np.int64]:
        """Linear index of the first point that is alike, for every point; shape (n0 n1 n2,)."""
        from ionsmith.landscape import kernels

        return np.asarray(kernels.orbits(self.rotations, self.shifts, self.shape))


def grid_symmetry(framework: Framework, shape: tuple[int, int, int]) -> GridSymmetry:
    """Find the operations of the framework's space group that a grid can follow.

    The mobile ions do not count: the framework alone makes the energy, and it is often the more symmetric part. An
    operation x -> W x + w stays when n_i W_ij / n_j and n_i w_i are whole numbers.

    Args:
        framework: the fixed ions.
        shape: number of grid points along each cell vector.
    """
    positions, types = _merged(framework)
    try:  # spglib raises or returns None, depending on a switch that other libraries turn
        found = spglib.get_symmetry((framework.lattice, positions, types), symprec=SYMPREC)
    except getattr(spglib, "SpglibError", ValueError):
        found = None
    if found is None:  # spglib gives up on ions that lie on top of each other: go without symmetry
        return GridSymmetry(np.eye(3, dtype=np.int64)[None], np.zeros((1, 3), dtype=np.int64), shape)
    n = np.array(shape, dtype=float)
    rotations = found["rotations"] * n[None, :, None] / n[None, None, :]
    shifts = found["translations"] * n
    turns_fit = (np.abs(rotations - np.round(rotations)) < 1e-9).all(axis=(1, 2))
    fits = turns_fit & (np.abs(shifts - np.round(shifts)) < _ON_GRID).all(axis=1)
    steps = np.round(shifts[fits]).astype(np.int64) % np.array(shape)
    return GridSymmetry(np.round(rotations[fits]).astype(np.int64), steps, shape)


def _merged(framework: Framework) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """One entry per place, typed by everything that sits there (ions that share a site are one type)."""
    places: dict[tuple[float, ...], list[tuple[int, float]]] = {}
    entries = zip(framework.positions, framework.kinds, framework.weights, strict=True)
    for position, kind, weight in entries:
        places.setdefault(tuple(position.tolist()), []).append((int(kind), round(float(weight), 6)))
    labels = {content: n for n, content in enumerate(sorted({tuple(sorted(c)) for c in places.values()}))}
    types = np.array([labels[tuple(sorted(content))] for content in places.values()], dtype=np.int64)
    return np.array(list(places)), types
