"""Bond-valence sums: whether the bonds of a crystal bear out the charges that balance its formula.

The parameters of the landscape hold for one charge each and so presume what is asked here.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
from pymatgen.core import Element, Structure

_REACH = 4.0  # angstrom; farther anions add next to nothing
_SOFTNESS = 0.31  # angstrom
_CONTRADICTION = 1.0  # e by which the bonds of a cation must exceed its charge before it is doubted


def bond_valence_sums(structure: Structure, states: Mapping[str, float]) -> dict[str, float]:
    """Return the bond-valence sum of each cation that the parameters know, e, the mean over its sites.

    Each anion within 4 angstrom adds exp((R - d) / 0.31 angstrom), with R from sizes and electronegativities of the
    two elements (O'Keeffe and Brese, doi:10.1021/ja00009a002): one R for all charges of an element, so that
    the sum says what the bonds are, whatever charge was assumed.

    Args:
        structure: ordered crystal.
        states: symbol to charge, e; tells cations from anions.
    """
    symbols = [site.specie.symbol for site in structure]
    centres, others, _, distances = structure.get_neighbor_list(_REACH)
    totals: dict[str, float] = {}
    for centre, other, distance in zip(centres, others, distances, strict=True):
        pair = symbols[centre], symbols[other]
        if states.get(pair[0], 0.0) > 0.0 > states.get(pair[1], 0.0) and (length := _single_bond(*pair)):
            totals[pair[0]] = totals.get(pair[0], 0.0) + float(np.exp((length - distance) / _SOFTNESS))
    return {symbol: total / symbols.count(symbol) for symbol, total in totals.items()}


def contradicted_states(structure: Structure, states: Mapping[str, float]) -> dict[str, float]:
    """Return those cations that are bonded like a higher charge of theirs, with their bond-valence sum, e.

    Germanium in a tetrahedron of sulfur at 2.2 angstrom is Ge4+: where the formula balances only with Ge2+, two
    electrons are left over. Elements at their highest charge are never doubted, nor is a disordered crystal.

    Args:
        structure: crystal.
        states: symbol to charge, e, of a balanced formula.
    """
    if not structure.is_ordered:
        return {}
    sums = bond_valence_sums(structure, states)
    return {
        symbol: round(total, 2)
        for symbol, total in sums.items()
        if total > states[symbol] + _CONTRADICTION and states[symbol] < _highest(symbol)
    }


def _highest(symbol: str) -> int:
    element = Element(symbol)
    return max((*element.common_oxidation_states, *element.icsd_oxidation_states), default=0)


@lru_cache(maxsize=4096)
def _single_bond(first: str, second: str) -> float:
    """Return the length of a bond of valence one between two elements, angstrom; 0 where a parameter is missing."""
    from pymatgen.analysis.bond_valence import BV_PARAMS

    known = BV_PARAMS.get(Element(first)), BV_PARAMS.get(Element(second))
    if known[0] is None or known[1] is None:
        return 0.0
    (r1, c1), (r2, c2) = ((each["r"], each["c"]) for each in known)
    return float(r1 + r2 - r1 * r2 * (np.sqrt(c1) - np.sqrt(c2)) ** 2 / (c1 * r1 + c2 * r2))
