"""One expert of the conductivity model: trees where the material is like a known one, smooth functions elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ionsmith.core.records import BoolArray, FloatArray
from ionsmith.data.groups import spread_over_folds
from ionsmith.learn.forest import Forest, LeafWeights, quantiles, trimmed_mean
from ionsmith.predict.conductivity_far import Plane, Surface, fit_plane, fit_surface
from ionsmith.predict.conductivity_view import Sight, View, choices
from ionsmith.represent.electrolyte import ElectrolyteFeatures

_LEVELS = ((0.5, 0.6745), (0.9, 1.6449))  # shares of central normal intervals and their half widths
_LEAST_STD = 0.3  # decades; two laboratories seldom agree better
_SMALLEST_RATIO = 0.01  # the same where most rows are predicted exactly
_SMALLEST_ERROR = 0.1  # decades; keeps the logarithm of a lucky guess finite


@dataclass(frozen=True)
class Settings:
    """Choices made by grouped cross-validation inside OBELiX train, never on its test rows.

    Attributes:
        trees: extremely randomised trees; an expert that looks at the sites of lithium has as many again.
        trim: share of the trees' distribution left out at each end.
        floor: log10 S/cm; every measurement or limit below it is learnt as this.
        feature_share: share of the derived features a node may choose from, where there is no cell.
        leaf: fewest training rows a leaf may hold.
        near: distance up to which the plane is not asked.
        near_formula: the same where there is no cell, and so no step for another space group.
        reach: distance beyond ``near`` over which what is learnt locally loses its say.
        least_trust: share that it keeps however far away everything known is.
        least_trust_doped: the same for compositions that no formula of ``whole_atoms`` atoms holds. Solid solutions
            are what people optimise, and unlike trees the plane knows it in every family.
        whole_atoms: atoms of the largest formula that counts as stoichiometric.
        surface_share: say of the kernel surface beside the trees.
        surface_share_formula: the same where there is no cell.
        symmetry_step: distance added by another space group; the composition's part runs from 0 to 2.
        folds: grouped folds from which spread and domain are calibrated.
        calibration_trees: trees in each of these folds.
        domain_share: share of the calibration rows that count as inside the domain.
    """

    trees: int = 250
    trim: float = 0.4
    floor: float = -12.0
    feature_share: float = 0.33
    leaf: int = 2
    near: float = 0.4
    near_formula: float = 0.1
    reach: float = 0.1
    least_trust: float = 0.5
    least_trust_doped: float = 0.2
    whole_atoms: float = 100.0
    surface_share: float = 0.2
    surface_share_formula: float = 0.4
    symmetry_step: float = 0.4
    folds: int = 5
    calibration_trees: int = 80
    domain_share: float = 0.75


@dataclass(frozen=True)
class Blend:
    """Trees, plane and surface fitted to the same rows; no spread yet.

    Attributes:
        sight: what it looks at.
        settings: how it was fitted.
        trees: weigh the training rows by likeness.
        plane: what is assumed far from everything known.
        surface: a smooth second opinion beside the trees.
        known: the training materials; their features are kept in ``surface`` only.
        taught: what was learnt of each, log10 S/cm, shape (m,).
    """

    sight: Sight
    settings: Settings
    trees: LeafWeights
    plane: Plane
    surface: Surface
    known: View
    taught: FloatArray

    def distances(self, materials: View) -> FloatArray:
        """Return the distance to every training material, shape (n, m); see :meth:`View.distances`.

        Args:
            materials: n materials.
        """
        return materials.distances(self.known, self.settings.symmetry_step)

    def predict(self, materials: View) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return mean (log10 S/cm), width of the distribution, and distance to the nearest known; shapes (n,).

        The width is the range of the middle 90 % of the trees' distribution, and how far plane and trees disagree.

        Args:
            materials: n materials.
        """
        settings, features = self.settings, materials.features
        weights = self.trees.weights(materials.table)
        low, high = quantiles(self.taught, weights, (0.05, 0.95)).T
        nearest = self.distances(materials).min(axis=1)
        plane, surface = (part.predict(features, settings.floor) for part in (self.plane, self.surface))
        share = settings.surface_share if self.sight.cell else settings.surface_share_formula
        local = (1.0 - share) * trimmed_mean(self.taught, weights, settings.trim) + share * surface
        trust = self._trust(features, nearest)
        return trust * local + (1.0 - trust) * plane, high - low + np.abs(local - plane), nearest

    def _trust(self, features: FloatArray, nearest: FloatArray) -> FloatArray:
        """Return the say of what was learnt locally: 1 near known materials, a least share far from them."""
        settings = self.settings
        near = settings.near if self.sight.cell else settings.near_formula
        falling = np.exp(-((np.maximum(0.0, nearest - near) / settings.reach) ** 2))
        atoms = np.exp(features[:, ElectrolyteFeatures(cell=self.sight.cell).names.index("formula_atoms")])
        least = np.where(atoms > settings.whole_atoms, settings.least_trust_doped, settings.least_trust)
        return np.asarray(least + (1.0 - least) * falling)


@dataclass(frozen=True)
class Expert:
    """A fitted blend that knows how far it may be off and where it stops.

    Attributes:
        blend: gives the mean.
        spread: coefficients of log std on (1, log vote range, distance), shape (3,).
        limit: distance up to which a material is in the domain.
    """

    blend: Blend
    spread: FloatArray
    limit: float

    def predict(self, materials: View) -> tuple[FloatArray, FloatArray, BoolArray]:
        """Return means and standard deviations (log10 S/cm) and whether each is in the domain; each shape (n,).

        Args:
            materials: n materials.
        """
        mean, width, distance = self.blend.predict(materials)
        std = np.maximum(_LEAST_STD, np.exp(_terms(width, distance) @ self.spread))
        return mean, std, distance <= self.limit


def fit_expert(
    materials: View,
    targets: FloatArray,
    labels: NDArray[np.int64],
    rng: np.random.Generator,
    *,
    sight: Sight,
    asked: BoolArray,
    settings: Settings,
) -> Expert:
    """Fit a blend, then calibrate domain on grouped folds of the same rows, spread on those it would be asked about.

    Args:
        materials: n training materials.
        targets: log10 S/cm, shape (n,).
        labels: rows with equal labels are never parted in calibration, shape (n,).
        rng: random stream.
        sight: what the expert looks at.
        asked: rows on which the spread is calibrated, at least one; shape (n,).
        settings: see :class:`Settings`.

    Raises:
        InputError: rows of fewer than two groups.
    """
    taught = np.maximum(targets, settings.floor)
    fold = spread_over_folds(labels, min(settings.folds, len(np.unique(labels))), rng)
    fewer = replace(settings, trees=settings.calibration_trees)
    error, width, distance = np.empty((3, len(taught)))
    for k in range(fold.max() + 1):
        train, test = fold != k, fold == k
        distance[test] = materials[test].distances(materials[train], settings.symmetry_step).min(axis=1)
        test &= asked
        if test.any():
            blend = _fit_blend(materials[train], taught[train], labels[train], rng, sight=sight, settings=fewer)
            mean, width[test], _ = blend.predict(materials[test])
            error[test] = np.abs(mean - taught[test])
    blend = _fit_blend(materials, taught, labels, rng, sight=sight, settings=settings)
    spread = _calibrate(error[asked], width[asked], distance[asked])
    return Expert(blend, spread, float(np.quantile(distance, settings.domain_share)))


def _fit_blend(
    materials: View,
    taught: FloatArray,
    labels: NDArray[np.int64],
    rng: np.random.Generator,
    *,
    sight: Sight,
    settings: Settings,
) -> Blend:
    seen = materials.lent(settings.symmetry_step).table
    forest = _grow(seen, taught, rng, sight=sight, settings=settings)
    plane = fit_plane(materials.features, taught, labels, cell=sight.cell)
    surface = fit_surface(materials.features, taught)
    trees = LeafWeights.grown(forest, seen)
    return Blend(sight, settings, trees, plane, surface, materials.bare(), taught)


def _grow(
    table: FloatArray, taught: FloatArray, rng: np.random.Generator, *, sight: Sight, settings: Settings
) -> Forest:
    """Grow the trees: an equal share of each group's on each of its choices."""
    from sklearn.ensemble import ExtraTreesRegressor

    parts = []
    for group in choices(sight, settings.feature_share):
        for columns, share in group:
            ensemble = ExtraTreesRegressor(
                -(-settings.trees // len(group)),
                max_features=share,
                min_samples_leaf=settings.leaf,
                random_state=int(rng.integers(2**31)),
            )
            grown = Forest.from_sklearn(ensemble.fit(table[:, columns], taught).estimators_)
            parts.append(grown.on_columns(columns))
    return Forest.joined(parts)


def _terms(width: FloatArray, distance: FloatArray) -> FloatArray:
    return np.column_stack([np.ones(len(width)), np.log(width + _SMALLEST_ERROR), np.minimum(distance, 1.0)])


def _calibrate(error: FloatArray, width: FloatArray, distance: FloatArray) -> FloatArray:
    """Return spread coefficients: shape by least squares on log error, size so that intervals cover their share."""
    terms = _terms(width, distance)
    target = np.log(np.maximum(error, _SMALLEST_ERROR))
    penalty = np.diag([0.0, 1.0, 1.0])
    shape = np.linalg.solve(terms.T @ terms + penalty, terms.T @ target)
    ratio = error / np.exp(terms @ shape)
    sizes = [np.log(max(np.quantile(ratio, share), _SMALLEST_RATIO) / half) for share, half in _LEVELS]
    shape[0] += float(np.mean(sizes))
    return np.asarray(shape)


def _prefix(sight: Sight) -> str:
    """Return what the names of an expert's stored arrays begin with."""
    return f"{sight.value}."


def expert_arrays(expert: Expert) -> dict[str, NDArray[Any]]:
    """Return what to store of an expert, apart from its settings and the compositions it knows.

    Args:
        expert: the expert.
    """
    blend, prefix = expert.blend, _prefix(expert.blend.sight)
    plane, surface = blend.plane, blend.surface
    named = {
        "plane": np.vstack([plane.columns, plane.centre, plane.scale, plane.slope]),
        "surface": np.vstack([surface.centre, surface.scale]),
        "surface_known": surface.known.astype(np.float32),
        "surface_weight": surface.weight,
        "numbers": np.array([plane.level, surface.level, expert.limit, *expert.spread]),
    }
    named["known_leaves"] = blend.trees.known
    return blend.trees.forest.arrays(prefix=prefix) | {prefix + name: array for name, array in named.items()}


def expert_from_arrays(
    arrays: Mapping[str, NDArray[Any]], known: View, targets: FloatArray, *, sight: Sight, settings: Settings
) -> Expert:
    """Return the expert that :func:`expert_arrays` described.

    Args:
        arrays: named arrays.
        known: the training materials.
        targets: log10 S/cm, shape (m,).
        sight: what it looks at.
        settings: how it was fitted.
    """
    prefix = _prefix(sight)
    columns, centre, scale, slope = arrays[prefix + "plane"]
    plane_level, surface_level, limit, *spread = (float(x) for x in arrays[prefix + "numbers"])
    rows = arrays[prefix + "surface_known"].astype(float)
    middle, width = arrays[prefix + "surface"]
    surface = Surface(middle, width, rows, arrays[prefix + "surface_weight"], surface_level)
    plane = Plane(columns.astype(np.int64), centre, scale, slope, plane_level)
    trees = LeafWeights(Forest.from_arrays(arrays, prefix=prefix), arrays[prefix + "known_leaves"])
    blend = Blend(sight, settings, trees, plane, surface, known, np.maximum(targets, settings.floor))
    return Expert(blend, np.array(spread), limit)
