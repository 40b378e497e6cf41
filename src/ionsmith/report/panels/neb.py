"""Migration barriers: the energy along every distinct hop, and a table of hops."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ionsmith.core.results import Row
from ionsmith.report.panels import Panel
from ionsmith.report.style import dress

USES = ("hops", "failed", "barriers_eV", "supercell_atoms", "image_distance_A", "mechanism", "places")


def panel(details: Mapping[str, Any], row: Row) -> Panel | None:
    """Return the picture of the bands, or None where there is none.

    Args:
        details: of the stage ``neb``, see :class:`ionsmith.simulate.neb.MigrationBarrier`.
        row: the finished row.
    """
    hops = details.get("hops")
    if not hops:
        return None
    import plotly.graph_objects as go

    figure = go.Figure()
    for number, hop in enumerate(hops, start=1):
        way = [share * hop["length_A"] for share in hop["coordinate"]]
        name = f"{number}: {hop['length_A']:.2f} Å"
        figure.add_trace(
            go.Scatter(x=way, y=hop["energies_eV"], mode="lines+markers", name=name, line_shape="spline")
        )
    dress(figure)
    figure.update_layout(xaxis_title="Way of the ion, Å", yaxis_title="Energy, eV")
    return Panel("Migration barriers (nudged elastic bands)", _words(details), (figure,), _HEADER, _rows(hops))


_DEFECTS = {
    "vacancy": "a vacancy",
    "interstitial": "an extra ion between empty places",
    "knock-off": "an extra ion that knocks a lattice ion into the next empty place",
}
_COLUMNS = ("forward_eV", "backward_eV", "force_eV_A")
_HEADER = ("Hop", "Length, Å", "Alike", "Forward, eV", "Backward, eV", "Largest force, eV/Å")


def _words(details: Mapping[str, Any]) -> str:
    barriers = details.get("barriers_eV", {})
    levels = ", ".join(
        f"{energy:.2f} eV in {name[0]} dimension{'s' if name[0] != '1' else ''}" for name, energy in barriers.items()
    )
    failed = len(details.get("failed", ()))
    missing = f" {failed} distinct hops gave no answer, so the barrier is an upper limit." if failed else ""
    defect = _DEFECTS[details.get("mechanism", "vacancy")]
    return (
        f"Energy along every symmetry-distinct hop of {defect}, above its start. The hops percolate at {levels}; the "
        f"defect is neutral, in a cell of {details.get('supercell_atoms', '?')} atoms.{missing}{_places(details)}"
    )


def _places(details: Mapping[str, Any]) -> str:
    """Return where an extra ion can sit, as a sentence; nothing for a vacancy."""
    told = [place for place in details.get("places", ()) if "energy_eV" in place]
    if not told:
        return ""
    kinds = ", ".join(f"{p['count']} per cell at {p['energy_eV']:.2f} eV ({p['fate']})" for p in told)
    lost = len(details["places"]) - len(told)
    return f" Its places, by kind, relaxed, above the lowest: {kinds}." + (
        f" {lost} more gave no answer." if lost else ""
    )


def _rows(hops: list[Mapping[str, Any]]) -> tuple[tuple[str | float, ...], ...]:
    return tuple(
        (str(n), f"{h['length_A']:.2f}", str(h["count"]), *(f"{h[key]:.3f}" for key in _COLUMNS))
        for n, h in enumerate(hops, start=1)
    )
