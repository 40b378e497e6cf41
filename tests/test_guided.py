"""Choosing with foresight: it beats its source at equal budget, and stays diverse."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from generator_toys import broken, iodide, keys, small_prototypes, symbols
from ionsmith.core.errors import InputError
from ionsmith.core.records import Outcome, Status, Value
from ionsmith.data.library import measured_library
from ionsmith.generate.choosing import described
from ionsmith.generate.foresight import Expectation, Foresight
from ionsmith.generate.genetic import Genetic
from ionsmith.generate.guided import Guided, _spread
from ionsmith.generate.likeness import anions, chemical_system
from ionsmith.generate.novelty import known_as
from ionsmith.generate.pool import Pool
from ionsmith.generate.substitution import Substitution
from ionsmith.objective.score import SpecObjective
from ionsmith.objective.spec import parse_spec
from ionsmith.testing import disordered_chloride, formula, rock_salt

GAP = SpecObjective(parse_spec({"targets": {"band_gap": {"min": 6.0}}}))


def rng(seed=0):
    return np.random.default_rng(seed)


def judged(proposal):
    """A gap that grows with the share of bromine and iodine, for what was not refused."""
    if proposal.status is not Status.OK:
        return proposal
    return replace(proposal, values={"band_gap": Value(8.0 * iodide(proposal.candidate), 0.3, "toy")})


def played(generator, *, rounds=4, n=25, seed=0):
    heard = []
    for number in range(rounds):
        stream = rng([seed, number])
        heard.append([judged(p) for p in generator.ask(n, stream)])
        generator.tell(heard[-1], stream)
    return heard


def wins(rounds):
    return sum(GAP.feasible(p) for proposals in rounds for p in proposals if p.values)


def guided(**settings):
    source = Genetic(small_prototypes(), objective=GAP)
    return Guided(
        objective=GAP, source=source, **{"novel": False, "caution": 0.0, "alike": 9, "kin": 1.0, **settings}
    )


def test_it_finds_more_than_the_same_source_without_foresight():
    with_it = [wins(played(guided(), rounds=6, seed=s)) for s in range(2)]
    without = [wins(played(Genetic(small_prototypes(), objective=GAP), rounds=6, seed=s)) for s in range(2)]
    assert sum(with_it) > 1.5 * sum(without) > 0


def test_equal_streams_and_answers_give_equal_proposals():
    runs = [played(guided(), rounds=4, seed=4) for _ in range(2)]
    assert list(map(keys, runs[0])) == list(map(keys, runs[1]))
    assert {p.candidate.source.name for p in runs[0][-1]} == {"guided"}
    assert {p.candidate.source.notes[-1] for p in runs[0][-1]} == {"proposed by genetic"}


def test_until_it_has_heard_enough_it_hands_the_source_through():
    hears = guided()
    first = hears.ask(6, rng(3))
    assert [p.candidate.formula for p in first] == [
        p.candidate.formula for p in Genetic(small_prototypes(), objective=GAP).ask(6, rng(3))
    ]
    assert len(hears._waiting) == 0


def test_no_more_of_one_system_than_allowed_are_handed_out_together():
    hears = guided(alike=1)
    played(hears, rounds=3)
    systems = Counter(p.candidate.composition.chemical_system for p in hears.ask(20, rng(9)))
    assert max(systems.values()) == 1
    assert _spread([0, 1, 2, 0], [(["a", "a", "b"], 1)], 3) == [0, 2, 1], "others only where too few are left"
    assert _spread([0, 1, 2, 3], [("aabb", 1), ("wxyz", 9)], 2) == [0, 2]


def test_no_more_elements_than_wanted():
    source = Pool([Outcome(rock_salt("Li", "F")), Outcome(disordered_chloride())])
    asked = Guided(objective=GAP, source=source, novel=False, elements=2).ask(2, rng())
    assert [p.candidate.formula for p in asked] == ["LiF"]


def test_rare_earths_count_as_one_element():
    chlorides = [formula(f"Li3{first}Cl6") for first in ("Y", "Er")] + [formula("Li6YErCl12")]
    asked = Guided(objective=GAP, source=Pool(map(Outcome, chlorides)), novel=False).ask(3, rng())
    assert [p.candidate.formula for p in asked] == ["Li3YCl6", "Li3ErCl6"]
    more = Guided(objective=GAP, source=Pool(map(Outcome, chlorides)), novel=False, rare_earths=2)
    assert len(more.ask(3, rng())) == 3
    assert len({chemical_system(chloride.composition) for chloride in chlorides}) == 1
    assert chemical_system(formula("Li3InCl6").composition) == "Cl-In-Li"


def test_a_best_estimate_outside_the_domain_is_worth_a_quarter():
    def likely(inside):
        hears = guided()
        for proposal in Genetic(small_prototypes(), objective=GAP).ask(80, rng()):
            gap = {"band_gap": Value(6.0, 0.3, "toy", inside)}
            hears.tell([replace(proposal, values=gap)], rng())
        asked = [p for p in Substitution(small_prototypes()).ask(20, rng(1)) if p.status is Status.OK]
        return hears._expected(asked, np.array(described([p.candidate for p in asked])), rng(2))[1]

    assert likely(inside=False) == pytest.approx(0.25 * likely(inside=True))
    assert likely(inside=True).min() > 0.0


def test_no_anions_take_more_than_their_share():
    hears = guided(kin=0.2)
    played(hears, rounds=3)
    asked = [p.candidate for p in hears.ask(20, rng(9))]
    assert max(Counter(anions(each.composition) for each in asked).values()) <= 4
    some = [rock_salt("Li", "F"), formula("Li6PS5Cl"), formula("Li3P")]
    assert [anions(each.composition) for each in some] == ["9", "16-17", "15"]


def test_known_compounds_are_left_out_unless_wanted():
    known = [Outcome(rock_salt("Li", x)) for x in ("F", "Cl", "Br")]
    assert not Guided(objective=GAP, source=Pool(known)).ask(3, rng())
    assert len(Guided(objective=GAP, source=Pool(known), novel=False).ask(3, rng())) == 3


def test_the_default_is_a_policy_over_edits():
    source = Guided(small_prototypes(), objective=GAP)
    source.fit(measured_library()[:6], rng())
    asked = source.ask(8, rng(1))
    assert {p.candidate.source.notes[-1] for p in asked} == {"proposed by edits"}
    assert all(known_as(p.candidate) is None for p in asked if p.status is Status.OK)
    source.tell([judged(p) for p in asked], rng(2))


def test_excluded_elements_never_appear():
    rounds = played(guided(exclude=("S", "Br")), rounds=4, n=20)
    assert not {"S", "Br"} & {s for proposals in rounds for p in proposals for s in symbols(p)}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"chance": 1.5}, "guided: expected a share of chance from 0 to 1, got 1.5"),
        ({"alike": 0}, "guided: expected at least 1 alike proposal, got 0"),
        ({"kin": 0.0}, "guided: expected a share of kin above 0 and up to 1, got 0.0"),
        ({"elements": 1}, "guided: expected at least 2 elements, got 1"),
        ({"rare_earths": -1}, "guided: expected at least 0 rare earths, got -1"),
        ({"pool": 0}, "guided: expected a pool of at least 1 proposal for each, got 0"),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        guided(**settings)


def test_foresight_expects_what_it_has_heard():
    proposals = [p for p in Substitution(small_prototypes()).ask(150, rng()) if p.status is Status.OK]
    rows = np.array(described([p.candidate for p in proposals]))
    sees = Foresight()
    assert sees.expect(rows[:3], rng()) == [Expectation({}, {})] * 3
    for row, proposal in zip(rows[:100], proposals, strict=False):
        answer = judged(proposal)
        sees.hear(row, replace(answer, status=Status.REJECTED, note="oxide") if "O" in symbols(proposal) else answer)
    found = sees.expect(rows[100:], rng())
    truth = np.array([judged(p).values["band_gap"].mean for p in proposals[100:]])
    seen = np.array([each.values["band_gap"].mean for each in found])
    assert np.corrcoef(truth, seen)[0, 1] > 0.9
    assert all(each.values["band_gap"].std == pytest.approx(0.3) for each in found)
    assert all(each.values["band_gap"].in_domain for each in found)
    doubt = np.array([each.guesses["band_gap"].std for each in found])
    assert np.mean(np.abs(truth - seen) < 2.0 * doubt + 0.05) > 0.8
    chance = np.array([each.chance for each in found])
    oxides = np.array(["O" in symbols(p) for p in proposals[100:]])
    assert chance[oxides].max() < chance[~oxides].min()
    before = len(sees)
    sees.hear(rows[0], broken(proposals[0]))
    assert len(sees) == before, "a failure of ours says nothing about the crystal"
