"""POSCAR and extended XYZ text to crystals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from io import StringIO
from typing import Any

import numpy as np

from ionsmith.core.errors import InputError
from ionsmith.core.records import Kind
from ionsmith.io.crystal import ReadLimits, check_count, make_crystal, recheck
from ionsmith.io.entry import PARSE_ERRORS, Entry, one_line, problem_entry, quietly
from ionsmith.io.facts import facts_from_cells


def poscar_entries(text: str, limits: ReadLimits) -> Iterator[Entry]:
    """Yield the crystal of a POSCAR or CONTCAR.

    Args:
        text: the file.
        limits: what to refuse.

    Raises:
        InputError: not a POSCAR, no element names, or a refused crystal.
    """
    from pymatgen.io.vasp.inputs import Poscar

    poscar, said = quietly(Poscar.from_str, text, read_velocities=False)
    if any("cannot be determined" in line for line in said):
        raise InputError("expected element names above the atom counts, got a POSCAR without them")
    structure, notes = recheck(poscar.structure, limits=limits)
    yield Entry("", Kind.CRYSTAL, structure, notes=(*said, *notes))


def xyz_entries(text: str, limits: ReadLimits) -> Iterator[Entry]:
    """Yield one entry per frame of an extended XYZ file; a frame without a cell is refused.

    Args:
        text: the file.
        limits: what to refuse.
    """
    lines = text.splitlines()
    start, number = 0, 0
    while start < len(lines) and "".join(lines[start:]).strip():
        number += 1
        label = "" if number == 1 and _is_last(lines, start) else str(number)
        try:
            count = _atom_count(lines[start])
            stop = start + 2 + count
            if stop > len(lines):
                raise InputError(f"expected {count} atom lines, got {max(0, len(lines) - start - 2)}: truncated file")
        except InputError as error:
            yield problem_entry(label, error)  # without a count the next frame cannot be found
            return
        try:
            yield _frame(label, "\n".join(lines[start:stop]) + "\n", limits)
        except InputError as error:
            yield problem_entry(label, error)
        start = stop


def _is_last(lines: list[str], start: int) -> bool:
    count = _number(lines[start])
    return count is None or not "".join(lines[start + 2 + count :]).strip()


def _number(line: str) -> int | None:
    text = line.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _atom_count(line: str) -> int:
    count = _number(line)
    if count is None:
        raise InputError(f"expected a number of atoms on the first line of a frame, got {line.strip()[:40]!r}")
    return count


def _frame(label: str, text: str, limits: ReadLimits) -> Entry:
    check_count(int(text.split(maxsplit=1)[0]), limits)
    atoms, said = quietly(_read_frame, text)
    if not np.any(atoms.cell):
        raise InputError('expected a cell (Lattice="...") on the second line, got none: not periodic')
    if not all(atoms.pbc):
        flags = " ".join("FT"[bool(p)] for p in atoms.pbc)
        raise InputError(f"expected a crystal periodic in three directions, got pbc {flags}")
    if abs(float(np.linalg.det(atoms.cell[:]))) < 1e-3:
        raise InputError("expected a cell with a volume, got 0 cubic angstrom")
    occupants: list[Mapping[str, float]] = [{symbol: 1.0} for symbol in atoms.get_chemical_symbols()]
    structure, notes = make_crystal(
        atoms.cell[:], occupants, positions=atoms.get_scaled_positions(wrap=False), limits=limits
    )
    cells = {name: str(value) for name, value in atoms.info.items() if isinstance(value, str | int | float)}
    facts, remarks = facts_from_cells(cells)
    return Entry(label, Kind.CRYSTAL, structure, facts, (*said, *notes, *remarks))


def _read_frame(text: str) -> Any:
    from ase.io.extxyz import read_xyz

    try:
        return next(read_xyz(StringIO(text), 0))
    except (OSError, StopIteration, *PARSE_ERRORS) as error:  # XYZError is an OSError
        raise InputError(f"expected an extended XYZ frame: {one_line(error)}") from error
