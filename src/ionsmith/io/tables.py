"""CSV tables of formulas or SMILES to composition and molecule candidates, one entry per row."""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Iterator, Mapping
from io import StringIO

from pymatgen.core import Composition

from ionsmith.core.errors import InputError
from ionsmith.core.records import Kind
from ionsmith.io.crystal import ReadLimits, species
from ionsmith.io.entry import PARSE_ERRORS, Entry, one_line, problem_entry
from ionsmith.io.facts import facts_from_cells

_DELIMITERS = ",;\t"
_MOST_ATOMS = 1e5  # per formula as written; more is a typing error
_SMILES = re.compile(r"[A-Za-z0-9@+\-\[\]()=#$:/\\.%*~]+")


def csv_entries(text: str, limits: ReadLimits) -> Iterator[Entry]:
    """Yield one entry per row, labelled by its number from 1; empty lines are no rows.

    Args:
        text: the file.
        limits: unused; every parser takes them.

    Raises:
        InputError: no header with a ``formula`` or ``smiles`` column.
    """
    first = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = max(_DELIMITERS, key=first.count)
    rows = csv.reader(StringIO(text.lstrip("\ufeff"), newline=""), delimiter=delimiter)
    number = 0
    header: list[str] = []
    try:
        for cells in rows:
            if not any(cell.strip() for cell in cells):
                continue
            if not header:
                header = _header(cells)
                continue
            number += 1
            yield _row(str(number), dict(zip(header, cells, strict=False)), len(cells) - len(header))
    except csv.Error as error:
        yield problem_entry(str(number + 1), f"expected a CSV row, got something else: {one_line(error)}")
        return
    if not number:
        yield problem_entry("", "expected rows below the header, got none")


def _header(cells: list[str]) -> list[str]:
    names = [cell.strip() for cell in cells]
    names = [name.lower() if name.lower() in ("formula", "smiles") else name for name in names]
    if not {"formula", "smiles"} & set(names):
        raise InputError(f"expected a column named formula or smiles, got {', '.join(names)[:120]}")
    return names


def _row(label: str, cells: Mapping[str, str], surplus: int) -> Entry:
    facts, remarks = facts_from_cells({k: v for k, v in cells.items() if k not in ("formula", "smiles")})
    if surplus > 0:
        remarks = (*remarks, f"{surplus} cells beyond the header not used")
    formula, smiles = cells.get("formula", "").strip(), cells.get("smiles", "").strip()
    try:
        if formula:
            return Entry(label, Kind.COMPOSITION, composition(formula), facts, remarks)
        if smiles:
            return Entry(label, Kind.MOLECULE, checked_smiles(smiles), facts, remarks)
        raise InputError("expected a formula or SMILES, got an empty cell")
    except InputError as error:
        return problem_entry(label, error)


def composition(formula: str) -> Composition:
    """Return the composition that a formula names.

    Args:
        formula: such as ``Li6.5La3Zr1.5Ta0.5O12``; subscripts may be written as such.

    Raises:
        InputError: not a formula, an unknown element, or an amount that is no number of atoms.
    """
    text = unicodedata.normalize("NFKC", formula)
    try:
        raw = Composition(text)
    except PARSE_ERRORS as error:
        raise InputError(f"expected a chemical formula, got {formula[:60]!r} ({one_line(error)})") from error
    amounts: dict[str, float] = {}
    for element, amount in raw.items():
        try:
            symbol = species(str(element)).symbol
        except InputError:
            name = re.sub(r"\d.*$", "", str(element))
            raise InputError(f"unknown element {name!r} in formula {formula[:60]!r}") from None
        amounts[symbol] = amounts.get(symbol, 0.0) + float(amount)
    if not 0.0 < sum(amounts.values()) < _MOST_ATOMS:
        raise InputError(f"expected a formula of 1 to {_MOST_ATOMS:g} atoms, got {formula[:60]!r}")
    return Composition(amounts)


def checked_smiles(text: str) -> str:
    """Return a SMILES string if its characters and brackets could be one; its chemistry is not checked here.

    Args:
        text: the string.

    Raises:
        InputError: a character that SMILES lacks, or unbalanced brackets.
    """
    if not _SMILES.fullmatch(text):
        raise InputError(f"expected SMILES, got {text[:60]!r}")
    for opening, closing in ("()", "[]"):
        depth = 0
        for character in text:
            depth += (character == opening) - (character == closing)
            if depth < 0:
                break
        if depth:
            raise InputError(f"expected SMILES with balanced {opening}{closing}, got {text[:60]!r}")
    return text
