"""Materials Project structures with DFT formation energy, energy above hull and band gap."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pymatgen.core import Lattice, Structure
from pymatgen.core.structure import StructureError

from ionsmith.core.errors import DataError, InputError
from ionsmith.core.records import Candidate, Kind, Origin, Outcome, Value
from ionsmith.data.files import DataCard, DataFile, add_card

METHOD = "dft-pbe"
"""``method`` of every value of this data set."""

CARD = add_card(
    DataCard(
        name="materials_project",
        title="Materials Project structures with formation energy, energy above hull and PBE band gap",
        licence="CC BY 4.0",
        source="github SymmetryAdvantage/WyckoffTransformer (mp_20_biternary, mpts_52), "
        "akavaramrishika/ionicconductivity (li_binaries), usnistgov/jarvis_leaderboard (band gaps of mpts_52)",
        citation="Jain et al., APL Mater. 1, 011002 (2013), doi 10.1063/1.4812323",
        traps=(
            "a random sample of the structures was taken out",
            "mpts_52 and mp_20_biternary belong to one release, li_binaries to a newer one",
            "one material_id may occur in two files, many formulas have several polymorphs: split by formula",
            "mp_20_biternary keeps only energies above hull below 0.08 eV/atom; mpts_52 goes up to 5.1",
            "band gaps of mpts_52 are of the 2018 release and absent for about half of the rows",
            "most band gaps are exactly zero; cathode-like and metallic compounds are included",
        ),
        files={
            "mpts_52": DataFile(
                "materials_project/mpts_52.jsonl.gz",
                "7ff56b61ef9abc0858eee5286a0212760deea77abda93e40fd6c6ff85652f63e",
            ),
            "mp_20_biternary": DataFile(
                "materials_project/mp_20_biternary.jsonl.gz",
                "52268bae244dba74f759721fcb42bac09a427841f783aa4acf915853f0e48f8c",
            ),
            "li_binaries": DataFile(
                "materials_project/li_binaries.jsonl.gz",
                "21f6e04d4c850bc474a448ad1c27c237dfd6259f7a6e33de278230a5d829a3fa",
            ),
        },
    )
)

_QUANTITIES = (
    ("formation_energy", ("formation_energy_per_atom",)),
    ("energy_above_hull", ("e_above_hull",)),
    ("band_gap", ("band_gap", "band_gap_mp2018")),
)
_FACTS = ("material_id", "spacegroup_number", "orig_split", "year", "theoretical")
_CELL = ("a", "b", "c", "alpha", "beta", "gamma")


def load_materials_project(file: str = "mpts_52") -> Iterator[Outcome]:
    """Yield one Outcome per structure, in file order, with whatever quantities the row has.

    Values carry the method ``dft-pbe`` and no spread (the calculation defines them); ``source.facts`` holds
    ``material_id``, ``spacegroup_number``, ``orig_split``, ``year`` and ``theoretical`` where the file has them.

    Args:
        file: ``mpts_52``, ``mp_20_biternary`` or ``li_binaries``.

    Raises:
        InputError: no such file; raised at the call.
        DataError: absent, damaged (both raised at the call), or a row that lacks a field.
    """
    path = CARD.path(file)
    return _read(path, file)


def held_out(formula: str, *, share: float = 0.15, seed: int = 0) -> bool:
    """Return whether all materials of a reduced formula are kept out of fitting.

    The answer depends on the formula, share and seed alone, so every file and every model that asks keeps the
    same compounds out, and polymorphs stay together.

    Args:
        formula: reduced formula.
        share: expected share of formulas kept out, in [0, 1].
        seed: picks another random division.

    Raises:
        InputError: a share outside [0, 1].
    """
    if not 0.0 <= share <= 1.0:
        raise InputError(f"expected the share kept out between 0 and 1, got {share:g}")
    digest = hashlib.sha256(f"{seed}:{formula}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


def _read(path: Path, file: str) -> Iterator[Outcome]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                yield _outcome(json.loads(line), file)
            except (KeyError, ValueError, StructureError) as error:
                reason = f"{type(error).__name__} {error}"
                raise DataError(f"data set materials_project: {path} line {number}: {reason}") from error


def _outcome(row: Mapping[str, Any], file: str) -> Outcome:
    lattice = Lattice.from_parameters(*(row[name] for name in _CELL))
    structure = Structure(lattice, row["species"], row["frac_coords"])
    facts = {name: row[name] for name in _FACTS if row.get(name) is not None}
    origin = Origin(CARD.name, f"{file}:{row['material_id']}", facts)
    values = {}
    for quantity, fields in _QUANTITIES:
        known = [row[name] for name in fields if row.get(name) is not None]
        if known:
            values[quantity] = Value(float(known[0]), 0.0, METHOD)
    return Outcome(Candidate(Kind.CRYSTAL, structure, origin), values)
