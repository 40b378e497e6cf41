"""The formulas that a composition model has learnt from: which element pairs met, and which formula is nearest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ionsmith.core.errors import ArtifactError
from ionsmith.core.records import FloatArray
from ionsmith.represent.composition import Elements
from ionsmith.represent.elements import LAST

_MOST_COUNTED = 65535
_NAMES = ("elements", "counts", "lengths", "values")


@dataclass(frozen=True)
class Memory:
    """Known formulas with their values, elements laid end to end.

    Attributes:
        elements: atomic numbers, the formulas one after another; uint8, shape (sum of lengths,).
        counts: atoms per formula, same order; float32, shape (sum of lengths,).
        lengths: elements per formula; uint8, shape (n,).
        values: of each target, NaN where unknown; float32, shape (n, t).
    """

    elements: NDArray[np.uint8]
    counts: NDArray[np.float32]
    lengths: NDArray[np.uint8]
    values: NDArray[np.float32]

    @classmethod
    def of(cls, found: Elements, values: FloatArray) -> Memory:
        """Return the memory of n formulas.

        Args:
            found: their elements.
            values: shape (n, t), NaN where unknown.
        """
        present = found.present
        return cls(
            found.numbers[present].astype(np.uint8),
            found.amounts[present].astype(np.float32),
            present.sum(axis=1).astype(np.uint8),
            values.astype(np.float32),
        )

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Memory:
        """Return the memory that :meth:`arrays` described.

        Args:
            arrays: named arrays.

        Raises:
            ArtifactError: an array is missing.
        """
        missing = [name for name in _NAMES if f"memory.{name}" not in arrays]
        if missing:
            raise ArtifactError(
                f"composition memory: expected arrays {', '.join(_NAMES)}, missing {', '.join(missing)}"
            )
        elements, counts, lengths, values = (arrays[f"memory.{name}"] for name in _NAMES)
        return cls(elements, counts.astype(np.float32), lengths, values.astype(np.float32))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what to store; values rounded to three digits (float16)."""
        named: dict[str, NDArray[Any]] = {
            "elements": self.elements,
            "lengths": self.lengths,
            "values": self.values.astype(np.float16),
        }
        whole = bool((self.counts == np.round(self.counts)).all() and self.counts.max(initial=0.0) <= _MOST_COUNTED)
        counts: NDArray[Any] = self.counts.astype(np.uint16) if whole else self.counts
        return {f"memory.{name}": array for name, array in {**named, "counts": counts}.items()}

    def __len__(self) -> int:
        return len(self.lengths)

    def content(self, row: int) -> dict[int, float]:
        """Return atomic number to atoms of one formula.

        Args:
            row: its place.
        """
        part = slice(self._starts[row], self._starts[row + 1])
        return dict(zip(self.elements[part].tolist(), self.counts[part].tolist(), strict=True))

    def together(self) -> NDArray[np.uint16]:
        """Return how many formulas with a known value hold two elements, shape (t, LAST + 1, LAST + 1).

        The diagonal counts the formulas that hold an element. Counts end at 65535.
        """
        held = np.zeros((len(self), LAST + 1), dtype=np.float32)
        held[self._owner, self.elements] = 1.0
        met = [held[known].T @ held[known] for known in np.isfinite(self.values).T]
        counted: NDArray[np.uint16] = np.minimum(np.stack(met), _MOST_COUNTED).astype(np.uint16)
        return counted

    def nearest(self, shares: Mapping[int, float], most: int) -> list[list[tuple[int, float]]]:
        """Return for each target the nearest known formulas as (row, distance), nearest first.

        The distance is the sum of |difference of atomic fractions|, 0 to 2, which equals 2 - 2 sum min(x, y): only
        formulas that share an element need to be looked at.

        Args:
            shares: atomic number to atomic fraction.
            most: how many per target.
        """
        overlap = np.zeros(len(self))
        for number, share in shares.items():
            rows, theirs = self._holding.get(number, _NOBODY)
            overlap[rows] += np.minimum(theirs, share)  # an element occurs once in a formula
        return [_closest(overlap, known, most) for known in np.isfinite(self.values).T]

    @cached_property
    def _starts(self) -> NDArray[np.int64]:
        return np.concatenate([[0], np.cumsum(self.lengths, dtype=np.int64)])

    @cached_property
    def _owner(self) -> NDArray[np.int64]:
        return np.repeat(np.arange(len(self)), self.lengths)

    @cached_property
    def _holding(self) -> dict[int, tuple[NDArray[np.int64], FloatArray]]:
        atoms = np.bincount(self._owner, weights=self.counts, minlength=len(self))
        shares = self.counts / atoms[self._owner]
        order = np.argsort(self.elements, kind="stable")
        numbers, first = np.unique(self.elements[order], return_index=True)
        parts = np.split(order, first[1:])
        return {int(z): (self._owner[part], shares[part]) for z, part in zip(numbers, parts, strict=True)}


_NOBODY = (np.empty(0, dtype=np.int64), np.empty(0))


def _closest(overlap: FloatArray, known: NDArray[np.bool_], most: int) -> list[tuple[int, float]]:
    score = np.where(known, overlap, -1.0)
    count = min(most, int(known.sum()))
    if not count:
        return []
    best = np.argpartition(-score, count - 1)[:count]
    best = best[np.lexsort((best, -score[best]))]
    return [(int(row), max(0.0, 2.0 - 2.0 * float(score[row]))) for row in best]


def novelty(found: Elements, met: NDArray[np.uint16], *, fewest: int) -> FloatArray:
    """Return for each formula and target the weight of what was never seen together, shape (n, t).

    sum over element pairs of f_i f_j / sum over all pairs, taken over the pairs that no known formula holds; a pair
    with an element of fewer than ``fewest`` formulas counts as never seen. A pure element counts 0 or 1.

    Args:
        found: elements of n formulas.
        met: how many formulas hold two elements, see :meth:`Memory.together`.
        fewest: formulas an element must occur in.
    """
    rare = np.stack([table.diagonal() < fewest for table in met])
    strange = (met == 0) | rare[:, :, None] | rare[:, None, :]
    width = found.numbers.shape[1]
    total = np.zeros(len(found.numbers))
    odd = np.zeros((len(found.numbers), len(met)))
    for one in range(width):
        for two in range(one + 1, width):
            weight = found.fractions[:, one] * found.fractions[:, two]
            total += weight
            odd += weight[:, None] * strange[:, found.numbers[:, one], found.numbers[:, two]].T
    alone = rare[:, found.numbers[:, 0]].T.astype(float)
    return np.where(total[:, None] > 0.0, odd / np.maximum(total[:, None], 1e-12), alone)
