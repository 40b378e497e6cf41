"""The page of an evaluation: one HTML file that opens offline, made from the evaluation's JSON document only."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from ionsmith.core.errors import InputError
from ionsmith.report import evaluation_figures as figures
from ionsmith.report.assets import asset, embedded, plotly_script
from ionsmith.report.words import formula_markup, number

MOST_WORST, MOST_FAULTS = 20, 100
_SHARE = -1  # in place of a number of digits: print as per cent
Document = Mapping[str, Any]


def write_evaluation(document: Document, path: Path) -> None:
    """Write the page of an evaluation.

    Args:
        document: as :func:`ionsmith.evaluate.assess.document` returns it.
        path: file to write; an existing one is replaced.

    Raises:
        InputError: the file cannot be written.
    """
    try:
        path.write_bytes(render_evaluation(document).encode("utf-8", errors="replace"))
    except OSError as error:
        raise InputError(f"{path}: expected a place to write the page, got {error.strerror or error}") from error


def render_evaluation(document: Document) -> str:
    """Return the page as text.

    Args:
        document: as :func:`ionsmith.evaluate.assess.document` returns it.
    """
    charts = _charts(document)
    return Template(asset("evaluation.html")).substitute(
        title=escape(f"Evaluation of {document['model']} on {document['data']['name']}"),
        style=asset("page.css"),
        eyebrow=escape(_eyebrow(document)),
        headline=_headline(document),
        caveat=_caveat(document),
        merit=_merit(document),
        figures="".join(_frame(chart) for chart in charts),
        worst=_worst(document),
        faults=_faults(document),
        methods=_methods(document),
        version=escape(str(document["version"])),
        record=embedded(charts),
        plotly=plotly_script() if charts else "",
    )


def _eyebrow(document: Document) -> str:
    data = document["data"]
    return (
        f"Evaluation · {document['model']} · {document['label']} · {data['name']} · {data['received']:,} rows · "
        f"ionsmith {document['version']}"
    )


def _headline(document: Document) -> str:
    label, part = _main(document)
    error = part["figures"].get("mean_absolute_error")
    if error is None:
        return "Every row was in the training data: nothing to judge"
    digits = _digits(document)
    span = f" (90 % interval {_span(error, digits)})" if "low" in error else ""
    rows = f"{part['rows']:,} row{'' if part['rows'] == 1 else 's'}"
    size = f"{_text(error['value'], digits)} {escape(document['unit'])}"
    return f"Mean absolute error {size} on {rows} {label}{span}"


def _main(document: Document) -> tuple[str, Mapping[str, Any]]:
    if "shipped" in document and (document["shipped"]["unseen"]["rows"] or "refit" not in document):
        told = document["shipped"]["training_known"]
        return "unseen by the shipped weights" if told else "asked of the shipped weights", document["shipped"][
            "unseen"
        ]
    return "kept out of the refits", next(iter(document["refit"]["models"].values()))


def _caveat(document: Document) -> str:
    said = []
    shipped, data = document.get("shipped"), document["data"]
    if shipped is not None and not shipped["training_known"]:
        said.append("The model cannot say which rows it learnt from; where it did, its figures flatter.")
    elif shipped is not None and shipped["seen"]["rows"]:
        said.append(
            f"{shipped['seen']['rows']:,} rows share their formula or paper with the training data; they are "
            "reported apart and in no figure of the unseen rows."
        )
    part = _main(document)[1]
    outside = part["figures"].get("out_of_domain_share", {}).get("value", 0.0)
    if outside:
        said.append(f"{100 * outside:.0f} % of the judged rows are unlike what the model was built for.")
    if part.get("limits"):
        said.append(f"{part['limits']} measurements are limits only and count as the number they state.")
    if data["faults"]:
        said.append(f"{len(data['faults'])} of {data['received']:,} rows could not be used and are listed below.")
    return escape(" ".join(said) or "Intervals are bootstrap intervals over whole groups of rows.")


def _merit(document: Document) -> str:
    lines: list[tuple[str, Mapping[str, Any], bool]] = []
    if "shipped" in document:
        shipped = document["shipped"]
        lines.append(("shipped weights, unseen rows", shipped["unseen"], True))
        if shipped["seen"]["rows"]:
            lines.append(("shipped weights, rows in training (no test)", shipped["seen"], False))
    refit = document.get("refit", {"models": {}, "title": ""})
    for place, (label, part) in enumerate(refit["models"].items()):
        lines.append((f"{label}, refitted" if place == 0 else label, part, place == 0))
    columns = _columns(document)
    head = "".join(f'<th scope="col" class="num">{escape(title)}</th>' for title, _, _ in columns)
    body = "".join(_merit_row(label, part, columns, main=main) for label, part, main in lines if part["rows"])
    lead = (
        f"Refits and baselines: {escape(refit['title'])}, the same splits for all."
        if refit["models"]
        else "Run again with --refit for a cross-validation of the model and of plain baselines on these rows."
    )
    return (
        f'<p class="lead">Errors in {escape(document["unit"])}; small print: 90 % bootstrap interval. {lead}</p>'
        f'<div class="scroll"><table class="figures-of-merit"><thead><tr><th scope="col">Model</th>'
        f'<th scope="col" class="num">Rows</th>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def _columns(document: Document) -> list[tuple[str, str, int]]:
    """Title, name of the figure and its digits after the point, for every column."""
    digits = _digits(document)
    found = [
        ("MAE", "mean_absolute_error", digits),
        ("RMSE", "root_mean_square_error", digits),
        ("Bias", "mean_error", digits),
        ("Spearman", "spearman", 2),
    ]
    for limit in document["thresholds"]:
        found += [
            (f"AUC at {number(limit)}", f"auc_{limit:.3g}", 2),
            (f"Accuracy at {number(limit)}", f"accuracy_{limit:.3g}", _SHARE),
        ]
    return [
        *found,
        ("50 % covers", "coverage_50%", _SHARE),
        ("90 % covers", "coverage_90%", _SHARE),
        ("Out of domain", "out_of_domain_share", _SHARE),
    ]


def _merit_row(label: str, part: Mapping[str, Any], columns: Sequence[tuple[str, str, int]], *, main: bool) -> str:
    cells = "".join(_cell(part["figures"].get(name), digits) for _, name, digits in columns)
    kind = ' class="main"' if main else ""
    return f'<tr{kind}><th scope="row">{escape(label)}</th><td class="num">{part["rows"]:,}</td>{cells}</tr>'


def _cell(figure: Mapping[str, float] | None, digits: int) -> str:
    if figure is None:
        return '<td class="num empty">–</td>'
    span = f"<small>{_span(figure, digits)}</small>" if "low" in figure else ""
    return f'<td class="num">{_text(figure["value"], digits)}{span}</td>'


def _span(figure: Mapping[str, float], digits: int) -> str:
    return f"{_text(figure['low'], digits)} to {_text(figure['high'], digits)}"


def _text(value: float, digits: int) -> str:
    return f"{100 * value:.0f} %" if digits == _SHARE else number(value, decimals=digits)


def _digits(document: Document) -> int:
    """Return the digits after the point that give the main error two figures, two at least."""
    error = _main(document)[1]["figures"].get("mean_absolute_error", {"value": 1.0})["value"]
    return min(6, max(2, 1 - math.floor(math.log10(error)))) if error > 0.0 else 2


def _charts(document: Document) -> list[dict[str, Any]]:
    found = []
    main = "shipped" if "shipped" in document else "refit"
    for part, title in (("shipped", "Parity: shipped weights"), ("refit", "Parity: refitted, rows kept out")):
        figure = figures.parity(document, part)
        if figure is not None:
            found.append(_chart(f"parity-{part}", title, figure, _parity_caption(document)))
    curve = figures.calibration(document)
    if curve is not None:
        caption = (
            "Share of measured values inside the stated central interval; below the dashes the model is too sure."
        )
        found.append(_chart("calibration", "Calibration of the stated spread", curve, caption))
    part = "refit" if "refit" in document else main
    boxes = figures.residuals(document, part)
    if boxes is not None:
        caption = "Each dot is a row kept out; boxes hold the middle half. Families of a single row are not drawn."
        found.append(_chart("families", "Residuals by family", boxes, caption))
    return found


def _parity_caption(document: Document) -> str:
    thin = (
        f" {figures.MOST_POINTS:,} rows are drawn, evenly taken."
        if len(document["rows"]) > figures.MOST_POINTS
        else ""
    )
    return f"Each point is a row; bars, where there is room, are one stated standard deviation.{thin}"


def _chart(name: str, title: str, figure: Any, caption: str) -> dict[str, Any]:
    return {"id": name, "title": title, "caption": caption, "figure": json.loads(figure.to_json())}


def _frame(chart: Mapping[str, Any]) -> str:
    title, caption = escape(chart["title"]), escape(chart["caption"])
    return (
        f'<figure class="card"><figcaption><h3>{title}</h3><p>{caption}</p></figcaption>'
        f'<div class="chart" id="chart-{chart["id"]}" role="img" aria-label="{title}"></div></figure>'
    )


def _worst(document: Document) -> str:
    part = "refit" if "refit" in document else "shipped"
    rows = [row for row in document["rows"] if part in row and not row[part].get("seen")]
    rows.sort(key=lambda row: -abs(row[part]["mean"] - row["measured"]))
    if not rows:
        return '<p class="lead">No row was judged.</p>'
    whose = {"refit": "of the refitted model, rows kept out", "shipped": "on unseen rows"}[part]
    body = "".join(_worst_row(row, part) for row in rows[:MOST_WORST])
    heads = ("Material", "Family", "Measured", "Predicted", "Error", "In units of the spread", "Domain", "Row")
    head = "".join(f'<th scope="col"{_aligned(h)}>{h}</th>' for h in heads)
    return (
        f'<p class="lead">Largest errors {whose}. A row far outside its stated spread is either a new kind of '
        f'material or a mistake in one of the two numbers.</p><div class="scroll"><table class="worst">'
        f"<thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
    )


def _aligned(head: str) -> str:
    return ' class="num"' if head in ("Measured", "Predicted", "Error", "In units of the spread") else ""


def _worst_row(row: Mapping[str, Any], part: str) -> str:
    answer = row[part]
    error = answer["mean"] - row["measured"]
    sign = {"exact": "", "upper": "≤ ", "lower": "≥ "}[row["bound"]]
    domain = "in" if answer["in_domain"] else '<span class="outside">out</span>'
    doi = f"<br>{escape(row['doi'])}" if row.get("doi") else ""
    return (
        f'<tr><th scope="row">{formula_markup(row["formula"])}</th><td>{escape(str(row.get("family", "")))}</td>'
        f'<td class="num">{sign}{number(row["measured"])}</td>'
        f'<td class="num">{number(answer["mean"])} ± {number(answer["std"])}</td>'
        f'<td class="num">{number(error)}</td><td class="num">{number(error / answer["std"], decimals=1)}</td>'
        f'<td>{domain}</td><td class="where">{escape(str(row["input"]))}{doi}</td></tr>'
    )


def _faults(document: Document) -> str:
    faults = document["data"]["faults"]
    if not faults:
        return ""
    lines = "".join(f"<li>{escape(f['input'])}: {escape(f['reason'])}</li>" for f in faults[:MOST_FAULTS])
    more = (
        f"<li>and {len(faults) - MOST_FAULTS:,} more, see the JSON document</li>" if len(faults) > MOST_FAULTS else ""
    )
    return (
        '<section id="faults" aria-labelledby="faults-title"><h2 id="faults-title">Rows that could not be used</h2>'
        f'<ul class="faults">{lines}{more}</ul></section>'
    )


def _methods(document: Document) -> str:
    settings = document["settings"]
    notes = [
        "MAE, RMSE, bias: mean absolute, root mean square and mean signed difference, predicted minus measured.",
        "Intervals hold 90 % of a bootstrap that draws whole groups (rows linked by "
        f"{' or '.join(settings['grouped_by'])}) with replacement.",
        "Coverage: share of measured values inside the central 50 % or 90 % normal interval that the model states.",
        "A measurement that is only a limit counts as the number it states; in classes it is left out where it does "
        "not tell the side.",
        "Seen: a training row has the same composition (summed difference of atomic fractions below 0.01) or the "
        "same DOI. Out of domain: the model's own flag.",
        "Refitted: the model and the baselines are fitted anew in every fold, scalers and choices included; rows of "
        f"one group are never parted. Random streams start from {settings['seed']}.",
        "Baselines: mean of the training rows; nearest training row; ridge regression (all on electrolyte features); "
        "random forest on element statistics in the manner of Magpie. Their spread is their training residual.",
    ]
    return '<ul class="notes">' + "".join(f"<li>{escape(note)}</li>" for note in notes) + "</ul>"
