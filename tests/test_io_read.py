"""Reading: every row of every input becomes one outcome, in order."""

import gzip
import json
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymatgen.core import Lattice, Structure
from pymatgen.io.cif import CifWriter

from io_samples import CIF, EXTXYZ, HALITE, MIXED, MIXED_CIF, POSCAR, crystal, one, same_crystal, write
from ionsmith.core.errors import InputError
from ionsmith.core.records import Status
from ionsmith.io.read import read_inputs


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.cif", CIF),
        ("POSCAR", POSCAR),
        ("CONTCAR_relaxed", POSCAR),
        ("a.vasp", POSCAR),
        ("a.poscar", POSCAR),
        ("a.json", HALITE.to_json()),
        ("wrapped.json", json.dumps({"structure": HALITE.as_dict(), "energy": -1.0})),
        (
            "columns.json",
            json.dumps(
                {
                    "lattice": HALITE.lattice.matrix.tolist(),
                    "species": [s.specie.symbol for s in HALITE],
                    "frac_coords": HALITE.frac_coords.tolist(),
                }
            ),
        ),
        (
            "parameters.json",
            json.dumps(
                {
                    **dict(zip(("a", "b", "c", "alpha", "beta", "gamma"), HALITE.lattice.parameters, strict=True)),
                    "species": [s.specie.symbol for s in HALITE],
                    "frac_coords": HALITE.frac_coords.tolist(),
                }
            ),
        ),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_one_crystal_from_every_format(tmp_path, name, text, packed):
    path = write(tmp_path, name, text)
    if packed:
        path = tmp_path / f"{name}.gz"
        path.write_bytes(gzip.compress(text.encode()))
    outcome = one(path)
    assert same_crystal(outcome.candidate.structure, HALITE)
    assert outcome.candidate.source.name == "file"
    assert outcome.candidate.source.locator == str(path)


def test_partial_occupancies_and_charges_survive(tmp_path):
    assert same_crystal(crystal(write(tmp_path, "a.cif", MIXED_CIF)), MIXED)
    assert same_crystal(crystal(write(tmp_path, "a.json", MIXED.to_json())), MIXED)
    charged = HALITE.copy()
    charged.relabel_sites()
    charged.add_oxidation_state_by_element({"Li": 1, "F": -1})
    for name, text in (("c.cif", str(CifWriter(charged))), ("c.json", charged.to_json())):
        read = crystal(write(tmp_path, name, text))
        assert {str(s) for s in read.composition} == {"Li+", "F-"}
    charged.add_oxidation_state_by_element({"Li": 0, "F": 0})
    read = crystal(write(tmp_path, "zero.json", charged.to_json()))
    assert {str(s) for s in read.composition} == {"Li", "F"}


def optimade_document():
    return {
        "id": "x-1",
        "type": "structures",
        "attributes": {
            "lattice_vectors": [[4, 0, 0], [0, 4, 0], [0, 0, 4]],
            "cartesian_site_positions": [[0, 0, 0], [2, 2, 2]],
            "species_at_sites": ["Li", "F"],
            "species": [{"name": e, "chemical_symbols": [e], "concentration": [1.0]} for e in ("Li", "F")],
        },
    }


def test_less_usual_json(tmp_path):
    answer = write(tmp_path, "answer.json", json.dumps({"data": [optimade_document()], "meta": {}}))
    single = write(tmp_path, "single.json", json.dumps(optimade_document()))
    assert one(answer).candidate.source.locator.endswith("#1")
    assert one(answer).candidate.key == one(single).candidate.key
    document = HALITE.as_dict()
    for site in document["sites"]:
        del site["abc"]
    assert same_crystal(crystal(write(tmp_path, "xyz.json", json.dumps(document))), HALITE)
    columns = {
        "lattice": {"matrix": HALITE.lattice.matrix.tolist()},
        "species": [s.specie.symbol for s in HALITE],
        "frac_coords": HALITE.frac_coords.tolist(),
    }
    assert same_crystal(crystal(write(tmp_path, "columns.json", json.dumps(columns))), HALITE)


def test_several_rows_keep_their_order_and_names(tmp_path):
    listed = write(tmp_path, "list.json", json.dumps([HALITE.as_dict(), {"nothing": 1}, MIXED.as_dict()]))
    named = write(tmp_path, "named.json", json.dumps({"first": HALITE.as_dict(), "second": MIXED.as_dict()}))
    lines = write(
        tmp_path, "rows.jsonl", f"{HALITE.to_json()}\n\n{{broken\n{json.dumps({'structure': MIXED.as_dict()})}\n"
    )
    frames = write(tmp_path, "frames.xyz", EXTXYZ + EXTXYZ.replace("Cl", "Br") + "\n")
    blocks = write(tmp_path, "two.cif", CIF + MIXED_CIF.replace("data_", "data_second_"))
    got = list(read_inputs([str(p) for p in (listed, named, lines, frames, blocks)]))
    tails = [o.candidate.source.locator.split("#")[-1] for o in got]
    assert tails == ["1", "2", "3", "first", "second", "1", "2", "3", "1", "2", tails[10], tails[11]]
    assert "second" in tails[11]
    bad = [i for i, o in enumerate(got) if o.status is not Status.OK]
    assert bad == [1, 6]
    assert "nothing" in got[1].note and "JSON" in got[6].note


def test_equal_block_names_fall_back_to_numbers(tmp_path):
    got = list(read_inputs([write(tmp_path, "two.cif", CIF + CIF)]))
    assert [o.candidate.source.locator[-2:] for o in got] == ["#1", "#2"]


def test_a_header_block_without_atoms_is_no_row(tmp_path):
    path = write(tmp_path, "a.cif", "data_global\n_journal_year 2001\n" + CIF)
    assert same_crystal(crystal(path), HALITE)
    assert one(path).candidate.source.locator == str(path)


def test_cif_facts_and_notes(tmp_path, capsys, recwarn):
    text = CIF.replace(
        "_cell_length_a", "_journal_paper_doi 10.1000/xyz\n_chemical_name_common 'rock salt'\n_cell_length_a"
    )
    source = one(write(tmp_path, "a.cif", text.replace("_cell_length_b", "_CELL_LENGTH_B"))).candidate.source
    assert source.facts == {"doi": "10.1000/xyz", "name": "rock salt"}
    p1 = CIF.split("loop_\n _symmetry_equiv")[0].replace("Fm-3m", "P1").replace("225", "1") + (
        "loop_\n_atom_site_label\n_atom_site_fract_x\n_atom_site_fract_y\n_atom_site_fract_z\n"
        "Li1 0 0 0\nF1 0.5 0.5 0.5\n"
    )
    source = one(write(tmp_path, "p1.cif", p1)).candidate.source
    assert sum("symmetry_equiv" in note for note in source.notes) == 1
    assert not recwarn.list
    assert capsys.readouterr() == ("", "")


def test_xyz_facts(tmp_path):
    source = one(write(tmp_path, "a.extxyz", EXTXYZ)).candidate.source
    assert source.facts["log10_conductivity"] == -4.5


def test_text_encodings(tmp_path):
    for name, data in (
        ("bom.cif", b"\xef\xbb\xbf" + CIF.encode()),
        ("latin.cif", b"# caf\xe9\n" + CIF.encode()),
        ("wide.cif", CIF.encode("utf-16")),
        ("dos.cif", CIF.replace("\n", "\r\n").encode()),
    ):
        path = tmp_path / name
        path.write_bytes(data)
        assert same_crystal(crystal(path), HALITE)


def test_folder_with_one_bad_file_among_good_ones(tmp_path, caplog):
    write(tmp_path, "b/x.cif", CIF)
    write(tmp_path, "a.cif", CIF)
    write(tmp_path, "broken.cif", CIF[:300])
    write(tmp_path, "notes.txt", "hello")
    write(tmp_path, ".hidden.cif", CIF)
    write(tmp_path, ".git/y.cif", CIF)
    write(tmp_path, "t.csv", "formula\nLi2O\nLi2S\n")
    with caplog.at_level("WARNING"):
        rows = list(read_inputs([str(tmp_path)]))
    names = [o.candidate.source.locator.removeprefix(f"{tmp_path}/") for o in rows]
    assert names == ["a.cif", "b/x.cif", "broken.cif", "t.csv#1", "t.csv#2"]
    assert [o.status.value for o in rows] == ["ok", "ok", "rejected", "ok", "ok"]
    assert "2 files of unknown kind skipped" in caplog.text and "1 .txt" in caplog.text


def test_typed_path_is_kept(tmp_path, monkeypatch):
    write(tmp_path, "sub/a.cif", CIF)
    monkeypatch.chdir(tmp_path)
    assert [o.candidate.source.locator for o in read_inputs(["sub", "sub/a.cif"])] == ["sub/a.cif", "sub/a.cif"]


@pytest.mark.parametrize("inputs", [[], ["no/such/file.cif"], ["mp.cif"]])
def test_missing_inputs(inputs):
    with pytest.raises(InputError, match=r"no such file|at least one"):
        read_inputs(inputs)


def test_a_run_that_lies_among_its_inputs_is_not_read_again(tmp_path, caplog):
    write(tmp_path, "a.cif", CIF)
    write(tmp_path, "run/ledger.db", "")
    write(tmp_path, "run/results.csv", "formula\nLi2O\n")
    write(tmp_path, "run/structures/0001_a.cif", CIF)
    with caplog.at_level("WARNING"):
        (row,) = read_inputs([str(tmp_path)])
    assert row.candidate.source.locator.endswith("a.cif")
    assert "results of an earlier run skipped" in caplog.text
    named = list(read_inputs([str(tmp_path / "run" / "structures")]))
    assert len(named) == 1, "a folder that was asked for by name is read"


def test_folders_and_files_of_unknown_kind(tmp_path):
    with pytest.raises(InputError, match="expected a folder with files"):
        read_inputs([tmp_path])
    path = write(tmp_path, "a.txt", "x")
    with pytest.raises(InputError, match=r"a\.txt: expected a file ending in \.cif"):
        read_inputs([path])
    with pytest.raises(InputError, match="expected a folder with files"):
        read_inputs([tmp_path])


def test_folder_that_cannot_be_listed(tmp_path, monkeypatch):
    def walk(folder, onerror):
        onerror(PermissionError(13, "Permission denied", str(folder)))
        return iter(())

    monkeypatch.setattr("ionsmith.io.read.os.walk", walk)
    with pytest.raises(InputError, match=r"cannot list folder .*Permission denied"):
        read_inputs([tmp_path])


@given(
    lengths=st.tuples(*[st.floats(2.0, 9.0)] * 3),
    angles=st.tuples(*[st.floats(70.0, 110.0)] * 3),
    places=st.lists(st.tuples(*[st.integers(0, 3)] * 3), min_size=1, max_size=6, unique=True),
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_crystal_survives_json_and_cif(tmp_path, lengths, angles, places):
    grid = np.array(places) / 4.0
    structure = Structure(
        Lattice.from_parameters(*lengths, *angles), ["Li", "O", "P", "S", "Cl", "Br"][: len(grid)], grid
    )
    if structure.lattice.volume < 5 or (
        len(structure) > 1 and structure.distance_matrix[~np.eye(len(grid), dtype=bool)].min() < 0.6
    ):
        return
    read = crystal(write(tmp_path, "a.json", structure.to_json()))
    assert same_crystal(read, structure)
    read = crystal(write(tmp_path, "a.cif", str(CifWriter(structure, significant_figures=10))))
    assert read.composition == structure.composition
    assert read.lattice.parameters == pytest.approx(structure.lattice.parameters, abs=1e-6)


@pytest.mark.mirror
def test_a_sample_of_obelix_reads(mirror, tmp_path):
    with zipfile.ZipFile(mirror / "obelix" / "all_cifs.zip") as archive:
        names = sorted(n for n in archive.namelist() if n.endswith(".cif"))
        assert len(names) == 321
        archive.extractall(tmp_path, names[::12])
    rows = list(read_inputs([tmp_path]))
    assert len(rows) == len(names[::12])
    assert [o.note for o in rows if o.status is not Status.OK] == []
    assert any(not o.candidate.structure.is_ordered for o in rows)
