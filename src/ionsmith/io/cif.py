"""CIF text to crystals: one entry per data block, truncation caught by the declared formula and space group."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from pymatgen.core import Composition, DummySpecies, Structure

from ionsmith.core.errors import InputError
from ionsmith.core.records import Kind, tidy_formula
from ionsmith.io.crystal import OVERFULL, ReadLimits, check_count, recheck, species
from ionsmith.io.entry import PARSE_ERRORS, Entry, problem_entry, quietly

_BLOCK = re.compile(r"^\s*data_", flags=re.MULTILINE | re.IGNORECASE)
_CELL = tuple(
    f"_cell_{part}" for part in ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")
)
_COORDINATES = ("_atom_site_fract_x", "_atom_site_fract_y", "_atom_site_fract_z")
_SYMMETRY = ("_symmetry_equiv_pos_as_xyz", "_space_group_symop_operation_xyz")
_GROUP = (
    "_symmetry_space_group_name_h-m",
    "_space_group_name_h-m_alt",
    "_symmetry_int_tables_number",
    "_space_group_it_number",
)
_FACTS = {
    "doi": ("_journal_paper_doi", "_journal_doi", "_citation_doi"),
    "name": ("_chemical_name_common", "_chemical_name_mineral", "_chemical_name_systematic"),
    "icsd": ("_database_code_icsd",),
    "cod": ("_cod_database_code",),
}
_WATER = {"Wat", "Ow", "Hw", "OH", "OH2", "O-H"}  # symbols that pymatgen spells out
_OFF_RELATIVE, _OFF_ABSOLUTE = 0.05, 0.02  # how far atomic fractions may stray from the declared formula
_OFF_NOTED = 0.005
_SUMS = re.compile(r"(?<![\w.])\d+\.\d+")
_MOST_IMAGES = 50  # rows times symmetry operations, in units of max_sites, that are worth expanding


def cif_entries(text: str, limits: ReadLimits) -> Iterator[Entry]:
    """Yield one entry per data block that holds a crystal.

    Args:
        text: the file.
        limits: what to refuse.

    Raises:
        InputError: no data block, or none with a cell or atom sites.
    """
    blocks = [f"data_{part}" for part in _BLOCK.split(f"x\n{text}")[1:]]
    if not blocks:
        raise InputError("expected a CIF data_ block, got none")
    crystals = [(_name(block), block) for block in blocks if _is_crystal(block)]
    if not crystals:
        raise InputError("expected a CIF with a cell and atom sites, got neither: truncated, or not a structure")
    names = Counter(name for name, _ in crystals)
    for number, (name, block) in enumerate(crystals, start=1):
        label = "" if len(crystals) == 1 else (name if names[name] == 1 and name else str(number))
        try:
            yield _entry(label, block, limits)
        except InputError as error:
            yield problem_entry(label, error)


def _name(block: str) -> str:
    return block[len("data_") :].split(maxsplit=1)[0] if block[len("data_") :].strip() else ""


def _is_crystal(block: str) -> bool:
    lower = block.lower()
    return "_cell_length_a" in lower or "_atom_site_fract_x" in lower


def _entry(label: str, block: str, limits: ReadLimits) -> Entry:
    from pymatgen.io.cif import CifFile, CifParser

    try:
        file, _ = quietly(CifFile.from_str, block)
    except InputError as error:  # the parser's own words are about its internals
        raise InputError("expected complete loops, got one with missing or surplus values: truncated CIF") from error
    if len(file.data) != 1:
        raise InputError("expected one data block with a structure, got powder data or a damaged block header")
    tags = {key.lower(): value for key, value in next(iter(file.data.values())).data.items()}
    _check_tags(tags, limits)
    # tags are case-insensitive in CIF but not for the parser
    lowered = re.sub(r"^(\s*)(_(?:cell|atom_site|atom_type)_\S*)", _lower, block, flags=re.M | re.I)
    parser, early = quietly(CifParser.from_str, lowered, occupancy_tolerance=OVERFULL)
    try:
        structures, late = quietly(parser.parse_structures, primitive=False, on_error="raise")
    except InputError as error:
        raise InputError(re.sub(r"^No structure parsed for section 1 in CIF\. ?", "", str(error))) from error
    structure, notes = recheck(structures[0], limits=limits)
    said = [*early, *parser.warnings, *late]
    _check_group(tags, said)
    notes = (*_clean(said), *notes, *_formula_notes(tags, structure))
    return Entry(label, Kind.CRYSTAL, structure, _facts(tags), tuple(dict.fromkeys(notes)))


def _lower(match: re.Match[str]) -> str:
    return match.group(1) + match.group(2).lower()


def _check_tags(tags: Mapping[str, Any], limits: ReadLimits) -> None:
    missing = [tag for tag in (*_CELL, *_COORDINATES) if not tags.get(tag)]
    if missing:
        raise InputError(f"expected {missing[0]}, got none: truncated or incomplete CIF")
    rows = [tags[tag] if isinstance(tags[tag], list) else [tags[tag]] for tag in _COORDINATES]
    lengths = {len(column) for column in rows}
    if len(lengths) != 1:
        raise InputError(f"expected as many x as y and z coordinates, got {sorted(lengths)}: truncated CIF")
    places = list(dict.fromkeys(zip(*rows, strict=True)))
    for place in places:
        if "." in place or "?" in place:
            raise InputError(f"expected three coordinates per atom, got {' '.join(place)}")
    check_count(len(places), limits)
    operations = max(len(tags[tag]) if isinstance(tags.get(tag), list) else 1 for tag in _SYMMETRY)
    if len(places) * operations > _MOST_IMAGES * limits.max_sites:
        raise InputError(f"up to {len(places) * operations} sites, limit {limits.max_sites} (--max-sites)")
    symbols = tags.get("_atom_site_type_symbol", [])
    for symbol in dict.fromkeys(symbols if isinstance(symbols, list) else [symbols]):
        if symbol not in _WATER and "+ " not in symbol:
            species(re.match(r"[A-Za-z]*", symbol).group().capitalize() or symbol)  # type: ignore[union-attr]


def _check_group(tags: Mapping[str, Any], said: list[str]) -> None:
    declared = [str(tags[tag]) for tag in _GROUP if tags.get(tag)]
    plain = {"P1", "1", "?", "."}
    if any("Defaulting to P1" in line for line in said) and not all(
        re.sub(r"[\s_]", "", group) in plain for group in declared
    ):
        raise InputError(f"expected symmetry operations for space group {declared[0]}, got none that can be read")


def _clean(said: list[str]) -> list[str]:
    """Keep what a user can act on: the composition is checked and told here, in one line."""
    dull = ("Incorrect stoichiometry", "Missing elements", "Issues encountered", "Some occupancies")
    notes = [line for line in said if not line.startswith(dull) and "relative stoichiometry" not in line]
    sums = [
        float(x) for line in said if line.startswith("Some occupancies") for x in _SUMS.findall(line.split("]")[0])
    ]
    if sums and max(sums) > 1.0 + 1e-6:
        notes.append(f"occupancies that sum to {max(sums):.4g} rescaled to 1")
    return notes


def _formula_notes(tags: Mapping[str, Any], structure: Structure) -> list[str]:
    declared = _declared(tags)
    if declared is None:
        return []
    found = structure.composition.element_composition
    wanted = {e.symbol: n for e, n in declared.items() if e.symbol not in ("H", "D")}
    got = {e.symbol: n for e, n in found.items() if e.symbol not in ("H", "D")}
    lost = [symbol for symbol in wanted if symbol not in got]
    ours, theirs = tidy_formula(found), tidy_formula(declared)
    if lost:
        raise InputError(
            f"expected the declared {theirs}, got sites of {ours} without {', '.join(lost)}: truncated CIF"
        )
    worst = 0.0
    for symbol, amount in got.items():
        x, y = amount / sum(got.values()), wanted.get(symbol, 0.0) / max(sum(wanted.values()), 1e-9)
        worst = max(worst, abs(x - y))
        if abs(x - y) > _OFF_ABSOLUTE and abs(x - y) > _OFF_RELATIVE * y and not _swapped(got, wanted):
            raise InputError(f"expected the declared {theirs}, got sites of {ours}: truncated or incomplete CIF")
    hydrogen = "H" if "H" in declared and "H" not in found else ""
    if hydrogen:
        return [f"declared formula {theirs} has hydrogen that no site holds"]
    return [f"sites give {ours}, the declared formula is {theirs}"] if worst > _OFF_NOTED else []


def _swapped(got: Mapping[str, float], wanted: Mapping[str, float]) -> bool:
    """Return whether sites hold elements that the formula does not name: then the formula is the careless part."""
    return any(symbol not in wanted for symbol in got)


def _declared(tags: Mapping[str, Any]) -> Composition | None:
    text = tags.get("_chemical_formula_sum") or tags.get("_chemical_formula_structural")
    try:
        declared = Composition(str(text).strip("'\" ")) if text else None
    except PARSE_ERRORS:
        return None
    if declared is None or any(isinstance(e, DummySpecies) for e in declared):
        return None
    return declared.element_composition


def _facts(tags: Mapping[str, Any]) -> dict[str, str]:
    facts = {}
    for name, keys in _FACTS.items():
        values = [
            tags[key] for key in keys if isinstance(tags.get(key), str) and tags[key].strip() not in ("", "?", ".")
        ]
        if values:
            facts[name] = " ".join(values[0].split())
    return facts
