"""The percolation simulator: outcomes for good and bad physics."""

import json
import pickle
import re

import pytest
from pymatgen.core import Composition, Lattice, Structure

from ionsmith.core.errors import InputError
from ionsmith.core.protocols import Simulator
from ionsmith.core.records import Bound, Candidate, Kind, Origin, Status
from ionsmith.core.registry import lookup
from ionsmith.simulate.barriers import BOND_VALENCE as NAMES
from ionsmith.simulate.percolation import PercolationBarrier


def candidate(structure):
    return Candidate(Kind.CRYSTAL, structure, Origin("test"))


def rock_salt(cation, anion, length):
    return Structure.from_spacegroup("Fm-3m", Lattice.cubic(length), [cation, anion], [[0, 0, 0], [0.5, 0.5, 0.5]])


def test_it_is_a_registered_simulator_that_travels():
    simulator = pickle.loads(pickle.dumps(PercolationBarrier(mobile="Na", resolution=0.3)))  # noqa: S301
    assert isinstance(simulator, Simulator)
    assert lookup("simulator", "bvse") is PercolationBarrier
    assert simulator == PercolationBarrier(mobile="Na", resolution=0.3)
    assert simulator.fingerprint != PercolationBarrier().fingerprint


def test_barriers_come_with_unit_method_and_spread():
    outcome = PercolationBarrier().run(candidate(rock_salt("Li", "Cl", 5.13)))
    assert outcome.status is Status.OK
    assert set(outcome.values) == set(NAMES) == set(PercolationBarrier.provides)
    value = outcome.values["percolation_barrier"]
    assert value.mean > 0 and value.std == pytest.approx(0.02)
    assert value.method == "bvse" and value.in_domain is True
    assert outcome.cost_s > 0
    json.dumps(outcome.details, allow_nan=False)


@pytest.mark.parametrize(
    ("structure", "reason"),
    [
        (rock_salt("Na", "Cl", 5.64), "contains no Li"),
        (rock_salt("Li", "H", 4.08), r"Li1\+ - H1-"),
        (rock_salt("Li", "Mg", 4.5), "no oxidation states"),
    ],
)
def test_bad_physics_is_a_rejection_with_a_reason(structure, reason):
    outcome = PercolationBarrier().run(candidate(structure))
    assert outcome.status is Status.REJECTED
    assert re.search(reason, outcome.note)


def test_senseless_settings_fail_with_a_reason():
    outcome = PercolationBarrier(resolution=1e-4).run(candidate(rock_salt("Li", "Cl", 5.13)))
    assert outcome.status is Status.FAILED and "resolution" in outcome.note
    assert PercolationBarrier(mobile="lithium").run(candidate(rock_salt("Li", "Cl", 5.13))).status is Status.FAILED


def test_a_composition_is_no_crystal():
    outcome = PercolationBarrier().run(Candidate(Kind.COMPOSITION, Composition("LiCl"), Origin("test")))
    assert outcome.status is Status.FAILED and "crystal" in outcome.note


def test_a_charged_up_file_is_outside_the_domain():
    structure = rock_salt("Li", "Br", 5.5)
    structure.append("O", [0.25, 0.25, 0.25])
    value = PercolationBarrier().run(candidate(structure)).values["percolation_barrier"]
    assert value.in_domain is False


def test_a_closed_direction_is_a_lower_bound_and_a_closed_crystal_a_rejection(monkeypatch):
    from ionsmith.landscape import bvse
    from ionsmith.simulate import percolation as module

    real = bvse.percolation

    def capped(ceiling):
        def run(structure, mobile, *, resolution, cutoff):
            found = real(structure, mobile, resolution=resolution, cutoff=cutoff)
            openings = bvse.percolate_field(found.field, ceiling=ceiling)
            return bvse.Percolation(openings, found.field, found.framework, found.oxidation, resolution, cutoff)

        return run

    layered = Structure(
        Lattice.orthorhombic(3.0, 3.0, 9.0), ["Li", "O", "Li"], [[0] * 3, [0.5, 0.5, 0.5], [0.5, 0.5, 0.1]]
    )
    levels = real(layered).barriers
    assert levels[0] < levels[2]
    monkeypatch.setattr(module, "percolation", capped((levels[0] + levels[2]) / 2))
    outcome = PercolationBarrier().run(candidate(layered))
    assert outcome.status is Status.OK
    assert outcome.values["percolation_barrier"].bound is Bound.LOWER
    monkeypatch.setattr(module, "percolation", capped(levels[0] / 2))
    closed = PercolationBarrier().run(candidate(layered))
    assert closed.status is Status.REJECTED and "does not percolate" in closed.note


def test_settings_are_checked_by_the_engine():
    with pytest.raises(InputError):
        from ionsmith.landscape import percolation

        percolation(rock_salt("Li", "Cl", 5.13), cutoff=-1.0)
