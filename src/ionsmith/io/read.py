"""Whatever the user names becomes candidates: files, folders, Materials Project queries, OPTIMADE addresses."""

from __future__ import annotations

import gzip
import logging
import os
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ionsmith.core.errors import InputError
from ionsmith.core.records import Candidate, Origin, Outcome, Status, unreadable
from ionsmith.core.results import LEDGER_FILE
from ionsmith.io.cif import cif_entries
from ionsmith.io.crystal import ReadLimits
from ionsmith.io.entry import Entry, one_line, problem_entry
from ionsmith.io.formats import poscar_entries, xyz_entries
from ionsmith.io.http import ServiceOptions
from ionsmith.io.jsonfile import json_entries, jsonl_entries
from ionsmith.io.materials_project import mp_entries
from ionsmith.io.optimade import optimade_address, optimade_entries
from ionsmith.io.tables import csv_entries

log = logging.getLogger(__name__)

__all__ = ["SUFFIXES", "ReadLimits", "ServiceOptions", "read_inputs"]

Parser = Callable[[str, ReadLimits], Iterator[Entry]]

_PARSERS: dict[str, tuple[str, Parser]] = {
    ".cif": ("CIF", cif_entries),
    ".vasp": ("POSCAR", poscar_entries),
    ".poscar": ("POSCAR", poscar_entries),
    ".xyz": ("extended XYZ", xyz_entries),
    ".extxyz": ("extended XYZ", xyz_entries),
    ".json": ("JSON", json_entries),
    ".jsonl": ("JSON lines", jsonl_entries),
    ".csv": ("CSV", csv_entries),
}
SUFFIXES = tuple(_PARSERS)
"""File name endings that are read, each also with ``.gz``; names that begin with POSCAR or CONTCAR are read too."""

_LIMITS, _SERVICES = ReadLimits(), ServiceOptions()
_VASP_NAMES = ("POSCAR", "CONTCAR")


def read_inputs(
    inputs: Sequence[str | Path],
    *,
    limits: ReadLimits = _LIMITS,
    services: ServiceOptions = _SERVICES,
) -> Iterator[Outcome]:
    """Turn every row of every input into one outcome, in the order in which they were named.

    Inputs are checked, folders listed and services asked for their first page before this returns; files are
    parsed and further pages fetched while the result is consumed.

    Args:
        inputs: paths of files or folders, ``mp:<query>``, ``optimade:<address>`` or the address of an OPTIMADE
            structures endpoint.
        limits: what is refused.
        services: how web services are asked.

    Returns:
        Outcomes without values: ok with a candidate; rejected where the input is at fault; failed where it could
        not be got at.

    Raises:
        InputError: nothing named, a path that does not exist, a file of unknown kind, a folder without a readable
            file, or a service that gives nothing.
    """
    if not inputs:
        raise InputError("expected at least one file, folder, mp:<query> or OPTIMADE address, got none")
    sources = [source for item in inputs for source in _sources(item, limits, services)]
    return (outcome for source in sources for outcome in source)


def _sources(item: str | Path, limits: ReadLimits, services: ServiceOptions) -> list[Iterator[Outcome]]:
    text = str(item)
    if isinstance(item, str) and text.startswith("mp:"):
        return [_outcomes("mp", text, mp_entries(text, limits, options=services))]
    if isinstance(item, str) and text.startswith(("optimade:", "http://", "https://")):
        optimade_address(text)
        return [_outcomes("optimade", text, optimade_entries(text, limits, options=services))]
    path = Path(item).expanduser()
    if path.is_dir():
        return [_outcomes("file", name, _file_entries(file, limits)) for name, file in _folder(text, path)]
    if not path.exists():
        raise InputError(f"no such file or folder: {text}")
    if _parser(path) is None:
        raise InputError(
            f"{text}: expected a file ending in {', '.join(SUFFIXES)} (also .gz) or named POSCAR, got another kind"
        )
    return [_outcomes("file", text, _file_entries(path, limits))]


def _parser(path: Path) -> tuple[str, Parser] | None:
    name = path.name.removesuffix(".gz")
    suffix = Path(name).suffix.lower()
    if suffix in _PARSERS:
        return _PARSERS[suffix]
    return ("POSCAR", poscar_entries) if name.upper().startswith(_VASP_NAMES) else None


def _folder(typed: str, folder: Path) -> list[tuple[str, Path]]:
    found, skipped = [], Counter[str]()

    def refuse(error: OSError) -> None:
        raise InputError(f"cannot list folder {error.filename}: {error.strerror}") from error

    for root, folders, names in os.walk(folder, onerror=refuse):
        if Path(root) != folder and LEDGER_FILE in names:  # a run that lies among its own inputs
            log.warning("%s: results of an earlier run skipped", Path(typed, Path(root).relative_to(folder)))
            folders[:] = []
            continue
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(root, name)
            if name.startswith(".") or _parser(path) is None:
                skipped[path.suffix or path.name] += 1
            else:
                found.append((str(Path(typed, path.relative_to(folder))), path))
    if skipped:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(skipped.items()))
        log.warning("%s: %d files of unknown kind skipped (%s)", typed, skipped.total(), kinds)
    if not found:
        raise InputError(f"{typed}: expected a folder with files ending in {', '.join(SUFFIXES)}, got none")
    return sorted(found, key=lambda pair: pair[1].relative_to(folder).parts)


def _file_entries(path: Path, limits: ReadLimits) -> Iterator[Entry]:
    known = _parser(path)
    kind, parse = known if known else ("", json_entries)
    try:
        text = read_text(path)
        if not text.strip():
            raise InputError("got an empty file")
        yield from parse(text, limits)
    except InputError as error:
        said = str(error)
        article = "an" if kind[:1] == "e" else "a"
        yield problem_entry("", said if said.startswith("expected") else f"expected {article} {kind} file: {said}")
    except OSError as error:
        yield problem_entry("", f"cannot be read: {error.strerror or one_line(error)}", status=Status.FAILED)


def read_text(path: Path) -> str:
    """Return the text of a plain or gzip-compressed file in UTF-8, UTF-16 with its mark, or Latin-1.

    Args:
        path: the file.

    Raises:
        InputError: damaged compression, or a binary file.
        OSError: the file cannot be opened.
    """
    data = path.read_bytes()
    if data.startswith(b"\x1f\x8b"):
        try:
            data = gzip.decompress(data)
        except (EOFError, OSError, zlib.error) as error:
            raise InputError(f"expected gzip data, got a damaged file: {one_line(error)}") from error
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", errors="replace")
    if b"\x00" in data:
        raise InputError("expected text, got a binary file")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _outcomes(name: str, locator: str, entries: Iterator[Entry]) -> Iterator[Outcome]:
    for entry in entries:
        place = f"{locator}#{entry.label}" if entry.label else locator
        origin = Origin(name, place, dict(entry.facts), entry.notes)
        if entry.problem:
            yield unreadable(place, source=origin, note=f"{place}: {entry.problem}", status=entry.status)
        else:
            yield Outcome(Candidate(entry.kind, entry.payload, origin))
