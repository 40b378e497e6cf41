"""Empty places as the potential sees them: an extra ion is put on each kind and relaxed; those that are one unite."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from pymatgen.core import DummySpecies, Structure
from scipy.optimize import linear_sum_assignment

from ionsmith.core.errors import PhysicsError
from ionsmith.core.records import FloatArray
from ionsmith.simulate.hops import symmetry_operations
from ionsmith.simulate.interstitials import EMPTY, FREE, ONE, orbit

Relax = Callable[[Any], tuple[FloatArray, float]]
"""From ASE atoms to relaxed positions, angstrom, shape (atoms, 3), and energy, eV."""


@dataclass(frozen=True)
class Settled:
    """Where an extra ion ends that began on an empty place.

    Attributes:
        fractional: of the ion that no lattice site holds, in the crystal's cell; shape (3,).
        energy: of the supercell, eV.
        moved: distance of that ion from the place, angstrom.
        split: whether it shares a lattice site with the site's own ion.
    """

    fractional: FloatArray
    energy: float
    moved: float
    split: bool


def settled_places(extended: Structure, mobile: str, matrix: Any, relax: Relax) -> Structure:
    """Return a crystal with the empty places that stay apart when an extra ion relaxes on each kind of them.

    The ion that counts as the extra one after relaxation is the one left over when the others are shared out to the
    lattice sites, the sum of squared distances least. A place moves to where that ion is found; of places that end
    nearer than 0.8 angstrom to each other the one of lower energy stays. An ion that splits a lattice site with the
    one that sits there keeps its place, because the place leads to that state.

    ``properties["places"]`` of the result tells of every kind: ``fractional``, ``count``, ``moved_A``, ``energy_eV``
    above the lowest, and ``fate``: ``kept``, ``split``, ``united`` with one of lower energy, or why none was found.

    Args:
        extended: crystal with its empty places as the species ``X``.
        mobile: element symbol.
        matrix: supercell vectors in units of the crystal's; shape (3, 3).
        relax: the potential.

    Raises:
        PhysicsError: no place is left.
    """
    operations = symmetry_operations(extended)
    found: list[tuple[FloatArray, Settled]] = []
    told: list[dict[str, Any]] = []
    for place in _kinds(extended, operations):
        try:
            found.append((place, settle(extended, place, mobile, matrix, relax)))
        except PhysicsError as reason:
            told.append({"fractional": _rounded(place), "fate": str(reason)})
    found.sort(key=lambda entry: entry[1].energy)
    kept: list[FloatArray] = []
    for place, end in found:
        images = orbit(place if end.split else end.fractional, operations, extended)
        united = bool(kept) and extended.lattice.get_all_distances([images[0]], kept).min() < ONE
        told.append(_story(place, end, len(images), united, lowest=found[0][1].energy))
        kept += [] if united else images
    if not kept:
        raise PhysicsError(f"no place holds an extra {mobile}: {told[0]['fate'] if told else 'none was given'}")
    result = extended.copy()
    result.remove_species([DummySpecies(EMPTY, 0)])
    for image in kept:
        result.append(DummySpecies(EMPTY, 0), image)
    result.properties = {**result.properties, "places": told}
    return result


def settle(extended: Structure, place: FloatArray, mobile: str, matrix: Any, relax: Relax) -> Settled:
    """Put an extra ion on an empty place and relax.

    Args:
        extended: crystal with its empty places.
        place: fractional; shape (3,).
        mobile: element symbol.
        matrix: supercell vectors in units of the crystal's; shape (3, 3).
        relax: the potential.

    Raises:
        PhysicsError: the potential has no answer.
    """
    from ase import Atom

    large = extended.copy()
    large.remove_species([DummySpecies(EMPTY, 0)])
    large.make_supercell(matrix, to_unit_cell=False)
    sites = [n for n, site in enumerate(large) if site.specie.symbol == mobile]
    start = np.asarray(extended.lattice.get_cartesian_coords(place))
    atoms = large.to_ase_atoms()
    atoms.append(Atom(mobile, start))
    positions, energy = relax(atoms)
    ions = [*sites, len(atoms) - 1]
    ends = large.lattice.get_fractional_coords(positions[ions])
    apart = large.lattice.get_all_distances(ends, large.frac_coords[sites])
    taken = linear_sum_assignment(apart**2)[0]
    (left,) = set(range(len(ions))) - {int(n) for n in taken}
    way = ends[left] - large.lattice.get_fractional_coords(start)
    way = large.lattice.get_cartesian_coords(way - np.round(way))
    return Settled(
        np.asarray(extended.lattice.get_fractional_coords(start + way)),
        energy,
        float(np.linalg.norm(way)),
        bool(apart[left].min() < FREE),
    )


def _kinds(extended: Structure, operations: Any) -> list[FloatArray]:
    """One empty place of each set that symmetry makes alike."""
    kinds: list[FloatArray] = []
    seen: list[FloatArray] = []
    for site in extended:
        if site.specie.symbol != EMPTY:
            continue
        if seen and extended.lattice.get_all_distances([site.frac_coords], seen).min() < 0.5 * ONE:
            continue
        kinds.append(np.asarray(site.frac_coords))
        seen += orbit(site.frac_coords, operations, extended)
    return kinds


def _story(place: FloatArray, end: Settled, count: int, united: bool, *, lowest: float) -> dict[str, Any]:
    fate = "united" if united else "split" if end.split else "kept"
    return {"fractional": _rounded(place), "count": count, "moved_A": round(end.moved, 3)} | {
        "energy_eV": round(end.energy - lowest, 4),
        "fate": fate,
    }


def _rounded(place: FloatArray) -> list[float]:
    return [round(float(x), 4) for x in place]
