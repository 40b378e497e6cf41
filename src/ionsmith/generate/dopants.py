"""Aliovalent dopants: a host, a site, a dopant, and vacancies or interstitials of the mobile ion that pay for it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import spglib
from numpy.typing import NDArray
from pymatgen.core import Element, Structure

from ionsmith.core.crystals import arranged
from ionsmith.core.errors import InputError, PhysicsError
from ionsmith.core.records import Candidate, FloatArray, Kind, Origin
from ionsmith.io.charges import guess_charges
from ionsmith.io.ewald import ewald_matrix
from ionsmith.io.ordering import order_candidate
from ionsmith.landscape import build_network, percolation

APART = 1.3
"""Interstitial sites closer to an atom of the host than this are taken by it already, angstrom."""

_BEAM = 24  # arrangements that are kept after every step, lowest electrostatic energy first
_MOST_REPEATS = 4  # along each vector
_MOST_OPERATIONS = 400  # of the supercell's space group; more only cost time
_MOST_INTERSTITIALS = 60  # sites per supercell that are tried, lowest landscape energy first
_ALIKE = 0.3  # angstrom within which a symmetry operation must meet a site
Permutations = NDArray[np.int64]


@dataclass(frozen=True)
class Doping:
    """What is put where.

    Attributes:
        site: element that is replaced.
        dopant: element that replaces it.
        level: wanted share of the replaced atoms, above zero and at most one.
        charge: of the dopant, e; None takes its common oxidation state nearest to the site's charge.
        mobile: element whose vacancies or interstitials balance the charge.
        max_sites: largest cell, atoms.
        tolerance: largest accepted difference between the level and what the cell allows; a quarter of the level
            where that is less.
    """

    site: str
    dopant: str
    level: float
    charge: int | None = None
    mobile: str = "Li"
    max_sites: int = 150
    tolerance: float = 0.03

    def __post_init__(self) -> None:
        """Refuse what cannot be.

        Raises:
            InputError: an unknown element, equal elements, a level outside (0, 1], or a cell without atoms.
        """
        for symbol in (self.site, self.dopant, self.mobile):
            if not Element.is_valid_symbol(symbol):
                raise InputError(f"dope: expected an element symbol, got {symbol!r}")
        if self.site == self.dopant or self.mobile in (self.site, self.dopant):
            raise InputError(
                f"dope: expected three different elements, got {self.site}, {self.dopant}, {self.mobile}"
            )
        if not 0.0 < self.level <= 1.0:
            raise InputError(f"dope: expected a level above 0 and at most 1, got {self.level:g}")
        if self.max_sites < 1:
            raise InputError(f"dope: expected max_sites of at least 1, got {self.max_sites}")


def dope(host: Candidate, doping: Doping, *, count: int = 5) -> tuple[Candidate, ...]:
    """Return symmetry-distinct doped crystals, charge-balanced, lowest electrostatic energy first.

    The smallest supercell that holds the level is taken. One substitution, vacancy or interstitial after the other is
    placed; after each, arrangements that the host's space group maps onto each other count once and those of the
    lowest point-charge energy are kept. The result depends on the arguments alone. Interstitials go to the minima of
    the host's bond-valence landscape. Nothing is relaxed.

    Args:
        host: a crystal, ordered or disordered (as its ordered approximant).
        doping: what is put where.
        count: most crystals.

    Raises:
        InputError: not a crystal, a count below one, or a host without the site or the mobile element.
        PhysicsError: charges that cannot be balanced, no supercell within the bounds, or too few vacancies or sites.
    """
    if count < 1:
        raise InputError(f"dope: expected a count of at least 1, got {count}")
    ordered = order_candidate(host, max_sites=doping.max_sites)
    primitive = ordered.structure.copy()
    charges = _charges(primitive)
    primitive.remove_oxidation_states()
    primitive = _primitive(primitive)
    for symbol in (doping.site, doping.mobile):
        if symbol not in charges:
            raise InputError(f"dope: {host.formula or 'the host'} holds no {symbol}")
    if not charges[doping.mobile]:
        raise PhysicsError(f"dope: {doping.mobile} has no charge in {host.formula}, so that it balances nothing")
    added = _dopant_charge(doping, charges[doping.site]) - charges[doping.site]
    large, number, extra = _choose_cell(primitive, doping, added / charges[doping.mobile])
    sites = _interstitials(primitive, large, doping.mobile, repeats=extra) if added < 0 else np.zeros((0, 3))
    plan = _Plan(large, sites, charges, doping, number, added)
    return tuple(
        _candidate(ordered, plan, state, place, energy, plan.found[0][0])
        for place, (energy, state) in enumerate(plan.found[:count], start=1)
    )


State = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]
"""Substituted sites, vacant sites, filled interstitial sites, each in ascending order."""


class _Plan:
    """Places substitutions and their compensation one after the other, by beam search."""

    def __init__(
        self,
        large: Structure,
        interstitials: FloatArray,
        charges: dict[str, float],
        doping: Doping,
        number: int,
        added: float,
    ) -> None:
        self.large, self.doping, self.number = large, doping, number
        self.places = np.vstack([large.frac_coords, interstitials])
        self._host = len(large)
        self._added, self._unit = added, charges[doping.mobile]
        self._charges = np.array([charges[site.specie.symbol] for site in large] + [0.0] * len(interstitials))
        self._clash = _clashes(large, interstitials)
        self._matrix = ewald_matrix(large.lattice, self.places)
        self._permutations = _permutations(large, interstitials)
        self.compensation = round(abs(number * added) / self._unit)
        self.vacancies = added > 0
        self.found = self._search()

    def _search(self) -> list[tuple[float, State]]:
        symbols = [site.specie.symbol for site in self.large]
        replaced = [n for n, symbol in enumerate(symbols) if symbol == self.doping.site]
        mobile = [n for n, symbol in enumerate(symbols) if symbol == self.doping.mobile]
        free = mobile if self.vacancies else list(range(self._host, len(self.places)))
        if self.compensation > len(free):
            kind = "mobile ions to remove" if self.vacancies else "interstitial sites"
            raise PhysicsError(f"dope: expected at least {self.compensation} {kind}, got {len(free)}")
        beam: list[State] = [((), (), ())]
        for part, choices, times in (
            (0, replaced, self.number),
            (1 if self.vacancies else 2, free, self.compensation),
        ):
            for _ in range(times):
                beam = self._step(beam, part, choices)
        return [(self._energy(state), state) for state in beam]

    def _step(self, beam: Sequence[State], part: int, choices: Sequence[int]) -> list[State]:
        grown: dict[State, float] = {}
        for state in beam:
            for place in choices:
                if place not in state[part]:
                    parts = list(state)
                    parts[part] = tuple(sorted((*state[part], place)))
                    made: State = (parts[0], parts[1], parts[2])
                    if not self._crowded(made):
                        grown[made] = self._energy(made)
        lowest = sorted(grown, key=lambda state: (round(grown[state], 6), state))
        kept: list[State] = []
        seen: set[State] = set()
        for state in lowest:
            name = self._canonical(state)
            if name not in seen:
                seen.add(name)
                kept.append(state)
            if len(kept) == _BEAM:
                break
        if not kept:
            raise PhysicsError("dope: no place is left for the compensating ions")
        return kept

    def _crowded(self, state: State) -> bool:
        """Whether two filled interstitial sites are too close."""
        filled = [place - self._host for place in state[2]]
        return bool(self._clash[np.ix_(filled, filled)].any())

    def _energy(self, state: State) -> float:
        charges = self._charges.copy()
        charges[list(state[0])] += self._added
        charges[list(state[1])] = 0.0
        charges[list(state[2])] = self._unit
        return float(charges @ self._matrix @ charges)

    def _canonical(self, state: State) -> State:
        """The smallest of all states that symmetry makes of this one."""
        moved = [np.sort(self._permutations[:, list(part)], axis=1) for part in state]
        rows = np.hstack(moved)
        first = rows[np.lexsort(rows.T[::-1])[0]].tolist() if rows.shape[1] else []
        ends = np.cumsum([0, *(len(part) for part in state)]).tolist()
        parts = [tuple(int(n) for n in first[a:b]) for a, b in itertools.pairwise(ends)]
        return parts[0], parts[1], parts[2]


def _primitive(structure: Structure) -> Structure:
    """The primitive cell, atoms as they are; the given cell where symmetry finds none."""
    numbers = [site.specie.Z for site in structure]
    try:  # spglib raises or returns None, depending on a switch that other libraries turn
        found = spglib.standardize_cell(
            (structure.lattice.matrix, structure.frac_coords, numbers),
            to_primitive=True,
            no_idealize=True,
            symprec=0.01,
        )
    except getattr(spglib, "SpglibError", ValueError):
        found = None
    if found is None or len(found[2]) >= len(structure):
        return structure
    return Structure(found[0], [Element.from_Z(int(n)) for n in found[2]], found[1])


def _charges(structure: Structure) -> dict[str, float]:
    """Mean charge of every element."""
    states = guess_charges(structure.composition).states
    total: dict[str, float] = {}
    for species, number in structure.composition.items():
        total[species.symbol] = total.get(species.symbol, 0.0) + states[str(species)] * float(number)
    amounts = structure.composition.element_composition
    charges = {symbol: charge / float(amounts[symbol]) for symbol, charge in total.items()}
    net = sum(total.values())
    if abs(net) > 0.01 * len(structure):
        raise PhysicsError(f"dope: the host's charges do not balance, net {net:+.3g}")
    return charges


def _dopant_charge(doping: Doping, site: float) -> float:
    if doping.charge is not None:
        return float(doping.charge)
    element = Element(doping.dopant)
    known = [q for q in element.common_oxidation_states or element.oxidation_states if q * site > 0]
    if not known:
        raise PhysicsError(
            f"dope: no oxidation state of {doping.dopant} of the sign of {doping.site}; give its charge"
        )
    return float(min(known, key=lambda q: (abs(q - site), q)))


def _choose_cell(primitive: Structure, doping: Doping, ratio: float) -> tuple[Structure, int, tuple[int, int, int]]:
    """Return the smallest, most compact supercell that holds the level, the substitutions in it, and its repeats."""
    per_cell = sum(site.specie.symbol == doping.site for site in primitive)
    best: tuple[tuple[int, float, tuple[int, int, int]], int] | None = None
    counts = range(1, _MOST_REPEATS + 1)
    for i, j, k in itertools.product(counts, counts, counts):
        repeats = (i, j, k)
        cells = math.prod(repeats)
        number = round(doping.level * per_cell * cells)
        paid = number * ratio
        off = abs(number / (per_cell * cells) - doping.level)
        if number < 1 or off > min(doping.tolerance, 0.25 * doping.level) or abs(paid - round(paid)) > 0.01:
            continue
        if cells * len(primitive) > doping.max_sites:
            continue
        edges = [n * a for n, a in zip(repeats, primitive.lattice.abc, strict=True)]
        rank = (cells, round(max(edges) / min(edges), 4), repeats)
        if best is None or rank < best[0]:
            best = (rank, number)
    if best is None:
        raise PhysicsError(
            f"dope: no cell of at most {doping.max_sites} atoms holds {doping.level:g} {doping.dopant} on "
            f"{doping.site} within {doping.tolerance:g} with whole compensating ions"
        )
    return _repeat(primitive, best[0][2]), best[1], best[0][2]


def _repeat(primitive: Structure, repeats: tuple[int, int, int]) -> Structure:
    large = primitive.copy()
    large.make_supercell(repeats)
    return large


def _interstitials(
    primitive: Structure, large: Structure, mobile: str, *, repeats: tuple[int, int, int]
) -> FloatArray:
    """Empty minima of the host's landscape, in the supercell, lowest energy first; shape (n, 3)."""
    numbers = tuple(site.specie.Z for site in primitive)
    free = _empty_minima(primitive.lattice.matrix.tobytes(), numbers, primitive.frac_coords.tobytes(), mobile)
    cells = itertools.product(*(range(n) for n in repeats))
    shifts = np.array(list(cells), dtype=float)
    most = max(1, _MOST_INTERSTITIALS // len(shifts))
    places = [(np.asarray(place) + shift) / np.array(repeats) for place in free[:most] for shift in shifts]
    return np.array(places).reshape(-1, 3) % 1.0


@lru_cache(maxsize=256)
def _empty_minima(cell: bytes, numbers: tuple[int, ...], coordinates: bytes, mobile: str) -> tuple[FloatArray, ...]:
    """Empty minima of a crystal's landscape, lowest energy first; remembered, since a search dopes its best often.

    Args:
        cell: vectors as rows, angstrom; bytes of an array of shape (3, 3).
        numbers: atomic number of each of n sites.
        coordinates: fractional; bytes of an array of shape (n, 3).
        mobile: symbol of the ion that moves.
    """
    elements = [Element.from_Z(number) for number in numbers]
    crystal = Structure(np.frombuffer(cell).reshape(3, 3), elements, np.frombuffer(coordinates).reshape(-1, 3))
    network = build_network(percolation(crystal, mobile))
    free = []
    for site in sorted(network.sites, key=lambda each: (round(each.energy, 4), each.fractional.tolist())):
        distances = crystal.lattice.get_all_distances([site.fractional], crystal.frac_coords)
        if float(distances.min()) >= APART:
            free.append(site.fractional)
    return tuple(free)


def _clashes(large: Structure, interstitials: FloatArray) -> NDArray[np.bool_]:
    """Which pairs of interstitial sites cannot be filled at once, shape (n, n)."""
    if not len(interstitials):
        return np.zeros((0, 0), dtype=bool)
    apart = large.lattice.get_all_distances(interstitials, interstitials)
    return np.asarray((apart < APART) & ~np.eye(len(interstitials), dtype=bool))


def _permutations(large: Structure, interstitials: FloatArray) -> Permutations:
    """Where each operation of the host's space group takes each site; shape (operations, sites)."""
    numbers = [site.specie.Z for site in large]
    try:  # spglib raises or returns None, depending on a switch that other libraries turn
        found = spglib.get_symmetry((large.lattice.matrix, large.frac_coords, numbers), symprec=0.05)
    except getattr(spglib, "SpglibError", ValueError):
        found = None
    places = np.vstack([large.frac_coords, interstitials])
    rows = [np.arange(len(places))]
    if found is not None:
        kinds = np.array([*numbers, *([0] * len(interstitials))])
        pairs = zip(found["rotations"], found["translations"], strict=True)
        rows += list(_mapped(large, places, kinds, itertools.islice(pairs, _MOST_OPERATIONS)))
    return np.array(rows, dtype=np.int64)


def _mapped(
    large: Structure, places: FloatArray, kinds: NDArray[np.int64], pairs: Iterator[tuple[FloatArray, FloatArray]]
) -> Iterator[NDArray[np.int64]]:
    for rotation, shift in pairs:
        moved = places @ np.asarray(rotation).T + shift
        apart = moved[:, None, :] - places[None, :, :]
        apart -= np.round(apart)
        distance = np.linalg.norm(apart @ large.lattice.matrix, axis=2)
        distance[kinds[:, None] != kinds[None, :]] = np.inf
        target = distance.argmin(axis=1)
        if distance[np.arange(len(places)), target].max() < _ALIKE and len(set(target.tolist())) == len(places):
            yield target


def _candidate(host: Candidate, plan: _Plan, state: State, place: int, energy: float, lowest: float) -> Candidate:
    doping = plan.doping
    species = [site.specie for site in plan.large]
    for n in state[0]:
        species[n] = Element(doping.dopant)
    keep = [n for n in range(len(species)) if n not in state[1]]
    kinds = [species[n] for n in keep] + [Element(doping.mobile)] * len(state[2])
    places = [*(plan.places[n] for n in keep), *(plan.places[n] for n in state[2])]
    made = Structure(plan.large.lattice, kinds, places).get_sorted_structure()
    total = sum(site.specie.symbol == doping.site for site in plan.large)
    paid = f"{plan.compensation} {doping.mobile} {'vacancies' if plan.vacancies else 'interstitials'}"
    notes = (
        *host.source.notes,
        f"doped: {len(state[0])} of {total} {doping.site} replaced by {doping.dopant}, balanced by "
        f"{paid if plan.compensation else 'nothing'}",
        f"arrangement {place} by point charges, {energy - lowest:.3f} eV per cell above the lowest; not relaxed",
    )
    locator = f"{host.source.locator}+{doping.dopant}:{doping.site}:{doping.level:g}#{place}"
    facts = {"host": host.formula, "host_key": host.key}
    return Candidate(
        Kind.CRYSTAL, made, arranged(Origin("dopants", locator, facts, notes)), (*host.parents, host.key)
    )
