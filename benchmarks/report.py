"""Seconds and file size of the report against the number of rows: ``python benchmarks/report.py [ROWS ...]``.

The rows are synthetic: one crystal of 40 atoms in slightly different cells, five values each.
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from pymatgen.core import Lattice, Structure

from ionsmith.core.quantities import QUANTITIES
from ionsmith.core.records import Candidate, Kind, Origin, Outcome, Value
from ionsmith.core.results import Row, RunResult, StageCount
from ionsmith.report import write_report

TARGETS = {"log10_conductivity": {"min": -3.52}, "energy_above_hull": {"max": 0.05}, "band_gap": {"min": 3.0}}
MET = 20
NAMES = (*TARGETS, "formation_energy", "percolation_barrier")


def synthetic_run(rows: int, rng: np.random.Generator) -> RunResult:
    """A run of so many rows with invented values."""
    return RunResult(
        "screen",
        "benchmark",
        tuple(_row(i, rng) for i in range(rows)),
        (StageCount("read", rows, rows, 0, 0),),
        {"mobile_ion": "Li", "targets": TARGETS},
    )


def _row(i: int, rng: np.random.Generator) -> Row:
    cell = Lattice.cubic(9.0 + 1e-3 * i)
    places = [[x / 4, y / 4, z / 3] for x in range(4) for y in range(4) for z in range(3)][:40]
    crystal = Structure(cell, ["Li", "P", "S", "S"] * 10, places)
    values = {name: Value(float(rng.uniform(0.0, 5.0)), 0.3, f"method of {name}", True) for name in NAMES}
    checks = {
        name: f"{name} 3.12 ± 0.3 {QUANTITIES[name].unit}, wanted more: met, probability 0.97" for name in TARGETS
    }
    candidate = Candidate(Kind.CRYSTAL, crystal, Origin("file", f"folder/{i}.cif"))
    return Row(i, candidate.key, Outcome(candidate, values), "hull", i + 1, i < MET, 0.5, checks)


def main() -> None:
    sizes = [int(text) for text in sys.argv[1:]] or [50, 500, 5000]
    print(f"{'rows':>6} {'seconds':>9} {'MB':>7}")
    for rows in sizes:
        result = synthetic_run(rows, np.random.default_rng(0))
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder) / "report.html"
            start = time.perf_counter()
            write_report(result, place)
            print(f"{rows:6d} {time.perf_counter() - start:9.2f} {place.stat().st_size / 1e6:7.2f}")


if __name__ == "__main__":
    main()
