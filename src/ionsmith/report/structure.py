"""Crystals in the compact form that the page draws: cell, sites with occupancies, bonds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from pymatgen.core import Element, Structure

MOST_SITES = 500
"""Larger cells are not drawn: a reader would see a cloud, and the page would carry it."""

ANIONS = frozenset({"N", "O", "F", "S", "Cl", "Se", "Br", "Te", "I"})
"""Elements that surround others in the crystals of this field."""

_REACH = 1.18
"""Two atoms are joined up to this multiple of the sum of their covalent radii."""

_SAME_PLACE = 0.6
"""Partly filled sites nearer than this multiple are alternatives to each other, not neighbours."""

_LONGEST = 3.8  # angstrom, above any bond that the rule can draw


def compact_structure(structure: Structure) -> dict[str, Any] | None:
    """Return a crystal as JSON-ready data, or None if it is too large to draw.

    ``cell``: the three lattice vectors, angstrom. ``sites``: ``[x, y, z, [[symbol, occupancy], ...]]`` with
    fractional coordinates. ``bonds``: ``[i, j, a, b, c]``, site i bonded to site j moved by a, b, c lattice vectors.

    Args:
        structure: ordered or disordered crystal.
    """
    if len(structure) > MOST_SITES:
        return None
    return {
        "cell": [[round(float(x), 5) for x in vector] for vector in structure.lattice.matrix],
        "sites": [[*_place(site.frac_coords), _occupants(site)] for site in structure],
        "bonds": bonds(structure),
    }


def _place(coordinates: Iterable[float]) -> list[float]:
    return [round(float(x) % 1.0, 5) % 1.0 for x in coordinates]


def _occupants(site: Any) -> list[list[Any]]:
    amounts: dict[str, float] = {}
    for species, amount in site.species.items():
        symbol = _symbol(species)
        amounts[symbol] = amounts.get(symbol, 0.0) + float(amount)
    return [[s, round(n, 4)] for s, n in sorted(amounts.items(), key=lambda pair: -pair[1])]


def _symbol(species: Any) -> str:
    symbol = str(getattr(species, "symbol", species))
    return "H" if symbol in ("D", "T") else symbol


def bonds(structure: Structure) -> list[list[int]]:
    """Return each bond once as ``[i, j, a, b, c]``.

    A bond joins atoms no farther apart than 1.18 times the sum of their covalent radii. A metal is joined to anions
    only, or to any non-metal where there are no anions, or to anything in an alloy.

    Args:
        structure: ordered or disordered crystal.
    """
    heads = [_occupants(site)[0][0] for site in structure]
    filled = np.array([site.species.num_atoms > 0.999 for site in structure])
    radii = np.array([radius(symbol) for symbol in heads])
    metal = np.array([_is_metal(symbol) for symbol in heads])
    first, second, image, distance = structure.get_neighbor_list(_LONGEST)
    span = radii[first] + radii[second]
    keep = (distance <= _REACH * span) & (distance > 0.1)
    keep &= (distance >= _SAME_PLACE * span) | (filled[first] & filled[second])
    anion = np.array([symbol in ANIONS for symbol in heads])
    partner = anion if anion.any() else ~metal
    if partner.any():
        keep &= ~metal[first] | partner[second]
        keep &= ~metal[second] | partner[first]
    shift = _shift_to_cell(structure)
    # sites are stored inside the cell, so the images have to follow them
    moves = np.rint(image).astype(int) + shift[second] - shift[first]
    found = []
    for i, j, move in zip(first[keep], second[keep], moves[keep], strict=True):
        step = tuple(int(n) for n in move)
        # every bond is listed from both of its ends
        if i < j or (i == j and step > (0, 0, 0)):
            found.append([int(i), int(j), *step])
    return found


def _shift_to_cell(structure: Structure) -> Any:
    stored = np.array([_place(site.frac_coords) for site in structure])
    return np.rint(structure.frac_coords - stored).astype(int)


def radius(symbol: str) -> float:
    """Return the covalent radius of an element, angstrom.

    Args:
        symbol: element symbol; an unknown one gets a middling radius.

    Source: doi 10.1039/b801115j, as tabulated by ASE.
    """
    from ase.data import atomic_numbers, covalent_radii

    return float(covalent_radii[atomic_numbers[symbol]]) if symbol in atomic_numbers else 1.2


def element_table(symbols: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return name, colour and radius of elements for drawing.

    Args:
        symbols: element symbols.
    """
    return {
        symbol: {
            "name": Element(symbol).long_name if Element.is_valid_symbol(symbol) else symbol,
            "color": _color(symbol),
            "radius": round(radius(symbol), 2),
            "metal": _is_metal(symbol),
        }
        for symbol in sorted(set(symbols))
    }


def _color(symbol: str) -> str:
    from ase.data import atomic_numbers
    from ase.data.colors import jmol_colors

    if symbol not in atomic_numbers or atomic_numbers[symbol] >= len(jmol_colors):
        return "#9a9a9a"
    return "#" + "".join(f"{round(255 * float(part)):02x}" for part in jmol_colors[atomic_numbers[symbol]])


def _is_metal(symbol: str) -> bool:
    return bool(Element.is_valid_symbol(symbol) and Element(symbol).is_metal)
