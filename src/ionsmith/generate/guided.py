"""Reinforcement learning with a model of its judge: a policy draws more than the judge has time for, trees choose.

The policy of ``generate/edits.py`` learns from every answer where to start and what to exchange or dope; trees grown
on the same answers (``generate/foresight.py``) decide which of its proposals the judge sees. Each makes up for what
the other lacks: the trees rank what there is, the policy makes better things to rank (compare model-based
reinforcement learning of sequences, Angermueller et al., ICLR 2020).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from ionsmith.core.errors import InputError
from ionsmith.core.protocols import Generator, Objective, Rng
from ionsmith.core.records import Candidate, FloatArray, Outcome, Value
from ionsmith.core.registry import register
from ionsmith.generate.choosing import Choosing
from ionsmith.generate.edits import EditLearner
from ionsmith.generate.foresight import Foresight
from ionsmith.generate.likeness import anions, chemical_system
from ionsmith.generate.novelty import known_as

_ENOUGH = 60  # answers before expectations mean something
_FOREIGN = 0.25  # worth of a best estimate outside the domain: in a family never seen the intervals that should hold
# half of the conductivities hold three in ten (docs/benchmarks/conductivity.md)


@register("generator", "guided")
class Guided(Choosing):
    """A policy over edits proposes, trees choose what is worth the judge's time; both learn from every answer.

    Args:
        prototypes: known crystals, for the policy.
        mobile: symbol of the ion that moves.
        exclude: symbols of elements that never appear.
        objective: the judge; without one nothing is learnt.
        pool: fresh proposals drawn for each one that is handed out.
        chance: share of the places that go to proposals drawn at random: expectations can be wrong.
        caution: spreads by which expected values are counted worse than they are for half of the other places; see
            :func:`ionsmith.objective.score.log_probability`.
        alike: most proposals of one chemical system among those handed out together.
        kin: largest share of those handed out together that may have the same anions.
        elements: most elements of a proposal; the fast conductors that people make have at most five.
        rare_earths: most rare earths among them: they are so alike that a mixture is no new idea.
        novel: whether known compounds are left out (:func:`ionsmith.generate.novelty.known_as`).
        source: another generator than the policy.

    Raises:
        InputError: a pool or number of alike proposals below 1, fewer than 2 elements, a negative number of rare
            earths, or a share outside 0 to 1.
    """

    name = "guided"

    def __init__(
        self,
        prototypes: Sequence[Candidate] = (),
        *,
        mobile: str = "Li",
        exclude: Sequence[str] = (),
        objective: Objective | None = None,
        pool: int = 4,
        chance: float = 0.15,
        caution: float = 0.5,
        alike: int = 2,
        kin: float = 0.25,
        elements: int = 5,
        rare_earths: int = 1,
        novel: bool = True,
        source: Generator | None = None,
    ) -> None:
        if not 0.0 <= chance <= 1.0:
            raise InputError(f"guided: expected a share of chance from 0 to 1, got {chance}")
        if alike < 1:
            raise InputError(f"guided: expected at least 1 alike proposal, got {alike}")
        if not 0.0 < kin <= 1.0:
            raise InputError(f"guided: expected a share of kin above 0 and up to 1, got {kin}")
        if elements < 2:
            raise InputError(f"guided: expected at least 2 elements, got {elements}")
        if rare_earths < 0:
            raise InputError(f"guided: expected at least 0 rare earths, got {rare_earths}")
        if source is None:
            source = EditLearner(
                prototypes,
                mobile=mobile,
                exclude=exclude,
                objective=objective,
                elements=elements,
                rare_earths=rare_earths,
                alike=alike,
                kin=kin,
                novel=novel,
            )
        super().__init__(source, exclude=exclude, pool=pool)
        self._objective, self._chance, self._alike, self._novel = objective, chance, alike, novel
        self._caution, self._kin, self._elements, self._rare_earths = caution, kin, elements, rare_earths
        self._foresight = Foresight()

    def _can_tell(self) -> bool:
        return self._objective is not None and len(self._foresight) >= _ENOUGH

    def _hear(self, features: FloatArray, outcome: Outcome) -> None:
        self._foresight.hear(features, outcome)

    def _wanted(self, candidate: Candidate) -> bool:
        elements = candidate.composition.elements
        if len(elements) > self._elements or sum(e.is_rare_earth for e in elements) > self._rare_earths:
            return False
        return super()._wanted(candidate) and not (self._novel and known_as(candidate) is not None)

    def _best(self, proposals: Sequence[Outcome], features: FloatArray, n: int, rng: Rng) -> list[int]:
        sure, likely = self._expected(proposals, features, rng)
        lucky = rng.permutation(len(proposals))[: round(self._chance * n)]
        ranked = zip(np.argsort(-likely, kind="stable"), np.argsort(-sure, kind="stable"), strict=True)
        order = [*lucky, *(place for pair in ranked for place in pair)]
        made_of = [proposal.candidate.composition for proposal in proposals]
        systems, kin = [chemical_system(each) for each in made_of], [anions(each) for each in made_of]
        limits = [(systems, self._alike), (kin, math.ceil(self._kin * n))]
        return _spread(order, limits, n)

    def _expected(self, proposals: Sequence[Outcome], features: FloatArray, rng: Rng) -> FloatArray:
        """Return two worths of each proposal, each times its chance to get through; shape (2, m).

        The first counts every value cautiously, as the policy is paid; the second is how likely the judge's best
        estimates meet the targets, worth less where a model is expected to be outside its domain. One alone would
        stay where all is known, the other chase vague promises.
        """
        objective = self._objective
        if objective is None:
            return np.zeros((2, len(proposals)))

        def score(values: Mapping[str, Value], proposal: Outcome, caution: float) -> float:
            return objective.score(Outcome(proposal.candidate, values=values), caution=caution) or 0.0

        expected = self._foresight.expect(features, rng)
        pairs = list(zip(expected, proposals, strict=True))
        sure = [each.chance * score(each.values, proposal, self._caution) for each, proposal in pairs]
        trust = [_FOREIGN if any(v.in_domain is False for v in each.values.values()) else 1.0 for each in expected]
        likely = [
            each.chance * score(each.guesses, proposal, 0.0) * worth
            for (each, proposal), worth in zip(pairs, trust, strict=True)
        ]
        return np.array([sure, likely])


def _spread(order: Sequence[int], limits: Sequence[tuple[Sequence[str], int]], n: int) -> list[int]:
    """Return the first n places of an order, no more of a kind than allowed unless too few others are left.

    Args:
        order: places, best first; a place may come more than once.
        limits: each the kind of every place, and how many of one kind are allowed.
        n: number of places.
    """
    chosen: list[int] = []
    held: Counter[tuple[int, str]] = Counter()
    unique = list(dict.fromkeys(int(place) for place in order))
    for place in unique:
        kinds = [(number, labels[place]) for number, (labels, _) in enumerate(limits)]
        if len(chosen) < n and all(held[kind] < limits[kind[0]][1] for kind in kinds):
            chosen.append(place)
            held.update(kinds)
    return (chosen + [place for place in unique if place not in set(chosen)])[:n]
