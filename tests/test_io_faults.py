"""Bad input: one clear line for each fault, never an exception, nothing lost."""

import gzip
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymatgen.core import Lattice, Structure

from io_samples import CIF, EXTXYZ, HALITE, MIXED, MIXED_CIF, POSCAR, crystal, one, refused, same_crystal, write
from ionsmith.core.errors import InputError
from ionsmith.core.records import Status
from ionsmith.io.read import ReadLimits, read_inputs


@pytest.mark.parametrize("name", ["a.cif", "POSCAR", "a.xyz", "a.json", "a.jsonl", "a.csv"])
def test_empty_file(tmp_path, name):
    refused(write(tmp_path, name, " \n"), "empty file")


def test_binary_and_damaged_files(tmp_path):
    path = tmp_path / "a.cif"
    path.write_bytes(b"\x89PNG\x00\x00")
    refused(path, "binary")
    path = tmp_path / "b.cif.gz"
    path.write_bytes(gzip.compress(CIF.encode())[:-20])
    refused(path, "gzip")


def test_file_that_vanishes_is_failed(tmp_path):
    path = write(tmp_path, "a.cif", CIF)
    rows = read_inputs([path])
    path.unlink()
    (outcome,) = rows
    assert outcome.status is Status.FAILED
    assert "No such file" in outcome.note


@given(cut=st.integers(min_value=1, max_value=len(MIXED_CIF) - 4))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_truncated_cif_never_becomes_another_crystal(tmp_path, cut):
    outcome = one(write(tmp_path, "cut.cif", MIXED_CIF[:cut]))
    if outcome.status is Status.OK:  # only the tail of the last number is gone
        assert outcome.candidate.structure.composition.almost_equals(MIXED.composition, atol=0.01)
    else:
        assert outcome.status is Status.REJECTED


@given(text=st.text(max_size=300))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize("name", ["a.cif", "POSCAR", "a.xyz", "a.json", "a.jsonl", "a.csv"])
def test_any_text_gives_rows_and_never_an_exception(tmp_path, name, text):
    (tmp_path / name).write_bytes(text.encode("utf-8", errors="replace"))
    for outcome in read_inputs([tmp_path / name]):
        assert outcome.status is Status.OK or outcome.note


def test_missing_parts_of_a_cif(tmp_path):
    refused(write(tmp_path, "a.cif", "hello"), "data_")
    refused(write(tmp_path, "b.cif", "data_x\n_journal_year 2000\n"), "cell and atom sites")
    refused(write(tmp_path, "c.cif", CIF.replace("_cell_length_b", "_cell_size_b")), "_cell_length_b")
    refused(write(tmp_path, "d.cif", CIF.split("loop_\n _atom_site")[0]), "_atom_site_fract_x", "truncated")
    refused(write(tmp_path, "e.cif", CIF[:-20]), "truncated")
    lost = MIXED_CIF.rstrip().rsplit("\n", 1)[0] + "\n"
    refused(write(tmp_path, "f.cif", lost), "truncated", "O")
    refused(
        write(tmp_path, "g.cif", CIF.replace("0.5  0.5  0.5", "0.5  ?  0.5").replace("0.50000000", "?")),
        "coordinates",
    )
    few = MIXED_CIF.replace("0.5\n", "0.1\n", 1)
    refused(write(tmp_path, "h.cif", few), "declared")


def test_columns_of_unequal_length(tmp_path):
    text = MIXED_CIF + "loop_\n_atom_site_fract_x\n0.1\n"
    refused(write(tmp_path, "a.cif", text), "truncated")


def test_lost_symmetry_is_not_read_as_p1(tmp_path):
    head, rest = CIF.split("loop_\n _symmetry_equiv_pos_site_id", 1)
    text = head.replace("Fm-3m", "'F unheard of'").replace("225", "?") + "loop_\n" + rest.split("loop_\n", 1)[1]
    refused(write(tmp_path, "a.cif", text), "symmetry operations")


def test_powder_block_is_no_crystal(tmp_path):
    refused(write(tmp_path, "a.cif", CIF.replace("data_LiF", "data_powder_pattern")), "powder")


def test_small_overfilling_is_rescaled_and_told(tmp_path):
    text = MIXED_CIF.replace("  0.75", "  0.765")
    outcome = one(write(tmp_path, "a.cif", text))
    assert outcome.status is Status.OK, outcome.note
    assert any("rescaled" in note for note in outcome.candidate.source.notes)
    assert max(site.species.num_atoms for site in outcome.candidate.structure) <= 1.0 + 1e-9
    refused(write(tmp_path, "b.cif", MIXED_CIF.replace("  0.75", "  0.95")), "ccupanc")
    document = MIXED.as_dict()
    document["sites"][1]["species"][0]["occu"] = 0.76
    outcome = one(write(tmp_path, "a.json", json.dumps(document)))
    assert any("1.01 rescaled" in note for note in outcome.candidate.source.notes)
    document["sites"][1]["species"][0]["occu"] = 0.9
    refused(write(tmp_path, "b.json", json.dumps(document)), "sum to 1 or less", "site 2")


def test_hydrogen_without_sites_is_told(tmp_path):
    text = CIF.replace("'Li4 F4'", "'Li4 F4 H2'")
    assert any("hydrogen" in note for note in one(write(tmp_path, "a.cif", text)).candidate.source.notes)
    text = MIXED_CIF.replace("Al0.25 O1'", "Al0.23 O1'")
    assert any("declared formula" in note for note in one(write(tmp_path, "b.cif", text)).candidate.source.notes)
    text = CIF.replace("'Li4 F4'", "'Li4 X4'")
    assert one(write(tmp_path, "c.cif", text)).status is Status.OK
    assert one(write(tmp_path, "d.cif", CIF.replace("'Li4 F4'", "?"))).status is Status.OK


def site_document(**changes):
    document = HALITE.as_dict()
    document.update(changes)
    return document


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sites": []}, ["no atom sites"]),
        ({"lattice": {"matrix": [[0, 0, 0], [0, 4, 0], [0, 0, 4]]}}, ["volume"]),
        ({"lattice": {"matrix": [[float("nan"), 0, 0], [0, 4, 0], [0, 0, 4]]}}, ["finite cell"]),
        ({"lattice": {"matrix": [[4, 0], [0, 4]]}}, ["three finite cell vectors"]),
        ({"lattice": {"matrix": [[400, 0, 0], [0, 400, 0], [0, 0, 400]]}}, ["not a crystal"]),
        ({"lattice": {"matrix": [[100, 0, 0], [0, 0.1, 0], [0, 0, 50]]}}, ["thick"]),
        ({"lattice": {}}, ["missing"]),
        (
            {"sites": [{"species": [{"element": "Li", "occu": 1}], "abc": [0, float("nan"), 0]}]},
            ["NaN", "site 1", "Li"],
        ),
        ({"sites": [{"species": [{"element": "Li", "occu": 1}], "abc": [0, 0]}]}, ["positions of three"]),
        (
            {"sites": [{"species": [{"element": "Qq", "occu": 1}], "abc": [0, 0, 0]}]},
            ["unknown element 'Qq'", "site 1"],
        ),
        ({"sites": [{"species": [{"element": "Vac", "occu": 1}], "abc": [0, 0, 0]}]}, ["unknown element 'Vac'"]),
        ({"sites": [{"species": [{"element": "Li", "occu": -1}], "abc": [0, 0, 0]}]}, ["at least zero"]),
        ({"sites": [{"species": [{"element": "Li", "occu": 0}], "abc": [0, 0, 0]}]}, ["empty sites"]),
        ({"sites": [{"species": [{"element": "Li"}], "abc": [0, 0, 0]}]}, ["complete structure"]),
        (
            {
                "sites": [
                    {"species": [{"element": e, "occu": 1}], "abc": [0, 0, z]} for e, z in (("Li", 0), ("F", 0.05))
                ]
            },
            ["overlapping atoms", "Li", "F", "0.20 angstrom", "limit 0.5"],
        ),
    ],
)
def test_impossible_crystals(tmp_path, change, words):
    refused(write(tmp_path, "a.json", json.dumps(site_document(**change))), *words)


def test_too_many_sites(tmp_path):
    big = HALITE * (2, 2, 2)
    refused(
        write(tmp_path, "a.json", big.to_json()), "64 sites, limit 63 (--max-sites)", limits=ReadLimits(max_sites=63)
    )
    assert len(crystal(tmp_path / "a.json", limits=ReadLimits(max_sites=64))) == 64
    rows = "\n".join(f"Li{i} {i / 10000:.4f} 0 0" for i in range(10000))
    head = CIF.split("loop_\n _symmetry_equiv")[0].replace("4.03", "999")
    loop = "loop_\n_atom_site_label\n_atom_site_fract_x\n_atom_site_fract_y\n_atom_site_fract_z\n"
    refused(write(tmp_path, "a.cif", head + loop + rows + "\n"), "10000 sites, limit 500 (--max-sites)")
    refused(write(tmp_path, "b.cif", CIF), "up to", "limit 3", limits=ReadLimits(max_sites=3))
    xyz = '600\nLattice="40 0 0 0 40 0 0 0 40"\n' + "Li 0 0 0\n" * 600
    refused(write(tmp_path, "a.xyz", xyz), "600 sites, limit 500")


@pytest.mark.parametrize(
    "limits", [{"max_sites": 0}, {"max_hits": 0}, {"min_distance": -1.0}, {"min_distance": float("nan")}]
)
def test_limits_that_nothing_passes(limits):
    with pytest.raises(InputError, match="expected max_sites"):
        ReadLimits(**limits)


def test_split_sites_may_be_close(tmp_path):
    split = Structure(Lattice.cubic(4), [{"Li": 0.5}, {"Li": 0.5}, "F"], [[0, 0, 0], [0, 0, 0.1], [0.5, 0.5, 0.5]])
    assert same_crystal(crystal(write(tmp_path, "a.json", split.to_json())), split)
    split[0] = {"Li": 0.54}
    split[1] = {"Li": 0.54}
    outcome = one(write(tmp_path, "b.json", split.to_json()))
    assert any("1.08 atoms" in note for note in outcome.candidate.source.notes)
    split[0] = {"Li": 0.8}
    refused(write(tmp_path, "c.json", split.to_json()), "overlapping")


def test_heavy_hydrogen_is_hydrogen_and_dummies_are_refused(tmp_path):
    text = CIF.replace("Li0+", "D").replace("Li ", "D ").replace("Li4 F4", "D4 F4")
    outcome = one(write(tmp_path, "d.cif", text))
    assert outcome.status is Status.OK, outcome.note
    assert outcome.candidate.formula == "HF"
    refused(write(tmp_path, "x.cif", CIF.replace("  Li  ", "  Xx  ")), "unknown element", "Xx")
    document = HALITE.as_dict()
    document["sites"][0]["species"][0]["element"] = "D"
    outcome = one(write(tmp_path, "d.json", json.dumps(document)))
    assert "D read as H" in outcome.candidate.source.notes


def test_poscar_faults(tmp_path):
    lines = POSCAR.splitlines()
    refused(write(tmp_path, "POSCAR", "\n".join(lines[:9])), "missing")
    del lines[5]
    text = "\n".join(" ".join(line.split()[:3]) if i > 6 else line for i, line in enumerate(lines))
    refused(write(tmp_path, "CONTCAR", text), "element names")
    refused(write(tmp_path, "a.vasp", "just words\nand more"), "POSCAR")


def test_xyz_faults(tmp_path):
    refused(write(tmp_path, "a.xyz", "2\ncomment\nLi 0 0 0\nCl 1 1 1\n"), "not periodic")
    refused(write(tmp_path, "b.xyz", EXTXYZ.replace("T T T", "T T F")), "pbc T T F")
    refused(write(tmp_path, "c.xyz", EXTXYZ.replace("4 0 0 0 4 0 0 0 4", "4 0 0 0 4 0 0 4 0")), "volume")
    refused(write(tmp_path, "d.xyz", EXTXYZ.replace("Cl 2 2 2\n", "")), "truncated")
    refused(write(tmp_path, "e.xyz", "atoms\n"), "number of atoms")
    refused(write(tmp_path, "f.xyz", EXTXYZ.replace("Li 0 0 0", "Zz 0 0 0")), "Zz")
    refused(write(tmp_path, "g.xyz", EXTXYZ.replace("Li 0 0 0", "Li 0 0")), "frame")
    rows = list(read_inputs([write(tmp_path, "h.xyz", EXTXYZ + EXTXYZ.replace("Cl", "Zz") + EXTXYZ + "junk\n")]))
    assert [o.status.value for o in rows] == ["ok", "rejected", "ok", "rejected"]


def test_json_faults(tmp_path):
    refused(write(tmp_path, "a.json", "[]"), "empty list")
    refused(write(tmp_path, "b.json", '{"a": 1}'), "keys a")
    refused(write(tmp_path, "c.json", "{}"), "empty object")
    refused(write(tmp_path, "d.json", "3"), "a int")
    refused(write(tmp_path, "e.json", "[" * 100_000), "JSON")
    refused(write(tmp_path, "f.json", '[{"lattice": 1, "sites": 2}]'), "complete structure")
