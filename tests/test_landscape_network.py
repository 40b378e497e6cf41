"""Sites, hops, paths and kinetics against landscapes and networks whose answers are known."""

import json
import math

import numpy as np
import pytest
from ase.io.cube import read_cube_data
from pymatgen.core import Lattice, Structure

from ionsmith.core.errors import InputError, PhysicsError
from ionsmith.core.physics import BOLTZMANN_EV
from ionsmith.landscape import (
    EnergyField,
    Hop,
    Network,
    Percolation,
    Site,
    accessible_volume,
    activation_energy,
    analyse,
    build_network,
    diffusivity,
    migration_path,
    percolate_field,
    percolation,
    write_cube,
    write_grd,
)
from ionsmith.landscape.network import windings_at
from ionsmith.landscape.surface import GridSurface, PairSurface, find_stationary

KT = BOLTZMANN_EV * 300.0
CUBE = np.eye(3) * 8.0


def waves(shape=(24, 20, 28), heights=(0.3, 0.5, 0.8), shift=(0.0, 0.0, 0.0)):
    """E = sum_i h_i (1 - cos 2 pi (x_i - s_i)) / 2: one well per cell, the saddle along axis i is h_i."""
    axes = [np.arange(n) / n - s for n, s in zip(shape, shift, strict=True)]
    terms = [h * (1 - np.cos(2 * np.pi * x)) / 2 for h, x in zip(heights, axes, strict=True)]
    return EnergyField((terms[0][:, None, None] + terms[1][None, :, None] + terms[2]).astype(np.float32), CUBE)


def landscape(field):
    return Percolation(percolate_field(field), field)


def graph(energies, hops, lattice=((1, 0, 0), (0, 1, 0), (0, 0, 1))):
    sites = tuple(Site(np.zeros(3), e, True) for e in energies)
    edges = sorted((Hop(a, b, cell, np.zeros(3), e, True) for a, b, cell, e in hops), key=lambda h: h.energy)
    return Network(sites, tuple(edges), np.asarray(lattice, dtype=float), 0.0, GridSurface(waves()))


def scale(energy):
    return 1e13 * 1e-16 * math.exp(-energy / KT)


# --- sites and saddles -------------------------------------------------------------------------------------------


def test_one_well_per_cell_and_its_three_saddles():
    network = build_network(landscape(waves()))
    assert len(network.sites) == 1
    lowest = [h for h in network.hops if h.refined][:3]
    assert [h.energy for h in lowest] == pytest.approx([0.3, 0.5, 0.8], abs=2e-4)
    assert [sorted(np.abs(h.cell)) for h in lowest] == [[0, 0, 1]] * 3
    away = lowest[0].fractional - [0.5, 0.0, 0.0]
    assert away - np.round(away) == pytest.approx(np.zeros(3), abs=1e-3)


@pytest.mark.parametrize("shift", [(0.013, 0.021, 0.008), (0.49, 0.3, 0.77)])
def test_levels_off_the_grid_do_not_feel_where_the_grid_lies(shift):
    assert build_network(landscape(waves(shift=shift))).levels() == pytest.approx((0.3, 0.5, 0.8), abs=1e-3)


def test_graph_without_refinement_repeats_the_grid_exactly():
    rng = np.random.default_rng(5)
    for _ in range(5):
        field = EnergyField(rng.random((7, 6, 8)).astype(np.float32), CUBE)
        found = landscape(field)
        levels = build_network(found, refine=False, shallow=0.0).levels()
        assert levels == pytest.approx(found.barriers, abs=1e-6)


def test_shallow_dips_are_part_of_their_neighbour():
    field = waves()
    rough = field.values + 0.005 * np.random.default_rng(1).random(field.shape).astype(np.float32)
    assert len(build_network(landscape(EnergyField(rough, CUBE)), refine=False).sites) == 1


def test_a_search_that_finds_nothing_says_so():
    surface = GridSurface(waves())
    top = np.array([[4.0, 4.0, 4.0]])  # a maximum: three negative curvatures
    assert not find_stationary(surface, top, saddle=True).converged[0]
    found = find_stationary(surface, np.array([[0.3, 0.2, 0.4]]), saddle=False)
    assert found.converged[0] and found.points[0] == pytest.approx([0, 0, 0], abs=1e-3)
    assert len(find_stationary(surface, np.zeros((0, 3)), saddle=False).points) == 0


def test_a_closed_landscape_has_no_network():
    field = waves()
    closed = Percolation(percolate_field(field, ceiling=0.1), field)
    with pytest.raises(PhysicsError, match="does not percolate"):
        build_network(closed)


# --- paths ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dimension", "barrier"), [(1, 0.3), (2, 0.5), (3, 0.8)])
def test_path_follows_the_known_saddle(dimension, barrier):
    path = migration_path(build_network(landscape(waves())), dimension)
    assert path.barrier == pytest.approx(barrier, abs=1e-3)
    assert path.energies.max() == pytest.approx(barrier, abs=1e-3)
    assert path.energies[[0, -1]] == pytest.approx([0.0, 0.0], abs=1e-3)
    assert path.length[-1] == pytest.approx(8.0, abs=0.02)
    assert path.points[-1] - path.points[0] == pytest.approx(np.array(path.cell) @ CUBE, abs=1e-6)


def test_profile_of_a_cosine_is_a_cosine():
    path = migration_path(build_network(landscape(waves())), 1)
    assert path.energies == pytest.approx(0.15 * (1 - np.cos(2 * np.pi * path.length / 8.0)), abs=2e-3)


def test_a_bent_channel_is_followed_round_the_bend():
    """A valley along y = 1.5 sin(2 pi x / 8): the straight line between sites would climb its wall."""
    x, y, z = (np.arange(40) / 40 * 8.0,) * 3
    grid = np.meshgrid(x, y, z, indexing="ij")
    off = (grid[1] - 4.0 - 1.5 * np.sin(2 * np.pi * grid[0] / 8.0)) ** 2 + (grid[2] - 4.0) ** 2
    field = EnergyField((0.2 * (1 - np.cos(2 * np.pi * grid[0] / 8.0)) / 2 + 2.0 * off).astype(np.float32), CUBE)
    path = migration_path(build_network(landscape(field)), 1)
    x = path.points[:, 0]
    assert path.points[:, 1] % 8.0 == pytest.approx(4.0 + 1.5 * np.sin(2 * np.pi * x / 8.0), abs=0.15)
    assert path.length[-1] > 9.5
    assert path.energies.max() < 0.25


def test_paths_need_a_dimension_that_percolates():
    network = graph([0.0], [(0, 0, (1, 0, 0), 0.3)])
    with pytest.raises(PhysicsError, match="2 dimensions"):
        migration_path(network, 2)
    with pytest.raises(PhysicsError, match="2 dimensions"):
        windings_at(network, 2)
    with pytest.raises(InputError, match="dimension"):
        migration_path(network, 4)
    far = graph([0.0], [(0, 0, (5, 0, 0), 0.3)])
    with pytest.raises(PhysicsError, match="within 3 cells"):
        migration_path(far, 1)


def test_accessible_volume_counts_points():
    values = np.full((4, 4, 4), 1.0, np.float32)
    values[0] = 0.0
    values[1] = 0.2
    field = EnergyField(values, CUBE)
    assert accessible_volume(field, (0.0, 5.0, 8.0, 50.0)) == {0.0: 0.25, 5.0: 0.25, 8.0: 0.5, 50.0: 1.0}
    with pytest.raises(InputError, match="temperature"):
        accessible_volume(field, temperature=0.0)


# --- kinetics ------------------------------------------------------------------------------------------------------


def test_a_simple_lattice_hops_with_its_rate():
    """D = nu a^2 exp(-E / kT) along each axis of a lattice with one site (two hops per direction, half each)."""
    found = diffusivity(graph([0.0], [(0, 0, (1, 0, 0), 0.3), (0, 0, (0, 1, 0), 0.4)], np.diag([2.0, 3.0, 4.0])))
    assert np.diag(found.diffusivity) == pytest.approx([4 * scale(0.3), 9 * scale(0.4), 0.0], rel=1e-9)
    assert found.mean == pytest.approx((4 * scale(0.3) + 9 * scale(0.4)) / 3)


def test_barriers_in_series_and_in_parallel():
    weak, strong = 0.9, 0.1
    series = graph([0.0, 0.0], [(0, 1, (0, 0, 0), strong), (1, 0, (1, 0, 0), weak)])
    one, two = 0.5 * scale(strong), 0.5 * scale(weak)
    assert diffusivity(series).diffusivity[0, 0] == pytest.approx(one * two / (one + two), rel=1e-9)
    parallel = graph([0.0], [(0, 0, (1, 0, 0), strong), (0, 0, (1, 0, 0), weak)])
    assert diffusivity(parallel).diffusivity[0, 0] == pytest.approx(scale(strong) + scale(weak), rel=1e-9)


def test_honeycomb_and_tetrahedral_networks_have_their_textbook_diffusivity():
    """D = rate z a^2 / (2 d): honeycomb z = 3, d = 2 and diamond z = 4, d = 3, bond length a."""
    hexagonal = np.array([[np.sqrt(3), 0, 0], [np.sqrt(3) / 2, 1.5, 0], [0, 0, 1]])  # bond length one
    hops = [(0, 1, (0, 0, 0), 0.2), (0, 1, (-1, 0, 0), 0.2), (0, 1, (0, -1, 0), 0.2)]
    found = diffusivity(graph([0.0, 0.0], hops, hexagonal)).diffusivity
    assert found[:2, :2] == pytest.approx(scale(0.2) * 3 / 4 * np.eye(2), rel=1e-9)
    fcc = np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]) * 2 / np.sqrt(3)
    hops = [(0, 1, cell, 0.2) for cell in ((0, 0, 0), (-1, 0, 0), (0, -1, 0), (0, 0, -1))]
    found = diffusivity(graph([0.0, 0.0], hops, fcc)).diffusivity
    assert found == pytest.approx(scale(0.2) * 4 / 6 * np.eye(3), rel=1e-9)


def test_a_random_walk_agrees_with_the_tensor():
    """Kinetic Monte Carlo on a crooked two-site network with unequal energies, against the exact tensor."""
    energies, lattice = [0.0, 0.03], np.diag([2.0, 3.0, 1.0])
    hops = [(0, 1, (0, 0, 0), 0.05), (1, 0, (1, 0, 0), 0.08), (0, 1, (0, 1, 0), 0.07), (0, 0, (1, 1, 0), 0.1)]
    exact = np.diag(diffusivity(graph(energies, hops, lattice)).diffusivity)
    exits = {0: [], 1: []}
    for a, b, cell, e in hops:
        exits[a].append((b, cell, math.exp(-(e - energies[a]) / KT)))
        exits[b].append((a, tuple(-c for c in cell), math.exp(-(e - energies[b]) / KT)))
    rng, walkers = np.random.default_rng(2), 6000
    site = (rng.random(walkers) > 1 / (1 + math.exp(-0.03 / KT))).astype(int)
    cell, time = np.zeros((walkers, 3)), np.zeros(walkers)
    for _ in range(200):
        draw, now = rng.random(walkers), site.copy()
        for here, ways in exits.items():
            rates = np.array([rate for *_, rate in ways])
            pick = np.searchsorted(np.cumsum(rates) / rates.sum(), draw[now == here])
            site[now == here] = np.array([way[0] for way in ways])[pick]
            cell[now == here] += np.array([way[1] for way in ways])[pick]
            time[now == here] += 1.0 / rates.sum()
    walked = ((cell @ lattice) ** 2).sum(axis=0) / (2.0 * time.sum()) * 1e13 * 1e-16
    assert walked[:2] == pytest.approx(exact[:2], rel=0.06)  # three standard errors


def test_no_digit_is_lost_when_a_cage_hops_a_billion_times_faster():
    """Cages of four sites joined by a barrier of 2.2 eV at 300 K: conductances differ by exp(80)."""
    ring = [(n, (n + 1) % 4, (0, 0, 0), 0.12) for n in range(4)]
    network = graph([0.0] * 4, [*ring, (0, 2, (1, 0, 0), 2.2)])
    assert diffusivity(network).diffusivity[0, 0] == pytest.approx(0.25 * scale(2.2), rel=1e-6)
    moved = graph([0.0] * 4, [(0, 1, (3, 0, 0), 0.12), (1, 2, (-1, 0, 0), 0.12), (2, 3, (0, 0, 0), 0.12),
                              (3, 0, (-2, 0, 0), 0.12), (0, 2, (3, 0, 0), 2.2)])  # fmt: skip
    assert diffusivity(moved).diffusivity[0, 0] == pytest.approx(0.25 * scale(2.2), rel=1e-6)


def test_filled_sites_block():
    network = graph([0.0], [(0, 0, (1, 0, 0), 0.3)])
    half = diffusivity(network, ions=0.5)
    assert half.diffusivity[0, 0] == pytest.approx(0.5 * scale(0.3), rel=1e-9)
    assert half.mobile_share == pytest.approx(0.5)
    two = graph([0.0, 0.4], [(0, 1, (0, 0, 0), 0.5), (1, 0, (1, 0, 0), 0.5)])
    full = diffusivity(two, ions=1.0)  # the low site full: what moves is thermally excited
    assert full.diffusivity[0, 0] < diffusivity(two).diffusivity[0, 0]
    for ions in (0.0, 2.0, 3.0):
        with pytest.raises(InputError, match="number of ions"):
            diffusivity(two, ions=ions)


def test_activation_energy_is_the_barrier_of_one_hop():
    assert activation_energy(graph([0.0], [(0, 0, (1, 0, 0), 0.42)])) == pytest.approx(0.42)
    assert activation_energy(graph([0.0, 0.0], [(0, 1, (0, 0, 0), 0.1)])) == math.inf
    for bad in ({"temperature": 0.0}, {"attempt_frequency": -1.0}):
        with pytest.raises(InputError, match="above zero"):
            diffusivity(graph([0.0], [(0, 0, (1, 0, 0), 0.42)]), **bad)


# --- real crystals -------------------------------------------------------------------------------------------------


def olivine_like(shift=(0.0, 0.0, 0.0)):
    """Tetragonal Li2O-like crystal without much symmetry to lean on."""
    lattice = Lattice.from_parameters(4.4, 4.9, 5.6, 88, 95, 93)
    places = [[0.25, 0.25, 0.25], [0.75, 0.7, 0.3], [0.0, 0.02, 0.01], [0.52, 0.5, 0.0], [0.2, 0.7, 0.72]]
    return Structure(lattice, ["Li", "Li", "O", "O", "Si"], np.array(places) + shift)


def test_pair_surface_is_the_grid_field_and_its_gradient_is_right():
    found = percolation(olivine_like(), cutoff=8.0)
    surface = PairSurface(found.framework, 8.0)
    index = np.argsort(found.field.values.ravel())[:50]
    points = np.array([found.field.fractional(int(i)) for i in index]) @ found.field.lattice
    energies, gradients = surface.evaluate(points)
    assert energies == pytest.approx(found.field.values.ravel()[index], abs=2e-4)
    for axis in range(3):
        ahead, behind = (surface.evaluate(points + s * 1e-4 * np.eye(3)[axis])[0] for s in (1, -1))
        assert gradients[:, axis] == pytest.approx((ahead - behind) / 2e-4, abs=1e-4)


def test_translation_supercell_and_rotation_leave_the_levels_alone():
    base = build_network(percolation(olivine_like())).levels()
    moved = build_network(percolation(olivine_like((0.037, 0.411, 0.083)))).levels()
    assert moved == pytest.approx(base, abs=1e-3)
    doubled = olivine_like()
    doubled.make_supercell([[1, 1, 0], [0, 1, 0], [0, 0, 2]])
    assert build_network(percolation(doubled)).levels() == pytest.approx(base, abs=1e-3)


def test_analysis_is_complete_and_ready_for_json():
    found = analyse(percolation(olivine_like()))
    document = json.loads(json.dumps(found.details(), allow_nan=False))
    assert len(document["paths"]) == 3
    nearest = document["paths"][0]["bottleneck_neighbors"][0]
    assert nearest["ion"] == "O2-" and 1.4 < nearest["distance_angstrom"] < 2.6
    assert document["diffusivity_cm2_s"] > 0
    assert document["activation_energy_eV"] == pytest.approx(document["levels_off_grid_eV"]["1d"], abs=0.2)


def test_volumetric_files_open(tmp_path):
    structure = olivine_like()
    field = percolation(structure).field
    write_cube(tmp_path / "one.cube", field, structure)
    data, atoms = read_cube_data(str(tmp_path / "one.cube"))
    assert data.shape == field.shape
    assert data == pytest.approx(np.minimum(field.values - field.minimum, 10.0), abs=1e-4)
    assert atoms.cell.lengths() == pytest.approx(structure.lattice.abc, abs=1e-4)
    assert atoms.get_chemical_symbols() == [site.specie.symbol for site in structure]
    write_grd(tmp_path / "one.grd", field)
    lines = (tmp_path / "one.grd").read_text().splitlines()
    assert [float(x) for x in lines[1].split()] == pytest.approx(structure.lattice.parameters, abs=1e-4)
    assert tuple(int(x) for x in lines[2].split()) == field.shape
    assert float(lines[3 + 5]) == pytest.approx(min(field.values.ravel()[5] - field.minimum, 10.0), abs=1e-4)
    with pytest.raises(InputError, match="cell of the field"):
        write_cube(tmp_path / "two.cube", field, structure * (2, 1, 1))


def test_a_saddle_far_off_in_energy_is_not_taken(monkeypatch):
    """A walk can end at the saddle of another pair of sites; the hop then keeps the energy of the grid."""
    from dataclasses import replace

    from ionsmith.landscape import network as module

    def astray(surface, starts, *, saddle):
        found = find_stationary(surface, starts, saddle=saddle)
        return replace(found, energies=found.energies - 0.45) if saddle else found

    monkeypatch.setattr(module, "find_stationary", astray)
    found = landscape(waves())
    network = build_network(found)
    assert network.levels() == pytest.approx(found.barriers, abs=1e-3)
    assert not any(h.refined for h in network.hops)
