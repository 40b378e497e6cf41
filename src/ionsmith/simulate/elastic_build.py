"""Fits the correction of moduli on DFT moduli by formula, and keeps lithium compounds out to judge it on."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pymatgen.core import Composition, Structure

from ionsmith.artifacts.cards import save_artifact
from ionsmith.core.errors import DataError, PhysicsError
from ionsmith.core.records import Candidate, FloatArray
from ionsmith.data import materials_project
from ionsmith.simulate.elastic import moduli, strain_crystal
from ionsmith.simulate.elastic_correction import CORRECTION, QUANTITIES, estimate_features, fit_ridge
from ionsmith.simulate.ordered import ordered_crystal
from ionsmith.simulate.potentials import DEFAULT

COMMAND = "python benchmarks/elastic.py --fit"
FILES = ("mp_20_biternary", "mpts_52", "li_binaries")
NEAR_HULL = 0.1
"""Crystals further above the hull are not taken for the one whose modulus is listed, eV/atom."""

FOLDS = 5
_UNLICENSED = "li_binaries:"
_RIDGE, _UPDATE_RIDGE = 0.1, 0.5


@dataclass(frozen=True)
class Known:
    """A formula with DFT moduli and a crystal.

    Attributes:
        formula: reduced.
        crystal: of the lowest energy in the structure files.
        above_hull: of that crystal, eV/atom.
        target: DFT bulk and shear modulus, GPa; shape (2,).
    """

    formula: str
    crystal: Candidate
    above_hull: float
    target: FloatArray

    @property
    def structure(self) -> Structure:
        """The crystal structure."""
        return self.crystal.structure

    @property
    def licensed(self) -> bool:
        """Whether the crystal's file states a licence, so that what ships may be fitted on it."""
        return not self.crystal.source.locator.startswith(_UNLICENSED)


@dataclass(frozen=True)
class Computed:
    """Moduli of the potential for one formula.

    Attributes:
        formula: reduced.
        volume: of the relaxed crystal per atom, cubic angstrom; NaN without an answer.
        moduli: bulk and shear modulus, GPa; NaN without an answer; shape (2,).
        reason: why there is no answer.
    """

    formula: str
    volume: float
    moduli: FloatArray
    reason: str = ""


def shown(formula: str) -> bool:
    """Return whether a lithium compound is kept out of every fit; half of them are.

    Args:
        formula: reduced.
    """
    digest = hashlib.sha256(f"elastic:{formula}".encode()).hexdigest()
    return "Li" in Composition(formula) and int(digest, 16) % 2 == 0


def load_known(folder: Path) -> list[Known]:
    """Return all formulas that have both DFT moduli and a crystal near the hull.

    Args:
        folder: of the data sets; ``composition_tables`` is read there.

    Raises:
        DataError: a file is absent or damaged.
    """
    tables = [_moduli(folder, name.split("_")[0]) for name in QUANTITIES]
    best: dict[str, Known] = {}
    for file in FILES:
        for each in materials_project.load_materials_project(file):
            formula, above = each.candidate.composition.reduced_formula, each.values["energy_above_hull"].mean
            if not all(formula in table for table in tables) or above > NEAR_HULL:
                continue
            if formula not in best or above < best[formula].above_hull:
                target = np.array([table[formula] for table in tables])
                best[formula] = Known(formula, each.candidate, above, target)
    return [best[formula] for formula in sorted(best) if best[formula].target.min() > 1.0]


def compute(known: Known, *, potential: str = DEFAULT) -> Computed:
    """Return the potential's moduli of one compound.

    Args:
        known: the compound.
        potential: name.
    """
    nothing = np.full(2, np.nan)
    try:
        _, plain = ordered_crystal(known.crystal)
        found = strain_crystal(plain, potential)
    except PhysicsError as reason:
        return Computed(known.formula, float("nan"), nothing, " ".join(str(reason).split()))
    volume = float(found.structure.volume) / len(found.structure)
    try:
        made = moduli(found.tensor)
    except PhysicsError as reason:
        return Computed(known.formula, volume, nothing, str(reason))
    return Computed(known.formula, volume, np.array([made.bulk, made.shear]))


def read_computed(path: Path) -> dict[str, Computed]:
    """Read cached moduli; an absent file holds none.

    Args:
        path: JSON lines.

    Raises:
        DataError: a damaged line.
    """
    found: dict[str, Computed] = {}
    if not path.exists():
        return found
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            row = json.loads(line)
            answer = [float("nan") if x is None else float(x) for x in (row["volume"], *row["moduli"])]
            found[row["formula"]] = Computed(row["formula"], answer[0], np.array(answer[1:]), row["reason"])
        except (KeyError, ValueError) as error:
            raise DataError(f"{path} line {number}: expected cached moduli, got {error}") from error
    return found


def write_computed(path: Path, row: Computed) -> None:
    """Append one row to the cache.

    Args:
        path: JSON lines.
        row: the moduli.
    """
    numbers = [None if np.isnan(x) else float(x) for x in (row.volume, *row.moduli)]
    text = json.dumps(
        {"formula": row.formula, "volume": numbers[0], "moduli": numbers[1:], "reason": row.reason}, allow_nan=False
    )
    with path.open("a", encoding="utf-8") as file:
        file.write(text + "\n")


def fit_correction(
    known: Sequence[Known], computed: Mapping[str, Computed], *, potential: str = DEFAULT, folder: Path | None = None
) -> Path:
    """Fit estimate and update on compounds that are not shown, and write the artifact.

    The update is fitted on estimates of compounds that took no part in them (five folds), as it will meet them.

    Args:
        known: compounds with DFT moduli.
        computed: moduli of the potential by formula.
        potential: its name.
        folder: parent folder of the artifact; the package's own if None.

    Raises:
        InputError: nothing to fit on.
    """
    fitted = [each for each in known if not shown(each.formula) and each.licensed]
    elements = sorted({symbol.symbol for each in fitted for symbol in each.structure.composition})
    rows = np.array([_row(each, elements) for each in fitted])
    targets = np.log([each.target for each in fitted])
    answered = [n for n, each in enumerate(fitted) if _answers(computed.get(each.formula))]
    apart = _out_of_fold(rows, targets, fitted, answered)
    own = np.array([np.log(computed[fitted[n].formula].moduli) for n in answered])
    features = np.column_stack([np.ones(len(answered)), own - apart])
    left = targets[answered] - apart
    update = fit_ridge(features, left, ridge=_UPDATE_RIDGE).T
    spread = np.sqrt(np.mean((left - features @ update.T) ** 2, axis=0))
    arrays = {
        "estimate": fit_ridge(rows, targets, ridge=_RIDGE).T.astype(np.float32),
        "update": update.astype(np.float32),
        "rows": (rows[:, 2 : 2 + len(elements)] > 0.0).sum(axis=0).astype(np.int32),
    }
    settings = {
        "elements": elements,
        "potential": potential,
        "spread": dict(zip(QUANTITIES, spread.tolist(), strict=True)),
        "fitted": len(fitted),
        "fitted_with_potential": len(answered),
    }
    return save_artifact(CORRECTION, arrays, card={**_CARD, "settings": settings, "metrics": {}}, folder=folder)


def _out_of_fold(rows: FloatArray, targets: FloatArray, fitted: Sequence[Known], places: Sequence[int]) -> FloatArray:
    """Estimates of some compounds by fits without them, shape (n, 2)."""
    folds = np.array(
        [int(hashlib.sha256(f"fold:{each.formula}".encode()).hexdigest(), 16) % FOLDS for each in fitted]
    )
    chosen = np.zeros(len(fitted), dtype=bool)
    chosen[list(places)] = True
    found = np.zeros_like(targets)
    for fold in range(FOLDS):
        out = chosen & (folds == fold)
        if out.any():
            found[out] = rows[out] @ fit_ridge(rows[~out], targets[~out], ridge=_RIDGE)
    return np.asarray(found[list(places)])


def _row(known: Known, elements: Sequence[str]) -> FloatArray:
    return estimate_features(known.structure.composition, known.structure.volume / len(known.structure), elements)


def _answers(computed: Computed | None) -> bool:
    return computed is not None and not computed.reason


def _moduli(folder: Path, which: str) -> dict[str, float]:
    found = {}
    for part in ("train", "val", "test"):
        path = folder / "composition_tables" / f"mp_{which}_modulus_{part}.csv.gz"
        try:
            with gzip.open(path, "rt", encoding="utf-8", newline="") as lines:
                for row in csv.DictReader(lines):
                    found[Composition(row["formula"]).reduced_formula] = float(row["target"])
        except (OSError, KeyError, ValueError) as error:
            raise DataError(f"{path}: expected columns formula and target, got {error}") from error
    return found


_CARD: Mapping[str, Any] = {
    "title": "Correction of CHGNet's bulk and shear moduli",
    "data": [
        {
            "name": "composition_tables: mp_bulk_modulus, mp_shear_modulus",
            "licence": "MIT (repository); Materials Project CC BY 4.0",
            "source": "github anthony-wang/CrabNet; doi 10.1038/s41524-021-00545-1",
        },
        {
            "name": materials_project.CARD.name,
            "licence": "CC BY 4.0 (mpts_52 and mp_20_biternary; li_binaries is used for judging alone)",
            "source": f"{materials_project.CARD.source}; {materials_project.CARD.citation}",
        },
    ],
    "split": "Half of the lithium formulas (elastic_build.shown) take part in no fit; the benchmark shows those.",
    "command": COMMAND,
}
