"""Percolation levels against landscapes whose answer is known in closed form."""

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from ionsmith.core.errors import InputError, PhysicsError
from ionsmith.landscape import EnergyField, percolate_field, percolation

CUBE = np.eye(3) * 8.0


def waves(shape=(24, 20, 28), heights=(1.0, 2.0, 3.0)):
    """E = sum_i h_i (1 - cos 2 pi x_i) / 2: wells at the origin, the saddle along axis i is h_i."""
    axes = [np.arange(n) / n for n in shape]
    terms = [h * (1 - np.cos(2 * np.pi * x)) / 2 for h, x in zip(heights, axes, strict=True)]
    return EnergyField((terms[0][:, None, None] + terms[1][None, :, None] + terms[2]).astype(np.float32), CUBE)


def barriers(field, **options):
    return [opening.energy for opening in percolate_field(field, **options)]


def test_separable_waves_open_at_their_heights():
    openings = percolate_field(waves())
    assert [o.energy for o in openings] == pytest.approx([1.0, 2.0, 3.0], abs=1e-6)
    assert [abs(o.directions).tolist() for o in openings] == [
        [[1, 0, 0]],
        [[1, 0, 0], [0, 1, 0]],
        [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    ]


def test_bottleneck_is_the_saddle():
    field = waves()
    assert field.fractional(percolate_field(field)[0].point) == pytest.approx([0.5, 0.0, 0.0])


def test_a_channel_does_not_percolate_sideways():
    values = np.full((12, 12, 12), 50.0, np.float32)
    values[:, 5:7, 5:7] = 0.0
    values[3, 5:7, 5:7] = 0.4
    openings = percolate_field(EnergyField(values, CUBE))
    assert openings[0].energy == pytest.approx(0.4)
    assert [o.energy for o in openings[1:]] == [np.inf, np.inf]
    assert [o.point for o in openings[1:]] == [-1, -1]


def test_a_helix_that_winds_twice_is_still_one_dimensional():
    """A path that closes only after two cells, through a shift by half a cell sideways: loop (2, 0, 1)."""
    values = np.full((8, 8, 16), 9.0, np.float32)
    for step in range(17):
        values[step % 8, 4, step % 16] = 0.1
    openings = percolate_field(EnergyField(values, CUBE))
    assert openings[0].energy == pytest.approx(0.0)
    assert abs(openings[0].directions).tolist() == [[2, 0, 1]]
    assert openings[1].energy == pytest.approx(8.9, abs=1e-5)


def test_diagonal_loops_need_no_axis():
    values = np.full((10, 10, 10), 5.0, np.float32)
    for step in range(10):
        values[step, step, 3] = 0.0
    first = percolate_field(EnergyField(values, CUBE))[0]
    assert first.energy == 0.0
    assert abs(first.directions).tolist() == [[1, 1, 0]]


def test_two_crossing_channels_that_do_not_meet_are_one_dimensional_each():
    values = np.full((12, 12, 12), 7.0, np.float32)
    values[:, 2, 2] = 0.0
    values[8, :, 8] = 0.0
    openings = percolate_field(EnergyField(values, CUBE))
    assert openings[0].energy == 0.0
    assert openings[1].energy == pytest.approx(7.0)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_supercells_and_shifts_change_nothing(axis):
    field = waves((12, 14, 10))
    tiles = [1, 1, 1]
    tiles[axis] = 2
    double = EnergyField(np.tile(field.values, tiles), CUBE)
    shifted = EnergyField(np.roll(field.values, 5, axis), CUBE)
    assert barriers(double) == barriers(field) == barriers(shifted)


def test_random_landscapes_agree_with_flood_fill():
    """Brute force: raise the level, label the 3 x 3 x 3 supercell, ask which copies of a point are connected."""
    from scipy.ndimage import label

    rng = np.random.default_rng(3)
    for _ in range(6):
        values = rng.random((5, 4, 6)).astype(np.float32)
        found = barriers(EnergyField(values, CUBE))
        tiled = np.tile(values, (5, 5, 5))
        levels = np.sort(values.ravel())
        expected = [np.inf] * 3
        for level in levels:
            labels, _ = label(tiled <= level, np.ones((3, 3, 3)))
            rank = 0
            for point in np.argwhere(values <= level):
                middle = point + 2 * np.array(values.shape)
                mine = labels[tuple(middle)]
                shifts = [
                    np.array(s) - 2
                    for s in np.ndindex(5, 5, 5)
                    if labels[tuple(point + np.array(s) * values.shape)] == mine and s != (2, 2, 2)
                ]
                rank = max(rank, np.linalg.matrix_rank(shifts) if shifts else 0)
            for d in range(rank):
                expected[d] = min(expected[d], level - levels[0])
            if rank == 3:
                break
        assert found == pytest.approx(expected)


def test_a_ceiling_and_numbers_are_needed():
    with pytest.raises(InputError, match="ceiling"):
        percolate_field(waves(), ceiling=0.0)
    broken = waves().values.copy()
    broken[0, 0, 0] = np.nan
    with pytest.raises(InputError, match="numbers on the grid"):
        percolate_field(EnergyField(broken, CUBE))


def test_ceiling_hides_what_lies_above():
    assert barriers(waves(), ceiling=2.5) == pytest.approx([1.0, 2.0, np.inf])


def lithium_phosphate():
    """gamma-Li3PO4-like small crystal: antifluorite Li2O with a Li vacancy is enough for physics to act."""
    return Structure.from_spacegroup("Fm-3m", Lattice.cubic(4.62), ["Li", "O"], [[0.25, 0.25, 0.25], [0, 0, 0]])


def test_rotated_and_doubled_crystals_have_the_same_barrier():
    structure = lithium_phosphate()
    one = np.array(percolation(structure, resolution=0.22).barriers)  # 20 points; 41 - 1 for the doubled axis
    angle = 0.7
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    turned = Structure(Lattice(structure.lattice.matrix @ turn.T), structure.species, structure.frac_coords)
    assert np.array(percolation(turned, resolution=0.22).barriers) == pytest.approx(one, abs=1e-3)


def test_cubic_crystal_opens_in_all_directions_at_once():
    one, two, three = percolation(lithium_phosphate()).barriers
    assert one == pytest.approx(two, abs=1e-4)
    assert two == pytest.approx(three, abs=1e-4)
    assert 0.1 < one < 2.0


def test_details_are_ready_for_json():
    import json

    document = percolation(lithium_phosphate()).details()
    text = json.loads(json.dumps(document, allow_nan=False))
    assert text["oxidation"]["states"] == {"Li": "1+", "O": "2-"}
    assert text["mobile_ion"] == "Li1+"
    assert [o["dimension"] for o in text["openings"]] == [1, 2, 3]


def test_other_carriers_and_reasons():
    salt = Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    assert 0.1 < percolation(salt, "Na+").barriers[0] < 5.0
    with pytest.raises(PhysicsError, match="contains no Li"):
        percolation(salt)
    places = [[0.25, 0.25, 0.25], [0.5, 0.5, 0.5], [0, 0, 0]]
    phosphide = Structure.from_spacegroup("Fm-3m", Lattice.cubic(6.0), ["Li", "Li", "P"], places)
    with pytest.raises(PhysicsError, match=r"Li1\+ - P3-"):
        percolation(phosphide)
