"""What every page holds inside itself: templates and styles of this folder, its record, and the figure library."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from typing import Any


def asset(name: str) -> str:
    """Return the text of a file of this folder.

    Args:
        name: such as ``page.css``.
    """
    return files("ionsmith.report").joinpath(name).read_text(encoding="utf-8")


def embedded(document: Any) -> str:
    """Return a JSON document that can stand inside a script element.

    Args:
        document: JSON-ready.
    """
    # inside a script element only "<" can end it or open a comment
    return json.dumps(document, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def plotly_script() -> str:
    """Return plotly as one script element."""
    from plotly.offline import get_plotlyjs

    return "<script>" + re.sub("</(?=script)", r"<\/", get_plotlyjs()) + "</script>"
