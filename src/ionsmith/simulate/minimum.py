"""The nearest minimum of a crystal under a potential: where relaxation, moduli, vibrations and hops begin."""

from __future__ import annotations

import numpy as np
from ase.data import covalent_radii
from pymatgen.core import Structure

from ionsmith.core.errors import PhysicsError
from ionsmith.core.records import FloatArray
from ionsmith.simulate.ordered import check_apart
from ionsmith.simulate.potentials import forces_of
from ionsmith.simulate.quasi_newton import Settled, settle

SETTLED = 5.0
"""A search stopped by the step limit is kept if its forces are within this factor of the limit."""

VOLUME_CHANGE = 0.3
"""Relative change of the volume beyond which the crystal that comes out is not the one that went in."""

_STRESS = 0.06  # 1/angstrom^2; forces of 0.05 eV/angstrom go with stresses of 0.5 GPa


def nearest_minimum(
    plain: Structure,
    potential: str,
    *,
    fmax: float,
    max_steps: int,
    max_volume_change: float = VOLUME_CHANGE,
    threads: int | None = None,
) -> tuple[Structure, Settled]:
    """Return a crystal with atoms and cell relaxed, and how the search went; see :func:`stopped_early`.

    Args:
        plain: ordered crystal of elements.
        potential: as in :func:`ionsmith.simulate.potentials.potential`.
        fmax: largest force at which the search has converged, eV/angstrom; stresses have to be within
            0.06 per square angstrom of that (0.5 GPa for 0.05).
        max_steps: step limit.
        max_volume_change: see :func:`check_volume`.
        threads: torch threads; None leaves them as they are.

    Raises:
        InputError: an unknown potential.
        PhysicsError: the crystal falls apart, or the potential has no answer.
    """
    numbers = [site.specie.Z for site in plain]
    forces = forces_of(potential, numbers, threads=threads)

    def watched(positions: FloatArray, cell: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        check_volume(plain.volume, abs(float(np.linalg.det(cell))), largest=max_volume_change)
        return forces(positions, cell)

    found = settle(
        watched,
        plain.cart_coords,
        plain.lattice.matrix,
        covalent_radii[numbers],
        largest_force=fmax,
        largest_stress=_STRESS * fmax,
        most=max_steps + 1,
    )
    relaxed = Structure(found.cell, plain.species, found.positions, coords_are_cartesian=True)
    check_volume(plain.volume, relaxed.volume, largest=max_volume_change)
    check_apart(relaxed)
    return relaxed, found


def stopped_early(found: Settled, *, fmax: float) -> str:
    """Return what to note of a search that the step limit ended; empty where it converged.

    Args:
        found: how the search went.
        fmax: its force limit, eV/angstrom.

    Raises:
        PhysicsError: forces beyond :data:`SETTLED` times the limit.
    """
    if found.converged:
        return ""
    state = f"largest force {found.largest_force:.3g} eV/angstrom after {found.evaluations - 1} steps"
    state += f", limit {fmax:g}"
    if not found.largest_force <= SETTLED * fmax:  # also true for NaN
        raise PhysicsError(f"relaxation did not settle: {state}")
    return f"relaxation stopped before convergence: {state}"


def check_volume(before: float, after: float, *, largest: float) -> None:
    """Refuse a cell that is no longer the same crystal.

    Args:
        before: cell volume before, cubic angstrom.
        after: cell volume after.
        largest: relative change that is taken as the same crystal.

    Raises:
        PhysicsError: a larger relative change, or a volume that is not finite.
    """
    change = after / before - 1.0
    if not abs(change) <= largest:  # also true for NaN
        raise PhysicsError(
            f"crystal falls apart: volume changed by {change:+.0%} during relaxation, "
            f"at most {largest:.0%} is taken as the same crystal"
        )
