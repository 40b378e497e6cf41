"""The Gaussian process beside the networks: exact where it can be checked by hand, honest about what it needs."""

import numpy as np
import pytest

from ionsmith.core.errors import ArtifactError, InputError
from ionsmith.learn import kernel as module
from ionsmith.learn.kernel import KernelMean


def waves(rows=80, seed=0):
    features = np.random.default_rng(seed).normal(size=(rows, 3))
    return features, np.column_stack([np.sin(features[:, 0]), features[:, 1] ** 2])


def test_without_noise_it_returns_what_it_was_told_and_far_away_the_median():
    features, values = waves()
    found = KernelMean.fit(features, values, noise=1e-9)
    assert found.predict(features) == pytest.approx(values, abs=1e-2)
    assert found.predict(features + 1e4) == pytest.approx(np.tile(np.median(values, axis=0), (80, 1)))


def test_it_is_the_mean_of_a_gaussian_process_with_a_matern_kernel():
    features, values = waves()
    found = KernelMean.fit(features, values, noise=0.1)
    places = found.places.astype(float)
    asked = (waves(5, 1)[0] - found.centre) @ found.axes

    def matern(one, other):
        scaled = np.sqrt(3.0) * np.linalg.norm(one[:, None] - other[None], axis=2) / found.length
        return (1.0 + scaled) * np.exp(-scaled)

    solved = np.linalg.solve(matern(places, places) + 0.1 * np.eye(80), values - found.level)
    assert found.predict(waves(5, 1)[0]) == pytest.approx(found.level + matern(asked, places) @ solved, abs=1e-5)


def test_rows_teach_only_what_they_know():
    features, values = waves()
    values[::2, 1] = np.nan
    both = KernelMean.fit(features, values, noise=0.01)
    second = KernelMean.fit(features, values[:, 1:].copy(), noise=0.01)
    assert not both.weights[::2, 1].any()
    assert both.predict(features)[:, 1] == pytest.approx(second.predict(features)[:, 0])


def test_an_answer_does_not_depend_on_its_company():
    features, values = waves()
    found = KernelMean.fit(features, values, noise=0.01)
    assert np.array_equal(found.predict(features)[7:8], found.predict(features[7:8]))


def test_a_feature_that_never_changes_says_nothing():
    features, values = waves()
    found = KernelMean.fit(np.column_stack([features, np.full(80, 5.0)]), values, noise=0.01)
    moved = np.column_stack([features, np.full(80, 9.0)])
    assert found.predict(moved) == pytest.approx(
        KernelMean.fit(features, values, noise=0.01).predict(features), abs=1e-4
    )


def test_more_rows_than_allowed_are_thinned(monkeypatch):
    monkeypatch.setattr(module, "MOST_ROWS", 20)
    assert KernelMean.fit(*waves(), noise=0.01).places.shape == (20, 3)


def test_what_is_stored_gives_the_same_answers():
    features, values = waves()
    found = KernelMean.fit(features, values, noise=0.01)
    stored = found.arrays(prefix="k.")
    assert np.array_equal(KernelMean.restore(stored, prefix="k.").predict(features), found.predict(features))
    with pytest.raises(ArtifactError, match="missing or wrong"):
        KernelMean.restore({}, prefix="k.")
    with pytest.raises(ArtifactError, match="belong together"):
        KernelMean.restore(stored | {"k.places": stored["k.places"][:, :1]}, prefix="k.")


def test_nonsense_is_refused():
    features, values = waves()
    with pytest.raises(InputError, match="noise above 0"):
        KernelMean.fit(features, values, noise=0.0)
    with pytest.raises(InputError, match="as many values as rows"):
        KernelMean.fit(features[1:], values, noise=0.1)
    with pytest.raises(InputError, match="at least two values"):
        KernelMean.fit(features, np.full_like(values, np.nan), noise=0.1)
