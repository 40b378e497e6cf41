"""Crystals as the page carries them: places, occupancies, bonds."""

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from ionsmith.report.structure import MOST_SITES, bonds, compact_structure, element_table
from test_report_page import salt


def lengths(structure: Structure, found: list[list[int]]) -> list[float]:
    sites = np.array([site[:3] for site in compact_structure(structure)["sites"]], dtype=float)
    return [float(np.linalg.norm((sites[j] + step - sites[i]) @ structure.lattice.matrix)) for i, j, *step in found]


def test_rock_salt_has_six_bonds_per_ion_of_half_the_cell() -> None:
    found = bonds(salt())
    assert len(found) == 4 * 6
    assert lengths(salt(), found) == pytest.approx([4.03 / 2] * 24, abs=1e-3)


def test_sites_outside_the_cell_keep_their_bonds() -> None:
    moved = salt()
    coordinates = moved.frac_coords + np.array([[2, 0, -1]] * 4 + [[0, -3, 0]] * 4)
    shifted = Structure(moved.lattice, moved.species, coordinates)
    assert sorted(lengths(shifted, bonds(shifted))) == pytest.approx([4.03 / 2] * 24, abs=1e-3)
    assert all(0.0 <= x < 1.0 for site in compact_structure(shifted)["sites"] for x in site[:3])


def test_one_atom_cell_bonds_to_its_own_images_once() -> None:
    metal = Structure(Lattice.cubic(2.9), ["Li"], [[0, 0, 0]])
    found = bonds(metal)
    assert sorted(map(tuple, found)) == [(0, 0, 0, 0, 1), (0, 0, 0, 1, 0), (0, 0, 1, 0, 0)]


def test_metals_bond_to_anions_only() -> None:
    cell = Structure(Lattice.cubic(6.0), ["Li", "P", "O"], [[0, 0, 0], [0.4, 0, 0], [0.65, 0, 0]])
    assert {(i, j) for i, j, *_ in bonds(cell)} == {(1, 2), (0, 2)}


def test_partial_occupancies_are_kept_and_alternatives_not_bonded() -> None:
    cell = Structure(
        Lattice.cubic(5.0),
        [{"Li": 0.5}, {"Li": 0.5}, {"Si": 0.75, "P": 0.25}],
        [[0, 0, 0], [0.1, 0, 0], [0.5, 0.5, 0.5]],
    )
    drawn = compact_structure(cell)
    assert drawn["sites"][0][3] == [["Li", 0.5]] and drawn["sites"][2][3] == [["Si", 0.75], ["P", 0.25]]
    assert drawn["bonds"] == []


def test_oxidation_states_and_isotopes_are_drawn_as_elements() -> None:
    cell = Structure(Lattice.cubic(4.0), ["Li+", "D-"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    assert [site[3][0][0] for site in compact_structure(cell)["sites"]] == ["Li", "H"]


def test_huge_cells_are_not_drawn() -> None:
    crowd = salt() * (4, 4, 4)
    assert len(crowd) > MOST_SITES and compact_structure(crowd) is None


def test_elements_have_names_colours_and_radii() -> None:
    table = element_table(["Li", "O", "X"])
    assert table["Li"]["name"] == "Lithium" and table["O"]["color"] == "#ff0d0d" and table["Li"]["metal"]
    assert table["X"]["radius"] > 0 and table["X"]["color"].startswith("#")
