"""How the percolation barrier depends on the grid, and what it costs as the cell grows.

    IONSMITH_DATA=... python benchmarks/landscape_convergence.py OUT.json

Barrier against spacing (0.4 to 0.1 angstrom) on ordered OBELiX crystals, on the grid and off it; CPU time, pair terms
and peak memory of supercells up to 500 atoms and more without symmetry (every atom displaced at random).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
import warnings
import zipfile
from pathlib import Path

import numpy as np
from pymatgen.core import Structure

from ionsmith.landscape import build_network, percolation

TEN = ("00x", "1e9", "2uv", "4ba", "9lo", "an2", "cfy", "fft", "mdp", "wyu")
SPACINGS = (0.4, 0.3, 0.25, 0.2, 0.15, 0.1)


def crystals(folder: Path, names):
    with zipfile.ZipFile(folder / "obelix" / "all_cifs.zip") as archive:
        for name in names:
            text = archive.read(f"all_randomized_cifs/{name}.cif").decode()
            yield name, Structure.from_str(text, fmt="cif")


def convergence(folder: Path) -> dict:
    table = {}
    for name, structure in crystals(folder, TEN):
        grid = {h: list(percolation(structure, resolution=h).barriers) for h in SPACINGS}
        off = {h: list(build_network(percolation(structure, resolution=h)).levels()) for h in SPACINGS if h >= 0.15}
        table[name] = {"formula": structure.composition.reduced_formula, "grid": grid, "off_grid": off}
        print(name, {h: np.round(b, 3).tolist() for h, b in grid.items()}, flush=True)
    return table


def errors(table: dict) -> dict:
    """Difference from the finest grid (on the grid), and from the off-grid value at 0.15 angstrom (off the grid)."""
    out = {}
    for kind, finest in (("grid", 0.1), ("off_grid", 0.15)):
        for h in table[TEN[0]][kind]:
            away = np.array([np.subtract(r[kind][h], r[kind][finest]) for r in table.values()])
            out[f"{kind} {h}"] = {
                "root_mean_square_eV": round(float(np.sqrt((away**2).mean())), 4),
                "largest_eV": round(float(np.abs(away).max()), 4),
                "mean_eV": round(float(away.mean()), 4),
            }
    return out


def growth(folder: Path) -> list[dict]:
    """Cost of supercells of Li3PO4 (32 atoms) with all symmetry broken."""
    ((_, cell),) = crystals(folder, ("9lo",))
    rows = []
    for tiles in ((1, 1, 1), (1, 1, 2), (1, 2, 2), (2, 2, 2), (2, 2, 4), (2, 4, 4)):
        structure = cell * tiles
        structure.perturb(0.02)
        times = []
        for _ in range(2):
            start = time.process_time()
            found = percolation(structure)
            times.append(time.process_time() - start)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0
        rows.append(
            {
                "atoms": len(structure),
                "volume": round(structure.volume, 1),
                "seconds": round(min(times), 4),
                "pair_terms": found.field.pair_terms,
                "peak_mb": round(peak, 1),
            }
        )
        print(rows[-1], flush=True)
    slope = np.polyfit(np.log([r["volume"] for r in rows[1:]]), np.log([r["seconds"] for r in rows[1:]]), 1)[0]
    rows.append({"exponent_of_time_in_volume": round(float(slope), 3)})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    np.random.seed(0)  # pymatgen's perturb draws from the global generator
    folder = Path(os.environ["IONSMITH_DATA"])
    sizes = growth(folder)
    table = convergence(folder)
    result = {"errors": errors(table), "growth": sizes, "table": table}
    arguments.out.write_text(json.dumps(result, indent=1))
    print(json.dumps(result["errors"], indent=1))


if __name__ == "__main__":
    main()
