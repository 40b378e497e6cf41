"""What a learning generator hears: which of its proposals an outcome answers, and how good that was."""

from __future__ import annotations

from collections.abc import Container

from ionsmith.core.protocols import Objective
from ionsmith.core.records import Candidate, Outcome, Status


def fitness(outcome: Outcome, objective: Objective | None, *, caution: float = 0.0) -> float:
    """Return how good a proposal turned out, from 0 to 1.

    The objective's score of what is known; zero for what failed, for what the objective does not admit or was
    refused before anything was known, and where there is no objective.

    Args:
        outcome: of a proposal, merged over all stages.
        objective: the judge; None knows no good.
        caution: number of spreads by which every value is counted worse than it is.
    """
    nothing_known = outcome.status is Status.REJECTED and not outcome.values
    if objective is None or outcome.status is Status.FAILED or nothing_known or objective.admit(outcome.candidate):
        return 0.0
    return objective.score(outcome, caution=caution) or 0.0


def proposal_key(candidate: Candidate, proposed: Container[str]) -> str | None:
    """Return the key under which a crystal was proposed, though a stage may have changed it since.

    Args:
        candidate: as it was told back; its parents hold its earlier keys, latest last.
        proposed: keys of proposals that wait for an answer.
    """
    return next((key for key in (candidate.key, *reversed(candidate.parents)) if key in proposed), None)
