"""Formula and cell to numbers: known values, edge cases, and the same numbers however a cell is written."""

import zipfile

import numpy as np
import pytest
from pymatgen.core import Composition, Element, Lattice, Structure

from ionsmith.core.errors import InputError
from ionsmith.core.records import Candidate, Kind, Origin
from ionsmith.data.obelix import CARD, load_obelix
from ionsmith.represent.cell import CELL_FACT, cell_facts, cell_of
from ionsmith.represent.composition import ElementStatistics, elements_of
from ionsmith.represent.electrolyte import ElectrolyteFeatures
from ionsmith.represent.element_data import COLUMNS
from ionsmith.represent.elements import (
    LAST,
    PROPERTIES,
    anion_table,
    cation_table,
    element_table,
    tabulate_cations,
    tabulate_properties,
)
from ionsmith.testing import antifluorite, disordered_chloride, formula, rock_salt


def crystal(structure):
    return Candidate(Kind.CRYSTAL, structure, Origin("toy", "toy"))


def told(text, lengths, angles, space_group):
    facts = {CELL_FACT: cell_facts(lengths, angles, space_group=space_group)}
    return Candidate(Kind.COMPOSITION, Composition(text), Origin("toy", text, facts))


def named(candidate, *, cell=False):
    representation = ElectrolyteFeatures(cell=cell)
    return dict(zip(representation.names, representation.encode([candidate])[0], strict=True))


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_frozen_table_is_what_pymatgen_says():
    assert COLUMNS[: len(PROPERTIES)] == PROPERTIES
    assert element_table().shape == (LAST + 1, len(PROPERTIES))
    for name in ("X", "group", "row", "atomic_mass"):
        column = PROPERTIES.index(name)
        np.testing.assert_allclose(element_table()[:, column], tabulate_properties()[:, column], rtol=1e-4)
    np.testing.assert_allclose(cation_table(), tabulate_cations(), rtol=1e-4)


def test_ion_facts():
    assert tuple(cation_table()[Element("Zr").Z]) == pytest.approx((4.0, 0.86))
    assert tuple(anion_table()[Element("S").Z]) == pytest.approx((-2.0, 1.84, 10.2))
    assert not anion_table()[Element("Zr").Z].any()


def test_statistics_of_lithium_fluoride():
    representation = ElementStatistics()
    found = dict(zip(representation.names, representation.encode([formula("LiF")])[0], strict=True))
    assert found["mean_X"] == pytest.approx((0.98 + 3.98) / 2)
    assert found["deviation_X"] == pytest.approx(1.5)
    assert (found["min_X"], found["max_X"], found["range_X"]) == pytest.approx((0.98, 3.98, 3.0))
    assert found["mode_X"] == pytest.approx(0.98)  # equal amounts: the lighter element
    assert found["entropy"] == pytest.approx(np.log(2))
    assert found["norm_2"] == pytest.approx(np.sqrt(0.5))


def test_chemistry_of_lgps():
    found = named(formula("Li10GeP2S12"))
    assert found["li_fraction"] == pytest.approx(10 / 25)
    assert found["li_per_anion"] == pytest.approx(10 / 12)
    assert found["S_among_anions"] == 1.0
    assert found["anion_polarizability"] == pytest.approx(10.2)
    assert found["charge_balance"] == pytest.approx(0.0, abs=1e-12)
    assert found["cation_charge"] == pytest.approx((4 + 2 * 5) / 3)
    assert found["formula_atoms"] == pytest.approx(np.log(25))
    assert found["cation_kinds"] == 2.0


@pytest.mark.parametrize(
    ("text", "anion"), [("Li3P", "P"), ("LiBH4", "H"), ("Li3PO4", "O"), ("Li6PS5Cl", "Cl"), ("LiGe", None)]
)
def test_who_is_the_anion(text, anion):
    found = named(formula(text))
    assert found["anion_fraction"] > 0.0
    if anion:
        assert found[f"{anion}_among_anions"] > 0.0
    if anion == "O":
        assert found["P_among_anions"] == 0.0


def test_a_metal_has_no_anion_and_no_nan():
    found = named(formula("Li"))
    assert found["anion_fraction"] == found["anion_radius"] == found["li_per_anion"] == 0.0
    assert np.isfinite(list(found.values())).all()


def test_rounded_occupancies_leave_a_formula_whole():
    assert named(formula("Li24.024P4S20Br4"))["formula_atoms"] == pytest.approx(np.log(13))
    assert named(formula("Li6.4Al0.2La3Zr2O12"))["formula_atoms"] > np.log(100)
    assert named(formula("Li20.056Ge2P4S24"))["formula_atoms"] == pytest.approx(np.log(25))
    assert named(formula("Li1.2345678Ti0.7654321O2.718281"))["formula_atoms"] > np.log(50)


def test_amounts_may_be_written_for_any_cell():
    one, four = named(formula("Li10GeP2S12")), named(formula("Li40Ge4P8S48"))
    assert one == pytest.approx(four)


def test_a_batch_gives_what_each_gives_alone():
    candidates = [formula("LiF"), formula("Li6.4Al0.2La3Zr2O12"), rock_salt(), disordered_chloride()]
    for representation in (ElectrolyteFeatures(), ElementStatistics()):
        whole = representation.encode(candidates)
        assert whole.shape == (4, len(representation.names))
        for row, candidate in zip(whole, candidates, strict=True):
            np.testing.assert_allclose(row, representation.encode([candidate])[0], rtol=1e-12)


def test_an_element_beyond_the_table_is_refused():
    with pytest.raises(InputError, match="up to number 96"):
        elements_of([formula("LiCf")])


def test_nothing_is_refused():
    with pytest.raises(InputError, match="composition with atoms"):
        elements_of([Candidate(Kind.COMPOSITION, Composition({}), Origin("toy", "nothing"))])


def test_a_formula_has_no_cell():
    assert cell_of(formula("LiF")) is None
    found = named(formula("LiF"), cell=True)
    assert np.isnan(found["volume_per_atom"])
    assert np.isnan(found["space_group"])


def test_cell_of_rock_salt():
    found = named(rock_salt(), cell=True)
    assert found["volume_per_atom"] == pytest.approx(4.03**3 / 8)
    assert found["volume_per_anion"] == pytest.approx(4.03**3 / 4)
    assert found["space_group"] == 225
    assert found["crystal_system"] == 6
    assert found["centring"] == 4
    assert found["point_group_order"] == pytest.approx(np.log(48))
    assert found["primitive_atoms"] == pytest.approx(np.log(2))
    assert found["density"] == pytest.approx(2.63, abs=0.02)  # LiF, handbook 2.635


@pytest.mark.parametrize("make", [lambda s: s.get_primitive_structure(), lambda s: s.make_supercell([2, 1, 1])])
def test_features_do_not_depend_on_the_cell_chosen(make):
    crystal_as_given = antifluorite()
    other = crystal(make(crystal_as_given.structure.copy()))
    assert len(other.structure) != len(crystal_as_given.structure)
    assert named(other, cell=True) == pytest.approx(named(crystal_as_given, cell=True))


@pytest.mark.parametrize(
    ("group", "lattice", "species", "places"),
    [
        ("Fm-3m", Lattice.cubic(5.13), ["Li", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]),
        ("R-3m", Lattice.hexagonal(2.9, 14.2), ["Li", "Ti", "O"], [[0, 0, 0.5], [0, 0, 0], [0, 0, 0.24]]),
        ("Pnma", Lattice.orthorhombic(6.2, 3.6, 4.2), ["Li", "O"], [[0.1, 0.25, 0.2], [0.3, 0.25, 0.6]]),
        ("C2/m", Lattice.monoclinic(6.1, 10.6, 6.1, 109), ["Li", "Cl"], [[0, 0.5, 0.5], [0.24, 0.16, 0.24]]),
        ("Fm-3m", Lattice.cubic(5.4), [{"Li": 0.5, "Na": 0.5}, "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]),
    ],
)
def test_a_crystal_and_a_row_that_states_its_cell_give_the_same(group, lattice, species, places):
    structure = Structure.from_spacegroup(group, lattice, species, places)
    number = {"Fm-3m": 225, "R-3m": 166, "Pnma": 62, "C2/m": 12}[group]
    row = told(structure.composition.formula, lattice.abc, lattice.angles, number)
    assert named(crystal(structure), cell=True) == pytest.approx(named(row, cell=True), rel=1e-6)


def test_a_rhombohedral_cell_may_stand_on_either_axes():
    hexagonal = told("Li3Ti3O6", (2.9, 2.9, 14.2), (90, 90, 120), 166)
    short = Lattice.hexagonal(2.9, 14.2)
    primitive = Lattice(np.array([[2, 1, 1], [-1, 1, 1], [-1, -2, 1]]) / 3 @ short.matrix)
    rhombohedral = told("LiTiO2", primitive.abc, primitive.angles, 166)
    assert named(hexagonal, cell=True) == pytest.approx(named(rhombohedral, cell=True))


@pytest.mark.parametrize(
    ("lengths", "angles", "group"),
    [((0, 4, 4), (90, 90, 90), 1), ((4, 4, 4), (90, 90, 180), 1), ((4, 4, 4), (90, 90, 90), 231)],
)
def test_a_cell_that_is_none_is_refused(lengths, angles, group):
    with pytest.raises(InputError, match="cell with a volume"):
        cell_facts(lengths, angles, space_group=group)


@pytest.mark.parametrize(("edge", "believed"), [(3.3, False), (4.03, True), (5.3, False)])
def test_a_cell_that_cannot_hold_its_atoms_is_not_believed(edge, believed):
    assert (cell_of(rock_salt(a=edge)) is not None) is believed
    row = told("Li4F4", (edge, edge, edge), (90, 90, 90), 225)
    assert (cell_of(row) is not None) is believed
    assert np.isfinite(named(row, cell=True)["volume_per_atom"]) == believed


def test_cell_facts_that_lack_a_length_are_refused():
    candidate = Candidate(Kind.COMPOSITION, Composition("LiF"), Origin("toy", "row 7", {CELL_FACT: {"a": 4.0}}))
    with pytest.raises(InputError, match="row 7"):
        cell_of(candidate)


@pytest.mark.mirror
def test_obelix_cifs_and_rows_agree(mirror):
    """The CIF of an entry, read as a user's file, gives the features of its row (where their contents agree)."""
    rows = {o.candidate.source.facts["id"]: o.candidate for o in load_obelix("train")}
    archive = zipfile.ZipFile(mirror / CARD.files["cifs"].path)
    same, compared = 0, 0
    for name in sorted(archive.namelist())[:60]:
        row = rows.get(name.split("/")[-1].removesuffix(".cif"))
        if row is None:
            continue
        structure = Structure.from_str(archive.read(name).decode(), fmt="cif")
        volume_agrees = abs(structure.volume / cell_of(row).volume - 1.0) < 1e-3
        contents_agree = structure.composition.almost_equals(row.composition, rtol=1e-2, atol=0.05)
        if not (volume_agrees and contents_agree):
            continue
        compared += 1
        mine, theirs = named(crystal(structure), cell=True), named(row, cell=True)
        same += all(abs(mine[key] - theirs[key]) <= 0.03 * max(1.0, abs(theirs[key])) for key in mine)
    assert compared >= 30
    assert same >= 0.9 * compared
