"""The maps of a finished run as plotly figures; the page and any notebook use the same ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from ionsmith.core.quantities import quantity
from ionsmith.core.results import Row, RunResult
from ionsmith.objective.spec import Target
from ionsmith.report import words
from ionsmith.report.comparison import CONDUCTIVITY, agreement, measured_against_predicted
from ionsmith.report.labels import WIDE, place_labels
from ionsmith.report.payload import standing
from ionsmith.report.style import BLUE, GREY, MOST_BARS, ORANGE, SKY, axis_title, dress, hover, linked, points

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

__all__ = [
    "agreement",
    "classes",
    "conductivity_against_hull",
    "grouped_by",
    "measured_against_predicted",
    "outcome_by_family",
    "target_map",
]

HULL = "energy_above_hull"
_CLASSES = (
    ("rejected", "rejected", GREY, "x-thin-open"),
    ("failed", "failed", GREY, "asterisk-open"),
    ("ok", "misses or lacks a target", ORANGE, "circle-open"),
    ("feasible", "meets every target", BLUE, "circle"),
)
MOST_POINTS = 2000
"""How many candidates a map shows, from the top of the table: more would only blacken it."""

_MOST_LABELS = 8
View = tuple[list[float], list[float]]


def target_map(result: RunResult, x: str = HULL, y: str = CONDUCTIVITY) -> Figure | None:
    """Return two quantities of all candidates with the wanted region shaded, or None where no candidate has both.

    Args:
        result: the finished run.
        x: quantity along the horizontal axis.
        y: quantity along the vertical axis.

    Raises:
        InputError: an unknown quantity.
    """
    import plotly.graph_objects as go

    quantity(x, where="target_map: x")
    quantity(y, where="target_map: y")
    known = [(row, name) for row, name in linked(result) if x in row.outcome.values and y in row.outcome.values]
    known = known[:MOST_POINTS]
    if not known:
        return None
    figure = go.Figure()
    goals = words.targets(result)
    for entry in classes(result):
        group = [(row, name) for row, name in known if entry["kind"] in ("", standing(row))]
        if group:
            across, up = ([row.outcome.values[name] for row, _ in group] for name in (x, y))
            # in a crowd only the winners keep their bars
            bars = len(known) <= MOST_BARS or (entry["symbol"] == "circle" and len(group) <= 2 * MOST_BARS)
            texts = [hover(row, (x, y)) for row, _ in group]
            figure.add_trace(points(group, across, up, texts=texts, look=entry, bars=bars))
    dress(figure)
    figure.update_xaxes(title_text=axis_title(x))
    figure.update_yaxes(title_text=axis_title(y))
    rows = [row for row, _ in known]
    view = view_of(rows, x, y, goals)
    figure.update_xaxes(range=view[0])
    figure.update_yaxes(range=view[1])
    shade(figure, goals.get(x), goals.get(y), view)
    seen = [row for row in rows if _inside(_spot(row, (x, y)), view)]
    winners = [row for row in seen if standing(row) == "feasible"][:_MOST_LABELS]
    label_points(figure, winners, seen, (x, y), view)
    return figure


def classes(result: RunResult) -> list[dict[str, str]]:
    """Return kind, label, colour and marker of the classes of points on a target map, in drawing order."""
    keys = ("kind", "label", "color", "symbol")
    if not words.targets(result):
        return [dict(zip(keys, ("", "candidates", BLUE, "circle"), strict=True))]
    return [dict(zip(keys, entry, strict=True)) for entry in _CLASSES]


def conductivity_against_hull(result: RunResult) -> Figure | None:
    """Return log10 conductivity over energy above hull, or None where no candidate has both."""
    return target_map(result, HULL, CONDUCTIVITY)


def outcome_by_family(result: RunResult) -> Figure | None:
    """Return stacked bars of how the candidates of each family ended, or None for fewer than two groups.

    Families come from the sources; where most candidates have none, the chemistry of the anion stands in.

    Args:
        result: the finished run.
    """
    import plotly.graph_objects as go

    readable = [row for row in result.rows if row.outcome.candidate.formula]
    group_of = words.family if grouped_by(result) == "family" else words.anion_class
    groups: dict[str, list[str]] = {}
    for row in readable:
        groups.setdefault(group_of(row) or "no family given", []).append(standing(row))
    if len(groups) < 2:
        return None
    names = sorted(groups, key=lambda name: (groups[name].count("feasible"), len(groups[name]), name))[-20:]
    figure = go.Figure()
    bars = (("feasible", "meets every target", BLUE, ""), ("ok", "misses or lacks a target", SKY, ""))
    for kind, label, color, shape in (*bars, ("rejected", "rejected", GREY, "/"), ("failed", "failed", ORANGE, "x")):
        counts = [groups[name].count(kind) for name in names]
        if any(counts):
            label = "answered" if kind == "ok" and not words.targets(result) else label
            figure.add_bar(
                y=[escape(name) for name in names],
                x=counts,
                name=label,
                orientation="h",
                marker={
                    "color": color,
                    "pattern": {
                        "shape": shape,
                        "fillmode": "overlay",
                        "fgcolor": "#ffffff",
                        "fgopacity": 0.8,
                        "size": 6,
                    },
                },
                hovertemplate="%{y}: %{x} " + label + "<extra></extra>",
            )
    dress(figure)
    figure.update_layout(barmode="stack", height=150 + 26 * len(names), margin={"l": 10, "t": 90})
    figure.update_layout(legend={"traceorder": "normal"}, showlegend=True)
    figure.update_xaxes(title_text="Candidates", rangemode="tozero", tickformat="d", **_whole_ticks(groups))
    figure.update_yaxes(automargin=True, showgrid=False)
    return figure


def _whole_ticks(groups: dict[str, list[str]]) -> dict[str, int]:
    # left alone, a short axis gets ticks at halves, which the format would then round
    return {"dtick": 1} if max(map(len, groups.values())) <= 8 else {}


def grouped_by(result: RunResult) -> str:
    """Return ``family`` where most candidates name one, and ``anion`` elsewhere."""
    readable = [row for row in result.rows if row.outcome.candidate.formula]
    return "family" if 2 * sum(bool(words.family(row)) for row in readable) > len(readable) else "anion"


def view_of(rows: Sequence[Row], x: str, y: str, goals: Mapping[str, Target]) -> View:
    """Return the range of each axis that shows candidates and targets, without far outliers that miss a target.

    Args:
        rows: with values of both quantities.
        x: quantity along the horizontal axis.
        y: quantity along the vertical axis.
        goals: quantity name to target.
    """
    return _range(rows, x, goals.get(x)), _range(rows, y, goals.get(y))


def _range(rows: Sequence[Row], name: str, target: Target | None) -> list[float]:
    # one melted relaxation must not squeeze everything else into a corner: zooming out shows it
    means = [row.outcome.values[name].mean for row in rows]
    spread = np.quantile(means, [0.02, 0.98]) if len(means) > 20 else np.array([min(means), max(means)])
    limits = [row.outcome.values[name].mean for row in rows if standing(row) == "feasible"]
    limits += [end for end in (target.low, target.high) if end is not None] if target else []
    low, high = min([float(spread[0]), *limits]), max([float(spread[1]), *limits])
    margin = 0.1 * (high - low) or 0.1 * abs(high) or 1.0
    return [low - margin, high + margin]


def shade(figure: Figure, across: Target | None, up: Target | None, view: View) -> None:
    """Shade the wanted region; nothing where neither axis has a target.

    Args:
        figure: changed in place.
        across: target of the horizontal axis.
        up: target of the vertical axis.
        view: ranges of the axes.
    """
    if across is None and up is None:
        return
    (x0, x1), (y0, y1) = (_ends(target, span) for target, span in zip((across, up), view, strict=True))
    figure.add_shape(
        type="rect",
        layer="below",
        line={"color": BLUE, "width": 1, "dash": "dot"},
        fillcolor="rgba(0,114,178,.09)",
        **{"x0": x0, "x1": x1, "y0": y0, "y1": y1},
    )


def _ends(target: Target | None, view: list[float]) -> tuple[float, float]:
    far = 2.0 * (view[1] - view[0])
    low = view[0] - far if target is None or target.low is None else target.low
    high = view[1] + far if target is None or target.high is None else target.high
    return low, high


def label_points(
    figure: Figure,
    named: Sequence[Row],
    rows: Sequence[Row],
    axes: tuple[str, str],
    view: View,
    *,
    size: tuple[float, float] = WIDE,
) -> None:
    """Name points where there is room and they are in view.

    Args:
        figure: changed in place.
        named: rows to name, with values of both quantities.
        rows: all that are drawn; the names should not cover their points.
        axes: quantities along the horizontal and the vertical axis.
        view: ranges of the axes.
        size: width and height of the plotting area, pixel.
    """
    kept = [row for row in named if _inside(_spot(row, axes), view)]
    spots = [_spot(row, axes) for row in kept]
    mine = set(map(id, kept))
    obstacles = [_spot(row, axes) for row in rows if id(row) not in mine]
    texts = [words.label_of(row) for row in kept]
    offsets = place_labels(spots, texts, view, obstacles, size=size)
    for text, spot, offset in zip(texts, spots, offsets, strict=True):
        if offset is not None:
            figure.add_annotation(
                x=spot[0],
                y=spot[1],
                ax=offset[0],
                ay=offset[1],
                text=words.formula_markup(text),
                font={"size": 12},
                **{"showarrow": True, "arrowhead": 0, "arrowwidth": 1, "arrowcolor": GREY, "standoff": 5},
            )


def _spot(row: Row, axes: tuple[str, str]) -> tuple[float, float]:
    return row.outcome.values[axes[0]].mean, row.outcome.values[axes[1]].mean


def _inside(spot: Sequence[float], view: View) -> bool:
    return all(low <= n <= high for n, (low, high) in zip(spot, view, strict=True))
