"""A user's table of materials and measured values: every row becomes an Outcome or a named fault."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pymatgen.core import Composition

from ionsmith.core.errors import InputError
from ionsmith.core.quantities import Quantity, quantity, suggestion
from ionsmith.core.records import Bound, Candidate, Kind, Origin, Outcome, Status, Value
from ionsmith.io.read import read_inputs, read_text
from ionsmith.io.tables import composition

_FORMULA = ("formula", "composition", "reduced composition", "true composition", "chemical_formula")
_STRUCTURE = ("structure", "structure_file", "cif", "cif_file", "file", "path")
_DOI = ("doi", "source_doi", "reference_doi")
_FAMILY = ("family", "material_family", "chemicalfamily", "class")
_VALUE = ("target", "value", "measured")
_BOUNDS = MappingProxyType({"<": Bound.UPPER, ">": Bound.LOWER})
_DELIMITERS = ",;\t"
_NOTHING = frozenset({"", "nan", "none", "null", "na", "n/a", "-", "?"})
_SAME = 0.02  # atomic fraction; a formula and its crystal may round occupancies differently


@dataclass(frozen=True)
class Fault:
    """A row that could not be used.

    Attributes:
        place: file and row, or the locator of a data set's row.
        reason: one line.
    """

    place: str
    reason: str


@dataclass(frozen=True)
class Table:
    """Measured rows, and those that could not be used.

    Attributes:
        name: file or data set.
        quantity: name of the quantity that every outcome has a value of.
        outcomes: usable rows.
        faults: the others; ``len(outcomes) + len(faults)`` rows were there.
    """

    name: str
    quantity: str
    outcomes: tuple[Outcome, ...]
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True)
class Columns:
    """Which column of a file plays which part; empty where there is none.

    Attributes:
        value: measured value.
        formula: chemical formula.
        structure: path of a structure file, relative to the table.
        doi: of the measurement.
        family: of the material.
        group: rows that share it are never parted.
    """

    value: str
    formula: str = ""
    structure: str = ""
    doi: str = ""
    family: str = ""
    group: str = ""


def read_table(path: Path, quantity_name: str, *, target: str = "", group: str = "") -> Table:
    """Read a CSV file with a formula or structure-file column and a value column.

    Column names do not depend on capitals. A row whose cell holds a limit such as ``<-10`` is a censored
    measurement. Rows are named ``file#number``, counted from 1 below the header.

    Args:
        path: the file; comma, semicolon or tab between cells, plain or gzip.
        quantity_name: what the value column holds, in the unit of that quantity.
        target: name of the value column; empty takes the quantity's name, ``target``, ``value`` or
            ``measured``.
        group: name of a column whose equal cells keep rows together, besides formula and DOI.

    Raises:
        InputError: no such file, no header, no such column, no usable row, or conductivities that are no logarithms.
    """
    known = quantity(quantity_name, where="--quantity")
    try:
        text = read_text(path)
    except OSError as error:
        raise InputError(f"{path}: expected a CSV file, got {error.strerror or error}") from error
    header, rows = _cells(text, path)
    columns = _columns(header, known, target=target, group=group, path=path)
    outcomes, faults = [], []
    for number, cells in enumerate(rows, start=1):
        place = f"{path}#{number}"
        try:
            outcomes.append(_outcome(cells, columns, known, place=place, folder=path.parent))
        except InputError as error:
            faults.append(Fault(place, str(error)))
    if not outcomes:
        raise InputError(f"{path}: expected at least one usable row, got {faults[0].reason if faults else 'none'}")
    _refuse_linear(outcomes, known, path)
    return Table(str(path), known.name, tuple(outcomes), tuple(faults))


def with_quantity(name: str, quantity_name: str, outcomes: Sequence[Outcome]) -> Table:
    """Return the rows of a data set that have a value of a quantity; the others are faults.

    Args:
        name: of the data set.
        quantity_name: name of the quantity.
        outcomes: its rows.

    Raises:
        InputError: no row has a value.
    """
    usable = tuple(outcome for outcome in outcomes if quantity_name in outcome.values)
    if not usable:
        raise InputError(f"data set {name}: expected rows with a value of {quantity_name}, got none")
    faults = tuple(
        Fault(outcome.candidate.source.locator, f"no value of {quantity_name}")
        for outcome in outcomes
        if quantity_name not in outcome.values
    )
    return Table(name, quantity_name, usable, faults)


def _cells(text: str, path: Path) -> tuple[list[str], list[dict[str, str]]]:
    first = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = max(_DELIMITERS, key=first.count)
    try:
        lines = [cells for cells in csv.reader(StringIO(text, newline=""), delimiter=delimiter) if any(cells)]
    except csv.Error as error:
        raise InputError(f"{path}: expected a CSV file: {error}") from error
    if len(lines) < 2:
        raise InputError(f"{path}: expected a header and at least one row, got {len(lines)} lines")
    header = [name.strip() for name in lines[0]]
    return header, [dict(zip(header, (cell.strip() for cell in cells), strict=False)) for cells in lines[1:]]


def _columns(header: Sequence[str], known: Quantity, *, target: str, group: str, path: Path) -> Columns:
    for wanted, option in ((target, "--target"), (group, "--group")):
        if wanted and wanted not in header:
            raise InputError(f"{path}: {option}: no column {wanted!r}{suggestion(wanted, list(header))}")
    value = target or _first(header, (known.name, *_VALUE))
    formula, structure = _first(header, _FORMULA), _first(header, _STRUCTURE)
    if not value:
        raise InputError(f"{path}: expected a column named {known.name} or --target COLUMN, got {', '.join(header)}")
    if not formula and not structure:
        raise InputError(f"{path}: expected a column named formula or structure, got {', '.join(header)}")
    return Columns(value, formula, structure, _first(header, _DOI), _first(header, _FAMILY), group)


def _first(header: Sequence[str], names: Sequence[str]) -> str:
    lower = {name.lower(): name for name in reversed(header)}
    return next((lower[name] for name in names if name in lower), "")


def _outcome(cells: Mapping[str, str], columns: Columns, known: Quantity, *, place: str, folder: Path) -> Outcome:
    value = _value(cells.get(columns.value, ""), columns.value, known)
    facts: dict[str, Any] = {known.name: value.mean}
    if value.bound is not Bound.EXACT:
        facts[f"{known.name}_bound"] = value.bound.value
    for name, column in (("doi", columns.doi), ("family", columns.family), ("group", columns.group)):
        if column and cells.get(column, ""):
            facts[name] = _tidy(name, cells[column])
    candidate = _candidate(cells, columns, place=place, folder=folder)
    source = replace(candidate.source, name="file", locator=place, facts=MappingProxyType(facts))
    return Outcome(replace(candidate, source=source), {known.name: value})


def _tidy(name: str, cell: str) -> str:
    if name == "doi":
        return (
            cell.lower()
            .removeprefix("https://")
            .removeprefix("http://")
            .removeprefix("dx.")
            .removeprefix("doi.org/")
            .removeprefix("doi:")
            .strip()
        )
    return "_".join(cell.split()) if name == "group" else cell  # a space would part it into several tags


def _value(cell: str, column: str, known: Quantity) -> Value:
    bound = _BOUNDS.get(cell[:1], Bound.EXACT)
    number = cell.lstrip("<>=").strip()
    if number.lower() in _NOTHING:
        raise InputError(f"{column}: expected a number, got an empty cell")
    try:
        mean = float(number)
    except ValueError:
        raise InputError(f"{column}: expected a number, got {cell[:40]!r}") from None
    return Value(known.check(mean, where=column), 0.0, "measured", bound=bound)


def _candidate(cells: Mapping[str, str], columns: Columns, *, place: str, folder: Path) -> Candidate:
    formula, file = cells.get(columns.formula, ""), cells.get(columns.structure, "")
    if not file:
        if not formula:
            raise InputError("expected a formula or a structure file, got empty cells")
        return Candidate(Kind.COMPOSITION, composition(formula), Origin("file", place))
    candidate = _crystal(folder / file)
    if formula and not _agree(composition(formula), candidate.composition):
        raise InputError(f"formula {formula} and structure file {file} ({candidate.formula}) differ")
    return candidate


def _crystal(path: Path) -> Candidate:
    found = list(read_inputs([path]))
    if len(found) != 1:
        raise InputError(f"{path.name}: expected one crystal, got {len(found)}")
    if found[0].status is not Status.OK:
        raise InputError(found[0].note)
    if found[0].candidate.kind is not Kind.CRYSTAL:
        raise InputError(f"{path.name}: expected a crystal, got {found[0].candidate.kind.value}")
    return found[0].candidate


def _agree(one: Composition, two: Composition) -> bool:
    elements = {str(e) for e in one.elements} | {str(e) for e in two.elements}
    return all(abs(one.get_atomic_fraction(e) - two.get_atomic_fraction(e)) < _SAME for e in elements)


def _refuse_linear(outcomes: Sequence[Outcome], known: Quantity, path: Path) -> None:
    means = [outcome.values[known.name].mean for outcome in outcomes]
    if known.unit.startswith("log10") and min(means) > 0.0 and not all(math.isclose(m, 0.0) for m in means):
        raise InputError(
            f"{path}: expected {known.name} in {known.unit}, got positive numbers only (smallest {min(means):g}); "
            "if these are S/cm, give their logarithm to base 10"
        )
