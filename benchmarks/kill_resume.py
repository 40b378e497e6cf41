"""Kill a screen of the built-in library, or a design, at random moments, resume it, and compare with a clean run.

Run: python benchmarks/kill_resume.py --kills 10 [--design PROPOSALS] [--spec SPEC] [--workers 2]
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def command(out: Path, options: argparse.Namespace) -> list[str]:
    job = ["design", "--budget", str(options.design)] if options.design else ["screen"]
    words = [sys.executable, "-m", "ionsmith", *job, "--out", str(out), "--workers", str(options.workers), "--resume"]
    return words + (["--spec", str(options.spec)] if options.spec else [])


def kill_after(words: list[str], seconds: float) -> bool:
    """Start the run, send SIGKILL to its process group after some seconds; return whether it still ran."""
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        process.wait(timeout=seconds)
        return False
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True


def outcomes(folder: Path) -> int:
    import sqlite3

    ledger = folder / "ledger.db"
    if not ledger.exists():
        return 0
    with sqlite3.connect(ledger) as connection:
        try:
            return int(connection.execute("select count(*) from outcomes").fetchone()[0])
        except sqlite3.OperationalError:
            return 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--design", type=int, help="proposals of a design run; a screen if absent")
    parser.add_argument("--spec", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as scratch:
        clean, broken = Path(scratch) / "clean", Path(scratch) / "broken"
        start = time.perf_counter()
        subprocess.run(command(clean, options), check=True, capture_output=True)
        whole = time.perf_counter() - start
        landed = []
        while len(landed) < options.kills:
            # early moments are as likely as late ones, but never so late that a run of leftovers has finished
            moment = chance.uniform(2.0, max(3.0, 1.2 * whole / 2))
            if not kill_after(command(broken, options), moment):
                subprocess.run(["rm", "-rf", str(broken)], check=True)
                continue
            landed.append((round(moment, 1), outcomes(broken)))
        subprocess.run(command(broken, options), check=True, capture_output=True)
        same = (clean / "results.csv").read_bytes() == (broken / "results.csv").read_bytes()
        report = {"clean_run_s": round(whole, 1), "kills": landed, "same_table": same, "outcomes": outcomes(broken)}
        print(json.dumps(report, indent=1))
        sys.exit(0 if same else 1)


if __name__ == "__main__":
    main()
