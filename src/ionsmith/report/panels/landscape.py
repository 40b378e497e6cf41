"""The energy landscape of the mobile ion: surface at the percolation level, migration path, energy along it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
from pymatgen.core import Lattice, Structure

from ionsmith.core.records import FloatArray
from ionsmith.core.results import Row
from ionsmith.report.panels import Panel
from ionsmith.report.structure import bonds, element_table
from ionsmith.report.style import BLUE, GREY, SKY, dress

USES = (
    *("field", "framework", "paths", "sites", "hops", "openings", "oxidation", "levels_off_grid_eV"),
    *("accessible_volume_kT", "grid", "resolution_angstrom", "cutoff_angstrom", "pair_terms", "attempt_frequency_hz"),
    *("diffusivity_cm2_s", "activation_energy_eV"),
)
_HEIGHT = 470
_MOST_ATOMS = 400  # larger frameworks are left out of the picture
_EDGE = 0.004  # fractional distance at which an atom counts as lying on the cell boundary
_PATH = "#c2185b"
_LINES = ((_PATH, "solid"), (BLUE, "dash"), ("#009e73", "dot"))  # of the highest level, the one below, the lowest
_CHARGES = str.maketrans("+-0123456789", "⁺⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def panel(details: Mapping[str, Any], row: Row) -> Panel | None:
    """Return the picture of a landscape, or None where there is none.

    Args:
        details: of the stage ``landscape``, see :class:`ionsmith.simulate.landscape.LandscapeAnalysis`.
        row: the finished row.
    """
    return landscape_panel(details, "Energy landscape of the mobile ion (bond valence)")


def landscape_panel(details: Mapping[str, Any], title: str) -> Panel | None:
    """Return the picture of any landscape with a field and paths.

    Args:
        details: with ``field``, ``framework``, ``paths`` and ``sites``.
        title: heading.
    """
    if "field" not in details or not details.get("paths"):
        return None
    path = details["paths"][-1]
    figures = (_solid(details, path), _profile(details["paths"]))
    return Panel(
        title,
        _words(details, path),
        figures,
        ("Level", "Barrier, eV", "Path length, Å", "Bottleneck"),
        _rows(details),
    )


def _words(details: Mapping[str, Any], path: Mapping[str, Any]) -> str:
    shown = (
        f"Left: where the ion's energy is less than {path['barrier_eV']:.2f} eV above its lowest site, the "
        f"{path['dimension']}-D percolation level; the slider moves the level. The line is the minimum-energy path "
        "that opens it, with its sites (blue) and its bottleneck (diamond). Right: the energy along the path of each "
        "level."
    )
    volume = details.get("accessible_volume_kT", {})
    shares = ", ".join(f"{100.0 * share:.2g} % within {multiple} kT" for multiple, share in volume.items())
    room = f"Share of the cell open to the ion at 300 K: {shares}." if shares else ""
    frequency = details.get("attempt_frequency_hz")
    kinetics = ""
    if frequency and "diffusivity_cm2_s" in details:
        kinetics = (
            f"A lone ion that hops over this network with an attempt frequency of {frequency:.0e} Hz diffuses with "
            f"{details['diffusivity_cm2_s']:.1e} cm²/s at 300 K."
        )
    return "\n\n".join(part for part in (shown, f"{room} {kinetics}".strip()) if part)


def _rows(details: Mapping[str, Any]) -> tuple[Sequence[str | float], ...]:
    return tuple(
        (f"{p['dimension']}-D", round(p["barrier_eV"], 3), round(p["length_angstrom"][-1], 2), _neighbours(p))
        for p in details["paths"]
    )


def _neighbours(path: Mapping[str, Any]) -> str:
    near = path.get("bottleneck_neighbors", [])[:4]
    if not near:
        return "at " + ", ".join(f"{x % 1.0:.3f}" for x in path["bottleneck_fractional"])
    return ", ".join(f"{_ion(n['ion'])} {n['distance_angstrom']:.2f} Å" for n in near)


def _ion(label: str) -> str:
    symbol = label.rstrip("+-.0123456789")
    return symbol + label[len(symbol) :].replace("1", "").translate(_CHARGES) if "." not in label else label


def _profile(paths: Sequence[Mapping[str, Any]]) -> Any:
    import plotly.graph_objects as go

    figure = go.Figure()
    distinct = _distinct(paths)
    for path, (color, dash) in zip(distinct, reversed(_LINES[: len(distinct)]), strict=True):
        length, energy = path["length_angstrom"], path["energy_eV"]
        name = f"{path['name']}, {path['barrier_eV']:.2f} eV"
        line = {"color": color, "dash": dash, "width": 2.5, "shape": "spline", "smoothing": 0.4}
        figure.add_scatter(
            x=length, y=energy, mode="lines", name=name, line=line, hovertemplate="%{x:.2f} Å: %{y:.3f} eV"
        )
        top = int(np.argmax(energy))
        marker = {"color": color, "symbol": "diamond", "size": 10}
        figure.add_scatter(
            x=[length[top]], y=[energy[top]], mode="markers", marker=marker, showlegend=False, hoverinfo="skip"
        )
    dress(figure)
    figure.update_layout(height=_HEIGHT - 40, showlegend=True)
    figure.update_xaxes(title_text="Way along the path, Å", rangemode="tozero")
    figure.update_yaxes(title_text="Energy above the lowest site, eV", rangemode="tozero")
    return figure


def _distinct(paths: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Paths with the levels that each one shows: often one path opens several levels at once."""
    found: list[dict[str, Any]] = []
    for path in paths:
        if found and abs(found[-1]["barrier_eV"] - path["barrier_eV"]) < 1e-3:
            found[-1]["name"] = f"{found[-1]['name'].removesuffix('-D')}- and {path['dimension']}-D"
            found[-1]["name"] = found[-1]["name"].replace("- and 2- and", "-, 2- and")
        else:
            found.append({**path, "name": f"{path['dimension']}-D"})
    return found


def _solid(details: Mapping[str, Any], path: Mapping[str, Any]) -> Any:
    import plotly.graph_objects as go

    field = details["field"]
    lattice = np.array(field["lattice"])
    figure = go.Figure()
    meta = {"grid": dict(field), "level": path["barrier_eV"], "slider": True, "label": "Surface at", "unit": "eV"}
    light = {"ambient": 0.55, "diffuse": 0.7, "specular": 0.25, "roughness": 0.5, "fresnel": 0.1}
    figure.add_mesh3d(
        x=[], y=[], z=[], meta=meta, color=SKY, opacity=0.42, lighting=light, hoverinfo="skip", name="energy surface",
        showlegend=True,
    )  # fmt: skip
    _add_lines(figure, _edges(lattice), GREY, 2, "cell")
    _add_framework(figure, details.get("framework", {}), lattice)
    _add_path(figure, details, path, lattice)
    axis = {"visible": False, "showspikes": False}
    camera = {"eye": {"x": 1.05, "y": 1.65, "z": 0.6}, "center": {"x": 0.0, "y": 0.0, "z": -0.08}}
    dress(figure)
    figure.update_layout(
        height=_HEIGHT,
        margin={"l": 0, "r": 0, "t": 0, "b": 0},
        scene={"xaxis": axis, "yaxis": axis, "zaxis": axis, "aspectmode": "data", "camera": camera},
        legend={"orientation": "h", "x": 0, "y": 0, "yanchor": "top", "itemsizing": "constant"},
    )
    return figure


def _edges(lattice: FloatArray) -> list[FloatArray]:
    corners = list(itertools.product((0, 1), repeat=3))
    return [
        np.array([one, two]) @ lattice
        for one, two in itertools.combinations(corners, 2)
        if sum(abs(a - b) for a, b in zip(one, two, strict=True)) == 1
    ]


def _add_lines(figure: Any, pieces: Iterable[FloatArray], color: str, width: float, name: str, **more: Any) -> None:
    """One trace of separate polylines, each of shape (n, 3)."""
    columns: list[list[float | None]] = [[], [], []]
    for piece in pieces:
        for column, values in zip(columns, np.asarray(piece).T, strict=True):
            column += [*(round(float(v), 3) for v in values), None]
    line = {"color": color, "width": width}
    style = {"mode": "lines", "hoverinfo": "skip", "showlegend": False, "connectgaps": False, **more}
    figure.add_scatter3d(x=columns[0], y=columns[1], z=columns[2], line=line, name=name, **style)


def _add_framework(figure: Any, framework: Mapping[str, Any], lattice: FloatArray) -> None:
    elements = list(framework.get("elements", ()))
    if not elements or len(elements) > _MOST_ATOMS:
        return
    structure = Structure(Lattice(lattice), elements, framework["fractional"])
    look = element_table(elements)
    centres = [_copies(site.frac_coords) @ lattice for site in structure]
    shrink = min(1.0, (60.0 / len(elements)) ** 0.5)
    sticks = []
    for i, j, *step in bonds(structure):
        offset = (np.array(step) + structure[j].frac_coords % 1.0 - structure[i].frac_coords % 1.0) @ lattice
        # only bonds that stay inside the drawn cell: each joins two drawn atoms
        for start in centres[i]:
            if np.linalg.norm(centres[j] - (start + offset), axis=1).min() < 1e-2:
                sticks.append(np.array([start, start + offset]))
    _add_lines(figure, sticks, "#9aa0a8", 4, "bonds")
    for symbol in dict.fromkeys(elements):
        places = np.concatenate([centres[n] for n, element in enumerate(elements) if element == symbol])
        marker = {
            "size": round((4.0 + 5.0 * look[symbol]["radius"]) * shrink, 1),
            "color": look[symbol]["color"],
            "line": {"color": "#444a52", "width": 1},
            "opacity": 1.0,
        }
        x, y, z = np.round(places, 3).T.tolist()
        figure.add_scatter3d(
            x=x,
            y=y,
            z=z,
            mode="markers",
            marker=marker,
            name=escape(symbol),
            hovertemplate=f"{escape(symbol)}<extra></extra>",
        )


def _copies(place: FloatArray) -> FloatArray:
    """All images of a site inside or on the boundary of the cell; shape (n, 3)."""
    inside = np.asarray(place, dtype=float) % 1.0
    choices = [(0.0, 1.0) if x < _EDGE else (0.0, -1.0) if x > 1.0 - _EDGE else (0.0,) for x in inside]
    return np.array([inside + np.array(shift) for shift in itertools.product(*choices)])


def _add_path(figure: Any, details: Mapping[str, Any], path: Mapping[str, Any], lattice: FloatArray) -> None:
    inverse = np.linalg.inv(lattice)
    fractional = np.array(path["cartesian_angstrom"]) @ inverse
    _add_lines(figure, _wrapped(fractional, lattice), _PATH, 10, "path", showlegend=True)
    sites = np.array(
        [details["sites"][n]["fractional"] for n in dict.fromkeys(path["sites"]) if n < len(details["sites"])]
    )
    for places, symbol, color, size, name in (
        (sites.reshape(-1, 3), "circle", BLUE, 6, "sites on it"),
        (np.array([path["bottleneck_fractional"]]), "diamond", "#1c2127", 6, "bottleneck"),
    ):
        shown = np.concatenate([_copies(p) for p in places]) @ lattice if len(places) else np.zeros((0, 3))
        x, y, z = np.round(shown, 3).T.tolist()
        marker = {"symbol": symbol, "color": color, "size": size, "line": {"color": "#ffffff", "width": 1}}
        figure.add_scatter3d(
            x=x, y=y, z=z, mode="markers", marker=marker, name=name, hovertemplate=f"{name}<extra></extra>"
        )


def _wrapped(fractional: FloatArray, lattice: FloatArray) -> list[FloatArray]:
    """The path cut where it leaves the cell, every piece moved into the cell."""
    pieces: list[FloatArray] = []
    home = np.floor(fractional[0] + 1e-9)
    piece = [fractional[0] - home]
    for before, point in itertools.pairwise(fractional):
        cell = np.floor(point + 1e-9)
        if (cell != home).any():
            middle = _crossing(before, point)
            piece.append(middle - home)
            pieces.append(np.array(piece) @ lattice)
            piece, home = [middle - cell], cell
        piece.append(point - home)
    return [*pieces, np.array(piece) @ lattice]


def _crossing(before: FloatArray, after: FloatArray) -> FloatArray:
    """Where a straight step first leaves the cell of its start."""
    step = after - before
    here, there = np.floor(before + 1e-9), np.floor(after + 1e-9)
    planes = np.where(there > here, here + 1.0, here)
    shares = [(planes[d] - before[d]) / step[d] for d in range(3) if here[d] != there[d]]
    return np.asarray(before + min(shares) * step)
