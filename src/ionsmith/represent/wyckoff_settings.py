"""The other descriptions of the same crystal: other origins and axes that leave its space group as it is.

The International Tables let a rock salt be (Li a, F b) as well as (Li b, F a): the Euclidean normaliser of the space
group maps one onto the other (doi 10.1107/S0108767394007440). A learner that has seen only one of them has to learn
chemistry twice.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from pymatgen.core import SymmOp

from ionsmith.core.records import FloatArray
from ionsmith.represent.wyckoff import (
    WyckoffCrystal,
    WyckoffPosition,
    WyckoffSite,
    cell,
    electronegativity,
    positions,
)

_SAME_METRIC = 1e-3  # relative; how far the cell may differ after the axes have been exchanged


def alternatives(crystal: WyckoffCrystal) -> tuple[WyckoffCrystal, ...]:
    """Return a crystal in every setting that leaves its space group and cell as they are, the given one first.

    Args:
        crystal: any description.

    Raises:
        InputError: an unknown letter or a wrong number of coordinates or cell parameters.
    """
    metric = cell(crystal.space_group, crystal.lattice).metric_tensor
    found = {_sorted(crystal): None}
    for rotation, shift in _changes(crystal.space_group):
        turned = rotation.T @ metric @ rotation
        if np.abs(turned - metric).max() > _SAME_METRIC * np.abs(metric).max():
            continue
        sites = [_moved(crystal.space_group, site, rotation, shift) for site in crystal.sites]
        if all(site is not None for site in sites):
            moved = WyckoffCrystal(crystal.space_group, crystal.lattice, tuple(s for s in sites if s is not None))
            found.setdefault(_sorted(moved))
    return tuple(found)


def _sorted(crystal: WyckoffCrystal) -> WyckoffCrystal:
    sites = sorted(crystal.sites, key=lambda site: (site.letter, electronegativity(site.element), site.free))
    return WyckoffCrystal(crystal.space_group, crystal.lattice, tuple(sites))


def _moved(group: int, site: WyckoffSite, rotation: FloatArray, shift: FloatArray) -> WyckoffSite | None:
    known = positions(group)
    here = known[site.letter]
    places = here.sites(site.free) @ rotation.T + shift
    for letter in _like(group, site.letter):
        free = _lowest(known[letter], places)
        if free is not None:
            return WyckoffSite(letter, site.element, free)
    return None


@lru_cache(maxsize=4096)
def _like(group: int, letter: str) -> tuple[str, ...]:
    """Return the letters of as many sites and free coordinates as a given one."""
    known = positions(group)
    here = known[letter]
    return tuple(
        name
        for name, there in known.items()
        if there.multiplicity == here.multiplicity and len(there.free) == len(here.free)
    )


def _lowest(position: WyckoffPosition, places: FloatArray) -> tuple[float, ...] | None:
    options = [free for place in places if (free := position.coordinates(place)) is not None]
    return min(options) if options else None


@lru_cache(maxsize=230)
def _changes(group: int) -> tuple[tuple[FloatArray, FloatArray], ...]:
    """Return rotation and shift of each coset of the space group in its normaliser, the identity left out."""
    from pyxtal.symmetry import Group  # two seconds to import

    texts = Group(group).get_alternatives()["Coset Representative"]
    operations = [SymmOp.from_xyz_str(text) for text in texts[1:]]
    return tuple((np.asarray(op.rotation_matrix), np.asarray(op.translation_vector)) for op in operations)
