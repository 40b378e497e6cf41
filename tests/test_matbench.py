"""Matbench tables: parsing, reduction to formulas, and the real table where it is."""

import gzip
import re
from itertools import islice

import numpy as np
import pytest

from ionsmith.core.errors import DataError, InputError
from ionsmith.core.records import Kind
from ionsmith.data.matbench import FormulaTable, load_formula_table, load_matbench


@pytest.fixture
def table(tmp_path, monkeypatch):
    def write(text):
        path = tmp_path / "table.csv.gz"
        with gzip.open(path, "wt", encoding="utf-8") as out:
            out.write(text)
        monkeypatch.setattr("ionsmith.data.files.local_path", lambda file, dataset: path)
        return load_matbench("e_form")

    return write


def test_polymorphs_reduce_to_the_lowest(table):
    found = table("formula,target\nLi2F2,-2.9\nF1Li1,-3.0\nLi4O2,-2.0\n")
    assert found.formulas == ("Li2F2", "F1Li1", "Li4O2")
    assert found.lowest() == {(("F", 1), ("Li", 1)): -3.0, (("Li", 2), ("O", 1)): -2.0}


def test_a_value_far_below_others_that_agree_is_passed_over(table):
    rows = "".join(f"Sb2Te3,{value}\n" for value in (-0.13, -1.14, 0.0, -0.07))
    assert table("formula,target\n" + rows).lowest() == {(("Sb", 2), ("Te", 3)): -0.13}
    two = table("formula,target\nSb2Te3,-1.14\nSb2Te3,-0.13\nSb2Te3,0.5\nSb2Te3,0.9\n")
    assert two.lowest() == {(("Sb", 2), ("Te", 3)): -1.14}


def test_outcomes_are_compositions_in_order(table):
    found = list(table("formula,target\nLi2F2,-2.9\nLi4O2,-2.0\n").outcomes())
    assert [each.candidate.kind for each in found] == [Kind.COMPOSITION] * 2
    assert [each.candidate.formula for each in found] == ["LiF", "Li2O"]
    assert [each.values["formation_energy"].mean for each in found] == [-2.9, -2.0]
    assert found[1].candidate.source.locator == "e_form:2"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "header"),
        ("a,b\n", "header"),
        ("formula,target\nLi2O1,low\n", "line 2"),
        ("formula,target\nLi2O1\n", "line 2"),
    ],
)
def test_a_damaged_table_says_where(table, text, said):
    with pytest.raises(DataError, match=said):
        table(text)


@pytest.mark.parametrize("text", ["water", "", "Li2O)", "(Li2O", "Li0", "Li2.5O", "()2", "Li2O)2Cl"])
def test_a_formula_that_is_none_is_refused(text):
    with pytest.raises(DataError, match=f"Li2O1, got '{re.escape(text)}'"):
        FormulaTable("e_form", (text,), np.zeros(1)).lowest()


@pytest.mark.parametrize(
    ("text", "amounts"),
    [
        ("Sr(AlH)2", (("Al", 2), ("H", 2), ("Sr", 1))),
        ("Li4O2", (("Li", 2), ("O", 1))),
        ("Ca10(P(O2)2)6(OH)2", (("Ca", 5), ("H", 1), ("O", 13), ("P", 3))),
    ],
)
def test_formulas_reduce(text, amounts):
    assert FormulaTable("bulk_modulus", (text,), np.zeros(1)).amounts == (amounts,)


def test_an_unknown_part_is_refused():
    with pytest.raises(InputError, match="unknown file"):
        load_formula_table("bulk_modulus", ("half",))


@pytest.mark.mirror
def test_the_moduli_read(mirror):
    shear = load_formula_table("shear_modulus")
    assert len(shear.formulas) == len(shear.grouped()) == 6184
    assert (shear.values == 0.0).sum() == 7
    bulk = load_formula_table("bulk_modulus", ("val",))
    outcome = next(bulk.outcomes())
    assert outcome.candidate.source.name == "mp-by-formula"
    assert sorted(outcome.values) == ["bulk_modulus"]


def test_an_unknown_table_is_refused():
    with pytest.raises(InputError, match="unknown file"):
        load_matbench("bulk")


@pytest.mark.mirror
def test_the_real_table_has_its_rows(mirror):
    found = load_matbench("e_form")
    assert len(found.formulas) == 126_993
    lowest = found.lowest()
    assert len(lowest) == 92_510
    assert lowest[(("F", 1), ("Li", 1))] == pytest.approx(-3.18, abs=0.05)  # eV/atom, corrections of 2018
    assert [each.values["formation_energy"].mean for each in islice(found.outcomes(), 1)] == [found.values[0]]


@pytest.mark.mirror
def test_the_gap_table_reads(mirror):
    found = next(load_matbench("gap").outcomes())
    assert sorted(found.values) == ["band_gap"]


@pytest.mark.mirror
def test_the_gaps_of_oqmd_read(mirror):
    gaps = load_formula_table("oqmd_gap", ("test",))
    assert len(gaps.formulas) == 50_963
    assert gaps.values.min() == 0.0
    outcome = next(gaps.outcomes())
    assert outcome.candidate.source.name == "oqmd"
    assert sorted(outcome.values) == ["band_gap"]
