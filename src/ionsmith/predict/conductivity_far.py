"""What the conductivity model assumes far from the materials it knows: a ridge plane and a smooth kernel surface."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from ionsmith.core.records import FloatArray
from ionsmith.represent.electrolyte import ElectrolyteFeatures

EXTRAPOLATING = (
    *("li_fraction", "li_per_anion", "li_among_cations", "cations_per_anion", "formula_atoms", "entropy"),
    *("cation_entropy", "main_cation_share", "anion_electronegativity", "anion_radius", "anion_polarizability"),
    *("anion_kinds", "halide_among_anions", "cation_electronegativity", "cation_charge", "cation_radius"),
    *("cation_field", "cation_field_max", "cation_charge_spread", "radius_ratio", "electronegativity_gap"),
    *("centres_per_anion", "transition_metal_fraction"),
    *("volume_per_atom", "volume_per_anion", "packing", "free_volume_per_anion", "li_density"),
)
"""Features that mean the same in every structure family; the plane sees only these."""

RIDGE = 30.0  # penalty of the plane on standardised features, for row weights of mean one
_CLIP = 3.0  # standard deviations beyond which a feature says no more to the plane
_HIGHEST = -1.0  # log10 S/cm; the plane promises no more than the best electrolytes known
KERNEL_REACH = 0.8  # mean difference of standardised features over which the kernel falls to 1/e
KERNEL_NOISE = 0.01  # share of the kernel's diagonal that is measurement noise
_KERNEL_CLIP = 4.0  # standard deviations beyond which a feature is no farther


@dataclass(frozen=True)
class Plane:
    """Ridge regression on standardised, clipped features.

    Attributes:
        columns: features used, shape (q,).
        centre: their means, shape (q,).
        scale: their standard deviations, shape (q,).
        slope: log10 S/cm per standard deviation, shape (q,).
        level: log10 S/cm at the centre.
    """

    columns: NDArray[np.int64]
    centre: FloatArray
    scale: FloatArray
    slope: FloatArray
    level: float

    def predict(self, features: FloatArray, floor: float) -> FloatArray:
        """Return log10 conductivities between ``floor`` and the best known, shape (n,).

        Args:
            features: shape (n, p).
            floor: lowest value, log10 S/cm.
        """
        standard = (features[:, self.columns] - self.centre) / self.scale
        raw = self.level + (np.clip(standard, -_CLIP, _CLIP) * self.slope).sum(axis=1)
        return np.asarray(np.clip(raw, floor, _HIGHEST))


@dataclass(frozen=True)
class Surface:
    """Kernel ridge regression with a Laplace kernel, which falls back to the mean far from every training row.

    value = level + sum_i weight_i exp(-mean_j |z_j - z_ij| / KERNEL_REACH), z the standardised, clipped features.

    Attributes:
        centre: means of the features, shape (p,).
        scale: their standard deviations, shape (p,).
        known: standardised features of the training rows, shape (m, p).
        weight: log10 S/cm, shape (m,).
        level: mean of the training rows, log10 S/cm.
    """

    centre: FloatArray
    scale: FloatArray
    known: FloatArray
    weight: FloatArray
    level: float

    def predict(self, features: FloatArray, floor: float) -> FloatArray:
        """Return log10 conductivities between ``floor`` and the best known, shape (n,).

        Args:
            features: shape (n, p).
            floor: lowest value, log10 S/cm.
        """
        standard = np.clip((features - self.centre) / self.scale, -_KERNEL_CLIP, _KERNEL_CLIP)
        return np.asarray(np.clip(self.level + _kernel(standard, self.known) @ self.weight, floor, _HIGHEST))


def _kernel(one: FloatArray, two: FloatArray) -> FloatArray:
    kernel: FloatArray = np.exp(-cdist(one, two, "cityblock") / (one.shape[1] * KERNEL_REACH))
    return kernel


def fit_surface(features: FloatArray, taught: FloatArray) -> Surface:
    """Fit the kernel surface.

    Args:
        features: shape (m, p).
        taught: log10 S/cm, shape (m,).
    """
    centre, scale = features.mean(axis=0), np.maximum(features.std(axis=0), 1e-9)
    known = np.clip((features - centre) / scale, -_KERNEL_CLIP, _KERNEL_CLIP)
    known = known.astype(np.float32).astype(float)  # what is stored is what was fitted
    level = float(taught.mean())
    kernel = _kernel(known, known) + KERNEL_NOISE * np.eye(len(known))
    return Surface(centre, scale, known, np.asarray(np.linalg.solve(kernel, taught - level), dtype=float), level)


def fit_plane(features: FloatArray, taught: FloatArray, labels: NDArray[np.int64], *, cell: bool) -> Plane:
    """Fit the ridge plane; a row counts less, the more rows its group has.

    Args:
        features: shape (n, p).
        taught: log10 S/cm, shape (n,).
        labels: group of each row, shape (n,).
        cell: whether the features include the cell.
    """
    names = ElectrolyteFeatures(cell=cell).names
    columns = np.array([names.index(name) for name in EXTRAPOLATING if name in names])
    used = features[:, columns]
    centre, scale = used.mean(axis=0), np.maximum(used.std(axis=0), 1e-9)
    standard = np.clip((used - centre) / scale, -_CLIP, _CLIP)
    _, place, size = np.unique(labels, return_inverse=True, return_counts=True)
    weight = size[place] ** -0.5  # a paper with fifty dopants says less than fifty papers
    weight /= weight.mean()
    offset, level = np.average(standard, axis=0, weights=weight), float(np.average(taught, weights=weight))
    shifted = standard - offset
    square = (shifted.T * weight) @ shifted + RIDGE * np.eye(len(columns))
    slope = np.linalg.solve(square, (shifted.T * weight) @ (taught - level))
    return Plane(columns, centre, scale, slope, level - float(offset @ slope))
