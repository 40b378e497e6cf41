"""Liverpool Ionics Dataset: 820 conductivities of lithium conductors at temperatures of 5 to 873 degree C."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from pymatgen.core import Composition

from ionsmith.core.errors import DataError
from ionsmith.core.records import Candidate, Kind, Origin, Outcome
from ionsmith.data.files import DataCard, DataFile, add_card, check_columns

CARD = add_card(
    DataCard(
        name="liverpool",
        title="Liverpool Ionics Dataset: Li conductivities at temperature",
        licence="not stated (evaluation only)",
        source="https://github.com/NRC-Mila/OBELiX (copy); doi 10.1038/s41524-022-00951-z",
        citation="Hargreaves et al., npj Comput. Mater. 9, 9 (2023), doi 10.1038/s41524-022-00951-z",
        traps=(
            "no licence is stated for the table: it may be used for evaluation, never for training what ships",
            "the same composition occurs at several temperatures; only 465 rows lie within 15 to 35 degree C",
            "large overlap with OBELiX; for shared compositions 21 % of pairs differ by more than a decade",
        ),
        files=MappingProxyType(
            {
                "table": DataFile(
                    "liverpool_ionics/LiIonDatabase.csv",
                    "d24ed972b88c3aba14194b6f9347fb3c8e8f9249b82fec22d961e709c1c06e5d",
                )
            }
        ),
    )
)

TEMPERATURE, SIGMA = "temperature", "log10_conductivity_at_temperature"
"""Facts: K, and log10 S/cm at that temperature. They are facts because ``log10_conductivity`` is at 300 K."""

_COLUMNS = ("ID", "composition", "source", "temperature", "log_target", "family")
_ZERO_CELSIUS = 273.15


def load_liverpool() -> tuple[Outcome, ...]:
    """Return one Outcome per measurement, in the order of the file, without values.

    The candidate is the composition; facts are ``temperature`` (K), ``log10_conductivity_at_temperature``
    (log10 S/cm), ``doi``, ``family`` and ``id``.

    Raises:
        DataError: the file is absent, damaged or has an unexpected layout.
    """
    with CARD.path("table").open(encoding="utf-8-sig", newline="") as file:
        return read_rows(list(csv.DictReader(file)))


def read_rows(rows: Sequence[Mapping[str, str]]) -> tuple[Outcome, ...]:
    """Return the outcomes of rows laid out like the published table.

    Args:
        rows: column name to cell text.

    Raises:
        DataError: a missing column, or a cell that does not hold what it must.
    """
    check_columns(rows, _COLUMNS, where="liverpool")
    return tuple(_outcome(row) for row in rows)


def _outcome(row: Mapping[str, str]) -> Outcome:
    try:
        kelvin, sigma = float(row["temperature"]) + _ZERO_CELSIUS, float(row["log_target"])
        # glasses are written with quotes and spaces: "(Li2S)0.7 (P2S5)0.3"
        composition = Composition(row["composition"].replace('"', "").replace(" ", ""))
    except ValueError as error:
        raise DataError(f"liverpool: entry {row['ID']}: {error}") from error
    if not (kelvin > 0.0 and math.isfinite(sigma) and len(composition)):
        raise DataError(f"liverpool: entry {row['ID']}: expected a temperature, a conductivity and a composition")
    facts = {
        "id": row["ID"],
        "doi": row["source"].strip(),
        "family": row["family"].strip(),
        TEMPERATURE: kelvin,
        SIGMA: sigma,
    }
    origin = Origin("liverpool", f"liverpool:{row['ID']}", MappingProxyType(facts))
    return Outcome(Candidate(Kind.COMPOSITION, composition, origin))
