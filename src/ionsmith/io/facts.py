"""What a table or comment line says about a material: text, and measured values under the names of quantities."""

from __future__ import annotations

import math
from collections.abc import Mapping

from ionsmith.core.errors import InputError
from ionsmith.core.quantities import QUANTITIES
from ionsmith.core.records import Bound

_BOUNDS = {"<": Bound.UPPER, ">": Bound.LOWER}
_NOTHING = {"", "nan", "none", "null", "na", "n/a", "-", "?"}


def facts_from_cells(cells: Mapping[str, str]) -> tuple[dict[str, str | float], tuple[str, ...]]:
    """Return facts and remarks on what could not be used.

    A column named like a quantity becomes a float under that name, with ``<name>_bound`` (``upper`` or ``lower``)
    where the cell holds a limit such as ``<-10``, and ``<name>_std`` where such a column exists. Everything else
    stays text.

    Args:
        cells: column name to cell text.
    """
    facts: dict[str, str | float] = {}
    remarks = []
    for name, cell in cells.items():
        text = cell.strip()
        if text.lower() in _NOTHING or not name:
            continue
        quantity = name.removesuffix("_std")
        if quantity not in QUANTITIES:
            facts[name] = text
            continue
        try:
            facts.update(_measured(name, quantity, text))
        except InputError as error:
            remarks.append(f"column not used: {error}")
    return facts, tuple(remarks)


def _measured(name: str, quantity: str, text: str) -> dict[str, str | float]:
    bound = _BOUNDS.get(text[0])
    try:
        value = float(text.lstrip("<>=").strip() if bound else text)
    except ValueError:
        raise InputError(f"{name}: expected a number, got {text[:40]!r}") from None
    if name != quantity:
        if not (math.isfinite(value) and value >= 0.0):
            raise InputError(f"{name}: expected a spread of at least zero, got {text[:40]}")
        return {name: value}
    QUANTITIES[quantity].check(value, where=name)
    return {name: value, f"{name}_bound": bound.value} if bound else {name: value}
