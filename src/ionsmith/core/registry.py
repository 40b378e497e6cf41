"""Finds methods by name: every module of a step folder may register classes, installed plugins may add more."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import TypeVar

from ionsmith.core.errors import InputError
from ionsmith.core.quantities import suggestion

_ENTRY_POINTS = "ionsmith.methods"
_FOLDERS = MappingProxyType(
    {
        "representation": "ionsmith.represent",
        "model": "ionsmith.predict",
        "simulator": "ionsmith.simulate",
        "generator": "ionsmith.generate",
        "dataset": "ionsmith.data",
    }
)
_methods: dict[tuple[str, str], type] = {}
_discovered: set[str] = set()
C = TypeVar("C", bound=type)


def register(role: str, name: str) -> Callable[[C], C]:
    """Class decorator that makes a method available under a name.

    Args:
        role: ``representation``, ``model``, ``simulator``, ``generator`` or ``dataset``.
        name: what users and recipes call it.

    Raises:
        InputError: an unknown role, or a name that another class already holds.
    """
    if role not in _FOLDERS:
        raise InputError(f"register: unknown role {role!r}{suggestion(role, _FOLDERS)}")

    def keep(cls: C) -> C:
        held = _methods.setdefault((role, name), cls)
        if held.__qualname__ != cls.__qualname__ or held.__module__ != cls.__module__:
            raise InputError(f"register: {role} {name!r} is already {held.__module__}.{held.__qualname__}")
        return cls

    return keep


def registered(role: str) -> Mapping[str, type]:
    """Return name to class of everything registered under a role, built in or from plugins.

    Args:
        role: one of the roles of :func:`register`.

    Raises:
        InputError: an unknown role.
    """
    if role not in _FOLDERS:
        raise InputError(f"registry: unknown role {role!r}{suggestion(role, _FOLDERS)}")
    _discover(role)
    return MappingProxyType({name: cls for (r, name), cls in sorted(_methods.items()) if r == role})


def lookup(role: str, name: str) -> type:
    """Return the class registered under a role and name.

    Args:
        role: one of the roles of :func:`register`.
        name: registry name.

    Raises:
        InputError: an unknown role or name; the message offers the closest names.
    """
    known = registered(role)
    if name not in known:
        raise InputError(f"unknown {role} {name!r}{suggestion(name, known)}")
    return known[name]


def _discover(role: str) -> None:
    if role in _discovered:
        return
    try:
        package = importlib.import_module(_FOLDERS[role])
    except ModuleNotFoundError as missing:
        if missing.name != _FOLDERS[role]:
            raise
    else:
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    for plugin in entry_points(group=_ENTRY_POINTS):
        plugin.load()
    _discovered.add(role)
