"""Materials Project loader: on a small file written here, and on the real files where they are."""

import gzip
import json
from collections import Counter
from itertools import islice

import pytest

from ionsmith.core.errors import DataError, InputError
from ionsmith.core.records import Kind
from ionsmith.data.files import DataFile, cards
from ionsmith.data.materials_project import CARD, held_out, load_materials_project

ROW = {
    "material_id": "mp-1",
    "formula": "LiF",
    "formation_energy_per_atom": -3.0,
    "e_above_hull": 0.0,
    "band_gap_mp2018": 8.7,
    "year": 1999,
    "orig_split": "val",
    **{"a": 2.87, "b": 2.87, "c": 2.87, "alpha": 60.0, "beta": 60.0, "gamma": 60.0},
    "species": ["Li", "F"],
    "frac_coords": [[0, 0, 0], [0.5, 0.5, 0.5]],
}


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Write rows as a data file that the card accepts."""

    def write(*rows):
        path = tmp_path / "rows.jsonl.gz"
        with gzip.open(path, "wt", encoding="utf-8") as out:
            out.writelines(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows)
        monkeypatch.setattr("ionsmith.data.files.local_path", lambda file, dataset: path)
        return path

    return write


def test_a_row_becomes_a_crystal_with_dft_values(files):
    files(ROW)
    (found,) = load_materials_project("mpts_52")
    assert found.candidate.kind is Kind.CRYSTAL
    assert found.candidate.formula == "LiF"
    assert found.candidate.source.locator == "mpts_52:mp-1"
    assert found.candidate.source.facts == {"material_id": "mp-1", "orig_split": "val", "year": 1999}
    assert {name: value.mean for name, value in found.values.items()} == {
        "formation_energy": -3.0,
        "energy_above_hull": 0.0,
        "band_gap": 8.7,
    }
    assert {value.method for value in found.values.values()} == {"dft-pbe"}


def test_an_absent_band_gap_is_absent(files):
    files(ROW | {"band_gap_mp2018": None})
    (found,) = load_materials_project()
    assert sorted(found.values) == ["energy_above_hull", "formation_energy"]


@pytest.mark.parametrize(
    "row", [{key: value for key, value in ROW.items() if key != "species"}, ROW | {"species": ["Li"]}, "{"]
)
def test_a_damaged_row_says_where(files, row):
    files(ROW, row)
    rows = load_materials_project()
    next(rows)
    with pytest.raises(DataError, match="line 2"):
        next(rows)


def test_an_unknown_file_is_refused_at_the_call():
    with pytest.raises(InputError, match="did you mean 'mpts_52'"):
        load_materials_project("mpts_25")


def test_kept_out_formulas_are_the_wished_share_and_stay_the_same():
    formulas = [f"Li{i}P{j}S{k}" for i in range(1, 20) for j in range(1, 20) for k in range(1, 20)]
    first = [held_out(formula) for formula in formulas]
    assert 0.14 < sum(first) / len(first) < 0.16
    assert first == [held_out(formula) for formula in formulas]
    assert first != [held_out(formula, seed=1) for formula in formulas]
    assert not any(held_out(formula, share=0.0) for formula in formulas)
    assert all(held_out(formula, share=1.0) for formula in formulas)


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_outside_zero_to_one_is_refused(share):
    with pytest.raises(InputError, match="share"):
        held_out("LiF", share=share)


def test_the_card_is_known():
    assert cards()["materials_project"] is CARD
    assert all(isinstance(file, DataFile) and len(file.sha256) == 64 for file in CARD.files.values())


@pytest.mark.mirror
@pytest.mark.parametrize(("file", "first"), [("mpts_52", "mp-42"), ("mp_20_biternary", None), ("li_binaries", None)])
def test_real_files_read(mirror, file, first):
    rows = list(islice(load_materials_project(file), 50))
    assert len(rows) == 50
    assert first in (None, rows[0].candidate.source.facts["material_id"])
    assert all("formation_energy" in row.values and "energy_above_hull" in row.values for row in rows)


@pytest.mark.mirror
def test_li_binaries_are_complete(mirror):
    rows = list(load_materials_project("li_binaries"))
    assert len(rows) == 434
    assert Counter("Li" in row.candidate.composition for row in rows) == {True: 434}
