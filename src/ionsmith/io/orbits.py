"""A disordered crystal as sets of sites of equal occupancy, and how many ions each set gets in a supercell."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from pymatgen.core import Lattice, Structure
from scipy import optimize, sparse

from ionsmith.core.records import FloatArray
from ionsmith.io.charges import Charges

IntArray = NDArray[np.int64]
log = logging.getLogger(__name__)

CORE = 1.0  # angstrom; two ions are never closer
CORE_HYDROGEN = 0.7  # the same where one may be hydrogen
_SYMPREC = 0.01  # angstrom
_FULL = 1.0 - 1e-3
_DECIMALS = 2  # of occupancies that count as equal
_ORBIT_WEIGHT = 1e-2  # of an orbit's change beside the change of the composition


def symbol(label: str) -> str:
    """Return the element in a species label.

    Args:
        label: such as ``Li`` or ``S2-``.
    """
    return label.rstrip("+-.0123456789")


@dataclass(frozen=True)
class Orbit:
    """Sites of the primitive cell that hold the same species to the same extent (to 0.01).

    Attributes:
        sites: their indices in the primitive cell.
        occupancy: species label to mean occupancy of these sites.
    """

    sites: tuple[int, ...]
    occupancy: Mapping[str, float]

    @property
    def ordered(self) -> bool:
        """Whether one species fills every site."""
        return len(self.occupancy) == 1 and sum(self.occupancy.values()) > _FULL


@dataclass(frozen=True)
class Parent:
    """A disordered crystal, reduced to what ordering needs.

    Attributes:
        lattice: primitive cell, its vectors as short as can be.
        positions: fractional coordinates; shape (n, 3).
        orbits: every site belongs to one.
        charges: charge of every species.
    """

    lattice: Lattice
    positions: FloatArray
    orbits: tuple[Orbit, ...]
    charges: Charges

    @cached_property
    def amounts(self) -> dict[str, float]:
        """Species label to its amount in one primitive cell."""
        amounts: dict[str, float] = {}
        for orbit in self.orbits:
            for label, share in orbit.occupancy.items():
                amounts[label] = amounts.get(label, 0.0) + share * len(orbit.sites)
        return amounts

    @cached_property
    def crowds(self) -> tuple[tuple[tuple[int, ...], int], ...]:
        """Orbits whose sites exclude one another, and how many of these sites one primitive cell can fill."""
        return _crowds(self)


def make_parent(structure: Structure, charges: Charges) -> Parent:
    """Return the primitive cell of a crystal with its sites grouped by occupancy.

    Args:
        structure: disordered crystal.
        charges: charge of every species.
    """
    occupancies = [{str(s): float(n) for s, n in sorted(site.species.items())} for site in structure]
    kinds = [tuple((label, round(share, _DECIMALS)) for label, share in site.items()) for site in occupancies]
    numbers = {kind: number for number, kind in enumerate(sorted(set(kinds)))}
    types = np.array([numbers[kind] for kind in kinds])
    matrix, positions, types_left = _primitive(structure.lattice.matrix, structure.frac_coords, types)
    lattice = Lattice(matrix).get_lll_reduced_lattice()
    positions = (positions @ matrix @ np.linalg.inv(lattice.matrix)) % 1.0
    orbits = []
    for kind, number in numbers.items():
        alike = [site for site, own in zip(occupancies, types, strict=True) if own == number]
        mean = {label: sum(site[label] for site in alike) / len(alike) for label, _ in kind}
        orbits.append(Orbit(tuple(np.flatnonzero(types_left == number).tolist()), mean))
    return Parent(lattice, positions, tuple(orbits), charges)


def _primitive(matrix: FloatArray, positions: FloatArray, types: IntArray) -> tuple[FloatArray, FloatArray, IntArray]:
    import spglib

    try:
        found = spglib.standardize_cell(
            (matrix, positions, types), to_primitive=True, no_idealize=True, symprec=_SYMPREC
        )
    except spglib.SpglibError as error:
        log.info("no symmetry found: %s", error)
        found = None
    if found is None:  # sites closer than the tolerance
        return matrix, positions, types
    return found[0], found[1], np.asarray(found[2])


def _crowds(parent: Parent) -> tuple[tuple[tuple[int, ...], int], ...]:
    owner = {site: k for k, orbit in enumerate(parent.orbits) for site in orbit.sites}
    hydrogen = {k for k, orbit in enumerate(parent.orbits) if any(symbol(label) == "H" for label in orbit.occupancy)}
    loose = [site for site in sorted(owner) if not parent.orbits[owner[site]].ordered]
    rivals: dict[int, set[int]] = {site: set() for site in loose}
    dummy = Structure(parent.lattice, ["H"] * len(parent.positions), parent.positions)
    for i, j, _, d in zip(*dummy.get_neighbor_list(CORE, exclude_self=True), strict=True):
        core = CORE_HYDROGEN if {owner[int(i)], owner[int(j)]} & hydrogen else CORE
        if int(i) != int(j) and int(i) in rivals and int(j) in rivals and d < core:
            rivals[int(i)].add(int(j))
    groups: dict[tuple[int, ...], int] = {}
    seen: set[int] = set()
    for site in loose:
        if site in seen or not rivals[site]:
            continue
        group, frontier = {site}, [site]
        while frontier:
            frontier = [n for s in frontier for n in sorted(rivals[s]) if n not in group and not group.add(n)]  # type: ignore[func-returns-value]
        seen |= group
        family = tuple(sorted({owner[s] for s in group}))
        groups[family] = groups.get(family, 0) + _most_apart(sorted(group), rivals)
    return _merged(groups, rivals, parent, owner)


def _merged(
    groups: Mapping[tuple[int, ...], int], rivals: Mapping[int, set[int]], parent: Parent, owner: Mapping[int, int]
) -> tuple[tuple[tuple[int, ...], int], ...]:
    """Join families that share an orbit, and count the sites of these orbits that have no rival."""
    joined: list[tuple[set[int], int]] = []
    for family, capacity in groups.items():
        overlap = [entry for entry in joined if entry[0] & set(family)]
        joined = [entry for entry in joined if not entry[0] & set(family)]
        joined.append((set(family).union(*(e[0] for e in overlap)), capacity + sum(e[1] for e in overlap)))
    result = []
    for family_set, capacity in joined:
        free = sum(not rivals[s] for k in family_set for s in parent.orbits[k].sites)
        result.append((tuple(sorted(family_set)), capacity + free))
    return tuple(result)


def _most_apart(group: list[int], rivals: Mapping[int, set[int]]) -> int:
    """Return a lower bound of the largest number of sites of which no two exclude each other, exact for chains."""
    left = set(group)
    count = 0
    while left:
        chosen = min(left, key=lambda s: (len(rivals[s] & left), s))
        left -= rivals[chosen] | {chosen}
        count += 1
    return count


@dataclass(frozen=True)
class Counts:
    """Ions per orbit in a supercell.

    Attributes:
        ions: per orbit, species label to number of ions.
        charge: of the supercell, e.
        error: largest difference of an element's atomic fraction from the parent's.
        lost: species that the parent has and the supercell has not.
    """

    ions: tuple[Mapping[str, int], ...]
    charge: float
    error: float
    lost: tuple[str, ...]

    @cached_property
    def totals(self) -> dict[str, int]:
        """Species label to number of ions, those lost included as zero."""
        totals: dict[str, int] = {}
        for orbit in self.ions:
            for label, count in orbit.items():
                totals[label] = totals.get(label, 0) + count
        return totals


def count_ions(parent: Parent, cells: int, *, neutral: bool) -> Counts | None:
    """Round the occupancies of a supercell to whole ions.

    A small integer program: minimise the change of every species' amount, then of every orbit's, under the rules
    that full orbits stay full, that sites which exclude one another are not both filled, and, where asked for, that
    the ions are neutral.

    Args:
        parent: the disordered crystal.
        cells: number of primitive cells.
        neutral: whether the charges must add up to zero.

    Returns:
        The counts, or None where no rounding is neutral.
    """
    pairs = [(k, label) for k, orbit in enumerate(parent.orbits) for label in orbit.occupancy]
    size = np.array([cells * len(parent.orbits[k].sites) for k, _ in pairs], dtype=float)
    targets = size * np.array([parent.orbits[k].occupancy[label] for k, label in pairs])
    labels = list(parent.amounts)
    rows, low, high = _constraints(parent, cells, pairs, neutral=neutral)
    n, m = len(pairs), len(labels)
    membership = sparse.csr_array(np.array([[float(label == own) for _, own in pairs] for label in labels]))
    wanted = membership @ targets
    eye_n, eye_m = sparse.eye_array(n), sparse.eye_array(m)
    # unknowns: counts (n), |change| per species (m), |change| per orbit and species (n)
    blocks = [
        (sparse.hstack([rows, sparse.csr_array((rows.shape[0], m + n))]), low, high),
        (sparse.hstack([membership, eye_m, sparse.csr_array((m, n))]), wanted, np.full(m, np.inf)),
        (sparse.hstack([membership, -eye_m, sparse.csr_array((m, n))]), np.full(m, -np.inf), wanted),
        (sparse.hstack([eye_n, sparse.csr_array((n, m)), eye_n]), targets, np.full(n, np.inf)),
        (sparse.hstack([eye_n, sparse.csr_array((n, m)), -eye_n]), np.full(n, -np.inf), targets),
    ]
    # tiny unequal weights settle ties the same way every time
    ties = 1e-5 * np.arange(1, n + 1) / n
    cost = np.concatenate([ties * _ORBIT_WEIGHT, np.ones(m), np.full(n, _ORBIT_WEIGHT)])
    solved = optimize.milp(
        cost,
        integrality=np.concatenate([np.ones(n), np.zeros(m + n)]),
        bounds=optimize.Bounds(0.0, np.concatenate([size, np.full(m + n, np.inf)])),
        constraints=[optimize.LinearConstraint(*block) for block in blocks],
        options={"node_limit": 2000},
    )
    if solved.x is None:
        return None
    return _summary(parent, pairs, np.rint(solved.x[:n]).astype(int))


def _constraints(
    parent: Parent, cells: int, pairs: Sequence[tuple[int, str]], *, neutral: bool
) -> tuple[sparse.csr_array, FloatArray, FloatArray]:
    rows, low, high = [], [], []
    for k, orbit in enumerate(parent.orbits):
        size = cells * len(orbit.sites)
        rows.append([float(own == k) for own, _ in pairs])
        crowded = any(k in family for family, _ in parent.crowds)
        low.append(float(size) if sum(orbit.occupancy.values()) > _FULL and not crowded else 0.0)
        high.append(float(size))
    for family, capacity in parent.crowds:
        rows.append([float(own in family) for own, _ in pairs])
        low.append(0.0)
        high.append(float(cells * capacity))
    if neutral:
        rows.append([parent.charges.states[label] for _, label in pairs])
        low.append(-1e-6)
        high.append(1e-6)
    return sparse.csr_array(np.array(rows)), np.array(low), np.array(high)


def _summary(parent: Parent, pairs: Sequence[tuple[int, str]], numbers: np.ndarray) -> Counts:
    ions: list[dict[str, int]] = [{} for _ in parent.orbits]
    for (k, label), number in zip(pairs, numbers.tolist(), strict=True):
        ions[k][label] = number
    totals = {label: int(sum(orbit.get(label, 0) for orbit in ions)) for label in parent.amounts}
    charge = sum(parent.charges.states[label] * number for label, number in totals.items())
    atoms, parent_atoms = max(1, sum(totals.values())), sum(parent.amounts.values())
    changes: dict[str, float] = {}
    for label, number in totals.items():
        change = number / atoms - parent.amounts[label] / parent_atoms
        changes[symbol(label)] = changes.get(symbol(label), 0.0) + change
    lost = tuple(label for label, number in totals.items() if number == 0)
    return Counts(tuple(ions), float(charge), max(map(abs, changes.values())), lost)
