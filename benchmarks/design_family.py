"""A superionic family left out of everything: does design come back to it?

Run: python benchmarks/prior_train.py FOLDER --before 2008 --epochs 12
     python benchmarks/design_family.py FOLDER OUT [--asked 600] [--seeds 1] [--page FILE]

The family is that of the lithium argyrodites (Li6PS5Cl and its kin), first published in 2008. Left out are
their rows of the measured conductivities, their crystals in the library, and every compound published since
2008 in what the prior has read (FOLDER/prior-2008.pt of the first command, which `wyckoff` and `prior` alone
need; that it holds no lithium argyrodite is checked). The search is judged by the conductivity model fitted
again without them, the bond-valence barrier, and the energy above hull after relaxation; no model of band gaps
is asked, since it has seen them. CHGNet has seen them too, which cannot be undone, and the hull knows their
energies, which makes them no easier to reach. Frameworks to start from, two ways: the library, and the crystals
published before 2008 in which sodium, copper or silver is replaced by lithium beside those of lithium.

A proposal belongs to the family by composition where it holds nothing but lithium, tetrahedral cations,
chalcogens and halogens, six anions (at least four of them chalcogens) and at least five lithium per cation; by
structure where each cation moreover has four chalcogens around it after relaxation; and with the cubic
framework where these cations lie face-centred, each with twelve others at one distance. Every proposal asked
for counts.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import torch
from design_time import LARGEST, old_prior
from pymatgen.core import Composition, Structure

from ionsmith import recipes
from ionsmith.campaign.executors import make_executor
from ionsmith.campaign.ledger import Ledger
from ionsmith.campaign.loop import Campaign, Limits, run_campaign
from ionsmith.core.errors import IonsmithError
from ionsmith.core.protocols import Generator
from ionsmith.core.records import Candidate, Kind
from ionsmith.core.results import Row
from ionsmith.data.library import load_library, measured_library
from ionsmith.data.materials_project import load_materials_project
from ionsmith.data.obelix import load_obelix
from ionsmith.data.obelix_crystals import with_crystals
from ionsmith.generate.edits import EditLearner
from ionsmith.generate.genetic import Genetic
from ionsmith.generate.guided import Guided
from ionsmith.generate.substitution import Substitution
from ionsmith.generate.wyckoff_learner import WyckoffLearner
from ionsmith.generate.wyckoff_network import WyckoffNetwork
from ionsmith.generate.wyckoff_prior import CrystalPrior
from ionsmith.objective.score import SpecObjective
from ionsmith.objective.spec import parse_spec
from ionsmith.predict.conductivity import ConductivityModel, train

FAMILY, YEAR = "argyrodite", 2008
TARGETS = {
    "log10_conductivity": {"min": -3.52},
    "percolation_barrier": {"max": 1.0},
    "energy_above_hull": {"max": 0.05},
}
CATIONS, CHALCOGENS = {"P", "As", "Sb", "Si", "Ge", "Sn", "Al", "Ga", "B"}, {"O", "S", "Se", "Te"}
HALOGENS = {"F", "Cl", "Br", "I"}
BOND = 3.0  # angstrom, longer than any bond of these cations to a chalcogen but Sn-Te
Maker = Callable[[int], Generator]


def is_argyrodite(composition: Composition) -> bool:
    """Return whether a composition is that of a lithium argyrodite."""
    counts = composition.get_el_amt_dict()
    if not set(counts) <= {"Li", *CATIONS, *CHALCOGENS, *HALOGENS}:
        return False
    cations, chalcogens, halogens = (
        sum(counts.get(symbol, 0.0) for symbol in group) for group in (CATIONS, CHALCOGENS, HALOGENS)
    )
    if not cations:
        return False
    anions, lithium = (chalcogens + halogens) / cations, counts.get("Li", 0.0) / cations
    return abs(anions - 6.0) < 0.05 and chalcogens / cations >= 4.0 and lithium >= 5.0


def cations_of(structure: Structure) -> list[int]:
    return [number for number, site in enumerate(structure) if site.specie.symbol in CATIONS]


def has_tetrahedra(structure: Structure) -> bool:
    """Return whether every cation has exactly four chalcogens near, and no halogen."""
    around = [
        [each.specie.symbol for each in structure.get_neighbors(structure[n], BOND)] for n in cations_of(structure)
    ]
    return all(sum(symbol in CHALCOGENS for symbol in each) == 4 and not HALOGENS & set(each) for each in around)


def is_face_centred(structure: Structure) -> bool:
    """Return whether the cations lie like the atoms of a face-centred cubic metal, within a tenth."""
    places = cations_of(structure)
    net = Structure(structure.lattice, ["P"] * len(places), structure.frac_coords[places])
    side = (4.0 * structure.volume / len(places)) ** (1 / 3)
    for site in net:
        distances = sorted(each.nn_distance for each in net.get_neighbors(site, 1.2 * side))
        near = np.array(distances[:13]) * np.sqrt(2.0) / side
        if len(near) < 13 or np.abs(near[:12] - 1.0).max() > 0.1 or near[12] < 1.2:
            return False
    return True


def without_family() -> tuple[ConductivityModel, list[Candidate], list]:
    """Return the conductivity model, the library and its measured part without the family."""
    rows = [row for row in with_crystals(load_obelix("train")) if not belongs(row.candidate)]
    print(f"conductivity is learnt from {len(rows)} rows of {len(load_obelix('train'))}", flush=True)
    library = [candidate for candidate in load_library() if not belongs(candidate)]
    measured = [row for row in measured_library() if not belongs(row.candidate)]
    return train(rows, np.random.default_rng(0)), library, measured


def belongs(candidate: Candidate) -> bool:
    return candidate.source.facts.get("family") == FAMILY or is_argyrodite(candidate.composition)


def old_frameworks(library: Sequence[Candidate]) -> list[Candidate]:
    """Crystals of before the family with lithium, or lithium for sodium, copper or silver, beside the library."""
    found = list(library)
    for row in load_materials_project("mpts_52"):
        year, structure = row.candidate.source.facts.get("year"), row.candidate.structure
        held = {"Li", "Na", "Cu", "Ag"} & set(row.candidate.composition.get_el_amt_dict())
        if year is None or year >= YEAR or len(held) != 1 or len(structure) > LARGEST:
            continue
        (ion,) = held
        if ion != "Li":
            structure = structure.copy()
            structure.replace_species({ion: "Li"})
        found.append(Candidate(Kind.CRYSTAL, structure, row.candidate.source))
    return found


def unaware_prior(folder: Path) -> WyckoffNetwork:
    """The prior that has read the past, once it is sure that the family is not in it."""
    network = old_prior(folder / f"prior-{YEAR}.pt")
    if network is None:  # the shipped one would take its place, which has read the family
        raise SystemExit(
            f"expected prior-{YEAR}.pt in {folder}: run prior_train.py first, or leave this generator out"
        )
    taught = json.loads((folder / "lessons.json").read_text())
    past = [r for r in taught if r["year"] is not None and r["year"] < YEAR]
    for row in past:
        if is_argyrodite(Composition(row["formula"])):
            raise SystemExit(f"the prior has read {row['formula']} ({row['year']}): it is not left out")
    return network


def makers(
    folder: Path, objective: SpecObjective, prototypes: Sequence[Candidate]
) -> dict[str, Callable[[], Generator]]:
    # the compounds to be found are known today: leaving out what is known would leave them out
    return {
        "guided": lambda: Guided(prototypes, objective=objective, novel=False),
        "edits": lambda: EditLearner(prototypes, objective=objective, novel=False),
        "wyckoff": lambda: WyckoffLearner(
            objective=objective, network=unaware_prior(folder), largest=LARGEST, novel=False
        ),
        "genetic": lambda: Genetic(prototypes, objective=objective),
        "substitution": lambda: Substitution(prototypes),
        "prior": lambda: CrystalPrior(network=unaware_prior(folder), largest=LARGEST),
    }


def figures(rows: Sequence[Row]) -> dict[str, object]:
    """What a run found of the family."""
    crystals = [row for row in rows if row.outcome.candidate.kind is Kind.CRYSTAL]
    family = [row for row in crystals if is_argyrodite(row.outcome.candidate.composition)]
    sound = [row for row in family if has_tetrahedra(row.outcome.candidate.structure)]
    cubic = [row for row in sound if is_face_centred(row.outcome.candidate.structure)]
    hits = [row for row in family if row.feasible]
    best = sorted(family, key=lambda row: -(row.score or 0.0))
    return {
        "asked": len(rows),
        "hits of any kind": sum(bool(row.feasible) for row in rows),
        "family": len(family),
        "tetrahedra": len(sound),
        "cubic": len(cubic),
        "pass": sum(row.outcome.status == "ok" for row in family),
        "family hits": len(hits),
        "best rank": min((rows.index(row) + 1 for row in family), default=None),
        "examples": list(dict.fromkeys(row.outcome.candidate.composition.reduced_formula for row in best))[:12],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--asked", type=int, default=600)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--generators", default="guided,edits,genetic,substitution,prior")
    parser.add_argument("--page", type=Path)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    model, library, measured = without_family()
    spec = recipes.design_spec(parse_spec({"targets": TARGETS}), options.asked)
    spec = replace(spec, budget=replace(spec.budget, simulations=options.asked))
    ladder = [recipes.make_simulator(name, spec=spec) for name in ("relax", "hull", "bvse")]
    objective = SpecObjective(spec)
    lines = []
    for start, prototypes in (("library", library), ("crystals before 2008", old_frameworks(library))):
        print(f"{start}: {len(prototypes)} frameworks", flush=True)
        for name in options.generators.split(","):
            if name == "prior" and start != "library":
                continue  # it has no frameworks
            for seed in range(options.seeds):
                place = options.out / f"{start.split()[0]}-{name}-{seed}"
                place.mkdir(exist_ok=True)
                source = makers(options.folder, objective, prototypes)[name]()
                source.fit(measured, np.random.default_rng(seed))
                limits = Limits(spec.budget.candidates, spec.budget.simulations, spec.budget.rounds)
                with Ledger.in_folder(place, header={"family": FAMILY, "seed": seed}) as ledger:
                    campaign = Campaign([model], ladder, objective, ledger, make_executor(1), look_again=True)
                    rows, _ = run_campaign(source, campaign, limits=limits, seed=seed)
                found = figures(rows)
                print(json.dumps([start, name, seed, found]), flush=True)
                cells = [start, name, str(seed), *(str(v) for k, v in found.items() if k != "examples")]
                lines.append("| " + " | ".join([*cells, ", ".join(found["examples"])]) + " |")
    head = "frameworks | generator | seed | " + " | ".join(figures([]))
    text = "\n".join([f"| {head} |", "| --- " * 12 + "|", *lines])
    print(text)
    if options.page:
        title = [
            "# A superionic family left out",
            "",
            f"`python benchmarks/design_family.py` ({date.today():%Y-%m-%d}).",
        ]
        options.page.write_text("\n".join([*title, "", text, ""]))


if __name__ == "__main__":
    try:
        main()
    except IonsmithError as error:
        raise SystemExit(str(error)) from error
