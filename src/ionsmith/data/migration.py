"""Migration barriers from density-functional bands (Devi et al. 2025): compositions and barriers, no structures."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from ionsmith.core.errors import DataError
from ionsmith.data.files import DataCard, DataFile, add_card, check_columns

_BARRIER, _MACE = "migration_barrier_eV", "mace_neb_relaxed_eV"
_COLUMNS = ("composition", "xc", "space_group", "path_info", "sys_name", _BARRIER, _MACE)

CARD = add_card(
    DataCard(
        name="migration",
        title="619 DFT nudged-elastic-band migration barriers from the literature (Li, Na, Mg, Ca, K, Zn, Al)",
        licence="not stated",
        source="https://github.com/sai-mat-group/migration-barrier-dataset",
        citation="Devi et al. 2025, arXiv:2508.06459",
        traps=(
            "compositions only: the structures must come from elsewhere",
            "the ion of a discharged host is in brackets, as in FePO4(Li)",
            "GGA, GGA+U, SCAN and LDA are mixed; three barriers are above 4 eV",
            "mace_neb columns are predictions of a potential, not labels",
        ),
        files=MappingProxyType(
            {
                "barriers": DataFile(
                    "migration_barriers_devi2025/migration_barriers.csv",
                    "455295b42592a521f5cd7f8e6fdd00b8c99aacb5150b291888ab836a19fa02ee",
                )
            }
        ),
    )
)


@dataclass(frozen=True)
class Barrier:
    """One published barrier.

    Attributes:
        system: unique name.
        composition: as printed.
        space_group: as printed.
        path: as printed.
        functional: exchange and correlation.
        barrier: eV.
        mace: barrier by a MACE potential with relaxed end points, eV; a prediction, not a label.
    """

    system: str
    composition: str
    space_group: str
    path: str
    functional: str
    barrier: float
    mace: float | None


def load_barriers() -> tuple[Barrier, ...]:
    """Return all published barriers in the order of the file.

    Raises:
        DataError: the file is absent, damaged or has an unexpected layout.
    """
    with CARD.path("barriers").open(encoding="utf-8-sig", newline="") as file:
        return read_barriers(list(csv.DictReader(file)))


def read_barriers(rows: Sequence[Mapping[str, str]]) -> tuple[Barrier, ...]:
    """Return the barriers of rows laid out like the published table.

    Args:
        rows: column name to cell text.

    Raises:
        DataError: a missing column, or a barrier that is no number.
    """
    check_columns(rows, _COLUMNS, where="migration")
    return tuple(_barrier(row) for row in rows)


def _barrier(row: Mapping[str, str]) -> Barrier:
    try:
        barrier = float(row[_BARRIER])
        mace = float(row[_MACE]) if row[_MACE].strip() else None
    except ValueError as error:
        raise DataError(f"migration: {row['sys_name']}: {error}") from error
    return Barrier(
        row["sys_name"].strip(),
        row["composition"].strip(),
        row["space_group"].strip(),
        row["path_info"].strip(),
        row["xc"].strip(),
        barrier,
        mace,
    )
