"""Whether a proposed compound is known already, as far as the tables at hand can tell."""

from __future__ import annotations

import json
from functools import lru_cache

import numpy as np
from pymatgen.core import Composition

from ionsmith.artifacts.cards import load_artifact
from ionsmith.core.records import Candidate, FloatArray, Kind
from ionsmith.data.library import load_library
from ionsmith.thermodynamics.phases import HullTable
from ionsmith.thermodynamics.terms import element_amounts, fractions

_MEASURED = "conductivity"  # the artifact whose training rows are materials with a measured conductivity
_SAME = 0.002  # sum of differences of atomic fractions below which rounded amounts mean the same formula


def known_as(candidate: Candidate) -> str | None:
    """Return where a compound of this formula is known from; None where it is in none of the tables.

    The tables are the built-in library, the materials whose measured conductivity the shipped model learnt from
    (OBELiX), and the stable and near-stable compounds of the reference hull. Formulas are compared whatever multiple
    they are written in. The tables are not all that chemistry knows: a formula in none of them may still have been
    made, and a known formula may stand for another crystal structure.

    Args:
        candidate: a crystal or composition.
    """
    if candidate.kind not in (Kind.CRYSTAL, Kind.COMPOSITION):
        return None
    if str(candidate.composition.reduced_formula) in _library():
        return "library"
    if _is_measured(candidate.composition):
        return "measured conductivities"
    return "reference hull" if HullTable.shipped().known(candidate.composition) is not None else None


@lru_cache(maxsize=1)
def _library() -> frozenset[str]:
    return frozenset(str(candidate.composition.reduced_formula) for candidate in load_library())


def _is_measured(composition: Composition) -> bool:
    place, known = _measured()
    share = fractions(element_amounts(composition))
    if not share.keys() <= place.keys():
        return False
    wanted = np.zeros(known.shape[1])
    for symbol, part in share.items():
        wanted[place[symbol]] = part
    return bool((np.abs(known - wanted).sum(axis=1) < _SAME).any())


@lru_cache(maxsize=1)
def _measured() -> tuple[dict[str, int], FloatArray]:
    """Return the columns by element and the atomic fractions of all measured materials, shape (n, k)."""
    rows = json.loads(load_artifact(_MEASURED).arrays["told"].tobytes())
    shares = [fractions(element_amounts(Composition(str(row[0])))) for row in rows]
    place = {symbol: column for column, symbol in enumerate(sorted({symbol for share in shares for symbol in share}))}
    table: FloatArray = np.zeros((len(shares), len(place)))
    for number, share in enumerate(shares):
        for symbol, part in share.items():
            table[number, place[symbol]] = part
    return place, table
