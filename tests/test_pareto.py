"""The Pareto front: directions from the targets, no point beaten, every other one beaten by the front."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ionsmith.core.errors import InputError
from ionsmith.core.records import Value
from ionsmith.objective.pareto import loss, non_dominated, pareto_front
from ionsmith.objective.spec import Target


def value(mean):
    return Value(mean, 0.1, "toy")


@pytest.mark.parametrize(
    ("target", "better", "worse"),
    [
        (Target("log10_conductivity", low=-3.5), -2.0, -4.0),
        (Target("energy_above_hull", high=0.05), 0.01, 0.2),
        (Target("band_gap", low=1.0, high=3.0), 2.0, 3.5),
        (Target("band_gap", low=1.0, high=3.0), 0.9, 0.2),
    ],
)
def test_the_target_gives_the_direction(target, better, worse):
    assert loss(target, value(better)) < loss(target, value(worse))


def test_inside_a_range_all_are_equal():
    target = Target("band_gap", low=1.0, high=3.0)
    assert loss(target, value(1.0)) == loss(target, value(2.5)) == 0.0


@given(st.lists(st.tuples(*[st.integers(0, 4)] * 3), min_size=1, max_size=25))
def test_every_point_off_the_front_is_beaten_by_one_on_it(points):
    losses = np.array(points, dtype=float)
    front = non_dominated(losses)
    assert front.any()

    def beats(one, two):
        return (one <= two).all() and (one < two).any()

    for place, own in enumerate(losses):
        assert front[place] == (not any(beats(other, own) for other in losses[front]))


def test_equal_points_both_stay():
    assert non_dominated(np.array([[1.0, 2.0], [1.0, 2.0], [1.0, 3.0]])).tolist() == [True, True, False]


@pytest.mark.parametrize("losses", [np.zeros(3), np.array([[np.nan, 1.0]])])
def test_senseless_losses_are_refused(losses):
    with pytest.raises(InputError, match=r"finite losses of shape \(n, k\)"):
        non_dominated(losses)


def test_a_candidate_that_lacks_a_value_is_not_on_the_front_and_beats_nobody():
    targets = {"band_gap": Target("band_gap", low=1.0), "energy_above_hull": Target("energy_above_hull", high=0.1)}
    known = [
        {"band_gap": value(3.0), "energy_above_hull": value(0.05)},
        {"band_gap": value(9.0)},
        {"band_gap": value(2.0), "energy_above_hull": value(0.06)},
        {"band_gap": value(2.0), "energy_above_hull": value(0.01)},
    ]
    assert pareto_front(targets, known).tolist() == [True, False, False, True]
    assert pareto_front({}, known).tolist() == [False] * 4
    assert pareto_front(targets, []).shape == (0,)
