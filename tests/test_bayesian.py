"""Bayesian optimisation: it beats chance on the same source, keeps every refusal, and learns what was proposed."""

import importlib.util
import logging
from functools import lru_cache

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
    relaxed,
    small_prototypes,
    symbols,
    unreadable_row,
)
from ionsmith.core.errors import InputError
from ionsmith.core.records import Outcome, Status
from ionsmith.generate import bayesian as module
from ionsmith.generate import ions
from ionsmith.generate.bayesian import Bayesian
from ionsmith.generate.choosing import described
from ionsmith.generate.genetic import Genetic
from ionsmith.generate.pool import Pool
from ionsmith.generate.substitution import Substitution
from ionsmith.testing import antifluorite, disordered_chloride, formula, rock_salt


def rng(seed=0):
    return np.random.default_rng(seed)


HALIDES = ("F", "Cl", "Br", "I")
SALTS = [
    rock_salt(cation, anion, a=a)
    for cation, a in (("Li", 4.2), ("Na", 5.0), ("K", 5.6), ("Rb", 6.0))
    for anion in HALIDES
]


def salts():
    return Pool([Outcome(salt) for salt in SALTS])


@lru_cache(maxsize=1)
def substituted():
    return Substitution(small_prototypes()).ask(160, rng())


@pytest.mark.parametrize("judge", [iodide, dense])
def test_later_rounds_beat_random_substitution_at_equal_budget(judge):
    chance, learnt = [], []
    for seed in range(3):
        order = [substituted()[place] for place in rng(seed).permutation(160)]
        chance.append(late_mean(play(Pool(order), rounds=3, n=10, seed=seed), judge))
        generator = Bayesian(objective=Wish(judge), source=Pool(order))
        learnt.append(late_mean(play(generator, rounds=3, n=10, seed=seed), judge))
    assert np.mean(learnt) > 1.2 * np.mean(chance)


def test_before_anything_is_known_it_hands_the_source_through():
    proposals = Bayesian(small_prototypes(), objective=Wish(dense)).ask(6, rng(3))
    assert keys(proposals) == keys(Substitution(small_prototypes()).ask(6, rng(3)))
    assert {p.candidate.source.name for p in proposals} == {"bayesian"}
    assert {p.candidate.source.notes for p in proposals} == {("proposed by substitution",)}


def test_no_compound_comes_twice_and_a_dry_source_says_so():
    doubled = [Outcome(salt) for salt in (*SALTS, *SALTS)]
    rounds = play(Bayesian(objective=Wish(iodide), source=Pool(doubled), pool=2), rounds=6, n=4)
    heard = [p.candidate.formula for proposals in rounds for p in proposals]
    assert sorted(heard) == sorted(salt.formula for salt in SALTS), "each once, and none is lost"
    assert [len(proposals) for proposals in rounds] == [4, 4, 4, 4, 0, 0]


def test_a_source_that_repeats_itself_for_ever_has_run_dry():
    class Stuck(Pool):
        def ask(self, n, rng, condition=None):
            return (Outcome(rock_salt()),) * n

    assert len(Bayesian(source=Stuck()).ask(5, rng())) == 1


def test_excluded_elements_never_appear():
    rounds = play(Bayesian(small_prototypes(), exclude=("S", "Br"), objective=Wish(iodide)), rounds=2, n=6)
    assert not {"S", "Br"} & {s for proposals in rounds for p in proposals for s in symbols(p)}


def test_equal_streams_and_answers_give_equal_proposals():
    runs = [play(Bayesian(small_prototypes(), objective=Wish(dense)), rounds=3, n=6, seed=4) for _ in range(2)]
    assert list(map(keys, runs[0])) == list(map(keys, runs[1]))


def test_what_the_source_refused_comes_last_and_is_not_lost():
    refused = Outcome(antifluorite(), status=Status.REJECTED, note="no cell volume fits")
    mixed = [refused, unreadable_row(), *(Outcome(salt) for salt in SALTS[:6]), Outcome(formula("Li3N"))]
    generator = Bayesian(objective=Wish(iodide), source=Pool(mixed), pool=9)
    generator.fit([answered(Outcome(salt)) for salt in SALTS[10:14]], rng())
    first, second = generator.ask(7, rng()), generator.ask(7, rng())
    assert all(p.status is Status.OK for p in first)
    assert [p.status for p in second] == [Status.REJECTED, Status.FAILED]
    generator.tell([*first, *second], rng())


def test_failures_teach_that_nothing_is_to_be_had_there():
    wish = Wish(lambda candidate: 0.8)
    generator = Bayesian(objective=wish, source=salts(), pool=8)
    proposals = generator.ask(8, rng())
    generator.tell([broken(p) if "Li" in symbols(p) else answered(p) for p in proposals], rng())
    assert generator._scores == [0.0] * 4 + [0.8] * 4


def test_a_relaxed_answer_is_learnt_under_the_descriptors_of_the_proposal():
    generator = Bayesian(small_prototypes(), objective=Wish(dense))
    proposals = [p for p in generator.ask(6, rng()) if p.status is Status.OK]
    expected = described([p.candidate for p in proposals])
    generator.tell([relaxed(p, strain=0.1) for p in proposals], rng())
    assert np.array(generator._features) == pytest.approx(np.array(expected), nan_ok=True)
    assert not {*keys(proposals)} & {*generator._asked}


def test_the_source_hears_what_became_of_its_proposals():
    source = Genetic(small_prototypes(), objective=Wish(iodide))
    rounds = play(Bayesian(objective=Wish(iodide), source=source, pool=2), rounds=2, n=5)
    assert {p.candidate.formula for proposals in rounds for p in proposals} <= {c[0] for c in source._told}
    assert len(source._told) == 10


def test_descriptors_are_standardised_and_missing_ones_are_the_mean():
    told, waiting = np.array([[1.0, 5.0, 7.0], [3.0, np.nan, 7.0]]), np.array([[2.0, 9.0, 7.0]])
    learnt, judged = module._reduced(told, waiting)
    both = np.vstack([learnt, judged])
    assert both.shape == (3, 2)
    assert np.ptp(both, axis=0) == pytest.approx([1.0, 1.0])
    assert described([unreadable_row().candidate, disordered_chloride()])[0] is None


def test_of_many_scores_the_best_are_kept():
    scores = rng(1).random(2000)
    kept = module._kept(scores, rng(2))
    assert len(set(kept)) == len(kept) == 500
    assert set(np.argsort(-scores)[:250]) <= set(kept)
    assert list(module._kept(scores[:7], rng(2))) == list(range(7))


def test_draws_agree_with_what_was_told_and_scatter_where_nothing_was():
    places = np.linspace(0.0, 0.5, 12)[:, None]
    waiting = np.array([[0.1], [0.4], [3.0]])
    draws = module._draws(places, np.sin(6.0 * places[:, 0]), waiting, n=200, rng=rng(1))
    assert draws[:, :2].mean(axis=0) == pytest.approx(np.sin([0.6, 2.4]), abs=0.05)
    assert draws[:, 2].std() > 5.0 * draws[:, :2].std(axis=0).max()


def test_each_draw_has_its_own_winner():
    assert module._winners(np.array([[1.0, 3.0, 2.0], [1.0, 3.0, 2.0], [9.0, 3.0, 2.0]])) == [1, 2, 0]


def test_a_fit_that_fails_keeps_the_prior_and_says_so(monkeypatch, caplog):
    import botorch.fit
    from botorch.exceptions import ModelFittingError

    def fail(likelihood):
        raise ModelFittingError("all attempts failed")

    monkeypatch.setattr(botorch.fit, "fit_gpytorch_mll", fail)
    with caplog.at_level(logging.WARNING):
        draws = module._draws(rng(1).random((5, 2)), rng(2).random(5), rng(3).random((4, 2)), n=3, rng=rng(4))
    assert draws.shape == (3, 4)
    assert "keeps the hyperparameters of its prior: all attempts failed" in caplog.text


def test_torch_s_own_random_stream_is_left_alone():
    import torch

    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    module._draws(rng(1).random((5, 2)), rng(2).random(5), rng(3).random((4, 2)), n=3, rng=rng(4))
    assert torch.rand(1) == expected


def test_without_botorch_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"expected botorch, .*: pip install .ionsmith\[bayesian\]"):
        Bayesian()


def test_the_pool_must_hold_something():
    with pytest.raises(InputError, match="expected a pool of at least 1 proposal for each, got 0"):
        Bayesian(pool=0)


def test_compositions_are_judged_by_their_descriptors_too():
    assert ions.compound_of(formula("Li3N")) == ("Li3N", 0)
    (row,) = described([formula("Li3N")])
    assert np.isfinite(row).any()
    assert np.isnan(row).any(), "it has no cell"
