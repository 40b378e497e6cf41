"""Explanations: Shapley values of known games, parts of a material, the sentence, and the deletion test."""

from types import SimpleNamespace

import numpy as np
import pytest
from typer.testing import CliRunner

from ionsmith.assessment import explain_result
from ionsmith.cli import app
from ionsmith.core.errors import InputError
from ionsmith.core.records import Bound, Kind, Prediction
from ionsmith.evaluate.attribution import all_coalitions, remembered, shapley
from ionsmith.evaluate.baselines import RidgeBaseline
from ionsmith.evaluate.explanation import (
    Background,
    Deletion,
    deletion_test,
    explain_by_atoms,
    explain_prediction,
    family_background,
    make_game,
)
from ionsmith.evaluate.memory import known_materials, what_was_seen
from ionsmith.evaluate.parts import CELL, hybrid, part_names, parts_of
from ionsmith.represent.electrolyte import ElectrolyteFeatures
from ionsmith.represent.lithium_network import LithiumNetwork
from ionsmith.testing import disordered_chloride, formula, measured, rock_salt, without_lithium

QUANTITY = "log10_conductivity"


def rng(seed=0):
    return np.random.default_rng(seed)


def linear(weights):
    return lambda coalitions: coalitions @ np.array(weights, dtype=float) + 1.0


# attribution


def test_players_of_a_linear_game_get_their_weight():
    shares = shapley(linear([1.0, -2.0, 0.5]), 3, rng())
    np.testing.assert_allclose(shares.values, [1.0, -2.0, 0.5])
    assert (shares.base, shares.full) == (1.0, 0.5)
    many = shapley(linear(np.arange(12)), 12, rng(), rounds=2)
    np.testing.assert_allclose(many.values, np.arange(12))
    np.testing.assert_allclose(many.error, 0.0, atol=1e-12)


def test_the_glove_game():
    """One left glove, two right ones: Shapley values 2/3, 1/6, 1/6."""
    shares = shapley(lambda c: (c[:, 0] & (c[:, 1] | c[:, 2])).astype(float), 3, rng())
    np.testing.assert_allclose(shares.values, [2 / 3, 1 / 6, 1 / 6])


def test_sampling_agrees_with_all_coalitions(monkeypatch):
    weights = rng(1).normal(size=(6, 6))

    def game(coalitions):
        return np.einsum("mi,ij,mj->m", coalitions, weights, coalitions)

    exact = shapley(game, 6, rng())
    monkeypatch.setattr("ionsmith.evaluate.attribution.MOST_EXACT", 2)
    sampled = shapley(game, 6, rng(), rounds=400)
    np.testing.assert_allclose(sampled.values, exact.values, atol=1e-9 + 4.0 * sampled.error.max())
    np.testing.assert_allclose(sampled.values.sum(), exact.full - exact.base)


def test_all_coalitions_are_all_different():
    found = all_coalitions(4)
    assert found.shape == (16, 4)
    assert len({tuple(row) for row in found.tolist()}) == 16


def test_a_remembered_game_is_asked_once_per_coalition():
    asked = []

    def game(coalitions):
        asked.extend(coalitions.tolist())
        return coalitions.sum(axis=1)

    play = remembered(game)
    coalitions = np.array([[True, False], [False, False], [True, False]])
    np.testing.assert_allclose(play(coalitions), [1.0, 0.0, 1.0])
    np.testing.assert_allclose(play(coalitions), [1.0, 0.0, 1.0])
    assert asked == [[True, False], [False, False]]


@pytest.mark.parametrize(("players", "rounds"), [(0, 5), (3, 1)])
def test_senseless_games_are_refused(players, rounds):
    with pytest.raises(InputError, match="at least 1 player"):
        shapley(linear([1.0]), players, rng(), rounds=rounds)


# parts


def test_parts_of_an_argyrodite():
    parts = parts_of(formula("Li6PS5Cl"))
    assert parts.per_anion == pytest.approx(1.0)
    assert parts.cations_per_anion == pytest.approx(1 / 6)
    assert dict(parts.anions) == pytest.approx({"S": 5 / 6, "Cl": 1 / 6})
    assert dict(parts.cations) == {"P": 1.0}
    assert part_names(parts) == (
        "Li content (1.00 per anion)",
        "anions (S, Cl)",
        "framework cations (P)",
        "amount of framework cations (0.17 per anion)",
    )


def test_hybrids_take_what_they_are_told():
    mine, other = parts_of(formula("Li6PS5Cl")), parts_of(formula("Li7La3Zr2O12"))
    whole = hybrid(mine, other, np.array([True] * 4))
    assert whole.composition.fractional_composition.almost_equals(
        formula("Li6PS5Cl").composition.fractional_composition
    )
    assert hybrid(mine, other, np.array([False] * 4)).composition.get_atomic_fraction("La") == pytest.approx(3 / 24)
    mixed = hybrid(mine, other, np.array([False, True, False, True]))
    assert {e.symbol for e in mixed.composition} == {"Li", "La", "Zr", "S", "Cl"}
    bare = parts_of(formula("LiF"))
    assert {e.symbol for e in hybrid(bare, mine, np.array([True, True, True, False])).composition} == {"Li", "F", "P"}


def test_the_cell_of_a_crystal_is_a_part():
    mine, other = parts_of(rock_salt()), parts_of(formula("LiCl"))
    assert part_names(mine)[-1] == CELL
    kept = hybrid(mine, other, np.array([True] * 5))
    assert kept.composition.num_atoms == pytest.approx(8)
    assert kept.source.facts["cell"]["space_group"] == 225
    assert not hybrid(mine, other, np.array([True] * 4 + [False])).source.facts


def test_the_sites_of_a_crystal_go_with_its_cell():
    candidate = disordered_chloride()
    mine, other = parts_of(candidate), parts_of(formula("Li6PS5Cl"))
    whole, without = (hybrid(mine, other, np.array([True] * 4 + [cell])) for cell in (True, False))
    network = LithiumNetwork().encode([candidate, whole, without])
    np.testing.assert_allclose(network[1], network[0])
    assert np.isnan(network[2]).all()


def test_a_metal_has_no_parts():
    with pytest.raises(InputError, match="expected anions"):
        parts_of(formula("LiAl"))


# explanations


class Told:
    """Predicts ten times the sulfur fraction, and remembers five materials."""

    name, quantity, kinds, fingerprint = "told", QUANTITY, frozenset({Kind.COMPOSITION}), "1"

    def predict(self, candidates):
        mean = np.array([10.0 * c.composition.get_atomic_fraction("S") - 8.0 for c in candidates])
        return Prediction(mean, np.full(len(mean), 0.5), np.ones(len(mean), dtype=bool))

    def neighbours(self, candidate, k=5):
        known = [
            ("Li3PS4", -3.5, "sulfide", "exact", "10.1/a"),
            ("Li3PO4", -9.0, "phosphate", "upper", "10.1/b"),
            ("Li4GeS4", -6.0, "sulfide", "exact", ""),
            ("Li4SiS4", -6.0, "sulfide", "exact", "10.1/c"),
            ("Li4SnS4", -4.0, "sulfide", "exact", "10.1/c"),
        ]
        return [
            SimpleNamespace(formula=f, measured=m, family=w, bound=Bound(b), doi=d, distance=0.1)
            for f, m, w, b, d in known
        ][:k]


def test_the_background_is_the_family():
    background = family_background(Told(), formula("Li6PS5Cl"))
    assert background.name == "the mean of 4 sulfide materials"
    assert [c.source.locator for c in background.candidates] == ["Li3PS4", "Li4GeS4", "Li4SiS4", "Li4SnS4"]
    own = family_background(Told(), formula("Li3PS4"))
    assert own.name == "the mean of 3 sulfide materials"


def test_a_small_family_gives_way_to_the_nearest():
    stated = formula("Li2HPO4")
    stated = type(stated)(stated.kind, stated.payload, type(stated.source)("x", "y", {"family": "phosphate"}))
    assert family_background(Told(), stated).name == "its 5 nearest materials"


def test_nothing_else_known_is_refused():
    class Lone(Told):
        def neighbours(self, candidate, k=5):
            return super().neighbours(candidate, 1)

    with pytest.raises(InputError, match="expected other materials"):
        family_background(Lone(), formula("Li3PS4"))


def test_the_sentence_tells_what_raises_and_lowers():
    model = Told()
    explanation = explain_prediction(model, formula("Li6PO5Cl"), family_background(model, formula("Li6PO5Cl")), rng())
    effects = {e["name"]: e["effect"] for e in explanation.document()["effects"]}
    assert effects["anions (O, Cl)"] < -3.0
    assert max(effects, key=lambda name: abs(effects[name])) == "anions (O, Cl)"
    sentence = explanation.sentence()
    assert sentence.startswith("Predicted 1.0e-08 S/cm; ")
    assert "lowered by anions (O, Cl)" in sentence
    assert "against the mean of 4 sulfide materials" in sentence
    assert "Li3PO4 (at most 1.0e-09 S/cm, doi 10.1/b)" in sentence
    assert sum(explanation.shares.values) == pytest.approx(explanation.mean - explanation.shares.base)


def test_a_tabular_model_is_explained_by_its_descriptors():
    rows = [measured(formula(f"Li{k}PS4"), "band_gap", 0.3 * k) for k in range(1, 20)]
    model = RidgeBaseline(ElectrolyteFeatures(cell=False), quantity="band_gap").fit(rows, rng())
    background = Background("three of them", tuple(row.candidate for row in rows[:3]))
    explanation = explain_prediction(model, rows[-1].candidate, background, rng(), rounds=3)
    assert explanation.names == ElectrolyteFeatures(cell=False).names
    assert explanation.shares.full == pytest.approx(model.predict([rows[-1].candidate]).mean[0])
    np.testing.assert_allclose(explanation.shares.error, 0.0, atol=1e-9)  # a linear model has one answer
    assert "eV" in explanation.sentence()
    assert "Nearest known" not in explanation.sentence()


def test_what_cannot_be_explained_is_refused():
    with pytest.raises(InputError, match="at least one background"):
        make_game(Told(), formula("LiF"), Background("none", ()))

    class Crystals(Told):
        kinds = frozenset({Kind.CRYSTAL})

    with pytest.raises(InputError, match="reads compositions or has named descriptors"):
        make_game(Crystals(), rock_salt(), Background("one", (formula("LiF"),)))
    with pytest.raises(InputError, match="call fit first"):
        RidgeBaseline(ElectrolyteFeatures()).predict_described(np.zeros((1, 3)))


class Graph:
    """A graph model: tells what each kind of atom adds."""

    name, quantity, kinds, fingerprint = "graph", "band_gap", frozenset({Kind.CRYSTAL}), "1"
    atoms = ({"element": "F", "count": 4, "effect": 2.5}, {"element": "Li", "count": 1, "effect": -0.5})

    def predict(self, candidates):
        n = len(candidates)
        return Prediction(np.full(n, 9.0), np.full(n, 0.5), np.ones(n, dtype=bool))

    def explain(self, candidate):
        known = [{"formula": "LiF", "value": 8.9, "distance": 0.0}, {"formula": "LiF", "value": 8.7, "distance": 0.1}]
        return {"neighbours": known, "atoms": list(self.atoms), "in_training": False}


def test_a_graph_model_is_explained_by_its_atoms(monkeypatch):
    found = explain_by_atoms(Graph(), rock_salt())
    assert found["sentence"] == (
        "Predicted 9 eV; raised by F (x4) (+2.5), lowered by Li (-0.5), against these atoms left out. "
        "Nearest known: LiF (8.9 eV)."
    )
    assert len(found["atoms"]) == 2
    monkeypatch.setattr(Graph, "atoms", ())
    assert "no atom moves the prediction" in explain_by_atoms(Graph(), rock_salt())["sentence"]
    with pytest.raises(InputError, match="tells about atoms"):
        explain_by_atoms(Told(), formula("LiF"))


def test_a_model_that_only_explains_is_asked_row_by_row():
    seen = what_was_seen(Graph(), [measured(c, "band_gap", 8.0) for c in (rock_salt(), without_lithium())])
    assert seen.formula.tolist() == [True, False]
    assert (seen.told, seen.training_rows) == (True, 0)
    assert [item.value for item in known_materials(Graph(), rock_salt(), 1)] == [8.9]
    assert known_materials(RidgeBaseline(ElectrolyteFeatures()), rock_salt(), 1) == []


# deletion


def test_deleting_what_matters_changes_most():
    weights = [5.0, 0.0, 0.1, -0.2]
    shares = [shapley(linear(weights), 4, rng())] * 8
    (one, two) = deletion_test([linear(weights)] * 8, shares, (1, 2), rng())
    np.testing.assert_allclose(one.important, 5.0)
    assert (one.random < 5.0).all()
    document = two.document(rng())
    assert document["difference_low"] > 0.0
    assert document["wins"] == 1.0
    assert document["materials"] == 8


def test_senseless_deletions_are_refused():
    with pytest.raises(InputError, match="expected materials"):
        deletion_test([], [], (1,), rng())
    with pytest.raises(InputError, match="below the number of players"):
        deletion_test([linear([1.0])], [shapley(linear([1.0]), 1, rng())], (1,), rng())


def test_a_difference_without_rows_has_an_interval():
    found = Deletion(1, np.array([1.0, 2.0]), np.array([1.0, 1.0])).document(rng(), draws=50)
    assert found["wins"] == 0.5


def test_the_command_says_why(tmp_path):
    (tmp_path / "f.csv").write_text("formula\nLi6PS5Cl\nFe\nXx\n")
    done = CliRunner().invoke(app, ["predict", str(tmp_path / "f.csv"), "--explain"])
    assert done.exit_code == 0, done.output
    assert "Predicted" in done.stdout
    assert "No explanation: Fe: expected anions" in done.stdout


def test_rows_of_unknown_methods_are_left_alone():
    from ionsmith.core.records import Outcome, Value
    from ionsmith.core.results import Row, RunResult

    outcome = Outcome(formula("LiF"), {"band_gap": Value(8.0, 0.1, "somebody")})
    result = RunResult("predict", "0", (Row(0, "k", outcome, "predict"),))
    assert explain_result(result) == result
