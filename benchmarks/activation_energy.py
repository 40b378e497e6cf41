"""Rebuilds the activation-energy model, measures every figure, and prints them as Markdown.

Use: IONSMITH_DATA=<mirror> python benchmarks/activation_energy.py [--save] [--quick] > figures.md
Errors are mean absolute differences in eV; nothing is learnt from a row linked to the rows asked about.
"""

import argparse
from functools import partial

import numpy as np

from ionsmith.data import activation_energies, obelix
from ionsmith.data.activation_energies import load_activation_energies, material_of
from ionsmith.data.groups import group_labels, spread_over_folds
from ionsmith.data.obelix import load_obelix
from ionsmith.evaluate.baselines import MeanBaseline, NearestNeighbour, RandomForest, RidgeBaseline
from ionsmith.evaluate.harness import AT_LIMIT, evaluate_model
from ionsmith.evaluate.splits import Split
from ionsmith.predict.activation_energy import QUANTITY, ActivationEnergyModel, save
from ionsmith.represent.composition import ElementStatistics
from ionsmith.represent.electrolyte import ElectrolyteFeatures

COMMAND = "python benchmarks/activation_energy.py --save"


class MedianBaseline(MeanBaseline):
    """The median of what was learnt."""

    name = "median"

    def _learn(self, features, target, rng):
        self._level = float(np.median(target))


class ExtraTrees(RandomForest):
    """Extra trees on element statistics, the baseline named in the aim."""

    name = "extra-trees"

    def _make(self, rng):
        from sklearn.ensemble import ExtraTreesRegressor

        return ExtraTreesRegressor(200, max_features=0.33, random_state=int(rng.integers(2**31)))


def makers(quick):
    features = ElectrolyteFeatures()
    settings = {"trees": 20, "calibration_trees": 6, "folds": 3} if quick else {}
    return {
        "activation_energy": partial(ActivationEnergyModel, **settings),
        "median": lambda: MedianBaseline(features, quantity=QUANTITY),
        "nearest neighbour": lambda: NearestNeighbour(features, quantity=QUANTITY),
        "ridge": lambda: RidgeBaseline(features, quantity=QUANTITY),
        "extra trees, element statistics": lambda: ExtraTrees(ElementStatistics(), quantity=QUANTITY),
    }


def tagged(outcomes):
    """Return the rows of OBELiX under the composition's label, so that they are linked with the energies."""
    from dataclasses import replace
    from types import MappingProxyType

    def with_material(outcome):
        source = outcome.candidate.source
        facts = {**source.facts, "material": str(material_of(outcome.candidate.composition)).replace(" ", "")}
        return replace(
            outcome, candidate=replace(outcome.candidate, source=replace(source, facts=MappingProxyType(facts)))
        )

    return tuple(with_material(outcome) for outcome in outcomes)


def rows_with_aides(part):
    """Return rows with a measured energy, then OBELiX rows of other compositions (conductivity only)."""
    energies = tagged(load_activation_energies(part))
    materials = {o.candidate.source.facts["material"] for o in energies}
    others = [o for o in tagged(load_obelix(part)) if o.candidate.source.facts["material"] not in materials]
    if part == "train":  # the published split lets two formulas stand in both halves
        kept_out = tagged(load_obelix("test"))
        seen = {name: {o.candidate.source.facts.get(name) for o in kept_out} for name in ("material", "doi")}
        others = [o for o in others if not any(o.candidate.source.facts.get(name) in seen[name] for name in seen)]
    return energies, tuple(others)


def folds(energies, others, by, count, seed):
    everything = (*energies, *others)
    labels = group_labels(everything, by)
    fold = spread_over_folds(labels[: len(energies)], count, np.random.default_rng(seed))
    splits = []
    for k in range(count):
        asked = np.flatnonzero(fold == k)
        train = np.flatnonzero(~np.isin(labels, labels[asked]))
        splits.append(Split(f"fold {k + 1}", train, asked))
    return splits


def families(energies, others):
    names = np.array([o.candidate.source.facts["family"] for o in (*energies, *others)])
    labels = group_labels((*energies, *others), ("formula", "material"))
    splits = []
    for family in sorted(set(names[: len(energies)])):
        asked = np.flatnonzero((names == family)[: len(energies)])
        train = np.flatnonzero(~np.isin(labels, labels[asked]) & (names != family))
        splits.append(Split(family, train, asked))
    return splits


def without_aides(splits, count):
    return [Split(s.name, s.train[s.train < count], s.test) for s in splits]


def compare(title, energies, others, splits, quick, *, only=None):
    """Print one table; baselines learn from measured energies only, because they know nothing else."""
    everything = (*energies, *others)
    print(f"### {title}\n")
    heads = (
        "model",
        "rows",
        "MAE, eV (90 % interval)",
        "median error",
        "Spearman",
        "50 % covers",
        "90 % covers",
        "in domain",
        "MAE in domain",
    )
    print(f"| {' | '.join(heads)} |\n|{' --- |' * len(heads)}")
    found = {}
    for label, make in makers(quick).items():
        if only and label not in only:
            continue
        used = splits if label == "activation_energy" else without_aides(splits, len(energies))
        report = evaluate_model(make, everything, used, np.random.default_rng(0), by=("formula", "material"))
        low, high = report.error_interval(AT_LIMIT, np.random.default_rng(0))
        figures = report.figures()
        error = np.abs(report.mean - report.measured)
        names = ("spearman", "coverage_50%", "coverage_90%", "in_domain_share", "mean_absolute_error_in_domain")
        cells = [label, str(len(report)), f"{error.mean():.4f} ({low:.3f} to {high:.3f})", f"{np.median(error):.3f}"]
        cells += [f"{figures[name]:.3f}" if name in figures else "" for name in names]
        print(f"| {' | '.join(cells)} |", flush=True)
        found[label] = report
    print()
    return found


def document(reports):
    return {label: {k: round(v, 4) for k, v in report.figures().items()} for label, report in reports.items()}


def by_family(report, energies):
    names = np.array([energies[row].candidate.source.facts["family"] for row in report.rows])
    error = np.abs(report.mean - report.measured)
    print("| family | rows | MAE, eV | flagged |\n| --- | --- | --- | --- |")
    for family in sorted(set(names), key=lambda name: -(names == name).sum()):
        here = names == family
        print(f"| {family} | {here.sum()} | {error[here].mean():.3f} | {(~report.in_domain[here]).mean():.2f} |")
    print()


def noise(energies):
    """The spread of repeated measurements of one composition: nothing can be predicted better than this."""
    groups = {}
    for outcome in energies:
        groups.setdefault(outcome.candidate.source.facts["material"], []).append(outcome.values[QUANTITY].mean)
    repeated = [np.array(values) for values in groups.values() if len(values) > 1]
    pairs = np.concatenate([np.abs(v[:, None] - v)[np.triu_indices(len(v), 1)] for v in repeated])
    apart = np.concatenate([np.abs(v - np.median(v)) for v in repeated])
    print(
        f"- {len(repeated)} compositions with several rows ({sum(map(len, repeated))}): mean |difference| of two "
        f"{pairs.mean():.3f} eV, 90th percentile {np.quantile(pairs, 0.9):.3f} eV; mean distance from the median "
        f"{apart.mean():.3f} eV"
    )


def learning_curve(energies, others, quick):
    print("### Learning curve, ten folds by composition\n\n| share of the training rows | MAE, eV |\n| --- | --- |")
    splits = folds(energies, others, ("formula", "material"), 10, 0)
    for share in (0.25, 0.5, 0.75, 1.0):
        rng = np.random.default_rng(1)
        fewer = [
            Split(s.name, np.sort(rng.permutation(s.train)[: int(share * len(s.train))]), s.test) for s in splits
        ]
        settings = {"trees": 20, "calibration_trees": 4, "folds": 2}
        report = evaluate_model(
            partial(ActivationEnergyModel, **settings), (*energies, *others), fewer, np.random.default_rng(0)
        )
        print(f"| {share:.2f} | {report.figures()['mean_absolute_error']:.4f} |", flush=True)
    print()


def harder_questions(energies, others, compositions, metrics):
    """Print and keep what is asked beyond composition folds: papers, families, the published split, less data."""
    bare = without_aides(compositions, len(energies))
    compare(
        "The same without conductivities of other materials",
        energies,
        others,
        bare,
        False,
        only=("activation_energy",),
    )
    papers = folds(energies, others, ("formula", "material", "doi"), 10, 0)
    metrics["doi"] = document(compare("Ten folds by composition and DOI", energies, others, papers, False))
    left = compare(
        "Leave one family out",
        energies,
        others,
        families(energies, others),
        False,
        only=("activation_energy", "median"),
    )
    by_family(left["activation_energy"], energies)
    metrics["family"] = document(left)
    flags, names = left["activation_energy"].in_domain, np.array(left["activation_energy"].split)
    most = [float((~flags[names == name]).mean()) > 0.5 for name in sorted(set(names))]
    print(
        f"- rows of unseen families flagged: {(~flags).mean():.0%}; "
        f"families flagged on most rows: {np.mean(most):.0%}\n"
    )
    test, _ = rows_with_aides("test")
    known, aides = rows_with_aides("train")
    whole = (*known, *test)
    split = [
        Split(
            "OBELiX",
            np.r_[np.arange(len(known)), len(whole) + np.arange(len(aides))],
            np.arange(len(known), len(whole)),
        )
    ]
    metrics["obelix"] = document(
        compare("OBELiX split: learnt from train, asked about test", whole, aides, split, False)
    )
    learning_curve(energies, others, False)


def write_weights(metrics):
    known, aides = rows_with_aides("train")
    model = ActivationEnergyModel().fit((*known, *aides), np.random.default_rng(0))
    cards = (activation_energies.CARD, obelix.CARD)
    data = [{"name": card.name, "licence": card.licence, "source": card.source} for card in cards]
    text = f"{len(known)} energies, {len(aides)} further conductivities; no composition or DOI of OBELiX test.csv"
    save(model, card={"data": data, "split": text, "metrics": metrics, "command": COMMAND})


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--save", action="store_true", help="write the weights into the package")
    arguments.add_argument("--quick", action="store_true", help="few trees, composition folds only: a smoke test")
    given = arguments.parse_args()
    energies, others = rows_with_aides("all")
    print(f"{len(energies)} energies, {len(others)} further conductivities\n")
    noise(energies)
    print()
    compositions = folds(energies, others, ("formula", "material"), 10, 0)
    metrics = {
        "composition": document(
            first := compare("Ten folds by composition", energies, others, compositions, given.quick)
        )
    }
    by_family(first["activation_energy"], energies)
    if not given.quick:
        harder_questions(energies, others, compositions, metrics)
    if given.save:
        write_weights(metrics)


if __name__ == "__main__":
    main()
