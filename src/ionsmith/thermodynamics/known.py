"""All known phases of a chemical system on one scale of corrections: the hull table and its supplement."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from pymatgen.core import Composition

from ionsmith.artifacts.cards import load_artifact, read_card
from ionsmith.core.errors import ArtifactError, InputError
from ionsmith.core.quantities import suggestion
from ionsmith.core.records import FloatArray
from ionsmith.thermodynamics.grand import Phase
from ionsmith.thermodynamics.phases import HULL, HullTable, Near
from ionsmith.thermodynamics.terms import TermFit, element_amounts, release_terms

SUPPLEMENT = "reference_hull_supplement"
"""Name of the shipped table of phases that the reference hull lacks."""

CORRECTIONS: Mapping[str, str] = {
    "2015": "mp2018",
    "2018": "mp2018",
    "2020": "mp2020",
}
"""Scale of energy corrections to the release of the hull table that it is made from.

``2020``: the Materials Project since 2020 (doi 10.1038/s41598-021-94550-5). ``2018``: as in its release of 2018.
``2015``: the latter without its correction for sulfur, the scale of the windows published from 2015 on (doi
10.1021/acsami.5b07517): Li2S then oxidises at 2.01 V, with the corrections of 2020 at 2.26 V, measured 2.24 V."""

SULFUR_2018 = -0.66346
"""Energy correction per sulfur atom of every compound in the release of 2018, eV (pymatgen, MPCompatibility)."""


class KnownPhases:
    """Phases of the hull table and of its supplement, on one scale."""

    def __init__(self, table: HullTable, supplement: HullTable, *, corrections: str, shift: TermFit) -> None:
        """Keep the tables.

        Args:
            table: reference hull, in the release that ``CORRECTIONS`` names.
            supplement: further phases, in the same release.
            corrections: key of ``CORRECTIONS``.
            shift: energies of 2018 minus those of 2020.

        Raises:
            InputError: unknown corrections.
        """
        if corrections not in CORRECTIONS:
            raise InputError(f"unknown corrections {corrections!r}{suggestion(corrections, CORRECTIONS)}")
        self._tables = (table, supplement)
        self._corrections = corrections
        self._shift = shift

    @classmethod
    def shipped(cls, corrections: str = "2015") -> KnownPhases:
        """Return the package's own phases, read once per process.

        Args:
            corrections: key of ``CORRECTIONS``.

        Raises:
            InputError: unknown corrections.
            ArtifactError: missing or damaged.
        """
        return _shipped(corrections)

    @property
    def fingerprint(self) -> str:
        """Text that changes whenever an energy does."""
        return "+".join([*(table.fingerprint for table in self._tables), self._corrections])

    def phases(self, elements: Iterable[str]) -> tuple[Phase, ...]:
        """Return all phases made of the given elements, the elements included; of equal formulas the lowest.

        Args:
            elements: symbols.

        Raises:
            InputError: an unknown element, or none.
        """
        symbols = sorted(set(elements))
        found: dict[str, Phase] = {}
        for table in self._tables:
            for entry in table.entries(symbols):
                amounts = element_amounts(entry.composition)
                energy = float(entry.energy) + self._sulfur(amounts)
                formula, factor = entry.composition.get_reduced_formula_and_factor()
                phase = Phase(str(formula), {element: n / factor for element, n in amounts.items()}, energy / factor)
                held = found.get(phase.formula)
                if held is None or phase.energy < held.energy:
                    found[phase.formula] = phase
        return tuple(found[formula] for formula in sorted(found))

    def known(self, composition: Composition) -> float | None:
        """Return the formation energy of a formula, eV/atom; None where no table holds it.

        Args:
            composition: any multiple.
        """
        if len(composition) == 1:
            return 0.0
        amounts = element_amounts(composition)
        held = [energy for table in self._tables if (energy := table.known(composition)) is not None]
        return min(held) + self._sulfur(amounts) / _total(amounts) if held else None

    def nearest(self, composition: Composition, count: int = 3, *, within: bool = False) -> tuple[Near, ...]:
        """Return the compounds of nearest composition in both tables; see :meth:`HullTable.nearest`.

        Args:
            composition: any multiple.
            count: how many at most.
            within: only compounds of exactly the same elements.
        """
        found = {near for table in self._tables for near in table.nearest(composition, count, within=within)}
        return tuple(sorted(found, key=lambda near: (near.distance, near.formula))[:count])

    def from_2020(self, composition: Composition, energy: float) -> float:
        """Return a formation energy of the 2020 scale on this one, eV/atom.

        Args:
            composition: any multiple.
            energy: eV/atom.
        """
        if CORRECTIONS[self._corrections] == "mp2020":
            return energy
        amounts = element_amounts(composition)
        return energy + self._shift.energy(release_terms(amounts)) + self._sulfur(amounts) / _total(amounts)

    def _sulfur(self, amounts: Mapping[str, float]) -> float:
        if self._corrections != "2015" or len(amounts) < 2:
            return 0.0
        return -SULFUR_2018 * amounts.get("S", 0.0)


def load_supplement(*, release: str, folder: Path | None = None) -> HullTable:
    """Read the supplement.

    Args:
        release: ``mp2018`` or ``mp2020``.
        folder: parent folder of the artifact; the package's own if None.

    Raises:
        ArtifactError: missing or damaged.
    """
    artifact = load_artifact(SUPPLEMENT, folder=folder)
    a = artifact.arrays
    energies: FloatArray = a["formation_energy_2018" if release == "mp2018" else "formation_energy"].astype(
        np.float64
    )
    name = f"{SUPPLEMENT}-{release}-{artifact.fingerprint}"
    return HullTable(a["element"], a["count"], a["length"], energies, name)


def release_shift() -> TermFit:
    """Return the fitted difference between the energies of 2018 and those of 2020 of the shipped hull.

    Raises:
        ArtifactError: the hull is missing, or its card lacks the fit.
    """
    settings = read_card(HULL).get("settings", {})
    if "release_shift_ev" not in settings:
        raise ArtifactError(f"artifact {HULL}: expected release_shift_ev in the card's settings")
    return TermFit(dict(settings["release_shift_ev"]), 0.0, 0.0)


def supplement_arrays(
    compositions: Sequence[Composition], energies: Sequence[float], shift: TermFit
) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]]:
    """Return the arrays of a supplement.

    Args:
        compositions: of the phases.
        energies: formation energies of the 2020 scale, eV/atom.
        shift: energies of 2018 minus those of 2020.
    """
    table = HullTable.from_energies(zip(compositions, energies, strict=True))
    older = [e + shift.energy(release_terms(element_amounts(c))) for c, e in zip(compositions, energies, strict=True)]
    return {
        "element": table.elements.astype(np.uint8),
        "count": table.counts.astype(np.uint8),
        "length": table.lengths.astype(np.uint8),
        "formation_energy": table.energies.astype(np.float32),
        "formation_energy_2018": np.array(older, dtype=np.float32),
    }


def _total(amounts: Mapping[str, float]) -> float:
    return float(sum(amounts.values()))


@lru_cache(maxsize=4)
def _shipped(corrections: str) -> KnownPhases:
    release = CORRECTIONS.get(corrections, "mp2020")
    return KnownPhases(
        HullTable.shipped(release=release),
        load_supplement(release=release),
        corrections=corrections,
        shift=release_shift(),
    )
