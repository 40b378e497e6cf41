"""What the crystal prior writes: validity, novelty, distributions, and what is stable after relaxation.

Run: python benchmarks/prior.py FOLDER [--samples 2000] [--relaxed 300] [--page FILE]

FOLDER is that of `prior_train.py`, whose lessons tell what was learnt and what was kept out. Three sources are
compared by the same protocol: the shipped prior without conditions, sentences drawn at random from what the grammar
and the room between atoms allow (the random baseline), and real crystals kept out of training (the ceiling).
"""

from __future__ import annotations

import argparse
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from multiprocessing import Pool
from pathlib import Path

import numpy as np
import torch
from ase.data import covalent_radii
from prior_train import divided, rows_of
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Structure
from scipy.stats import rankdata, wasserstein_distance

from ionsmith.core.errors import IonsmithError
from ionsmith.core.records import Candidate, Kind, Origin, Outcome, Status
from ionsmith.generate.wyckoff_network import Settings, WyckoffNetwork
from ionsmith.generate.wyckoff_prior import GEOMETRY_TEMPERATURE, TEMPERATURE, conditions, draw, load_prior
from ionsmith.generate.wyckoff_writer import Conditions
from ionsmith.predict.composition import CompositionEnergyAboveHull
from ionsmith.represent.wyckoff_tokens import decode
from ionsmith.simulate.hull import HullDistance
from ionsmith.simulate.relax import Relaxation

STABLE = 0.1  # eV/atom above the reference hull
SANE = 0.5  # angstrom; the usual validity criterion of generated crystals (CDVAE, arXiv 2110.06197)
RELAXATION = Relaxation(max_volume_change=1.0, max_steps=100)


@dataclass(frozen=True)
class Source:
    """Crystals of one source, how many were asked for, and the log-probability of each, where it has one."""

    name: str
    asked: int
    crystals: Sequence[Structure]
    groups: Sequence[int]
    likelihood: Sequence[float] = ()


def sampled(name: str, network: WyckoffNetwork, count: int, wanted: Conditions) -> Source:
    drafts = draw(network, [wanted] * count, np.random.default_rng(0), name=name)
    good = [draft for draft in drafts if draft.outcome.status is Status.OK]
    groups = [decode(draft.written.words).space_group for draft in good]
    likelihood = [draft.written.log_probability for draft in good]
    return Source(name, count, [draft.outcome.candidate.structure for draft in good], groups, likelihood)


def random_network() -> WyckoffNetwork:
    """A network that finds every word equally likely."""
    network = WyckoffNetwork(Settings(width=8, layers=1, heads=1))
    torch.nn.init.zeros_(network.score.weight)
    torch.nn.init.zeros_(network.score.bias)
    return network


def real(lessons: Sequence, count: int) -> Source:
    chosen = np.random.default_rng(1).permutation(len(lessons))[:count]
    crystals = [decode(lessons[index].words) for index in chosen]
    structures = [crystal.structure().get_primitive_structure() for crystal in crystals]
    return Source("real crystals kept out", len(structures), structures, [each.space_group for each in crystals])


def nearest(structure: Structure) -> float:
    """Shortest distance, angstrom."""
    distance = structure.distance_matrix + 1e3 * np.eye(len(structure))
    return float(min(distance.min(), *structure.lattice.abc))


def ratio(structure: Structure) -> float:
    """Shortest distance over the sum of covalent radii."""
    first, second, _, distance = structure.get_neighbor_list(4.0)
    radii = covalent_radii[[site.specie.Z for site in structure]]
    return float((distance / (radii[first] + radii[second])).min(initial=np.inf))


def neutral(structure: Structure) -> bool:
    """Whether smact finds charges that balance; alloys of metals and elements count as neutral."""
    from smact.screening import smact_validity

    return bool(smact_validity(structure.composition.reduced_formula))


def unique(structures: Sequence[Structure]) -> list[int]:
    """Indices of the first crystal of each kind, by StructureMatcher within equal formulas."""
    matcher, kept = StructureMatcher(), {}
    for index, structure in enumerate(structures):
        group = kept.setdefault(structure.composition.reduced_formula, [])
        if not any(matcher.fit(structure, structures[other]) for other in group):
            group.append(index)
    return sorted(index for group in kept.values() for index in group)


def known_crystals(rows: list[dict]) -> dict[str, list[dict]]:
    """Training crystals by reduced formula."""
    found: dict[str, list[dict]] = {}
    for row in rows:
        if "variants" in row:
            found.setdefault(row["formula"], []).append(row)
    return found


def novel(structures: Sequence[Structure], known: dict[str, list[dict]]) -> list[bool]:
    """Whether no training crystal of the same formula matches."""
    matcher = StructureMatcher()

    def one(structure: Structure) -> bool:
        twins = known.get(str(structure.composition.reduced_formula), [])
        return not any(matcher.fit(structure, decode(row["variants"][0]).structure()) for row in twins)

    return [one(structure) for structure in structures]


def distances(source: Source, truth: Source) -> list[float]:
    """Wasserstein distance of density (g/cm3) and number of elements, total variation of space groups."""

    def by(measure: Callable[[Structure], float]) -> float:
        return float(wasserstein_distance(*([measure(s) for s in each.crystals] for each in (source, truth))))

    counts = [Counter(each.groups) for each in (source, truth)]
    shares = [{g: n / max(1, sum(c.values())) for g, n in c.items()} for c in counts]
    spread = sum(abs(shares[0].get(g, 0.0) - shares[1].get(g, 0.0)) for g in range(1, 231)) / 2.0
    return [by(lambda s: float(s.density)), by(lambda s: float(len(s.composition))), spread]


def relaxed(structure: Structure) -> tuple[float, Structure | None, float, int]:
    """Energy above hull after relaxation (inf where it fails), the relaxed crystal, seconds and steps."""
    torch.set_num_threads(1)
    candidate = Candidate(Kind.CRYSTAL, structure, Origin("benchmark"))
    found: Outcome = RELAXATION.run(candidate)
    if found.status is not Status.OK:
        return float("inf"), None, found.cost_s, 0
    above = HullDistance().run(found.candidate)
    value = above.values.get("energy_above_hull")
    mean = float("inf") if value is None else value.mean
    return mean, found.candidate.structure, found.cost_s, int(found.details["steps"])


def sun(indices: Sequence[int], found: Sequence, known: dict[str, list[dict]]) -> int:
    """How many of some relaxed crystals are stable, unique among themselves, and new."""
    stable = [found[index][1] for index in indices if found[index][0] <= STABLE]
    distinct = [stable[index] for index in unique(stable)]
    return sum(novel(distinct, known))


def ranked(source: Source, indices: Sequence[int], known: dict[str, list[dict]]) -> list[int]:
    """The best third of some crystals: known formulas dropped, then by the sum of two ranks.

    The ranks are those of the energy above hull predicted from the formula, and of the probability of the sentence.
    """
    fresh = [index for index in indices if source.crystals[index].composition.reduced_formula not in known]
    model = CompositionEnergyAboveHull.load()
    asked = [Candidate(Kind.COMPOSITION, source.crystals[index].composition, Origin("benchmark")) for index in fresh]
    ranks = rankdata(model.predict(asked).mean)
    if source.likelihood:
        ranks = ranks + rankdata([-source.likelihood[index] for index in fresh])
    order = np.argsort(ranks, kind="stable")[: max(1, len(indices) // 3)]
    return [fresh[place] for place in order]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--relaxed", type=int, default=300)
    parser.add_argument("--temperature", type=float, default=TEMPERATURE)
    parser.add_argument("--geometry-temperature", type=float, default=GEOMETRY_TEMPERATURE)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--weights", type=Path, help="state file of prior_train.py instead of the shipped weights")
    parser.add_argument("--page", type=Path)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(options.workers)
    rows = rows_of(options.folder, options.workers)
    _, _, test = divided(rows, None)
    judged = {tuple(sorted(lesson.variants)) for lesson in test}
    learnt = [r for r in rows if "variants" in r and tuple(sorted(map(tuple, r["variants"]))) not in judged]
    known = known_crystals(learnt)
    network = load_prior() if options.weights is None else WyckoffNetwork()
    if options.weights is not None:
        state = torch.load(options.weights, weights_only=True)
        network.load_state_dict(state.get("averaged", state))
    truth = real(test, options.samples)
    wanted = replace(
        conditions("", ()), temperature=options.temperature, geometry_temperature=options.geometry_temperature
    )
    sources = [
        sampled("prior", network.eval(), options.samples, wanted),
        # small ones: a sentence at random rarely stops before the largest cell is full
        sampled("random sentences", random_network().eval(), options.samples // 10, replace(wanted, largest=20)),
        truth,
    ]
    lines = validity(sources, truth, known)
    lines += ["", *stability(sources, known, options.relaxed, options.workers)]
    text = "\n".join(lines)
    print(text)
    if options.page:
        head = ["# What the crystal prior writes", "", f"`{command(options)}`, {date.today():%Y-%m-%d}.", ""]
        options.page.write_text("\n".join([*head, *lines, ""]))


def command(options: argparse.Namespace) -> str:
    return f"python benchmarks/prior.py FOLDER --samples {options.samples} --relaxed {options.relaxed}"


def validity(sources: Sequence[Source], truth: Source, known: dict[str, list[dict]]) -> list[str]:
    names = "source | decode | distances above 0.5 angstrom | above 0.7 of the radii | neutral | unique | new"
    names += " | density distance | elements distance | space groups distance"
    lines = [f"| {names} |", "| --- " * 10 + "|"]
    for source in sources:
        count = len(source.crystals)
        parts = [
            count / source.asked,
            sum(nearest(s) > SANE for s in source.crystals) / source.asked,
            sum(ratio(s) > 0.7 for s in source.crystals) / source.asked,
            sum(map(neutral, source.crystals)) / source.asked,
            len(unique(source.crystals)) / source.asked,
            sum(novel(source.crystals, known)) / source.asked,
        ]
        shares = " | ".join(f"{part:.3f}" for part in parts)
        apart = " | ".join(f"{part:.3f}" for part in distances(source, truth))
        lines.append(f"| {source.name} | {shares} | {apart} |")
        print(lines[-1], flush=True)
    return lines


def stability(sources: Sequence[Source], known: dict[str, list[dict]], count: int, workers: int) -> list[str]:
    lines = ["| source | asked | relaxed | stable | stable, unique, new | the same, best third | s each |"]
    lines.append("| --- " * 7 + "|")
    for source in sources:
        asked = min(count, source.asked)
        indices = range(min(asked, len(source.crystals)))
        with Pool(workers) as pool:
            found = pool.map(relaxed, [source.crystals[index] for index in indices], chunksize=1)
        good, third = sun(indices, found, known), ranked(source, indices, known)
        best = sun(third, found, known)
        stable = sum(each[0] <= STABLE for each in found)
        settled = sum(each[1] is not None for each in found)
        shares = " | ".join(f"{n / asked:.3f}" for n in (settled, stable, good))
        seconds = np.mean([each[2] for each in found])
        lines.append(f"| {source.name} | {asked} | {shares} | {best}/{len(third)} | {seconds:.2f} |")
        print(lines[-1], flush=True)
    return lines


if __name__ == "__main__":
    try:
        main()
    except IonsmithError as error:
        raise SystemExit(str(error)) from error
