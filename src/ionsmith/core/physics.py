"""Closed-form relations of solid-state ionics that several folders share; constants come from scipy."""

from __future__ import annotations

import math

from scipy import constants

from ionsmith.core.errors import InputError

BOLTZMANN_EV = constants.k / constants.e
"""Boltzmann constant, eV/K."""

ROOM_TEMPERATURE = 300.0
"""Temperature of every room-temperature quantity, K."""

VACUUM_DOS_CM3 = 2.0 * (2.0 * math.pi * constants.m_e * constants.k * ROOM_TEMPERATURE / constants.h**2) ** 1.5 * 1e-6
"""Effective density of states of a band of free-electron mass at 300 K, 1/cm^3 (2.5e19)."""


def _positive(value: float, name: str) -> float:
    if not (value > 0.0 and math.isfinite(value)):
        raise InputError(f"expected {name} above zero, got {value:g}")
    return value


def minimum_band_gap(
    electronic_conductivity: float,
    *,
    mobility: float = 100.0,
    effective_mass: float = 1.0,
    temperature: float = ROOM_TEMPERATURE,
) -> float:
    """Smallest band gap that keeps the intrinsic electronic conductivity under an allowed value, eV.

    An undoped, perfect crystal conducts by thermally excited electrons and holes:
    sigma_e = e (mu_n + mu_p) n_i with n_i = N exp(-E_g / (2 k_B T)) and
    N = 2 (2 pi m* k_B T / h^2)^(3/2), so E_g = 2 k_B T ln(2 e mu N / sigma_e). Defect levels conduct more:
    the result is a lower bound for the gap, and PBE gaps lie below measured ones.

    Args:
        electronic_conductivity: allowed electronic conductivity, S/cm.
        mobility: mobility of electrons and of holes each, cm^2/(V s).
        effective_mass: density-of-states mass of both bands, in electron masses.
        temperature: K.

    Raises:
        InputError: an argument that is not above zero.

    Source: S. M. Sze and K. K. Ng, Physics of Semiconductor Devices, doi 10.1002/0470068329, chapter 1.
    """
    sigma = _positive(electronic_conductivity, "electronic conductivity (S/cm)")
    mu = _positive(mobility, "mobility (cm^2/(V s))")
    mass = _positive(effective_mass, "effective mass (electron masses)")
    kelvin = _positive(temperature, "temperature (K)")
    states = VACUUM_DOS_CM3 * (mass * kelvin / ROOM_TEMPERATURE) ** 1.5
    prefactor = 2.0 * constants.e * mu * states
    return max(0.0, float(2.0 * BOLTZMANN_EV * kelvin * math.log(prefactor / sigma)))


def intrinsic_electronic_conductivity(
    band_gap: float,
    *,
    mobility: float = 100.0,
    effective_mass: float = 1.0,
    temperature: float = ROOM_TEMPERATURE,
) -> float:
    """Intrinsic electronic conductivity of a perfect crystal with a given band gap, S/cm.

    The inverse of :func:`minimum_band_gap`; same model, same source.

    Args:
        band_gap: eV.
        mobility: mobility of electrons and of holes each, cm^2/(V s).
        effective_mass: density-of-states mass of both bands, in electron masses.
        temperature: K.

    Raises:
        InputError: a negative band gap, or another argument that is not above zero.
    """
    if band_gap < 0.0 or not math.isfinite(band_gap):
        raise InputError(f"expected band gap (eV) of at least zero, got {band_gap:g}")
    mu = _positive(mobility, "mobility (cm^2/(V s))")
    mass = _positive(effective_mass, "effective mass (electron masses)")
    kelvin = _positive(temperature, "temperature (K)")
    states = VACUUM_DOS_CM3 * (mass * kelvin / ROOM_TEMPERATURE) ** 1.5
    return float(2.0 * constants.e * mu * states * math.exp(-band_gap / (2.0 * BOLTZMANN_EV * kelvin)))
