"""`ionsmith evaluate`: a file becomes rows and named faults, what was seen is reported apart, a page is made."""

import json
import math
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from pymatgen.core import Composition
from typer.testing import CliRunner

from ionsmith import assessment
from ionsmith.cli import app
from ionsmith.core.errors import DataError, InputError
from ionsmith.core.records import Bound, Candidate, Kind, Origin, Outcome, Value
from ionsmith.evaluate import metrics, summary
from ionsmith.evaluate.assess import Assessment, assess_refit, assess_shipped, document
from ionsmith.evaluate.baselines import MeanBaseline, RidgeBaseline, standard_baselines
from ionsmith.evaluate.harness import Report, ask_model
from ionsmith.evaluate.memory import what_was_seen
from ionsmith.evaluate.summary import summarise
from ionsmith.evaluate.table import Table, read_table, with_quantity
from ionsmith.report.evaluation import render_evaluation, write_evaluation
from ionsmith.represent.electrolyte import ElectrolyteFeatures
from ionsmith.testing import formula, measured, rock_salt

QUANTITY = "log10_conductivity"


def file(folder: Path, *lines: str, name: str = "mine.csv") -> Path:
    path = folder / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def rows(n=24):
    texts = [f"Li{2 + k}{'Si' if k % 2 else 'Ge'}S{4 + k}" for k in range(n)]
    return [measured(formula(text), QUANTITY, -3.0 - 0.1 * k) for k, text in enumerate(texts)]


def stated(text, value, *, place="toy", **facts):
    candidate = Candidate(Kind.COMPOSITION, Composition(text), Origin("file", place, facts))
    return Outcome(candidate, {QUANTITY: Value(value, 0.0, "measured")})


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    monkeypatch.setattr(summary, "DRAWS", 60)
    monkeypatch.setattr(summary, "_FEWEST_DRAWS", 60)


class Ridge(RidgeBaseline):
    """A model that remembers, and refuses what holds sodium."""

    name = "ridge-model"

    def __init__(self):
        super().__init__(ElectrolyteFeatures(cell=False))

    def fit(self, outcomes, rng):
        self.told = [
            SimpleNamespace(formula=o.candidate.formula, doi=o.candidate.source.facts.get("doi", ""))
            for o in outcomes
        ]
        return super().fit(outcomes, rng)

    def predict(self, candidates):
        if any("Na" in candidate.formula for candidate in candidates):
            raise InputError("no sodium\nplease")
        return super().predict(candidates)

    def neighbours(self, candidate, k=5):
        return self.told[:k]


# the table


def test_a_table_is_read_with_its_faults(tmp_path):
    path = file(
        tmp_path,
        "Formula;sigma;DOI;Family;lab",
        "Li6PS5Cl;-2.7;https://doi.org/10.1/AB;argyrodite;lab one",
        "LiCl;<-9;;;lab two",
        "Xx;-3;;;",
        "LiF;;;;",
        "LiBr;abc;;;",
        "LiI;-900;;;",
        ";-3;;;",
    )
    table = read_table(path, QUANTITY, target="sigma", group="lab")
    assert len(table.outcomes) == 2
    first, second = table.outcomes
    assert dict(first.candidate.source.facts) == {
        QUANTITY: -2.7,
        "doi": "10.1/ab",
        "family": "argyrodite",
        "group": "lab_one",
    }
    assert second.values[QUANTITY] == Value(-9.0, 0.0, "measured", bound=Bound.UPPER)
    assert first.candidate.source.locator == f"{path}#1"
    reasons = {fault.place.rsplit("#", 1)[1]: fault.reason for fault in table.faults}
    assert set(reasons) == {"3", "4", "5", "6", "7"}
    assert "unknown element" in reasons["3"]
    assert "empty cell" in reasons["4"]
    assert "expected a number, got 'abc'" in reasons["5"]
    assert "between -30 and 2" in reasons["6"]
    assert "a formula or a structure file" in reasons["7"]


def test_a_structure_column_is_read_beside_the_table(tmp_path):
    (tmp_path / "cifs").mkdir()
    rock_salt().structure.to(filename=str(tmp_path / "cifs" / "lif.cif"))
    (tmp_path / "two.csv").write_text("formula\nLiF\nLiCl\n")
    (tmp_path / "one.csv").write_text("formula\nLiF\n")
    path = file(
        tmp_path,
        "structure,formula,target",
        "cifs/lif.cif,,-8",
        "cifs/lif.cif,LiF,-8",
        "cifs/lif.cif,LiCl,-8",
        "cifs/none.cif,,-8",
        "two.csv,,-8",
        "one.csv,,-8",
    )
    table = read_table(path, QUANTITY)
    assert [outcome.candidate.kind for outcome in table.outcomes] == [Kind.CRYSTAL] * 2
    assert [fault.place.rsplit("#", 1)[1] for fault in table.faults] == ["3", "4", "5", "6"]
    words = ("differ", "no such file", "expected one crystal, got 2", "expected a crystal, got composition")
    for fault, word in zip(table.faults, words, strict=True):
        assert word in fault.reason


@pytest.mark.parametrize(
    ("lines", "settings", "words"),
    [
        (["formula,target"], {}, "a header and at least one row"),
        (["formula,x", "LiF,1"], {}, "or --target COLUMN"),
        (["name,target", "LiF,1"], {}, "named formula or structure"),
        (["formula,target", "LiF,-1"], {"target": "tarjet"}, "did you mean 'target'"),
        (["formula,target", "LiF,-1"], {"group": "lab"}, "--group: no column 'lab'"),
        (["formula,target", "Xx,-1"], {}, "at least one usable row"),
        (["formula,target", "LiF,1e-8", "LiCl,1e-7"], {}, "give their logarithm"),
    ],
)
def test_a_senseless_table_is_refused(tmp_path, lines, settings, words):
    with pytest.raises(InputError, match=re.escape(words)):
        read_table(file(tmp_path, *lines), QUANTITY, **settings)


def test_a_missing_table_is_refused(tmp_path):
    with pytest.raises(InputError, match="expected a CSV file"):
        read_table(tmp_path / "none.csv", QUANTITY)


def test_rows_of_a_data_set_without_the_value_are_faults():
    table = with_quantity("toy", QUANTITY, [*rows(2), Outcome(formula("LiF"))])
    assert (len(table.outcomes), len(table.faults)) == (2, 1)
    with pytest.raises(InputError, match="rows with a value of band_gap"):
        with_quantity("toy", "band_gap", rows(2))


# asking and remembering


def test_a_broken_batch_is_asked_row_by_row():
    model = Ridge().fit(rows(), np.random.default_rng(0))
    asked = [*rows(3), measured(formula("Na3PS4"), QUANTITY, -4.0), measured(rock_salt(), "band_gap", 8.0)]
    with pytest.raises(InputError, match="a value of log10_conductivity"):
        ask_model(model, asked)
    report, refused = ask_model(model, asked[:4])
    assert report.rows.tolist() == [0, 1, 2]
    assert refused == {3: "no sodium please"}
    with pytest.raises(InputError, match="at least one row that ridge-model can answer"):
        ask_model(model, asked[3:4])


def test_other_kinds_are_refused_by_name():
    class Crystals(Ridge):
        kinds = frozenset({Kind.CRYSTAL})

    model = Crystals().fit(rows(), np.random.default_rng(0))
    report, refused = ask_model(model, [measured(rock_salt(), QUANTITY, -8.0), *rows(1)])
    assert len(report) == 1
    assert refused == {1: "ridge-model does not read a composition"}


def test_what_was_seen_is_found_by_formula_and_by_paper():
    model = Ridge().fit(rows(3), np.random.default_rng(0))
    model.told[1].doi = "10.1/A|10.1/b"
    near = measured(formula("Li2.001GeS4"), QUANTITY, -3.0)
    paper = stated("LiAlO2", -9.0, doi="10.1/B")
    seen = what_was_seen(model, [near, paper, measured(formula("LiF"), QUANTITY, -8.0)])
    assert seen.formula.tolist() == [True, False, False]
    assert seen.doi.tolist() == [False, True, False]
    assert seen.any.tolist() == [True, True, False]
    assert (seen.told, seen.training_rows) == (True, 3)


def test_a_model_without_memory_says_so():
    model = MeanBaseline(ElectrolyteFeatures()).fit(rows(3), np.random.default_rng(0))
    seen = what_was_seen(model, rows(3))
    assert not seen.told
    assert not seen.any.any()


def test_no_model_sees_the_answer():
    class Peeper(Ridge):
        def predict(self, candidates):
            for candidate in candidates:
                assert not any(name.startswith(QUANTITY) for name in candidate.source.facts)
                assert "doi" in candidate.source.facts
            return super().predict(candidates)

    told = {QUANTITY: -3.0, f"{QUANTITY}_bound": "upper", f"{QUANTITY}_std": 0.1}
    some = [stated(o.candidate.formula, -3.0, doi=f"{k}", **told) for k, o in enumerate(rows(9))]
    report, _ = ask_model(Peeper().fit(some, np.random.default_rng(0)), some)
    assert len(report) == 9
    assess_refit("m", Peeper, Table("toy", QUANTITY, tuple(some)), folds=3, seed=0)


# the figures


def report_of(measured_values, mean, std=1.0, bound=Bound.EXACT):
    n = len(measured_values)
    return Report(
        "m",
        QUANTITY,
        np.arange(n),
        ("s",) * n,
        np.array(measured_values, dtype=float),
        (bound,) * n,
        np.array(mean, dtype=float),
        np.full(n, std),
        np.arange(n) % 2 == 0,
        np.arange(n),
        0.0,
    )


def test_figures_of_known_numbers():
    found = summarise(report_of([0, 1, 2, 3, 4, 5], [1, 2, 3, 4, 5, 6]), np.random.default_rng(0), thresholds=(2.5,))
    figures = found["figures"]
    assert figures["mean_absolute_error"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert figures["mean_error"]["value"] == 1.0
    assert figures["spearman"]["value"] == 1.0
    assert figures["out_of_domain_share"]["value"] == 0.5
    assert figures["auc_2.5"]["value"] == 1.0
    assert figures["accuracy_2.5"]["value"] == pytest.approx(5 / 6, abs=1e-6)
    assert figures["accuracy_of_larger_class_2.5"]["value"] == 0.5
    # an error of one standard deviation lies inside intervals above 68.3 %
    inside = [point["nominal"] for point in found["calibration"] if point["observed"] == 1.0]
    assert min(inside) == 0.7
    assert found["sharpness"]["mean_width_of_90%_interval"] == pytest.approx(3.289707)


def test_a_limit_on_the_far_side_of_a_threshold_is_in_no_class():
    low = summarise(report_of([-9, -9], [-8, -8], bound=Bound.UPPER), np.random.default_rng(0), thresholds=(-3.5,))
    high = summarise(report_of([-2, -2], [-8, -8], bound=Bound.UPPER), np.random.default_rng(0), thresholds=(-3.5,))
    assert low["figures"]["accuracy_-3.5"]["value"] == 1.0
    assert "accuracy_-3.5" not in high["figures"]
    assert high["limits"] == 2
    raised = summarise(report_of([-2, -2], [-8, -8], bound=Bound.LOWER), np.random.default_rng(0), thresholds=(-3.5,))
    assert raised["figures"]["accuracy_-3.5"]["value"] == 0.0


def test_no_rows_have_no_figures():
    assert summarise(report_of([], []), np.random.default_rng(0))["figures"] == {}


def test_several_intervals_come_from_the_same_draws():
    error = np.arange(30.0)
    one = metrics.bootstrap_interval(lambda k: float(error[k].mean()), np.arange(30) // 3, np.random.default_rng(4))
    many = metrics.bootstrap_intervals(
        {"a": lambda k: float(error[k].mean()), "b": lambda k: math.nan}, np.arange(30) // 3, np.random.default_rng(4)
    )
    assert many["a"] == one
    assert all(math.isnan(end) for end in many["b"])


# the whole way


def judged(table_rows=None):
    table = Table("toy", QUANTITY, tuple(table_rows or rows()))
    model = Ridge().fit(rows(4), np.random.default_rng(0))
    narrowed, shipped = assess_shipped(model, table)
    refit = assess_refit("ridge-model", Ridge, narrowed, folds=3, seed=0)
    return document(Assessment("ridge-model", "1", narrowed, shipped, refit, ("formula", "doi"), 3, 0), version="0")


def test_seen_rows_stand_apart_and_every_row_is_counted():
    found = judged([*rows(), measured(formula("NaCl"), QUANTITY, -9.0)])
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["data"] == {
        "name": "toy",
        "received": 25,
        "used": 24,
        "faults": [{"input": "toy:NaCl", "reason": "no sodium please"}],
    }
    assert found["shipped"]["seen"]["rows"] == 4
    assert found["shipped"]["unseen"]["rows"] == 20
    assert list(found["refit"]["models"]) == ["ridge-model", *standard_baselines(QUANTITY)]
    assert [part["rows"] for part in found["refit"]["models"].values()] == [24] * 5
    assert {row["refit"]["split"] for row in found["rows"]} == {"fold 1", "fold 2", "fold 3"}
    assert sum(bool(row["shipped"]["seen"]) for row in found["rows"]) == 4


def test_another_quantity_is_refused():
    table = Table("toy", "band_gap", (measured(formula("LiF"), "band_gap", 8.0),))
    with pytest.raises(InputError, match="expected values of log10_conductivity"):
        assess_refit("ridge-model", Ridge, table, folds=2, seed=0)


def test_the_page_shows_everything_and_asks_nothing_of_the_network(tmp_path):
    nasty = "<script>alert('x')</script>"
    some = [
        stated(o.candidate.formula, o.values[QUANTITY].mean, place=nasty, family="ab"[k % 2] + nasty, doi=f"10.1/{k}")
        for k, o in enumerate(rows())
    ]
    found = judged([*some, measured(formula("NaCl"), QUANTITY, -9.0)])
    page = render_evaluation(found)
    assert nasty not in page
    for chart in ("parity-shipped", "parity-refit", "calibration", "families"):
        assert f'id="chart-{chart}"' in page
    for words in ("Magpie random forest", "no sodium please", "unseen by the shipped weights", "Worst rows"):
        assert words in page
    markup = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert not re.search(r"""(?:src|href)\s*=\s*["']?\s*(?:https?:)?//""", markup)
    write_evaluation(found, tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == page
    with pytest.raises(InputError, match="a place to write the page"):
        write_evaluation(found, tmp_path / "none" / "page.html")


def test_a_long_table_tells_its_worst_rows(monkeypatch):
    from ionsmith.evaluate import assess

    monkeypatch.setattr(assess, "MOST_ROWS", 6)
    monkeypatch.setattr(assess, "_WORST", 2)
    short = judged([*rows(20), stated("Li9BiS9", -25.0), stated("Li8SbS9", 1.9)])["rows"]
    assert len(short) == 6
    assert {"Li9BiS9", "Li8SbS9"} <= {row["formula"] for row in short}


def test_a_page_of_seen_rows_only_says_so():
    table = Table("toy", QUANTITY, tuple(rows(4)))
    narrowed, shipped = assess_shipped(Ridge().fit(rows(4), np.random.default_rng(0)), table)
    found = document(Assessment("m", "1", narrowed, shipped, None, ("formula",), 5, 0), version="0")
    page = render_evaluation(found)
    assert "nothing to judge" in page
    assert "--refit" in page


def test_long_tables_are_thinned_in_figures(monkeypatch):
    from ionsmith.report import evaluation_figures

    monkeypatch.setattr(evaluation_figures, "MOST_POINTS", 5)
    assert len(evaluation_figures.thinned([{}] * 11)) == 5
    assert "5 rows are drawn" in render_evaluation(judged())


def test_the_command_judges_a_file(tmp_path):
    lines = [f"{o.candidate.formula},{o.values[QUANTITY].mean},10.1/{k}" for k, o in enumerate(rows(8))]
    path = file(tmp_path, "formula,log10_conductivity,doi", *lines, "Xx,1,")
    done = CliRunner().invoke(
        app, ["evaluate", "conductivity", "--data", str(path), "--out", str(tmp_path / "out"), "--json"]
    )
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["data"]["used"] == 8
    assert found == json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert (tmp_path / "out" / "evaluation.html").is_file()
    plain = CliRunner().invoke(app, ["evaluate", "conductivity", "--data", str(path)])
    assert "8 of 9 rows used" in plain.stdout
    assert "not used:" in plain.stdout


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"data": "obelisk"}, "did you mean 'obelix'"),
        ({"data": "obelix", "quantity": "band_gap"}, "the model predicts log10_conductivity"),
        ({"data": "library", "target": "x"}, "expected with a file only"),
    ],
)
def test_senseless_wishes_are_refused(options, words):
    with pytest.raises(InputError, match=words):
        assessment.evaluate("conductivity", assessment.EvaluationOptions(**options))


def test_a_users_own_model_is_judged_but_not_refitted(tmp_path, monkeypatch):
    from ionsmith.predict.transfer_user import UserTransfer

    fitted = Ridge().fit(rows(4), np.random.default_rng(0))
    monkeypatch.setattr(UserTransfer, "load", classmethod(lambda cls, *, folder: fitted))
    (tmp_path / "model").mkdir()
    path = file(tmp_path, "formula,target", *(f"{o.candidate.formula},{o.values[QUANTITY].mean}" for o in rows(8)))
    found = assessment.evaluate(str(tmp_path / "model"), assessment.EvaluationOptions(str(path)))
    assert (found["model"], found["shipped"]["seen"]["rows"]) == ("ridge-model", 4)
    with pytest.raises(InputError, match="--refit expects a registered model"):
        assessment.evaluate(str(tmp_path / "model"), assessment.EvaluationOptions(str(path), refit=True))


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    options = assessment.EvaluationOptions("library", out=tmp_path / "file")
    with pytest.raises(InputError, match="a folder to write to"):
        assessment.evaluate("conductivity", options)


@pytest.mark.mirror
def test_the_test_rows_of_obelix_are_unseen_but_for_seven():
    found = assessment.evaluate("conductivity", assessment.EvaluationOptions("obelix:test"))
    assert found["shipped"]["seen"]["rows"] < 15
    assert found["shipped"]["unseen"]["figures"]["mean_absolute_error"]["value"] < 1.5


@pytest.mark.mirror
@pytest.mark.parametrize(
    ("name", "quantity", "rows"),
    [
        ("activation_energies", "activation_energy", 371),
        ("kang2023", QUANTITY, 328),
        ("liverpool:room_temperature", QUANTITY, 465),
        ("mp_by_formula:shear_modulus", "shear_modulus", 6184),
    ],
)
def test_data_sets_are_found_by_name(name, quantity, rows):
    table = with_quantity(name, quantity, assessment.DATA_SETS[name]())
    assert len(table.outcomes) == rows


def test_a_damaged_kang_table_is_refused(tmp_path, monkeypatch):
    from ionsmith.data import kang

    (tmp_path / "t.csv").write_text("formula,family,ionic_conductivity_S_cm,source_doi\nLiF,x,abc,\n")
    monkeypatch.setattr(kang, "CARD", SimpleNamespace(path=lambda file: tmp_path / "t.csv", name="kang2023"))
    with pytest.raises(DataError, match="row 1"):
        kang.load_kang()
