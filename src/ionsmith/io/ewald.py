"""Electrostatic energy of point charges in a periodic cell as a matrix, so that moving an ion costs one row."""

from __future__ import annotations

import math

import numpy as np
from pymatgen.core import Lattice, Structure
from scipy import constants, special

from ionsmith.core.records import FloatArray

COULOMB = constants.e / (4.0 * math.pi * constants.epsilon_0) * 1e10
"""e^2 / (4 pi epsilon_0), eV angstrom."""

_CUTOFF = 8.0  # angstrom, of the sum in real space
_EXPONENT = 16.0  # terms below exp(-16) are left out: 1e-6 eV per pair of unit charges


def ewald_matrix(lattice: Lattice, positions: FloatArray) -> FloatArray:
    """Return M with E = sum_ij q_i q_j M_ij, the electrostatic energy of one cell, eV.

    Ewald's sum with Gaussians of width 1 / sqrt(2 eta): M_ij = (k / 2) [sum_R erfc(sqrt(eta) |r_ij + R|) / |r_ij + R|
    + (4 pi / V) sum_G exp(-G^2 / 4 eta) cos(G r_ij) / G^2 - pi / (V eta)] - delta_ij k sqrt(eta / pi). A net charge
    is balanced by a uniform background.

    Args:
        lattice: cell.
        positions: fractional coordinates; shape (n, 3).

    Returns:
        Symmetric matrix in eV per squared elementary charge; shape (n, n).

    Source: P. P. Ewald, Ann. Phys. 369, 253 (1921), doi 10.1002/andp.19213690304.
    """
    eta = _EXPONENT / _CUTOFF**2
    matrix = _reciprocal(lattice, positions, eta) - math.pi / (lattice.volume * eta)
    dummy = Structure(lattice, ["H"] * len(positions), positions)
    centers, neighbors, _, distances = dummy.get_neighbor_list(_CUTOFF, exclude_self=True)
    np.add.at(matrix, (centers, neighbors), special.erfc(math.sqrt(eta) * distances) / distances)
    matrix *= 0.5 * COULOMB
    matrix[np.diag_indices(len(positions))] -= COULOMB * math.sqrt(eta / math.pi)
    return np.asarray(0.5 * (matrix + matrix.T))


def _reciprocal(lattice: Lattice, positions: FloatArray, eta: float) -> FloatArray:
    """Return (4 pi / V) sum_G exp(-G^2 / 4 eta) cos(G r_ij) / G^2; shape (n, n)."""
    longest = 2.0 * math.sqrt(eta * _EXPONENT)
    rows = lattice.reciprocal_lattice.matrix
    reach = [math.floor(longest * length / (2.0 * math.pi)) for length in lattice.abc]
    h, k, l = np.meshgrid(*(np.arange(-m, m + 1) for m in reach), indexing="ij")  # noqa: E741
    miller = np.stack([h.ravel(), k.ravel(), l.ravel()], axis=1)
    # of each pair G, -G one is enough: the cosine is even
    first = (miller[:, 0] > 0) | (
        (miller[:, 0] == 0) & ((miller[:, 1] > 0) | ((miller[:, 1] == 0) & (miller[:, 2] > 0)))
    )
    squares = ((miller @ rows) ** 2).sum(axis=1)
    keep = first & (squares <= longest**2)
    phases = 2.0 * math.pi * positions @ miller[keep].T
    weights = np.sqrt(2.0 * np.exp(-squares[keep] / (4.0 * eta)) / squares[keep])
    cosine, sine = np.cos(phases) * weights, np.sin(phases) * weights
    return np.asarray(4.0 * math.pi / lattice.volume * (cosine @ cosine.T + sine @ sine.T))
