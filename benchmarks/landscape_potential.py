"""Landscapes under CHGNet and from bond valence against measured conductivity, on the same crystals.

    IONSMITH_DATA=... python benchmarks/landscape_fields.py FOLDER
    IONSMITH_DATA=... python benchmarks/landscape_potential.py FOLDER OUT.json [--bvlain SPEED.json]

Takes the CHGNet fields that the first command left in the folder and computes descriptors of both landscapes (kept
there too, so that a second run is quick). Single descriptors fit nothing; combinations are random forests,
cross-validated in ten folds with all entries of one publication (DOI) in the same fold. Measured upper bounds count
at their bound.
"""

from __future__ import annotations

import argparse
import json
import os
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from landscape_experiment import WORST, cross_validated, crystals, descriptors, finite, log, measured, score
from pymatgen.core import Structure

from ionsmith.core.errors import IonsmithError
from ionsmith.landscape import Percolation, accessible_volume, activation_energy, build_network, diffusivity
from ionsmith.landscape.bvse import percolate_field
from ionsmith.landscape.field import EnergyField
from ionsmith.landscape.potential import CAP

VOLUMES = (2.0, 5.0, 10.0, 20.0, 40.0, 80.0)
SMALLEST = 30  # crystals below which no figure is given


def field_of(place: Path) -> tuple[dict, EnergyField | None]:
    """Facts and field of one file; no field where there was no answer."""
    with np.load(place) as stored:
        facts = json.loads(str(stored["facts"]))
        values, lattice = stored["values"], stored["lattice"]
    return facts, EnergyField(values.astype(np.float32), lattice) if values.size else None


def from_field(field: EnergyField) -> dict[str, float]:
    """What a field without charges says: levels, free volume, sites and the kinetics of a lone ion."""
    openings = percolate_field(field, ceiling=CAP - 1e-3)
    row = {f"barrier_{d}d": min(finite(o.energy), CAP) for d, o in zip((1, 2, 3), openings, strict=True)}
    row |= {f"volume_{m:g}kT": share for m, share in accessible_volume(field, VOLUMES).items()}
    if openings[0].point < 0:
        closed = {"activation_energy": CAP, "log10_diffusivity": -80.0, "site_spread": CAP, "low_sites": 0.0}
        return row | closed | {f"level_{d}d": CAP for d in (1, 2, 3)}
    network = build_network(Percolation(openings, field, None, None, 0.3))
    energies = np.array([site.energy for site in network.sites])
    row |= {f"level_{d}d": min(e, CAP) for d, e in zip((1, 2, 3), network.levels(), strict=True)}
    volume = abs(float(np.linalg.det(field.lattice)))
    return row | {
        "activation_energy": min(finite(activation_energy(network)), CAP),
        "log10_diffusivity": max(log(diffusivity(network).mean), -80.0),
        "site_spread": float(energies.std()),
        "low_sites": float((energies < 0.5).sum()) / volume,
    }


def kept(place: Path, compute: Callable[[], dict]) -> dict:
    """The content of a file, computed and written where it is not there yet."""
    if not place.exists():
        place.parent.mkdir(exist_ok=True)
        try:
            found = compute()
        except IonsmithError as reason:
            found = {"error": str(reason)}
        place.write_text(json.dumps(found))
    return json.loads(place.read_text())


def collect(folder: Path, structures: dict[str, Structure], truth: dict) -> tuple[dict, dict]:
    """Entry to facts, and to descriptors of both landscapes where both gave an answer."""
    facts, table = {}, {}
    for key, structure in structures.items():
        place = folder / f"{key}.npz"
        if not place.exists():
            continue
        facts[key], field = field_of(place)
        if field is None or key not in truth:
            continue
        under = kept(folder / "potential" / f"{key}.json", lambda f=field: from_field(f))
        bond = kept(folder / "bond_valence" / f"{key}.json", lambda s=structure: descriptors(s))
        facts[key]["bond_valence"] = bond.get("error", "")
        if "error" not in under and "error" not in bond:
            table[key] = {f"chgnet {n}": v for n, v in under.items()} | {f"bvse {n}": v for n, v in bond.items()}
    return facts, table


def groups_of(names: list[str]) -> dict[str, list[str]]:
    """Sets of descriptors that are tried together."""

    def begin(method: str, *starts: str) -> list[str]:
        return [n for n in names if n.startswith(tuple(f"{method} {start}" for start in starts))]

    bond = begin("bvse", "barrier", "level", "activation", "log10", "volume")
    under = [n for n in names if n.startswith("chgnet")]
    ions = begin("bvse", "ion_", "site", "lithium")
    bonding = begin("bvse", "alpha", "bond_", "binding", "well", "softest", "bottleneck")
    return {
        "BVSE barriers": begin("bvse", "barrier", "level"),
        "BVSE kinetics": begin("bvse", "activation", "log10"),
        "BVSE barriers, kinetics, volumes": bond,
        "CHGNet barriers": begin("chgnet", "barrier", "level"),
        "CHGNet volumes": begin("chgnet", "volume"),
        "CHGNet barriers, kinetics, volumes, sites": under,
        "both landscapes": bond + under,
        "ions": ions,
        "ions and both landscapes": ions + bond + under,
        "all": ions + bonding + bond + under,
        "all but CHGNet": ions + bonding + bond,
        "all but CHGNet volumes": [n for n in ions + bonding + bond + under if not n.startswith("chgnet volume")],
    }


def figures(table: dict, facts: dict, truth: dict, bvlain: dict) -> dict:
    """Scores of single descriptors, of combinations, and beside bvlain."""
    keys = sorted(table)
    target = np.array([truth[k][0] for k in keys])
    doi = np.array([truth[k][1] for k in keys])
    rows = [table[k] for k in keys]
    names = [n for n in rows[0] if n.split()[1] not in ("imbalance", "ordered", "seconds")]
    parts = {
        "single": np.ones(len(keys), bool),
        "ordered": np.array([facts[k]["ordered"] for k in keys]),
        "whole framework": np.array([not facts[k]["note"] for k in keys]),
        "disordered framework": np.array([bool(facts[k]["note"]) for k in keys]),
    }
    found: dict = {"combined": {}}
    for label, chosen in parts.items():
        picked = np.flatnonzero(chosen)
        if len(picked) >= SMALLEST:
            found[label] = {n: score([rows[i][n] for i in picked], target[picked]) for n in names}
    for label, members in groups_of(names).items():
        found["combined"][label] = score(cross_validated(rows, members, target, doi), target)
    both = [i for i, k in enumerate(keys) if k in bvlain]
    if len(both) >= SMALLEST:
        beside = {"bvlain 3-D": score([bvlain[keys[i]] for i in both], target[both])}
        found["beside bvlain"] = beside | {n: score([rows[i][n] for i in both], target[both]) for n in names}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--bvlain", type=Path, help="result of landscape_bvlain.py, to set beside")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    data = Path(os.environ["IONSMITH_DATA"])
    truth, structures = measured(data), dict(crystals(data))
    facts, table = collect(arguments.folder, structures, truth)
    bvlain = {}
    if arguments.bvlain:
        done = json.loads(arguments.bvlain.read_text())["rows"]
        bvlain = {k: min(r["bvlain"][2], WORST) for k, r in done.items() if "bvlain" in r}
    answered = [f for f in facts.values() if "seconds" in f]
    seconds = np.array([f["seconds"] for f in answered])
    result = {
        "files": len(structures),
        "tried": len(facts),
        "answered": len(answered),
        "ordered": sum(f["ordered"] for f in answered),
        "framework whole": sum(not f["note"] for f in answered),
        "seconds": {"median": float(np.median(seconds)), "largest": float(seconds.max())},
        "share of grid computed": float(np.median([f["evaluations"] / f["points"] for f in answered])),
        "reasons": {k: f["reason"] for k, f in facts.items() if "reason" in f},
        "compared": len(table),
        **figures(table, facts, truth, bvlain),
    }
    arguments.out.write_text(json.dumps({"result": result, "rows": table}, indent=1))
    for label in ("single", "ordered", "whole framework", "disordered framework", "combined", "beside bvlain"):
        for name, values in sorted(result.get(label, {}).items(), key=lambda item: -abs(item[1]["spearman"])):
            print(f"{label:22} {name:45}", *(f"{k} {v}" for k, v in values.items()))


if __name__ == "__main__":
    main()
