"""The composition root: the only place that names concrete parts, one function per job."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

import ionsmith.data
from ionsmith import __version__
from ionsmith.campaign.executors import make_executor
from ionsmith.campaign.ledger import Ledger
from ionsmith.campaign.loop import Campaign, Limits, Silent, run_campaign
from ionsmith.core.errors import InputError
from ionsmith.core.protocols import Generator, Objective, Observer, PropertyModel, Simulator
from ionsmith.core.quantities import suggestion
from ionsmith.core.records import Kind, Outcome
from ionsmith.core.registry import lookup
from ionsmith.core.results import LEDGER_FILE, Row, RunResult
from ionsmith.core.settings import accepted_settings, checked_settings
from ionsmith.data.files import DataCard, cards
from ionsmith.data.library import load_library, measured_library
from ionsmith.generate.novelty import known_as
from ionsmith.generate.pool import Pool
from ionsmith.io.read import ReadLimits, read_inputs
from ionsmith.io.write import prepare_folder, write_run
from ionsmith.objective.score import NoObjective, SpecObjective
from ionsmith.objective.spec import Budget, Ladder, Spec
from ionsmith.report import write_report

GENERATOR = "guided"
"""Where design gets its proposals unless told otherwise."""

DESIGN_ROUND = 60
"""Proposals between two lessons of a generator, where the Spec does not divide its budget."""

DESIGN_BUDGET = Budget(candidates=1500, simulations=1500)
"""What a design run may do where no Spec says: every proposal that is not hopeless is simulated, so that the
generator learns from physics."""

DESIGN_LADDER = Ladder(rungs=("relax", "hull", "bvse", "synthesis"))
"""Relaxation comes first: the geometry of a proposal is a guess."""

DESIGN_SETTINGS = {"relax": {"max_steps": 60, "max_volume_change": 0.6}}
"""Of rungs, where the Spec sets none: a guessed cell may be far off, and what settles slowly is seldom good."""

MODELS = (
    "conductivity",
    "transfer_band_gap",
    "transfer_formation_energy",
    "transfer_energy_above_hull",
    "transfer_bulk_modulus",
    "transfer_shear_modulus",
    "composition_band_gap",
    "composition_formation_energy",
    "composition_energy_above_hull",
    "composition_bulk_modulus",
    "composition_shear_modulus",
    "activation_energy",
)
"""Predictors that every screen uses, by registry name. A crystal is read by the ``transfer_`` models, a bare formula
by the ``composition_`` ones, both by the others: each property of a candidate comes from one model."""

_UNLIMITED = 10**9


@dataclass(frozen=True)
class RunOptions:
    """How and where a run is done, apart from what it looks for.

    Attributes:
        out: run folder; None writes nothing and keeps the ledger in memory.
        workers: local processes.
        scheduler: address of a running Dask scheduler, or empty.
        resume: continue the run that ``out`` holds.
        seed: start of all random streams.
        max_sites: larger cells are refused when read.
        observer: hears the progress.
    """

    out: Path | None = None
    workers: int = 1
    scheduler: str = ""
    resume: bool = False
    seed: int = 0
    max_sites: int = 500
    observer: Observer = field(default_factory=Silent)


def screen(inputs: Sequence[str], spec: Spec, options: RunOptions) -> RunResult:
    """Screen materials: predict, select, climb the ladder, rank.

    Args:
        inputs: files, folders and queries; none screens the built-in library.
        spec: targets, chemistry and budget.
        options: how and where.

    Raises:
        InputError: inputs, run folder, scheduler or a rung's name are not what they must be.
    """
    limits = Limits(spec.budget.candidates, spec.budget.simulations, spec.budget.rounds)
    ladder = [make_simulator(name, spec=spec, scratch=_scratch(options)) for name in spec.ladder.rungs]
    models = _models_before(ladder)
    return _run(
        "screen", Pool(_readings(inputs, options)), options, models=models, ladder=ladder, limits=limits, spec=spec
    )


def predict(inputs: Sequence[str], options: RunOptions) -> RunResult:
    """Predict every property that a model is shipped for.

    Args:
        inputs: files, folders and queries; none takes the built-in library.
        options: how and where.

    Raises:
        InputError: inputs or run folder are not what they must be.
    """
    models = [load_model(name) for name in MODELS]
    return _run("predict", Pool(_readings(inputs, options)), options, models=models)


def simulate(
    name: str, inputs: Sequence[str], options: RunOptions, *, spec: Spec, settings: Mapping[str, Any] | None = None
) -> RunResult:
    """Run one simulator over materials.

    Args:
        name: registry name of the simulator.
        inputs: files, folders and queries; none takes the built-in library.
        options: how and where.
        spec: gives the mobile ion and the potential.
        settings: of the simulator, by name.

    Raises:
        InputError: unknown simulator or setting, or inputs that are not what they must be.
    """
    ladder = [make_simulator(name, spec=spec, scratch=_scratch(options), settings=settings)]
    return _run("simulate", Pool(_readings(inputs, options)), options, ladder=ladder)


def design(
    spec: Spec,
    options: RunOptions,
    *,
    generator: str = GENERATOR,
    settings: Mapping[str, Any] | None = None,
    known: Sequence[Outcome] | None = None,
) -> RunResult:
    """Invent materials for the Spec: propose, predict, select, climb the ladder, learn, rank.

    Rows of compounds that are known already say so (``rediscovery``) and never count as new.

    Args:
        spec: targets, chemistry and budget; its rounds divide the budget.
        options: how and where.
        generator: registry name.
        settings: of the generator, by name.
        known: measured materials that the generator is fitted to first; None takes those of the built-in library.

    Raises:
        InputError: an unknown generator or setting, or run folder, scheduler or a rung's name are not what they
            must be.
    """
    limits = Limits(spec.budget.candidates, spec.budget.simulations, spec.budget.rounds)
    ladder = [make_simulator(name, spec=spec, scratch=_scratch(options)) for name in spec.ladder.rungs]
    models = _models_before(ladder)
    source = make_generator(generator, spec=spec, settings=settings)
    fitted_to = measured_library() if known is None else known
    source.fit(fitted_to, np.random.default_rng(options.seed))
    made_by = {
        "generator": generator,
        "settings": dict(settings or {}),
        "known": [o.candidate.key for o in fitted_to],
    }
    return _run("design", source, options, models=models, ladder=ladder, limits=limits, spec=spec, made_by=made_by)


def _models_before(ladder: Sequence[Simulator]) -> list[PropertyModel]:
    """Return the predictors whose quantities no rung will compute for the same kinds of candidates.

    A crystal that is not relaxed yet, or the approximant of a disordered one, has too high an energy: predicted from
    that, garnets would be thrown out before the ladder could relax them.
    """

    def computed(model: PropertyModel) -> bool:
        kinds = frozenset[Kind]().union(*(s.kinds for s in ladder if model.quantity in s.provides))
        return model.kinds <= kinds

    return [model for model in map(load_model, MODELS) if not computed(model)]


def design_spec(spec: Spec | None, candidates: int | None) -> Spec:
    """Return the Spec of a design run.

    Args:
        spec: the user's; None takes the default targets with budget and ladder for design.
        candidates: number of proposals where it differs from the Spec's.
    """
    default = Spec(budget=DESIGN_BUDGET, ladder=DESIGN_LADDER)
    wanted = default if spec is None else spec
    budget = wanted.budget if candidates is None else replace(wanted.budget, candidates=candidates)
    if budget.rounds == 1:
        budget = replace(budget, rounds=max(1, budget.candidates // DESIGN_ROUND))
    rungs = {name: DESIGN_SETTINGS[name] for name in wanted.ladder.rungs if name in DESIGN_SETTINGS}
    return replace(wanted, budget=budget, settings={**rungs, **wanted.settings})


def make_generator(name: str, *, spec: Spec, settings: Mapping[str, Any] | None = None) -> Generator:
    """Build a registered generator with the Spec's chemistry, its objective and the library, where it takes them.

    Args:
        name: registry name.
        spec: gives the mobile ion, the excluded elements and the objective by which a generator learns.
        settings: further settings by name; these win.

    Raises:
        InputError: an unknown generator or setting, or a setting of the wrong type.
    """
    cls = lookup("generator", name)
    shared = {"mobile": spec.mobile_ion, "exclude": spec.exclude, "objective": SpecObjective(spec)}
    given: dict[str, Any] = {k: v for k, v in shared.items() if k in accepted_settings(cls)}
    if "prototypes" in accepted_settings(cls):
        given["prototypes"] = tuple(load_library())
    source: Generator = cls(**{**given, **checked_settings(cls, settings or {}, where=name)})
    return source


def make_simulator(
    name: str, *, spec: Spec, scratch: Path | None = None, settings: Mapping[str, Any] | None = None
) -> Simulator:
    """Build a registered simulator with the Spec's mobile ion and potential, where it takes them.

    Args:
        name: registry name.
        spec: gives the shared settings and those of its table ``[settings.<name>]``.
        scratch: folder for checkpoints of long simulations; None keeps none.
        settings: further settings by name; these win.

    Raises:
        InputError: unknown simulator or setting, or a setting of the wrong type.
    """
    cls = lookup("simulator", name)
    shared = {"mobile": spec.mobile_ion, "potential": spec.ladder.potential}
    shared |= {} if scratch is None else {"scratch": str(scratch)}
    given = {k: v for k, v in shared.items() if k in accepted_settings(cls)}
    given |= checked_settings(cls, spec.settings.get(name, {}), where=f"settings.{name}")
    simulator: Simulator = cls(**{**given, **checked_settings(cls, settings or {}, where=name)})
    return simulator


@lru_cache(maxsize=32)
def load_model(name: str) -> PropertyModel:
    """Load the shipped weights of a registered model.

    Args:
        name: registry name.

    Raises:
        InputError: unknown model.
        ArtifactError: the weights are missing, damaged, or do not match their card.
    """
    model: PropertyModel = lookup("model", name).load()  # type: ignore[attr-defined]
    return model


def _readings(inputs: Sequence[str], options: RunOptions) -> Iterable[Outcome]:
    if inputs:
        return read_inputs(list(inputs), limits=ReadLimits(max_sites=options.max_sites))
    return (Outcome(candidate) for candidate in load_library())


def _run(
    command: str,
    source: Generator,
    options: RunOptions,
    *,
    models: Sequence[PropertyModel] = (),
    ladder: Sequence[Simulator] = (),
    limits: Limits = Limits(_UNLIMITED, _UNLIMITED),  # noqa: B008  frozen
    spec: Spec | None = None,
    made_by: Mapping[str, Any] | None = None,
) -> RunResult:
    plain = {} if spec is None else spec.plain()
    header = {"command": command, "version": __version__, "spec": plain, "seed": options.seed, **(made_by or {})}
    objective: Objective = NoObjective() if spec is None else SpecObjective(spec)
    with _ledger(options, header) as ledger:
        executor = make_executor(options.workers, scheduler=options.scheduler)
        try:
            proposals = command == "design"
            if proposals and len(recorded := ledger.inputs()) == limits.candidates:
                source = Pool(recorded)  # all was proposed before: nothing is left to ask a learner for
            campaign = Campaign(models, ladder, objective, ledger, executor, options.observer, look_again=proposals)
            rows, funnel = run_campaign(source, campaign, limits=limits, seed=options.seed)
        finally:
            executor.close()
    if command == "design":
        rows = tuple(replace(row, rediscovery=_known(row)) for row in rows)
    result = RunResult(command, __version__, rows, funnel, plain)
    if options.out is not None:
        write_run(result, options.out)
        write_report(result, options.out / "report.html")
    return result


def _known(row: Row) -> str | None:
    """Return where the compound of a row is known from: a table, or the materials that a model learnt from."""
    learnt = (stage for stage, found in row.outcome.details.items() if found.get("in_training"))
    return known_as(row.outcome.candidate) or next((f"training data of {stage}" for stage in learnt), None)


def _scratch(options: RunOptions) -> Path | None:
    return None if options.out is None else options.out.expanduser() / "work"


def _ledger(options: RunOptions, header: dict[str, Any]) -> Ledger:
    if options.out is None:
        return Ledger(header=header)
    folder = prepare_folder(options.out)
    if (folder / LEDGER_FILE).exists() and not options.resume:
        raise InputError(
            f"--out {folder}: already holds a run; add --resume to continue it, or choose another folder"
        )
    return Ledger.in_folder(folder, header=header)


def data_cards() -> tuple[DataCard, ...]:
    """Return the cards of all data sets, in order of name."""
    for module in pkgutil.iter_modules(ionsmith.data.__path__, "ionsmith.data."):
        importlib.import_module(module.name)
    return tuple(cards().values())


def fetch_data(name: str) -> list[Path]:
    """Return the local paths of a data set's files, fetched where necessary.

    Args:
        name: as ``data_cards`` lists it.

    Raises:
        InputError: no such data set.
        DataError: a file is absent and cannot be fetched, or its checksum differs.
    """
    known = {card.name: card for card in data_cards()}
    if name not in known:
        raise InputError(f"unknown data set {name!r}{suggestion(name, known)}")
    return [known[name].path(file) for file in known[name].files]
