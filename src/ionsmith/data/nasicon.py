"""NASICON and LISICON conductivities of Xu 2020 with their tabulated features: 70 Na compounds, 57 Na and Li ones."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from pymatgen.core import Composition

from ionsmith.core.errors import DataError
from ionsmith.core.records import BoolArray, FloatArray
from ionsmith.data.files import DataCard, DataFile, add_card

GOOD = 1e-6
"""S/cm; at or above a compound is in the good class."""

CARD = add_card(
    DataCard(
        name="nasicon_xu2020",
        title="Conductivity class and value of NASICON and LISICON compounds with some 50 tabulated features",
        licence="not stated",
        source="github EXJUSTICE/LISICON_NASICON_IonicConductivity_Classification",
        citation="Xu et al., J. Phys. Commun. 4, 055015 (2020), doi 10.1088/2399-6528/ab92d8",
        traps=(
            "Slog disagrees with log10(S) in two training rows; it is recomputed here",
            "formulas have typing errors (AL, HF, a missing phosphate count) and additions ( - 0.2Li3PO4)",
            "the same compound occurs with conflicting values: Li1.3Al0.3Ti1.7(PO4)3 with 3.4e-7 and 7e-4 S/cm",
            "the two files have different columns in different order",
        ),
        files=MappingProxyType(
            {
                "train": DataFile(
                    "nasicon_xu2020/TrainingData.csv",
                    "c325a12f7a262725f1f4b765f8621d1c226922a66f8df3cb979c28c2d9cad0fe",
                ),
                "test": DataFile(
                    "nasicon_xu2020/TestData_NaLi.csv",
                    "3c901bfe76866164a014bed433ab70e984c2f2f2fc7bddc564e4868b01c21cdf",
                ),
            }
        ),
    )
)

_NO_FEATURES = frozenset({"", "Formula", "S", "Slog", "Sclass", "Ea", "Paper"})
_CORRECTED: Mapping[str, str] = MappingProxyType({"Na2Mg0.5Zr1.5(PO4)": "Na2Mg0.5Zr1.5(PO4)3"})
_ADDITION = re.compile(r"\s*[-\u2013]\s*0\.2Li3[PB]O[34]$")


@dataclass(frozen=True)
class NasiconTable:
    """One of the two files.

    Attributes:
        formulas: as corrected; n of them.
        compositions: of the formulas, additions left out.
        conductivity: S/cm, shape (n,).
        stated: the file's own class, shape (n,).
        names: feature columns of this file, p of them.
        features: shape (n, p).
    """

    formulas: tuple[str, ...]
    compositions: tuple[Composition, ...]
    conductivity: FloatArray
    stated: BoolArray
    names: tuple[str, ...]
    features: FloatArray

    @property
    def good(self) -> BoolArray:
        """Whether the conductivity is at least ``GOOD``, shape (n,)."""
        return np.asarray(self.conductivity >= GOOD)

    @property
    def lithium(self) -> BoolArray:
        """Whether a compound holds lithium, shape (n,)."""
        return np.array(["Li" in composition for composition in self.compositions], dtype=bool)

    def systems(self) -> tuple[str, ...]:
        """Return per row the elements besides sodium and lithium, such as ``Al-O-P-Ti``: one series of doping."""
        return tuple(
            "-".join(sorted(e.symbol for e in composition.elements if e.symbol not in ("Na", "Li")))
            for composition in self.compositions
        )

    def columns(self, names: tuple[str, ...]) -> FloatArray:
        """Return features by name, shape (n, len(names)); an element's count that the file lacks is zero.

        Args:
            names: columns; other than element counts they must be there.

        Raises:
            DataError: a column that this file lacks.
        """
        found = []
        for name in names:
            if name in self.names:
                found.append(self.features[:, self.names.index(name)])
            elif re.fullmatch("[A-Z][a-z]?", name):
                found.append(np.zeros(len(self.formulas)))
            else:
                raise DataError(f"data set nasicon_xu2020: expected a column {name}, got {', '.join(self.names)}")
        return np.column_stack(found)


def load_nasicon(file: str = "train") -> NasiconTable:
    """Read one file.

    Args:
        file: ``train`` (70 Na compounds) or ``test`` (19 Na and 38 Li compounds).

    Raises:
        InputError: no such file.
        DataError: absent, damaged, or not laid out as expected.
    """
    path = CARD.path(file)
    with path.open(encoding="utf-8-sig", newline="") as lines:
        rows = list(csv.DictReader(lines))
    names = tuple(name for name in rows[0] if name not in _NO_FEATURES)
    try:
        features = np.array([[float(row[name] or 0.0) for name in names] for row in rows])
        conductivity = np.array([float(row["S"]) for row in rows])
        stated = np.array([row["Sclass"].strip() == "1" for row in rows], dtype=bool)
        formulas = tuple(_formula(row["Formula"]) for row in rows)
        compositions = tuple(Composition(formula) for formula in formulas)
    except (KeyError, ValueError) as error:
        raise DataError(f"data set nasicon_xu2020: {path}: {type(error).__name__} {error}") from error
    if not all(math.isfinite(x) and x > 0.0 for x in conductivity):
        raise DataError(f"data set nasicon_xu2020: {path}: expected conductivities above zero")
    return NasiconTable(formulas, compositions, conductivity, stated, names, features)


def _formula(written: str) -> str:
    text = _ADDITION.sub("", written.strip()).replace("AL", "Al").replace("HF", "Hf").replace(" ", "")
    return _CORRECTED.get(text, text)
