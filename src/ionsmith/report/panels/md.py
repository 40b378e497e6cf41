"""Molecular dynamics: the Arrhenius line with its interval, and mean square displacements."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ionsmith.core.physics import BOLTZMANN_EV, ROOM_TEMPERATURE
from ionsmith.core.results import Row
from ionsmith.report.panels import Panel
from ionsmith.report.style import BLUE, GREY, SKY, dress

USES = (
    *("temperatures", "covariance", "log10_prefactor_cm2_s", "carriers_per_cm3", "equilibration_ps", "warnings"),
    *("fitted_temperatures", "activation_energy_interval95_eV", "log10_conductivity_interval95"),
)
_QUANTILE = 1.959964  # of the normal distribution, for 95 %
_HEADER = ("T, K", "D, cm²/s", "95 % interval", "Hops", "Length, ps")


def panel(details: Mapping[str, Any], row: Row) -> Panel | None:
    """Return the pictures of a run, or None where there is none.

    Args:
        details: of the stage ``md``, see :class:`ionsmith.simulate.md.MolecularDynamics`.
        row: the finished row.
    """
    points = details.get("temperatures")
    if not points:
        return None
    figures = (_arrhenius(details, points), _displacements(points))
    return Panel("Molecular dynamics", _words(details), figures, _HEADER, tuple(_row(p) for p in points))


def _words(details: Mapping[str, Any]) -> str:
    limit = details.get("log10_conductivity_upper_limit_only")
    sigma = details.get("log10_conductivity_300K")
    if limit:
        said = f"Hops were too rare for an Arrhenius line: log10 conductivity at 300 K is below {sigma:.1f}."
    else:
        low, high = details.get("log10_conductivity_interval95", (math.nan, math.nan))
        said = f"log10 conductivity at 300 K: {sigma:.2f}, 95 % interval {low:.2f} to {high:.2f} (statistics only)."
    haven = f"Nernst and Einstein with an assumed Haven ratio of {details.get('haven_ratio_assumed', 1.0):g}."
    warnings = "\n\n".join(str(text) for text in details.get("warnings", ()))
    return "\n\n".join(part for part in (f"{said} {haven}", warnings) if part)


def _arrhenius(details: Mapping[str, Any], points: list[Mapping[str, Any]]) -> Any:
    import plotly.graph_objects as go

    figure = go.Figure()
    if not details.get("log10_conductivity_upper_limit_only"):
        coldest, hottest = ROOM_TEMPERATURE, max(p["temperature_K"] for p in points)
        inverse = [1000.0 / hottest + n / 40.0 * (1000.0 / coldest - 1000.0 / hottest) for n in range(41)]
        line, low, high = zip(*(_line(details, x) for x in inverse), strict=True)
        figure.add_trace(go.Scatter(x=inverse, y=high, mode="lines", line_width=0, showlegend=False))
        figure.add_trace(go.Scatter(x=inverse, y=low, mode="lines", line_width=0, fill="tonexty", name="95 %"))
        figure.add_trace(go.Scatter(x=inverse, y=line, mode="lines", line_color=BLUE, name="Arrhenius line"))
    seen = [p for p in points if "diffusivity_cm2_s" in p]
    figure.add_trace(_marks(seen, "D"))
    limits = [p for p in points if "diffusivity_cm2_s" not in p]
    if limits:
        x = [1000.0 / p["temperature_K"] for p in limits]
        y = [math.log10(p["interval95_cm2_s"][1]) for p in limits]
        mark = {"symbol": "triangle-down", "size": 11, "color": GREY}
        figure.add_trace(go.Scatter(x=x, y=y, mode="markers", marker=mark, name="below"))
    dress(figure)
    figure.update_layout(xaxis_title="1000 K / T", yaxis_title="log10 D, cm²/s")
    return figure


def _line(details: Mapping[str, Any], inverse: float) -> tuple[float, float, float]:
    slope = -inverse / (1000.0 * BOLTZMANN_EV)
    (a, b), (_, d) = details["covariance"]
    spread = math.sqrt(max(a + 2.0 * slope * b + slope * slope * d, 0.0)) / math.log(10.0)
    mean = details["log10_prefactor_cm2_s"] + slope * details["activation_energy_eV"] / math.log(10.0)
    return mean, mean - _QUANTILE * spread, mean + _QUANTILE * spread


def _marks(points: list[Mapping[str, Any]], name: str) -> Any:
    import plotly.graph_objects as go

    x = [1000.0 / p["temperature_K"] for p in points]
    y = [math.log10(p["diffusivity_cm2_s"]) for p in points]
    up = [math.log10(p["interval95_cm2_s"][1]) - v for p, v in zip(points, y, strict=True)]
    down = [v - math.log10(max(p["interval95_cm2_s"][0], 1e-12)) for p, v in zip(points, y, strict=True)]
    bars = {"type": "data", "symmetric": False, "array": up, "arrayminus": down}
    return go.Scatter(x=x, y=y, mode="markers", error_y=bars, marker={"color": BLUE, "size": 9}, name=name)


def _displacements(points: list[Mapping[str, Any]]) -> Any:
    import plotly.graph_objects as go

    figure = go.Figure()
    for point in points:
        name = f"{point['temperature_K']:g} K"
        bars = {"type": "data", "array": point["msd_std_A2"], "thickness": 1}
        figure.add_trace(go.Scatter(x=point["lags_ps"], y=point["msd_A2"], error_y=bars, mode="lines", name=name))
        if point["framework_msd_A2"]:
            style = {"dash": "dot", "color": SKY}
            others = go.Scatter(
                x=point["lags_ps"], y=point["framework_msd_A2"], mode="lines", line=style, name=f"{name}, others"
            )
            figure.add_trace(others)
    dress(figure)
    figure.update_layout(xaxis_title="Time lag, ps", yaxis_title="Mean square displacement, Å²")
    return figure


def _row(point: Mapping[str, Any]) -> tuple[str, ...]:
    low, high = point["interval95_cm2_s"]
    mean = f"{point['diffusivity_cm2_s']:.2e}" if "diffusivity_cm2_s" in point else f"below {high:.1e}"
    return (
        f"{point['temperature_K']:g}",
        mean,
        f"{low:.1e} to {high:.1e}",
        str(point["hops"]),
        f"{point['duration_ps']:g}",
    )
