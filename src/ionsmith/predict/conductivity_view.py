"""What the conductivity model looks at: a formula, a formula in its cell, or the sites of a disordered crystal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ionsmith.core.records import BoolArray, Candidate, FloatArray
from ionsmith.predict.measured import distances
from ionsmith.represent.cell import has_cell
from ionsmith.represent.composition import elements_of
from ionsmith.represent.content import AMOUNTS, LATTICE, SPACE_GROUP, CellContent
from ionsmith.represent.electrolyte import ElectrolyteFeatures
from ionsmith.represent.elements import LAST
from ionsmith.represent.formula import fractions_of
from ionsmith.represent.lithium_network import NAMES, LithiumNetwork, spreads_lithium

_ROOM = (
    *("volume_per_atom", "volume_per_anion", "li_density", "primitive_volume"),
    *("reduced_a", "reduced_b", "reduced_c", "point_group_order", "centring"),
)
"""The cell in numbers that do not depend on the choice of axes."""
_CHEMISTRY = (
    *("formula_atoms", "entropy", "cation_entropy", "li_per_anion", "cation_radius", "cation_charge"),
    *("anion_polarizability", "anion_electronegativity", "cation_electronegativity"),
)
"""What a chemist asks first of a formula."""

IntArray = NDArray[np.int64]


class Sight(StrEnum):
    """How much of a material an expert looks at; each sees what the one before it sees, and more."""

    FORMULA = "formula"
    CELL = "cell"
    CRYSTAL = "crystal"

    @property
    def cell(self) -> bool:
        """Whether the cell is looked at."""
        return self is not Sight.FORMULA


def sight_of(candidate: Candidate) -> Sight:
    """Return what there is to see of a candidate, which decides the expert that answers.

    ``CRYSTAL`` where lithium is known to have more sites than it fills, or to share them; ``CELL`` for any other
    crystal, or a composition with its cell; ``FORMULA`` where the cell is not known or cannot be believed, as that of
    a crystal that we arranged. An ordered crystal from elsewhere counts as its cell, because nothing tells whether
    its order was refined or only assumed.

    Args:
        candidate: crystal or composition.

    Raises:
        InputError: facts that make no cell or no crystal, or a composition that the features cannot read.
    """
    if not has_cell(candidate):
        return Sight.FORMULA
    return Sight.CRYSTAL if spreads_lithium(candidate) else Sight.CELL


@dataclass(frozen=True)
class View:
    """What an expert sees of n materials.

    Attributes:
        features: derived quantities for the smooth functions, shape (n, p).
        content: what the trees see, shape (n, q): crystal data and features; without a cell, features
            and fractions.
        network: the lithium sites, NaN where unknown; shape (n, 6), or (n, 0) where the expert does not look.
        fractions: atomic fraction by atomic number, shape (n, LAST + 1).
        space_group: numbers, 0 where the expert does not look at the cell; shape (n,).
    """

    features: FloatArray
    content: FloatArray
    network: FloatArray
    fractions: FloatArray
    space_group: FloatArray

    def __getitem__(self, rows: Any) -> View:
        return View(
            self.features[rows],
            self.content[rows],
            self.network[rows],
            self.fractions[rows],
            self.space_group[rows],
        )

    def __len__(self) -> int:
        return len(self.features)

    @property
    def table(self) -> FloatArray:
        """All that the trees see, shape (n, q + 6) or (n, q)."""
        return np.hstack([self.content, self.network])

    def bare(self) -> View:
        """Return what is kept of training materials: composition and space group."""
        empty = np.empty((len(self), 0))
        return View(empty, empty, empty, self.fractions, self.space_group)

    def distances(self, known: View, step: float) -> FloatArray:
        """Return the distance to every known material, shape (n, m); see :func:`ionsmith.predict.measured.distances`.

        Args:
            known: m materials.
            step: distance added by another space group.
        """
        return distances((self.fractions, self.space_group), (known.fractions, known.space_group), step)

    def lent(self, step: float) -> View:
        """Return the view in which a material of unknown sites borrows those of the nearest one of known sites.

        So all rows teach the trees, and whether a crystal is known is nothing that they could learn from.

        Args:
            step: distance added by another space group.
        """
        known: BoolArray = np.asarray(np.isfinite(self.network).all(axis=1))
        if known.all():
            return self
        if not known.any():
            return replace(self, network=np.zeros(self.network.shape))
        lenders, without = np.flatnonzero(known), np.flatnonzero(~known)
        nearest = self[without].distances(self[lenders], step).argmin(axis=1)
        network = self.network.copy()
        network[without] = network[lenders[nearest]]
        return replace(self, network=network)


def view(candidates: Sequence[Candidate], sight: Sight) -> View:
    """Return what an expert sees.

    Args:
        candidates: n materials; all with a cell if the expert looks at it.
        sight: what it looks at.

    Raises:
        InputError: a candidate that the features cannot read.
    """
    representation = ElectrolyteFeatures(cell=sight.cell)
    features = representation.encode(candidates)
    fractions = fractions_of(elements_of(candidates))
    network = LithiumNetwork().encode(candidates) if sight is Sight.CRYSTAL else np.empty((len(candidates), 0))
    if not sight.cell:
        parts = (features, fractions[:, 1:])
        return View(features, np.hstack(parts), network, fractions, np.zeros(len(candidates)))
    groups = features[:, representation.names.index("space_group")]
    return View(features, np.hstack([CellContent().encode(candidates), features]), network, fractions, groups)


@lru_cache(maxsize=8)
def choices(sight: Sight, feature_share: float) -> tuple[tuple[tuple[IntArray, float], ...], ...]:
    """Return what trees choose from: groups of (columns of ``View.table``, share that a node looks at).

    Groups grow the same number of trees, which their members share equally. With a cell, the first group has four
    views of crystal data and features; the sites of lithium, where they are looked at, add a second one.

    Args:
        sight: what the expert looks at.
        feature_share: share of the derived features a node may choose from, where there is no cell.
    """
    if not sight.cell:
        derived = len(ElectrolyteFeatures(cell=False).names)
        return (((np.arange(derived), feature_share), (np.arange(derived, derived + LAST), 1.0)),)
    content = np.arange(SPACE_GROUP.stop)
    amounts, lattice, group = content[AMOUNTS], content[LATTICE], content[SPACE_GROUP]
    room, chemistry = (_places(names, after=SPACE_GROUP.stop) for names in (_ROOM, _CHEMISTRY))
    cells = (
        (amounts, lattice),
        (amounts, lattice, group),
        (amounts, room, group),
        (amounts, lattice, group, chemistry),
    )
    groups = [tuple((np.concatenate(part), 1.0) for part in cells)]
    if sight is Sight.CRYSTAL:
        network = SPACE_GROUP.stop + len(ElectrolyteFeatures().names) + np.arange(len(NAMES))
        sites = ((amounts, lattice, network), (amounts, lattice, group, network), (amounts, network))
        groups.append(tuple((np.concatenate(part), 1.0) for part in sites))
    return tuple(groups)


def _places(names: Sequence[str], *, after: int) -> IntArray:
    every = ElectrolyteFeatures().names
    return np.array([after + every.index(name) for name in names])
