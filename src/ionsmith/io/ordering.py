"""An ordered stand-in for a disordered crystal, for the potentials that know no partial occupancy.

How it is chosen, the same way every time:

1. Charges: as the file gives them, or the neutral assignment most frequent among known crystals.
2. Cell: the primitive cell, repeated 1, 2, 3, ... times in the most compact way, up to ``max_sites`` atoms. The
   first repetition wins whose occupancies round to whole ions that keep every species, have no net charge, and leave
   every element's atomic fraction within ``tolerance`` of the crystal's. Where there is none, the wishes are dropped
   in this order: fractions within 2.5 times the tolerance; a trace species lost; a net charge (the file itself is not
   neutral); both; fractions within 5 times the tolerance. The note says so.
3. Counts: per set of sites of equal occupancy, by a small integer program (:func:`ionsmith.io.orbits.count_ions`).
4. Places: lowest electrostatic energy (Ewald) under contact distances, greedy, then by swaps
   (:func:`ionsmith.io.placement.place`). Ions are never put closer than 1.0 angstrom (0.7 with hydrogen), and like
   charges not closer than 1.5 angstrom where that can be had.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from pymatgen.core import Species, Structure

from ionsmith.core.crystals import arranged
from ionsmith.core.records import Candidate
from ionsmith.io.arrange import Supercell, arrange
from ionsmith.io.charges import Charges, guess_charges
from ionsmith.io.orbits import Counts, make_parent, symbol
from ionsmith.io.supercell import choose_supercell


@dataclass(frozen=True)
class Ordering:
    """An ordered approximant and what it costs in fidelity.

    Attributes:
        structure: ordered crystal; the one given where that is ordered already.
        note: one line that says how it was made, empty where nothing was done.
        supercell: repetitions of the primitive cell.
        composition_error: largest difference of an element's atomic fraction from the disordered crystal's.
        net_charge: of the cell with the charges that were used, e.
        ewald_energy: electrostatic energy, eV/atom; None where nothing was done.
        shortest_distance: between two atoms, angstrom; infinite where the cell has one atom.
        oxidation_states: species label to charge, e.
        moves: swaps made.
    """

    structure: Structure
    note: str
    supercell: tuple[int, int, int]
    composition_error: float
    net_charge: float
    ewald_energy: float | None
    shortest_distance: float
    oxidation_states: Mapping[str, float]
    moves: int = 0


def order_candidate(candidate: Candidate, *, max_sites: int = 200) -> Candidate:
    """Return a crystal candidate with an ordered structure; itself where it is ordered.

    Args:
        candidate: a crystal.
        max_sites: most atoms of the ordered cell.

    Raises:
        InputError: not a crystal.
        PhysicsError: no approximant within the bounds.
    """
    if candidate.structure.is_ordered:
        return candidate
    ordering = ordered_approximant(candidate.structure, max_sites=max_sites)
    child = candidate.child(ordering.structure, note=ordering.note)
    return replace(child, source=arranged(child.source))


def ordered_approximant(structure: Structure, *, max_sites: int = 200, tolerance: float = 0.01) -> Ordering:
    """Return an ordered crystal that stands in for a disordered one; the module says how it is chosen.

    Args:
        structure: any crystal.
        max_sites: most atoms of the ordered cell.
        tolerance: largest accepted difference of an element's atomic fraction.

    Raises:
        PhysicsError: the primitive cell alone has too many atoms, no repetition comes near the composition, there
            are too many open sites, or no arrangement keeps the ions apart.
    """
    charges = guess_charges(structure.composition)
    if structure.is_ordered:
        net = sum(charges.states[str(s)] * n for s, n in structure.composition.items())
        return Ordering(structure, "", (1, 1, 1), 0.0, net, None, _shortest(structure), charges.states)
    parent = make_parent(structure, charges)
    repeats, counts = choose_supercell(parent, max_sites=max_sites, tolerance=tolerance)
    states = _balanced(charges, counts)
    cell = Supercell(parent, repeats, counts, states)
    ordered, energy, moves = arrange(cell)
    net = sum(states[label] * n for label, n in counts.totals.items())
    note = _note(cell, net)
    if not any(isinstance(s, Species) for s in structure.composition):
        ordered.remove_oxidation_states()
    shortest = _shortest(ordered)
    return Ordering(ordered, note, repeats, counts.error, net, energy / len(ordered), shortest, states, moves)


def _balanced(charges: Charges, counts: Counts) -> Mapping[str, float]:
    """Let a mixed-valence element take up what rounding left over."""
    mixed = [label for label in charges.states if charges.mixed and symbol(label) == charges.mixed]
    ions = sum(counts.totals.get(label, 0) for label in mixed)
    if not ions:
        return charges.states
    return {label: q - (counts.charge / ions if label in mixed else 0.0) for label, q in charges.states.items()}


def _shortest(structure: Structure) -> float:
    if len(structure) < 2:
        return math.inf
    distances = np.array(structure.distance_matrix)
    np.fill_diagonal(distances, np.inf)
    return float(distances.min())


def _note(cell: Supercell, net: float) -> str:
    counts = cell.counts
    parts = [
        f"ordered approximant of {sum(counts.totals.values())} atoms, "
        f"{'x'.join(map(str, cell.repeats))} primitive cells",
        f"atomic fractions within {counts.error:.2g}",
    ]
    if counts.lost:
        parts.append(f"without {', '.join(counts.lost)}")
    parts.append(f"net charge {net:+.3g}, no neutral rounding" if abs(net) > 1e-6 else "neutral")
    return f"{'; '.join(parts)} ({cell.parent.charges.note})"
