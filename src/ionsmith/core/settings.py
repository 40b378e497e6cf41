"""Settings of a method as users write them (TOML values), checked against the constructor that takes them."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Mapping
from typing import Any

from ionsmith.core.errors import InputError
from ionsmith.core.quantities import suggestion


def accepted_settings(method: type) -> tuple[str, ...]:
    """Return the names of a method's settings.

    Args:
        method: class whose constructor takes them.
    """
    return tuple(inspect.signature(method).parameters)


def checked_settings(method: type, settings: Mapping[str, Any], *, where: str) -> dict[str, Any]:
    """Return settings in the types that a method's constructor announces.

    A whole number serves where a real one is wanted, and a list where a tuple is; nothing else is converted.

    Args:
        method: class whose constructor takes them.
        settings: name to TOML value (text, number, boolean, list).
        where: what a message points at, such as ``spec.toml: settings.md``.

    Raises:
        InputError: an unknown name or a value of another type.
    """
    known = accepted_settings(method)
    hints = typing.get_type_hints(getattr(method, "__init__"))  # noqa: B009  mypy refuses the plain attribute
    found = {}
    for name, value in settings.items():
        if name not in known:
            raise InputError(f"{where}: unknown setting {name!r}{suggestion(name, list(known))}")
        found[name] = _fitted(value, hints.get(name, Any), f"{where}.{name}")
    return found


def _fitted(value: Any, hint: Any, where: str) -> Any:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        choices = [choice for choice in inner if choice is not type(None)]
        return _fitted(value, choices[0], where) if len(choices) == 1 else value
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise InputError(f"{where}: expected a list, got {value!r}")
        return tuple(_fitted(item, inner[0], where) for item in value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint in (int, float, str, bool) and (
        not isinstance(value, hint) or (isinstance(value, bool) != (hint is bool))
    ):
        raise InputError(f"{where}: expected {_WORDS[hint]}, got {value!r}")
    return value


_WORDS = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
