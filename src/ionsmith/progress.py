"""Progress on stderr: one bar per stage with counts of ok, rejected and failed."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from ionsmith.core.records import Status


class StageBars:
    """An Observer that draws; nothing is drawn when stderr is not a terminal, one line per stage is printed instead.

    Args:
        quiet: print nothing at all.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._console = Console(stderr=True, quiet=quiet)
        self._bars = Progress(
            TextColumn("{task.description:<10}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[counts]}"),
            TimeElapsedColumn(),
            console=self._console,
            disable=quiet or not self._console.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}
        self._totals: dict[str, int] = {}
        self._counts: dict[str, dict[Status, int]] = {}

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def start(self, stage: str, total: int) -> None:
        """Open the stage's bar, or lengthen it if a further round begins.

        Args:
            stage: name of the stage.
            total: candidates that enter it now.
        """
        self._totals[stage] = self._totals.get(stage, 0) + total
        if stage not in self._tasks:
            self._counts[stage] = dict.fromkeys(Status, 0)
            self._tasks[stage] = self._bars.add_task(stage, total=0, counts="")
        self._bars.update(self._tasks[stage], total=self._totals[stage])

    def done(self, stage: str, status: Status) -> None:
        """Advance the stage's bar by one candidate.

        Args:
            stage: name of the stage.
            status: how the candidate left.
        """
        counts = self._counts[stage]
        counts[status] += 1
        text = "  ".join(f"{number} {name.value}" for name, number in counts.items())
        self._bars.update(self._tasks[stage], advance=1, counts=text)
        if self._bars.disable and sum(counts.values()) == self._totals[stage]:
            self._console.print(f"{stage}: {text}", highlight=False)
