"""Reinforcement learning on the crystal prior: proposes crystals, hears what they are worth, and proposes better."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

from ionsmith.core.errors import InputError, PhysicsError
from ionsmith.core.protocols import Objective, Rng
from ionsmith.core.records import Candidate, Kind, Outcome, Status
from ionsmith.core.registry import register
from ionsmith.generate.feedback import fitness, proposal_key
from ionsmith.generate.ions import whole_charges
from ionsmith.generate.novelty import known_as
from ionsmith.generate.wyckoff_network import WyckoffNetwork
from ionsmith.generate.wyckoff_policy import Lesson, Policy, PolicySettings
from ionsmith.generate.wyckoff_prior import Draft, conditions, draw, load_prior
from ionsmith.generate.wyckoff_writer import Conditions
from ionsmith.io.ordering import order_candidate
from ionsmith.represent.wyckoff import WyckoffCrystal, describe
from ionsmith.represent.wyckoff_settings import alternatives
from ionsmith.represent.wyckoff_tokens import LARGEST, decode, encode

_CROWDED = 0.1  # what the best crystal of the most crowded family still earns
_LONGEST_HEARD = 128  # words of a crystal of others; long ones, hardly symmetric, would cost most of the time
_REDRAWS = 8  # draws per proposal before one that is not wanted is handed out as a rejection
_WARMER = 1.1  # each redraw is at a higher temperature, so that a policy that has narrowed finds something new


@dataclass(frozen=True)
class RewardSettings:
    """What a proposal is worth beside its score.

    Attributes:
        caution: spreads by which every value is counted worse than it is.
        refused: factor for what a stage rejected.
        known: factor for a compound that is known already.
        family: good members of one chemical system after which further ones earn less.
        good: worth from which a member counts as good.
        remembered: best crystals that are read again with every batch.
    """

    caution: float = 0.5
    refused: float = 0.25
    known: float = 0.5
    family: int = 6
    good: float = 0.2
    remembered: int = 32


@dataclass
class _Memory:
    """What has been proposed and what it earned."""

    proposed: set[tuple[str, int]] = field(default_factory=set)
    families: Counter[str] = field(default_factory=Counter)
    best: list[Lesson] = field(default_factory=list)


@register("generator", "wyckoff")
class WyckoffLearner:
    """A policy on the crystal prior, rewarded by the objective of the Spec.

    Every proposal earns its cautious score (:meth:`ionsmith.core.protocols.Objective.score`), less if a stage
    refused it or the compound is known, and less the more rewarded members its chemical system has already. The best
    are read again with each batch, each time in another setting of their space group. Known materials that it is
    fitted to stand among them from the start, so that it begins where conductors were found.

    What needs no judge is not handed to one but drawn again: crystals that were proposed before, known compounds, and
    compounds whose charges cannot balance, which are hardly insulators. The last teach the policy that they are worth
    nothing.

    Args:
        mobile: symbol that has to occur.
        exclude: symbols that must not occur.
        objective: the judge; None earns nothing, so that the prior is all there is.
        power: of the reward, see :class:`PolicySettings`.
        rate: learning rate.
        steps: gradient steps per round.
        caution: see :class:`RewardSettings`.
        family: see :class:`RewardSettings`.
        largest: most atoms of the primitive cell; large ones cost most of the time of a run.
        balanced: whether only compounds are proposed for which whole charges balance.
        novel: whether known compounds are left out (:func:`ionsmith.generate.novelty.known_as`).
        network: another prior than the shipped one.

    Raises:
        InputError: a power, rate or count that is not above zero, or conditions that no crystal can meet.
    """

    name = "wyckoff"

    def __init__(
        self,
        *,
        mobile: str = "Li",
        exclude: Sequence[str] = (),
        objective: Objective | None = None,
        power: float = PolicySettings.power,
        rate: float = PolicySettings.rate,
        steps: int = PolicySettings.steps,
        caution: float = RewardSettings.caution,
        family: int = RewardSettings.family,
        largest: int = 48,
        balanced: bool = True,
        novel: bool = True,
        network: WyckoffNetwork | None = None,
    ) -> None:
        if not (power > 0.0 and rate > 0.0 and steps > 0 and family > 0):
            raise InputError(
                f"wyckoff: expected power, rate, steps and family above 0, got {power}, {rate}, {steps}, {family}"
            )
        self._conditions = conditions(mobile, exclude, largest=largest)
        self._objective = objective
        self._rewards = RewardSettings(caution=caution, family=family)
        self._learning = PolicySettings(power=power, rate=rate, steps=steps)
        self._network, self._policy = network, None if network is None else Policy(network, self._learning)
        self._balanced, self._novel = balanced, novel
        self._memory = _Memory()
        self._unbalanced: list[Lesson] = []
        self._waiting: dict[str, Draft] = {}

    def fit(self, outcomes: Sequence[Outcome], rng: Rng) -> Self:
        """Learn from known crystals as if they had been proposed; what no sentence describes is passed over.

        Args:
            outcomes: of known materials; their values may be measured.
            rng: random stream.
        """
        request = self._conditions.request().words()
        known = [(outcome, _sentences(outcome.candidate, request)) for outcome in outcomes]
        self._study([Lesson(read, self._worth(outcome)) for outcome, read in known if read], rng)
        return self

    def ask(self, n: int, rng: Rng, condition: Any = None) -> Sequence[Outcome]:
        """Return n proposals; sentences that are no crystal are among them as rejections.

        What was proposed before, is known, or cannot balance is drawn again, each time at a higher temperature; what
        then is still none of what is wanted is handed out as a rejection.

        Args:
            n: number of proposals.
            rng: random stream.
            condition: :class:`Conditions` that replace the generator's own, or None.
        """
        wanted = condition if isinstance(condition, Conditions) else self._conditions
        drafts: list[Draft] = []
        self._unbalanced = []
        for attempt in range(_REDRAWS):
            warmer = replace(wanted, temperature=wanted.temperature * _WARMER**attempt)
            fresh = draw(self._learner().network, [warmer] * (n - len(drafts)), rng, name=self.name)
            drafts += [each for each in self._sound(fresh) if self._new(each)]
        # a repeat is refused but teaches nothing: it is no worse a crystal than it was
        self._waiting = {each.outcome.candidate.key: each for each in drafts}
        spare = draw(self._learner().network, [wanted] * (n - len(drafts)), rng, name=self.name)
        drafts += [_spare(each) for each in spare]
        return tuple(each.outcome for each in drafts)

    def tell(self, outcomes: Sequence[Outcome], rng: Rng) -> None:
        """Learn from what became of the last proposals.

        Args:
            outcomes: merged over all stages, in any order; crystals of others are lessons too.
            rng: random stream.
        """
        lessons = [lesson for outcome in outcomes if (lesson := self._heard(outcome)) is not None]
        idle = self._unbalanced[: len(lessons)]
        self._waiting, self._unbalanced = {}, []
        self._study([*lessons, *idle], rng)

    def _heard(self, outcome: Outcome) -> Lesson | None:
        """Return what an outcome teaches: as it was written, or, of others, as it became; None where no words fit."""
        key = proposal_key(outcome.candidate, self._waiting)
        if key is not None:
            return _lesson(self._waiting[key], self._reward(outcome))
        request = self._conditions.request().words()
        read = _sentences(outcome.candidate, request)
        if not read or len(read[0]) > _LONGEST_HEARD:
            return None
        self._memory.proposed.add((outcome.candidate.formula, read[0][len(request)]))
        return Lesson(read, self._reward(outcome))

    def _study(self, lessons: Sequence[Lesson], rng: Rng) -> None:
        """Learn from new lessons and the best of the old ones, and remember the best of both."""
        memory = self._memory.best
        self._learner().learn([*lessons, *memory], rng)
        ranked = sorted((*lessons, *memory), key=lambda lesson: -lesson.reward)
        self._memory.best = [lesson for lesson in ranked if lesson.reward > 0.0][: self._rewards.remembered]

    def _learner(self) -> Policy:
        if self._policy is None:
            self._policy = Policy(load_prior(), self._learning)
        return self._policy

    def _sound(self, drafts: Sequence[Draft]) -> list[Draft]:
        """Return the drafts that may be handed out; those that cannot balance become lessons."""
        crystals = [each for each in drafts if each.outcome.candidate.kind is Kind.CRYSTAL]
        unbalanced = [each for each in crystals if self._balanced and not whole_charges(each.outcome.candidate)]
        known = [each for each in crystals if self._novel and known_as(each.outcome.candidate) is not None]
        self._unbalanced += [_lesson(each, 0.0) for each in unbalanced]
        out = {id(each) for each in (*unbalanced, *known)}
        return [each for each in drafts if id(each) not in out]

    def _new(self, draft: Draft) -> bool:
        """Return whether a draft is new, and remember it; what is no crystal is always new."""
        candidate = draft.outcome.candidate
        if candidate.kind is not Kind.CRYSTAL:
            return True
        mark = (candidate.formula, draft.written.words[0])
        new = mark not in self._memory.proposed
        self._memory.proposed.add(mark)
        return new

    def _worth(self, outcome: Outcome) -> float:
        return fitness(outcome, self._objective, caution=self._rewards.caution)

    def _reward(self, outcome: Outcome) -> float:
        candidate = outcome.candidate
        if candidate.kind is not Kind.CRYSTAL or not outcome.values:
            return 0.0
        worth = self._worth(outcome)
        if outcome.status is not Status.OK:
            return worth * self._rewards.refused
        if known_as(candidate) is not None:
            return worth * self._rewards.known
        family = str(candidate.composition.chemical_system)
        self._memory.families[family] += worth >= self._rewards.good
        crowd = self._memory.families[family] / self._rewards.family
        return worth * max(_CROWDED, min(1.0, crowd**-2)) if crowd else worth


def _spare(draft: Draft) -> Draft:
    """Return a draft beyond the last redraw as a rejection."""
    if draft.outcome.status is not Status.OK:
        return draft
    note = f"{draft.outcome.candidate.source.locator}: proposed before, known, or without charges that balance"
    return replace(draft, outcome=replace(draft.outcome, status=Status.REJECTED, note=note))


def _lesson(draft: Draft, reward: float) -> Lesson:
    """Return the lesson of a sentence; a crystal is read in every setting, what is none as it was written."""
    request = draft.written.conditions.request().words()
    told: tuple[tuple[int, ...], ...] = ()
    if draft.outcome.candidate.kind is Kind.CRYSTAL and reward > 0.0:
        told = _told(decode(draft.written.words), request)
    return Lesson(told or ((*request, *draft.written.words),), reward)


def _sentences(candidate: Candidate, request: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    """Return the sentences of a known crystal, a disordered one as its ordered approximant; none if none fits."""
    if candidate.kind is not Kind.CRYSTAL:
        return ()
    try:
        ordered = order_candidate(candidate, max_sites=LARGEST).structure.copy()
        ordered.remove_oxidation_states()
        return _told(describe(ordered), request)
    except PhysicsError:
        return ()


def _told(crystal: WyckoffCrystal, request: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    """Return a crystal behind a request, told in each setting of its space group; none if its cell has no words."""
    try:
        return tuple((*request, *encode(each)) for each in alternatives(crystal))
    except PhysicsError:
        return ()
