"""Bond-valence sums: known crystals give their charges, and a charge that the bonds contradict is named."""

from __future__ import annotations

import math

import pytest
from pymatgen.core import Composition, Lattice, Structure

from ionsmith.io.bond_valence import bond_valence_sums, contradicted_states
from ionsmith.simulate.synthesis import charge_details


def blende(cation: str, anion: str, bond: float) -> Structure:
    cell = Lattice.cubic(4.0 * bond / math.sqrt(3.0))
    return Structure.from_spacegroup("F-43m", cell, [cation, anion], [[0, 0, 0], [0.25, 0.25, 0.25]])


@pytest.mark.parametrize(
    ("cation", "bond", "charge"),
    # one tetrahedron each: measured bonds in ZnS, GeS2 and SnS2-like thiostannates
    [("Zn", 2.34, 2.0), ("Ge", 2.22, 4.0), ("Sn", 2.40, 4.0)],
)
def test_measured_bonds_give_the_charge(cation, bond, charge):
    sums = bond_valence_sums(blende(cation, "S", bond), {cation: 2.0, "S": -2.0})
    assert sums[cation] == pytest.approx(charge, abs=0.5)


def test_a_sum_falls_off_with_the_bonds():
    states = {"Ge": 2.0, "S": -2.0}
    near, far = (bond_valence_sums(blende("Ge", "S", bond), states)["Ge"] for bond in (2.2, 2.5))
    assert near / far == pytest.approx(math.exp(0.3 / 0.31))  # four equal bonds


def test_divalent_germanium_in_a_tight_tetrahedron_is_doubted():
    assert contradicted_states(blende("Ge", "S", 2.25), {"Ge": 2.0, "S": -2.0}).keys() == {"Ge"}
    assert contradicted_states(blende("Ge", "S", 2.7), {"Ge": 2.0, "S": -2.0}) == {}


def test_the_highest_charge_is_never_doubted():
    short = blende("Zn", "S", 2.0)
    assert bond_valence_sums(short, {"Zn": 2.0, "S": -2.0})["Zn"] > 3.0
    assert contradicted_states(short, {"Zn": 2.0, "S": -2.0}) == {}


def test_elements_without_parameters_and_disorder_are_left_out():
    assert bond_valence_sums(blende("Pt", "S", 2.3), {"Pt": 2.0, "S": -2.0}) == {}
    mixed = blende("Ge", "S", 2.25)
    mixed.replace_species({"Ge": {"Ge": 0.5, "Sn": 0.5}})
    assert contradicted_states(mixed, {"Ge": 2.0, "Sn": 2.0, "S": -2.0}) == {}


def test_charge_details_ask_the_bonds_of_a_crystal_only():
    assert charge_details(Composition("GeS"))["bonds_contradict"] == {}
    crystal = blende("Ge", "S", 2.25)
    assert charge_details(crystal.composition, crystal)["bonds_contradict"]["Ge"] > 3.0
