"""The report: one HTML file that opens offline, made from finished records only."""

from __future__ import annotations

import json
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from ionsmith.core.errors import InputError
from ionsmith.core.results import RunResult
from ionsmith.report import comparison, figures, front, progress, sections, words
from ionsmith.report.assets import asset, embedded, plotly_script
from ionsmith.report.payload import payload, tally
from ionsmith.report.winners import family_section, winner_section, winner_title

_SCRIPTS = (
    "dom.js",
    "crystal.js",
    "viewer.js",
    "table.js",
    "contour.js",
    "panels.js",
    "candidate.js",
    "charts.js",
    "winners.js",
    "main.js",
)
_VERBS = {"screen": "Screening", "design": "Inverse design", "predict": "Prediction", "simulate": "Simulation"}


def write_report(result: RunResult, path: Path) -> None:
    """Write the report of a run as one self-contained HTML page.

    Args:
        result: the finished run.
        path: file to write; an existing one is replaced.

    Raises:
        InputError: the file cannot be written.
    """
    text = render(result)
    fresh = path.with_name(path.name + ".part")
    try:
        # file names that are not UTF-8 reach us as lone surrogates
        fresh.write_bytes(text.encode("utf-8", errors="replace"))
        fresh.replace(path)
    except OSError as error:
        raise InputError(f"{path}: expected a place to write the report, got {error.strerror or error}") from error


def render(result: RunResult) -> str:
    """Return the page as text.

    Args:
        result: the finished run.
    """
    charts = _charts(result)
    best, family = winner_section(result), family_section(result)
    record = {**payload(result), "charts": charts}
    return Template(asset("template.html")).substitute(
        title=escape(f"{_verb(result)}: {_plain_headline(result)}"),
        style=asset("page.css"),
        eyebrow=escape(_eyebrow(result)),
        headline=words.headline(result),
        caveat=sections.caveat(result),
        summary=sections.summary(result),
        winners=best,
        winners_link=f'<a href="#winners">{winner_title(result)}</a>' if best else "",
        family=family,
        family_link='<a href="#family">Family</a>' if family else "",
        figures_link='<a href="#figures">Figures</a>' if charts else "",
        figures=sections.figure_section(charts),
        methods=sections.methods(result),
        version=escape(result.version),
        record=embedded(record),
        plotly=plotly_script() if charts or _has_figures(record) else "",
        script="\n".join(asset(name) for name in _SCRIPTS),
    )


def _has_figures(record: dict[str, Any]) -> bool:
    return any("figures" in panel for row in record["rows"] for panel in row.get("panels", ()))


def _verb(result: RunResult) -> str:
    return _VERBS.get(result.command, result.command.capitalize())


def _plain_headline(result: RunResult) -> str:
    hits, total = tally(result)["feasible"], len(result.rows)
    return f"{hits} of {total} meet every target" if words.targets(result) else f"{total} inputs"


def _eyebrow(result: RunResult) -> str:
    total = len(result.rows)
    return f"{_verb(result)} · {total:,} input{'' if total == 1 else 's'} · ionsmith {result.version}"


def _charts(result: RunResult) -> list[dict[str, Any]]:
    main, explorer = figures.conductivity_against_hull(result), _explorer(result)
    parity, numbers = comparison.measured_against_predicted(result), comparison.agreement(result)
    groups = figures.outcome_by_family(result)
    found = [chart for chart in (_learning(result), _pareto(result)) if chart is not None]
    if main is not None:
        found.append(_chart("hull", "Conductivity against stability", main, _map_caption(result), side="wide"))
    if parity is not None:
        found.append(_chart("parity", "Predicted against measured conductivity", parity, _parity_caption(numbers)))
    if explorer is not None:
        found.append(explorer)
    if groups is not None:
        kind = {"family": "family", "anion": "anion chemistry"}[figures.grouped_by(result)]
        found.append(_chart("families", f"Outcome by {kind}", groups, "How the candidates of each group ended."))
    return found


def _chart(name: str, title: str, figure: Any, caption: str, *, side: str = "narrow") -> dict[str, Any]:
    return {"id": name, "title": title, "caption": caption, "side": side, "figure": json.loads(figure.to_json())}


def _learning(result: RunResult) -> dict[str, Any] | None:
    figure = progress.learning_curves(result)
    if figure is None:
        return None
    caption = (
        "Above: the score of each proposal, in the order in which they were asked for; one that was not simulated is "
        "scored by the learned models alone, and a target not known yet counts as even odds. Below: how many met "
        "every target so far."
    )
    if progress.round_edges(result):
        caption += " Dotted lines part the rounds, after each of which a generator that learns hears the results."
    return _chart("learning", "Learning curve", figure, caption, side="wide")


def _pareto(result: RunResult) -> dict[str, Any] | None:
    found = front.find_front(result)
    if found is None:
        return None
    pairs = front.front_pairs(found)
    drawn = [front.front_figure(found, x, y) for x, y in pairs]
    chart = _chart("pareto", "Pareto front over the targets", drawn[0], front.caption(found), side="narrow")
    choices = [front.pair_label(pair) for pair in pairs]
    return {**chart, "choices": choices, "others": [json.loads(figure.to_json()) for figure in drawn[1:]]}


def _map_caption(result: RunResult) -> str:
    text = "Each point is a candidate; click it to open it. Bars are one standard deviation."
    if len(result.rows) > figures.MOST_POINTS:
        text += f" At most {figures.MOST_POINTS:,} candidates are drawn, from the top of the table."
    return text + (
        " The wanted region is shaded; the best inside it are named where there is room."
        if words.targets(result)
        else ""
    )


def _parity_caption(found: comparison.Agreement | None) -> str:
    if found is None:
        return "The measurements are limits only, so there is no error to state."
    rank = "" if found.spearman is None else f", Spearman rank correlation {words.number(found.spearman, decimals=2)}"
    limits = f" {found.limits} more are measured as a limit only and enter neither number." if found.limits else ""
    return (
        f"n = {found.n}, mean absolute error {words.number(found.mae, decimals=2)} decades{rank}.{limits} "
        f"The band is ±1 decade around parity. {found.training}"
    )


def _explorer(result: RunResult) -> dict[str, Any] | None:
    names = [name for name in words.quantity_order(result) if any(name in row.outcome.values for row in result.rows)]
    first = {figures.HULL, comparison.CONDUCTIVITY}
    # with the first figure's two quantities alone, a choice would be no choice
    pairs = [(x, y) for y in names for x in names if x != y and {x, y} != first and _share_a_row(result, x, y)]
    if not pairs:
        return None
    x, y = next((pair for pair in pairs if pair[1] == comparison.CONDUCTIVITY), pairs[0])
    caption = "Choose any two quantities. " + _map_caption(result)
    chart = _chart("map", "Target map", figures.target_map(result, x, y), caption, side="wide")
    return {**chart, "x": x, "y": y, "names": names, "most": figures.MOST_POINTS, "classes": figures.classes(result)}


def _share_a_row(result: RunResult, x: str, y: str) -> bool:
    return any(x in row.outcome.values and y in row.outcome.values for row in result.rows)
