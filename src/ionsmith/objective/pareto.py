"""The Pareto front of a Spec: candidates that no other one beats in every wanted quantity at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ionsmith.core.errors import InputError
from ionsmith.core.records import BoolArray, FloatArray, Value
from ionsmith.objective.spec import Target


def loss(target: Target, value: Value) -> float:
    """Return a number that falls as a value gets better, in the unit of its quantity.

    An open end gives the direction: with a lower limit alone more is better, with an upper limit alone less is. With
    both it is the distance from the range, zero inside.

    Args:
        target: wanted range.
        value: what is known; its best estimate counts.
    """
    if target.high is None:
        return -value.mean
    if target.low is None:
        return value.mean
    return max(target.low - value.mean, value.mean - target.high, 0.0)


def non_dominated(losses: FloatArray) -> BoolArray:
    """Return which points no other point beats: none is at least as good in all columns and better in one.

    Equal points do not beat each other, so both stay.

    Args:
        losses: one row per point, one column per objective, smaller is better; shape (n, k).

    Raises:
        InputError: not two-dimensional, or a number that is not finite.
    """
    if losses.ndim != 2 or not np.isfinite(losses).all():
        raise InputError(f"expected finite losses of shape (n, k), got shape {losses.shape}")
    front = np.ones(len(losses), dtype=bool)
    for place, own in enumerate(losses):
        front[place] = not ((losses <= own).all(axis=1) & (losses < own).any(axis=1)).any()
    return front


def pareto_front(targets: Mapping[str, Target], values: Sequence[Mapping[str, Value]]) -> BoolArray:
    """Return which candidates are on the front over the given targets; shape (n,).

    A candidate that lacks a value of any of them is not on it, and beats nobody.

    Args:
        targets: quantity name to wanted range.
        values: of each candidate, by quantity name; n candidates.
    """
    front = np.zeros(len(values), dtype=bool)
    complete = [place for place, known in enumerate(values) if targets and all(name in known for name in targets)]
    if complete:
        losses = [[loss(target, values[place][name]) for name, target in targets.items()] for place in complete]
        front[complete] = non_dominated(np.array(losses, dtype=float))
    return front
