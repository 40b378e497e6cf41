"""The landscape simulator: values, details and reasons."""

import json
import pickle

import pytest
from pymatgen.core import Composition, Lattice, Structure

from ionsmith.core.protocols import Simulator
from ionsmith.core.records import Bound, Candidate, Kind, Origin, Status
from ionsmith.core.registry import lookup
from ionsmith.simulate.landscape import LandscapeAnalysis


def candidate(structure):
    return Candidate(Kind.CRYSTAL, structure, Origin("test"))


def rock_salt(cation, anion, length):
    return Structure.from_spacegroup("Fm-3m", Lattice.cubic(length), [cation, anion], [[0, 0, 0], [0.5, 0.5, 0.5]])


def test_values_and_details():
    simulator = pickle.loads(pickle.dumps(LandscapeAnalysis()))  # noqa: S301
    assert isinstance(simulator, Simulator) and lookup("simulator", "landscape") is LandscapeAnalysis
    assert simulator.fingerprint != LandscapeAnalysis(resolution=0.25).fingerprint
    outcome = simulator.run(candidate(rock_salt("Li", "Cl", 5.13)))
    assert outcome.status is Status.OK and set(outcome.values) == set(LandscapeAnalysis.provides)
    assert outcome.values["activation_energy"].mean == pytest.approx(
        outcome.values["percolation_barrier"].mean, abs=0.1
    )
    document = json.loads(json.dumps(outcome.details, allow_nan=False))
    assert document["paths"][0]["energy_eV"] and document["hops"] and document["diffusivity_cm2_s"] > 0


@pytest.mark.parametrize(
    ("item", "status"),
    [
        (candidate(rock_salt("Na", "Cl", 5.64)), Status.REJECTED),
        (Candidate(Kind.COMPOSITION, Composition("LiCl"), Origin("test")), Status.FAILED),
    ],
)
def test_reasons(item, status):
    outcome = LandscapeAnalysis().run(item)
    assert outcome.status is status and outcome.note


def test_a_closed_direction_is_a_lower_bound_and_a_dead_end_has_no_activation_energy(monkeypatch):
    from dataclasses import replace

    from ionsmith.simulate import landscape as module

    real = module.analyse

    def closed(found):
        result = real(found)
        hops = tuple(h for h in result.network.hops if h.start != h.end)[:0]
        return replace(result, network=replace(result.network, hops=hops), activation_energy=float("inf"))

    monkeypatch.setattr(module, "analyse", closed)
    outcome = LandscapeAnalysis().run(candidate(rock_salt("Li", "Cl", 5.13)))
    assert outcome.values["percolation_barrier"].bound is Bound.LOWER
    assert "activation_energy" not in outcome.values
