"""OBELiX loader: every row, every limit, one family per row, the official split."""

import csv
from collections import Counter

import numpy as np
import pytest

from ionsmith.core.errors import DataError, InputError
from ionsmith.core.records import Bound, Kind
from ionsmith.data.obelix import CARD, QUANTITY, family_of, load_obelix, read_rows

ROW = {
    "ID": "abc",
    "True Composition": "Li12.0P4.0S16.0",
    "Ionic conductivity (S cm-1)": "1e-4",
    "Space group #": "62",
    **{"a": "12.8", "b": "8.2", "c": "6.1", "alpha": "90", "beta": "90", "gamma": "90"},
    "Family": "thio-LISICON",
    "DOI": " 10.1000/x ",
}


def test_a_row_becomes_a_composition_with_its_cell():
    (outcome,) = read_rows([ROW])
    candidate = outcome.candidate
    assert candidate.kind is Kind.COMPOSITION
    assert candidate.composition.num_atoms == 32
    assert candidate.source.facts["cell"] == {
        **{"a": 12.8, "b": 8.2, "c": 6.1, "alpha": 90.0, "beta": 90.0, "gamma": 90.0},
        "space_group": 62,
    }
    assert candidate.source.facts["doi"] == "10.1000/x"
    assert candidate.source.facts["family"] == "thio-LISICON"
    assert outcome.values[QUANTITY].mean == pytest.approx(-4.0)
    assert outcome.values[QUANTITY].bound is Bound.EXACT
    assert f"{QUANTITY}_bound" not in candidate.source.facts


def test_a_limit_stays_a_limit():
    (outcome,) = read_rows([{**ROW, "Ionic conductivity (S cm-1)": "<1E-10"}])
    assert outcome.values[QUANTITY].bound is Bound.UPPER
    assert outcome.values[QUANTITY].mean == pytest.approx(-10.0)
    assert outcome.candidate.source.facts[f"{QUANTITY}_bound"] == "upper"


@pytest.mark.parametrize(
    ("column", "text"), [("Ionic conductivity (S cm-1)", "high"), ("a", ""), ("Space group #", "Pnma")]
)
def test_a_cell_that_is_no_number_is_named(column, text):
    with pytest.raises(DataError, match="entry abc"):
        read_rows([{**ROW, column: text}])


def test_a_missing_column_is_named():
    with pytest.raises(DataError, match="'DOI'"):
        read_rows([{name: text for name, text in ROW.items() if name != "DOI"}])


def test_an_unknown_family_is_refused():
    with pytest.raises(DataError, match="'zeolites'"):
        family_of("abc", "zeolites")


def test_phosphides_printed_as_phosphates_are_put_right():
    assert family_of("11b", "phosphates") == "phosphide"
    assert family_of("kfp", "pyrophosphate") == "phosphate"


def test_an_unknown_split_is_refused():
    with pytest.raises(InputError, match="did you mean 'test'"):
        load_obelix("tests")


@pytest.mark.mirror
def test_the_whole_table(mirror):
    train, test, everything = (load_obelix(split) for split in ("train", "test", "all"))
    assert (len(train), len(test), len(everything)) == (478, 121, 599)
    ids = [{outcome.candidate.source.facts["id"] for outcome in part} for part in (train, test, everything)]
    assert not ids[0] & ids[1]
    assert ids[0] | ids[1] == ids[2]
    bounds = Counter(outcome.values[QUANTITY].bound for outcome in everything)
    assert bounds == {Bound.EXACT: 562, Bound.UPPER: 37}
    assert sum(outcome.values[QUANTITY].bound is Bound.UPPER for outcome in test) == 8
    values = [outcome.values[QUANTITY].mean for outcome in everything]
    assert -17.5 < min(values) < -17.0
    assert -2.0 < max(values) < -1.0
    families = Counter(outcome.candidate.source.facts["family"] for outcome in everything)
    assert families["garnet"] == 117  # 105 named, 2 garnet-like, 10 without a name
    assert families["NASICON"] == 135


@pytest.mark.mirror
def test_the_loader_agrees_with_a_plain_reader(mirror):
    with (mirror / CARD.files["test"].path).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row, outcome in zip(rows, load_obelix("test"), strict=True):
        number = float(row["Ionic conductivity (S cm-1)"].replace("<", ""))
        assert outcome.values[QUANTITY].mean == pytest.approx(np.log10(number))
        assert outcome.candidate.source.locator == f"obelix:{row['ID']}"
