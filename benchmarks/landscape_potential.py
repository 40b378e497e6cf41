"""The landscape of one lithium ion under CHGNet: cost, and conductivity correlation beside bond valence.

    IONSMITH_DATA=... python benchmarks/landscape_potential.py OUT.json [--atoms 40]

Ordered OBELiX crystals in order of size, one thread. The result is written after every crystal, so that a run that is
stopped keeps what it has.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import time
import warnings
import zipfile
from pathlib import Path

import numpy as np
import torch
from pymatgen.core import Structure
from scipy.stats import spearmanr

from ionsmith.core.errors import IonsmithError
from ionsmith.landscape import accessible_volume, percolation
from ionsmith.landscape.potential import CAP, chgnet_evaluator, potential_landscape


def crystals(folder: Path, atoms: int):
    found = []
    with zipfile.ZipFile(folder / "obelix" / "all_cifs.zip") as archive:
        for name in archive.namelist():
            if name.endswith(".cif"):
                structure = Structure.from_str(archive.read(name).decode(), fmt="cif")
                if structure.is_ordered and len(structure) <= atoms:
                    found.append((Path(name).stem, structure))
    return sorted(found, key=lambda pair: len(pair[1]))


def measured(folder: Path):
    with (folder / "obelix" / "all.csv").open(encoding="utf-8-sig") as stream:
        rows = list(csv.DictReader(stream))
    return {r["ID"]: math.log10(float(r["Ionic conductivity (S cm-1)"].lstrip("<"))) for r in rows}


def one(structure: Structure, model) -> dict:
    row = {"formula": structure.composition.reduced_formula, "atoms": len(structure)}
    start = time.process_time()
    try:
        found = potential_landscape(structure, chgnet_evaluator(structure, model=model))
    except IonsmithError as reason:
        return {**row, "reason": str(reason)}
    row |= {
        "seconds": round(time.process_time() - start, 2),
        "evaluations": found.evaluations,
        "grid_points": found.points,
        "barriers": [b if math.isfinite(b) else CAP for b in found.percolation.barriers],
        "volume": accessible_volume(found.percolation.field),
    }
    try:
        row["bond_valence"] = [b if math.isfinite(b) else 10.0 for b in percolation(structure).barriers]
    except IonsmithError as reason:
        row["bond_valence_reason"] = str(reason)
    return row


def summary(rows: dict, truth: dict) -> dict:
    good = {k: r for k, r in rows.items() if "barriers" in r and "bond_valence" in r and k in truth}
    target = [truth[k] for k in good]
    rank = lambda values: round(float(spearmanr(values, target).statistic), 3)  # noqa: E731
    return {
        "crystals": len(rows),
        "completed": sum("barriers" in r for r in rows.values()),
        "seconds_median": float(np.median([r["seconds"] for r in good.values()])),
        "seconds_largest": max(r["seconds"] for r in good.values()),
        "share_of_grid_computed_median": round(
            float(np.median([r["evaluations"] / r["grid_points"] for r in good.values()])), 4
        ),
        "compared": len(good),
        "spearman": {
            **{f"chgnet barrier {d + 1}-D": rank([r["barriers"][d] for r in good.values()]) for d in range(3)},
            **{
                f"bond-valence barrier {d + 1}-D": rank([r["bond_valence"][d] for r in good.values()])
                for d in range(3)
            },
            "chgnet volume 20 kT": rank([r["volume"][20.0] for r in good.values()]),
            "chgnet volume 40 kT": rank([r["volume"][40.0] for r in good.values()]),
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--atoms", type=int, default=40)
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    from chgnet.model import CHGNet

    model = CHGNet.load(use_device="cpu", verbose=False)
    folder = Path(os.environ["IONSMITH_DATA"])
    truth, rows = measured(folder), {}
    for key, structure in crystals(folder, arguments.atoms):
        rows[key] = one(structure, model)
        print(key, rows[key], flush=True)
        if sum("bond_valence" in r and "barriers" in r for r in rows.values()) > 2:
            arguments.out.write_text(json.dumps({"summary": summary(rows, truth), "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
