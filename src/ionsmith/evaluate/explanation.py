"""Why a model says what it says: attribution against a background, a sentence, and a test that it means something."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from pymatgen.core import Composition

from ionsmith.core.errors import InputError
from ionsmith.core.protocols import Explainer, PropertyModel, Rng
from ionsmith.core.quantities import QUANTITIES
from ionsmith.core.records import BoolArray, Candidate, FloatArray, Kind, Origin
from ionsmith.evaluate.attribution import Game, Shares, remembered, shapley
from ionsmith.evaluate.memory import Known, known_materials
from ionsmith.evaluate.parts import hybrid, part_names, parts_of

BACKGROUND = 10
"""Materials that stand for what is usual."""

_FEWEST_OF_FAMILY = 3
_TOLD = 3  # reasons and neighbours that a sentence names
_EVERYTHING = 10**9


@runtime_checkable
class Described(Protocol):
    """A model that sees a material as named numbers, so that these can be exchanged one by one."""

    @property
    def descriptor_names(self) -> tuple[str, ...]:
        """Names of the p descriptors, in column order."""
        ...

    def describe(self, candidates: Sequence[Candidate]) -> FloatArray:
        """Return descriptors, shape (n, p)."""
        ...

    def predict_described(self, descriptors: FloatArray) -> FloatArray:
        """Return means in the unit of the quantity, shape (n,)."""
        ...


@dataclass(frozen=True)
class Background:
    """What a prediction is compared with.

    Attributes:
        name: in words, such as ``the mean of the argyrodites``.
        candidates: the materials.
    """

    name: str
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True)
class Explanation:
    """Why one prediction differs from the mean prediction of a background.

    Attributes:
        quantity: what was predicted.
        mean: prediction, in the unit of the quantity.
        std: its stated spread.
        background: in words.
        names: of the p players (descriptors or parts of the material).
        shares: how the difference is divided among them.
        neighbours: nearest known materials: formula, value, doi.
    """

    quantity: str
    mean: float
    std: float
    background: str
    names: tuple[str, ...]
    shares: Shares
    neighbours: tuple[Known, ...] = ()

    def document(self) -> dict[str, Any]:
        """Return everything JSON-ready, largest share first."""
        order = np.argsort(-np.abs(self.shares.values), kind="stable")
        effects = [
            {
                "name": self.names[k],
                "effect": round(float(self.shares.values[k]), 4),
                "error": round(float(self.shares.error[k]), 4),
            }
            for k in order
            if abs(self.shares.values[k]) > 0.0
        ]
        return {
            "sentence": self.sentence(),
            "background": self.background,
            "base": round(self.shares.base, 4),
            "explained": round(self.shares.full, 4),
            "unit": QUANTITIES[self.quantity].unit,
            "effects": effects[: 2 * _TOLD + 4],
            "neighbours": [asdict(item) for item in self.neighbours],
        }

    def sentence(self) -> str:
        """Return the prediction and its main reasons as one readable sentence."""
        head = f"Predicted {_said(self.quantity, self.mean)}"
        raised, lowered = (self._reasons(sign) for sign in (1.0, -1.0))
        why = [f"{word} by {text}" for word, text in (("raised", raised), ("lowered", lowered)) if text]
        reasons = f"; {', '.join(why)}" if why else "; nothing in it moves the prediction"
        against = f", against {self.background} ({_said(self.quantity, self.shares.base)})"
        return f"{head}{reasons}{against}{_nearest_text(self.neighbours, self.quantity)}."

    def _reasons(self, sign: float) -> str:
        values = sign * self.shares.values
        threshold = max(0.05 * float(np.abs(self.shares.values).sum()), 1e-9)
        order = [k for k in np.argsort(-values, kind="stable")[:_TOLD] if values[k] > threshold]
        return ", ".join(f"{self.names[k]} ({self.shares.values[k]:+.2g})" for k in order)


def explain_prediction(
    model: PropertyModel, candidate: Candidate, background: Background, rng: Rng, *, rounds: int = 40
) -> Explanation:
    """Return why the model's prediction differs from its mean prediction over a background.

    A model with named descriptors is explained by these, any other by the parts of the material (lithium, anions,
    framework cations, cell). A player that does not take part is replaced by a background material's, and the
    prediction averaged over the background (interventional Shapley values, Lundberg and Lee, arXiv:1705.07874).

    Args:
        model: fitted.
        candidate: crystal or composition that the model reads.
        background: what it is compared with.
        rng: random stream; unused where all coalitions are asked.
        rounds: pairs of orders where they are sampled.

    Raises:
        InputError: an empty background, or a material that cannot be read or divided.
    """
    names, game = make_game(model, candidate, background)
    answer = model.predict([candidate])
    return Explanation(
        quantity=model.quantity,
        mean=float(answer.mean[0]),
        std=float(answer.std[0]),
        background=background.name,
        names=names,
        shares=shapley(game, len(names), rng, rounds=rounds),
        neighbours=tuple(_neighbours(model, candidate)),
    )


def explain_by_atoms(model: PropertyModel, candidate: Candidate) -> dict[str, Any]:
    """Return the reasons of a graph model, which says itself what each kind of atom adds, JSON-ready.

    Args:
        model: fitted; its ``explain`` gives ``atoms`` with ``element``, ``count`` and ``effect``, largest first.
        candidate: a crystal that it reads.

    Raises:
        InputError: the model tells nothing about atoms.
    """
    told = model.explain(candidate).get("atoms") if isinstance(model, Explainer) else None
    if told is None:
        raise InputError(f"{model.name}: expected a model that reads compositions or tells about atoms")
    answer = model.predict([candidate])
    reasons = []
    for word, sign in (("raised", 1.0), ("lowered", -1.0)):
        mine = [atom for atom in told if sign * float(atom["effect"]) > 0.0][:_TOLD]
        names = ", ".join(f"{_times(atom)} ({float(atom['effect']):+.2g})" for atom in mine)
        reasons += [f"{word} by {names}"] if names else []
    why = f"; {', '.join(reasons)}, against these atoms left out" if reasons else "; no atom moves the prediction"
    near = _nearest_text(_neighbours(model, candidate), model.quantity)
    head = f"Predicted {_said(model.quantity, float(answer.mean[0]))}"
    return {"sentence": f"{head}{why}{near}.", "atoms": list(told)}


def _times(atom: Mapping[str, Any]) -> str:
    return f"{atom['element']} (x{atom['count']})" if int(atom["count"]) > 1 else str(atom["element"])


def make_game(model: PropertyModel, candidate: Candidate, background: Background) -> tuple[tuple[str, ...], Game]:
    """Return the players' names and the value of any coalition of them.

    Args:
        model: fitted.
        candidate: the material.
        background: what players that do not take part are replaced by.

    Raises:
        InputError: an empty background, or a material that cannot be read or divided.
    """
    if not background.candidates:
        raise InputError("expected at least one background material, got none")
    divided = _described if isinstance(model, Described) else _by_parts
    names, game = divided(model, candidate, background)
    return names, remembered(game)


def family_background(model: PropertyModel, candidate: Candidate) -> Background:
    """Return materials of the candidate's family from what the model learnt, nearest first, the candidate left out.

    The family is that of the nearest material (the candidate's own, if the source states one that was learnt).
    Where fewer than three share it, the nearest materials of any family stand in.

    Args:
        model: fitted; says what it learnt from.
        candidate: the material.

    Raises:
        InputError: nothing else was learnt.
    """
    told = known_materials(model, candidate, _EVERYTHING)
    known = [item for item in told if item.formula != candidate.formula]
    if not known:
        raise InputError(f"{candidate.formula}: expected other materials to compare with, got none")
    families = {item.family for item in told}
    stated = str(candidate.source.facts.get("family") or "")
    family = stated if stated in families else told[0].family
    chosen = [item for item in known if family and item.family == family]
    enough = len({item.formula for item in chosen}) >= _FEWEST_OF_FAMILY
    formulas = tuple(dict.fromkeys(item.formula for item in (chosen if enough else known)))[:BACKGROUND]
    name = f"the mean of {len(formulas)} {family} materials" if enough else f"its {len(formulas)} nearest materials"
    return Background(name, tuple(_from_formula(formula) for formula in formulas))


def _from_formula(formula: str) -> Candidate:
    return Candidate(Kind.COMPOSITION, Composition(formula), Origin("training", formula))


def _described(model: Any, candidate: Candidate, background: Background) -> tuple[tuple[str, ...], Game]:
    mine = model.describe([candidate])[0]
    usual = model.describe(list(background.candidates))

    def game(coalitions: BoolArray) -> FloatArray:
        mixed = np.where(coalitions[:, None, :], mine[None, None, :], usual[None, :, :])
        answers = model.predict_described(mixed.reshape(-1, mixed.shape[-1]))
        return np.asarray(answers.reshape(len(coalitions), len(usual)).mean(axis=1))

    return tuple(model.descriptor_names), game


def _by_parts(model: PropertyModel, candidate: Candidate, background: Background) -> tuple[tuple[str, ...], Game]:
    if Kind.COMPOSITION not in model.kinds:
        raise InputError(f"{model.name}: expected a model that reads compositions or has named descriptors")
    mine = parts_of(candidate)
    usual = [parts_of(other) for other in background.candidates]

    def game(coalitions: BoolArray) -> FloatArray:
        mixed = [hybrid(mine, other, taken) for taken in coalitions for other in usual]
        return np.asarray(model.predict(mixed).mean.reshape(len(coalitions), len(usual)).mean(axis=1))

    return part_names(mine), game


def _neighbours(model: PropertyModel, candidate: Candidate) -> list[Known]:
    """Return the nearest materials with a value, each formula once."""
    found: dict[str, Known] = {}
    for item in known_materials(model, candidate, 10 * _TOLD):
        if item.value is not None:
            found.setdefault(item.formula, item)
    return list(found.values())[:_TOLD]


def _said(name: str, value: float) -> str:
    unit = QUANTITIES[name].unit
    if unit.startswith("log10 "):
        return f"{10.0**value:.1e} {unit.removeprefix('log10 ')}"
    return f"{value:.3g} {unit}"


def _nearest_text(items: Sequence[Known], name: str) -> str:
    near = "; ".join(_near(item, name) for item in items[:_TOLD])
    return f". Nearest known: {near}" if near else ""


def _near(item: Known, name: str) -> str:
    sign = {"upper": "at most ", "lower": "at least "}.get(item.bound, "")
    doi = f", doi {item.doi}" if item.doi else ""
    return f"{item.formula} ({sign}{_said(name, item.value or 0.0)}{doi})"


# deletion test


@dataclass(frozen=True)
class Deletion:
    """What removing the k most important players does, beside removing k at random; arrays of shape (n,).

    Attributes:
        k: how many were replaced by the background.
        important: |change of the prediction|, one per material.
        random: the same, mean over random choices.
    """

    k: int
    important: FloatArray
    random: FloatArray

    def document(self, rng: Rng, *, draws: int = 1000) -> dict[str, float]:
        """Return means, the interval of their difference, and how often importance wins.

        Args:
            rng: random stream of the bootstrap over materials.
            draws: of the bootstrap.
        """
        gap = self.important - self.random
        means = np.array([gap[rng.integers(len(gap), size=len(gap))].mean() for _ in range(draws)])
        low, high = np.quantile(means, [0.05, 0.95])
        return {
            "k": self.k,
            "materials": len(gap),
            "important": float(self.important.mean()),
            "random": float(self.random.mean()),
            "difference_low": float(low),
            "difference_high": float(high),
            "wins": float((gap > 0.0).mean()),
        }


def deletion_test(
    games: Sequence[Game], shares: Sequence[Shares], counts: Sequence[int], rng: Rng, *, choices: int = 30
) -> list[Deletion]:
    """Replace the k players with the largest |share| by the background, and k random ones, for every material.

    Args:
        games: one per material, from :func:`make_game`.
        shares: attribution of each.
        counts: values of k; at least one and fewer than the players of every material.
        rng: random choices.
        choices: random subsets per material and k.

    Raises:
        InputError: no materials, or a k that leaves no player.
    """
    if not games:
        raise InputError("deletion test: expected materials, got none")
    found = []
    for k in counts:
        if not 0 < k < min(len(some.values) for some in shares):
            raise InputError(f"deletion test: expected k of at least 1 and below the number of players, got {k}")
        pairs = [_deleted(game, some, k, rng, choices) for game, some in zip(games, shares, strict=True)]
        important, random = np.array(pairs).T
        found.append(Deletion(k, important, random))
    return found


def _deleted(game: Game, shares: Shares, k: int, rng: Rng, choices: int) -> tuple[float, float]:
    players = len(shares.values)
    kept = np.ones((choices + 1, players), dtype=bool)
    kept[0, np.argsort(-np.abs(shares.values), kind="stable")[:k]] = False
    for row in range(1, choices + 1):
        kept[row, rng.choice(players, size=k, replace=False)] = False
    change = np.abs(game(kept) - shares.full)
    return float(change[0]), float(change[1:].mean())
