"""What a study is, what it returns, and how studies are found."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import ionsmith.studies
from ionsmith.core.errors import InputError
from ionsmith.core.quantities import suggestion

SCHEMA = 1


@dataclass(frozen=True)
class Claim:
    """One figure of a paper beside ours.

    Attributes:
        what: the figure, in words.
        claimed: as printed in the paper; empty where it states none.
        measured: ours; a number, or text where it is no single number.
        note: what a reader must know to compare them.
    """

    what: str
    claimed: str
    measured: float | int | str
    note: str = ""


@dataclass(frozen=True)
class StudyResult:
    """What a run of a study found.

    Attributes:
        claims: in the order in which they are told.
        details: further JSON-ready findings.
    """

    claims: tuple[Claim, ...]
    details: Mapping[str, Any]


@dataclass(frozen=True)
class Study:
    """A published system.

    Attributes:
        name: what ``ionsmith study run`` calls it.
        title: one line.
        doi: of the paper.
        differs: what we do otherwise, one sentence each.
        run: does it; takes the seed of all random streams.
    """

    name: str
    title: str
    doi: str
    differs: tuple[str, ...]
    run: Callable[[int], StudyResult]


def studies() -> Mapping[str, Study]:
    """Return name to study of every module of this folder that holds a ``STUDY``."""
    found = {}
    for module in pkgutil.iter_modules(ionsmith.studies.__path__, "ionsmith.studies."):
        study = getattr(importlib.import_module(module.name), "STUDY", None)
        if isinstance(study, Study):
            found[study.name] = study
    return MappingProxyType(dict(sorted(found.items())))


def run_study(name: str, *, seed: int = 0) -> dict[str, Any]:
    """Run a study and return its JSON-ready document.

    Args:
        name: as :func:`studies` lists it.
        seed: start of all random streams.

    Raises:
        InputError: no such study.
        DataError: its data are absent or damaged.
    """
    known = studies()
    if name not in known:
        raise InputError(f"unknown study {name!r}{suggestion(name, known)}")
    study = known[name]
    result = study.run(seed)
    return {
        "schema": SCHEMA,
        "command": "study",
        "name": study.name,
        "title": study.title,
        "doi": study.doi,
        "seed": seed,
        "differs": list(study.differs),
        "claims": [
            {"what": c.what, "claimed": c.claimed, "measured": c.measured, "note": c.note} for c in result.claims
        ],
        "details": dict(result.details),
    }


def markdown(document: Mapping[str, Any]) -> str:
    """Return a study's document as a section of a page.

    Args:
        document: as :func:`run_study` returns it.
    """
    lines = [f"## {document['title']}", "", f"doi {document['doi']}. `ionsmith study run {document['name']}`", ""]
    lines += [*(f"- {text}" for text in document["differs"]), ""]
    lines += ["| | claimed | measured here | note |", "| --- | --- | --- | --- |"]
    lines += [f"| {c['what']} | {c['claimed']} | {shown(c['measured'])} | {c['note']} |" for c in document["claims"]]
    return "\n".join(lines) + "\n"


def shown(measured: float | int | str) -> str:
    """Return a measured figure as text: three digits for a number that is not whole.

    Args:
        measured: number or text.
    """
    return (
        f"{measured:.3g}"
        if isinstance(measured, float)
        else f"{measured:,}"
        if isinstance(measured, int)
        else measured
    )


def accuracy_text(accuracy: float, n: int) -> str:
    """Return an accuracy with its count and 90 % normal-approximation interval of a proportion (Wilson).

    Args:
        accuracy: share.
        n: rows.
    """
    z = 1.6449
    middle = (accuracy + z * z / (2 * n)) / (1 + z * z / n)
    half = z * ((accuracy * (1 - accuracy) + z * z / (4 * n)) / n) ** 0.5 / (1 + z * z / n)
    return f"{accuracy:.1%} of {n} ({middle - half:.0%} to {middle + half:.0%})"


def funnel(steps: Sequence[tuple[str, int]]) -> str:
    """Return counts as an arrow chain.

    Args:
        steps: name and how many remain.
    """
    return " → ".join(f"{count:,} ({name})" for name, count in steps)
