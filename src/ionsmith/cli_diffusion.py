"""The command `ionsmith diffusion`: trajectories from elsewhere become diffusivities and a conductivity."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table


def diffusion(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE=KELVIN...", help="Trajectories of one crystal: ASE, extxyz, XDATCAR, LAMMPS dump."
        ),
    ],
    interval: Annotated[float, typer.Option(help="Time between frames, fs.")],
    mobile: Annotated[str, typer.Option(help="Element that diffuses.")] = "Li",
    haven: Annotated[float, typer.Option(help="Haven ratio to assume.")] = 1.0,
    species: Annotated[str, typer.Option(help="Elements of LAMMPS types 1, 2, ..., such as Li,P,S.")] = "",
    csv: Annotated[Path | None, typer.Option(help="Write the mean square displacements to this file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document to stdout.")] = False,
) -> None:
    """Diffusivity with 95 % intervals, Arrhenius line and conductivity at 300 K from trajectories."""
    from ionsmith.simulate.md import analysed_files
    from ionsmith.simulate.trajectory_read import read_trajectory

    elements = [name.strip() for name in species.split(",") if name.strip()]
    runs = []
    for text in files:
        path, temperature = _parsed(text)
        runs.append(read_trajectory(path, interval=interval, temperature=temperature, species=elements))
    details = analysed_files(runs, mobile=mobile, haven=haven)
    table = details.pop("files")["msd.csv"]
    if csv is not None:
        csv.write_text(table)
    if as_json:
        typer.echo(json.dumps(details, allow_nan=False))
    else:
        _print(details)


def _parsed(text: str) -> tuple[str, float]:
    from ionsmith.core.errors import InputError

    path, _, kelvin = text.rpartition("=")
    try:
        temperature = float(kelvin)
    except ValueError:
        temperature = math.nan
    if not path or not temperature > 0.0:
        raise InputError(f"expected FILE=KELVIN, such as run800.xyz=800, got {text!r}")
    return path, temperature


def _print(details: dict[str, Any]) -> None:
    table = Table("T, K", "D, cm2/s", "95 % interval", "hops", "length, ps", box=None)
    for point in details["temperatures"]:
        low, high = point["interval95_cm2_s"]
        mean = f"{point['diffusivity_cm2_s']:.2e}" if "diffusivity_cm2_s" in point else f"< {high:.1e}"
        cells = (mean, f"{low:.1e} to {high:.1e}", str(point["hops"]), f"{point['duration_ps']:g}")
        table.add_row(f"{point['temperature_K']:g}", *cells)
    console = Console(highlight=False)
    console.print(table)
    sigma, energy = details["log10_conductivity_300K"], details["activation_energy_eV"]
    if details["log10_conductivity_upper_limit_only"]:
        console.print(f"log10 conductivity at 300 K below {sigma:.2f}, activation energy above {energy:.3f} eV")
    else:
        low, high = details["log10_conductivity_interval95"]
        least, most = details["activation_energy_interval95_eV"]
        console.print(f"activation energy {energy:.3f} eV (95 %: {least:.3f} to {most:.3f})")
        console.print(f"log10 conductivity at 300 K {sigma:.2f} (95 %: {low:.2f} to {high:.2f})")
    for line in details["warnings"]:
        console.print(f"! {line}", markup=False)
