"""JSON and JSON lines to crystals: pymatgen structures, lists and wrappers of them, OPTIMADE answers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pymatgen.core import Lattice

from ionsmith.core.errors import InputError
from ionsmith.core.records import Kind
from ionsmith.io.crystal import ReadLimits, make_crystal
from ionsmith.io.entry import PARSE_ERRORS, Entry, one_line, problem_entry
from ionsmith.io.facts import facts_from_cells
from ionsmith.io.optimade import optimade_entry

_CELL = ("a", "b", "c", "alpha", "beta", "gamma")
_WRAPPERS = ("structure", "final_structure", "initial_structure")


def json_entries(text: str, limits: ReadLimits) -> Iterator[Entry]:
    """Yield one entry per structure of a JSON document.

    Args:
        text: one structure, a wrapper with a ``structure``, a list of either, a mapping of names to either, or
            an OPTIMADE answer.
        limits: what to refuse.

    Raises:
        InputError: not JSON, or nothing in it that looks like a structure.
    """
    document = _loads(text)
    if isinstance(document, dict) and _kind_of(document):
        yield structure_entry("", document, limits=limits)
        return
    items: list[tuple[str, Any]]
    if isinstance(document, list):
        items = [(str(number), item) for number, item in enumerate(document, start=1)]
    elif isinstance(document, dict) and isinstance(document.get("data"), list):
        items = [(str(number), item) for number, item in enumerate(document["data"], start=1)]
    elif isinstance(document, dict) and any(isinstance(v, dict) and _kind_of(v) for v in document.values()):
        items = list(document.items())
    else:
        raise InputError(f"expected a pymatgen Structure or a list of them, got {_describe(document)}")
    if not items:
        raise InputError("expected structures, got an empty list")
    for label, item in items:
        yield structure_entry(label, item, limits=limits)


def jsonl_entries(text: str, limits: ReadLimits) -> Iterator[Entry]:
    """Yield one entry per line of a JSON lines file, labelled by its number from 1; empty lines are no rows.

    Args:
        text: one structure or wrapper per line.
        limits: what to refuse.
    """
    lines = [line for line in text.split("\n") if line.strip()]
    for number, line in enumerate(lines, start=1):
        try:
            item = _loads(line)
        except InputError as error:
            yield problem_entry(str(number), error)
        else:
            yield structure_entry(str(number), item, limits=limits)


def _loads(text: str) -> Any:
    try:
        return json.loads(text)
    except PARSE_ERRORS as error:
        raise InputError(f"expected JSON, got something else: {one_line(error)}") from error


def _describe(item: Any) -> str:
    if isinstance(item, dict):
        return f"an object with keys {', '.join(list(map(str, item))[:6])}" if item else "an empty object"
    return f"a {type(item).__name__}"


def _kind_of(item: Mapping[str, Any]) -> str:
    if "lattice" in item and "sites" in item:
        return "structure"
    if any(isinstance(item.get(name), dict) for name in _WRAPPERS):
        return "wrapper"
    if "attributes" in item and item.get("type") == "structures":
        return "optimade"
    columns = "species" in item and "frac_coords" in item
    return "columns" if columns and ("lattice" in item or all(name in item for name in _CELL)) else ""


def structure_entry(label: str, item: Any, *, limits: ReadLimits) -> Entry:
    """Return the entry of one JSON value.

    Args:
        label: what follows ``#`` in the locator.
        item: pymatgen ``Structure`` dict, a wrapper with a ``structure``, plain columns, or an OPTIMADE entry.
        limits: what to refuse.
    """
    kind = _kind_of(item) if isinstance(item, dict) else ""
    if kind == "optimade":
        return optimade_entry(label, item, limits=limits)
    try:
        if kind == "wrapper":
            inner = next(item[name] for name in _WRAPPERS if isinstance(item.get(name), dict))
            entry = structure_entry(label, inner, limits=limits)
            facts, remarks = _wrapper_facts(item)
            return replace(entry, facts=facts, notes=(*entry.notes, *remarks))
        if not kind:
            raise InputError(f"expected a pymatgen Structure, got {_describe(item)}")
        read = _from_sites if kind == "structure" else _from_columns
        cell, occupants, positions = read(item)
        structure, notes = make_crystal(cell, occupants, positions=positions, limits=limits)
    except InputError as error:
        return problem_entry(label, error)
    except PARSE_ERRORS as error:
        return problem_entry(label, f"expected a complete structure: {one_line(error)}")
    facts, remarks = _wrapper_facts(item)
    return Entry(label, Kind.CRYSTAL, structure, facts, (*notes, *remarks))


def _wrapper_facts(item: Mapping[str, Any]) -> tuple[dict[str, str | float], tuple[str, ...]]:
    """Return the names and numbers that stand beside the structure: what the source says."""
    plain = {
        str(name): str(value)
        for name, value in item.items()
        if isinstance(value, str | int | float) and not str(name).startswith("@") and name not in (*_CELL, "charge")
    }
    return facts_from_cells(plain)


def _from_sites(item: Mapping[str, Any]) -> tuple[Any, Sequence[Mapping[str, float]], Any]:
    lattice, sites = item["lattice"], item["sites"]
    matrix = (
        lattice["matrix"] if "matrix" in lattice else Lattice.from_parameters(*(lattice[k] for k in _CELL)).matrix
    )
    occupants = []
    for site in sites:
        occupancy: dict[str, float] = {}
        for ion in site["species"]:
            label = _label(str(ion["element"]), ion.get("oxidation_state"))
            occupancy[label] = occupancy.get(label, 0.0) + float(ion["occu"])
        occupants.append(occupancy)
    if all("abc" in site for site in sites):
        return matrix, occupants, [site["abc"] for site in sites] if sites else []
    inverse = Lattice(matrix).inv_matrix
    return matrix, occupants, [site["xyz"] for site in sites] @ inverse


def _label(element: str, charge: float | None) -> str:
    if not charge:
        return element
    return f"{element}{abs(float(charge)):g}{'+' if float(charge) > 0 else '-'}"


def _from_columns(item: Mapping[str, Any]) -> tuple[Any, Sequence[Mapping[str, float]], Any]:
    lattice = item.get("lattice")
    matrix = Lattice.from_parameters(*(float(item[k]) for k in _CELL)).matrix if lattice is None else lattice
    if isinstance(matrix, dict):
        matrix = matrix["matrix"]
    occupants = [{str(symbol): 1.0} for symbol in item["species"]]
    return matrix, occupants, item["frac_coords"]
