"""The records that travel through every stage; nothing else does."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymatgen.core import Composition, Structure

from ionsmith.core.errors import InputError
from ionsmith.core.quantities import quantity

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

_LENGTH_DECIMALS = 4  # angstrom; finer differences are the same crystal written by another program
_FRACTION_DECIMALS = 4
_WHOLE = 0.007  # a site occupancy written with two or three digits still means a whole atom


class Kind(StrEnum):
    """What a candidate's payload is."""

    CRYSTAL = "crystal"
    COMPOSITION = "composition"
    MOLECULE = "molecule"
    MICROSTRUCTURE = "microstructure"
    UNREADABLE = "unreadable"


class Status(StrEnum):
    """How a stage ended for one candidate."""

    OK = "ok"
    REJECTED = "rejected"
    FAILED = "failed"


class Bound(StrEnum):
    """Whether a value is a number or only a limit (a censored measurement)."""

    EXACT = "exact"
    UPPER = "upper"
    LOWER = "lower"


@dataclass(frozen=True)
class Origin:
    """Where a candidate comes from.

    Attributes:
        name: pool, data set or generator, such as ``library`` or ``file``.
        locator: the file, row or query, as the user would find it again.
        facts: what the source says about the material, JSON-ready, never used as a prediction: ``doi``, ``family``,
            ``name``, and measured numbers under the name of their quantity (``<name>_bound`` is ``upper`` or
            ``lower`` where the measurement gave only a limit).
        notes: what was decided on the way in, in order, such as a guessed oxidation state.
    """

    name: str
    locator: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Candidate:
    """One material on its way through the house.

    Attributes:
        kind: what ``payload`` is.
        payload: pymatgen ``Structure`` (crystal, ordered or disordered), ``Composition`` (composition), SMILES
            text (molecule), array (microstructure), or the offending text (unreadable).
        source: where it comes from.
        parents: keys of the candidates it was made from, such as the unrelaxed crystal.
    """

    kind: Kind
    payload: Any
    source: Origin
    parents: tuple[str, ...] = ()

    @cached_property
    def key(self) -> str:
        """Content hash, 16 hexadecimal digits: equal for equal materials, whatever file they came from."""
        text = json.dumps([self.kind.value, _fingerprint(self)], separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @cached_property
    def composition(self) -> Composition:
        """Composition of a crystal or composition candidate.

        Raises:
            InputError: the candidate's kind has no composition.
        """
        if self.kind is Kind.CRYSTAL:
            return self.payload.composition.element_composition
        if self.kind is Kind.COMPOSITION:
            return self.payload
        raise InputError(f"expected a crystal or a composition, got {self.kind.value} from {self.source.locator}")

    @property
    def formula(self) -> str:
        """Reduced formula, the SMILES of a molecule, or an empty string where neither exists."""
        if self.kind in (Kind.CRYSTAL, Kind.COMPOSITION):
            return tidy_formula(self.composition)
        return str(self.payload) if self.kind is Kind.MOLECULE else ""

    @property
    def structure(self) -> Structure:
        """The crystal structure.

        Raises:
            InputError: the candidate is not a crystal.
        """
        if self.kind is not Kind.CRYSTAL:
            raise InputError(f"expected a crystal structure, got {self.kind.value} {self.formula}".rstrip())
        return self.payload

    def child(self, structure: Structure, *, note: str) -> Candidate:
        """Return the crystal made from this one by a change that ``note`` describes.

        Args:
            structure: the changed crystal.
            note: one line that says what was changed, kept in ``source.notes``.
        """
        source = replace(self.source, notes=(*self.source.notes, note))
        return Candidate(Kind.CRYSTAL, structure, source, (*self.parents, self.key))


@dataclass(frozen=True)
class Value:
    """A number with its uncertainty and the method that gave it, in the unit of its quantity.

    Attributes:
        mean: best estimate.
        std: one standard deviation; zero only where the method defines its result.
        method: name of the model, simulator or ``measured``.
        in_domain: whether the method was built for such materials; None where the notion does not apply.
        bound: whether ``mean`` is a number or only an upper or lower limit.
    """

    mean: float
    std: float
    method: str
    in_domain: bool | None = None
    bound: Bound = Bound.EXACT

    def __post_init__(self) -> None:
        """Refuse numbers that would poison every later stage.

        Raises:
            InputError: a mean that is not finite, or a spread that is negative or not finite.
        """
        if not math.isfinite(self.mean):
            raise InputError(f"{self.method}: expected a finite mean, got {self.mean}")
        if not (math.isfinite(self.std) and self.std >= 0.0):
            raise InputError(f"{self.method}: expected a finite spread of at least zero, got {self.std}")


@dataclass(frozen=True)
class Outcome:
    """What one stage found out about one candidate.

    Attributes:
        candidate: the material after the stage (a relaxation returns the relaxed crystal).
        values: quantity name to value.
        status: ok, rejected (the material fails a condition) or failed (the stage could not answer).
        note: the reason, one line; required unless ok.
        cost_s: wall time, s.
        details: JSON-ready extras, such as a decomposition or a path profile.
    """

    candidate: Candidate
    values: Mapping[str, Value] = field(default_factory=dict)
    status: Status = Status.OK
    note: str = ""
    cost_s: float = 0.0
    details: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse unknown quantities and failures without a reason.

        Raises:
            InputError: a value under an unknown quantity name, or no note on a rejection or failure.
        """
        for name in self.values:
            quantity(name, where="Outcome.values")
        if self.status is not Status.OK and not self.note:
            raise InputError(f"expected a reason with status {self.status.value}, got an empty note")


@dataclass(frozen=True)
class Prediction:
    """Values of one quantity for n candidates, as arrays of shape (n,).

    Attributes:
        mean: best estimates, in the unit of the quantity; shape (n,).
        std: one standard deviation each; shape (n,).
        in_domain: whether the model was built for such a material; shape (n,).
    """

    mean: FloatArray
    std: FloatArray
    in_domain: BoolArray

    def __post_init__(self) -> None:
        """Refuse arrays whose shapes differ.

        Raises:
            InputError: shapes that are not all the same (n,).
        """
        shapes = {self.mean.shape, self.std.shape, self.in_domain.shape}
        if len(shapes) != 1 or self.mean.ndim != 1:
            raise InputError(f"expected three arrays of one shape (n,), got {sorted(shapes)}")

    def __len__(self) -> int:
        return len(self.mean)


def unreadable(text: str, *, source: Origin, note: str, status: Status = Status.FAILED) -> Outcome:
    """Return the Outcome of an input that could not become a material, so that it stays in every count.

    Args:
        text: what identifies the input when its locator is empty.
        source: where it came from.
        note: one line that says what was expected, what came and where.
        status: failed, or rejected when the input is sound but refused.
    """
    return Outcome(Candidate(Kind.UNREADABLE, text, source), status=status, note=note)


def tidy_formula(composition: Composition) -> str:
    """Return a formula as a chemist would write it, also for a disordered cell: Li6.4La3Zr1.4Ta0.6O12.

    Whole amounts are reduced as usual. Otherwise the amounts are divided by the largest common divisor of the whole
    ones that leaves every amount close to a multiple of 0.05, or by the largest one if there is none.

    Args:
        composition: amounts per cell.
    """
    amounts = {element.symbol: float(composition[element]) for element in composition.elements}
    whole = [round(n) for n in amounts.values() if abs(n - round(n)) < _WHOLE and round(n) > 0]
    if len(whole) == len(amounts):
        return str(Composition({symbol: round(n) for symbol, n in amounts.items()}).reduced_formula)
    if not whole:
        return str(composition.reduced_formula)
    largest = math.gcd(*whole)
    divisors = [d for d in range(largest, 0, -1) if largest % d == 0]
    fitting = (d for d in divisors if all(_is_round(n / d) for n in amounts.values()))
    divisor = next(fitting, largest)
    order = sorted(composition.elements, key=lambda e: (e.X, e.symbol))
    return "".join(f"{e.symbol}{_amount(amounts[e.symbol] / divisor)}" for e in order)


def _is_round(amount: float) -> bool:
    return abs(amount * 20 - round(amount * 20)) < 20 * _WHOLE


def _amount(amount: float) -> str:
    text = f"{amount:.3f}".rstrip("0").rstrip(".")
    return "" if text == "1" else text


def _fingerprint(candidate: Candidate) -> Any:
    if candidate.kind is Kind.CRYSTAL:
        return _crystal_fingerprint(candidate.payload)
    if candidate.kind is Kind.COMPOSITION:
        reduced = candidate.payload.reduced_composition
        return sorted((str(e), round(float(n), 6)) for e, n in reduced.items())
    if candidate.kind is Kind.UNREADABLE:
        return [candidate.source.name, candidate.source.locator, str(candidate.payload)]
    if isinstance(candidate.payload, np.ndarray):
        return hashlib.sha256(np.ascontiguousarray(candidate.payload).tobytes()).hexdigest()
    return str(candidate.payload)


def _crystal_fingerprint(structure: Structure) -> list[Any]:
    cell = [round(float(x), _LENGTH_DECIMALS) for x in structure.lattice.parameters]
    scale = 10**_FRACTION_DECIMALS
    sites = []
    for site in structure:
        # integers modulo the scale, so that 0.99999 and 0.0 are the same place
        place = [int(round(float(x) * scale)) % scale for x in site.frac_coords]
        species = sorted((str(s), round(float(n), _FRACTION_DECIMALS)) for s, n in site.species.items())
        sites.append([species, place])
    return [cell, sorted(sites)]
