"""Conductivity at any temperature, consistent with the conductivity at 300 K and the activation energy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import constants

from ionsmith.core.errors import InputError
from ionsmith.core.protocols import PropertyModel
from ionsmith.core.records import Candidate, FloatArray, Prediction, Value

REFERENCE = 300.0
"""K; the temperature of ``log10_conductivity``."""

CORRELATION = -0.5
"""Assumed correlation of the errors of log10 conductivity and activation energy: a material that conducts worse than
predicted usually has a higher energy than predicted (Meyer-Neldel)."""

_BOLTZMANN = constants.Boltzmann / constants.elementary_charge  # eV/K


@dataclass(frozen=True)
class Line:
    """The Arrhenius line of a material.

    log10 sigma(T) = log10 sigma(300 K) + log10(300 K / T) - Ea / (k_B ln 10) (1/T - 1/300 K), that is
    sigma T = A exp(-Ea / k_B T), the form that follows from hopping and the Nernst-Einstein relation (review:
    doi 10.1021/acs.chemrev.5b00563). Without ``hopping`` the term log10(300 K / T) is left out and sigma itself is
    exponential. One line, so no phase transition: it is as good as the assumption that none lies between.

    Attributes:
        sigma: log10 S/cm at 300 K; shape (n,).
        sigma_std: its standard deviation, decades; shape (n,).
        energy: activation energy, eV; shape (n,).
        energy_std: its standard deviation, eV; shape (n,).
        correlation: of the two errors.
        hopping: whether sigma T or sigma is exponential.
    """

    sigma: FloatArray
    sigma_std: FloatArray
    energy: FloatArray
    energy_std: FloatArray
    correlation: float = CORRELATION
    hopping: bool = True

    def __post_init__(self) -> None:
        """Refuse what describes no line.

        Raises:
            InputError: shapes that differ, a negative energy or spread, or a correlation outside [-1, 1].
        """
        parts = (self.sigma, self.sigma_std, self.energy, self.energy_std)
        if len({part.shape for part in parts}) != 1:
            raise InputError(f"arrhenius: expected arrays of one shape, got {[part.shape for part in parts]}")
        if min(part.min(initial=0.0) for part in parts[1:]) < 0.0 or not -1.0 <= self.correlation <= 1.0:
            raise InputError(
                "arrhenius: expected energies and spreads of at least zero and a correlation of -1 to 1, got "
                f"correlation {self.correlation}"
            )

    def at(self, temperature: float | FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return log10 conductivity (log10 S/cm) and its standard deviation (decades), each shape (n,).

        var = s^2 + k^2 e^2 - 2 rho k s e with k = (1/T - 1/300 K) / (k_B ln 10).

        Args:
            temperature: K, one number or shape (n,).

        Raises:
            InputError: a temperature not above zero.
        """
        kelvin = np.asarray(temperature, dtype=float)
        if not (np.isfinite(kelvin).all() and (kelvin > 0.0).all()):
            raise InputError(f"arrhenius: expected temperatures above 0 K, got {temperature}")
        slope = (1.0 / kelvin - 1.0 / REFERENCE) / (_BOLTZMANN * math.log(10.0))
        shift = np.log10(REFERENCE / kelvin) if self.hopping else 0.0
        mean = self.sigma + shift - slope * self.energy
        cross = 2.0 * self.correlation * slope * self.sigma_std * self.energy_std
        variance = self.sigma_std**2 + (slope * self.energy_std) ** 2 - cross
        return np.asarray(mean), np.asarray(np.sqrt(np.maximum(variance, 0.0)))


def value_at(sigma: Value, energy: Value, temperature: float) -> Value:
    """Return log10 conductivity (log10 S/cm) at a temperature from what is known at 300 K.

    It counts as inside the domain where both values do.

    Args:
        sigma: log10 S/cm at 300 K.
        energy: activation energy, eV.
        temperature: K.

    Raises:
        InputError: a temperature not above zero, or a negative energy.
    """
    (one, one_std), (two, two_std) = (np.array([[value.mean], [value.std]]) for value in (sigma, energy))
    mean, std = Line(one, one_std, two, two_std).at(temperature)
    method = f"{sigma.method} and {energy.method} at {temperature:g} K"
    inside = None if None in (sigma.in_domain, energy.in_domain) else bool(sigma.in_domain and energy.in_domain)
    return Value(float(mean[0]), float(std[0]), method, inside, sigma.bound)


def predict_at(
    candidates: Sequence[Candidate],
    temperature: float | FloatArray,
    *,
    conductivity: PropertyModel,
    energy: PropertyModel,
    correlation: float = CORRELATION,
) -> Prediction:
    """Return log10 conductivity (log10 S/cm) at a temperature; at 300 K exactly what the conductivity model says.

    Args:
        candidates: n materials that both models read.
        temperature: K, one number or shape (n,).
        conductivity: predicts ``log10_conductivity``.
        energy: predicts ``activation_energy``.
        correlation: of the two models' errors.

    Raises:
        InputError: models of other quantities, a temperature not above zero, or a candidate that cannot be read.
    """
    if (conductivity.quantity, energy.quantity) != ("log10_conductivity", "activation_energy"):
        raise InputError(
            "arrhenius: expected models of log10_conductivity and activation_energy, got "
            f"{conductivity.quantity} and {energy.quantity}"
        )
    sigma, barrier = conductivity.predict(candidates), energy.predict(candidates)
    line = Line(sigma.mean, sigma.std, barrier.mean, barrier.std, correlation)
    mean, std = line.at(temperature)
    return Prediction(mean, std, sigma.in_domain & barrier.in_domain)
