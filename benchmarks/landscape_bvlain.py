"""ionsmith.landscape beside bvlain 0.25.1: speed and agreement on the ordered OBELiX crystals, one thread each.

    IONSMITH_DATA=... python benchmarks/landscape_bvlain.py OUT.json [--atoms 150] [--repeats 3]

Both run in this process, one after the other on each crystal, pinned to one core, with the same spacing (0.2
angstrom) and cutoff (10 angstrom); oxidation states included. Times are CPU seconds; ours is the best of a few tries
because a shared machine disturbs a measurement of milliseconds more than one of seconds.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import time
import warnings
import zipfile
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
with contextlib.suppress(AttributeError, OSError):  # one core: bvlain's neighbour search takes all it can see
    os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[0]})

import numpy as np
from bvlain import Lain
from pymatgen.core import Structure

from ionsmith.core.errors import IonsmithError
from ionsmith.landscape import EnergyField, percolate_field, percolation

RESOLUTION, CUTOFF, CEILING = 0.2, 10.0, 10.0


def crystals(folder: Path, atoms: int):
    """Yield (entry ID, structure) of the ordered CIFs with at most so many atoms."""
    with zipfile.ZipFile(folder / "obelix" / "all_cifs.zip") as archive:
        for name in sorted(n for n in archive.namelist() if n.endswith(".cif")):
            structure = Structure.from_str(archive.read(name).decode(), fmt="cif")
            if structure.is_ordered and len(structure) <= atoms:
                yield Path(name).stem, structure


def ours(structure: Structure, repeats: int):
    """Barriers, pair terms and best CPU time of ionsmith."""
    times = []
    for _ in range(repeats):
        fresh = structure.copy()
        start = time.process_time()
        found = percolation(fresh, "Li", resolution=RESOLUTION, cutoff=CUTOFF)
        times.append(time.process_time() - start)
    return found, min(times)


def theirs(structure: Structure):
    """Barriers, CPU time and energy grid of bvlain."""
    engine = Lain(verbose=False)
    start = time.process_time()
    with contextlib.redirect_stdout(io.StringIO()):
        engine.read_structure(structure.copy(), oxi_check=True)
        grid = engine.bvse_distribution(mobile_ion="Li1+", r_cut=CUTOFF, resolution=RESOLUTION, k=100)
        found = engine.percolation_barriers(encut=CEILING, n_jobs=1)
    return [float(found[f"E_{d}D"]) for d in (1, 2, 3)], time.process_time() - start, grid


def explain(found, grid, structure, difference):
    """Which part of bvlain a disagreement comes from: its energies or its percolation search."""
    inner = np.ascontiguousarray(grid[:-1, :-1, :-1], dtype=np.float32)
    exact = [o.energy for o in percolate_field(EnergyField(inner, structure.lattice.matrix), ceiling=CEILING)]
    low = found.field.values < found.field.minimum + 3.0
    shift = float(np.abs(found.field.values - inner)[low].max()) if inner.shape == found.field.shape else None
    return {
        "exact_percolation_of_bvlains_grid": exact,
        "largest_energy_difference_below_3eV": shift,
        "by": difference,
    }


def compare(structure: Structure, repeats: int) -> dict:
    row: dict = {"formula": structure.composition.reduced_formula, "atoms": len(structure)}
    row["volume"] = structure.volume
    try:
        found, row["seconds"] = ours(structure, repeats)
        row["ours"], row["pair_terms"] = list(found.barriers), found.field.pair_terms
    except IonsmithError as reason:
        found, row["our_reason"] = None, str(reason)
    try:
        row["bvlain"], row["bvlain_seconds"], grid = theirs(structure)
    except (ValueError, KeyError) as reason:
        row["bvlain_reason"] = f"{type(reason).__name__}: {reason}"
        return row
    if found is None:
        return row
    row["ratio"] = row["bvlain_seconds"] / row["seconds"]
    pairs = zip(row["ours"], row["bvlain"], strict=True)
    row["difference"] = max(0.0 if a == b else abs(a - b) for a, b in pairs)  # two infinities agree
    if row["difference"] > 0.02:
        row["explanation"] = explain(found, grid, structure, row["difference"])
    return row


def summary(rows: dict) -> dict:
    both = [r for r in rows.values() if "ratio" in r]
    ratio = np.array([r["ratio"] for r in both])
    pairs = np.array([[r["pair_terms"], r["seconds"]] for r in both])
    return {
        "crystals": len(rows),
        "completed_by_bvlain": sum("bvlain" in r for r in rows.values()),
        "completed_by_us": sum("ours" in r for r in rows.values()),
        "ratio_median": round(float(np.median(ratio)), 1),
        "ratio_smallest": round(float(ratio.min()), 1),
        "within_0.02_eV": round(float(np.mean([r["difference"] <= 0.02 for r in both])), 4),
        "largest_difference_eV": round(max(r["difference"] for r in both), 4),
        "our_seconds_median": round(float(np.median(pairs[:, 1])), 4),
        "our_seconds_largest": round(float(pairs[:, 1].max()), 4),
        "bvlain_seconds_median": round(float(np.median([r["bvlain_seconds"] for r in both])), 3),
        "nanoseconds_per_pair_term_median": round(float(np.median(pairs[:, 1] / pairs[:, 0])) * 1e9, 2),
        "disagreements": {k: r for k, r in rows.items() if r.get("difference", 0.0) > 0.02},
        "not_completed": {
            k: {n: r[n] for n in ("formula", "our_reason", "bvlain_reason") if n in r}
            for k, r in rows.items()
            if "our_reason" in r or "bvlain_reason" in r
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--atoms", type=int, default=150)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    rows: dict = {}
    for key, structure in crystals(Path(os.environ["IONSMITH_DATA"]), arguments.atoms):
        if not rows:  # compile before the clock starts
            percolation(structure, "Li", resolution=0.5, cutoff=5.0)
        rows[key] = compare(structure, arguments.repeats)
        print(key, {k: rows[key].get(k) for k in ("formula", "atoms", "ratio", "difference")}, flush=True)
        arguments.out.write_text(
            json.dumps({"summary": summary(rows) if len(rows) > 2 else {}, "rows": rows}, indent=1)
        )
    print(json.dumps(summary(rows), indent=1))


if __name__ == "__main__":
    main()
