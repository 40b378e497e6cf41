"""Rebuilds the conductivity model, measures every figure and its speed, and prints them as Markdown.

Use: IONSMITH_DATA=<mirror> python benchmarks/conductivity.py [--save] [--seed N] [--cache FOLDER] > figures.md

Each pair of a question and a model is measured once and, with --cache, kept, so that an interrupted run goes on.
Empty the folder when a model changes.
"""

import argparse
import pickle
import time
from pathlib import Path

import numpy as np

from ionsmith.data.library import load_library
from ionsmith.data.obelix import CARD, load_obelix
from ionsmith.data.obelix_crystals import with_crystals
from ionsmith.evaluate.baselines import MeanBaseline, NearestNeighbour, RandomForest, RidgeBaseline
from ionsmith.evaluate.conductivity import ConductivityFigures, markdown, questions, rank_library, without_cell
from ionsmith.evaluate.harness import Comparison, evaluate_model
from ionsmith.predict.conductivity import ConductivityModel, save, train
from ionsmith.represent.composition import ElementStatistics
from ionsmith.represent.electrolyte import ElectrolyteFeatures

COMMAND = "python benchmarks/conductivity.py --save"


def makers():
    features = ElectrolyteFeatures()
    return {
        "conductivity": ConductivityModel,
        "mean": lambda: MeanBaseline(features),
        "nearest neighbour": lambda: NearestNeighbour(features),
        "ridge": lambda: RidgeBaseline(features),
        "random forest": lambda: RandomForest(features),
        "random forest, element statistics": lambda: RandomForest(ElementStatistics()),
    }


def speed(model, candidates, name):
    started = time.perf_counter()
    model.predict(candidates)
    return f"- {name}: {len(candidates) / (time.perf_counter() - started):.0f} candidates/s"


def remembered(make, file):
    """Return what was kept in a file, or make it and keep it; without a file, make it."""
    if file is None:
        return make()
    if not file.is_file():
        file.write_bytes(pickle.dumps(make()))
    return pickle.loads(file.read_bytes())  # noqa: S301 - written by this script


def measured(taught, asked, library, *, seed, cache):
    """Return all figures; only what the cache does not hold is computed."""
    if cache is not None:
        cache.mkdir(parents=True, exist_ok=True)
    comparisons = {}
    for name, (title, rows, splits) in questions(taught, asked, seed=seed).items():
        reports = {
            label: remembered(
                lambda make=make, rows=rows, splits=splits: evaluate_model(
                    make, rows, splits, np.random.default_rng(seed)
                ),
                cache and cache / f"{name}-{label}-{seed}.pickle",
            )
            for label, make in makers().items()
        }
        comparisons[name] = Comparison(title, reports)
    ranking = remembered(
        lambda: rank_library(ConductivityModel, taught, library, np.random.default_rng(seed)),
        cache and cache / f"library-{seed}.pickle",
    )
    return ConductivityFigures(comparisons, ranking)


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--save", action="store_true", help="write the weights into the package")
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--cache", type=Path, help="folder that keeps finished reports, as pickles of our own")
    given = arguments.parse_args()
    taught, asked = (with_crystals(load_obelix(split)) for split in ("train", "test"))
    library = load_library()
    figures = measured(taught, asked, library, seed=given.seed, cache=given.cache)
    print(markdown(figures, np.random.default_rng(given.seed)))
    model = train(taught, np.random.default_rng(given.seed))
    if given.save:
        data = [{"name": "OBELiX train.csv and the CIFs of its rows", "licence": CARD.licence, "source": CARD.source}]
        split = "official train.csv (478 rows, 239 with lithium sites); test.csv was used for the figures only"
        save(model, card={"data": data, "split": split, "metrics": figures.document(), "command": COMMAND})
    rows = [outcome.candidate for outcome in taught] * 4
    print("### Speed, one core\n")
    print(speed(model, rows, "composition with cell and, for half, crystal"))
    print(speed(model, [outcome.candidate for outcome in without_cell(taught)] * 4, "formula"))
    print(speed(model, library, "crystal (space group found by spglib; lithium sites of the disordered half)"))


if __name__ == "__main__":
    main()
