"""Compiled inner loops: pair sums over grid lines, and union-find percolation with lattice displacements.

Each grid line along the third cell vector is filled by runs: one framework ion adds to a contiguous stretch of
points, so that the innermost loop is plain arithmetic on neighbouring numbers, which the compiler vectorises.
"""
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import math
from typing import Any

import numba as nb
import numpy as np

MORSE, TABLE = 0, 1
TABLE_SIZE = 16384
CORE = 0.3
"""Distance below which a pair energy stays at its value there, angstrom."""

_TILE = 16
_CODE = 1 << 20  # a lattice displacement (i, j, k) travels as one integer i + j * 2^20 + k * 2^40
_HALF = 1 << 19


@nb.njit(cache=True, fastmath=True)
def _morse_run(buffer: Any, start: int, count: int, z: Any, step: Any, lateral: Any, p: Any) -> None:
    # p: weight * D0 / 2, alpha / 16, alpha r_min / 16; exp(x) = exp(x / 16)^16 with a Taylor series for exp(x / 16)
    scale, slope, level = p[0], p[1], p[2]  # outside the loop: the compiler must see that they do not change
    low = np.float32(-1.25)  # exp(-20): nothing left
    core = np.float32(CORE * CORE)
    for k in range(count):
        dz = z + np.float32(np.int32(k)) * step
        square = max(lateral + dz * dz, core)
        y = max(level - slope * np.sqrt(square), low)
        e = np.float32(1.0 / 5040.0)
        e = e * y + np.float32(1.0 / 720.0)
        e = e * y + np.float32(1.0 / 120.0)
        e = e * y + np.float32(1.0 / 24.0)
        e = e * y + np.float32(1.0 / 6.0)
        e = e * y + np.float32(0.5)
        e = e * y + np.float32(1.0)
        e = e * y + np.float32(1.0)
        e = e * e
        e = e * e
        e = e * e
        e = e * e
        buffer[np.uint64(start + k)] += scale * (e * e - np.float32(2.0) * e)


@nb.njit(cache=True, fastmath=True)
def _table_run(buffer: Any, start: int, count: int, z: Any, step: Any, lateral: Any, p: Any, table: Any) -> None:
    # p: weight, table intervals per square angstrom; linear interpolation in the squared distance
    weight, intervals = p[0], p[1]
    for k in range(count):
        dz = z + np.float32(np.int32(k)) * step
        s = (lateral + dz * dz) * intervals
        i = np.int32(s)
        low = table[np.uint32(i)]
        high = table[np.uint32(i) + np.uint32(1)]
        buffer[np.uint64(start + k)] += weight * (low + (s - np.float32(i)) * (high - low))


@nb.njit(cache=True)
def _images(positions: Any, plane: Any, reach_a: int, reach_b: int) -> Any:
    """Lateral coordinates and height of every image column; row: x, y, z, entry."""
    out = np.empty((positions.shape[0] * (2 * reach_a + 2) * (2 * reach_b + 2), 4))
    m = 0
    for q in range(positions.shape[0]):
        for i in range(-reach_a - 1, reach_a + 1):
            for j in range(-reach_b - 1, reach_b + 1):
                a, b = positions[q, 0] + i, positions[q, 1] + j
                out[m, 0] = a * plane[0] + b * plane[1]
                out[m, 1] = b * plane[2]
                out[m, 2] = a * plane[3] + b * plane[4] + positions[q, 2] * plane[5]
                out[m, 3] = q
                m += 1
    return out


@nb.njit(cache=True)
def _near_tile(images: Any, centre_x: float, centre_y: float, radius: float, near: Any) -> int:
    count = 0
    for m in range(images.shape[0]):
        dx, dy = images[m, 0] - centre_x, images[m, 1] - centre_y
        if dx * dx + dy * dy < radius * radius:
            near[count] = m
            count += 1
    return count


@nb.njit(cache=True)
def _add_run(buffer: Any, run: Any, step: float, ion: Any, forces: Any) -> int:
    """Add one ion to the points k0 to k1 of a line whose buffer starts at point -pad; returns how many points."""
    k0, k1, pad = run
    centre, lateral, q = ion
    if k1 < k0:
        return 0
    style, parameters, _, kinds, tables = forces
    kind = kinds[q]
    z, h, side = np.float32(k0 * step - centre), np.float32(step), np.float32(lateral)
    if style[kind] == MORSE:
        _morse_run(buffer, k0 + pad, k1 - k0 + 1, z, h, side, parameters[q])
    else:
        _table_run(buffer, k0 + pad, k1 - k0 + 1, z, h, side, parameters[q], tables[kind])
    return int(k1 - k0 + 1)


@nb.njit(cache=True)
def _fill_line(buffer: Any, pad: int, line: Any, images: Any, near: Any, count: int, forces: Any) -> int:
    """Add every ion near one grid line to its buffer; returns the number of pair terms.

    With a pad the buffer reaches beyond the cell by the cutoff, every ion adds one long run, and the caller folds
    the ends back; without, only the stretch [first, last] is wanted and every copy of the ion along the line is cut
    to it.
    """
    reach, kinds = forces[2], forces[3]
    x, y, z, step, period, first, last = line
    terms = 0
    for c in range(count):
        m = near[c]
        q = int(images[m, 3])
        dx, dy = images[m, 0] - x, images[m, 1] - y
        lateral = dx * dx + dy * dy
        room = reach[kinds[q]] * reach[kinds[q]] - lateral
        if room <= 0.0:
            continue
        half = math.sqrt(room)
        height = images[m, 2] - z
        if pad > 0:
            centre = height - math.floor(height / period) * period
            k0, k1 = math.ceil((centre - half) / step), math.floor((centre + half) / step)
            terms += _add_run(buffer, (k0, k1, pad), step, (centre, lateral, q), forces)
            continue
        low_copy = math.ceil((first * step - half - height) / period)
        high_copy = math.floor((last * step + half - height) / period)
        for copy in range(low_copy, high_copy + 1):
            centre = height + copy * period
            k0 = max(first, math.ceil((centre - half) / step))
            k1 = min(last, math.floor((centre + half) / step))
            terms += _add_run(buffer, (k0, k1, 0), step, (centre, lateral, q), forces)
    return terms


@nb.njit(cache=True)
def _store(buffer: Any, pad: int, lo: int, hi: int, row: Any) -> None:
    """Copy a stretch, or fold a padded buffer, into one line of the grid."""
    n = row.shape[0]
    if pad == 0:
        row[lo : hi + 1] = buffer[lo : hi + 1]
        return
    for start in range(pad % n - n, n + 2 * pad, n):  # whole periods of the buffer, the first and last cut short
        for k in range(n):
            at = start + k
            if 0 <= at < n + 2 * pad:
                row[k] += buffer[at]


@nb.njit(cache=True)
def sum_pairs(
    first: Any, last: Any, shape: Any, plane: Any, positions: Any, reaches: Any, forces: Any, out: Any
) -> int:
    """Fill ``out`` on the stretches first[i, j] to last[i, j] of every grid line.

    Args:
        first: first wanted point of each line; shape (n0, n1), int.
        last: last wanted point of each line, below first where none is wanted; shape (n0, n1), int.
        shape: (n0, n1, n2).
        plane: the cell in a frame whose z runs along the third vector: a_x, b_x, b_y, a_z, b_z, c_z, angstrom.
        positions: fractional coordinates of the ions; shape (n, 3).
        reaches: number of image cells along a and b, and the largest cutoff (angstrom).
        forces: per kind style and reach, per ion parameters and kind, per kind energy table.
        out: energies, eV; shape (n0, n1, n2), float32, zero on entry.

    Returns:
        Number of pair terms that were added.
    """
    n0, n1, n2 = shape
    images = _images(positions, plane, int(reaches[0]), int(reaches[1]))
    near = np.empty(images.shape[0], np.int64)
    step = plane[5] / n2
    full_pad = int(reaches[2] / step) + 2
    buffer = np.zeros(n2 + 2 * full_pad, np.float32)
    terms = 0
    for i in range(n0):
        for start in range(0, n1, _TILE):
            stop = min(start + _TILE, n1)
            middle = 0.5 * (start + stop - 1) / n1
            span = 0.5 * (stop - start) / n1 * math.hypot(plane[1], plane[2])
            x = i / n0 * plane[0] + middle * plane[1]
            count = -1
            for j in range(start, stop):
                lo, hi = first[i, j], last[i, j]
                if hi < lo:
                    continue
                if count < 0:
                    count = _near_tile(images, x, middle * plane[2], reaches[2] + span, near)
                pad = full_pad if 2 * (hi - lo + 1) > n2 else 0
                buffer[:] = 0.0
                at_z = i / n0 * plane[3] + j / n1 * plane[4]
                line = (i / n0 * plane[0] + j / n1 * plane[1], j / n1 * plane[2], at_z, step, plane[5], lo, hi)
                terms += _fill_line(buffer, pad, line, images, near, count, forces)
                _store(buffer, pad, lo, hi, out[i, j])
    return terms


@nb.njit(cache=True)
def orbits(rotations: Any, shifts: Any, shape: Any) -> Any:
    """First point that symmetry maps onto each point.

    Args:
        rotations: act on integer grid coordinates; shape (m, 3, 3), int.
        shifts: grid steps added afterwards; shape (m, 3), int.
        shape: (n0, n1, n2).

    Returns:
        Linear indices; shape (n0 n1 n2,).
    """
    n0, n1, n2 = shape
    first = np.full(n0 * n1 * n2, -1, np.int64)
    for point in range(first.shape[0]):
        if first[point] >= 0:
            continue
        k, rest = point % n2, point // n2
        j, i = rest % n1, rest // n1
        for m in range(rotations.shape[0]):
            w, t = rotations[m], shifts[m]
            a = (w[0, 0] * i + w[0, 1] * j + w[0, 2] * k + t[0]) % n0
            b = (w[1, 0] * i + w[1, 1] * j + w[1, 2] * k + t[1]) % n1
            c = (w[2, 0] * i + w[2, 1] * j + w[2, 2] * k + t[2]) % n2
            first[(a * n1 + b) * n2 + c] = point
    return first


@nb.njit(cache=True, inline="always")
def find(parent: Any, offset: Any, point: Any) -> Any:
    """Root of a point and the cell of the point as seen from the root's cell; halves the path on the way."""
    shift = np.int64(0)
    while parent[point] != point:
        above = parent[point]
        if parent[above] != above:
            offset[point] += offset[above]
            parent[point] = parent[above]
        shift += offset[point]
        point = parent[point]
    return point, shift


@nb.njit(cache=True, inline="always")
def neighbor_of(i: int, j: int, k: int, turn: int, shape: Any) -> Any:
    """Linear index of one of the 27 points around (and at) a grid point, and the packed cell in which it lies."""
    n0, n1, n2 = shape
    ii, jj, kk = i + turn // 9 - 1, j + turn // 3 % 3 - 1, k + turn % 3 - 1
    crossing = np.int64(0)
    if ii < 0 or ii >= n0:
        crossing += -1 if ii < 0 else 1
        ii %= n0
    if jj < 0 or jj >= n1:
        crossing += -_CODE if jj < 0 else _CODE
        jj %= n1
    if kk < 0 or kk >= n2:
        crossing += -_CODE * _CODE if kk < 0 else _CODE * _CODE
        kk %= n2
    return (ii * n1 + jj) * n2 + kk, crossing


@nb.njit(cache=True)
def unpack(code: Any) -> Any:
    """Lattice displacement (i, j, k) of a packed code."""
    i = ((code + _HALF) % _CODE) - _HALF
    code = (code - i) // _CODE
    j = ((code + _HALF) % _CODE) - _HALF
    return i, j, (code - j) // _CODE


@nb.njit(cache=True)
def _add_winding(loops: Any, root: Any, code: Any) -> None:
    """Note a closed loop through the periodic cell; keeps up to three independent ones per cluster."""
    rank, slot, basis, used = loops
    have = rank[root]
    if have == 3 or code == 0:
        return
    if have == 0 and slot[root] < 0:
        slot[root] = used[0]
        used[0] += 1
    mine = basis[slot[root]]
    x, y, z = unpack(code)
    if have > 0:
        a, b, c = unpack(mine[0])
        u, v, w = b * z - c * y, c * x - a * z, a * y - b * x
        if have == 1 and u == 0 and v == 0 and w == 0:
            return
        if have == 2:
            d, e, f = unpack(mine[1])
            if d * u + e * v + f * w == 0:
                return
    mine[have] = code
    rank[root] = have + 1


@nb.njit(cache=True)
def _join(forest: Any, loops: Any, point: Any, neighbor: Any, crossing: Any) -> Any:
    """Unite two neighbouring points whose cells differ by ``crossing``; returns the rank of the united cluster."""
    parent, offset, size = forest
    rank, slot, basis, _ = loops
    root, here = find(parent, offset, point)
    other, there = find(parent, offset, neighbor)
    shift = crossing - there + here  # cell of the other root as seen from this root's cell
    if root == other:
        _add_winding(loops, root, shift)
        return rank[root]
    if size[root] < size[other]:
        root, other, shift = other, root, -shift
    parent[other] = root
    offset[other] = shift
    size[root] += size[other]
    if rank[root] == 0:
        slot[root], rank[root] = slot[other], rank[other]
        return rank[root]
    for n in range(rank[other]):
        _add_winding(loops, root, basis[slot[other], n])
    return rank[root]


@nb.njit(cache=True)
def percolate(order: Any, shape: Any) -> Any:
    """Insert grid points in the given order until their clusters wind through the crystal in three directions.

    Args:
        order: linear indices of the points, lowest energy first; shape (m,), int.
        shape: (n0, n1, n2) of the periodic grid; every point has 26 neighbours.

    Returns:
        The points at which one, two and three independent directions opened (-1 where never), shape (3,); and the
        windings of the cluster that opened them, shape (3, 3, 3): level, vector, component.
    """
    n0, n1, n2 = shape
    total = n0 * n1 * n2
    parent = np.full(total, -1, np.int32)
    forest = (parent, np.zeros(total, np.int64), np.ones(total, np.int32))
    # a loop through the cell has at least as many points as the shortest axis: so many clusters can wind, no more
    basis = np.zeros((total // min(n0, n1, n2) + 1, 3), np.int64)
    slot = np.full(total, -1, np.int32)
    loops = (np.zeros(total, np.int8), slot, basis, np.zeros(1, np.int32))
    critical = np.full(3, -1, np.int64)
    windings = np.zeros((3, 3, 3), np.int64)
    best = 0
    for point in order:
        parent[point] = point
        k, rest = point % n2, point // n2
        j, i = rest % n1, rest // n1
        for turn in range(27):
            neighbor, crossing = neighbor_of(i, j, k, turn, shape)
            if parent[neighbor] < 0 or (neighbor == point and crossing == 0):
                continue
            reached = _join(forest, loops, point, neighbor, crossing)
            if reached > best:
                root, _ = find(parent, forest[1], point)
                for level in range(best, reached):
                    critical[level] = point
                    for n in range(level + 1):
                        windings[level, n] = unpack(basis[slot[root], n])
                best = reached
                if best == 3:
                    return critical, windings
    return critical, windings
