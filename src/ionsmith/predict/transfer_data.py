"""What the shipped transfer models learn from, and a folder that keeps CHGNet's views so that they are made once."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ionsmith.core.errors import IonsmithError
from ionsmith.core.records import Candidate, Outcome, Value
from ionsmith.data.matbench import Amounts, load_formula_table
from ionsmith.data.materials_project import METHOD, held_out, load_materials_project
from ionsmith.predict.transfer_views import VIEWS, ViewMemory
from ionsmith.represent.chgnet import CrystalView

SHARES = {"mp_20_biternary": 0.10, "mpts_52": 0.15}
"""Share of formulas kept out of every fit, by file; the smaller set lies inside the larger one."""

MODULI = ("bulk_modulus", "shear_modulus")
"""Quantities that are known by formula only."""

_CHUNK = 250
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TransferData:
    """Crystals by file, moduli matched by formula.

    Attributes:
        mp_20: binaries and ternaries.
        mpts_52: up to six elements and 52 atoms; its band gaps are of the release of 2018. Crystals that occur in
            ``mp_20`` too are left out.
        moduli: one crystal per formula of the tables of moduli that either file has.
    """

    mp_20: tuple[Outcome, ...]
    mpts_52: tuple[Outcome, ...]
    moduli: tuple[Outcome, ...]


def load_transfer_data() -> TransferData:
    """Read the files.

    Raises:
        DataError: a file is absent or damaged.
    """
    mp_20 = tuple(load_materials_project("mp_20_biternary"))
    known = {outcome.candidate.source.facts["material_id"] for outcome in mp_20}
    every = load_materials_project("mpts_52")
    mpts_52 = tuple(o for o in every if o.candidate.source.facts["material_id"] not in known)
    tables = {name: load_formula_table(name).lowest() for name in MODULI}
    return TransferData(mp_20, mpts_52, with_moduli((*mp_20, *mpts_52), tables))


def with_moduli(outcomes: Iterable[Outcome], tables: Mapping[str, Mapping[Amounts, float]]) -> tuple[Outcome, ...]:
    """Return one crystal per formula that a table of moduli has, with the moduli as its only values.

    Of several polymorphs the one of lowest energy is taken, because the tables name none.

    Args:
        outcomes: crystals with a ``formation_energy``.
        tables: quantity to reduced element numbers to value, GPa.
    """
    best: dict[Amounts, Outcome] = {}
    for outcome in outcomes:
        amounts = _amounts(outcome.candidate)
        if any(amounts in table for table in tables.values()):
            held = best.setdefault(amounts, outcome)
            if outcome.values["formation_energy"].mean < held.values["formation_energy"].mean:
                best[amounts] = outcome
    return tuple(
        replace(outcome, values={name: Value(t[amounts], 0.0, METHOD) for name, t in tables.items() if amounts in t})
        for amounts, outcome in best.items()
    )


def _amounts(candidate: Candidate) -> Amounts:
    reduced = candidate.composition.reduced_composition
    return tuple(sorted((str(element.symbol), round(float(number))) for element, number in reduced.items()))


def kept_out(outcome: Outcome, share: float = 0.15) -> bool:
    """Return whether a crystal's formula is kept out of every fit.

    Args:
        outcome: the crystal.
        share: of formulas, see ``SHARES``.
    """
    return held_out(outcome.candidate.formula, share=share)


def remember_views(
    outcomes: Sequence[Outcome], folder: Path | None, *, memory: ViewMemory = VIEWS, compute: bool = True
) -> int:
    """Fill the memory of views from a folder, compute what it lacks, and return how many crystals have a view.

    Interrupted work continues where it stopped: the folder grows by a file per 250 crystals.

    Args:
        outcomes: crystals.
        folder: of ``.npz`` files; None computes everything and keeps nothing.
        memory: to fill; it is allowed to hold all of them.
        compute: look at crystals that the folder lacks.
    """
    wanted = {outcome.candidate.key: outcome.candidate for outcome in outcomes}
    memory.most_atoms = 10**9
    held: set[str] = set()
    for path in sorted(folder.glob("*.npz")) if folder and folder.exists() else []:
        views = {key: view for key, view in _read(path) if key in wanted}
        memory.remember(views)
        held |= views.keys()
    missing = [key for key in wanted if key not in held]
    for start in range(0, len(missing) if compute else 0, _CHUNK):
        some = missing[start : start + _CHUNK]
        held |= _compute({key: wanted[key] for key in some}, folder, memory)
        _log.info("%d of %d crystals have been looked at", len(held), len(wanted))
    return len(held)


def _compute(some: dict[str, Candidate], folder: Path | None, memory: ViewMemory) -> set[str]:
    views = dict(zip(some, memory(list(some.values())), strict=True))
    sound = {key: view for key, view in views.items() if not isinstance(view, IonsmithError)}
    if folder is not None and sound:
        folder.mkdir(parents=True, exist_ok=True)
        name = hashlib.sha256("".join(sound).encode()).hexdigest()[:12]
        write_views(folder / f"{name}.npz", sound)
    return set(sound)


def write_views(path: Path, views: dict[str, CrystalView]) -> None:
    """Write views, features in half precision.

    Args:
        path: of the ``.npz`` file.
        views: candidate key to view; at least one.
    """
    seen = list(views.values())
    half = path.with_suffix(".part.npz")
    np.savez(
        half,
        keys=np.array(list(views)),
        sizes=np.array([len(view) for view in seen]),
        numbers=np.concatenate([view.numbers for view in seen]),
        atoms=np.concatenate([view.atoms for view in seen]).astype(np.float16),
        magmoms=np.concatenate([view.magmoms for view in seen]),
        site_energies=np.concatenate([view.site_energies for view in seen]),
        energy=np.array([view.energy for view in seen]),
        volume=np.array([view.volume for view in seen]),
    )
    half.replace(path)


def _read(path: Path) -> Iterator[tuple[str, CrystalView]]:
    if path.name.endswith(".part.npz"):
        return
    with np.load(path) as stored:
        whole = {name: stored[name] for name in stored.files}
    ends = np.cumsum(whole["sizes"])
    for row, key in enumerate(whole["keys"].tolist()):
        own = slice(int(ends[row] - whole["sizes"][row]), int(ends[row]))
        yield (
            key,
            CrystalView(
                whole["numbers"][own].astype(np.int64),
                whole["atoms"][own].astype(np.float32),
                whole["magmoms"][own],
                whole["site_energies"][own],
                float(whole["energy"][row]),
                float(whole["volume"][row]),
            ),
        )
