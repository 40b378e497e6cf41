"""Crystals as sentences: what is written can be read, and only crystals can be written."""

import numpy as np
import pytest
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Lattice, Structure

from ionsmith.core.errors import InputError, PhysicsError
from ionsmith.data.library import load_library
from ionsmith.represent.wyckoff import WyckoffCrystal, WyckoffSite, describe
from ionsmith.represent.wyckoff_room import NEAREST, Room, covalent_radius
from ionsmith.represent.wyckoff_tokens import (
    ANY,
    FIRST,
    LARGEST,
    PAD,
    START,
    STOP,
    VOCABULARY,
    Grammar,
    Request,
    Slot,
    centring,
    count_bin,
    decode,
    encode,
    slots_of,
)
from ionsmith.testing import rock_salt


def random_sentence(rng, *, most_sites=4):
    """A sentence of words drawn at random from those that the grammar allows."""
    grammar, words, sites = Grammar(), [], 0
    while grammar.slot is not Slot.END:
        allowed = grammar.allowed()
        if grammar.slot is Slot.LETTER and sites >= most_sites:
            allowed = allowed[allowed == STOP]
        words.append(int(rng.choice(allowed)))
        sites += words[-1] != STOP and grammar.slot is Slot.LETTER
        grammar.take(words[-1])
    return words


def test_rock_salt_is_seven_words():
    words = encode(describe(rock_salt().structure))
    assert len(words) == 7, "group, volume, two letters with elements, stop"
    assert words[0] == FIRST[Slot.GROUP] + 224
    assert words[-1] == STOP
    assert words.count(STOP) == 1
    assert slots_of(words)[:3] == [Slot.GROUP, Slot.VOLUME, Slot.LETTER]


def test_the_cell_is_known_before_the_first_atom():
    grammar = Grammar()
    for word in encode(describe(rock_salt(a=5.0).structure))[:2]:
        grammar.take(word)
    assert grammar.slot is Slot.LETTER
    assert grammar.lattice[0] == pytest.approx(5.0, rel=0.02)


def test_library_crystals_survive_rounding_to_words():
    checked = 0
    for candidate in load_library():
        structure = candidate.structure
        if not structure.is_ordered:
            continue
        try:
            words = encode(describe(structure))
        except PhysicsError:
            continue
        request = Request(tuple(e.symbol for e in structure.composition.elements))
        built = decode([*request.words(), *words, PAD, PAD]).structure()
        assert StructureMatcher().fit(built, structure), structure.formula
        checked += 1
    assert checked > 20


@pytest.mark.parametrize("seed", range(60))
def test_every_allowed_sentence_is_a_crystal_that_comes_back(seed):
    words = random_sentence(np.random.default_rng(seed))
    crystal = decode(words)
    assert len(crystal.structure()) // centring(crystal.space_group) <= LARGEST
    assert decode(encode(crystal)).lattice == pytest.approx(crystal.lattice)
    assert sorted(encode(crystal)) == sorted(words), "the same words, in the order of the elements"


def test_symmetry_is_at_least_what_the_sentence_names():
    crystal = WyckoffCrystal(136, (4.594, 2.959), (WyckoffSite("a", "Ti"), WyckoffSite("f", "O", (0.305,))))
    assert describe(decode(encode(crystal)).structure()).space_group == 136


def test_a_position_without_freedom_is_offered_once():
    grammar = Grammar()
    grammar.take(FIRST[Slot.GROUP] + 224)
    grammar.take(FIRST[Slot.VOLUME] + 30)
    letter_a = FIRST[Slot.LETTER]
    assert letter_a in grammar.allowed()
    assert STOP not in grammar.allowed(), "a crystal has atoms"
    grammar.take(letter_a)
    grammar.take(FIRST[Slot.ELEMENT] + 2)
    assert letter_a not in grammar.allowed()
    assert STOP in grammar.allowed()
    assert (grammar.group, grammar.atoms, grammar.elements) == (225, 1, frozenset({3}))


def test_the_request_stands_before_the_group():
    words = Request(("S", "Li"), 20).words()
    assert words == [START, FIRST[Slot.ELEMENT] + 2, FIRST[Slot.ELEMENT] + 15, FIRST[Slot.COUNT] + 19]
    assert Request().words() == [START, ANY, ANY]
    sentence = [*words, *encode(describe(rock_salt().structure))]
    assert slots_of(sentence)[: len(words)] == [Slot.REQUIRED] * 3 + [Slot.COUNT]
    assert max(sentence) < VOCABULARY


def test_count_bins_grow_with_the_count():
    bins = [count_bin(atoms) for atoms in range(1, LARGEST + 1)]
    assert bins == sorted(bins)
    assert bins[0] == 0
    assert bins[39] == 39
    assert bins[-1] < 64


@pytest.mark.parametrize(("group", "cells"), [(225, 4), (166, 3), (229, 2), (136, 1), (38, 2)])
def test_centring(group, cells):
    assert centring(group) == cells


def crystal(**changes):
    parts = {"space_group": 225, "lattice": (5.0,), "sites": (WyckoffSite("a", "Li"),), **changes}
    return WyckoffCrystal(**parts)


@pytest.mark.parametrize(
    ("action", "error", "message"),
    [
        (lambda: encode(crystal(sites=(WyckoffSite("j", "Li", (0.1, 0.2)),) * 30)), PhysicsError, "24 positions"),
        (lambda: encode(crystal(sites=(WyckoffSite("a", "Am"),))), PhysicsError, "up to plutonium, got Am"),
        (lambda: encode(crystal(lattice=(50.0,))), PhysicsError, "primitive cell: expected 6 to 4500, got"),
        (lambda: encode(crystal(space_group=123, lattice=(1.5, 20.0))), PhysicsError, "ratio of cell lengths"),
        (lambda: Request(("Li",), 200).words(), InputError, "expected 1 to 80 atoms, got 200"),
        (lambda: decode([START, ANY]), InputError, "expected a space group, got none"),
        (lambda: decode([FIRST[Slot.GROUP]]), InputError, "ends where a volume is due"),
        (lambda: decode([FIRST[Slot.GROUP], STOP]), InputError, "may not stand where a volume is due"),
        (lambda: decode([FIRST[Slot.GROUP] + 224, FIRST[Slot.VOLUME], STOP]), InputError, "where a letter is due"),
    ],
)
def test_what_cannot_be_is_said(action, error, message):
    with pytest.raises(error, match=message):
        action()


def test_an_angle_out_of_range_is_refused():
    structure = Structure(Lattice.from_parameters(4, 4.3, 9, 90, 90, 25), ["Li"], [[0, 0, 0]])
    skewed = WyckoffCrystal(1, structure.lattice.parameters, (WyckoffSite("a", "Li", (0.0, 0.0, 0.0)),))
    with pytest.raises(PhysicsError, match="cell angle: expected 30 to 150"):
        encode(skewed)


def test_angles_that_close_no_volume_are_not_offered():
    grammar = Grammar()
    for word in (FIRST[Slot.GROUP], FIRST[Slot.VOLUME] + 70, FIRST[Slot.RATIO] + 48, FIRST[Slot.RATIO] + 48):
        grammar.take(word)
    for index in (90, 2):  # 142 and 34 degrees
        grammar.take(FIRST[Slot.ANGLE] + index)
    offered = grammar.allowed() - FIRST[Slot.ANGLE]
    assert 2 not in offered, "three angles of 142, 34 and 34 degrees close no volume"
    assert len(offered) > 0
    with pytest.raises(InputError, match="may not stand where a angle is due"):
        grammar.take(FIRST[Slot.ANGLE] + 2)


# room


def test_positions_without_freedom_have_room_up_to_a_radius():
    room = Room(225, (4.03,))
    none = np.zeros((1, 0))
    edge = 4.03 / 2**0.5  # a position a is nearest to its own kind
    assert room.largest("a", none)[0] == pytest.approx(edge / (2 * NEAREST))
    room.add("a", 3, ())
    expected = min(edge / 2, 4.03 / 2 - NEAREST * covalent_radius(3)) / NEAREST
    assert room.largest("b", none)[0] == pytest.approx(expected)
    assert room.search("b")[1][0] == pytest.approx(expected)
    assert room.largest("a", none)[0] < 0.0, "it is taken"


def test_room_is_what_the_distances_leave():
    lattice = (4.6, 3.0)
    room = Room(136, lattice)
    room.add("a", 22, ())
    places = np.linspace(0.01, 0.49, 20)
    found = room.largest("f", places[:, None])
    for place, radius in zip(places, found, strict=True):
        sites = (WyckoffSite("a", "Ti"), WyckoffSite("f", "O", (place,)))
        built = WyckoffCrystal(136, lattice, sites).structure()
        oxygen = next(n for n, site in enumerate(built) if site.specie.symbol == "O")
        around = built.get_neighbors(built[oxygen], 5.0)
        to_titanium = min(n.nn_distance for n in around if n.specie.symbol == "Ti")
        to_oxygen = min(n.nn_distance for n in around if n.specie.symbol == "O")
        expected = min(to_titanium / NEAREST - covalent_radius(22), to_oxygen / NEAREST / 2.0)
        assert radius == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("letter", ["a", "f", "k", "i"])
def test_a_search_tries_places_all_over_the_cell(letter):
    places, radii = Room(136, (9.0, 6.0)).search(letter)
    assert places.shape[0] == len(radii) > 0
    assert (places >= 0.0).all() and (places < 1.0).all()
