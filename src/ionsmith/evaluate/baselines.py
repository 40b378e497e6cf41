"""Plain predictors that stand beside every model: whoever does not beat them has learnt nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np

from ionsmith.core.errors import InputError
from ionsmith.core.protocols import PropertyModel, Representation, Rng
from ionsmith.core.records import Candidate, FloatArray, Kind, Outcome, Prediction
from ionsmith.represent.composition import ElementStatistics
from ionsmith.represent.electrolyte import ElectrolyteFeatures


class _Baseline:
    """Shared part: standardised features, one spread for all rows, everything in the domain.

    A feature that is missing everywhere is dropped; elsewhere the training mean stands for it.
    """

    name = "baseline"
    kinds = frozenset({Kind.CRYSTAL, Kind.COMPOSITION})

    def __init__(self, representation: Representation, *, quantity: str = "log10_conductivity") -> None:
        """Store what is looked at and what is learnt.

        Args:
            representation: gives features of shape (n, p).
            quantity: name of the quantity.
        """
        self.representation = representation
        self.quantity = quantity
        self._fitted = False

    @property
    def fingerprint(self) -> str:
        """Text that names the method; baselines are never shipped."""
        return f"{self.name}-{self.representation.name}"

    def fit(self, outcomes: Sequence[Outcome], rng: Rng) -> Self:
        """Learn from measured rows.

        Args:
            outcomes: rows with a value of the quantity.
            rng: random stream.

        Raises:
            InputError: no rows.
        """
        if not outcomes:
            raise InputError(f"{self.name}: expected rows to learn from, got none")
        raw = np.asarray(self.representation.encode([outcome.candidate for outcome in outcomes]), dtype=float)
        self._used = np.isfinite(raw).any(axis=0)
        self._centre: FloatArray = np.nanmean(raw[:, self._used], axis=0)
        self._scale: FloatArray = np.maximum(np.nanstd(raw[:, self._used], axis=0), 1e-9)
        target = np.array([outcome.values[self.quantity].mean for outcome in outcomes])
        self._std = float(target.std()) + 1e-9
        features = self._standard(raw)
        self._learn(features, target, rng)
        self._std = max(float(np.abs(self._answer(features) - target).mean()), 0.1 * self._std)
        self._fitted = True
        return self

    def predict(self, candidates: Sequence[Candidate]) -> Prediction:
        """Return predictions with the spread of the training residuals.

        Args:
            candidates: n crystals or compositions.

        Raises:
            InputError: not fitted.
        """
        mean = self.predict_described(self.describe(candidates))
        return Prediction(mean, np.full(len(mean), self._std), np.ones(len(mean), dtype=bool))

    @property
    def descriptor_names(self) -> tuple[str, ...]:
        """Names of the features, in column order; numbers where the representation has no names."""
        names = getattr(self.representation, "names", None)
        return tuple(names) if names else tuple(f"feature {k}" for k in range(len(self._used)))

    def describe(self, candidates: Sequence[Candidate]) -> FloatArray:
        """Return features, shape (n, p); NaN where one is not known.

        Args:
            candidates: n crystals or compositions.
        """
        return np.asarray(self.representation.encode(candidates), dtype=float)

    def predict_described(self, descriptors: FloatArray) -> FloatArray:
        """Return predictions from features, shape (n,).

        Args:
            descriptors: shape (n, p).

        Raises:
            InputError: not fitted.
        """
        if not self._fitted:
            raise InputError(f"{self.name}: expected a fitted model; call fit first")
        return self._answer(self._standard(descriptors))

    def _standard(self, raw: FloatArray) -> FloatArray:
        return np.asarray(np.nan_to_num((raw[:, self._used] - self._centre) / self._scale))

    def _learn(self, features: FloatArray, target: FloatArray, rng: Rng) -> None:
        raise NotImplementedError

    def _answer(self, features: FloatArray) -> FloatArray:
        raise NotImplementedError


class MeanBaseline(_Baseline):
    """The mean of what was learnt, whatever is asked."""

    name = "mean"

    def _learn(self, features: FloatArray, target: FloatArray, rng: Rng) -> None:
        self._level = float(target.mean())

    def _answer(self, features: FloatArray) -> FloatArray:
        return np.full(len(features), self._level)


class NearestNeighbour(_Baseline):
    """The value of the nearest training row, by Euclidean distance of standardised features."""

    name = "nearest-neighbour"

    def _learn(self, features: FloatArray, target: FloatArray, rng: Rng) -> None:
        self._known, self._target = features, target

    def _answer(self, features: FloatArray) -> FloatArray:
        from scipy.spatial.distance import cdist

        return np.asarray(self._target[cdist(features, self._known).argmin(axis=1)])


class _Fitted(_Baseline):
    """A baseline that scikit-learn fits."""

    def _make(self, rng: Rng) -> Any:
        raise NotImplementedError

    def _learn(self, features: FloatArray, target: FloatArray, rng: Rng) -> None:
        self._model = self._make(rng).fit(features, target)

    def _answer(self, features: FloatArray) -> FloatArray:
        return np.asarray(self._model.predict(features))


class RidgeBaseline(_Fitted):
    """Ridge regression whose penalty is chosen by leave-one-out on the training rows."""

    name = "ridge"

    def _make(self, rng: Rng) -> Any:
        from sklearn.linear_model import RidgeCV

        return RidgeCV(np.logspace(-2, 4, 13))


class RandomForest(_Fitted):
    """A random forest of 200 trees, one third of the features per node."""

    name = "random-forest"

    def _make(self, rng: Rng) -> Any:
        from sklearn.ensemble import RandomForestRegressor

        return RandomForestRegressor(200, max_features=0.33, random_state=int(rng.integers(2**31)))


def standard_baselines(quantity: str) -> dict[str, Callable[[], PropertyModel]]:
    """Return label to what builds each baseline that stands beside a refitted model.

    Mean, nearest neighbour and ridge see the electrolyte features (with the cell, where one is known); the forest
    sees element statistics in the manner of Magpie.

    Args:
        quantity: name of the quantity.
    """
    features, statistics = ElectrolyteFeatures(), ElementStatistics()
    return {
        "mean": lambda: MeanBaseline(features, quantity=quantity),
        "nearest neighbour": lambda: NearestNeighbour(features, quantity=quantity),
        "ridge": lambda: RidgeBaseline(features, quantity=quantity),
        "Magpie random forest": lambda: RandomForest(statistics, quantity=quantity),
    }
