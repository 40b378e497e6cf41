"""One hop by a climbing-image nudged elastic band, images in one batch, resumable at every iteration."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pymatgen.core import Structure

from ionsmith.core.errors import PhysicsError
from ionsmith.core.records import FloatArray
from ionsmith.landscape.surface import Surface
from ionsmith.simulate.hops import SiteHop
from ionsmith.simulate.neb_path import starting_paths
from ionsmith.simulate.potentials import DEFAULT, potential

_ROUGH = 0.3  # eV/angstrom; from there on the highest image climbs
_CALM = 0.1  # eV/angstrom; likewise, in the second attempt
_RUNAWAY = 3.0  # eV above the spread of a starting path
_SETTLED = 4.0  # a band stopped by its step limit is kept if its forces are within this factor of the limit
_log = logging.getLogger(__name__)

Evaluate = Callable[[FloatArray], tuple[FloatArray, FloatArray]]


@dataclass(frozen=True)
class NebSettings:
    """How a band is relaxed.

    Attributes:
        images: between the end points.
        fmax: largest force on the band at which it has converged, eV/angstrom.
        max_steps: iterations of the band, and of each end point.
        spring: eV/angstrom^2.
    """

    images: int = 5
    fmax: float = 0.05
    max_steps: int = 150
    spring: float = 0.5


@dataclass(frozen=True)
class Band:
    """A relaxed hop.

    Attributes:
        hop: which one.
        energies: of the images with their end points, eV; shape (n,).
        positions: Cartesian, angstrom; shape (n, atoms, 3).
        force: largest force on the band, eV/angstrom.
        steps: iterations.
        start: which starting path was lowest.
        converged: whether the force is below the limit.
    """

    hop: SiteHop
    energies: FloatArray
    positions: FloatArray
    force: float
    steps: int
    start: str
    converged: bool

    @property
    def saddle(self) -> float:
        """Energy of the highest image, eV."""
        return float(self.energies.max())

    @property
    def forward(self) -> float:
        """Barrier of the ion that leaves its site, eV."""
        return self.saddle - float(self.energies[0])

    @property
    def backward(self) -> float:
        """Barrier of the way back, eV."""
        return self.saddle - float(self.energies[-1])


def evaluator(atoms: Any, potential_name: str) -> Evaluate:
    """Return a function from positions (n, atoms, 3) to energies (n,), eV, and forces (n, atoms, 3), eV/angstrom.

    CHGNet takes all configurations in one batch; any other potential one after the other.

    Args:
        atoms: ASE atoms that carry species and cell.
        potential_name: as in :func:`ionsmith.simulate.potentials.potential`.
    """
    calculator = potential(potential_name)
    if potential_name == DEFAULT:
        from ionsmith.simulate.md_batch.network import BatchForces

        return BatchForces(calculator.model, atoms.get_atomic_numbers(), atoms.cell.array).evaluate

    def one_by_one(positions: FloatArray) -> tuple[FloatArray, FloatArray]:
        energies, forces = [], []
        for places in positions:
            frame = atoms.copy()
            frame.set_positions(places)
            frame.calc = calculator
            energies.append(float(frame.get_potential_energy()))
            forces.append(np.array(frame.get_forces(), dtype=float))
        return np.array(energies), np.array(forces)

    return one_by_one


@dataclass(frozen=True)
class Defect:
    """A supercell with an ion too few or too many.

    Attributes:
        atoms: ASE atoms before the hop, unrelaxed.
        ions: indices of the ions that move: one, or two where one knocks the other off.
        paths: way of each, angstrom; shape (ions, 3).
    """

    atoms: Any
    ions: tuple[int, ...]
    paths: FloatArray


def vacancy(structure: Structure, hop: SiteHop, matrix: Any, *, removed: int = 1) -> Defect:
    """Build the supercell of a vacancy hop.

    Args:
        structure: the crystal.
        hop: the ion leaves ``start`` for the vacant ``end``.
        matrix: supercell vectors in units of the crystal's; shape (3, 3).
        removed: one for a single vacancy; two also takes the mobile ion that is nearest to the middle of the hop.

    Raises:
        PhysicsError: the supercell is too small to hold both sites.
    """
    lattice = np.asarray(structure.lattice.matrix, dtype=float)
    large = structure.copy()
    large.make_supercell(matrix, to_unit_cell=False)
    start = np.asarray(structure[hop.start].coords, dtype=float)
    end = np.asarray(structure[hop.end].coords, dtype=float) + np.array(hop.cell, dtype=float) @ lattice
    places = [_nearest(large, point) for point in (start, end)]
    if places[0] == places[1]:
        raise PhysicsError("the supercell is too small: the hop leads to the ion's own image")
    gone = [places[1]]
    if removed == 2:
        element = structure[hop.start].specie
        others = [n for n, s in enumerate(large) if s.specie == element and n not in places]
        if not others:
            raise PhysicsError("the supercell is too small for two vacancies")
        middle = large.lattice.get_fractional_coords(0.5 * (start + end))
        apart = large.lattice.get_all_distances([middle], large.frac_coords[others])[0]
        gone.append(others[int(apart.argmin())])
    kept = [n for n in range(len(large)) if n not in gone]
    atoms = large.to_ase_atoms()[kept]
    return Defect(atoms, (kept.index(places[0]),), (end - start)[None])


def relax_band(
    defect: Defect,
    hop: SiteHop,
    *,
    settings: NebSettings,
    evaluate: Evaluate,
    surface: Surface | None,
    folder: Path | None,
) -> Band:
    """Relax the end points, choose the lowest starting path, and relax the band.

    A band that does not settle is tried once more, from the second-lowest starting path and with shorter steps.
    Every iteration is written to the folder under another name first: a kill loses at most one iteration.

    Args:
        defect: supercell with its vacancy or extra ion.
        hop: for the record.
        settings: how.
        evaluate: from :func:`evaluator`.
        surface: bond-valence surface for a starting path, or None.
        folder: for checkpoints; None for none.

    Raises:
        PhysicsError: the potential has no answer, or the band does not settle.
    """
    held = _load(folder)
    if held is None:
        ends = _end_points(defect, evaluate, settings)
        start, chain = _ranked(defect, ends, evaluate, settings, surface)[0]
        held = {"positions": chain, "start": start, "steps": 0, "attempt": 0, "finished": False, "force": 0.0}
    band = _Chain(defect.atoms, held["positions"], evaluate)
    while not held["finished"]:
        state = dict(held)

        def keep(positions: FloatArray, steps: int, state: dict[str, Any] = state) -> None:
            _save(folder, positions, {**state, "steps": steps})

        force, steps = band.relax(settings, int(held["steps"]), keep, careful=held["attempt"] > 0)
        held |= {"positions": band.positions(), "steps": steps, "force": force}
        if held["attempt"] == 0 and not force <= _SETTLED * settings.fmax:  # once more, from elsewhere and gently
            ends = held["positions"][[0, -1]]
            start, chain = _ranked(defect, ends, evaluate, settings, surface)[1]
            held |= {"positions": chain, "start": start, "steps": 0, "attempt": 1}
            band = _Chain(defect.atoms, chain, evaluate)
        else:
            held["finished"] = True
        _save(folder, held["positions"], held)
    return _result(hop, band, float(held["force"]), int(held["steps"]), str(held["start"]), settings)


class _Chain:
    """Images that share one batch evaluation, in ASE's nudged elastic band."""

    def __init__(self, atoms: Any, positions: FloatArray, evaluate: Evaluate) -> None:
        from ase.calculators.calculator import Calculator, all_changes

        chain = self
        self._evaluate = evaluate
        self._known: FloatArray | None = None
        self._energies = np.zeros(0)
        self._forces = np.zeros(0)

        class OfChain(Calculator):  # type: ignore[misc]
            implemented_properties = ("energy", "forces")

            def __init__(self, place: int) -> None:
                super().__init__()
                self.place = place

            def calculate(self, atoms: Any = None, properties: Any = None, system_changes: Any = all_changes) -> None:
                super().calculate(atoms, properties, system_changes)
                energies, forces = chain.answers()
                self.results = {"energy": float(energies[self.place]), "forces": forces[self.place]}

        self.images = []
        for n, places in enumerate(positions):
            image = atoms.copy()
            image.set_positions(places)
            image.calc = OfChain(n)
            self.images.append(image)

    def positions(self) -> FloatArray:
        return np.array([image.get_positions() for image in self.images])

    def answers(self) -> tuple[FloatArray, FloatArray]:
        now = self.positions()
        if self._known is None:
            self._energies, self._forces = self._evaluate(now)
            self._known = now
        elif (now != self._known).any():
            inner_energies, inner_forces = self._evaluate(now[1:-1])
            self._energies = np.concatenate([self._energies[:1], inner_energies, self._energies[-1:]])
            self._forces = np.concatenate([self._forces[:1], inner_forces, self._forces[-1:]])
            self._known = now
        return self._energies, self._forces

    def relax(
        self, settings: NebSettings, done: int, keep: Callable[[FloatArray, int], None], *, careful: bool
    ) -> tuple[float, int]:
        from ase.mep.neb import NEB
        from ase.optimize import FIRE

        steps, force = done, float("inf")
        ceiling = float(np.ptp(self.answers()[0])) + _RUNAWAY
        for climb, limit in ((False, _CALM if careful else _ROUGH), (True, settings.fmax)):
            band = NEB(self.images, k=settings.spring, climb=climb, method="improvedtangent")
            force = _largest(band.get_forces())
            optimizer = FIRE(
                band, logfile=None, dt=0.1, dtmax=0.2 if careful else 0.4, maxstep=0.05 if careful else 0.15
            )
            while force > limit and steps < settings.max_steps:
                optimizer.step()
                steps += 1
                force = _largest(band.get_forces())
                keep(self.positions(), steps)
                if np.ptp(self.answers()[0]) > ceiling:  # an image climbs away: more steps do not bring it back
                    return float("inf"), steps
            _log.debug("climb %s: %d steps, largest force %.3f eV/angstrom", climb, steps, force)
        return force, steps


def _largest(forces: FloatArray) -> float:
    return float(np.sqrt((np.asarray(forces).reshape(-1, 3) ** 2).sum(axis=1)).max())


def relaxed_positions(atoms: Any, evaluate: Evaluate, settings: NebSettings) -> FloatArray:
    """Return the positions of the nearest minimum at a fixed cell, angstrom; shape (atoms, 3).

    Args:
        atoms: ASE atoms; they are moved.
        evaluate: from :func:`evaluator`.
        settings: forces go down to half of its limit, in at most its number of steps.
    """
    from ase.calculators.calculator import Calculator, all_changes
    from ase.optimize import LBFGS

    class Single(Calculator):  # type: ignore[misc]
        implemented_properties = ("energy", "forces")

        def calculate(self, atoms: Any = None, properties: Any = None, system_changes: Any = all_changes) -> None:
            super().calculate(atoms, properties, system_changes)
            energies, forces = evaluate(self.atoms.get_positions()[None])
            self.results = {"energy": float(energies[0]), "forces": forces[0]}

    atoms.calc = Single()
    LBFGS(atoms, logfile=None, maxstep=0.1).run(fmax=0.5 * settings.fmax, steps=settings.max_steps)
    return np.asarray(atoms.get_positions(), dtype=float)


def _end_points(defect: Defect, evaluate: Evaluate, settings: NebSettings) -> FloatArray:
    """Relaxed positions before and after the hop; shape (2, atoms, 3)."""
    ends = []
    for share in (0.0, 1.0):
        atoms = defect.atoms.copy()
        places = atoms.get_positions()
        places[list(defect.ions)] += share * defect.paths
        atoms.set_positions(places)
        ends.append(relaxed_positions(atoms, evaluate, settings))
        moved = np.linalg.norm((ends[-1] - places)[list(defect.ions)], axis=1)
        if (moved > 0.5 * np.linalg.norm(defect.paths, axis=1)).any():
            raise PhysicsError("the ion leaves an end point of the hop by itself: that site is no minimum")
    return np.array(ends)


def _ranked(
    defect: Defect, ends: FloatArray, evaluate: Evaluate, settings: NebSettings, surface: Surface | None
) -> list[tuple[str, FloatArray]]:
    """Starting paths by the height of their highest image, lowest first."""
    bands = starting_paths(defect.atoms, ends[0], ends[1], images=settings.images, ions=defect.ions, surface=surface)
    heights = {name: float(evaluate(band[1:-1])[0].max()) for name, band in bands.items()}
    return sorted(bands.items(), key=lambda entry: heights[entry[0]])


def _result(hop: SiteHop, band: _Chain, force: float, steps: int, start: str, settings: NebSettings) -> Band:
    if not force <= _SETTLED * settings.fmax:
        raise PhysicsError(
            f"the band of {hop.length:.2f} angstrom did not settle: largest force {force:.3g} eV/angstrom after "
            f"{steps} steps, limit {settings.fmax:g}"
        )
    energies = band.answers()[0]
    return Band(hop, energies, band.positions(), force, steps, start, force <= settings.fmax)


def _nearest(structure: Structure, point: FloatArray) -> int:
    away = structure.lattice.get_all_distances(
        [structure.lattice.get_fractional_coords(point)], structure.frac_coords
    )
    return int(away[0].argmin())


def _save(folder: Path | None, positions: FloatArray, held: Mapping[str, Any]) -> None:
    if folder is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / "band.part"
    state = {name: held[name] for name in ("steps", "start", "attempt", "finished", "force")}
    with draft.open("wb") as file:
        np.savez(file, positions=positions, state=np.array(json.dumps(state)))
    draft.replace(folder / "band.npz")


def _load(folder: Path | None) -> dict[str, Any] | None:
    if folder is None or not (folder / "band.npz").is_file():
        return None
    with np.load(folder / "band.npz", allow_pickle=False) as held:
        return {"attempt": 0, "positions": held["positions"], **json.loads(str(held["state"]))}
