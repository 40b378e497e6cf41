"""The energy landscape of the mobile ion under a universal potential, drawn like the bond-valence one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ionsmith.core.results import Row
from ionsmith.report.panels import Panel
from ionsmith.report.panels.landscape import USES, landscape_panel

__all__ = ["USES", "panel"]


def panel(details: Mapping[str, Any], row: Row) -> Panel | None:
    """Return the picture of a landscape under a potential, or None where there is none.

    Args:
        details: see :class:`ionsmith.simulate.potential_landscape.PotentialLandscapeAnalysis`.
        row: the finished row.
    """
    title = f"Energy landscape of one ion in the frozen framework ({details.get('potential', 'potential')})"
    return landscape_panel(details, title)
