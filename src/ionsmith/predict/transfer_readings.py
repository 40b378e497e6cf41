"""How a quantity stands in the network: as it is, as its logarithm, or as a correction of CHGNet's own answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from ionsmith.core.errors import IonsmithError, PhysicsError
from ionsmith.core.records import Candidate, FloatArray, Outcome
from ionsmith.learn.ensemble import TargetKind
from ionsmith.represent.chgnet import CrystalView
from ionsmith.thermodynamics.references import ElementReferences
from ionsmith.thermodynamics.terms import element_amounts, fractions, reference_terms

Base = Callable[[Candidate, CrystalView], float]
_LOWEST_MODULUS = 1.0  # GPa; smaller and negative moduli are learnt as this


@dataclass(frozen=True)
class Reading:
    """How numbers of a quantity are turned into what a network learns, and back.

    Attributes:
        kind: of the target.
        lowest: numbers are learnt as log10 of themselves, at least of this; None learns them as they are.
        base: answer that the network corrects; None if there is none.
    """

    kind: TargetKind = TargetKind.PLAIN
    lowest: float | None = None
    base: Base | None = None

    def encode(self, value: float, candidate: Candidate, view: CrystalView) -> float:
        """Return what the network learns.

        Args:
            value: in the unit of the quantity.
            candidate: the material.
            view: of the same.

        Raises:
            PhysicsError: the base has no answer for the material.
        """
        if self.lowest is not None:
            return float(np.log10(max(value, self.lowest)))
        return value - (self.base(candidate, view) if self.base else 0.0)

    def plain(self, learnt: float) -> float:
        """Return what was learnt without its logarithm; a correction of a base stays a correction.

        Args:
            learnt: number of the network.
        """
        return learnt if self.lowest is None else 10.0**learnt

    def decode(self, mean: float, std: float, candidate: Candidate, view: CrystalView) -> tuple[float, float]:
        """Return mean and standard deviation in the unit of the quantity.

        The mean of a logarithm gives the median; its spread is carried over to first order.

        Args:
            mean: of the network.
            std: of the network.
            candidate: the material.
            view: of the same.

        Raises:
            PhysicsError: the base has no answer for the material.
        """
        if self.lowest is not None:
            return 10.0**mean, std * float(np.log(10.0)) * 10.0**mean
        return mean + (self.base(candidate, view) if self.base else 0.0), std


MORE_REFERENCES = MappingProxyType({"Ac": -4.155, "Pm": -4.764})
"""Reference energies of elements that the shipped references lack, eV/atom: medians over the 67 and 129 training
crystals of mp_20_biternary that hold them (deviation 0.09 and 0.07 eV)."""


def from_references(candidate: Candidate, view: CrystalView) -> float:
    """Return CHGNet's formation energy on the Materials Project scale, eV/atom.

    Args:
        candidate: the material.
        view: of the same.

    Raises:
        PhysicsError: an element without reference.
    """
    known, amounts = ElementReferences.shipped(), element_amounts(candidate.composition)
    more = {e: share for e, share in fractions(amounts).items() if e in MORE_REFERENCES and e not in known.rows}
    if not more:
        return known.formation_energy(candidate.composition, view.energy).mean
    unseen = sorted(amounts.keys() - known.rows.keys() - more.keys())
    if unseen:
        raise PhysicsError(f"no reference energy of {', '.join(unseen)} for {known.potential}")
    below = sum(MORE_REFERENCES[element] * share for element, share in more.items())
    return view.energy - known.fit.energy(reference_terms(amounts)) - below


READINGS = MappingProxyType(
    {
        "band_gap": Reading(TargetKind.ZERO_INFLATED),
        "formation_energy": Reading(base=from_references),
        "bulk_modulus": Reading(lowest=_LOWEST_MODULUS),
        "shear_modulus": Reading(lowest=_LOWEST_MODULUS),
    }
)
"""Quantities that are not learnt as they are."""


def reading_of(quantity: str) -> Reading:
    """Return how a quantity stands in the network.

    Args:
        quantity: its name.
    """
    return READINGS.get(quantity, Reading())


def value_or_nan(outcome: Outcome, quantity: str, view: CrystalView) -> float:
    """Return what the network learns from an outcome, NaN where there is nothing to learn.

    Args:
        outcome: a material with values.
        quantity: which of them.
        view: of the material.
    """
    value = outcome.values.get(quantity)
    if value is None:
        return float("nan")
    try:
        return reading_of(quantity).encode(value.mean, outcome.candidate, view)
    except PhysicsError:
        return float("nan")


def why_not(reasons: Sequence[IonsmithError]) -> str:
    """Return one line on how many materials could not be looked at, and why.

    Args:
        reasons: one per material.
    """
    return f"{len(reasons)} materials could not be looked at, such as: {reasons[0]}" if reasons else ""


def columns(outcomes: Sequence[Outcome], views: Sequence[CrystalView], names: Sequence[str]) -> FloatArray:
    """Return what the network learns, shape (n, T); NaN where a value is not known.

    Args:
        outcomes: n materials.
        views: of the same.
        names: of T quantities.
    """
    rows = [[value_or_nan(o, name, view) for name in names] for o, view in zip(outcomes, views, strict=True)]
    return np.array(rows, dtype=np.float64).reshape(len(outcomes), len(names))
