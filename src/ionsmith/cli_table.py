"""The table of a run on the terminal: as many properties as fit, the others named below it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType

from rich.console import Console
from rich.table import Table

from ionsmith.core.quantities import QUANTITIES
from ionsmith.core.results import Row, RunResult

SYMBOLS = MappingProxyType(
    {
        "formation_energy": "E form",
        "energy_above_hull": "E hull",
        "band_gap": "gap",
        "log10_conductivity": "log10 σ",
        "activation_energy": "E act",
        "percolation_barrier": "barrier",
        "percolation_barrier_1d": "barrier 1D",
        "percolation_barrier_2d": "barrier 2D",
        "reduction_potential": "reduction",
        "oxidation_potential": "oxidation",
        "shear_modulus": "G",
        "bulk_modulus": "K",
    }
)
"""Short heads of columns; a quantity that is not here goes by its name."""

_PIPE_WIDTH = 140  # columns where the output goes to a file
_LONGEST = 30  # characters of an input's name
_LONGEST_FORMULA = 24


def print_table(result: RunResult, out: Path | None, *, most: int = 20) -> None:
    """Print the first rows of a run, the reasons of those without a result, and where the rest stands.

    Args:
        result: the finished run.
        out: its folder, or None.
        most: rows that are shown.
    """
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_PIPE_WIDTH)
    rows = result.rows[:most]
    ranked = any(row.rank is not None for row in result.rows)
    heads = [_head(row, ranked=ranked) for row in rows]
    wanted = result.spec.get("targets") or QUANTITIES
    names = [n for n in QUANTITIES if n in wanted and any(n in row.outcome.values for row in result.rows)]
    taken = sum(
        max((len(head[place]) for head in heads), default=0) + 2 for place in range(len(heads[0]) if heads else 0)
    )
    shown = _fitting(names, rows, room=console.width - taken - len("rejected"))
    console.print(_table(rows, heads, shown, ranked=ranked))
    for row in rows if not ranked else ():
        if row.outcome.note:
            console.print(_reason(row), soft_wrap=True)
    if any(value.in_domain is False for row in result.rows for value in row.outcome.values.values()):
        console.print("? outside the range of materials that the method was built for")
    if hidden := [name.replace("_", " ") for name in names if name not in shown]:
        console.print(f"no room for {', '.join(hidden)}: --json and the files of a run hold everything")
    if len(result.rows) > most:
        console.print(f"... and {len(result.rows) - most} more")
    if out is not None:
        console.print(f"report: {out / 'report.html'}")


def _table(rows: Sequence[Row], heads: list[list[str]], names: list[str], *, ranked: bool) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("rank", "formula", "meets all", "score") if ranked else ("input", "formula"):
        table.add_column(title, no_wrap=True)
    for name in names:
        table.add_column(f"{_symbol(name)}\n{QUANTITIES[name].unit}", justify="right", no_wrap=True)
    table.add_column("status", no_wrap=True)
    for row, head in zip(rows, heads, strict=True):
        table.add_row(*head, *(_cell(row, name) for name in names), row.outcome.status.value)
    return table


def _head(row: Row, *, ranked: bool) -> list[str]:
    locator = _short(row.outcome.candidate.source.locator)
    formula = row.formula if len(row.formula) <= _LONGEST_FORMULA else f"{row.formula[: _LONGEST_FORMULA - 1]}…"
    if not ranked:
        return [locator, formula]
    return [str(row.rank), formula or locator, "yes" if row.feasible else "no", f"{row.score or 0.0:.2f}"]


def _fitting(names: list[str], rows: Sequence[Row], *, room: int) -> list[str]:
    """Return the properties whose columns fit, in order; at least one."""
    shown: list[str] = []
    for name in names:
        heads = (_symbol(name), QUANTITIES[name].unit)
        room -= 2 + max(map(len, (*heads, *(_cell(row, name) for row in rows))))
        if room < 0 and shown:
            break
        shown.append(name)
    return shown


def _cell(row: Row, name: str) -> str:
    value = row.outcome.values.get(name)
    if value is None:
        return ""
    spread = f"{value.std:.0f}" if value.std >= 10.0 else f"{value.std:.1g}"
    return f"{value.mean:.3g}±{spread}{'?' if value.in_domain is False else ''}"


def _reason(row: Row) -> str:
    locator = row.outcome.candidate.source.locator
    return row.outcome.note if row.outcome.note.startswith(locator) else f"{_short(locator)}: {row.outcome.note}"


def _symbol(name: str) -> str:
    return SYMBOLS.get(name, name.replace("_", " "))


def _short(locator: str) -> str:
    return locator if len(locator) <= _LONGEST else f"…{locator[1 - _LONGEST :]}"
