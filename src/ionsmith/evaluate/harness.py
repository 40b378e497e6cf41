"""One harness for every predictor: fit on some rows, ask about others, count every row, print every figure."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ionsmith.core.errors import InputError, IonsmithError
from ionsmith.core.protocols import PropertyModel, Rng
from ionsmith.core.records import BoolArray, Bound, Candidate, FloatArray, Outcome, Prediction
from ionsmith.data.groups import GROUP_BY, group_labels
from ionsmith.evaluate import metrics
from ionsmith.evaluate.splits import Split

LEVELS = (0.5, 0.9)
MakeModel = Callable[[], PropertyModel]
_BATCH = 512
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Counting:
    """How a limit enters an error.

    Attributes:
        name: what a table calls it.
        upper: number that stands for every upper limit; None takes the limit itself.
    """

    name: str
    upper: float | None = None


AT_LIMIT = Counting("at the limit")


@dataclass(frozen=True)
class Report:
    """What a model said about every row that was asked, beside what was measured; arrays of shape (n,).

    A row asked in several splits appears several times, a row never asked does not appear.

    Attributes:
        model: its name.
        quantity: what was predicted.
        rows: place of each row in the outcomes.
        split: name of the split it was asked in.
        measured: mean of the measured value; the limit itself for a limit.
        bound: what kind of number that is.
        mean: predicted.
        std: predicted standard deviation.
        in_domain: predicted flag.
        groups: rows with equal labels are drawn together in a bootstrap.
        seconds: wall time of all fits and predictions.
    """

    model: str
    quantity: str
    rows: NDArray[np.int64]
    split: tuple[str, ...]
    measured: FloatArray
    bound: tuple[Bound, ...]
    mean: FloatArray
    std: FloatArray
    in_domain: BoolArray
    groups: NDArray[np.int64]
    seconds: float

    def __len__(self) -> int:
        return len(self.rows)

    def target(self, counting: Counting = AT_LIMIT) -> FloatArray:
        """Return the measured numbers under a counting, shape (n,).

        Args:
            counting: what stands for a limit.
        """
        if counting.upper is None:
            return self.measured
        limits = np.array([bound is Bound.UPPER for bound in self.bound], dtype=bool)
        return np.where(limits, counting.upper, self.measured)

    def figures(self, counting: Counting = AT_LIMIT, *, thresholds: Sequence[float] = ()) -> dict[str, float]:
        """Return every metric by name; one that has no meaning for these rows is left out.

        Args:
            counting: what stands for a limit.
            thresholds: class limits in the unit of the quantity.
        """
        target = self.target(counting)
        found = {
            "rows": float(len(self)),
            "mean_absolute_error": metrics.mean_absolute_error(self.mean, target),
            "root_mean_square_error": metrics.root_mean_square_error(self.mean, target),
            "spearman": metrics.spearman(self.mean, target),
            "in_domain_share": float(self.in_domain.mean()) if len(self) else math.nan,
            "mean_absolute_error_in_domain": metrics.mean_absolute_error(
                self.mean[self.in_domain], target[self.in_domain]
            ),
        }
        for level in LEVELS:
            found[f"coverage_{level:.0%}"] = metrics.coverage(self.mean, self.std, target, level)
        for threshold in thresholds:
            found[f"auc_{threshold:.3g}"] = metrics.area_under_curve(self.mean, target >= threshold)
            found[f"accuracy_{threshold:.3g}"] = metrics.accuracy(self.mean, target, threshold)
        return {name: value for name, value in found.items() if math.isfinite(value)}

    def taken(self, chosen: BoolArray) -> Report:
        """Return the report of some rows only.

        Args:
            chosen: which, shape (n,).
        """
        places = np.flatnonzero(chosen)
        return replace(
            self,
            rows=self.rows[places],
            split=tuple(self.split[k] for k in places),
            measured=self.measured[places],
            bound=tuple(self.bound[k] for k in places),
            mean=self.mean[places],
            std=self.std[places],
            in_domain=self.in_domain[places],
            groups=self.groups[places],
        )

    def error_interval(self, counting: Counting, rng: Rng, *, level: float = 0.9) -> tuple[float, float]:
        """Return the bootstrap interval of the mean absolute error, whole groups drawn together.

        Args:
            counting: what stands for a limit.
            rng: random stream.
            level: nominal share.

        Raises:
            InputError: no rows.
        """
        error = np.abs(self.mean - self.target(counting))
        return metrics.bootstrap_interval(lambda rows: float(error[rows].mean()), self.groups, rng, level=level)

    def document(self, countings: Sequence[Counting] = (AT_LIMIT,), **settings: Any) -> dict[str, Any]:
        """Return a JSON-ready summary: the model, and its figures under each counting.

        Args:
            countings: ways to count a limit.
            settings: further arguments of :meth:`figures`.
        """
        figures = {counting.name: self.figures(counting, **settings) for counting in countings}
        return {"model": self.model, "quantity": self.quantity, "seconds": round(self.seconds, 1), "figures": figures}


def evaluate_model(
    make_model: MakeModel,
    outcomes: Sequence[Outcome],
    splits: Sequence[Split],
    rng: Rng,
    *,
    by: Sequence[str] = GROUP_BY,
) -> Report:
    """Fit a fresh model per split, ask it about the split's test rows, and return all answers.

    Args:
        make_model: builds an unfitted model.
        outcomes: rows with a value of the model's quantity.
        splits: rows to learn from and to ask about.
        rng: one stream; each split gets its own child, so that adding a split does not change the others.
        by: what links the rows that a bootstrap draws together; see :func:`ionsmith.data.groups.group_labels`.

    Raises:
        InputError: no splits, a split that asks about what it learns from, or a row without the value.
    """
    if not splits:
        raise InputError("expected at least one split, got none")
    name, quantity = make_model().name, make_model().quantity
    started = time.perf_counter()
    answers = []
    for split, stream in zip(splits, rng.spawn(len(splits)), strict=True):
        if np.intersect1d(split.train, split.test).size:
            raise InputError(f"split {split.name}: expected test rows apart from training rows, got common ones")
        model = make_model().fit([outcomes[row] for row in split.train], stream)
        answers.append(model.predict([question(outcomes[row], quantity) for row in split.test]))
        _log.info("%s, %s: %d rows asked", name, split.name, len(split.test))
    rows = np.concatenate([split.test for split in splits])
    names = [split.name for split in splits for _ in split.test]
    return _report(name, quantity, outcomes, rows, answers, started=started, splits=names, by=by)


def ask_model(model: PropertyModel, outcomes: Sequence[Outcome]) -> tuple[Report, dict[int, str]]:
    """Ask a fitted model about every row, and return its answers and why the other rows have none.

    A batch that breaks is asked row by row, so that one material cannot spoil the others.

    Args:
        model: fitted, such as shipped weights.
        outcomes: rows with a value of the model's quantity.

    Raises:
        InputError: a row without the value, or no row that the model could answer.
    """
    started = time.perf_counter()
    refused = {
        row: f"{model.name} does not read a {outcome.candidate.kind.value}"
        for row, outcome in enumerate(outcomes)
        if outcome.candidate.kind not in model.kinds
    }
    asked = np.array([row for row in range(len(outcomes)) if row not in refused], dtype=np.int64)
    answers = []
    for start in range(0, len(asked), _BATCH):
        answers += _ask(model, outcomes, asked[start : start + _BATCH], refused)
    if not answers:
        first = next(iter(refused.values()), "no rows")
        raise InputError(f"expected at least one row that {model.name} can answer, got none: {first}")
    rows = np.array([row for row in asked if row not in refused], dtype=np.int64)
    return _report(model.name, model.quantity, outcomes, rows, answers, started=started), refused


def _ask(
    model: PropertyModel, outcomes: Sequence[Outcome], rows: NDArray[np.int64], refused: dict[int, str]
) -> list[Prediction]:
    try:
        return [model.predict([question(outcomes[row], model.quantity) for row in rows])]
    except (IonsmithError, ValueError) as error:
        if len(rows) == 1:
            refused[int(rows[0])] = " ".join(str(error).split())
            return []
        return [answer for row in rows for answer in _ask(model, outcomes, np.array([row]), refused)]


def _report(
    model: str,
    quantity: str,
    outcomes: Sequence[Outcome],
    rows: NDArray[np.int64],
    answers: Sequence[Prediction],
    *,
    started: float,
    splits: Sequence[str] = (),
    by: Sequence[str] = GROUP_BY,
) -> Report:
    values = [_value(outcomes[row], quantity) for row in rows]
    return Report(
        model=model,
        quantity=quantity,
        rows=rows,
        split=tuple(splits) or ("as shipped",) * len(rows),
        measured=np.array([value.mean for value in values]),
        bound=tuple(value.bound for value in values),
        mean=np.concatenate([answer.mean for answer in answers]),
        std=np.concatenate([answer.std for answer in answers]),
        in_domain=np.concatenate([answer.in_domain for answer in answers]),
        groups=group_labels(outcomes, by)[rows],
        seconds=time.perf_counter() - started,
    )


def question(outcome: Outcome, quantity: str) -> Candidate:
    """Return the candidate as a model may see it: without what the source says about the quantity asked for.

    Args:
        outcome: a measured row.
        quantity: name of the quantity.
    """
    candidate = outcome.candidate
    facts = {k: v for k, v in candidate.source.facts.items() if k != quantity and not k.startswith(f"{quantity}_")}
    if len(facts) == len(candidate.source.facts):
        return candidate
    return replace(candidate, source=replace(candidate.source, facts=MappingProxyType(facts)))


def _value(outcome: Outcome, quantity: str) -> Any:
    if quantity not in outcome.values:
        raise InputError(f"expected a value of {quantity} for {outcome.candidate.source.locator}, got none")
    return outcome.values[quantity]


@dataclass(frozen=True)
class Comparison:
    """Reports of several models on the same splits; the first is the model in question, the rest stand beside it.

    Attributes:
        title: what was asked.
        reports: label to report.
    """

    title: str
    reports: Mapping[str, Report] = field(default_factory=dict)


def compare(
    title: str,
    makers: Mapping[str, MakeModel],
    outcomes: Sequence[Outcome],
    splits: Sequence[Split],
    *,
    seed: int,
    by: Sequence[str] = GROUP_BY,
) -> Comparison:
    """Return the reports of several models on the same splits and random streams.

    Args:
        title: what is asked.
        makers: label to what builds the model.
        outcomes: rows with a value of the models' quantity.
        splits: rows to learn from and to ask about.
        seed: start of each model's random stream.
        by: what links the rows that a bootstrap draws together.

    Raises:
        InputError: see :func:`evaluate_model`.
    """
    reports = {
        label: evaluate_model(make, outcomes, splits, np.random.default_rng(seed), by=by)
        for label, make in makers.items()
    }
    return Comparison(title, reports)
