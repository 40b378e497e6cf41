"""One half of the activation-energy model: kernel surfaces and trees on several views, averaged in the logarithm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from ionsmith.core.records import BoolArray, Candidate, FloatArray
from ionsmith.data.groups import spread_over_folds
from ionsmith.learn.forest import Forest
from ionsmith.learn.spread import SpreadModel
from ionsmith.predict.measured import distances
from ionsmith.represent.composition import elements_of
from ionsmith.represent.content import CellContent
from ionsmith.represent.electrolyte import ElectrolyteFeatures
from ionsmith.represent.formula import fractions_of

RANGE = (0.1, 2.2)
"""eV; no measured activation energy of the table lies outside."""

_CLIP = 4.0  # standard deviations beyond which a feature is no farther
_NO_CELL = -1.0  # stands for a feature of the cell where none is known
_LEAST = 1e-3  # keeps logarithms finite


@dataclass(frozen=True)
class Settings:
    """Choices made by cross-validation grouped by composition, before anything was saved.

    Attributes:
        trees: extremely randomised trees, half on energies, half on their logarithms.
        calibration_trees: trees in each fold of the calibration.
        feature_share: share of features that a node may choose from.
        aide: weight of a row whose energy was read off its conductivity, against 1 for a measured energy.
        floor: log10 S/cm; what lies below is taken as this when energies are read off conductivities.
        symmetry_step: distance added by another space group; the composition's part runs from 0 to 2.
        folds: grouped folds from which spread and domain are calibrated.
        domain_share: share of the calibration rows that count as inside the domain.
    """

    trees: int = 100
    calibration_trees: int = 30
    feature_share: float = 0.33
    aide: float = 0.3
    floor: float = -20.0
    symmetry_step: float = 0.4
    folds: int = 5
    domain_share: float = 0.75


KERNELS = ((True, 0.5, 0.05), (False, 1.0, 0.02))
"""Kernel surfaces: whether they see the raw table beside the derived features, mean difference of standardised
features over which the kernel falls to 1/e, and share of its diagonal that is noise."""


@dataclass(frozen=True)
class View:
    """What an expert sees of n materials.

    Attributes:
        derived: features a chemist would name, shape (n, p).
        raw: the formula or crystal table itself, shape (n, q).
        fractions: atomic fraction by atomic number, shape (n, LAST + 1).
        space_group: numbers, 0 where the expert does not look at the cell; shape (n,).
    """

    derived: FloatArray
    raw: FloatArray
    fractions: FloatArray
    space_group: FloatArray

    def __getitem__(self, rows: Any) -> View:
        return View(self.derived[rows], self.raw[rows], self.fractions[rows], self.space_group[rows])

    def __len__(self) -> int:
        return len(self.derived)

    def both(self) -> FloatArray:
        """Return derived and raw features side by side."""
        return np.hstack([self.derived, self.raw])


def view(candidates: Sequence[Candidate], *, cell: bool) -> View:
    """Return what an expert sees.

    Args:
        candidates: n materials.
        cell: whether the expert looks at the cell; where a material has none, -1 stands for what it would say.

    Raises:
        InputError: a candidate that the features cannot read.
    """
    representation = ElectrolyteFeatures(cell=cell)
    derived = representation.encode(candidates)
    fractions = fractions_of(elements_of(candidates))
    groups = np.zeros(len(candidates))
    if cell:
        groups = np.nan_to_num(derived[:, representation.names.index("space_group")], nan=0.0)
    raw = CellContent().encode(candidates) if cell else np.sqrt(fractions[:, 1:])
    return View(np.nan_to_num(derived, nan=_NO_CELL), raw, fractions, groups)


@dataclass(frozen=True)
class Kernel:
    """Ridge regression of log energy with a Laplace kernel on standardised, clipped features.

    log Ea = level + sum_i weight_i exp(-mean_j |z_j - z_ij| / reach)

    Attributes:
        scale: means and standard deviations of the features, shape (2, p).
        known: standardised features of the training rows, shape (m, p).
        weight: shape (m,).
        level: weighted mean of the training rows.
        reach: mean difference of standardised features over which the kernel falls to 1/e.
    """

    scale: FloatArray
    known: FloatArray
    weight: FloatArray
    level: float
    reach: float

    def predict(self, features: FloatArray) -> FloatArray:
        """Return log energies (ln eV), shape (n,).

        Args:
            features: shape (n, p).
        """
        return np.asarray(self.level + _laplace(self._standard(features), self.known, self.reach) @ self.weight)

    def _standard(self, features: FloatArray) -> FloatArray:
        return np.asarray(np.clip((features - self.scale[0]) / self.scale[1], -_CLIP, _CLIP))


def _laplace(one: FloatArray, two: FloatArray, reach: float) -> FloatArray:
    return np.asarray(np.exp(-cdist(one, two, "cityblock") / (one.shape[1] * reach)))


def fit_kernel(
    features: FloatArray, target: FloatArray, weights: FloatArray, *, reach: float, noise: float
) -> Kernel:
    """Fit a kernel surface; a row of weight w carries noise / w.

    Args:
        features: shape (m, p).
        target: log energies, shape (m,).
        weights: of the rows, shape (m,).
        reach: see :class:`Kernel`.
        noise: share of the kernel's diagonal that is measurement noise.
    """
    scale = np.stack([features.mean(axis=0), np.maximum(features.std(axis=0), 1e-6)])
    known = np.clip((features - scale[0]) / scale[1], -_CLIP, _CLIP).astype(np.float32).astype(float)
    level = float(np.average(target, weights=weights))
    diagonal = np.diag(noise / weights)
    solved = np.linalg.solve(_laplace(known, known, reach) + diagonal, target - level)
    return Kernel(scale, known, np.asarray(solved, dtype=float), level, reach)


@dataclass(frozen=True)
class Coupling:
    """How the activation energy goes with the conductivity, log Ea = intercept + slope log10 sigma (Meyer-Neldel).

    Attributes:
        slope: ln eV per decade.
        intercept: ln eV at 1 S/cm.
        floor: log10 S/cm; what lies below is taken as this.
    """

    slope: float
    intercept: float
    floor: float

    @classmethod
    def of(cls, energies: FloatArray, conductivities: FloatArray, floor: float) -> Coupling:
        """Fit the line.

        Args:
            energies: eV, shape (n,).
            conductivities: log10 S/cm, shape (n,).
            floor: see above.
        """
        logs = np.clip(conductivities, floor, 0.0)
        if len(energies) < 3 or np.ptp(logs) == 0.0:
            return cls(0.0, float(np.log(energies).mean()), floor)
        slope, intercept = np.polyfit(logs, np.log(energies), 1)
        return cls(float(slope), float(intercept), floor)

    def log_energies(self, conductivities: FloatArray) -> FloatArray:
        """Return ln eV, shape (n,).

        Args:
            conductivities: log10 S/cm, shape (n,).
        """
        return np.asarray(self.intercept + self.slope * np.clip(conductivities, self.floor, 0.0))


@dataclass(frozen=True)
class Rows:
    """What an expert learns from.

    Attributes:
        materials: n of them.
        energies: eV; NaN where only the conductivity was measured; shape (n,).
        conductivities: log10 S/cm, NaN where unknown; shape (n,).
        labels: rows with equal labels are never parted, shape (n,).
    """

    materials: View
    energies: FloatArray
    conductivities: FloatArray
    labels: NDArray[np.int64]

    def __getitem__(self, rows: Any) -> Rows:
        return Rows(self.materials[rows], self.energies[rows], self.conductivities[rows], self.labels[rows])

    @property
    def measured(self) -> BoolArray:
        """Where the energy was measured, shape (n,)."""
        return np.isfinite(self.energies)


@dataclass(frozen=True)
class Blend:
    """Kernels and trees fitted to the same rows; no spread yet.

    Attributes:
        kernels: one per entry of ``KERNELS``.
        forests: grown on energies (eV) and on their logarithms.
        known: materials with a measured energy.
        step: distance added by another space group.
    """

    kernels: tuple[Kernel, ...]
    forests: tuple[Forest, Forest]
    known: View
    step: float

    def distances(self, materials: View) -> FloatArray:
        """Return the distance to every material with a measured energy, shape (n, m).

        Args:
            materials: n materials.
        """
        mine, known = ((view.fractions, view.space_group) for view in (materials, self.known))
        return distances(mine, known, self.step)

    def predict(self, materials: View) -> tuple[FloatArray, FloatArray]:
        """Return energies (eV), shape (n,), and signals that go with large errors, shape (n, 3).

        The signals are the energy, the disagreement of the parts (in ln eV) and the distance to the nearest
        measured material.

        Args:
            materials: n materials.
        """
        both = materials.both()
        parts = [
            kernel.predict(both if wide else materials.derived)
            for kernel, (wide, _, _) in zip(self.kernels, KERNELS, strict=True)
        ]
        plain, logs = (forest.votes(both) for forest in self.forests)
        parts += [np.log(plain.mean(axis=1)), logs.mean(axis=1)]
        mean = np.clip(np.exp(np.mean(parts, axis=0)), *RANGE)
        apart = np.sqrt(np.var(parts, axis=0) + logs.var(axis=1))
        nearest = self.distances(materials).min(axis=1)
        return mean, np.column_stack([mean, apart + _LEAST * 10, nearest + 0.1])


@dataclass(frozen=True)
class Expert:
    """A fitted half: with the cell, or from the formula alone.

    Attributes:
        blend: gives the mean.
        spread: calibration of the error, eV.
        limit: distance up to which a material is in the domain.
    """

    blend: Blend
    spread: SpreadModel
    limit: float

    def predict(self, materials: View) -> tuple[FloatArray, FloatArray, BoolArray]:
        """Return means and standard deviations (eV) and whether each is in the domain; each shape (n,).

        Args:
            materials: n materials.
        """
        mean, signals = self.blend.predict(materials)
        return mean, self.spread(signals), signals[:, 2] - 0.1 <= self.limit


def fit_expert(rows: Rows, rng: np.random.Generator, *, settings: Settings) -> Expert:
    """Fit a blend, then calibrate spread and domain on grouped folds of the same rows.

    Args:
        rows: at least two groups with measured energies.
        rng: random stream.
        settings: see :class:`Settings`.
    """
    groups = len(np.unique(rows.labels))
    fold = spread_over_folds(rows.labels, min(settings.folds, groups), rng)
    fewer = replace(settings, trees=settings.calibration_trees)
    errors, signals, inside = [], [], []
    for k in range(fold.max() + 1):
        asked, taught = rows[(fold == k) & rows.measured], rows[fold != k]
        if len(asked.energies) and taught.measured.any():
            mean, signal = _fit_blend(taught, rng, settings=fewer).predict(asked.materials)
            errors.append(mean - asked.energies)
            signals.append(signal)
            inside.append(signal[:, 2] - 0.1)
    blend = _fit_blend(rows, rng, settings=settings)
    spread = SpreadModel.fit(np.concatenate(signals), np.concatenate(errors))
    return Expert(blend, spread, float(np.quantile(np.concatenate(inside), settings.domain_share)))


def _fit_blend(rows: Rows, rng: np.random.Generator, *, settings: Settings) -> Blend:
    measured = rows.measured
    both_known = measured & np.isfinite(rows.conductivities)
    coupling = Coupling.of(
        rows.energies[both_known] if both_known.any() else rows.energies[measured],
        rows.conductivities[both_known] if both_known.any() else np.zeros(int(measured.sum())),
        settings.floor,
    )
    used = measured | np.isfinite(rows.conductivities)
    rows, measured = rows[used], measured[used]
    read_off = coupling.log_energies(np.nan_to_num(rows.conductivities))
    target = np.where(measured, np.log(np.maximum(np.nan_to_num(rows.energies), _LEAST)), read_off)
    weights = np.where(measured, 1.0, settings.aide)
    both = rows.materials.both()
    kernels = tuple(
        fit_kernel(both if wide else rows.materials.derived, target, weights, reach=reach, noise=noise)
        for wide, reach, noise in KERNELS
    )
    forests = (
        _grow(both, np.exp(target), weights, rng, settings=settings),
        _grow(both, target, weights, rng, settings=settings),
    )
    known = rows.materials[measured]
    empty = np.empty((len(known), 0))
    return Blend(kernels, forests, View(empty, empty, known.fractions, known.space_group), settings.symmetry_step)


def _grow(
    features: FloatArray, target: FloatArray, weights: FloatArray, rng: np.random.Generator, *, settings: Settings
) -> Forest:
    from sklearn.ensemble import ExtraTreesRegressor

    ensemble = ExtraTreesRegressor(
        max(1, settings.trees // 2),
        max_features=settings.feature_share,
        random_state=int(rng.integers(2**31)),
    )
    return Forest.from_sklearn(ensemble.fit(features, target, sample_weight=weights).estimators_)


def expert_arrays(expert: Expert, *, prefix: str) -> dict[str, NDArray[Any]]:
    """Return what to store of an expert, apart from its settings and the compositions it knows.

    Args:
        expert: the expert.
        prefix: what the names shall begin with.
    """
    spread = expert.spread
    stored: dict[str, NDArray[Any]] = {
        prefix + "spread": np.concatenate([spread.weights, spread.low, spread.high, [spread.floor, expert.limit]])
    }
    for number, kernel in enumerate(expert.blend.kernels):
        head = f"{prefix}kernel{number}."
        stored |= {head + "scale": kernel.scale, head + "known": kernel.known.astype(np.float32)}
        stored |= {head + "weight": kernel.weight, head + "level": np.array([kernel.level])}
    for number, forest in enumerate(expert.blend.forests):
        stored |= forest.arrays(prefix=f"{prefix}forest{number}.")
    return stored


def expert_from_arrays(arrays: Mapping[str, NDArray[Any]], known: View, *, prefix: str, settings: Settings) -> Expert:
    """Return the expert that :func:`expert_arrays` described.

    Args:
        arrays: named arrays.
        known: materials with a measured energy.
        prefix: what the names begin with.
        settings: how it was fitted.
    """
    row = arrays[prefix + "spread"].astype(float)
    spread = SpreadModel(row[:4], row[4:7], row[7:10], float(row[10]))
    kernels = []
    for number, (_, reach, _) in enumerate(KERNELS):
        scale, rows, weight, level = (
            arrays[f"{prefix}kernel{number}.{name}"] for name in ("scale", "known", "weight", "level")
        )
        kernels.append(Kernel(scale, rows.astype(float), weight, float(level[0]), reach))
    one, two = (Forest.from_arrays(arrays, prefix=f"{prefix}forest{number}.") for number in (0, 1))
    return Expert(Blend(tuple(kernels), (one, two), known, settings.symmetry_step), spread, float(row[11]))
