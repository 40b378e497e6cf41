"""Whether a proposed compound is known already, as far as the tables at hand can tell."""

from __future__ import annotations

from functools import lru_cache

from ionsmith.core.records import Candidate, Kind
from ionsmith.data.library import load_library
from ionsmith.thermodynamics.phases import HullTable


def known_as(candidate: Candidate) -> str | None:
    """Return where a compound of this formula is known from; None where it is in none of the tables.

    The tables are the built-in library and the stable and near-stable compounds of the reference hull. They are not
    all that chemistry knows: a formula in none of them may still have been made, and a known formula may stand for
    another crystal structure.

    Args:
        candidate: a crystal or composition.
    """
    if candidate.kind not in (Kind.CRYSTAL, Kind.COMPOSITION):
        return None
    formula = str(candidate.composition.reduced_formula)
    if formula in _library():
        return "library"
    return "reference hull" if HullTable.shipped().known(candidate.composition) is not None else None


@lru_cache(maxsize=1)
def _library() -> frozenset[str]:
    return frozenset(str(candidate.composition.reduced_formula) for candidate in load_library())
