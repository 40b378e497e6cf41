"""The harness: groups stay whole, figures have known values, every row is counted, models start fresh."""

import json
import math

import numpy as np
import pytest
from pymatgen.core import Composition

from ionsmith.core.errors import InputError
from ionsmith.core.protocols import PropertyModel
from ionsmith.core.records import Bound, Candidate, Kind, Origin, Outcome, Prediction, Value
from ionsmith.data.groups import group_labels, spread_over_folds
from ionsmith.evaluate import metrics
from ionsmith.evaluate.baselines import MeanBaseline, NearestNeighbour, RandomForest, RidgeBaseline
from ionsmith.evaluate.conductivity import (
    LIBRARY_FAMILIES,
    conductivity_figures,
    flagged_shares,
    markdown,
    rank_library,
    without_cell,
)
from ionsmith.evaluate.harness import Counting, compare, evaluate_model
from ionsmith.evaluate.splits import Split, grouped_folds, leave_one_family_out, published
from ionsmith.represent.electrolyte import ElectrolyteFeatures
from ionsmith.testing import formula

QUANTITY = "log10_conductivity"
BASELINES = (MeanBaseline, NearestNeighbour, RidgeBaseline, RandomForest)


def rng(seed=0):
    return np.random.default_rng(seed)


def row(text, value, *, bound=Bound.EXACT, **facts):
    candidate = Candidate(Kind.COMPOSITION, Composition(text), Origin("toy", text, facts))
    return Outcome(candidate, {QUANTITY: Value(value, 0.5, "measured", bound=bound)})


def rows(n=40):
    """Log10 conductivity falls with sulfur content; two families, one paper per four rows."""
    return [
        row(f"Li{3 + k}{'Si' if k % 2 else 'Ge'}S{4 + k}", -4.0 - 0.1 * k, doi=f"10.1/{k // 4}", family="ab"[k % 2])
        for k in range(n)
    ]


class Lookup:
    """Predicts a constant that it learnt, and keeps what it was shown."""

    name, quantity, kinds, fingerprint = "lookup", QUANTITY, frozenset({Kind.COMPOSITION}), "1"
    seen: list = []

    def fit(self, outcomes, rng):
        assert not hasattr(self, "level"), "a model must be fresh for every split"
        self.level = outcomes[0].values[QUANTITY].mean + rng.random() * 1e-6
        Lookup.seen.append({outcome.candidate.formula for outcome in outcomes})
        return self

    def predict(self, candidates):
        n = len(candidates)
        return Prediction(np.full(n, self.level), np.ones(n), np.arange(n) % 2 == 0)


# groups and splits


def test_rows_are_linked_through_formula_and_paper():
    some = [row("LiF", 0, doi="a"), row("Li2F2", 0, doi="b"), row("LiCl", 0, doi="B"), row("LiBr", 0), row("LiI", 0)]
    labels = group_labels(some)
    assert labels[0] == labels[1] == labels[2]
    assert len(set(labels)) == 3
    assert len(set(group_labels(some, ("doi",)))) == 4
    assert len(set(group_labels(some, ("formula",)))) == 4


def test_a_row_may_cite_two_papers():
    some = [row("LiF", 0, doi="a|b"), row("LiCl", 0, doi="b"), row("LiBr", 0, doi="a"), row("LiI", 0, doi="c")]
    assert group_labels(some).tolist() == [0, 0, 0, 1]


def test_grouping_by_nothing_is_refused():
    with pytest.raises(InputError, match="something to group by"):
        group_labels(rows(), ())


def test_folds_keep_groups_whole_and_are_even():
    labels = np.repeat(np.arange(30), np.arange(1, 31))
    fold = spread_over_folds(labels, 5, rng())
    assert all(len(set(fold[labels == label])) == 1 for label in range(30))
    sizes = np.bincount(fold)
    assert len(sizes) == 5
    assert np.ptp(sizes) <= 5
    equal = np.repeat(np.arange(30), 3)
    assert (spread_over_folds(equal, 5, rng(1)) != spread_over_folds(equal, 5, rng(2))).any()


@pytest.mark.parametrize("folds", [1, 4])
def test_more_folds_than_groups_are_refused(folds):
    with pytest.raises(InputError, match="folds"):
        spread_over_folds(np.array([0, 0, 1, 2]), folds, rng())


def test_grouped_folds_ask_every_row_once_and_leak_nothing():
    some = rows()
    splits = grouped_folds(some, 5, rng())
    assert sorted(np.concatenate([split.test for split in splits])) == list(range(40))
    labels = group_labels(some)
    for split in splits:
        assert not set(labels[split.train]) & set(labels[split.test])


def test_a_family_is_left_out_with_its_formulas():
    some = [*rows(6), row("Li3GeS4", -9.0, family="b")]
    splits = {split.name: split for split in leave_one_family_out(some)}
    assert splits["a"].test.tolist() == [0, 2, 4]
    assert splits["a"].train.tolist() == [1, 3, 5]  # row 6 has the formula of row 0
    assert splits["b"].train.tolist() == [2, 4]


def test_a_row_without_family_is_refused():
    with pytest.raises(InputError, match="expected a family for LiF"):
        leave_one_family_out([row("LiF", 0)])


# metrics


def test_errors_of_known_numbers():
    one, two = np.array([1.0, 2.0, 6.0]), np.array([1.0, 4.0, 3.0])
    assert metrics.mean_absolute_error(one, two) == pytest.approx(5 / 3)
    assert metrics.root_mean_square_error(one, two) == pytest.approx(math.sqrt(13 / 3))
    assert metrics.accuracy(one, two, 3.5) == pytest.approx(1 / 3)


def test_rank_correlation():
    assert metrics.spearman(np.arange(5.0), np.arange(5.0) ** 3) == pytest.approx(1.0)
    assert metrics.spearman(np.arange(5.0), -np.arange(5.0)) == pytest.approx(-1.0)
    assert math.isnan(metrics.spearman(np.zeros(5), np.arange(5.0)))


def test_area_under_curve_counts_ties_half():
    score, positive = np.array([0.9, 0.5, 0.5, 0.1]), np.array([True, True, False, False])
    assert metrics.area_under_curve(score, positive) == pytest.approx(3.5 / 4)
    assert metrics.area_under_curve(-score, positive) == pytest.approx(0.5 / 4)
    assert math.isnan(metrics.area_under_curve(score, np.ones(4, dtype=bool)))


def test_area_under_curve_agrees_with_scikit_learn():
    from sklearn.metrics import roc_auc_score

    stream = rng(3)
    score, positive = np.round(stream.normal(size=200), 1), stream.random(200) > 0.3
    assert metrics.area_under_curve(score, positive) == pytest.approx(roc_auc_score(positive, score))


def test_coverage_of_honest_intervals_is_nominal():
    stream = rng(1)
    std = stream.uniform(0.5, 2.0, 20000)
    measured = std * stream.normal(size=20000)
    for level in (0.5, 0.9):
        assert metrics.coverage(np.zeros(20000), std, measured, level) == pytest.approx(level, abs=0.015)
    assert metrics.coverage(np.zeros(20000), 0.5 * std, measured, 0.5) < 0.3


def test_bootstrap_draws_whole_groups():
    error = np.array([0.0] * 50 + [1.0] * 50)
    one_by_one = metrics.bootstrap_interval(lambda k: float(error[k].mean()), np.arange(100), rng())
    in_two = metrics.bootstrap_interval(lambda k: float(error[k].mean()), np.repeat([0, 1], 50), rng())
    assert 0.35 < one_by_one[0] < 0.5 < one_by_one[1] < 0.65
    assert in_two == (0.0, 1.0)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: metrics.mean_absolute_error(np.zeros(2), np.zeros(3)), "one shape"),
        (lambda: metrics.coverage(np.zeros(2), np.ones(2), np.zeros(2), 90), "between 0 and 1"),
        (lambda: metrics.bootstrap_interval(lambda k: 0.0, np.empty(0, dtype=int), rng()), "rows to draw"),
    ],
)
def test_senseless_questions_are_refused(call, words):
    with pytest.raises(InputError, match=words):
        call()


def test_no_rows_have_no_error():
    assert math.isnan(metrics.mean_absolute_error(np.empty(0), np.empty(0)))


# harness


def test_every_row_is_counted_and_models_start_fresh():
    some = rows()
    Lookup.seen.clear()
    report = evaluate_model(Lookup, some, grouped_folds(some, 4, rng()), rng())
    assert sorted(report.rows) == list(range(40))
    assert len(Lookup.seen) == 4
    for name, formulas in zip(dict.fromkeys(report.split), Lookup.seen, strict=True):
        asked = {
            some[r].candidate.formula for r, split in zip(report.rows, report.split, strict=True) if split == name
        }
        assert not asked & formulas
    np.testing.assert_allclose(report.measured, [some[r].values[QUANTITY].mean for r in report.rows])


def test_limits_are_counted_as_told():
    some = [row("LiF", -4.0), row("LiCl", -10.0, bound=Bound.UPPER)]
    report = evaluate_model(Lookup, some, [Split("s", np.array([0]), np.array([1]))], rng())
    assert report.figures()["mean_absolute_error"] == pytest.approx(6.0, abs=1e-5)
    assert report.figures(Counting("low", -15.0))["mean_absolute_error"] == pytest.approx(11.0, abs=1e-5)


def test_a_report_is_json():
    some = rows()
    report = evaluate_model(Lookup, some, grouped_folds(some, 4, rng()), rng())
    document = report.document(thresholds=(-6.0,))
    figures = document["figures"]["at the limit"]
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert figures["rows"] == 40
    assert figures["in_domain_share"] == pytest.approx(0.5, abs=0.1)
    assert {"auc_-6", "accuracy_-6", "coverage_50%", "coverage_90%"} <= figures.keys()


def test_adding_a_split_changes_no_other():
    some = rows()
    splits = grouped_folds(some, 4, rng())
    short = evaluate_model(Lookup, some, splits[:2], rng(5))
    long = evaluate_model(Lookup, some, splits, rng(5))
    np.testing.assert_array_equal(long.mean[: len(short)], short.mean)


@pytest.mark.parametrize(
    ("splits", "words"),
    [([], "at least one split"), ([Split("s", np.array([0, 1]), np.array([1]))], "apart from training rows")],
)
def test_bad_splits_are_refused(splits, words):
    with pytest.raises(InputError, match=words):
        evaluate_model(Lookup, rows(), splits, rng())


def test_a_row_without_the_value_is_refused():
    some = [*rows(2), Outcome(formula("LiF"))]
    with pytest.raises(InputError, match="toy:LiF"):
        evaluate_model(Lookup, some, [Split("s", np.array([0, 1]), np.array([2]))], rng())


# baselines


@pytest.mark.parametrize("baseline", BASELINES)
def test_baselines_are_models_that_learn(baseline):
    some = rows()
    model = baseline(ElectrolyteFeatures(cell=False)).fit(some, rng())
    assert isinstance(model, PropertyModel)
    prediction = model.predict([outcome.candidate for outcome in some])
    truth = np.array([outcome.values[QUANTITY].mean for outcome in some])
    plain = np.abs(truth - truth.mean()).mean()
    assert np.abs(prediction.mean - truth).mean() <= (plain + 1e-9 if baseline is MeanBaseline else 0.5 * plain)
    assert (prediction.std > 0).all()


def test_the_nearest_neighbour_knows_its_rows():
    some = rows()
    model = NearestNeighbour(ElectrolyteFeatures(cell=False)).fit(some, rng())
    assert model.predict([some[7].candidate]).mean[0] == some[7].values[QUANTITY].mean


@pytest.mark.parametrize("baseline", BASELINES)
def test_baselines_refuse_to_guess(baseline):
    with pytest.raises(InputError, match="call fit"):
        baseline(ElectrolyteFeatures()).predict([formula("LiF")])
    with pytest.raises(InputError, match="rows to learn from"):
        baseline(ElectrolyteFeatures()).fit([], rng())


# the conductivity figures


def library():
    facts = [("Li3SiS4", "LGPS", -2.0), ("Li9SiS9", "c", -9.0), ("Li2SiS3", "c", None), ("Li9GeS2", "a", -8.0)]
    return [
        Candidate(
            Kind.COMPOSITION,
            Composition(text),
            Origin("library", text, {"family": family} | ({} if value is None else {QUANTITY: value})),
        )
        for text, family, value in facts
    ]


def test_the_library_is_asked_unseen():
    some = [*rows(20), row("Li3SiS4", -3.0, family="z"), row("Li5SiS4", -3.0, family="sulfide")]
    Lookup.seen.clear()
    ranking = rank_library(Lookup, some, library(), rng())
    assert [found.family for found in ranking.rows] == ["LGPS", "a", "c"]
    lgps, a, c = Lookup.seen
    assert "sulfide" in LIBRARY_FAMILIES["LGPS"]
    assert "Li3SiS4" not in lgps
    assert "Li5SiS4" not in lgps
    assert {"Li3SiS4", "Li5SiS4"} <= a
    assert "Li5GeS6" not in a  # family a of the rows
    assert "Li5GeS6" in c
    assert ranking.document()["superionic"] == 1
    assert ranking.document()["poor"] == 2
    assert ranking.auc in (0.0, 0.5, 1.0)


def test_a_library_without_measurements_is_refused():
    with pytest.raises(InputError, match="with the fact log10_conductivity"):
        rank_library(Lookup, rows(), [formula("LiF")], rng())


def test_without_cell_nothing_but_the_formula_is_known():
    (bare,) = without_cell([row("LiF", -8.0, cell={"a": 4.0}, crystal={"lattice": []}, doi="x")])
    assert dict(bare.candidate.source.facts) == {"doi": "x"}


def test_all_figures_are_printed():
    makers = {"lookup": Lookup, "mean": lambda: MeanBaseline(ElectrolyteFeatures())}
    figures = conductivity_figures(
        makers,
        train=rows(30),
        test=[row(f"Li{k}Br", -5.0, family="b", doi=f"{k}") for k in range(1, 12)],
        library=library(),
        seed=0,
        folds=3,
    )
    document = figures.document()
    json.dumps(document, allow_nan=False)
    assert set(document) == {"published", "published-formula", "doi", "group", "family", "library"}
    assert document["published"]["lookup"]["figures"]["limits at the bound"]["rows"] == 11
    assert document["family"]["mean"]["figures"]["limits as 1e-15"]["rows"] == 41
    text = markdown(figures, rng())
    assert text.count("| lookup |") == 5
    assert "AUC" in text
    assert 0.0 < flagged_shares(figures)["rows of unseen families flagged"] < 1.0


def test_comparisons_use_the_same_splits():
    everything, splits = published(rows(20), rows(40)[20:])
    makers = {"a": Lookup, "b": Lookup}
    found = compare("title", makers, everything, splits, seed=4)
    np.testing.assert_array_equal(found.reports["a"].mean, found.reports["b"].mean)
    assert found.reports["a"].rows.tolist() == list(range(20, 40))
