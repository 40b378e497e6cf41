"""Ionic substitution on known prototypes: the oldest way to new compounds, and the baseline of every cleverer one.

How ions are exchanged and cells scaled is told in ``generate/ions.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

from ionsmith.core.protocols import Rng
from ionsmith.core.records import Candidate, Origin, Outcome
from ionsmith.core.registry import register
from ionsmith.generate.ions import IonExchange, Swap, in_words, ionic_crystals

_TRIES = 50  # draws per proposal before a generator that has run dry says so


@register("generator", "substitution")
class Substitution:
    """Draws prototypes evenly and exchanges one or two of their ions; never makes the same exchange twice.

    Args:
        prototypes: known crystals, disordered ones as their ordered approximant; those without the mobile ion or
            without charges that balance, or with no approximant of at most 80 atoms, are left out.
        mobile: symbol of the ion that stays.
        exclude: symbols of elements that never appear in a proposal.
        boldness: temperature of the draw: 1 follows the known frequencies, larger values reach for rarer partners.

    Raises:
        InputError: a boldness that is not above zero.
    """

    name = "substitution"

    def __init__(
        self,
        prototypes: Sequence[Candidate] = (),
        *,
        mobile: str = "Li",
        exclude: Sequence[str] = (),
        boldness: float = 2.0,
    ) -> None:
        self._exchange = IonExchange(mobile=mobile, exclude=exclude, boldness=boldness)
        self._prototypes = ionic_crystals(prototypes, mobile=mobile)
        self._proposed: set[tuple[str, Swap]] = set()

    def fit(self, outcomes: Sequence[Outcome], rng: Rng) -> Self:
        """Return itself: the substitution statistics are those of the literature."""
        return self

    def ask(self, n: int, rng: Rng, condition: Any = None) -> Sequence[Outcome]:
        """Return up to n new substituted crystals; fewer once draws find nothing new.

        Args:
            n: number of proposals.
            rng: random stream.
            condition: ignored; the Spec judges what comes.
        """
        proposals: list[Outcome] = []
        while len(proposals) < n and (drawn := self._draw(rng)) is not None:
            parent, swap = drawn
            origin = Origin(self.name, f"{parent.formula}: {in_words(swap)}")
            proposals.append(self._exchange.apply(parent, swap, origin=origin, parents=(parent.key,)))
        return tuple(proposals)

    def tell(self, outcomes: Sequence[Outcome], rng: Rng) -> None:
        """Ignore what became of them: this is the generator that does not learn."""

    def _draw(self, rng: Rng) -> tuple[Candidate, Swap] | None:
        for _ in range(_TRIES if self._prototypes else 0):
            crystal = self._prototypes[int(rng.integers(len(self._prototypes)))]
            swap = self._exchange.draw(crystal.charges, rng)
            if swap and (crystal.candidate.key, swap) not in self._proposed:
                self._proposed.add((crystal.candidate.key, swap))
                return crystal.candidate, swap
        return None
