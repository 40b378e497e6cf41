"""Formation energy and energy above hull of a crystal as it is, from one energy of the potential."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

from ionsmith.core.errors import InputError, PhysicsError
from ionsmith.core.records import Candidate, Kind, Outcome, Status, Value
from ionsmith.core.registry import register
from ionsmith.simulate.ordered import ordered_crystal
from ionsmith.simulate.potentials import potential_fingerprint, static_energy
from ionsmith.simulate.stage import check_at_least_one, check_range, stopped
from ionsmith.thermodynamics.phases import HullTable
from ionsmith.thermodynamics.references import REFERENCES, ElementReferences
from ionsmith.thermodynamics.terms import element_amounts

_REVISION = 2  # raise whenever the numbers change for another reason than settings or tables


MISSING_COMPETITOR = -0.1
"""Energy above hull below which a compound missing from the reference table is the likelier explanation, eV/atom:
some four times the usual spread of a hull distance."""


@register("simulator", "hull")
@dataclass(frozen=True)
class HullDistance:
    """Energy above the hull of known phases, by one static energy and the element references.

    Relaxed crystals are expected: a strained one comes out too high by its strain energy. A negative energy above
    hull means more stable than every known mixture; a known stable compound comes out near zero with either sign,
    because its energy is compared with the DFT energy of the same compound. Disordered crystals are taken as their
    ordered approximant, without configurational entropy.

    Attributes:
        references: name of the element references, or the folder of another set; they fix the potential.
        max_sites: larger cells are rejected, atoms.
        threads: torch threads; None leaves them as they are.
    """

    references: str = REFERENCES
    max_sites: int = 200
    threads: int | None = None

    name: ClassVar[str] = "hull"
    kinds: ClassVar[frozenset[Kind]] = frozenset({Kind.CRYSTAL})
    provides: ClassVar[tuple[str, ...]] = ("formation_energy", "energy_above_hull")
    cost: ClassVar[float] = 0.1

    def __post_init__(self) -> None:
        """Refuse settings under which nothing can run.

        Raises:
            InputError: a cell size or thread count below one.
        """
        check_at_least_one(self.max_sites, "max_sites")
        check_at_least_one(self.threads, "threads")

    @property
    def fingerprint(self) -> str:
        """Settings, potential and its version, references and hull table."""
        known = read_references(self.references)
        parts = (f"max_sites={self.max_sites}", potential_fingerprint(known.potential), known.fingerprint)
        return f"hull-{_REVISION}({','.join((*parts, HullTable.shipped().fingerprint))})"

    def run(self, candidate: Candidate) -> Outcome:
        """Return formation energy and energy above hull, with the decomposition in ``details``.

        Args:
            candidate: a crystal, ordered or disordered.
        """
        start = time.perf_counter()
        try:
            ordered, plain = ordered_crystal(candidate, max_sites=self.max_sites)
            references = read_references(self.references)
            energy = static_energy(plain, references.potential, threads=self.threads)
            values, details = place_on_hull(ordered, energy, references=references, table=HullTable.shipped())
        except PhysicsError as reason:
            return stopped(candidate, Status.REJECTED, reason, start)
        except InputError as reason:
            return stopped(candidate, Status.FAILED, reason, start)
        if ordered is not candidate:
            details["prepared"] = list(ordered.source.notes[len(candidate.source.notes) :])
        return Outcome(candidate, values, cost_s=time.perf_counter() - start, details=details)


def place_on_hull(
    candidate: Candidate, energy: float, *, references: ElementReferences, table: HullTable
) -> tuple[dict[str, Value], dict[str, Any]]:
    """Return formation energy and energy above hull of a crystal whose potential energy is known, and details.

    Args:
        candidate: an ordered crystal.
        energy: of the potential that the references are for, eV/atom.
        references: element references.
        table: reference hull with the corrections that the references map to.

    Raises:
        PhysicsError: an element without reference, or a result beyond what a material can have.
    """
    composition = candidate.composition
    mean = references.formation_energy(composition, energy).mean
    check_range("formation_energy", mean)
    found = table.energy_above_hull(composition, mean)
    competing = table.energy_above_hull(composition, mean, without_own=True)
    above = found.energy_above_hull
    check_range("energy_above_hull", above)
    formation = references.formation_energy(composition, energy, above_hull=above)
    spread = references.spread.energy_above_hull(element_amounts(composition), above)
    values = {
        "formation_energy": formation,
        "energy_above_hull": Value(
            above, spread, f"{references.potential}+hull", bool(formation.in_domain) and above > MISSING_COMPETITOR
        ),
    }
    details = {
        "decomposition": [
            {"formula": p.formula, "fraction": p.fraction, "formation_energy": p.formation_energy}
            for p in found.decomposition
        ],
        "phases_compared": found.phases,
        "formula_known": table.known(composition) is not None,
        "energy_above_competing_phases": competing.energy_above_hull,
        "energy_per_atom": energy,
    }
    if above <= MISSING_COMPETITOR:
        details["warning"] = (
            "far below every known phase: the reference table lacks a competing compound, which is more likely than "
            "a discovery"
        )
    return values, details


@lru_cache(maxsize=4)
def read_references(name: str) -> ElementReferences:
    """Return element references by artifact name or folder, read once per process.

    Args:
        name: ``element_references`` (shipped), or the path of a folder that ``save_references`` wrote.

    Raises:
        ArtifactError: missing or damaged.
    """
    path = Path(name)
    return ElementReferences.load(path.name, folder=path.parent if path.name != name else None)
