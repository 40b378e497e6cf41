"""What the simulators here share: the end of a stage without an answer, and checks of settings and results."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pymatgen.core import Structure

from ionsmith.core.errors import InputError, PhysicsError
from ionsmith.core.quantities import QUANTITIES
from ionsmith.core.records import Candidate, Outcome, Status, Value


@dataclass(frozen=True)
class Answer:
    """What a stage found out about a crystal that it does not change.

    Attributes:
        values: quantity name to value.
        details: JSON-ready.
        rejection: why the crystal is rejected; empty where it is not.
    """

    values: Mapping[str, Value] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    rejection: str = ""


def answered(candidate: Candidate, work: Callable[[Structure], Answer]) -> Outcome:
    """Return the outcome of a stage that looks at a crystal: rejected on bad physics, failed on senseless input.

    Args:
        candidate: as it came.
        work: from the crystal to the answer.
    """
    start = time.perf_counter()
    try:
        found = work(candidate.structure)
    except PhysicsError as reason:
        return stopped(candidate, Status.REJECTED, reason, start)
    except InputError as reason:
        return stopped(candidate, Status.FAILED, reason, start)
    status = Status.REJECTED if found.rejection else Status.OK
    return Outcome(candidate, found.values, status, found.rejection, time.perf_counter() - start, found.details)


def stopped(candidate: Candidate, status: Status, reason: Exception, start: float) -> Outcome:
    """Return the outcome of a stage that gave no answer.

    Args:
        candidate: as it came.
        status: rejected or failed.
        reason: becomes the note.
        start: clock reading at the start, s.
    """
    note = " ".join(str(reason).split())
    return Outcome(candidate, status=status, note=note, cost_s=time.perf_counter() - start)


def check_at_least_one(value: int | None, name: str) -> None:
    """Refuse a count below one; None passes.

    Args:
        value: the setting.
        name: for the message.

    Raises:
        InputError: below one.
    """
    if value is not None and value < 1:
        raise InputError(f"expected {name} of at least 1, got {value}")


def check_range(name: str, value: float) -> None:
    """Refuse a result that no material can have.

    Args:
        name: of the quantity.
        value: in its unit.

    Raises:
        PhysicsError: outside the physical range.
    """
    quantity = QUANTITIES[name]
    if not quantity.low <= value <= quantity.high:
        raise PhysicsError(f"{name} of {value:.3g} {quantity.unit} is beyond what a material can have")
