"""The command `ionsmith train`: a head of the user's own from a table of structure files and values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def train(
    name: Annotated[str, typer.Argument(help="What the model is called; a shipped transfer model is fine-tuned.")],
    data: Annotated[Path, typer.Option(help="CSV of structure files and values, or a folder with table.csv.")],
    quantity: Annotated[str, typer.Option(help="Quantity that the values are of, in its unit.")],
    out: Annotated[Path, typer.Option(help="Folder to write the model to.")],
    target: Annotated[str, typer.Option(help="Column of values, if not named as usual.")] = "",
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the rows, at most.")] = 60,
    seed: Annotated[int, typer.Option(help="Start of the random stream.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document to stdout.")] = False,
) -> None:
    """Fine-tune a property head on your own crystals and values."""
    from ionsmith.training import train_head

    done = train_head(name, data, quantity=quantity, out=out, target=target, epochs=epochs, seed=seed)
    faults = [{"place": fault.place, "reason": fault.reason} for fault in done.faults]
    if as_json:
        plain = {"folder": str(done.folder), "quantity": done.quantity, "rows": done.rows, "faults": faults}
        typer.echo(json.dumps(plain | {"validation_error": done.validation_error}))
        return
    typer.echo(f"{done.folder}: {done.quantity} from {done.rows} crystals, {len(faults)} rows left out")
    typer.echo(f"mean absolute error on formulas kept out: {done.validation_error:.4g}")
    for fault in faults[:10]:
        typer.echo(f"left out: {fault['place']}: {fault['reason']}")
