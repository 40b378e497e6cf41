"""Figures of an evaluation as plotly figures: parity, calibration, residuals by family; made from its document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from ionsmith.report.style import BLUE, GREY, ORANGE, SKY, dress
from ionsmith.report.words import formula_markup, number

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

MOST_POINTS = 3000
"""Rows that a figure draws; more are thinned evenly, and the caption says so."""

_MOST_FAMILIES = 24
_BARS = 150  # rows up to which error bars can be told apart
_FEWEST_IN_FAMILY = 2

Document = Mapping[str, Any]
RowDocument = Mapping[str, Any]


def parity(document: Document, part: str) -> Figure | None:
    """Return predictions over measurements with the parity line; None without rows.

    Args:
        document: the evaluation.
        part: ``shipped`` or ``refit``.
    """
    import plotly.graph_objects as go

    rows = thinned([row for row in document["rows"] if part in row])
    if not rows:
        return None
    figure = go.Figure()
    ends = [x for row in rows for x in (row["measured"], row[part]["mean"])]
    margin = 0.05 * (max(ends) - min(ends)) or 1.0
    low, high = min(ends) - margin, max(ends) + margin
    line = {"color": GREY, "width": 1.2, "dash": "dash"}
    figure.add_trace(
        go.Scatter(x=[low, high], y=[low, high], mode="lines", line=line, name="parity", hoverinfo="skip")
    )
    for label, look, chosen in _groups(rows, part):
        if chosen:
            figure.add_trace(
                _points(chosen, part, label=label, look=look, bars=len(rows) <= _BARS, document=document)
            )
    dress(figure)
    figure.update_xaxes(title_text=f"Measured, {document['unit']}", range=[low, high])
    figure.update_yaxes(title_text=f"Predicted, {document['unit']}", range=[low, high])
    return figure


def calibration(document: Document) -> Figure | None:
    """Return observed over nominal coverage of central intervals; None where no spread was judged.

    Args:
        document: the evaluation.
    """
    import plotly.graph_objects as go

    curves = [(label, part["calibration"]) for label, part in _parts(document) if part.get("calibration")]
    if not curves:
        return None
    figure = go.Figure()
    line = {"color": GREY, "width": 1.2, "dash": "dash"}
    figure.add_trace(go.Scatter(x=[0, 100], y=[0, 100], mode="lines", line=line, name="ideal", hoverinfo="skip"))
    looks = ((BLUE, "circle", "solid"), (ORANGE, "diamond", "dot"))
    for (label, curve), (color, symbol, dash) in zip(curves, looks, strict=False):
        figure.add_trace(
            go.Scatter(
                x=[100 * point["nominal"] for point in curve],
                y=[100 * point["observed"] for point in curve],
                mode="lines+markers",
                name=label,
                line={"color": color, "dash": dash, "width": 1.8},
                marker={"color": color, "symbol": symbol, "size": 6},
                hovertemplate="stated %{x:.0f} %, found %{y:.0f} %<extra></extra>",
            )
        )
    dress(figure)
    figure.update_xaxes(title_text="Stated interval, %", range=[0, 100], dtick=25)
    figure.update_yaxes(title_text="Measured values inside, %", range=[0, 100], dtick=25)
    return figure


def residuals(document: Document, part: str) -> Figure | None:
    """Return predicted minus measured per family, largest families first; None where fewer than two have a name.

    Args:
        document: the evaluation.
        part: ``shipped`` or ``refit``.
    """
    import plotly.graph_objects as go

    rows = [row for row in document["rows"] if part in row and row.get("family") and not row[part].get("seen")]
    names = [str(row["family"]) for row in rows]
    families = sorted({f for f in names if names.count(f) >= _FEWEST_IN_FAMILY}, key=lambda f: (-names.count(f), f))
    families = families[:_MOST_FAMILIES]
    if len(families) < 2:
        return None
    figure = go.Figure()
    for family in reversed(families):
        mine = [row for row, name in zip(rows, names, strict=True) if name == family]
        error = [row[part]["mean"] - row["measured"] for row in mine]
        figure.add_trace(
            go.Box(
                x=error,
                name=f"{escape(family)} ({len(mine)})",
                orientation="h",
                boxpoints="all",
                jitter=0.5,
                pointpos=0,
                text=[_hover(row, part, document) for row in mine],
                hovertemplate="%{text}<extra></extra>",
                marker={"color": BLUE, "size": 5, "opacity": 0.55},
                line={"color": BLUE, "width": 1.2},
                fillcolor="rgba(86,180,233,.14)",
                showlegend=False,
            )
        )
    dress(figure)
    figure.update_layout(height=max(320, 110 + 30 * len(families)), margin={"l": 150, "r": 16, "t": 16, "b": 58})
    figure.update_xaxes(title_text=f"Predicted minus measured, {document['unit']}", zeroline=True, zerolinecolor=GREY)
    figure.update_yaxes(showgrid=False, automargin=True)
    return figure


def thinned(rows: Sequence[RowDocument]) -> list[RowDocument]:
    """Return at most ``MOST_POINTS`` rows, evenly taken.

    Args:
        rows: in the order of the table.
    """
    if len(rows) <= MOST_POINTS:
        return list(rows)
    return [rows[int(k)] for k in np.linspace(0, len(rows) - 1, MOST_POINTS)]


def _parts(document: Document) -> list[tuple[str, Mapping[str, Any]]]:
    found: list[tuple[str, Mapping[str, Any]]] = []
    if "shipped" in document:
        found.append(("shipped weights, unseen rows", document["shipped"]["unseen"]))
    if "refit" in document:
        found.append(("refitted, rows kept out", next(iter(document["refit"]["models"].values()))))
    return found


def _groups(rows: Sequence[RowDocument], part: str) -> list[tuple[str, dict[str, str], list[RowDocument]]]:
    def kind(row: RowDocument) -> str:
        if row[part].get("seen"):
            return "in training"
        if row["bound"] != "exact":
            return "measured as a limit only"
        return "in domain" if row[part]["in_domain"] else "out of domain"

    looks = {
        "in training": {"color": GREY, "symbol": "x-thin-open"},
        "measured as a limit only": {"color": SKY, "symbol": "triangle-left-open"},
        "out of domain": {"color": ORANGE, "symbol": "diamond-open"},
        "in domain": {"color": BLUE, "symbol": "circle"},
    }
    return [(label, look, [row for row in rows if kind(row) == label]) for label, look in looks.items()]


def _points(
    rows: Sequence[RowDocument], part: str, *, label: str, look: Mapping[str, str], bars: bool, document: Document
) -> Any:
    import plotly.graph_objects as go

    r, g, b = (int(look["color"][i : i + 2], 16) for i in (1, 3, 5))
    errors = {
        "array": [row[part]["std"] for row in rows],
        "visible": bars,
        "color": f"rgba({r},{g},{b},.3)",
        "thickness": 1,
        "width": 0,
    }
    return go.Scatter(
        x=[row["measured"] for row in rows],
        y=[row[part]["mean"] for row in rows],
        error_y=errors,
        text=[_hover(row, part, document) for row in rows],
        hovertemplate="%{text}<extra></extra>",
        mode="markers",
        name=label,
        marker={
            "color": look["color"],
            "symbol": look["symbol"],
            "size": 7,
            "line": {"width": 1.4, "color": look["color"]},
        },
    )


def _hover(row: RowDocument, part: str, document: Document) -> str:
    sign = {"exact": "", "upper": "≤ ", "lower": "≥ "}[row["bound"]]
    answer = row[part]
    lines = [
        f"<b>{formula_markup(row['formula'])}</b>",
        f"measured {sign}{number(row['measured'])} {document['unit']}",
        f"predicted {number(answer['mean'])} ± {number(answer['std'])}",
        escape(str(row["input"])[-60:]),
    ]
    return "<br>".join(lines)
