"""A Gaussian process that keeps what it has learnt from: exact up to some ten thousand rows, at home with few."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numba
import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from ionsmith.core.errors import ArtifactError, InputError
from ionsmith.core.records import FloatArray

AXES = 128
"""Most axes that are kept; more gain little and are stored once per row."""

MOST_ROWS = 24_000
"""Most rows that are learnt from; the matrix of their covariances takes 8 bytes times the square of this."""

_LENGTH = 0.4  # of the median distance; 0.35 to 0.5 differ by 1 % in the error of formation energies
_SAMPLE = 4_000  # rows that axes and median distance are taken from
_ROWS_AT_ONCE = 2_048
_SMALLEST = 1e-6

Half = NDArray[np.float16]
Single = NDArray[np.float32]


@dataclass(frozen=True)
class KernelMean:
    """Mean of Gaussian processes that share one kernel, k(r) = (1 + sqrt(3) r / l) exp(-sqrt(3) r / l).

    r is the distance on the main axes of the standardised features (Matern kernel of order 3/2; Rasmussen and
    Williams 2006, doi 10.7551/mitpress/3206.001.0001, equations 4.17 and 2.25).

    Attributes:
        centre: subtracted from the features, shape (F,).
        axes: main axes, divided by the deviation of each feature; shape (F, d).
        places: of the rows learnt from, on the axes, half precision; shape (n, d).
        length: l.
        weights: of the rows, shape (n, T).
        level: what is predicted far from all rows, shape (T,).
    """

    centre: Single
    axes: Single
    places: Half
    length: float
    weights: FloatArray
    level: FloatArray

    @classmethod
    def fit(cls, features: NDArray[Any], values: FloatArray, *, noise: float) -> Self:
        """Learn T quantities; a row teaches those it has a value of. More than ``MOST_ROWS`` rows are thinned evenly.

        Args:
            features: shape (n, F).
            values: shape (n, T), NaN where not known.
            noise: variance of the values' noise over that of the process.

        Raises:
            InputError: shapes that do not fit, a quantity with fewer than two values, or a noise not above zero.
        """
        if len(features) != len(values) or not noise > 0.0:
            raise InputError(
                f"kernel: expected as many values as rows and a noise above 0, got {len(features)} rows, "
                f"{len(values)} values, noise {noise}"
            )
        if not (np.isfinite(values).sum(axis=0) > 1).all():
            raise InputError("kernel: expected at least two values of every quantity")
        kept = np.unique(np.linspace(0, len(features) - 1, min(len(features), MOST_ROWS)).round().astype(int))
        features, values = np.asarray(features, dtype=np.float64)[kept], values[kept]
        centre, axes = _main_axes(features)
        places = ((features - centre) @ axes).astype(np.float16)
        length = _LENGTH * _median_distance(places.astype(np.float64))
        level = np.nanmedian(values, axis=0)
        weights = np.zeros_like(values)
        for column in range(values.shape[1]):
            known = np.flatnonzero(np.isfinite(values[:, column]))
            covariance = _covariance(places[known].astype(np.float64), length)
            covariance[np.diag_indices(len(known))] += noise
            factor = cho_factor(covariance, lower=True, overwrite_a=True, check_finite=False)
            weights[known, column] = cho_solve(factor, values[known, column] - level[column], check_finite=False)
        return cls(centre.astype(np.float32), axes.astype(np.float32), places, length, weights, level)

    def predict(self, features: NDArray[Any]) -> FloatArray:
        """Return the means, shape (m, T); those of a row do not depend on the rows asked beside it.

        Args:
            features: shape (m, F).
        """
        # einsum and not a product of matrices: its sums run the same way whatever the number of rows
        shifted = np.asarray(features, dtype=np.float64) - self.centre
        asked = np.einsum("mf,fd->md", shifted, self.axes.astype(np.float64)).astype(np.float32)
        found = np.zeros((len(asked), self.weights.shape[1]))
        _weigh(asked, self._places, self.weights, np.sqrt(3.0) / self.length, found)
        return found + self.level

    @cached_property
    def _places(self) -> Single:
        return self.places.astype(np.float32)

    def arrays(self, *, prefix: str) -> dict[str, NDArray[Any]]:
        """Return what to store.

        Args:
            prefix: what the names shall begin with.
        """
        return {
            f"{prefix}centre": self.centre,
            f"{prefix}axes": self.axes,
            f"{prefix}places": self.places,
            f"{prefix}length": np.array([self.length]),
            f"{prefix}weights": self.weights,
            f"{prefix}level": self.level,
        }

    @classmethod
    def restore(cls, arrays: Mapping[str, NDArray[Any]], *, prefix: str) -> Self:
        """Return what :meth:`arrays` described.

        Args:
            arrays: named arrays.
            prefix: what their names begin with.

        Raises:
            ArtifactError: an array is missing, or they do not belong together.
        """
        try:
            centre, axes, places, weights, level = (
                arrays[prefix + name] for name in ("centre", "axes", "places", "weights", "level")
            )
            length = float(arrays[f"{prefix}length"][0])
        except (KeyError, IndexError) as error:
            raise ArtifactError(f"kernel {prefix}: {error} is missing or wrong") from error
        if axes.shape != (len(centre), places.shape[1]) or weights.shape != (len(places), len(level)):
            raise ArtifactError(
                f"kernel {prefix}: expected arrays that belong together, got axes {axes.shape}, "
                f"places {places.shape}, weights {weights.shape}"
            )
        return cls(centre, axes, places, length, weights.astype(float), level.astype(float))


def _main_axes(features: FloatArray) -> tuple[FloatArray, FloatArray]:
    centre, deviation = features.mean(axis=0), features.std(axis=0)
    # a feature that never changes says nothing
    scale = np.where(deviation > _SMALLEST * (1.0 + np.abs(centre)), 1.0 / np.maximum(deviation, _SMALLEST), 0.0)
    standard = ((features - centre) * scale)[:: max(1, len(features) // _SAMPLE)]
    _, _, turned = np.linalg.svd(standard, full_matrices=False)
    return centre, turned[:AXES].T * scale[:, None]


def _median_distance(places: FloatArray) -> float:
    some = places[:: max(1, 2 * len(places) // _SAMPLE)]
    apart = _distances(some, some)
    return max(float(np.median(apart[np.triu_indices(len(some), 1)])), _SMALLEST)


def _distances(one: FloatArray, other: FloatArray) -> FloatArray:
    square = (one**2).sum(axis=1)[:, None] + (other**2).sum(axis=1)[None]
    square -= 2.0 * (one @ other.T)
    return np.asarray(np.sqrt(np.maximum(square, 0.0)))


def _covariance(places: FloatArray, length: float) -> FloatArray:
    whole = np.empty((len(places), len(places)))
    for start in range(0, len(places), _ROWS_AT_ONCE):
        block = slice(start, start + _ROWS_AT_ONCE)
        scaled = _distances(places[block], places) * (np.sqrt(3.0) / length)
        whole[block] = (1.0 + scaled) * np.exp(-scaled)
    return whole


@numba.njit(cache=True, fastmath=True)
def _weigh(asked, places, weights, slope, found):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    for i in range(len(asked)):
        for j in range(len(places)):
            square = np.float32(0.0)
            for k in range(places.shape[1]):
                apart = asked[i, k] - places[j, k]
                square += apart * apart
            scaled = slope * np.sqrt(square)
            near = (1.0 + scaled) * np.exp(-scaled)
            for t in range(weights.shape[1]):
                found[i, t] += near * weights[j, t]
