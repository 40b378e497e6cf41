"""Spec and score: every wrong word is caught, every number is what the formula says."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from ionsmith.core.errors import SpecError
from ionsmith.core.protocols import Objective
from ionsmith.core.records import Candidate, Kind, Origin, Outcome, Value
from ionsmith.objective.score import UNKNOWN, NoObjective, SpecObjective, log_probability, meets
from ionsmith.objective.spec import Spec, Target, load_spec, parse_spec
from ionsmith.testing import formula, rock_salt, without_lithium

GOOD = """
mobile_ion = "Li"
exclude = ["Ge", "Tl"]
[targets]
log10_conductivity = { min = -3.52 }
band_gap = { min = 3.0, max = 9.0 }
[budget]
candidates = 10
simulations = 2
[ladder]
rungs = ["bvse", "hull"]
"""


def test_the_users_words(tmp_path):
    path = tmp_path / "s.toml"
    path.write_text(GOOD)
    spec = load_spec(path)
    assert spec.exclude == ("Ge", "Tl")
    assert spec.targets["band_gap"] == Target("band_gap", 3.0, 9.0)
    assert (spec.budget.candidates, spec.budget.simulations, spec.budget.rounds) == (10, 2, 1)
    assert spec.ladder.rungs == ("bvse", "hull")
    assert parse_spec(spec.plain()) == spec


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"mobile": "Li"}, "unknown key 'mobile'; did you mean 'mobile_ion'"),
        ({"mobile_ion": "Xx"}, "mobile_ion: expected an element symbol"),
        ({"mobile_ion": 3}, "mobile_ion: expected an element symbol"),
        ({"exclude": "Ge"}, "exclude: expected a list"),
        ({"exclude": ["Li"]}, "expected elements other than the mobile ion, got Li"),
        ({"targets": {}}, "expected at least one target"),
        ({"targets": 3}, "targets: expected a table"),
        ({"targets": {"bandgap": {"min": 1}}}, "unknown key 'bandgap'; did you mean 'band_gap'"),
        ({"targets": {"band_gap": {"minimum": 1}}}, "targets.band_gap: unknown key 'minimum'; did you mean 'min'"),
        ({"targets": {"band_gap": {}}}, "expected min, max or both"),
        ({"targets": {"band_gap": {"min": "wide"}}}, "targets.band_gap.min: expected a number, got 'wide'"),
        ({"targets": {"band_gap": {"min": True}}}, "expected a number, got True"),
        ({"targets": {"band_gap": {"min": math.nan}}}, "expected a number, got nan"),
        ({"targets": {"band_gap": {"min": 99}}}, "expected 0 to 20 eV, got 99"),
        ({"targets": {"band_gap": {"min": 4, "max": 3}}}, "expected min below max, got min 4 and max 3"),
        ({"budget": {"candidates": 0}}, "budget.candidates: expected a whole number of at least 1, got 0"),
        ({"budget": {"simulations": 1.5}}, "budget.simulations: expected a whole number"),
        ({"budget": {"simulation": 1}}, "unknown key 'simulation'; did you mean 'simulations'"),
        ({"ladder": {"rungs": [1]}}, "ladder.rungs: expected a name, got 1"),
        ({"ladder": {"rungs": ["hull", "hull"]}}, "expected each rung once"),
        ({"ladder": {"potential": ""}}, "ladder.potential: expected a name"),
        ({"drop_below": 1.0}, "drop_below: expected a probability"),
    ],
)
def test_every_wrong_word_is_one_clear_line(document, message):
    with pytest.raises(SpecError, match=r"^my\.toml") as caught:
        parse_spec(document, where="my.toml")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unreadable_spec_files(tmp_path):
    with pytest.raises(SpecError, match="expected a readable Spec file"):
        load_spec(tmp_path / "absent.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("targets = [")
    with pytest.raises(SpecError, match="expected TOML"):
        load_spec(broken)


def known(**values):
    return Outcome(rock_salt(), {name: Value(mean, std, "m") for name, (mean, std) in values.items()})


def test_probability_is_the_normal_tail():
    target = Target("log10_conductivity", low=-3.5)
    spread = math.hypot(0.4, 0.3)
    expected = norm.sf(-3.5, loc=-4.0, scale=spread)
    assert math.exp(log_probability(target, Value(-4.0, 0.4, "m"))) == pytest.approx(expected)
    both = Target("band_gap", 3.0, 5.0)
    expected = norm.cdf(5, 4, math.hypot(1, 0.2)) - norm.cdf(3, 4, math.hypot(1, 0.2))
    assert math.exp(log_probability(both, Value(4.0, 1.0, "m"))) == pytest.approx(expected)
    assert math.exp(log_probability(target, None)) == pytest.approx(UNKNOWN)
    assert math.isfinite(log_probability(both, Value(20.0, 0.0, "m")))


def test_score_is_the_geometric_mean():
    spec = parse_spec({"targets": {"log10_conductivity": {"min": -3.5}, "energy_above_hull": {"max": 0.05}}})
    objective = SpecObjective(spec)
    outcome = known(log10_conductivity=(-3.5, 1.0))
    assert objective.score(outcome) == pytest.approx(0.5)
    better = known(log10_conductivity=(-2.0, 0.1), energy_above_hull=(0.0, 0.01))
    assert objective.score(better) > 0.99
    assert objective.feasible(better)
    assert not objective.feasible(outcome), "an unknown target is not met"
    assert "met" in objective.checks(better)["energy_above_hull"]
    assert "not computed" in objective.checks(outcome)["energy_above_hull"]


@given(st.floats(-20, 1), st.floats(0.01, 3.0))
def test_score_rises_with_conductivity(mean, step):
    objective = SpecObjective(parse_spec({"targets": {"log10_conductivity": {"min": -3.5}}}))
    low, high = (objective.score(known(log10_conductivity=(m, 0.5))) for m in (mean, min(mean + step, 2.0)))
    assert 0.0 <= low <= high <= 1.0


def test_hopeless_names_the_target_and_the_distance():
    objective = SpecObjective(parse_spec({"targets": {"energy_above_hull": {"max": 0.05}}}))
    assert objective.hopeless(known(energy_above_hull=(0.04, 0.02))) == ""
    line = objective.hopeless(known(energy_above_hull=(0.5, 0.02)))
    assert "energy_above_hull 0.5 ± 0.02 eV/atom, wanted at most 0.05" in line
    lenient = SpecObjective(parse_spec({"targets": {"energy_above_hull": {"max": 0.05}}, "drop_below": 0}))
    assert lenient.hopeless(known(energy_above_hull=(9.0, 0.02))) == ""


def test_admission():
    objective = SpecObjective(parse_spec({"exclude": ["F"]}))
    assert objective.admit(without_lithium()) == "contains no Li, the mobile ion"
    assert objective.admit(rock_salt()) == "contains excluded F"
    assert objective.admit(rock_salt("Li", "Cl", a=5.1)) == ""
    assert objective.admit(formula("Li2O")) == ""
    assert "got a molecule" in objective.admit(Candidate(Kind.MOLECULE, "CCO", Origin("x")))


def test_no_objective_judges_nothing():
    nothing = NoObjective()
    outcome = known(band_gap=(1.0, 0.1))
    assert isinstance(nothing, Objective)
    assert isinstance(SpecObjective(Spec()), Objective)
    assert (nothing.admit(outcome.candidate), nothing.hopeless(outcome)) == ("", "")
    assert nothing.feasible(outcome) is None
    assert nothing.score(outcome) is None
    assert not nothing.checks(outcome)


def test_target_limits_are_inclusive():
    assert meets(Target("band_gap", 3.0, None), Value(3.0, 0.1, "m"))
    assert not meets(Target("band_gap", None, 2.0), Value(3.0, 0.1, "m"))
    assert Target("band_gap", 1.0, 2.0).words() == "between 1 and 2"


def test_caution_counts_a_value_worse_than_it_is_and_more_so_where_nothing_is_known():
    low = Target("band_gap", low=3.0)
    value = Value(3.5, 0.5, "m", in_domain=True)
    outside = replace(value, in_domain=False)
    careful = log_probability(low, value, caution=1.0)
    assert careful == pytest.approx(math.log(0.5)), "one spread below the mean lies on the limit"
    assert log_probability(low, outside, caution=1.0) == pytest.approx(norm.logcdf(-0.5 / 0.6))
    assert log_probability(low, value) == log_probability(low, outside) > careful


def test_caution_does_not_pay_for_being_vague():
    high = Target("activation_energy", high=0.3)
    sure, vague = Value(0.5, 0.05, "m"), Value(0.5, 0.5, "m")
    assert log_probability(high, vague) > log_probability(high, sure)
    assert log_probability(high, vague, caution=0.5) < log_probability(high, sure, caution=0.5)
    both = Target("activation_energy", low=0.1, high=0.3)
    assert log_probability(both, Value(0.2, 0.05, "m"), caution=1.0) < log_probability(both, Value(0.2, 0.05, "m"))
