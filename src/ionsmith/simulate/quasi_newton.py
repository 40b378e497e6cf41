"""Relaxes atoms and cell together in few energy evaluations: BFGS from a bond-stretch model of the crystal.

Steps are linear in gradients and in a start that has the crystal's symmetry, so the symmetry is kept: the search
runs in the few symmetric degrees of freedom without being told of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ionsmith.core.errors import InputError, PhysicsError
from ionsmith.core.records import FloatArray
from ionsmith.simulate.potentials import Forces

STIFFNESS = 8.0
"""Of a bond as long as the sum of the covalent radii, eV/angstrom^2."""

_SOFTENING = 3.0  # how fast a bond of the model becomes soft with its relative length
_REACH = 2.2  # relative length up to which the model has bonds
_BENDING = 0.5  # eV/angstrom^2, stands for all that is not stretching
_STRAIN_BENDING = 2.0  # eV per atom and unit of strain, the same for the cell
_LONGEST = 0.25  # angstrom; largest step of an atom
_STRAIN = 0.06  # largest step of the cell
_RISE = 1e-4  # eV per atom; a step may climb so much, which is the noise of single precision
_SMALLEST_TRUST = 0.01
_NOTHING = 1e-6  # angstrom


@dataclass(frozen=True)
class Settled:
    """Where a search ended.

    Attributes:
        positions: Cartesian, angstrom; shape (atoms, 3).
        cell: rows are the cell vectors, angstrom; shape (3, 3).
        energy: eV.
        largest_force: eV/angstrom.
        largest_stress: eV/angstrom^3.
        evaluations: of the energy.
        converged: whether forces and stress are within their limits.
    """

    positions: FloatArray
    cell: FloatArray
    energy: float
    largest_force: float
    largest_stress: float
    evaluations: int
    converged: bool


def settle(
    forces: Forces,
    positions: FloatArray,
    cell: FloatArray,
    radii: FloatArray,
    *,
    largest_force: float = 0.08,
    largest_stress: float = 0.006,
    most: int = 30,
) -> Settled:
    """Return the local minimum near a crystal, or the lowest point found within the given number of evaluations.

    Args:
        forces: from Cartesian positions and cell to energy, eV, forces, eV/angstrom, and strain derivative, eV.
        positions: Cartesian, angstrom; shape (atoms, 3).
        cell: rows are the cell vectors, angstrom; shape (3, 3).
        radii: covalent radii, angstrom; shape (atoms,).
        largest_force: limit, eV/angstrom.
        largest_stress: limit, eV/angstrom^3 (0.00624 is 1 GPa).
        most: energy evaluations.

    Raises:
        InputError: fewer than one evaluation.
        PhysicsError: an energy or forces that are not finite at the start, and what ``forces`` raises.
    """
    if most < 1:
        raise InputError(f"settle: expected at least one evaluation, got {most}")
    frame = _Frame(positions, cell)
    place = np.zeros(3 * len(positions) + 9)
    energy, slope, stress = frame.look(forces, place)
    if not np.isfinite([energy, *slope]).all():
        raise PhysicsError("the potential gave an energy or forces that are not finite")
    hessian = _bond_stretch(positions, cell, radii)
    count, trust = 1, 1.0
    while count < most and trust > _SMALLEST_TRUST and not _within(slope, stress, largest_force, largest_stress):
        step = _limited(np.asarray(-np.linalg.solve(hessian, slope)), trust)
        new_energy, new_slope, new_stress = frame.look(forces, place + step)
        count += 1
        if np.isfinite(new_slope).all():
            _update(hessian, step, new_slope - slope)
        if not new_energy < energy + _RISE * len(positions):  # also true for NaN
            trust *= 0.35
            continue
        trust = min(1.0, trust * 1.5)
        place, energy, slope, stress = place + step, new_energy, new_slope, new_stress
    final, box, _ = frame.shape(place)
    converged = _within(slope, stress, largest_force, largest_stress)
    return Settled(final, box, energy, _largest(slope), stress, count, converged)


class _Frame:
    """Displacements and strain of a crystal as one vector: place = (displacements, F - 1), r = (r0 + u) F."""

    def __init__(self, positions: FloatArray, cell: FloatArray) -> None:
        self._positions, self._cell = positions, cell

    def shape(self, place: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        deformation = np.eye(3) + place[-9:].reshape(3, 3)
        moved = (self._positions + place[:-9].reshape(-1, 3)) @ deformation
        return moved, self._cell @ deformation, deformation

    def look(self, forces: Forces, place: FloatArray) -> tuple[float, FloatArray, float]:
        """Return energy, its gradient by the place, and the largest stress."""
        positions, cell, deformation = self.shape(place)
        energy, pull, strain = forces(positions, cell)
        by_strain = np.linalg.solve(deformation.T, strain)
        by_strain = 0.5 * (by_strain + by_strain.T)  # a rotation changes nothing
        gradient = np.concatenate([(-pull @ deformation.T).ravel(), by_strain.ravel()])
        return energy, gradient, float(np.abs(strain).max() / abs(np.linalg.det(cell)))


def _largest(slope: FloatArray) -> float:
    return float(np.linalg.norm(slope[:-9].reshape(-1, 3), axis=1).max())


def _within(slope: FloatArray, stress: float, force: float, limit: float) -> bool:
    return _largest(slope) <= force and stress <= limit


def _limited(step: FloatArray, trust: float) -> FloatArray:
    strain = np.abs(step[-9:]).max()
    scale = max(_largest(step) / (_LONGEST * trust), strain / (_STRAIN * trust), 1.0)
    return np.asarray(step / scale)


def _update(hessian: FloatArray, step: FloatArray, change: FloatArray) -> None:
    """Fit the Hessian to the last change of slope (BFGS, damped as in Powell 1978 so that it stays positive)."""
    toward = hessian @ step
    along, curvature = float(step @ toward), float(step @ change)
    if not (np.isfinite(curvature) and along > 1e-12):
        return
    if curvature < 0.2 * along:
        share = 0.8 * along / (along - curvature)
        change = share * change + (1.0 - share) * toward
        curvature = float(step @ change)
    hessian += np.outer(change, change) / curvature - np.outer(toward, toward) / along


def _bond_stretch(positions: FloatArray, cell: FloatArray, radii: FloatArray) -> FloatArray:
    """Return the Hessian of a crystal of springs along its bonds, softer the longer they are, shape (n, n).

    After Lindh et al., doi 10.1016/0009-2614(95)00646-L; n = 3 atoms + 9, displacements before strain.
    """
    atoms = len(positions)
    first, second, vectors = _bonds(positions, cell, radii)
    length = np.linalg.norm(vectors, axis=1)
    unit = vectors / length[:, None]
    stiffness = STIFFNESS * np.exp(-_SOFTENING * (length / (radii[first] + radii[second]) - 1.0))
    stretch = np.zeros((len(first), 3 * atoms + 9))
    rows = np.arange(len(first))
    for axis in range(3):
        np.add.at(stretch, (rows, 3 * second + axis), unit[:, axis])
        np.add.at(stretch, (rows, 3 * first + axis), -unit[:, axis])
    stretch[:, -9:] = (vectors[:, :, None] * unit[:, None, :]).reshape(-1, 9)
    hessian = (stretch * stiffness[:, None]).T @ stretch
    hessian[np.arange(3 * atoms), np.arange(3 * atoms)] += _BENDING
    hessian[np.arange(-9, 0), np.arange(-9, 0)] += _STRAIN_BENDING * atoms
    return np.asarray(hessian)


def _bonds(
    positions: FloatArray, cell: FloatArray, radii: FloatArray
) -> tuple[NDArray[np.int64], NDArray[np.int64], FloatArray]:
    """Return each bond once, an atom's bonds to its own images twice: both atoms and the vector between them."""
    reach = 2.0 * _REACH * float(radii.max())
    heights = 1.0 / np.linalg.norm(np.linalg.inv(cell), axis=0)
    spans = [np.arange(-n, n + 1) for n in np.ceil(reach / heights).astype(int) + 1]
    shifts = np.stack(np.meshgrid(*spans, indexing="ij"), -1).reshape(-1, 3) @ cell
    wrapped = (positions @ np.linalg.inv(cell) % 1.0) @ cell
    away = wrapped[None, :, None] + shifts[None, None] - wrapped[:, None, None]
    length = np.linalg.norm(away, axis=3)
    bonded = (length < _REACH * (radii[:, None] + radii[None])[:, :, None]) & (length > _NOTHING)
    rows = np.arange(len(positions))
    bonded &= rows[:, None, None] <= rows[None, :, None]
    first, second, box = np.nonzero(bonded)
    return first, second, away[first, second, box]
