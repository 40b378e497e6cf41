"""Reads and orders every disordered OBELiX crystal, and prints coverage, fidelity, distances and time as Markdown.

Use: IONSMITH_DATA=<mirror> python benchmarks/ordering.py [--energies N] > figures.md
"""

import argparse
import os
import random
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np

from ionsmith.core.errors import PhysicsError
from ionsmith.core.records import Status
from ionsmith.io import arrange
from ionsmith.io.ordering import ordered_approximant
from ionsmith.io.read import read_inputs


def spread(values, digits="{:.3g}"):
    quantiles = np.percentile(values, [0, 5, 50, 95, 100])
    return " / ".join(digits.format(q) for q in quantiles)


def shuffled(board, *, kicks, max_moves):
    """Ions of the same counts at random, for comparison."""
    rng = np.random.default_rng(1)
    state = np.zeros(len(board.orbit), dtype=np.int64)
    for orbit, counts in enumerate(board.counts):
        sites = np.flatnonzero(board.orbit == orbit)
        state[sites] = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    return state, 0.0, 0


def at_random(structure):
    place, check = arrange.place, arrange._check_apart
    arrange.place, arrange._check_apart = shuffled, lambda cell, kind: None
    try:
        return ordered_approximant(structure).structure
    finally:
        arrange.place, arrange._check_apart = place, check


def energies(structures, count):
    import torch
    from chgnet.model import CHGNet

    torch.set_num_threads(1)
    model = CHGNet.load(verbose=False)
    sample = [pair for pair in structures if len(pair[1]) <= 110]
    random.Random(5).shuffle(sample)

    def energy(structure):
        return float(model.predict_structure(structure)["e"])

    rows = np.array([(energy(ordered), energy(at_random(parent))) for parent, ordered in sample[:count]])
    print(f"\n## CHGNet energy of {len(rows)} unrelaxed cells of at most 110 atoms, eV/atom\n")
    print(f"- placed: {spread(rows[:, 0])} (smallest, 5 %, median, 95 %, largest)")
    print(f"- same ions at random: {spread(rows[:, 1])}")
    print(f"- placed minus random: {spread(rows[:, 0] - rows[:, 1])}")
    print(f"- placed not above random: {np.mean(rows[:, 0] <= rows[:, 1] + 1e-4):.0%}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--energies", type=int, default=0, help="how many cells to compare with random placement")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        zipfile.ZipFile(Path(os.environ["IONSMITH_DATA"]) / "obelix" / "all_cifs.zip").extractall(name)
        started = time.perf_counter()
        rows = list(read_inputs([name]))
        reading = (time.perf_counter() - started) / len(rows)
    read = [row.candidate.structure for row in rows if row.status is Status.OK]
    disordered = [(row, row.candidate.structure) for row in rows if row.status is Status.OK]
    disordered = [(Path(row.candidate.source.locator).stem, s) for row, s in disordered if not s.is_ordered]
    done, refused, seconds = [], [], []
    for name, structure in disordered:
        started = time.perf_counter()
        try:
            done.append((name, structure, ordered_approximant(structure)))
        except PhysicsError as error:
            refused.append((name, structure.composition.reduced_formula, str(error)))
        seconds.append(time.perf_counter() - started)
    orderings = [ordering for _, _, ordering in done]
    print("# Ordered approximants of disordered OBELiX crystals\n")
    print(f"- CIFs read: {len(read)} of {len(rows)}, {reading:.3f} s each")
    print(f"- disordered and ordered here: {len(done)} of {len(disordered)}")
    print("- five numbers: smallest / 5 % / median / 95 % / largest")
    print(f"- atoms: {spread([len(o.structure) for o in orderings])}")
    print(f"- largest difference of an atomic fraction: {spread([o.composition_error for o in orderings])}")
    print(f"- shortest distance, angstrom: {spread([o.shortest_distance for o in orderings])}")
    print(f"- seconds: {spread(seconds)}")
    charged = [(name, o) for name, _, o in done if abs(o.net_charge) > 1e-6]
    print(f"- not neutral: {len(charged)}")
    for name, ordering in charged:
        print(f"  - {name}: {ordering.net_charge:+.3g} e in {len(ordering.structure)} atoms")
    print(f"- species lost: {', '.join(n for n, _, o in done if 'without' in o.note) or 'none'}")
    print("- refused:")
    for name, formula, reason in refused:
        print(f"  - {name}, {formula}: {reason}")
    if options.energies:
        energies([(structure, ordering.structure) for _, structure, ordering in done], options.energies)


if __name__ == "__main__":
    main()
