"""How ions move: by a vacancy, an extra ion that hops between empty places, or one that knocks a lattice ion off."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pymatgen.core import Structure

from ionsmith.simulate.hops import HopClass, SiteHop, distinct_hops
from ionsmith.simulate.interstitials import EMPTY, interstitial, knocked_ion, with_empty_places
from ionsmith.simulate.neb_run import Band, Defect, vacancy


class Mechanism(StrEnum):
    """Which defect carries the charge; all are neutral, because universal potentials carry no charge."""

    VACANCY = "vacancy"
    INTERSTITIAL = "interstitial"
    KNOCK_OFF = "knock-off"


@dataclass(frozen=True)
class Ways:
    """All hops of a mechanism in a crystal.

    Attributes:
        mechanism: which one.
        mobile: element symbol.
        sites: the crystal; with an extra ion also its empty places, between which the hops go.
        classes: the hops, grouped by symmetry, shortest first.
    """

    mechanism: Mechanism
    mobile: str
    sites: Structure
    classes: tuple[HopClass, ...]

    @classmethod
    def of(cls, structure: Structure, mobile: str, mechanism: Mechanism, *, distance: float) -> Ways:
        """Find the hops of a mechanism; see :func:`ionsmith.simulate.hops.distinct_hops`.

        Args:
            structure: ordered crystal of elements, its mobile sites filled.
            mobile: element symbol.
            mechanism: which one.
            distance: longest hop, angstrom.

        Raises:
            PhysicsError: nothing percolates, or there is no empty place for an extra ion.
        """
        sites = structure if mechanism is Mechanism.VACANCY else with_empty_places(structure, mobile)
        return cls.between(sites, mobile, mechanism, distance=distance)

    @classmethod
    def between(cls, sites: Structure, mobile: str, mechanism: Mechanism, *, distance: float) -> Ways:
        """Find the hops of a mechanism between sites that are known.

        Args:
            sites: the crystal; with an extra ion also its empty places as the species ``X``.
            mobile: element symbol.
            mechanism: which one.
            distance: longest hop, angstrom.

        Raises:
            PhysicsError: nothing percolates.
        """
        if mechanism is Mechanism.VACANCY:
            return cls(mechanism, mobile, sites, distinct_hops(sites, mobile, distance=distance))
        allowed: Callable[[SiteHop], bool] | None = None
        if mechanism is Mechanism.KNOCK_OFF:

            def allowed(hop: SiteHop) -> bool:
                return knocked_ion(sites, hop, mobile) is not None

        return cls(mechanism, mobile, sites, distinct_hops(sites, EMPTY, distance=distance, allowed=allowed))

    @property
    def extra(self) -> bool:
        """Whether the defect is an extra ion rather than a missing one."""
        return self.mechanism is not Mechanism.VACANCY

    def defect(self, hop: SiteHop, matrix: Any, *, vacancies: int = 1) -> Defect:
        """Build the supercell of a hop.

        Args:
            hop: one of the classes' examples.
            matrix: supercell vectors in units of the crystal's; shape (3, 3).
            vacancies: one, or two for a divacancy; without meaning for an extra ion.

        Raises:
            PhysicsError: the supercell is too small for the hop.
        """
        if not self.extra:
            return vacancy(self.sites, hop, matrix, removed=vacancies)
        knocks = self.mechanism is Mechanism.KNOCK_OFF
        return interstitial(self.sites, hop, matrix, self.mobile, knocks=knocks)

    def at_ends(self, band: Band) -> tuple[float, float]:
        """Return the energy with the defect on the start and on the end of a hop, eV.

        A vacancy is on the end before its hop and on the start after it; an extra ion the other way round.

        Args:
            band: the relaxed hop.
        """
        before, after = float(band.energies[0]), float(band.energies[-1])
        return (before, after) if self.extra else (after, before)
