"""Trains the crystal prior on Materials Project crystals and writes it as the shipped artifact.

Run: python benchmarks/prior_train.py FOLDER [--workers N] [--epochs N] [--before YEAR] [--write]

FOLDER keeps the sentences of the crystals and a checkpoint after each epoch, so that the run can be killed and
started again. Crystals more than 0.1 eV/atom above the hull teach nothing; 10 % of the formulas are kept out for
judging, 3 % of the others choose the epoch. Each lithium compound is read twice more, behind a request for lithium.
"""

import argparse
import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing import Pool
from pathlib import Path

import numpy as np
import torch

from ionsmith.core.errors import IonsmithError
from ionsmith.core.records import Outcome
from ionsmith.data.materials_project import held_out, load_materials_project
from ionsmith.generate.wyckoff_network import Sentences, WyckoffNetwork
from ionsmith.generate.wyckoff_prior import save_prior
from ionsmith.generate.wyckoff_training import PRIOR_TRAINING, Lesson, train_prior
from ionsmith.represent.wyckoff_tokens import Request

SETS = ("mp_20_biternary", "mpts_52")  # the licence of li_binaries is not stated
ABOVE_HULL = 0.1
EXTRA = 2  # more readings of each compound of the mobile ion
MOBILE = "Li"
DATA = [
    {
        "name": "materials_project",
        "licence": "CC BY 4.0",
        "source": "github SymmetryAdvantage/WyckoffTransformer (mp_20_biternary, mpts_52)",
    }
]
SPLIT = (
    "crystals within 0.1 eV/atom of the hull; 10 % of the formulas kept out for judging, 3 % of the others choose "
    "the epoch"
)


def described(row: Outcome) -> dict[str, object]:
    """One crystal as plain data, or why it teaches nothing."""
    candidate = row.candidate
    head = {
        "id": candidate.source.locator,
        "formula": str(candidate.composition.reduced_formula),
        "above": row.values["energy_above_hull"].mean,
        "year": candidate.source.facts.get("year"),
    }
    try:
        lesson = Lesson.of(candidate)
    except IonsmithError as reason:
        return head | {"problem": str(reason)}
    return head | {"variants": lesson.variants, "elements": lesson.elements, "atoms": lesson.atoms}


def rows_of(folder: Path, workers: int) -> list[dict[str, object]]:
    """All crystals as plain data, kept in the folder."""
    path = folder / "lessons.json"
    if not path.exists():

        def stable() -> Iterator[Outcome]:
            for name in SETS:
                for row in load_materials_project(name):
                    if "energy_above_hull" in row.values and row.values["energy_above_hull"].mean <= ABOVE_HULL:
                        yield row

        with Pool(workers) as pool:
            rows = list(pool.imap(described, stable(), chunksize=64))
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(rows))
    return list(json.loads(path.read_text()))


def lessons_of(rows: list[dict[str, object]]) -> list[Lesson]:
    """One lesson per different sentence, those of the mobile ion several times."""
    found: dict[tuple[int, ...], Lesson] = {}
    for row in rows:
        variants = tuple(tuple(words) for words in row["variants"])
        found.setdefault(min(variants), Lesson(variants, tuple(row["elements"]), int(row["atoms"])))
    mobile = [replace(each, always=(MOBILE,)) for each in found.values() if MOBILE in each.elements]
    return [*found.values(), *(EXTRA * mobile)]


def divided(rows: list[dict[str, object]], before: int | None) -> tuple[list[Lesson], list[Lesson], list[Lesson]]:
    """Lessons to learn from, to choose the epoch by, and to judge by."""
    known = [row for row in rows if "variants" in row]
    if before is not None:  # a crystal without a year may be newer
        known = [row for row in known if row["year"] is not None and row["year"] < before]
    judged = [row for row in known if held_out(row["formula"], share=0.1)]
    rest = [row for row in known if not held_out(row["formula"], share=0.1)]
    chosen = [row for row in rest if held_out(row["formula"], share=0.03, seed=1)]
    learnt = [row for row in rest if not held_out(row["formula"], share=0.03, seed=1)]
    validation, test = ([replace(each, always=()) for each in lessons_of(part)] for part in (chosen, judged))
    return lessons_of(learnt), list(dict.fromkeys(validation)), list(dict.fromkeys(test))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=PRIOR_TRAINING.epochs)
    parser.add_argument("--write", action="store_true", help="write the shipped artifact")
    parser.add_argument("--before", type=int, help="learn only what was published before this year")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    rows = rows_of(options.folder, options.workers)
    lessons, validation, test = divided(rows, options.before)
    print(f"{len(rows)} crystals, {sum('variants' in row for row in rows)} described;", end=" ")
    print(f"{len(lessons)} lessons, {len(validation)} choose the epoch, {len(test)} judge", flush=True)
    name = "prior" if options.before is None else f"prior-{options.before}"
    training = replace(PRIOR_TRAINING, epochs=options.epochs)
    network, history = train_prior(
        lessons,
        validation,
        np.random.default_rng(0),
        training=training,
        half_precision=True,
        checkpoint=options.folder / f"{name}.ckpt",
    )
    torch.save(network.state_dict(), options.folder / f"{name}.pt")
    metrics = {
        "lessons": len(lessons),
        "nats_per_crystal_kept_out": nats(network, test),
        "nats_per_crystal_kept_out_untrained": nats(WyckoffNetwork(network.settings).eval(), test),
        "crystals_kept_out": len(test),
        "nats_by_epoch": [round(score, 3) for score in history.scores],
        "best_epoch": history.best + 1,
    }
    print(json.dumps(metrics))
    if options.write:
        words = f"python benchmarks/prior_train.py FOLDER --epochs {options.epochs} --write"
        save_prior(network, card={"data": DATA, "split": SPLIT, "metrics": metrics, "command": words})


def nats(network: WyckoffNetwork, lessons: list[Lesson]) -> float:
    """Mean negative log-likelihood of a crystal without request, in the setting that spglib chose."""
    parts = [lessons[start : start + 64] for start in range(0, len(lessons), 64)]
    with torch.no_grad():
        sentences = [Sentences.of([[*Request().words(), *each.words] for each in part]) for part in parts]
        return -sum(float(network.log_likelihood(part).sum()) for part in sentences) / len(lessons)


if __name__ == "__main__":
    main()
