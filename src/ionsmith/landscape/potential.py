"""The landscape under any potential: one mobile ion moved through the frozen framework, computed where it matters.

The framework is the crystal without its mobile ions (:mod:`ionsmith.landscape.frozen`). Points alike by symmetry are
computed once; a coarse grid comes first, and the finer grid is filled by interpolation and corrected only near the
wells and the percolation levels.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymatgen.core import Structure
from scipy.ndimage import map_coordinates, spline_filter

from ionsmith.core.errors import InputError, PhysicsError
from ionsmith.core.records import FloatArray
from ionsmith.landscape.bvse import Percolation, percolate_field
from ionsmith.landscape.field import EnergyField
from ionsmith.landscape.framework import Framework
from ionsmith.landscape.frozen import frozen_framework, host
from ionsmith.landscape.parameters import covalent_radius
from ionsmith.landscape.symmetry import GridSymmetry, grid_symmetry

Evaluator = Callable[[FloatArray], FloatArray]
"""Fractional positions of the mobile ion, shape (m, 3), to energies in eV, shape (m,)."""

CAP = 5.0
"""Energies above the lowest by more than this are cut off, eV."""

_CORE = 0.55  # of the sum of covalent radii: closer than this to a framework atom no potential was trained
_WINDOW = 0.25  # eV around a percolation level, and above the lowest energy, in which interpolation is not trusted
_ROUNDS = 4
_BATCH = 32


@dataclass(frozen=True)
class PotentialLandscape:
    """A landscape from a potential.

    Attributes:
        percolation: levels and field.
        evaluations: how often the potential was called.
        points: size of the fine grid.
    """

    percolation: Percolation
    evaluations: int
    points: int


def potential_landscape(
    structure: Structure, evaluate: Evaluator, *, mobile: str = "Li", resolution: float = 0.3
) -> PotentialLandscape:
    """Percolation of an ion under any potential, from as few energies as needed.

    A grid of twice the spacing is computed at the points that differ by symmetry and do not touch a framework atom,
    and interpolated with a periodic cubic spline. Points of the fine grid within 0.25 eV of a percolation level or of
    the lowest energy are then computed, and the levels found again, until none is left (at most four rounds).

    Args:
        structure: crystal; its mobile ions are taken out.
        evaluate: energy of one mobile ion at given places in the framework, such as :func:`chgnet_evaluator`.
        mobile: the ion that moves.
        resolution: spacing of the fine grid, angstrom.

    Raises:
        InputError: a spacing not above zero, or energies that are not numbers.
        PhysicsError: a crystal that has no ordered framework and mobile ion, or no room for it.
    """
    if not (resolution > 0.0 and math.isfinite(resolution)):
        raise InputError(f"resolution: expected a spacing above zero (angstrom), got {resolution:g}")
    frame = frozen_framework(structure, mobile)[1]
    lengths = tuple(float(x) for x in np.linalg.norm(frame.lattice, axis=1))
    coarse = _even_shape(frame, lengths, 2.0 * resolution)
    shape = (2 * coarse[0], 2 * coarse[1], 2 * coarse[2])
    symmetry = grid_symmetry(frame, shape)
    alike = symmetry.representatives()
    room = _room(frame, shape)
    if not room.any():
        raise PhysicsError(f"no room for {mobile} between the atoms of {structure.composition.reduced_formula}")
    known = np.full(alike.size, np.nan)
    index = np.indices(shape).reshape(3, -1)
    wanted = (index % 2 == 0).all(axis=0) & room
    if not wanted.any():  # a tight framework, whose little room lies between the points of the coarse grid
        wanted = room
    count = _fill(known, alike, wanted, symmetry, evaluate)
    for _ in range(_ROUNDS):
        values = _interpolate(known, room, coarse, shape)
        field = EnergyField(values.astype(np.float32), frame.lattice)
        openings = percolate_field(field, ceiling=CAP - 1e-3)
        heights = values.ravel() - values.min()
        levels = [0.0, *(o.energy for o in openings if o.point >= 0)]
        close = np.any([np.abs(heights - level) < _WINDOW for level in levels], axis=0)
        missing = close & room & np.isnan(known)
        if not missing.any():
            break
        count += _fill(known, alike, missing, symmetry, evaluate)
    return PotentialLandscape(Percolation(openings, field, None, None, resolution), count, alike.size)


def _even_shape(frame: Framework, lengths: tuple[float, ...], spacing: float) -> tuple[int, int, int]:
    """Grid of at most this spacing that as much of the symmetry as possible can follow."""
    fewest = [max(3, math.ceil(length / spacing)) for length in lengths]
    choices = [(n0, n1, n2) for n0 in _near(fewest[0]) for n1 in _near(fewest[1]) for n2 in _near(fewest[2])]

    def cost(shape: tuple[int, int, int]) -> float:
        return math.prod(shape) / len(grid_symmetry(frame, shape).rotations)

    same = fewest[0] == fewest[1] == fewest[2]
    return min((c for c in choices if not same or len(set(c)) == 1), key=cost)


def _near(count: int) -> range:
    return range(count, count + 3)


def _room(frame: Framework, shape: tuple[int, int, int]) -> NDArray[np.bool_]:
    """Grid points at which the ion does not sit inside a framework atom; shape (n0 n1 n2,)."""
    points = np.stack([i.ravel() / n for i, n in zip(np.indices(shape), shape, strict=True)], axis=1)
    room = np.ones(len(points), dtype=bool)
    shifts = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3, indexing="ij"), -1).reshape(-1, 3)
    for position, kind in zip(frame.positions, frame.kinds, strict=True):
        limit = _CORE * (covalent_radius(frame.mobile) + covalent_radius(frame.ions[kind]))
        away = points - position
        away -= np.round(away)
        for shift in shifts:  # the nearest image need not be the rounded one in a skewed cell
            room &= ((away + shift) @ frame.lattice) ** 2 @ np.ones(3) > limit**2
    return room


def _fill(
    known: FloatArray,
    alike: NDArray[np.int64],
    wanted: NDArray[np.bool_],
    symmetry: GridSymmetry,
    evaluate: Evaluator,
) -> int:
    """Compute the wanted points through one representative each, spread the energies; returns the number computed."""
    stand_ins = np.unique(alike[wanted])
    places = np.stack(np.unravel_index(stand_ins, symmetry.shape), axis=1) / np.array(symmetry.shape)
    energies = np.concatenate(
        [np.asarray(evaluate(places[n : n + _BATCH])) for n in range(0, len(places), _BATCH)] or [np.zeros(0)]
    )
    if not np.isfinite(energies).all():
        raise InputError("potential: expected finite energies, got values that are not numbers")
    spread = np.full(known.size, np.nan)
    spread[stand_ins] = energies
    fresh = spread[alike]
    known[:] = np.where(np.isnan(fresh), known, fresh)
    return len(stand_ins)


def _interpolate(
    known: FloatArray, room: NDArray[np.bool_], coarse: tuple[int, int, int], shape: tuple[int, int, int]
) -> FloatArray:
    """Fine grid: computed values where there are any, elsewhere a spline of the coarse grid; cut off above."""
    cap = float(np.nanmin(known)) + CAP
    fine = known.reshape(shape)
    values = np.where(np.isnan(fine), cap, np.minimum(fine, cap))
    filtered = spline_filter(values[::2, ::2, ::2], order=3, mode="grid-wrap")
    index = np.indices(shape).reshape(3, -1) / 2.0
    between = map_coordinates(filtered, index, order=3, mode="grid-wrap", prefilter=False).reshape(shape)
    # an interpolated point never lies below what was computed: ripples beside a wall are no wells
    between = np.clip(between, cap - CAP, cap)
    return np.where(np.isnan(fine), np.where(room.reshape(shape), between, cap), values)


def calculator_evaluator(structure: Structure, calculator: Any, *, mobile: str = "Li") -> Evaluator:
    """Energies from any ASE calculator, one place at a time.

    Args:
        structure: crystal; its mobile ions are taken out.
        calculator: an ASE calculator.
        mobile: the ion that moves.

    Raises:
        PhysicsError: see :func:`frozen_framework`.
    """
    from pymatgen.io.ase import AseAtomsAdaptor

    frame = frozen_framework(structure, mobile)[0]
    atoms = AseAtomsAdaptor.get_atoms(host(frame, mobile)[0])
    atoms.calc = calculator

    def evaluate(places: FloatArray) -> FloatArray:
        energies = []
        for place in places:
            atoms.positions[-1] = np.asarray(place) @ frame.lattice.matrix
            energies.append(float(atoms.get_potential_energy()))
        return np.array(energies)

    return evaluate


def chgnet_evaluator(structure: Structure, *, mobile: str = "Li", model: Any = None) -> Evaluator:
    """Energies from CHGNet, in batches.

    Args:
        structure: crystal; its mobile ions are taken out.
        mobile: the ion that moves.
        model: a loaded CHGNet; the weights inside the chgnet package where None.

    Raises:
        PhysicsError: see :func:`frozen_framework`.

    Source: CHGNet, Deng et al., Nat. Mach. Intell. 5, 1031 (2023), doi 10.1038/s42256-023-00716-3. Landscapes of a
    frozen framework as descriptors: Maevskiy et al., arXiv 2411.06804.
    """
    cell, repeats = host(frozen_framework(structure, mobile)[0], mobile)
    if model is None:
        from chgnet.model import CHGNet

        model = CHGNet.load(use_device="cpu", verbose=False)

    def evaluate(places: FloatArray) -> FloatArray:
        copies = []
        for place in places:
            copy = cell.copy()
            copy[-1] = copy[-1].species, place / repeats
            copies.append(copy)
        found = model.predict_structure(copies, task="e", batch_size=_BATCH)
        found = [found] if isinstance(found, dict) else found
        return np.array([float(row["e"]) * len(cell) for row in found])  # energies come per atom

    return evaluate
