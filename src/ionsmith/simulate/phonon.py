"""Dynamic stability: vibrations of a small supercell at its Gamma point, by finite displacements."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from pymatgen.core import Structure
from scipy import constants

from ionsmith.core.errors import InputError, PhysicsError
from ionsmith.core.records import Candidate, FloatArray, Kind, Outcome, Status
from ionsmith.core.registry import register
from ionsmith.simulate.minimum import nearest_minimum, stopped_early
from ionsmith.simulate.ordered import ordered_crystal
from ionsmith.simulate.potentials import DEFAULT, check_potential, forces_of, potential_fingerprint
from ionsmith.simulate.stage import check_at_least_one, stopped

TO_THZ = math.sqrt(constants.e / constants.angstrom**2 / constants.atomic_mass) / (2.0 * math.pi) * 1e-12
"""Frequency of sqrt(1 eV / (angstrom^2 amu)), THz."""

_MOST_LISTED = 30  # frequencies that a document carries
_REVISION = 3  # raise whenever the numbers change for another reason than settings or tables

Forces = Callable[[Structure], FloatArray]


@dataclass(frozen=True)
class Modes:
    """Frequencies at the wave vectors that a supercell holds.

    Attributes:
        points: wave vectors in reciprocal primitive vectors, shape (q, 3); Gamma first.
        frequencies: THz, ascending, imaginary ones negative; shape (q, 3 n).
    """

    points: FloatArray
    frequencies: FloatArray


def supercell_modes(
    primitive: Structure, repeats: tuple[int, int, int], forces: Forces, *, displacement: float = 0.03
) -> Modes:
    """Return the frequencies of a crystal at all wave vectors commensurate with a supercell.

    Every atom of one primitive cell is moved by +-d along x, y and z; central differences give the force constants
    to all atoms of the supercell, and translation gives those of the other cells. The modes at the Gamma point of the
    supercell are those of D(q) = sum_R Phi(0, R) exp(i q R) / sqrt(m m') at the q that it holds. Shifts of the whole
    crystal are projected out of D(0), the smallest change after which no atom feels them.

    Args:
        primitive: relaxed crystal, n atoms.
        repeats: of the primitive cell along its vectors.
        forces: from a structure to eV/angstrom, shape (atoms, 3).
        displacement: d, angstrom.
    """
    cells = np.array([(i, j, k) for i in range(repeats[0]) for j in range(repeats[1]) for k in range(repeats[2])])
    size, count = len(primitive), len(cells)
    places = (primitive.frac_coords[None, :, :] + cells[:, None, :]).reshape(-1, 3) / np.array(repeats)
    lattice = np.asarray(primitive.lattice.matrix) * np.array(repeats)[:, None]
    species = [site.specie for site in primitive] * count
    large = Structure(lattice, species, places)
    constants_: FloatArray = np.zeros((size, 3, count, size, 3))
    for atom in range(size):
        for axis in range(3):
            constants_[atom, axis] = _response(large, atom, axis, forces, displacement).reshape(count, size, 3)
    masses = np.array([float(site.specie.atomic_mass) for site in primitive])
    return _diagonalise(constants_, cells, np.array(repeats), masses)


def _response(large: Structure, atom: int, axis: int, forces: Forces, displacement: float) -> FloatArray:
    """Minus the derivative of all forces by one coordinate, eV/angstrom^2."""
    found = []
    for sign in (1.0, -1.0):
        moved = large.copy()
        vector = np.zeros(3)
        vector[axis] = sign * displacement
        moved.translate_sites([atom], vector, frac_coords=False)
        found.append(forces(moved))
    return np.asarray((found[1] - found[0]) / (2.0 * displacement))


def _diagonalise(constants_: FloatArray, cells: FloatArray, repeats: FloatArray, masses: FloatArray) -> Modes:
    size = len(masses)
    root = np.repeat(np.sqrt(masses), 3)
    shiftless = np.eye(3 * size) - np.kron(np.full((size, size), 1.0 / size), np.eye(3))
    points, rows = [], []
    for cell in cells:
        phase = np.exp(2j * np.pi * (cells @ (cell / repeats)))
        matrix = np.einsum("iacjb,c->iajb", constants_, phase).reshape(3 * size, 3 * size)
        if not cell.any():
            matrix = shiftless @ matrix @ shiftless
        matrix = matrix / np.outer(root, root)
        values = np.linalg.eigvalsh(0.5 * (matrix + matrix.conj().T))
        points.append(cell / repeats)
        rows.append(np.sort(np.sign(values) * np.sqrt(np.abs(values)) * TO_THZ))
    return Modes(np.array(points), np.array(rows))


@register("simulator", "phonon")
@dataclass(frozen=True)
class DynamicStability:
    """Looks for imaginary modes of the relaxed crystal in a small supercell.

    A saddle of the potential has modes of negative curvature; a real crystal may still live there at temperature, and
    CHGNet's surface is not smooth, so an imaginary mode is a note and no rejection unless ``reject`` is set.

    ``details``: ``lowest`` (THz, imaginary negative, acoustic modes at Gamma left out), ``imaginary`` (how many modes
    below ``-tolerance``), ``stable``, ``points`` (wave vectors, reciprocal primitive vectors), ``lowest_by_point``
    (THz), ``gamma`` (lowest frequencies at Gamma, THz), ``repeats`` and ``atoms`` of the supercell.

    Attributes:
        potential: name of the potential.
        length: shortest repeat of the supercell, angstrom, as far as ``max_atoms`` allows.
        max_atoms: of the supercell; a primitive cell beyond it is rejected.
        displacement: of the atoms, angstrom.
        tolerance: imaginary frequencies up to this are taken as noise, THz.
        reject: whether a crystal with imaginary modes is rejected.
        fmax: force limit of the relaxation, eV/angstrom.
        max_steps: its step limit.
    """

    potential: str = DEFAULT
    length: float = 5.0
    max_atoms: int = 96
    displacement: float = 0.03
    tolerance: float = 1.0
    reject: bool = False
    fmax: float = 0.01
    max_steps: int = 300

    name: ClassVar[str] = "phonon"
    kinds: ClassVar[frozenset[Kind]] = frozenset({Kind.CRYSTAL})
    provides: ClassVar[tuple[str, ...]] = ()
    cost: ClassVar[float] = 120.0

    def __post_init__(self) -> None:
        """Refuse settings under which nothing can run.

        Raises:
            InputError: a length, displacement or limit that is not above zero, a negative tolerance, a count below
                one, or a potential that cannot be had.
        """
        for name in ("length", "displacement", "fmax"):
            if not (getattr(self, name) > 0.0 and math.isfinite(getattr(self, name))):
                raise InputError(f"expected {name} above zero, got {getattr(self, name)}")
        if not self.tolerance >= 0.0:
            raise InputError(f"expected a tolerance of at least zero, got {self.tolerance}")
        check_at_least_one(self.max_atoms, "max_atoms")
        check_at_least_one(self.max_steps, "max_steps")
        check_potential(self.potential)

    @property
    def fingerprint(self) -> str:
        """Settings, potential and its version."""
        settings = f"length={self.length:g},max_atoms={self.max_atoms},displacement={self.displacement:g}"
        settings += (
            f",tolerance={self.tolerance:g},reject={self.reject},fmax={self.fmax:g},max_steps={self.max_steps}"
        )
        return f"phonon-{_REVISION}({settings},{potential_fingerprint(self.potential)})"

    def run(self, candidate: Candidate) -> Outcome:
        """Return whether the crystal is dynamically stable, in ``details`` and note.

        Args:
            candidate: a crystal, ordered or disordered.
        """
        start = time.perf_counter()
        try:
            _, plain = ordered_crystal(candidate, max_sites=self.max_atoms)
            relaxed = self._relax(plain)
            repeats = choose_repeats(relaxed, length=self.length, max_atoms=self.max_atoms)
            modes = supercell_modes(relaxed, repeats, self._forces, displacement=self.displacement)
        except PhysicsError as reason:
            return stopped(candidate, Status.REJECTED, reason, start)
        except InputError as reason:
            return stopped(candidate, Status.FAILED, reason, start)
        details = self._details(modes, repeats, len(relaxed))
        status, note = Status.OK, ""
        if not details["stable"]:
            note = f"{details['imaginary']} imaginary modes, the lowest at {-details['lowest']:.2f}i THz"
            status = Status.REJECTED if self.reject else Status.OK
        return Outcome(candidate, {}, status, note, time.perf_counter() - start, details)

    def _relax(self, plain: Structure) -> Structure:
        relaxed, found = nearest_minimum(plain, self.potential, fmax=self.fmax, max_steps=self.max_steps)
        stopped_early(found, fmax=self.fmax)
        return relaxed

    def _forces(self, structure: Structure) -> FloatArray:
        numbers = [site.specie.Z for site in structure]
        _, found, _ = forces_of(self.potential, numbers)(
            np.asarray(structure.cart_coords), np.asarray(structure.lattice.matrix)
        )
        if not np.isfinite(found).all():
            raise PhysicsError(f"{self.potential} gave forces that are not finite")
        return np.asarray(found, dtype=float)

    def _details(self, modes: Modes, repeats: tuple[int, int, int], atoms: int) -> dict[str, Any]:
        lowest = modes.frequencies.copy()
        acoustic = np.argsort(np.abs(lowest[0]), kind="stable")[:3]  # the sum rule puts them at zero
        lowest[0, acoustic] = np.inf
        finite = lowest[np.isfinite(lowest)]
        found = float(finite.min()) if len(finite) else 0.0
        imaginary = int((lowest < -self.tolerance).sum())
        return {
            "lowest": round(found, 4),
            "imaginary": imaginary,
            "stable": imaginary == 0,
            "tolerance": self.tolerance,
            "points": [[round(float(x), 5) for x in point] for point in modes.points],
            "lowest_by_point": [round(float(row.min()), 4) for row in modes.frequencies],
            "gamma": [round(float(x), 4) for x in modes.frequencies[0][:_MOST_LISTED]],
            "repeats": list(repeats),
            "atoms": atoms * math.prod(repeats),
        }


def choose_repeats(primitive: Structure, *, length: float, max_atoms: int) -> tuple[int, int, int]:
    """Return how often to repeat a cell: up to a length along each vector, within a number of atoms.

    Args:
        primitive: the cell.
        length: shortest distance between repeats that is wanted, angstrom.
        max_atoms: of the supercell.

    Raises:
        PhysicsError: the cell alone has more atoms.
    """
    if len(primitive) > max_atoms:
        raise PhysicsError(f"expected a primitive cell of at most {max_atoms} atoms, got {len(primitive)}")
    repeats = [1, 1, 1]
    while True:
        lengths = [n * edge for n, edge in zip(repeats, primitive.lattice.abc, strict=True)]
        shortest = int(np.argmin(lengths))
        larger = repeats.copy()
        larger[shortest] += 1
        if lengths[shortest] >= length or math.prod(larger) * len(primitive) > max_atoms:
            return repeats[0], repeats[1], repeats[2]
        repeats = larger
