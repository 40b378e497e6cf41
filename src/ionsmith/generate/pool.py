"""A fixed list of candidates behind the Generator protocol, so that screening and design share one loop."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, Self

from ionsmith.core.protocols import Rng
from ionsmith.core.records import Outcome
from ionsmith.core.registry import register


@register("generator", "pool")
class Pool:
    """Hands out the readings of a list in order, unreadable rows included, and learns nothing.

    Args:
        readings: what the readers in ``io`` or the built-in library yield; consumed lazily.
    """

    name = "pool"

    def __init__(self, readings: Iterable[Outcome] = ()) -> None:
        self._readings = iter(readings)

    def fit(self, outcomes: Sequence[Outcome], rng: Rng) -> Self:
        """Return itself: a list has nothing to learn."""
        return self

    def ask(self, n: int, rng: Rng, condition: Any = None) -> Sequence[Outcome]:
        """Return the next n readings; fewer once the list is exhausted."""
        return tuple(islice(self._readings, n))

    def tell(self, outcomes: Sequence[Outcome], rng: Rng) -> None:
        """Ignore what became of them."""
