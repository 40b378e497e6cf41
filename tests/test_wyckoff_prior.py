"""The crystal prior: likelihoods are probabilities, the writer obeys the chemist, and it learns what it is shown."""

import numpy as np
import pytest
import torch

from ionsmith.core.errors import InputError, PhysicsError
from ionsmith.core.records import Candidate, Kind, Origin
from ionsmith.data.library import load_library
from ionsmith.generate.wyckoff_network import Sentences, Settings, WyckoffNetwork, site_number
from ionsmith.generate.wyckoff_training import Lesson, lessons_from, train_prior
from ionsmith.generate.wyckoff_writer import Conditions, write
from ionsmith.learn.trainer import Training
from ionsmith.represent.wyckoff import WyckoffCrystal, WyckoffSite
from ionsmith.represent.wyckoff_tokens import FIRST, STOP, Request, Slot, decode
from ionsmith.testing import antifluorite, rock_salt

SMALL = Settings(width=32, layers=2, heads=4, dropout=0.0)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(3)
    return WyckoffNetwork(SMALL).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def lessons():
    crystals = [rock_salt(), rock_salt("Na", "Cl", a=5.6), antifluorite(), antifluorite("Na", "S", a=6.5)]
    return lessons_from(crystals)[0]


def test_words_of_each_slot_have_probabilities_that_add_up(network, lessons):
    batch = Sentences.of([[*Request().words(), *lessons[0].words]])
    parts = (torch.from_numpy(array) for array in (batch.words, batch.due, batch.groups, batch.sites))
    found = network(*parts)[0].exp()
    assert torch.allclose(found.sum(dim=-1), torch.ones(found.shape[0]), atol=1e-5)
    group_due = int(np.flatnonzero(batch.due[0] == Slot.GROUP)[0])
    outside = torch.ones(found.shape[1], dtype=bool)
    outside[FIRST[Slot.GROUP] : FIRST[Slot.GROUP] + 230] = False
    assert found[group_due][outside].max() == 0.0


def test_requests_and_padding_do_not_count(network, lessons):
    alone = network.log_likelihood(Sentences.of([[*Request().words(), *lessons[0].words]]))
    long = [[*Request(("Li", "F"), 2).words(), *lessons[0].words], [*Request().words(), *lessons[0].words]]
    together = network.log_likelihood(Sentences.of(long))
    assert together[1].sum().item() == pytest.approx(alone.sum().item(), abs=1e-4)
    assert int((together[0] != 0).sum()) == len(lessons[0].words)


def test_the_writer_draws_with_the_probabilities_of_the_network(network):
    (written,) = write(network, [Conditions()], np.random.default_rng(1))
    likelihood = network.log_likelihood(Sentences.of([[*Request().words(), *written.words]]))
    # the grammar leaves some letters out, so the draw is at least as likely as the network alone says
    assert written.log_probability >= likelihood.sum().item() - 1e-3
    free = [len(choices) for choices in written.choices]
    assert len(free) == len(written.words)


def test_every_finished_sentence_is_a_crystal_and_obeys(network):
    wanted = [Conditions(required=("Li",), only=("Li", "P", "S"))] * 12 + [Conditions(forbidden=("Li", "O"))] * 6
    finished = 0
    for written in write(network, wanted, np.random.default_rng(2)):
        if written.problem:
            continue
        finished += 1
        try:
            elements = {e.symbol for e in decode(written.words).structure().composition.elements}
        except InputError as flat:
            assert "close no volume" in str(flat)
            continue
        if written.conditions.only:
            assert elements <= {"Li", "P", "S"}
            assert "Li" in elements
        else:
            assert not elements & {"Li", "O"}
    assert finished > 5


def test_no_cell_is_larger_than_allowed(network):
    written = write(network, [Conditions(largest=6)] * 20, np.random.default_rng(2))
    crystals = [decode(one.words).structure().get_primitive_structure() for one in written if not one.problem]
    assert len(crystals) > 5
    assert max(map(len, crystals)) <= 6


def test_writing_is_repeatable(network):
    wanted = [Conditions(required=("Li",)), Conditions(), Conditions(required=("Li", "O"), atoms=8)]
    first, second = (write(network, wanted, np.random.default_rng(5)) for _ in range(2))
    assert [one.words for one in first] == [one.words for one in second]
    assert [one.conditions for one in first] == wanted


def test_it_learns_what_it_is_shown(lessons):
    training = Training(epochs=80, batch=1, rate=1.5e-2, average=0.0, patience=80)
    learnt, history = train_prior(lessons, lessons, np.random.default_rng(0), settings=SMALL, training=training)
    assert history.best_score < 0.2 * history.scores[0]
    assert history.best_score < 4.0, "four equally likely crystals: log 4 = 1.4 nats, and a little"
    known = {words for lesson in lessons for words in lesson.variants}
    written = write(learnt, [Conditions(temperature=0.5)] * 20, np.random.default_rng(4))
    assert sum(tuple(one.words) in known for one in written) >= 10
    asked = write(learnt, [Conditions(required=("Na", "S"), temperature=0.5)] * 5, np.random.default_rng(4))
    assert all({"Na", "S"} <= {site.element for site in decode(one.words).sites} for one in asked if not one.problem)


def test_lessons_of_the_library_and_what_teaches_nothing():
    crystals = [c for c in load_library() if c.structure.is_ordered]
    found, problems = lessons_from(crystals)
    assert len(found) + len(problems) == len(crystals)
    assert len(found) > 20
    lithium_phosphate = next(lesson for lesson in found if lesson.elements == ("Li", "O", "P"))
    assert lithium_phosphate.atoms > 0
    sentence = lithium_phosphate.sentence(np.random.default_rng(0))
    assert tuple(sentence[-len(lithium_phosphate.words) :]) in lithium_phosphate.variants
    assert lithium_phosphate.words.count(STOP) == 1


def test_a_very_long_sentence_teaches_nothing():
    places = np.random.default_rng(0).uniform(size=(40, 3))
    sites = tuple(WyckoffSite("a", "Li", tuple(place)) for place in places)
    crystal = WyckoffCrystal(1, (12.0, 13.0, 14.0, 90.0, 91.0, 92.0), sites).structure()
    candidate = Candidate(Kind.CRYSTAL, crystal, Origin("toy", "long"))
    with pytest.raises(PhysicsError, match="at most 24 positions"):
        Lesson.of(candidate)
    assert lessons_from([candidate])[1] == ["long: expected at most 24 positions and 80 atoms, got 40, 40"]


def test_conditions_that_nothing_meets():
    with pytest.raises(InputError, match="Li cannot be required and left out"):
        Conditions(required=("Li",), forbidden=("Li",))
    with pytest.raises(InputError, match="O cannot be required and left out"):
        Conditions(required=("Li", "O"), only=("Li", "S"))
    with pytest.raises(InputError, match="at most 1 to 80 atoms, got 81"):
        Conditions(largest=81)
    with pytest.raises(InputError, match="temperature above 0, got 0"):
        Conditions(temperature=0.0)


def test_site_numbers_differ_between_groups():
    first = FIRST[Slot.LETTER]
    assert site_number(1, first) == 1
    assert site_number(2, first) == 2
    assert site_number(230, first) > 1700
