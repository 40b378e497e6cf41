"""Several generators as one: they share the proposals and all hear what became of every one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from ionsmith.core.errors import InputError
from ionsmith.core.protocols import Generator, Rng
from ionsmith.core.records import Outcome


class Team:
    """Asks each member for its share; a proposal of one is a lesson for all.

    Args:
        members: generators, each with its weight; those that learn should welcome crystals that others proposed.

    Raises:
        InputError: no member, or a weight that is not above zero.
    """

    name = "team"

    def __init__(self, members: Sequence[tuple[Generator, float]]) -> None:
        if not members or not all(weight > 0.0 for _, weight in members):
            raise InputError(f"team: expected generators with weights above 0, got {[w for _, w in members]}")
        self._members = tuple(member for member, _ in members)
        total = np.cumsum([weight for _, weight in members])
        self._ends = total / total[-1]

    def fit(self, outcomes: Sequence[Outcome], rng: Rng) -> Self:
        """Let every member learn from known materials.

        Args:
            outcomes: of known materials.
            rng: random stream.
        """
        for member in self._members:
            member.fit(outcomes, rng)
        return self

    def ask(self, n: int, rng: Rng, condition: Any = None) -> Sequence[Outcome]:
        """Return up to n proposals, each member its share; fewer where one has run dry.

        Args:
            n: number of proposals.
            rng: random stream.
            condition: handed to the members.
        """
        shares = np.diff(np.rint(n * self._ends), prepend=0.0).astype(int).tolist()
        asked = zip(self._members, shares, strict=True)
        return tuple(outcome for member, share in asked if share for outcome in member.ask(share, rng, condition))

    def tell(self, outcomes: Sequence[Outcome], rng: Rng) -> None:
        """Tell every member what became of all proposals.

        Args:
            outcomes: merged over all stages.
            rng: random stream.
        """
        for member in self._members:
            member.tell(outcomes, rng)
