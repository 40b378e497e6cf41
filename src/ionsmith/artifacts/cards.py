"""Reads and writes artifact folders: named arrays in one safetensors file, and the card that vouches for them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ionsmith.core.errors import ArtifactError, InputError

SCHEMA = 1
ARRAYS_FILE = "arrays.safetensors"
CARD_FILE = "card.json"
SHIPPED = Path(__file__).parent

_REQUIRED: Mapping[str, type] = MappingProxyType(
    {"title": str, "data": list, "split": str, "metrics": dict, "command": str, "date": str}
)
_DATA_KEYS = ("name", "licence", "source")
_WRITTEN: Mapping[str, type] = MappingProxyType({"schema": int, "name": str, "sha256": str, "arrays": dict})


@dataclass(frozen=True)
class Artifact:
    """Weights or a table, checked against its card.

    Attributes:
        name: folder name, such as ``conductivity``.
        arrays: name to array, as stored.
        card: what was written with it; see :func:`save_artifact` for its keys.
    """

    name: str
    arrays: Mapping[str, NDArray[Any]]
    card: Mapping[str, Any]

    @property
    def fingerprint(self) -> str:
        """Text that changes whenever an array or the card's settings change: 16 digits of the arrays' sha256."""
        return str(self.card["sha256"])[:16]


def save_artifact(
    name: str, arrays: Mapping[str, NDArray[Any]], *, card: Mapping[str, Any], folder: Path | None = None
) -> Path:
    """Write an artifact folder and return its path; the same arrays and card give the same bytes.

    Args:
        name: folder name under ``folder``.
        arrays: name to numeric array; any shape.
        card: must hold ``title`` (text), ``data`` (list of mappings with ``name``, ``licence``, ``source``),
            ``split`` (which rows it was made from), ``metrics`` (mapping, JSON-ready), ``command`` (rebuilds it);
            may hold ``date`` (ISO; today if absent) and anything else that is JSON-ready, such as ``settings``.
            ``schema``, ``name``, ``sha256`` and ``arrays`` are filled in here.
        folder: parent folder; the package's own artifacts if None.

    Raises:
        InputError: no arrays, or a card that lacks a key or holds one of a wrong type.
    """
    from safetensors.numpy import save

    if not arrays:
        raise InputError(f"artifact {name}: expected at least one array, got none")
    body = save({key: np.ascontiguousarray(array) for key, array in sorted(arrays.items())})
    full = {
        "schema": SCHEMA,
        "name": name,
        "date": date.today().isoformat(),
        **card,
        "sha256": hashlib.sha256(body).hexdigest(),
        "arrays": {key: [str(array.dtype), list(array.shape)] for key, array in sorted(arrays.items())},
    }
    if problem := _problem(full):
        raise InputError(f"artifact {name}: {problem}")
    place = (folder or SHIPPED) / name
    place.mkdir(parents=True, exist_ok=True)
    (place / ARRAYS_FILE).write_bytes(body)
    (place / CARD_FILE).write_text(json.dumps(full, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return place


def load_artifact(name: str, *, folder: Path | None = None) -> Artifact:
    """Read an artifact folder and check it against its card.

    Args:
        name: folder name under ``folder``.
        folder: parent folder; the package's own artifacts if None.

    Raises:
        ArtifactError: a missing file, a card that does not follow the schema, or arrays whose checksum, names,
            types or shapes differ from the card.
    """
    place = (folder or SHIPPED) / name
    card = read_card(name, folder=folder)
    body = _read(place / ARRAYS_FILE, name)
    found = hashlib.sha256(body).hexdigest()
    if found != card["sha256"]:
        raise ArtifactError(
            f"artifact {name}: expected sha256 {card['sha256'][:12]}..., found {found[:12]}... in {place}"
        )
    return Artifact(name, MappingProxyType(_arrays(body, card, name)), card)


def read_card(name: str, *, folder: Path | None = None) -> Mapping[str, Any]:
    """Read and check the card alone.

    Args:
        name: folder name under ``folder``.
        folder: parent folder; the package's own artifacts if None.

    Raises:
        ArtifactError: no such artifact, or a card that does not follow the schema.
    """
    path = (folder or SHIPPED) / name / CARD_FILE
    try:
        card = json.loads(_read(path, name))
    except ValueError as error:
        raise ArtifactError(f"artifact {name}: expected JSON in {path}, got {error}") from error
    problem = _problem(card) if isinstance(card, dict) else f"expected a mapping, got {type(card).__name__}"
    if problem:
        raise ArtifactError(f"artifact {name}: {problem} in {path}")
    return MappingProxyType(card)


def _read(path: Path, name: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ArtifactError(f"artifact {name}: cannot read {path}: {error.strerror}") from error


def _arrays(body: bytes, card: Mapping[str, Any], name: str) -> dict[str, NDArray[Any]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays: dict[str, NDArray[Any]] = load(body)
    except SafetensorError as error:
        raise ArtifactError(f"artifact {name}: expected a safetensors file, got {error}") from error
    found = {key: [str(array.dtype), list(array.shape)] for key, array in arrays.items()}
    if found != card["arrays"]:
        differ = sorted(
            key for key in found.keys() | card["arrays"].keys() if found.get(key) != card["arrays"].get(key)
        )
        raise ArtifactError(f"artifact {name}: arrays {', '.join(differ)} differ from the card")
    return arrays


def _problem(card: Mapping[str, Any]) -> str:
    """Return what is wrong with a card, or an empty string."""
    for key, kind in {**_REQUIRED, **_WRITTEN}.items():
        if not isinstance(card.get(key), kind) or card[key] == "":
            return f"expected {key} of type {kind.__name__} in the card, got {card.get(key)!r}"
    if card["schema"] != SCHEMA:
        return f"expected card schema {SCHEMA}, got {card['schema']}"
    for entry in card["data"]:
        missing = [key for key in _DATA_KEYS if not (isinstance(entry, dict) and entry.get(key))]
        if missing:
            return f"expected {', '.join(_DATA_KEYS)} in every data entry of the card, missing {', '.join(missing)}"
    return ""
