"""Asks how well predicted activation energies carry a conductivity to other temperatures (Liverpool table).

Use: IONSMITH_DATA=<mirror> python benchmarks/arrhenius.py
Pairs share composition and paper; the refits know neither. The table has no stated licence: evaluation only.
"""

import argparse

import numpy as np
from activation_energy import rows_with_aides

from ionsmith.data.activation_energies import material_of
from ionsmith.data.liverpool import SIGMA, TEMPERATURE, load_liverpool
from ionsmith.predict.activation_energy import QUANTITY, ActivationEnergyModel
from ionsmith.predict.arrhenius import Line

ROOM, WITHIN, APART, FOLDS = 298.0, 15.0, 20.0, 5


def facts(outcome):
    return outcome.candidate.source.facts


def pairs_of(rows, materials, papers, kelvin):
    same = [(i, j) for i in range(len(rows)) for j in range(len(rows)) if materials[i] == materials[j]]
    return np.array(
        [
            (i, j)
            for i, j in same
            if papers[i] == papers[j] and abs(kelvin[i] - ROOM) <= WITHIN and abs(kelvin[j] - kelvin[i]) > APART
        ]
    )


def predicted(rows, pairs, materials, papers, seed):
    """Return predicted energy, median energy and domain flag per pair, by refits apart from composition and paper."""
    taught = [o for part in rows_with_aides("train") for o in part]
    names = sorted({materials[i] for i, _ in pairs})
    fold = dict(zip(names, np.random.default_rng(seed).integers(0, FOLDS, len(names)), strict=True))
    energy, median, inside = np.zeros(len(pairs)), np.zeros(len(pairs)), np.zeros(len(pairs), dtype=bool)
    for k in range(FOLDS):
        asked = np.array([n for n, (i, _) in enumerate(pairs) if fold[materials[i]] == k])
        hidden, read = {materials[pairs[n][0]] for n in asked}, {papers[pairs[n][0]] for n in asked} - {""}
        known = [
            o
            for o in taught
            if material_of(o.candidate.composition) not in hidden and facts(o)["doi"].lower() not in read
        ]
        model = ActivationEnergyModel(trees=40, calibration_trees=6, folds=3).fit(known, np.random.default_rng(seed))
        said = model.predict([rows[pairs[n][0]].candidate for n in asked])
        energy[asked], inside[asked] = said.mean, said.in_domain
        median[asked] = np.median([o.values[QUANTITY].mean for o in known if QUANTITY in o.values])
    return energy, median, inside


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seed", type=int, default=0)
    given = arguments.parse_args()
    rows = load_liverpool()
    kelvin = np.array([facts(o)[TEMPERATURE] for o in rows])
    sigma = np.array([facts(o)[SIGMA] for o in rows])
    materials = [material_of(o.candidate.composition) for o in rows]
    papers = [facts(o)["doi"].lower() for o in rows]
    pairs = pairs_of(rows, materials, papers, kelvin)
    energy, median, inside = predicted(rows, pairs, materials, papers, given.seed)
    near, far = pairs.T
    group = np.unique([str(materials[i]) for i in near], return_inverse=True)[1]
    none = np.zeros(len(pairs))

    def carried(slope, hopping):
        line = Line(none, none, slope, none, hopping=hopping)
        return sigma[near] + line.at(kelvin[far])[0] - line.at(kelvin[near])[0]

    said = {"no temperature dependence": sigma[near]}
    for hopping, form in ((True, "sigma T"), (False, "sigma")):
        said |= {f"median energy, {form} exponential": carried(median, hopping)}
        said |= {f"predicted energy, {form} exponential": carried(energy, hopping)}
    print(f"{len(pairs)} pairs of {group.max() + 1} compositions, {inside.mean():.0%} in the domain\n")
    print("| slope | MAE over pairs, decades | each material once | median | MAE in domain |\n|" + " --- |" * 5)
    for label, answer in said.items():
        error = np.abs(answer - sigma[far])
        once = np.mean([error[group == g].mean() for g in range(group.max() + 1)])
        print(f"| {label} | {error.mean():.3f} | {once:.3f} | {np.median(error):.3f} | {error[inside].mean():.3f} |")


if __name__ == "__main__":
    main()
