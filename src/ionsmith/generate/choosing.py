"""Generators that draw more proposals from a source than they hand out, and choose which are worth a look."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from ionsmith.core.errors import InputError
from ionsmith.core.protocols import Generator, Rng
from ionsmith.core.records import Candidate, FloatArray, Kind, Outcome, Status
from ionsmith.generate.feedback import proposal_key
from ionsmith.generate.ions import Compound, compound_of
from ionsmith.represent.electrolyte import ElectrolyteFeatures
from ionsmith.represent.elements import LAST

_IDLE = 20  # draws in a row without anything new after which a source has run dry
_MOST_WAITING = 1000  # proposals that stay in the race after they were passed over, the latest ones


@dataclass(frozen=True)
class Waiting:
    """A proposal of the inner source that nobody has looked at yet.

    Attributes:
        outcome: as the source proposed it, under the chooser's name.
        features: descriptors, shape (d,); None where the proposal was refused or cannot be described.
    """

    outcome: Outcome
    features: FloatArray | None


class Choosing(ABC):
    """Hands out the most promising proposals of a source; what promises most, a subclass learns.

    Until it has learnt something it hands the source's proposals through. What the source itself refused comes last.
    Proposals that were passed over stay in the race; no compound comes twice.

    Args:
        source: any other generator; it hears what became of its proposals.
        exclude: symbols of elements that never appear.
        pool: fresh proposals drawn for each one that is handed out.

    Raises:
        InputError: a pool below 1.
    """

    name: str

    def __init__(self, source: Generator, *, exclude: Sequence[str] = (), pool: int) -> None:
        if pool < 1:
            raise InputError(f"{self.name}: expected a pool of at least 1 proposal for each, got {pool}")
        self._source, self._exclude, self._pool = source, frozenset(exclude), pool
        self._waiting: list[Waiting] = []
        self._known: set[Compound] = set()
        self._asked: dict[str, FloatArray] = {}

    def fit(self, outcomes: Sequence[Outcome], rng: Rng) -> Self:
        """Learn from known materials, as the source does.

        Args:
            outcomes: of known materials.
            rng: random stream.
        """
        self._source.fit(outcomes, rng)
        self._learn(outcomes)
        return self

    def ask(self, n: int, rng: Rng, condition: Any = None) -> Sequence[Outcome]:
        """Return up to n proposals of the source, the most promising ones; fewer once the source has run dry.

        Args:
            n: number of proposals.
            rng: random stream.
            condition: handed to the source.
        """
        learning = self._can_tell()
        self._refill(n * (self._pool if learning else 1), rng, condition)
        chosen = (self._places(n, rng) if learning else list(range(len(self._waiting))))[:n]
        batch = [self._waiting[place] for place in chosen]
        left = sorted(set(range(len(self._waiting))) - set(chosen))
        self._waiting = [self._waiting[place] for place in left[-_MOST_WAITING:]]
        self._asked |= {one.outcome.candidate.key: one.features for one in batch if one.features is not None}
        return tuple(one.outcome for one in batch)

    def tell(self, outcomes: Sequence[Outcome], rng: Rng) -> None:
        """Learn what became of proposals or of other materials; the source hears it too.

        Args:
            outcomes: merged over all stages.
            rng: random stream, for the source.
        """
        self._source.tell(outcomes, rng)
        self._learn(outcomes)

    @abstractmethod
    def _can_tell(self) -> bool:
        """Return whether enough has been heard to choose."""

    @abstractmethod
    def _hear(self, features: FloatArray, outcome: Outcome) -> None:
        """Take note of what became of a material.

        Args:
            features: descriptors of the material as it was proposed, shape (d,).
            outcome: what became of it.
        """

    @abstractmethod
    def _best(self, proposals: Sequence[Outcome], features: FloatArray, n: int, rng: Rng) -> list[int]:
        """Return places of the n most promising of more than n proposals, best first.

        Args:
            proposals: that can be described.
            features: their descriptors, shape (m, d).
            n: number of places.
            rng: random stream.
        """

    def _wanted(self, candidate: Candidate) -> bool:
        """Return whether a fresh material may be handed out at all."""
        return not self._exclude & {e.symbol for e in candidate.composition.elements}

    def _learn(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            # what was proposed is described as it was proposed: a relaxed cell is not known beforehand
            key = proposal_key(outcome.candidate, self._asked)
            (features,) = described([outcome.candidate]) if key is None else (self._asked.pop(key),)
            if features is not None:
                self._hear(features, outcome)

    def _refill(self, wanted: int, rng: Rng, condition: Any) -> None:
        """Draw new proposals; what repeats a compound or is not wanted is no new one."""
        idle = 0
        while wanted > 0 and idle < _IDLE:
            drawn = self._source.ask(wanted, rng, condition)
            fresh = [self._own(outcome) for outcome in drawn if self._is_new(outcome.candidate)]
            features = described([outcome.candidate for outcome in fresh])
            for outcome, row in zip(fresh, features, strict=True):
                self._waiting.append(Waiting(outcome, row if outcome.status is Status.OK else None))
            if len(drawn) < wanted:
                return
            idle = 0 if fresh else idle + 1
            wanted -= len(fresh)

    def _is_new(self, candidate: Candidate) -> bool:
        if candidate.kind not in (Kind.CRYSTAL, Kind.COMPOSITION):
            return True
        compound = compound_of(candidate)
        if compound in self._known or not self._wanted(candidate):
            return False
        self._known.add(compound)
        return True

    def _own(self, outcome: Outcome) -> Outcome:
        """Return a proposal under this generator's name; its notes say who made it."""
        made = outcome.candidate.source
        source = replace(made, name=self.name, notes=(*made.notes, f"proposed by {made.name}"))
        return replace(outcome, candidate=replace(outcome.candidate, source=source))

    def _places(self, n: int, rng: Rng) -> list[int]:
        """Return places in the queue: the n most promising proposals, then whatever cannot be judged."""
        able = [place for place, one in enumerate(self._waiting) if one.features is not None]
        rest = [place for place, one in enumerate(self._waiting) if one.features is None]
        if len(able) <= n:
            return [*able, *rest]
        rows = np.array([one.features for one in self._waiting if one.features is not None])
        best = self._best([self._waiting[place].outcome for place in able], rows, n, rng)
        return [*(able[place] for place in best), *rest]


def described(candidates: Sequence[Candidate]) -> list[FloatArray | None]:
    """Return descriptors of each material, shape (d,); None for what has no composition of known elements.

    Args:
        candidates: of any kind.
    """
    known = [_describable(candidate) for candidate in candidates]
    able = [candidate for candidate, fine in zip(candidates, known, strict=True) if fine]
    if not able:
        return [None] * len(candidates)
    rows = iter(ElectrolyteFeatures().encode(able))
    return [next(rows) if fine else None for fine in known]


def _describable(candidate: Candidate) -> bool:
    if candidate.kind not in (Kind.CRYSTAL, Kind.COMPOSITION):
        return False
    return max((element.Z for element in candidate.composition.elements), default=LAST + 1) <= LAST
