"""Energy surfaces off the grid: value and gradient anywhere, and the way to the nearest minimum or saddle."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates, spline_filter

from ionsmith.core.records import FloatArray
from ionsmith.landscape.field import EnergyField
from ionsmith.landscape.framework import COULOMB, SCREENING, Framework
from ionsmith.landscape.parameters import covalent_radius, pair, quantum_number

_PROBE = 0.01  # angstrom between the points of a finite difference
_LONGEST_STEP = 0.08  # angstrom
_FARTHEST = 0.6  # angstrom from the grid point; what lies farther is another stationary point
_FORCE = 1e-4  # eV/angstrom
_MOST_STEPS = 60
_BEND = 0.5  # eV; see GridSurface


class Surface(Protocol):
    """Anything that knows the energy of the mobile ion at a point."""

    @property
    def lattice(self) -> FloatArray:
        """Rows are the cell vectors, angstrom; shape (3, 3)."""
        ...

    def evaluate(self, points: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Energies (m,), eV, and gradients (m, 3), eV/angstrom, at cartesian points (m, 3), angstrom."""
        ...


@dataclass(frozen=True)
class PairSurface:
    """The bond-valence energy itself, summed directly.

    Attributes:
        framework: the fixed ions.
        cutoff: largest distance that counts, angstrom.
    """

    framework: Framework
    cutoff: float

    @property
    def lattice(self) -> FloatArray:
        """Rows are the cell vectors, angstrom; shape (3, 3)."""
        return self.framework.lattice

    @cached_property
    def _images(self) -> tuple[FloatArray, NDArray[np.int64], FloatArray]:
        frame = self.framework
        heights = 1.0 / np.linalg.norm(np.linalg.inv(frame.lattice), axis=0)
        margin = self.cutoff / heights
        reach = [int(np.ceil(m)) for m in margin]
        shifts = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in reach), indexing="ij"), -1).reshape(-1, 3)
        places = (frame.positions[:, None] + shifts[None]).reshape(-1, 3)
        near = ((places > -margin) & (places < 1.0 + margin)).all(axis=1)
        kinds, weights = np.repeat(frame.kinds, len(shifts)), np.repeat(frame.weights, len(shifts))
        return places[near] @ frame.lattice, kinds[near], weights[near]

    @cached_property
    def _forces(self) -> FloatArray:
        from ionsmith.landscape import pointwise

        mobile, rows = self.framework.mobile, np.zeros((len(self.framework.ions), 4))
        for row, ion in zip(rows, self.framework.ions, strict=True):
            if ion.charge * mobile.charge < 0:
                found = pair(mobile, ion)
                row[:] = pointwise.MORSE, found.d0, found.alpha, found.r_min
            elif ion.charge != 0:
                strength = COULOMB * mobile.charge * ion.charge
                strength /= np.sqrt(quantum_number(mobile) * quantum_number(ion))
                rho = SCREENING * (covalent_radius(mobile) + covalent_radius(ion))
                row[:] = pointwise.COULOMB, strength, rho, 0.0
        return rows

    def evaluate(self, points: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Energies (m,), eV, and gradients (m, 3), eV/angstrom, at cartesian points (m, 3), angstrom."""
        from ionsmith.landscape import pointwise

        inside = ((points @ np.linalg.inv(self.lattice)) % 1.0) @ self.lattice
        images, kinds, weights = self._images
        energies, gradients = pointwise.energy_and_gradient(inside, images, kinds, weights, self._forces, self.cutoff)
        return energies, gradients


@dataclass(frozen=True)
class GridSurface:
    """A field known on a grid only, between the points a periodic cubic spline.

    The spline runs through log(1 + E / 0.5 eV), E above the lowest, which keeps the steep walls of the ions from
    rippling into the channels beside them.

    Attributes:
        field: the energies.
        ceiling: energies above the lowest by more than this are cut off first, eV.
    """

    field: EnergyField
    ceiling: float = 10.0

    @property
    def lattice(self) -> FloatArray:
        """Rows are the cell vectors, angstrom; shape (3, 3)."""
        return self.field.lattice

    @cached_property
    def _spline(self) -> FloatArray:
        heights = np.minimum(self.field.values.astype(float) - self.field.minimum, self.ceiling)
        return np.asarray(spline_filter(np.log1p(heights / _BEND), order=3, mode="grid-wrap"))

    def _energy(self, points: FloatArray) -> FloatArray:
        index = (points @ np.linalg.inv(self.lattice)) * np.array(self.field.shape)
        bent = map_coordinates(self._spline, index.T, order=3, mode="grid-wrap", prefilter=False)
        return np.asarray(self.field.minimum + _BEND * np.expm1(bent))

    def evaluate(self, points: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Energies (m,), eV, and gradients (m, 3), eV/angstrom, at cartesian points (m, 3), angstrom."""
        sides = points[:, None, None] + _PROBE * np.array([1.0, -1.0])[None, None, :, None] * np.eye(3)[None, :, None]
        around = self._energy(sides.reshape(-1, 3)).reshape(len(points), 3, 2)
        return self._energy(points), (around[..., 0] - around[..., 1]) / (2.0 * _PROBE)


@dataclass(frozen=True)
class Stationary:
    """Minima or saddles after a search, one row per start.

    Attributes:
        points: cartesian, angstrom; shape (m, 3).
        energies: eV; shape (m,).
        curvatures: eigenvalues of the Hessian, lowest first, eV/angstrom^2; shape (m, 3).
        modes: direction of the lowest curvature; shape (m, 3).
        converged: whether a stationary point of the wanted kind was found close to the start; where not, the row
            holds the start itself; shape (m,).
    """

    points: FloatArray
    energies: FloatArray
    curvatures: FloatArray
    modes: FloatArray
    converged: NDArray[np.bool_]


def find_stationary(surface: Surface, starts: FloatArray, *, saddle: bool) -> Stationary:
    """Walk from grid points to the minima or first-order saddles beside them.

    Newton steps in the eigenvectors of the Hessian: downhill along every mode, but uphill along the lowest one for a
    saddle (eigenvector following). Steps are at most 0.08 angstrom. A walk to a saddle may lead 0.6 angstrom away, a
    walk to a minimum as far as it goes downhill: a dip between grid points of a narrow channel is no minimum.

    Args:
        surface: the energy.
        starts: cartesian, angstrom; shape (m, 3).
        saddle: look for saddles rather than minima.

    Source: C. J. Cerjan and W. H. Miller, J. Chem. Phys. 75, 2800 (1981), doi 10.1063/1.442352.
    """
    points = np.array(starts, dtype=float)
    active = np.arange(len(points))
    for _ in range(_MOST_STEPS if len(points) else 0):
        gradients, values, vectors = _curvature(surface, points[active])
        along = np.einsum("mi,mij->mj", gradients, vectors)
        stiff = np.maximum(np.abs(values), 0.05)
        step = -along / stiff
        if saddle:
            step[:, 0] = along[:, 0] / stiff[:, 0]
        moves = np.einsum("mij,mj->mi", vectors, step)
        length = np.linalg.norm(moves, axis=1, keepdims=True)
        points[active] += moves * np.minimum(1.0, _LONGEST_STEP / np.maximum(length, 1e-12))
        moving = np.linalg.norm(gradients, axis=1) > _FORCE
        near = np.linalg.norm(points[active] - starts[active], axis=1) < _FARTHEST
        active = active[moving & (near if saddle else True)]
        if not len(active):
            break
    return _judge(surface, starts, points, saddle=saddle)


def _judge(surface: Surface, starts: FloatArray, points: FloatArray, *, saddle: bool) -> Stationary:
    gradients, values, _ = _curvature(surface, points)
    negative = (values < 0.0).sum(axis=1)
    small = np.linalg.norm(gradients, axis=1) < 50.0 * _FORCE
    near = np.linalg.norm(points - starts, axis=1) < _FARTHEST
    good = small & (near & (negative == 1) if saddle else negative == 0)
    places = np.where(good[:, None], points, starts)
    _, curvatures, vectors = _curvature(surface, places)
    return Stationary(places, surface.evaluate(places)[0], curvatures, vectors[:, :, 0], good)


def _curvature(surface: Surface, points: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Gradients (m, 3), eigenvalues (m, 3) and eigenvectors (m, 3, 3; columns) of the Hessian."""
    if not len(points):
        return np.zeros((0, 3)), np.zeros((0, 3)), np.zeros((0, 3, 3))
    probes: Any = _PROBE * np.concatenate([np.eye(3), -np.eye(3)])
    _, slopes = surface.evaluate((points[:, None] + probes[None]).reshape(-1, 3))
    slopes = slopes.reshape(len(points), 6, 3)
    hessian = (slopes[:, :3] - slopes[:, 3:]) / (2.0 * _PROBE)
    values, vectors = np.linalg.eigh(0.5 * (hessian + hessian.transpose(0, 2, 1)))
    return slopes.mean(axis=1), values, vectors
