"""Five numbers on where lithium sits, after Sendek 2017; defined for disordered crystals by expectation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pymatgen.core import Element, Structure

from ionsmith.core.errors import InputError
from ionsmith.core.records import Candidate, FloatArray
from ionsmith.represent.elements import anion_mask

NAMES = (
    "lithium_neighbours",
    "sublattice_bond_ionicity",
    "anion_framework_coordination",
    "lithium_anion_distance",
    "lithium_lithium_distance",
)
"""Li-Li bonds per Li (within 4 angstrom); mean |difference of Pauling electronegativity| of bonds (within 4 angstrom)
that do not involve Li; anions within 1 angstrom beyond the nearest one, per anion; mean distance of Li to the nearest
anion and to the nearest Li, angstrom."""

_BOND = 4.0  # angstrom
_SHELL = 1.0  # angstrom beyond the nearest anion
_FAR = 8.0  # angstrom; lithium farther apart than this is told as this far
_EXCLUSIVE = 1.6  # angstrom; partly occupied sites nearer than this are two places of one atom
_MOBILE = "Li"


@dataclass(frozen=True)
class _Sites:
    """Occupancies of n sites and all pairs within ``_FAR``.

    Attributes:
        lithium: occupancy by lithium, shape (n,).
        anion: occupancy by anions, shape (n,).
        rest: occupancy by anything but lithium, shape (n,).
        electronegativity: mean over what is not lithium, shape (n,).
        first: site of each pair, shape (m,).
        second: the other, shape (m,).
        distance: angstrom, shape (m,).
    """

    lithium: FloatArray
    anion: FloatArray
    rest: FloatArray
    electronegativity: FloatArray
    first: NDArray[np.int64]
    second: NDArray[np.int64]
    distance: FloatArray


def lithium_site_features(candidates: Sequence[Candidate]) -> FloatArray:
    """Return the five numbers of :data:`NAMES`, shape (n, 5).

    Sites of a disordered crystal are taken as independently occupied, pairs nearer than 1.6 angstrom of which one is
    partly occupied as two places of one atom; counts are expectations, and the distance to the nearest neighbour is
    the expectation over who is there. Idea and names: Sendek et al. 2017, doi 10.1039/C6EE02697D; the cutoff of 4
    angstrom is theirs, the treatment of disorder is ours.

    Args:
        candidates: n crystals.

    Raises:
        InputError: no crystal, or a crystal without lithium, without anions, or without a bond apart from lithium's.
    """
    return np.array([_features(candidate.structure, candidate.formula) for candidate in candidates])


def _features(structure: Structure, formula: str) -> list[float]:
    sites = _sites(structure)
    if sites.lithium.sum() <= 0.0 or sites.anion.sum() <= 0.0:
        raise InputError(f"{formula}: expected lithium and anions, got a crystal that lacks one of them")
    near = sites.distance <= _BOND
    first, second = sites.first[near], sites.second[near]
    pairs = sites.lithium[first] * sites.lithium[second]
    weight = sites.rest[first] * sites.rest[second]
    if weight.sum() <= 0.0:
        raise InputError(f"{formula}: expected bonds within {_BOND:g} angstrom that do not involve lithium, got none")
    gap = np.abs(sites.electronegativity[first] - sites.electronegativity[second])
    return [
        float(pairs.sum() / sites.lithium.sum()),
        float((weight * gap).sum() / weight.sum()),
        _anion_coordination(sites),
        _nearest(sites, sites.lithium, sites.anion),
        _nearest(sites, sites.lithium, sites.lithium),
    ]


def _sites(structure: Structure) -> _Sites:
    lithium, anion, rest, negativity = (np.zeros(len(structure)) for _ in range(4))
    present = sorted({Element(s.symbol).Z for site in structure for s in site.species})
    negative = {z for z, flag in zip(present, anion_mask(np.array([present]))[0], strict=True) if flag}
    for place, site in enumerate(structure):
        for species, amount in site.species.items():
            element = Element(species.symbol)
            if element.symbol == _MOBILE:
                lithium[place] += float(amount)
                continue
            rest[place] += float(amount)
            negativity[place] += float(amount) * (float(element.X) if element.X == element.X else 0.0)
            anion[place] += float(amount) * (element.Z in negative)
    first, second, _, distance = structure.get_neighbor_list(_FAR)
    kept = np.ones(len(first), dtype=bool)
    occupied = lithium + rest
    close = distance < _EXCLUSIVE
    kept[close] = (occupied[first[close]] > 0.99) & (occupied[second[close]] > 0.99)
    return _Sites(
        lithium,
        anion,
        rest,
        negativity / np.maximum(rest, 1e-9),
        np.asarray(first[kept], dtype=np.int64),
        np.asarray(second[kept], dtype=np.int64),
        np.asarray(distance[kept], dtype=float),
    )


def _anion_coordination(sites: _Sites) -> float:
    """Mean over anions of the anions between the nearest one and 1 angstrom beyond it."""
    total = weight = 0.0
    for place in np.flatnonzero(sites.anion > 0.0):
        mine = (sites.first == place) & (sites.anion[sites.second] > 0.0)
        if mine.any():
            distance, amount = sites.distance[mine], sites.anion[sites.second[mine]]
            likely = distance[amount >= 0.5]
            nearest = float(likely.min() if len(likely) else distance.min())
            within = (distance >= nearest - 1e-6) & (distance <= nearest + _SHELL)
            total += float(sites.anion[place] * amount[within].sum())
        weight += float(sites.anion[place])
    return total / weight


def _nearest(sites: _Sites, centre: FloatArray, wanted: FloatArray) -> float:
    """Mean over the centres of the expected distance to the nearest wanted atom; ``_FAR`` where there is none."""
    total = 0.0
    for place in np.flatnonzero(centre > 0.0):
        mine = np.flatnonzero((sites.first == place) & (wanted[sites.second] > 0.0))
        order = mine[np.argsort(sites.distance[mine], kind="stable")]
        absent = np.cumprod(1.0 - np.minimum(wanted[sites.second[order]], 1.0))
        there = np.concatenate([[1.0], absent])
        expected = float((sites.distance[order] * (there[:-1] - there[1:])).sum() + _FAR * there[-1])
        total += float(centre[place]) * expected
    return total / float(centre.sum())
