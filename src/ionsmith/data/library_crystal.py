"""A crystal as publications print it: space group, free cell parameters, Wyckoff sites; and back to a Structure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import spglib
from pymatgen.core import Composition, Element, Lattice, Structure

from ionsmith.core.errors import DataError
from ionsmith.core.records import FloatArray
from ionsmith.data.library_table import Table

SAME_PLACE = 0.05
"""Distance below which two symmetry images are one site, angstrom; printed coordinates have four digits."""

_FORMULA_TOLERANCE = 0.004  # relative; refined occupancies are printed with three digits
_HALL_NUMBERS = range(1, 531)
_RIGHT, _HEXAGONAL = (90.0, 90.0, 90.0), (90.0, 90.0, 120.0)
_WYCKOFF = re.compile(r"(\d+)[a-zA]")


@dataclass(frozen=True)
class Site:
    """One Wyckoff site.

    Attributes:
        label: name in the publication, such as ``Li1``.
        wyckoff: multiplicity and letter, such as ``16h``.
        occupancy: element symbol to fraction of the site; what is missing to one is vacant.
        xyz: fractional coordinates of one image.
    """

    label: str
    wyckoff: str
    occupancy: Mapping[str, float]
    xyz: tuple[float, float, float]

    @property
    def multiplicity(self) -> int:
        """Number of images in the conventional cell."""
        return int(self.wyckoff[:-1])


@dataclass(frozen=True)
class Crystal:
    """A crystal structure as published.

    Attributes:
        space_group: number in the International Tables.
        setting: which of its settings, in spglib's words: ``1`` or ``2`` for the origin, ``H`` or ``R`` for the
            axes, ``b1`` and the like for the unique axis.
        cell: a, b, c in angstrom and alpha, beta, gamma in degree, conventional cell.
        formula: formula unit.
        z: formula units in the conventional cell.
        sites: Wyckoff sites.
        where: file and entry, for messages.
    """

    space_group: int
    setting: str
    cell: tuple[float, float, float, float, float, float]
    formula: str
    z: int
    sites: tuple[Site, ...]
    where: str

    def structure(self) -> Structure:
        """Rebuild the conventional cell.

        Raises:
            DataError: a site has not the number of images that its Wyckoff symbol says, two sites lie on one
                place, or the sites do not add up to Z formula units.
        """
        lattice = Lattice.from_parameters(*self.cell)
        species: list[dict[str, float]] = []
        labels: list[str] = []
        places: list[FloatArray] = []
        for site in self.sites:
            images = self._images(site, lattice)
            species += [dict(site.occupancy)] * len(images)
            labels += [site.label] * len(images)
            places.append(images)
        structure = Structure(lattice, species, np.concatenate(places), labels=labels)
        self._check_places(structure)
        self._check_formula(structure.composition)
        return structure

    def _images(self, site: Site, lattice: Lattice) -> FloatArray:
        rotations, translations = _operations(self.space_group, self.setting)
        images: FloatArray = (rotations @ np.array(site.xyz) + translations) % 1.0
        apart = lattice.get_all_distances(images, images)
        kept: list[int] = []
        for n in range(len(images)):
            if not kept or apart[n, kept].min() > SAME_PLACE:
                kept.append(n)
        if len(kept) != site.multiplicity:
            raise DataError(
                f"{self.where}.sites: expected {site.multiplicity} images of {site.label} ({site.wyckoff}), got "
                f"{len(kept)} in space group {self.space_group} setting {self.setting or 'standard'}"
            )
        return images[kept]

    def _check_places(self, structure: Structure) -> None:
        apart = structure.distance_matrix + 99.0 * np.eye(len(structure))
        first, second = np.unravel_index(int(apart.argmin()), apart.shape)
        if apart[first, second] <= SAME_PLACE:
            names = f"{structure[int(first)].label} and {structure[int(second)].label}"
            raise DataError(f"{self.where}.sites: expected one site per place, got {names} at the same place")

    def _check_formula(self, found: Composition) -> None:
        meant = Composition(self.formula) * self.z
        for element in {*meant, *found}:
            if abs(found[element] - meant[element]) > _FORMULA_TOLERANCE * max(meant[element], 1.0):
                raise DataError(
                    f"{self.where}.sites: expected {meant[element]:g} {element} from Z = {self.z} and "
                    f"{self.formula}, got {found[element]:g}"
                )


def read_crystal(table: Table) -> Crystal:
    """Read the crystal fields of an entry.

    Args:
        table: the entry.

    Raises:
        DataError: a field is missing, malformed or out of range; the message names entry and field.
    """
    number = table.integer("space_group", 1, 230)
    setting = table.text("setting", "")
    if setting not in _settings()[number]:
        known = ", ".join(repr(s) for s in _settings()[number])
        raise table.fail("setting", f"expected one of {known} for space group {number}, got {setting!r}")
    formula = table.text("formula")
    try:
        Composition(formula)
    except ValueError as error:
        raise table.fail("formula", f"expected a chemical formula, got {formula!r} ({error})") from None
    return Crystal(
        number,
        setting,
        _read_cell(table.table("cell"), number, setting),
        formula=formula,
        z=table.integer("z", 1, 192),
        sites=tuple(_read_site(site) for site in table.tables("sites")),
        where=table.where,
    )


def _read_cell(table: Table, number: int, setting: str) -> tuple[float, float, float, float, float, float]:
    """Complete the free cell parameters by the crystal system."""
    free = _free_parameters(number, setting)
    table.only(*free)
    given = {name: table.positive(name) for name in free}
    a = given["a"]
    b, c = given.get("b", a), given.get("c", a)
    if setting == "R":
        angle = given["alpha"]
        return (a, a, a, angle, angle, angle)
    angles = _HEXAGONAL if 143 <= number <= 194 else _RIGHT
    alpha, beta, gamma = (given.get(n, x) for n, x in zip(("alpha", "beta", "gamma"), angles, strict=True))
    return (a, b, c, alpha, beta, gamma)


def _free_parameters(number: int, setting: str) -> tuple[str, ...]:
    if number <= 2:
        return ("a", "b", "c", "alpha", "beta", "gamma")
    if number <= 15:
        unique = setting.lstrip("-")[:1] or "b"
        return ("a", "b", "c", {"a": "alpha", "b": "beta", "c": "gamma"}[unique])
    if number <= 74:
        return ("a", "b", "c")
    if setting == "R":
        return ("a", "alpha")
    return ("a", "c") if number <= 194 else ("a",)


def _read_site(table: Table) -> Site:
    table.only("label", "wyckoff", "occ", "xyz")
    wyckoff = table.text("wyckoff")
    if not _WYCKOFF.fullmatch(wyckoff):
        raise table.fail("wyckoff", f"expected a Wyckoff symbol such as 16h, got {wyckoff!r}")
    occ = table.table("occ")
    occupancy = {symbol: occ.positive(symbol) for symbol in occ.values}
    for symbol in occupancy:
        if not Element.is_valid_symbol(symbol):
            raise table.fail("occ", f"expected element symbols, got {symbol!r}")
    total = sum(occupancy.values())
    if not 0.0 < total <= 1.0 + 1e-6:
        raise table.fail("occ", f"expected occupancies that add up to at most one, got {total:g}")
    x, y, z = table.numbers("xyz", 3)
    return Site(table.text("label"), wyckoff, occupancy, (x, y, z))


@lru_cache(maxsize=1)
def _settings() -> Mapping[int, Mapping[str, int]]:
    """Space group number to setting to Hall number; an empty setting means the standard one."""
    known: dict[int, dict[str, int]] = {}
    for hall in _HALL_NUMBERS:
        kind = spglib.get_spacegroup_type(hall)
        settings = known.setdefault(kind.number, {"": hall})  # the first one listed is the standard
        settings[kind.choice] = hall
    return known


@lru_cache(maxsize=64)
def _operations(number: int, setting: str) -> tuple[FloatArray, FloatArray]:
    """Rotations of shape (n, 3, 3) and translations of shape (n, 3), fractional."""
    found = spglib.get_symmetry_from_database(_settings()[number][setting])
    return np.asarray(found["rotations"], dtype=float), np.asarray(found["translations"], dtype=float)
