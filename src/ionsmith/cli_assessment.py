"""The commands that judge: `ionsmith evaluate` and `ionsmith study`; thin, like the rest of the command line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from ionsmith.core.results import RunResult

study_app = typer.Typer(
    help="Published systems, rebuilt: what was claimed beside what we measure.", no_args_is_help=True
)
_WIDTH = 160  # a table of eleven columns; a narrower window wraps its lines
_SHORT = MappingProxyType({"mean_absolute_error": "MAE", "root_mean_square_error": "RMSE"})
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document to stdout and nothing else there.")]


def evaluate(
    model: Annotated[str, typer.Argument(help="Registered model, or a folder that ionsmith train wrote.")],
    data: Annotated[str, typer.Option(help="CSV (formula or structure column, value column) or name of a data set.")],
    quantity: Annotated[str, typer.Option(help="What the values are; what the model predicts if not given.")] = "",
    target: Annotated[str, typer.Option(help="Name of the value column.")] = "",
    group: Annotated[str, typer.Option(help="Column whose equal cells are never parted, besides formula, DOI.")] = "",
    folds: Annotated[int, typer.Option(min=2, help="Folds of the cross-validation.")] = 5,
    refit: Annotated[
        bool, typer.Option("--refit", help="Cross-validate the model on these rows, with baselines.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Start of all random streams.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Folder for evaluation.json and evaluation.html.")] = None,
    as_json: Json = False,
) -> None:
    """Judge a model on measured values: error, rank, classes, calibration, domain; baselines beside a refit."""
    from ionsmith import assessment

    options = assessment.EvaluationOptions(data, quantity, target, group, folds, refit, seed, out)
    document = assessment.evaluate(model, options)
    if as_json:
        typer.echo(json.dumps(document, allow_nan=False))
        return
    _print_evaluation(document)
    if out is not None:
        typer.echo(f"page: {out / assessment.PAGE_FILE}")


@study_app.command("list")
def study_list(as_json: Json = False) -> None:
    """List the published systems that can be run."""
    from ionsmith.studies.study import studies

    known = studies()
    if as_json:
        rows = [{"name": s.name, "title": s.title, "doi": s.doi, "differs": list(s.differs)} for s in known.values()]
        typer.echo(json.dumps(rows))
        return
    table = Table("name", "title", "doi", box=None, pad_edge=False)
    for study in known.values():
        table.add_row(study.name, study.title, study.doi)
    Console(highlight=False).print(table)


@study_app.command("run")
def study_run(
    name: Annotated[str, typer.Argument(help="Name from `ionsmith study list`.")],
    seed: Annotated[int, typer.Option(help="Start of all random streams.")] = 0,
    as_json: Json = False,
) -> None:
    """Run a published system and print its claims beside what is measured; needs the data sets it names."""
    from ionsmith.studies.study import run_study, shown

    document = run_study(name, seed=seed)
    if as_json:
        typer.echo(json.dumps(document, allow_nan=False))
        return
    console = Console(highlight=False)
    console.print(f"{document['title']} (doi {document['doi']})", markup=False)
    for text in document["differs"]:
        console.print(f"differs: {text}", markup=False)
    table = Table("", "claimed", "measured here", "note", box=None, pad_edge=False)
    for claim in document["claims"]:
        table.add_row(claim["what"], claim["claimed"], shown(claim["measured"]), claim["note"])
    console.print(table)


def print_reasons(result: RunResult) -> None:
    """Print one line per explained value.

    Args:
        result: a prediction run whose rows hold explanations.
    """
    for row in result.rows:
        for found in row.outcome.details.get("explanation", {}).values():
            typer.echo(f"{row.formula}: {found['sentence']}")


def _print_evaluation(document: Mapping[str, Any]) -> None:
    console = Console(highlight=False, soft_wrap=True, width=_WIDTH)
    data = document["data"]
    console.print(
        f"{document['model']} on {data['name']}: {data['used']} of {data['received']} rows used", markup=False
    )
    for fault in data["faults"]:
        console.print(f"not used: {fault['input']}: {fault['reason']}", markup=False)
    shares = ("coverage_50%", "coverage_90%", "out_of_domain_share")
    classes = [f"{name}_{limit:.3g}" for limit in document["thresholds"] for name in ("auc", "accuracy")]
    names = ("mean_absolute_error", "root_mean_square_error", "spearman", *classes, *shares)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(f"errors in {document['unit']}")
    for name in ("rows", *names):
        table.add_column(_SHORT.get(name, name).replace("_", " "), justify="right")
    for label, part in _parts(document):
        table.add_row(label, str(part["rows"]), *(_figure(part["figures"], name) for name in names))
    console.print(table)


def _parts(document: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    shipped, refit = document["shipped"], document.get("refit", {"models": {}})
    told = "unseen rows" if shipped["training_known"] else "all rows (training rows not known)"
    parts = [(f"as shipped, {told}", shipped["unseen"]), ("as shipped, rows in training", shipped["seen"])]
    for place, (label, part) in enumerate(refit["models"].items()):
        parts.append((f"{label}, refitted" if place == 0 else label, part))
    return [(label, part) for label, part in parts if part["rows"]]


def _figure(figures: Mapping[str, Mapping[str, float]], name: str) -> str:
    figure = figures.get(name)
    if figure is None:
        return ""
    span = f" ({figure['low']:.3g} to {figure['high']:.3g})" if "low" in figure and name in _SHORT else ""
    return f"{figure['value']:.3g}{span}"
