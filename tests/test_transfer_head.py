"""When the kernel gets a say beside the networks, and what it does to a prediction."""

from dataclasses import dataclass

import numpy as np
import pytest

from ionsmith.learn.ensemble import TargetKind
from ionsmith.learn.network import Crowd
from ionsmith.predict.transfer_head import Lesson, _kernel, _votes, part
from ionsmith.predict.transfer_views import portraits

PLAIN, INFLATED = TargetKind.PLAIN, TargetKind.ZERO_INFLATED


@dataclass(frozen=True)
class Stub:
    """Two networks that say the same: the share of the first feature given."""

    share: float

    def predict(self, crowd):
        answer = self.share * truth(crowd)
        return np.stack([answer, answer])


def truth(crowd):
    first = portraits(crowd)[:, 0].astype(float)
    return np.column_stack([first, -first])


def lesson(kinds=(PLAIN, PLAIN), rows=120):
    rng = np.random.default_rng(0)
    sizes = np.full(rows, 2)
    atoms, crystal = rng.normal(size=(2 * rows, 2)), rng.normal(size=(rows, 4))
    crowd = Crowd(atoms.astype(np.float32), np.ones(2 * rows), sizes, crystal.astype(np.float32))
    numbers = [np.array([3, 8])] * rows
    return Lesson(crowd, numbers, truth(crowd), ("a", "b"), kinds, [("x", "y")] * rows, np.arange(100, rows))


def test_a_portrait_is_mean_deviation_and_the_crystal_as_a_whole():
    atoms = np.array([[1.0, 0.0], [5.0, 0.0], [7.0, 2.0]], np.float32)
    crowd = Crowd(atoms, np.array([3.0, 1.0, 1.0]), np.array([2, 1]), np.arange(10.0).reshape(2, 5))
    assert portraits(crowd) == pytest.approx(
        np.array([[2.0, 0.0, np.sqrt(3.0), 0.0, 0.0, 1.0, 2.0], [7.0, 2.0, 0.0, 0.0, 5.0, 6.0, 7.0]])
    )


def test_a_kernel_gets_half_the_say_where_it_helps_and_none_where_it_does_not():
    told = lesson()
    kernel, trust, noise = _kernel(Stub(0.0), told, np.arange(100))
    assert trust.tolist() == [0.5, 0.5]
    assert noise == 3e-3
    inside = part(told.crowd, told.validation)
    votes, quarrel = _votes(Stub(0.0), kernel, trust, inside)
    assert votes[0] == pytest.approx(0.5 * kernel.predict(portraits(inside)))
    assert quarrel == pytest.approx(np.abs(votes[0]))
    assert _kernel(Stub(1.0), told, np.arange(100))[0] is None


def test_zero_inflated_and_hardly_known_targets_are_left_to_the_networks():
    assert _kernel(Stub(0.0), lesson((INFLATED, PLAIN)), np.arange(100))[0] is None
    assert _kernel(Stub(0.0), lesson(), np.arange(9))[0] is None
    votes, quarrel = _votes(Stub(1.0), None, np.zeros(2), lesson().crowd)
    assert votes[0] == pytest.approx(truth(lesson().crowd))
    assert not quarrel.any()
