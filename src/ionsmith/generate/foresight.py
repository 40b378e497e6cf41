"""What a generator expects of proposals that nobody has judged: trees grown on the answers it has heard so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ionsmith.core.protocols import Rng
from ionsmith.core.records import FloatArray, Outcome, Status, Value

_TREES = 60
_FEWEST = 20  # answers from which a quantity is learnt
_AGAIN = 1.1  # grown anew once so many times the answers are known
_MISSING = -1.0  # a descriptor that has no meaning for a material


@dataclass(frozen=True)
class Expectation:
    """What the judge may say of a proposal.

    Attributes:
        values: best estimates with the spreads that the judge would give them.
        guesses: the same best estimates with the spread of the trees: how far the judge's may be from them.
        chance: to get through all stages, 0 to 1.
    """

    values: dict[str, Value]
    guesses: dict[str, Value]
    chance: float = 1.0


class Foresight:
    """Learns every quantity that answers carry, and whether a proposal gets through all stages.

    Extremely randomised trees (Geurts et al., doi 10.1007/s10994-006-6226-1), one forest for each quantity, learn
    its best estimate, its spread, and whether the judge calls the material one of its domain.
    """

    def __init__(self) -> None:
        self._features: list[FloatArray] = []
        self._values: list[dict[str, tuple[float, float, float]]] = []
        self._passed: list[float] = []
        self._forests: dict[str, Any] = {}
        self._gate: Any = None
        self._grown = 0

    def __len__(self) -> int:
        """Return how many answers it has heard."""
        return len(self._features)

    def hear(self, features: FloatArray, outcome: Outcome) -> None:
        """Take note of an answer; what failed is no answer.

        Args:
            features: descriptors of the material as it was proposed, shape (d,).
            outcome: merged over all stages.
        """
        if outcome.status is not Status.FAILED:
            self._features.append(np.nan_to_num(features, nan=_MISSING))
            self._values.append({name: _numbers(value) for name, value in outcome.values.items()})
            self._passed.append(float(outcome.status is Status.OK))

    def expect(self, features: FloatArray, rng: Rng) -> list[Expectation]:
        """Return what to expect of each proposal.

        Args:
            features: descriptors, shape (m, d).
            rng: random stream, for trees that have to be grown.
        """
        if len(self) >= _AGAIN * self._grown:
            self._grow(rng)
        rows = np.nan_to_num(features, nan=_MISSING).astype(np.float32)
        chances = np.ones(len(rows)) if self._gate is None else self._gate.predict(rows)
        found = [Expectation({}, {}, float(chance)) for chance in chances]
        for name, forest in self._forests.items():
            told = np.array([tree.predict(rows) for tree in forest.estimators_])
            rest = zip(told.mean(axis=0), told[:, :, 0].std(axis=0), strict=True)
            for each, ((mean, spread, inside), doubt) in zip(found, rest, strict=True):
                each.values[name] = Value(float(mean), float(spread), "foresight", bool(inside > 0.5))
                each.guesses[name] = Value(float(mean), float(doubt), "foresight")
        return found

    def _grow(self, rng: Rng) -> None:
        table, self._grown = np.array(self._features), len(self)
        names = sorted({name for values in self._values for name in values})
        for name in names:
            known = [place for place, values in enumerate(self._values) if name in values]
            if len(known) >= _FEWEST:
                self._forests[name] = _forest(table[known], [self._values[place][name] for place in known], rng)
        if len(self) >= _FEWEST:
            self._gate = _forest(table, self._passed, rng)


def _numbers(value: Value) -> tuple[float, float, float]:
    return value.mean, value.std, float(value.in_domain is not False)


def _forest(features: FloatArray, target: Sequence[float] | Sequence[tuple[float, ...]], rng: Rng) -> Any:
    from sklearn.ensemble import ExtraTreesRegressor

    seed = int(rng.integers(2**31))
    return ExtraTreesRegressor(_TREES, max_features=0.4, random_state=seed).fit(features, np.array(target))
