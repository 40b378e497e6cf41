"""Barriers of moving by a vacancy, by an extra ion that hops, and by one that knocks a lattice ion off.

Run: python benchmarks/neb_mechanisms.py FOLDER [--names li2o,li2s] [--page FILE]
     python benchmarks/neb_mechanisms.py --places [--names li2o,li2s]

Ordered crystals of the built-in library, relaxed with CHGNet. FOLDER keeps each answer and the images, so that a
killed run goes on. Formation energies of the defects are no part of these barriers. ``--places`` only says where an
extra ion could sit and which hops would be computed, in the cells of the library as they are and without a potential.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path

import torch

from ionsmith.core.errors import InputError, PhysicsError
from ionsmith.data.library import load_library
from ionsmith.simulate.interstitials import EMPTY
from ionsmith.simulate.mechanisms import Mechanism, Ways
from ionsmith.simulate.neb import MigrationBarrier
from ionsmith.simulate.ordered import ordered_crystal

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


def places(names: list[str], distance: float) -> None:
    """Print how many empty places a crystal has and how many distinct hops join them, or why there are none."""
    known = {c.source.locator.removeprefix("library:"): c for c in load_library()}
    print("| crystal | atoms | empty places | vacancy hops | interstitial hops | knock-offs | why not |")
    print("| --- " * 7 + "|")
    for name in names:
        cells, empty, reasons = [], "-", []
        try:
            crystal = ordered_crystal(known[name], max_sites=100)[1]
        except (PhysicsError, InputError) as reason:
            print(f"| {name} | - | - | - | - | - | {reason} |", flush=True)
            continue
        for mechanism in Mechanism:
            try:
                found = Ways.of(crystal, "Li", mechanism, distance=distance)
            except PhysicsError as reason:
                cells.append("-")
                reasons.append(str(reason))
                continue
            cells.append(f"{len(found.classes)} from {found.classes[0].example.length:.2f} A")
            if found.extra:
                empty = str(sum(site.specie.symbol == EMPTY for site in found.sites))
        told = "; ".join(dict.fromkeys(reasons))
        print(f"| {name} | {len(crystal)} | {empty} | " + " | ".join(cells) + f" | {told} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", help="answers and images; not needed for --places")
    parser.add_argument("--names", default=NAMES, help="keys of the library")
    parser.add_argument("--page", type=Path)
    parser.add_argument("--places", action="store_true", help="count empty places and hops, compute no barrier")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    if options.places:
        places(options.names.split(","), MigrationBarrier().distance)
        return
    if options.folder is None:
        parser.error("expected a FOLDER or --places, got neither")
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
