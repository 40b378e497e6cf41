"""Molecular dynamics of three conductors and a poor one with CHGNet, beside measured conductivities."""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from pymatgen.core import Structure

from ionsmith.core.records import Candidate
from ionsmith.data.library import load_library
from ionsmith.simulate.diffusion import diffusivity
from ionsmith.simulate.diffusion_arrhenius import Arrhenius, arrhenius
from ionsmith.simulate.md_cell import relaxed_cell, supercell_matrix
from ionsmith.simulate.md_equilibrium import equilibrated
from ionsmith.simulate.md_run import MdSettings, run_md
from ionsmith.simulate.ordered import ordered_crystal

# library name, least distance between images (angstrom), and length in ps at each temperature (K); short, because
# all of it ran beside other work on two processor cores
CASES = {
    "lgps": (8.0, {1000: 3.0, 800: 3.0, 650: 3.0}),
    "li6ps5cl": (9.5, {1000: 3.0, 800: 3.0, 650: 3.0}),
    "li3incl6": (8.0, {1000: 3.0, 800: 3.0, 650: 3.0}),
    "lif": (7.0, {1000: 2.0, 800: 2.0, 650: 2.0}),
}
STEP = 2.5  # fs


def materials() -> dict[str, Candidate]:
    return {c.source.locator.removeprefix("library:"): c for c in load_library()}


def cell_of(folder: Path, candidate: Candidate, length: float) -> Structure:
    place = folder / "cell.json"
    if not place.exists():
        folder.mkdir(parents=True, exist_ok=True)
        crystal = relaxed_cell(ordered_crystal(candidate, max_sites=120)[1], "chgnet")
        crystal.make_supercell(supercell_matrix(crystal, length))
        place.write_text(json.dumps(crystal.as_dict()))
    return Structure.from_dict(json.loads(place.read_text()))


def compute(root: Path, only: list[str], scale: float) -> None:
    known = materials()
    for name, (length, plan) in CASES.items():
        if only and name not in only:
            continue
        cell = cell_of(root / name, known[name], length)
        for temperature, duration in plan.items():
            begun = time.perf_counter()
            settings = MdSettings(duration=scale * duration, step=STEP)
            run_md(
                cell, temperature, settings=settings, potential_name="chgnet", folder=root / name / f"T{temperature}"
            )
            print(f"{name} {temperature} K: {time.perf_counter() - begun:.0f} s", file=sys.stderr, flush=True)


def finished(folder: Path, temperature: int) -> float:
    """Length of what is kept, ps."""
    interval = MdSettings(step=STEP).interval
    return interval * sum(len(np.load(p)["energies"]) for p in sorted(folder.glob(f"T{temperature}/piece-*.npz")))


def table(root: Path) -> None:
    known = materials()
    print(
        "| material | atoms | T, K: length, hops, D [95 %], cm2/s | E_a [95 %], eV | "
        "log10 sigma(300 K) [95 %] | measured | warnings |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, (length, plan) in CASES.items():
        folder = root / name
        points, cells, drifts = [], [], []
        for temperature in sorted(plan):
            duration = finished(folder, temperature)
            if duration < 1.0:
                continue
            cell = cell_of(folder, known[name], length)
            settings = MdSettings(duration=duration, step=STEP)
            run = run_md(
                cell, temperature, settings=settings, potential_name="chgnet", folder=folder / f"T{temperature}"
            )
            begin, drift = equilibrated(run)
            drifts += [drift] if drift else []
            point = diffusivity(run.after(begin))
            points.append(point)
            value = (
                f"< {point.high:.1e}"
                if point.bound_only
                else (f"{point.mean:.1e} [{point.low:.0e}, {point.high:.0e}]")
            )
            cells.append(f"{temperature}: {duration:.1f} ps, {point.hops}, {value}")
        if points:
            facts = known[name].source.facts
            print(_row(name, len(cell), cells, arrhenius(points), drifts, facts))


def _row(name: str, atoms: int, cells: list[str], line: Arrhenius, drifts: list[str], facts: Any) -> str:
    found = line.details()
    sigma = found["log10_conductivity_300K"]
    if line.bound_only:
        energy, value = f"> {line.activation_energy:.2f}", f"< {sigma:.1f} (poor)"
    else:
        energy = "{:.2f} [{:.2f}, {:.2f}]".format(line.activation_energy, *found["activation_energy_interval95_eV"])
        value = "{:.1f} [{:.1f}, {:.1f}]".format(sigma, *found["log10_conductivity_interval95"])
    measured = facts.get("log10_conductivity")
    known = "-" if measured is None else f"{measured:.1f} (doi {facts.get('conductivity_doi', facts.get('doi'))})"
    warnings_ = "; ".join([*found["warnings"], *drifts])
    return f"| {name} | {atoms} | {'<br>'.join(cells)} | {energy} | {value} | {known} | {warnings_} |"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="checkpoints; what is finished is not repeated")
    parser.add_argument("--only", nargs="*", default=[], choices=sorted(CASES), help="materials to run")
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies all lengths")
    parser.add_argument("--table", action="store_true", help="only print what is finished")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    warnings.filterwarnings("ignore")
    if not options.table:
        compute(options.folder, options.only, options.scale)
    table(options.folder)
