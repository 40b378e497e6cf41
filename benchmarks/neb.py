"""Migration barriers of lithium compounds beside published DFT barriers; results are kept in a folder."""

from __future__ import annotations

import argparse
import json
import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from pymatgen.core import Structure

from ionsmith.core.records import Candidate, Kind, Origin
from ionsmith.data.library import load_library
from ionsmith.data.materials_project import CARD as STRUCTURES
from ionsmith.data.migration import load_barriers
from ionsmith.simulate.neb import MigrationBarrier

# published system, structure (library name or Materials Project id), and elements to exchange before relaxation.
# The rule for the path, fixed before any barrier was computed: a compound with one published path is compared with
# the lowest barrier that percolates in one dimension.
# Structures that we do not hold are made by exchanging elements in one of the same type: olivine from LiInSiO4,
# R-3m layers from LiTiS2, NASICON from LiTi2(PO4)3, antiperovskite from Li3OCl; then cell and atoms are relaxed.
OLIVINE, LAYERS, NASICON, ANTIPEROVSKITE = "mp-7205", "mp-1001784", "library:ltp", "library:li3ocl"
CASES = (
    ("Li3OCl_1", ANTIPEROVSKITE, {}),
    ("LiCoO2_1", LAYERS, {"Ti": "Co", "S": "O"}),
    ("LiGe2P3O12", "library:lgp", {}),
    ("LiTi2P3O12", NASICON, {}),
    ("LiMn2O4", "mp-22584", {}),
    ("LiInSiO4", OLIVINE, {}),
    ("LiTiS2", "mp-755414", {}),
    ("O-LiFePO4", OLIVINE, {"In": "Fe", "Si": "P"}),
    ("LiNiO2_1", LAYERS, {"Ti": "Ni", "S": "O"}),
    ("Li3OBr_1", ANTIPEROVSKITE, {"Cl": "Br"}),
    ("LiCo2O4", "mp-25383", {}),
    ("LiMgPO4", OLIVINE, {"In": "Mg", "Si": "P"}),
    ("LiZr2P3O12", NASICON, {"Ti": "Zr"}),
    ("LiScSiO4", OLIVINE, {"In": "Sc"}),
    ("LiNi2O4", "mp-25383", {"Co": "Ni"}),
    ("LiCoS2", "mp-1176776", {}),
    ("LiInGeO4", OLIVINE, {"Si": "Ge"}),
    ("Li3OI", ANTIPEROVSKITE, {"Cl": "I"}),
    ("LiSn2P3O12", "mp-554917", {}),
    ("LiScGeO4", OLIVINE, {"In": "Sc", "Si": "Ge"}),
    ("O-LiMnPO4", OLIVINE, {"In": "Mn", "Si": "P"}),
    ("LiVPO4F_P-1", "mp-25423", {}),
)


def structures() -> dict[str, Structure]:
    import gzip

    found = {c.source.locator: c.structure for c in load_library()}
    wanted = {place for _, place, _ in CASES}
    for name in STRUCTURES.files:
        with gzip.open(STRUCTURES.path(name), "rt", encoding="utf-8") as file:
            for line in file:
                row = json.loads(line)
                if row["material_id"] in wanted and row["material_id"] not in found:
                    lattice = [row[k] for k in ("a", "b", "c", "alpha", "beta", "gamma")]
                    found[row["material_id"]] = _structure(lattice, row)
    return found


def _structure(lattice: list[float], row: dict[str, object]) -> Structure:
    from pymatgen.core import Lattice

    return Structure(Lattice.from_parameters(*lattice), row["species"], row["frac_coords"])


def exchanged(crystal: Structure, exchange: dict[str, str]) -> Structure:
    """Return the crystal after an exchange; the volume follows the bonds where an anion is exchanged.

    Oxygen in the cell of a sulfide would shrink it by more in relaxation than is taken as the same crystal.
    """
    from pymatgen.analysis.structure_prediction.volume_predictor import DLSVolumePredictor

    structure = crystal.copy()
    structure.replace_species(exchange)
    if not {"S", "Cl"} & set(exchange):
        return structure
    before, after = (
        DLSVolumePredictor(min_scaling=None, max_scaling=None).predict(each) for each in (crystal, structure)
    )
    return Structure(
        structure.lattice.scale(structure.volume * after / before), structure.species, structure.frac_coords
    )


def compute(folder: Path, only: list[str], **settings: Any) -> None:
    crystals = structures()
    simulator = MigrationBarrier(scratch=str(folder / "work"), **settings)
    for system, place, exchange in CASES:
        target = folder / f"{system}.json"
        if target.exists() or (only and system not in only):
            continue
        structure = exchanged(crystals[place], exchange)
        begun = time.perf_counter()
        outcome = simulator.run(Candidate(Kind.CRYSTAL, structure, Origin("benchmark", f"{place}:{system}")))
        spent = time.perf_counter() - begun
        details = {k: v for k, v in outcome.details.items() if k != "files"}
        record = {"status": outcome.status.value, "note": outcome.note, "seconds": spent, "details": details}
        target.write_text(json.dumps(record))
        print(system, record["status"], details.get("barriers_eV"), f"{spent:.0f} s", record["note"], flush=True)


def static(folder: Path, name: str, **settings: Any) -> None:
    """Energies of another potential at the images that CHGNet relaxed, and the barrier that follows."""
    from ionsmith.simulate.md_cell import supercell_matrix
    from ionsmith.simulate.md_scratch import kept_cell, scratch_folder
    from ionsmith.simulate.mechanisms import Mechanism, Ways
    from ionsmith.simulate.neb import _levels
    from ionsmith.simulate.neb_run import NebSettings, evaluator, relax_band

    crystals = structures()
    simulator = MigrationBarrier(scratch=str(folder / "work"), **settings)
    label = name.replace(":", ".")
    for system, place, exchange in CASES:
        record, target = folder / f"{system}.json", folder / f"{system}.{label}.json"
        if target.exists() or not record.exists() or json.loads(record.read_text())["status"] != "ok":
            continue
        structure = exchanged(crystals[place], exchange)
        candidate = Candidate(Kind.CRYSTAL, structure, Origin("benchmark", f"{place}:{system}"))
        work = scratch_folder(simulator.scratch, candidate, simulator.fingerprint)
        crystal = kept_cell(work, lambda: (_ for _ in ()).throw(RuntimeError("no relaxed cell")))
        matrix = supercell_matrix(crystal, simulator.min_length)
        bands = []
        ways = Ways.of(crystal, "Li", Mechanism.VACANCY, distance=simulator.distance)
        for number, group in enumerate(ways.classes, start=1):
            defect = ways.defect(group.example, matrix, vacancies=1)
            band = relax_band(
                defect,
                group.example,
                settings=NebSettings(),
                surface=None,
                evaluate=evaluator(defect.atoms, "chgnet"),
                folder=work / f"hop-{number:03d}",
            )
            energies = band.energies.copy()
            near = np.argsort(energies)[-3:]  # the top of the band, and its ends
            places = sorted({0, len(energies) - 1, *near.tolist()})
            energies[places] = evaluator(defect.atoms, name)(band.positions[places])[0]
            others = [n for n in range(len(energies)) if n not in places]
            energies[others] = energies[places].min()
            bands.append((group, replace(band, energies=energies), defect.atoms))
        levels = _levels(ways, bands)
        target.write_text(json.dumps({"1d": levels[0]}))
        print(system, name, levels[0], flush=True)


def table(folder: Path) -> None:
    published = {b.system: b for b in load_barriers()}
    labels = sorted({p.name.split(".", 1)[1].removesuffix(".json") for p in folder.glob("*.*.json")})
    names = " | ".join(f"{label} at these images" for label in labels)
    names = f"{names} | " if names else ""
    head = "| system | structure | hop, A | atoms | ours 1-D, eV | 2-D | 3-D |"
    print(f"{head} {names}DFT | MACE (published) | s | note |")
    print("| --- " * (11 + len(labels)) + "|")
    errors, theirs, pairs = [], [], []
    extra: dict[str, list[tuple[float, float]]] = {label: [] for label in labels}
    for system, place, exchange in CASES:
        target = folder / f"{system}.json"
        if not target.exists():
            continue
        record, known = json.loads(target.read_text()), published[system]
        barriers = record["details"].get("barriers_eV", {})
        hops = record["details"].get("hops", [])
        lengths = ", ".join(f"{h['length_A']:.2f}" for h in hops)
        origin = place.removeprefix("library:") + "".join(f", {a} for {b}" for b, a in exchange.items())
        cells = [f"{barriers[d]:.3f}" if d in barriers else "-" for d in ("1d", "2d", "3d")]
        atoms = record["details"].get("supercell_atoms", "-")
        mace = "-" if known.mace is None else f"{known.mace:.3f}"
        for label in labels:
            other = folder / f"{system}.{label}.json"
            cells.append(f"{json.loads(other.read_text())['1d']:.3f}" if other.exists() else "-")
            if other.exists():
                extra[label].append((json.loads(other.read_text())["1d"], known.barrier))
        print(
            f"| {system} | {origin} | {lengths} | {atoms} | {' | '.join(cells)} | {known.barrier:.3f} | {mace} | "
            f"{record['seconds']:.0f} | {record['note']} |"
        )
        if "1d" in barriers:
            errors.append(barriers["1d"] - known.barrier)
            theirs.append(np.nan if known.mace is None else known.mace - known.barrier)
            pairs.append((barriers["1d"], known.barrier))
    e, m = np.array(errors), np.array(theirs)
    print(
        f"\n{len(e)} compounds with an answer: mean absolute error {np.abs(e).mean():.3f} eV, median "
        f"{np.median(np.abs(e)):.3f}, mean error {e.mean():+.3f}, root mean square {np.sqrt((e**2).mean()):.3f}; "
        f"MACE of the publication on the same rows: {np.nanmean(np.abs(m)):.3f}"
    )
    _corrected(np.array(pairs))
    for label, both in extra.items():
        values = np.array(both)
        error = np.abs(values[:, 0] - values[:, 1]).mean()
        print(f"{label}, {len(values)} compounds: mean absolute error {error:.3f} eV")
        _corrected(values)


def _corrected(pairs: np.ndarray) -> None:
    """Leave one compound out: a shift or a factor fitted on the others, applied to the one left out."""
    ours, known = pairs.T
    shifted, scaled, same = [], [], []
    for n in range(len(ours)):
        a, b = np.delete(ours, n), np.delete(known, n)
        shifted.append(abs(ours[n] + float(np.median(b - a)) - known[n]))
        scaled.append(abs(ours[n] * float((a @ b) / (a @ a)) - known[n]))
        same.append(abs(float(b.mean()) - known[n]))
    print(
        f"fitted on the other compounds each time: median shift ({np.median(known - ours):+.3f} eV over all) mean "
        f"absolute error {np.mean(shifted):.3f} eV; one factor {np.mean(scaled):.3f} eV; the mean of the others as "
        f"answer {np.mean(same):.3f} eV"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="results and checkpoints; finished compounds are not repeated")
    parser.add_argument("--potential", default="chgnet", help="as in the Spec")
    parser.add_argument("--distance", type=float, default=3.7, help="longest hop, angstrom (raised to percolate)")
    parser.add_argument("--min-length", type=float, default=7.5, help="vacancy to its image, angstrom")
    parser.add_argument("--only", nargs="*", default=[], help="published systems to compute")
    parser.add_argument("--static", default="", help="another potential at the relaxed images")
    parser.add_argument("--table", action="store_true", help="only print what is finished")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    options.folder.mkdir(parents=True, exist_ok=True)
    settings = {"potential": options.potential, "distance": options.distance, "min_length": options.min_length}
    if options.static:
        static(options.folder, options.static, **settings)
    elif not options.table:
        compute(options.folder, options.only, **settings)
    table(options.folder)
