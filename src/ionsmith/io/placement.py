"""Which ion goes on which site of a supercell: electrostatics and contact distances, greedy and then by swaps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ionsmith.core.records import BoolArray, FloatArray

IntArray = NDArray[np.int64]

_FORBIDDEN = 1e4  # eV, for two ions closer than the core distance
_CONTACT = 200.0  # eV per relative overlap, for two ions closer than their contact distance
_SEED = 20  # of the random kicks; any number would do


@dataclass(frozen=True)
class Board:
    """Sites that are still open, and what every choice costs.

    Attributes:
        onsite: energy of species s on site i, eV, with all that is fixed; shape (k, n). Species 0 is the vacancy.
        pair: energy of species s on site i beside species t on site j, eV, zero for i = j; shape (k, k, n, n).
        orbit: orbit of every site; shape (n,).
        counts: per orbit, how many of each species it gets; they add up to its sites; shape (orbits, k).
        allowed: which species may stand on a site; shape (k, n).
        close: whether two sites exclude each other; shape (n, n).
    """

    onsite: FloatArray
    pair: FloatArray
    orbit: IntArray
    counts: IntArray
    allowed: BoolArray
    close: BoolArray


def contact_penalty(distances: FloatArray, *, contact: float, core: float) -> FloatArray:
    """Return what two ions cost beyond their electrostatic energy, eV.

    Args:
        distances: angstrom, any shape.
        contact: distance below which they overlap, angstrom.
        core: distance that is forbidden, angstrom.
    """
    overlap = np.clip(1.0 - distances / contact, 0.0, None)
    return np.asarray(_CONTACT * overlap + _FORBIDDEN * (distances < core))


def place(board: Board, *, kicks: int, max_moves: int) -> tuple[IntArray, float, int]:
    """Return the best arrangement found, its energy and the number of swaps made.

    Sites start with the average occupancy of their orbit. The ion and site that gain most are fixed first, and the
    average of what is left follows. Then the best swap of two sites of an orbit is made until none gains. Each kick
    swaps a few random pairs and descends again; the best arrangement is kept. Only if ions still stand on sites that
    exclude each other, swaps between orbits are tried. The random numbers are always the same and the limit is a
    number of moves, not a time, so that every run gives the same answer.

    Args:
        board: sites and costs.
        kicks: number of random restarts.
        max_moves: most swaps in all.

    Returns:
        Species of every site, shape (n,); energy, eV; swaps made.
    """
    rng = np.random.default_rng(_SEED)
    if not len(board.orbit):
        return np.zeros(0, dtype=np.int64), 0.0, 0
    orbits = [np.flatnonzero(board.orbit == o) for o in range(len(board.counts))]
    best, energy, moves = _descend(board, greedy(board), orbits, max_moves)
    for _ in range(kicks):
        if moves >= max_moves:
            break
        state, kicked, more = _descend(board, _kick(best, orbits, rng), orbits, max_moves - moves)
        moves += more
        if kicked < energy - 1e-9:
            best, energy = state, kicked
    if forbidden(best, board.close):
        best, energy, more = _descend(board, best, [np.arange(len(best))], max_moves)
        moves += more
    return best, energy, moves


def total_energy(board: Board, state: IntArray) -> float:
    """Return the energy of an arrangement, eV.

    Args:
        board: sites and costs.
        state: species of every site; shape (n,).
    """
    sites = np.arange(len(state))
    pairs = board.pair[state[:, None], state[None, :], sites[:, None], sites[None, :]]
    return float(board.onsite[state, sites].sum() + 0.5 * pairs.sum())


def greedy(board: Board) -> IntArray:
    """Return an arrangement made by fixing, one after another, the ion and site that gain most.

    Args:
        board: sites and costs.
    """
    kinds, sites = board.onsite.shape
    left = board.counts.astype(float)
    open_sites = np.ones(sites, dtype=bool)
    share = (left / left.sum(axis=1, keepdims=True))[board.orbit].T  # (k, n)
    field = board.onsite + np.einsum("stij,tj->si", board.pair, share)
    # what the open sites of an orbit do together to every site; shape (orbits, k, k, n)
    crowd = np.stack([board.pair[:, :, :, board.orbit == o].sum(axis=3) for o in range(len(left))])
    state = np.zeros(sites, dtype=np.int64)
    for _ in range(sites):
        gain = field - (share * field).sum(axis=0)
        gain[:, ~open_sites] = np.inf
        gain[left[board.orbit].T <= 0.0] = np.inf
        # ions first: vacancies are what remains
        gain[0] += np.where(np.isfinite(gain[1:]).any(axis=0), _FORBIDDEN * 10.0, 0.0)
        kind, site = np.unravel_index(int(np.argmin(gain)), gain.shape)
        o = int(board.orbit[site])
        state[site] = kind
        open_sites[site] = False
        left[o, kind] -= 1.0
        crowd[o] -= board.pair[:, :, :, site]
        chosen = np.zeros(kinds)
        chosen[kind] = 1.0
        field += np.einsum("sti,t->si", board.pair[:, :, :, site], chosen - share[:, site])
        share[:, site] = chosen
        rest = open_sites & (board.orbit == o)
        if rest.any():
            average = left[o] / left[o].sum()
            change = average - share[:, np.flatnonzero(rest)[0]]
            field += np.einsum("sti,t->si", crowd[o], change)
            share[:, rest] = average[:, None]
    return state


def _fields(board: Board, state: IntArray) -> FloatArray:
    sites = np.arange(len(state))
    return np.asarray(board.onsite + board.pair[:, state, :, sites].sum(axis=0))


def _descend(
    board: Board, state: IntArray, groups: Sequence[IntArray], max_moves: int
) -> tuple[IntArray, float, int]:
    state = state.copy()
    field = _fields(board, state)
    waiting = list(groups)
    moves, quiet = 0, 0
    while quiet < len(waiting) and moves < max_moves:
        sites = waiting.pop(0)
        waiting.append(sites)
        swap = _best_swap(board, state, field, sites)
        if swap is None:
            quiet += 1
            continue
        quiet = 0
        moves += 1
        for site, kind in ((swap[0], state[swap[1]]), (swap[1], state[swap[0]])):
            field += board.pair[:, kind, :, site] - board.pair[:, state[site], :, site]
            state[site] = kind
    return state, total_energy(board, state), moves


def _best_swap(board: Board, state: IntArray, field: FloatArray, sites: IntArray) -> tuple[int, int] | None:
    kinds = state[sites]
    if len(set(kinds.tolist())) < 2:
        return None
    own = field[kinds, sites]
    # energy of the kind of site j on site i, and back; then the pair's own term is put right
    other = field[kinds[None, :], sites[:, None]]
    change = other + other.T - own[:, None] - own[None, :]
    s, t, i, j = kinds[:, None], kinds[None, :], sites[:, None], sites[None, :]
    change += 2.0 * board.pair[s, t, i, j] - board.pair[s, s, i, j] - board.pair[t, t, i, j]
    fits = board.allowed[kinds[None, :], sites[:, None]]
    change[(s == t) | ~(fits & fits.T)] = 0.0
    a, b = np.unravel_index(int(np.argmin(change)), change.shape)
    return (int(sites[a]), int(sites[b])) if change[a, b] < -1e-6 else None


def _kick(state: IntArray, orbits: Sequence[IntArray], rng: np.random.Generator) -> IntArray:
    state = state.copy()
    for sites in orbits:
        for _ in range(max(1, len(sites) // 8)):
            a, b = rng.choice(sites, size=2)
            state[[a, b]] = state[[b, a]]
    return state


def forbidden(state: IntArray, close: BoolArray) -> int:
    """Return how many pairs of ions stand on sites that exclude each other.

    Args:
        state: species of every site; shape (n,).
        close: whether two sites exclude each other; shape (n, n).
    """
    filled = state > 0
    return int((close & filled[:, None] & filled[None, :]).sum() // 2)
