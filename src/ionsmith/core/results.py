"""The finished record of a run: what tables, JSON, figures and the page are made from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ionsmith.core.quantities import QUANTITIES
from ionsmith.core.records import Bound, Outcome, Value

SCHEMA = 1
_GROUPS = re.compile(
    r"(P|S|V|As|Se|Te|Si|Ge|Cl|Cr|Mn|Mo|W)O4|(P|S|B|C|N|V|I|Cl|Se|Te|Si)O3|(B|N|Al)O2|(P|Si|Cr)2O7|B4O7|C2O4|HO|SCN|CN"
    r"|(B|Al|N)H4|NH2|H2N|(P|Si|Ge|Sn|As|Sb)S4|(B|Al)F4|(P|As|Sb|Si)F6|AlCl4"
)
LEDGER_FILE = "ledger.db"
"""Name of the ledger in a run folder; a folder that holds one is a run."""

FILES = "files"
"""Key of a stage's details under which it hands files to the user: name to text."""


@dataclass(frozen=True)
class StageCount:
    """How many candidates entered a stage and how they left it; received = ok + rejected + failed."""

    stage: str
    received: int
    ok: int
    rejected: int
    failed: int


@dataclass(frozen=True)
class Row:
    """Everything found out about one input.

    Attributes:
        position: place in the input, from 0.
        key: content hash of the material as it was read.
        outcome: candidate, values, status and note merged over all stages; ``details`` maps stage to what it added.
        stage: the last stage that it entered.
        rank: place in the ranking, from 1; None where nothing was ranked.
        feasible: whether all targets are known and met; None where there were no targets.
        score: in [0, 1]; None where there were no targets.
        checks: target name to one line that says how the value compares with the limit.
        rediscovery: identifier of a known material that a generated one repeats.
        read_as: formula of the material as it was read; the ordered approximant of a disordered one may differ.
    """

    position: int
    key: str
    outcome: Outcome
    stage: str
    rank: int | None = None
    feasible: bool | None = None
    score: float | None = None
    checks: Mapping[str, str] = field(default_factory=dict)
    rediscovery: str | None = None
    read_as: str = ""

    @property
    def formula(self) -> str:
        """Formula of the material as it was read, as a chemist writes it."""
        return conventional_formula(self.read_as or self.outcome.candidate.formula)


def conventional_formula(formula: str) -> str:
    """Return a formula whose brackets hold real groups only: LiTi2(PO4)3, but Li10GeP2S12 for Li10Ge(PS6)2.

    pymatgen brackets whatever has a common factor; the groups that stay are the common polyanions.

    Args:
        formula: reduced formula.
    """

    def opened(match: re.Match[str]) -> str:
        group, factor = match.group(1), int(match.group(2) or 1)
        if _GROUPS.fullmatch(group):
            return match.group(0)
        parts = re.findall(r"([A-Z][a-z]?)(\d*\.?\d*)", group)
        return "".join(f"{symbol}{float(amount or 1) * factor:g}" for symbol, amount in parts)

    return re.sub(r"\(([^()]*)\)(\d*)", opened, formula)


@dataclass(frozen=True)
class RunResult:
    """A finished run.

    Attributes:
        command: ``screen``, ``design``, ``predict`` or ``simulate``.
        version: package version that ran it.
        rows: one per input, in rank order for screen and design, in input order otherwise.
        funnel: counts per stage, in order; empty for single predictions.
        spec: the targets and limits as a plain mapping, empty where there were none.
    """

    command: str
    version: str
    rows: tuple[Row, ...]
    funnel: tuple[StageCount, ...] = ()
    spec: Mapping[str, Any] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """Return the JSON document that ``--json`` prints (schema 1); missing values are absent."""
        head: dict[str, Any] = {"schema": SCHEMA, "version": self.version, "command": self.command}
        if self.funnel:
            head["funnel"] = [vars(stage) for stage in self.funnel]
        return {**head, "candidates": [row_document(row) for row in self.rows]}


def row_document(row: Row) -> dict[str, Any]:
    """Return one entry of the ``candidates`` list.

    Args:
        row: the finished row.
    """
    candidate = row.outcome.candidate
    optional = {"rank": row.rank, "feasible": row.feasible, "score": row.score}
    return {
        **{name: value for name, value in optional.items() if value is not None},
        "key": row.key,
        "input": candidate.source.locator,
        "formula": row.formula,
        "status": row.outcome.status.value,
        "stage": row.stage,
        "note": row.outcome.note,
        "source": candidate.source.name,
        "rediscovery": row.rediscovery,
        "values": {name: value_document(name, value) for name, value in row.outcome.values.items()},
        "details": details_document(row.outcome.details),
    }


def details_document(details: Mapping[str, Any]) -> dict[str, Any]:
    """Return details with the text of attached files replaced by the files' names.

    Args:
        details: stage to what it added; a stage's files stand under the key ``files``, name to text.
    """
    return {
        stage: {**found, FILES: sorted(found[FILES])} if isinstance(found, Mapping) and FILES in found else found
        for stage, found in details.items()
    }


def attached_files(row: Row) -> dict[str, str]:
    """Return the files that the stages attached to a row: ``<stage>_<name>`` to text.

    Args:
        row: the finished row.
    """
    return {
        f"{stage}_{name}": text
        for stage, found in row.outcome.details.items()
        if isinstance(found, Mapping)
        for name, text in found.get(FILES, {}).items()
    }


def value_document(name: str, value: Value) -> dict[str, Any]:
    """Return one value with its unit, ready for JSON.

    Args:
        name: quantity name.
        value: the value.
    """
    document: dict[str, Any] = {
        "mean": value.mean,
        "std": value.std,
        "unit": QUANTITIES[name].unit,
        "method": value.method,
    }
    if value.in_domain is not None:
        document["in_domain"] = value.in_domain
    if value.bound is not Bound.EXACT:
        document["bound"] = value.bound.value
    return document
