"""Composition path: features, memory of formulas, quick hull, network, and the models built of them."""

import numpy as np
import pytest
from pymatgen.core import Composition

from ionsmith.core.errors import ArtifactError, InputError, PhysicsError
from ionsmith.core.records import Kind, Outcome, Value
from ionsmith.predict import composition_hull
from ionsmith.predict.composition import (
    CompositionBandGap,
    CompositionBulkModulus,
    CompositionEnergyAboveHull,
    CompositionFormationEnergy,
    gathered,
)
from ionsmith.predict.composition_hull import QuickHull
from ionsmith.predict.composition_memory import Memory, novelty
from ionsmith.predict.composition_store import load_core, save
from ionsmith.represent.composition import ElementStatistics, elements_of
from ionsmith.represent.formula import FormulaVector, fractions_of
from ionsmith.testing import formula, rock_salt
from ionsmith.thermodynamics.phases import HullTable

FORMULAS = ("Li6PS5Cl", "LiF", "Li0.5Na0.5Cl", "Fe", "La3Zr2Li7O12")


def candidates():
    return [formula(text) for text in FORMULAS]


def memory(texts, values):
    return Memory.of(elements_of([formula(text) for text in texts]), np.array(values, dtype=float))


class TestFeatures:
    def test_statistics_equal_the_slow_ones(self):
        fast = FormulaVector().encode(candidates())
        slow = ElementStatistics().encode(candidates())
        np.testing.assert_allclose(fast[:, : slow.shape[1]], slow, atol=1e-9)
        assert fast.shape == (len(FORMULAS), len(FormulaVector().names))

    def test_shares_are_roots_of_fractions(self):
        vector = FormulaVector()
        row = vector.encode([formula("Li3N")])[0]
        assert row[vector.names.index("share_Li")] == pytest.approx(0.75**0.5)
        assert row[vector.names.index("share_N")] == pytest.approx(0.25**0.5)

    def test_nothing_gives_no_rows(self):
        assert FormulaVector().encode([]).shape == (0, len(FormulaVector().names))

    def test_fractions_sum_to_one(self):
        np.testing.assert_allclose(fractions_of(elements_of(candidates())).sum(axis=1), 1.0)


class TestMemory:
    def test_the_nearest_formula_by_difference_of_fractions(self):
        known = memory(["LiF", "LiCl", "Li2O", "Fe2O3"], [[1.0], [2.0], [3.0], [np.nan]])
        ((first, second),) = known.nearest({3: 0.5, 9: 0.5}, 2)
        assert first == (0, pytest.approx(0.0))
        assert second == (1, pytest.approx(1.0))

    def test_what_has_no_value_is_no_neighbour(self):
        known = memory(["LiF", "LiCl"], [[np.nan, 1.0], [2.0, np.nan]])
        assert [[row for row, _ in task] for task in known.nearest({3: 0.5, 9: 0.5}, 5)] == [[1], [0]]
        assert memory(["LiF"], [[np.nan]]).nearest({3: 1.0}, 5) == [[]]

    def test_it_counts_who_met_whom(self):
        met = memory(["LiF", "LiCl", "Li2O"], [[1.0], [1.0], [np.nan]]).together()[0]
        assert met[3, 3] == 2
        assert met[3, 9] == met[9, 3] == 1
        assert met[3, 8] == 0

    def test_it_survives_storage(self):
        known = memory(FORMULAS, [[1.0, np.nan]] * len(FORMULAS))
        again = Memory.from_arrays(known.arrays())
        assert again.content(0) == {3: 6.0, 15: 1.0, 16: 5.0, 17: 1.0}
        assert again.content(2) == pytest.approx({3: 0.5, 11: 0.5, 17: 1.0})
        np.testing.assert_array_equal(again.values, known.values)
        with pytest.raises(ArtifactError, match="missing counts"):
            Memory.from_arrays({k: v for k, v in known.arrays().items() if k != "memory.counts"})

    def test_novelty_is_the_weight_of_pairs_never_seen(self):
        met = memory(["LiF", "LiCl"], [[1.0], [1.0]]).together()
        asked = elements_of([formula("LiF"), formula("LiFCl"), formula("Na"), formula("Li")])
        # in LiFCl one pair of three equal ones, F with Cl, never met
        np.testing.assert_allclose(novelty(asked, met, fewest=1)[:, 0], [0.0, 1.0 / 3.0, 1.0, 0.0])
        np.testing.assert_allclose(novelty(asked, met, fewest=2)[:, 0], [1.0, 1.0, 1.0, 0.0])


class TestHull:
    def table(self):
        energies = {"LiF": -3.0, "Li2O": -2.0, "FeO": -1.4, "Fe2O3": -1.7, "LiFeO2": -1.9}
        return HullTable.from_energies((Composition(text), energy) for text, energy in energies.items())

    def test_it_agrees_with_the_general_solver(self):
        table = self.table()
        texts = ["LiFeO2", "Li5FeO4", "FeO", "Fe3O4", "LiF", "Li3FeF6O", "Na2O", "Li", "Li0.1Fe0.3O0.6"]
        hull, known = QuickHull(table).energies(elements_of([formula(text) for text in texts]))
        for text, energy, own in zip(texts, hull, known, strict=True):
            slow = table.energy_above_hull(Composition(text), 0.0, without_own=True).energy_above_hull
            assert energy == pytest.approx(-slow, abs=1e-9), text
            expected = 0.0 if text == "Li" else table.known(Composition(text))
            assert (expected is None and np.isnan(own)) or own == pytest.approx(expected)

    def test_a_search_without_end_is_said(self, monkeypatch):
        monkeypatch.setattr(composition_hull, "_PATIENCE", 1)
        with pytest.raises(PhysicsError, match="no most stable mixture"):
            QuickHull(self.table()).energies(elements_of([formula("Li5FeO4")]))

    @pytest.mark.slow
    def test_it_agrees_on_the_shipped_hull(self):
        table = HullTable.shipped()
        texts = [table.formula(row) for row in range(0, len(table), 2000)]
        hull, _ = QuickHull(table).energies(elements_of([formula(text) for text in texts]))
        for text, energy in zip(texts, hull, strict=True):
            slow = table.energy_above_hull(Composition(text), 0.0, without_own=True).energy_above_hull
            assert energy == pytest.approx(-slow, abs=1e-7), text


METALS, ANIONS = ("Li", "Na", "K", "Rb", "Cs", "Mg", "Ca", "Sr", "Ba", "Zn"), ("F", "Cl", "Br", "O", "S", "Se")
SMALL = {"members": 2, "epochs": 12, "width": 16, "blocks": 1}


def outcomes():
    """A world in which the electronegativity of the anion and the mass of the metal decide everything."""
    rows = []
    for i, metal in enumerate(METALS):
        for j, anion in enumerate(ANIONS):
            numbers = {
                "formation_energy": -3.0 + 0.4 * j,
                "band_gap": 6.0 - j,
                "bulk_modulus": 10.0 ** (2.0 - 0.1 * i),
            }
            values = {name: Value(number, 0.0, "toy") for name, number in numbers.items()}
            rows.append(Outcome(formula(f"{metal}2{anion}"), values))
    return rows


class TestModels:
    @pytest.fixture(scope="class")
    def fitted(self):
        return CompositionFormationEnergy(**SMALL).fit(outcomes(), np.random.default_rng(0))

    def test_it_learns_what_is_there(self):
        rows = outcomes()
        model = CompositionBandGap(**{**SMALL, "epochs": 60}).fit(rows, np.random.default_rng(0))
        said = model.predict([row.candidate for row in rows])
        true = np.array([row.values["band_gap"].mean for row in rows])
        assert np.abs(said.mean - true).mean() < 0.5 * np.abs(true - true.mean()).mean()
        assert (said.mean >= 0.0).all()

    def test_a_known_formula_keeps_its_energy_and_an_unknown_one_is_predicted(self, fitted):
        known, new = fitted.predict([formula("Li2O"), formula("Li3OF")]).mean
        assert known == pytest.approx(-1.8, abs=1e-6)
        assert -4.0 < new < 0.5

    def test_nothing_lies_below_the_hull(self):
        model = CompositionEnergyAboveHull(**SMALL).fit(outcomes(), np.random.default_rng(0))
        said = model.predict([formula("Li2O"), formula("Li4OF"), formula("Li")])
        assert said.mean[0] == 0.0  # no other phase of Li and O is known
        assert (said.mean >= 0.0).all() and said.mean[2] == 0.0

    def test_pairs_never_seen_together_are_outside_the_domain(self):
        model = CompositionBulkModulus(**SMALL).fit(outcomes(), np.random.default_rng(0))
        said = model.predict([formula("Li2O"), formula("LiNaO"), formula("Li3N")])
        assert said.in_domain.tolist() == [False, False, False]  # every element is too rare in so small a world
        assert (said.mean > 0.0).all()

    def test_neighbours_and_training(self, fitted):
        why = fitted.explain(formula("Li2O"))
        assert why["neighbours"][0]["distance"] == 0.0 or not why["in_training"]
        assert len(why["neighbours"]) == 5
        assert not fitted.explain(formula("Li3OF"))["in_training"]

    def test_a_saved_core_answers_the_same(self, fitted, tmp_path):
        card = {"data": [{"name": "toy", "licence": "none", "source": "test"}], "split": "all", "metrics": {}}
        save(fitted._shared.core, card={**card, "command": "test"}, folder=tmp_path)
        again = load_core(folder=tmp_path)
        asked = elements_of([formula("Li3OF"), formula("KCl")])
        assert again.answer(asked)["band_gap"].mean == pytest.approx(
            fitted._shared.core.answer(asked)["band_gap"].mean
        )

    def test_repeated_formulas_count_once_by_their_median(self):
        rows = [Outcome(formula("LiF"), {"band_gap": Value(gap, 0.0, "toy")}) for gap in (1.0, 2.0, 9.0)]
        found, values, tasks = gathered(rows)
        assert (len(found.numbers), values.tolist(), tasks) == (1, [[2.0]], ("band_gap",))

    def test_what_cannot_be_answered_is_refused(self, fitted):
        with pytest.raises(InputError, match="expected a composition"):
            fitted.predict([rock_salt()])
        with pytest.raises(InputError, match="expected a composition"):
            fitted.explain(rock_salt())
        with pytest.raises(InputError, match="fitted model"):
            CompositionBandGap().predict([formula("LiF")])
        with pytest.raises(InputError, match="counts of at least 1"):
            CompositionBandGap(members=0)
        with pytest.raises(InputError, match="rows with values"):
            CompositionBandGap().fit([Outcome(formula("LiF"))], np.random.default_rng(0))
        with pytest.raises(InputError, match="value of band_gap"):
            row = Outcome(formula("LiF"), {"shear_modulus": Value(1.0, 0.0, "toy")})
            CompositionBandGap().fit([row], np.random.default_rng(0))
        with pytest.raises(InputError, match="two formulas"):
            CompositionBandGap(**SMALL).fit(
                [Outcome(formula("LiF"), {"band_gap": Value(1.0, 0.0, "toy")})], np.random.default_rng(0)
            )

    def test_an_empty_question_has_an_empty_answer(self, fitted):
        assert len(fitted.predict([])) == 0
        assert fitted.kinds == frozenset({Kind.COMPOSITION})
