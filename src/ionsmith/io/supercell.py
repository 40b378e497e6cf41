"""How often the primitive cell of a disordered crystal is repeated, so that its occupancies become whole ions."""

from __future__ import annotations

import math

from pymatgen.core import Lattice

from ionsmith.core.errors import PhysicsError
from ionsmith.io.orbits import CORE, Counts, Parent, count_ions, symbol

Repeats = tuple[int, int, int]

_MOST_CELLS = 64
_LONGEST_ASPECT = 3.0  # longest over shortest cell vector that repeating may cause
# (multiple of the tolerance, keep every species, neutral), from the best to the last that is accepted
_WISHES = (
    (1.0, True, True),
    (2.5, True, True),
    (1.0, False, True),
    (1.0, True, False),
    (1.0, False, False),
    (5.0, False, False),
)


def choose_supercell(parent: Parent, *, max_sites: int, tolerance: float) -> tuple[Repeats, Counts]:
    """Return how often a cell is repeated, and its ions, as the module ``ordering`` says.

    Args:
        parent: the disordered crystal.
        max_sites: most atoms.
        tolerance: wished difference of an element's atomic fraction.

    Raises:
        PhysicsError: the primitive cell has too many atoms, or no repetition comes near the composition.
    """
    atoms = sum(parent.amounts.values())
    most = min(_MOST_CELLS, math.floor(max_sites / atoms))
    if most < 1:
        raise PhysicsError(f"expected a primitive cell of at most {max_sites} atoms to order, got {atoms:.4g}")
    shapes = [shape for shape in (_shape(parent.lattice, n) for n in range(1, most + 1)) if shape]
    tried: list[tuple[Repeats, Counts, bool]] = []
    for neutral in (False,) if parent.charges.mixed else (True, False):
        for shape in shapes:
            counts = count_ions(parent, math.prod(shape), neutral=neutral)
            if counts is None or sum(counts.totals.values()) > max_sites:
                continue
            if neutral and counts.error <= tolerance and not counts.lost:
                return shape, counts
            tried.append((shape, counts, neutral))
    for slack, keep, neutral in _WISHES:
        fitting = [
            (shape, counts)
            for shape, counts, balanced in tried
            if counts.error <= slack * tolerance and not (keep and counts.lost) and balanced >= neutral
        ]
        if fitting:
            return min(fitting, key=lambda entry: entry[1].error) if slack > 1.0 else fitting[0]
    raise PhysicsError(
        f"expected an ordered cell of at most {max_sites} atoms within {_WISHES[-1][0] * tolerance:.2g} of the "
        f"composition, got none in {len(shapes)} supercells{_crowding(parent)}"
    )


def _crowding(parent: Parent) -> str:
    """Return which sites stand in each other's way, for a message."""
    for family, capacity in parent.crowds:
        orbits = [parent.orbits[k] for k in family]
        wanted = sum(len(orbit.sites) * sum(orbit.occupancy.values()) for orbit in orbits)
        if wanted > capacity:
            names = ", ".join(sorted({symbol(label) for orbit in orbits for label in orbit.occupancy}))
            return f": sites within {CORE:g} angstrom of each other have room for {capacity} of {wanted:.4g} {names}"
    return ""


def _shape(lattice: Lattice, cells: int) -> Repeats | None:
    """Return the most compact way to repeat a cell, or None where every way is a needle."""

    def aspect(shape: Repeats) -> float:
        lengths = [n * length for n, length in zip(shape, lattice.abc, strict=True)]
        return float(max(lengths) / min(lengths))

    divisors = [d for d in range(1, cells + 1) if cells % d == 0]
    shapes = [(a, b, cells // (a * b)) for a in divisors for b in divisors if cells % (a * b) == 0]
    best = min(shapes, key=lambda shape: (round(aspect(shape), 6), shape))
    return best if aspect(best) <= max(_LONGEST_ASPECT, aspect((1, 1, 1))) else None
