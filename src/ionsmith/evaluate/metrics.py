"""How good predictions are: error, rank, classification, calibration, and how far to trust these numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from ionsmith.core.errors import InputError
from ionsmith.core.protocols import Rng
from ionsmith.core.records import BoolArray, FloatArray


def mean_absolute_error(predicted: FloatArray, measured: FloatArray) -> float:
    """Return mean |predicted - measured|, in the unit of the quantity; NaN without rows.

    Args:
        predicted: shape (n,).
        measured: shape (n,).

    Raises:
        InputError: shapes that differ.
    """
    return float(np.abs(_difference(predicted, measured)).mean()) if len(measured) else float("nan")


def root_mean_square_error(predicted: FloatArray, measured: FloatArray) -> float:
    """Return the root of the mean squared difference, in the unit of the quantity; NaN without rows.

    Args:
        predicted: shape (n,).
        measured: shape (n,).

    Raises:
        InputError: shapes that differ.
    """
    return float(np.sqrt((_difference(predicted, measured) ** 2).mean())) if len(measured) else float("nan")


def spearman(predicted: FloatArray, measured: FloatArray) -> float:
    """Return the rank correlation, -1 to 1; NaN for fewer than three rows or constant values.

    Args:
        predicted: shape (n,).
        measured: shape (n,).

    Raises:
        InputError: shapes that differ.
    """
    _difference(predicted, measured)
    if len(measured) < 3 or np.ptp(predicted) == 0.0 or np.ptp(measured) == 0.0:
        return float("nan")
    one, two = stats.rankdata(predicted), stats.rankdata(measured)  # spearmanr itself is ten times slower
    return float(np.corrcoef(one, two)[0, 1])


def area_under_curve(score: FloatArray, positive: BoolArray) -> float:
    """Return the chance that a positive row scores above a negative one, ties counting half; NaN without both.

    Args:
        score: shape (n,), higher means more likely positive.
        positive: shape (n,).

    Raises:
        InputError: shapes that differ.
    """
    _difference(score, positive.astype(float))
    ups, downs = int(positive.sum()), int((~positive).sum())
    if not ups or not downs:
        return float("nan")
    ranks = stats.rankdata(score)
    return float((ranks[positive].sum() - ups * (ups + 1) / 2) / (ups * downs))


def accuracy(predicted: FloatArray, measured: FloatArray, threshold: float) -> float:
    """Return the share of rows on the right side of a threshold; NaN without rows.

    Args:
        predicted: shape (n,).
        measured: shape (n,).
        threshold: in the unit of the quantity; a value at it counts as above.

    Raises:
        InputError: shapes that differ.
    """
    _difference(predicted, measured)
    return float(((predicted >= threshold) == (measured >= threshold)).mean()) if len(measured) else float("nan")


def coverage(predicted: FloatArray, std: FloatArray, measured: FloatArray, level: float) -> float:
    """Return the share of measured values inside the central normal interval of a level; NaN without rows.

    Args:
        predicted: means, shape (n,).
        std: standard deviations, shape (n,).
        measured: shape (n,).
        level: nominal share, between 0 and 1.

    Raises:
        InputError: shapes that differ, or a level outside (0, 1).
    """
    if not 0.0 < level < 1.0:
        raise InputError(f"expected a level between 0 and 1, got {level}")
    half = float(special.ndtri(0.5 + level / 2.0))
    inside = np.abs(_difference(predicted, measured)) <= half * std
    return float(inside.mean()) if len(measured) else float("nan")


def bootstrap_interval(
    metric: Callable[[NDArray[np.int64]], float],
    groups: NDArray[np.int64],
    rng: Rng,
    *,
    level: float = 0.9,
    draws: int = 1000,
) -> tuple[float, float]:
    """Return the central interval of a metric when whole groups are drawn with replacement.

    Args:
        metric: takes row numbers, repeats allowed, and returns a number; draws that give NaN are left out.
        groups: group of each row, shape (n,).
        rng: random stream.
        level: nominal share.
        draws: how often to draw.

    Raises:
        InputError: no rows.
    """
    return bootstrap_intervals({"": metric}, groups, rng, level=level, draws=draws)[""]


def bootstrap_intervals(
    figures: Mapping[str, Callable[[NDArray[np.int64]], float]],
    groups: NDArray[np.int64],
    rng: Rng,
    *,
    level: float = 0.9,
    draws: int = 1000,
) -> dict[str, tuple[float, float]]:
    """Return the central interval of several figures from the same draws of whole groups with replacement.

    Args:
        figures: name to what takes row numbers, repeats allowed, and returns a number; draws that give NaN are left
            out, and a figure that is always NaN has the interval (NaN, NaN).
        groups: group of each row, shape (n,).
        rng: random stream.
        level: nominal share.
        draws: how often to draw.

    Raises:
        InputError: no rows.
    """
    if not len(groups):
        raise InputError("expected rows to draw from, got none")
    order = np.argsort(groups, kind="stable")
    _, starts, sizes = np.unique(groups[order], return_index=True, return_counts=True)
    found: dict[str, list[float]] = {name: [] for name in figures}
    for _ in range(draws):
        picked = rng.integers(len(starts), size=len(starts))
        lengths = sizes[picked]
        within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        rows = order[np.repeat(starts[picked], lengths) + within]
        for name, figure in figures.items():
            found[name].append(figure(rows))
    tail = (1.0 - level) / 2.0
    return {name: _quantiles(np.array(values), tail) for name, values in found.items()}


def _quantiles(values: FloatArray, tail: float) -> tuple[float, float]:
    known = values[np.isfinite(values)]
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.quantile(known, [tail, 1.0 - tail])
    return float(low), float(high)


def _difference(one: FloatArray, two: FloatArray) -> FloatArray:
    if one.shape != two.shape or one.ndim != 1:
        raise InputError(f"expected two arrays of one shape (n,), got {one.shape} and {two.shape}")
    return one - two
