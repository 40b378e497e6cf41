"""Measures whether explanations mean something: deleting what they call important must change the prediction most.

Every material of OBELiX test.csv is explained by models that learnt from train.csv. The k players with the largest
attribution are replaced by a background, and k random ones; printed is the mean absolute change of the prediction,
the 90 % bootstrap interval of the difference, and how often importance wins. The conductivity model is explained by
the parts of a material (lithium, anions, framework cations, their amount, cell), the others by named descriptors.
"""

import argparse

import numpy as np

from ionsmith.data.materials_project import held_out, load_materials_project
from ionsmith.data.obelix import load_obelix
from ionsmith.evaluate.attribution import Shares, shapley
from ionsmith.evaluate.baselines import RandomForest, RidgeBaseline
from ionsmith.evaluate.explanation import Background, deletion_test, family_background, make_game
from ionsmith.learn.network import Crowd
from ionsmith.predict.conductivity import ConductivityModel
from ionsmith.predict.transfer_models import TransferBandGap
from ionsmith.predict.transfer_views import VIEWS
from ionsmith.represent.electrolyte import ElectrolyteFeatures


def explained(model, candidates, backgrounds, rng, rounds):
    games, shares = [], []
    for candidate, background in zip(candidates, backgrounds, strict=True):
        names, game = make_game(model, candidate, background)
        games.append(game)
        shares.append(shapley(game, len(names), rng, rounds=rounds))
    return games, shares


def graph(seed, count):
    """Band gaps of crystals kept out: atoms that the graph model calls important, left out of its pooled features."""
    model = TransferBandGap.load()
    head, column = model._known()
    rng = np.random.default_rng(seed)
    kept = [o.candidate for o in load_materials_project("mpts_52") if held_out(o.candidate.formula, share=0.10)]
    games, shares = [], []
    for k in rng.permutation(len(kept)):
        candidate = kept[k]
        (view,) = VIEWS([candidate]) if len(candidate.structure) <= 40 else (None,)
        if view is None or isinstance(view, Exception) or len(set(view.alike())) < 4:
            continue
        crowd = model._crowd([candidate], [view])

        def game(coalitions, crowd=crowd):
            rows = [np.flatnonzero(coalition) for coalition in coalitions]
            picked = np.concatenate(rows)
            sizes = np.array([len(row) for row in rows])
            whole = np.repeat(crowd.crystal, len(rows), axis=0)
            part = Crowd(crowd.atoms[picked], crowd.weights[picked], sizes, whole)
            return head.means(part)[:, column]

        effects = np.zeros(len(crowd.atoms))
        for atom in model.explain(candidate)["atoms"]:
            effects[view.alike()[atom["sites"][0]]] = atom["effect"]
        full = float(game(np.ones((1, len(effects)), dtype=bool))[0])
        games.append(game)
        shares.append(Shares(0.0, full, effects, np.zeros(len(effects))))
        if len(games) == count:
            break
    table(
        "Graph model (transfer_band_gap), kinds of atoms left out, eV",
        deletion_test(games, shares, (1, 2, 3), rng),
        rng,
    )


def table(title, deletions, rng):
    print(f"### {title}\n")
    print("| k | materials | top k removed | k random removed | difference (90 %) | top k wins |")
    print("| --- | --- | --- | --- | --- | --- |")
    for deletion in deletions:
        d = deletion.document(rng)
        print(
            f"| {d['k']} | {d['materials']} | {d['important']:.3f} | {d['random']:.3f} | "
            f"{d['difference_low']:.3f} to {d['difference_high']:.3f} | {d['wins']:.0%} |"
        )
    print()


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--materials", type=int, default=121)
    arguments.add_argument("--rounds", type=int, default=10, help="pairs of orders where coalitions are sampled")
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--graph", action="store_true", help="test the graph model only, on crystals kept out")
    given = arguments.parse_args()
    if given.graph:
        graph(given.seed, given.materials)
        return
    rng = np.random.default_rng(given.seed)
    taught = load_obelix("train")
    asked = [outcome.candidate for outcome in load_obelix("test")][: given.materials]
    shipped = ConductivityModel.load()
    families = [family_background(shipped, candidate) for candidate in asked]
    games, shares = explained(shipped, asked, families, rng, given.rounds)
    table(
        "Conductivity model, parts of the material, against the family",
        deletion_test(games, shares, (1, 2, 3), rng),
        rng,
    )
    picked = rng.choice(len(taught), size=20, replace=False)
    usual = Background("20 random training materials", tuple(taught[k].candidate for k in picked))
    games, shares = explained(shipped, asked, [usual] * len(asked), rng, given.rounds)
    table("Conductivity model, parts of the material, against all", deletion_test(games, shares, (1, 2, 3), rng), rng)
    for label, make in (("Ridge", RidgeBaseline), ("Random forest", RandomForest)):
        model = make(ElectrolyteFeatures()).fit(taught, np.random.default_rng(given.seed))
        few = asked[:40]
        games, shares = explained(model, few, [usual] * len(few), rng, given.rounds)
        table(f"{label}, named descriptors, against all", deletion_test(games, shares, (1, 5, 10, 20), rng), rng)


if __name__ == "__main__":
    main()
