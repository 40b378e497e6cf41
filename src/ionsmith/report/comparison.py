"""Predictions against measurements: the figure, the error and the rank correlation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ionsmith.core.quantities import quantity
from ionsmith.core.records import Bound, Value
from ionsmith.core.results import Row, RunResult
from ionsmith.report import words
from ionsmith.report.style import BLUE, GREY, MOST_BARS, ORANGE, dress, hover, linked, points

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

CONDUCTIVITY = "log10_conductivity"
_LOOKS = (
    {"label": "in domain", "color": BLUE, "symbol": "circle"},
    {"label": "out of domain", "color": ORANGE, "symbol": "diamond-open"},
    {"label": "measured as a limit only", "color": GREY, "symbol": "triangle-left-open"},
)


@dataclass(frozen=True)
class Agreement:
    """How predictions compare with measurements.

    Attributes:
        n: number of materials with both.
        limits: number of further materials whose measurement is only a limit; they enter neither figure.
        mae: mean absolute error, in the unit of the quantity.
        spearman: rank correlation; None for fewer than three materials or constant values.
        training: one sentence on whether the models had seen these materials.
    """

    n: int
    limits: int
    mae: float
    spearman: float | None
    training: str


def measured_against_predicted(result: RunResult, name: str = CONDUCTIVITY) -> Figure | None:
    """Return predictions over measurements with the parity line, or None where nothing is measured.

    Args:
        result: the finished run.
        name: quantity to compare.

    Raises:
        InputError: an unknown quantity.
    """
    import plotly.graph_objects as go

    label = quantity(name, where="measured_against_predicted").label
    known = [(row, link) for row, link in linked(result) if _pair(row, name)]
    if not known:
        return None
    ends = [value.mean for row, _ in known for value in _pair(row, name) or ()]
    margin = 0.06 * (max(ends) - min(ends)) or 1.0
    low, high = min(ends) - margin, max(ends) + margin
    figure = go.Figure()
    _parity(figure, low, high, band=1.0 if name == CONDUCTIVITY else 0.0)
    for look in _LOOKS:
        group = [(row, link) for row, link in known if _kind(row, name) == look["label"]]
        if group:
            x, y = zip(*(pair for row, _ in group if (pair := _pair(row, name))), strict=True)
            texts = [
                f"{hover(r, [name])}<br>measured: {words.value_text(v)}" for (r, _), v in zip(group, x, strict=True)
            ]
            figure.add_trace(points(group, x, y, texts=texts, look=look, bars=len(known) <= 2 * MOST_BARS))
    dress(figure)
    figure.update_xaxes(title_text=f"Measured {label}", range=[low, high])
    figure.update_yaxes(title_text=f"Predicted {label}", range=[low, high], scaleanchor="x", constrain="domain")
    return figure


def agreement(result: RunResult, name: str = CONDUCTIVITY) -> Agreement | None:
    """Return error and rank correlation of predictions against measurements, or None where nothing is measured.

    Args:
        result: the finished run.
        name: quantity to compare.
    """
    from scipy.stats import spearmanr

    every = [row for row in result.rows if _pair(row, name)]
    rows = [row for row in every if not _is_limit(row, name)]
    if not rows:
        return None
    pairs = np.array([[value.mean for value in _pair(row, name) or ()] for row in rows])
    varied = len(rows) > 2 and all(np.ptp(column) > 0.0 for column in pairs.T)
    rho = float(spearmanr(pairs[:, 0], pairs[:, 1]).statistic) if varied else None
    error = float(np.abs(pairs[:, 0] - pairs[:, 1]).mean())
    return Agreement(len(rows), len(every) - len(rows), error, rho, _training(rows))


def _pair(row: Row, name: str) -> tuple[Value, Value] | None:
    fact, value = words.measured(row, name), row.outcome.values.get(name)
    # a model that only repeats the measurement is no comparison
    if fact is None or value is None or value.method == "measured":
        return None
    return fact, value


def _is_limit(row: Row, name: str) -> bool:
    fact = words.measured(row, name)
    return fact is not None and fact.bound is not Bound.EXACT


def _kind(row: Row, name: str) -> str:
    if _is_limit(row, name):
        return "measured as a limit only"
    return "out of domain" if row.outcome.values[name].in_domain is False else "in domain"


def _training(rows: Sequence[Row]) -> str:
    flags = [found.get("in_training") for row in rows for found in row.outcome.details.values()]
    said = [flag for flag in flags if isinstance(flag, bool)]
    if not said:
        return (
            "The record does not say whether these materials were in the training data; where they were, "
            "the agreement is flattering."
        )
    rest = f"; for {len(rows) - len(said)} the record does not say" if len(said) < len(rows) else ""
    return f"{sum(said)} of these {len(rows)} materials were in the training data of the model{rest}."


def _parity(figure: Figure, low: float, high: float, *, band: float) -> None:
    import plotly.graph_objects as go

    if band:
        corners = [(low, low - band), (high, high - band), (high, high + band), (low, low + band)]
        x, y = zip(*corners, strict=True)
        fill = {"fill": "toself", "fillcolor": "rgba(86,180,233,.16)", "line": {"width": 0}}
        figure.add_trace(go.Scatter(x=x, y=y, mode="lines", name="within ±1 decade", hoverinfo="skip", **fill))
    line = {"color": GREY, "width": 1.2, "dash": "dash"}
    figure.add_trace(
        go.Scatter(x=[low, high], y=[low, high], mode="lines", line=line, name="parity", hoverinfo="skip")
    )
