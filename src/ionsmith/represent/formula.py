"""A formula as one row of numbers, fast enough for millions: element statistics beside the element fractions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pymatgen.core import Element

from ionsmith.core.records import Candidate, FloatArray
from ionsmith.core.registry import register
from ionsmith.represent.composition import STATISTICS, Elements, elements_of, make_up
from ionsmith.represent.elements import LAST, PROPERTIES, element_table

_BLOCK = 256  # rows worked on at once: their arrays then stay in the processor's cache


def fractions_of(found: Elements) -> FloatArray:
    """Return the atomic fraction by atomic number, shape (n, LAST + 1); column 0 is empty.

    Args:
        found: elements of n compositions.
    """
    shares: FloatArray = np.zeros((len(found.numbers), LAST + 1))
    np.put_along_axis(shares, found.numbers, found.fractions, axis=1)
    shares[:, 0] = 0.0  # the padding of poorer compositions
    return shares


@register("representation", "formula-vector")
class FormulaVector:
    """Element statistics in the manner of Magpie, four numbers on the make-up, and the root of every element's share.

    The first columns equal :class:`ionsmith.represent.composition.ElementStatistics`. The root keeps a dopant of one
    percent visible beside the host.
    """

    name = "formula-vector"

    @property
    def names(self) -> tuple[str, ...]:
        """Feature names, in column order."""
        statistics = tuple(f"{statistic}_{prop}" for statistic in STATISTICS for prop in PROPERTIES)
        shares = tuple(f"share_{Element.from_Z(z).symbol}" for z in range(1, LAST + 1))
        return (*statistics, "elements", "entropy", "norm_2", "norm_3", *shares)

    def encode(self, candidates: Sequence[Candidate]) -> FloatArray:
        """Return features of shape (n, len(names)).

        Args:
            candidates: n crystals or compositions.

        Raises:
            InputError: see :func:`ionsmith.represent.composition.elements_of`.
        """
        return self.of_elements(elements_of(candidates))

    def of_elements(self, found: Elements) -> FloatArray:
        """Return features of shape (n, len(names)).

        Args:
            found: elements of n compositions.
        """
        blocks = [
            _block(Elements(found.numbers[part], found.amounts[part], found.fractions[part]))
            for part in (slice(start, start + _BLOCK) for start in range(0, len(found.numbers), _BLOCK))
        ]
        return np.concatenate(blocks) if blocks else np.empty((0, len(self.names)))


def _block(found: Elements) -> FloatArray:
    table = element_table()
    shares = fractions_of(found)
    mean = shares @ table
    deviation = np.zeros_like(mean)
    low, high = np.full_like(mean, np.inf), np.full_like(mean, -np.inf)
    for place in range(found.numbers.shape[1]):
        values = table[found.numbers[:, place]]
        deviation += found.fractions[:, place, None] * np.abs(values - mean)
        here = found.numbers[:, place, None] > 0
        np.minimum(low, values, out=low, where=here)
        np.maximum(high, values, out=high, where=here)
    most = found.numbers[np.arange(len(mean)), found.fractions.argmax(axis=1)]
    return np.hstack([mean, deviation, low, high, high - low, table[most], make_up(found), np.sqrt(shares[:, 1:])])
