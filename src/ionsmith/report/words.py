"""Numbers, stages and verdicts as a reader wants to see them, without any markup."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from html import escape
from typing import Any

from pymatgen.core import Composition

from ionsmith.core.quantities import QUANTITIES
from ionsmith.core.records import Bound, Candidate, Kind, Value
from ionsmith.core.results import Row, RunResult
from ionsmith.objective.score import meets
from ionsmith.objective.spec import Target

MINUS = "\N{MINUS SIGN}"
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_SIGNS = {Bound.EXACT: "", Bound.UPPER: "≤ ", Bound.LOWER: "≥ "}
_STAGES = {
    "read": "Read from the input",
    "admit": "Chemistry allowed",
    "predict": "Learned models",
    "select": "Chosen for simulation",
    "bvse": "Bond-valence percolation",
    "landscape": "Energy landscape",
    "potential_landscape": "Landscape under a potential",
    "relax": "Relaxation",
    "hull": "Energy above hull",
    "window": "Electrochemical window",
    "elastic": "Elastic moduli",
    "neb": "Migration barriers (NEB)",
    "md": "Molecular dynamics",
    "synthesis": "Synthesis hint",
}
_ANIONS = {
    "nitride": "N",
    "oxide": "O",
    "sulfide": "S",
    "selenide": "Se",
    "telluride": "Te",
    "fluoride": "F",
    "chloride": "Cl",
    "bromide": "Br",
    "iodide": "I",
    "phosphide": "P",
    "hydride": "H",
}


def number(value: float, *, decimals: int | None = None) -> str:
    """Return a number as text with a real minus sign.

    Args:
        value: finite number.
        decimals: digits after the point; without it three significant digits.
    """
    if decimals is None:
        if value and not 1e-4 <= abs(value) < 1e5:
            head, tail = f"{value:.1e}".split("e")
            return f"{head} × 10{str(int(tail)).translate(_SUPERSCRIPTS)}".replace("-", MINUS)
        return f"{value:.3g}".replace("-", MINUS) if abs(value) < 1000 else f"{value:.0f}".replace("-", MINUS)
    return f"{round(value, decimals) + 0.0:.{decimals}f}".replace("-", MINUS)


def value_text(value: Value) -> str:
    """Return a value with its spread, rounded to what the spread supports.

    Args:
        value: the value; a zero spread is left out.
    """
    sign = _SIGNS[value.bound]
    decimals = _decimals(value.std)
    tiny = value.mean and abs(value.mean) < 1e-4 and decimals is not None and decimals > 5
    if decimals is None or tiny:
        return sign + number(value.mean) + (f" ± {number(value.std)}" if value.std else "")
    return f"{sign}{number(value.mean, decimals=decimals)} ± {number(value.std, decimals=decimals)}"


def _decimals(std: float) -> int | None:
    if std <= 0.0:
        return None
    # two digits of the spread: with one, 0.054 ± 0.026 would read as if it met a limit of 0.05
    return max(0, 1 - math.floor(math.log10(std)))


def stage_words(stage: str) -> str:
    """Return what a stage is called in a sentence or a figure."""
    return _STAGES.get(stage, stage.replace("_", " ").replace("-", " ").capitalize())


def targets(result: RunResult) -> dict[str, Target]:
    """Return the targets of a run by quantity name; empty where there were none.

    Args:
        result: the finished run, whose ``spec`` is the plain form of a Spec.
    """
    table: Mapping[str, Mapping[str, float]] = result.spec.get("targets") or {}
    return {
        name: Target(name, ends.get("min"), ends.get("max")) for name, ends in table.items() if name in QUANTITIES
    }


def verdict(target: Target, value: Value | None) -> str:
    """Return ``met``, ``missed`` or ``unknown`` for the best estimate against a target."""
    if value is None:
        return "unknown"
    return "met" if meets(target, value) else "missed"


def quantity_order(result: RunResult) -> list[str]:
    """Return the names of the quantities that the run knows or wants: targets first, then the others."""
    wanted = list(targets(result))
    present = {name for row in result.rows for name in row.outcome.values}
    return wanted + [name for name in QUANTITIES if name in present and name not in wanted]


def measured(row: Row, name: str) -> Value | None:
    """Return the measured value of a quantity from the source's facts, or None.

    The fact stands under the name of its quantity; ``<name>_std`` and ``<name>_bound`` may qualify it, and the
    conductivity's may leave ``log10_`` out.

    Args:
        row: the finished row.
        name: quantity name.
    """
    facts = row.outcome.candidate.source.facts
    mean, std = _finite(facts.get(name)), _finite(facts.get(f"{name}_std"))
    if mean is None:
        return None
    bound = str(_qualifier(facts, name, "bound") or "")
    known = Bound(bound) if bound in set(Bound) else Bound.EXACT
    return Value(mean, std if std is not None and std >= 0.0 else 0.0, "measured", bound=known)


def measured_doi(row: Row, name: str) -> str:
    """Return the DOI of a measured value, or an empty string where the source gives none."""
    return str(_qualifier(row.outcome.candidate.source.facts, name, "doi") or "")


def _qualifier(facts: Mapping[str, Any], name: str, what: str) -> Any:
    return facts.get(f"{name}_{what}", facts.get(f"{name.removeprefix('log10_')}_{what}"))


def _finite(fact: Any) -> float | None:
    if isinstance(fact, bool) or not isinstance(fact, int | float) or not math.isfinite(fact):
        return None
    return float(fact)


def anion_class(row: Row) -> str:
    """Return the chemistry of a material by its most frequent anion, such as ``sulfide``."""
    candidate = row.outcome.candidate
    if candidate.kind not in ("crystal", "composition"):
        return "other"
    amounts = candidate.composition.get_el_amt_dict()
    # hydrogen and phosphorus count as anions only where nothing else does
    weight = {name: amounts.get(symbol, 0.0) for name, symbol in _ANIONS.items()}
    strong = {name: n for name, n in weight.items() if name not in ("hydride", "phosphide")}
    pool = strong if any(strong.values()) else weight
    best = max(pool, key=lambda name: pool[name])
    return best if pool[best] > 0.0 else "other"


def family(row: Row) -> str:
    """Return the family that the source names, or an empty string."""
    return str(row.outcome.candidate.source.facts.get("family") or "")


def formula_markup(formula: str) -> str:
    """Return a formula as safe HTML with subscripts.

    Args:
        formula: text from a record; anything that looks like markup is escaped.
    """
    return re.sub(r"(?<=[A-Za-z)\]])(\d+(?:\.\d+)?)", r"<sub>\1</sub>", escape(formula))


def label_of(row: Row) -> str:
    """Return the shortest text that tells the reader which row is meant.

    A formula as the source writes it (Li10GeP2S12) wins over the reduced one (Li10Ge(PS6)2) if both are the same
    material.
    """
    candidate = row.outcome.candidate
    written = candidate.source.facts.get("formula")
    if candidate.formula and isinstance(written, str) and _same_material(written, candidate):
        return written
    return row.formula or candidate.source.locator or str(candidate.payload)[:80] or candidate.source.name


def _same_material(written: str, candidate: Candidate) -> bool:
    if candidate.kind is Kind.MOLECULE:
        return False
    try:
        stated = Composition(written).fractional_composition
    except ValueError:
        return False
    # rounded occupancies, and an approximant of a disordered crystal, differ a little
    return bool(stated.almost_equals(candidate.composition.fractional_composition, rtol=0.02, atol=0.01))


def headline(result: RunResult) -> str:
    """Return the one sentence that sums the run up, as safe HTML.

    Args:
        result: the finished run.
    """
    total = len(result.rows)
    if not total:
        return "The run had no input, so there is nothing to show."
    alive = [row for row in result.rows if row.outcome.status == "ok"]
    if not alive:
        return f"None of the {_count(total, 'input')} got through; the table says why for each."
    if not targets(result):
        lost = f"; {total - len(alive)} could not be answered" if len(alive) < total else ""
        return f"{len(alive)} of {_count(total, 'input')} answered{lost}."
    hits = [row for row in result.rows if row.feasible]
    best = min(hits or alive, key=lambda row: precedence(row, result))
    name = f"<a href='#{row_id(result, best)}'>{formula_markup(label_of(best))}</a>"
    tail = _evidence(best, result)
    if hits:
        verb = "meets" if len(hits) == 1 else "meet"
        return f"{len(hits)} of {_count(total, 'candidate')} {verb} every target; best: {name}{tail}."
    return f"None of the {_count(total, 'candidate')} meets every target; closest: {name}{tail}."


def charges_hold(found: Mapping[str, Any]) -> bool:
    """Return whether the charges of a candidate balance with usual states that its bonds bear out.

    Args:
        found: of the stage ``synthesis``, see :func:`ionsmith.simulate.synthesis.charge_details`; False where empty.
    """
    doubted = found.get("unusual_states") or found.get("bonds_contradict")
    return bool(found.get("charges_balanced")) and not doubted


def precedence(row: Row, result: RunResult) -> tuple[bool, bool, int]:
    """Return a sorting key: what to look at first, by charges in a design run and by rank.

    Args:
        row: the finished row.
        result: the run that it belongs to.
    """
    # a measured crystal exists, whatever its file or our table of charges says
    found = row.outcome.details.get("synthesis")
    doubted = result.command == "design" and found is not None and not charges_hold(found)
    return doubted, row.rank is None, row.rank or 0


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" + ("" if n == 1 else "s")


def _evidence(row: Row, result: RunResult) -> str:
    for name in targets(result):
        value = row.outcome.values.get(name)
        if value is not None:
            unit = "" if QUANTITIES[name].unit.startswith("log10") else f" {QUANTITIES[name].unit}"
            return f" ({escape(short_label(name))} {escape(value_text(value))}{escape(unit)})"
    return ""


def short_label(name: str) -> str:
    """Return what a quantity is called within a sentence.

    Args:
        name: of the quantity.
    """
    label = QUANTITIES[name].label.partition(" (")[0].replace(", ", " ")
    return label if label.startswith("log10") else label[0].lower() + label[1:]


def row_ids(result: RunResult) -> list[str]:
    """Return one address per row: its key, with the position added where an input repeats an earlier one."""
    seen: set[str] = set()
    ids = []
    for row in result.rows:
        ids.append(f"c-{row.key}" + (f"-{row.position}" if row.key in seen else ""))
        seen.add(row.key)
    return ids


def row_id(result: RunResult, row: Row) -> str:
    """Return the address of one row on the page."""
    return next(name for name, other in zip(row_ids(result), result.rows, strict=True) if other is row)


def plain(value: Any) -> Any:
    """Return details as JSON can hold them: no NaN, no infinity, no endless list.

    Args:
        value: mapping, sequence, number, text, flag or None.
    """
    return _plain(value, depth=0)


_MOST_ITEMS, _MOST_TEXT, _MOST_DEPTH = 60, 600, 6


def _plain(value: Any, *, depth: int) -> Any:
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    if isinstance(value, str):
        return value if len(value) <= _MOST_TEXT else value[:_MOST_TEXT] + " …"
    if depth >= _MOST_DEPTH:
        return "…"
    if isinstance(value, Mapping):
        items = {str(key): _plain(item, depth=depth + 1) for key, item in value.items()}
        return {key: item for key, item in items.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_plain(item, depth=depth + 1) for item in _thinned(list(value))]
    # numpy's scalars and arrays
    return _plain(value.tolist(), depth=depth) if hasattr(value, "tolist") else str(value)


def _thinned(items: list[Any]) -> list[Any]:
    if len(items) <= _MOST_ITEMS:
        return items
    if all(isinstance(item, int | float) for item in items):
        last = len(items) - 1  # a curve keeps its shape and both ends
        return [items[round(i * last / (_MOST_ITEMS - 1))] for i in range(_MOST_ITEMS)]
    return [*items[:_MOST_ITEMS], f"… and {len(items) - _MOST_ITEMS} more"]
