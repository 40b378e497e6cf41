"""Composition to numbers: padded element arrays, and element statistics in the manner of Magpie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ionsmith.core.errors import InputError
from ionsmith.core.records import Candidate, FloatArray
from ionsmith.core.registry import register
from ionsmith.represent.elements import LAST, PROPERTIES, element_table

STATISTICS = ("mean", "deviation", "min", "max", "range", "mode")
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Elements:
    """Which elements n compositions hold, padded to the richest of them.

    Attributes:
        numbers: atomic numbers, 0 where a composition has no further element; shape (n, k).
        amounts: atoms as written in each formula or cell; shape (n, k).
        fractions: amounts divided by their sum; shape (n, k).
    """

    numbers: IntArray
    amounts: FloatArray
    fractions: FloatArray

    @property
    def present(self) -> NDArray[np.bool_]:
        """Where an element is, shape (n, k)."""
        return self.numbers > 0


def elements_of(candidates: Sequence[Candidate]) -> Elements:
    """Return the elements and amounts of crystal and composition candidates.

    Args:
        candidates: n materials.

    Raises:
        InputError: a candidate without a composition, an empty composition, or an element beyond ``LAST``.
    """
    return elements_in([_contents(candidate) for candidate in candidates])


def elements_in(contents: Sequence[Mapping[int, float]]) -> Elements:
    """Return the elements and amounts of n compositions.

    Args:
        contents: atomic numbers, ascending, and the amount of each.
    """
    width = max((len(content) for content in contents), default=1)
    numbers = np.zeros((len(contents), width), dtype=np.int64)
    amounts = np.zeros((len(contents), width))
    for row, content in enumerate(contents):
        numbers[row, : len(content)] = list(content)
        amounts[row, : len(content)] = list(content.values())
    return Elements(numbers, amounts, amounts / np.maximum(amounts.sum(axis=1, keepdims=True), 1e-12))


def _contents(candidate: Candidate) -> dict[int, float]:
    composition = candidate.composition
    content: dict[int, float] = {}
    for species, amount in composition.items():
        number = int(species.Z)
        if amount > 0.0:
            content[number] = content.get(number, 0.0) + float(amount)
    if not content:
        raise InputError(f"expected a composition with atoms, got none from {candidate.source.locator}")
    if max(content) > LAST:
        raise InputError(f"{candidate.formula}: expected elements up to number {LAST}, got number {max(content)}")
    return dict(sorted(content.items()))


@register("representation", "element-statistics")
class ElementStatistics:
    """Six statistics of every element property over a composition, and four numbers on its make-up.

    For a property p and atomic fractions f: mean = sum f p; deviation = sum f |p - mean|; min, max and range over
    the elements present; mode = p of the most abundant element (the lightest among equals). Also the number of
    elements, the entropy -sum f ln f, and the 2- and 3-norm of f. The element table is our own.

    Idea: Ward et al. 2016, doi 10.1038/npjcompumats.2016.28.
    """

    name = "element-statistics"

    @property
    def names(self) -> tuple[str, ...]:
        """Feature names, in column order."""
        statistics = tuple(f"{statistic}_{prop}" for statistic in STATISTICS for prop in PROPERTIES)
        return (*statistics, "elements", "entropy", "norm_2", "norm_3")

    def encode(self, candidates: Sequence[Candidate]) -> FloatArray:
        """Return features of shape (n, len(names)).

        Args:
            candidates: n crystals or compositions.

        Raises:
            InputError: see :func:`elements_of`.
        """
        found = elements_of(candidates)
        values = element_table()[found.numbers]
        weights, present = found.fractions[:, :, None], found.present[:, :, None]
        mean = (weights * values).sum(axis=1)
        deviation = (weights * np.abs(values - mean[:, None, :])).sum(axis=1)
        low = np.where(present, values, np.inf).min(axis=1)
        high = np.where(present, values, -np.inf).max(axis=1)
        mode = values[np.arange(len(values)), found.fractions.argmax(axis=1)]
        return np.hstack([mean, deviation, low, high, high - low, mode, make_up(found)])


def make_up(found: Elements) -> FloatArray:
    """Return number of elements, entropy, 2-norm and 3-norm of the fractions; shape (n, 4).

    Args:
        found: elements of n compositions.
    """
    f = found.fractions
    entropy = -(f * np.log(np.where(f > 0.0, f, 1.0))).sum(axis=1)
    norms = [(f**power).sum(axis=1) ** (1.0 / power) for power in (2, 3)]
    return np.column_stack([found.present.sum(axis=1), entropy, *norms])
