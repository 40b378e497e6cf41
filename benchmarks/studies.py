"""Runs every published system and prints what it claims beside what we measure, as Markdown; two or three minutes."""

import argparse
import json
from pathlib import Path

from ionsmith.studies.study import markdown, run_study, studies


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("names", nargs="*", help="studies; all of them if none is named")
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--json", type=Path, help="folder for one JSON document per study")
    given = arguments.parse_args()
    for name in given.names or studies():
        document = run_study(name, seed=given.seed)
        print(markdown(document))
        if given.json:
            given.json.mkdir(parents=True, exist_ok=True)
            (given.json / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
