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
from dataclasses import asdict, replace
from multiprocessing import Pool
from pathlib import Path

import numpy as np
import torch

from ionsmith.core.errors import IonsmithError
from ionsmith.core.records import Outcome
from ionsmith.data.materials_project import held_out, load_materials_project
from ionsmith.generate.wyckoff_training import PRIOR_TRAINING, Lesson, train_prior

SETS = ("mp_20_biternary", "mpts_52", "li_binaries")
ABOVE_HULL = 0.1
EXTRA = 2  # more readings of each compound of the mobile ion
MOBILE = "Li"


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
    print(json.dumps({"settings": asdict(network.settings), "best": history.best, "nats": history.scores}))


if __name__ == "__main__":
    main()
