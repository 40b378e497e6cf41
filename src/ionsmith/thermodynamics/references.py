"""Element references: from the energy of a potential to a formation energy on the Materials Project scale."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Self

from pymatgen.core import Composition

from ionsmith.artifacts.cards import load_artifact
from ionsmith.core.errors import ArtifactError, PhysicsError
from ionsmith.core.records import Value
from ionsmith.thermodynamics.terms import TermFit, element_amounts, fractions, reference_terms

REFERENCES = "element_references"
"""Name of the shipped artifact."""

ENOUGH_ROWS = 20
"""Materials with an element that the fit must have seen for the element to be in the domain."""


@dataclass(frozen=True)
class Spread:
    """How far formation energies may be off, fitted on residuals of materials kept out.

    sigma^2 = sum_e x_e s_e^2 + (slope * max(energy above hull, 0))^2: some elements are described worse than
    others, and so are materials far from equilibrium.

    Attributes:
        elements: s_e per element, eV/atom.
        other: s_e of an element that is not listed.
        slope: growth with the energy above hull.
        hull: further error of an energy above hull, from compounds the reference hull does not know, eV/atom.
    """

    elements: Mapping[str, float]
    other: float
    slope: float = 0.0
    hull: float = 0.0

    def formation_energy(self, amounts: Mapping[str, float], above_hull: float = 0.0) -> float:
        """Return one standard deviation of a formation energy, eV/atom.

        Args:
            amounts: element to number of atoms.
            above_hull: eV/atom, where it is known.

        Raises:
            InputError: no atoms.
        """
        variance = sum(share * self.elements.get(e, self.other) ** 2 for e, share in fractions(amounts).items())
        return math.hypot(math.sqrt(variance), self.slope * max(above_hull, 0.0))

    def energy_above_hull(self, amounts: Mapping[str, float], above_hull: float) -> float:
        """Return one standard deviation of an energy above hull, eV/atom.

        Args:
            amounts: element to number of atoms.
            above_hull: eV/atom.

        Raises:
            InputError: no atoms.
        """
        return math.hypot(self.formation_energy(amounts, above_hull), self.hull)


@dataclass(frozen=True)
class ElementReferences:
    """Reference energies of the elements for one potential.

    Attributes:
        fit: reference energy per term, eV per atom.
        rows: number of materials with each element that the fit has seen.
        spread: of the formation energies.
        potential: name of the potential whose energies these references are for.
        fingerprint: changes whenever a result could change.
    """

    fit: TermFit
    rows: Mapping[str, int]
    spread: Spread
    potential: str
    fingerprint: str = ""

    @classmethod
    def load(cls, name: str = REFERENCES, *, folder: Path | None = None) -> Self:
        """Read references that ``build_references`` wrote.

        Args:
            name: of the artifact.
            folder: its parent folder; the package's own artifacts if None.

        Raises:
            ArtifactError: missing, damaged, or not an artifact of element references.
        """
        artifact = load_artifact(name, folder=folder)
        try:
            settings = artifact.card["settings"]
            terms = dict(zip(settings["terms"], artifact.arrays["coefficients"].tolist(), strict=True))
            elements = settings["elements"]
            rows = dict(zip(elements, artifact.arrays["rows"].tolist(), strict=True))
            spreads = dict(zip(elements, artifact.arrays["spread"].tolist(), strict=True))
            spread = Spread(spreads, settings["spread_other"], settings["spread_slope"], settings["spread_hull"])
            fit = TermFit(terms, settings["ridge"], settings["floor"])
            potential = str(settings["potential"])
        except (KeyError, ValueError) as error:
            raise ArtifactError(
                f"artifact {name}: expected element references, {error} is missing or wrong"
            ) from error
        return cls(fit, rows, spread, potential, f"{name}-{artifact.fingerprint}")

    @classmethod
    def shipped(cls) -> ElementReferences:
        """Return the package's own references (for ``chgnet``), read once per process.

        Raises:
            ArtifactError: missing or damaged.
        """
        return _shipped()

    def formation_energy(self, composition: Composition, energy: float, *, above_hull: float = 0.0) -> Value:
        """Return the formation energy of a crystal on the Materials Project scale (corrections of 2020), eV/atom.

        E_f = E - sum_e x_e mu_e - sum_m x_m u_m, m the metals treated with U, where oxygen or fluorine is present.

        Args:
            composition: any multiple.
            energy: of the potential these references are for, eV/atom.
            above_hull: energy above hull, if known: the spread grows with it, eV/atom.

        Raises:
            PhysicsError: an element that the fit has never seen.
        """
        amounts = element_amounts(composition)
        unseen = sorted(amounts.keys() - self.rows.keys())
        if unseen:
            raise PhysicsError(f"no reference energy of {', '.join(unseen)} for {self.potential}")
        mean = energy - self.fit.energy(reference_terms(amounts))
        spread = self.spread.formation_energy(amounts, above_hull)
        return Value(mean, spread, f"{self.potential}+references", self.in_domain(composition))

    def in_domain(self, composition: Composition) -> bool:
        """Return whether the fit has seen enough materials with each element.

        Args:
            composition: any multiple.
        """
        return all(self.rows.get(element, 0) >= ENOUGH_ROWS for element in element_amounts(composition))


@lru_cache(maxsize=1)
def _shipped() -> ElementReferences:
    return ElementReferences.load()
