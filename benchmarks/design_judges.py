"""Whether hits of a design run survive judges that the reward never saw.

Run: IONSMITH_DATA=... python benchmarks/design_judges.py OUT [--generator guided] [--most 40] [--page FILE]

OUT is the folder of `design.py`. Each new hit is judged by (1) a conductivity model of another kind: a forest on
statistics of element properties, grown here on the official train half of OBELiX with another seed: within its own
spread of the target; (2) relaxation under another CHGNet weight set (0.2.0) from a crystal whose symmetry was
broken by random displacements of 0.05 angstrom, to 0.03 eV/angstrom: still within 0.05 eV/atom of the hull, to the
spread of that energy; (3) the landscape of a lithium ion under CHGNet instead of bond valences: percolating in 3-D
below 1 eV. What a judge cannot answer counts as not surviving.
"""

from __future__ import annotations

import argparse
import json
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pymatgen.core import Structure

from ionsmith.core.errors import PhysicsError
from ionsmith.core.records import Candidate, Kind, Origin, Outcome, Status
from ionsmith.data.obelix import load_obelix
from ionsmith.represent.composition import ElementStatistics
from ionsmith.simulate.hull import place_on_hull, read_references
from ionsmith.simulate.potential_landscape import PotentialLandscapeAnalysis
from ionsmith.simulate.potentials import static_energy
from ionsmith.simulate.relax import Relaxation
from ionsmith.thermodynamics.phases import HullTable

CONDUCTIVITY, ABOVE_HULL, BARRIER, FLOOR = -3.52, 0.05, 1.0, -12.0
OTHER = "design_judges:older_chgnet"


def older_chgnet() -> Any:
    """Return a calculator of CHGNet 0.2.0; the reward uses 0.3.0."""
    from chgnet.model import CHGNet, CHGNetCalculator

    return CHGNetCalculator(CHGNet.load(model_name="0.2.0", use_device="cpu", verbose=False), use_device="cpu")


def by_forest(hits: list[Candidate]) -> tuple[list[bool], list[bool]]:
    """Whether each hit meets the target to one spread, and by best estimate."""
    from sklearn.ensemble import ExtraTreesRegressor

    told = load_obelix("train")
    rows = ElementStatistics().encode([each.candidate for each in told])
    target = np.maximum([each.values["log10_conductivity"].mean for each in told], FLOOR)
    forest = ExtraTreesRegressor(300, min_samples_leaf=2, random_state=77).fit(rows, target)
    asked = ElementStatistics().encode(hits).astype(np.float32)
    answers = np.array([tree.predict(asked) for tree in forest.estimators_])
    mean, spread = answers.mean(axis=0), answers.std(axis=0)
    print("forest:", *(f"{hit.formula} {m:.2f}+-{s:.2f}" for hit, m, s in zip(hits, mean, spread, strict=True)))
    return [bool(m + s >= CONDUCTIVITY) for m, s in zip(mean, spread, strict=True)], list(mean >= CONDUCTIVITY)


def by_relaxation(hit: Candidate, rng: np.random.Generator) -> bool:
    moved = hit.structure.copy()
    for index in range(len(moved)):
        moved.translate_sites([index], rng.normal(0.0, 0.05 / 3**0.5, 3), frac_coords=False)
    relaxed = Relaxation(fmax=0.03, max_volume_change=0.6, potential=OTHER).run(replace(hit, payload=moved))
    if relaxed.status is not Status.OK:
        return False
    try:
        energy = static_energy(relaxed.candidate.structure, OTHER)
        references, table = read_references("element_references"), HullTable.shipped()
        values, _ = place_on_hull(relaxed.candidate, energy, references=references, table=table)
    except PhysicsError:
        return False
    above = values["energy_above_hull"]
    return above.mean - above.std <= ABOVE_HULL


def by_landscape(hit: Candidate) -> bool:
    found: Outcome = PotentialLandscapeAnalysis().run(hit)
    value = found.values.get("landscape_barrier")
    return found.status is Status.OK and value is not None and value.mean <= BARRIER


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--generator", default="guided")
    parser.add_argument("--most", type=int, default=40)
    parser.add_argument("--page", type=Path)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    files = sorted(options.out.glob(f"{options.generator}-*.hits.json"))
    crystals = [Structure.from_dict(each) for file in files for each in json.loads(file.read_text())]
    chosen = np.random.default_rng(0).permutation(len(crystals))[: options.most]
    hits = [Candidate(Kind.CRYSTAL, crystals[index], Origin("judge")) for index in chosen]
    rng = np.random.default_rng(1)
    first, strict = by_forest(hits) if hits else ([], [])
    second, third = [], []
    for number, hit in enumerate(hits):
        second.append(by_relaxation(hit, rng))
        third.append(by_landscape(hit))
        print(hit.formula, first[number], second[-1], third[-1], flush=True)
    together = [all(verdicts) for verdicts in zip(first, second, third, strict=True)]
    lines = ["| judge | survive | of |", "| --- | --- | --- |"]
    verdicts_of = {
        "another conductivity model, within its spread": first,
        "the same, by best estimate (not counted below)": strict,
        "relaxation under CHGNet 0.2.0": second,
        "CHGNet landscape": third,
        "all three": together,
    }
    for name, verdicts in verdicts_of.items():
        lines.append(f"| {name} | {sum(verdicts)} | {len(verdicts)} |")
    print("\n".join(lines))
    if options.page:
        options.page.write_text("\n".join([*lines, ""]))


if __name__ == "__main__":
    main()
