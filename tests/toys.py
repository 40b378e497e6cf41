"""Toy methods with known answers for the campaign's tests."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ionsmith.core.records import Kind, Outcome, Prediction, Status, Value
from ionsmith.testing import antifluorite, disordered_chloride, formula, rock_salt, without_lithium

BOTH = frozenset({Kind.CRYSTAL, Kind.COMPOSITION})
CRYSTAL = frozenset({Kind.CRYSTAL})


def lithium_fraction(candidate):
    return candidate.composition.get_atomic_fraction("Li")


@dataclass(frozen=True)
class FractionModel:
    """Conductivity falls with lithium fraction: log10 sigma = -2 - 4 x(Li)."""

    name: str = "fraction"
    quantity: str = "log10_conductivity"
    kinds: frozenset = BOTH
    fingerprint: str = "fraction-1"
    breaks_on: str = ""

    def fit(self, outcomes, rng):
        return self

    def predict(self, candidates):
        if any(c.formula == self.breaks_on for c in candidates):
            raise ValueError("no such luck\nsecond line")
        mean = np.array([-2.0 - 4.0 * lithium_fraction(c) for c in candidates])
        return Prediction(mean, np.full(len(mean), 0.5), np.ones(len(mean), dtype=bool))


@dataclass(frozen=True)
class CountingSimulator:
    """Energy above hull equals a tenth of the lithium fraction; each run adds a line to a file."""

    log: str
    name: str = "count"
    kinds: frozenset = CRYSTAL
    provides: tuple = ("energy_above_hull",)
    cost: float = 1.0
    fingerprint: str = "count-1"
    breaks_on: str = ""
    refuses: str = ""
    kills_on: str = ""

    def run(self, candidate):
        with Path(self.log).open("a") as file:
            file.write(f"{self.name} {candidate.key}\n")
        if candidate.formula == self.kills_on:
            os._exit(1)
        if candidate.formula == self.breaks_on:
            raise RuntimeError("the physics package fell over")
        if candidate.formula == self.refuses:
            return Outcome(candidate, status=Status.REJECTED, note="falls apart")
        value = Value(0.1 * lithium_fraction(candidate), 0.01, self.name)
        return Outcome(candidate, {"energy_above_hull": value}, cost_s=0.1, details={"steps": np.int64(3)})

    def runs(self):
        try:
            with Path(self.log).open() as file:
                return [line.split()[1] for line in file]
        except FileNotFoundError:
            return []


def toy_readings():
    """Seven inputs: four good crystals (two of them equal), a formula, one without lithium, one unreadable."""
    from ionsmith.core.records import Origin, unreadable

    good = [rock_salt(), antifluorite(), disordered_chloride(), rock_salt()]
    others = [formula("Li3N"), without_lithium()]
    broken = unreadable("junk", source=Origin("file", "junk.cif"), note="junk.cif: expected a CIF, got nothing")
    return [*(Outcome(c) for c in good), broken, *(Outcome(c) for c in others)]
