"""The one table of physical quantities: label, unit, physical range, and which direction is better."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from types import MappingProxyType

from ionsmith.core.errors import InputError


class Better(StrEnum):
    """Which end of a quantity an electrolyte designer wants."""

    HIGH = "high"
    LOW = "low"
    NEITHER = "neither"


@dataclass(frozen=True)
class Quantity:
    """A physical quantity as the whole package understands it.

    Attributes:
        name: key used in records, Specs and result tables.
        label: what a figure axis says.
        unit: the only unit in which a Value of this quantity is stored.
        low: smallest value that is physically possible or plausible, in ``unit``.
        high: largest such value, in ``unit``.
        better: which direction an electrolyte designer prefers.
        tolerance: difference that a designer would not care about, in ``unit``; it softens scores so that a
            noise-free value just beside a limit is not all or nothing.
    """

    name: str
    label: str
    unit: str
    low: float
    high: float
    better: Better
    tolerance: float

    def check(self, value: float, *, where: str) -> float:
        """Return ``value`` if it is a number within the physical range.

        Args:
            value: number to check, in ``unit``.
            where: what the message should point at, such as ``spec.toml: targets.band_gap.min``.

        Raises:
            InputError: the value is not finite or lies outside [low, high].
        """
        if not self.low <= value <= self.high:  # also false for NaN
            raise InputError(
                f"{where}: expected {self.name} between {self.low:g} and {self.high:g} {self.unit}, got {value:g}"
            )
        return value


_HIGH, _LOW, _NEITHER = Better.HIGH, Better.LOW, Better.NEITHER

_TABLE = (
    Quantity("formation_energy", "Formation energy", "eV/atom", -10.0, 10.0, _LOW, 0.02),
    Quantity("energy_above_hull", "Energy above hull", "eV/atom", -5.0, 20.0, _LOW, 0.01),
    Quantity("band_gap", "Band gap (PBE)", "eV", 0.0, 20.0, _HIGH, 0.2),
    Quantity("log10_conductivity", "log10 conductivity (300 K)", "log10 S/cm", -30.0, 2.0, _HIGH, 0.3),
    Quantity("activation_energy", "Activation energy", "eV", 0.0, 10.0, _LOW, 0.03),
    Quantity("percolation_barrier_1d", "Percolation barrier, 1-D (BVSE)", "eV", 0.0, 50.0, _LOW, 0.3),
    Quantity("percolation_barrier_2d", "Percolation barrier, 2-D (BVSE)", "eV", 0.0, 50.0, _LOW, 0.3),
    Quantity("percolation_barrier", "Percolation barrier, 3-D (BVSE)", "eV", 0.0, 50.0, _LOW, 0.3),
    Quantity("landscape_barrier_1d", "Percolation barrier, 1-D (potential)", "eV", 0.0, 50.0, _LOW, 0.3),
    Quantity("landscape_barrier_2d", "Percolation barrier, 2-D (potential)", "eV", 0.0, 50.0, _LOW, 0.3),
    Quantity("landscape_barrier", "Percolation barrier, 3-D (potential)", "eV", 0.0, 50.0, _LOW, 0.3),
    Quantity("accessible_volume", "Volume within 20 kT (potential)", "%", 0.0, 100.0, _HIGH, 1.0),
    Quantity("neb_barrier", "Migration barrier (NEB)", "eV", 0.0, 20.0, _LOW, 0.03),
    Quantity("reduction_potential", "Reduction potential", "V vs Li/Li+", -5.0, 10.0, _LOW, 0.1),
    Quantity("oxidation_potential", "Oxidation potential", "V vs Li/Li+", -5.0, 10.0, _HIGH, 0.1),
    Quantity("shear_modulus", "Shear modulus", "GPa", -100.0, 1000.0, _HIGH, 2.0),
    Quantity("bulk_modulus", "Bulk modulus", "GPa", -100.0, 1500.0, _HIGH, 5.0),
    Quantity("electronic_conductivity", "Electronic conductivity", "S/cm", 0.0, 1e8, _LOW, 1e-10),
    Quantity("element_cost", "Cost of the elements", "USD/kg", 0.0, 1e8, _LOW, 5.0),
    Quantity("density", "Density", "g/cm3", 0.0, 25.0, _LOW, 0.1),
)

QUANTITIES: Mapping[str, Quantity] = MappingProxyType({q.name: q for q in _TABLE})


def quantity(name: str, *, where: str = "quantity") -> Quantity:
    """Look a quantity up by name.

    Args:
        name: key of ``QUANTITIES``.
        where: what the message should point at when the name is unknown.

    Raises:
        InputError: no such quantity; the message offers the closest names.
    """
    try:
        return QUANTITIES[name]
    except KeyError:
        raise InputError(f"{where}: unknown quantity {name!r}{suggestion(name, QUANTITIES)}") from None


def suggestion(name: str, known: Mapping[str, object] | list[str]) -> str:
    """Return the tail of an error message that offers the closest known names.

    Args:
        name: what the user wrote.
        known: the names that would have been accepted.
    """
    names = sorted(known)
    close = get_close_matches(name, names, n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else f"; expected one of {', '.join(names)}"
