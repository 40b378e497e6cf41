"""A material in parts that a chemist would exchange: lithium, anions, framework cations, cell; and hybrids of two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from pymatgen.core import Composition, Element

from ionsmith.core.crystals import CRYSTAL_FACT, crystal_facts, crystal_of
from ionsmith.core.errors import InputError
from ionsmith.core.records import BoolArray, Candidate, Kind, Origin
from ionsmith.represent.cell import CELL_FACT, has_cell
from ionsmith.represent.content import AMOUNTS, LATTICE, SPACE_GROUP, CellContent
from ionsmith.represent.elements import anion_mask

_LATTICE = ("a", "b", "c", "alpha", "beta", "gamma")
CELL = "cell (size and symmetry)"


@dataclass(frozen=True)
class Parts:
    """What a material is made of.

    Attributes:
        mobile: symbol of the mobile ion.
        per_anion: mobile ions per anion.
        cations_per_anion: other cations per anion.
        anions: share of each kind among the anions.
        cations: share of each kind among the other cations; empty where there are none.
        cell: facts of the conventional cell, and of the crystal if known, by the key that a candidate keeps them
            under; None where unknown.
        atoms: atoms in that cell, or in the formula as written.
    """

    mobile: str
    per_anion: float
    cations_per_anion: float
    anions: Mapping[str, float]
    cations: Mapping[str, float]
    cell: Mapping[str, Any] | None
    atoms: float


def parts_of(candidate: Candidate, *, mobile: str = "Li") -> Parts:
    """Return a material in parts.

    Args:
        candidate: crystal or composition.
        mobile: symbol of the mobile ion.

    Raises:
        InputError: no composition, no anions, or cell facts that make no cell.
    """
    amounts = {e.symbol: float(n) for e, n in candidate.composition.element_composition.items() if n > 0.0}
    numbers = np.array([[Element(symbol).Z for symbol in amounts]])
    negative = dict(zip(amounts, anion_mask(numbers)[0].tolist(), strict=True))
    anions = {s: n for s, n in amounts.items() if negative[s]}
    cations = {s: n for s, n in amounts.items() if not negative[s] and s != mobile}
    if not anions:
        raise InputError(f"{candidate.formula}: expected anions to divide a material into parts, got none")
    total, others = sum(anions.values()), sum(cations.values())
    cell, atoms = _cell(candidate)
    return Parts(
        mobile,
        amounts.get(mobile, 0.0) / total,
        others / total,
        MappingProxyType({s: n / total for s, n in anions.items()}),
        MappingProxyType({s: n / others for s, n in cations.items()}),
        cell,
        atoms or sum(amounts.values()),
    )


def part_names(parts: Parts) -> tuple[str, ...]:
    """Return what can be exchanged, in the order in which :func:`hybrid` takes it.

    Args:
        parts: of the material that is explained.
    """
    names = (
        f"{parts.mobile} content ({parts.per_anion:.2f} per anion)",
        f"anions ({_listed(parts.anions)})",
        f"framework cations ({_listed(parts.cations) or 'none'})",
        f"amount of framework cations ({parts.cations_per_anion:.2f} per anion)",
    )
    return (*names, CELL) if parts.cell is not None else names


def hybrid(mine: Parts, other: Parts, taken: BoolArray) -> Candidate:
    """Return the material that has some parts of one and the others of another; its charges need not balance.

    A cell is either known (the first material's) or not; a composition with it holds as many atoms.

    Args:
        mine: the material that is explained.
        other: a background material.
        taken: per name of :func:`part_names` whether it comes from ``mine``.
    """
    per_anion = mine.per_anion if taken[0] else other.per_anion
    anions = mine.anions if taken[1] else other.anions
    # a material without other cations has no kinds to lend
    kinds = (mine.cations or other.cations) if taken[2] else (other.cations or mine.cations)
    cations = mine.cations_per_anion if taken[3] else other.cations_per_anion
    amounts: dict[str, float] = dict(anions)
    amounts[mine.mobile] = amounts.get(mine.mobile, 0.0) + per_anion
    for symbol, share in kinds.items():
        amounts[symbol] = amounts.get(symbol, 0.0) + cations * share
    facts: dict[str, Any] = {}
    atoms = 10.0 * sum(amounts.values())
    if mine.cell is not None and taken[4]:
        facts, atoms = dict(mine.cell), mine.atoms
    scale = atoms / sum(amounts.values())
    composition = Composition({s: scale * n for s, n in amounts.items() if n > 0.0})
    return Candidate(Kind.COMPOSITION, composition, Origin("hybrid", "hybrid", facts))


def _cell(candidate: Candidate) -> tuple[Mapping[str, Any] | None, float]:
    if not has_cell(candidate):
        return None, 0.0
    row = CellContent().encode([candidate])[0]
    cell = dict(zip(_LATTICE, (float(x) for x in row[LATTICE]), strict=True))
    facts: dict[str, Any] = {CELL_FACT: {**cell, "space_group": int(row[SPACE_GROUP][0])}}
    structure = crystal_of(candidate)
    if structure is not None:
        facts[CRYSTAL_FACT] = crystal_facts(structure)
    return facts, float(row[AMOUNTS].sum())


def _listed(shares: Mapping[str, float]) -> str:
    ordered: Sequence[tuple[str, float]] = sorted(shares.items(), key=lambda pair: -pair[1])
    return ", ".join(symbol for symbol, _ in ordered)
