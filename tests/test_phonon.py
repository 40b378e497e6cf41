"""Vibrations of lattices of known answer, and the dynamic stability simulator."""

import json

import numpy as np
import pytest
from pymatgen.core import Element, Lattice, Structure

from ionsmith.core.errors import InputError, PhysicsError
from ionsmith.core.records import Candidate, Kind, Origin, Status
from ionsmith.simulate import phonon as module
from ionsmith.simulate.phonon import TO_THZ, DynamicStability, Modes, choose_repeats, supercell_modes
from ionsmith.testing import formula, rock_salt

SPRING = 2.0  # eV/angstrom^2


def chain(sign=1.0):
    """Return forces of chains along x with springs between neighbours, for atoms in order along x."""

    def forces(structure):
        x = structure.frac_coords[:, 0] * structure.lattice.a
        count = len(x)
        found = np.zeros((count, 3))
        spacing = structure.lattice.a / count
        for n in range(count):
            stretch = (x[(n + 1) % count] - x[n] - spacing + structure.lattice.a / 2) % structure.lattice.a
            stretch -= structure.lattice.a / 2
            found[n, 0] += sign * SPRING * stretch
            found[(n + 1) % count, 0] -= sign * SPRING * stretch
        return found

    return forces


def lithium():
    return Structure(Lattice.orthorhombic(3.0, 30.0, 30.0), ["Li"], [[0, 0, 0]])


def test_a_chain_of_springs_has_its_dispersion():
    modes = supercell_modes(lithium(), (4, 1, 1), chain())
    mass = float(Element("Li").atomic_mass)
    expected = [2.0 * np.sqrt(SPRING / mass) * abs(np.sin(np.pi * q)) * TO_THZ for q in (0.0, 0.25, 0.5, 0.75)]
    assert modes.points[:, 0].tolist() == [0.0, 0.25, 0.5, 0.75]
    assert modes.frequencies.max(axis=1) == pytest.approx(expected, abs=1e-6)


def test_negative_springs_give_imaginary_modes():
    modes = supercell_modes(lithium(), (2, 1, 1), chain(-1.0))
    assert modes.frequencies.min() == pytest.approx(-2.0 * np.sqrt(SPRING / 6.941) * TO_THZ, rel=1e-3)


def test_a_shift_of_the_crystal_costs_nothing_even_where_forces_are_noisy():
    spring, rng = chain(), np.random.default_rng(0)
    cell = Structure(Lattice.orthorhombic(6.0, 30.0, 30.0), ["Li", "Na"], [[0, 0, 0], [0.5, 0, 0]])
    modes = supercell_modes(cell, (1, 1, 1), lambda s: spring(s) + rng.normal(0.0, 3e-3, (len(s), 3)))
    assert np.abs(np.sort(np.abs(modes.frequencies[0]))[:3]).max() < 1e-5
    light, heavy = (float(Element(name).atomic_mass) for name in ("Li", "Na"))
    optical = np.sqrt(2.0 * SPRING * (1.0 / light + 1.0 / heavy)) * TO_THZ
    assert modes.frequencies[0, -1] == pytest.approx(optical, rel=0.1)


def test_supercells_grow_along_the_shortest_vector():
    assert choose_repeats(lithium(), length=7.0, max_atoms=10) == (3, 1, 1)
    assert choose_repeats(lithium(), length=7.0, max_atoms=2) == (2, 1, 1)
    with pytest.raises(PhysicsError, match="at most 1 atoms"):
        choose_repeats(rock_salt().structure, length=7.0, max_atoms=1)


def copper(kind="Cu"):
    lattice = Lattice([[0.0, 1.8, 1.8], [1.8, 0.0, 1.8], [1.8, 1.8, 0.0]])
    return Candidate(Kind.CRYSTAL, Structure(lattice, [kind], [[0, 0, 0]]), Origin("toy", f"toy:{kind}"))


def test_a_close_packed_metal_is_stable():
    found = DynamicStability(potential="emt").run(copper())
    assert found.status is Status.OK
    assert found.details["stable"]
    assert found.details["gamma"] == pytest.approx([0.0, 0.0, 0.0], abs=0.05)
    assert 2.0 < max(found.details["lowest_by_point"]) < 8.0  # copper's phonons end at 7 THz
    json.dumps(found.details, allow_nan=False)


def soft(monkeypatch):
    frequencies = np.array([[0.0, 0.0, 0.0, 2.0, 3.0, 4.0], [-2.5, 1.0, 2.0, 3.0, 4.0, 5.0]])
    monkeypatch.setattr(module, "supercell_modes", lambda *a, **k: Modes(np.zeros((2, 3)), frequencies))


def test_imaginary_modes_are_a_note_and_a_rejection_on_request(monkeypatch):
    soft(monkeypatch)
    found = DynamicStability(potential="emt").run(copper())
    assert (found.status, found.details["imaginary"], found.details["lowest"]) == (Status.OK, 1, -2.5)
    assert "1 imaginary modes, the lowest at 2.50i THz" in found.note
    assert DynamicStability(potential="emt", reject=True).run(copper()).status is Status.REJECTED
    assert DynamicStability(potential="emt", tolerance=3.0).run(copper()).note == ""


def test_forces_that_are_not_finite_are_refused(monkeypatch):
    from ase.calculators.emt import EMT

    monkeypatch.setattr(EMT, "get_forces", lambda self, atoms: np.full((len(atoms), 3), np.nan))
    with pytest.raises(PhysicsError, match="not finite"):
        DynamicStability(potential="emt")._forces(copper().structure)


def test_what_cannot_be_computed():
    assert DynamicStability(potential="emt").run(rock_salt()).status is Status.REJECTED
    assert DynamicStability(potential="emt").run(formula("LiF")).status is Status.FAILED
    with pytest.raises(PhysicsError, match="no answer"):
        DynamicStability(potential="emt")._forces(rock_salt().structure)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"length": 0.0}, "length above zero"),
        ({"displacement": -0.1}, "displacement above zero"),
        ({"fmax": 0.0}, "fmax above zero"),
        ({"tolerance": -1.0}, "tolerance of at least zero"),
        ({"max_atoms": 0}, "max_atoms of at least 1"),
        ({"max_steps": 0}, "max_steps of at least 1"),
    ],
)
def test_settings_that_cannot_be(settings, words):
    with pytest.raises(InputError, match=words):
        DynamicStability(**settings)
