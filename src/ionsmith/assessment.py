"""What `ionsmith evaluate` and `predict --explain` call: names become objects here, files are written here."""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from ionsmith import __version__
from ionsmith.core.errors import InputError
from ionsmith.core.protocols import Explainer, PropertyModel
from ionsmith.core.quantities import suggestion
from ionsmith.core.records import Candidate, Kind, Outcome, Value
from ionsmith.core.registry import lookup, registered
from ionsmith.core.results import Row, RunResult
from ionsmith.data.activation_energies import load_activation_energies
from ionsmith.data.kang import load_kang
from ionsmith.data.library import load_library
from ionsmith.data.liverpool import load_liverpool
from ionsmith.data.matbench import load_formula_table, load_matbench
from ionsmith.data.materials_project import load_materials_project
from ionsmith.data.obelix import load_obelix
from ionsmith.data.obelix_crystals import with_crystals
from ionsmith.evaluate.assess import Assessment, assess_refit, assess_shipped, document
from ionsmith.evaluate.explanation import explain_by_atoms, explain_prediction, family_background
from ionsmith.evaluate.table import Table, read_table, with_quantity
from ionsmith.predict.arrhenius import value_at
from ionsmith.report.evaluation import write_evaluation

_ROOM, _NEAR_ROOM = 298.15, 10.0  # K
JSON_FILE, PAGE_FILE = "evaluation.json", "evaluation.html"


@dataclass(frozen=True)
class EvaluationOptions:
    """What to evaluate on, and how.

    Attributes:
        data: file, or name of a data set.
        quantity: what the value column holds; empty takes what the model predicts.
        target: name of the value column; empty guesses it.
        group: name of a column that keeps rows together besides formula and DOI.
        folds: of the cross-validation.
        refit: whether to cross-validate the model on this data, beside baselines.
        seed: start of all random streams.
        out: folder for ``evaluation.json`` and ``evaluation.html``; None writes nothing.
    """

    data: str
    quantity: str = ""
    target: str = ""
    group: str = ""
    folds: int = 5
    refit: bool = False
    seed: int = 0
    out: Path | None = None


def evaluate(model: str, options: EvaluationOptions) -> dict[str, Any]:
    """Evaluate a registered model on a file or data set; returns the JSON document that describes the result.

    Args:
        model: registry name, or the folder of a model that ``ionsmith train`` wrote.
        options: what to evaluate on, and how.

    Raises:
        InputError: unknown model, data or column, another quantity, a folder that cannot be written, or a wish to
            refit a user's own model.
        ArtifactError: the shipped weights are missing or damaged.
        DataError: the data set is absent or damaged.
    """
    make, fitted = _trained(Path(model), options) if Path(model).is_dir() else _model(model, options.quantity)
    table = _table(options, fitted.quantity)
    by = ("formula", "doi", *(("group",) if options.group else ()))
    table, shipped = assess_shipped(fitted, table)
    refit = assess_refit(model, make, table, folds=options.folds, seed=options.seed, by=by) if options.refit else None
    found = Assessment(fitted.name, fitted.fingerprint, table, shipped, refit, by, options.folds, options.seed)
    written = document(found, version=__version__)
    if options.out is not None:
        _write(written, options.out)
    return written


def explain_result(result: RunResult) -> RunResult:
    """Return a prediction run whose rows say why, under ``explanation`` of their details, by model.

    Args:
        result: what :func:`ionsmith.recipes.predict` returned.

    Raises:
        InputError: a model of the run is not registered.
        ArtifactError: its weights are missing or damaged.
    """
    models = {name: cls.load() for name, cls in registered("model").items() if name in _methods(result)}  # type: ignore[attr-defined]
    return replace(result, rows=tuple(_explained(row, models) for row in result.rows))


def at_temperature(result: RunResult, temperature: float) -> RunResult:
    """Return a prediction run whose conductivities are those at a temperature, by each material's activation energy.

    A row without an activation energy has no conductivity there.

    Args:
        result: what :func:`ionsmith.recipes.predict` returned, conductivities at 300 K.
        temperature: K.

    Raises:
        InputError: a temperature not above zero.
    """
    kelvin = sound_temperature(temperature)
    return replace(result, rows=tuple(_heated(row, kelvin) for row in result.rows))


def sound_temperature(temperature: float) -> float:
    """Return a temperature that something can have, so that a wrong one is refused before any work.

    Args:
        temperature: K.

    Raises:
        InputError: a temperature not above zero.
    """
    if not (math.isfinite(temperature) and temperature > 0.0):
        raise InputError(f"--temperature: expected a temperature above 0 K, got {temperature:g}")
    return temperature


def _heated(row: Row, temperature: float) -> Row:
    values = dict(row.outcome.values)
    sigma, energy = values.pop("log10_conductivity", None), values.get("activation_energy")
    if sigma is not None and energy is not None:
        values["log10_conductivity"] = value_at(sigma, energy, temperature)
    return replace(row, outcome=replace(row.outcome, values=values))


def _methods(result: RunResult) -> set[str]:
    return {value.method for row in result.rows for value in row.outcome.values.values()}


def _explained(row: Row, models: Mapping[str, PropertyModel]) -> Row:
    candidate, found = row.outcome.candidate, {}
    for value in row.outcome.values.values():
        model = models.get(value.method)
        if model is None or candidate.kind not in model.kinds or not isinstance(model, Explainer):
            continue
        try:
            found[value.method] = _reasons(model, candidate)
        except InputError as error:
            found[value.method] = {"sentence": f"No explanation: {error}"}
    if not found:
        return row
    details = {**row.outcome.details, "explanation": found}
    return replace(row, outcome=replace(row.outcome, details=details))


def _reasons(model: PropertyModel, candidate: Candidate) -> dict[str, Any]:
    if Kind.COMPOSITION not in model.kinds:
        return explain_by_atoms(model, candidate)
    background = family_background(model, candidate)
    return explain_prediction(model, candidate, background, np.random.default_rng(0)).document()


def _model(name: str, quantity: str) -> tuple[Callable[[], PropertyModel], PropertyModel]:
    """Return what builds an unfitted model, and the shipped one; both for a quantity where there is a choice."""
    cls: Any = lookup("model", name)
    make = {"quantity": quantity} if quantity and "quantity" in inspect.signature(cls).parameters else {}
    load = {"quantity": quantity} if quantity and "quantity" in inspect.signature(cls.load).parameters else {}
    fitted: PropertyModel = cls.load(**load)
    return lambda: cls(**make), fitted


def _trained(folder: Path, options: EvaluationOptions) -> tuple[Callable[[], PropertyModel], PropertyModel]:
    """Return the user's own model, in place of what builds it too, because a refit is refused."""
    from ionsmith.predict.transfer_user import UserTransfer

    if options.refit:
        raise InputError(f"{folder}: --refit expects a registered model, got a folder that ionsmith train wrote")
    fitted: PropertyModel = UserTransfer.load(folder=folder)
    return lambda: fitted, fitted


def _table(options: EvaluationOptions, predicted: str) -> Table:
    name = options.quantity or predicted
    if name != predicted:
        raise InputError(f"--quantity {name}: the model predicts {predicted}")
    path = Path(options.data).expanduser()
    if path.is_file():
        return read_table(path, name, target=options.target, group=options.group)
    if options.data not in DATA_SETS:
        raise InputError(f"--data {options.data}: no such file or data set{suggestion(options.data, DATA_SETS)}")
    for option, given in (("--target", options.target), ("--group", options.group)):
        if given:
            raise InputError(f"{option} {given}: expected with a file only, got data set {options.data}")
    return with_quantity(options.data, name, DATA_SETS[options.data]())


def _library() -> Sequence[Outcome]:
    return [Outcome(c, _measured(c.source.facts)) for c in load_library()]


def _liverpool() -> Sequence[Outcome]:
    """Return the rows measured within ten degrees of 25 degree C, as if measured at 300 K."""
    found = []
    for outcome in load_liverpool():
        facts = outcome.candidate.source.facts
        if abs(float(facts["temperature"]) - _ROOM) <= _NEAR_ROOM:
            value = Value(float(facts["log10_conductivity_at_temperature"]), 0.0, "measured")
            found.append(replace(outcome, values={"log10_conductivity": value}))
    return found


def _measured(facts: Mapping[str, Any]) -> dict[str, Value]:
    names = ("log10_conductivity", "activation_energy")
    return {name: Value(float(facts[name]), 0.0, "measured") for name in names if facts.get(name) is not None}


DATA_SETS: Mapping[str, Callable[[], Sequence[Outcome]]] = MappingProxyType(
    {
        "activation_energies": lambda: load_activation_energies("all"),
        "activation_energies:train": lambda: load_activation_energies("train"),
        "activation_energies:test": lambda: load_activation_energies("test"),
        "kang2023": load_kang,
        "library": _library,
        "liverpool:room_temperature": _liverpool,
        "obelix": lambda: with_crystals(load_obelix("all")),
        "obelix:train": lambda: with_crystals(load_obelix("train")),
        "obelix:test": lambda: with_crystals(load_obelix("test")),
        "matbench:e_form": lambda: list(load_matbench("e_form").outcomes()),
        "matbench:gap": lambda: list(load_matbench("gap").outcomes()),
        "mp_by_formula:e_hull": lambda: list(load_formula_table("e_hull").outcomes()),
        "mp_by_formula:bulk_modulus": lambda: list(load_formula_table("bulk_modulus").outcomes()),
        "mp_by_formula:shear_modulus": lambda: list(load_formula_table("shear_modulus").outcomes()),
        "materials_project:mpts_52": lambda: list(load_materials_project("mpts_52")),
        "materials_project:mp_20_biternary": lambda: list(load_materials_project("mp_20_biternary")),
        "materials_project:li_binaries": lambda: list(load_materials_project("li_binaries")),
    }
)
"""Data sets that ``--data`` knows by name."""


def _write(written: Mapping[str, Any], folder: Path) -> None:
    folder = folder.expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / JSON_FILE).write_text(json.dumps(written, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        write_evaluation(written, folder / PAGE_FILE)
    except OSError as error:
        raise InputError(f"--out {folder}: expected a folder to write to, got {error.strerror or error}") from error
