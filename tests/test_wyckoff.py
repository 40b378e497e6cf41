"""Wyckoff descriptions: what the International Tables say, and a way back to the same crystal."""

import numpy as np
import pytest
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Lattice, Structure

from ionsmith.core.errors import InputError, PhysicsError
from ionsmith.data.library import load_library
from ionsmith.represent import wyckoff as module
from ionsmith.represent.wyckoff import (
    WyckoffCrystal,
    WyckoffSite,
    cell,
    crystal_system,
    describe,
    free_parameters,
    positions,
)
from ionsmith.represent.wyckoff_settings import alternatives
from ionsmith.testing import antifluorite, disordered_chloride, rock_salt

RUTILE = WyckoffCrystal(136, (4.594, 2.959), (WyckoffSite("a", "Ti"), WyckoffSite("f", "O", (0.305,))))


def same(first, second):
    return StructureMatcher().fit(first, second)


def test_rock_salt_is_two_special_positions():
    found = describe(rock_salt().structure)
    assert (found.space_group, len(found.lattice)) == (225, 1)
    assert found.lattice[0] == pytest.approx(4.03)
    assert sorted(site.letter for site in found.sites) == ["a", "b"]
    assert same(found.structure(), rock_salt().structure)


def test_antifluorite_has_the_cation_on_c():
    letters = {site.element: site.letter for site in describe(antifluorite().structure).sites}
    assert letters["Li"] == "c"
    assert letters["O"] in "ab"


def test_rutile_has_one_free_coordinate():
    built = RUTILE.structure()
    assert built.composition.reduced_formula == "TiO2"
    assert len(built) == 6
    again = describe(built)
    assert again.space_group == 136
    assert [site.letter for site in again.sites] == ["a", "f"]
    assert same(again.structure(), built)


def test_a_turned_and_shifted_cell_is_described_up_to_the_choice_of_origin():
    built = RUTILE.structure()
    turned = Structure(built.lattice.matrix[[1, 2, 0]], built.species, (built.frac_coords + 0.37)[:, [1, 2, 0]])
    found = describe(turned)
    assert found.space_group == 136
    assert {site.letter for site in found.sites} in ({"a", "f"}, {"a", "g"}, {"b", "f"}, {"b", "g"})
    assert same(found.structure(), built)


def test_oxidation_states_are_dropped():
    charged = rock_salt().structure.copy()
    charged.add_oxidation_state_by_element({"Li": 1, "F": -1})
    assert describe(charged) == describe(rock_salt().structure)


@pytest.mark.parametrize("space_group", [1, 2, 14, 15, 62, 88, 148, 166, 167, 186, 194, 216, 227, 230])
def test_every_position_gives_its_multiplicity_and_its_coordinates_back(space_group):
    rng = np.random.default_rng(space_group)
    for position in positions(space_group).values():
        free = tuple(rng.uniform(0.05, 0.45, len(position.free)))
        sites = position.sites(free)
        apart = np.abs((sites[:, None] - sites[None] + 0.5) % 1.0 - 0.5).max(axis=2) + np.eye(len(sites))
        assert len(sites) == position.multiplicity
        assert apart.min() > 1e-6, "equivalent sites must differ"
        assert position.coordinates(sites[0]) is not None
        again = position.sites(position.coordinates(sites[0]))
        assert np.abs((again[0] - sites[0] + 0.5) % 1.0 - 0.5).max() < 1e-6


def test_a_place_off_the_symmetry_element_is_no_site_of_it():
    special = positions(225)["a"]
    assert special.coordinates(np.array([0.1, 0.0, 0.0])) is None
    diagonal = positions(225)["f"]  # x, x, x
    assert diagonal.coordinates(np.array([0.2, 0.2, 0.2])) == pytest.approx((0.2,))
    assert diagonal.coordinates(np.array([0.2, 0.2, 0.3])) is None


def test_library_crystals_come_back():
    ordered = [candidate.structure for candidate in load_library() if candidate.structure.is_ordered]
    assert len(ordered) > 20
    for structure in ordered:
        built = describe(structure).structure()
        assert built.volume / len(built) == pytest.approx(structure.volume / len(structure), rel=1e-3)
        assert same(built, structure), structure.formula


@pytest.mark.parametrize(
    ("space_group", "system", "count"),
    [
        (1, "triclinic", 6),
        (14, "monoclinic", 4),
        (62, "orthorhombic", 3),
        (136, "tetragonal", 2),
        (166, "hexagonal", 2),
    ],
)
def test_cells_have_the_shape_of_their_system(space_group, system, count):
    assert crystal_system(space_group) == system
    assert len(free_parameters(space_group)) == count
    lengths = [5.0, 6.0, 7.0, 80.0, 85.0, 95.0]
    free = [lengths[index] for index in free_parameters(space_group)]
    made = cell(space_group, free)
    assert [made.parameters[index] for index in free_parameters(space_group)] == pytest.approx(free)


@pytest.mark.parametrize(
    ("action", "error", "message"),
    [
        (lambda: crystal_system(231), InputError, "expected a space group from 1 to 230, got 231"),
        (lambda: positions(0), InputError, "expected a space group from 1 to 230, got 0"),
        (lambda: cell(225, (4.0, 4.0)), InputError, "expected 1 cell parameters, got 2"),
        (lambda: positions(136)["f"].sites((0.1, 0.2)), InputError, "position f: expected 1 coordinates, got 2"),
        (
            lambda: WyckoffCrystal(1, (4.0,) * 3 + (90.0,) * 3, (WyckoffSite("z", "Li"),)).structure(),
            InputError,
            "'z'",
        ),
        (lambda: describe(disordered_chloride().structure), InputError, "expected an ordered crystal"),
        (
            lambda: describe(Structure(Lattice.cubic(4), ["Li", "Li"], [[0, 0, 0], [0, 0, 0]])),
            PhysicsError,
            "could not be determined",
        ),
    ],
)
def test_what_cannot_be_is_said(action, error, message):
    with pytest.raises(error, match=message):
        action()


def test_sites_that_do_not_fit_their_group_are_refused(monkeypatch):
    monkeypatch.setattr(module.WyckoffPosition, "coordinates", lambda self, place: None)
    with pytest.raises(PhysicsError, match="no site has the form of Wyckoff position"):
        describe(rock_salt().structure)


def test_an_idealised_cell_of_another_group_is_refused(monkeypatch):
    real = module._dataset

    class Other:
        number = 1

    monkeypatch.setattr(module, "_dataset", lambda c, t, h=0: Other if t == module._IDEAL else real(c, t, h))
    with pytest.raises(PhysicsError, match="the idealised cell has 1"):
        describe(rock_salt().structure)


def test_rock_salt_has_two_settings_and_rutile_four():
    salt = describe(rock_salt().structure)
    letters = [{s.element: s.letter for s in found.sites} for found in alternatives(salt)]
    assert sorted(found["Li"] for found in letters) == ["a", "b"]
    found = alternatives(RUTILE)
    assert found[0] == RUTILE
    assert {(each.sites[0].letter, each.sites[1].letter) for each in found} == {
        ("a", "f"),
        ("a", "g"),
        ("b", "f"),
        ("b", "g"),
    }
    assert all(same(each.structure(), RUTILE.structure()) for each in found)


def letters(crystals):
    return {tuple((site.letter, site.element) for site in crystal.sites) for crystal in crystals}


@pytest.mark.parametrize("group", [1, 2, 14, 62, 166, 194, 216, 225])
def test_every_setting_is_the_same_crystal(group):
    rng = np.random.default_rng(group)
    general = list(positions(group))[-1]
    lattice = tuple([5.0, 6.0, 7.0, 80.0, 95.0, 100.0][index] for index in free_parameters(group))
    place = tuple(rng.uniform(0.1, 0.4, len(positions(group)[general].free)))
    special = next(iter(positions(group)))
    sites = (
        WyckoffSite(special, "Li", tuple(0.3 for _ in positions(group)[special].free)),
        WyckoffSite(general, "O", place),
    )
    crystal = WyckoffCrystal(group, lattice, sites)
    for other in alternatives(crystal)[1:]:
        assert same(other.structure(), crystal.structure())
        assert letters(alternatives(other)) == letters(alternatives(crystal)), "settings are mutual"
