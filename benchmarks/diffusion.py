"""Diffusivities and Arrhenius energies of 36 AIMD runs beside pymatgen's and kinisi's; coverage on random walks."""

from __future__ import annotations

import argparse
import math
import warnings
from itertools import groupby
from types import SimpleNamespace

import numpy as np
from ase.data import atomic_numbers
from pymatgen.core import Structure

from ionsmith.data.aimd import AimdRun, load_aimd
from ionsmith.simulate.diffusion import Diffusivity, diffusivity
from ionsmith.simulate.diffusion_arrhenius import arrhenius
from ionsmith.simulate.trajectory import Trajectory


def trajectory(run: AimdRun) -> Trajectory:
    numbers = np.array([atomic_numbers[s] for s in run.species])
    positions = run.displacements + run.fractional @ run.lattice
    return Trajectory(numbers, run.lattice, positions, run.interval, run.temperature, None, run.material)


def of_pymatgen(run: AimdRun) -> tuple[float, float]:
    """D and its standard deviation (cm2/s) by the analyser of pymatgen-analysis-diffusion, default smoothing."""
    from pymatgen.analysis.diffusion.analyzer import DiffusionAnalyzer

    structure = Structure(run.lattice, list(run.species), run.fractional)
    steps = run.displacements.transpose(1, 0, 2)
    found = DiffusionAnalyzer(structure, steps, run.mobile, run.temperature, run.step_fs, run.skip, smoothed="max")
    return float(found.diffusivity), float(found.diffusivity_std_dev)


def of_kinisi(run: AimdRun, start: float) -> tuple[float, float, float]:
    """D with its 95 % interval (cm2/s) by kinisi, from the same start of the line."""
    import scipp as sc
    from kinisi.analyze import DiffusionAnalyzer

    positions = run.displacements + run.fractional @ run.lattice
    inverse = np.linalg.inv(run.lattice)
    frames = [Structure(run.lattice, list(run.species), p @ inverse) for p in positions]
    state = np.random.get_state()  # kinisi seeds the global generator
    analysis = DiffusionAnalyzer.from_xdatcar(
        SimpleNamespace(structures=frames),
        specie=run.mobile,
        time_step=run.interval * sc.Unit("ps"),
        step_skip=1 * sc.Unit("dimensionless"),
        progress=False,
    )
    analysis.diffusion(start * sc.Unit("ps"), random_state=np.random.RandomState(1), progress=False)
    np.random.set_state(state)
    samples = np.asarray(analysis.D.values)
    low, high = np.percentile(samples, [2.5, 97.5])
    return float(samples.mean()), float(low), float(high)


def walk(seed: int, rate: float, *, ions: int, frames: int, interval: float = 0.05) -> Trajectory:
    """Ions hopping on a cubic lattice at a rate per axis (1/ps), with vibrations, in a framework that vibrates."""
    rng = np.random.default_rng(seed)
    tries = rng.poisson(rate * interval, (frames, ions, 3))
    steps = 2.0 * (2 * rng.binomial(tries, 0.5) - tries)
    mobile = np.cumsum(steps, axis=0) + 0.15 * rng.standard_normal((frames, ions, 3))
    fixed = 0.1 * rng.standard_normal((frames, 20, 3))
    numbers = np.array([3] * ions + [16] * 20)
    return Trajectory(numbers, 10.0 * np.eye(3), np.concatenate([mobile, fixed], axis=1), interval, 600.0)


def coverage(seeds: int) -> None:
    print("| hops per ion | ions | run, ps | truth, cm2/s | in 95 % interval | mean / truth | stated spread / seen |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for rate, ions, frames in ((1.0, 24, 400), (0.2, 24, 400), (0.2, 12, 200), (0.02, 24, 400), (0.01, 48, 400)):
        truth = rate * 2.0**2 / 2.0 * 1e-4
        found = [diffusivity(walk(seed, rate, ions=ions, frames=frames)) for seed in range(seeds)]
        inside = sum(d.low <= truth <= d.high for d in found)
        means = np.array([d.mean for d in found])
        stated = float(np.mean([d.std for d in found]))
        print(
            f"| {3 * rate * frames * 0.05:.1f} | {ions} | {frames * 0.05:g} | {truth:.1e} | {inside} of {seeds} | "
            f"{means.mean() / truth:.2f} | {stated / means.std():.2f} |"
        )


def _text(d: Diffusivity) -> str:
    if d.bound_only:
        return f"< {d.high:.1e}"
    return f"{d.mean:.2e} [{d.low:.1e}, {d.high:.1e}]"


def runs(*, kinisi: int) -> None:
    extra = " kinisi D [95 %] |" if kinisi else ""
    print(f"| material | T, K | hops | D [95 %], cm2/s | pymatgen D +- std |{extra} warnings |")
    print("| --- | --- | --- | --- | --- | --- |" + (" --- |" if kinisi else ""))
    lines, ratios, agree = [], [], []
    for material, group in groupby(load_aimd(), key=lambda run: run.material):
        points, other = [], []
        for run in group:
            d = diffusivity(trajectory(run), run.mobile)
            theirs = of_pymatgen(run)
            points.append(d)
            other.append((run.temperature, theirs[0]))
            row = f"| {material} | {run.temperature:g} | {d.hops} | {_text(d)} | {theirs[0]:.2e} +- {theirs[1]:.0e} |"
            if not d.bound_only:
                ratios.append(math.log10(theirs[0] / d.mean))
            if kinisi and run.temperature == kinisi:
                mean, low, high = of_kinisi(run, d.start)
                row += f" {mean:.2e} [{low:.1e}, {high:.1e}] |"
                if not d.bound_only:
                    agree.append((mean / d.mean, (high - low) / (d.high - d.low)))
            elif kinisi:
                row += " - |"
            print(f"{row} {'; '.join(d.warnings)} |", flush=True)
        formula = Structure(run.lattice, list(run.species), run.fractional).composition.reduced_formula
        lines.append(_energy(material, formula, points, other))
    print(
        f"\npymatgen / ours, {len(ratios)} runs with hops: median {10 ** np.median(ratios):.2f}, "
        f"within a factor of 1.5: {sum(abs(r) < math.log10(1.5) for r in ratios)}"
    )
    if agree:
        print(
            f"kinisi / ours: D median {np.median([a for a, _ in agree]):.2f}, "
            f"interval width median {np.median([b for _, b in agree]):.2f}"
        )
    print("\n| material | formula | E_a [95 %], eV | pymatgen E_a, eV | log10 sigma(300 K) [95 %] | warnings |")
    print("| --- | --- | --- | --- | --- | --- |")
    print("\n".join(lines))


def _energy(material: str, formula: str, points: list[Diffusivity], other: list[tuple[float, float]]) -> str:
    from pymatgen.analysis.diffusion.analyzer import fit_arrhenius

    temperatures, values = zip(*other, strict=True)
    theirs = fit_arrhenius(list(temperatures), list(values))[0]
    found = arrhenius(points).details()
    sigma = found["log10_conductivity_300K"]
    far = [w for w in found["warnings"] if "hops seen" not in w and "framework" not in w]
    if found["log10_conductivity_upper_limit_only"]:
        mine, limit = f"> {found['activation_energy_eV']:.2f}", f"< {sigma:.1f}"
    else:
        low, high = found["activation_energy_interval95_eV"]
        mine = f"{found['activation_energy_eV']:.3f} [{low:.3f}, {high:.3f}]"
        limit = "{:.1f} [{:.1f}, {:.1f}]".format(sigma, *found["log10_conductivity_interval95"])
    return f"| {material} | {formula} | {mine} | {theirs:.3f} | {limit} | {'; '.join(far)} |"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="random walks of each kind")
    parser.add_argument(
        "--kinisi", type=int, default=0, help="also run kinisi at this temperature, K (seconds per run)"
    )
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    coverage(options.seeds)
    print()
    runs(kinisi=options.kinisi)
