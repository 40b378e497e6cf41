"""Activation energies: the joined table, and the model that learns from it."""

import pytest

from ionsmith.core.errors import DataError, InputError
from ionsmith.core.records import Bound
from ionsmith.data import liverpool, obelix
from ionsmith.data.activation_energies import load_activation_energies, read_rows


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
