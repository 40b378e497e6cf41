"""A policy over edits: it learns what pays, stays neutral and diverse, repeats nothing, and starts as the prior."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from generator_toys import (
    Wish,
    answered,
    broken,
    dense,
    iodide,
    keys,
    late_mean,
    play,
    random_mean,
    relaxed,
    small_prototypes,
    symbols,
    unreadable_row,
)
from ionsmith.core.errors import InputError
from ionsmith.core.records import Status
from ionsmith.data.library import measured_library
from ionsmith.generate import ions
from ionsmith.generate.edit_menu import Chemistry, Draft, Edit, Step
from ionsmith.generate.edit_policy import Choice, EditPolicy, EditSettings, Episode
from ionsmith.generate.edits import EditLearner
from ionsmith.generate.genetic import Genetic
from ionsmith.generate.likeness import anions, chemical_system
from ionsmith.testing import formula, rock_salt, without_lithium


def rng(seed=0):
    return np.random.default_rng(seed)


def learner(judge=iodide, *formulas, **settings):
    objective = None if judge is None else Wish(judge)
    return EditLearner(small_prototypes(*formulas), objective=objective, **{"novel": False, **settings})


def menu(host, swap=(), **settings):
    (crystal,) = ions.ionic_crystals(small_prototypes(host), mobile="Li")
    return Draft(crystal, swap), Chemistry(**settings).menu(Draft(crystal, swap))


@pytest.mark.parametrize("judge", [iodide, dense])
def test_later_rounds_beat_random_substitution_and_breeding_at_equal_budget(judge):
    learnt = late_mean(play(learner(judge), rounds=5), judge)
    assert learnt > 1.1 * late_mean(play(Genetic(small_prototypes(), objective=Wish(judge)), rounds=5), judge)
    assert learnt > 1.5 * random_mean(judge)


def test_without_an_objective_it_learns_nothing():
    chance = play(learner(None))
    learnt = play(learner(), seed=0)
    assert keys(chance[0]) == keys(learnt[0]), "it starts as the prior"
    assert late_mean(learnt, iodide) > 1.3 * late_mean(chance, iodide)


def test_equal_streams_and_answers_give_equal_proposals():
    runs = [play(learner(dense), rounds=3, seed=4) for _ in range(2)]
    assert list(map(keys, runs[0])) == list(map(keys, runs[1]))


def test_a_material_of_another_formula_is_no_answer_to_a_proposal():
    generator = learner()
    first, *rest = generator.ask(8, rng(0))
    other = small_prototypes()[0]
    stray = replace(answered(first), candidate=replace(other, parents=(first.candidate.key,)))
    assert other.formula != first.candidate.formula
    generator.tell([stray, *map(answered, rest)], rng(1))
    for crystal in (start.crystal for start in generator._starts):
        assert set(crystal.charges) == {element.symbol for element in crystal.candidate.composition}
    assert len(generator.ask(8, rng(2))) == 8


def test_no_compound_and_no_prototype_comes_twice():
    rounds = play(learner(), rounds=4, n=15)
    compounds = [ions.compound_of(p.candidate) for proposals in rounds for p in proposals]
    assert len(compounds) == len({*compounds}) == 60
    assert not {ions.compound_of(c) for c in small_prototypes()} & {*compounds}


def test_a_crystal_that_relaxes_out_of_its_symmetry_is_no_new_framework():
    generator, formulas, groups = learner(iodide, "Li3ClO"), [], set()
    for number in range(4):
        proposals = generator.ask(20, rng(number))
        answers = [relaxed(p, strain=(0.0, 0.03, 0.06)) for p in proposals]
        generator.tell(answers, rng(number))
        formulas += [p.candidate.composition.reduced_formula for p in proposals]
        groups |= {ions.compound_of(a.candidate)[1] for a in answers}
    assert len(groups) > 1
    assert len(formulas) == len({*formulas}) > 40


def test_a_source_that_has_run_dry_says_so():
    generator = EditLearner([rock_salt()], novel=False, elements=2)
    counts = [len(generator.ask(10, rng(round_))) for round_ in range(4)]
    assert counts[0] > counts[-1] == 0
    assert EditLearner([without_lithium(), formula("LiF")]).ask(3, rng()) == ()


def test_proposals_are_neutral_and_keep_within_the_chemistry():
    rounds = play(learner(exclude=("S", "Br"), elements=4, rare_earths=0), rounds=3)
    for proposal in (p for proposals in rounds for p in proposals):
        assert not {"S", "Br"} & symbols(proposal)
        assert "Li" in symbols(proposal)
        assert len(symbols(proposal)) <= 4
        assert not any(e.is_rare_earth for e in proposal.candidate.composition.elements)
        assert proposal.status is Status.OK


def test_the_charges_of_a_proposal_balance():
    generator = learner(None)
    generator.ask(15, rng(1))
    for _, made in generator._waiting.values():
        amounts = made.crystal.candidate.composition.get_el_amt_dict()
        assert sum(made.crystal.charges[symbol] * amount for symbol, amount in amounts.items()) == pytest.approx(
            0.0, abs=1e-6
        )


def test_no_family_fills_a_round_or_the_run():
    generator = learner(alike=1, family=1, kin=0.5)
    rounds = play(generator, rounds=4, n=10)
    systems = [chemical_system(p.candidate.composition) for proposals in rounds for p in proposals]
    assert max(Counter(systems[:10]).values()) == 1
    assert all(max(Counter(anions(p.candidate.composition) for p in proposals).values()) <= 5 for proposals in rounds)
    closed = {system for system, count in generator._families.items() if count >= 1}
    last = {chemical_system(p.candidate.composition) for p in generator.ask(10, rng(9))}
    assert closed
    assert not closed & last


def test_known_compounds_are_left_out_unless_wanted():
    from ionsmith.generate.novelty import known_as

    asked = EditLearner(small_prototypes()).ask(12, rng(1))
    assert len(asked) == 12
    assert all(known_as(p.candidate) is None for p in asked)


def test_good_ones_are_edited_further_as_they_were_told_back():
    generator = learner()
    told = [relaxed(p) for p in generator.ask(20, rng(1))]
    generator.tell([*told[:-1], broken(told[-1]), unreadable_row()], rng(1))
    parents = {key for p in generator.ask(20, rng(2)) for key in p.candidate.parents}
    assert parents & {o.candidate.key for o in told[:-1]}
    assert told[-1].candidate.key not in {start.crystal.candidate.key for start in generator._starts}


def test_what_was_passed_over_is_a_lesson_when_its_answer_comes_late():
    generator = learner()
    early, late = generator.ask(8, rng(1)), generator.ask(8, rng(2))
    generator.tell([answered(p) for p in early], rng(3))
    before = len(generator._memory)
    generator.tell([answered(p) for p in late], rng(4))
    assert len(generator._memory) >= before + len(late)
    assert not generator._waiting


def test_known_materials_give_their_prototypes_a_worth():
    generator = learner(lambda candidate: 0.7)
    generator.fit(measured_library(), rng())
    assert Counter(start.worth for start in generator._starts)[0.7] > 5
    compounds = [ions.compound_of(start.crystal.candidate) for start in generator._starts]
    assert len(compounds) == len({*compounds})


def test_outside_the_domain_a_reward_is_worth_less():
    from ionsmith.core.records import Value

    generator = learner(lambda candidate: 0.8, foreign=0.25)
    proposals = generator.ask(2, rng(1))
    values = [{"band_gap": Value(5.0, 0.1, "toy", inside)} for inside in (True, False)]
    generator.tell([replace(p, values=v) for p, v in zip(proposals, values, strict=True)], rng(1))
    assert sorted(episode.reward for episode in generator._memory) == pytest.approx([0.2, 0.8])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"power": 0.0}, "edits: expected a power above 0, got 0.0"),
        ({"alike": 0}, "edits: expected alike and family of at least 1, got 0 and 6"),
        ({"family": 0}, "edits: expected alike and family of at least 1, got 2 and 0"),
        ({"kin": 1.5}, "edits: expected a share of kin above 0 and up to 1, got 1.5"),
        ({"foreign": -0.1}, "edits: expected a factor for foreign materials from 0 to 1, got -0.1"),
        ({"elements": 1}, "edits: expected at least 2 elements, got 1"),
        ({"rare_earths": -1}, "edits: expected at least 0 rare earths, got -1"),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        learner(**settings)


def test_a_menu_holds_probabilities_and_what_comes_of_each_edit():
    draft, found = menu("Li3InCl6")
    assert np.exp(found.prior).sum() == pytest.approx(1.0)
    assert found.features.shape[0] == len(found.edits) == len(found.prior)
    assert {edit.step for edit in found.edits} == {Step.EXCHANGE, Step.DOPING}
    doped = np.array([edit.step is Step.DOPING for edit in found.edits])
    assert np.exp(found.prior)[doped].sum() == pytest.approx(0.25, abs=0.1)
    chemistry = Chemistry()
    zirconium = chemistry.product(draft, Edit(Step.DOPING, "In", "Zr", 4, 1.0))
    cells = sum(site.specie.symbol == "In" for site in draft.parent.candidate.structure)
    assert zirconium == {"Li": 2.0 * cells, "Cl": 6.0 * cells, "Zr": 1.0 * cells}
    assert chemistry.product(draft, Edit(Step.EXCHANGE, "Cl", "Br", -1))["Br"] == 6.0 * cells


def test_after_an_exchange_one_may_stop_and_after_two_only_dope():
    draft, found = menu("Li3InCl6", (("Cl", "Br"),))
    assert "Br" in draft.amounts
    assert draft.charges == {"Li": 1, "In": 3, "Br": -1}
    assert found.edits[0].step is Step.STOP
    assert {e.site for e in found.edits if e.step is Step.EXCHANGE} == {"In"}, "no ion is exchanged twice"
    _, last = menu("Li3InCl6", (("Cl", "Br"), ("In", "Y")))
    assert {edit.step for edit in last.edits} == {Step.STOP, Step.DOPING}


def test_an_excluded_element_may_be_driven_out_but_not_kept():
    _, found = menu("Li3InCl6", exclude=frozenset({"Cl"}))
    assert {edit.site for edit in found.edits if edit.step is Step.DOPING} == {"Cl"}, "all of it"
    assert {edit.level for edit in found.edits if edit.step is Step.DOPING} == {1.0}
    _, after = menu("Li3InCl6", (("Cl", "Br"),), exclude=frozenset({"Cl"}))
    assert after.edits[0].step is Step.STOP


def bandit(taken, reward, features, prior):
    return Episode((Choice(features, prior, taken),), reward)


def test_the_policy_reaches_prior_times_reward_to_the_power():
    features = np.eye(4, dtype=np.float32)
    prior = np.log(np.array([0.1, 0.2, 0.3, 0.4]))
    rewards = np.array([0.8, 0.4, 0.2, 0.4])
    settings = EditSettings(power=2.0, decay=0.0, steps=600, rate=1e-2)
    policy = EditPolicy(features, settings, rng())
    assert policy.probabilities(features, prior) == pytest.approx(np.exp(prior)), "it starts as the prior"
    loss = policy.learn([bandit(k, rewards[k], features, prior) for k in range(4)], rng(1))
    wanted = np.exp(prior) * rewards**2
    assert loss < 0.1
    assert policy.probabilities(features, prior) == pytest.approx(wanted / wanted.sum(), abs=0.02)
    assert policy.probabilities(features, prior, trust=0.0) == pytest.approx(np.exp(prior))


def test_a_reward_below_the_floor_is_the_floor_and_one_episode_teaches_nothing():
    features, prior = np.eye(2, dtype=np.float32), np.log(np.array([0.5, 0.5]))
    learnt = []
    for worst in (0.0, 0.1):
        policy = EditPolicy(features, EditSettings(floor=0.1, steps=20), rng())
        policy.learn([bandit(0, 0.9, features, prior), bandit(1, worst, features, prior)], rng(1))
        learnt.append(policy.probabilities(features, prior))
    assert learnt[0] == pytest.approx(learnt[1])
    assert learnt[0][0] > 0.5
    policy = EditPolicy(features, EditSettings(), rng())
    assert policy.learn([bandit(0, 0.9, features, prior)], rng(1)) == 0.0
    assert policy.probabilities(features, prior) == pytest.approx([0.5, 0.5])
