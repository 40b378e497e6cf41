"""Matbench tables of Materials Project properties by formula: formation energy and band gap, 2018 release."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import gcd

import numpy as np
from pymatgen.core import Composition

from ionsmith.core.errors import DataError
from ionsmith.core.records import Candidate, FloatArray, Kind, Origin, Outcome, Value
from ionsmith.data.files import DataCard, DataFile, add_card

Amounts = tuple[tuple[str, int], ...]
"""Elements and their numbers in a reduced formula, in alphabetical order: ``(("Li", 2), ("O", 1))``."""

METHOD = "dft-pbe"
"""``method`` of every value of this data set."""

CARD = add_card(
    DataCard(
        name="matbench",
        title="Materials Project formation energy and band gap by formula (matbench v0.1, release of 2018)",
        licence="CC BY 4.0",
        source="github anthony-wang/CrabNet",
        citation="Dunn et al., npj Comput. Mater. 6, 138 (2020), doi 10.1038/s41524-020-00406-3",
        traps=(
            "a random sample of the rows was taken out",
            "the same formula occurs with different targets (polymorphs); formulas are not reduced",
            "formation energies carry the energy corrections of 2018, structure files those of 2020",
        ),
        files={
            "e_form": DataFile(
                "composition_tables/matbench_mp_e_form.csv.gz",
                "f826d1512520b9b1016035ecafcdfc7caab47531e82dfe33b848425854598c8d",
            ),
            "gap": DataFile(
                "composition_tables/matbench_mp_gap.csv.gz",
                "d9d07a504f2cdbbb98b21393fc37b96be6f28f8ff10fcb4414d54b397a726893",
            ),
        },
    )
)

_QUANTITY = {"e_form": "formation_energy", "gap": "band_gap"}
_ENOUGH_OTHERS = 3
_FAR_BELOW = 0.5  # eV/atom (or eV)
_AGREE = 1.0 / 3.0  # of the gap below them
_PART = re.compile(r"([A-Z][a-z]?)(\d+)")
_FORMULA = re.compile(r"(?:[A-Z][a-z]?\d+)+")


@dataclass(frozen=True)
class FormulaTable:
    """One property of many formulas, polymorphs included.

    Attributes:
        file: short name of the file.
        formulas: as written, not reduced; n of them.
        values: shape (n,), eV/atom for ``e_form``, eV for ``gap``.
    """

    file: str
    formulas: tuple[str, ...]
    values: FloatArray

    @cached_property
    def amounts(self) -> tuple[Amounts, ...]:
        """Reduced element numbers per row."""
        return tuple(_reduced(formula) for formula in self.formulas)

    def lowest(self) -> dict[Amounts, float]:
        """Return the lowest value of each reduced formula: for ``e_form`` its most stable polymorph.

        A value far below at least three others that agree is a mistake of the source (Sb2Te3 has one at -1.14 and
        four between -0.13 and 0.00 eV/atom) and is passed over.
        """
        found: dict[Amounts, list[float]] = {}
        for amounts, value in zip(self.amounts, self.values.tolist(), strict=True):
            found.setdefault(amounts, []).append(value)
        return {amounts: _credible_lowest(values) for amounts, values in found.items()}

    def outcomes(self) -> Iterator[Outcome]:
        """Yield one Outcome per row, with a composition candidate."""
        for number, (formula, value) in enumerate(zip(self.formulas, self.values.tolist(), strict=True), start=1):
            origin = Origin(CARD.name, f"{self.file}:{number}")
            candidate = Candidate(Kind.COMPOSITION, Composition(formula), origin)
            yield Outcome(candidate, {_QUANTITY[self.file]: Value(value, 0.0, METHOD)})


def load_matbench(file: str = "e_form") -> FormulaTable:
    """Read one table.

    Args:
        file: ``e_form`` (formation energy, eV/atom) or ``gap`` (PBE band gap, eV).

    Raises:
        InputError: no such table.
        DataError: absent, damaged, or not laid out as expected.
    """
    path = CARD.path(file)
    formulas, values = [], []
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        header = next(lines, "").strip()
        if header != "formula,target":
            raise DataError(f"data set matbench: {path} expected the header 'formula,target', got {header!r}")
        for number, line in enumerate(lines, start=2):
            formula, _, target = line.strip().partition(",")
            try:
                values.append(float(target))
            except ValueError:
                raise DataError(
                    f"data set matbench: {path} line {number}: expected formula,number, got {line!r}"
                ) from None
            formulas.append(formula)
    return FormulaTable(file, tuple(formulas), np.array(values))


def _credible_lowest(values: list[float]) -> float:
    first, *others = sorted(values)
    far = len(others) >= _ENOUGH_OTHERS and others[0] - first > _FAR_BELOW
    agree = far and others[-1] - others[0] < _AGREE * (others[0] - first)
    return others[0] if agree else first


def _reduced(formula: str) -> Amounts:
    if not _FORMULA.fullmatch(formula):
        raise DataError(f"data set matbench: expected a formula such as Li2O1, got {formula!r}")
    parts = [(element, int(number)) for element, number in _PART.findall(formula)]
    divisor = gcd(*(number for _, number in parts))
    return tuple(sorted((element, number // divisor) for element, number in parts))
