"""A field on a periodic grid, small enough for a ledger row or a page that carries hundreds of them."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.ndimage import map_coordinates, minimum_filter

from ionsmith.core.errors import InputError
from ionsmith.core.records import FloatArray
from ionsmith.landscape.field import EnergyField

MOST_POINTS = 32
"""Largest number of grid points along a cell vector in a packed field."""


def pack(field: EnergyField, *, height: float, most: int = MOST_POINTS, zero: float | None = None) -> dict[str, Any]:
    """Return a field thinned to at most ``most`` points along each cell vector and cut off above, ready for JSON.

    Of a thinned field every point holds the lowest value around it, so that narrow channels stay open in a picture.

    Args:
        field: the energies.
        height: energies above ``zero`` by more than this become this, eV.
        most: largest number of points along a cell vector.
        zero: energy that becomes zero, eV; the lowest of the field where None.

    Returns:
        ``shape`` (three counts), ``lattice`` (rows are cell vectors, angstrom), ``low`` and ``high`` (what the bytes
        0 and 255 stand for, eV) and ``values`` (one byte a point in base64, last axis fastest); see :func:`unpack`.

    Raises:
        InputError: a height not above zero.
    """
    if not height > 0.0:
        raise InputError(f"expected a height above zero (eV), got {height:g}")
    base = field.minimum if zero is None else zero
    values = np.minimum(field.values.astype(float) - base, height)
    shape = tuple(min(n, most) for n in field.shape)
    if shape != field.shape:
        steps = np.array(field.shape) / np.array(shape)
        around = minimum_filter(values, size=[int(np.rint(step)) for step in steps], mode="wrap")
        places = np.indices(shape).reshape(3, -1) * steps[:, None]
        values = map_coordinates(around, places, order=1, mode="grid-wrap").reshape(shape)
    low = float(min(values.min(), 0.0))
    levels = np.rint((values - low) / (height - low) * 255.0).astype(np.uint8)
    return {
        "shape": list(shape),
        "lattice": [[round(float(x), 5) for x in vector] for vector in field.lattice],
        "low": round(low, 6),
        "high": round(float(height), 6),
        "values": base64.b64encode(levels.tobytes()).decode("ascii"),
    }


def unpack(packed: Mapping[str, Any]) -> FloatArray:
    """Return the values of a packed field, eV; shape as in ``packed["shape"]``.

    Args:
        packed: from :func:`pack`.

    Raises:
        InputError: text that does not hold so many bytes.
    """
    levels = np.frombuffer(base64.b64decode(packed["values"]), dtype=np.uint8).astype(float)
    count = int(np.prod(packed["shape"]))
    if levels.size != count:
        raise InputError(f"packed field: expected {count} bytes, got {levels.size}")
    values = packed["low"] + levels / 255.0 * (packed["high"] - packed["low"])
    return np.asarray(values).reshape(packed["shape"])
