"""Correction of the moduli of a potential that is too soft, fitted on compounds with DFT moduli."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Self

import numpy as np
from pymatgen.core import Structure

from ionsmith.artifacts.cards import SHIPPED, load_artifact
from ionsmith.core.errors import ArtifactError, InputError
from ionsmith.core.records import FloatArray
from ionsmith.simulate.potentials import DEFAULT
from ionsmith.thermodynamics.terms import element_amounts, fractions

CORRECTION = "elastic_correction"
"""Name of the shipped artifact."""

ENOUGH_ROWS = 3
"""Compounds with an element that the fit must have seen for the element to be in the domain."""

_QUANTITIES = ("bulk_modulus", "shear_modulus")
_GENERAL = ("one", "ln bulk", "ln shear", "ln volume per atom")


@dataclass(frozen=True)
class ModulusCorrection:
    """ln(M_DFT / M) = c . (1, ln K, ln G, ln v) + sum_e x_e c_e for each modulus M, fitted with a ridge.

    Attributes:
        elements: symbols, in the order of the coefficients.
        coefficients: shape (2, 4 + number of elements); bulk first.
        rows: number of fitted compounds with each element.
        spread: relative standard deviation of each modulus on compounds kept out.
        potential: name of the potential that it corrects.
        fingerprint: changes whenever a coefficient does.
    """

    elements: tuple[str, ...]
    coefficients: FloatArray
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
            spread = {name: float(settings["spread"][name]) for name in _QUANTITIES}
            potential = str(settings["potential"])
            coefficients = np.asarray(artifact.arrays["coefficients"], dtype=np.float64)
        except (KeyError, ValueError) as error:
            raise ArtifactError(
                f"artifact {CORRECTION}: expected a modulus correction, {error} is missing or wrong"
            ) from error
        return cls(elements, coefficients, rows, spread, potential, f"{CORRECTION}-{artifact.fingerprint}")

    def corrected(self, structure: Structure, bulk: float, shear: float) -> tuple[float, float]:
        """Return the corrected bulk and shear modulus, GPa.

        Args:
            structure: the relaxed crystal.
            bulk: of the potential, GPa.
            shear: of the potential, GPa.

        Raises:
            InputError: a modulus that is not above zero.
        """
        row = features(structure, bulk, shear, self.elements)
        factors = np.exp(np.clip(self.coefficients @ row, -1.5, 1.5))
        return float(bulk * factors[0]), float(shear * factors[1])

    def in_domain(self, structure: Structure) -> bool:
        """Return whether the fit has seen enough compounds with each element.

        Args:
            structure: any crystal.
        """
        return all(self.rows.get(element, 0) >= ENOUGH_ROWS for element in element_amounts(structure.composition))


def features(structure: Structure, bulk: float, shear: float, elements: Sequence[str]) -> FloatArray:
    """Return what the correction is made of, shape (4 + number of elements,).

    Args:
        structure: the relaxed crystal.
        bulk: of the potential, GPa.
        shear: of the potential, GPa.
        elements: symbols, in order.

    Raises:
        InputError: a modulus that is not above zero.
    """
    if not (bulk > 0.0 and shear > 0.0):
        raise InputError(f"expected moduli above zero, got {bulk:g} and {shear:g} GPa")
    share = fractions(element_amounts(structure.composition))
    general = (1.0, math.log(bulk), math.log(shear), math.log(structure.volume / len(structure)))
    return np.array([*general, *(share.get(element, 0.0) for element in elements)])


def fit_coefficients(rows: FloatArray, targets: FloatArray, *, ridge: float) -> FloatArray:
    """Return ridge coefficients, shape (m,); the constant is not pulled to zero.

    Args:
        rows: features, shape (n, m), the constant first.
        targets: ln of DFT over potential, shape (n,).
        ridge: weight of the prior.

    Raises:
        InputError: shapes that differ, or no rows.
    """
    if rows.ndim != 2 or len(rows) != len(targets) or len(rows) == 0:
        raise InputError(f"expected as many targets as rows, got {rows.shape} and {targets.shape}")
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
