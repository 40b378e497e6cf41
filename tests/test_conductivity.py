"""Conductivity model: it learns, falls back, flags, remembers, and answers the same after being stored."""

import pickle

import numpy as np
import pytest
from pymatgen.core import Composition

from ionsmith.artifacts.cards import CARD_FILE, read_card
from ionsmith.core.errors import ArtifactError, InputError
from ionsmith.core.protocols import PropertyModel
from ionsmith.core.records import Bound, Candidate, Kind, Origin, Outcome, Value
from ionsmith.data.obelix import load_obelix
from ionsmith.predict.conductivity import ARTIFACT, QUANTITY, ConductivityModel, save, train
from ionsmith.represent.cell import CELL_FACT, cell_facts
from ionsmith.testing import check_model, disordered_chloride, formula, rock_salt, without_lithium

SMALL = {"trees": 30, "calibration_trees": 10}
CARD = {
    "data": [{"name": "toy", "licence": "CC0", "source": "here"}],
    "split": "all",
    "metrics": {},
    "command": "pytest",
}


def row(text, value, *, doi="", cell=True, bound=Bound.EXACT):
    facts = {"doi": doi, "family": "toy"}
    composition = Composition(text)
    if cell:
        edge = (12.0 * composition.num_atoms) ** (1 / 3)
        facts[CELL_FACT] = cell_facts((edge, edge, edge), (90, 90, 90), space_group=62)
    candidate = Candidate(Kind.COMPOSITION, composition, Origin("toy", text, facts))
    return Outcome(candidate, {QUANTITY: Value(value, 0.5, "measured", bound=bound)})


def toy_rows(*, cell=True):
    """Sulfides conduct, oxides do not: 60 rows of 30 papers."""
    rows = []
    for k in range(30):
        x = 0.1 * k
        rows.append(row(f"Li{3 + x:.2f}Si{0.5 + x / 9:.2f}S4", -4.0 - 0.02 * k, doi=f"10.1/{k}", cell=cell))
        rows.append(row(f"Li{3 + x:.2f}Ti{0.5 + x / 9:.2f}O4", -9.0 + 0.02 * k, doi=f"10.1/{k}", cell=cell))
    return rows


@pytest.fixture(scope="module")
def toy():
    return train(toy_rows(), np.random.default_rng(0), **SMALL)


def test_it_learns_what_is_plain_to_see(toy):
    prediction = toy.predict([row("Li4SiS5", 0).candidate, row("Li4TiO5", 0).candidate])
    assert prediction.mean[0] > -5.5
    assert prediction.mean[1] < -7.5
    assert (prediction.std > 0).all()


def test_a_known_material_is_recalled(toy):
    known = toy_rows()[10]
    prediction = toy.predict([known.candidate])
    assert prediction.mean[0] == pytest.approx(known.values[QUANTITY].mean, abs=0.3)
    assert prediction.in_domain[0]


def test_far_materials_and_those_without_lithium_are_out_of_domain(toy):
    assert toy.predict([formula("LiF"), formula("Si0.5S4"), without_lithium()]).in_domain.tolist() == [False] * 3


def test_limits_are_learnt_as_the_floor():
    rows = [row(f"Li{k}OCl", -17.0 - k, doi=str(k)) for k in range(1, 9)]
    model = train(rows, np.random.default_rng(0), **SMALL)
    np.testing.assert_allclose(model.predict([rows[3].candidate]).mean, -10.0)


def test_equal_streams_give_equal_models(toy):
    again = train(toy_rows(), np.random.default_rng(0), **SMALL)
    other = train(toy_rows(), np.random.default_rng(1), **SMALL)
    assert again.fingerprint == toy.fingerprint
    assert other.fingerprint != toy.fingerprint


def test_rows_without_a_cell_teach_the_formula_expert_alone():
    model = train(toy_rows(cell=False), np.random.default_rng(0), **SMALL)
    with_cell, bare = model.predict([row("Li4SiS5", 0).candidate, row("Li4SiS5", 0, cell=False).candidate]).mean
    assert with_cell == bare


def test_rows_with_and_without_a_cell_may_be_mixed():
    rows = [*toy_rows(cell=False)[:20], *toy_rows()[20:]]
    model = train(rows, np.random.default_rng(0), **SMALL)
    (nearest,) = model.neighbours(rows[0].candidate, 1)
    assert nearest.formula == rows[0].candidate.formula
    assert nearest.measured == rows[0].values[QUANTITY].mean


def test_neighbours_are_told_with_value_and_source(toy):
    asked = toy_rows()[4]
    found = toy.neighbours(asked.candidate, 3)
    assert [n.distance for n in found] == sorted(n.distance for n in found)
    assert found[0].formula == asked.candidate.formula
    assert (found[0].doi, found[0].family, found[0].bound) == ("10.1/2", "toy", Bound.EXACT)
    assert found[0].distance == pytest.approx(0.0, abs=1e-12)


def test_what_was_stored_answers_the_same(toy, tmp_path):
    save(toy, card=CARD, folder=tmp_path)
    loaded = ConductivityModel.load(folder=tmp_path)
    candidates = [rock_salt(), disordered_chloride(), formula("Li4SiS5"), toy_rows()[3].candidate]
    before, after = toy.predict(candidates), loaded.predict(candidates)
    np.testing.assert_allclose(after.mean, before.mean, atol=1e-5)
    np.testing.assert_allclose(after.std, before.std, atol=1e-5)
    assert loaded.fingerprint == toy.fingerprint
    assert loaded.neighbours(candidates[3], 1)[0].formula == toy.neighbours(candidates[3], 1)[0].formula


def test_weights_of_another_layout_are_refused(toy, tmp_path):
    save(toy, card=CARD | {"settings": {"colour": 1}}, folder=tmp_path)
    with pytest.raises(ArtifactError, match="settings and arrays of this model"):
        ConductivityModel.load(folder=tmp_path)


def test_missing_weights_are_named(tmp_path):
    with pytest.raises(ArtifactError, match=CARD_FILE):
        ConductivityModel.load(folder=tmp_path)


@pytest.mark.parametrize("setting", [{"trees": 0}, {"trim": 0.5}, {"reach": 0.0}, {"calibration_trees": 0}])
def test_settings_out_of_range_are_refused(setting):
    with pytest.raises(InputError, match=next(iter(setting))):
        ConductivityModel(**setting)


def test_an_unfitted_model_says_so():
    model = ConductivityModel()
    assert model.fingerprint == "conductivity-unfitted"
    with pytest.raises(InputError, match="call fit or load"):
        model.predict([rock_salt()])


def test_rows_without_a_value_are_refused():
    with pytest.raises(InputError, match="expected a value of log10_conductivity for toy:LiF"):
        ConductivityModel(**SMALL).fit([Outcome(formula("LiF"))], np.random.default_rng(0))


def test_rows_of_one_group_are_refused():
    with pytest.raises(InputError, match="at least two formulas"):
        ConductivityModel(**SMALL).fit([row("LiF", -8), row("LiF", -9)], np.random.default_rng(0))


def test_other_kinds_are_refused(toy):
    with pytest.raises(InputError, match="got molecule"):
        toy.predict([Candidate(Kind.MOLECULE, "CCO", Origin("toy"))])


def test_the_shipped_model_keeps_the_contract():
    model = ConductivityModel.load()
    assert isinstance(model, PropertyModel)
    check_model(model, [rock_salt(), disordered_chloride(), formula("Li3PS4")], registry_name="conductivity")
    assert len(pickle.dumps(model)) < 20e6


def test_the_shipped_card_tells_the_figures():
    """The card holds what was measured; docs/benchmarks/conductivity.md says where that falls short of the aims."""
    metrics = read_card(ARTIFACT)["metrics"]
    for kind in {"published", "doi", "group"} & set(metrics):
        errors = {
            name: report["figures"]["limits at the bound"]["mean_absolute_error"]
            for name, report in metrics[kind].items()
        }
        assert errors["conductivity"] <= min(errors.values())
    assert (
        metrics["published"]["conductivity"]["figures"]["limits at the bound"]["mean_absolute_error"] <= 1.25
    )  # the aim of 1.22 is missed
    assert metrics["published"]["conductivity"]["figures"]["limits as 1e-15"]["mean_absolute_error"] <= 1.58
    assert metrics["library"]["auc"] >= 0.85


@pytest.mark.mirror
def test_the_shipped_model_reaches_its_published_figure(mirror):
    """The figure of the card is measured again, with the shipped weights on the official test rows."""
    rows = load_obelix("test")
    predicted = ConductivityModel.load().predict([outcome.candidate for outcome in rows]).mean
    values = [outcome.values[QUANTITY] for outcome in rows]
    at_bound = np.array([value.mean for value in values])
    as_1e15 = np.array([-15.0 if value.bound is Bound.UPPER else value.mean for value in values])
    figures = read_card(ARTIFACT)["metrics"]["published"]["conductivity"]["figures"]
    for name, target in (("limits at the bound", at_bound), ("limits as 1e-15", as_1e15)):
        error = float(np.abs(predicted - target).mean())
        assert error == pytest.approx(figures[name]["mean_absolute_error"], abs=0.05)  # another random stream


@pytest.mark.mirror
def test_no_test_row_is_in_the_shipped_memory(mirror):
    model = ConductivityModel.load()
    known = {n.doi for n in model.neighbours(formula("Li3PS4"), 10_000)}
    taught = {outcome.candidate.source.facts["doi"] for outcome in load_obelix("train")}
    assert known == taught
