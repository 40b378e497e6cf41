"""Compiled energy and force of the mobile ion at arbitrary points, and the watershed of a grid into basins."""
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import math
from typing import Any

import numba as nb
import numpy as np

from ionsmith.landscape.kernels import CORE, find, neighbor_of

NONE, MORSE, COULOMB = 0, 1, 2


@nb.njit(cache=True)
def energy_and_gradient(points: Any, images: Any, kinds: Any, weights: Any, forces: Any, cutoff: float) -> Any:
    """Direct pair sum over a list of images.

    Args:
        points: cartesian, angstrom; shape (m, 3).
        images: cartesian positions of every ion image within reach; shape (n, 3).
        kinds: kind of each image; shape (n,), int.
        weights: occupancy of each image; shape (n,).
        forces: per kind a row (style, a, b, c): Morse D0, alpha, r_min or Coulomb strength, rho, unused.
        cutoff: angstrom.

    Returns:
        Energies (m,), eV, and gradients (m, 3), eV/angstrom.
    """
    energies = np.zeros(points.shape[0])
    gradients = np.zeros((points.shape[0], 3))
    for p in range(points.shape[0]):
        for n in range(images.shape[0]):
            x = points[p, 0] - images[n, 0]
            y = points[p, 1] - images[n, 1]
            z = points[p, 2] - images[n, 2]
            square = x * x + y * y + z * z
            row = forces[kinds[n]]
            if square > cutoff * cutoff or row[0] == NONE:
                continue
            r = math.sqrt(max(square, CORE * CORE))
            if row[0] == MORSE:
                bond = math.exp(row[2] * (row[3] - r))
                energy = 0.5 * row[1] * (bond * bond - 2.0 * bond)
                slope = row[1] * row[2] * (bond - bond * bond)
            else:
                screened = row[1] * math.erfc(r / row[2]) / r
                energy = screened
                gauss = math.exp(-((r / row[2]) ** 2)) * 2.0 / (math.sqrt(math.pi) * row[2])
                slope = -screened / r - row[1] * gauss / r
            energies[p] += weights[n] * energy
            if square > CORE * CORE:  # inside the core the energy is constant
                scale = weights[n] * slope / r
                gradients[p, 0] += scale * x
                gradients[p, 1] += scale * y
                gradients[p, 2] += scale * z
    return energies, gradients


@nb.njit(cache=True)
def watershed(order: Any, values: Any, shape: Any, depth: float) -> Any:
    """Give every grid point to the minimum it drains to, in order of energy.

    A minimum shallower than ``depth`` is part of the basin it spills into.

    Args:
        order: linear indices, lowest first; shape (m,), int.
        values: energies by linear index; shape (n0 n1 n2,).
        shape: (n0, n1, n2).
        depth: eV.

    Returns:
        Minimum (linear index) of each point, -1 outside ``order``; and the packed cell in which that minimum lies as
        seen from the point's cell.
    """
    n0, n1, n2 = shape
    total = n0 * n1 * n2
    parent = np.full(total, -1, np.int64)  # points to another point of the same basin, roots are minima
    offset = np.zeros(total, np.int64)
    roots = np.empty(27, np.int64)
    cells = np.empty(27, np.int64)
    for point in order:
        k, rest = point % n2, point // n2
        j, i = rest % n1, rest // n1
        found = 0
        lowest = -1
        for turn in range(27):
            neighbor, crossing = neighbor_of(i, j, k, turn, shape)
            if turn == 13 or neighbor == point or parent[neighbor] < 0:
                continue
            root, there = find(parent, offset, neighbor)
            roots[found] = root
            cells[found] = crossing + there
            if lowest < 0 or values[neighbor] < values[lowest]:
                lowest = neighbor
                best = found
            found += 1
        if found == 0:
            parent[point] = point
            continue
        mine = roots[best]
        parent[point] = mine
        offset[point] = cells[best]
        for f in range(found):
            other, there = find(parent, offset, roots[f])
            mine, here = find(parent, offset, point)
            if other == mine:
                continue
            shift = cells[f] + there - here  # cell of the other minimum as seen from this one
            low, high = (mine, other) if values[mine] <= values[other] else (other, mine)
            if values[point] - values[high] < depth:
                parent[high] = low
                offset[high] = -shift if high == other else shift
    for point in order:
        root, there = find(parent, offset, point)
        if root != point:
            parent[point] = root
            offset[point] = there
    return parent, offset
