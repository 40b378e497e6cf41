"""What all figures share: colours, markers, axes and what a point says when it is pointed at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from ionsmith.core.quantities import QUANTITIES
from ionsmith.core.records import Value
from ionsmith.core.results import Row, RunResult
from ionsmith.report import words

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

# Okabe and Ito's colours: told apart with any common colour blindness; every class also has its own marker
BLUE, ORANGE, SKY, GREY = "#0072b2", "#d55e00", "#56b4e9", "#8a9099"
HEIGHT = 460
MOST_BARS = 60
_FONT = "'Segoe UI', 'Helvetica Neue', 'Liberation Sans', system-ui, sans-serif"

Linked = tuple[Row, str]
"""A row and its address on the page."""


def linked(result: RunResult) -> list[Linked]:
    """Return every row with its address on the page."""
    return list(zip(result.rows, words.row_ids(result), strict=True))


def points(
    group: Sequence[Linked],
    x: Sequence[Value],
    y: Sequence[Value],
    *,
    texts: Sequence[str],
    look: Mapping[str, str],
    bars: bool,
) -> Any:
    """Return a plotly trace of points with error bars.

    Args:
        group: rows and addresses, one per point.
        x: values along the horizontal axis, one per point.
        y: values along the vertical axis, one per point.
        texts: what each point says when it is pointed at, as safe HTML.
        look: ``label``, ``color`` and ``symbol`` of the trace.
        bars: whether to draw error bars.
    """
    import plotly.graph_objects as go

    color, symbol = look["color"], look["symbol"]
    return go.Scatter(
        x=[value.mean for value in x],
        y=[value.mean for value in y],
        error_x=_errors(x, color, shown=bars),
        error_y=_errors(y, color, shown=bars),
        customdata=[link for _, link in group],
        text=list(texts),
        hovertemplate="%{text}<extra></extra>",
        mode="markers",
        name=look["label"],
        marker={"color": color, "symbol": symbol, "size": 10 if symbol == "circle" else 8, "line": {"width": 1.5}},
    )


def _errors(values: Sequence[Value], color: str, *, shown: bool) -> dict[str, Any]:
    r, g, b = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    spread = [value.std for value in values]
    faint = f"rgba({r},{g},{b},{0.45 if color == BLUE else 0.26})"
    return {"array": spread, "visible": shown and any(spread), "color": faint, "thickness": 1, "width": 0}


def hover(row: Row, names: Sequence[str]) -> str:
    """Return what a row's values are, as safe HTML for plotly.

    Args:
        row: the finished row.
        names: quantities to state; the row has them.
    """
    lines = [f"<b>{words.formula_markup(words.label_of(row))}</b>"]
    for name in names:
        value, known = row.outcome.values[name], QUANTITIES[name]
        unit = "" if known.unit.startswith("log10") else f" {known.unit}"
        flag = ", out of domain" if value.in_domain is False else ""
        lines.append(f"{known.label}: {words.value_text(value)}{unit} ({escape(value.method)}{flag})")
    return "<br>".join(lines)


def axis_title(name: str) -> str:
    """Return what an axis of a quantity says: its label and unit."""
    known = QUANTITIES[name]
    return known.label if known.unit.startswith("log10") else f"{known.label}, {known.unit}"


def dress(figure: Figure) -> None:
    """Give a figure the common look; the page replaces ink and grid colours in the dark.

    Args:
        figure: changed in place.
    """
    figure.update_layout(
        template="none",
        height=HEIGHT,
        margin={"l": 64, "r": 16, "t": 50, "b": 58},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": _FONT, "size": 13, "color": "#3a4048"},
        hoverlabel={"bgcolor": "#20262d", "bordercolor": "#20262d", "font": {"color": "#ffffff"}, "align": "left"},
        legend={"orientation": "h", "x": 0, "y": 1.0, "yanchor": "bottom"},
        hovermode="closest",
        modebar={"bgcolor": "rgba(0,0,0,0)", "color": GREY, "activecolor": BLUE},
    )
    line = {"gridcolor": "#e6e8eb", "linecolor": "#8a9099", "showline": True, "zeroline": False, "ticks": "outside"}
    line |= {"title": {"font": {"size": 14}, "standoff": 10}}
    figure.update_xaxes(**line)
    figure.update_yaxes(**line)
