"""Ordered approximants: neutral, near the composition, atoms apart, the same every time."""

import math
import zipfile

import numpy as np
import pytest
import spglib
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.analysis.ewald import EwaldSummation
from pymatgen.core import Composition, Lattice, Structure

from ionsmith.core.errors import InputError, PhysicsError
from ionsmith.core.records import Candidate, Kind, Origin
from ionsmith.io import arrange as arrange_module
from ionsmith.io.arrange import Supercell, arrange
from ionsmith.io.charges import guess_charges
from ionsmith.io.ewald import COULOMB, ewald_matrix
from ionsmith.io.orbits import count_ions, make_parent
from ionsmith.io.ordering import order_candidate, ordered_approximant
from ionsmith.io.placement import Board, forbidden, greedy, place, total_energy
from ionsmith.io.read import read_inputs

HALITE = Structure.from_spacegroup("Fm-3m", Lattice.cubic(4.03), ["Li", "F"], [[0, 0, 0], [0.5, 0.5, 0.5]])


def spinel_like(lithium=0.125, aluminium=0.625):
    """Rock salt with the composition of LiAl5O8 and vacancies: charges force the counts."""
    cations = {"Li": lithium, "Al": aluminium}
    return Structure.from_spacegroup("Fm-3m", Lattice.cubic(4.1), [cations, "O"], [[0, 0, 0], [0.5, 0.5, 0.5]])


def splits(distance, share, length=6.0):
    """Pairs of Li sites on a line, a fluoride in the middle of the cell."""
    lattice = Lattice.cubic(length)
    half = distance / length / 2.0
    sites = [{"Li": share}, {"Li": share}, "F"]
    return Structure(lattice, sites, [[0, 0, half], [0, 0, -half], [0.5, 0.5, 0.5]])


# -- electrostatics ---


def test_madelung_constant_of_rock_salt():
    charges = np.array([s.specie.Z == 3 for s in HALITE]) * 2.0 - 1.0
    energy = charges @ ewald_matrix(HALITE.lattice, HALITE.frac_coords) @ charges
    nearest = 4.03 / 2.0
    assert -energy * nearest / COULOMB / 4.0 == pytest.approx(1.747564594633, abs=1e-6)


@given(
    lengths=st.tuples(*[st.floats(3.0, 9.0)] * 3),
    angles=st.tuples(*[st.floats(65.0, 115.0)] * 3),
    seed=st.integers(0, 1000),
)
@settings(max_examples=20, deadline=None)
def test_ewald_matrix_against_pymatgen(lengths, angles, seed):
    lattice = Lattice.from_parameters(*lengths, *angles)
    rng = np.random.default_rng(seed)
    positions = rng.random((5, 3))
    charges = np.array([1.0, 2.0, -1.0, -2.0, 3.0])  # not neutral: the background is tested too
    structure = Structure(lattice, ["Li", "Mg", "F", "O", "Al"], positions)
    structure.add_oxidation_state_by_site(charges)
    expected = EwaldSummation(structure, acc_factor=14).total_energy
    matrix = ewald_matrix(lattice, positions)
    assert np.allclose(matrix, matrix.T)
    assert charges @ matrix @ charges == pytest.approx(expected, rel=1e-4, abs=1e-3)


# -- charges ---


@pytest.mark.parametrize(
    ("formula", "states"),
    [
        ("Li3PS4", {"Li": 1, "P": 5, "S": -2}),
        ("Li2SO4", {"Li": 1, "S": 6, "O": -2}),
        ("Li10GeP2S12", {"Li": 1, "Ge": 4, "P": 5, "S": -2}),
        ("Li6PS5Cl", {"Li": 1, "P": 5, "S": -2, "Cl": -1}),
        ("LiBH4", {"Li": 1, "B": 3, "H": -1}),
        ("LiNH2", {"Li": 1, "N": -3, "H": 1}),
        ("Li3P", {"Li": 1, "P": -3}),
        ("Li6.4La3Zr1.4Ta0.6O12", {"Li": 1, "La": 3, "Zr": 4, "Ta": 5, "O": -2}),
    ],
)
def test_charges_of_known_materials(formula, states):
    guess = guess_charges(Composition(formula))
    assert guess.states == states and guess.mixed == "" and guess.note.startswith("neutral charges")


def test_charges_when_nothing_fits():
    mixed = guess_charges(Composition("Li5V4P6O24"))
    assert mixed.mixed == "V" and mixed.states["V"] == pytest.approx(3.25)
    assert guess_charges(Composition("LiGa2GeS6")).note.startswith("nearly neutral")
    assert guess_charges(Composition("Li1.6Cd8Cl32")).note.startswith("no neutral charges known")
    assert guess_charges(Composition("Li2BrO")).states == {"Li": 1, "Br": -1, "O": -2}  # its hydrogen is missing
    assert guess_charges(Composition("Li4Al")).note.startswith("no charges")
    given_states = guess_charges(Composition({"Fe2+": 1, "Fe3+": 2, "O2-": 4}))
    assert given_states.states == {"Fe2+": 2, "Fe3+": 3, "O2-": -2}


def test_charges_of_many_elements_are_bounded():
    many = Composition("Li2Na2K2Rb2Cs2Mg2Ca2Sr2Ba2Sc2Y2La2Ti2Zr2Hf2V2Nb2Ta2P2S2Se2O60")
    assert set(guess_charges(many).states) == {e.symbol for e in many}


# -- the whole ---


def test_ordered_crystals_stay_as_they_are():
    ordering = ordered_approximant(HALITE)
    assert ordering.structure is HALITE and ordering.note == "" and ordering.ewald_energy is None
    assert ordering.shortest_distance == pytest.approx(4.03 / 2)
    alone = Structure(Lattice.cubic(3), ["Li"], [[0, 0, 0]])
    assert ordered_approximant(alone).shortest_distance == math.inf
    candidate = Candidate(Kind.CRYSTAL, HALITE, Origin("test"))
    assert order_candidate(candidate) is candidate


def check(structure, ordering, tolerance=0.01):
    assert ordering.structure.is_ordered
    wanted, got = structure.composition.fractional_composition, ordering.structure.composition.fractional_composition
    error = max(abs(wanted[e] - got[e]) for e in wanted)
    assert error == pytest.approx(ordering.composition_error, abs=1e-9)
    assert error <= tolerance + 1e-9
    net = sum(ordering.oxidation_states[str(s.specie)] for s in ordering.structure)
    assert net == pytest.approx(ordering.net_charge, abs=1e-6)


def test_a_neutral_supercell_of_the_right_composition():
    structure = spinel_like()
    ordering = ordered_approximant(structure)
    check(structure, ordering, 1e-9)
    assert ordering.net_charge == 0.0 and math.prod(ordering.supercell) == 8
    assert "neutral" in ordering.note and f"{len(ordering.structure)} atoms" in ordering.note
    candidate = order_candidate(Candidate(Kind.CRYSTAL, structure, Origin("test", "x.cif")))
    assert candidate.source.notes == (ordering.note,) and len(candidate.parents) == 1
    with pytest.raises(InputError, match="expected a crystal"):
        order_candidate(Candidate(Kind.COMPOSITION, Composition("LiF"), Origin("test")))


def test_the_same_every_time_whatever_the_order_of_sites():
    structure = spinel_like()
    first, second = ordered_approximant(structure), ordered_approximant(structure.copy())
    assert first.structure == second.structure and first.note == second.note
    shuffled = Structure.from_sites([structure[i] for i in np.random.default_rng(1).permutation(len(structure))])
    other = ordered_approximant(shuffled)
    assert other.structure.composition == first.structure.composition
    assert other.ewald_energy == pytest.approx(first.ewald_energy, abs=0.02)


def test_opposite_charges_alternate():
    """Two kinds of ion on a simple cubic lattice must find rock salt in a cell that can hold it."""
    mixed = Structure(Lattice.cubic(3.0), [{"Li": 0.5, "F": 0.5}], [[0, 0, 0]])
    parent = make_parent(mixed, guess_charges(mixed.composition))
    counts = count_ions(parent, 64, neutral=True)
    ordered, energy, _ = arrange(Supercell(parent, (4, 4, 4), counts, parent.charges.states))
    assert energy / 64 == pytest.approx(-1.747564594633 * COULOMB / 3.0 / 2.0, abs=1e-4)
    assert ordered.get_primitive_structure().composition.reduced_formula == "LiF"


def test_split_sites_hold_one_ion():
    structure = splits(0.6, 0.5)
    ordering = ordered_approximant(structure)
    check(structure, ordering, 1e-9)
    assert ordering.shortest_distance > 1.5
    crowded = ordered_approximant(splits(0.6, 0.54))  # 1.08 Li per pair cannot be
    assert crowded.shortest_distance > 1.5
    assert crowded.structure.composition.reduced_formula == "LiF"


def test_sites_that_cannot_be_kept_apart():
    with pytest.raises(PhysicsError, match=r"room for 1 of 1\.9 Li"):
        ordered_approximant(splits(0.6, 0.95))


def test_ions_beside_a_full_site_that_is_too_close():
    sites = [{"Li": 0.5}, "F", "Na"]
    structure = Structure(Lattice.cubic(5.0), sites, [[0, 0, 0.12], [0, 0, 0], [0.5, 0.5, 0.5]])
    with pytest.raises(PhysicsError, match=r"at least 1 angstrom apart, got (Li and F|F and Li) at 0\.60"):
        ordered_approximant(structure, tolerance=0.05)


def test_cells_that_are_too_big():
    with pytest.raises(PhysicsError, match=r"at most 1 atoms to order, got 1\.75"):
        ordered_approximant(spinel_like(), max_sites=1)
    odd = Structure(Lattice.cubic(4.0), [{"Li": 0.37, "Na": 0.63}, "F"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    with pytest.raises(PhysicsError, match=r"within 0\.05 of the composition, got none in 1 supercells"):
        ordered_approximant(odd, max_sites=2)
    with pytest.raises(PhysicsError, match=r"got none in \d+ supercells"):
        ordered_approximant(odd, tolerance=1e-9, max_sites=6)


def test_too_many_open_sites(monkeypatch):
    monkeypatch.setattr(arrange_module, "_MOST_TERMS", 100.0)
    with pytest.raises(PhysicsError, match="expected at most 2 partly filled sites for 3 species"):
        ordered_approximant(spinel_like())


def test_a_file_that_is_not_neutral_is_told():
    structure = Structure.from_spacegroup(
        "Fm-3m", Lattice.cubic(4.1), [{"Mg": 0.75, "Al": 0.25}, "O"], [[0, 0, 0], [0.5, 0.5, 0.5]]
    )
    ordering = ordered_approximant(structure)
    check(structure, ordering)
    assert ordering.net_charge > 0.0 and "no neutral rounding" in ordering.note


def test_a_trace_species_may_be_lost_and_is_told():
    structure = Structure(Lattice.cubic(4.0), [{"Li": 0.999, "Na": 0.001}, "F"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    ordering = ordered_approximant(structure)
    assert ordering.structure.composition.reduced_formula == "LiF" and "without Na" in ordering.note


def test_mixed_valence_takes_up_what_is_left():
    structure = Structure(
        Lattice.cubic(4.2), [{"Li": 0.5}, "V", "O", "O"], [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5]]
    )
    ordering = ordered_approximant(structure)
    assert ordering.net_charge == pytest.approx(0.0)
    assert ordering.oxidation_states["V"] == pytest.approx(3.5, abs=0.1)


def test_given_charges_are_kept_and_others_are_not_invented():
    structure = spinel_like()
    assert {type(s.specie).__name__ for s in ordered_approximant(structure).structure} == {"Element"}
    structure.add_oxidation_state_by_element({"Li": 1, "Al": 3, "O": -2})
    ordering = ordered_approximant(structure)
    assert {str(s.specie) for s in ordering.structure} == {"Li+", "Al3+", "O2-"}
    assert ordering.net_charge == 0.0


def test_nearly_full_sites_are_full():
    structure = Structure(Lattice.cubic(4.0), [{"Li": 0.9995}, "F"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    assert ordered_approximant(structure).structure.composition == Composition("LiF")


def test_sites_nearer_than_the_symmetry_tolerance():
    close = Structure(
        Lattice.cubic(4.0), [{"Li": 0.5}, {"Li": 0.5}, "F"], [[0, 0, 0], [0, 0, 0.001], [0.5, 0.5, 0.5]]
    )
    assert ordered_approximant(close).structure.composition.reduced_formula == "LiF"


def test_hydrogen_may_be_nearer():
    sites = [{"H": 0.5}, {"H": 0.5}, "O", "Li"]
    structure = Structure(Lattice.cubic(4.0), sites, [[0, 0.05, 0.24], [0, -0.05, 0.24], [0, 0, 0], [0.5, 0.5, 0.5]])
    ordering = ordered_approximant(structure)
    assert ordering.structure.composition.reduced_formula == "LiHO"
    assert 0.7 < ordering.shortest_distance < 1.1


# -- the pieces ---


def test_counts_are_whole_neutral_and_bounded():
    structure = spinel_like(0.5, 0.5)
    parent = make_parent(structure, guess_charges(structure.composition))
    assert len(parent.positions) == 2 and [len(o.sites) for o in parent.orbits] == [1, 1]
    assert count_ions(parent, 1, neutral=True) is None
    four = count_ions(parent, 4, neutral=True)
    assert four.totals == {"Li": 2, "Al": 2, "O": 4} and four.error == pytest.approx(0.0, abs=1e-12) and not four.lost
    loose = count_ions(parent, 1, neutral=False)
    assert loose.totals["O"] == 1 and abs(loose.charge) > 0


def random_board(rng, sites=8):
    pair = rng.normal(size=(3, 3, sites, sites))
    pair = pair + pair.transpose(1, 0, 3, 2)
    pair = 0.5 * (pair + pair.transpose(0, 1, 3, 2))
    pair[0] = pair[:, 0] = 0.0
    pair[:, :, range(sites), range(sites)] = 0.0
    onsite = rng.normal(size=(3, sites))
    onsite[0] = 0.0
    orbit = np.repeat([0, 1], sites // 2)
    counts = np.array([[2, 1, 1], [1, 3, 0]])
    allowed = np.array([[True] * sites, [True] * sites, [True] * (sites // 2) + [False] * (sites // 2)])
    return Board(onsite, pair, orbit, counts, allowed, np.zeros((sites, sites), dtype=bool))


def every_arrangement(board):
    from itertools import permutations

    first = {*permutations(np.repeat([0, 1, 2], board.counts[0]))}
    second = {*permutations(np.repeat([0, 1, 2], board.counts[1]))}
    return [np.array([*a, *b]) for a in first for b in second]


@given(seed=st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_placing_keeps_counts_and_improves_on_greedy(seed):
    board = random_board(np.random.default_rng(seed))
    start = greedy(board)
    state, energy, _ = place(board, kicks=20, max_moves=1000)
    for orbit in (0, 1):
        assert np.bincount(state[board.orbit == orbit], minlength=3).tolist() == board.counts[orbit].tolist()
    assert energy == pytest.approx(total_energy(board, state))
    assert energy <= total_energy(board, start) + 1e-9
    energies = sorted(total_energy(board, s) for s in every_arrangement(board))
    assert energy <= energies[1] + 1e-9  # of all arrangements the best or the next


def test_a_bound_on_moves_is_kept():
    board = random_board(np.random.default_rng(3))
    assert place(board, kicks=50, max_moves=1)[2] <= 1
    assert place(board, kicks=50, max_moves=0)[2] == 0


def test_swaps_between_orbits_only_to_part_excluding_sites():
    """Sites 0 to 3 all exclude each other and get two ions; site 4, of a third orbit, gets none at first."""
    close = np.zeros((5, 5), dtype=bool)
    close[:4, :4] = ~np.eye(4, dtype=bool)
    pair = np.zeros((2, 2, 5, 5))
    pair[1, 1] = 1e4 * close
    orbit = np.array([0, 0, 1, 1, 2])
    counts = np.array([[1, 1], [1, 1], [1, 0]])
    board = Board(np.zeros((2, 5)), pair, orbit, counts, np.ones((2, 5), dtype=bool), close)
    state, energy, _ = place(board, kicks=2, max_moves=100)
    assert state.sum() == 2 and state[4] == 1 and energy == 0.0
    bound = Board(board.onsite, pair, orbit, counts, np.array([[True] * 5, [True] * 4 + [False]]), close)
    assert forbidden(place(bound, kicks=2, max_moves=100)[0], close) == 1


def test_without_symmetry_the_cell_stays(monkeypatch):
    def fail(*args, **kwargs):
        raise spglib.SpglibError("no")

    structure = spinel_like(0.5, 0.5)
    monkeypatch.setattr(spglib, "standardize_cell", fail)
    assert len(make_parent(structure, guess_charges(structure.composition)).positions) == len(structure)


def test_an_element_without_ionic_radius():
    structure = Structure(
        Lattice.cubic(4.0), [{"Li": 0.5}, {"Ne": 0.5}, "F"], [[0, 0, 0], [0.5, 0, 0], [0.5, 0.5, 0.5]]
    )
    assert "Ne" in {s.specie.symbol for s in ordered_approximant(structure, tolerance=0.05).structure}


@pytest.mark.mirror
def test_a_sample_of_obelix_orders(mirror, tmp_path):
    with zipfile.ZipFile(mirror / "obelix" / "all_cifs.zip") as archive:
        names = sorted(n for n in archive.namelist() if n.endswith(".cif"))
        archive.extractall(tmp_path, names[::16])
    ordered = 0
    for outcome in read_inputs([tmp_path]):
        structure = outcome.candidate.structure
        if structure.is_ordered:
            continue
        ordering = ordered_approximant(structure)
        assert len(ordering.structure) <= 200
        check(structure, ordering, 0.025)
        assert ordering.net_charge == pytest.approx(0.0, abs=1e-6) or "no neutral" in ordering.note
        ordered += 1
    assert ordered > 10
