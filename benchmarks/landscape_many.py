"""Landscapes of a thousand crystals with one command, killed half way and resumed: speed, memory, and nothing lost.

    IONSMITH_DATA=... python benchmarks/landscape_many.py OUT.json [--stage bvse] [--count 1000] [--workers 2]

Lithium crystals of at most 60 atoms from the Materials Project files are written as CIFs to a temporary folder. The
run is killed (SIGKILL, all its processes) once half of the outcomes are in the ledger, started again with --resume,
and must end with every file once. Before that the stage alone runs over the same crystals in one process, which tells
what reading files, ledger, workers and report cost on top. CPU seconds are those of all processes of the run; on a
busy machine the wall clock says more about the others.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from pathlib import Path

from ionsmith.core.records import Candidate
from ionsmith.core.registry import lookup
from ionsmith.data.materials_project import load_materials_project

TICK = os.sysconf("SC_CLK_TCK")


def candidates(count: int) -> list[Candidate]:
    """Distinct lithium crystals of at most 60 atoms, in the order of the files."""
    found: dict[str, Candidate] = {}
    for file in ("mpts_52", "mp_20_biternary", "li_binaries"):
        for outcome in load_materials_project(file):
            crystal = outcome.candidate
            if "Li" in crystal.composition and len(crystal.structure) <= 60:
                found.setdefault(crystal.key, crystal)
            if len(found) == count:
                return list(found.values())
    return list(found.values())


def stage_alone(stage: str, crystals: list[Candidate]) -> dict[str, float]:
    """CPU seconds of the stage in one process, after the compiled loops are there."""
    simulator = lookup("simulator", stage)()
    simulator.run(crystals[0])
    start = time.process_time()
    kinds = [str(simulator.run(crystal).status) for crystal in crystals]
    seconds = time.process_time() - start
    return {
        "cpu_seconds": round(seconds, 1),
        "ok": kinds.count("ok"),
        "per_hour_a_core": round(3600 * len(kinds) / seconds),
    }


class Watch(threading.Thread):
    """Largest memory of any process of a session, and the CPU seconds of all of them."""

    def __init__(self, session: int) -> None:
        super().__init__(daemon=True)
        self.session, self.memory, self.spent, self.over = session, {}, {}, False

    def run(self) -> None:
        """Look at every process five times a second until told that it is over."""
        while not self.over:
            for place in Path("/proc").glob("[0-9]*"):
                try:
                    fields = (place / "stat").read_text().rpartition(")")[2].split()
                    if int(fields[3]) != self.session:
                        continue
                    peak = next(x for x in (place / "status").read_text().splitlines() if x.startswith("VmHWM"))
                except (OSError, StopIteration, IndexError):
                    continue
                self.spent[place.name] = (int(fields[11]) + int(fields[12])) / TICK
                self.memory[place.name] = int(peak.split()[1]) / 1024
            time.sleep(0.2)


def stored(folder: Path) -> int:
    """Outcomes in the ledger."""
    try:
        with sqlite3.connect(f"file:{folder / 'ledger.db'}?mode=ro", uri=True) as connection:
            return int(connection.execute("select count(*) from outcomes").fetchone()[0])
    except sqlite3.OperationalError:
        return 0


def run(command: list[str], folder: Path, until: float) -> dict[str, float]:
    """Run a command to its end, or kill all of it once so many outcomes are stored."""
    start, before = time.perf_counter(), stored(folder)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, start_new_session=True, env=environment, **quiet)
    watch = Watch(process.pid)
    watch.start()
    while process.poll() is None and stored(folder) < until:
        time.sleep(0.2)
    killed = process.poll() is None
    if killed:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    watch.over = True
    watch.join()
    return {
        "killed": killed,
        "exit_code": process.returncode,
        "wall_seconds": round(time.perf_counter() - start, 1),
        "cpu_seconds": round(sum(watch.spent.values()), 1),
        "new_outcomes": stored(folder) - before,
        "peak_memory_mb": [round(m) for m in sorted(watch.memory.values(), reverse=True)[:4]],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--stage", default="bvse")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    crystals = candidates(options.count)
    report = {"stage": options.stage, "crystals": len(crystals), "alone": stage_alone(options.stage, crystals)}
    with tempfile.TemporaryDirectory() as scratch:
        folder, files = Path(scratch) / "run", Path(scratch) / "files"
        files.mkdir()
        for crystal in crystals:
            crystal.structure.to(filename=str(files / f"{crystal.key}.cif"))
        command = [sys.executable, "-m", "ionsmith", "simulate", options.stage, str(files), "--out", str(folder)]
        command += ["--workers", str(options.workers), "--resume"]
        # the ledger holds an outcome for every file read and one for every file simulated
        report["killed"] = run(command, folder, len(crystals) / 2)
        report["resumed"] = run(command, folder, float("inf"))
        rows = json.loads((folder / "results.json").read_text())["candidates"]
        report["rows"] = len(rows)
        report["distinct_inputs"] = len({row["input"] for row in rows})
        report["status"] = {s: sum(row["status"] == s for row in rows) for s in ("ok", "rejected", "failed")}
        report["kept_across_the_kill"] = report["killed"]["new_outcomes"]
        report["report_mb"] = round((folder / "report.html").stat().st_size / 1e6, 2)
    cpu = report["killed"]["cpu_seconds"] + report["resumed"]["cpu_seconds"]
    wall = report["killed"]["wall_seconds"] + report["resumed"]["wall_seconds"]
    report["per_hour_two_cores_by_cpu"] = round(2 * 3600 * len(crystals) / cpu)
    report["per_hour_by_wall_clock"] = round(3600 * len(crystals) / wall)
    options.out.write_text(json.dumps(report, indent=1))
    print(json.dumps(report, indent=1))
    sys.exit(0 if len(rows) == report["distinct_inputs"] == len(crystals) else 1)


if __name__ == "__main__":
    main()
