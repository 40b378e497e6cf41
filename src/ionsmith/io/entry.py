"""What a parser of one file format hands over, and the two ways in which an input can be at fault."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ParamSpec, TypeVar

from ionsmith.core.errors import InputError
from ionsmith.core.records import Kind, Status

P = ParamSpec("P")
T = TypeVar("T")

PARSE_ERRORS = (ArithmeticError, AttributeError, EOFError, LookupError, RuntimeError, TypeError, ValueError, Warning)
"""What third-party parsers raise on text that is not what they expect; OSError is another matter."""

_LONGEST = 240  # characters of a message that are kept: one line on a wide screen


@dataclass(frozen=True)
class Entry:
    """One row of an input, before it becomes an Outcome.

    Attributes:
        label: what follows ``#`` in the locator, empty where the file holds one row.
        kind: what ``payload`` is.
        payload: crystal, composition or SMILES; None where there is a problem.
        facts: what the source says about the material, plain JSON.
        notes: what was decided while reading.
        problem: one line, why there is no payload; empty where there is one.
        status: rejected where the input is at fault, failed where it could not be got at.
    """

    label: str = ""
    kind: Kind = Kind.UNREADABLE
    payload: Any = None
    facts: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    notes: tuple[str, ...] = ()
    problem: str = ""
    status: Status = Status.REJECTED


def problem_entry(label: str, error: Exception | str, *, status: Status = Status.REJECTED) -> Entry:
    """Return the entry of a row that cannot become a material.

    Args:
        label: what follows ``#`` in the locator.
        error: the reason.
        status: rejected or failed.
    """
    return Entry(label, problem=one_line(error), status=status)


def one_line(error: Exception | str) -> str:
    """Return a message as one line of bounded length; the type's name stands in for an empty message.

    Args:
        error: exception or text.
    """
    text = error if isinstance(error, str) else str(error)
    if isinstance(error, KeyError):
        text = f"missing {text}"
    elif isinstance(error, IndexError):
        text = "a line or number is missing"
    text = re.sub(r"\s+", " ", text).strip() or type(error).__name__
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def quietly(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> tuple[T, tuple[str, ...]]:
    """Call a third-party parser and return its result with its warnings as notes, each once, none printed.

    Args:
        function: the parser.
        *args: its arguments.
        **kwargs: its keyword arguments.

    Raises:
        InputError: the parser could not make sense of the text.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = function(*args, **kwargs)
        except InputError:
            raise
        except PARSE_ERRORS as error:
            raise InputError(one_line(error)) from error
    said = (
        one_line(str(w.message)) for w in caught if not issubclass(w.category, DeprecationWarning | FutureWarning)
    )
    return result, tuple(dict.fromkeys(said))
