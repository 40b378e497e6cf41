"""The reference hull: known phases with DFT formation energies, and how far a material lies above them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pymatgen.core import Composition, Element

from ionsmith.artifacts.cards import load_artifact
from ionsmith.core.errors import InputError, PhysicsError
from ionsmith.core.quantities import suggestion
from ionsmith.core.records import FloatArray
from ionsmith.thermodynamics.terms import element_amounts, fractions

HULL = "reference_hull"
"""Name of the shipped table."""

RELEASES = {"mp2020": "formation_energy", "mp2018": "formation_energy_2018"}
"""Energy corrections that the table is offered in, and the array that holds each."""

_SAME = 1e-6  # atomic fractions that agree this well are the same formula
_MOST_ELEMENTS = 128  # beyond the largest atomic number
_NEGLIGIBLE = 1e-6  # atomic fraction below which a decomposition product is rounding
_MOST_TIES = 100  # equally near compounds that are looked at


@dataclass(frozen=True)
class Product:
    """One phase of a decomposition.

    Attributes:
        formula: reduced formula.
        fraction: share of all atoms that end in this phase.
        formation_energy: eV/atom.
    """

    formula: str
    fraction: float
    formation_energy: float


@dataclass(frozen=True)
class HullEnergy:
    """Where a material lies relative to the known phases.

    Attributes:
        energy_above_hull: eV/atom; negative: below every mixture of known phases.
        decomposition: the most stable mixture of known phases of the same composition.
        phases: how many known compounds and elements of its elements were compared.
    """

    energy_above_hull: float
    decomposition: tuple[Product, ...]
    phases: int


@dataclass(frozen=True)
class Near:
    """A known compound and how far its composition is from another one.

    Attributes:
        formula: reduced formula.
        distance: share of all atoms that would have to be exchanged, 0 (same formula) to 1 (no element in common):
            half the sum of the absolute differences of the atomic fractions.
    """

    formula: str
    distance: float


@dataclass(frozen=True)
class HullTable:
    """Known compounds with their formation energies; elements are always present, at zero.

    Attributes:
        elements: atomic numbers, the compounds one after another; shape (sum of lengths,).
        counts: atoms per reduced formula, same order; shape (sum of lengths,).
        lengths: number of elements per compound; shape (n,).
        energies: formation energy of the most stable polymorph, eV/atom; shape (n,).
        fingerprint: changes whenever the table does.
    """

    elements: NDArray[Any]
    counts: NDArray[Any]
    lengths: NDArray[Any]
    energies: FloatArray
    fingerprint: str = ""

    @classmethod
    def from_energies(cls, energies: Iterable[tuple[Composition, float]], *, fingerprint: str = "") -> Self:
        """Build a table from compositions with formation energies.

        Args:
            energies: pairs of composition and eV/atom; elements are left out, as they define zero.
            fingerprint: kept as is.

        Raises:
            InputError: a formation energy that is not finite.
        """
        flat: list[tuple[int, int]] = []
        lengths, values = [], []
        for composition, energy in energies:
            if not np.isfinite(energy):
                raise InputError(f"expected a finite formation energy of {composition.formula}, got {energy}")
            if len(composition) > 1:
                reduced = composition.element_composition.reduced_composition
                flat += [(element.Z, round(amount)) for element, amount in reduced.items()]
                lengths.append(len(reduced))
                values.append(energy)
        pairs = np.array(flat, dtype=np.int64).reshape(-1, 2)
        return cls(pairs[:, 0], pairs[:, 1], np.array(lengths, dtype=np.int64), np.array(values), fingerprint)

    @classmethod
    def load(cls, folder: Path | None = None, *, release: str = "mp2020") -> Self:
        """Read a table that ``build_hull`` wrote.

        Args:
            folder: parent folder of the artifact; the package's own if None.
            release: corrections of the energies: ``mp2020`` (what the element references map to) or ``mp2018``
                (as in the source).

        Raises:
            InputError: an unknown release.
            ArtifactError: missing or damaged.
        """
        if release not in RELEASES:
            raise InputError(f"hull: unknown release {release!r}{suggestion(release, RELEASES)}")
        artifact = load_artifact(HULL, folder=folder)
        a = artifact.arrays
        energies = a[RELEASES[release]].astype(np.float64)
        return cls(a["element"], a["count"], a["length"], energies, f"{HULL}-{release}-{artifact.fingerprint}")

    @classmethod
    def shipped(cls, *, release: str = "mp2020") -> HullTable:
        """Return the package's own table, read once per process.

        Args:
            release: as in :meth:`load`.

        Raises:
            InputError: an unknown release.
            ArtifactError: missing or damaged.
        """
        return _shipped(release)

    def __len__(self) -> int:
        return len(self.lengths)

    def formula(self, index: int) -> str:
        """Return the reduced formula of one compound.

        Args:
            index: its place in the table.
        """
        return str(self._composition(index).reduced_formula)

    def energy_above_hull(
        self, composition: Composition, formation_energy: float, *, without_own: bool = False
    ) -> HullEnergy:
        """Return how far a material lies above the most stable mixture of known phases.

        min_w sum_p w_p E_p with sum_p w_p x_p = x and w_p >= 0 over all phases p made of the material's elements
        (a linear programme) is the hull at x. A compound of the same formula takes part like any other phase, so a
        known stable compound comes out at the difference between the given energy and the table's: near zero, of
        either sign. With ``without_own`` it does not take part, and the result says what the material would have
        to compete with if it were not known; it is negative for a stable compound.

        Args:
            composition: of the material; any multiple.
            formation_energy: eV/atom, with the corrections of this table.
            without_own: leave out the table's compound of the same reduced formula.

        Raises:
            InputError: an empty composition, or an energy that is not finite.
            PhysicsError: the linear programme has no solution.
        """
        if not np.isfinite(formation_energy) or len(composition) == 0:
            raise InputError(
                f"expected a composition and a finite formation energy, got {composition} at {formation_energy}"
            )
        target = composition.element_composition.fractional_composition
        symbols = list(target)
        index = self._inside(symbols)
        if without_own:
            index = index[
                np.abs(self._shares(index, symbols) - list(target.values())).max(axis=1, initial=0.0) > 1e-6
            ]
        weights, energy = self._solve(index, symbols, np.array(list(target.values())))
        return HullEnergy(
            formation_energy - energy, self._products(index, symbols, weights), len(index) + len(symbols)
        )

    def known(self, composition: Composition) -> float | None:
        """Return the table's formation energy of a formula, eV/atom; None where it holds no such compound.

        Args:
            composition: any multiple.
        """
        elements, target = _target(composition)
        index = self._inside(elements)
        same = index[self._same(index, elements, target)]
        return float(self.energies[same].min()) if len(same) else None

    def nearest(self, composition: Composition, count: int = 3, *, within: bool = False) -> tuple[Near, ...]:
        """Return the compounds of nearest composition other than its own, nearest first, equals in order of formula.

        Args:
            composition: any multiple.
            count: how many at most.
            within: only compounds of exactly the same elements.
        """
        elements, target = _target(composition)
        if not len(self):
            return ()
        wanted = np.zeros(_MOST_ELEMENTS)
        wanted[[element.Z for element in elements]] = target
        atoms = np.add.reduceat(self.counts.astype(np.float64), self._starts[:-1])
        share = self.counts / np.repeat(atoms, self.lengths)
        apart = 1.0 - np.add.reduceat(np.minimum(share, wanted[self.elements]), self._starts[:-1])
        if within:
            same = np.zeros(len(self), dtype=bool)
            same[self._inside(elements)] = True
            apart[~(same & (self.lengths == len(elements)))] = 2.0
        apart[apart < _SAME] = 2.0
        # all that tie with the last one take part, so that the order of formulas settles it
        last = np.partition(apart, min(count, len(apart)) - 1)[min(count, len(apart)) - 1]
        places = np.flatnonzero((apart <= last + _SAME) & (apart < 1.0 - _SAME))[:_MOST_TIES]
        found = [Near(self.formula(int(i)), round(float(apart[i]), 6)) for i in places]
        return tuple(sorted(found, key=lambda near: (near.distance, near.formula))[:count])

    def entries(self, chemical_system: str | Iterable[str]) -> tuple[Any, ...]:
        """Return pymatgen ``PDEntry`` objects of all phases made of the given elements, elements included.

        Energies are formation energies times the number of atoms, so elements are at zero.

        Args:
            chemical_system: ``Li-P-S``, or element symbols.

        Raises:
            InputError: an unknown element, or none.
        """
        from pymatgen.analysis.phase_diagram import PDEntry

        symbols = chemical_system.split("-") if isinstance(chemical_system, str) else list(chemical_system)
        unknown = [symbol for symbol in symbols if not Element.is_valid_symbol(symbol)]
        if unknown or not symbols:
            raise InputError(f"expected element symbols such as Li-P-S, got {chemical_system!r}")
        elements = sorted({Element(symbol) for symbol in symbols})
        entries = [PDEntry(Composition({element: 1}), 0.0) for element in elements]
        for place in self._inside(elements):
            composition = self._composition(place)
            entries.append(PDEntry(composition, float(self.energies[place]) * composition.num_atoms))
        return tuple(entries)

    @cached_property
    def _starts(self) -> NDArray[np.int64]:
        return np.concatenate([[0], np.cumsum(self.lengths, dtype=np.int64)])

    @cached_property
    def _masks(self) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        """Elements of each compound as bits of two words: finding a chemical system is then one pass."""
        owner = np.repeat(np.arange(len(self)), self.lengths)
        number = self.elements.astype(np.uint64)
        words = []
        for word in (0, 1):
            mask = np.zeros(len(self), dtype=np.uint64)
            here = number // np.uint64(64) == word
            np.bitwise_or.at(mask, owner[here], np.left_shift(np.uint64(1), number[here] % np.uint64(64)))
            words.append(mask)
        return words[0], words[1]

    def _inside(self, symbols: Iterable[Element]) -> NDArray[np.int64]:
        allowed = sum(1 << element.Z for element in symbols)
        low, high = (np.uint64(~(allowed >> shift) & (2**64 - 1)) for shift in (0, 64))
        return np.flatnonzero(((self._masks[0] & low) | (self._masks[1] & high)) == 0)

    def _composition(self, index: int) -> Composition:
        part = slice(self._starts[index], self._starts[index + 1])
        pairs = zip(self.elements[part].tolist(), self.counts[part].tolist(), strict=True)
        return Composition({Element.from_Z(number): count for number, count in pairs})

    def _shares(self, index: NDArray[np.int64], elements: list[Element]) -> FloatArray:
        """Atomic fractions of compounds over the given elements, shape (n, k)."""
        column = np.zeros(_MOST_ELEMENTS, dtype=np.int64)
        column[[element.Z for element in elements]] = np.arange(len(elements))
        lengths = self.lengths[index].astype(np.int64)
        first = np.cumsum(lengths) - lengths
        place = np.repeat(self._starts[index] - first, lengths) + np.arange(lengths.sum())
        shares: FloatArray = np.zeros((len(index), len(elements)))
        shares[np.repeat(np.arange(len(index)), lengths), column[self.elements[place]]] = self.counts[place]
        shares /= shares.sum(axis=1, keepdims=True)
        return shares

    def _same(self, index: NDArray[np.int64], elements: list[Element], target: FloatArray) -> NDArray[np.bool_]:
        apart = np.abs(self._shares(index, elements) - target).max(axis=1, initial=0.0)
        return np.asarray(apart < _SAME)

    def _solve(
        self, index: NDArray[np.int64], elements: list[Element], target: FloatArray
    ) -> tuple[FloatArray, float]:
        from scipy.optimize import linprog

        shares = np.vstack([np.eye(len(elements)), self._shares(index, elements)])
        cost = np.concatenate([np.zeros(len(elements)), self.energies[index]])
        solved = linprog(cost, A_eq=shares.T, b_eq=target, bounds=(0.0, None), method="highs")
        if solved.status != 0:
            raise PhysicsError(f"no decomposition found over {len(cost)} phases: {solved.message}")
        weights: FloatArray = np.asarray(solved.x)
        return weights, float(cost @ weights)

    def _products(
        self, index: NDArray[np.int64], elements: list[Element], weights: FloatArray
    ) -> tuple[Product, ...]:
        products = []
        for place in np.argsort(-weights, kind="stable").tolist():
            if weights[place] > _NEGLIGIBLE:
                compound = place - len(elements)
                if compound < 0:
                    products.append(Product(elements[place].symbol, float(weights[place]), 0.0))
                else:
                    row = int(index[compound])
                    products.append(Product(self.formula(row), float(weights[place]), float(self.energies[row])))
        return tuple(products)


def _target(composition: Composition) -> tuple[list[Element], FloatArray]:
    shares = fractions(element_amounts(composition))
    return [Element(symbol) for symbol in shares], np.array(list(shares.values()))


@lru_cache(maxsize=2)
def _shipped(release: str) -> HullTable:
    return HullTable.load(release=release)
