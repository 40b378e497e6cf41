"""The shared part of the composition models: one ensemble that answers for every quantity of a formula at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ionsmith.core.errors import InputError
from ionsmith.core.quantities import QUANTITIES
from ionsmith.core.records import BoolArray, FloatArray
from ionsmith.learn.spread import SpreadModel
from ionsmith.predict.composition_hull import QuickHull
from ionsmith.predict.composition_memory import Memory, novelty
from ionsmith.predict.composition_network import Network, NetworkSettings, Scale, answers, fit_network
from ionsmith.represent.composition import Elements
from ionsmith.represent.formula import FormulaVector

ENERGY, ABOVE = "formation_energy", "energy_above_hull"
LOGARITHMIC = ("bulk_modulus", "shear_modulus")
"""Quantities learnt as log10."""

_NOT_NEGATIVE = ("band_gap", ABOVE)
_SOFTEST = 1e-3  # GPa; keeps the logarithm finite
_LEAST_SIGNAL = 1e-4  # standard deviations of the target
_KNOWN_STD = (
    0.02  # eV/atom; a formation energy of the table, shifted between releases (doi 10.1038/s41598-021-94550-5)
)
_NEAR = 0.02  # added to the novelty before its logarithm is taken


@dataclass(frozen=True)
class CoreSettings:
    """How an ensemble is built.

    Attributes:
        members: networks.
        network: size and training of each.
        calibration_share: share of the formulas kept from training to calibrate the spread.
        fewest: formulas in which an element must occur to be in the domain.
        strange: weight of pairs of elements never seen together, above which a formula is outside the domain.
        direct: say of the network's own energy above hull; formation energy minus hull has the rest.
    """

    members: int = 3
    network: NetworkSettings = field(default_factory=NetworkSettings)
    calibration_share: float = 0.05
    fewest: int = 10
    strange: float = 0.05
    direct: float = 0.0


@dataclass(frozen=True)
class Answer:
    """One quantity of n formulas.

    Attributes:
        mean: in the unit of the quantity, shape (n,).
        std: shape (n,).
        in_domain: shape (n,).
    """

    mean: FloatArray
    std: FloatArray
    in_domain: BoolArray


@dataclass(frozen=True)
class Core:
    """A fitted ensemble with its calibration and what it remembers.

    Attributes:
        tasks: quantities, in the order of the networks' outputs.
        settings: how it was built.
        networks: the members.
        scale: of features and targets.
        spreads: calibration of the error per task, in the unit that was learnt.
        met: formulas that hold two elements, per task; see :meth:`Memory.together`.
        memory: formulas learnt from.
        hull: known phases; None where no formation energy was learnt.
    """

    tasks: tuple[str, ...]
    settings: CoreSettings
    networks: tuple[Network, ...]
    scale: Scale
    spreads: Mapping[str, SpreadModel]
    met: NDArray[np.uint16]
    memory: Memory
    hull: QuickHull | None

    def answer(self, found: Elements) -> dict[str, Answer]:
        """Return every quantity of n formulas.

        Args:
            found: their elements.
        """
        raw = answers(self.networks, self.scale, FormulaVector().of_elements(found))
        strange = novelty(found, self.met, fewest=self.settings.fewest)
        said: dict[str, Answer] = {}
        for place, task in enumerate(self.tasks):
            mean, within, between = (part[:, place] for part in raw)
            signals = signals_of(within, between, strange[:, place], width=self.scale.targets[1, place])
            spread = self.spreads[task](signals)
            said[task] = _told(task, mean, spread, strange[:, place] <= self.settings.strange)
        if self.hull is not None:
            said |= self._thermodynamics(found, said)
        return said

    def _thermodynamics(self, found: Elements, said: Mapping[str, Answer]) -> dict[str, Answer]:
        """Formation energy and energy above hull: from the table where it knows the formula, else predicted."""
        hull, known = self.hull.energies(found) if self.hull else (np.zeros(0), np.zeros(0))
        is_known, guess = np.isfinite(known), said[ENERGY]
        energy = np.where(is_known, known, guess.mean)
        std = np.where(is_known, _KNOWN_STD, guess.std)
        inside = guess.in_domain | is_known
        # a phase below every mixture of the others would itself be on the hull
        above = np.maximum(energy - hull, 0.0)
        above_std = std
        if ABOVE in said and self.settings.direct > 0.0:
            direct = np.where(is_known, 0.0, self.settings.direct)
            above = (1.0 - direct) * above + direct * said[ABOVE].mean
            above_std = np.where(is_known, std, said[ABOVE].std)
        return {ENERGY: Answer(energy, std, inside), ABOVE: Answer(above, above_std, inside)}


def signals_of(within: FloatArray, between: FloatArray, strange: FloatArray, *, width: float) -> FloatArray:
    """Return what goes with large errors, shape (n, 3): width the networks state, their disagreement, novelty.

    Args:
        within: mean Laplace width, shape (n,).
        between: standard deviation over the networks, shape (n,).
        strange: weight of pairs never seen together, shape (n,).
        width: standard deviation of the target.
    """
    least = _LEAST_SIGNAL * width
    return np.column_stack([np.maximum(within, least), np.maximum(between, least), strange + _NEAR])


def learnt(task: str, values: FloatArray) -> FloatArray:
    """Return values as the network learns them: moduli as log10 GPa, the rest as it is.

    Args:
        task: quantity.
        values: in its unit, NaN where unknown.
    """
    return np.log10(np.maximum(values, _SOFTEST)) if task in LOGARITHMIC else values


def _told(task: str, mean: FloatArray, spread: FloatArray, inside: BoolArray) -> Answer:
    """Return what was learnt in the unit of the quantity, within its physical range."""
    limits = QUANTITIES[task]
    if task in LOGARITHMIC:
        modulus = np.minimum(10.0**mean, limits.high)
        return Answer(modulus, np.log(10.0) * modulus * spread, inside)
    low = 0.0 if task in _NOT_NEGATIVE else limits.low
    return Answer(np.clip(mean, low, limits.high), spread, inside)


def fit_core(
    found: Elements,
    values: FloatArray,
    rng: np.random.Generator,
    *,
    tasks: Sequence[str],
    settings: CoreSettings,
    make_hull: Any = None,
    checkpoint: Any = None,
) -> Core:
    """Train the ensemble on most formulas and calibrate its spread on the rest.

    Args:
        found: elements of n different formulas.
        values: of each task in its unit, NaN where unknown; shape (n, t).
        rng: random stream.
        tasks: quantities, in the order of the columns.
        settings: see :class:`CoreSettings`.
        make_hull: called with the memory of the training formulas; gives the known phases. None: no hull.
        checkpoint: folder for unfinished networks, or None.

    Raises:
        InputError: too few formulas to train and to calibrate.
    """
    features = FormulaVector().of_elements(found)
    targets = np.column_stack([learnt(task, column) for task, column in zip(tasks, values.T, strict=True)])
    kept = rng.permutation(len(features)) < max(1, round(settings.calibration_share * len(features)))
    if (np.isfinite(targets[~kept]).sum(axis=0) < 2).any():
        raise InputError(f"composition: expected at least two formulas with each of {', '.join(tasks)} to learn from")
    scale = Scale.of(features[~kept], targets[~kept])
    networks = tuple(
        fit_network(
            features[~kept],
            targets[~kept],
            scale,
            stream,
            settings=settings.network,
            checkpoint=None if checkpoint is None else checkpoint / f"member{number}.pt",
        )
        for number, stream in enumerate(rng.spawn(settings.members))
    )
    memory = Memory.of(_rows(found, ~kept), values[~kept])
    met = memory.together()
    strange = novelty(_rows(found, kept), met, fewest=settings.fewest)
    mean, within, between = answers(networks, scale, features[kept])
    spreads = {}
    for place, task in enumerate(tasks):
        asked = np.isfinite(targets[kept, place])
        signals = signals_of(within[:, place], between[:, place], strange[:, place], width=scale.targets[1, place])
        errors = mean[asked, place] - targets[kept, place][asked]
        # a target that no calibration row holds gets the spread of the target itself
        fitted = SpreadModel.fit(signals[asked], errors) if asked.any() else _plain(scale.targets[1, place])
        spreads[task] = fitted
    hull = make_hull(memory) if make_hull is not None and ENERGY in tasks else None
    return Core(tuple(tasks), settings, networks, scale, spreads, met, memory, hull)


def _plain(width: float) -> SpreadModel:
    return SpreadModel(np.array([np.log(width), 0.0, 0.0, 0.0]), np.full(3, 1e-9), np.full(3, 1e9), 1e-12)


def _rows(found: Elements, rows: NDArray[Any]) -> Elements:
    return Elements(found.numbers[rows], found.amounts[rows], found.fractions[rows])
