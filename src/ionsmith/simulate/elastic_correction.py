"""Correction of a potential's moduli: what the composition and the volume say, updated by what the potential says.

CHGNet's energy surface is too soft and not smooth, so its moduli scatter by a third. For every material there is a
second, independent estimate from DFT moduli of other compounds; the best linear combination of both in the logarithm
is nearer to DFT than either.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Self

import numpy as np
from pymatgen.core import Composition, Structure

from ionsmith.artifacts.cards import SHIPPED, load_artifact
from ionsmith.core.errors import ArtifactError, InputError
from ionsmith.core.records import FloatArray
from ionsmith.simulate.potentials import DEFAULT
from ionsmith.thermodynamics.terms import element_amounts, fractions

CORRECTION = "elastic_correction"
"""Name of the shipped artifact."""

ENOUGH_ROWS = 20
"""Compounds with an element that the fit must have seen for the element to be in the domain."""

QUANTITIES = ("bulk_modulus", "shear_modulus")

USUAL_VOLUME = 16.0
"""Volume per atom at which the volume terms vanish, cubic angstrom."""


@dataclass(frozen=True)
class ModulusCorrection:
    """ln M = p_M + b_0 + b_1 (ln K - p_K) + b_2 (ln G - p_G) for each modulus M; p is the estimate without potential.

    p_M = c_0 + c_1 u + sum_e x_e (c_e + d_e u) with u = ln(volume per atom / 16 cubic angstrom).

    Attributes:
        elements: symbols, in the order of the coefficients.
        estimate: coefficients c, d of both moduli, shape (2, 2 + 2 n); bulk first.
        update: coefficients b of both moduli, shape (2, 3).
        rows: number of compounds with each element that the estimate was fitted on.
        spread: standard deviation of ln M on compounds kept out.
        potential: name of the potential that it corrects.
        fingerprint: changes whenever a coefficient does.
    """

    elements: tuple[str, ...]
    estimate: FloatArray
    update: FloatArray
    rows: Mapping[str, int]
    spread: Mapping[str, float]
    potential: str
    fingerprint: str = ""

    @classmethod
    def load(cls, *, folder: Path | None = None) -> Self:
        """Read the correction.

        Args:
            folder: parent folder of the artifact; the package's own if None.

        Raises:
            ArtifactError: missing, damaged, or not a correction.
        """
        artifact = load_artifact(CORRECTION, folder=folder)
        try:
            settings = artifact.card["settings"]
            elements = tuple(settings["elements"])
            rows = dict(zip(elements, artifact.arrays["rows"].tolist(), strict=True))
            spread = {name: float(settings["spread"][name]) for name in QUANTITIES}
            potential = str(settings["potential"])
            estimate, update = (np.asarray(artifact.arrays[n], dtype=np.float64) for n in ("estimate", "update"))
        except (KeyError, ValueError) as error:
            raise ArtifactError(
                f"artifact {CORRECTION}: expected a modulus correction, {error} is missing or wrong"
            ) from error
        return cls(elements, estimate, update, rows, spread, potential, f"{CORRECTION}-{artifact.fingerprint}")

    def without_potential(self, structure: Structure) -> tuple[float, float]:
        """Return bulk and shear modulus as composition and volume alone suggest them, GPa.

        Args:
            structure: the relaxed crystal.
        """
        bulk, shear = np.exp(self._estimate(structure))
        return float(bulk), float(shear)

    def corrected(self, structure: Structure, bulk: float, shear: float) -> tuple[float, float]:
        """Return the corrected bulk and shear modulus, GPa.

        Args:
            structure: the relaxed crystal.
            bulk: of the potential, GPa.
            shear: of the potential, GPa.

        Raises:
            InputError: a modulus that is not above zero.
        """
        if not (bulk > 0.0 and shear > 0.0):
            raise InputError(f"expected moduli above zero, got {bulk:g} and {shear:g} GPa")
        estimate = self._estimate(structure)
        apart = np.log([bulk, shear]) - estimate
        best = np.exp(estimate + self.update @ np.array([1.0, *apart]))
        return float(best[0]), float(best[1])

    def in_domain(self, structure: Structure) -> bool:
        """Return whether the fit has seen enough compounds with each element.

        Args:
            structure: any crystal.
        """
        return all(self.rows.get(element, 0) >= ENOUGH_ROWS for element in element_amounts(structure.composition))

    def _estimate(self, structure: Structure) -> FloatArray:
        volume = structure.volume / len(structure)
        return np.asarray(self.estimate @ estimate_features(structure.composition, volume, self.elements))


def estimate_features(composition: Composition, volume: float, elements: Sequence[str]) -> FloatArray:
    """Return what the estimate is made of, shape (2 + 2 n,).

    Args:
        composition: any multiple.
        volume: per atom, cubic angstrom.
        elements: n symbols, in order.

    Raises:
        InputError: a volume that is not above zero.
    """
    if not volume > 0.0:
        raise InputError(f"expected a volume above zero, got {volume:g}")
    share = fractions(element_amounts(composition))
    amounts = np.array([share.get(element, 0.0) for element in elements])
    u = math.log(volume / USUAL_VOLUME)
    return np.concatenate([[1.0, u], amounts, amounts * u])


def fit_ridge(rows: FloatArray, targets: FloatArray, *, ridge: float) -> FloatArray:
    """Return ridge coefficients, shape (m,) or (m, k); the first one is not pulled to zero.

    Args:
        rows: features, shape (n, m), the constant first.
        targets: shape (n,) or (n, k).
        ridge: weight of the prior.

    Raises:
        InputError: shapes that differ, or no rows.
    """
    if rows.ndim != 2 or len(rows) != len(targets) or len(rows) == 0:
        raise InputError(f"expected as many targets as rows, got shapes {rows.shape} and {targets.shape}")
    penalty = ridge * np.eye(rows.shape[1])
    penalty[0, 0] = 0.0
    return np.asarray(np.linalg.solve(rows.T @ rows + penalty, rows.T @ targets))


def correction_for(potential: str = DEFAULT) -> ModulusCorrection | None:
    """Return the shipped correction if it is for this potential, else None.

    Args:
        potential: name.

    Raises:
        ArtifactError: damaged.
    """
    if not (SHIPPED / CORRECTION).is_dir():
        return None
    known = _shipped()
    return known if known.potential == potential else None


@lru_cache(maxsize=1)
def _shipped() -> ModulusCorrection:
    return ModulusCorrection.load()
