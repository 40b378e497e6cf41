"""The files of a finished run: tables, the JSON document, one CIF per crystal, each written whole or not at all."""

from __future__ import annotations

import csv
import json
import math
import os
import re
import tempfile
from collections.abc import Mapping
from io import BytesIO, StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ionsmith.core.errors import InputError
from ionsmith.core.quantities import QUANTITIES
from ionsmith.core.records import Kind
from ionsmith.core.results import Row, RunResult, attached_files
from ionsmith.io.entry import one_line

if TYPE_CHECKING:
    import pyarrow as pa

_HEAD = ("rank", "formula", "status", "feasible", "score", "stage", "note", "input", "source", "key")
_TYPES = {"rank": "int64", "feasible": "bool", "score": "float64"}
COLUMNS = (*_HEAD, *(f"{name}{part}" for name in QUANTITIES for part in ("", "_std", "_method")))
"""Columns of results.csv and results.parquet, always all of them, so that the tables of two runs can be joined."""

_OURS = re.compile(r"\d{4,}_.*_[0-9a-f]{16}\.cif")  # names that write_run gives, and may therefore remove


def prepare_folder(folder: str | Path) -> Path:
    """Make a folder where it is missing and check, before the work begins, that files can be written there.

    Args:
        folder: the folder of a run.

    Raises:
        InputError: it cannot be made or written to.
    """
    path = Path(folder).expanduser()
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise InputError(f"cannot write to folder {folder}: {error.strerror or one_line(error)}") from error
    return path


def write_run(result: RunResult, folder: str | Path) -> None:
    """Write results.csv, .parquet and .json, structures/*.cif and files/*/*, replacing those of an earlier run.

    Numbers in the tables have six significant digits, so that two runs that agree compare equal.

    Args:
        result: the finished run.
        folder: where to; made where it is missing.

    Raises:
        InputError: a folder or file that cannot be written, or details that JSON cannot hold.
    """
    path = prepare_folder(folder)
    try:
        _replace(path / "results.csv", csv_text(result).encode())
        _replace(path / "results.parquet", _parquet(result))
        _replace(path / "results.json", document_text(result).encode())
        _write_structures(result, path / "structures")
        _write_attached(result, path / "files")
    except OSError as error:
        raise InputError(f"cannot write {error.filename or path}: {error.strerror or one_line(error)}") from error


def write_csv(result: RunResult, path: str | Path) -> None:
    """Write the table of a run to one CSV file.

    Args:
        result: the finished run.
        path: the file; its folder must exist.

    Raises:
        InputError: a file that cannot be written.
    """
    try:
        _replace(Path(path).expanduser(), csv_text(result).encode())
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or one_line(error)}") from error


def document_text(result: RunResult) -> str:
    """Return the JSON document of a run as text: one line, no NaN, no infinity.

    Args:
        result: the finished run.

    Raises:
        InputError: details that JSON cannot hold.
    """
    document = _finite(result.document(), "document")
    return json.dumps(document, allow_nan=False, ensure_ascii=False, separators=(", ", ": ")) + "\n"


def csv_text(result: RunResult) -> str:
    """Return the table of a run as CSV text; an absent value is an empty cell.

    Args:
        result: the finished run.
    """
    buffer = StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in result.rows:
        cells = table_row(row)
        writer.writerow([_cell(cells.get(column)) for column in COLUMNS])
    return buffer.getvalue()


def table_row(row: Row) -> dict[str, Any]:
    """Return one row of the tables, column name to value; absent values are absent.

    Args:
        row: the finished row.
    """
    candidate = row.outcome.candidate
    cells: dict[str, Any] = {
        "rank": row.rank,
        "formula": row.formula,
        "status": row.outcome.status.value,
        "feasible": row.feasible,
        "score": _six_digits(row.score),
        "stage": row.stage,
        "note": row.outcome.note,
        "input": candidate.source.locator,
        "source": candidate.source.name,
        "key": row.key,
    }
    for name, value in row.outcome.values.items():
        cells[name] = _six_digits(value.mean)
        cells[f"{name}_std"] = _six_digits(value.std)
        cells[f"{name}_method"] = value.method
    return {name: value for name, value in cells.items() if value is not None}


def _six_digits(number: float | None) -> float | None:
    if number is None or not math.isfinite(number):
        return None
    return float(f"{number:.6g}")


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _parquet(result: RunResult) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [table_row(row) for row in result.rows]
    columns = {name: pa.array([row.get(name) for row in rows], type=_arrow(name)) for name in COLUMNS}
    buffer = BytesIO()
    pq.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


def _arrow(column: str) -> pa.DataType:
    import pyarrow as pa

    quantity = column.removesuffix("_std") in QUANTITIES
    kinds = {"int64": pa.int64(), "bool": pa.bool_(), "float64": pa.float64(), "text": pa.string()}
    return kinds[_TYPES.get(column, "float64" if quantity else "text")]


def _finite(item: Any, where: str) -> Any:
    """Return plain JSON data: a key whose number is not finite is absent, in a list it is null."""
    if isinstance(item, np.generic | np.ndarray):
        item = item.tolist()
    if isinstance(item, float):
        return item if math.isfinite(item) else None
    if item is None or isinstance(item, bool | int | str):
        return item
    if isinstance(item, Mapping):
        plain = {str(key): (value, _finite(value, f"{where}.{key}")) for key, value in item.items()}
        return {key: clean for key, (value, clean) in plain.items() if clean is not None or value is None}
    if isinstance(item, list | tuple):
        return [_finite(value, f"{where}[{index}]") for index, value in enumerate(item)]
    raise InputError(f"results.json: expected plain data, got {type(item).__name__} at {where}")


def _write_structures(result: RunResult, folder: Path) -> None:
    from pymatgen.io.cif import CifWriter

    folder.mkdir(exist_ok=True)
    written = set()
    for row in result.rows:
        candidate = row.outcome.candidate
        if candidate.kind is not Kind.CRYSTAL:
            continue
        name = f"{_row_name(row)}.cif"
        _replace(folder / name, str(CifWriter(candidate.structure)).encode())
        written.add(name)
    for old in folder.iterdir():
        if _OURS.fullmatch(old.name) and old.name not in written:
            old.unlink()


def _row_name(row: Row) -> str:
    number = row.rank if row.rank is not None else row.position + 1
    formula = re.sub(r"[^A-Za-z0-9.]", "", row.formula)[:60]
    return f"{number:04d}_{formula}_{row.key}"


def _write_attached(result: RunResult, folder: Path) -> None:
    """Write what the stages attached; a folder per row, and none where nothing was attached."""
    for row in result.rows:
        for name, text in attached_files(row).items():
            place = folder / _row_name(row)
            place.mkdir(parents=True, exist_ok=True)
            _replace(place / re.sub(r"[^A-Za-z0-9._-]", "_", name), text.encode())


def _replace(path: Path, data: bytes) -> None:
    """Write a file under another name first, so that a kill leaves the old file or the new one."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
