"""Crystals of OBELiX: read from their files, hung on their rows, left out where file and row disagree."""

import zipfile

import pytest
from pymatgen.core import Composition, Lattice, Structure

from ionsmith.core.crystals import CRYSTAL_FACT, crystal_of
from ionsmith.core.errors import DataError
from ionsmith.core.records import Candidate, Kind, Origin, Outcome
from ionsmith.data import obelix_crystals
from ionsmith.data.obelix import load_obelix
from ionsmith.data.obelix_crystals import agrees, read_crystal, with_crystals

SALT = Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.1), [{"Li": 0.9}, "Cl"], [(0, 0, 0), (0.5, 0.5, 0.5)])


def row(entry="abc", text="Li3.6Cl4", edge=5.1):
    cell = {"a": edge, "b": edge, "c": edge, "alpha": 90.0, "beta": 90.0, "gamma": 90.0, "space_group": 225}
    origin = Origin("obelix", f"obelix:{entry}", {"id": entry, "cell": cell})
    return Outcome(Candidate(Kind.COMPOSITION, Composition(text), origin))


@pytest.mark.parametrize(
    ("text", "edge", "agreed"),
    [("Li3.6Cl4", 5.1, True), ("Li7.2Cl8", 5.1, False), ("Li3.6Cl4", 5.3, False), ("Cl4", 5.1, False)],
)
def test_a_file_is_believed_where_it_agrees_with_its_row(text, edge, agreed):
    assert agrees(SALT, row(text=text, edge=edge).candidate) is agreed


@pytest.mark.parametrize("text", ["", "data_x\n_cell_length_a 5.0\n", "data_x\nloop_\n_atom_site_label\n"])
def test_a_file_without_a_crystal_is_named(text):
    with pytest.raises(DataError, match="entry abc: expected a crystal"):
        read_crystal(text, "abc")


def test_rows_get_their_crystals_and_all_others_stay_as_they_are(tmp_path, monkeypatch):
    path = tmp_path / "cifs.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("folder/abc.cif", SALT.to(fmt="cif"))
        archive.writestr("folder/xyz.cif", SALT.to(fmt="cif"))
    monkeypatch.setattr(obelix_crystals.CARD.__class__, "path", lambda card, name: path)
    rows = (row("abc"), row("xyz", text="LiCl4"), row("none"))
    found = with_crystals(rows)
    assert found[1:] == rows[1:]
    assert CRYSTAL_FACT not in rows[0].candidate.source.facts
    crystal = crystal_of(found[0].candidate)
    assert crystal.volume == pytest.approx(SALT.volume, rel=1e-4)
    assert crystal.composition.almost_equals(SALT.composition)
    assert found[0].candidate.source.facts["id"] == "abc"


@pytest.mark.mirror
def test_half_of_the_table_has_a_crystal_that_agrees(mirror):
    for split, rows, most in (("train", 478, 254), ("test", 121, 67)):
        found = with_crystals(load_obelix(split))
        held = [outcome for outcome in found if CRYSTAL_FACT in outcome.candidate.source.facts]
        assert len(found) == rows
        assert 0.9 * most <= len(held) <= most
