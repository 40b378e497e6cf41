"""Records to JSON text and back, exact to the last bit of every number."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from pymatgen.core import Composition, Structure

from ionsmith.core.errors import LedgerError
from ionsmith.core.records import Bound, Candidate, Kind, Origin, Value


def dumps(document: Any) -> str:
    """Return compact JSON; numpy scalars and arrays become numbers and lists.

    Args:
        document: plain data.

    Raises:
        LedgerError: NaN, infinity, or an object that JSON cannot hold.
    """
    try:
        return json.dumps(document, default=_plain, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise LedgerError(f"ledger: expected plain finite data, got something else: {error}") from error


def _plain(item: Any) -> Any:
    if isinstance(item, np.generic):
        return item.item()
    if isinstance(item, np.ndarray):
        return item.tolist()
    if isinstance(item, Mapping):
        return dict(item)
    if isinstance(item, set | frozenset | tuple):
        return sorted(item) if not isinstance(item, tuple) else list(item)
    raise TypeError(f"cannot store {type(item).__name__}")


def encode_payload(candidate: Candidate) -> str:
    """Return a candidate's payload as JSON text.

    Args:
        candidate: any kind.
    """
    if candidate.kind is Kind.CRYSTAL:
        return dumps(candidate.payload.as_dict())
    if candidate.kind is Kind.COMPOSITION:
        return dumps({str(e): float(n) for e, n in candidate.payload.items()})
    return dumps(candidate.payload)


def decode_payload(kind: Kind, text: str) -> Any:
    """Return the payload that :func:`encode_payload` wrote.

    Args:
        kind: kind of the candidate.
        text: JSON text.
    """
    document = json.loads(text)
    if kind is Kind.CRYSTAL:
        return Structure.from_dict(document)
    if kind is Kind.COMPOSITION:
        return Composition(document)
    return np.asarray(document) if kind is Kind.MICROSTRUCTURE else document


def encode_values(values: Mapping[str, Value]) -> str:
    """Return values as JSON text.

    Args:
        values: quantity name to value.
    """
    return dumps({name: [v.mean, v.std, v.method, v.in_domain, v.bound.value] for name, v in values.items()})


def decode_values(text: str) -> dict[str, Value]:
    """Return the values that :func:`encode_values` wrote.

    Args:
        text: JSON text.
    """
    return {name: Value(v[0], v[1], v[2], v[3], Bound(v[4])) for name, v in json.loads(text).items()}


def encode_origin(origin: Origin) -> str:
    """Return an origin as JSON text.

    Args:
        origin: where a candidate comes from.
    """
    return dumps([origin.name, origin.locator, dict(origin.facts), list(origin.notes)])


def decode_origin(text: str) -> Origin:
    """Return the origin that :func:`encode_origin` wrote.

    Args:
        text: JSON text.
    """
    name, locator, facts, notes = json.loads(text)
    return Origin(name, locator, facts, tuple(notes))
