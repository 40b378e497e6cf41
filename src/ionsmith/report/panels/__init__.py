"""Pictures of what a stage found, shown in the candidate view: one module per stage, found by the stage's name.

To show the details of the stage ``my_check``, add ``report/panels/my_check.py`` with two names:

    USES = ("profile_eV",)  # details that need no listing of their own; name bulky ones even when not drawn

    def panel(details: Mapping[str, Any], row: Row) -> Panel | None:
        if "profile_eV" not in details:  # a rejected or failed stage may have less
            return None
        import plotly.graph_objects as go

        figure = go.Figure(go.Scatter(x=..., y=details["profile_eV"]))
        dress(figure)  # report.style: the common look
        return Panel("My check", "What the picture shows, one or two sentences.", (figure,))

``details`` is what the stage put into its Outcome, JSON-ready; ``row`` is the finished row. Everything in a Panel is
text, numbers and plotly figures: the page never takes markup from here, so nothing has to be escaped (but plotly
reads tags in titles and hover text: use ``words.formula_markup`` or ``html.escape`` there). A figure is drawn when
its candidate is opened, so a page of thousands of rows stays quick, and plotly.js is on the page once, and only where
something needs it. The first ``MOST_PANELS`` rows that have panels carry them.

A ``mesh3d`` trace with ``meta={"grid": packed, "level": x}`` is turned into the surface of that level by the page, in
any cell (``ionsmith.landscape.packed``); with ``"slider": True``, a ``"label"`` and a ``"unit"`` the reader can move
it.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any

from ionsmith.core.results import Row

MOST_PANELS = 200
"""How many rows, from the top of the table, carry panels."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Panel:
    """One stage's part of the candidate view.

    Attributes:
        title: heading.
        text: what is shown and how to read it; paragraphs are separated by blank lines.
        figures: plotly figures, drawn side by side where there is room.
        header: column names of a table; empty for no table.
        rows: cells of the table, text or numbers; every row as long as ``header``.
        formulas: whether text and cells hold chemical formulas, which then get their subscripts.
    """

    title: str
    text: str = ""
    figures: tuple[Any, ...] = ()
    header: tuple[str, ...] = ()
    rows: tuple[Sequence[str | float], ...] = ()
    formulas: bool = False

    def document(self) -> dict[str, Any]:
        """What the page carries, ready for JSON; empty parts are absent."""
        found = {
            "title": self.title,
            "text": [part.strip() for part in self.text.split("\n\n") if part.strip()],
            "figures": [json.loads(figure.to_json()) for figure in self.figures],
            "header": list(self.header),
            "rows": [list(cells) for cells in self.rows],
            "formulas": self.formulas,
        }
        return {name: value for name, value in found.items() if value}


Maker = Callable[[Mapping[str, Any], Row], Panel | None]


def find_panel(stage: str) -> Maker | None:
    """Return the function that makes the panel of a stage, or None where there is none.

    Args:
        stage: name of the stage.
    """
    maker: Maker | None = getattr(_module(stage), "panel", None)
    return maker


def shown_details(stage: str) -> frozenset[str]:
    """Return the keys of a stage's details that its panel shows, so that they need no listing.

    Args:
        stage: name of the stage.
    """
    return frozenset(getattr(_module(stage), "USES", ()))


def make_panels(row: Row) -> list[Panel]:
    """Return what a row's stages have to show, in the order of the stages.

    A panel that cannot be made from the details it gets is replaced by a line that says so: the report of a long run
    must not be lost over a picture.

    Args:
        row: the finished row.
    """
    found = []
    for stage, details in row.outcome.details.items():
        maker = find_panel(stage)
        if maker is None or not isinstance(details, Mapping):
            continue
        try:
            made = maker(details, row)
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            _log.warning("the picture of %s for %s could not be made: %s", stage, row.key, error)
            made = Panel(
                stage.replace("_", " ").capitalize(), "The picture could not be made from what was recorded."
            )
        if made is not None:
            found.append(made)
    return found


@cache
def _module(stage: str) -> ModuleType | None:
    name = f"{__name__}.{stage}"
    known = stage.isidentifier() and importlib.util.find_spec(name) is not None
    return importlib.import_module(name) if known else None
