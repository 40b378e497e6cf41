"""Whether hits of a design run survive judges that the reward never saw.

Run: python benchmarks/design_judges.py OUT [--generator wyckoff] [--most 40] [--page FILE]

OUT is the folder of `design.py`. Each new hit is judged by (1) the conductivity expert that reads the formula alone,
trained on other descriptors: within its own spread of the target; (2) relaxation from a crystal whose symmetry was
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

import numpy as np
import torch
from pymatgen.core import Structure

from ionsmith.core.records import Candidate, Kind, Origin, Outcome, Status
from ionsmith.predict.conductivity import ConductivityModel
from ionsmith.simulate.hull import HullDistance
from ionsmith.simulate.potential_landscape import PotentialLandscapeAnalysis
from ionsmith.simulate.relax import Relaxation

CONDUCTIVITY, ABOVE_HULL, BARRIER = -3.52, 0.05, 1.0


def by_formula(hits: list[Candidate], model: ConductivityModel) -> list[bool]:
    formulas = [Candidate(Kind.COMPOSITION, hit.composition, Origin("judge")) for hit in hits]
    found = model.predict(formulas)
    return [bool(m + s >= CONDUCTIVITY) for m, s in zip(found.mean, found.std, strict=True)]


def by_relaxation(hit: Candidate, rng: np.random.Generator) -> bool:
    moved = hit.structure.copy()
    for index in range(len(moved)):
        moved.translate_sites([index], rng.normal(0.0, 0.05 / 3**0.5, 3), frac_coords=False)
    relaxed = Relaxation(fmax=0.03, max_volume_change=0.6).run(replace(hit, payload=moved))
    if relaxed.status is not Status.OK:
        return False
    value = HullDistance().run(relaxed.candidate).values.get("energy_above_hull")
    return value is not None and value.mean - value.std <= ABOVE_HULL


def by_landscape(hit: Candidate) -> bool:
    found: Outcome = PotentialLandscapeAnalysis().run(hit)
    value = found.values.get("landscape_barrier")
    return found.status is Status.OK and value is not None and value.mean <= BARRIER


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--generator", default="wyckoff")
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
    first = by_formula(hits, ConductivityModel.load()) if hits else []
    second, third = [], []
    for number, hit in enumerate(hits):
        second.append(by_relaxation(hit, rng))
        third.append(by_landscape(hit))
        print(hit.formula, first[number], second[-1], third[-1], flush=True)
    together = [all(verdicts) for verdicts in zip(first, second, third, strict=True)]
    lines = ["| judge | survive | of |", "| --- | --- | --- |"]
    names = ("formula expert", "relaxation without symmetry", "CHGNet landscape", "all three")
    for name, verdicts in zip(names, (first, second, third, together), strict=True):
        lines.append(f"| {name} | {sum(verdicts)} | {len(verdicts)} |")
    print("\n".join(lines))
    if options.page:
        options.page.write_text("\n".join([*lines, ""]))


if __name__ == "__main__":
    main()
