"""The landscape of one mobile ion in the frozen framework under a universal potential."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from pymatgen.core import Structure

from ionsmith.core.errors import PhysicsError
from ionsmith.core.records import Candidate, FloatArray, Kind, Outcome, Value
from ionsmith.core.registry import register
from ionsmith.landscape import accessible_volume, analyse
from ionsmith.landscape.frozen import frozen_framework, host
from ionsmith.landscape.potential import (
    CAP,
    Evaluator,
    PotentialLandscape,
    calculator_evaluator,
    potential_landscape,
)
from ionsmith.simulate.barriers import barrier_values, check_volumetric, picture, volumetric_files
from ionsmith.simulate.potentials import DEFAULT, check_potential, no_answer, potential, potential_fingerprint
from ionsmith.simulate.stage import Answer, answered, check_at_least_one

LEVEL_SPREAD = 0.03
"""Numerical spread of a level at 0.3 angstrom spacing, eV; see :class:`PotentialLandscapeAnalysis`."""

BARRIERS = ("landscape_barrier_1d", "landscape_barrier_2d", "landscape_barrier")
VOLUME = "accessible_volume"
_MULTIPLE = 20.0  # of k_B T
_BATCH = 4  # places at a time: larger batches no longer fit the processor's cache
_REVISION = 2  # raise whenever the numbers or the details change


@register("simulator", "potential_landscape")
@dataclass(frozen=True)
class PotentialLandscapeAnalysis:
    """Percolation levels and accessible volume of one ion moved through the frozen framework under a potential.

    All mobile ions are taken out, the framework is reduced to its primitive cell (disorder of the framework is
    resolved to the most frequent element of each site, which the note in the details says and which puts the values
    out of domain), and one ion is moved through it. A framework without its ions is no crystal that a universal
    potential was trained on: levels are descriptors that rank, not migration barriers.

    Details: those of :class:`ionsmith.simulate.landscape.LandscapeAnalysis` without ions' charges, on the primitive
    cell, and ``potential``, ``evaluations`` (energies computed), ``grid_points`` and ``framework_note``.

    Attributes:
        mobile: the ion that moves.
        potential: ASE calculator by name; CHGNet is evaluated in batches.
        resolution: grid spacing, angstrom.
        max_sites: largest cell that the potential sees, atoms.
        volumetric: ``cube`` or ``grd`` hands the whole field to the user as such a file; empty for none.

    Source: descriptors of such landscapes rank lithium conductors, Maevskiy et al., arXiv 2411.06804.
    """

    mobile: str = "Li"
    potential: str = DEFAULT
    resolution: float = 0.3
    max_sites: int = 200
    volumetric: str = ""

    name: ClassVar[str] = "potential_landscape"
    kinds: ClassVar[frozenset[Kind]] = frozenset({Kind.CRYSTAL})
    provides: ClassVar[tuple[str, ...]] = (*BARRIERS, VOLUME)
    cost: ClassVar[float] = 15.0

    def __post_init__(self) -> None:
        """Refuse settings that make no sense before any work starts.

        Raises:
            InputError: an unknown potential or file format, or a bound below one atom.
        """
        check_potential(self.potential)
        check_at_least_one(self.max_sites, "max_sites")
        check_volumetric(self.volumetric)

    @property
    def fingerprint(self) -> str:
        """Settings, revision and version of the potential."""
        settings = f"mobile={self.mobile},resolution={self.resolution:g},max_sites={self.max_sites}"
        settings += f",volumetric={self.volumetric}" if self.volumetric else ""
        return f"potential_landscape-{_REVISION}({settings},{potential_fingerprint(self.potential)})"

    def run(self, candidate: Candidate) -> Outcome:
        """Return levels and volume; rejected where the physics has no answer, failed on senseless input.

        Args:
            candidate: a crystal, ordered or disordered.
        """
        return answered(candidate, self._answer)

    def _answer(self, structure: Structure) -> Answer:
        frame, _, note = frozen_framework(structure, self.mobile)
        atoms = len(host(frame, self.mobile)[0])
        if atoms > self.max_sites:
            raise PhysicsError(f"expected at most {self.max_sites} atoms around the ion, got {atoms}")
        evaluate = self._evaluator(structure)
        found = potential_landscape(structure, evaluate, mobile=self.mobile, resolution=self.resolution)
        return self._collected(found, frame, note)

    def _evaluator(self, structure: Structure) -> Evaluator:
        calculator = potential(self.potential)
        if self.potential == DEFAULT:
            compute = batch_evaluator(structure, calculator.model, mobile=self.mobile)
        else:
            compute = calculator_evaluator(structure, calculator, mobile=self.mobile)

        def evaluate(places: FloatArray) -> FloatArray:
            try:
                return np.asarray(compute(places))
            except (ValueError, RuntimeError, NotImplementedError, KeyError, IndexError) as error:
                raise PhysicsError(no_answer(self.potential, error)) from error

        return evaluate

    def _collected(self, found: PotentialLandscape, frame: Structure, note: str) -> Answer:
        field = found.percolation.field
        details: dict[str, Any] = {
            "potential": self.potential,
            "evaluations": found.evaluations,
            "grid_points": found.points,
        }
        details |= {"framework_note": note} if note else {}
        if found.percolation.openings[0].point < 0:
            rejection = f"{self.mobile} does not percolate within {CAP:g} eV under {self.potential}"
            return Answer({}, {**found.percolation.details(), **details}, rejection)
        analysis = analyse(found.percolation)
        trusted = False if note else None
        levels = analysis.network.levels()
        values = barrier_values(BARRIERS, levels, spread=LEVEL_SPREAD, method=self.name, trusted=trusted, ceiling=CAP)
        share = accessible_volume(field, (_MULTIPLE,))[_MULTIPLE]
        # one grid point more or less, as a share of the cell
        values[VOLUME] = Value(100.0 * share, 100.0 / found.points, self.name, trusted)
        details = {**analysis.details(), **details, **picture(analysis, frame, self.mobile)}
        return Answer(values, details | volumetric_files(self.volumetric, field, frame))


def batch_evaluator(structure: Structure, model: Any, *, mobile: str = "Li") -> Evaluator:
    """Energies from CHGNet for :func:`ionsmith.landscape.potential.potential_landscape`, at a third of its own cost.

    Args:
        structure: crystal; its mobile ions are taken out.
        model: a loaded CHGNet.
        mobile: the ion that moves.

    Raises:
        PhysicsError: see :func:`ionsmith.landscape.frozen.frozen_framework`.
    """
    from ionsmith.simulate.md_batch.network import BatchForces

    cell, repeats = host(frozen_framework(structure, mobile)[0], mobile)
    matrix = np.array(cell.lattice.matrix)
    batch = BatchForces(model, [int(site.specie.Z) for site in cell], matrix)
    fixed = np.array(cell.cart_coords)

    def evaluate(places: FloatArray) -> FloatArray:
        found = []
        for few in np.array_split(np.asarray(places) / repeats, math.ceil(len(places) / _BATCH)):
            positions = np.tile(fixed, (len(few), 1, 1))
            positions[:, -1] = few @ matrix
            found.append(batch.energies(positions))
        return np.concatenate(found)

    return evaluate
