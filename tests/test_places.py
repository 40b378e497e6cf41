"""Empty places after relaxation: which stay, move, unite, split a lattice site or give no answer."""

import json

import numpy as np
import pytest
from pymatgen.core import DummySpecies, Lattice, Structure

from ionsmith.core.errors import PhysicsError
from ionsmith.core.records import Status
from ionsmith.simulate.interstitials import EMPTY
from ionsmith.simulate.neb import MigrationBarrier
from ionsmith.simulate.places import settle, settled_places
from ionsmith.testing import antifluorite

SAME = np.eye(3, dtype=int)


def crystal(*places):
    """A tetragonal box with one lithium, one chlorine, and empty places."""
    made = Structure(Lattice.tetragonal(8.0, 9.0), ["Li", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    for place in places:
        made.append(DummySpecies(EMPTY, 0), place)
    return made


def to(target, energy=0.0):
    """A potential that brings the extra ion to one point, and leaves the others."""

    def relax(atoms):
        positions = atoms.get_positions()
        positions[-1] = target
        return positions, energy

    return relax


def fates(structure):
    return [story["fate"] for story in structure.properties["places"]]


def test_a_place_moves_to_where_its_ion_is_found():
    shown = settled_places(crystal([0.5, 0.5, 0.0]), "Li", SAME, to([4.0, 4.0, 0.0]))
    assert [site.specie.symbol for site in shown] == ["Li", "Cl", EMPTY]
    assert fates(shown) == ["kept"]
    assert shown.properties["places"][0] == {
        "fractional": [0.5, 0.5, 0.0],
        "count": 1,
        "moved_A": 0.0,
        "energy_eV": 0.0,
        "fate": "kept",
    }


def test_places_that_relax_into_one_another_unite():
    pair = crystal([0.5, 0.5, 0.05], [0.5, 0.5, 0.95])
    shown = settled_places(pair, "Li", SAME, to([4.0, 4.0, 0.0]))
    assert len([site for site in shown if site.specie.symbol == EMPTY]) == 1
    apart = crystal([0.5, 0.5, 0.0], [0.5, 0.0, 0.0], [0.0, 0.5, 0.0])
    shown = settled_places(apart, "Li", SAME, to([4.0, 4.0, 0.0]))
    assert fates(shown) == ["kept", "united"]
    assert [story["count"] for story in shown.properties["places"]] == [1, 1]


def test_of_two_that_unite_the_lower_one_stays_and_energies_count_from_it():
    def relax(atoms):
        positions = atoms.get_positions()
        inside = np.linalg.norm(positions[-1] - [4.0, 4.0, 0.0]) < 1.0
        if not inside:
            positions[-1] = [4.0, 4.0, 0.3]
        return positions, 0.0 if inside else 0.25

    shown = settled_places(crystal([0.5, 0.0, 0.0], [0.0, 0.5, 0.0], [0.5, 0.5, 0.0]), "Li", SAME, relax)
    assert [(story["energy_eV"], story["fate"]) for story in shown.properties["places"]] == [
        (0.0, "kept"),
        (0.25, "united"),
    ]


def test_an_ion_that_takes_a_lattice_site_leaves_the_one_it_pushed_away():
    def pushes(atoms):
        positions = atoms.get_positions()
        positions[-1] = positions[0]
        positions[0] = [4.0, 4.0, 0.0]
        return positions, 0.0

    end = settle(crystal(), np.array([0.5, 0.0, 0.0]), "Li", SAME, pushes)
    assert end.fractional == pytest.approx([0.5, 0.5, 0.0])
    assert end.moved == pytest.approx(4.0)
    assert not end.split


def test_an_ion_that_splits_a_lattice_site_keeps_its_place():
    def splits(atoms):
        positions = atoms.get_positions()
        positions[0] = [0.0, 0.0, -0.9]
        positions[-1] = [0.0, 0.0, 0.9]
        return positions, 0.0

    shown = settled_places(crystal([0.0, 0.0, 0.3], [0.0, 0.0, 0.7]), "Li", SAME, splits)
    assert fates(shown) == ["split"]
    assert sorted(site.frac_coords[2] for site in shown if site.specie.symbol == EMPTY) == pytest.approx([0.3, 0.7])


def test_without_an_answer_no_place_is_left():
    def refuses(atoms):
        raise PhysicsError("no answer for this one")

    with pytest.raises(PhysicsError, match="no place holds an extra Li: no answer for this one"):
        settled_places(crystal([0.5, 0.5, 0.0]), "Li", SAME, refuses)


def test_a_settled_crystal_survives_a_document():
    shown = settled_places(crystal([0.5, 0.5, 0.0]), "Li", SAME, to([4.0, 4.0, 0.0]))
    again = Structure.from_dict(json.loads(json.dumps(shown.as_dict())))
    assert again.properties["places"] == shown.properties["places"]
    assert [site.specie.symbol for site in again] == [site.specie.symbol for site in shown]


def test_a_potential_without_an_answer_rejects_the_crystal(monkeypatch):
    def refuse(*arguments):
        raise RuntimeError("not this one")

    monkeypatch.setattr("ionsmith.simulate.neb.relaxed_positions", refuse)
    settings = {"potential": "lj", "relax": False, "min_length": 3.0, "images": 1, "max_steps": 2, "max_hops": 1}
    found = MigrationBarrier(**settings, mechanism="interstitial").run(antifluorite())
    assert found.status is Status.REJECTED
    assert "no place holds an extra Li: lj has no answer for this crystal: not this one" in found.note
