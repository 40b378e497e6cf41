"""Molecular dynamics at several temperatures: diffusivities, activation energy, conductivity at 300 K."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
from pymatgen.core import Element, Structure

from ionsmith.core.errors import DataError, InputError, PhysicsError
from ionsmith.core.records import Bound, Candidate, Kind, Outcome, Status, Value
from ionsmith.core.registry import register
from ionsmith.simulate.diffusion import diffusivity
from ionsmith.simulate.diffusion_arrhenius import Arrhenius, arrhenius, msd_table
from ionsmith.simulate.md_cell import relaxed_cell, supercell_matrix
from ionsmith.simulate.md_equilibrium import equilibrated
from ionsmith.simulate.md_run import MdSettings, run_md
from ionsmith.simulate.md_scratch import kept_cell, scratch_folder
from ionsmith.simulate.ordered import ordered_crystal
from ionsmith.simulate.potentials import DEFAULT, check_potential, potential_fingerprint
from ionsmith.simulate.stage import check_at_least_one, check_range, stopped
from ionsmith.simulate.trajectory import Trajectory

MODEL_SPREAD = 0.3
"""Decades of conductivity that potential, cell and Haven ratio may add to the statistical spread; an assumption."""

_REVISION = 2  # raise whenever the numbers change for another reason than settings or tables


@register("simulator", "md")
@dataclass(frozen=True)
class MolecularDynamics:
    """Conductivity at 300 K and activation energy from dynamics at constant volume at three or more temperatures.

    The crystal is relaxed, repeated until every atom is ``min_length`` away from its own images, and integrated with
    a Langevin thermostat at each temperature. The cell keeps its relaxed size: thermal expansion is left out.
    Conductivity follows from Nernst and Einstein with an assumed Haven ratio; the Arrhenius line is extrapolated to
    300 K with its full covariance. Where hops are seen at fewer than two temperatures the conductivity is an upper
    limit and the activation energy a lower one.

    With ``scratch`` every picosecond is kept, a killed run continues from the last one and repeats an uninterrupted
    run bit by bit on the same machine; a longer ``duration`` under the same other settings is another computation.

    Details, per temperature in ``temperatures``: ``temperature_K``, ``diffusivity_cm2_s`` (absent without hops),
    ``diffusivity_std_cm2_s``, ``interval95_cm2_s``, ``conductivity_S_cm``, ``hops``, ``ions``, ``duration_ps``,
    ``fit_start_ps``, ``lags_ps``, ``msd_A2``, ``msd_std_A2``, ``framework_msd_A2``; then ``activation_energy_eV``
    and ``log10_conductivity_300K`` with ``..._interval95``, ``log10_prefactor_cm2_s``, ``covariance`` of
    (ln D0, E_a), ``fitted_temperatures``, ``log10_conductivity_upper_limit_only``, ``carriers_per_cm3``,
    ``haven_ratio_assumed``, ``equilibration_ps`` per temperature, ``atoms``, ``warnings``, and ``files`` (mean square
    displacements as CSV).

    Attributes:
        mobile: element that diffuses.
        potential: as in :func:`ionsmith.simulate.potentials.potential`.
        temperatures: K; at least two different ones.
        duration: at each temperature, ps.
        step: fs.
        sample: time between frames, fs.
        friction: of the thermostat, 1/ps.
        min_length: least distance of an atom from its own image, angstrom.
        max_sites: larger supercells are rejected, atoms.
        haven: Haven ratio to assume.
        relax: relax cell and atoms first.
        seed: of the random generator.
        scratch: folder for checkpoints; empty for none.
    """

    mobile: str = "Li"
    potential: str = DEFAULT
    temperatures: tuple[float, ...] = (600.0, 800.0, 1000.0)
    duration: float = 20.0
    step: float = 2.0
    sample: float = 50.0
    friction: float = 2.0
    min_length: float = 8.0
    max_sites: int = 200
    haven: float = 1.0
    relax: bool = True
    seed: int = 0
    scratch: str = ""

    name: ClassVar[str] = "md"
    kinds: ClassVar[frozenset[Kind]] = frozenset({Kind.CRYSTAL})
    provides: ClassVar[tuple[str, ...]] = ("log10_conductivity", "activation_energy")
    cost: ClassVar[float] = 5000.0
    trial: ClassVar[Mapping[str, Any]] = MappingProxyType(
        {"potential": "lj", "relax": False, "min_length": 3.0, "temperatures": (300.0, 400.0)}
        | {"duration": 1.5, "step": 5.0}
    )
    """Settings under which the conformance kit runs it in seconds."""

    def __post_init__(self) -> None:
        """Refuse settings under which nothing can run.

        Raises:
            InputError: a setting that is not above zero, fewer than two temperatures, or a potential that cannot be
                had.
        """
        object.__setattr__(self, "temperatures", tuple(float(t) for t in self.temperatures))
        for name in ("duration", "step", "sample", "friction", "min_length", "haven", "temperatures"):
            given = getattr(self, name)
            for value in given if isinstance(given, tuple) else (given,):
                if not (value > 0.0 and math.isfinite(value)):
                    raise InputError(f"expected {name} above zero, got {value}")
        if len(set(self.temperatures)) < 2:
            raise InputError(f"expected at least two different temperatures, got {list(self.temperatures)}")
        check_at_least_one(self.max_sites, "max_sites")
        check_potential(self.potential)

    @property
    def fingerprint(self) -> str:
        """Settings, potential and its version."""
        fields = ("mobile", "temperatures", "duration", "step", "sample", "friction", "min_length", "max_sites")
        settings = ",".join(f"{name}={getattr(self, name)}" for name in (*fields, "haven", "relax", "seed"))
        return f"md-{_REVISION}({settings},{potential_fingerprint(self.potential)})"

    def run(self, candidate: Candidate) -> Outcome:
        """Return conductivity and activation energy; rejected where the run blows up or nothing can move.

        Args:
            candidate: a crystal, ordered or disordered.
        """
        start = time.perf_counter()
        try:
            folder = scratch_folder(self.scratch, candidate, self.fingerprint)
            cell = kept_cell(folder, lambda: self._prepared(candidate))
            runs = [self._trajectory(cell, t, folder) for t in sorted(set(self.temperatures))]
            line, judged = self._analysed(runs)
            values = self._values(line)
        except PhysicsError as reason:
            return stopped(candidate, Status.REJECTED, reason, start)
        except (InputError, DataError) as reason:
            return stopped(candidate, Status.FAILED, reason, start)
        details = line.details() | {
            "formula": cell.composition.reduced_formula,
            "atoms": len(cell),
            "equilibration_ps": [round(begin, 3) for begin, _ in judged],
            "files": {"msd.csv": msd_table(line.points)},
        }
        details["warnings"] = [*details["warnings"], *(text for _, text in judged if text)]
        note = "; ".join(details["warnings"][:3])
        return Outcome(candidate, values, note=note, cost_s=time.perf_counter() - start, details=details)

    def _prepared(self, candidate: Candidate) -> Structure:
        plain = ordered_crystal(candidate, max_sites=self.max_sites)[1]
        if plain.composition.get(self.mobile, 0) == 0:
            raise PhysicsError(f"no {self.mobile} in {plain.composition.reduced_formula}: nothing diffuses")
        supercell_matrix(plain, self.min_length)  # refuse before the work starts
        crystal = relaxed_cell(plain, self.potential) if self.relax else plain
        matrix = supercell_matrix(crystal, self.min_length)
        atoms = round(abs(float(np.linalg.det(matrix)))) * len(crystal)
        if atoms > self.max_sites:
            raise PhysicsError(
                f"expected a supercell of at most {self.max_sites} atoms, {self.min_length:g} angstrom need {atoms}"
            )
        large = crystal.copy()
        large.make_supercell(matrix)
        return large

    def _trajectory(self, cell: Structure, temperature: float, folder: Path | None) -> Trajectory:
        settings = MdSettings(self.duration, self.step, self.sample, self.friction, self.seed)
        place = None if folder is None else folder / f"T{temperature:g}"
        return run_md(cell, temperature, settings=settings, potential_name=self.potential, folder=place)

    def _analysed(self, runs: list[Trajectory]) -> tuple[Arrhenius, list[tuple[float, str]]]:
        judged = [equilibrated(run) for run in runs]
        kept = [run.after(begin) for run, (begin, _) in zip(runs, judged, strict=True)]
        charge = abs(int(Element(self.mobile).common_oxidation_states[0]))
        points = [diffusivity(run, self.mobile) for run in kept]
        return arrhenius(points, charge=charge, haven=self.haven), judged

    def _values(self, line: Arrhenius) -> dict[str, Value]:
        sigma, decades = line.log10_conductivity()
        check_range("log10_conductivity", sigma)
        check_range("activation_energy", line.activation_energy)
        upper, lower = (Bound.UPPER, Bound.LOWER) if line.bound_only else (Bound.EXACT, Bound.EXACT)
        spread = math.hypot(decades, MODEL_SPREAD)
        trusted = not line.warnings
        return {
            "log10_conductivity": Value(sigma, spread, self.name, trusted, upper),
            "activation_energy": Value(line.activation_energy, line.activation_energy_std, self.name, trusted, lower),
        }


def analysed_files(runs: list[Trajectory], *, mobile: str, haven: float = 1.0) -> dict[str, Any]:
    """Return the details of trajectories from elsewhere, as the simulator gives them for its own.

    Args:
        runs: of one crystal at one or more temperatures.
        mobile: element that diffuses.
        haven: Haven ratio to assume.

    Raises:
        InputError: an unknown element, no such ion, or trajectories of different crystals.
    """
    formulas = {run.numbers.tobytes() for run in runs}
    if len({bytes(sorted(f)) for f in formulas}) > 1:
        raise InputError("expected trajectories of one crystal, got different atoms")
    judged = [equilibrated(run) for run in runs]
    points = [diffusivity(run.after(b), mobile) for run, (b, _) in zip(runs, judged, strict=True)]
    charge = abs(int(Element(mobile).common_oxidation_states[0]))
    details = arrhenius(points, charge=charge, haven=haven).details()
    return details | {
        "equilibration_ps": [round(begin, 3) for begin, _ in judged],
        "files": {"msd.csv": msd_table(points)},
    }
