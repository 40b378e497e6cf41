"""The recipe behind ``ionsmith train``: a head on CHGNet features, learnt from the user's own crystals and values."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ionsmith.core.errors import InputError
from ionsmith.core.protocols import PropertyModel
from ionsmith.core.records import Bound, Kind
from ionsmith.evaluate.table import Fault, Table, read_table

START = "transfer_formation_energy"
_BATCH = 16
TABLES = ("table.csv", "id_prop.csv", "data.csv")
"""Names under which the table is looked for in a folder."""


@dataclass(frozen=True)
class Trained:
    """What came of a training.

    Attributes:
        folder: holds the model; ``load_trained`` reads it.
        quantity: what it predicts.
        rows: crystals it learnt from, validation included.
        faults: rows that were left out, each with its reason.
        validation_error: mean absolute error on the validation rows, whole formulas kept out of training.
    """

    folder: Path
    quantity: str
    rows: int
    faults: tuple[Fault, ...]
    validation_error: float


def train_head(
    name: str, data: Path, *, quantity: str, out: Path, target: str = "", epochs: int = 60, seed: int = 0
) -> Trained:
    """Learn a head from a table of structure files and values, and write it with its card.

    Args:
        name: what the new model is called; where it is the name of a shipped transfer model, that one is
            fine-tuned, otherwise the networks start from ``START``.
        data: CSV file with a column of structure files (paths relative to it) and one of values, or a folder that
            holds such a file under one of the names in ``TABLES``.
        quantity: name of the quantity that the values are of, in its unit.
        out: folder to write, which must not exist yet.
        target: name of the column of values; empty takes the quantity's name, ``target``, ``value`` or ``measured``.
        epochs: passes over the rows, at most.
        seed: start of the random stream.

    Raises:
        InputError: a folder that exists, a table that cannot be read, too few crystals in it, or a formula in place
            of a structure in every row.
        ArtifactError: the weights to start from are missing or damaged.
    """
    from ionsmith.core.registry import registered
    from ionsmith.learn.ensemble import EnsembleSettings
    from ionsmith.learn.trainer import Training
    from ionsmith.predict.transfer_user import UserTransfer

    if out.exists():
        raise InputError(f"--out {out}: expected a folder that does not exist yet")
    table = _crystals(read_table(_table_file(data), quantity, target=target))
    start = name if name in registered("model") else START
    settings = EnsembleSettings(training=Training(epochs=epochs, batch=_BATCH, rate=5e-4, average=0.99))
    scratch = Path(f"{out}.checkpoints")
    model = UserTransfer(name=name, quantity=quantity, start=start, settings=settings, scratch=str(scratch))
    model.fit(table.outcomes, np.random.default_rng(seed))
    error = model.validation_error
    card = {
        "model": name,
        "prior": model.prior,
        "data": [{"name": data.name, "licence": "the user's own", "source": data.name}],
        "split": "one formula in fourteen kept out for early stopping and calibration",
        "metrics": {"rows": len(table.outcomes), "left_out": len(table.faults), "validation_error": error},
        "command": f"ionsmith train {name} --data {data.name} --quantity {quantity} --out {out.name} --seed {seed}",
    }
    model.save(card=card, folder=out.parent, name=out.name)
    shutil.rmtree(scratch, ignore_errors=True)  # finished; another table must not be continued from here
    return Trained(out, quantity, len(table.outcomes), table.faults, error)


def load_trained(folder: Path) -> PropertyModel:
    """Return the model that :func:`train_head` wrote.

    Args:
        folder: as returned in ``Trained.folder``.

    Raises:
        ArtifactError: it holds no such model, or is damaged.
    """
    from ionsmith.predict.transfer_user import UserTransfer

    return UserTransfer.load(folder=folder)


def _table_file(data: Path) -> Path:
    if not data.is_dir():
        return data
    found = [data / name for name in TABLES if (data / name).is_file()]
    if not found:
        raise InputError(f"{data}: expected a table named {', '.join(TABLES)} in the folder, got none")
    return found[0]


def _crystals(table: Table) -> Table:
    """Return the table without rows that a head cannot learn from, which become faults."""
    usable, faults = [], list(table.faults)
    for outcome in table.outcomes:
        where = outcome.candidate.source.locator
        if outcome.candidate.kind is not Kind.CRYSTAL:
            faults.append(Fault(where, "expected a structure file, got a formula: the networks read structures"))
        elif outcome.values[table.quantity].bound is not Bound.EXACT:
            faults.append(Fault(where, "expected a number, got a limit: the networks learn from numbers"))
        else:
            usable.append(outcome)
    if not usable:
        raise InputError(f"{table.name}: expected rows with a structure file and a number, got {faults[0].reason}")
    return Table(table.name, table.quantity, tuple(usable), tuple(faults))
