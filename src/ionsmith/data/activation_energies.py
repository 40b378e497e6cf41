"""Measured activation energies of 371 lithium conductors, joined to cell, space group and paper of OBELiX."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from pymatgen.core import Composition

from ionsmith.core.errors import DataError, InputError
from ionsmith.core.quantities import suggestion
from ionsmith.core.records import Bound, Candidate, Outcome, Value
from ionsmith.data.files import DataCard, DataFile, add_card
from ionsmith.data.obelix import REPEAT_SPREAD, load_obelix

QUANTITY = "activation_energy"
PARTS = ("train", "test", "all")
REPEAT_STD = 0.05
"""eV; what two measurements of one composition typically differ by (mean 0.034 from their median in this table)."""

CARD = add_card(
    DataCard(
        name="activation-energies",
        title="Measured activation energies of Li conductors with room-temperature conductivity",
        licence="CC BY 4.0",
        source="https://github.com/NRC-Mila/OBELiX (compiled in doi 10.1039/D2EE03499A)",
        citation="Laskowski, McHaffie, See, Energy Environ. Sci. 16, 1264 (2023), doi 10.1039/D2EE03499A",
        traps=(
            "several rows share a composition; bulk and total values are mixed",
            "how the energy was defined (slope of ln sigma or of ln sigma T) is not stated",
            "every composition also occurs in OBELiX: 82 rows belong to its test split and must not be learnt from",
        ),
        files=MappingProxyType(
            {
                "table": DataFile(
                    "measured_activation_energy/measured_activation_energy.csv",
                    "dc83b8b218f0b5889c8c4a0e4127e944519a0430a061228963df2ee852a670ca",
                )
            }
        ),
    )
)

_COLUMNS = ("composition", "Ea_eV", "sigma_RT_S_cm", "censored")
_DECIMALS = 3  # atomic fractions that agree this well are the same composition

Material = tuple[tuple[str, float], ...]


def load_activation_energies(part: str = "train") -> tuple[Outcome, ...]:
    """Return measured activation energies as outcomes, in the order of the file.

    The candidate is the OBELiX row of the same composition whose conductivity is nearest: composition of the
    conventional cell, with the facts ``cell``, ``doi`` and ``family``; further facts are ``material`` (equal for rows
    of one composition) and ``split`` (of OBELiX). Values: ``activation_energy`` (eV) and the measured
    ``log10_conductivity`` (log10 S/cm; an upper bound where the table says so).

    Args:
        part: ``train``: no composition and no DOI of OBELiX ``test.csv``; ``test``: the other rows; or ``all``.

    Raises:
        InputError: an unknown part.
        DataError: a file is absent, damaged or has an unexpected layout, or a composition is not in OBELiX.
    """
    if part not in PARTS:
        raise InputError(f"activation-energies: unknown part {part!r}{suggestion(part, list(PARTS))}")
    with CARD.path("table").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    joined = read_rows(rows, train=load_obelix("train"), test=load_obelix("test"))
    if part == "all":
        return joined
    return tuple(outcome for outcome in joined if outcome.candidate.source.facts["split"] == part)


def read_rows(
    rows: Sequence[Mapping[str, str]], *, train: Sequence[Outcome], test: Sequence[Outcome]
) -> tuple[Outcome, ...]:
    """Return the outcomes of rows laid out like the published table.

    Args:
        rows: column name to cell text.
        train: OBELiX rows to join with.
        test: OBELiX rows to join with; what shares a composition or a DOI with them counts as ``test``.

    Raises:
        DataError: a missing column, a cell that does not hold what it must, or a composition without partner.
    """
    for name in _COLUMNS:
        if rows and name not in rows[0]:
            raise DataError(f"activation-energies: expected a column {name!r}, got {', '.join(rows[0])}")
    partners: dict[Material, list[Candidate]] = {}
    for outcome in (*train, *test):
        partners.setdefault(material_of(outcome.candidate.composition), []).append(outcome.candidate)
    kept_out = {material_of(outcome.candidate.composition) for outcome in test}
    papers = {str(outcome.candidate.source.facts["doi"]).lower() for outcome in test}
    return tuple(_outcome(number, row, partners, kept_out, papers) for number, row in enumerate(rows, start=1))


def material_of(composition: Composition) -> Material:
    """Return the atomic fractions, rounded: equal for equal compositions however they are written.

    Args:
        composition: any multiple.
    """
    shares = composition.fractional_composition
    return tuple(sorted((str(element), round(float(share), _DECIMALS)) for element, share in shares.items()))


def _outcome(
    number: int,
    row: Mapping[str, str],
    partners: Mapping[Material, Sequence[Candidate]],
    kept_out: set[Material],
    papers: set[str],
) -> Outcome:
    where = f"activation-energies: row {number}"
    try:
        energy, sigma = float(row["Ea_eV"]), math.log10(float(row["sigma_RT_S_cm"]))
        composition = Composition(row["composition"])
    except ValueError as error:
        raise DataError(f"{where}: {error}") from error
    material = material_of(composition)
    same = _near(material, partners)
    if not same:
        raise DataError(f"{where}: expected {row['composition']} among the compositions of OBELiX")
    partner = min(same, key=lambda c: abs(float(c.source.facts["log10_conductivity"]) - sigma))
    out = (
        any(material_of(c.composition) in kept_out for c in same)
        or str(partner.source.facts["doi"]).lower() in papers
    )
    facts = {
        **partner.source.facts,
        "material": row["composition"].replace(" ", ""),
        "split": "test" if out else "train",
        QUANTITY: energy,
    }
    origin = type(partner.source)("activation-energies", f"activation-energies:{number}", MappingProxyType(facts))
    bound = Bound.UPPER if row["censored"].strip() == "True" else Bound.EXACT
    values = {
        QUANTITY: Value(energy, REPEAT_STD, "measured"),
        "log10_conductivity": Value(sigma, REPEAT_SPREAD, "measured", bound=bound),
    }
    return Outcome(Candidate(partner.kind, partner.payload, origin), values)


def _near(material: Material, partners: Mapping[Material, Sequence[Candidate]]) -> Sequence[Candidate]:
    """Return the rows of the same composition; failing that, of the nearest one with the same elements."""
    if material in partners:
        return partners[material]
    elements = [name for name, _ in material]
    close = [
        (sum(abs(a - b) for (_, a), (_, b) in zip(material, other, strict=True)), other)
        for other in partners
        if [name for name, _ in other] == elements
    ]
    distance, nearest = min(close, default=(math.inf, material))
    return partners[nearest] if distance <= _ROUNDED else ()


_ROUNDED = 0.02  # sum of |difference of atomic fractions| that rounding occupancies to two digits can make
