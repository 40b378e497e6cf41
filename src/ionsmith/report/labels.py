"""Places names beside points of a figure so that they cover neither each other nor other points."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
WIDE, NARROW = (580.0, 360.0), (345.0, 340.0)
"""Plotting areas of figures in the wide and in the narrow column of the page, pixel."""

_CHARACTER, _LINE = 6.6, 17.0  # size of a character, pixel
_MARKER = np.array([6.0, 6.0])  # half a marker, pixel
_RINGS = (22.0, 34.0, 48.0, 70.0, 100.0, 140.0)  # lengths of leaders, pixel
_CROWDED = 0.25  # a label that would lie this much over others is left out: pointing at the point still names it
# never straight up, down or across: the leader would hide in an error bar
_DIRECTIONS = ((1.0, -0.6), (-1.0, -0.6), (1.0, 0.6), (-1.0, 0.6), (0.5, -1.0), (-0.5, -1.0), (0.5, 1.0), (-0.5, 1.0))
_STEPS = np.array([(dx * ring, dy * ring) for ring in _RINGS for dx, dy in _DIRECTIONS])
_LENGTHS = np.repeat(_RINGS, len(_DIRECTIONS))  # a longer leader must save covering as many square pixels


def place_labels(
    spots: Sequence[Sequence[float]],
    texts: Sequence[str],
    view: tuple[list[float], list[float]],
    others: Sequence[Sequence[float]] = (),
    *,
    size: tuple[float, float] = WIDE,
) -> list[tuple[float, float] | None]:
    """Return for each point the offset of its label's centre, pixel, right and down, or None where there is no room.

    Greedy: each label takes the place that covers least, the nearest of equals.

    Args:
        spots: points in data units, each (x, y).
        texts: one label per point.
        view: shown range of x and of y, data units.
        others: further points that labels should not cover.
        size: width and height of the plotting area, pixel.
    """
    centres = _shares([*spots, *others], view) * size
    markers, labels = np.hstack([centres - _MARKER, centres + _MARKER]), np.empty((0, 4))
    offsets: list[tuple[float, float] | None] = []
    for centre, text in zip(centres, texts, strict=False):
        half = np.array([0.5 * _CHARACTER * len(text) + 2, 0.5 * _LINE])
        places = _STEPS + np.sign(_STEPS) * [0.8 * half[0], 0.0]
        boxes = np.hstack([centre + places - half, centre + places + half])
        outside = 4.0 * half.prod() - _covered(boxes, np.array([[0.0, 0.0, *size]]))
        covered = _covered(boxes, markers) + 3.0 * (_covered(boxes, labels) + outside)
        best = int(np.argmin(covered + _LENGTHS))
        room = covered[best] <= _CROWDED * 4.0 * half.prod()
        offsets.append((float(places[best, 0]), float(places[best, 1])) if room else None)
        if room:
            labels = np.vstack([labels, boxes[best]])
    return offsets


def _shares(spots: Sequence[Sequence[float]], view: tuple[list[float], list[float]]) -> Array:
    """Return how far right and down points lie, in widths and heights of the view."""
    (x0, x1), (y0, y1) = view
    x, y = np.asarray(spots, dtype=float).reshape(-1, 2).T
    return np.column_stack([(x - x0) / (x1 - x0), (y1 - y) / (y1 - y0)])


def _covered(boxes: Array, taken: Array) -> Array:
    """Return the area of each box under those taken, square pixels; boxes are (left, top, right, bottom)."""
    low = np.maximum(boxes[:, None, :2], taken[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], taken[None, :, 2:])
    area: Array = np.maximum(high - low, 0.0).prod(axis=2).sum(axis=1)
    return area
