"""Design by the shipped crystal prior: what the commands do, and what their defaults are."""

import json
from dataclasses import replace

import numpy as np
import pytest

from ionsmith import recipes
from ionsmith.cli import main
from ionsmith.core.errors import InputError
from ionsmith.core.records import Status
from ionsmith.core.registry import lookup, registered
from ionsmith.data.library import measured_library
from ionsmith.generate.pool import Pool
from ionsmith.generate.wyckoff_prior import load_prior
from ionsmith.objective.spec import Ladder, Spec, parse_spec


def design(monkeypatch, capsys, *words):
    monkeypatch.setattr("sys.argv", ["ionsmith", "design", *map(str, words), "--json"])
    main()
    return json.loads(capsys.readouterr().out)


@pytest.fixture
def spec(tmp_path):
    path = tmp_path / "s.toml"
    path.write_text(
        "exclude = ['Pb']\n[targets]\nlog10_conductivity = { min = -9.0 }\n[budget]\ncandidates = 12\n"
        "simulations = 3\nrounds = 2\n[ladder]\nrungs = ['bvse', 'synthesis']\n"
    )
    return path


def test_a_run_proposes_learns_and_repeats_by_seed(spec, tmp_path, monkeypatch, capsys):
    first = design(monkeypatch, capsys, "--spec", spec, "--out", tmp_path / "one", "--seed", 4)
    again = design(monkeypatch, capsys, "--spec", spec, "--seed", 4)
    assert [row["key"] for row in first["candidates"]] == [row["key"] for row in again["candidates"]]
    other = design(monkeypatch, capsys, "--spec", spec, "--seed", 5)
    assert {row["key"] for row in first["candidates"]} != {row["key"] for row in other["candidates"]}
    assert len(first["candidates"]) == 12
    assert all(row["source"] == "guided" for row in first["candidates"])
    formulas = " ".join(row["formula"] for row in first["candidates"])
    assert "Li" in formulas
    assert "Pb" not in formulas
    assert (tmp_path / "one" / "report.html").exists()


def test_a_finished_run_is_not_proposed_again(spec, tmp_path, monkeypatch, capsys):
    words = ("--spec", spec, "--out", tmp_path / "one", "--generator", "substitution")
    first = design(monkeypatch, capsys, *words)

    def refuse(*args, **kwargs):
        raise AssertionError("asked again")

    with monkeypatch.context() as patched:
        patched.setattr("ionsmith.generate.substitution.Substitution.ask", refuse)
        again = design(patched, capsys, *words, "--resume")
    assert again["candidates"] == first["candidates"]
    assert again["funnel"] == first["funnel"]
    other = design(monkeypatch, capsys, *words, "--resume", "--seed", 1)
    assert [row["key"] for row in other["candidates"]] != [row["key"] for row in first["candidates"]]


def test_settings_of_a_generator_are_checked():
    made = recipes.make_generator("wyckoff", spec=Spec(), settings={"power": 3})
    assert made.name == "wyckoff"
    with pytest.raises(InputError, match="wyckoff: unknown setting 'powr'; did you mean 'power'"):
        recipes.make_generator("wyckoff", spec=Spec(), settings={"powr": 3})


def test_what_a_design_run_does_without_a_spec():
    spec = recipes.design_spec(None, None)
    assert spec.budget.candidates == 1500
    assert spec.budget.simulations == spec.budget.candidates, "every proposal may be simulated"
    assert spec.ladder.rungs[0] == "relax", "the geometry of a proposal is a guess"
    assert set(spec.ladder.rungs) <= set(registered("simulator"))
    assert lookup("generator", recipes.GENERATOR)
    assert spec.settings["relax"]["max_volume_change"] > 0.3, "a guessed cell may be far off"
    own = parse_spec({"settings": {"relax": {"max_steps": 7}}, "ladder": {"rungs": ["relax"]}})
    assert recipes.design_spec(own, None).settings == {"relax": {"max_steps": 7}}, "the user's settings win"
    assert spec.budget.rounds == 25
    small = recipes.design_spec(None, 130).budget
    assert (small.candidates, small.rounds) == (130, 2)
    assert recipes.design_spec(parse_spec({"budget": {"rounds": 3}}), None).budget.rounds == 3, "the user divides"
    assert recipes.design_spec(Spec(), None).ladder.rungs == Spec().ladder.rungs, "the user's ladder stays"


def test_the_shipped_prior_writes_lithium_crystals():
    source = lookup("generator", "prior")(network=load_prior())
    found = source.ask(16, np.random.default_rng(0))
    good = [each.candidate for each in found if each.status is Status.OK]
    assert len(good) >= 14
    assert all("Li" in candidate.composition for candidate in good)
    assert len({candidate.formula for candidate in good}) > 8


@pytest.mark.parametrize("known", [None, ()])
def test_a_generator_is_fitted_to_measured_materials_first(monkeypatch, known):
    told = []

    class Listener(Pool):
        def __init__(self, **settings):
            super().__init__([])

        def fit(self, outcomes, rng):
            told.extend(outcomes)
            return self

    monkeypatch.setattr(recipes, "make_generator", lambda name, **settings: Listener())
    spec = replace(recipes.design_spec(None, 1), ladder=Ladder(rungs=("cost",)))
    recipes.design(spec, recipes.RunOptions(), known=known)
    assert len(told) == (len(measured_library()) if known is None else 0)
