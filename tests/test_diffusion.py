"""Diffusion analysis: walks of known diffusivity, limits, melting, Arrhenius lines, other people's files."""

import json
import math

import numpy as np
import pytest
from ase import Atoms
from ase.io import write

from ionsmith.core.errors import DataError, InputError, PhysicsError
from ionsmith.core.physics import BOLTZMANN_EV
from ionsmith.data import aimd
from ionsmith.simulate.diffusion import Diffusivity, count_hops, diffusivity, no_hop_bound, truncated
from ionsmith.simulate.diffusion_arrhenius import arrhenius, msd_table, nernst_einstein
from ionsmith.simulate.trajectory import Trajectory
from ionsmith.simulate.trajectory_read import read_trajectory, unwrap


def walk(seed, *, rate=0.2, ions=24, frames=400, melt=0.0, temperature=600.0):
    """Ions that hop 2 angstrom along each axis at a rate (1/ps) among 20 framework atoms that may creep."""
    rng = np.random.default_rng(seed)
    tries = rng.poisson(rate * 0.05, (frames, ions, 3))
    mobile = np.cumsum(2.0 * (2 * rng.binomial(tries, 0.5) - tries), axis=0)
    others = np.cumsum(melt * rng.standard_normal((frames, 20, 3)), axis=0)
    drift = np.linspace(0.0, 30.0, frames)[:, None, None]
    noise = 0.1 * rng.standard_normal((frames, ions + 20, 3))
    positions = np.concatenate([mobile, others], axis=1) + noise + drift
    return Trajectory(np.array([3] * ions + [16] * 20), 10.0 * np.eye(3), positions, 0.05, temperature)


def slow(*values):
    return pytest.param(*values, marks=pytest.mark.slow)


def exact(rate):
    return rate * 2.0**2 / 2.0 * 1e-4


@pytest.mark.parametrize(("rate", "ions", "frames"), [(0.2, 12, 200), slow(0.5, 24, 400), slow(0.05, 24, 300)])
def test_a_walk_of_known_diffusivity_is_recovered_within_the_95_percent_interval_in_90_of_100_seeds(
    rate, ions, frames
):
    found = [diffusivity(walk(seed, rate=rate, ions=ions, frames=frames)) for seed in range(100)]
    assert sum(d.low <= exact(rate) <= d.high for d in found) >= 90
    assert np.mean([d.mean for d in found]) == pytest.approx(exact(rate), rel=0.1)


def test_drift_is_no_diffusion():
    assert diffusivity(walk(1, rate=0.0)).bound_only


def test_no_hop_gives_a_limit():
    found = diffusivity(walk(1, rate=0.0))
    assert (found.mean, found.low, found.hops) == (0.0, 0.0, 0)
    assert found.high == pytest.approx(-math.log(0.05) * 9.0 / (6 * 24 * found.duration) * 1e-4)
    assert no_hop_bound(10, 10.0) == pytest.approx(10 * no_hop_bound(10, 100.0))
    assert any("0 hops" in line for line in found.warnings)


def test_hops_are_counted_and_vibrations_are_not():
    rng = np.random.default_rng(0)
    places = 0.2 * rng.standard_normal((200, 3, 3))
    assert count_hops(places, 0.05) == 0
    places[80:, 1, 0] += 3.0
    places[150:, 1, 0] -= 3.0
    assert count_hops(places, 0.05) == 2


def test_a_framework_that_moves_is_seen():
    assert diffusivity(walk(2, melt=0.15)).melted
    assert not diffusivity(walk(2)).melted


def test_the_line_may_start_where_the_user_says():
    assert diffusivity(walk(3), start=2.0).start == 2.0
    with pytest.raises(PhysicsError, match="at least three time lags beyond 15 ps"):
        diffusivity(walk(3), start=15.0)


def test_a_normal_distribution_cut_at_zero():
    mean, std, low, high = truncated(10.0, 1.0)
    assert (mean, std) == pytest.approx((10.0, 1.0), rel=1e-6)
    assert (low, high) == pytest.approx((8.04, 11.96), abs=0.01)
    mean, _, low, high = truncated(0.0, 1.0)  # half-normal
    assert mean == pytest.approx(math.sqrt(2.0 / math.pi))
    assert (low, high) == pytest.approx((0.0313, 2.241), abs=0.001)


def test_trajectories_that_cannot_be_analysed():
    with pytest.raises(InputError, match="no Na among its atoms"):
        diffusivity(walk(1), "Na")
    with pytest.raises(InputError, match="expected an element as mobile ion, got 'Lithium'"):
        diffusivity(walk(1), "Lithium")
    with pytest.raises(InputError, match="at least 10 frames, got 5"):
        diffusivity(walk(1, frames=5))


@pytest.mark.parametrize(
    ("positions", "interval", "words"),
    [
        (np.zeros((4, 3, 3)), 1.0, "expected positions"),
        (np.zeros((1, 2, 3)), 1.0, "at least two frames"),
        (np.full((4, 2, 3), np.nan), 1.0, "not finite"),
        (np.zeros((4, 2, 3)), 0.0, "time between frames above zero"),
    ],
)
def test_arrays_that_are_no_trajectory(positions, interval, words):
    with pytest.raises(InputError, match=words):
        Trajectory(np.array([3, 9]), np.eye(3), positions, interval)


def point(temperature, mean, *, spread=0.1, **changes):
    none = np.zeros(0)
    given = {"std": spread * mean, "low": 0.8 * mean, "high": 1.2 * mean} | changes
    rest = (none, none, none, none, 1.0, 100, 20, 1000.0, 50.0)
    return Diffusivity(
        temperature, mean, given["std"], given["low"], given["high"], *rest, given.get("melted", False)
    )


def line(temperature, energy=0.3, prefactor=1e-3):
    return prefactor * math.exp(-energy / (BOLTZMANN_EV * temperature))


def test_an_exact_arrhenius_line():
    found = arrhenius([point(t, line(t)) for t in (600.0, 800.0, 1000.0)])
    assert found.activation_energy == pytest.approx(0.3)
    assert found.log10_prefactor == pytest.approx(-3.0)
    assert found.log10_diffusivity()[0] == pytest.approx(math.log10(line(300.0)))
    sigma = nernst_einstein(line(300.0), 20 / 1000.0 * 1e24, 300.0)
    assert found.log10_conductivity()[0] == pytest.approx(math.log10(sigma))
    half = (
        BOLTZMANN_EV
        * 0.1
        / math.sqrt(sum((1 / t - (1 / 600 + 1 / 800 + 1 / 1000) / 3) ** 2 for t in (600, 800, 1000)))
    )
    assert found.activation_energy_std == pytest.approx(half)
    assert any("300 K lies 2.5 times" in text for text in found.warnings)


def test_the_intervals_of_energy_and_conductivity_cover_the_truth():
    rng = np.random.default_rng(5)
    energy = conductivity = 0
    for _ in range(200):
        factors = np.exp(0.1 * rng.standard_normal(4))
        found = arrhenius(
            [point(t, line(t) * f) for t, f in zip((600.0, 700.0, 850.0, 1000.0), factors, strict=True)]
        )
        document = found.details()
        low, high = document["activation_energy_interval95_eV"]
        energy += low <= 0.3 <= high
        low, high = document["log10_conductivity_interval95"]
        truth = math.log10(nernst_einstein(line(300.0), found.density, 300.0))
        conductivity += low <= truth <= high
    assert energy >= 180
    assert conductivity >= 180


def test_without_two_temperatures_there_is_only_a_limit():
    found = arrhenius(
        [point(1000.0, 0.0, std=0.0, low=0.0, high=1e-6), point(800.0, 0.0, std=0.0, low=0.0, high=1e-6)]
    )
    assert found.bound_only
    barrier = BOLTZMANN_EV * 1000.0 * math.log(9e-16 * 1e13 / 6.0 / 1e-6)
    assert found.activation_energy == pytest.approx(barrier)
    assert "activation_energy_interval95_eV" not in found.details()


def test_melted_and_silent_temperatures_are_left_out_of_the_line():
    points = [point(t, line(t)) for t in (600.0, 800.0)]
    silent = point(500.0, 0.0, std=0.0, low=0.0, high=1e-9)
    found = arrhenius([*points, point(1200.0, 1e-2, melted=True), silent])
    assert found.fitted == 2
    assert found.activation_energy == pytest.approx(0.3)
    assert any("1200 K left out" in text for text in found.warnings)
    assert any("500 K: no hop, although" in text for text in found.warnings)


def test_nernst_einstein():
    # 1e22 ions per cm3 at 1e-8 cm2/s and 300 K: n e^2 D / kT
    assert nernst_einstein(1e-8, 1e22, 300.0) == pytest.approx(6.197e-4, rel=1e-3)
    assert nernst_einstein(1e-8, 1e22, 300.0, charge=2, haven=0.5) == pytest.approx(8 * 6.197e-4, rel=1e-3)
    with pytest.raises(InputError, match="above zero"):
        nernst_einstein(1e-8, 1e22, 0.0)
    with pytest.raises(InputError, match="diffusivities above 0 K"):
        arrhenius([])


def test_the_table_of_displacements():
    text = msd_table([diffusivity(walk(1))]).splitlines()
    assert text[0] == "temperature_K,lag_ps,msd_A2,msd_std_A2,framework_msd_A2"
    assert all(len(row.split(",")) == 5 for row in text)


def lithium(frames=12):
    """Two atoms, one of which runs across the cell face again and again."""
    rng = np.random.default_rng(1)
    run = np.linspace(0.0, 2.2, frames)
    places = np.stack([np.stack([run, 0 * run, 0 * run], 1), np.full((frames, 3), 0.5)], 1)
    places[:, 1] += 0.001 * rng.standard_normal((frames, 3))
    return places


@pytest.mark.parametrize("name", ["run.traj", "run.extxyz", "XDATCAR"])
def test_files_of_others_are_unwrapped(tmp_path, name):
    places = lithium()
    frames = [Atoms("LiF", scaled_positions=p % 1.0, cell=[4.0, 5.0, 6.0], pbc=True) for p in places]
    path = tmp_path / name
    write(path, frames, **({"format": "vasp-xdatcar"} if name == "XDATCAR" else {}))
    found = read_trajectory(path, interval=100.0, temperature=700.0)
    assert found.interval == pytest.approx(0.1)
    assert found.positions[-1, 0, 0] - found.positions[0, 0, 0] == pytest.approx(2.2 * 4.0, abs=1e-4)
    assert found.numbers.tolist() == [3, 9]


def test_a_lammps_dump(tmp_path):
    text = []
    for n, frame in enumerate(lithium()):
        text += [f"ITEM: TIMESTEP\n{n}\nITEM: NUMBER OF ATOMS\n2", "ITEM: BOX BOUNDS pp pp pp\n0 4\n0 5\n0 6"]
        text += ["ITEM: ATOMS id type xs ys zs"]
        text += [f"{k + 1} {k + 1} {x % 1} {y % 1} {z % 1}" for k, (x, y, z) in enumerate(frame)]
    path = tmp_path / "run.lammpstrj"
    path.write_text("\n".join(text) + "\n")
    found = read_trajectory(path, interval=100.0, temperature=700.0, species=["Li", "F"])
    assert found.numbers.tolist() == [3, 9]
    assert found.positions[-1, 0, 0] - found.positions[0, 0, 0] == pytest.approx(8.8, abs=1e-4)


def test_unwrapping_follows_the_nearest_image():
    path = np.array([0.0, 0.4, 0.8, 1.2, 1.6, 2.0])[:, None, None] * np.ones((1, 1, 3))
    assert unwrap(path % 1.0)[-1] == pytest.approx(2.0)


def test_files_that_are_no_trajectory(tmp_path):
    with pytest.raises(InputError, match="expected a trajectory file, got none"):
        read_trajectory(tmp_path / "none", interval=1.0, temperature=300.0)
    text = tmp_path / "text.extxyz"
    text.write_text("not a number\n")
    with pytest.raises(InputError, match="cannot be read as a trajectory"):
        read_trajectory(text, interval=1.0, temperature=300.0)
    with pytest.raises(InputError, match="interval and temperature above zero"):
        read_trajectory(text, interval=0.0, temperature=300.0)
    one = Atoms("LiF", positions=np.eye(3)[:2], cell=[4.0, 5.0, 6.0], pbc=True)
    for frames, words in (
        ([one], "at least two frames"),
        ([one, Atoms("LiCl", positions=np.eye(3)[:2], cell=[4.0, 5.0, 6.0], pbc=True)], "other atoms"),
        ([Atoms("LiF", positions=np.eye(3)[:2])] * 2, "no three-dimensional cell"),
        ([one, Atoms("LiF", positions=np.eye(3)[:2], cell=[8.0, 5.0, 6.0], pbc=True)], "not one crystal"),
    ):
        path = tmp_path / "some.traj"
        write(path, frames)
        with pytest.raises(InputError, match=words):
            read_trajectory(path, interval=1.0, temperature=300.0)


def test_the_command_line(tmp_path):
    from typer.testing import CliRunner

    from ionsmith.cli import app

    arguments = ["diffusion", "--interval", "50", "--csv", str(tmp_path / "msd.csv")]
    for temperature, rate in ((600.0, 0.05), (900.0, 0.3)):
        run = walk(4, rate=rate, temperature=temperature)
        symbols = ["Li"] * 24 + ["S"] * 20
        frames = [Atoms(symbols, positions=p, cell=run.cell, pbc=True) for p in run.positions]
        for frame in frames:
            frame.wrap()
        write(tmp_path / f"{temperature:g}.extxyz", frames)
        arguments.append(f"{tmp_path}/{temperature:g}.extxyz={temperature:g}")
    done = CliRunner().invoke(app, [*arguments, "--json"])
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert document["fitted_temperatures"] == 2
    assert (tmp_path / "msd.csv").read_text().startswith("temperature_K")
    assert "activation energy" in CliRunner().invoke(app, arguments).stdout
    wrong = CliRunner().invoke(app, ["diffusion", "--interval", "50", "run.xyz"])
    assert isinstance(wrong.exception, InputError)
    assert "expected FILE=KELVIN" in str(wrong.exception)


@pytest.mark.mirror
def test_the_aimd_runs():
    runs = aimd.load_aimd()
    assert len(runs) == 36
    assert len({run.material for run in runs}) == 9
    run = runs[0]
    assert run.displacements.shape == (300, len(run.species), 3)
    assert run.interval == pytest.approx(0.2)


def test_an_aimd_file_without_its_fields(tmp_path, monkeypatch):
    path = tmp_path / "mp-1_800K.npz"
    np.savez(path, lattice=np.eye(3))
    monkeypatch.setattr(aimd.DataCard, "path", lambda self, name: path)
    with pytest.raises(DataError, match="missing species"):
        aimd._read("mp-1_800K")
