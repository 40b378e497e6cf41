"""What stands in a table of crystal data: atoms of each element in the conventional cell, and the cell itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from pymatgen.core import Lattice

from ionsmith.core.records import Candidate, FloatArray, Kind
from ionsmith.core.registry import register
from ionsmith.represent.cell import CELL_FACT, has_cell, symmetry_dataset
from ionsmith.represent.composition import elements_of
from ionsmith.represent.elements import LAST

_LATTICE = ("a", "b", "c", "alpha", "beta", "gamma")
_UNKNOWN = -1.0  # no cell has it, so a tree can tell a material without a cell from all others

FRACTIONS = slice(0, LAST)
"""Columns of the atomic fractions, by atomic number from 1."""
AMOUNTS = slice(LAST, 2 * LAST)
"""Columns of the atoms in the conventional cell."""
LATTICE = slice(2 * LAST, 2 * LAST + 6)
"""Columns of the lengths (angstrom) and angles (degree) of the conventional cell."""
SPACE_GROUP = slice(2 * LAST + 6, 2 * LAST + 7)
"""Column of the space group number."""


@register("representation", "cell_content")
class CellContent:
    """Atomic fractions, atoms in the conventional cell, its lengths and angles, its space group.

    Nothing is derived or averaged: neighbours in this space are entries of the same family with other
    substituents, which is what a forest leans on when it knows only some hundred materials. A crystal is brought
    to spglib's standard conventional cell; a composition candidate is taken as its facts state it.
    """

    name: ClassVar[str] = "cell_content"

    def encode(self, candidates: Sequence[Candidate]) -> FloatArray:
        """Return features of shape (n, 2 * LAST + 7); cell columns are -1 where no cell is known or believed.

        Args:
            candidates: n crystals or compositions.

        Raises:
            InputError: no composition, an element beyond ``LAST``, or cell facts that make no cell.
        """
        found = elements_of(candidates)
        table = np.zeros((len(candidates), 2 * LAST + 7))
        wide = np.zeros((len(candidates), LAST + 1))
        np.put_along_axis(wide, found.numbers, found.fractions, axis=1)
        table[:, FRACTIONS] = wide[:, 1:]
        np.put_along_axis(wide, found.numbers, found.amounts, axis=1)
        table[:, AMOUNTS] = wide[:, 1:]
        for row, candidate in enumerate(candidates):
            if not has_cell(candidate):
                table[row, AMOUNTS.start :] = _UNKNOWN
                continue
            lattice, number, times = _conventional(candidate)
            table[row, AMOUNTS] *= times
            table[row, LATTICE] = lattice
            table[row, SPACE_GROUP] = number
        return table


def _conventional(candidate: Candidate) -> tuple[tuple[float, ...], int, float]:
    """Return lengths and angles, space group number, and how many of the given cells the conventional one holds."""
    if candidate.kind is not Kind.CRYSTAL:
        facts = candidate.source.facts[CELL_FACT]
        return tuple(float(facts[name]) for name in _LATTICE), int(facts["space_group"]), 1.0
    structure = candidate.structure
    dataset = symmetry_dataset(structure)
    if dataset is None:
        return structure.lattice.parameters, 1, 1.0
    lattice = Lattice(dataset.std_lattice)
    return lattice.parameters, int(dataset.number), lattice.volume / structure.volume
