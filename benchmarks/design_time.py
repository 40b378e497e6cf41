"""Rediscovery over time: how many lithium compounds published later do generators find that know only the past.

Run: python benchmarks/prior_train.py FOLDER --before 2008 --epochs 12
     python benchmarks/design_time.py FOLDER [--generators guided,edits] [--before 2008] [--asked 1500] [--seeds 3]

`mpts_52` carries years. The prior has read what was published before the cut (FOLDER/prior-YEAR.pt of the first
command); substitution and the genetic algorithm have the lithium compounds of that time as prototypes. The reward is
the probability that a random forest on the formula, fitted to the energies above hull of that time, gives to at most
0.05 eV/atom. Nothing else is used: hull, conductivity and gap models know later compounds. A find is a proposal whose
reduced formula is that of a lithium compound first published after the cut; every proposal asked for counts.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import torch

from ionsmith.core.errors import IonsmithError
from ionsmith.core.protocols import Generator
from ionsmith.core.records import Outcome, Status, Value
from ionsmith.data.materials_project import load_materials_project
from ionsmith.evaluate.baselines import RandomForest
from ionsmith.generate.edits import EditLearner
from ionsmith.generate.genetic import Genetic
from ionsmith.generate.guided import Guided
from ionsmith.generate.substitution import Substitution
from ionsmith.generate.wyckoff_learner import WyckoffLearner
from ionsmith.generate.wyckoff_network import WyckoffNetwork
from ionsmith.generate.wyckoff_prior import CrystalPrior
from ionsmith.objective.score import SpecObjective
from ionsmith.objective.spec import parse_spec
from ionsmith.represent.composition import ElementStatistics

QUANTITY = "energy_above_hull"
OBJECTIVE = SpecObjective(parse_spec({"targets": {QUANTITY: {"max": 0.05}}}))
ROUND, LARGEST = 60, 48


def old_prior(path: Path) -> WyckoffNetwork | None:
    """The prior that has read the past; None where it was not trained, which leaves out what needs it."""
    if not path.exists():
        return None
    network = WyckoffNetwork()
    network.load_state_dict(torch.load(path, weights_only=True))
    return network.eval()


def formula(outcome: Outcome) -> str:
    return str(outcome.candidate.composition.reduced_formula)


def judged(proposals: Sequence[Outcome], model: RandomForest) -> list[Outcome]:
    """Proposals with the energy above hull that the model gives their formulas."""
    good = [place for place, each in enumerate(proposals) if each.status is Status.OK]
    told = list(proposals)
    if good:
        found = model.predict([proposals[place].candidate for place in good])
        for place, mean in zip(good, found.mean, strict=True):
            told[place] = replace(proposals[place], values={QUANTITY: Value(float(mean), 0.05, model.name)})
    return told


def search(source: Generator, model: RandomForest, asked: int, seed: int) -> list[str]:
    """Formulas that a generator proposes."""
    found = []
    for number in range(asked // ROUND):
        rng = np.random.default_rng([seed, number])
        proposals = source.ask(ROUND, rng)
        found += [formula(each) for each in proposals if each.status is Status.OK]
        source.tell(judged(proposals, model), rng)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--generators", default="")
    parser.add_argument("--before", type=int, default=2008)
    parser.add_argument("--asked", type=int, default=1500)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--page", type=Path)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    rows = [row for row in load_materials_project("mpts_52") if row.candidate.source.facts.get("year") is not None]
    past = [row for row in rows if row.candidate.source.facts["year"] < options.before]
    known = {formula(row) for row in past}
    lithium = [row for row in rows if "Li" in row.candidate.composition]
    later = {formula(row) for row in lithium if len(row.candidate.structure) <= LARGEST} - known
    network = old_prior(options.folder / f"prior-{options.before}.pt")
    model = RandomForest(ElementStatistics(), quantity=QUANTITY).fit(past, np.random.default_rng(0))
    prototypes = [row.candidate for row in lithium if formula(row) in known]

    def sources() -> dict[str, Generator]:
        # what is known today would be left out as no novelty: here it is what is to be found
        found: dict[str, Generator] = {
            "guided": Guided(prototypes, objective=OBJECTIVE, novel=False),
            "edits": EditLearner(prototypes, objective=OBJECTIVE, novel=False),
            "substitution": Substitution(prototypes),
            "genetic": Genetic(prototypes, objective=OBJECTIVE),
        }
        if network is not None:
            found["wyckoff"] = WyckoffLearner(objective=OBJECTIVE, network=network, largest=LARGEST, novel=False)
            found["prior"] = CrystalPrior(network=network, largest=LARGEST)
        return found

    lines = [
        f"{len(past)} crystals before {options.before}, {len(later)} lithium compounds after it, "
        f"{len(prototypes)} prototypes.",
        "",
        "| generator | asked | finds, each seed | formulas proposed that were known before | examples |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name in options.generators.split(",") if options.generators else sources():
        finds, old, examples = [], 0, set()
        for seed in range(options.seeds):
            proposed = search(sources()[name], model, options.asked, seed)
            found = set(proposed) & later
            finds.append(len(found))
            old += len(set(proposed) & known)
            examples |= found
        cells = [name, f"{options.seeds} x {options.asked}", ", ".join(map(str, finds)), str(old)]
        lines.append("| " + " | ".join([*cells, ", ".join(sorted(examples)[:12])]) + " |")
        print(json.dumps([name, finds, sorted(examples)]), flush=True)
    print("\n".join(lines))
    if options.page:
        head = ["# Rediscovery over time", "", f"`python benchmarks/design_time.py FOLDER --before {options.before}`"]
        options.page.write_text("\n".join([*head, f"({date.today():%Y-%m-%d}).", "", *lines, ""]))


if __name__ == "__main__":
    try:
        main()
    except IonsmithError as error:
        raise SystemExit(str(error)) from error
