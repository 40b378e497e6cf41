"""Potentials by name: what loads, what is refused and how, and the one place that sets threads."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from pymatgen.core import Lattice, Structure

from ionsmith.core.errors import InputError, PhysicsError
from ionsmith.simulate.potentials import (
    THREADS_VARIABLE,
    check_potential,
    potential,
    potential_fingerprint,
    set_threads,
    static_energy,
)
from ionsmith.testing import rock_salt

COPPER = Structure.from_spacegroup("Fm-3m", Lattice.cubic(3.6), ["Cu"], [[0, 0, 0]])


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_the_same_name_gives_the_same_calculator():
    assert potential("emt") is potential("emt")


def test_emt_copper_is_bound_by_its_published_cohesive_energy():
    # EMT's zero is the relaxed bulk metal, so copper at its own lattice constant lies within 0.01 eV of zero
    assert static_energy(COPPER, "emt") == pytest.approx(0.0, abs=0.01)


def test_a_factory_by_import_path():
    assert type(potential("ase.calculators.emt:EMT")).__name__ == "EMT"


def test_chgnet_energy_alone_equals_the_calculators_energy():
    structure = rock_salt().structure
    atoms = structure.to_ase_atoms()
    atoms.calc = potential("chgnet")
    assert static_energy(structure) == pytest.approx(atoms.get_potential_energy() / len(atoms), abs=1e-5)


def test_loading_chgnet_prints_nothing_to_stdout():
    code = "from ionsmith.simulate.potentials import potential; potential()"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nope", "unknown potential 'nope'"),
        ("MACE-MPA-0-medium", "pip install"),
        ("no_such_module:factory", "cannot import"),
        ("ase.calculators.emt:NoSuchThing", "cannot import"),
        ("os:getcwd", "expected an ASE calculator, got str"),
        ("demon", "cannot start it without settings"),
        ("aims", "cannot start it without settings"),
    ],
)
def test_a_potential_that_cannot_be_had_is_one_clear_line(name, said):
    with pytest.raises(InputError, match=said) as caught:
        check_potential(name)
    assert "\n" not in str(caught.value)


def test_the_default_is_checked_without_being_loaded(monkeypatch):
    monkeypatch.setattr("ionsmith.simulate.potentials._calculator", lambda name: pytest.fail("loaded"))
    check_potential("chgnet")


def test_an_element_unknown_to_the_potential_is_physics():
    with pytest.raises(PhysicsError, match="emt has no answer"):
        static_energy(rock_salt().structure, "emt")


def test_isolated_atoms_are_physics():
    far = Structure(Lattice.cubic(30.0), ["Li"], [[0, 0, 0]])
    with pytest.raises(PhysicsError, match="isolated"):
        static_energy(far)


class NotANumber:
    """Makes a calculator whose energy is not a number."""

    def __new__(cls):
        from ase.calculators.emt import EMT

        class Broken(EMT):
            def calculate(self, *args, **kwargs):
                super().calculate(*args, **kwargs)
                self.results["energy"] = np.nan

        return Broken()


def test_an_energy_that_is_not_finite_is_physics():
    with pytest.raises(PhysicsError, match="not finite"):
        static_energy(COPPER, f"{__name__}:NotANumber")


def test_threads_by_argument_and_by_environment(threads, monkeypatch):
    set_threads(1)
    assert torch.get_num_threads() == 1
    monkeypatch.setenv(THREADS_VARIABLE, "2")
    set_threads()
    assert torch.get_num_threads() == 2
    monkeypatch.delenv(THREADS_VARIABLE)
    set_threads()
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize("wrong", [0, -1])
def test_threads_below_one_are_refused(wrong):
    with pytest.raises(InputError, match="at least one"):
        set_threads(wrong)


def test_threads_that_are_no_number_are_refused(monkeypatch):
    monkeypatch.setenv(THREADS_VARIABLE, "many")
    with pytest.raises(InputError, match="many"):
        set_threads()


def test_the_fingerprint_names_package_and_version():
    assert potential_fingerprint("chgnet").startswith("chgnet-chgnet-0.")
    assert potential_fingerprint("emt").startswith("emt-ase-3.")
    assert potential_fingerprint("ase.calculators.emt:EMT").startswith("ase.calculators.emt:EMT-ase-3.")
    assert potential_fingerprint("MACE-MPA-0-medium").startswith("MACE-MPA-0-medium-matcalc-")
    assert potential_fingerprint("my_own_module:factory") == "my_own_module:factory"
