"""Imaginary modes of crystals on the hull and of structures known to be unstable, beside an independent program.

    IONSMITH_DATA=<folder of the data sets> python benchmarks/phonon.py FOLDER [--count 30] [--page FILE]

FOLDER keeps every answer, so that a killed run goes on. phonopy (comes with matcalc) checks the frequencies of some.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pymatgen.core import Lattice, Structure

from ionsmith.core.records import Candidate, Kind, Origin
from ionsmith.data.materials_project import load_materials_project
from ionsmith.simulate.ordered import ordered_crystal
from ionsmith.simulate.phonon import DynamicStability, choose_repeats, supercell_modes

ANIONS = {"O", "S", "Se", "F", "Cl", "Br", "I", "N", "P", "H"}
FILES = ("li_binaries", "mp_20_biternary")
MOST = 12  # atoms of a primitive cell
CHECKED = 10  # crystals whose frequencies phonopy repeats
TOLERANCES = (1.0, 0.3)  # THz

_EIGHT = "10.1103/PhysRevLett.74.2587"
# cation A, cation B, anion, edge (angstrom), least supercell (angstrom), where the unstable modes are, source (DOI)
PEROVSKITES = (
    ("Ba", "Ti", "O", 4.00, 5.0, "Gamma", _EIGHT),
    ("K", "Nb", "O", 4.00, 5.0, "Gamma", _EIGHT),
    ("Pb", "Ti", "O", 3.97, 5.0, "Gamma, R", _EIGHT),
    ("Sr", "Ti", "O", 3.905, 5.0, "R", _EIGHT),
    ("Ca", "Ti", "O", 3.85, 5.0, "Gamma, R", _EIGHT),
    ("Na", "Nb", "O", 3.95, 5.0, "Gamma, R", _EIGHT),
    ("Cs", "Pb", "I", 6.29, 5.0, "M, R (not held)", "10.1021/acs.jpclett.7b02423"),
    ("Cs", "Pb", "I", 6.29, 8.0, "M, R", "10.1021/acs.jpclett.7b02423"),
)


def on_hull() -> Iterator[tuple[str, Candidate]]:
    """Lithium compounds on the hull with an anion and a small primitive cell, in an order that a hash fixes."""
    found = {}
    for file in FILES:
        for outcome in load_materials_project(file):
            structure = outcome.candidate.structure
            elements = {element.symbol for element in structure.composition}
            if outcome.values["energy_above_hull"].mean > 1e-6 or "Li" not in elements or not elements & ANIONS:
                continue
            if len(structure.get_primitive_structure()) <= MOST:
                found[structure.composition.reduced_formula] = outcome.candidate
    yield from sorted(found.items(), key=lambda entry: hashlib.sha256(f"phonon:{entry[0]}".encode()).hexdigest())


def unstable() -> Iterator[tuple[str, Candidate, float, str, str]]:
    """Name, crystal, least supercell, wave vectors of its unstable modes and DOI of high-symmetry structures."""
    for a, b, anion, edge, length, where, doi in PEROVSKITES:
        places = [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]
        yield (
            f"{a}{b}{anion}3, Pm-3m",
            _made(Structure(Lattice.cubic(edge), [a, b, *[anion] * 3], places)),
            length,
            where,
            doi,
        )
    fluorite = Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.09), ["Zr", "O"], [[0, 0, 0], [0.25, 0.25, 0.25]])
    yield "ZrO2, Fm-3m", _made(fluorite), 5.0, "X", "10.1103/PhysRevLett.78.4063"
    cell = Lattice.hexagonal(5.15, 13.86)
    places = [[0, 0, 0.25], [0, 0, 0], [0.38, 0, 0.25]]
    high = Structure.from_spacegroup("R-3c", cell, ["Li", "Nb", "O"], places)
    yield "LiNbO3, R-3c", _made(high), 5.0, "Gamma", "arXiv:cond-mat/9902274"


def _made(structure: Structure) -> Candidate:
    return Candidate(Kind.CRYSTAL, structure.get_primitive_structure(), Origin("benchmark", "benchmark:phonon"))


def answered(folder: Path, name: str, candidate: Candidate, length: float, *, check: bool) -> dict[str, Any]:
    """Answer of the simulator, and the largest difference from phonopy; from the folder where it is known."""
    kept = folder / f"{name.replace('/', '_').replace(', ', '-')}-{length:g}.json"
    if kept.exists():
        return json.loads(kept.read_text())
    simulator = DynamicStability(length=length)
    start = time.perf_counter()
    outcome = simulator.run(candidate)
    found = {"seconds": time.perf_counter() - start, "status": outcome.status.value, "note": outcome.note}
    found |= {"details": dict(outcome.details)}
    if check and outcome.details:
        found["phonopy"] = differences(simulator, candidate)
    kept.write_text(json.dumps(found))
    return found


def differences(simulator: DynamicStability, candidate: Candidate) -> tuple[float, float]:
    """Largest difference of our frequencies from phonopy's, THz: from the same displacements, and from its own.

    Its own follow the symmetry and point along lattice vectors; at Gamma both programs then free the shifts.
    """
    from phonopy import Phonopy
    from phonopy.structure.atoms import PhonopyAtoms

    relaxed = simulator._relax(ordered_crystal(candidate, max_sites=simulator.max_atoms)[1])
    repeats = choose_repeats(relaxed, length=simulator.length, max_atoms=simulator.max_atoms)
    seen: list[np.ndarray] = []

    def recorded(structure: Structure) -> np.ndarray:
        seen.append(simulator._forces(structure))
        return seen[-1]

    ours = supercell_modes(relaxed, repeats, recorded, displacement=simulator.displacement)
    cell = PhonopyAtoms(
        symbols=[site.specie.symbol for site in relaxed],
        cell=relaxed.lattice.matrix,
        scaled_positions=relaxed.frac_coords,
        masses=[float(site.specie.atomic_mass) for site in relaxed],
    )

    def frequencies(other: Phonopy) -> np.ndarray:
        other.run_qpoints(ours.points)
        return np.sort(np.asarray(other.get_qpoints_dict()["frequencies"]), axis=1)

    same = Phonopy(
        cell, supercell_matrix=np.diag(repeats), primitive_matrix=np.eye(3), is_symmetry=False, log_level=0
    )
    same.dataset = _dataset(same.supercell, len(relaxed), simulator.displacement, seen, repeats)
    same.produce_force_constants()
    apart = np.abs(frequencies(same) - ours.frequencies)[1:].max(initial=0.0)  # at Gamma we free the shifts
    own = Phonopy(cell, supercell_matrix=np.diag(repeats), primitive_matrix=np.eye(3), log_level=0, symprec=1e-2)
    own.generate_displacements(distance=simulator.displacement, is_plusminus=True)
    own.forces = [
        simulator._forces(Structure(s.cell, s.symbols, s.scaled_positions)) for s in own.supercells_with_displacements
    ]
    own.produce_force_constants()
    own.symmetrize_force_constants()
    return float(apart), float(np.abs(frequencies(own) - ours.frequencies).max())


def _dataset(supercell: Any, size: int, displacement: float, seen: list[np.ndarray], repeats: Any) -> dict[str, Any]:
    """Our displacements and forces in phonopy's order of atoms (every atom with all its copies together)."""
    count = int(np.prod(repeats))
    cells = np.array([(i, j, k) for i in range(repeats[0]) for j in range(repeats[1]) for k in range(repeats[2])])
    basis = supercell.scaled_positions[::count] * np.array(repeats)
    ours = ((basis[None] + cells[:, None]) / np.array(repeats)).reshape(-1, 3)
    away = supercell.scaled_positions[:, None] - ours[None]
    order = np.linalg.norm(away - np.round(away), axis=2).argmin(axis=1)
    rows = []
    for number, forces in enumerate(seen):
        atom, axis, sign = number // 6, number // 2 % 3, 1.0 - 2.0 * (number % 2)
        vector = np.zeros(3)
        vector[axis] = sign * displacement
        rows.append({"number": atom * count, "displacement": vector, "forces": forces[order]})
    return {"natom": size * count, "first_atoms": rows}


def gamma(found: dict[str, Any], tolerance: float) -> int:
    return sum(frequency < -tolerance for frequency in found["details"]["gamma"])


def anywhere(found: dict[str, Any], tolerance: float) -> bool:
    return found["details"]["lowest"] < -tolerance


def row(name: str, found: dict[str, Any], *more: str) -> str:
    details = found["details"]
    if not details:
        return f"| {name} | - | - | - | - | {found['seconds']:.0f} | {' | '.join([*more, found['note']])} |"
    softest = details["points"][int(np.argmin(details["lowest_by_point"]))]
    where = "Gamma" if not any(softest) else " ".join(f"{x:g}" for x in softest)
    repeats = " x ".join(str(n) for n in details["repeats"])
    lowest = f"{details['gamma'][0]:.2f} | {details['lowest']:.2f} at {where}"
    checked = ""
    if "phonopy" in found:
        checked = "phonopy: {:.0e}, {:.2f} THz".format(*found["phonopy"])
    return f"| {name} | {details['atoms']} | {repeats} | {lowest} | {found['seconds']:.0f} | " + (
        " | ".join([*more, checked]) + " |"
    )


def summary(hull: dict[str, dict[str, Any]], controls: list[tuple[str, str, dict[str, Any]]]) -> list[str]:
    known = [found for found in hull.values() if found["details"]]
    lines = [f"On the hull: {len(hull)} crystals, {len(known)} with an answer."]
    for tolerance in TOLERANCES:
        here = sum(gamma(found, tolerance) > 0 for found in known)
        somewhere = sum(anywhere(found, tolerance) for found in known)
        caught = sum(anywhere(found, tolerance) for _, _, found in controls if found["details"])
        lines.append(
            f"Modes below -{tolerance:g} THz: {here} of {len(known)} on the hull at Gamma, {somewhere} at any wave "
            f"vector; {caught} of {len(controls)} known unstable at any wave vector."
        )
    seconds = [found["seconds"] for found in hull.values()]
    lines.append(f"Time per crystal on the hull: median {np.median(seconds):.0f} s, longest {max(seconds):.0f} s.")
    apart = [found["phonopy"] for found in hull.values() if "phonopy" in found]
    if apart:
        same, own = np.array(apart).T
        lines.append(
            f"phonopy on {len(apart)} crystals: from the same displacements within {same.max():.0e} THz off Gamma; "
            f"from its own displacements within {np.median(own):.2f} THz (median), {own.max():.2f} THz at most."
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="answers; what is there is not repeated")
    parser.add_argument("--count", type=int, default=30, help="crystals on the hull")
    parser.add_argument("--page", type=Path, help="write the tables there")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    options.folder.mkdir(parents=True, exist_ok=True)
    controls, lines = [], []
    for name, candidate, length, where, doi in unstable():
        found = answered(options.folder, name, candidate, length, check=False)
        controls.append((name, where, found))
        lines.append(row(name, found, where, doi))
        print(lines[-1], flush=True)
    hull = {}
    for name, candidate in list(on_hull())[: options.count]:
        hull[name] = answered(options.folder, name, candidate, 5.0, check=len(hull) < CHECKED)
        print(row(name, hull[name]), flush=True)
    said = "\n".join(summary(hull, controls))
    print(said)
    if options.page:
        head = "atoms | supercell | lowest at Gamma, THz | lowest that is not acoustic, THz | s"
        first = [f"| structure | {head} | known unstable at | source | note |", "| --- " * 9 + "|", *lines]
        second = [f"| crystal | {head} | note |", "| --- " * 7 + "|", *(row(n, f) for n, f in hull.items())]
        options.page.write_text("\n".join([said, "", *first, "", *second, ""]))


if __name__ == "__main__":
    main()
