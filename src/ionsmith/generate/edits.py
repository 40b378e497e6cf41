"""Reinforcement learning over edits of known crystals: which to start from, which ions to exchange, what to dope.

Where ``generate/wyckoff_learner.py`` writes crystals atom by atom, this policy keeps known frameworks and learns what
to do to them. What it made and was told to be good is edited further. It starts as the random edits of
``generate/edit_menu.py`` and is moved from there by reward (``generate/edit_policy.py``).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from pymatgen.core import Composition

from ionsmith.core.errors import InputError
from ionsmith.core.protocols import Objective, Rng
from ionsmith.core.records import Candidate, Kind, Origin, Outcome, Status
from ionsmith.core.registry import register
from ionsmith.generate.dopants import Doping
from ionsmith.generate.doping import DOUBLED, AliovalentExchange
from ionsmith.generate.edit_menu import Chemistry, Descriptors, Draft, Edit, Menu, Step, describe
from ionsmith.generate.edit_policy import Choice, EditPolicy, EditSettings, Episode
from ionsmith.generate.feedback import fitness, proposal_key
from ionsmith.generate.ions import Compound, IonExchange, IonicCrystal, Swap, compound_of, in_words, ionic_crystals
from ionsmith.generate.likeness import anions, chemical_system
from ionsmith.generate.novelty import known_as

_TRIES = 300  # draws without success before a source has run dry
_PATIENCE = 10  # draws without success after which ...
_LESS = 0.9  # ... a policy that has narrowed counts so much less than the prior
_MOST_WAITING = 600  # proposals that nobody has answered yet, the latest ones
_LARGEST_DOPED = 48  # atoms of a cell with dopants
_GREED = 6.0  # prior log odds that a crystal worth 1 rather than 0 is edited
_REFUSED = 0.25  # of the worth of what a stage rejected
_GOOD = 0.2  # worth from which a member of a family counts


@dataclass
class _Crowd:
    """What is proposed between two lessons: how many of one chemical system, and with the same anions."""

    alike: int
    kin: int
    held: Counter[str] = field(default_factory=Counter)

    def has_room(self, product: Composition) -> bool:
        """Return whether one more is not too many."""
        return self.held[chemical_system(product)] < self.alike and self.held[anions(product)] < self.kin

    def add(self, product: Composition) -> None:
        """Take note of one more."""
        self.held.update((chemical_system(product), anions(product)))


@dataclass(frozen=True)
class _Start:
    """A crystal that may be edited, the space group of the known crystal that it stems from, and what it is worth.

    Dopants and relaxation take a crystal's own symmetry away, but they make no other framework of it.
    """

    crystal: IonicCrystal
    framework: int
    worth: float = 0.0

    @property
    def compound(self) -> Compound:
        """By which two crystals are the same compound."""
        return str(self.crystal.candidate.composition.reduced_formula), self.framework

    @cached_property
    def edit(self) -> Edit:
        """The choice of it."""
        return Edit(Step.START, level=self.worth)

    @cached_property
    def features(self) -> Descriptors:
        """Its descriptors, shape (1, d)."""
        return describe(self.crystal, [Draft(self.crystal).amounts], [self.edit])


@register("generator", "edits")
class EditLearner:
    """A policy over edits of crystals, rewarded by the objective of the Spec.

    An episode starts at a prototype or at an earlier proposal that got through all stages, exchanges one or two of
    its ions, and may dope one site. It earns the cautious score of what comes of it. No compound is proposed twice.

    Args:
        prototypes: known crystals; see :func:`ionsmith.generate.ions.ionic_crystals` for those that serve.
        mobile: symbol of the ion that moves.
        exclude: symbols of elements that never appear.
        objective: the judge; without one nothing is learnt.
        power: of the reward, see :class:`ionsmith.generate.edit_policy.EditSettings`.
        caution: spreads by which every value is counted worse than it is.
        foreign: factor of the reward where a method was not built for the material, 0 to 1.
        elements: most elements of a proposal.
        rare_earths: most rare earths among them.
        alike: most proposals of one chemical system between two lessons.
        kin: largest share of those between two lessons that may have the same anions.
        family: good members of a chemical system after which it is left alone.
        novel: whether known compounds are left out (:func:`ionsmith.generate.novelty.known_as`).

    Raises:
        InputError: a power that is not above zero, or a count or limit below what makes sense.
    """

    name = "edits"

    def __init__(
        self,
        prototypes: Sequence[Candidate] = (),
        *,
        mobile: str = "Li",
        exclude: Sequence[str] = (),
        objective: Objective | None = None,
        power: float = EditSettings.power,
        caution: float = 0.5,
        foreign: float = 0.5,
        elements: int = 5,
        rare_earths: int = 1,
        alike: int = 2,
        kin: float = 0.25,
        family: int = 6,
        novel: bool = True,
    ) -> None:
        if not power > 0.0:
            raise InputError(f"edits: expected a power above 0, got {power}")
        if alike < 1 or family < 1:
            raise InputError(f"edits: expected alike and family of at least 1, got {alike} and {family}")
        if not 0.0 <= foreign <= 1.0:
            raise InputError(f"edits: expected a factor for foreign materials from 0 to 1, got {foreign}")
        if not 0.0 < kin <= 1.0:
            raise InputError(f"edits: expected a share of kin above 0 and up to 1, got {kin}")
        self._chemistry = Chemistry(mobile, frozenset(exclude), elements=elements, rare_earths=rare_earths)
        bold = self._chemistry.boldness
        self._exchange = IonExchange(mobile=mobile, exclude=exclude, boldness=bold)
        self._dopants = AliovalentExchange(mobile=mobile, exclude=exclude, boldness=bold, largest=_LARGEST_DOPED)
        self._mobile, self._objective, self._caution = mobile, objective, caution
        self._foreign = foreign
        self._alike, self._kin, self._family, self._novel = alike, kin, family, novel
        self._settings = EditSettings(power=power)
        self._starts = [
            _Start(crystal, compound_of(crystal.candidate)[1])
            for crystal in ionic_crystals(prototypes, mobile=mobile)
        ]
        self._known: set[Compound] = {start.compound for start in self._starts}
        self._tried: set[tuple[str, Swap, Edit]] = set()
        self._families: Counter[str] = Counter()
        self._policy: EditPolicy | None = None
        self._menus: dict[tuple[str, Swap], Menu] = {}
        self._waiting: dict[str, tuple[Episode, _Start]] = {}
        self._idle: list[Episode] = []
        self._memory: list[Episode] = []

    def fit(self, outcomes: Sequence[Outcome], rng: Rng) -> Self:
        """Learn which known crystals are good to start from.

        Args:
            outcomes: of known materials; their values may be measured.
            rng: random stream, not used.
        """
        self._welcome(outcomes)
        return self

    def ask(self, n: int, rng: Rng, condition: Any = None) -> Sequence[Outcome]:
        """Return up to n edited crystals; fewer once draws find nothing new.

        Args:
            n: number of proposals.
            rng: random stream.
            condition: ignored; the objective was given to the constructor.
        """
        if not self._starts:
            return ()
        start, crowd = self._start_menu(), _Crowd(self._alike, math.ceil(self._kin * n))
        proposals: list[Outcome] = []
        refused = 0
        while len(proposals) < n and refused < _TRIES:
            made = self._episode(start, _LESS ** (refused // _PATIENCE), crowd, rng)
            refused += 1
            if made is not None:
                proposals.append(made)
                refused = max(0, refused - _PATIENCE)
        return tuple(proposals)

    def tell(self, outcomes: Sequence[Outcome], rng: Rng) -> None:
        """Learn from what became of the last proposals; good ones, and crystals of others, may be edited further.

        Args:
            outcomes: merged over all stages, in any order.
            rng: random stream, draws the batches.
        """
        others, fresh = [], []
        for outcome in outcomes:
            key = proposal_key(outcome.candidate, self._waiting)
            # a child whose own key is gone may be taken for a parent that was proposed once more
            if key is None or self._waiting[key][1].crystal.candidate.formula != outcome.candidate.formula:
                others.append(outcome)
                continue
            episode, made = self._waiting.pop(key)
            fresh.append(replace(episode, reward=self._reward(outcome)))
            if outcome.status is Status.OK and outcome.candidate.kind is Kind.CRYSTAL:
                relaxed = IonicCrystal(outcome.candidate, made.crystal.charges)
                self._starts.append(replace(made, crystal=relaxed, worth=self._worth(outcome)))
        self._welcome(others)
        self._study([*fresh, *self._idle[: len(fresh)]], rng)
        self._idle, self._menus = [], {}
        self._waiting = dict(list(self._waiting.items())[-_MOST_WAITING:])  # a chooser may hand them out later

    def _welcome(self, outcomes: Sequence[Outcome]) -> None:
        """Take crystals of others among those that may be edited; what is known of a compound is its worth."""
        places = {start.compound: place for place, start in enumerate(self._starts)}
        for outcome in outcomes:
            for crystal in ionic_crystals([outcome.candidate], mobile=self._mobile):
                start = _Start(crystal, compound_of(crystal.candidate)[1], self._worth(outcome))
                if start.compound in places:
                    self._starts[places[start.compound]] = start
                else:
                    self._known.add(start.compound)
                    self._starts.append(start)

    def _study(self, fresh: Sequence[Episode], rng: Rng) -> None:
        if self._policy is None:
            return
        self._memory += fresh if self._objective is not None else ()
        most = self._settings.remembered
        if len(self._memory) > most:
            old, late = self._memory[: -most // 2], self._memory[-most // 2 :]
            best = sorted(old, key=lambda episode: -episode.reward)[: most - len(late)]
            self._memory = [*best, *late]
        self._policy.learn(self._memory, rng)

    def _learner(self, rng: Rng) -> EditPolicy:
        if self._policy is None:
            menus = [self._menu(Draft(start.crystal)) for start in self._starts[:60]]
            sample = np.concatenate([self._start_menu().features, *(menu.features for menu in menus)])
            self._policy = EditPolicy(sample, self._settings, rng)
        return self._policy

    def _start_menu(self) -> Menu:
        """Return the choice of the crystal to start from."""
        prior = _GREED * np.array([start.worth for start in self._starts])
        rows = np.concatenate([start.features for start in self._starts])
        return Menu(tuple(start.edit for start in self._starts), prior - np.log(np.exp(prior).sum()), rows)

    def _menu(self, draft: Draft) -> Menu:
        key = draft.parent.candidate.key, draft.swap
        if key not in self._menus:
            self._menus[key] = self._chemistry.menu(draft)
        return self._menus[key]

    def _episode(self, start: Menu, trust: float, crowd: _Crowd, rng: Rng) -> Outcome | None:
        """Return what an episode leads to; None where that is nothing that should be proposed."""
        choices = [self._choose(start, trust, rng)]
        chosen = self._starts[choices[0].taken]
        draft = Draft(chosen.crystal)
        while True:
            menu = self._menu(draft)
            if not menu.edits:
                return None
            choices.append(self._choose(menu, trust, rng))
            edit = menu.edits[choices[-1].taken]
            if edit.step is not Step.EXCHANGE:
                return self._propose(chosen.framework, draft, edit, Episode(tuple(choices)), crowd)
            draft = Draft(draft.parent, tuple(sorted((*draft.swap, (edit.site, edit.guest)))))

    def _choose(self, menu: Menu, trust: float, rng: Rng) -> Choice:
        chances = self._learner(rng).probabilities(menu.features, menu.prior, trust=trust)
        return Choice(menu.features, menu.prior, int(rng.choice(len(chances), p=chances)))

    def _propose(self, framework: int, draft: Draft, last: Edit, episode: Episode, crowd: _Crowd) -> Outcome | None:
        product = Composition(self._chemistry.product(draft, last)) * DOUBLED  # half an atom has no reduced formula
        compound, family = (str(product.reduced_formula), framework), chemical_system(product)
        tired = self._families[family] >= self._family or not crowd.has_room(product)
        if tired or compound in self._known or (made := self._made(draft, last, episode)) is None:
            return None
        start = _Start(made, framework)
        twice = start.compound in self._known  # dopants may have been rounded
        self._known |= {compound, start.compound}
        if twice or (self._novel and known_as(made.candidate) is not None):
            return None
        crowd.add(product)
        self._waiting[made.candidate.key] = episode, start
        return Outcome(made.candidate)

    def _made(self, draft: Draft, last: Edit, episode: Episode) -> IonicCrystal | None:
        """Return the crystal that edits lead to; None where there is none, which is a lesson too."""
        mark = draft.parent.candidate.key, draft.swap, last
        if mark in self._tried:
            return None
        self._tried.add(mark)
        made = self._build(draft, last)
        if made is None:
            self._idle.append(episode)
        return made

    def _build(self, draft: Draft, last: Edit) -> IonicCrystal | None:
        parent, crystal, words = draft.parent.candidate, draft.parent, draft.parent.candidate.formula
        if draft.swap:
            words += f": {in_words(draft.swap)}"
            outcome = self._exchange.apply(parent, draft.swap, origin=Origin(self.name, words), parents=(parent.key,))
            if outcome.status is not Status.OK:
                return None
            crystal = IonicCrystal(outcome.candidate, draft.charges)
        if last.step is not Step.DOPING:
            return crystal
        doping = Doping(last.site, last.guest, last.level, last.charge, self._mobile, _LARGEST_DOPED)
        doped = self._dopants.apply(crystal, doping, origin=self.name)
        if doped is None:
            return None
        what = f"{last.level:.0%} {last.site} -> {last.guest}, {self._mobile} balances"
        words += f"{'; ' if draft.swap else ': '}{what}"
        source = replace(doped.candidate.source, locator=words)
        return IonicCrystal(replace(doped.candidate, source=source, parents=(parent.key,)), doped.charges)

    def _worth(self, outcome: Outcome) -> float:
        trusted = all(value.in_domain is not False for value in outcome.values.values())
        return fitness(outcome, self._objective, caution=self._caution) * (1.0 if trusted else self._foreign)

    def _reward(self, outcome: Outcome) -> float:
        """Return what a proposal earned, and count it in its family."""
        if outcome.candidate.kind is not Kind.CRYSTAL or not outcome.values:
            return 0.0
        worth = self._worth(outcome)
        if outcome.status is not Status.OK:
            return worth * _REFUSED
        self._families[chemical_system(outcome.candidate.composition)] += worth >= _GOOD
        return worth
