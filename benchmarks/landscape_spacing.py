"""Levels under CHGNet on grids of 0.3 and 0.2 angstrom, and what each costs.

    IONSMITH_DATA=... python benchmarks/landscape_spacing.py [ENTRY ...]

Five small OBELiX crystals, or those whose entry IDs are given; levels are those off the grid.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from landscape_experiment import crystals

from ionsmith.landscape import build_network
from ionsmith.landscape.potential import potential_landscape
from ionsmith.simulate.potential_landscape import batch_evaluator

ENTRIES = ("i47", "wsd", "kkn", "gvd", "4p7")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("entries", nargs="*", default=ENTRIES)
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    from chgnet.model import CHGNet

    model, apart = CHGNet.load(use_device="cpu", verbose=False), []
    for key, structure in crystals(Path(os.environ["IONSMITH_DATA"])):
        if key not in arguments.entries:
            continue
        evaluate, levels = batch_evaluator(structure, model), []
        for spacing in (0.3, 0.2):
            start = time.process_time()
            found = potential_landscape(structure, evaluate, resolution=spacing)
            levels.append(np.array(build_network(found.percolation).levels()))
            seconds = time.process_time() - start
            print(key, spacing, levels[-1].round(3), f"{found.evaluations} energies, {seconds:.1f} s", flush=True)
        apart += [d for d in np.abs(levels[0] - levels[1]) if np.isfinite(d)]
    print(f"rms {np.sqrt(np.mean(np.square(apart))):.3f}, median {np.median(apart):.3f}, largest {max(apart):.3f} eV")


if __name__ == "__main__":
    main()
