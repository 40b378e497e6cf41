"""Round trip of Materials Project crystals through their Wyckoff description: share that match the original.

Run: python benchmarks/wyckoff.py [--most N] [--page docs/benchmarks/wyckoff.md]

Every crystal of mp_20_biternary and mpts_52 is described (space group, occupied Wyckoff positions, free coordinates
and cell parameters), rebuilt from that alone, and compared with the original by pymatgen's StructureMatcher in its
default tolerances. A crystal that cannot be described counts as not matching.
"""

import argparse
import collections
from collections.abc import Iterator
from datetime import date
from multiprocessing import Pool
from pathlib import Path

import numpy as np
from pymatgen.analysis.structure_matcher import StructureMatcher

from ionsmith.core.errors import IonsmithError
from ionsmith.core.records import Candidate
from ionsmith.data.materials_project import load_materials_project
from ionsmith.represent.wyckoff import describe

SETS = ("mp_20_biternary", "mpts_52")


def outcome(candidate: Candidate) -> tuple[str, int, int]:
    """What became of one crystal, its number of occupied positions and of free numbers."""
    try:
        found = describe(candidate.structure)
        built = found.structure()
    except IonsmithError as error:
        return str(error), 0, 0
    numbers = sum(len(site.free) for site in found.sites) + len(found.lattice)
    same = StructureMatcher().fit(candidate.structure, built)
    return "match" if same else f"space group {found.space_group} does not match", len(found.sites), numbers


def crystals(name: str, most: int) -> Iterator[Candidate]:
    for number, row in enumerate(load_materials_project(name)):
        if number >= most:
            return
        yield row.candidate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--most", type=int, default=10**9, help="crystals of each set at most")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--page", type=Path)
    options = parser.parse_args()
    lines = ["| set | crystals | match | share | median positions | median free numbers |", "| --- " * 6 + "|"]
    reasons: collections.Counter[str] = collections.Counter()
    for name in SETS:
        with Pool(options.workers) as pool:
            found = list(pool.imap(outcome, crystals(name, options.most), chunksize=32))
        matches = [one for one in found if one[0] == "match"]
        reasons.update(one[0] for one in found if one[0] != "match")
        sizes = np.median([one[1:] for one in matches], axis=0)
        share = len(matches) / len(found)
        lines.append(f"| {name} | {len(found)} | {len(matches)} | {share:.4f} | {sizes[0]:.0f} | {sizes[1]:.0f} |")
        print(lines[-1], flush=True)
    failures = [f"- {count} x {reason}" for reason, count in reasons.most_common()]
    text = "\n".join(
        [
            "# Crystals through their Wyckoff description and back",
            "",
            f"`python benchmarks/wyckoff.py`, {date.today():%Y-%m-%d}; pymatgen's StructureMatcher as it comes.",
            "",
            *lines,
            "",
            "What did not come back:",
            "",
            *(failures or ["- nothing"]),
            "",
        ]
    )
    print(text)
    if options.page:
        options.page.write_text(text)


if __name__ == "__main__":
    main()
