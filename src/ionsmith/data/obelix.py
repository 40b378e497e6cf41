"""OBELiX: 599 measured room-temperature conductivities of lithium electrolytes, with cell and official split."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from pymatgen.core import Composition

from ionsmith.core.errors import DataError, InputError
from ionsmith.core.quantities import suggestion
from ionsmith.core.records import Bound, Candidate, Kind, Origin, Outcome, Value
from ionsmith.data.files import DataCard, DataFile, add_card, check_columns

SPLITS = ("train", "test", "all")
QUANTITY = "log10_conductivity"
REPEAT_SPREAD = 0.5
"""Decades by which two measurements of one composition typically differ (median 0.54 in this table)."""

CARD = add_card(
    DataCard(
        name="obelix",
        title="OBELiX: measured room-temperature Li conductivity, space group and cell of 599 materials",
        licence="CC BY 4.0",
        source="https://github.com/NRC-Mila/OBELiX",
        citation="Therrien et al. 2025, arXiv:2502.14234",
        traps=(
            "37 conductivities are upper bounds written as text (36 times <1E-10, once <1E-8)",
            "the same composition was measured several times, up to 4.6 decades apart",
            "the family is missing in 33 rows and spelt in several ways; it is unified here",
            "the official split shares no composition and no DOI between its halves; random splits are far easier",
        ),
        files=MappingProxyType(
            {
                "train": DataFile(
                    "obelix/train.csv", "01d87779862807e24bc45bb2c759852f892390b99f9340f13906c54805aa8776"
                ),
                "test": DataFile(
                    "obelix/test.csv", "b2c266eb74e22f403743d52959bea7c43b1531a850994870a70dd909200e5297"
                ),
                "all": DataFile("obelix/all.csv", "54f6265ef84d16a919d08c6815f14b0fd7465fa00090bee2511c16c042e57f3c"),
                "cifs": DataFile(
                    "obelix/all_cifs.zip", "90f54f781fe6c4ba014636046556ec66c3bfa909b617e7258ff50ac3dcfa027c"
                ),
            }
        ),
    )
)

_CONDUCTIVITY = "Ionic conductivity (S cm-1)"
_LENGTHS, _ANGLES, _GROUP = ("a", "b", "c"), ("alpha", "beta", "gamma"), "Space group #"
_COLUMNS = ("ID", "True Composition", _CONDUCTIVITY, *_LENGTHS, *_ANGLES, _GROUP, "Family", "DOI")

_ALIASES: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("argyrodites", "argyrodite"), "argyrodite"),
        **dict.fromkeys(("perovskites",), "perovskite"),
        **dict.fromkeys(("garnet", "garnet-like"), "garnet"),
        **dict.fromkeys(("halides", "Halide", "chlorides", "cholorides", "fluorides"), "halide"),
        **dict.fromkeys(("nitrides", "nitride", "boron nitride"), "nitride"),
        **dict.fromkeys(("thio-LISICON", "Chalcogenidotetrelates"), "thio-LISICON"),
        **dict.fromkeys(("phosphates", "diphosphate", "pyrophosphate", "fluorophosphates"), "phosphate"),
        **dict.fromkeys(("Tavorite", "LIPON", "Borophosphates"), "phosphate"),
        **dict.fromkeys(("oxides", "hexaoxometalates", "zirconates", "Lanthanumlithiumoxide"), "oxide"),
        **dict.fromkeys(("copper pyroborate", "fluorooxoborate", "boracites"), "borate"),
        **dict.fromkeys(("silicates", "sugilites", "nitridosilicates"), "silicate"),
        **dict.fromkeys(("sulfides", "layered"), "sulfide"),
        **{"thio-phosphate": "thiophosphate", "molybdates": "molybdate", "hydrides": "hydride"},
        **{name: name for name in ("NASICON", "LISICON", "LGPS", "antiperovskite", "pyrochlore")},
    }
)
_CORRECTED: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("3qz", "cjq", "etz", "9p1", "8ee", "kh3", "zqx", "o5q", "0ew", "a6v"), "garnet"),
        **dict.fromkeys(
            ("ar1", "cz2", "klr", "mn3", "o0a", "qer", "aab", "1ty", "zv5", "xk3", "i4l"), "thio-LISICON"
        ),
        **dict.fromkeys(("zzr", "kop", "rty", "kko"), "LGPS"),
        **dict.fromkeys(("mdp", "ptg"), "thiophosphate"),
        **dict.fromkeys(("11b", "rwr", "pql", "240"), "phosphide"),  # Li3P, Li8GeP4, Li8SiP4: printed as phosphates
        **dict.fromkeys(("na5", "goi"), "molecular"),
        **{"0o6": "NASICON", "pe2": "sulfide", "lkm": "oxide", "n27": "borate"},
    }
)
"""Families by entry where the table has none, or one that the formula contradicts."""


def load_obelix(split: str = "train") -> tuple[Outcome, ...]:
    """Return measurements as outcomes, in the order of the file.

    The candidate is the composition of the conventional cell; ``source.facts["cell"]`` holds a, b, c (angstrom),
    alpha, beta, gamma (degree) and space_group as measured, because only 321 of the 599 entries have atomic
    positions. Further facts: ``doi``, ``id``, ``family`` (unified), ``log10_conductivity`` and, for a limit,
    ``log10_conductivity_bound``. The value of ``log10_conductivity`` is log10 S/cm; an upper limit carries
    ``Bound.UPPER`` and the limit as mean.

    Args:
        split: ``train`` (478 rows), ``test`` (121 rows, for final figures only) or ``all``.

    Raises:
        InputError: an unknown split.
        DataError: the file is absent, damaged or has an unexpected layout.
    """
    if split not in SPLITS:
        raise InputError(f"obelix: unknown split {split!r}{suggestion(split, list(SPLITS))}")
    with CARD.path(split).open(encoding="utf-8", newline="") as file:
        return read_rows(list(csv.DictReader(file)))


def read_rows(rows: Sequence[Mapping[str, str]]) -> tuple[Outcome, ...]:
    """Return the outcomes of rows laid out like the published table.

    Args:
        rows: column name to cell text.

    Raises:
        DataError: a missing column, or a cell that does not hold what it must.
    """
    check_columns(rows, _COLUMNS, where="obelix")
    return tuple(_outcome(row) for row in rows)


def _outcome(row: Mapping[str, str]) -> Outcome:
    text = row[_CONDUCTIVITY].strip()
    bound = Bound.UPPER if text.startswith("<") else Bound.EXACT
    try:
        mean = math.log10(float(text.lstrip("<")))
        composition = Composition(row["True Composition"].strip())
        cell = {name: float(row[name]) for name in (*_LENGTHS, *_ANGLES)}
        cell["space_group"] = int(row[_GROUP])
    except ValueError as error:
        raise DataError(f"obelix: entry {row['ID']}: {error}") from error
    facts: dict[str, Any] = {
        "id": row["ID"],
        "doi": row["DOI"].strip(),
        "family": family_of(row["ID"], row["Family"]),
        "cell": cell,
        QUANTITY: mean,
    }
    if bound is not Bound.EXACT:
        facts[f"{QUANTITY}_bound"] = bound.value
    source = Origin("obelix", f"obelix:{row['ID']}", MappingProxyType(facts))
    value = Value(mean, REPEAT_SPREAD, "measured", bound=bound)
    return Outcome(Candidate(Kind.COMPOSITION, composition, source), {QUANTITY: value})


def family_of(entry: str, published: str) -> str:
    """Return the unified family of an entry.

    Args:
        entry: its ID.
        published: the table's ``Family`` cell.

    Raises:
        DataError: a family that is neither known nor corrected by entry.
    """
    found = _CORRECTED.get(entry) or _ALIASES.get(published.strip())
    if found is None:
        raise DataError(f"obelix: entry {entry}: unknown family {published!r}")
    return found
