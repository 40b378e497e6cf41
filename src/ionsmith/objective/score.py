"""Turns values into feasible yes or no, a score, and one line a reader can check."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from scipy.special import log_ndtr, ndtr

from ionsmith.core.quantities import QUANTITIES
from ionsmith.core.records import Candidate, Kind, Outcome, Value
from ionsmith.objective.spec import Spec, Target

_DOUBT = 3.0  # tolerances; what is left of a spread once it has been counted against the value
UNKNOWN = 0.5
"""Probability given to a target whose quantity has not been computed yet: neither praise nor blame."""


def log_probability(target: Target, value: Value | None, *, caution: float = 0.0) -> float:
    """Natural logarithm of the probability that the true value lies in the wanted range.

    The true value is taken as normal with the value's mean and a spread of sqrt(std^2 + tolerance^2), where the
    tolerance of the quantity keeps a noise-free value just beside a limit from being all or nothing.

    Args:
        target: wanted range.
        value: what is known; None gives log ``UNKNOWN``.
        caution: number of spreads by which the value is counted worse than it is, twice as many where the method was
            not built for the material; what doubt is left is then a few tolerances, the same for every value. It is
            what a learner is paid for, so that it gains neither by going where nothing is known nor by being vague.
    """
    if value is None:
        return math.log(UNKNOWN)
    tolerance = QUANTITIES[target.quantity].tolerance
    spread = _DOUBT * tolerance if caution else math.hypot(value.std, tolerance)
    shift = caution * value.std * (2.0 if value.in_domain is False else 1.0)
    below = -math.inf if target.low is None else (target.low - value.mean + shift) / spread
    above = math.inf if target.high is None else (target.high - value.mean - shift) / spread
    if math.isinf(above):
        return float(log_ndtr(-below))
    if math.isinf(below):
        return float(log_ndtr(above))
    return math.log(max(float(ndtr(above) - ndtr(below)), 1e-300))


def meets(target: Target, value: Value) -> bool:
    """Return whether the best estimate lies in the wanted range."""
    return (target.low is None or value.mean >= target.low) and (target.high is None or value.mean <= target.high)


@dataclass(frozen=True)
class SpecObjective:
    """The Objective of a Spec.

    The score is the geometric mean over all targets of the probability of meeting them: it lies in [0, 1], falls
    smoothly with distance from a limit, and one hopeless property cannot be paid for by the others.

    Attributes:
        spec: targets and chemistry.
    """

    spec: Spec
    ranks: ClassVar[bool] = True

    def admit(self, candidate: Candidate) -> str:
        """Return why the chemistry is refused, or an empty string."""
        if candidate.kind not in (Kind.CRYSTAL, Kind.COMPOSITION):
            return f"expected a crystal or a formula to screen, got a {candidate.kind.value}"
        symbols = {e.symbol for e in candidate.composition.elements}
        if self.spec.mobile_ion not in symbols:
            return f"contains no {self.spec.mobile_ion}, the mobile ion"
        banned = sorted(symbols & set(self.spec.exclude))
        return f"contains excluded {', '.join(banned)}" if banned else ""

    def hopeless(self, outcome: Outcome) -> str:
        """Return which target is out of reach and by how much, or an empty string."""
        floor = math.log(self.spec.drop_below) if self.spec.drop_below > 0.0 else -math.inf
        for name, target in self.spec.targets.items():
            value = outcome.values.get(name)
            if value is not None and log_probability(target, value) < floor:
                return self._line(target, value)
        return ""

    def feasible(self, outcome: Outcome) -> bool:
        """Return whether every target is known and met by the best estimate."""
        values = outcome.values
        return all(name in values and meets(target, values[name]) for name, target in self.spec.targets.items())

    def score(self, outcome: Outcome, *, caution: float = 0.0) -> float:
        """Return the geometric mean of the probabilities of meeting each target; 0 to 1, higher is better.

        Args:
            outcome: with the values known so far.
            caution: as in :func:`log_probability`.
        """
        targets = self.spec.targets.items()
        logs = [log_probability(target, outcome.values.get(name), caution=caution) for name, target in targets]
        return math.exp(sum(logs) / len(logs))

    def checks(self, outcome: Outcome) -> dict[str, str]:
        """Return per target one line that compares the value with the limit."""
        return {name: self._line(target, outcome.values.get(name)) for name, target in self.spec.targets.items()}

    def _line(self, target: Target, value: Value | None) -> str:
        unit = QUANTITIES[target.quantity].unit
        if value is None:
            return f"{target.quantity} unknown, wanted {target.words()} {unit}: not computed"
        chance = math.exp(log_probability(target, value))
        verdict = "met" if meets(target, value) else "missed"
        return (
            f"{target.quantity} {value.mean:.3g} ± {value.std:.2g} {unit}, wanted {target.words()}: "
            f"{verdict}, probability {chance:.2g}"
        )


@dataclass(frozen=True)
class NoObjective:
    """The Objective of ``predict`` and ``simulate``: everything is admitted and nothing is ranked."""

    ranks: ClassVar[bool] = False

    def admit(self, candidate: Candidate) -> str:
        """Return an empty string for every material that could be read."""
        return ""

    def hopeless(self, outcome: Outcome) -> str:
        """Return an empty string."""
        return ""

    def feasible(self, outcome: Outcome) -> None:
        """Return None: there are no targets."""

    def score(self, outcome: Outcome, *, caution: float = 0.0) -> None:
        """Return None: there are no targets."""

    def checks(self, outcome: Outcome) -> dict[str, str]:
        """Return no lines."""
        return {}
