"""Trains the transfer models on frozen CHGNet features and measures them on formulas kept out of every fit.

    IONSMITH_DATA=<folder of the data sets> python benchmarks/transfer.py PART [--write] [--cache DIR] [--page FILE]

PART is formula (first: the band gap listens to it), band_gap, formation_energy (with the energy above hull), moduli,
cost, or floor (how far two releases of the data are apart on one crystal). The first run computes CHGNet's view of
24,000 crystals (some 20 minutes on one core); ``--cache`` keeps them. Mean, nearest neighbour, ridge and random
forest on element statistics stand beside every model.
"""

import argparse
import json
import logging
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
from pymatgen.core import Composition

from ionsmith.core.errors import PhysicsError
from ionsmith.core.records import Candidate, Kind, Origin
from ionsmith.data.groups import group_labels, spread_over_folds
from ionsmith.data.matbench import load_formula_table, load_matbench
from ionsmith.evaluate import metrics
from ionsmith.evaluate.baselines import MeanBaseline, NearestNeighbour, RandomForest, RidgeBaseline
from ionsmith.learn.ensemble import EnsembleSettings
from ionsmith.learn.trainer import Training
from ionsmith.predict import transfer_data as d
from ionsmith.predict import transfer_models as m
from ionsmith.predict.transfer_formula import fit_prior
from ionsmith.predict.transfer_readings import from_references
from ionsmith.represent.composition import ElementStatistics
from ionsmith.represent.elements import LAST

COMMAND = "python benchmarks/transfer.py {} --write"
BASELINES = (MeanBaseline, NearestNeighbour, RidgeBaseline, RandomForest)
CARD = [
    {"name": "materials_project", "licence": "CC BY 4.0", "source": "github SymmetryAdvantage/WyckoffTransformer"},
]
FORMULA_CARD = [
    {"name": name, "licence": "CC BY 4.0", "source": "github anthony-wang/CrabNet"} for name in ("matbench", "oqmd")
]
METALS_KEPT = 0.15  # share
MODULI_CARD = {"name": "mp-by-formula", "licence": "CC BY 4.0", "source": "github anthony-wang/CrabNet"}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=sorted(PARTS))
    parser.add_argument("--write", action="store_true", help="write the shipped weights")
    parser.add_argument("--cache", type=Path, help="folder that keeps CHGNet's views of the crystals")
    parser.add_argument("--scratch", default="", help="folder for training checkpoints; a broken run continues")
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument("--epochs", type=int, help="passes over the training rows")
    parser.add_argument("--members", type=int, help="networks in the ensemble")
    parser.add_argument("--share", type=float, default=1.0, help="share of training formulas, for a learning curve")
    parser.add_argument("--no-baselines", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cached-only", action="store_true", help="leave out crystals that the cache lacks")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    figures = PARTS[arguments.part](arguments)
    text = json.dumps(figures, indent=1)
    print(text)
    if arguments.json:
        arguments.json.write_text(text + "\n", encoding="utf-8")


def settings_for(arguments, epochs, members, **training):
    return EnsembleSettings(
        members=arguments.members or members, training=Training(epochs=arguments.epochs or epochs, **training)
    )


def seen(outcomes, arguments):
    """Return the crystals that CHGNet's views are there for, after looking at those that lack one."""
    d.remember_views(outcomes, arguments.cache, compute=not arguments.cached_only)
    if not arguments.cached_only:
        return list(outcomes)
    return [outcome for outcome in outcomes if outcome.candidate.key in d.VIEWS]


def thinned(outcomes, share):
    return [o for o in outcomes if share >= 1.0 or d.held_out(o.candidate.formula, share=share, seed=5)]


def figures_of(prediction, truth, outcomes, seed=0):
    """Error, rank, coverage and domain share, with an interval over formulas drawn whole."""
    error = np.abs(prediction.mean - truth)
    groups = group_labels(outcomes, ("formula",))
    low, high = metrics.bootstrap_interval(
        lambda rows: float(error[rows].mean()), groups, np.random.default_rng(seed), level=0.95
    )
    inside = prediction.in_domain
    return {
        "crystals": len(truth),
        "mae": metrics.mean_absolute_error(prediction.mean, truth),
        "mae_95": [low, high],
        "rmse": metrics.root_mean_square_error(prediction.mean, truth),
        "spearman": metrics.spearman(prediction.mean, truth),
        "coverage_50": metrics.coverage(prediction.mean, prediction.std, truth, 0.5),
        "coverage_90": metrics.coverage(prediction.mean, prediction.std, truth, 0.9),
        "outside_domain": float(1.0 - inside.mean()),
        "mae_inside": metrics.mean_absolute_error(prediction.mean[inside], truth[inside]),
        "mae_outside": metrics.mean_absolute_error(prediction.mean[~inside], truth[~inside]),
    }


def values(outcomes, quantity):
    return np.array([outcome.values[quantity].mean for outcome in outcomes])


class ElementStatisticsOnce:
    """Element statistics of some rows, computed once however many baselines read them."""

    name = "element-statistics"

    def __init__(self, rows):
        features = np.nan_to_num(ElementStatistics().encode([o.candidate for o in rows]))
        self.memory = {o.candidate.key: x for o, x in zip(rows, features, strict=True)}

    def encode(self, candidates):
        """Return the features of some of the rows."""
        return np.array([self.memory[c.key] for c in candidates])


def baselines(train, test, quantity):
    """Mean absolute error of the plain predictors on element statistics."""
    truth = values(test, quantity)
    answers = baseline_answers(ElementStatisticsOnce([*train, *test]), train, test, quantity)
    return {name: float(np.abs(answer - truth).mean()) for name, answer in answers.items()}


def baseline_answers(representation, train, asked, quantity):
    """What each plain predictor says, by name."""
    return {
        cls.name: cls(representation, quantity=quantity)
        .fit(train, np.random.default_rng(0))
        .predict([o.candidate for o in asked])
        .mean
        for cls in BASELINES
    }


def formula(arguments):
    """The networks over elements that the band gap model listens to; its weights must be there before its own."""
    gaps, beside = (
        {amounts: float(np.median(found)) for amounts, found in table.grouped().items()}
        for table in (load_matbench("gap"), load_formula_table("oqmd_gap"))
    )
    rng = np.random.default_rng(arguments.seed)
    # most of OQMD are metals that teach the same thing again
    wanted = {amounts for amounts, gap in sorted(beside.items()) if gap > 0.0 or rng.random() < METALS_KEPT}
    rows = [
        (Candidate(Kind.COMPOSITION, Composition(dict(amounts)), Origin("matbench")), amounts)
        for amounts in sorted(gaps.keys() | wanted)
    ]
    learnt = [
        (c, (gaps.get(amounts, np.nan), beside.get(amounts, np.nan)))
        for c, amounts in rows
        if not d.held_out(c.formula, share=0.15) and max(e.Z for e in c.composition) <= LAST
    ]
    prior, errors = fit_prior(
        [c for c, _ in learnt],
        np.array([known for _, known in learnt]),
        settings=EnsembleSettings(hidden=128, training=Training(arguments.epochs or 36, 256)),
        rng=rng,
        scratch=Path(arguments.scratch) if arguments.scratch else None,
    )
    found = {"formulas": len(learnt), "mae_on_the_fold_left_out": list(errors)}
    if arguments.write:
        split = "15 % of the formulas kept out of every network, of the others one fold in four out of each"
        prior.save(
            card={"data": FORMULA_CARD, "split": split, "metrics": found, "command": COMMAND.format("formula")}
        )
    return found


def band_gap(arguments):
    data = d.load_transfer_data()
    rows = seen(data.mp_20, arguments)
    share = d.SHARES["mp_20_biternary"]
    train = thinned([o for o in rows if not d.kept_out(o, share)], arguments.share)
    test = [o for o in rows if d.kept_out(o, share)]
    beside = [o for o in seen(data.mpts_52, arguments) if "band_gap" in o.values and not d.kept_out(o)]
    settings = settings_for(arguments, 28, 4, batch=128, rate=3e-3)
    start = time.perf_counter()
    model = m.TransferBandGap(settings=settings, scratch=arguments.scratch)
    model.fit(train, np.random.default_rng(arguments.seed), beside)
    seconds = time.perf_counter() - start
    truth = values(test, "band_gap")
    prediction = model.predict([o.candidate for o in test])
    found = {"train": len(train), "beside": len(beside), "seconds": seconds}
    found["model"] = figures_of(prediction, truth, test)
    some = truth > 0.0
    found["true_gap_above_zero"] = {
        "crystals": int(some.sum()),
        "mae": float(np.abs(prediction.mean - truth)[some].mean()),
        "coverage_50": metrics.coverage(prediction.mean[some], prediction.std[some], truth[some], 0.5),
        "coverage_90": metrics.coverage(prediction.mean[some], prediction.std[some], truth[some], 0.9),
    }
    found["metal_accuracy"] = float(((prediction.mean > 0.05) == some).mean())
    if not arguments.no_baselines:
        found["baselines"] = baselines(train, test, "band_gap")
    if arguments.write:
        write(model, CARD, found, "10 % of mp_20_biternary kept out by formula", arguments)
    return found


def formation_energy(arguments):
    data = d.load_transfer_data()
    mp_20, mpts_52 = seen(data.mp_20, arguments), seen(data.mpts_52, arguments)
    train = [o for o in mp_20 if not d.kept_out(o, d.SHARES["mp_20_biternary"])]
    train = thinned(train + [o for o in mpts_52 if not d.kept_out(o)], arguments.share)
    settings = settings_for(arguments, 80, 4, batch=128, rate=3e-3, patience=80)
    start = time.perf_counter()
    model = m.TransferFormationEnergy(settings=settings, scratch=arguments.scratch)
    model.fit(train, np.random.default_rng(arguments.seed))
    found = {"train": len(train), "seconds": time.perf_counter() - start}
    for name, rows, share in (("mp_20_biternary", mp_20, 0.10), ("mpts_52", mpts_52, 0.15)):
        test = [o for o in rows if d.kept_out(o, share)]
        asked = [o.candidate for o in test]
        truth = values(test, "formation_energy")
        found[name] = {"model": figures_of(model.predict(asked), truth, test)}
        views = d.VIEWS(asked)
        plain = np.array([plain_answer(c, view) for c, view in zip(asked, views, strict=True)])
        found[name]["chgnet_with_references"] = float(np.nanmean(np.abs(plain - truth)))
        if not arguments.no_baselines:
            own = [o for o in train if o.candidate.source.locator.startswith(name)]
            found[name]["baselines"] = baselines(own, test, "formation_energy")
    found["energy_above_hull"] = above_hull(model, [o for o in mpts_52 if d.kept_out(o)])
    if arguments.write:
        split = "10 % of mp_20_biternary and 15 % of mpts_52 kept out by formula"
        write(model, CARD, found, split, arguments)
    return found


def plain_answer(candidate, view):
    """Return CHGNet's energy with references; NaN where an element has none, which leaves the row out of its mean."""
    try:
        return from_references(candidate, view)
    except PhysicsError:
        return np.nan


def above_hull(model, test):
    hull = m.TransferEnergyAboveHull()._become(*model._known())
    truth = values(test, "energy_above_hull")
    prediction = hull.predict([o.candidate for o in test])
    found = figures_of(prediction, truth, test)
    called, stable = prediction.mean <= 0.05, truth <= 0.05
    hits = float((called & stable).sum())
    return found | {"f1_0.05": 2.0 * hits / float(called.sum() + stable.sum()), "stable_share": float(stable.mean())}


def moduli(arguments):
    """Five folds by formula; the shipped model learns from all rows, see the card."""
    rows = seen(d.load_transfer_data().moduli, arguments)
    settings = settings_for(arguments, 30, 3, batch=64, rate=3e-3)
    fold = spread_over_folds(group_labels(rows, ("formula",)), 5, np.random.default_rng(0))
    found = {"crystals": len(rows)}
    answers = {
        cls.quantity: np.full((len(rows), 3), np.nan) for cls in (m.TransferBulkModulus, m.TransferShearModulus)
    }
    for k in range(5):
        train = thinned([o for o, f in zip(rows, fold, strict=True) if f != k], arguments.share)
        asked = np.flatnonzero(fold == k)
        model = m.TransferBulkModulus(settings=settings).fit(train, np.random.default_rng(arguments.seed))
        for cls, column in ((m.TransferBulkModulus, 0), (m.TransferShearModulus, 1)):
            answer = cls()._become(model._known()[0], column).predict([rows[row].candidate for row in asked])
            answers[cls.quantity][asked] = np.column_stack([answer.mean, answer.std, answer.in_domain])
    for quantity, answer in answers.items():
        found[quantity] = log_figures(rows, answer, quantity)
        if not arguments.no_baselines:
            found[quantity]["baselines"] = log_baselines(rows, fold, quantity)
    if arguments.write:
        model = m.TransferBulkModulus(settings=settings).fit(rows, np.random.default_rng(arguments.seed))
        write(
            model, [*CARD, MODULI_CARD], found, "all matched formulas; figures from five folds by formula", arguments
        )
    return found


def log_figures(rows, answer, quantity):
    known = np.array([quantity in o.values for o in rows])
    some = [o for o, k in zip(rows, known, strict=True) if k]
    mean, std, inside = answer[known].T
    truth = log10_of(values(some, quantity))
    prediction = d_prediction(log10_of(mean), std / mean / np.log(10.0), inside > 0.5)
    return figures_of(prediction, truth, some)


def log10_of(moduli):
    return np.log10(np.maximum(moduli, 1.0))


def log_baselines(rows, fold, quantity):
    """Mean absolute error of the logarithm over the folds of the model, for the plain predictors."""
    some = [(o, f) for o, f in zip(rows, fold, strict=True) if quantity in o.values]
    logged = [
        replace(o, values={quantity: replace(o.values[quantity], mean=float(log10_of(o.values[quantity].mean)))})
        for o, _ in some
    ]
    folds = np.array([f for _, f in some])
    representation, errors = ElementStatisticsOnce(logged), defaultdict(list)
    for k in range(int(folds.max()) + 1):
        train = [o for o, f in zip(logged, folds, strict=True) if f != k]
        asked = [o for o, f in zip(logged, folds, strict=True) if f == k]
        for name, answer in baseline_answers(representation, train, asked, quantity).items():
            errors[name].extend(np.abs(answer - values(asked, quantity)))
    return {name: float(np.mean(found)) for name, found in errors.items()}


def d_prediction(mean, std, inside):
    from ionsmith.core.records import Prediction

    return Prediction(mean, std, inside)


def cost(arguments):
    """CPU seconds for all five properties of a crystal, beside one CHGNet energy; wall time counts other work too."""
    from ionsmith.represent.chgnet import _model

    rows = d.load_transfer_data().mpts_52[::100]
    names = ("BandGap", "FormationEnergy", "EnergyAboveHull", "BulkModulus", "ShearModulus")
    models = [getattr(m, f"Transfer{name}").load() for name in names]
    network = _model().network
    candidates = [o.candidate for o in rows if o.candidate.kind is Kind.CRYSTAL]
    for ask in (energy_of(network), all_of(models)):
        ask(candidates[0])  # loading compiled code and growing trees is paid once per process
    least = {name: [] for name in ("energy", "all")}
    for candidate in candidates[1:]:
        # the least of three: other programs only ever add
        runs = [(timed(energy_of(network), candidate), timed(all_of(models), candidate)) for _ in range(3)]
        for name, found in zip(least, np.min(runs, axis=0), strict=True):
            least[name].append(float(found))
    sums = {name: float(np.sum(found)) for name, found in least.items()}
    return {"crystals": len(least["all"]), "seconds": sums, "ratio": sums["all"] / sums["energy"]}


def energy_of(network):
    from ionsmith.predict.transfer_views import plain_structure

    return lambda candidate: network.predict_structure(plain_structure(candidate), task="e")


def all_of(models):
    from ionsmith.predict import transfer

    def ask(candidate):
        d.VIEWS.forget()
        transfer.forget()
        for model in models:
            model.predict([candidate])

    return ask


def timed(ask, candidate):
    start = time.process_time()
    ask(candidate)
    return time.process_time() - start


def floor(arguments):
    """How far the values of one crystal in the two files are apart, for crystals that both hold."""
    from pymatgen.analysis.structure_matcher import StructureMatcher

    data, matcher = d.load_transfer_data(), StructureMatcher(scale=False)
    first = defaultdict(list)
    for one in data.mp_20:
        first[one.candidate.formula].append(one)
    found = {}
    for quantity in ("band_gap", "formation_energy"):
        pairs = [
            (one.values[quantity].mean, other.values[quantity].mean)
            for other in data.mpts_52
            if quantity in other.values
            for one in first[other.candidate.formula]
            if quantity in one.values and matcher.fit(one.candidate.structure, other.candidate.structure)
        ]
        apart = np.abs(np.subtract(*np.array(pairs).T)) if pairs else np.empty(0)
        some = np.array([max(pair) > 0.0 for pair in pairs], dtype=bool)
        found[quantity] = {"pairs": len(pairs), "mean": float(apart.mean()), "median": float(np.median(apart))}
        if quantity == "band_gap":
            found[quantity] |= {"not_both_zero": int(some.sum()), "mean_there": float(apart[some].mean())}
    return found


def write(model, data, found, split, arguments):
    command = COMMAND.format(arguments.part)
    model.save(card={"data": data, "split": split, "metrics": found, "command": command})


PARTS = {
    "formula": formula,
    "band_gap": band_gap,
    "formation_energy": formation_energy,
    "moduli": moduli,
    "cost": cost,
    "floor": floor,
}

if __name__ == "__main__":
    main()
