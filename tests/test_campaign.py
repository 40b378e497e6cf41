"""The loop, the ledger and the executors: counts, budget, duplicates, failures, kill and resume."""

from dataclasses import replace

import numpy as np
import pytest
import sqlalchemy as sa

from ionsmith.campaign import codec
from ionsmith.campaign.executors import DaskExecutor, SerialExecutor, make_executor
from ionsmith.campaign.ledger import Ledger
from ionsmith.campaign.loop import Campaign, Limits, run_campaign
from ionsmith.core.errors import ExecutionError, InputError, LedgerError
from ionsmith.core.records import Bound, Candidate, Kind, Origin, Outcome, Prediction, Status, Value
from ionsmith.generate.pool import Pool
from ionsmith.objective.score import NoObjective, SpecObjective
from ionsmith.objective.spec import parse_spec
from ionsmith.testing import antifluorite, check_generator, disordered_chloride, formula, rock_salt
from toys import CountingSimulator, FractionModel, toy_readings

SPEC = parse_spec({"targets": {"log10_conductivity": {"min": -4.5}, "energy_above_hull": {"max": 0.06}}})
ALL = Limits(100, 100)


def campaign(ledger, simulator, **changes):
    parts = {
        "models": [FractionModel()],
        "ladder": [simulator],
        "objective": SpecObjective(SPEC),
        "ledger": ledger,
        "executor": SerialExecutor(),
    }
    return Campaign(**{**parts, **changes})


def table(rows):
    return [
        (r.rank, r.position, r.key, r.outcome.status, r.outcome.note, r.feasible, r.score, sorted(r.outcome.values))
        for r in rows
    ]


@pytest.fixture
def simulator(tmp_path):
    return CountingSimulator(str(tmp_path / "runs.txt"))


def run(simulator, *, ledger=None, limits=ALL, readings=None, **changes):
    with ledger or Ledger() as opened:
        source = Pool(toy_readings() if readings is None else readings)
        return run_campaign(source, campaign(opened, simulator, **changes), limits=limits)


def test_every_input_is_one_row_and_every_stage_adds_up(simulator):
    rows, funnel = run(simulator)
    assert sorted(r.position for r in rows) == list(range(7))
    assert [r.rank for r in rows] == list(range(1, 8))
    counts = {s.stage: (s.received, s.ok, s.rejected, s.failed) for s in funnel}
    assert counts["read"] == (7, 6, 0, 1)
    assert counts["admit"] == (6, 5, 1, 0)
    assert counts["predict"] == (5, 5, 0, 0)
    assert counts["select"] == (5, 5, 0, 0)
    assert counts["count"] == (4, 4, 0, 0)
    for stage in funnel:
        assert stage.received == stage.ok + stage.rejected + stage.failed
    notes = {r.position: r.outcome.note for r in rows}
    assert notes[5] == "a composition only: count needs a crystal structure"
    assert notes[6] == "contains no Li, the mobile ion"
    assert rows[-1].outcome.status is Status.FAILED


def test_a_formula_has_no_result_where_only_crystals_can_be_simulated(simulator):
    rows, _ = run(simulator, models=())
    (row,) = (row for row in rows if row.position == 5)
    assert row.outcome.status is Status.REJECTED
    assert row.outcome.note == "a composition only: count needs a crystal structure"


def test_a_formula_reaches_the_rungs_that_read_formulas(simulator, tmp_path):
    kinds = frozenset({Kind.CRYSTAL, Kind.COMPOSITION})
    reader = CountingSimulator(str(tmp_path / "formulas.txt"), name="count_all", kinds=kinds)
    _, funnel = run(simulator, ladder=[simulator, reader])
    assert {stage.stage: stage.received for stage in funnel}["count_all"] == 5, "four crystals and the formula"


def test_feasible_ones_lead_and_scores_fall(simulator):
    rows, _ = run(simulator)
    assert rows[0].feasible
    assert rows[0].outcome.candidate.formula == "NaLiCl2"
    flags = [r.feasible for r in rows]
    assert flags == sorted(flags, reverse=True)
    assert rows[0].checks["energy_above_hull"].startswith("energy_above_hull 0.025")


def test_equal_materials_are_computed_once_but_keep_their_rows(simulator):
    rows, _ = run(simulator)
    assert len(simulator.runs()) == 3
    twins = [r for r in rows if r.outcome.candidate.formula == "LiF"]
    assert len(twins) == 2
    assert twins[0].outcome.values == twins[1].outcome.values


def test_budget_goes_to_the_best_and_the_rest_say_so(simulator):
    rows, funnel = run(simulator, limits=Limits(100, 1))
    assert len(simulator.runs()) == 1
    left = [r for r in rows if r.stage == "select" and r.outcome.status is Status.REJECTED]
    assert len(left) == 3
    assert all("budget of 1 simulations" in r.outcome.note for r in left)
    assert {s.stage: s.received for s in funnel}["count"] == 1


def test_candidate_budget_and_rounds(simulator):
    rows, _ = run(simulator, limits=Limits(4, 100))
    assert len(rows) == 4
    rows, funnel = run(simulator, limits=Limits(7, 100, rounds=3))
    assert sorted(r.position for r in rows) == list(range(7))
    assert funnel[0].received == 7


def test_a_broken_simulator_costs_one_row_not_the_run(simulator):
    rows, funnel = run(replace(simulator, breaks_on="Li2O", refuses="LiF"))
    broken = next(r for r in rows if r.outcome.candidate.formula == "Li2O")
    assert broken.outcome.status is Status.FAILED
    assert broken.outcome.note == "count broke: RuntimeError: the physics package fell over"
    assert "Traceback" in broken.outcome.details["count"]["traceback"]
    assert {s.stage: (s.ok, s.rejected, s.failed) for s in funnel}["count"] == (1, 2, 1)


def test_a_broken_model_costs_one_row_not_the_batch(simulator):
    rows, funnel = run(simulator, models=[FractionModel(breaks_on="Li3N")])
    assert {s.stage: s.failed for s in funnel}["predict"] == 1
    broken = next(r for r in rows if r.outcome.status is Status.FAILED and r.stage == "predict")
    assert broken.outcome.note == "fraction broke: ValueError: no such luck"


def test_hopeless_candidates_leave_with_the_reason(simulator):
    strict = SpecObjective(parse_spec({"targets": {"log10_conductivity": {"min": -2.0}}}))
    rows, funnel = run(simulator, objective=strict)
    assert {s.stage: s.rejected for s in funnel}["predict"] == 5
    assert not simulator.runs()
    assert "wanted at least -2" in rows[0].outcome.note


class Mover(CountingSimulator):
    """Expands every crystal by a tenth."""

    def run(self, candidate):
        found = super().run(candidate)
        wider = candidate.structure.copy()
        wider.scale_lattice(1.1 * wider.volume)
        return replace(found, candidate=candidate.child(wider, note="expanded"))


class VolumeModel(FractionModel):
    """Conductivity is the volume of the cell over a hundred, less ten."""

    def predict(self, candidates):
        volume = [c.structure.volume / 100 - 10 if c.kind is Kind.CRYSTAL else -3.0 for c in candidates]
        return Prediction(np.array(volume), np.full(len(volume), 9.0), np.ones(len(volume), dtype=bool))


@pytest.mark.parametrize("again", [False, True])
def test_models_look_again_at_what_the_ladder_moved_only_if_told_to(tmp_path, again):
    mover = Mover(str(tmp_path / "runs.txt"))
    rows, funnel = run(mover, models=[VolumeModel()], look_again=again, readings=[Outcome(rock_salt())])
    before = rock_salt().structure.volume
    seen = 1.1 * before if again else before
    assert rows[0].outcome.values["log10_conductivity"].mean == pytest.approx(seen / 100 - 10)
    assert rows[0].stage == "count"
    assert rows[0].key == rock_salt().key
    assert {s.stage: s.received for s in funnel}["predict"] == 1


def test_nothing_is_ranked_without_targets(simulator):
    rows, _ = run(simulator, objective=NoObjective(), models=[])
    assert [r.position for r in rows] == list(range(7))
    assert all(r.rank is None and r.score is None and r.feasible is None for r in rows)


def test_an_empty_source(simulator):
    rows, funnel = run(simulator, readings=[])
    assert rows == ()
    assert funnel[0].received == 0


def test_a_second_run_repeats_nothing_and_ends_the_same(simulator, tmp_path):
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    first, _ = run(simulator, ledger=Ledger(url))
    before = len(simulator.runs())
    second, _ = run(simulator, ledger=Ledger(url))
    assert len(simulator.runs()) == before
    assert table(first) == table(second)


def test_other_settings_are_other_work(simulator, tmp_path):
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    run(simulator, ledger=Ledger(url))
    run(replace(simulator, fingerprint="count-2"), ledger=Ledger(url))
    assert len(simulator.runs()) == 6


class Killed(BaseException):
    """Stands for kill -9: nothing in the package catches it."""


@pytest.mark.parametrize("after", range(3))
def test_a_run_killed_after_any_outcome_resumes_to_the_same_table(simulator, tmp_path, after):
    clean, _ = run(simulator)
    url = f"sqlite:///{tmp_path / 'ledger.db'}"

    class Mortal(SerialExecutor):
        def map(self, function, tasks):
            for number, pair in enumerate(super().map(function, tasks)):
                if number == after:
                    raise Killed
                yield pair

    with pytest.raises(Killed):
        run(simulator, ledger=Ledger(url), executor=Mortal())
    done = len(simulator.runs())
    resumed, _ = run(simulator, ledger=Ledger(url))
    assert table(resumed) == table(clean)
    assert len(simulator.runs()) <= done + 3 - after


def test_ledger_round_trip_is_exact(tmp_path):
    value = Value(1 / 3, 2 / 7, "m", False, Bound.UPPER)
    candidate = disordered_chloride().child(disordered_chloride().payload, note="looked at")
    outcome = Outcome(
        candidate, {"log10_conductivity": value}, Status.OK, "fine", 1.5, {"a": np.arange(3), "b": {"c": (1, 2)}}
    )
    with Ledger(f"sqlite:///{tmp_path / 'l.db'}") as ledger:
        ledger.add(candidate.key, "stage", "f", outcome)
        found = ledger.find(candidate.key, "stage", "f")
        assert ledger.find(candidate.key, "stage", "g") is None
        assert ledger.count() == 1
    assert found.values == outcome.values
    assert found.candidate.key == candidate.key
    assert found.candidate.parents == candidate.parents
    assert found.candidate.source.notes == ("looked at",)
    assert found.details == {"a": [0, 1, 2], "b": {"c": [1, 2]}}
    assert (found.note, found.cost_s) == ("fine", 1.5)


@pytest.mark.parametrize(
    "candidate",
    [
        formula("Li2O"),
        Candidate(Kind.MOLECULE, "CCO", Origin("x")),
        Candidate(Kind.MICROSTRUCTURE, np.eye(2), Origin("x")),
        Candidate(Kind.UNREADABLE, "junk", Origin("x", "y", {"n": 1})),
    ],
)
def test_every_kind_of_payload_survives(candidate):
    text = codec.encode_payload(candidate)
    again = Candidate(candidate.kind, codec.decode_payload(candidate.kind, text), candidate.source)
    assert again.key == candidate.key


def test_ledger_refuses_what_it_cannot_keep(tmp_path):
    with pytest.raises(LedgerError, match="expected plain finite data"):
        codec.dumps({"x": float("nan")})
    with pytest.raises(LedgerError, match="expected plain finite data"):
        codec.dumps({"x": object()})
    with pytest.raises(LedgerError, match="cannot be opened"):
        Ledger(f"sqlite:///{tmp_path / 'no' / 'such' / 'folder.db'}")
    with pytest.raises(LedgerError, match="cannot be opened"):
        Ledger("no-such-database://x")


def test_ledger_of_another_layout_is_refused(tmp_path):
    url = f"sqlite:///{tmp_path / 'l.db'}"
    Ledger(url).close()
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.text("update run set layout = 99"))
    engine.dispose()
    with pytest.raises(LedgerError, match="expected layout 1, found 99"):
        Ledger(url)


def test_inputs_are_kept_for_the_same_run_only(tmp_path):
    url, reading = f"sqlite:///{tmp_path / 'l.db'}", Outcome(rock_salt(), status=Status.REJECTED, note="odd")
    with Ledger(url, header={"seed": 1}) as ledger:
        ledger.add_input(0, reading)
        ledger.add("k", "s", "f", reading)
    with Ledger(url, header={"seed": 1}) as ledger:
        (found,) = ledger.inputs()
        assert (found.candidate.key, found.status, found.note) == (reading.candidate.key, Status.REJECTED, "odd")
    with Ledger(url, header={"seed": 2}) as ledger:
        assert ledger.inputs() == [] and ledger.count() == 1


def test_a_ledger_that_turns_read_only_says_so(tmp_path):
    ledger = Ledger(f"sqlite:///{tmp_path / 'l.db'}")
    with ledger._engine.begin() as connection:
        connection.execute(sa.text("drop table outcomes"))
    with pytest.raises(LedgerError, match="could not record"):
        ledger.add("k", "s", "f", Outcome(rock_salt()))
    ledger.close()


def test_pool_conforms():
    check_generator(lambda: Pool(toy_readings()), registry_name="pool")


def test_executors_by_request():
    assert isinstance(make_executor(1), SerialExecutor)
    with pytest.raises(InputError, match="--workers: expected at least 1, got 0"):
        make_executor(0)


def test_a_scheduler_that_does_not_answer(monkeypatch):
    import distributed

    def refuse(*args, **kwargs):
        raise OSError("Timed out trying to connect")

    monkeypatch.setattr(distributed, "Client", refuse)
    with pytest.raises(InputError, match=r"--scheduler tcp://127\.0\.0\.1:1: expected a Dask scheduler that answers"):
        make_executor(1, scheduler="tcp://127.0.0.1:1")


@pytest.fixture(scope="module")
def dask_executor():
    executor = DaskExecutor(2)
    yield executor
    executor.close()


def test_dask_gives_the_same_table_as_serial(simulator, dask_executor):
    serial, _ = run(simulator)
    parallel, _ = run(simulator, executor=dask_executor)
    assert table(serial) == table(parallel)


def test_a_dying_worker_is_a_failed_row(simulator, dask_executor):
    rows, _ = run(replace(simulator, kills_on="Li2O"), executor=dask_executor)
    dead = next(r for r in rows if r.outcome.candidate.formula == "Li2O")
    assert dead.outcome.status is Status.FAILED
    assert "worker process died" in dead.outcome.note
    assert sum(r.outcome.status is Status.OK for r in rows) == 4


def test_a_task_that_raises_is_not_swallowed(dask_executor):
    pairs = dask_executor.map(len, [antifluorite().key, 3])
    with pytest.raises(TypeError):
        list(pairs)
    assert issubclass(ExecutionError, Exception)
