"""The parts of the page that stand without scripts: what was wanted, the funnel, the methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from ionsmith.core.quantities import QUANTITIES
from ionsmith.core.results import RunResult, StageCount
from ionsmith.report import words
from ionsmith.report.payload import MOST_CRYSTALS, methods_used


def caveat(result: RunResult) -> str:
    """Return what a reader must know before believing a number.

    Args:
        result: the finished run.
    """
    used = methods_used(result)
    if not used:
        return "No quantity was computed in this run."
    outside = sum(entry["outside"] for entry in used)
    judged = sum(entry["judged"] for entry in used)
    flagged = (
        f"{outside} of {judged} model predictions are for materials unlike those the model was built for; "
        "they are flagged as out of domain and are closer to guesses."
        if outside
        else ""
    )
    return (
        "Every number here is computed, none is measured unless it says so; ± is one standard deviation as the "
        f"method itself states it. A rank is a reason to look closer, not a result. {flagged}"
    )


def summary(result: RunResult) -> str:
    """Return funnel and targets side by side, or an empty string where the run had neither.

    Args:
        result: the finished run.
    """
    funnel, wanted = _funnel(result.funnel), _targets(result)
    if not funnel and not wanted:
        return ""
    return f'<div class="summary">{funnel}{wanted}</div>'


def _funnel(funnel: Sequence[StageCount]) -> str:
    if not funnel:
        return ""
    widest = max(1, max(stage.received for stage in funnel))
    rows = "".join(_funnel_row(stage, widest) for stage in funnel)
    key = "".join(
        f'<span class="key"><i class="{kind}"></i>{word}</span>'
        for kind, word in (("ok", "OK"), ("rejected", "rejected"), ("failed", "failed"))
    )
    return (
        '<section class="card" aria-labelledby="funnel-title"><h2 id="funnel-title">Funnel</h2>'
        f'<p class="keys">{key}</p>'
        '<table class="funnel"><thead><tr><th scope="col" colspan="2">Stage</th><th scope="col">Received</th>'
        '<th scope="col">OK</th><th scope="col">Rejected</th><th scope="col">Failed</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></section>"
    )


def _funnel_row(stage: StageCount, widest: int) -> str:
    parts = {"ok": stage.ok, "rejected": stage.rejected, "failed": stage.failed}
    bar = "".join(f'<i class="{kind}" style="width:{100 * n / widest:.2f}%"></i>' for kind, n in parts.items() if n)
    cells = "".join(f'<td class="{"none" if not n else kind}">{n:,}</td>' for kind, n in parts.items())
    return (
        f'<tr><th scope="row">{escape(words.stage_words(stage.stage))}</th>'
        f'<td class="flow" aria-hidden="true">{bar}</td>'
        f"<td>{stage.received:,}</td>{cells}</tr>"
    )


def _targets(result: RunResult) -> str:
    goals = words.targets(result)
    if not goals:
        return ""
    rows = "".join(
        f'<tr><th scope="row">{escape(QUANTITIES[name].label)}</th>'
        f"<td>{escape(target.words()).replace('-', words.MINUS)}</td>"
        f"<td>{escape(QUANTITIES[name].unit)}</td></tr>"
        for name, target in goals.items()
    )
    return (
        '<section class="card" aria-labelledby="targets-title"><h2 id="targets-title">Wanted</h2>'
        '<table class="targets"><thead><tr><th scope="col">Quantity</th><th scope="col">Target</th>'
        f'<th scope="col">Unit</th></tr></thead><tbody>{rows}</tbody></table>{_settings(result)}</section>'
    )


def _settings(result: RunResult) -> str:
    spec = result.spec
    budget, ladder = spec.get("budget") or {}, spec.get("ladder") or {}
    pairs = {
        "Mobile ion": spec.get("mobile_ion"),
        "Excluded elements": ", ".join(map(str, spec.get("exclude") or ())) or "none",
        "Budget": ", ".join(f"{n:,} {name}" for name, n in budget.items() if (name, n) != ("rounds", 1)),
        "Simulations": " → ".join(words.stage_words(str(rung)).lower() for rung in ladder.get("rungs") or ()),
        "Potential": ladder.get("potential"),
    }
    items = "".join(f"<div><dt>{name}</dt><dd>{escape(str(text))}</dd></div>" for name, text in pairs.items() if text)
    return f'<dl class="facts">{items}</dl>'


def figure_section(charts: Sequence[Mapping[str, Any]]) -> str:
    """Return the frames that the scripts fill with figures.

    Args:
        charts: entries with ``id``, ``title``, ``caption`` and ``side`` (``wide`` or ``narrow``).
    """
    if not charts:
        return ""
    sides = {chart["side"] for chart in charts}
    frames = "".join(
        f'<figure class="card {chart["side"]}"><figcaption><h3>{escape(chart["title"])}</h3>'
        f'<p>{escape(chart["caption"])}</p></figcaption><div class="chart" id="chart-{chart["id"]}"></div></figure>'
        for chart in charts
    )
    return (
        '<section id="figures" aria-labelledby="figures-title"><h2 id="figures-title">Figures</h2>'
        f'<div class="gallery{"" if len(sides) == 2 else " even"}">{frames}</div></section>'
    )


def methods(result: RunResult) -> str:
    """Return the table of methods and the notes on how to read their numbers.

    Args:
        result: the finished run.
    """
    used = methods_used(result)
    rows = "".join(_method_row(entry) for entry in used)
    table = (
        '<div class="scroll"><table class="methods"><thead><tr><th scope="col">Quantity</th><th scope="col">Unit</th>'
        '<th scope="col">Method</th><th scope="col">Values</th><th scope="col">Usual ±</th>'
        f'<th scope="col">Out of domain</th></tr></thead><tbody>{rows}</tbody></table></div>'
        if used
        else ""
    )
    return table + f'<ul class="notes">{"".join(f"<li>{line}</li>" for line in _lines(result))}</ul>'


def _method_row(entry: dict[str, Any]) -> str:
    known = QUANTITIES[entry["quantity"]]
    spread = words.number(entry["spread"]) if entry["spread"] else "none stated"
    outside = f"{entry['outside']:,} of {entry['judged']:,}" if entry["judged"] else "does not apply"
    return (
        f'<tr><th scope="row">{escape(known.label)}</th><td>{escape(known.unit)}</td>'
        f"<td>{escape(entry['method'])}</td>"
        f"<td>{entry['count']:,}</td><td>{spread}</td><td>{outside}</td></tr>"
    )


def _lines(result: RunResult) -> list[str]:
    lines = [
        "± is one standard deviation as the method states it; the table gives the median over the run. It covers "
        "what the method knows about its own error, not what no method sees, such as grain boundaries, defects and "
        "synthesis.",
        "<em>In domain</em> means that the method was built for materials like this one. Out of domain, neither the "
        "value nor its ± can be relied on.",
        "<em>Rejected</em> means that a condition was missed, with the reason beside it. <em>Failed</em> means "
        "that a stage could not answer; the material itself may be fine. Both stay in every count.",
    ]
    if words.targets(result):
        lines.append(
            "A target is <em>met</em> when the best estimate lies on the wanted side of the limit, and "
            "<em>unknown</em> when the quantity was not computed. The score, from 0 to 1, weighs how surely each "
            "target is met."
        )
    crystals = sum(row.outcome.candidate.kind == "crystal" for row in result.rows)
    if crystals > MOST_CRYSTALS:
        lines.append(
            f"To keep this file small it carries the first {MOST_CRYSTALS} of {crystals:,} crystals for drawing and "
            "download, in table order; the run folder holds all of them."
        )
    return lines
