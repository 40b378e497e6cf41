"""Compares elastic moduli with the DFT moduli of lithium compounds that took part in no fit.

    IONSMITH_DATA=<folder of the data sets> python benchmarks/elastic.py [--fit] [--cache FILE] [--page FILE]

Every compound takes a few seconds of one core; ``--cache`` keeps what is computed, ``--fit`` fits the shipped
correction first (on compounds that are not shown), ``--cached`` computes nothing new.
"""

import argparse
import hashlib
import os
from datetime import date
from pathlib import Path

import numpy as np
from pymatgen.core import Composition

from ionsmith.artifacts.cards import load_artifact
from ionsmith.simulate import elastic_build as b
from ionsmith.simulate.elastic_correction import CORRECTION, ModulusCorrection

NAMES = ("bulk", "shear")
ANIONS = {"O", "S", "Se", "F", "Cl", "Br", "I", "N", "P", "H"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fit", action="store_true", help="fit and write the shipped correction")
    parser.add_argument("--count", type=int, default=60, help="lithium compounds to show")
    parser.add_argument("--cache", type=Path, default=Path("elastic_cache.jsonl"), help="JSON lines of moduli")
    parser.add_argument("--cached", action="store_true", help="compute nothing, take what the cache holds")
    parser.add_argument("--page", type=Path, help="write the page of results there")
    arguments = parser.parse_args()
    known = b.load_known(Path(os.environ["IONSMITH_DATA"]))
    computed = b.read_computed(arguments.cache)
    shown = [each for each in chosen(known, lithium=True) if b.shown(each.formula)]
    if arguments.cached:
        shown = [each for each in shown if each.formula in computed]
    shown = shown[: arguments.count]
    others = [] if arguments.cached else fitting(known)[: 2 * arguments.count] if arguments.fit else []
    for each in [*shown, *others]:
        if each.formula not in computed:
            computed[each.formula] = b.compute(each)
            b.write_computed(arguments.cache, computed[each.formula])
    if arguments.fit:
        b.fit_correction(known, computed)
    page = render(shown, computed, ModulusCorrection.load())
    print(page)
    if arguments.page:
        arguments.page.write_text(page, encoding="utf-8")


def chosen(known, *, lithium):
    """Return compounds of small cells on or near the hull, in the order of a hash of their formula."""
    found = [
        each
        for each in known
        if each.above_hull <= 0.03
        and each.target[0] > 5.0
        and each.target[1] > 3.0
        and ("Li" in Composition(each.formula)) is lithium
        and len(each.structure) <= (20 if lithium else 8)
    ]
    return sorted(found, key=lambda each: hashlib.sha256(f"elastic:{each.formula}".encode()).hexdigest())


def fitting(known):
    """Return lithium compounds that are not shown and compounds without lithium that hold an anion, in turn."""
    lithium = [each for each in chosen(known, lithium=True) if not b.shown(each.formula)]
    rest = [each for each in chosen(known, lithium=False) if ANIONS & set(Composition(each.formula).as_dict())]
    return [each for pair in zip(lithium, rest, strict=False) for each in pair]


def render(shown, computed, correction):
    rows, errors = [], {"CHGNet as it is": [], "composition and volume alone": [], "corrected": []}
    refused = []
    for each in shown:
        found = computed[each.formula]
        if found.reason:
            refused.append(f"{each.formula} ({found.reason.rsplit(':', 1)[0]})")
        if np.isnan(found.volume):
            for kind in errors.values():
                kind.append(np.full(2, np.inf))
            continue
        relaxed = each.structure.copy()
        relaxed.scale_lattice(found.volume * len(relaxed))
        estimate = correction.without_potential(relaxed)
        if found.reason:
            answers = (np.full(2, np.inf), estimate, estimate)
        else:
            answers = (found.moduli, estimate, correction.corrected(relaxed, *found.moduli))
        for kind, answer in zip(errors.values(), answers, strict=True):
            kind.append(np.abs(np.array(answer) / each.target - 1.0))
        cells = [x for q in (0, 1) for x in (each.target[q], *(answer[q] for answer in answers))]
        rows.append(f"| {each.formula} | {len(each.structure)} | " + " | ".join(words(cells)) + " |\n")
    table = "".join(
        f"| {name} | {np.median(e, axis=0)[0]:.1%} | {np.median(e, axis=0)[1]:.1%} | "
        f"{(e[:, 0] < 0.15).mean():.0%} | {(e[:, 1] < 0.25).mean():.0%} |\n"
        for name, e in ((name, np.array(values)) for name, values in errors.items())
    )
    settings = dict(load_artifact(CORRECTION).card["settings"])
    return HEAD.format(
        date=date.today().isoformat(),
        shown=len(shown),
        refused=len(refused),
        names="; ".join(refused) or "none",
        table=table,
        fitted=settings["fitted"],
        own=settings["fitted_with_potential"],
        spread=", ".join(f"{value:.2f}" for value in settings["spread"].values()),
    ) + "".join(rows)


def words(cells):
    return ["-" if np.isinf(x) else f"{x:.1f}" for x in cells]


HEAD = """# Elastic moduli

Measured on {date} with

    IONSMITH_DATA=<folder of the data sets> \\
        python benchmarks/elastic.py --fit --count 96 --page docs/benchmarks/elastic.md

Truth: `composition_tables/mp_bulk_modulus*` and `mp_shear_modulus*` (Materials Project, DFT), matched by reduced
formula to the crystal of the lowest energy in the structure files (at most 0.03 eV/atom above the hull, at most 20
atoms; bulk modulus above 5 GPa and shear modulus above 3 GPa). Shown: {shown}
lithium compounds, the first ones in the order of a hash of their formula among the half of all lithium formulas that
takes part in no fit. The table does not say which polymorph its modulus belongs to; a wrong match counts as an error.

| | bulk, median relative error | shear, median relative error | bulk within 15 % | shear within 25 % |
| --- | --- | --- | --- | --- |
{table}
CHGNet gives no moduli for {refused} of them, mostly because it finds them mechanically unstable; they stay in all
figures, as infinitely wrong in the first row. The simulator then takes the estimate from composition and volume, and
says so; a crystal that falls apart in the relaxation is rejected and infinitely wrong in every row. They are:
{names}.

What this says:

- CHGNet's own moduli are too low (its energy surface is too soft near and beyond the equilibrium volume) and scatter,
  because stresses change in small jumps when atoms cross its cutoffs. `uncorrected` in the details keeps them.
- The correction is an estimate from composition and volume, fitted on DFT moduli of {fitted} other compounds, updated
  by CHGNet's tensor with weights fitted on {own} other compounds. Standard deviation of ln M where it was fitted,
  out of fold (bulk, shear): {spread}. Most of the accuracy is the estimate's; the second row shows how much.
- CHGNet's verdict of instability is not trusted: the crystals shown are on or near the hull. `reject_unstable=true`
  turns it into a rejection.
- `--set correction=false` gives the plain potential, and another potential is never corrected.

GPa; "as is" is CHGNet, "estimate" composition and volume alone.

| formula | atoms | bulk DFT | as is | estimate | corrected | shear DFT | as is | estimate | corrected |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
"""


if __name__ == "__main__":
    main()
