"""Landscape descriptors against measured room-temperature conductivity, on every OBELiX entry with a structure.

    IONSMITH_DATA=... python benchmarks/landscape_experiment.py OUT.json [--bvlain SPEED.json]

Descriptors are physics and fit nothing; only the combination is a fit, and it is cross-validated with all entries of
one publication (DOI) in the same fold. Measured upper bounds count at their bound.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import time
import warnings
import zipfile
from pathlib import Path

import numpy as np
from pymatgen.core import Structure
from scipy import constants
from scipy.stats import spearmanr
from sklearn.ensemble import RandomForestRegressor
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold

from ionsmith.core.errors import IonsmithError
from ionsmith.landscape import (
    Network,
    Percolation,
    accessible_volume,
    activation_energy,
    build_network,
    diffusivity,
    percolation,
)
from ionsmith.landscape.parameters import pair
from ionsmith.landscape.paths import neighbors
from ionsmith.landscape.surface import find_stationary

WORST = 10.0  # eV, for a direction that stays closed
THRESHOLDS = (1e-5, 1e-4)


def crystals(folder: Path):
    """Yield (entry ID, structure) of every CIF of OBELiX."""
    with zipfile.ZipFile(folder / "obelix" / "all_cifs.zip") as archive:
        for name in sorted(n for n in archive.namelist() if n.endswith(".cif")):
            yield Path(name).stem, Structure.from_str(archive.read(name).decode(), fmt="cif")


def measured(folder: Path):
    """Entry ID to (log10 conductivity, DOI)."""
    rows = {}
    with (folder / "obelix" / "all.csv").open(encoding="utf-8-sig") as stream:
        for row in csv.DictReader(stream):
            rows[row["ID"]] = (math.log10(float(row["Ionic conductivity (S cm-1)"].lstrip("<"))), row["DOI"])
    return rows


def log(x: float) -> float:
    return math.log10(x) if x > 0.0 else -200.0


def finite(x: float) -> float:
    return x if math.isfinite(x) else WORST


def polycrystal(tensor: np.ndarray) -> float:
    """Effective isotropic value of randomly turned grains (Bruggeman, spherical grains)."""
    main = np.maximum(np.linalg.eigvalsh(tensor), 0.0)
    low, high = main.min(), main.max()
    for _ in range(200):
        middle = 0.5 * (low + high)
        total = sum((m - middle) / (m + 2.0 * middle) for m in main) if middle > 0 else 1.0
        low, high = (middle, high) if total > 0 else (low, middle)
    return 0.5 * (low + high)


def descriptors(structure: Structure) -> dict[str, float]:
    """Everything the landscape says about one crystal, as numbers."""
    found = percolation(structure)
    network = build_network(found)
    energies = np.array([site.energy for site in network.sites])
    ions = float(structure.composition.element_composition["Li"])
    filled = min(ions, 0.95 * len(energies))
    lone, blocked = diffusivity(network), diffusivity(network, ions=filled)
    per_cm3 = ions / structure.volume * 1e24
    conductance = per_cm3 * constants.e / (constants.k * 300.0 / constants.e)  # of D in cm^2/s, S/cm
    return {
        **{f"barrier_{d}d": finite(b) for d, b in zip((1, 2, 3), found.barriers, strict=True)},
        **{f"level_{d}d": finite(b) for d, b in zip((1, 2, 3), network.levels(), strict=True)},
        "activation_energy": finite(activation_energy(network)),
        "log10_conductivity_lone": log(lone.mean * conductance),
        "log10_conductivity_lone_grains": log(polycrystal(lone.diffusivity) * conductance),
        "log10_conductivity_blocked": log(blocked.mean * conductance),
        "log10_conductivity_blocked_grains": log(polycrystal(blocked.diffusivity) * conductance),
        "activation_energy_blocked": finite(activation_energy(network, ions=filled)),
        **{f"volume_{m:g}kT": share for m, share in accessible_volume(found.field).items()},
        **occupied(structure, found, network),
        **bonding(found, network),
        "site_spread": float(energies.std()),
        "sites_per_ion": len(energies) / ions,
        "lithium_per_cubic_angstrom": ions / structure.volume,
        "imbalance": abs(found.oxidation.imbalance) if found.oxidation else 0.0,
        "ordered": float(structure.is_ordered),
    }


def occupied(structure: Structure, found: Percolation, network: Network) -> dict[str, float]:
    """Energy of the mobile ions where the crystal structure puts them, and how full their sites are."""
    rows = [(s.frac_coords, n) for s in structure for e, n in s.species.items() if e.symbol == "Li"]
    places, share = np.array([r[0] for r in rows]), np.array([r[1] for r in rows])
    energies = network.surface.evaluate(places @ structure.lattice.matrix)[0] - network.reference
    mean = float(np.average(energies, weights=share))
    return {
        "ion_energy_mean": mean,
        "ion_energy_highest": float(energies.max()),
        "level_3d_above_ions": finite(network.levels()[2]) - mean,
        "ion_occupancy": float(np.average(share, weights=share)),
    }


def bonding(found: Percolation, network: Network) -> dict[str, float]:
    """How soft the bonds of the mobile ion are, how curved its lowest well is, and how narrow the bottleneck."""
    frame = found.framework
    soft = [pair(frame.mobile, ion) if ion.charge < 0 else None for ion in frame.ions]
    rows = [(soft[k], w) for k, w in zip(frame.kinds, frame.weights, strict=True) if soft[k] is not None]
    weights = np.array([w for _, w in rows])
    lowest = min(network.sites, key=lambda s: s.energy)
    well = find_stationary(network.surface, lowest.fractional[None] @ network.lattice, saddle=False)
    level = next(v for v in reversed(network.levels()) if math.isfinite(v))
    gate = min(network.hops, key=lambda h: abs(h.energy - level))
    around = [n for n in neighbors(frame, gate.fractional) if n.ion.endswith("-")]
    near = np.mean([n.distance for n in around[:3]]) if around else 3.5
    return {
        "alpha": float(np.average([p.alpha for p, _ in rows], weights=weights)),
        "bond_length": float(np.average([p.r_min for p, _ in rows], weights=weights)),
        "binding_energy": network.reference,
        "well_curvature": float(well.curvatures[0].sum()),
        "softest_curvature": float(well.curvatures[0, 0]),
        "bottleneck_radius": float(near - np.average([p.r_min for p, _ in rows], weights=weights)),
    }


def score(values, target):
    """Spearman and AUC of a descriptor, signed so that a good one has a positive AUC above one half."""
    values, target = np.asarray(values), np.asarray(target)
    rho = float(spearmanr(values, target).statistic)
    sign = 1.0 if rho >= 0 else -1.0
    areas = {f"auc_{t:g}": float(roc_auc_score(target >= math.log10(t) - 1e-9, sign * values)) for t in THRESHOLDS}
    return {"n": len(values), "spearman": round(rho, 3), **{k: round(v, 3) for k, v in areas.items()}}


def cross_validated(table, names, target, groups):
    """Out-of-fold prediction of a random forest; one DOI is never on both sides."""
    matrix = np.array([[row[name] for name in names] for row in table])
    out = np.zeros(len(table))
    for train, test in GroupKFold(10).split(matrix, target, groups):
        model = RandomForestRegressor(200, min_samples_leaf=3, max_features=0.5, random_state=0, n_jobs=1)
        out[test] = model.fit(matrix[train], target[train]).predict(matrix[test])
    return out


def report(rows, truth, extra):
    """All scores as one nested dictionary."""
    known = [key for key in rows if key in truth and "error" not in rows[key]]
    target = np.array([truth[key][0] for key in known])
    groups = np.array([truth[key][1] for key in known])
    table = [rows[key] for key in known]
    names = [n for n in table[0] if n not in ("imbalance", "ordered", "seconds")]
    result = {"coverage": [len(known), sum(k in truth for k in rows)]}
    result["single"] = {name: score([row[name] for row in table], target) for name in names}
    for flag, label in ((1.0, "ordered"), (0.0, "disordered")):
        chosen = [n for n, row in enumerate(table) if row["ordered"] == flag]
        result[label] = {name: score([table[n][name] for n in chosen], target[chosen]) for name in names}
    groups_of = {
        "barriers": [n for n in names if n.startswith(("barrier", "level"))],
        "kinetics": [n for n in names if n.startswith(("activation", "log10"))],
        "volumes": [n for n in names if n.startswith("volume")],
        "bonding": [
            "alpha",
            "bond_length",
            "binding_energy",
            "well_curvature",
            "softest_curvature",
            "bottleneck_radius",
        ],
        "ions": [n for n in names if n.startswith(("ion_", "site", "lithium"))],
    }
    everything = [n for group in groups_of.values() for n in group]
    physics = [n for group in ("barriers", "kinetics", "volumes") for n in groups_of[group]]
    sets = {**groups_of, "barriers, kinetics and volumes": physics, "all": everything}
    sets |= {f"all but {k}": [n for n in everything if n not in group] for k, group in groups_of.items()}
    result["combined"] = {k: score(cross_validated(table, v, target, groups), target) for k, v in sets.items()}
    for label, column in extra.items():
        both = [n for n, key in enumerate(known) if key in column]
        result[f"on the {len(both)} of {label}"] = {
            label: score([column[known[n]] for n in both], target[both]),
            **{name: score([table[n][name] for n in both], target[both]) for name in ("barrier_3d", "barrier_1d",
               "log10_conductivity_lone", "log10_conductivity_blocked", "volume_20kT")},
        }  # fmt: skip
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--reuse", type=Path, help="take the descriptors from an earlier result")
    parser.add_argument("--bvlain", type=Path, help="result of landscape_bvlain.py, to set beside")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    folder = Path(os.environ["IONSMITH_DATA"])
    truth, rows = measured(folder), {}
    if arguments.reuse:
        rows = json.loads(arguments.reuse.read_text())["rows"]
    for key, structure in crystals(folder) if not rows else ():
        start = time.process_time()
        try:
            rows[key] = descriptors(structure)
        except IonsmithError as reason:
            rows[key] = {"error": str(reason)}
        rows[key]["seconds"] = round(time.process_time() - start, 4)
    extra = {}
    if arguments.bvlain:
        done = json.loads(arguments.bvlain.read_text())["rows"]
        extra["bvlain 3-D"] = {k: min(r["bvlain"][2], WORST) for k, r in done.items() if "bvlain" in r}
        extra["bvlain 1-D"] = {k: min(r["bvlain"][0], WORST) for k, r in done.items() if "bvlain" in r}
    result = report(rows, truth, extra)
    result["failures"] = {k: r["error"] for k, r in rows.items() if "error" in r}
    arguments.out.write_text(json.dumps({"result": result, "rows": rows}, indent=1))
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
