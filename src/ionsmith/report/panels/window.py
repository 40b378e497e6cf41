"""The electrochemical window: voltage against lithium uptake, and what forms where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ionsmith.core.results import Row
from ionsmith.report.panels import Panel
from ionsmith.report.style import BLUE, SKY, dress

USES = ("profile", "reduction", "oxidation", "at_voltage", "interfaces", "left_out", "other_corrections")
_HIGHEST = 6.0  # V, upper end of the axis where the last step has no end

_SOURCES = {
    "table": "the lowest-energy known phase of this formula",
    "crystal": "this crystal's own energy, which lies below the known phases",
    "hull": "the most stable mixture of known phases, because the material itself is metastable or unknown",
}


def panel(details: Mapping[str, Any], row: Row) -> Panel | None:
    """Return the voltage profile and the reactions, or None where there is none.

    Args:
        details: of the stage ``window``, see :class:`ionsmith.simulate.window.ElectrochemicalWindow`.
        row: the finished row.
    """
    if not details.get("profile"):
        return None
    import plotly.graph_objects as go

    metal = details["mobile"]
    uptake, voltage, labels = _stairs(details["profile"])
    figure = go.Figure(
        go.Scatter(
            x=uptake,
            y=voltage,
            text=labels,
            mode="lines",
            line={"color": BLUE, "width": 2.5},
            hovertemplate="%{text}<br>%{y:.2f} V<extra></extra>",
            name="equilibrium",
        )
    )
    low, high = details["reduction"]["potential"], min(details["oxidation"]["potential"], _HIGHEST)
    figure.add_hrect(y0=low, y1=high, fillcolor=SKY, opacity=0.25, line_width=0)
    figure.update_xaxes(title_text=f"{metal} taken up per formula unit")
    figure.update_yaxes(title_text=f"Voltage, V vs {metal}/{metal}+")
    dress(figure)
    return Panel(
        "Electrochemical window",
        _words(details, metal),
        (figure,),
        ("Where", "Reaction", "Energy, eV/atom"),
        _rows(details, metal),
        formulas=True,
    )


def _stairs(profile: Sequence[Mapping[str, Any]]) -> tuple[list[float], list[float], list[str]]:
    """Return a staircase of uptake and voltage, with the products of each step."""
    uptake: list[float] = []
    voltage: list[float] = []
    labels: list[str] = []
    for step in profile:
        text = " + ".join(str(product["formula"]) for product in step["products"])
        uptake += [step["uptake"], step["uptake"]]
        voltage += [min(step["high"], _HIGHEST), min(step["low"], _HIGHEST)]
        labels += [text, text]
    return uptake, voltage, labels


def _words(details: Mapping[str, Any], metal: str) -> str:
    other = details.get("other_corrections")
    scales = (
        f" With the corrections of {other['scale']} the limits are {other['reduction_potential']:.2f} and "
        f"{other['oxidation_potential']:.2f} V."
        if other
        else ""
    )
    source = _SOURCES.get(details["energy_source"], "the hull")
    return (
        f"Equilibrium with {metal} metal's chemical potential; the band is the window, in which the material neither "
        f"takes up nor gives off {metal}. The energy is that of {source}; "
        f"corrections of {details['corrections']}.{scales}\n\nLeft out: {details['left_out']}."
    )


def _rows(details: Mapping[str, Any], metal: str) -> tuple[Sequence[str | float], ...]:
    limits = [
        (f"{name} at {details[name]['potential']:.2f} V", details[name]["reaction"], "")
        for name in ("reduction", "oxidation")
    ]
    fixed = [
        (f"{at['voltage']:.1f} V vs {metal}", at["reaction"], round(at["energy"], 3)) for at in details["at_voltage"]
    ]
    mixed = [(f"with {each['with']}", each["reaction"], round(each["energy"], 3)) for each in details["interfaces"]]
    return (*limits, *fixed, *mixed)
