"""Places names beside points of a figure so that they cover neither each other nor other points."""

from __future__ import annotations

from collections.abc import Sequence

Box = tuple[float, float, float, float]
_WIDTH, _HEIGHT = 580.0, 360.0  # plotting area of the figure, pixel
_CHARACTER, _LINE = 6.6, 17.0  # size of a character, pixel
_RINGS = (22.0, 34.0, 48.0)
_CROWDED = 0.25  # a label that would lie this much over others is left out: pointing at the point still names it
# never straight up, down or across: the leader would hide in an error bar
_DIRECTIONS = ((1.0, -0.6), (-1.0, -0.6), (1.0, 0.6), (-1.0, 0.6), (0.5, -1.0), (-0.5, -1.0), (0.5, 1.0), (-0.5, 1.0))


def place_labels(
    spots: Sequence[Sequence[float]],
    texts: Sequence[str],
    view: tuple[list[float], list[float]],
    others: Sequence[Sequence[float]] = (),
) -> list[tuple[float, float] | None]:
    """Return for each point the offset of its label's centre, pixel, right and down, or None where there is no room.

    Greedy: each label takes the nearest free place.

    Args:
        spots: points in data units, each (x, y).
        texts: one label per point.
        view: shown range of x and of y, data units.
        others: further points that labels should not cover.
    """
    centres = [_pixel(spot, view) for spot in spots]
    taken: list[Box] = [(x - 6, y - 6, x + 6, y + 6) for x, y in [*centres, *(_pixel(o, view) for o in others)]]
    offsets: list[tuple[float, float] | None] = []
    for (x, y), text in zip(centres, texts, strict=True):
        half = (0.5 * _CHARACTER * len(text) + 2, 0.5 * _LINE)
        places = [(dx * r + _side(dx) * half[0] * 0.8, dy * r) for r in _RINGS for dx, dy in _DIRECTIONS]
        best = min(places, key=lambda place: _cost((x + place[0], y + place[1]), half, taken))
        centre = (x + best[0], y + best[1])
        room = _cost(centre, half, taken) <= _CROWDED * 4.0 * half[0] * half[1]
        offsets.append(best if room else None)
        if room:
            taken.append(_box(centre, half))
    return offsets


def _side(direction: float) -> float:
    return (direction > 0) - (direction < 0)


def _pixel(spot: Sequence[float], view: tuple[list[float], list[float]]) -> tuple[float, float]:
    (x0, x1), (y0, y1) = view
    return (spot[0] - x0) / (x1 - x0) * _WIDTH, (y1 - spot[1]) / (y1 - y0) * _HEIGHT


def _box(centre: tuple[float, float], half: tuple[float, float]) -> Box:
    return centre[0] - half[0], centre[1] - half[1], centre[0] + half[0], centre[1] + half[1]


def _cost(centre: tuple[float, float], half: tuple[float, float], taken: Sequence[Box]) -> float:
    box = _box(centre, half)
    covered = sum(_overlap(box, other) for other in taken)
    frame = (0.0, 0.0, _WIDTH, _HEIGHT)
    outside = 4.0 * half[0] * half[1] - _overlap(box, frame)
    return covered + 3.0 * outside


def _overlap(first: Box, second: Box) -> float:
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    return max(0.0, width) * max(0.0, height)
