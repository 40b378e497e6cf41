"""Where the winners come from: their parents among the proposals and in the built-in library, as a tree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from ionsmith.core.records import Candidate, Kind
from ionsmith.core.results import Row, RunResult, conventional_formula
from ionsmith.data.library import load_library
from ionsmith.generate.ions import ionic_crystals
from ionsmith.report import words


@dataclass(frozen=True)
class Member:
    """One material of a family.

    Attributes:
        label: formula, as a chemist writes it, or what stands for it.
        note: one line: how it was made, or what it is known as.
        address: place of its row on the page; empty where it is no row.
        row: the finished row; None where it is no row.
        offspring: how many proposals of the run were made from it directly.
    """

    label: str
    note: str = ""
    address: str = ""
    row: Row | None = None
    offspring: int = 0


@dataclass(frozen=True)
class Branch:
    """A material with those made from it.

    Attributes:
        member: the material.
        children: what was made from it, as far as it leads to a winner.
    """

    member: Member
    children: tuple[Branch, ...] = ()


def parents_of(row: Row) -> tuple[str, ...]:
    """Return the keys of the materials a proposal was made from; what stages made of itself is left out.

    The first one is the one whose framework it has.

    Args:
        row: the finished row.
    """
    keys = row.outcome.candidate.parents
    return keys[: keys.index(row.key)] if row.key in keys else keys


def family_tree(result: RunResult, winners: Sequence[Row]) -> tuple[Branch, ...]:
    """Return a tree from the known materials down to the winners, one root for each that nothing is known before.

    A winner with two parents stands under the one whose framework it has; the other one is named in its note. Winners
    without parents are gathered under their chemistry and space group.

    Args:
        result: the finished run.
        winners: rows of it.
    """
    known = _Known(result)
    below: dict[str, list[str]] = {}
    roots: list[str] = []
    for row in winners:
        line = known.line(row)
        for older, younger in pairwise(line):
            if younger not in below.setdefault(older, []):
                below[older].append(younger)
        if line[0] not in roots:
            roots.append(line[0])

    def branch(key: str, above: frozenset[str]) -> Branch:
        young = [child for child in below.get(key, ()) if child not in above]
        return Branch(known.member(key), tuple(branch(child, above | {child}) for child in young))

    return tuple(branch(root, frozenset({root})) for root in roots)


class _Known:
    """All rows by every key they ever had, and how often each material became a parent."""

    def __init__(self, result: RunResult) -> None:
        self._rows: dict[str, tuple[Row, str]] = {}
        self._offspring: dict[str, int] = {}
        self._mobile = str(result.spec.get("mobile_ion", "Li"))
        self._sources: dict[str, str] = {}
        for row, name in zip(result.rows, words.row_ids(result), strict=True):
            for key in {row.key, row.outcome.candidate.key}:
                self._rows.setdefault(key, (row, name))
        for row in result.rows:
            for key in parents_of(row):
                self._offspring[self._own(key)] = self._offspring.get(self._own(key), 0) + 1
                self._sources.setdefault(key, _parent_formula(row))

    def line(self, row: Row) -> list[str]:
        """Return the keys from the oldest known ancestor down to a row, along the frameworks."""
        found = [row.key]
        while True:
            young, _ = self._rows.get(found[0], (None, ""))
            older = [] if young is None else [self._own(key) for key in parents_of(young)]
            older = [key for key in older if key not in found]
            if young is None or not older:
                break
            found.insert(0, older[0])
        if len(found) == 1:
            found.insert(0, f"group:{_group(row)}")
        return found

    def member(self, key: str) -> Member:
        """Return what stands for a key in the tree."""
        offspring = self._offspring.get(key, 0)
        if key.startswith("group:"):
            return Member(key.removeprefix("group:"), "no parents recorded")
        if key in self._rows:
            row, address = self._rows[key]
            return Member(words.label_of(row), self._made(row), address, row, offspring)
        entry = library_keys(self._mobile).get(key)
        if entry is not None:
            facts = entry.source.facts
            told = [str(facts[name]) for name in ("name", "family") if facts.get(name)]
            told = [text for text in dict.fromkeys(told) if text != _label(entry)]
            return Member(_label(entry), ", ".join(["built-in library", *told]), offspring=offspring)
        return Member(self._sources.get(key) or "unnamed parent", "parent not in this run", offspring=offspring)

    def _own(self, key: str) -> str:
        return self._rows[key][0].key if key in self._rows else key

    def _made(self, row: Row) -> str:
        how = row.outcome.candidate.source.locator.partition(": ")[2]
        others = [self.member(self._own(key)).label for key in parents_of(row)[1:] if self._own(key) != row.key]
        crossed = f"crossed with {', '.join(others)}" if others and "as in" not in how else ""
        return "; ".join(part for part in (how.replace("->", "→"), crossed) if part)


@lru_cache(maxsize=4)
def library_keys(mobile: str) -> Mapping[str, Candidate]:
    """Return the built-in library by key, disordered entries also by the key of the ordered form generators use.

    Args:
        mobile: symbol of the mobile ion.
    """
    entries = tuple(load_library())
    found = {entry.key: entry for entry in entries}
    for crystal in ionic_crystals(entries, mobile=mobile):
        origin = next(iter(crystal.candidate.parents), "")
        found.setdefault(crystal.candidate.key, found.get(origin, crystal.candidate))
    return found


def _label(candidate: Candidate) -> str:
    written = candidate.source.facts.get("formula")
    return str(written) if written else conventional_formula(candidate.formula)


def _parent_formula(row: Row) -> str:
    head, colon, _ = row.outcome.candidate.source.locator.partition(": ")
    return conventional_formula(head) if colon else ""


def _group(row: Row) -> str:
    chemistry = words.family(row) or words.anion_class(row)
    found = row.outcome.details.get("relax")
    symmetry = found.get("space_group_after") if isinstance(found, Mapping) else None
    if row.outcome.candidate.kind is not Kind.CRYSTAL:
        return f"{chemistry}, formula only"
    return f"{chemistry}, {symmetry}" if symmetry else chemistry
