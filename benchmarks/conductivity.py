"""Rebuilds the conductivity model, measures every figure and its speed, and prints them as Markdown.

Use: IONSMITH_DATA=<mirror> python benchmarks/conductivity.py [--save] [--seed N] > figures.md
"""

import argparse
import time

import numpy as np

from ionsmith.data.library import load_library
from ionsmith.data.obelix import CARD, load_obelix
from ionsmith.evaluate.baselines import MeanBaseline, NearestNeighbour, RandomForest, RidgeBaseline
from ionsmith.evaluate.conductivity import conductivity_figures, markdown, without_cell
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


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--save", action="store_true", help="write the weights into the package")
    arguments.add_argument("--seed", type=int, default=0)
    given = arguments.parse_args()
    taught, asked, library = load_obelix("train"), load_obelix("test"), load_library()
    figures = conductivity_figures(makers(), train=taught, test=asked, library=library, seed=given.seed)
    print(markdown(figures, np.random.default_rng(given.seed)))
    model = train(taught, np.random.default_rng(given.seed))
    if given.save:
        data = [{"name": "OBELiX train.csv", "licence": CARD.licence, "source": CARD.source}]
        split = "official train.csv (478 rows); test.csv was used for the figures only"
        save(model, card={"data": data, "split": split, "metrics": figures.document(), "command": COMMAND})
    rows = [outcome.candidate for outcome in taught] * 4
    print("### Speed, one core\n")
    print(speed(model, rows, "composition with cell"))
    print(speed(model, [outcome.candidate for outcome in without_cell(taught)] * 4, "formula"))
    print(speed(model, library, "crystal (space group found by spglib)"))


if __name__ == "__main__":
    main()
