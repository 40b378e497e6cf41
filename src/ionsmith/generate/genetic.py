"""A genetic algorithm over compositions and known frameworks: ions mutate, cross, and the better crystals have young.

Tournament selection (Goldberg and Deb, doi 10.1016/B978-0-08-050684-5.50008-2), elitism, and a limit on how many of
the population may be alike. Coordinates are inherited, never invented: mutation is the substitution of
``generate/ions.py`` or the doping of ``generate/doping.py``, and crossover puts elements of one parent into the
framework of the other.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from ionsmith.core.errors import InputError
from ionsmith.core.protocols import Objective, Rng
from ionsmith.core.records import Candidate, Kind, Origin, Outcome
from ionsmith.core.registry import register
from ionsmith.generate.doping import AliovalentExchange
from ionsmith.generate.feedback import fitness, proposal_key
from ionsmith.generate.ions import (
    Compound,
    IonExchange,
    IonicCrystal,
    Swap,
    compound_of,
    exchanged,
    formula_after,
    in_words,
    ionic_crystals,
)

_TRIES = 50  # draws per child among the population, and as many among the prototypes before it has run dry
_CONTESTANTS = 3  # of a tournament
_LARGEST_DOPED = 48  # atoms of a cell with dopants
_IMMIGRANTS = 0.1  # share of children whose framework is any prototype: no framework is lost for good


@dataclass(frozen=True)
class Individual:
    """A crystal with its fitness.

    Attributes:
        crystal: what is inherited.
        compound: formula, and the space group of the prototype whose framework it has.
        score: fitness, 0 to 1; 0 for a prototype that nobody judged.
    """

    crystal: IonicCrystal
    compound: Compound
    score: float = 0.0

    @property
    def system(self) -> frozenset[str]:
        """Its chemical system."""
        return frozenset(self.crystal.charges)


@register("generator", "genetic")
class Genetic:
    """Breeds crystals from the best ones told so far; never proposes a compound twice, or a prototype.

    The population are the best of all individuals, so the elite stays as long as nothing beats it. It starts from the
    prototypes, which count as worth nothing until something is known.

    Args:
        prototypes: known crystals; see :func:`ionsmith.generate.ions.ionic_crystals` for those that serve.
        mobile: symbol of the ion that stays.
        exclude: symbols of elements that never appear in a child.
        objective: gives the fitness; without one all are equal.
        boldness: temperature of mutations; see :class:`ionsmith.generate.ions.IonExchange`.
        population: how many may become parents.
        crossover: probability that a child has two parents.
        doping: probability that a child is its parent with a dopant, rather than with other ions throughout; doped
            cells are larger and cost more.
        share: largest part of the population that may come from one chemical system.

    Raises:
        InputError: a number outside its range.
    """

    name = "genetic"

    def __init__(
        self,
        prototypes: Sequence[Candidate] = (),
        *,
        mobile: str = "Li",
        exclude: Sequence[str] = (),
        objective: Objective | None = None,
        boldness: float = 2.0,
        population: int = 40,
        crossover: float = 0.3,
        doping: float = 0.0,
        share: float = 0.1,
    ) -> None:
        if population < 1:
            raise InputError(f"genetic: expected a population of at least 1, got {population}")
        if not 0.0 <= crossover <= 1.0:
            raise InputError(f"genetic: expected a probability of crossover from 0 to 1, got {crossover}")
        if not 0.0 <= doping <= 1.0:
            raise InputError(f"genetic: expected a probability of doping from 0 to 1, got {doping}")
        if not 0.0 < share <= 1.0:
            raise InputError(f"genetic: expected a share above 0 and up to 1, got {share}")
        self._exchange = IonExchange(mobile=mobile, exclude=exclude, boldness=boldness)
        self._dopants = AliovalentExchange(mobile=mobile, exclude=exclude, boldness=boldness, largest=_LARGEST_DOPED)
        self._doping = doping
        self._mobile, self._exclude, self._objective = mobile, frozenset(exclude), objective
        self._size, self._crossover, self._most_alike = population, crossover, math.ceil(share * population)
        crystals = ionic_crystals(prototypes, mobile=mobile)
        self._prototypes = [Individual(crystal, compound_of(crystal.candidate)) for crystal in crystals]
        self._population = list(self._prototypes)
        self._known = {individual.compound for individual in self._prototypes}
        self._waiting: dict[str, Individual] = {}
        self._told: dict[Compound, Individual] = {}

    def fit(self, outcomes: Sequence[Outcome], rng: Rng) -> Self:
        """Take known crystals into the population, as if they had been told.

        Args:
            outcomes: of known materials.
            rng: random stream, not used.
        """
        self.tell(outcomes, rng)
        return self

    def ask(self, n: int, rng: Rng, condition: Any = None) -> Sequence[Outcome]:
        """Return up to n children; fewer once draws find no new compound.

        Args:
            n: number of proposals.
            rng: random stream.
            condition: ignored; the objective was given to the constructor.
        """
        children: list[Outcome] = []
        while len(children) < n and (child := self._child(rng)) is not None:
            children.append(child)
        return tuple(children)

    def tell(self, outcomes: Sequence[Outcome], rng: Rng) -> None:
        """Give children their fitness and choose the next parents; crystals of others are welcome.

        Args:
            outcomes: of proposals or known crystals, merged over all stages.
            rng: random stream, not used.
        """
        for outcome in outcomes:
            for individual in self._recognised(outcome.candidate):
                self._told[individual.compound] = replace(individual, score=fitness(outcome, self._objective))
                self._known.add(individual.compound)
        unjudged = [one for one in self._prototypes if one.compound not in self._told]
        self._population = self._fittest([*unjudged, *self._told.values()])

    def _recognised(self, candidate: Candidate) -> Iterable[Individual]:
        """Yield the individual that a crystal is; what a stage made of a child has the child's charges."""
        key = proposal_key(candidate, self._waiting)
        if key is None:
            for crystal in ionic_crystals([candidate], mobile=self._mobile):
                yield Individual(crystal, compound_of(crystal.candidate))
            return
        child = self._waiting.pop(key)
        if candidate.kind is Kind.CRYSTAL:
            yield replace(child, crystal=IonicCrystal(candidate, child.crystal.charges))

    def _fittest(self, individuals: Sequence[Individual]) -> list[Individual]:
        """Return the best, no more of one chemical system than allowed; the earlier of equals."""
        chosen: list[Individual] = []
        held: Counter[frozenset[str]] = Counter()
        for individual in sorted(individuals, key=lambda one: -one.score):
            if len(chosen) < self._size and held[individual.system] < self._most_alike:
                chosen.append(individual)
                held[individual.system] += 1
        return chosen

    def _child(self, rng: Rng) -> Outcome | None:
        for attempt in range(2 * _TRIES if self._prototypes or self._population else 0):
            breeders = self._population if attempt < _TRIES or not self._prototypes else self._prototypes
            if self._doping and rng.random() < self._doping:
                if (outcome := self._doped(breeders, rng)) is not None:
                    return outcome
                continue
            first, second, swap = self._mated(breeders, rng)
            compound = formula_after(first.crystal.candidate, swap), first.compound[1]
            charges = exchanged(first.crystal.charges, swap)
            if swap and compound not in self._known and not self._exclude & set(charges):
                self._known.add(compound)
                return self._born(first, second, swap, compound)
        return None

    def _doped(self, breeders: Sequence[Individual], rng: Rng) -> Outcome | None:
        """Return a child that is its parent with a dopant; None where none fits or the compound is known."""
        parent = self._parent(breeders, rng)
        doping = self._dopants.draw(parent.crystal, rng)
        crystal = None if doping is None else self._dopants.apply(parent.crystal, doping, origin=self.name)
        if crystal is None:
            return None
        compound = str(crystal.candidate.composition.reduced_formula), parent.compound[1]
        if compound in self._known or self._exclude & set(crystal.charges):
            return None
        self._known.add(compound)
        self._waiting[crystal.candidate.key] = Individual(crystal, compound)
        return Outcome(crystal.candidate)

    def _parent(self, breeders: Sequence[Individual], rng: Rng) -> Individual:
        foreign = self._prototypes and rng.random() < _IMMIGRANTS
        return _any(self._prototypes, rng) if foreign else _winner(breeders, rng)

    def _mated(self, breeders: Sequence[Individual], rng: Rng) -> tuple[Individual, Individual | None, Swap]:
        """Return the parent of the framework, the second parent if there is one, and the exchange of ions."""
        first = self._parent(breeders, rng)
        if rng.random() < self._crossover:
            second = _winner(breeders, rng)
            if swap := self._crossed(first, second, rng):
                return first, second, swap
        return first, None, self._exchange.draw(first.crystal.charges, rng)

    def _crossed(self, first: Individual, second: Individual, rng: Rng) -> Swap:
        """Return which ions of the first become ions of the second of their charge: at least one, each by a coin."""
        mine, theirs = first.crystal.charges, second.crystal.charges
        new = sorted(symbol for symbol in theirs if symbol not in mine and symbol != self._mobile)
        hosts = sorted(symbol for symbol in mine if symbol != self._mobile)
        swap: dict[str, str] = {}
        for host in (hosts[place] for place in rng.permutation(len(hosts))):
            fitting = [symbol for symbol in new if theirs[symbol] == mine[host] and symbol not in swap.values()]
            if fitting and (not swap or rng.random() < 0.5):
                swap[host] = fitting[int(rng.integers(len(fitting)))]
        return tuple(sorted(swap.items()))

    def _born(self, first: Individual, second: Individual | None, swap: Swap, compound: Compound) -> Outcome:
        parent = first.crystal.candidate
        words = f"{parent.formula}: {in_words(swap)}"
        parents = [parent.key]
        if second is not None:
            words += f", as in {second.crystal.candidate.formula}"
            parents.append(second.crystal.candidate.key)
        outcome = self._exchange.apply(parent, swap, origin=Origin(self.name, words), parents=tuple(parents))
        crystal = IonicCrystal(outcome.candidate, exchanged(first.crystal.charges, swap))
        self._waiting[outcome.candidate.key] = Individual(crystal, compound)
        return outcome


def _any(individuals: Sequence[Individual], rng: Rng) -> Individual:
    return individuals[int(rng.integers(len(individuals)))]


def _winner(individuals: Sequence[Individual], rng: Rng) -> Individual:
    """Return the fittest of a few drawn evenly; the first drawn of equals."""
    return max((_any(individuals, rng) for _ in range(_CONTESTANTS)), key=lambda one: one.score)
