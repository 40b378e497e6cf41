"""The genetic algorithm: it beats chance, breeds from the best, stays neutral, and repeats nothing but itself."""

from collections import Counter

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
    library,
    play,
    random_mean,
    relaxed,
    small_prototypes,
    symbols,
    unreadable_row,
)
from ionsmith.core.crystals import arranged
from ionsmith.core.errors import InputError
from ionsmith.core.records import Origin, Outcome, Status
from ionsmith.generate import ions
from ionsmith.generate.genetic import Genetic
from ionsmith.testing import antifluorite, formula, rock_salt, without_lithium


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("judge", [iodide, dense])
def test_later_rounds_beat_random_substitution_at_equal_budget(judge):
    means = [late_mean(play(Genetic(small_prototypes(), objective=Wish(judge)), seed=s), judge) for s in range(3)]
    assert np.mean(means) > 1.3 * random_mean(judge)


def test_without_an_objective_it_learns_nothing():
    learnt = play(Genetic(small_prototypes(), objective=Wish(iodide)))
    chance = play(Genetic(small_prototypes()))
    assert keys(learnt[0]) == keys(chance[0])
    assert late_mean(learnt, iodide) > 1.3 * late_mean(chance, iodide)


def test_no_compound_and_no_prototype_comes_twice():
    prototypes = small_prototypes("Li3InCl6", "Li3ClO", "Li3N")
    rounds = play(Genetic(prototypes, objective=Wish(iodide)), rounds=6, n=15)
    compounds = [ions.compound_of(p.candidate) for proposals in rounds for p in proposals]
    assert len(compounds) == len({*compounds}) > 60
    assert not {ions.compound_of(c) for c in prototypes} & {*compounds}


def test_a_source_that_has_run_dry_says_so():
    generator = Genetic([rock_salt()])
    assert 0 < len(generator.ask(30, rng(1))) < 10
    assert generator.ask(3, rng(2)) == ()
    assert Genetic([without_lithium(), formula("LiF")]).ask(3, rng()) == ()


def test_excluded_elements_never_appear_even_where_a_prototype_holds_them():
    generator = Genetic(small_prototypes(), exclude=("S", "Br", "Cl"), objective=Wish(iodide))
    rounds = play(generator, rounds=3)
    assert all(rounds)
    assert not {"S", "Br", "Cl"} & {s for proposals in rounds for p in proposals for s in symbols(p)}


def test_equal_streams_and_answers_give_equal_proposals():
    runs = [play(Genetic(small_prototypes(), objective=Wish(dense)), rounds=3, seed=4) for _ in range(2)]
    assert list(map(keys, runs[0])) == list(map(keys, runs[1]))


def test_crossover_puts_elements_of_one_parent_into_the_framework_of_the_other():
    prototypes = small_prototypes("Li3VO4", "LiZnPS4")
    charges = {c.candidate.key: c.charges for c in ions.ionic_crystals(prototypes, mobile="Li")}
    vanadate, sulphide = prototypes if prototypes[0].formula == "Li3VO4" else prototypes[::-1]
    children = Genetic(prototypes, crossover=1.0).ask(12, rng(2))
    crossed = [p for p in children if len(p.candidate.parents) == 2]
    told = {p.candidate.source.locator: p for p in crossed}
    assert "Li3VO4: O -> S, V -> P, as in LiZnPS4" in told
    child = told["Li3VO4: O -> S, V -> P, as in LiZnPS4"].candidate
    assert child.parents == (vanadate.key, sulphide.key)
    assert child.formula == "Li3PS4"
    assert len(child.structure) == len(vanadate.structure)
    for proposal in crossed:
        of = {s: q for key in proposal.candidate.parents for s, q in charges[key].items()}
        amounts = proposal.candidate.composition
        assert sum(of[e.symbol] * n for e, n in amounts.items()) == pytest.approx(0.0, abs=1e-6)
        assert symbols(proposal) <= {*of}


def test_children_come_from_the_best_as_they_were_told_back():
    generator = Genetic(small_prototypes(), objective=Wish(iodide), population=2, share=0.5, crossover=0.0)
    told = [relaxed(p) for p in generator.ask(20, rng(1))]
    generator.tell(told, rng(1))
    best = sorted(told, key=lambda o: -iodide(o.candidate))[:4]
    children = generator.ask(20, rng(2))
    bred = [p for p in children if set(p.candidate.parents) <= {o.candidate.key for o in best}]
    assert len(bred) > 12, "all but the immigrants"
    assert all(p.candidate.source.locator.split(":")[0] in {o.candidate.formula for o in best} for p in bred)
    generator.tell([broken(p) for p in children], rng(2))
    elite = {p for child in generator.ask(10, rng(3)) for p in child.candidate.parents}
    assert elite & {o.candidate.key for o in best}, "the elite stays while nothing beats it"


def test_failures_are_worth_nothing():
    generator = Genetic(small_prototypes(), objective=Wish(iodide), population=5, crossover=0.0)
    proposals = generator.ask(12, rng(1))
    generator.tell([*(broken(p) for p in proposals), unreadable_row()], rng(1))
    parents = {key for p in generator.ask(12, rng(2)) for key in p.candidate.parents}
    assert not parents & set(keys(proposals))


def test_a_refused_child_is_counted_and_not_bred_from(monkeypatch):
    monkeypatch.setattr(ions, "_wanted_volume", lambda structure: None)
    generator = Genetic([rock_salt()], objective=Wish(iodide))
    proposals = generator.ask(2, rng())
    assert [p.status for p in proposals] == [Status.REJECTED] * 2
    generator.tell(proposals, rng())


def test_no_chemical_system_takes_more_than_its_share():
    sulphides = [c for c in library() if c.formula in ("Li3PS4", "Li7P3S11")]
    generator = Genetic([*sulphides, rock_salt(), antifluorite()], objective=Wish(dense), population=10, share=0.1)
    generator.fit([answered(Outcome(candidate)) for candidate in (*sulphides, rock_salt())], rng())
    held = Counter(one.system for one in generator._population)
    assert held[frozenset({"Li", "P", "S"})] == 1
    assert len(held) == 3
    assert max(one.score for one in generator._population) > 0.0, "known materials count from the start"


def test_it_names_itself_and_its_words_say_what_was_done():
    (child,) = Genetic([rock_salt()], crossover=0.0).ask(1, rng())
    old, new = child.candidate.source.locator.removeprefix("LiF: ").split(" -> ")
    assert (child.candidate.source, old) == (arranged(Origin("genetic", f"LiF: F -> {new}")), "F")
    assert new in symbols(child)
    assert child.candidate.parents == (rock_salt().key,)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"population": 0}, "expected a population of at least 1, got 0"),
        ({"crossover": 1.5}, "expected a probability of crossover from 0 to 1, got 1.5"),
        ({"share": 0.0}, "expected a share above 0 and up to 1, got 0.0"),
        ({"boldness": 0.0}, "expected boldness above 0, got 0.0"),
    ],
)
def test_settings_outside_their_range(settings, words):
    with pytest.raises(InputError, match=words):
        Genetic(**settings)
