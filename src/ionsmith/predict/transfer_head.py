"""A head on CHGNet's features: networks, kernel, spread, domain and the training materials it may be asked about."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ionsmith.core.errors import ArtifactError, InputError
from ionsmith.core.records import BoolArray, FloatArray
from ionsmith.learn.ensemble import Ensemble, EnsembleSettings, TargetKind, Targets, fit_ensemble
from ionsmith.learn.kernel import KernelMean
from ionsmith.learn.network import AttentionNetwork, Crowd
from ionsmith.learn.spread import SpreadModel
from ionsmith.predict.transfer_views import fingerprints, portraits

_AXES = 16  # principal axes in which distances are measured
_FAR = 0.99  # share of validation rows that must count as inside
_ENOUGH = 10  # training materials with an element, below which the element is foreign
_NOISES = (3e-3, 3e-2, 0.3)  # of the kernel; the validation rows choose
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Neighbourhood:
    """Where the training materials lie: the mean atom of each crystal on the main axes of its variation.

    Attributes:
        mean: subtracted, shape (F,).
        axes: scaled to unit variance, shape (F, d).
        places: of the training materials, half precision, shape (n, d).
        far: distance beyond which a material is unlike all of them.
    """

    mean: NDArray[np.float32]
    axes: NDArray[np.float32]
    places: NDArray[np.float16]
    far: float

    @classmethod
    def fit(cls, mean_atoms: NDArray[np.float32], learnt: Rows, asked: Rows) -> Neighbourhood:
        """Find the axes, and how far rows kept out are from those learnt.

        Args:
            mean_atoms: shape (n, F).
            learnt: training rows.
            asked: validation rows.
        """
        seen = mean_atoms[learnt].astype(np.float64)
        mean, scale = seen.mean(axis=0), np.maximum(seen.std(axis=0), 1e-6)
        _, strengths, turned = np.linalg.svd((seen - mean) / scale, full_matrices=False)
        count = min(_AXES, len(strengths))
        widths = np.maximum(strengths[:count] / np.sqrt(len(seen)), 1e-6)
        axes = ((turned[:count] / widths[:, None]) / scale).T.astype(np.float32)
        found = cls(mean.astype(np.float32), axes, np.empty((0, count), np.float16), 0.0)
        places = found.locate(mean_atoms[learnt]).astype(np.float16)
        near = cls(found.mean, found.axes, places, 0.0)
        far = float(np.quantile(near.nearest(mean_atoms[asked], 1)[1][:, 0], _FAR))
        return cls(found.mean, found.axes, places, far)

    def locate(self, mean_atoms: NDArray[np.float32]) -> FloatArray:
        """Return places on the axes, shape (n, d), in double precision so that no batch changes a distance.

        Args:
            mean_atoms: shape (n, F).
        """
        return np.asarray((mean_atoms - self.mean).astype(np.float64) @ self.axes.astype(np.float64))

    def nearest(self, mean_atoms: NDArray[np.float32], k: int) -> tuple[Rows, FloatArray]:
        """Return the nearest training rows and their distances, nearest first, both of shape (n, k).

        Args:
            mean_atoms: shape (n, F).
            k: how many.
        """
        distance, row = self._tree.query(self.locate(mean_atoms), k=k)
        shape = (len(mean_atoms), k)
        return np.asarray(row, dtype=np.int64).reshape(shape), np.asarray(distance, dtype=float).reshape(shape)

    @cached_property
    def _tree(self) -> Any:
        # growing it over 20,000 places costs more than the networks do for one crystal
        from scipy.spatial import cKDTree

        return cKDTree(self.places.astype(np.float64))


@dataclass(frozen=True)
class Head:
    """What fitting leaves behind.

    Attributes:
        ensemble: predicts T targets.
        spreads: of each target.
        neighbourhood: of the training materials.
        told: per training material formula, locator and values of the targets (None where not known).
        foreign: atomic numbers that training has hardly seen count as outside; those it has seen enough of.
        usual: mean and standard deviation of each target, for what cannot be looked at; shape (T, 2).
        missed: mean absolute error of each target on the validation rows; shape (T,).
        kernel: Gaussian process beside the networks; None where it does not help any target.
        trust: its say in each target, 0 to 1; shape (T,).
    """

    ensemble: Ensemble
    spreads: tuple[SpreadModel, ...]
    neighbourhood: Neighbourhood
    told: tuple[tuple[str, str, tuple[float | None, ...]], ...]
    familiar: frozenset[int]
    usual: FloatArray
    missed: FloatArray
    kernel: KernelMean | None
    trust: FloatArray

    def means(self, crowd: Crowd) -> FloatArray:
        """Return predictions alone, shape (n, T).

        Args:
            crowd: n crystals.
        """
        return np.asarray(_votes(self.ensemble, self.kernel, self.trust, crowd)[0].mean(axis=0))

    def predict(self, crowd: Crowd, numbers: Sequence[NDArray[np.int64]]) -> tuple[FloatArray, FloatArray, BoolArray]:
        """Return means and standard deviations, shape (n, T), and the domain flag, shape (n,).

        Args:
            crowd: n crystals.
            numbers: atomic numbers of each.
        """
        votes, quarrel = _votes(self.ensemble, self.kernel, self.trust, crowd)
        mean = votes.mean(axis=0)
        distance = self.neighbourhood.nearest(fingerprints(crowd), 1)[1][:, 0]
        signals = _signals(votes, quarrel, distance, self.ensemble.targets.scale)
        std = np.column_stack([spread(some) for spread, some in zip(self.spreads, signals, strict=True)])
        known = np.array([set(some.tolist()) <= self.familiar for some in numbers], dtype=bool)
        return mean, std, known & (distance <= self.neighbourhood.far)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what to store."""
        stored = self.ensemble.arrays(prefix="ensemble.")
        for column, spread in enumerate(self.spreads):
            stored |= {
                f"spread.{column}.weights": spread.weights,
                f"spread.{column}.limits": np.stack([spread.low, spread.high]),
                f"spread.{column}.floor": np.array([spread.floor]),
            }
        if self.kernel is not None:
            stored |= {**self.kernel.arrays(prefix="kernel."), "kernel.trust": self.trust}
        told = [[formula, locator] for formula, locator, _ in self.told]
        values = [[np.nan if v is None else v for v in row] for _, _, row in self.told]
        return stored | {
            "near.mean": self.neighbourhood.mean,
            "near.axes": self.neighbourhood.axes.astype(np.float32),
            "near.places": self.neighbourhood.places,
            "near.far": np.array([self.neighbourhood.far]),
            "told": np.frombuffer(zlib.compress(json.dumps(told).encode(), 9), dtype=np.uint8),
            "told.values": np.array(values, dtype=np.float32),
            "familiar": np.array(sorted(self.familiar), dtype=np.int16),
            "usual": self.usual,
            "missed": self.missed,
        }

    def settings(self) -> dict[str, Any]:
        """Return what :meth:`restore` needs beside the arrays."""
        return {"ensemble": self.ensemble.settings()}

    @classmethod
    def restore(cls, arrays: Mapping[str, NDArray[Any]], settings: Mapping[str, Any]) -> Head:
        """Return the head that :meth:`arrays` and :meth:`settings` described.

        Args:
            arrays: named arrays.
            settings: JSON-ready settings.

        Raises:
            ArtifactError: something is missing or does not fit.
        """
        try:
            ensemble = Ensemble.restore(arrays, settings["ensemble"], prefix="ensemble.")
            spreads = tuple(
                SpreadModel(
                    arrays[f"spread.{column}.weights"],
                    arrays[f"spread.{column}.limits"][0],
                    arrays[f"spread.{column}.limits"][1],
                    float(arrays[f"spread.{column}.floor"][0]),
                )
                for column in range(len(ensemble.targets.names))
            )
            near = Neighbourhood(
                arrays["near.mean"], arrays["near.axes"], arrays["near.places"], float(arrays["near.far"][0])
            )
            names = json.loads(zlib.decompress(arrays["told"].tobytes()))
            values = arrays["told.values"].astype(float).tolist()
            familiar = frozenset(arrays["familiar"].tolist())
            usual, missed = arrays["usual"], arrays["missed"]
            trust = arrays.get("kernel.trust")
            kernel = None if trust is None else KernelMean.restore(arrays, prefix="kernel.")
        except (KeyError, ValueError, IndexError, zlib.error) as error:
            raise ArtifactError(f"transfer head: {error} is missing or wrong") from error
        told = tuple(
            (str(formula), str(locator), tuple(None if v != v else float(v) for v in row))
            for (formula, locator), row in zip(names, values, strict=True)
        )
        no_trust = np.zeros(len(ensemble.targets.names))
        return cls(
            ensemble, spreads, near, told, familiar, usual, missed, kernel, no_trust if trust is None else trust
        )


@dataclass(frozen=True)
class Lesson:
    """What a head learns from.

    Attributes:
        crowd: n crystals.
        numbers: atomic numbers of each.
        values: shape (n, T), NaN where not known.
        names: of the T targets; the first one is what the head is for.
        kinds: of each.
        told: formula and locator of each crystal.
        validation: rows kept out of training, whole formulas.
    """

    crowd: Crowd
    numbers: Sequence[NDArray[np.int64]]
    values: FloatArray
    names: tuple[str, ...]
    kinds: tuple[TargetKind, ...]
    told: Sequence[tuple[str, str]]
    validation: Rows


def fit_head(
    lesson: Lesson,
    *,
    settings: EnsembleSettings,
    rng: np.random.Generator,
    scratch: Path | None = None,
    start: Sequence[AttentionNetwork] = (),
) -> Head:
    """Train an ensemble, set a kernel beside it where that helps, and calibrate spread and domain.

    The validation rows stop the training, choose the kernel's noise, tell whether it helps, and calibrate.

    Args:
        lesson: crystals and values.
        settings: sizes and training.
        rng: random stream.
        scratch: folder for checkpoints.
        start: trained networks that are continued, one per member or none.

    Raises:
        InputError: too little to learn from or to validate on.
    """
    rows = np.setdiff1d(np.arange(len(lesson.crowd)), lesson.validation)
    if not len(rows) or not len(lesson.validation):
        raise InputError(f"expected rows to learn from and to validate on, got {len(rows)}, {len(lesson.validation)}")
    targets = Targets.fit(lesson.names, lesson.kinds, lesson.values[rows])
    ensemble, _ = fit_ensemble(
        lesson.crowd,
        lesson.values,
        lesson.validation,
        targets,
        settings=settings,
        rng=rng,
        scratch=scratch,
        start=start,
    )
    mean_atoms = fingerprints(lesson.crowd)
    near = Neighbourhood.fit(mean_atoms, rows, lesson.validation)
    told = tuple(
        (*lesson.told[row], tuple(None if v != v else float(v) for v in lesson.values[row])) for row in rows.tolist()
    )
    counts = np.bincount(np.concatenate([np.unique(lesson.numbers[row]) for row in rows.tolist()]))
    enough = min(_ENOUGH, 1 + len(rows) // 100)
    familiar = frozenset(np.flatnonzero(counts >= enough).tolist())
    learnt = lesson.values[rows]
    usual = np.column_stack([np.nanmean(learnt, axis=0), np.maximum(np.nanstd(learnt, axis=0), 1e-6)])
    kernel, trust, noise = _kernel(ensemble, lesson, rows)
    votes, quarrel = _votes(ensemble, kernel, trust, part(lesson.crowd, lesson.validation))
    distance = near.nearest(mean_atoms[lesson.validation], 1)[1][:, 0]
    signals = _signals(votes, quarrel, distance, targets.scale)
    spreads, missed = _calibrate(votes.mean(axis=0), lesson, signals)
    if kernel is not None:
        # calibrated without the validation rows, it may now learn from them as well
        kernel = KernelMean.fit(portraits(lesson.crowd), lesson.values, noise=noise)
    return Head(ensemble, spreads, near, told, familiar, usual, missed, kernel, trust)


def _kernel(ensemble: Ensemble, lesson: Lesson, rows: Rows) -> tuple[KernelMean | None, FloatArray, float]:
    """Return a kernel, its say in each target and its noise.

    The say is half where that makes the error of the validation rows smaller. Zero-inflated targets are left to the
    networks: a smooth surface does not know where metals end.
    """
    truth, inside = lesson.values[lesson.validation], part(lesson.crowd, lesson.validation)
    plain = np.array([kind is TargetKind.PLAIN for kind in lesson.kinds])
    none = np.zeros(len(plain))
    if not plain.all() or (np.isfinite(lesson.values[rows]).sum(axis=0) < _ENOUGH).any():
        return None, none, 0.0
    features, asked = portraits(lesson.crowd)[rows], portraits(inside)
    alone = ensemble.predict(inside).mean(axis=0)
    without = np.nanmean(np.abs(alone - truth), axis=0)
    least, best, trust, chosen = without[0], None, none, 0.0
    for noise in _NOISES:
        kernel = KernelMean.fit(features, lesson.values[rows], noise=noise)
        errors = np.nanmean(np.abs(0.5 * (alone + kernel.predict(asked)) - truth), axis=0)
        if errors[0] < least:
            least, best, trust, chosen = errors[0], kernel, np.where(errors < without, 0.5, 0.0), noise
    return best, trust, chosen


def _votes(
    ensemble: Ensemble, kernel: KernelMean | None, trust: FloatArray, crowd: Crowd
) -> tuple[FloatArray, FloatArray]:
    """Return what each network says after the kernel, (members, n, T), and how far the kernel was off, (n, T)."""
    votes = ensemble.predict(crowd)
    if kernel is None:
        return votes, np.zeros(votes.shape[1:])
    other = kernel.predict(portraits(crowd))
    return votes + trust * (other - votes), trust * np.abs(other - votes.mean(axis=0))


def _calibrate(
    mean: FloatArray, lesson: Lesson, signals: Sequence[FloatArray]
) -> tuple[tuple[SpreadModel, ...], FloatArray]:
    found, missed = [], []
    for column, name in enumerate(lesson.names):
        errors = mean[:, column] - lesson.values[lesson.validation, column]
        known = np.isfinite(errors)
        if not known.any():
            raise InputError(f"expected validation rows with a value of {name}, got none")
        found.append(SpreadModel.fit(signals[column][known], errors[known]))
        missed.append(float(np.abs(errors[known]).mean()))
    return tuple(found), np.array(missed)


def _signals(votes: FloatArray, quarrel: FloatArray, distance: FloatArray, scale: FloatArray) -> list[FloatArray]:
    """Return per target what goes with large errors: disagreement, distance from the known, and size; (n, 3) each."""
    disagreement, size = votes.std(axis=0) + quarrel + 1e-3 * scale, np.abs(votes.mean(axis=0)) + 0.03 * scale
    return [
        np.column_stack([disagreement[:, column], distance + 0.1, size[:, column]]) for column in range(len(scale))
    ]


def part(crowd: Crowd, rows: Rows) -> Crowd:
    """Return some crystals of a crowd.

    Args:
        crowd: n crystals.
        rows: which, in the order wanted.
    """
    ends = np.cumsum(crowd.sizes)
    place = np.concatenate([np.arange(ends[row] - crowd.sizes[row], ends[row]) for row in rows.tolist()] or [rows])
    return Crowd(crowd.atoms[place], crowd.weights[place], crowd.sizes[rows], crowd.crystal[rows])


def ensemble_settings(settings: EnsembleSettings) -> dict[str, Any]:
    """Return settings as JSON can hold them.

    Args:
        settings: of an ensemble.
    """
    return asdict(settings)
