"""Molecular dynamics: resuming bit by bit, equilibration, and the simulator from crystal to conductivity."""

import json
import math

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from ionsmith.core.errors import DataError, InputError, PhysicsError
from ionsmith.core.records import Bound, Candidate, Kind, Origin, Status
from ionsmith.report.panels import md as panel
from ionsmith.simulate import md as module
from ionsmith.simulate.diffusion import diffusivity
from ionsmith.simulate.md import MolecularDynamics, analysed_files
from ionsmith.simulate.md_cell import relaxed_cell
from ionsmith.simulate.md_equilibrium import drift, equilibrated
from ionsmith.simulate.md_run import MdSettings, run_md
from ionsmith.simulate.md_scratch import kept_cell, scratch_folder
from ionsmith.simulate.trajectory import Recorder, Trajectory
from ionsmith.testing import formula, rock_salt

SETTINGS = MdSettings(duration=0.2, step=2.0, sample=10.0, seed=3)


def gold(a=4.08):
    return Structure.from_spacegroup("Fm-3m", Lattice.cubic(a), ["Cu"], [[0, 0, 0]])


def crystal(structure):
    return Candidate(Kind.CRYSTAL, structure, Origin("test", "test:crystal"))


def run(folder, settings=SETTINGS, potential="emt", temperature=600.0, structure=None):
    return run_md(structure or gold(), temperature, settings=settings, potential_name=potential, folder=folder)


def test_a_resumed_run_repeats_an_uninterrupted_one_bit_by_bit(tmp_path, monkeypatch):
    monkeypatch.setattr("ionsmith.simulate.md_run.PIECE", 0.05)
    whole = run(tmp_path / "whole")
    run(tmp_path / "parts", MdSettings(duration=0.1, step=2.0, sample=10.0, seed=3))
    assert len(list((tmp_path / "parts").glob("piece-*.npz"))) == 2
    parts = run(tmp_path / "parts")
    assert np.array_equal(whole.positions, parts.positions)
    assert np.array_equal(whole.energies, parts.energies)
    assert np.array_equal(run(None).positions, whole.positions)
    again = run(tmp_path / "whole")  # finished: read, not computed
    assert np.array_equal(again.positions, whole.positions)


def test_chgnet_also_resumes_bit_by_bit(tmp_path, monkeypatch):
    monkeypatch.setattr("ionsmith.simulate.md_run.PIECE", 0.008)
    structure = rock_salt().structure
    settings = MdSettings(duration=0.016, step=2.0, sample=4.0)
    whole = run(None, settings, "chgnet", 900.0, structure)
    run(tmp_path, MdSettings(duration=0.008, step=2.0, sample=4.0), "chgnet", 900.0, structure)
    assert np.array_equal(run(tmp_path, settings, "chgnet", 900.0, structure).positions, whole.positions)


def test_a_half_written_piece_is_ignored(tmp_path, monkeypatch):
    monkeypatch.setattr("ionsmith.simulate.md_run.PIECE", 0.05)
    first = run(tmp_path)
    (tmp_path / "piece-00004.npz").rename(tmp_path / "piece-00004.part")
    assert np.array_equal(run(tmp_path).positions, first.positions)


def test_a_folder_of_another_run_is_refused(tmp_path):
    run(tmp_path)
    with pytest.raises(DataError, match="expected pieces of"):
        run(tmp_path, temperature=700.0)
    with pytest.raises(DataError, match="expected pieces of"):
        Recorder(tmp_path, settings="other")


def test_seeds_differ_and_the_temperature_is_kept():
    one = run(None, MdSettings(duration=0.1, sample=10.0, seed=1))
    two = run(None, MdSettings(duration=0.1, sample=10.0, seed=2))
    assert not np.array_equal(one.positions, two.positions)
    assert one.temperature == 600.0
    assert one.interval == pytest.approx(0.01)


def test_what_blows_up_is_refused():
    with pytest.raises(PhysicsError, match="blew up"):
        run(None, MdSettings(duration=0.1, step=10.0, sample=10.0), structure=gold(2.0))
    with pytest.raises(PhysicsError, match="emt has no answer"):
        run(None, structure=rock_salt().structure)
    with pytest.raises(PhysicsError, match="emt has no answer"):
        relaxed_cell(rock_salt().structure, "emt")


def test_relaxation_finds_the_cell_of_the_potential():
    assert relaxed_cell(gold(3.7), "emt").lattice.a == pytest.approx(3.59, abs=0.02)


def series(energies):
    frames = len(energies)
    return Trajectory(np.array([3]), np.eye(3), np.zeros((frames, 1, 3)), 0.1, 500.0, np.asarray(energies))


def test_equilibration_is_judged_by_the_drift_of_the_energy():
    rng = np.random.default_rng(0)
    noise = rng.standard_normal(400)
    assert equilibrated(series(noise)) == (pytest.approx(0.1 * 39.9), "")
    settling = noise + 400.0 * np.exp(-np.arange(400) / 20.0)
    begin, text = equilibrated(series(settling))
    assert 3.9 < begin <= 16.0
    assert text == ""
    begin, text = equilibrated(series(noise + 0.05 * np.arange(400)))
    assert "500 K: not in equilibrium" in text
    assert drift(np.zeros(5)) == 0.0
    assert equilibrated(Trajectory(np.array([3]), np.eye(3), np.zeros((5, 1, 3)), 0.1)) == (0.0, "")


def hopping(structure, temperature, *, settings, potential_name, folder):
    """Stands for dynamics: ions hop with 0.25 eV, the others stay."""
    rng = np.random.default_rng(round(temperature))
    numbers = np.array([site.specie.Z for site in structure])
    rate = 20.0 * math.exp(-0.25 / (8.617e-5 * temperature)) * (1.0 if hopping.moves else 0.0)
    tries = rng.poisson(rate * settings.interval, (settings.frames, len(numbers), 3))
    steps = 2.0 * (2 * rng.binomial(tries, 0.5) - tries) * (numbers == 3)[None, :, None]
    positions = structure.cart_coords + np.cumsum(steps, axis=0) + 0.1 * rng.standard_normal(steps.shape)
    energies = rng.standard_normal(settings.frames)
    return Trajectory(numbers, structure.lattice.matrix, positions, settings.interval, temperature, energies)


@pytest.fixture
def fake(monkeypatch):
    monkeypatch.setattr(module, "run_md", hopping)
    monkeypatch.setattr(hopping, "moves", True, raising=False)


def test_from_crystal_to_conductivity(fake):
    outcome = MolecularDynamics(relax=False, min_length=7.0).run(rock_salt())
    assert outcome.status is Status.OK, outcome.note
    energy, sigma = outcome.values["activation_energy"], outcome.values["log10_conductivity"]
    assert abs(energy.mean - 0.25) < 3 * energy.std + 0.01
    details = outcome.details
    low, high = details["activation_energy_interval95_eV"]
    assert low < energy.mean < high
    assert sigma.mean == pytest.approx(details["log10_conductivity_300K"], abs=1e-3)
    assert sigma.std > module.MODEL_SPREAD
    assert [t["temperature_K"] for t in details["temperatures"]] == [600.0, 800.0, 1000.0]
    assert details["haven_ratio_assumed"] == 1.0
    assert details["files"]["msd.csv"].startswith("temperature_K,lag_ps")
    assert len(json.dumps(dict(details))) < 60_000
    drawn = panel.panel(details, None)
    assert len(drawn.figures) == 2
    assert panel.panel({}, None) is None


def test_a_poor_conductor_is_called_poor(fake, monkeypatch):
    monkeypatch.setattr(hopping, "moves", False)
    outcome = MolecularDynamics(relax=False, min_length=7.0).run(rock_salt())
    sigma, energy = outcome.values["log10_conductivity"], outcome.values["activation_energy"]
    assert (sigma.bound, energy.bound) == (Bound.UPPER, Bound.LOWER)
    assert sigma.mean < -6.0
    assert "upper limit" in " ".join(outcome.details["warnings"])
    assert len(panel.panel(outcome.details, None).figures) == 2


def test_a_haven_ratio_below_one_raises_the_conductivity(fake):
    plain = MolecularDynamics(relax=False, min_length=7.0).run(rock_salt())
    half = MolecularDynamics(relax=False, min_length=7.0, haven=0.5).run(rock_salt())
    gain = half.values["log10_conductivity"].mean - plain.values["log10_conductivity"].mean
    assert gain == pytest.approx(math.log10(2.0))


def test_what_the_simulator_refuses(fake):
    simulator = MolecularDynamics(relax=False, min_length=7.0)
    assert "no Li in MgO" in simulator.run(rock_salt("Mg", "O", a=4.21)).note
    assert simulator.run(formula("LiF")).status is Status.FAILED
    small = MolecularDynamics(relax=False, min_length=9.0, max_sites=20)
    assert "supercell of at most 20 atoms" in small.run(rock_salt()).note
    assert MolecularDynamics(relax=False, duration=0.8, min_length=5.0).run(rock_salt()).status is Status.REJECTED


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"duration": 0.0}, "expected duration above zero"),
        ({"temperatures": (300.0, -1.0)}, "expected temperatures above zero"),
        ({"temperatures": (300.0, 300.0)}, "two different temperatures"),
        ({"max_sites": 0}, "max_sites of at least 1"),
        ({"potential": "nonsense"}, "nonsense"),
    ],
)
def test_settings_that_cannot_work(changes, words):
    with pytest.raises(InputError, match=words):
        MolecularDynamics(**changes)


def test_the_fingerprint_follows_the_settings_but_not_the_scratch_folder():
    assert MolecularDynamics().fingerprint == MolecularDynamics(scratch="/tmp/x").fingerprint
    assert MolecularDynamics().fingerprint != MolecularDynamics(seed=1).fingerprint


def test_scratch_keeps_the_prepared_cell(tmp_path):
    assert scratch_folder("", rock_salt(), "x") is None
    folder = scratch_folder(str(tmp_path), rock_salt(), "x")
    first = kept_cell(folder, lambda: rock_salt().structure)
    again = kept_cell(folder, lambda: pytest.fail("prepared twice"))
    assert np.allclose(first.cart_coords, again.cart_coords)


def test_trajectories_from_elsewhere_go_the_same_way():
    hopping.moves = True
    settings = MdSettings(duration=20.0)
    supercell = rock_salt().structure * (2, 2, 2)
    runs = [hopping(supercell, t, settings=settings, potential_name="", folder=None) for t in (600.0, 900.0)]
    details = analysed_files(runs, mobile="Li")
    assert details["fitted_temperatures"] == 2
    assert details["temperatures"][0]["hops"] > 0
    with pytest.raises(InputError, match="trajectories of one crystal"):
        analysed_files([runs[0], series(np.zeros(20))], mobile="Li")
    assert diffusivity(runs[0]).mean > 0.0
