"""From diffusivities at several temperatures to activation energy and conductivity at 300 K, with intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import constants
from scipy.special import ndtri

from ionsmith.core.errors import InputError
from ionsmith.core.physics import BOLTZMANN_EV, ROOM_TEMPERATURE
from ionsmith.simulate.diffusion import LEVEL, Diffusivity

ATTEMPTS = 1e13
"""Attempt frequency assumed where not one hop was seen, 1/s."""

HOP = 3.0
"""Hop length assumed there, angstrom."""

FAR = 2.0
"""An extrapolation in 1/T that reaches more than this many times the span of the temperatures is warned about."""

_QUANTILE = float(ndtri(0.5 + 0.5 * LEVEL))
_LEAST_SPREAD = 0.05  # of ln D; force field, cell and thermostat are not exact either


@dataclass(frozen=True)
class Arrhenius:
    """The line ln D = ln D0 - E_a / (k_B T) through the diffusivities of one crystal, and what it says at 300 K.

    Attributes:
        points: diffusivities, by temperature.
        fitted: number of temperatures in the fit; below two there is no line.
        activation_energy: eV; without a line, the least one that is compatible with seeing no hop.
        activation_energy_std: eV.
        log10_prefactor: log10 of D0 in cm^2/s.
        covariance: of (ln D0, E_a in eV); shape (2, 2).
        density: mobile ions per cubic centimetre.
        charge: of the ion.
        haven: Haven ratio, assumed.
        bound_only: whether conductivity is only an upper limit.
        warnings: one line each.
    """

    points: tuple[Diffusivity, ...]
    fitted: int
    activation_energy: float
    activation_energy_std: float
    log10_prefactor: float
    covariance: tuple[tuple[float, float], tuple[float, float]]
    density: float
    charge: int
    haven: float
    bound_only: bool
    warnings: tuple[str, ...]

    def log10_diffusivity(self, temperature: float = ROOM_TEMPERATURE) -> tuple[float, float]:
        """Return log10 of the diffusivity on the line, cm^2/s, and its standard deviation in decades.

        Args:
            temperature: K.
        """
        row = np.array([1.0, -1.0 / (BOLTZMANN_EV * temperature)])
        mean = self.log10_prefactor + row[1] * self.activation_energy / math.log(10.0)
        spread = math.sqrt(max(float(row @ np.array(self.covariance) @ row), 0.0)) / math.log(10.0)
        return float(mean), spread

    def log10_conductivity(self, temperature: float = ROOM_TEMPERATURE) -> tuple[float, float]:
        """Return log10 of the ionic conductivity on the line, S/cm, and its standard deviation in decades.

        Args:
            temperature: K.
        """
        mean, spread = self.log10_diffusivity(temperature)
        unit = nernst_einstein(1.0, self.density, temperature, charge=self.charge, haven=self.haven)
        return mean + math.log10(unit), spread

    def details(self) -> dict[str, Any]:
        """Return numbers and lists for JSON; the shape is described at the simulator ``md``."""
        sigma, decades = self.log10_conductivity()
        document: dict[str, Any] = {
            "temperatures": [_point(p, self) for p in self.points],
            "fitted_temperatures": self.fitted,
            "activation_energy_eV": round(self.activation_energy, 5),
            "log10_prefactor_cm2_s": round(self.log10_prefactor, 4),
            "covariance": [[float(f"{x:.6g}") for x in row] for row in self.covariance],
            "log10_conductivity_300K": round(sigma, 4),
            "log10_conductivity_upper_limit_only": self.bound_only,
            "carriers_per_cm3": float(f"{self.density:.6g}"),
            "haven_ratio_assumed": self.haven,
            "warnings": list(self.warnings),
        }
        if not self.bound_only:
            half = _QUANTILE * self.activation_energy_std
            document["activation_energy_interval95_eV"] = [
                round(self.activation_energy - half, 5),
                round(self.activation_energy + half, 5),
            ]
            document["log10_conductivity_interval95"] = [
                round(sigma - _QUANTILE * decades, 4),
                round(sigma + _QUANTILE * decades, 4),
            ]
        return document


def nernst_einstein(
    diffusivity: float, density: float, temperature: float, *, charge: int = 1, haven: float = 1.0
) -> float:
    """Ionic conductivity from a tracer diffusivity, S/cm: sigma = n (z e)^2 D / (H k_B T).

    Args:
        diffusivity: tracer diffusivity, cm^2/s.
        density: mobile ions per cubic centimetre.
        temperature: K.
        charge: charge number.
        haven: Haven ratio, tracer over charge diffusivity; one for independent ions.

    Raises:
        InputError: a temperature, density or Haven ratio that is not above zero, or a negative diffusivity.

    Source: H. Mehrer, Diffusion in Solids, doi 10.1007/978-3-540-71488-0, chapter 11.
    """
    if not (temperature > 0.0 and density > 0.0 and haven > 0.0 and diffusivity >= 0.0):
        raise InputError(
            "expected temperature, density and Haven ratio above zero and diffusivity of at least zero, got "
            f"{temperature:g} K, {density:g} 1/cm^3, {haven:g} and {diffusivity:g} cm^2/s"
        )
    return float(density * (charge * constants.e) ** 2 * diffusivity / (haven * constants.k * temperature))


def arrhenius(points: Sequence[Diffusivity], *, charge: int = 1, haven: float = 1.0) -> Arrhenius:
    """Fit the Arrhenius line by weighted least squares of ln D; extrapolate with the full covariance.

    Weights are the posterior spreads of ln D, at least 0.05; if the points scatter more than these say, all spreads
    grow by the root of the reduced chi-square (Birge ratio, doi 10.1103/PhysRev.40.207). Temperatures without a hop
    are left out of the fit, and the line is checked against what they allow; so are those at which the framework
    moves, if two others remain. Without two temperatures with hops there
    is no line: the conductivity is then an upper limit from the hottest run without a hop, with an attempt frequency
    of 1e13 Hz and a hop length of 3 angstrom, D0 = a^2 nu / 6.

    Args:
        points: diffusivities of one crystal at different temperatures.
        charge: charge number of the ion.
        haven: Haven ratio to assume.

    Raises:
        InputError: no points, or temperatures that are not above zero.
    """
    ordered = tuple(sorted(points, key=lambda p: p.temperature))
    if not ordered or ordered[0].temperature <= 0.0:
        raise InputError(f"expected diffusivities above 0 K, got {[p.temperature for p in ordered]}")
    density = float(np.mean([p.ions / p.volume for p in ordered])) * 1e24
    warnings = [f"{p.temperature:g} K: {text}" for p in ordered for text in p.warnings]
    moving, left_out = _solid([p for p in ordered if not p.bound_only])
    warnings += left_out
    if len({p.temperature for p in moving}) < 2:
        return _limit(ordered, density, charge=charge, haven=haven, warnings=warnings)
    inverse = 1.0 / (BOLTZMANN_EV * np.array([p.temperature for p in moving]))
    logs = np.log([p.mean for p in moving])
    spread = np.array([max(p.std / p.mean, _LEAST_SPREAD) for p in moving])
    design = np.stack([np.ones_like(inverse), -inverse], axis=1)
    weighted = design / spread[:, None]
    covariance = np.linalg.inv(weighted.T @ weighted)
    line = covariance @ (weighted.T @ (logs / spread))
    if len(moving) > 2:
        chi = float((((logs - design @ line) / spread) ** 2).sum() / (len(moving) - 2))
        covariance = covariance * max(1.0, chi)
    warnings += _reach(moving) + _excluded(ordered, line)
    return Arrhenius(
        ordered,
        len(moving),
        float(line[1]),
        math.sqrt(float(covariance[1, 1])),
        float(line[0]) / math.log(10.0),
        _plain(covariance),
        density,
        charge,
        haven,
        False,
        tuple(warnings),
    )


def _limit(
    points: tuple[Diffusivity, ...], density: float, *, charge: int, haven: float, warnings: list[str]
) -> Arrhenius:
    """Least barrier that explains the fewest hops: each temperature gives one, the highest counts."""
    prefactor = HOP**2 * ATTEMPTS / 6.0 * 1e-16
    barriers = [BOLTZMANN_EV * p.temperature * math.log(max(prefactor / p.high, 1.0)) for p in points]
    warnings = [*warnings, f"hops at fewer than two temperatures: upper limit with {ATTEMPTS:g} attempts per second"]
    zero = ((0.0, 0.0), (0.0, 0.0))
    moving = sum(not p.bound_only for p in points)
    return Arrhenius(
        points, moving, max(barriers), 0.0, math.log10(prefactor), zero, density, charge, haven, True, tuple(warnings)
    )


def _solid(moving: list[Diffusivity]) -> tuple[list[Diffusivity], list[str]]:
    """Leave out temperatures at which the framework moves, where enough others remain for a line."""
    solid = [p for p in moving if not p.melted]
    if len(solid) == len(moving) or len({p.temperature for p in solid}) < 2:
        return moving, []
    names = ", ".join(f"{p.temperature:g}" for p in moving if p.melted)
    return solid, [f"{names} K left out of the line: the framework moves there"]


def _reach(points: list[Diffusivity]) -> list[str]:
    moving = [p.temperature for p in points]
    span = 1.0 / moving[0] - 1.0 / moving[-1]
    reach = 1.0 / ROOM_TEMPERATURE - 1.0 / moving[0]
    if reach > FAR * span:
        return [f"300 K lies {reach / span:.1f} times the fitted span of 1/T beyond {moving[0]:g} K"]
    return []


def _excluded(points: tuple[Diffusivity, ...], line: Any) -> list[str]:
    texts = []
    for p in points:
        expected = math.exp(float(line[0]) - float(line[1]) / (BOLTZMANN_EV * p.temperature))
        if p.bound_only and expected > p.high:
            texts.append(f"{p.temperature:g} K: no hop, although the line expects {expected:.2g} cm2/s")
    return texts


def _plain(matrix: Any) -> tuple[tuple[float, float], tuple[float, float]]:
    return (float(matrix[0, 0]), float(matrix[0, 1])), (float(matrix[1, 0]), float(matrix[1, 1]))


def _point(point: Diffusivity, line: Arrhenius) -> dict[str, Any]:
    few = slice(None, None, max(1, len(point.lags) // 20))
    document: dict[str, Any] = {
        "temperature_K": point.temperature,
        "interval95_cm2_s": [float(f"{point.low:.5g}"), float(f"{point.high:.5g}")],
        "hops": point.hops,
        "ions": point.ions,
        "duration_ps": round(point.duration, 3),
        "fit_start_ps": round(point.start, 3),
        "lags_ps": [round(float(x), 4) for x in point.lags[few]],
        "msd_A2": [round(float(x), 4) for x in point.msd[few]],
        "msd_std_A2": [round(float(x), 4) for x in point.msd_std[few]],
        "framework_msd_A2": [round(float(x), 4) for x in point.framework_msd[few]],
    }
    if not point.bound_only:
        sigma = nernst_einstein(point.mean, line.density, point.temperature, charge=line.charge, haven=line.haven)
        document |= {
            "diffusivity_cm2_s": float(f"{point.mean:.5g}"),
            "diffusivity_std_cm2_s": float(f"{point.std:.5g}"),
            "conductivity_S_cm": float(f"{sigma:.5g}"),
        }
    return document


def msd_table(points: Sequence[Diffusivity]) -> str:
    """Return the mean square displacements of all temperatures as CSV text.

    Args:
        points: diffusivities with their displacements.
    """
    rows = ["temperature_K,lag_ps,msd_A2,msd_std_A2,framework_msd_A2"]
    for p in points:
        others = p.framework_msd if len(p.framework_msd) else np.full(len(p.lags), np.nan)
        for lag, msd, std, other in zip(p.lags, p.msd, p.msd_std, others, strict=True):
            last = f"{other:.5g}" if math.isfinite(float(other)) else ""
            rows.append(f"{p.temperature:g},{lag:.5g},{msd:.5g},{std:.5g},{last}")
    return "\n".join(rows) + "\n"
