"""The worker boundary: the one place where any exception of a method becomes a failed Outcome."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass

from ionsmith.core.protocols import Explainer, PropertyModel, Simulator
from ionsmith.core.records import Candidate, Outcome, Status, Value


def guarded(candidate: Candidate, action: Callable[[], Outcome], *, stage: str) -> Outcome:
    """Return what ``action`` returns, or a failed Outcome that holds the traceback.

    Args:
        candidate: the material that a failure is booked on.
        action: the work.
        stage: name for the note.
    """
    start = time.perf_counter()
    try:
        return action()
    except Exception as error:  # noqa: BLE001  one bad material must not end a run of thousands
        reason = str(error).strip().splitlines()[0] if str(error).strip() else "no message"
        return Outcome(
            candidate,
            status=Status.FAILED,
            note=f"{stage} broke: {type(error).__name__}: {reason}",
            cost_s=time.perf_counter() - start,
            details={"traceback": traceback.format_exc()},
        )


@dataclass(frozen=True)
class Climb:
    """One rung for one candidate; picklable, so that it can travel to a worker.

    Attributes:
        simulator: the rung.
    """

    simulator: Simulator

    def __call__(self, candidate: Candidate) -> Outcome:
        """Return the rung's Outcome; never raises for a bad material."""
        return guarded(candidate, lambda: self.simulator.run(candidate), stage=self.simulator.name)


def predict_one_by_one(model: PropertyModel, candidates: list[Candidate]) -> list[Outcome]:
    """Return one Outcome per candidate with the model's value.

    A batch is tried first; only if it breaks is each candidate tried alone, so that one cannot spoil the others.

    Args:
        model: a fitted model.
        candidates: of kinds that the model accepts.
    """
    if not candidates:
        return []

    def batch(some: list[Candidate]) -> list[Outcome]:
        start = time.perf_counter()
        prediction = model.predict(some)
        cost = (time.perf_counter() - start) / len(some)
        reasons = [model.explain(c) if isinstance(model, Explainer) else {} for c in some]
        return [
            Outcome(c, {model.quantity: Value(float(m), float(s), model.name, bool(d))}, cost_s=cost, details=why)
            for c, m, s, d, why in zip(
                some, prediction.mean, prediction.std, prediction.in_domain, reasons, strict=True
            )
        ]

    whole: list[Outcome] = []

    def try_all() -> Outcome:
        whole.extend(batch(candidates))
        return whole[0]

    if guarded(candidates[0], try_all, stage=model.name).status is Status.OK and whole:
        return whole
    return [guarded(c, lambda c=c: batch([c])[0], stage=model.name) for c in candidates]  # type: ignore[misc]
