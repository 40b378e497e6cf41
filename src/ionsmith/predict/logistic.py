"""Logistic regression on named numbers: scaled inside the fit, ridge penalty, solved by Newton's method."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ionsmith.core.errors import InputError
from ionsmith.core.records import BoolArray, FloatArray

_MOST_STEPS = 100
_CLOSE = 1e-10  # change of the weights below which Newton's method has arrived


@dataclass(frozen=True)
class Logistic:
    """A fitted classifier: P(positive) = 1 / (1 + exp(-(bias + sum_j weight_j (x_j - centre_j) / scale_j))).

    Attributes:
        centre: training means, shape (p,).
        scale: training deviations, one where a feature is constant; shape (p,).
        weights: per deviation, shape (p,).
        bias: log odds at the training mean.
    """

    centre: FloatArray
    scale: FloatArray
    weights: FloatArray
    bias: float

    def contributions(self, features: FloatArray) -> FloatArray:
        """Return what each feature adds to the log odds beyond the training mean, shape (n, p).

        Args:
            features: shape (n, p).
        """
        return np.asarray((features - self.centre) / self.scale * self.weights)

    def log_odds(self, features: FloatArray) -> FloatArray:
        """Return log odds of the positive class, shape (n,).

        Args:
            features: shape (n, p).
        """
        return np.asarray(self.bias + self.contributions(features).sum(axis=1))

    def probability(self, features: FloatArray) -> FloatArray:
        """Return probabilities of the positive class, shape (n,).

        Args:
            features: shape (n, p).
        """
        return np.asarray(0.5 * (1.0 + np.tanh(0.5 * self.log_odds(features))))


def fit_logistic(features: FloatArray, positive: BoolArray, *, penalty: float = 1.0) -> Logistic:
    """Minimise sum_i log(1 + exp(-s_i f_i)) + penalty / 2 |weights|^2 with s = +1 or -1; the bias is not penalised.

    Args:
        features: shape (n, p); finite.
        positive: shape (n,).
        penalty: of standardised weights, above zero.

    Raises:
        InputError: rows of one class only, features that are not finite, or a penalty not above zero.
    """
    if positive.all() or not positive.any():
        raise InputError(f"logistic: expected rows of both classes, got {len(positive)} of one")
    if not np.isfinite(features).all() or penalty <= 0.0:
        raise InputError("logistic: expected finite features and a penalty above zero")
    centre, deviation = features.mean(axis=0), features.std(axis=0)
    scale = np.where(deviation > 1e-12, deviation, 1.0)
    table = np.column_stack([np.ones(len(features)), (features - centre) / scale])
    weights = _newton(table, positive.astype(float), penalty)
    return Logistic(centre, scale, weights[1:], float(weights[0]))


def _newton(table: FloatArray, target: FloatArray, penalty: float) -> FloatArray:
    ridge = np.full(table.shape[1], penalty)
    ridge[0] = 1e-9  # keeps the step finite where the classes part perfectly
    weights = np.zeros(table.shape[1])
    for _ in range(_MOST_STEPS):
        chance = 0.5 * (1.0 + np.tanh(0.5 * (table @ weights)))
        slope = table.T @ (chance - target) + ridge * weights
        bend = (table.T * (chance * (1.0 - chance))) @ table + np.diag(ridge)
        step = np.linalg.solve(bend, slope)
        step *= min(1.0, 5.0 / (float(np.abs(step).max()) + 1e-12))  # far from the minimum Newton's step overshoots
        weights = weights - step
        if float(np.abs(step).max()) < _CLOSE:
            break
    return weights
