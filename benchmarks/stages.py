"""Seconds per candidate of every stage, measured on the built-in library, one process and one thread.

Run: python benchmarks/stages.py [--stages bvse,relax,hull] [--most 56] [--out DIR] [--page docs/benchmarks/stages.md]

A stage gets every crystal of the library as it stands there (disordered ones too), whatever an earlier stage would
have said of it. With --out a killed measurement goes on where it stopped. Times are the cost that the ledger keeps
with each outcome, so imports and the first compilation of kernels are counted where they happen: in the first
candidate, and therefore in the largest time, not in the median.
"""

import argparse
import os
import platform
import tempfile
import time
from collections.abc import Callable
from datetime import date
from importlib.metadata import version
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_name] = "1"  # before numpy is imported

import numpy as np  # noqa: E402

from ionsmith import recipes  # noqa: E402
from ionsmith.core.results import RunResult  # noqa: E402
from ionsmith.data.library import load_library  # noqa: E402
from ionsmith.io.read import read_inputs  # noqa: E402
from ionsmith.io.write import write_run  # noqa: E402
from ionsmith.objective.spec import Spec  # noqa: E402
from ionsmith.report import write_report  # noqa: E402


def costs(result: RunResult) -> tuple[list[float], dict[str, int]]:
    """Cost of each candidate, and how many ended how."""
    ends: dict[str, int] = {}
    for row in result.rows:
        ends[row.outcome.status.value] = ends.get(row.outcome.status.value, 0) + 1
    return [row.outcome.cost_s for row in result.rows], ends


def timed(action: Callable[[], object]) -> tuple[float, object]:
    start = time.perf_counter()
    value = action()
    return time.perf_counter() - start, value


def library_files(folder: Path, most: int) -> list[str]:
    from pymatgen.io.cif import CifWriter

    folder.mkdir(parents=True, exist_ok=True)
    for number, candidate in zip(range(most), load_library(), strict=False):
        (folder / f"{number:03d}.cif").write_text(str(CifWriter(candidate.structure)))
    return [str(folder)]


def line(stage: str, seconds: list[float], ends: dict[str, int] | None = None) -> str:
    found = np.asarray(seconds)
    middle, high = np.quantile(found, (0.5, 0.9))
    words = ", ".join(f"{count} {status}" for status, count in sorted((ends or {}).items()))
    return (
        f"| {stage} | {len(found)} | {middle:.3g} | {found.mean():.3g} | {high:.3g} | {found.max():.3g} "
        f"| {3600 / found.mean():,.0f} | {words} |"
    )


def measure(stages: list[str], most: int, out: Path) -> list[str]:
    """One table line per stage."""
    inputs = library_files(out / "cifs", most)
    reading, readings = timed(lambda: list(read_inputs(inputs)))
    count = len(readings)  # type: ignore[arg-type]
    lines = [line("read (CIF)", [reading / count] * count)]
    predicting, predicted = timed(lambda: recipes.predict(inputs, recipes.RunOptions()))
    lines.append(line("read and predict, all models, with explanation", [predicting / count] * count))
    for stage in stages:
        options = recipes.RunOptions(out=out / stage, resume=True)
        result = recipes.simulate(stage, inputs, options, spec=Spec())
        lines.append(line(stage, *costs(result)))
        print(lines[-1], flush=True)
    writing, _ = timed(lambda: write_run(predicted, out / "written"))  # type: ignore[arg-type]
    lines.append(line("tables and structures", [writing / count] * count))
    drawing, _ = timed(lambda: write_report(predicted, out / "report.html"))  # type: ignore[arg-type]
    lines.append(line("report page", [drawing / count] * count))
    return lines


def page(lines: list[str], command: str) -> str:
    libraries = ", ".join(f"{name} {version(name)}" for name in ("numpy", "numba", "torch", "chgnet", "bvlain"))
    return "\n".join(
        [
            "# Seconds per candidate, stage by stage",
            "",
            f"`{command}`, {date.today():%Y-%m-%d}, {platform.machine()}, one process, one thread; {libraries}.",
            "The built-in library, disordered crystals included; every stage gets every crystal.",
            "",
            "| stage | crystals | median, s | mean, s | 90 % below, s | largest, s | an hour on one core | ended |",
            "| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |",
            *lines,
            "",
            "The largest time of a stage holds its imports and the compilation of its kernels (kept on disk later).",
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stages", default="bvse,landscape,relax,hull")
    parser.add_argument("--most", type=int, help="crystals at most; all of the library if not given")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--page", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        lines = measure(options.stages.split(","), options.most or 10_000, options.out or Path(scratch))
    most = f" --most {options.most}" if options.most else ""
    text = page(lines, f"python benchmarks/stages.py --stages {options.stages}{most}")
    print(text)
    if options.page:
        options.page.write_text(text)


if __name__ == "__main__":
    main()
