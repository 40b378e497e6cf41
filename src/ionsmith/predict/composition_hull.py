"""Energy of the hull of known phases at thousands of compositions a second: a small simplex per chemical system."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from ionsmith.core.errors import PhysicsError
from ionsmith.core.records import FloatArray
from ionsmith.represent.composition import Elements
from ionsmith.thermodynamics.phases import HullTable

_SAME = 1e-6  # atomic fractions that agree this well are the same formula
_OPTIMAL = 1e-10  # eV/atom; a phase that would lower the energy by less changes nothing
_PIVOT = 1e-12
_PATIENCE = 500  # steps; a dozen is usual

System = tuple[int, ...]


@dataclass(frozen=True)
class Phases:
    """The known compounds of one chemical system.

    Attributes:
        shares: atomic fractions over the system's elements, shape (m, k).
        energies: formation energies, eV/atom; shape (m,).
    """

    shares: FloatArray
    energies: FloatArray


@dataclass(frozen=True)
class QuickHull:
    """The phases of a hull table, sorted by chemical system.

    The table's own search walks through all phases and calls a general solver, which takes milliseconds; here
    the phases of a system are found by its subsets and the linear programme, min c w with A w = x and w >= 0, is
    solved by the primal simplex method from the elements, a basis that is always feasible.

    Attributes:
        table: known compounds.
    """

    table: HullTable

    @cached_property
    def _by_system(self) -> dict[System, NDArray[np.int64]]:
        lengths = self.table.lengths.astype(np.int64)
        starts = np.concatenate([[0], np.cumsum(lengths)])
        found: dict[System, list[int]] = {}
        numbers = self.table.elements.tolist()
        for row in range(len(lengths)):
            system = tuple(sorted(numbers[starts[row] : starts[row + 1]]))
            found.setdefault(system, []).append(row)
        return {system: np.array(rows, dtype=np.int64) for system, rows in found.items()}

    @cached_property
    def _starts(self) -> NDArray[np.int64]:
        return np.concatenate([[0], np.cumsum(self.table.lengths, dtype=np.int64)])

    def phases(self, system: System) -> Phases:
        """Return the compounds made of some elements only.

        Args:
            system: atomic numbers in rising order.
        """
        rows = [found for part in _subsets(system) if (found := self._by_system.get(part)) is not None]
        if not rows:
            return Phases(np.empty((0, len(system))), np.empty(0))
        index = np.concatenate(rows)
        lengths = self.table.lengths[index].astype(np.int64)
        owner = np.repeat(np.arange(len(index)), lengths)
        place = np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        place += np.repeat(self._starts[index], lengths)
        column = np.searchsorted(np.array(system), self.table.elements[place].astype(np.int64))
        shares = np.zeros((len(index), len(system)))
        shares[owner, column] = self.table.counts[place]
        return Phases(shares / shares.sum(axis=1, keepdims=True), self.table.energies[index])

    def energies(self, found: Elements) -> tuple[FloatArray, FloatArray]:
        """Return the hull without the formula's own phase, and the formula's known energy; each shape (n,), eV/atom.

        The known energy is NaN where the table holds no such formula.

        Args:
            found: elements of n compositions.

        Raises:
            PhysicsError: a linear programme that does not end.
        """
        hull, known = np.zeros(len(found.numbers)), np.full(len(found.numbers), np.nan)
        memory: dict[System, Phases] = {}
        for row, (numbers, shares) in enumerate(zip(found.numbers, found.fractions, strict=True)):
            count = int((numbers > 0).sum())
            order = np.argsort(numbers[:count])
            system = tuple(numbers[:count][order].tolist())
            phases = memory.get(system)
            if phases is None:
                phases = memory[system] = self.phases(system)
            hull[row], known[row] = _compare(phases, shares[:count][order])
        return hull, known


def _subsets(system: System) -> Iterator[System]:
    for size in range(2, len(system) + 1):
        yield from combinations(system, size)


def _compare(phases: Phases, target: FloatArray) -> tuple[float, float]:
    if len(target) == 1:
        return 0.0, 0.0  # an element defines zero
    own = np.abs(phases.shares - target).max(axis=1, initial=0.0) < _SAME
    known = float(phases.energies[own].min()) if own.any() else float("nan")
    return _lowest_mixture(phases.shares[~own], phases.energies[~own], target), known


def _lowest_mixture(shares: FloatArray, costs: FloatArray, target: FloatArray) -> float:
    """Return the energy of the most stable mixture of phases and elements at a composition, eV/atom."""
    inverse = np.eye(len(target))
    amounts, prices = target.copy(), np.zeros(len(target))
    for step in range(_PATIENCE if len(costs) else 0):
        gain = costs - shares @ (prices @ inverse)
        # the steepest phase is quick but may go in circles at a corner; the first one never does
        entering = int(gain.argmin()) if step < _PATIENCE // 2 else int((gain < -_OPTIMAL).argmax())
        if gain[entering] >= -_OPTIMAL:
            return float(prices @ amounts)
        direction = inverse @ shares[entering]
        ratio = np.where(direction > _PIVOT, np.maximum(amounts, 0.0) / np.maximum(direction, _PIVOT), np.inf)
        leaving = int(ratio.argmin())
        inverse[leaving] /= direction[leaving]
        rest = np.arange(len(target)) != leaving
        inverse[rest] -= np.outer(direction[rest], inverse[leaving])
        amounts = inverse @ target
        prices[leaving] = costs[entering]
    if len(costs):
        raise PhysicsError(f"no most stable mixture found over {len(costs)} phases in {_PATIENCE} steps")
    return 0.0
