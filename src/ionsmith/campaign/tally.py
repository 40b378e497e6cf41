"""Counts per stage and the merged state of every input while a campaign runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ionsmith.core.records import Outcome, Status
from ionsmith.core.results import StageCount


@dataclass
class Track:
    """One input on its way: where it stands and everything known about it.

    Attributes:
        position: place in the input.
        key: content hash of the material as it was read.
        outcome: merged over the stages so far.
        formula: of the material as it was read.
        stage: the last stage that it entered.
        hops: name of each finished stage, in order.
    """

    position: int
    key: str
    outcome: Outcome
    formula: str = ""
    stage: str = "read"
    hops: list[str] = field(default_factory=list)

    @property
    def alive(self) -> bool:
        """Whether no stage has rejected or failed it."""
        return self.outcome.status is Status.OK

    def absorb(self, stage: str, found: Outcome) -> None:
        """Merge what a stage found out; later values replace earlier ones of the same quantity.

        Args:
            stage: name of the stage.
            found: its Outcome.
        """
        candidate = replace(found.candidate, source=_same_source(self.outcome, found))
        details: dict[str, Any] = dict(self.outcome.details)
        if found.details:
            details[stage] = dict(found.details)
        self.outcome = Outcome(
            candidate=candidate,
            values={**self.outcome.values, **found.values},
            status=found.status,
            note=found.note,
            cost_s=self.outcome.cost_s + found.cost_s,
            details=details,
        )
        self.stage = stage
        self.hops.append(stage)

    def amend(self, stage: str, found: Outcome) -> None:
        """Replace what a stage had found out by what it found on a later look; status and place stay.

        Args:
            stage: name of the stage.
            found: its Outcome, ok.
        """
        details = {**self.outcome.details, **({stage: dict(found.details)} if found.details else {})}
        values = {**self.outcome.values, **found.values}
        cost = self.outcome.cost_s + found.cost_s
        self.outcome = replace(self.outcome, values=values, details=details, cost_s=cost)

    def drop(self, stage: str, note: str) -> None:
        """Reject it at a stage for a reason.

        Args:
            stage: name of the stage.
            note: the reason.
        """
        self.outcome = replace(self.outcome, status=Status.REJECTED, note=note)
        self.stage = stage

    def remark(self, note: str) -> None:
        """Add a remark to a candidate that stays ok.

        Args:
            note: one line.
        """
        self.outcome = replace(self.outcome, note=note)


def _same_source(known: Outcome, found: Outcome) -> Any:
    # two equal materials from different files share one computation but keep their own locator and facts
    mine, theirs = known.candidate.source, found.candidate.source
    fresh = tuple(note for note in theirs.notes if note not in mine.notes)
    return replace(mine, notes=(*mine.notes, *fresh))


class Tally:
    """Counts per stage, in the order in which the stages were first entered."""

    def __init__(self) -> None:
        self._counts: dict[str, dict[Status, int]] = {}

    def open(self, stage: str) -> None:
        """Make a stage appear in the funnel even if nothing reaches it.

        Args:
            stage: name of the stage.
        """
        self._counts.setdefault(stage, dict.fromkeys(Status, 0))

    def add(self, stage: str, status: Status) -> None:
        """Count one candidate that left a stage.

        Args:
            stage: name of the stage.
            status: how it left.
        """
        self.open(stage)
        self._counts[stage][status] += 1

    def funnel(self) -> tuple[StageCount, ...]:
        """Return the counts; in each stage received = ok + rejected + failed."""
        return tuple(
            StageCount(
                stage,
                sum(counts.values()),
                counts[Status.OK],
                counts[Status.REJECTED],
                counts[Status.FAILED],
            )
            for stage, counts in self._counts.items()
        )


def by_key(tracks: list[Track]) -> Mapping[str, list[Track]]:
    """Group tracks that hold equal materials, in order of first appearance.

    Args:
        tracks: any tracks.
    """
    groups: dict[str, list[Track]] = {}
    for track in tracks:
        groups.setdefault(track.key, []).append(track)
    return groups
