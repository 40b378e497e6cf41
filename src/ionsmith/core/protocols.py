"""What a method must offer to take part: the only way in which neighbouring folders know each other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, Self, TypeVar, runtime_checkable

import numpy as np

from ionsmith.core.errors import ExecutionError
from ionsmith.core.records import Candidate, Kind, Outcome, Prediction, Status

Rng = np.random.Generator
T = TypeVar("T")
R = TypeVar("R")


@runtime_checkable
class Representation(Protocol):
    """Candidates to arrays and, where the map can be inverted, back."""

    name: str

    def encode(self, candidates: Sequence[Candidate]) -> Any:
        """Return one array (or batch) with ``len(candidates)`` entries along axis 0."""
        ...


@runtime_checkable
class PropertyModel(Protocol):
    """Learns one quantity and predicts it with a spread and a domain flag.

    Attributes:
        name: registry name, also the ``method`` of its values.
        quantity: name of the quantity it predicts.
        kinds: the candidate kinds it can read.
    """

    name: str
    quantity: str
    kinds: frozenset[Kind]

    @property
    def fingerprint(self) -> str:
        """Text that changes whenever the prediction for the same candidate could change."""
        ...

    def fit(self, outcomes: Sequence[Outcome], rng: Rng) -> Self:
        """Learn from outcomes whose values hold the quantity; scalers and vocabularies are born here."""
        ...

    def predict(self, candidates: Sequence[Candidate]) -> Prediction:
        """Return arrays of shape (n,) for n candidates of the accepted kinds."""
        ...


@runtime_checkable
class Explainer(Protocol):
    """A model that can also say why; its reasons are stored with the prediction."""

    def explain(self, candidate: Candidate) -> Mapping[str, Any]:
        """Return JSON-ready reasons, such as ``neighbours`` (formula, value, doi, distance) and ``in_training``."""
        ...


@runtime_checkable
class Simulator(Protocol):
    """Computes quantities of one candidate with physics.

    Attributes:
        name: registry name, also the stage name in the funnel.
        kinds: the candidate kinds it can read.
        provides: names of the quantities it adds.
        cost: rough seconds for a 30-atom cell on one core; the ladder climbs from cheap to dear.
        fingerprint: identifies settings and tables; equal fingerprints give equal results.
    """

    name: str
    kinds: frozenset[Kind]
    provides: tuple[str, ...]
    cost: float

    @property
    def fingerprint(self) -> str:
        """Text that changes whenever the result for the same candidate could change."""
        ...

    def run(self, candidate: Candidate) -> Outcome:
        """Return the outcome; bad physics is a status with a reason, not an exception."""
        ...


@runtime_checkable
class Generator(Protocol):
    """A source of candidates: a list, or a method that learns to invent them."""

    name: str

    def fit(self, outcomes: Sequence[Outcome], rng: Rng) -> Self:
        """Learn from known materials; a pool ignores them."""
        ...

    def ask(self, n: int, rng: Rng, condition: Any = None) -> Sequence[Outcome]:
        """Return up to n proposals, failures included; fewer than n means the source is exhausted."""
        ...

    def tell(self, outcomes: Sequence[Outcome], rng: Rng) -> None:
        """Hear what became of earlier proposals."""
        ...


@runtime_checkable
class Objective(Protocol):
    """Turns values into feasible yes/no and a score; the same for reward, acquisition and ranking."""

    @property
    def ranks(self) -> bool:
        """Whether rows are ordered by score; False where there are no targets."""
        ...

    def admit(self, candidate: Candidate) -> str:
        """Return why the chemistry is refused, or an empty string."""
        ...

    def hopeless(self, outcome: Outcome) -> str:
        """Return why the known values already rule the candidate out, or an empty string."""
        ...

    def feasible(self, outcome: Outcome) -> bool | None:
        """Return whether every target is known and met; None where there are no targets."""
        ...

    def score(self, outcome: Outcome, *, caution: float = 0.0) -> float | None:
        """Return a score in [0, 1], higher is better; None where there are no targets.

        ``caution`` counts every value by so many of its spreads worse than it is: what a learner is paid for.
        """
        ...

    def checks(self, outcome: Outcome) -> dict[str, str]:
        """Return per target one line that compares the value with the limit."""
        ...


@runtime_checkable
class Executor(Protocol):
    """Runs the same function over many tasks, on one core or a cluster."""

    def map(self, function: Callable[[T], R], tasks: Iterable[T]) -> Iterator[tuple[T, R | ExecutionError]]:
        """Yield (task, result) pairs as they finish, in any order.

        A task whose worker process died yields an ``ExecutionError`` in place of a result.
        """
        ...

    def close(self) -> None:
        """Give workers and connections back."""
        ...


class Observer(Protocol):
    """Hears how a run goes, for a progress display."""

    def start(self, stage: str, total: int) -> None:
        """A stage begins with ``total`` candidates."""
        ...

    def done(self, stage: str, status: Status) -> None:
        """One candidate left a stage."""
        ...
