"""The Pareto front over the targets of a run, as one figure per pair of targets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from ionsmith.core.quantities import QUANTITIES
from ionsmith.core.records import Status
from ionsmith.core.results import Row, RunResult
from ionsmith.objective.pareto import loss, non_dominated, pareto_front
from ionsmith.objective.spec import Target
from ionsmith.report import words
from ionsmith.report.figures import label_points, shade, view_of
from ionsmith.report.labels import NARROW
from ionsmith.report.style import BLUE, GREY, ORANGE, SKY, Linked, axis_title, dress, hover, linked, points

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

MOST_OTHERS = 300
"""How many candidates off the front a figure shows of each kind, from the top of the table."""

_MOST_LABELS = 8
_LOOKS = (
    ("rejected", {"label": "rejected on the ladder", "color": GREY, "symbol": "x-thin-open"}),
    ("beaten", {"label": "beaten by another", "color": ORANGE, "symbol": "circle-open"}),
    ("front", {"label": "on the front", "color": BLUE, "symbol": "circle"}),
)


@dataclass(frozen=True)
class Front:
    """Candidates with all wanted values, and which of them nobody beats.

    Attributes:
        targets: the targets that the front is over.
        unknown: targets of which no candidate has a value; they are left out.
        rows: candidates that were simulated, with their addresses on the page.
        kinds: ``front``, ``beaten`` or ``rejected`` for each of them.
        without: how many simulated candidates lack a value, so that they cannot be compared.
    """

    targets: dict[str, Target]
    unknown: tuple[str, ...]
    rows: tuple[Linked, ...]
    kinds: tuple[str, ...]
    without: int


def find_front(result: RunResult) -> Front | None:
    """Return the front among simulated candidates, or None for fewer than two targets or candidates.

    Where nothing climbed a ladder, all candidates that came through count. Rejected ones are shown but beat nobody.

    Args:
        result: the finished run.
    """
    wanted, rungs = words.targets(result), tuple((result.spec.get("ladder") or {}).get("rungs") or ())
    climbed = [pair for pair in linked(result) if pair[0].stage in rungs]
    pool = climbed or [pair for pair in linked(result) if pair[0].outcome.status is Status.OK]
    known = {name: t for name, t in wanted.items() if any(name in row.outcome.values for row, _ in pool)}
    rows = tuple(pair for pair in pool if all(name in pair[0].outcome.values for name in known))
    if len(known) < 2 or len(rows) < 2:
        return None
    alive = [place for place, (row, _) in enumerate(rows) if row.outcome.status is Status.OK]
    best = pareto_front(known, [rows[place][0].outcome.values for place in alive])
    kinds = ["rejected"] * len(rows)
    for place, winner in zip(alive, best, strict=True):
        kinds[place] = "front" if winner else "beaten"
    return Front(known, tuple(n for n in wanted if n not in known), rows, tuple(kinds), len(pool) - len(rows))


def front_pairs(front: Front) -> tuple[tuple[str, str], ...]:
    """Return the pairs of targets to draw, the first one first: across and up.

    Args:
        front: as found.
    """
    return tuple((x, y) for y, x in combinations(front.targets, 2))


def front_figure(front: Front, x: str, y: str) -> Figure:
    """Return the front in two of its quantities, with the best line of these two alone.

    Args:
        front: as found.
        x: target along the horizontal axis.
        y: target along the vertical axis.
    """
    import plotly.graph_objects as go

    figure = go.Figure()
    for kind, look in _LOOKS:
        group = [pair for pair, its in zip(front.rows, front.kinds, strict=True) if its == kind]
        group = group if kind == "front" else group[:MOST_OTHERS]
        if group:
            across, up = ([row.outcome.values[name] for row, _ in group] for name in (x, y))
            names = tuple(front.targets) if kind == "front" else (x, y)
            texts = [hover(row, names) for row, _ in group]
            figure.add_trace(points(group, across, up, texts=texts, look=look, bars=False))
    _best_line(figure, front, x, y)
    dress(figure)
    rows = [row for row, _ in front.rows]
    view = view_of(rows, x, y, front.targets)
    figure.update_xaxes(title_text=axis_title(x), range=view[0])
    figure.update_yaxes(title_text=axis_title(y), range=view[1])
    shade(figure, front.targets.get(x), front.targets.get(y), view)
    named = [row for row, kind in zip(rows, front.kinds, strict=True) if kind == "front"][:_MOST_LABELS]
    label_points(figure, named, rows, (x, y), view, size=NARROW)
    return figure


def caption(front: Front) -> str:
    """Return what the figure shows, in plain words.

    Args:
        front: as found.
    """
    count = front.kinds.count("front")
    over = ", ".join(words.short_label(name) for name in front.targets)
    text = (
        f"{count} of {len(front.rows)} simulated candidates with all values are beaten by no other one in {over} at "
        "once, by best estimate. In two of the quantities a point of the front may look beaten: it is better in "
        "another. The line joins the best of the two shown; the wanted region is shaded."
    )
    if max(map(front.kinds.count, ("beaten", "rejected"))) > MOST_OTHERS:
        text += f" Of the others the first {MOST_OTHERS} of each kind are drawn."
    if front.without:
        text += f" {front.without} more stopped before all values were known."
    if front.unknown:
        text += f" Not compared, because never computed: {', '.join(words.short_label(n) for n in front.unknown)}."
    return text


def pair_label(pair: Sequence[str]) -> str:
    """Return what a pair of axes is called in the choice on the page: up against across.

    Args:
        pair: across and up.
    """
    return f"{QUANTITIES[pair[1]].label} against {words.short_label(pair[0])}"


def _best_line(figure: Figure, front: Front, x: str, y: str) -> None:
    alive = [row for (row, _), kind in zip(front.rows, front.kinds, strict=True) if kind != "rejected"]
    if len(alive) < 2:
        return
    losses = np.array([[loss(front.targets[name], row.outcome.values[name]) for name in (x, y)] for row in alive])
    best: list[Row] = [row for row, kept in zip(alive, non_dominated(losses), strict=True) if kept]
    best.sort(key=lambda row: (row.outcome.values[x].mean, row.outcome.values[y].mean))
    if len(best) > 1:
        figure.add_scatter(
            x=[row.outcome.values[x].mean for row in best],
            y=[row.outcome.values[y].mean for row in best],
            mode="lines",
            name="best of these two",
            line={"color": SKY, "width": 2, "dash": "dot"},
            hoverinfo="skip",
        )
