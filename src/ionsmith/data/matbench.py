"""Computed properties by formula: matbench energies and gaps, CrabNet's tables of hull, moduli and OQMD gaps."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import gcd
from pathlib import Path

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

_PARTS = ("train", "val", "test")
_CHECKSUMS = {
    "bulk_modulus": (
        "fd387850bc958ebaf659e4f5ede8e9772b5d1587942d27cd1981a55f8ddd57aa",
        "678bfa6f2056db15e995d12cf719981ebd8719e03bd0eae23aa2b0992bb51018",
        "8f8503516182d5e056a99bfab254b115965f7a277efee38a3dd469a87392a539",
    ),
    "shear_modulus": (
        "7aeb6bafabef47c00680bb50a53221489cd796c540c460d8d183f582a9696dd4",
        "f9a4e0a65e0c8c407d331363df214850f5f2bb36baca84e3696e6a3888a11db1",
        "d77eae3ac03477af075f3f8975a9101e778ce4c84829834d25d34de8e10c2d87",
    ),
    "e_hull": (
        "a35eec8ea482dde4a0aa5e6fe58458850e07aed1fa784c88f15c3431dc8a289b",
        "a07a34b41d0b3b378591158adf94236e55c9e9dbea9089a842b568b24769b3ca",
        "8e2ab7b68e34b5902cd00b2ce70359f80032ef7b2d06a911682e5fe02c6c8417",
    ),
}

PARTED_CARD = add_card(
    DataCard(
        name="mp-by-formula",
        title="Materials Project bulk and shear modulus and energy above hull by formula (tables of CrabNet)",
        licence="CC BY 4.0",
        source="github anthony-wang/CrabNet (tables MIT), Materials Project data CC BY 4.0",
        citation="Wang et al., npj Comput. Mater. 7, 77 (2021), doi 10.1038/s41524-021-00545-1",
        traps=(
            "one row per formula; which polymorph it stands for is not stated",
            "bulk moduli reach 861 GPa; seven shear moduli are zero",
            "a random sample of the rows of e_hull was taken out; it reaches 5.9 eV/atom",
        ),
        files={
            f"{name}_{part}": DataFile(f"composition_tables/mp_{name}_{part}.csv.gz", checksum)
            for name, checksums in _CHECKSUMS.items()
            for part, checksum in zip(_PARTS, checksums, strict=True)
        },
    )
)

OQMD_CARD = add_card(
    DataCard(
        name="oqmd",
        title="Band gaps of the Open Quantum Materials Database by formula (tables of CrabNet)",
        licence="CC BY 4.0",
        source="github anthony-wang/CrabNet (tables MIT), OQMD data CC BY 4.0",
        citation="Kirklin et al., npj Comput. Mater. 1, 15010 (2015), doi 10.1038/npjcompumats.2015.10",
        traps=(
            "nineteen in twenty are metals, many of them hypothetical",
            "where the Materials Project has the formula too, the gaps differ by 0.19 eV on average",
            "a random sample of the rows was taken out",
        ),
        files={
            f"oqmd_gap_{part}": DataFile(f"composition_tables/OQMD_Bandgap_{part}.csv.gz", checksum)
            for part, checksum in zip(
                _PARTS,
                (
                    "d07f3743bcac4ad7d1f5ee0ee7207894c6e138c0daab5b655be2c0a5f82a7584",
                    "870e6953ab71b98e59d880a9c83c1883579b92f6056e32abb3cda7d3d85c0c92",
                    "302739f150059ad7ab6c343e55ee5bcfe1a06080fb3424136587a87b56c5e69d",
                ),
                strict=True,
            )
        },
    )
)

_QUANTITY = {
    "oqmd_gap": "band_gap",
    **{"e_form": "formation_energy", "gap": "band_gap", "e_hull": "energy_above_hull"},
    **{"bulk_modulus": "bulk_modulus", "shear_modulus": "shear_modulus"},
}
_ENOUGH_OTHERS = 3
_FAR_BELOW = 0.5  # eV/atom (or eV)
_AGREE = 1.0 / 3.0  # of the gap below them
_TOKEN = re.compile(r"(?P<element>[A-Z][a-z]?)(?P<number>\d*)|(?P<open>\()|\)(?P<times>\d*)")


@dataclass(frozen=True)
class FormulaTable:
    """One property of many formulas, polymorphs included.

    Attributes:
        file: short name of the table.
        formulas: as written, not reduced; n of them.
        values: shape (n,), eV/atom for ``e_form`` and ``e_hull``, eV for ``gap``, GPa for the moduli.
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
        return {amounts: _credible_lowest(values) for amounts, values in self.grouped().items()}

    def grouped(self) -> dict[Amounts, list[float]]:
        """Return all values of each reduced formula, in the order of the file."""
        found: dict[Amounts, list[float]] = {}
        for amounts, value in zip(self.amounts, self.values.tolist(), strict=True):
            found.setdefault(amounts, []).append(value)
        return found

    def outcomes(self) -> Iterator[Outcome]:
        """Yield one Outcome per row, with a composition candidate."""
        name = CARD.name if self.file in CARD.files else _parted(self.file).name
        for number, (formula, value) in enumerate(zip(self.formulas, self.values.tolist(), strict=True), start=1):
            origin = Origin(name, f"{self.file}:{number}")
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
    formulas, values = _read(CARD.path(file))
    return FormulaTable(file, tuple(formulas), np.array(values))


def load_formula_table(name: str, parts: Sequence[str] = _PARTS) -> FormulaTable:
    """Read the published parts of a table of moduli, hull energies or OQMD gaps, one after another.

    Args:
        name: ``bulk_modulus``, ``shear_modulus`` (GPa), ``e_hull`` (eV/atom) or ``oqmd_gap`` (PBE gap of OQMD, eV).
        parts: of ``train``, ``val`` and ``test``.

    Raises:
        InputError: no such table or part.
        DataError: absent, damaged, or not laid out as expected.
    """
    formulas: list[str] = []
    values: list[float] = []
    for part in parts:
        more_formulas, more_values = _read(_parted(name).path(f"{name}_{part}"))
        formulas += more_formulas
        values += more_values
    return FormulaTable(name, tuple(formulas), np.array(values))


def _parted(name: str) -> DataCard:
    return OQMD_CARD if name == "oqmd_gap" else PARTED_CARD


def _read(path: Path) -> tuple[list[str], list[float]]:
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
    return formulas, values


def _credible_lowest(values: list[float]) -> float:
    first, *others = sorted(values)
    far = len(others) >= _ENOUGH_OTHERS and others[0] - first > _FAR_BELOW
    agree = far and others[-1] - others[0] < _AGREE * (others[0] - first)
    return others[0] if agree else first


def _reduced(formula: str) -> Amounts:
    """Return the element numbers of a formula of whole numbers, parentheses allowed, divided by their divisor."""
    levels: list[dict[str, int]] = [{}]
    end = 0
    for token in _TOKEN.finditer(formula):
        if token.start() != end:
            break
        if token["open"]:
            levels.append({})
        elif token["element"]:
            _add(levels[-1], token["element"], int(token["number"] or 1))
        elif len(levels) > 1:
            for element, number in levels.pop().items():
                _add(levels[-1], element, number * int(token["times"] or 1))
        else:
            break  # a bracket that nothing opened
        end = token.end()
    amounts = levels[0]
    if end != len(formula) or len(levels) > 1 or not amounts or min(amounts.values()) < 1:
        raise DataError(f"data set matbench: expected a formula such as Li2O1, got {formula!r}")
    divisor = gcd(*amounts.values())
    return tuple(sorted((element, number // divisor) for element, number in amounts.items()))


def _add(amounts: dict[str, int], element: str, number: int) -> None:
    amounts[element] = amounts.get(element, 0) + number
