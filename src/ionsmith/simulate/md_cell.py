"""The cell in which ions move: relaxed, and large enough that an ion does not feel its own periodic image."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from pymatgen.core import Lattice, Structure

from ionsmith.core.errors import PhysicsError
from ionsmith.core.records import FloatArray
from ionsmith.simulate.minimum import nearest_minimum

_MOST = 64  # cells
_COMPARED = 60  # superlattices of one size of which the widest is taken


def supercell_matrix(structure: Structure, minimum: float) -> NDArray[np.int64]:
    """The smallest supercell in which every atom is a distance away from its own images.

    All superlattices of a size are tried (Hermite normal forms, doi 10.1103/PhysRevB.77.224115), beginning where the
    densest packing of points first allows the distance; among the smallest that reach it the widest is taken.

    Args:
        structure: ordered crystal.
        minimum: angstrom.

    Returns:
        Rows are the new vectors in units of the old ones, reduced; shape (3, 3).

    Raises:
        PhysicsError: no supercell of up to 64 cells is wide enough.
    """
    cell = np.asarray(structure.lattice.matrix, dtype=float)
    first = max(1, int(np.ceil(minimum**3 / (np.sqrt(2.0) * abs(float(np.linalg.det(cell)))) - 1e-6)))
    short = _short_vectors(cell, minimum - 1e-3)
    for size in range(first, _MOST + 1):
        forms = np.array(list(_normal_forms(size)))
        # a superlattice is wide enough when no short vector of the crystal belongs to it
        places = np.einsum("ki,mij->mkj", short, np.linalg.inv(forms))
        held = (np.abs(places - np.round(places)) < 1e-6).all(axis=2).any(axis=1)
        if not held.all():
            wide = [_reduced(form, cell) for form in forms[~held][:_COMPARED]]
            return max(wide, key=lambda entry: round(entry[0], 4))[1]
    raise PhysicsError(f"no supercell of up to {_MOST} cells keeps images {minimum:g} angstrom apart")


def _short_vectors(cell: FloatArray, limit: float) -> NDArray[np.int64]:
    """Lattice vectors shorter than a limit, one of each pair v and -v; shape (k, 3)."""
    reach = np.ceil(limit * np.linalg.norm(np.linalg.inv(cell), axis=0)).astype(int)
    grid = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in reach), indexing="ij"), -1).reshape(-1, 3)
    half = grid[len(grid) // 2 + 1 :]
    return np.asarray(half[np.linalg.norm(half @ cell, axis=1) < limit], dtype=np.int64)


def _normal_forms(size: int) -> Iterator[NDArray[np.int64]]:
    for a in (d for d in range(1, size + 1) if size % d == 0):
        for c in (d for d in range(1, size // a + 1) if (size // a) % d == 0):
            f = size // (a * c)
            for b, d, e in itertools.product(range(c), range(f), range(f)):
                yield np.array([[a, b, d], [0, c, e], [0, 0, f]], dtype=np.int64)


def _reduced(form: NDArray[np.int64], cell: FloatArray) -> tuple[float, NDArray[np.int64]]:
    """Shortest vector of a superlattice, angstrom, and its reduced, right-handed basis in units of the cell."""
    lattice = Lattice(form @ cell).get_lll_reduced_lattice()
    matrix = np.round(lattice.matrix @ np.linalg.inv(cell)).astype(np.int64)
    if np.linalg.det(matrix) < 0.0:
        matrix = -matrix
    return float(min(lattice.abc)), matrix


def relaxed_cell(structure: Structure, potential_name: str, *, fmax: float = 0.05, max_steps: int = 300) -> Structure:
    """Relax atoms and cell, so that a run at constant volume starts without stress.

    Args:
        structure: ordered crystal of elements.
        potential_name: as in :func:`ionsmith.simulate.potentials.potential`.
        fmax: largest force at the end, eV/angstrom.
        max_steps: step limit; what is reached then is taken.

    Raises:
        PhysicsError: the potential has no answer, or the crystal falls apart.
    """
    return nearest_minimum(structure, potential_name, fmax=fmax, max_steps=max_steps)[0]
