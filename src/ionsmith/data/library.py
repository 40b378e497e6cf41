"""The built-in library: well-known electrolytes, poor conductors and coatings, written as facts in one file."""

from __future__ import annotations

import logging
import math
import tomllib
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ionsmith.core.errors import DataError, InputError
from ionsmith.core.quantities import quantity
from ionsmith.core.records import Bound, Candidate, Kind, Origin, Outcome, Value
from ionsmith.data.library_crystal import Crystal, read_crystal
from ionsmith.data.library_table import Table
from ionsmith.data.obelix import REPEAT_SPREAD

LIBRARY_FILE = Path(__file__).with_name("library.toml")
"""The facts, readable by people; its head explains every field."""

_ROOM = 298.0  # K, where an entry states no temperature
_FIELDS = (
    *("name", "formula", "family", "role", "space_group", "setting", "cell", "z", "sites"),
    *("density", "density_basis", "structure_doi", "coordinates"),
    *("conductivity", "conductivity_doi", "temperature", "bound"),
    *("activation_energy", "activation_energy_doi", "obelix", "note"),
)
_log = logging.getLogger(__name__)


class Role(StrEnum):
    """What a material is in the library for."""

    SUPERIONIC = "superionic"
    MODERATE = "moderate"
    POOR = "poor"
    COATING = "coating"


@dataclass(frozen=True)
class Measured:
    """A measured number and where it was published.

    Attributes:
        value: in the unit of the field it stands for.
        doi: DOI of the measurement.
        temperature: K.
        bound: whether the number is exact or only a limit.
    """

    value: float
    doi: str
    temperature: float = _ROOM
    bound: Bound = Bound.EXACT


@dataclass(frozen=True)
class LibraryEntry:
    """One material of the library.

    Attributes:
        key: unique short name, the table name in the file.
        name: what people call it.
        family: structural or chemical family.
        role: superionic (at least 1e-4 S/cm at room temperature), moderate, poor (below 1e-7 S/cm), or coating
            (used as coating or found in interphases, whatever its conductivity).
        crystal: the published structure.
        density: published density, g/cm^3.
        density_basis: ``handbook`` (measured or X-ray density from a handbook or paper) or ``cell`` (computed
            from the published cell, formula and Z).
        structure_doi: where the cell was published.
        coordinates: where the coordinates come from.
        conductivity: Li-ion conductivity near room temperature, S/cm; None where no trusted value was found.
        activation_energy: of the conductivity, eV; None where no trusted value was found.
        obelix: identifier of the matching OBELiX row, empty where there is none.
        note: what else must be known, such as conflicting measurements.
    """

    key: str
    name: str
    family: str
    role: Role
    crystal: Crystal
    density: float
    density_basis: str
    structure_doi: str
    coordinates: str
    conductivity: Measured | None
    activation_energy: Measured | None
    obelix: str
    note: str

    def candidate(self) -> Candidate:
        """Rebuild the crystal and return it with its facts.

        Raises:
            DataError: the sites do not make the stated crystal.
        """
        notes = tuple(text for text in (f"coordinates: {self.coordinates}", self.note) if text)
        source = Origin("library", f"library:{self.key}", MappingProxyType(self._facts()), notes)
        return Candidate(Kind.CRYSTAL, self.crystal.structure(), source)

    def _facts(self) -> dict[str, Any]:
        facts: dict[str, Any] = {
            "name": self.name,
            "formula": self.crystal.formula,
            "family": self.family,
            "role": self.role.value,
            "space_group": self.crystal.space_group,
            "density": self.density,
            "doi": self.structure_doi,
        }
        if self.conductivity is not None:
            facts["log10_conductivity"] = math.log10(self.conductivity.value)
            facts["conductivity_bound"] = self.conductivity.bound.value
            facts["conductivity_doi"] = self.conductivity.doi
            facts["conductivity_temperature"] = self.conductivity.temperature
        if self.activation_energy is not None:
            facts["activation_energy"] = self.activation_energy.value
            facts["activation_energy_doi"] = self.activation_energy.doi
        return facts


def load_library() -> tuple[Candidate, ...]:
    """Return the built-in library as candidates, in the order of the file: by family, best conductor first.

    ``source.locator`` is ``library:<key>``. ``source.facts`` holds ``name``, ``formula``, ``family``, ``role``,
    ``space_group``, ``density`` (published, g/cm^3) and ``doi`` (of the structure); and, only where a measurement
    is known, ``log10_conductivity`` (float, log10 S/cm), ``conductivity_bound`` (``exact`` or ``upper``: the
    measurement found less than this), ``conductivity_doi``, ``conductivity_temperature`` (K),
    ``activation_energy`` (eV) and ``activation_energy_doi``. ``source.notes`` says where the coordinates come
    from and what is disputed. The result is cached: candidates are records that nobody changes.

    Raises:
        DataError: the file is unreadable or an entry is malformed; the message names entry and field.
    """
    return _built_in()


def measured_library() -> tuple[Outcome, ...]:
    """Return the library's materials of known conductivity, log10 S/cm, with what was measured as their values.

    Raises:
        DataError: the file is unreadable or an entry is malformed.
    """
    known = ((c, e.conductivity) for c, e in zip(_built_in(), _entries(), strict=True) if e.conductivity is not None)
    return tuple(
        Outcome(
            candidate,
            {"log10_conductivity": Value(math.log10(m.value), REPEAT_SPREAD, "measured", bound=m.bound)},
        )
        for candidate, m in known
    )


def library_entries() -> tuple[LibraryEntry, ...]:
    """Return the facts of the built-in library, typed, in the order of the file.

    Raises:
        DataError: the file is unreadable or an entry is malformed; the message names entry and field.
    """
    return _entries()


def read_library(path: Path) -> tuple[LibraryEntry, ...]:
    """Read a file written like ``library.toml``; crystals are checked when they are rebuilt.

    Args:
        path: the file.

    Raises:
        DataError: the file is unreadable, holds no entry, or an entry is malformed.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise DataError(f"{path.name}: expected a readable TOML file, got: {error}") from None
    if not document:
        raise DataError(f"{path.name}: expected at least one entry, got none")
    root = Table(document, f"{path.name}:")
    return tuple(_read_entry(key, root.table(key)) for key in document)


@lru_cache(maxsize=1)
def _entries() -> tuple[LibraryEntry, ...]:
    return read_library(LIBRARY_FILE)


@lru_cache(maxsize=1)
def _built_in() -> tuple[Candidate, ...]:
    candidates = tuple(entry.candidate() for entry in _entries())
    _log.debug("library: %d crystals", len(candidates))
    return candidates


def _read_entry(key: str, table: Table) -> LibraryEntry:
    table.only(*_FIELDS)
    return LibraryEntry(
        key=key,
        name=table.text("name"),
        family=table.text("family"),
        role=Role(table.one_of("role", list(Role))),
        crystal=read_crystal(table),
        density=_in_range(table, "density", "density", table.number("density")),
        density_basis=table.one_of("density_basis", ("handbook", "cell")),
        structure_doi=table.doi("structure_doi", ""),
        coordinates=table.text("coordinates"),
        conductivity=_read_conductivity(table),
        activation_energy=_read_activation_energy(table),
        obelix=table.text("obelix", ""),
        note=table.text("note", ""),
    )


def _read_conductivity(table: Table) -> Measured | None:
    if "conductivity" not in table.values:
        for field in ("conductivity_doi", "temperature", "bound"):
            if field in table.values:
                raise table.fail(field, "expected a conductivity with it, got none")
        return None
    value = table.positive("conductivity")
    _in_range(table, "conductivity", "log10_conductivity", math.log10(value))
    bound = table.one_of("bound", (Bound.EXACT, Bound.UPPER), Bound.EXACT)
    return Measured(value, table.doi("conductivity_doi"), table.positive("temperature", _ROOM), Bound(bound))


def _read_activation_energy(table: Table) -> Measured | None:
    if "activation_energy" not in table.values:
        if "activation_energy_doi" in table.values:
            raise table.fail("activation_energy_doi", "expected an activation energy with it, got none")
        return None
    value = _in_range(table, "activation_energy", "activation_energy", table.number("activation_energy"))
    return Measured(value, table.doi("activation_energy_doi"))


def _in_range(table: Table, field: str, name: str, value: float) -> float:
    try:
        return quantity(name).check(value, where=table.place(field))
    except InputError as error:
        raise DataError(str(error)) from None
