"""Flat trees answer exactly as scikit-learn does, and survive being stored."""

import pickle

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesRegressor, GradientBoostingRegressor, RandomForestRegressor
from sklearn.tree import DecisionTreeRegressor

from ionsmith.core.errors import ArtifactError, InputError
from ionsmith.learn.forest import Forest, LeafWeights, quantiles, trimmed_mean


@pytest.fixture(scope="module")
def task():
    rng = np.random.default_rng(0)
    features = np.round(rng.normal(size=(400, 9)), 2)  # rounded, so that thresholds fall between float32 values
    return features, features[:, 0] ** 2 + np.sin(features[:, 1]) + 0.1 * rng.normal(size=400)


@pytest.mark.parametrize("ensemble", [ExtraTreesRegressor, RandomForestRegressor])
def test_votes_equal_those_of_scikit_learn(task, ensemble):
    features, target = task
    grown = ensemble(20, random_state=0).fit(features[:300], target[:300])
    votes = Forest.from_sklearn(grown.estimators_).votes(features)
    assert votes.shape == (400, 20)
    np.testing.assert_allclose(votes, np.column_stack([t.predict(features) for t in grown.estimators_]), atol=1e-9)
    np.testing.assert_allclose(votes.mean(axis=1), grown.predict(features), atol=1e-9)


def test_rows_on_a_threshold_go_the_same_way(task):
    features, target = task
    grown = ExtraTreesRegressor(20, random_state=1).fit(features, target)
    forest = Forest.from_sklearn(grown.estimators_)
    column, threshold = forest.feature[forest.roots[0]], grown.estimators_[0].tree_.threshold[0]
    for value in (threshold, np.nextafter(threshold, -9), np.nextafter(threshold, 9), np.float32(threshold)):
        rows = features[:5].copy()
        rows[:, column] = value
        np.testing.assert_allclose(forest.votes(rows).mean(axis=1), grown.predict(rows), atol=1e-9)


def test_stored_trees_answer_the_same(task):
    features, target = task
    forest = Forest.from_sklearn(ExtraTreesRegressor(10, random_state=0).fit(features, target).estimators_)
    arrays = forest.arrays(prefix="cell.")
    assert sum(array.nbytes for array in arrays.values()) <= 8 * len(forest.feature) + 4 * len(forest)
    again = Forest.from_arrays(arrays, prefix="cell.")
    np.testing.assert_array_equal(again.leaves(features), forest.leaves(features))
    np.testing.assert_allclose(again.votes(features), forest.votes(features), rtol=1e-6)


def test_no_rows_give_no_votes(task):
    features, target = task
    forest = Forest.from_sklearn(ExtraTreesRegressor(3, random_state=0).fit(features, target).estimators_)
    assert forest.votes(features[:0]).shape == (0, 3)


def test_a_lone_leaf_is_a_tree():
    grown = ExtraTreesRegressor(2, random_state=0).fit([[0.0], [1.0]], [3.0, 3.0])
    assert Forest.from_sklearn(grown.estimators_).votes(np.array([[5.0]])).tolist() == [[3.0, 3.0]]


def test_trees_grown_best_first_are_refused(task):
    grown = GradientBoostingRegressor(n_estimators=2, max_leaf_nodes=20, max_depth=None, random_state=0).fit(*task)
    with pytest.raises(InputError, match="depth first"):
        Forest.from_sklearn([tree for (tree,) in grown.estimators_])


def test_trees_too_large_for_their_arrays_are_refused():
    rng = np.random.default_rng(0)
    grown = DecisionTreeRegressor(random_state=0).fit(rng.normal(size=(20000, 1)), rng.normal(size=20000))
    with pytest.raises(InputError, match="at most 32767 nodes"):
        Forest.from_sklearn([grown])


def test_a_missing_array_is_named():
    with pytest.raises(ArtifactError, match="feature"):
        Forest.from_arrays({"number": np.zeros(1)})


def test_weights_of_training_rows_give_the_forest_back(task):
    features, target = task
    grown = ExtraTreesRegressor(20, min_samples_leaf=3, random_state=0).fit(features[:300], target[:300])
    forest = Forest.from_sklearn(grown.estimators_)
    weights = LeafWeights.grown(forest, features[:300]).weights(features)
    assert weights.shape == (400, 300)
    np.testing.assert_allclose(weights.sum(axis=1), 1.0)
    np.testing.assert_allclose(weights @ target[:300], grown.predict(features), atol=1e-9)


def test_trimmed_mean():
    values, even = np.array([9.0, 1.0, 2.0, 3.0, -7.0]), np.ones((1, 5))
    assert trimmed_mean(values, even, 0.2)[0] == pytest.approx(2.0)
    assert trimmed_mean(values, even, 0.0)[0] == pytest.approx(8.0 / 5)
    assert trimmed_mean(values, even, 0.49)[0] == pytest.approx(2.0)
    assert trimmed_mean(values, np.array([[8.0, 1.0, 1.0, 0.0, 0.0]]), 0.3)[0] == pytest.approx(9.0)


def test_quantiles_follow_the_weights():
    values, weights = np.array([3.0, 1.0, 2.0]), np.array([[1.0, 1.0, 1.0], [0.0, 1.0, 0.0]])
    assert quantiles(values, weights, (0.1, 0.5, 1.0)).tolist() == [[1.0, 2.0, 3.0], [1.0, 1.0, 1.0]]


@pytest.mark.parametrize("trim", [-0.1, 0.5])
def test_a_share_that_leaves_nothing_is_refused(trim):
    with pytest.raises(InputError, match="share to trim"):
        trimmed_mean(np.zeros(4), np.ones((1, 4)), trim)


def test_what_is_cached_for_speed_is_not_sent_along():
    rows = np.random.default_rng(0).random((60, 3))
    forest = Forest.from_sklearn(ExtraTreesRegressor(10, random_state=0).fit(rows, rows[:, 0]).estimators_)
    fresh = LeafWeights.grown(forest, rows)
    size = len(pickle.dumps(fresh))
    before = fresh.weights(rows)
    sent = pickle.dumps(fresh)
    assert len(sent) == size
    np.testing.assert_array_equal(pickle.loads(sent).weights(rows), before)  # noqa: S301 - made here
