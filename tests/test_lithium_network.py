"""Lithium sites in numbers: known answers on small crystals, the same for every cell, silent without a crystal."""

import numpy as np
import pytest
from pymatgen.core import Composition, Lattice, Structure

from ionsmith.core.crystals import CRYSTAL_FACT, crystal_facts, crystal_of
from ionsmith.core.errors import InputError
from ionsmith.core.records import Candidate, Kind, Origin
from ionsmith.represent.lithium_network import NAMES, LithiumNetwork, spreads_lithium
from ionsmith.testing import formula

EDGE = 5.2  # angstrom


def crystal(structure):
    return Candidate(Kind.CRYSTAL, structure, Origin("toy"))


def rock_salt(lithium):
    return Structure.from_spacegroup("Fm-3m", Lattice.cubic(EDGE), [lithium, "Cl"], [(0, 0, 0), (0.5, 0.5, 0.5)])


def told(structure):
    return dict(zip(NAMES, LithiumNetwork().encode([crystal(structure)])[0], strict=True))


def chains(a, b, c):
    """Lithium at the corners of a box of the given edges, chlorine beside it."""
    return Structure(Lattice.orthorhombic(a, b, c), ["Li", "Cl"], [(0, 0, 0), (0.5, 0.5, 0.5)])


def test_an_ordered_rock_salt():
    assert told(rock_salt("Li")) == pytest.approx(
        {
            "split_lithium": 0.0,
            "empty_places": 0.0,
            "shared_lithium": 0.0,
            "hop_length": EDGE / np.sqrt(2.0),
            "lithium_anion_distance": EDGE / 2.0,
            "lithium_cation_distance": 7.0,  # nothing there: told as far away
        }
    )


def test_half_the_lithium_leaves_half_of_twelve_neighbours_empty_and_the_hops_as_they_are():
    half, full = told(rock_salt({"Li": 0.5})), told(rock_salt("Li"))
    assert half["empty_places"] == pytest.approx(6.0)
    assert half["hop_length"] == pytest.approx(full["hop_length"])
    assert half["lithium_anion_distance"] == pytest.approx(full["lithium_anion_distance"])


def test_shared_sites_are_told_and_their_guest_is_expected_at_its_distance():
    mixed = told(rock_salt({"Li": 0.5, "Na": 0.5}))
    assert (mixed["shared_lithium"], mixed["empty_places"]) == (1.0, 0.0)
    chance = 0.5**12  # that all twelve nearest cations are lithium
    next_shell = EDGE * (1.0 - 0.5**6) + 0.5**6 * EDGE * np.sqrt(1.5)
    expected = (1.0 - chance) * EDGE / np.sqrt(2.0) + chance * next_shell
    assert mixed["lithium_cation_distance"] == pytest.approx(expected, abs=1e-4)


def test_two_places_of_one_ion_are_split():
    structure = Structure(
        Lattice.cubic(6.0),
        [{"Li": 0.5}, {"Li": 0.5}, "Li", "Cl"],
        [(0, 0, 0), (0.2, 0, 0), (0.5, 0.5, 0), (0, 0, 0.5)],
    )
    assert told(structure)["split_lithium"] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("edges", "hop"), [((3.0, 5.0, 6.5), 5.0), ((3.0, 9.0, 9.0), 7.0), ((6.5, 4.0, 6.0), 6.0), ((4.0, 4.0, 9.0), 4.0)]
)
def test_the_hop_is_the_one_that_makes_a_net(edges, hop):
    assert told(chains(*edges))["hop_length"] == pytest.approx(hop)


def test_two_chains_joined_by_a_zigzag_make_a_net():
    structure = Structure(
        Lattice.orthorhombic(3.0, 8.0, 12.0), ["Li", "Li", "Cl"], [(0, 0, 0), (0.5, 0.5, 0), (0, 0.5, 0.3)]
    )
    assert told(structure)["hop_length"] == pytest.approx(np.hypot(1.5, 4.0))


def test_the_numbers_do_not_depend_on_the_cell():
    structure = rock_salt({"Li": 0.6, "Na": 0.2})
    larger = structure.copy()
    larger.make_supercell([[1, 1, 0], [0, 2, 0], [1, 0, 1]])
    assert told(larger) == pytest.approx(told(structure))
    assert told(structure.get_primitive_structure()) == pytest.approx(told(structure))


def test_nothing_is_told_without_crystal_lithium_or_anions():
    metal = Structure(Lattice.cubic(3.5), ["Li"], [(0, 0, 0)])
    salt = rock_salt("Na")
    found = LithiumNetwork().encode([formula("LiCl"), crystal(metal), crystal(salt)])
    assert found.shape == (3, len(NAMES))
    assert np.isnan(found).all()


def test_a_measured_crystal_beside_a_composition_counts_as_the_crystal():
    structure = rock_salt({"Li": 0.5, "Na": 0.2})
    structure.add_oxidation_state_by_element({"Li": 1, "Na": 1, "Cl": -1})
    beside = Candidate(
        Kind.COMPOSITION, Composition("Li2Na0.8Cl4"), Origin("toy", "", {CRYSTAL_FACT: crystal_facts(structure)})
    )
    representation = LithiumNetwork()
    np.testing.assert_allclose(representation.encode([beside]), representation.encode([crystal(structure)]))
    assert crystal_of(beside).composition.reduced_formula == structure.composition.element_composition.reduced_formula
    assert crystal_of(formula("LiCl")) is None


@pytest.mark.parametrize("facts", [{}, {"lattice": [[1]], "species": [], "coordinates": []}])
def test_crystal_facts_that_make_no_crystal_are_refused(facts):
    candidate = Candidate(Kind.COMPOSITION, Composition("LiCl"), Origin("toy", "row 3", {CRYSTAL_FACT: facts}))
    with pytest.raises(InputError, match="row 3: expected lattice, species and coordinates"):
        crystal_of(candidate)


@pytest.mark.parametrize(
    ("structure", "spread"),
    [
        (rock_salt("Li"), False),
        (rock_salt({"Li": 0.995}), False),
        (rock_salt({"Li": 0.5}), True),
        (rock_salt({"Li": 0.5, "Na": 0.5}), True),
        (rock_salt({"Na": 0.5}), False),
        (Structure(Lattice.cubic(3.5), [{"Li": 0.5}], [(0, 0, 0)]), False),
    ],
)
def test_lithium_is_spread_where_it_fills_no_site_of_its_own(structure, spread):
    assert spreads_lithium(crystal(structure)) is spread


def test_a_formula_spreads_nothing():
    assert not spreads_lithium(formula("Li0.5Na0.5Cl"))
