"""Kang 2023: measured conductivities of 328 Li and Na solid electrolytes; no licence stated, so it only judges."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from pymatgen.core import Composition

from ionsmith.core.errors import DataError
from ionsmith.core.records import Candidate, Kind, Origin, Outcome, Value
from ionsmith.data.files import DataCard, DataFile, add_card

QUANTITY = "log10_conductivity"
CARD = add_card(
    DataCard(
        name="kang2023",
        title="Measured conductivity of 328 Li and Na solid electrolytes",
        licence="not stated",
        source="github kminmin/LiSSE-MP",
        citation="Kang, Kim, Min, J. Phys. Chem. C 127, 19335 (2023), doi 10.1021/acs.jpcc.3c02908",
        traps=(
            "134 of 328 rows contain sodium, 144 are NASICONs",
            "the temperature of the measurement is not given, the DOI is missing in 205 rows",
        ),
        files=MappingProxyType(
            {
                "table": DataFile(
                    "kang2023_sse/kang2023_sse.csv",
                    "daf2f441039a5fb547c9285037617a165313eeaae7b2e6f94d5b55abfb177007",
                )
            }
        ),
    )
)


def load_kang() -> tuple[Outcome, ...]:
    """Return measurements as outcomes with ``log10_conductivity``, in the order of the file.

    Raises:
        DataError: absent, damaged, or not laid out as expected.
    """
    with CARD.path("table").open(encoding="utf-8", newline="") as lines:
        return tuple(_outcome(row, number) for number, row in enumerate(csv.DictReader(lines), start=1))


def _outcome(row: Mapping[str, str], number: int) -> Outcome:
    try:
        value = math.log10(float(row["ionic_conductivity_S_cm"]))
        composition = Composition(row["formula"])
        facts: dict[str, Any] = {"family": row["family"], QUANTITY: value}
    except (KeyError, ValueError) as error:
        raise DataError(f"data set kang2023: row {number}: {type(error).__name__} {error}") from error
    if row.get("source_doi"):
        facts["doi"] = row["source_doi"].strip().lower()
    source = Origin(CARD.name, f"{CARD.name}:{number}", MappingProxyType(facts))
    return Outcome(Candidate(Kind.COMPOSITION, composition, source), {QUANTITY: Value(value, 0.0, "measured")})
