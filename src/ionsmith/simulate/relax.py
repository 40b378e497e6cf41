"""Relaxation of atoms and cell with an interatomic potential."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from pymatgen.core import Structure
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer, SymmetryUndeterminedError

from ionsmith.core.errors import InputError, PhysicsError
from ionsmith.core.records import Candidate, Kind, Outcome, Status, Value
from ionsmith.core.registry import register
from ionsmith.simulate.hull import read_references
from ionsmith.simulate.minimum import VOLUME_CHANGE, nearest_minimum, stopped_early
from ionsmith.simulate.ordered import left_handed, ordered_crystal
from ionsmith.simulate.potentials import (
    DEFAULT,
    check_potential,
    potential_fingerprint,
    static_energy,
)
from ionsmith.simulate.quasi_newton import Settled
from ionsmith.simulate.stage import check_at_least_one, check_range, stopped
from ionsmith.thermodynamics.references import REFERENCES

_DENSITY_SPREAD = 0.027  # relative; root mean square difference from 38 published densities of the built-in library
_SYMMETRY_TOLERANCE = 0.01  # angstrom, before
_RELAXED_TOLERANCE = 0.05  # angstrom, after: forces within the limit leave displacements of this size
_REVISION = 2  # raise whenever the numbers change for another reason than settings or tables


@register("simulator", "relax")
@dataclass(frozen=True)
class Relaxation:
    """Relaxes atoms and cell until the forces vanish; then density and formation energy.

    Quasi-Newton on atoms and cell together (:mod:`ionsmith.simulate.quasi_newton`): a fifth of the energy evaluations
    of FIRE, to the same minimum. The formation energy is always computed with the potential that the element
    references were fitted for, at the relaxed geometry, whichever potential relaxed it. A disordered crystal is
    relaxed as its ordered approximant.

    Attributes:
        potential: name of the potential that relaxes; see :func:`ionsmith.simulate.potentials.potential`.
        fmax: largest force at which the relaxation has converged, eV/angstrom; stresses have to be within
            0.06 per square angstrom of that (0.5 GPa for 0.05).
        max_steps: step limit.
        max_sites: larger cells are rejected, atoms.
        threads: torch threads; None leaves them as they are.
        references: name of the element references, or the folder of another set.
        max_volume_change: relative change of the volume beyond which the crystal that came out is not the one that
            went in.
    """

    potential: str = DEFAULT
    fmax: float = 0.05
    max_steps: int = 300
    max_sites: int = 200
    threads: int | None = None
    references: str = REFERENCES
    max_volume_change: float = VOLUME_CHANGE

    name: ClassVar[str] = "relax"
    kinds: ClassVar[frozenset[Kind]] = frozenset({Kind.CRYSTAL})
    provides: ClassVar[tuple[str, ...]] = ("formation_energy", "density")
    cost: ClassVar[float] = 15.0

    def __post_init__(self) -> None:
        """Refuse settings under which nothing can run.

        Raises:
            InputError: a limit that is not above zero, a count below one, or a potential that cannot be had.
        """
        for name in ("fmax", "max_volume_change"):
            if not (getattr(self, name) > 0.0 and math.isfinite(getattr(self, name))):
                raise InputError(f"expected {name} above zero, got {getattr(self, name)}")
        for name in ("max_steps", "max_sites", "threads"):
            check_at_least_one(getattr(self, name), name)
        check_potential(self.potential)

    @property
    def fingerprint(self) -> str:
        """Settings, potential and its version, and references."""
        settings = f"fmax={self.fmax:g},max_steps={self.max_steps},max_sites={self.max_sites}"
        settings += f",max_volume_change={self.max_volume_change:g}"
        known = read_references(self.references)
        parts = (settings, potential_fingerprint(self.potential), potential_fingerprint(known.potential))
        return f"relax-{_REVISION}({','.join(dict.fromkeys(parts))},{known.fingerprint})"

    def run(self, candidate: Candidate) -> Outcome:
        """Return the relaxed crystal with its values; rejected where it falls apart or does not settle.

        Args:
            candidate: a crystal, ordered or disordered.
        """
        start = time.perf_counter()
        try:
            ordered, plain = ordered_crystal(candidate, max_sites=self.max_sites)
            relaxed, found = nearest_minimum(
                plain,
                self.potential,
                fmax=self.fmax,
                max_steps=self.max_steps,
                max_volume_change=self.max_volume_change,
                threads=self.threads,
            )
            note = stopped_early(found, fmax=self.fmax)
            child = ordered.child(_redecorated(ordered.structure, relaxed), note=self._history(found))
            values = self._values(child, relaxed)
        except PhysicsError as reason:
            return stopped(candidate, Status.REJECTED, reason, start)
        except InputError as reason:
            return stopped(candidate, Status.FAILED, reason, start)
        details = _details(plain, relaxed, found)
        if ordered is not candidate:
            details["prepared"] = list(ordered.source.notes[len(candidate.source.notes) :])
        cost = time.perf_counter() - start
        return Outcome(child, values, note=note, cost_s=cost, details=details)

    def _values(self, child: Candidate, relaxed: Structure) -> dict[str, Value]:
        references = read_references(self.references)
        energy = static_energy(relaxed, references.potential, threads=self.threads)
        formation = references.formation_energy(child.composition, energy)
        check_range("formation_energy", formation.mean)
        density = float(relaxed.density)
        check_range("density", density)
        return {
            "formation_energy": formation,
            "density": Value(density, _DENSITY_SPREAD * density, self.potential, formation.in_domain),
        }

    def _history(self, found: Settled) -> str:
        return f"relaxed with {self.potential}: {found.evaluations - 1} steps, force limit {self.fmax:g} eV/angstrom"


def _redecorated(before: Structure, relaxed: Structure) -> Structure:
    """Return the relaxed crystal with the species and handedness of the input, which a potential does not keep."""
    matrix = -relaxed.lattice.matrix if left_handed(before) else relaxed.lattice.matrix
    return Structure(matrix, [site.specie for site in before], relaxed.frac_coords)


def _details(before: Structure, after: Structure, found: Settled) -> dict[str, Any]:
    moved = after.frac_coords - before.frac_coords
    moved -= np.round(moved)
    moved -= moved.mean(axis=0)  # a drift of the whole crystal is no displacement
    cartesian = after.lattice.get_cartesian_coords(moved)
    return {
        "steps": found.evaluations - 1,
        "converged": found.converged,
        "max_force": found.largest_force,
        "volume_change": after.volume / before.volume - 1.0,
        "rms_displacement": float(np.sqrt((cartesian**2).sum(axis=1).mean())),
        "space_group_before": _space_group(before, _SYMMETRY_TOLERANCE),
        "space_group_after": _space_group(after, _RELAXED_TOLERANCE),
    }


def _space_group(structure: Structure, tolerance: float) -> str:
    try:
        return str(SpacegroupAnalyzer(structure, symprec=tolerance).get_space_group_symbol())
    except SymmetryUndeterminedError:
        return "undetermined"
