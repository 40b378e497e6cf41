"""Trains the composition models, measures every figure on formulas kept out of all tables, and prints Markdown.

Use: IONSMITH_DATA=<mirror> python benchmarks/composition.py [--save] [--checkpoint FOLDER] > figures.md
One formula in ten, chosen by seed over all reduced formulas of all tables together, is kept out everywhere.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from pymatgen.core import Composition, Element

from ionsmith.core.records import Candidate, Kind, Origin
from ionsmith.evaluate.metrics import bootstrap_interval, coverage
from ionsmith.predict.composition import (
    CompositionBandGap,
    CompositionBulkModulus,
    CompositionEnergyAboveHull,
    CompositionFormationEnergy,
    CompositionShearModulus,
    SharedCore,
    hull_of,
)
from ionsmith.predict.composition_core import ABOVE, ENERGY, CoreSettings, fit_core, learnt
from ionsmith.predict.composition_data import CARDS, TASKS, formula_properties, formula_table
from ionsmith.predict.composition_hull import QuickHull
from ionsmith.predict.composition_memory import Memory, novelty
from ionsmith.predict.composition_network import NetworkSettings
from ionsmith.predict.composition_store import save
from ionsmith.represent.composition import Elements
from ionsmith.represent.formula import FormulaVector

MODELS = (
    CompositionFormationEnergy,
    CompositionEnergyAboveHull,
    CompositionBandGap,
    CompositionBulkModulus,
    CompositionShearModulus,
)
UNITS = {
    ENERGY: "eV/atom",
    ABOVE: "eV/atom",
    "band_gap": "eV",
    "bulk_modulus": "log10 GPa",
    "shear_modulus": "log10 GPa",
}
UNSEEN = {
    "thiophosphates (P and S)": ("P", "S"),
    "phosphates (P and O)": ("P", "O"),
    "Li chlorides": ("Li", "Cl"),
    "fluorides": ("F",),
    "nitrides": ("N",),
    "Li sulfides": ("Li", "S"),
    "zirconates (Zr and O)": ("Zr", "O"),
    "iodides": ("I",),
}
FOREST_ROWS = 12_000


def rows_of(found, rows):
    return Elements(found.numbers[rows], found.amounts[rows], found.fractions[rows])


def baselines(found, values, train, test, seed):
    """Return baseline to predictions of the test rows, shape (n, t), in what is learnt."""
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.linear_model import Ridge
    from sklearn.preprocessing import StandardScaler

    features = FormulaVector().of_elements(found).astype(np.float32)
    scaler = StandardScaler().fit(features[train])
    standard = scaler.transform(features)
    memory = Memory.of(rows_of(found, train), values[train])
    near = np.full((len(test), len(TASKS)), np.nan)
    for place, row in enumerate(test[:3000]):
        shares = dict(zip(found.numbers[row].tolist(), found.fractions[row].tolist(), strict=True))
        shares.pop(0, None)
        for task, best in enumerate(memory.nearest(shares, 1)):
            near[place, task] = values[train][best[0][0], task] if best else np.nan
    said = {"mean": np.full_like(near, np.nan), "nearest neighbour": near}
    said |= {
        "ridge": np.full_like(near, np.nan),
        f"random forest, {FOREST_ROWS} rows at most": np.full_like(near, np.nan),
    }
    for task in range(len(TASKS)):
        known = train[np.isfinite(values[train, task])]
        target = values[known, task]
        said["mean"][:, task] = np.median(target)
        said["ridge"][:, task] = Ridge(10.0).fit(standard[known], target).predict(standard[test])
        few = known[:FOREST_ROWS]
        forest = RandomForestRegressor(60, max_features=0.33, min_samples_leaf=2, random_state=seed)
        forest.fit(features[few], values[few, task])
        said[f"random forest, {FOREST_ROWS} rows at most"][:, task] = forest.predict(features[test])
    return said


def table(said, spreads, flags, truth, rng):
    lines = [
        "| quantity | model | formulas | MAE (90 % interval) | 50 % covers | 90 % covers | in domain |",
        "|" + " --- |" * 7,
    ]
    figures = {}
    for place, task in enumerate(TASKS):
        for label, values in said.items():
            asked = np.isfinite(truth[:, place]) & np.isfinite(values[:, place])
            if not asked.any():
                continue
            error = np.abs(values[asked, place] - truth[asked, place])
            low, high = bootstrap_interval(
                lambda r, e=error: float(e[r].mean()), np.arange(len(error)), rng, level=0.9
            )
            cells = [task, label, str(len(error)), f"{error.mean():.4f} ({low:.4f} to {high:.4f}) {UNITS[task]}"]
            figures.setdefault(task, {})[label] = round(float(error.mean()), 5)
            if label in spreads:
                covers = [
                    coverage(values[asked, place], spreads[label][asked, place], truth[asked, place], level)
                    for level in (0.5, 0.9)
                ]
                cells += [f"{c:.2f}" for c in covers] + [f"{flags[asked, place].mean():.2f}"]
                figures[task] |= {"coverage_50": round(covers[0], 3), "coverage_90": round(covers[1], 3)}
                figures[task]["mae_in_domain"] = round(float(error[flags[asked, place]].mean()), 5)
            else:
                cells += ["", "", ""]
            lines.append(f"| {' | '.join(cells)} |")
    return lines, figures


def learnt_units(answer, task):
    if task not in ("bulk_modulus", "shear_modulus"):
        return answer.mean, answer.std
    return np.log10(answer.mean), answer.std / answer.mean / np.log(10.0)


def unseen_families(core, found, values):
    """How often the flag goes up when all formulas of a family are taken away; only the pair counts change."""
    lines = ["| family taken away | formulas | flagged, by quantity |", "| --- | --- | --- |"]
    symbols = {name: Element(name).Z for names in UNSEEN.values() for name in names}
    for family, names in UNSEEN.items():
        inside = np.all([(found.numbers == symbols[name]).any(axis=1) for name in names], axis=0)
        met = Memory.of(rows_of(found, ~inside), values[~inside]).together()
        strange = novelty(rows_of(found, inside), met, fewest=core.settings.fewest) > core.settings.strange
        shares = ", ".join(f"{task} {share:.2f}" for task, share in zip(TASKS, strange.mean(axis=0), strict=True))
        lines.append(f"| {family} | {inside.sum()} | {shares} |")
    return lines


def speed(core, found, rows):
    shared = SharedCore(replace(core, hull=QuickHull(core.hull.table)))
    candidates = [
        Candidate(
            Kind.COMPOSITION,
            Composition({Element.from_Z(int(z)): float(n) for z, n in zip(numbers, amounts, strict=True) if z}),
            Origin("b"),
        )
        for numbers, amounts in zip(found.numbers[rows], found.amounts[rows], strict=True)
    ]
    models = [model()._become(shared) for model in MODELS]
    for model in models:
        model.predict(candidates[:1])
    started, cpu = time.perf_counter(), time.process_time()
    for start in range(0, len(candidates), 512):
        for model in models:
            model.predict(candidates[start : start + 512])
    wall, cpu = time.perf_counter() - started, time.process_time() - cpu
    lines = [
        f"- all five quantities: {len(candidates) / cpu:.0f} formulas per CPU second, "
        f"{len(candidates) / wall:.0f} per second of wall time on a busy machine"
    ]
    started = time.process_time()
    for candidate in candidates[:500]:
        for model in models:
            model.explain(candidate)
    return [
        *lines,
        f"- nearest known formulas for all five: {500 / (time.process_time() - started):.0f} formulas per CPU second",
    ]


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--save", action="store_true", help="write the weights into the package")
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--members", type=int, default=CoreSettings.members)
    arguments.add_argument("--epochs", type=int, default=NetworkSettings.epochs)
    arguments.add_argument(
        "--share", type=float, default=1.0, help="share of the training formulas, for a learning curve"
    )
    arguments.add_argument("--checkpoint", type=Path, help="folder for unfinished networks")
    arguments.add_argument("--baselines", action="store_true", help="fit the baselines too (minutes)")
    given = arguments.parse_args()
    rng = np.random.default_rng(given.seed)
    found, values = formula_table(formula_properties())
    order = rng.permutation(len(values))
    cut = len(order) // 10
    test, train = order[:cut], order[cut:]
    train = train[: round(given.share * len(train))]
    settings = CoreSettings(members=given.members, network=replace(NetworkSettings(), epochs=given.epochs))
    started = time.process_time()
    core = fit_core(
        rows_of(found, train),
        values[train],
        np.random.default_rng(given.seed),
        tasks=TASKS,
        settings=settings,
        make_hull=hull_of,
        checkpoint=given.checkpoint,
    )
    print(
        f"{len(train)} formulas to train and calibrate, {len(test)} kept out; "
        f"{time.process_time() - started:.0f} CPU s\n"
    )
    truth = np.column_stack([learnt(task, column) for task, column in zip(TASKS, values[test].T, strict=True)])
    asked = rows_of(found, test)
    answers = core.answer(asked)
    mean, std = (np.column_stack(part) for part in zip(*(learnt_units(answers[t], t) for t in TASKS), strict=True))
    flags = np.column_stack([answers[task].in_domain for task in TASKS])
    bare = replace(core, hull=None).answer(asked)[ABOVE]
    direct = np.full_like(mean, np.nan)
    direct[:, TASKS.index(ABOVE)] = bare.mean
    said = {"composition": mean, "network's own energy above hull": direct}
    if given.baselines:
        learnt_values = np.column_stack([learnt(t, c) for t, c in zip(TASKS, values.T, strict=True)])
        said |= baselines(found, learnt_values, train, test, given.seed)
    lines, figures = table(said, {"composition": std}, flags, truth, rng)
    print("\n".join(lines), "\n")
    print("\n".join(unseen_families(core, found, values)), "\n")
    print("\n".join(speed(core, found, test[:4096])))
    if given.save:
        data = [{"name": card.name, "licence": card.licence, "source": card.source} for card in CARDS]
        split = (
            f"{len(train)} of {len(order)} reduced formulas ({settings.calibration_share:.0%} of them calibrate the "
            f"spread); {len(test)} kept out for the figures"
        )
        command = f"python benchmarks/composition.py --members {given.members} --epochs {given.epochs} --save"
        save(core, card={"data": data, "split": split, "metrics": figures, "command": command})


if __name__ == "__main__":
    main()
