"""How far a prediction may be off, learnt from errors on rows kept out of training."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ionsmith.core.errors import InputError
from ionsmith.core.records import FloatArray

_HALF, _NINE_TENTHS = 0.674490, 1.644854  # half widths of the central 50 and 90 % of a normal distribution
_TINY = 1e-3  # of the largest error


@dataclass(frozen=True)
class SpreadModel:
    """sigma = exp(w_0 + sum_k w_k log s_k), a product of powers of signals, never below a floor.

    Attributes:
        weights: w_0 to w_K; shape (K + 1,).
        low: smallest signals met in calibration; shape (K,).
        high: largest ones; beyond both a signal counts as the limit.
        floor: smallest sigma.
    """

    weights: FloatArray
    low: FloatArray
    high: FloatArray
    floor: float

    @classmethod
    def fit(cls, signals: FloatArray, errors: FloatArray, *, ridge: float = 10.0) -> SpreadModel:
        """Fit log |error| by ridge regression on the log signals, then scale it.

        The scale is the geometric mean of the one that makes the central 50 % interval hold half of the errors and
        the one that makes the 90 % interval hold nine tenths.

        Args:
            signals: positive numbers that go with large errors, shape (n, K).
            errors: predicted minus true on rows kept out, shape (n,).
            ridge: weight of the prior that pulls every w_k to zero, in rows.

        Raises:
            InputError: no rows, shapes that differ, or a signal that is not above zero.
        """
        if not len(errors) or len(signals) != len(errors) or not (signals > 0.0).all():
            raise InputError(f"spread: expected positive signals of {len(errors)} rows, got shape {signals.shape}")
        low, high = signals.min(axis=0), signals.max(axis=0)
        size = np.abs(errors)
        floor = max(_TINY * float(size.max()), 1e-12)
        logs = np.log(signals)
        centred = logs - logs.mean(axis=0)
        target = np.log(np.maximum(size, floor))
        normal = centred.T @ centred + ridge * np.eye(centred.shape[1])
        slopes = np.linalg.solve(normal, centred.T @ (target - target.mean()))
        ratio = np.maximum(size, floor) / np.exp(logs @ slopes)
        scales = np.quantile(ratio, [0.5, 0.9]) / [_HALF, _NINE_TENTHS]
        offset = 0.5 * float(np.log(scales).sum())
        return cls(np.concatenate([[offset], slopes]), low, high, floor)

    def __call__(self, signals: FloatArray) -> FloatArray:
        """Return sigma, shape (n,).

        Args:
            signals: shape (n, K).
        """
        logs = np.log(np.clip(signals, self.low, self.high))
        return np.asarray(np.maximum(np.exp(self.weights[0] + logs @ self.weights[1:]), self.floor))
