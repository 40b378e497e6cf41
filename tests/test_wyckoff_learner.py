"""The crystal prior as a source, and the policy that learns from rewards: validity, leash, memory, repeatability."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from pymatgen.core import Composition

from ionsmith.artifacts.cards import save_artifact
from ionsmith.core.errors import ArtifactError, InputError
from ionsmith.core.records import Candidate, Kind, Origin, Outcome, Status, Value
from ionsmith.generate.novelty import known_as
from ionsmith.generate.wyckoff_learner import WyckoffLearner
from ionsmith.generate.wyckoff_network import Sentences, Settings, WyckoffNetwork
from ionsmith.generate.wyckoff_policy import Lesson, Policy, PolicySettings
from ionsmith.generate.wyckoff_prior import ARTIFACT, CrystalPrior, conditions, draw, load_prior, save_prior
from ionsmith.generate.wyckoff_training import Lesson as Reading
from ionsmith.generate.wyckoff_training import train_prior
from ionsmith.generate.wyckoff_writer import Conditions
from ionsmith.learn.threads import one_thread
from ionsmith.learn.trainer import Training
from ionsmith.objective.score import SpecObjective
from ionsmith.objective.spec import parse_spec
from ionsmith.represent.wyckoff_tokens import Request
from ionsmith.testing import antifluorite, formula, rock_salt

SMALL = Settings(width=32, layers=2, heads=4, dropout=0.0)
CARD = {
    "data": [{"name": "toy", "licence": "CC BY 4.0", "source": "here"}],
    "split": "none",
    "metrics": {},
    "command": "pytest",
}


@pytest.fixture(scope="module")
def network():
    """Knows rock salts and antifluorites of lithium and sodium."""
    salts = [("Li", "F", 4.0), ("Li", "Cl", 5.1), ("Na", "F", 4.6), ("Na", "Cl", 5.6), ("Li", "Br", 5.5)]
    crystals = [rock_salt(c, a, a=edge) for c, a, edge in salts]
    crystals += [antifluorite("Li", x, a=edge) for x, edge in (("O", 4.6), ("S", 5.7), ("Se", 6.0))]
    lessons = [Reading.of(crystal) for crystal in crystals]
    training = Training(epochs=40, batch=1, rate=1.5e-2, average=0.0, patience=40)
    return train_prior(lessons, lessons, np.random.default_rng(0), settings=SMALL, training=training)[0]


def told(outcomes, measure):
    """The proposals with a band gap that a rule gives them."""
    return [
        replace(each, values={"band_gap": Value(measure(each.candidate), 0.1, "rule")})
        if each.status is Status.OK
        else each
        for each in outcomes
    ]


def halides(candidate):
    return 5.0 if {e.symbol for e in candidate.composition.elements} & {"F", "Cl", "Br", "I"} else 0.0


OBJECTIVE = SpecObjective(parse_spec({"targets": {"band_gap": {"min": 3.0}}}))


def test_weights_come_back_from_an_artifact(network, tmp_path):
    save_prior(network, card=CARD, folder=tmp_path)
    again = load_prior(folder=tmp_path)
    for name, tensor in network.state_dict().items():
        assert torch.allclose(again.state_dict()[name], tensor, atol=2e-3), name
    first, second = (draw(n, [Conditions()] * 4, np.random.default_rng(1), name="toy") for n in (again, again))
    assert [one.written.words for one in first] == [one.written.words for one in second]


def test_an_artifact_of_something_else_is_refused(tmp_path):
    save_artifact(ARTIFACT, {"a": np.zeros(3)}, card={"title": "toy", "settings": {}, **CARD}, folder=tmp_path)
    with pytest.raises(ArtifactError, match="expected weights of this network"):
        load_prior(folder=tmp_path)


def test_the_prior_proposes_crystals_under_its_conditions(network):
    source = CrystalPrior(network=network, exclude=("F",), temperature=0.7)
    found = source.ask(12, np.random.default_rng(3))
    assert len(found) == 12
    good = [each.candidate for each in found if each.status is Status.OK]
    assert len(good) >= 6
    for candidate in good:
        symbols = {e.symbol for e in candidate.composition.elements}
        assert "Li" in symbols
        assert "F" not in symbols
        assert "space group" in candidate.source.locator
    other = source.ask(6, np.random.default_rng(3), Conditions(required=("Na",)))
    assert all("Na" in each.candidate.composition for each in other if each.status is Status.OK)
    assert source.fit([], np.random.default_rng(0)) is source
    source.tell(found, np.random.default_rng(0))


def test_atoms_are_apart_by_construction(network):
    untaught = WyckoffNetwork(SMALL).eval()
    for draft in draw(untaught, [Conditions()] * 24, np.random.default_rng(0), name="toy"):
        if draft.outcome.status is Status.OK:
            structure = draft.outcome.candidate.structure
            assert structure.distance_matrix[~np.eye(len(structure), dtype=bool)].min(initial=9.0) > 0.4
        else:
            assert "no room where" in draft.outcome.note
            assert draft.outcome.candidate.kind is Kind.UNREADABLE


def test_noble_gases_and_radioactive_elements_are_left_out_unless_asked_for():
    assert {"He", "Tc", "U"} <= set(conditions("Li", ()).forbidden)
    assert "U" not in conditions("", (), only=("U", "O")).forbidden
    with pytest.raises(InputError, match="Li cannot be required and left out"):
        conditions("Li", ("Li",))


def test_the_policy_moves_toward_reward_and_leaves_the_prior_alone(network):
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    policy = Policy(network, PolicySettings(rate=3e-3, steps=30, power=5.0))
    good, poor = (Reading.of(c) for c in (rock_salt("Li", "F", a=4.0), antifluorite("Li", "O", a=4.6)))
    lessons = [
        Lesson(tuple((*Conditions().request().words(), *words) for words in reading.variants), reward)
        for reading, reward in ((good, 0.9), (poor, 0.1))
    ]
    first, _ = policy.learn(lessons, np.random.default_rng(0))
    later, leash = policy.learn(lessons, np.random.default_rng(0))
    assert later < 0.3 * first
    assert np.isfinite(leash)
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert policy.learn(lessons[:1], np.random.default_rng(0)) == (0.0, 0.0), "one crystal alone teaches nothing"


@pytest.mark.parametrize("seed", [0, 1])
def test_it_learns_what_the_objective_wants(network, seed):
    shares = {}
    for paid, objective in ((True, OBJECTIVE), (False, None)):
        learner = WyckoffLearner(network=network, novel=False, objective=objective, rate=3e-3, family=1000)
        learner._new = lambda draft: True  # the toy prior knows few crystals: let it repeat itself
        for number in range(6):
            rng = np.random.default_rng([seed, number])
            asked = told(learner.ask(24, rng), halides)
            shares[paid] = np.mean([each.values["band_gap"].mean > 3 for each in asked if each.values])
            learner.tell(asked, rng)
    assert shares[True] > 0.85
    assert shares[True] > shares[False] + 0.1


def test_nothing_is_proposed_twice_as_new(network):
    learner = WyckoffLearner(network=network, novel=False)
    found = [each for n in range(3) for each in learner.ask(12, np.random.default_rng(n))]
    good = [(each.candidate.formula, each.candidate.source.locator) for each in found if each.status is Status.OK]
    assert len(good) == len(set(good))
    assert any("proposed before" in each.note for each in found), "eight known crystals do not fill 36 proposals"


def test_what_a_crowded_family_or_a_refused_crystal_earns(network):
    learner = WyckoffLearner(network=network, novel=False, objective=OBJECTIVE, family=2, caution=0.0)
    crystal = rock_salt("Li", "I", a=6.0)
    (outcome,) = told([replace(learner.ask(1, np.random.default_rng(0))[0], candidate=crystal)], halides)
    new = replace(outcome, status=Status.OK, note="", candidate=crystal, values={"band_gap": Value(5.0, 0.1, "rule")})
    known = learner._reward(new)
    assert 0.45 < known < 0.55, "lithium iodide is known: half"
    assert learner._reward(replace(new, status=Status.REJECTED, note="why")) < 0.3
    assert learner._reward(replace(new, values={})) == 0.0
    strange = replace(new, candidate=rock_salt("Li", "At", a=6.5))
    earned = [learner._reward(strange) for _ in range(6)]
    assert earned[0] > 0.9
    assert earned[-1] < 0.2 * earned[0]


def test_what_cannot_balance_is_not_handed_out_but_teaches(network, monkeypatch):
    monkeypatch.setattr(
        "ionsmith.generate.wyckoff_learner.whole_charges", lambda c: c.composition.reduced_formula != "LiF"
    )
    learner = WyckoffLearner(network=network, novel=False, objective=OBJECTIVE)
    learner._new = lambda draft: True
    asked = learner.ask(40, np.random.default_rng(0))
    good = {each.candidate.formula for each in asked if each.status is Status.OK}
    assert good
    assert "LiF" not in good
    assert learner._unbalanced
    assert all(lesson.reward == 0.0 for lesson in learner._unbalanced)
    anything = WyckoffLearner(network=network, novel=False, objective=OBJECTIVE, balanced=False)
    anything._new = lambda draft: True
    assert "LiF" in {each.candidate.formula for each in anything.ask(40, np.random.default_rng(0))}


def test_known_materials_that_it_is_fitted_to_draw_it_to_them(network):
    good, poor = (
        Outcome(crystal, {"band_gap": Value(gap, 0.1, "measured")})
        for crystal, gap in ((rock_salt("Li", "Br", a=5.5), 5.0), (rock_salt("Li", "F", a=4.0), 0.0))
    )
    learner = WyckoffLearner(network=network, novel=False, objective=OBJECTIVE, rate=3e-3, steps=8)
    formula = Outcome(Candidate(Kind.COMPOSITION, Composition("LiI"), Origin("toy")), good.values)
    assert learner.fit([good, poor, formula], np.random.default_rng(0)) is learner
    assert [len(lesson.variants) for lesson in learner._memory.best] == [2, 2], "a formula has no sentence"

    def chance(crystal):
        words = [[*Request(("Li",)).words(), *Reading.of(crystal.candidate).words]]
        return [float(n.log_likelihood(Sentences.of(words)).sum()) for n in (learner._policy.network, network)]

    (better, was), (worse, had) = chance(good), chance(poor)
    assert better - was > worse - had


def test_equal_streams_give_equal_runs(network):
    def run():
        learner = WyckoffLearner(network=network, novel=False, objective=OBJECTIVE)
        keys = []
        for number in range(2):
            rng = np.random.default_rng([5, number])
            asked = told(learner.ask(8, rng), halides)
            keys += [each.candidate.key for each in asked]
            learner.tell(asked, rng)
        return keys

    assert run() == run()


def test_crystals_of_others_are_lessons_too_and_not_proposed_again(network):
    learner = WyckoffLearner(network=network, novel=False, objective=OBJECTIVE)
    learner.ask(4, np.random.default_rng(0))
    foreign = told([Outcome(rock_salt("Li", "Br", a=5.5)), Outcome(antifluorite("Li", "S", a=5.7))], halides)
    before = {name: tensor.clone() for name, tensor in learner._policy.network.state_dict().items()}
    learner.tell(foreign, np.random.default_rng(0))
    assert any(not torch.equal(before[n], t) for n, t in learner._policy.network.state_dict().items())
    assert {formula for formula, _ in learner._memory.proposed} >= {"LiBr", "Li2S"}
    best = max(learner._memory.best, key=lambda lesson: lesson.reward)
    assert best.reward == 0.5 * learner._worth(foreign[0]), "LiBr is known"


def test_what_no_sentence_describes_teaches_nothing(network):
    learner = WyckoffLearner(network=network, novel=False, objective=OBJECTIVE)
    learner.ask(1, np.random.default_rng(0))
    before = set(learner._memory.proposed)
    learner.tell(told([Outcome(formula("LiF"))], halides), np.random.default_rng(0))
    assert learner._memory.proposed == before
    assert not learner._memory.best


@pytest.mark.parametrize("wrong", [{"power": 0.0}, {"rate": -1.0}, {"steps": 0}, {"family": 0}])
def test_settings_under_which_nothing_is_learnt(wrong):
    with pytest.raises(InputError, match="expected power, rate, steps and family above 0"):
        WyckoffLearner(**wrong)


def test_one_thread_gives_the_others_back():
    before = torch.get_num_threads()
    with pytest.raises(ValueError, match="on the way"), one_thread():
        assert torch.get_num_threads() == 1
        raise ValueError("on the way")
    assert torch.get_num_threads() == before


def test_known_compounds_are_not_proposed_unless_asked_for(network):
    asked = WyckoffLearner(network=network, objective=OBJECTIVE).ask(12, np.random.default_rng(0))
    new = [each.candidate for each in asked if each.status is Status.OK and each.candidate.kind is Kind.CRYSTAL]
    assert all(known_as(candidate) is None for candidate in new)
    assert any("known" in each.note for each in asked), "the toy prior knows hardly anything else"
