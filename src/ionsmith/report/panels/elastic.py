"""Stiffness: the elastic tensor as a picture, the moduli, and the dendrite criterion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ionsmith.core.results import Row
from ionsmith.report.panels import Panel
from ionsmith.report.style import dress

USES = ("elastic_tensor", "eigenvalues", "uncorrected", "dendrite", "youngs_modulus", "correction")
_AXES = ("xx", "yy", "zz", "yz", "xz", "xy")


def panel(details: Mapping[str, Any], row: Row) -> Panel | None:
    """Return the tensor and the moduli, or None where there are none.

    Args:
        details: of the stage ``elastic``, see :class:`ionsmith.simulate.elastic.Elasticity`.
        row: the finished row.
    """
    if "elastic_tensor" not in details:
        return None
    import plotly.graph_objects as go

    tensor = details["elastic_tensor"]
    figure = go.Figure(
        go.Heatmap(
            z=tensor,
            x=list(_AXES),
            y=list(_AXES),
            colorscale="RdBu",
            reversescale=True,
            zmid=0.0,
            text=[[f"{value:.0f}" for value in line] for line in tensor],
            texttemplate="%{text}",
            colorbar={"title": "GPa"},
        )
    )
    figure.update_yaxes(autorange="reversed", title_text="Stress")
    figure.update_xaxes(title_text="Strain")
    dress(figure)
    return Panel(
        "Elasticity",
        _words(details),
        (figure,),
        ("", "GPa"),
        _rows(details, row),
    )


def _words(details: Mapping[str, Any]) -> str:
    criterion = details["dendrite"]
    verdict = "is met" if criterion["suppressed"] else "is not met"
    unstable = (
        ""
        if details["stable"]
        else " The potential finds a negative eigenvalue: the crystal may be mechanically unstable."
    )
    return (
        "Elastic tensor with relaxed ions as the potential gives it, GPa, in Voigt's notation. The moduli below are "
        f"corrected where a correction is known.{unstable}\n\nDendrites: the shear modulus is "
        f"{criterion['ratio']:.1f} times lithium's ({criterion['lithium_shear_modulus']:g} GPa); the criterion of "
        f"Monroe and Newman, at least {criterion['needed']:g} times, {verdict}. It holds for a flat, dense separator "
        "without cracks."
    )


def _rows(details: Mapping[str, Any], row: Row) -> tuple[tuple[str, float], ...]:
    values = row.outcome.values
    found = [
        (f"{name.replace('_', ' ').capitalize()}", round(values[name].mean, 1))
        for name in ("bulk_modulus", "shear_modulus")
        if name in values
    ]
    raw = details.get("uncorrected", {})
    plain = [(f"{name.replace('_', ' ').capitalize()}, potential alone", round(raw[name], 1)) for name in raw]
    return (*found, ("Young's modulus", round(details["youngs_modulus"], 1)), *plain)
