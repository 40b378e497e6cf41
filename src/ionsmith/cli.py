"""The command line: reads arguments, calls a recipe, prints a table or one JSON document."""

from __future__ import annotations

import json
import logging
import sys
import tempfile
import tomllib
import traceback
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from ionsmith import __version__, cli_assessment, cli_diffusion, cli_training
from ionsmith.cli_table import print_table
from ionsmith.core.errors import ArtifactError, ExecutionError, IonsmithError
from ionsmith.core.quantities import suggestion
from ionsmith.core.records import Candidate, Kind, Outcome
from ionsmith.core.results import Row, RunResult, attached_files

_INTERRUPTED = 130
_USAGE_ERROR: Any = typer.BadParameter.__mro__[2]  # ClickException, of click or of the copy that newer typers carry

app = typer.Typer(
    name="ionsmith",
    help="Design solid-state electrolytes: screen crystals, predict properties, check them with physics.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
data_app = typer.Typer(help="Public data sets: what they are, and fetching them.", no_args_is_help=True)
app.add_typer(data_app, name="data")
app.command()(cli_assessment.evaluate)
app.command()(cli_diffusion.diffusion)
app.command()(cli_training.train)
app.add_typer(cli_assessment.study_app, name="study")

Inputs = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[INPUT]...",
        help="CIF, POSCAR, extxyz, JSON(L), CSV of formulas, a folder of these, mp:<query>, an OPTIMADE URL; "
        "nothing for the built-in library.",
        show_default=False,
    ),
]
Out = Annotated[Path | None, typer.Option(help="Run folder: tables, structures, report.html and ledger.db.")]
Workers = Annotated[int, typer.Option(min=1, help="Local processes.")]
Scheduler = Annotated[str, typer.Option(help="Address of a running Dask scheduler, such as tcp://head:8786.")]
Resume = Annotated[bool, typer.Option("--resume", help="Continue the run that --out holds.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document to stdout and nothing else there.")]
SpecFile = Annotated[Path | None, typer.Option("--spec", help="Targets, chemistry and budget, TOML.")]
MaxSites = Annotated[int, typer.Option(min=1, help="Refuse larger cells.")]


@app.command()
def screen(
    inputs: Inputs = None,
    spec: SpecFile = None,
    out: Out = None,
    workers: Workers = 1,
    scheduler: Scheduler = "",
    resume: Resume = False,
    seed: Annotated[int, typer.Option(help="Start of all random streams.")] = 0,
    max_sites: MaxSites = 500,
    as_json: Json = False,
) -> None:
    """Rank materials against targets: predict, select, simulate, explain."""
    from ionsmith import recipes

    options = {**_where(out, workers, scheduler, resume), "seed": seed, "max_sites": max_sites}
    wanted = _spec(spec)
    _deliver(lambda o: recipes.screen(inputs or [], wanted, o), options, as_json=as_json)


@app.command()
def design(
    spec: SpecFile = None,
    out: Out = None,
    budget: Annotated[int | None, typer.Option(min=1, help="Proposals; the Spec's, or 1500.")] = None,
    generator: Annotated[
        str,
        typer.Option(help="Source of proposals: guided, edits, wyckoff, prior, substitution, genetic, bayesian."),
    ] = "guided",
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting of the generator.")
    ] = None,
    workers: Workers = 1,
    scheduler: Scheduler = "",
    resume: Resume = False,
    seed: Annotated[int, typer.Option(help="Start of all random streams.")] = 0,
    as_json: Json = False,
) -> None:
    """Invent materials for the targets: propose, predict, select, simulate, rank; known ones are marked."""
    from ionsmith import recipes

    wanted = recipes.design_spec(None if spec is None else _spec(spec), budget)
    options = {**_where(out, workers, scheduler, resume), "seed": seed}
    chosen = _settings(settings or [])
    _deliver(lambda o: recipes.design(wanted, o, generator=generator, settings=chosen), options, as_json=as_json)


@app.command()
def predict(
    inputs: Inputs = None,
    csv: Annotated[Path | None, typer.Option(help="Write the table to this CSV file.")] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Say why: what raises and lowers each value.")] = False,
    temperature: Annotated[
        float | None,
        typer.Option(metavar="K", help="Give conductivities at this temperature instead of at 300 K."),
    ] = None,
    max_sites: MaxSites = 500,
    as_json: Json = False,
) -> None:
    """Predict properties with uncertainty, without simulation."""
    from ionsmith import assessment, recipes

    def recipe(options: recipes.RunOptions) -> RunResult:
        kelvin = None if temperature is None else assessment.sound_temperature(temperature)
        result = recipes.predict(inputs or [], options)
        result = assessment.explain_result(result) if explain else result
        return result if kelvin is None else assessment.at_temperature(result, kelvin)

    result = _deliver(recipe, {"max_sites": max_sites}, as_json=as_json)
    if explain and not as_json:
        cli_assessment.print_reasons(result)
    if csv is not None:
        from ionsmith.io.write import write_csv

        write_csv(result, csv)


@app.command()
def simulate(
    name: Annotated[str, typer.Argument(help="Simulator: bvse, relax, hull, or any registered name.")],
    inputs: Inputs = None,
    out: Out = None,
    workers: Workers = 1,
    scheduler: Scheduler = "",
    resume: Resume = False,
    mobile: Annotated[str, typer.Option(help="Mobile ion.")] = "Li",
    potential: Annotated[str, typer.Option(help="ASE calculator by name, or module:factory.")] = "chgnet",
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A setting of the simulator; repeat for more."),
    ] = None,
    max_sites: MaxSites = 500,
    as_json: Json = False,
) -> None:
    """Run one simulator over materials."""
    from ionsmith import recipes
    from ionsmith.objective.spec import parse_spec

    spec = parse_spec({"mobile_ion": mobile, "ladder": {"potential": potential}}, where="--mobile, --potential")
    options = {**_where(out, workers, scheduler, resume), "max_sites": max_sites}
    settings = _settings(setting or [])
    _deliver(
        lambda o: recipes.simulate(name, inputs or [], o, spec=spec, settings=settings), options, as_json=as_json
    )


@app.command()
def dope(
    host: Annotated[str, typer.Argument(help="One crystal: CIF, POSCAR, JSON, or library:<key>.")],
    site: Annotated[str, typer.Option(help="Element that is replaced.")],
    dopant: Annotated[str, typer.Option(help="Element that replaces it.")],
    level: Annotated[float, typer.Option(help="Share of the replaced atoms, 0 to 1.")],
    charge: Annotated[int | None, typer.Option(help="Charge of the dopant; otherwise its common one.")] = None,
    mobile: Annotated[str, typer.Option(help="Ion whose vacancies or interstitials balance the charge.")] = "Li",
    count: Annotated[int, typer.Option(min=1, help="Most arrangements.")] = 5,
    max_sites: MaxSites = 150,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Substitute a dopant into a host; the structures in --out are inputs for screen and simulate."""
    from ionsmith.generate.dopants import Doping
    from ionsmith.generate.dopants import dope as arrange

    doping = Doping(site, dopant, level, charge, mobile, max_sites)
    _deliver(lambda o: _doped(arrange(_host(host), doping, count=count), o.out), {"out": out}, as_json=as_json)


def _host(text: str) -> Candidate:
    from ionsmith.core.errors import InputError
    from ionsmith.data.library import load_library
    from ionsmith.io.read import read_inputs

    if text.startswith("library:"):
        known = {candidate.source.locator: candidate for candidate in load_library()}
        if text not in known:
            raise InputError(f"unknown crystal {text!r}{suggestion(text, known)}")
        return known[text]
    first = next(iter(read_inputs([text])))
    if first.note:
        raise InputError(first.note)
    return first.candidate


def _doped(made: Sequence[Candidate], out: Path | None) -> RunResult:
    rows = tuple(Row(n, each.key, Outcome(each), "dope") for n, each in enumerate(made))
    result = RunResult("dope", __version__, rows)
    if out is not None:
        from ionsmith.io.write import write_run
        from ionsmith.report import write_report

        write_run(result, out)
        write_report(result, out / "report.html")
    return result


@data_app.command("list")
def data_list(as_json: Json = False) -> None:
    """List the public data sets that ionsmith can read, with licence and traps."""
    from ionsmith import recipes

    cards = recipes.data_cards()
    if as_json:
        _print_json([{"name": c.name, "title": c.title, "licence": c.licence, "source": c.source} for c in cards])
        return
    table = Table("name", "title", "licence", "source")
    for card in cards:
        table.add_row(card.name, card.title, card.licence, card.source)
    Console().print(table)


@data_app.command("fetch")
def data_fetch(name: Annotated[str, typer.Argument(help="Name from `ionsmith data list`.")]) -> None:
    """Fetch a data set into the cache, or find it in the mirror that IONSMITH_DATA names."""
    from ionsmith import recipes

    for path in recipes.fetch_data(name):
        typer.echo(path)


def _version(value: bool) -> None:
    if value:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True)] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log what is going on to stderr.")] = False,
) -> None:
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="ionsmith: %(message)s")
    logging.getLogger("ionsmith").setLevel(logging.INFO if verbose else logging.WARNING)


def _where(out: Path | None, workers: int, scheduler: str, resume: bool) -> dict[str, Any]:
    return {"out": out, "workers": workers, "scheduler": scheduler, "resume": resume}


def _spec(path: Path | None) -> Any:
    from ionsmith.objective.spec import Spec, load_spec

    return Spec() if path is None else load_spec(path)


def _settings(pairs: list[str]) -> dict[str, Any]:
    """Return KEY=VALUE pairs as a mapping; a value that is no TOML is taken as text."""
    from ionsmith.core.errors import InputError

    found: dict[str, Any] = {}
    for pair in pairs:
        key, sign, value = pair.partition("=")
        if not sign or not key.strip():
            raise InputError(f"--set: expected KEY=VALUE, got {pair!r}")
        try:
            found[key.strip()] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            found[key.strip()] = value
    return found


def _deliver(recipe: Callable[[Any], RunResult], options: dict[str, Any], *, as_json: bool) -> RunResult:
    from ionsmith.core.errors import InputError
    from ionsmith.progress import StageBars
    from ionsmith.recipes import RunOptions

    with StageBars() as bars:
        result = recipe(RunOptions(**options, observer=bars))
    if as_json:
        from ionsmith.io.write import document_text

        typer.echo(document_text(result).rstrip())
    else:
        print_table(result, options.get("out"))
    if options.get("out") is None and any(attached_files(row) for row in result.rows):
        typer.echo("ionsmith: add --out DIR to keep the files that the simulation made", err=True)
    readable = [row for row in result.rows if row.outcome.candidate.kind is not Kind.UNREADABLE]
    if not readable:
        first = result.rows[0].outcome.note if result.rows else "the input holds no row"
        raise InputError(f"nothing could be read: {first}")
    return result


def _print_json(document: Any) -> None:
    typer.echo(json.dumps(document, allow_nan=False))


def main() -> None:
    """Run the command line; every failure ends as one line on stderr and an exit code."""
    warnings.filterwarnings("ignore")  # other libraries' chatter; ours goes through logging
    try:
        code = app(standalone_mode=False)
        if code == _INTERRUPTED:
            _fail("stopped; add --resume to continue", _INTERRUPTED)
    except typer.Exit as stop:
        sys.exit(stop.exit_code)
    except (typer.Abort, KeyboardInterrupt):
        _fail("stopped; add --resume to continue", _INTERRUPTED)
    except IonsmithError as error:
        _fail(str(error), 1 if isinstance(error, ArtifactError | ExecutionError) else 2)
    except _USAGE_ERROR as error:
        if not error.format_message():  # no command given: the help has been shown
            sys.exit(2)
        _fail(error.format_message(), 2)
    finally:
        sys.excepthook = _our_fault  # for what nobody expected; set late, because typer sets its own


def _our_fault(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """End the process with one line and keep the traceback in a file; Python exits with code 1 after this."""
    with tempfile.NamedTemporaryFile("w", prefix="ionsmith-", suffix=".log", delete=False) as log:
        log.writelines(traceback.format_exception(kind, error, trace))
    sys.stderr.write(f"ionsmith: our fault: {kind.__name__}: {' '.join(str(error).split())}; details in {log.name}\n")


def _fail(message: str, code: int) -> None:
    line = " ".join(message.split())
    sys.stderr.write(f"ionsmith: {line}\n")
    sys.exit(code)


if __name__ == "__main__":
    main()
