"""Activation energies: the joined table, and the model that learns from it."""

import numpy as np
import pytest

from ionsmith.core.errors import ArtifactError, DataError, InputError
from ionsmith.core.records import Bound, Outcome, Value
from ionsmith.data import liverpool, obelix
from ionsmith.data.activation_energies import load_activation_energies, read_rows
from ionsmith.predict.activation_energy import ActivationEnergyModel, save
from ionsmith.predict.activation_energy_expert import Coupling
from ionsmith.testing import formula, rock_salt


def obelix_row(entry, composition, sigma, doi):
    return {
        **{"ID": entry, "True Composition": composition, "Ionic conductivity (S cm-1)": sigma, "DOI": doi},
        **{"a": "4", "b": "4", "c": "4", "alpha": "90", "beta": "90", "gamma": "90", "Space group #": "225"},
        "Family": "halides",
    }


def energy_row(composition="LiF", energy="0.5", sigma="1e-6", censored="False"):
    return {"composition": composition, "Ea_eV": energy, "sigma_RT_S_cm": sigma, "censored": censored}


@pytest.fixture
def partners():
    train = [("a", "Li4F4", "1e-6", "10.1/a"), ("b", "Li4F4", "1e-9", "10.1/b"), ("c", "LiCl", "1e-7", "10.1/T")]
    test = [("d", "LiBr", "1e-5", "10.1/t"), ("e", "LiI", "1e-5", "10.1/u")]
    return {
        "train": obelix.read_rows([obelix_row(*row) for row in train]),
        "test": obelix.read_rows([obelix_row(*row) for row in test]),
    }


class TestTable:
    def test_a_row_joins_the_measurement_nearest_in_conductivity(self, partners):
        found = read_rows([energy_row(), energy_row(sigma="1e-9", censored="True")], **partners)
        assert [o.candidate.source.facts["doi"] for o in found] == ["10.1/a", "10.1/b"]
        assert [o.candidate.source.facts["id"] for o in found] == ["a", "b"]
        assert found[0].values["activation_energy"].mean == 0.5
        assert found[0].candidate.source.facts["cell"]["a"] == 4.0
        assert [o.values["log10_conductivity"].bound for o in found] == [Bound.EXACT, Bound.UPPER]

    def test_compositions_and_papers_of_the_test_split_are_marked(self, partners):
        found = read_rows([energy_row(), energy_row("LiBr"), energy_row("LiCl")], **partners)
        # the paper of LiCl also reports LiBr, which OBELiX keeps out
        assert [o.candidate.source.facts["split"] for o in found] == ["train", "test", "test"]

    def test_rounded_occupancies_still_join(self, partners):
        found = read_rows([energy_row("Li1.01F0.99")], **partners)
        assert found[0].candidate.formula == "LiF"

    @pytest.mark.parametrize(
        ("row", "said"),
        [
            (energy_row("NaF"), "among the compositions of OBELiX"),
            (energy_row(energy="high"), "row 1"),
            (energy_row(sigma="0"), "row 1"),
            ({"composition": "LiF"}, "expected a column 'Ea_eV'"),
        ],
    )
    def test_a_bad_row_says_where(self, partners, row, said):
        with pytest.raises(DataError, match=said):
            read_rows([row], **partners)

    def test_an_unknown_part_is_refused(self):
        with pytest.raises(InputError, match="unknown part"):
            load_activation_energies("half")

    @pytest.mark.mirror
    def test_the_real_table_keeps_the_test_split_apart(self, mirror):
        train, test = load_activation_energies("train"), load_activation_energies("test")
        assert (len(train), len(test)) == (289, 82)
        papers = {o.candidate.source.facts["doi"].lower() for o in obelix.load_obelix("test")}
        formulas = {o.candidate.formula for o in obelix.load_obelix("test")}
        assert not papers & {o.candidate.source.facts["doi"].lower() for o in train}
        assert not formulas & {o.candidate.formula for o in train}
        assert len(load_activation_energies("all")) == 371


class TestLiverpool:
    def row(self, **changed):
        plain = {"ID": "1", "composition": '"(Li2S)0.7 (P2S5)0.3"', "source": "10.1/x", "temperature": "25"}
        return {**plain, "log_target": "-4.5", "family": "glass", **changed}

    def test_glasses_and_temperatures(self):
        (found,) = liverpool.read_rows([self.row()])
        facts = found.candidate.source.facts
        assert facts["temperature"] == pytest.approx(298.15)
        assert facts["log10_conductivity_at_temperature"] == -4.5
        assert found.candidate.composition["S"] == pytest.approx(2.2)

    @pytest.mark.parametrize("changed", [{"composition": "water"}, {"temperature": "-300"}, {"log_target": "inf"}])
    def test_a_bad_row_says_where(self, changed):
        with pytest.raises(DataError, match="liverpool: entry 1"):
            liverpool.read_rows([self.row(**changed)])

    def test_a_missing_column_is_named(self):
        with pytest.raises(DataError, match="expected a column 'log_target'"):
            liverpool.read_rows([{"ID": "1", "composition": "LiF", "source": "", "temperature": "1"}])

    @pytest.mark.mirror
    def test_the_real_table_reads(self, mirror):
        assert len(liverpool.load_liverpool()) == 820


FEW = {"trees": 8, "calibration_trees": 4, "folds": 2}


def toy_rows():
    """Chlorides are easy and oxides are hard for lithium; the fluorides have only a conductivity."""
    rows = []
    for metal in ("Mg", "Ca", "Zn", "Al", "Y", "In", "Sc", "Ga"):
        for anion, energy in (("Cl", 0.3), ("O", 0.8)):
            values = {"activation_energy": Value(energy, 0.05, "measured")}
            values["log10_conductivity"] = Value(-2.0 - 8.0 * energy, 0.5, "measured")
            rows.append(Outcome(formula(f"Li3{metal}{anion}4"), values))
        aide = {"log10_conductivity": Value(-12.0, 0.5, "measured")}
        rows.append(Outcome(formula(f"Li3{metal}F4"), aide))
    return rows


class TestModel:
    @pytest.fixture(scope="class")
    def fitted(self):
        return ActivationEnergyModel(**FEW).fit(toy_rows(), np.random.default_rng(0))

    def test_it_learns_energies_and_reads_others_off_conductivities(self, fitted):
        said = fitted.predict([formula("Li3LuCl4"), formula("Li3LuO4"), formula("Li3LuF4")])
        easy, hard, read_off = said.mean
        assert easy < 0.5 < hard
        assert read_off > easy
        assert (said.std > 0.0).all()

    def test_without_lithium_nothing_is_in_the_domain(self, fitted):
        assert not fitted.predict([formula("Na3MgCl4")]).in_domain[0]

    def test_neighbours_have_a_measured_energy(self, fitted):
        why = fitted.explain(formula("Li3MgF4"))
        assert {n["formula"] for n in why["neighbours"]} <= {o.candidate.formula for o in toy_rows()}
        assert all(n["value"] in (0.3, 0.8) for n in why["neighbours"])
        assert not why["in_training"]
        assert fitted.explain(formula("Li3MgCl4"))["in_training"]

    def test_a_saved_model_answers_the_same(self, fitted, tmp_path):
        card = {"data": [{"name": "toy", "licence": "none", "source": "test"}], "split": "all", "metrics": {}}
        save(fitted, card={**card, "command": "test"}, folder=tmp_path)
        again = ActivationEnergyModel.load(folder=tmp_path)
        asked = [formula("Li3LuCl4"), formula("Li2ZnO2")]
        assert again.fingerprint == fitted.fingerprint
        assert again.predict(asked).mean == pytest.approx(fitted.predict(asked).mean, abs=1e-6)
        save(fitted, card={**card, "command": "test", "settings": {"colour": 1}}, folder=tmp_path)
        with pytest.raises(ArtifactError, match="expected settings"):
            ActivationEnergyModel.load(folder=tmp_path)

    def test_a_conductivity_of_the_asked_material_changes_nothing(self, fitted):
        bare = formula("Li3LuCl4")
        told = type(bare)(bare.kind, bare.payload, type(bare.source)("x", "x", {"log10_conductivity": -15.0}))
        assert fitted.predict([told]).mean[0] == fitted.predict([bare]).mean[0]

    def test_what_cannot_be_answered_is_refused(self):
        with pytest.raises(InputError, match="fitted model"):
            ActivationEnergyModel().predict([rock_salt()])
        with pytest.raises(InputError, match="trees above 0"):
            ActivationEnergyModel(trees=0)
        with pytest.raises(InputError, match="two formulas"):
            ActivationEnergyModel(**FEW).fit(toy_rows()[:1], np.random.default_rng(0))

    def test_the_coupling_is_a_line_in_the_logarithm(self):
        sigma = np.array([-3.0, -6.0, -9.0])
        coupling = Coupling.of(np.exp(-2.0 - 0.2 * sigma), sigma, -8.0)
        assert coupling.log_energies(np.array([-30.0]))[0] == coupling.log_energies(np.array([-8.0]))[0]
        flat = Coupling.of(np.array([0.5]), np.array([-5.0]), -8.0)
        assert np.exp(flat.log_energies(np.array([-1.0]))[0]) == pytest.approx(0.5)
