"""Who is to thank for a prediction: Shapley values of named players, exact for a few, sampled for many."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from math import factorial

import numpy as np

from ionsmith.core.errors import InputError
from ionsmith.core.protocols import Rng
from ionsmith.core.records import BoolArray, FloatArray

MOST_EXACT = 8
"""Players up to which all coalitions are asked (256)."""

Game = Callable[[BoolArray], FloatArray]
"""Coalitions, shape (m, p), True where a player takes part, to values, shape (m,)."""


@dataclass(frozen=True)
class Shares:
    """How a value is divided among p players.

    Attributes:
        base: value without any player.
        full: value with all players.
        values: shape (p,); they sum to ``full - base``.
        error: standard error of each, shape (p,); zero where all coalitions were asked.
    """

    base: float
    full: float
    values: FloatArray
    error: FloatArray


def shapley(game: Game, players: int, rng: Rng, *, rounds: int = 40) -> Shares:
    """Return each player's Shapley value.

    phi_i = sum over coalitions S without i of |S|! (p - |S| - 1)! / p! (v(S + i) - v(S)). With more than
    ``MOST_EXACT`` players, the mean over random orders of joining, each order also walked backwards (Strumbelj and
    Kononenko 2014, doi 10.1007/s10115-013-0679-x).

    Args:
        game: value of coalitions.
        players: p, at least one.
        rng: random stream; unused where all coalitions are asked.
        rounds: pairs of orders, at least two.

    Raises:
        InputError: no players, or too few rounds.
    """
    if players < 1 or rounds < 2:
        raise InputError(f"expected at least 1 player and 2 rounds, got {players} and {rounds}")
    return _exact(game, players) if players <= MOST_EXACT else _sampled(game, players, rng, rounds)


def remembered(game: Game) -> Game:
    """Return the same game, which asks about every coalition only once.

    Args:
        game: value of coalitions.
    """
    known: dict[bytes, float] = {}

    def play(coalitions: BoolArray) -> FloatArray:
        keys = [np.packbits(row).tobytes() for row in coalitions]
        fresh = {key: row for key, row in zip(keys, coalitions, strict=True) if key not in known}
        if fresh:
            answers = game(np.array(list(fresh.values()), dtype=bool))
            known.update(zip(fresh, (float(x) for x in answers), strict=True))
        return np.array([known[key] for key in keys])

    return play


def all_coalitions(players: int) -> BoolArray:
    """Return every coalition, shape (2^p, p); row k holds the players whose bit is set in k.

    Args:
        players: p.
    """
    return np.asarray((np.arange(2**players)[:, None] >> np.arange(players)) & 1, dtype=bool)


def _exact(game: Game, players: int) -> Shares:
    coalitions = all_coalitions(players)
    worth = game(coalitions)
    sizes = coalitions.sum(axis=1)
    orders = factorial(players)
    weight = np.array([factorial(s) * factorial(players - s - 1) / orders for s in range(players)])
    values = np.empty(players)
    for player in range(players):
        without = np.flatnonzero(~coalitions[:, player])
        gain = worth[without + (1 << player)] - worth[without]
        values[player] = (weight[sizes[without]] * gain).sum()
    return Shares(float(worth[0]), float(worth[-1]), values, np.zeros(players))


def _sampled(game: Game, players: int, rng: Rng, rounds: int) -> Shares:
    gains = np.zeros((rounds, players))
    base = full = 0.0
    for turn in range(rounds):
        order = rng.permutation(players)
        for walk in (order, order[::-1]):
            joined = np.zeros((players + 1, players), dtype=bool)
            for step, player in enumerate(walk, start=1):
                joined[step:, player] = True
            worth = game(joined)
            base, full = float(worth[0]), float(worth[-1])
            gains[turn, walk] += 0.5 * np.array([after - before for before, after in pairwise(worth)])
    return Shares(base, full, gains.mean(axis=0), gains.std(axis=0, ddof=1) / np.sqrt(rounds))
