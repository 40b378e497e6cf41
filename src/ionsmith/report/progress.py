"""Learning curves: what the proposals of a run were worth, in the order in which they were asked for."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from ionsmith.core.records import FloatArray
from ionsmith.core.results import Row, RunResult
from ionsmith.report import words
from ionsmith.report.payload import standing
from ionsmith.report.style import BLUE, GREY, ORANGE, SKY, dress

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

_WINDOW = 0.1  # of all proposals: the running mean looks back over this share
_SHORTEST = 10  # proposals of the running mean
_MOST_ROUNDS = 12  # more lines between rounds would hide the curve
_HEIGHT = 560
_LOOKS = (
    ("rejected", "rejected or not simulated", GREY, "circle-open"),
    ("failed", "failed", GREY, "x-thin-open"),
    ("ok", "climbed the whole ladder", SKY, "diamond"),
    ("feasible", "meets every target", BLUE, "star"),
)


def asked(result: RunResult) -> list[tuple[Row, str]]:
    """Return scored rows with their addresses on the page, in the order of asking.

    Args:
        result: the finished run.
    """
    rows = zip(result.rows, words.row_ids(result), strict=True)
    return sorted(((row, name) for row, name in rows if row.score is not None), key=lambda pair: pair[0].position)


def running_mean(scores: Sequence[float], window: int) -> FloatArray:
    """Return at each place the mean of the last scores up to and including it; shape (n,).

    Args:
        scores: in order; n of them.
        window: how many count; fewer at the start.
    """
    total = np.concatenate([[0.0], np.cumsum(np.asarray(scores, dtype=float))])
    ends = np.arange(1, len(scores) + 1)
    starts = np.maximum(ends - window, 0)
    mean: FloatArray = (total[ends] - total[starts]) / (ends - starts)
    return mean


def finds(rows: Sequence[Row]) -> tuple[list[int], list[int], list[int]]:
    """Return how many rows so far meet every target, how many of these are not known, and their chemical systems.

    Args:
        rows: in the order of asking.
    """
    met, fresh, systems = 0, 0, set[frozenset[str]]()
    counts: tuple[list[int], list[int], list[int]] = ([], [], [])
    for row in rows:
        if standing(row) == "feasible":
            met += 1
            if row.rediscovery is None:
                fresh += 1
                systems.add(frozenset(element.symbol for element in row.outcome.candidate.composition))
        for column, count in zip(counts, (met, fresh, len(systems)), strict=True):
            column.append(count)
    return counts


def window_of(total: int) -> int:
    """Return over how many proposals the running mean of a run goes.

    Args:
        total: number of proposals.
    """
    return max(_SHORTEST, round(_WINDOW * total))


def learning_curves(result: RunResult) -> Figure | None:
    """Return the score of each proposal with its running mean, and below it what was found so far.

    None for runs that do not propose, and for fewer than three scored proposals.

    Args:
        result: the finished run.
    """
    pairs = asked(result)
    if result.command != "design" or len(pairs) < 3:
        return None
    from plotly.subplots import make_subplots

    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.09, row_heights=[0.6, 0.4])
    _scores(figure, pairs)
    _counts(figure, [row for row, _ in pairs])
    dress(figure)
    # one legend for both parts, above them
    figure.update_layout(height=_HEIGHT, margin={"t": 96}, hovermode="closest")
    figure.update_yaxes(title_text="Score", range=[-0.03, 1.03], row=1, col=1)
    figure.update_yaxes(title_text="Found so far", rangemode="tozero", tickformat="d", row=2, col=1)
    if not any(standing(row) == "feasible" for row, _ in pairs):
        figure.update_yaxes(range=[-0.05, 1.05], dtick=1, row=2, col=1)
        where = {"xref": "x2 domain", "yref": "y2 domain", "x": 0.5, "y": 0.5}
        figure.add_annotation(text="no proposal meets every target", showarrow=False, **where)
    figure.update_xaxes(title_text="Proposal", row=2, col=1)
    # all at once: plotly looks at the whole figure again for each line that it adds
    figure.update_layout(shapes=[_edge(edge, axis) for edge in round_edges(result) for axis in ("y", "y2")])
    return figure


def _edge(after: int, axis: str) -> dict[str, Any]:
    ends = {"type": "line", "x0": after + 0.5, "x1": after + 0.5, "y0": 0, "y1": 1}
    across = "x" if axis == "y" else "x2"
    line = {"color": GREY, "width": 1, "dash": "dot"}
    return {**ends, "xref": across, "yref": f"{axis} domain", "layer": "below", "line": line}


def _scores(figure: Figure, pairs: Sequence[tuple[Row, str]]) -> None:
    for kind, label, color, symbol in _LOOKS:
        group = [(row, name) for row, name in pairs if standing(row) == kind]
        if not group:
            continue
        marker = {"color": color, "symbol": symbol, "size": 5 if color == GREY else 11, "line": {"width": 1}}
        figure.add_scatter(
            x=[row.position + 1 for row, _ in group],
            y=[row.score for row, _ in group],
            customdata=[name for _, name in group],
            text=[_hover(row) for row, _ in group],
            hovertemplate="%{text}<extra></extra>",
            mode="markers",
            name=label,
            marker=marker,
            **_place(1),
        )
    scores = [row.score or 0.0 for row, _ in pairs]
    window = window_of(len(pairs))
    figure.add_scatter(
        x=[row.position + 1 for row, _ in pairs],
        y=running_mean(scores, window),
        mode="lines",
        name=f"mean of the last {window}",
        line={"color": ORANGE, "width": 2},
        hovertemplate="proposal %{x}: mean %{y:.2f}<extra></extra>",
        **_place(1),
    )


def _counts(figure: Figure, rows: Sequence[Row]) -> None:
    labels = ("met so far", "of these not known before", "chemical systems of these")
    styles = (
        {"color": SKY, "width": 7},
        {"color": BLUE, "width": 3},
        {"color": ORANGE, "width": 1.5, "dash": "dash"},
    )
    for counts, label, line in zip(finds(rows), labels, styles, strict=True):
        figure.add_scatter(
            x=[row.position + 1 for row in rows],
            y=counts,
            mode="lines",
            name=label,
            line={**line, "shape": "hv"},
            hovertemplate="proposal %{x}: %{y} " + label + "<extra></extra>",
            **_place(2),
        )


def _place(number: int) -> dict[str, Any]:
    return {"row": number, "col": 1}


def _hover(row: Row) -> str:
    status = row.outcome.note or row.outcome.status.value
    return f"<b>{words.formula_markup(words.label_of(row))}</b><br>score {row.score:.2f}<br>{escape(status[:90])}"


def round_edges(result: RunResult) -> list[int]:
    """Return after which proposals a round ended, the last one left out; none for very many rounds.

    Args:
        result: the finished run.
    """
    budget = result.spec.get("budget") or {}
    rounds, candidates = int(budget.get("rounds", 1)), int(budget.get("candidates", 0))
    share = -(-candidates // max(rounds, 1))
    return list(range(share, len(result.rows), share)) if 1 < rounds <= _MOST_ROUNDS and share else []
