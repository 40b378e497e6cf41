"""The energy of the mobile ion on a periodic grid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ionsmith.core.errors import InputError
from ionsmith.core.records import FloatArray
from ionsmith.landscape.framework import Framework, pair_energy
from ionsmith.landscape.parameters import pair
from ionsmith.landscape.symmetry import grid_symmetry

MOST_POINTS = 20_000_000
"""Largest grid that is computed, about 12,000 atoms at 0.2 angstrom; its arrays take about 1 GB."""

_FEWEST = 4  # points along an axis; fewer could not tell a barrier from a well
_NEGLIGIBLE = 1e-6  # eV; a screened repulsion below this is left out


@dataclass(frozen=True)
class EnergyField:
    """Energy of one ion on a grid that repeats with the cell.

    Attributes:
        values: eV; point (i, j, k) lies at fractional (i/n0, j/n1, k/n2); shape (n0, n1, n2), float32.
        lattice: rows are the cell vectors, angstrom; shape (3, 3).
        pair_terms: how many pair energies were added up to make it; zero for fields from elsewhere.
    """

    values: NDArray[np.float32]
    lattice: FloatArray
    pair_terms: int = 0

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of grid points along each cell vector."""
        n0, n1, n2 = self.values.shape
        return n0, n1, n2

    @property
    def minimum(self) -> float:
        """Lowest energy on the grid, eV."""
        return float(self.values.min())

    def fractional(self, index: int) -> FloatArray:
        """Fractional coordinates of a point given by its linear index; shape (3,)."""
        return np.array(np.unravel_index(index, self.shape), dtype=float) / self.shape


def grid_shape(lengths: Sequence[float], resolution: float) -> tuple[int, int, int]:
    """Number of grid points along each cell vector: floor(length / resolution) - 1, at least 4.

    bvlain 0.25.1 lays floor(length / resolution) points from 0 to 1 with both ends included; since the ends are the
    same point of a periodic crystal this is the same grid, and barriers can be compared point by point. The spacing
    is therefore slightly above ``resolution``.

    Args:
        lengths: a, b, c, angstrom.
        resolution: wanted spacing, angstrom.

    Raises:
        InputError: a spacing not above zero, or more points than fit in memory.
    """
    if not (resolution > 0.0 and math.isfinite(resolution)):
        raise InputError(f"resolution: expected a spacing above zero (angstrom), got {resolution:g}")
    n0, n1, n2 = (max(_FEWEST, int(length // resolution) - 1) for length in lengths)
    if n0 * n1 * n2 > MOST_POINTS:
        grid = f"{n0} x {n1} x {n2} at {resolution:g} angstrom"
        raise InputError(f"resolution: expected at most {MOST_POINTS} grid points, got {grid}")
    return n0, n1, n2


def bond_valence_field(framework: Framework, shape: tuple[int, int, int], cutoff: float) -> EnergyField:
    """Bond-valence site energy of the mobile ion on every grid point; points alike by symmetry are computed once.

    Args:
        framework: the fixed ions.
        shape: number of grid points along each cell vector.
        cutoff: largest distance that counts, angstrom.

    Raises:
        InputError: a cutoff not above one angstrom, or not finite.
        PhysicsError: a pair without parameters.
    """
    from ionsmith.landscape import kernels

    if not (cutoff > 1.0 and math.isfinite(cutoff)):
        raise InputError(f"cutoff: expected a distance above 1 angstrom, got {cutoff:g}")
    forces = _forces(framework, cutoff)
    plane, reaches = _plane(framework.lattice, cutoff)
    values = np.zeros(shape, np.float32)
    alike = grid_symmetry(framework, shape).representatives()
    first, last = _stretches(alike, shape)
    terms = kernels.sum_pairs(first, last, shape, plane, framework.positions, reaches, forces, values)
    flat = values.ravel()
    return EnergyField(flat[alike].reshape(shape), framework.lattice, int(terms))


def _stretches(alike: NDArray[np.int64], shape: tuple[int, int, int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and last point of each grid line that stands for itself; last below first where none does."""
    own = (alike == np.arange(alike.size)).reshape(shape)
    first = np.where(own.any(axis=2), own.argmax(axis=2), 0)
    last = np.where(own.any(axis=2), shape[2] - 1 - own[:, :, ::-1].argmax(axis=2), -1)
    return first.astype(np.int64), last.astype(np.int64)


def _forces(framework: Framework, cutoff: float) -> tuple[Any, ...]:
    """Style and reach per kind, parameters and kind per ion, energy table per kind."""
    from ionsmith.landscape import kernels

    count = len(framework.ions)
    style = np.full(count, kernels.TABLE, np.int64)
    reach = np.zeros(count)
    tables = np.zeros((count, kernels.TABLE_SIZE + 2), np.float32)
    parameters = np.zeros((len(framework.kinds), 3), np.float32)
    for kind, ion in enumerate(framework.ions):
        mine = framework.kinds == kind
        weights = framework.weights[mine]
        if ion.charge * framework.mobile.charge < 0:
            found = pair(framework.mobile, ion)
            style[kind], reach[kind] = kernels.MORSE, cutoff
            scales = np.array([[0.5 * found.d0, found.alpha / 16.0, found.alpha * found.r_min / 16.0]])
            parameters[mine] = scales * np.stack([weights, np.ones_like(weights), np.ones_like(weights)], axis=1)
        elif ion.charge != 0:
            reach[kind], tables[kind] = _table(framework, kind, cutoff)
            parameters[mine, 0] = weights
            parameters[mine, 1] = kernels.TABLE_SIZE / reach[kind] ** 2
    return style, parameters, reach, framework.kinds, tables


def _table(framework: Framework, kind: int, cutoff: float) -> tuple[float, NDArray[np.float32]]:
    """Distance beyond which the repulsion is negligible, and its values on equal steps of the squared distance."""
    from ionsmith.landscape import kernels

    ion = framework.ions[kind]
    probe = np.linspace(1.0, cutoff, 512)
    felt = np.flatnonzero(pair_energy(framework.mobile, ion, probe) > _NEGLIGIBLE)
    reach = float(probe[min(felt[-1] + 1, len(probe) - 1)]) if len(felt) else 1.0
    squared = np.arange(kernels.TABLE_SIZE + 2) * reach**2 / kernels.TABLE_SIZE
    distance = np.sqrt(np.maximum(squared, kernels.CORE**2))
    return reach, pair_energy(framework.mobile, ion, distance).astype(np.float32)


def _plane(lattice: FloatArray, cutoff: float) -> tuple[FloatArray, FloatArray]:
    """The cell in a frame with z along the third vector, and how many image cells the cutoff reaches sideways."""
    a, b, c = lattice
    unit_z = c / np.linalg.norm(c)
    lateral = a - (a @ unit_z) * unit_z
    unit_x = lateral / np.linalg.norm(lateral)
    unit_y = np.cross(unit_z, unit_x)
    plane = np.array([a @ unit_x, b @ unit_x, b @ unit_y, a @ unit_z, b @ unit_z, np.linalg.norm(c)])
    if plane[2] < 0.0:  # a left-handed cell: mirror y
        plane[2] = -plane[2]
    height_a = plane[0] * plane[2] / math.hypot(plane[1], plane[2])
    reaches = np.array([math.ceil(cutoff / height_a), math.ceil(cutoff / plane[2]), cutoff])
    return plane, reaches
