"""Puts counted ions on the sites of a supercell and hands back an ordered crystal."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from pymatgen.core import Element, Lattice, Species, Structure

from ionsmith.core.errors import PhysicsError
from ionsmith.core.records import BoolArray, FloatArray
from ionsmith.io.ewald import ewald_matrix
from ionsmith.io.orbits import CORE, CORE_HYDROGEN, Counts, Parent, symbol
from ionsmith.io.placement import Board, IntArray, contact_penalty, place
from ionsmith.io.supercell import Repeats

_KICKS, _MOST_MOVES = 32, 20_000
_MOST_TERMS = 4e7  # pair terms held in memory at once
_TOUCH = 0.75  # of the sum of ionic radii; real bonds are longer
_LIKE_CONTACT = 1.5  # angstrom, between ions of like charge
_HYDROGEN_CONTACT = 0.8  # angstrom


@dataclass(frozen=True)
class Supercell:
    """All sites of a repeated cell, and who may stand where.

    Attributes:
        parent: the disordered crystal.
        repeats: repetitions of the primitive cell.
        counts: ions per orbit.
        states: species label to charge, e.
    """

    parent: Parent
    repeats: Repeats
    counts: Counts
    states: Mapping[str, float]

    @cached_property
    def lattice(self) -> Lattice:
        """Cell of the supercell."""
        return Lattice(self.parent.lattice.matrix * np.array(self.repeats)[:, None])

    @cached_property
    def owner(self) -> IntArray:
        """Orbit of every site, in rising order; shape (n,)."""
        sizes = [len(orbit.sites) * math.prod(self.repeats) for orbit in self.parent.orbits]
        return np.repeat(np.arange(len(sizes)), sizes)

    @cached_property
    def positions(self) -> FloatArray:
        """Fractional coordinates of every site; shape (n, 3)."""
        sites = [site for orbit in self.parent.orbits for site in orbit.sites]
        shifts = np.stack(np.meshgrid(*map(np.arange, self.repeats), indexing="ij"), axis=-1).reshape(-1, 3)
        places = self.parent.positions[sites][:, None, :] + shifts[None, :, :]
        return np.asarray((places / np.array(self.repeats)).reshape(-1, 3))

    @cached_property
    def fixed(self) -> BoolArray:
        """Whether a site holds one species for sure; shape (n,)."""
        return np.array([orbit.ordered for orbit in self.parent.orbits])[self.owner]

    @cached_property
    def kinds(self) -> tuple[str, ...]:
        """Species labels, the vacancy first."""
        return ("", *sorted(self.counts.totals))

    @cached_property
    def charge(self) -> FloatArray:
        """Charge of every kind, e; shape (k,)."""
        return np.array([0.0, *(self.states[label] for label in self.kinds[1:])])

    @cached_property
    def fixed_kinds(self) -> IntArray:
        """Kind of the ion on every fixed site."""
        labels = [next(iter(self.parent.orbits[orbit].occupancy)) for orbit in self.owner[self.fixed]]
        return np.array([self.kinds.index(label) for label in labels], dtype=np.int64)

    @cached_property
    def ewald(self) -> FloatArray:
        """Electrostatic matrix of all sites, eV; shape (n, n)."""
        return ewald_matrix(self.lattice, self.positions)


def arrange(cell: Supercell) -> tuple[Structure, float, int]:
    """Return the ordered crystal with its charges, its electrostatic energy (eV) and the swaps it took.

    Args:
        cell: sites and ions.

    Raises:
        PhysicsError: too many open sites, or ions that cannot be kept apart.
    """
    kind = np.zeros(len(cell.owner), dtype=np.int64)
    kind[cell.fixed] = cell.fixed_kinds
    kind[~cell.fixed], _, moves = place(_board(cell), kicks=_KICKS, max_moves=_MOST_MOVES)
    charge = cell.charge[kind]
    _check_apart(cell, kind)
    filled = np.flatnonzero(kind > 0)
    filled = filled[np.argsort(kind[filled], kind="stable")]
    labels = [cell.kinds[k] for k in kind[filled]]
    species = [Species(symbol(label), cell.states[label]) for label in labels]
    ordered = Structure(cell.lattice, species, cell.positions[filled], to_unit_cell=True)
    return ordered, float(charge @ cell.ewald @ charge), moves


def _board(cell: Supercell) -> Board:
    free = np.flatnonzero(~cell.fixed)
    k, n = len(cell.kinds), len(free)
    if float(k * k) * n * n > _MOST_TERMS:
        most = math.isqrt(int(_MOST_TERMS)) // k
        raise PhysicsError(f"expected at most {most} partly filled sites for {k - 1} species, got {n}")
    distances = cell.lattice.get_all_distances(cell.positions[free], cell.positions)
    between, outside = distances[:, free], distances[:, cell.fixed]
    np.fill_diagonal(between, np.inf)
    coupling = 2.0 * cell.ewald[np.ix_(free, free)]
    np.fill_diagonal(coupling, 0.0)
    charge = cell.charge
    field = 2.0 * cell.ewald[np.ix_(free, cell.fixed)] @ charge[cell.fixed_kinds]
    onsite = charge[:, None] ** 2 * cell.ewald[free, free] + charge[:, None] * field
    pair = np.zeros((k, k, n, n))
    for s in range(1, k):
        for t in range(1, k):
            contact, core = _contact(cell.kinds[s], cell.kinds[t], cell.states)
            pair[s, t] = charge[s] * charge[t] * coupling + contact_penalty(between, contact=contact, core=core)
            near = contact_penalty(outside[:, cell.fixed_kinds == t], contact=contact, core=core)
            onsite[s] += near.sum(axis=1)
    return Board(onsite, pair, *_rules(cell, free), between < CORE)


def _rules(cell: Supercell, free: IntArray) -> tuple[IntArray, IntArray, BoolArray]:
    """Return the orbit of every open site, the ions that every such orbit gets, and who may stand where."""
    orbits, index = np.unique(cell.owner[free], return_inverse=True)
    table = np.array([[cell.counts.ions[o].get(label, 0) for label in cell.kinds] for o in orbits], dtype=np.int64)
    table = table.reshape(len(orbits), len(cell.kinds))
    table[:, 0] = np.bincount(index, minlength=len(orbits)) - table.sum(axis=1)
    allowed = [[not label or label in cell.parent.orbits[o].occupancy for o in orbits] for label in cell.kinds]
    return index, table, np.array(allowed).reshape(len(cell.kinds), len(orbits))[:, index]


def _contact(first: str, second: str, states: Mapping[str, float]) -> tuple[float, float]:
    """Return contact and core distance of two species, angstrom."""
    hydrogen = "H" in (symbol(first), symbol(second))
    core = CORE_HYDROGEN if hydrogen else CORE
    like = states[first] * states[second] > 0.0
    if hydrogen:
        return (_LIKE_CONTACT if like else _HYDROGEN_CONTACT), core
    touch = _TOUCH * (_radius(first, states) + _radius(second, states))
    return max(touch, _LIKE_CONTACT if like else core), core


def _radius(label: str, states: Mapping[str, float]) -> float:
    element = Element(symbol(label))
    radii = element.ionic_radii
    if radii:
        nearest = min(radii, key=lambda q: (abs(q - states[label]), q))
        return float(radii[nearest])
    return 0.7 * float(element.atomic_radius or 1.5)


def _check_apart(cell: Supercell, kind: IntArray) -> None:
    filled = np.flatnonzero(kind > 0)
    names = [symbol(cell.kinds[k]) for k in kind[filled]]
    distances = cell.lattice.get_all_distances(cell.positions[filled], cell.positions[filled])
    np.fill_diagonal(distances, np.inf)
    fixed = cell.fixed[filled]
    distances[np.ix_(fixed, fixed)] = np.inf  # what the file itself says is not ours to refuse
    hydrogen = np.array([name == "H" for name in names])
    core = np.where(hydrogen[:, None] | hydrogen[None, :], CORE_HYDROGEN, CORE)
    a, b = np.unravel_index(int(np.argmin(distances - core)), distances.shape)
    if distances[a, b] < core[a, b]:
        raise PhysicsError(
            f"expected ions at least {core[a, b]:g} angstrom apart, got {names[a]} and {names[b]} at "
            f"{distances[a, b]:.2f} in the best arrangement of {len(filled)} atoms"
        )
