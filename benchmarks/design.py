"""Inverse design beside its baselines: the same Spec, ladder and budget for every generator, several seeds.

Run: python benchmarks/design.py OUT [--generators wyckoff,prior,substitution,genetic,bayesian] [--seeds 5]
     [--budget 1500] [--workers 2] [--page FILE]

OUT keeps one run folder per generator and seed and goes on where it was stopped. Every proposal counts in the
denominator: sentences that are no crystal, repeats, and what a stage refused. "Hits" meet every target of the Spec by
best estimates after relaxation; "new" ones are in none of the tables that mark rediscoveries; of these some balance
with usual charges of their elements (``io/charges.py``) that their bonds bear out (``io/bond_valence.py``), and some
lie in the domain of every model.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
from pymatgen.core import Structure

from ionsmith import recipes
from ionsmith.core.records import Kind
from ionsmith.report.words import charges_hold
from ionsmith.simulate.synthesis import charge_details

NAMES = "wyckoff,prior,substitution,genetic,bayesian"


def one(folder: Path, name: str, seed: int, budget: int, workers: int) -> dict[str, object]:
    """Figures of one run, from its folder where it is finished."""
    kept = folder / f"{name}-{seed}.json"
    if kept.exists():
        return dict(json.loads(kept.read_text()))
    spec = recipes.design_spec(None, budget)
    spec = replace(spec, budget=replace(spec.budget, simulations=budget))
    options = recipes.RunOptions(out=folder / f"{name}-{seed}", seed=seed, workers=workers, resume=True)
    start = time.monotonic()
    result = recipes.design(spec, options, generator=name)
    rows = sorted(result.rows, key=lambda row: row.position)
    hits = [row for row in rows if row.feasible]
    new = [row for row in hits if row.rediscovery is None]
    inside = [row for row in new if all(v.in_domain is not False for v in row.outcome.values.values())]
    crystals = [row for row in rows if row.outcome.candidate.kind is Kind.CRYSTAL]
    third = len(rows) // 3
    figures: dict[str, object] = {
        "generator": name,
        "seed": seed,
        "proposals": len(rows),
        "hits": len(hits),
        "new": len(new),
        "in_domain": len(inside),
        "last_third": sum(bool(row.feasible) for row in rows[-third:]) / third,
        "passed": sum(row.outcome.status == "ok" for row in rows),
        "unique": len({row.read_as for row in crystals}) / max(1, len(crystals)),
        "systems": len({row.outcome.candidate.composition.chemical_system for row in hits}),
        "score": float(np.mean([row.score or 0.0 for row in rows])),
        "seconds": time.monotonic() - start,
        "best": [row.outcome.candidate.formula for row in new[:12]],
    }
    found = [row.outcome.candidate.structure.as_dict() for row in new]
    (folder / f"{name}-{seed}.hits.json").write_text(json.dumps(found))
    kept.write_text(json.dumps(figures, indent=1))
    return figures


def holding(folder: Path, name: str, seed: int) -> int:
    """How many of the new hits balance with charges that their elements usually have and their bonds bear out."""
    found = json.loads((folder / f"{name}-{seed}.hits.json").read_text())
    crystals = [Structure.from_dict(each) for each in found]
    charges = [charge_details(crystal.composition, crystal) for crystal in crystals]
    return sum(map(charges_hold, charges))


def table(found: list[dict]) -> list[str]:
    names = "generator | seeds | proposals | hits | share | last third | new | charges hold | in domain"
    names += " | pass the ladder | formulas unique | systems among hits | mean score | s"
    lines = [f"| {names} |", "| --- " * 14 + "|"]
    for name in dict.fromkeys(row["generator"] for row in found):
        rows = [row for row in found if row["generator"] == name]

        def over(key: str, rows: list[dict] = rows) -> str:
            values = np.array([row[key] for row in rows], dtype=float)
            digits = 0 if values.max() > 2 else 3
            text = f"{values.mean():.{digits}f}"
            return text if len(values) == 1 else f"{text} ({values.min():.{digits}f} to {values.max():.{digits}f})"

        for row in rows:
            row["share"] = row["hits"] / row["proposals"]
        keys = (
            "proposals",
            "hits",
            "share",
            "last_third",
            "new",
            "charges_hold",
            "in_domain",
            "passed",
            "unique",
            "systems",
            "score",
        )
        cells = [name, str(len(rows)), *map(over, (*keys, "seconds"))]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--generators", default=NAMES)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--budget", type=int, default=1500)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--page", type=Path)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    options.out.mkdir(parents=True, exist_ok=True)
    found = []
    for seed in range(options.seeds):
        for name in options.generators.split(","):
            figures = one(options.out, name, seed, options.budget, options.workers)
            found.append({**figures, "charges_hold": holding(options.out, name, seed)})
            print(json.dumps(found[-1]), flush=True)
    lines = table(found)
    print("\n".join(lines))
    if options.page:
        head = ["# Inverse design beside its baselines", "", f"{date.today():%Y-%m-%d}", ""]
        options.page.write_text("\n".join([*head, *lines, ""]))


if __name__ == "__main__":
    main()
