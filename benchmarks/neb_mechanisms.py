"""Barriers of moving by a vacancy, by an extra ion that hops, and by one that knocks a lattice ion off.

Run: python benchmarks/neb_mechanisms.py FOLDER [--names li2o,li2s] [--page FILE]

Ordered crystals of the built-in library, relaxed with CHGNet. FOLDER keeps each answer and the images, so that a
killed run goes on. Formation energies of the defects are no part of these barriers.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path

import torch

from ionsmith.data.library import load_library
from ionsmith.simulate.mechanisms import Mechanism
from ionsmith.simulate.neb import MigrationBarrier

NAMES = "li2o,li2s,lif,licl,li3n,gamma_li3po4"
HEAD = "crystal | mechanism | atoms | distinct hops, A (failed) | 1-D, eV | 2-D | 3-D | s | note"


def answered(folder: Path, key: str, mechanism: Mechanism) -> dict:
    """One crystal and mechanism, from the folder where it is known."""
    kept = folder / f"{key}-{mechanism}.json"
    if kept.exists():
        return json.loads(kept.read_text())
    (candidate,) = [c for c in load_library() if c.source.locator == f"library:{key}"]
    start = time.monotonic()
    stage = MigrationBarrier(mechanism=mechanism, min_length=7.5, scratch=str(folder / "work"))
    outcome = stage.run(candidate)
    details = outcome.details
    found = {
        "formula": candidate.formula,
        "atoms": details.get("supercell_atoms"),
        "lengths": [hop["length_A"] for hop in details.get("hops", ())],
        "failed": [hop["reason"] for hop in details.get("failed", ())],
        "barriers": details.get("barriers_eV", {}),
        "note": outcome.note,
        "seconds": time.monotonic() - start,
    }
    kept.write_text(json.dumps(found, indent=1))
    return found


def row(mechanism: Mechanism, found: dict) -> str:
    lengths = ", ".join(f"{length:.2f}" for length in found["lengths"])
    failed = f" ({len(found['failed'])} failed)" if found["failed"] else ""
    levels = [f"{found['barriers'][name]:.3f}" if name in found["barriers"] else "-" for name in ("1d", "2d", "3d")]
    cells = [found["formula"], mechanism, found["atoms"] or "-", lengths + failed, *levels]
    return "| " + " | ".join(map(str, [*cells, f"{found['seconds']:.0f}", found["note"]])) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--names", default=NAMES, help="keys of the library")
    parser.add_argument("--page", type=Path)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    options.folder.mkdir(parents=True, exist_ok=True)
    lines = [f"| {HEAD} |", "| --- " * 9 + "|"]
    for name in options.names.split(","):
        for mechanism in Mechanism:
            lines.append(row(mechanism, answered(options.folder, name, mechanism)))
            print(lines[-1], flush=True)
    if options.page:
        options.page.write_text("\n".join([*lines, ""]))


if __name__ == "__main__":
    main()
