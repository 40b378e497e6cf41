"""Tables of the bond-valence method and the choice of oxidation states."""

import io
import math
import pickle

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from ionsmith.core.errors import ArtifactError, InputError, PhysicsError
from ionsmith.landscape import parameters
from ionsmith.landscape.oxidation import assign, mobile_ion
from ionsmith.landscape.parameters import Ion, find_pair, mobile_charges, pair, parse_mobile, quantum_number

LI = Ion(3, 1)


def rock_salt(cation, anion, length=5.13):
    return Structure.from_spacegroup("Fm-3m", Lattice.cubic(length), [cation, anion], [[0, 0, 0], [0.5, 0.5, 0.5]])


def test_lithium_oxygen_row_is_the_published_one():
    found = pair(LI, Ion(8, -2))
    assert (found.r0, found.alpha, found.r_min, found.d0) == pytest.approx((1.17096, 1.937984, 1.940013, 0.98816))
    assert pair(Ion(8, -2), LI) == found


def test_a_row_with_negative_softness_is_no_row():
    assert find_pair(Ion(4, 2), Ion(16, -2)) is None  # published with alpha = -1.48 per angstrom


def test_a_missing_pair_is_named():
    with pytest.raises(PhysicsError, match=r"Li1\+ - P3-"):
        pair(LI, Ion(15, -3))


def test_an_element_without_quantum_number_is_named():
    with pytest.raises(PhysicsError, match=r"Lr3\+"):
        quantum_number(Ion(103, 3))


@pytest.mark.parametrize(
    ("text", "expected"), [("Li", (3, None)), ("Na+", (11, 1)), ("Mg2+", (12, 2)), ("F-", (9, -1)), ("O2-", (8, -2))]
)
def test_mobile_ion_is_read(text, expected):
    assert parse_mobile(text) == expected


@pytest.mark.parametrize("text", ["", "Xx", "li", "Li1", "Li++"])
def test_what_is_no_ion_is_refused(text):
    with pytest.raises(InputError, match="mobile ion"):
        parse_mobile(text)


def test_usual_carriers_are_known():
    assert all(mobile_charges(z) for z in (3, 11, 12, 13, 19, 20, 29, 30, 47))


def test_tables_may_hold_numbers_only():
    with pytest.raises(ArtifactError, match="plain numbers"):
        parameters._NumbersOnly(io.BytesIO(pickle.dumps(math.sqrt))).load()


def test_a_missing_table_is_said():
    with pytest.raises(ArtifactError, match=r"absent\.pkl"):
        parameters._read("absent.pkl")


def test_given_states_are_kept_and_fractions_split():
    structure = rock_salt("Li", "Cl")
    structure.add_oxidation_state_by_element({"Li": 1, "Cl": -1})
    assert assign(structure, LI).method == "given"
    spinel = rock_salt("Li", "O").copy()
    spinel.append("Mn", [0.25, 0.25, 0.25])
    spinel.add_oxidation_state_by_element({"Li": 1, "O": -2, "Mn": 3.25})
    assert dict(assign(spinel, LI).states)[25] == ((3, 0.75), (4, 0.25))


@pytest.mark.parametrize(("short", "long"), [("Co", "Fe"), ("Fe", "Co")])
def test_bond_valence_gives_the_higher_charge_to_the_shorter_bonds(short, long):
    """Li7 Co Fe O6 is neutral as Co2+ Fe3+ and as Co3+ Fe2+; only the bond lengths tell."""
    lattice, species, places = Lattice.cubic(14.0), [], []
    for metal, centre, bond in ((short, 2.5, 1.60), (long, 9.5, 1.95)):
        species += [metal, "O", "O", "O"]
        places += [np.full(3, centre) + bond * shift for shift in (np.zeros(3), *np.eye(3))]
    for step in range(7):
        species.append("Li")
        places.append([1.0 + 1.7 * step, 6.0, 13.0])
    found = assign(Structure(lattice, species, places, coords_are_cartesian=True), LI)
    assert found.method == "bond valence"
    assert found.alternatives == 1
    assert found.label()[short] == "3+" and found.label()[long] == "2+"


def test_composition_mixes_neighbouring_states_and_says_so():
    structure = Structure(Lattice.cubic(4.0), ["Mn", "O"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    structure = structure * (3, 1, 1)
    structure.replace(3, "O", [0.1, 0.5, 0.5])
    structure.append("O", [0.9, 0.2, 0.5])
    structure.append("Li", [0.5, 0.0, 0.5])
    found = assign(structure, LI)  # Li Mn3 O4: Mn 2.33+
    assert found.method == "composition"
    assert "neutral" in found.note
    shares = dict(found.states)[25]
    assert sum(q * s for q, s in shares) == pytest.approx(7 / 3)
    assert sum(s for _, s in shares) == pytest.approx(1.0)


def test_an_imbalance_is_recorded():
    places = [[0.5, 0, 0], [0, 0.5, 0], [0.5, 0.5, 0.5], [0, 0, 0]]
    found = assign(Structure(Lattice.cubic(4.0), ["Li", "Li", "Br", "O"], places), LI)  # Li2(OH)Br without its H
    assert found.method == "composition"
    assert found.imbalance == pytest.approx(-0.5)
    assert "not neutral" in found.note


def test_an_intermetallic_has_no_states():
    with pytest.raises(PhysicsError, match="no oxidation states"):
        assign(Structure(Lattice.cubic(3.2), ["Li", "Mg"], [[0, 0, 0], [0.5, 0.5, 0.5]]), LI)


def test_dummy_species_are_refused():
    structure = Structure(Lattice.cubic(3.0), ["Li", "X"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    with pytest.raises(PhysicsError, match="expected chemical elements"):
        assign(structure, LI)


def test_instability_is_small_for_a_real_crystal():
    antifluorite = Structure.from_spacegroup(
        "Fm-3m", Lattice.cubic(4.62), ["Li", "O"], [[0.25, 0.25, 0.25], [0, 0, 0]]
    )
    found = assign(antifluorite, LI)
    assert found.method == "bond valence"
    assert found.instability is not None and found.instability < 0.2
    assert found.label() == {"Li": "1+", "O": "2-"}


def test_occupancies_weigh_in_the_valence_sums():
    full = rock_salt("Li", "Cl")
    half = rock_salt({"Li": 0.5, "Na": 0.5}, "Cl")
    assert assign(half, LI).instability != assign(full, LI).instability


def test_mobile_ion_takes_its_charge_from_the_structure_or_the_tables():
    structure = rock_salt("Cu", "Cl")
    assert mobile_ion(29, None, structure) == Ion(29, 1)
    assert mobile_ion(29, 2, structure) == Ion(29, 2)
    structure.add_oxidation_state_by_element({"Cu": 2, "Cl": -2})
    assert mobile_ion(29, None, structure) == Ion(29, 2)


def test_no_mobile_ion_or_an_unknown_charge_is_said():
    with pytest.raises(PhysicsError, match="contains no Na"):
        mobile_ion(11, None, rock_salt("Li", "Cl"))
    with pytest.raises(PhysicsError, match="charge 3"):
        mobile_ion(3, 3, rock_salt("Li", "Cl"))
    assert np.isfinite(quantum_number(LI))
