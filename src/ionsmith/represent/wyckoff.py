"""A crystal as its space group, its occupied Wyckoff positions with free coordinates, and its free cell parameters.

The description is exact in symmetry by construction, short (a handful of sites for most crystals), and reversible.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import product
from typing import Any

import numpy as np
import spglib
from pymatgen.core import Element, Lattice, Structure

from ionsmith.core.errors import InputError, PhysicsError
from ionsmith.core.records import FloatArray

SAME_PLACE = 0.01
"""Distance up to which an atom is taken to sit on a symmetry element, angstrom."""

_IDEAL = 1e-3  # angstrom; tolerance for a cell that is symmetric already
_NEAR = 1e-4  # fractional; coordinates that spglib idealised agree far better than this
_PARAMETERS = {
    "triclinic": (0, 1, 2, 3, 4, 5),
    "monoclinic": (0, 1, 2, 4),
    "orthorhombic": (0, 1, 2),
    "tetragonal": (0, 2),
    "hexagonal": (0, 2),
    "cubic": (0,),
}
_SYSTEMS = ((2, "triclinic"), (15, "monoclinic"), (74, "orthorhombic"), (142, "tetragonal"), (194, "hexagonal"))
_SHIFTS = np.array(list(product((-1.0, 0.0, 1.0), repeat=3)))


@dataclass(frozen=True)
class WyckoffPosition:
    """One Wyckoff position of a space group in its standard setting (origin choice 2, hexagonal axes, unique axis b).

    Attributes:
        letter: Wyckoff letter.
        rotations: linear parts that take (x, y, z) to each equivalent site, shape (multiplicity, 3, 3).
        translations: fractional, shape (multiplicity, 3).
    """

    letter: str
    rotations: FloatArray
    translations: FloatArray

    @property
    def multiplicity(self) -> int:
        """Number of equivalent sites in the conventional cell."""
        return len(self.rotations)

    @cached_property
    def free(self) -> tuple[int, ...]:
        """Which of x, y, z may be chosen, as indices."""
        return tuple(int(axis) for axis in range(3) if np.any(self.rotations[0][:, axis] != 0.0))

    def sites(self, free: Sequence[float]) -> FloatArray:
        """Return the fractional coordinates of all equivalent sites, shape (multiplicity, 3), in [0, 1).

        Args:
            free: the free coordinates, in the order of :attr:`free`.

        Raises:
            InputError: another number of coordinates than the position has.
        """
        if len(free) != len(self.free):
            raise InputError(
                f"Wyckoff position {self.letter}: expected {len(self.free)} coordinates, got {len(free)}"
            )
        point = np.zeros(3)
        point[list(self.free)] = free
        return np.asarray((self.rotations @ point + self.translations) % 1.0)

    def coordinates(self, place: FloatArray) -> tuple[float, ...] | None:
        """Return the free coordinates of a site that has the form of the first equivalent site; None if it has not.

        Args:
            place: fractional coordinates, shape (3,).
        """
        matrix = self.rotations[0][:, list(self.free)]
        targets = (place - self.translations[0]) % 1.0 + _SHIFTS
        if not self.free:
            return () if np.abs(targets).max(axis=1).min() < _NEAR else None
        found = targets @ np.linalg.pinv(matrix).T
        errors = np.abs(found @ matrix.T - targets).max(axis=1)
        good = np.flatnonzero(errors < _NEAR)
        if not len(good):
            return None
        return min(tuple(float(x) for x in np.round(row % 1.0, 9) % 1.0) for row in found[good])


@dataclass(frozen=True)
class WyckoffSite:
    """An occupied Wyckoff position.

    Attributes:
        letter: Wyckoff letter.
        element: symbol.
        free: the free coordinates, fractional.
    """

    letter: str
    element: str
    free: tuple[float, ...] = ()


@dataclass(frozen=True)
class WyckoffCrystal:
    """A crystal in the words of the International Tables.

    Attributes:
        space_group: number, 1 to 230.
        lattice: free cell parameters of the conventional cell (see :func:`free_parameters`), angstrom and degrees.
        sites: occupied positions, in order of letter, element and coordinates.
    """

    space_group: int
    lattice: tuple[float, ...]
    sites: tuple[WyckoffSite, ...]

    def structure(self) -> Structure:
        """Return the conventional cell.

        Raises:
            InputError: an unknown letter or a wrong number of coordinates or cell parameters.
        """
        known = positions(self.space_group)
        species, places = [], []
        for site in self.sites:
            if site.letter not in known:
                raise InputError(f"space group {self.space_group}: no Wyckoff letter {site.letter!r}")
            found = known[site.letter].sites(site.free)
            species += [site.element] * len(found)
            places.append(found)
        return Structure(cell(self.space_group, self.lattice), species, np.concatenate(places))


def electronegativity(symbol: str) -> float:
    """Return the Pauling electronegativity, 0 where none is known (noble gases).

    Args:
        symbol: of the element.
    """
    return float(Element(symbol).data.get("X") or 0.0)


def crystal_system(space_group: int) -> str:
    """Return the crystal system whose cell shape a space group has in its standard setting (trigonal: hexagonal).

    Args:
        space_group: number, 1 to 230.

    Raises:
        InputError: no such number.
    """
    if not 1 <= space_group <= 230:
        raise InputError(f"expected a space group from 1 to 230, got {space_group}")
    return next((name for last, name in _SYSTEMS if space_group <= last), "cubic")


def free_parameters(space_group: int) -> tuple[int, ...]:
    """Return which of a, b, c, alpha, beta, gamma may be chosen, as indices.

    Args:
        space_group: number, 1 to 230.

    Raises:
        InputError: no such number.
    """
    return _PARAMETERS[crystal_system(space_group)]


def cell(space_group: int, free: Sequence[float]) -> Lattice:
    """Return the conventional cell.

    Args:
        space_group: number, 1 to 230.
        free: the free parameters, angstrom and degrees.

    Raises:
        InputError: no such number, or a wrong number of parameters.
    """
    system, wanted = crystal_system(space_group), free_parameters(space_group)
    if len(free) != len(wanted):
        raise InputError(f"space group {space_group}: expected {len(wanted)} cell parameters, got {len(free)}")
    full = [0.0, 0.0, 0.0, 90.0, 90.0, 120.0 if system == "hexagonal" else 90.0]
    for index, value in zip(wanted, free, strict=True):
        full[index] = float(value)
    if system in ("tetragonal", "hexagonal", "cubic"):
        full[1] = full[0]
    if system == "cubic":
        full[2] = full[0]
    return Lattice.from_parameters(*full)


@lru_cache(maxsize=230)
def positions(space_group: int) -> dict[str, WyckoffPosition]:
    """Return the Wyckoff positions of a space group by letter, the most special one first.

    Args:
        space_group: number, 1 to 230.

    Raises:
        InputError: no such number.
    """
    crystal_system(space_group)
    found = {}
    for wyckoff in reversed(list(_group(space_group))):
        matrices = np.array([operation.affine_matrix for operation in wyckoff.ops], dtype=float)
        found[str(wyckoff.letter)] = WyckoffPosition(
            str(wyckoff.letter), matrices[:, :3, :3], matrices[:, :3, 3] % 1.0
        )
    return found


def describe(structure: Structure, *, tolerance: float = SAME_PLACE) -> WyckoffCrystal:
    """Return the Wyckoff description of an ordered crystal.

    Args:
        structure: ordered; oxidation states are dropped.
        tolerance: largest displacement that counts as symmetric, angstrom.

    Raises:
        InputError: a disordered crystal.
        PhysicsError: symmetry that spglib cannot find, or sites that do not fit the group it found.
    """
    if not structure.is_ordered:
        raise InputError(f"expected an ordered crystal, got {structure.composition.reduced_formula} with mixed sites")
    given = (structure.lattice.matrix, structure.frac_coords, [site.specie.Z for site in structure])
    space_group = int(_dataset(given, tolerance).number)
    standard = _dataset(given, tolerance, _hall(space_group))
    return WyckoffCrystal(space_group, _lattice(standard, space_group), _sites(standard, space_group))


def _dataset(crystal: tuple[Any, Any, Any], tolerance: float, hall: int = 0) -> Any:
    try:  # spglib raises or returns None, depending on a switch that other libraries turn
        found = spglib.get_symmetry_dataset(crystal, symprec=tolerance, hall_number=hall)
    except getattr(spglib, "SpglibError", ValueError):
        found = None
    if found is None:
        raise PhysicsError("the symmetry of the crystal could not be determined")
    return found


def _lattice(dataset: Any, space_group: int) -> tuple[float, ...]:
    parameters = Lattice(dataset.std_lattice).parameters
    return tuple(round(float(parameters[index]), 6) for index in free_parameters(space_group))


def _sites(dataset: Any, space_group: int) -> tuple[WyckoffSite, ...]:
    """Return one site per orbit of the standardised cell."""
    known = positions(space_group)
    found = []
    for letter, element, places in _orbits(dataset, space_group):
        options = [free for place in places if (free := known[letter].coordinates(place)) is not None]
        if not options:
            raise PhysicsError(f"space group {space_group}: no site has the form of Wyckoff position {letter}")
        found.append(WyckoffSite(letter, element, min(options)))
    return tuple(sorted(found, key=lambda site: (site.letter, electronegativity(site.element), site.free)))


def _orbits(dataset: Any, space_group: int) -> list[tuple[str, str, FloatArray]]:
    """Return letter, element and the places of each orbit of the idealised conventional cell."""
    cell = (dataset.std_lattice, dataset.std_positions, dataset.std_types)
    ideal = _dataset(cell, _IDEAL, _hall(space_group))
    if int(ideal.number) != space_group:
        raise PhysicsError(f"space group {space_group}: the idealised cell has {ideal.number}")
    orbits = np.asarray(ideal.crystallographic_orbits)
    places = np.asarray(ideal.std_positions)
    return [
        (
            str(ideal.wyckoffs[first]),
            Element.from_Z(int(ideal.std_types[first])).symbol,
            places[orbits == orbits[first]],
        )
        for first in (int(np.flatnonzero(orbits == orbit)[0]) for orbit in dict.fromkeys(orbits.tolist()))
    ]


def _group(space_group: int) -> Any:
    from pyxtal.symmetry import Group  # two seconds to import

    return Group(space_group)


@lru_cache(maxsize=230)
def _hall(space_group: int) -> int:
    return int(_group(space_group).hall_number)
