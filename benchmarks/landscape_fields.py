"""Fill a folder with the landscape of one lithium ion under CHGNet for every OBELiX crystal, one file an entry.

    IONSMITH_DATA=... python benchmarks/landscape_fields.py FOLDER [--minutes 20]

One thread, crystals in a fixed random order, so that a run that was stopped holds a fair sample. What is there
already is kept, so that the next run goes on from there; ``landscape_potential.py`` makes the figures from it.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import warnings
from hashlib import md5
from pathlib import Path

import numpy as np
import torch
from landscape_experiment import crystals
from pymatgen.core import Structure

from ionsmith.core.errors import IonsmithError
from ionsmith.landscape.frozen import frozen_framework, host
from ionsmith.landscape.potential import potential_landscape
from ionsmith.simulate.potential_landscape import batch_evaluator


def size(structure: Structure) -> int:
    """Atoms of the cell that the potential sees."""
    try:
        return len(host(frozen_framework(structure)[0])[0])
    except IonsmithError:
        return 0


def one(structure: Structure, model) -> tuple[dict, np.ndarray, np.ndarray]:
    """Facts, energies (eV) and cell vectors (angstrom) of one landscape; energies are empty where there is none."""
    start = time.process_time()
    facts = {"formula": structure.composition.reduced_formula, "ordered": structure.is_ordered}
    try:
        found = potential_landscape(structure, batch_evaluator(structure, model))
        facts |= {"note": frozen_framework(structure)[2], "atoms": size(structure)}
    except (IonsmithError, ValueError) as reason:
        return {**facts, "reason": str(reason)}, np.zeros((0, 0, 0)), np.zeros((3, 3))
    facts |= {"evaluations": found.evaluations, "points": found.points, "seconds": time.process_time() - start}
    return facts, found.percolation.field.values, found.percolation.field.lattice


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minutes", type=float, default=1e9, help="stop after so long")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    from chgnet.model import CHGNet

    model, start = CHGNet.load(use_device="cpu", verbose=False), time.monotonic()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    entries = sorted(crystals(Path(os.environ["IONSMITH_DATA"])), key=lambda entry: md5(entry[0].encode()).digest())
    for key, structure in entries:
        place = arguments.folder / f"{key}.npz"
        if place.exists() or time.monotonic() - start > 60.0 * arguments.minutes:
            continue
        facts, values, lattice = one(structure, model)
        fresh = place.with_suffix(".part")
        with fresh.open("wb") as stream:
            np.savez_compressed(stream, facts=json.dumps(facts), values=values, lattice=lattice)
        fresh.replace(place)
        print(key, facts, flush=True)


if __name__ == "__main__":
    main()
