"""Phase equilibria that exchange one element with a reservoir: voltage profiles, and reactions of two phases.

All energies are formation energies, so a reservoir of the pure metal is at zero and a voltage against it is minus the
chemical potential over the charge. Source of the construction: doi 10.1021/cm702327g and doi 10.1021/acsami.5b07517.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from pymatgen.core import Composition

from ionsmith.core.errors import InputError, PhysicsError
from ionsmith.core.records import FloatArray
from ionsmith.thermodynamics.terms import element_amounts

Amounts = Mapping[str, float]

HIGHEST = 10.0
"""Voltage up to which a profile reaches, V."""

_LOWEST = 1e-7  # V; at zero itself the metal is in equilibrium with everything
_SAME_ENERGY = 1e-7  # eV per mixture; a vertex must be this much below the chord
_SAME_UPTAKE = 1e-6  # atoms
_NEGLIGIBLE = 1e-6  # amount of a phase that is rounding


@dataclass(frozen=True)
class Phase:
    """A compound or element that may form.

    Attributes:
        formula: reduced formula.
        amounts: element to atoms per formula.
        energy: formation energy per formula, eV.
    """

    formula: str
    amounts: Amounts
    energy: float

    @classmethod
    def of(cls, composition: Composition, energy_per_atom: float) -> Phase:
        """Return the phase of a composition and its formation energy.

        Args:
            composition: any multiple.
            energy_per_atom: formation energy, eV/atom.
        """
        amounts = element_amounts(composition.element_composition.reduced_composition)
        return cls(str(composition.reduced_formula), amounts, energy_per_atom * sum(amounts.values()))


@dataclass(frozen=True)
class Plateau:
    """The equilibrium between two voltages.

    Attributes:
        high: upper end, V; infinite for the first one.
        low: lower end, V; zero for the last one.
        content: atoms of the exchanged element in the products.
        energy: of the products, eV.
        products: phase to number of formula units; the exchanged metal itself is not among them.
    """

    high: float
    low: float
    content: float
    energy: float
    products: tuple[tuple[Phase, float], ...]


@dataclass(frozen=True)
class Mixture:
    """The strongest reaction of two phases in any ratio.

    Attributes:
        energy: of the reaction, eV per atom of the mixture; zero where nothing happens.
        share: atomic fraction of the first phase in the mixture.
        products: phase to number of formula units per atom of the mixture.
    """

    energy: float
    share: float
    products: tuple[tuple[Phase, float], ...]


def voltage_profile(
    phases: Sequence[Phase], amounts: Amounts, *, mobile: str = "Li", charge: int = 1
) -> tuple[Plateau, ...]:
    """Return the equilibria of a material with a reservoir of one metal, from the highest voltage down to zero.

    Minimises sum_p w_p (E_p + z V n_p) with the amounts of all other elements fixed (a linear programme) at one
    voltage; the vertices of the lower convex hull of energy over content are found by cutting chords.

    Args:
        phases: everything that may form, elements included.
        amounts: atoms of each element in the material; those of the mobile element do not matter.
        mobile: the exchanged element.
        charge: its charge number z.

    Raises:
        InputError: nothing but the mobile element.
        PhysicsError: the linear programme has no solution.
    """
    fixed = {element: n for element, n in amounts.items() if element != mobile and n > 0.0}
    if not fixed:
        raise InputError(f"expected a material with elements besides {mobile}, got {dict(amounts)}")
    system = _Open(phases, fixed, mobile, charge)
    vertices = system.vertices(HIGHEST, _LOWEST)
    steps = [(b.energy - a.energy) / (charge * (a.content - b.content)) for a, b in pairwise(vertices)]
    highs, lows = [math.inf, *steps], [*steps, 0.0]
    return tuple(
        Plateau(high, low, v.content, v.energy, v.products)
        for v, high, low in zip(vertices, highs, lows, strict=True)
    )


def hull_energy(phases: Sequence[Phase], amounts: Amounts) -> tuple[float, tuple[tuple[Phase, float], ...]]:
    """Return the energy of the most stable mixture of phases, eV, and the mixture.

    Args:
        phases: everything that may form, elements included.
        amounts: atoms of each element.

    Raises:
        PhysicsError: the linear programme has no solution.
    """
    elements = sorted(element for element, n in amounts.items() if n > 0.0)
    usable = [phase for phase in phases if set(phase.amounts) <= set(elements)]
    weights, energy = _minimise(
        np.array([phase.energy for phase in usable]),
        _matrix(usable, elements),
        np.array([amounts[element] for element in elements]),
    )
    return energy, _mixture(usable, weights)


def mix(phases: Sequence[Phase], first: Phase, second: Phase) -> Mixture:
    """Return the reaction of two phases with the largest driving force over all mixing ratios.

    min_{x, w} sum_p w_p E_p - x E_1 - (1 - x) E_2 with the composition x c_1 + (1 - x) c_2, energies per atom: one
    linear programme over the ratio and the products together (doi 10.1021/acs.chemmater.5b04082 explains the model).

    Args:
        phases: everything that may form, elements included.
        first: one reactant.
        second: the other.

    Raises:
        PhysicsError: the linear programme has no solution.
    """
    elements = sorted(first.amounts.keys() | second.amounts.keys())
    usable = [phase for phase in phases if set(phase.amounts) <= set(elements)]
    one, two = (
        np.array([p.amounts.get(e, 0.0) for e in elements]) / sum(p.amounts.values()) for p in (first, second)
    )
    own = [p.energy / sum(p.amounts.values()) for p in (first, second)]
    # products balance x one + (1 - x) two; the ratio is one more unknown
    matrix = np.column_stack([_matrix(usable, elements), two - one])
    cost = np.array([phase.energy for phase in usable] + [own[1] - own[0]])
    bounds = [(0.0, None)] * len(usable) + [(0.0, 1.0)]
    weights, energy = _minimise(cost, matrix, two, bounds)
    if energy - own[1] > -_SAME_ENERGY:
        return Mixture(0.0, 0.5, ())
    return Mixture(energy - own[1], float(weights[-1]), _mixture(usable, weights[:-1]))


@dataclass(frozen=True)
class _Vertex:
    content: float
    energy: float
    products: tuple[tuple[Phase, float], ...]


class _Open:
    """The linear programme of a system that exchanges one element."""

    def __init__(self, phases: Sequence[Phase], fixed: Amounts, mobile: str, charge: int) -> None:
        allowed = set(fixed) | {mobile}
        self._phases = [p for p in phases if set(p.amounts) <= allowed and set(p.amounts) != {mobile}]
        elements = sorted(fixed)
        self._matrix = _matrix(self._phases, elements)
        self._target = np.array([fixed[element] for element in elements])
        self._energy = np.array([phase.energy for phase in self._phases])
        self._content = np.array([phase.amounts.get(mobile, 0.0) for phase in self._phases])
        self._charge = charge

    def vertices(self, high: float, low: float) -> list[_Vertex]:
        """Return the vertices between two voltages, from the highest voltage down."""
        first, last = self._at(high), self._at(low)
        if last.content - first.content < _SAME_UPTAKE:
            return [last]
        return [first, *self._between(first, last), last]

    def _between(self, first: _Vertex, last: _Vertex) -> list[_Vertex]:
        voltage = (first.energy - last.energy) / (self._charge * (last.content - first.content))
        found = self._at(voltage)
        line = first.energy + self._charge * voltage * first.content
        if found.energy + self._charge * voltage * found.content > line - _SAME_ENERGY:
            return []
        if min(found.content - first.content, last.content - found.content) < _SAME_UPTAKE:
            return []
        return [*self._between(first, found), found, *self._between(found, last)]

    def _at(self, voltage: float) -> _Vertex:
        weights, _ = _minimise(self._energy + self._charge * voltage * self._content, self._matrix, self._target)
        return _Vertex(float(weights @ self._content), float(weights @ self._energy), _mixture(self._phases, weights))


def _matrix(phases: Sequence[Phase], elements: Sequence[str]) -> FloatArray:
    """Atoms of each element (rows) per formula of each phase (columns)."""
    return np.array([[phase.amounts.get(element, 0.0) for phase in phases] for element in elements], dtype=float)


def _mixture(phases: Sequence[Phase], weights: FloatArray) -> tuple[tuple[Phase, float], ...]:
    order = sorted(np.flatnonzero(weights > _NEGLIGIBLE).tolist(), key=lambda place: phases[place].formula)
    return tuple((phases[place], float(weights[place])) for place in order)


def _minimise(
    cost: FloatArray,
    matrix: FloatArray,
    target: FloatArray,
    bounds: Sequence[tuple[float, float | None]] | None = None,
) -> tuple[FloatArray, float]:
    from scipy.optimize import linprog

    solved = linprog(cost, A_eq=matrix, b_eq=target, bounds=bounds or (0.0, None), method="highs")
    if solved.status != 0:
        raise PhysicsError(f"no equilibrium found over {len(cost)} phases: {solved.message}")
    weights: FloatArray = np.asarray(solved.x)
    return weights, float(cost @ weights)
