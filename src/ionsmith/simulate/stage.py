"""What the simulators here share: the end of a stage without an answer, and checks of settings and results."""

from __future__ import annotations

import time

from ionsmith.core.errors import InputError, PhysicsError
from ionsmith.core.quantities import QUANTITIES
from ionsmith.core.records import Candidate, Outcome, Status


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
