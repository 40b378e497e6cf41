"""What the models of measured properties share: how far materials are apart, and a digest of what was learnt."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from ionsmith.core.records import FloatArray

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def distances(one: tuple[FloatArray, FloatArray], two: tuple[FloatArray, FloatArray], step: float) -> FloatArray:
    """Return the distance between materials, shape (n, m).

    The sum of |difference of atomic fractions|, 0 to 2, plus a step where the space group differs.

    Args:
        one: atomic fractions, shape (n, p), and space group numbers, shape (n,).
        two: the same of m materials.
        step: distance added by another space group.
    """
    apart = one[1][:, None] != two[1][None, :]
    return np.asarray(cdist(one[0], two[0], "cityblock") + step * apart)


def digest(settings: DataclassInstance, arrays: Mapping[str, NDArray[Any]]) -> str:
    """Return 16 hexadecimal digits that change with any setting or weight.

    Args:
        settings: of the model.
        arrays: weights by name.
    """
    found = hashlib.sha256(json.dumps(asdict(settings), sort_keys=True).encode())
    for name, array in sorted(arrays.items()):
        found.update(name.encode() + np.ascontiguousarray(array).tobytes())
    return found.hexdigest()[:16]
