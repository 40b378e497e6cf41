"""Molecular dynamics of one crystal at one temperature: Langevin, with a checkpoint every picosecond."""

from __future__ import annotations

import hashlib
import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pymatgen.core import Structure

from ionsmith.core.errors import PhysicsError
from ionsmith.core.records import FloatArray
from ionsmith.simulate.potentials import DEFAULT, no_answer, potential
from ionsmith.simulate.trajectory import Recorder, Trajectory

PIECE = 1.0
"""Time between checkpoints, ps."""

_HOTTEST = 5.0  # a mean kinetic energy this many times the thermal one means that the integration blew up
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class MdSettings:
    """How a run is integrated.

    Attributes:
        duration: length of the run with its equilibration, ps.
        step: time step, fs.
        sample: time between frames that are kept, fs.
        friction: of the Langevin thermostat, 1/ps; weak, so that it hardly slows hops.
        seed: of the random generator.
    """

    duration: float = 20.0
    step: float = 2.0
    sample: float = 50.0
    friction: float = 2.0
    seed: int = 0

    @property
    def stride(self) -> int:
        """Steps between frames."""
        return max(1, round(self.sample / self.step))

    @property
    def interval(self) -> float:
        """Time between frames, ps."""
        return self.stride * self.step / 1000.0

    @property
    def frames(self) -> int:
        """Frames of the whole run, the first one not counted."""
        return max(1, round(self.duration / self.interval))

    @property
    def text(self) -> str:
        """What a checkpoint must agree with; the duration is not part of it, a run may be lengthened."""
        return f"step={self.step:g},sample={self.sample:g},friction={self.friction:g},seed={self.seed}"


def run_md(
    structure: Structure, temperature: float, *, settings: MdSettings, potential_name: str, folder: Path | None
) -> Trajectory:
    """Integrate a crystal at constant volume and temperature (Langevin, ASE), from a checkpoint where there is one.

    At every checkpoint the neighbour lists are forgotten and forces computed anew, so that a resumed run repeats an
    uninterrupted one bit by bit on the same machine. A kill loses at most one picosecond.

    Args:
        structure: ordered crystal, already a supercell.
        temperature: K.
        settings: how it is integrated.
        potential_name: as in :func:`ionsmith.simulate.potentials.potential`.
        folder: for checkpoints; None for none.

    Raises:
        PhysicsError: the potential has no answer, or the integration blew up.
        DataError: the folder holds another computation.
    """
    from ase import units
    from ase.md.langevin import Langevin

    atoms, calculator = _atoms(structure, potential_name)
    recorder = Recorder(folder, settings=f"{settings.text},T={temperature:g},{potential_name},{_content(structure)}")
    rng = np.random.default_rng([settings.seed, round(temperature)])
    _restore(atoms, recorder, rng, temperature)
    clock = _Clock(recorder.frames, settings, f"{structure.composition.reduced_formula} at {temperature:g} K")
    piece = max(1, round(PIECE / settings.interval))
    while recorder.frames < settings.frames:
        calculator.reset()
        frames, energies = [], []
        dynamics = Langevin(
            atoms,
            settings.step * units.fs,
            temperature_K=temperature,
            friction=settings.friction / (1000.0 * units.fs),
            fixcm=False,
            rng=rng,
        )
        for _ in range(min(piece, settings.frames - recorder.frames)):
            try:
                dynamics.run(settings.stride)
                energies.append(float(atoms.get_potential_energy()))
            except (ValueError, RuntimeError, NotImplementedError, KeyError, IndexError, FloatingPointError) as error:
                raise PhysicsError(no_answer(potential_name, error)) from error
            frames.append(atoms.get_positions())
        _check(atoms, temperature)
        recorder.add(np.array(frames), np.array(energies), _state(atoms, rng))
        clock.report(recorder.frames)
    positions, energies_all = recorder.collected()
    positions, energies_all = positions[: settings.frames], energies_all[: settings.frames]
    return Trajectory(
        atoms.get_atomic_numbers().astype(np.int64),
        np.asarray(structure.lattice.matrix, dtype=float),
        positions,
        settings.interval,
        temperature,
        energies_all,
        f"{structure.composition.reduced_formula} at {temperature:g} K",
    )


def _atoms(structure: Structure, potential_name: str) -> tuple[Any, Any]:
    atoms = structure.to_ase_atoms()
    calculator = potential(potential_name)
    if potential_name == DEFAULT:
        calculator = _fast_chgnet(calculator.model, atoms)
    atoms.calc = calculator
    return atoms, calculator


def _fast_chgnet(model: Any, atoms: Any) -> Any:
    """An ASE calculator over the batched evaluation, for this cell only."""
    from ase.calculators.calculator import Calculator, all_changes

    from ionsmith.simulate.md_batch.network import BatchForces

    engine = BatchForces(model, atoms.get_atomic_numbers(), atoms.cell.array)

    class FastChgnet(Calculator):  # type: ignore[misc]
        implemented_properties = ("energy", "forces")

        def calculate(self, atoms: Any = None, properties: Any = None, system_changes: Any = all_changes) -> None:
            super().calculate(atoms, properties, system_changes)
            energies, forces = engine.evaluate(self.atoms.get_positions()[None])
            self.results = {"energy": float(energies[0]), "forces": forces[0]}

        def reset(self) -> None:
            super().reset()
            engine.forget()

    return FastChgnet()


def _restore(atoms: Any, recorder: Recorder, rng: np.random.Generator, temperature: float) -> None:
    from ase.md.velocitydistribution import MaxwellBoltzmannDistribution, Stationary

    if recorder.state:
        atoms.set_positions(recorder.state["positions"])
        atoms.set_velocities(recorder.state["velocities"])
        rng.bit_generator.state = recorder.state["random"]
        return
    MaxwellBoltzmannDistribution(atoms, temperature_K=temperature, rng=rng)
    Stationary(atoms)


def _state(atoms: Any, rng: np.random.Generator) -> dict[str, Any]:
    return {
        "positions": atoms.get_positions(),
        "velocities": atoms.get_velocities(),
        "random": rng.bit_generator.state,
    }


def _check(atoms: Any, temperature: float) -> None:
    found = float(atoms.get_temperature())
    if not found < _HOTTEST * temperature + 500.0:  # also true for NaN
        raise PhysicsError(f"molecular dynamics blew up: {found:.3g} K where {temperature:g} K was wanted")


def _content(structure: Structure) -> str:
    numbers: FloatArray = np.concatenate([structure.lattice.matrix.ravel(), structure.cart_coords.ravel()])
    text = f"{[site.specie.symbol for site in structure]}{np.round(numbers, 6).tolist()}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class _Clock:
    """Says at every checkpoint how far the run is and how long it still takes."""

    def __init__(self, done: int, settings: MdSettings, title: str) -> None:
        self._done = done
        self._settings = settings
        self._title = title
        self._start = time.perf_counter()

    def report(self, frames: int) -> None:
        spent = time.perf_counter() - self._start
        left = spent / max(frames - self._done, 1) * (self._settings.frames - frames)
        interval = self._settings.interval
        _log.info(
            "%s: %.1f of %.1f ps, about %.0f s left", self._title, frames * interval, self._settings.duration, left
        )
