"""Compares electrochemical windows with published DFT values.

    python benchmarks/window.py [--page FILE]
    IONSMITH_DATA=<folder of the data sets> python benchmarks/window.py --supplement

``--supplement`` rebuilds the table of phases that the reference hull lacks: stable compounds of the structure files
(DFT), and missing crystals of the built-in library and ZrCl4, relaxed with CHGNet (some minutes).
"""

import argparse
import logging
from datetime import date
from pathlib import Path

import numpy as np
from pymatgen.core import Composition

from ionsmith.core.records import Candidate, Kind, Origin
from ionsmith.data.library import load_library
from ionsmith.simulate import window_build as b
from ionsmith.simulate.relax import Relaxation
from ionsmith.simulate.window import ElectrochemicalWindow
from ionsmith.thermodynamics.phases import HullTable

ZHU = "10.1021/acsami.5b07517"
WANG = "10.1002/anie.201901938"
PUBLISHED = (  # formula, reduction, oxidation (V vs Li/Li+; None: not stated), source, whether the number is doubtful
    ("Li3PS4", 1.71, 2.31, ZHU, ""),
    ("Li10GeP2S12", 1.71, 2.14, ZHU, ""),
    ("Li6PS5Cl", 1.71, 2.01, ZHU, ""),
    ("Li7P3S11", 2.28, 2.31, ZHU, ""),
    ("Li7La3Zr2O12", 0.05, 2.91, ZHU, ""),
    ("Li1.3Al0.3Ti1.7(PO4)3", 2.17, 4.21, ZHU, ""),
    ("Li1.5Al0.5Ge1.5(PO4)3", 2.70, 4.27, ZHU, ""),
    ("Li0.33La0.56TiO3", 1.75, 3.71, ZHU, ""),
    ("Li3.5Zn0.25GeO4", 1.44, 3.39, ZHU, ""),
    ("Li2PO2N", 0.68, 2.63, ZHU, ""),
    ("Li2S", None, 2.01, ZHU, ""),
    ("LiCl", None, 4.25, ZHU, ""),
    ("LiF", None, 6.36, ZHU, ""),
    ("Li2O", None, 2.91, ZHU, ""),
    ("Li3N", 0.0, 0.44, ZHU, ""),
    ("LiI", None, 2.91, ZHU, "doubtful: half the formation energy of LiI with these corrections is 2.47 V"),
    ("Li3YCl6", 0.62, 4.21, WANG, "from memory, not checked in print"),
    ("Li3YBr6", 0.59, 3.15, WANG, "from memory, not checked in print"),
    ("Li3InCl6", 2.38, 4.30, WANG, "from memory, not checked in print"),
    ("Li3ScCl6", 0.91, 4.26, WANG, "from memory, not checked in print"),
    ("Li2ZrCl6", 1.75, 4.25, "", "from memory, source not checked"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--supplement", action="store_true", help="rebuild the shipped supplement")
    parser.add_argument("--page", type=Path, help="write the page of results there")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if arguments.supplement:
        supplement()
        return
    page = render()
    print(page)
    if arguments.page:
        arguments.page.write_text(page, encoding="utf-8")


def supplement():
    table = HullTable.shipped()
    structures = b.missing_from_structures(table)
    held = {row.composition.reduced_formula for row in structures}
    relax, outcomes = Relaxation(), []
    for candidate in [b.zirconium_chloride(), *load_library()]:
        whole = all(abs(n - round(n)) < 1e-3 for n in candidate.composition.values())
        missing = table.known(candidate.composition) is None and candidate.composition.reduced_formula not in held
        if whole and missing:
            outcomes.append(relax.run(candidate))
            logging.info("%s: %s %s", candidate.formula, outcomes[-1].status, outcomes[-1].note)
    relaxed = b.missing_from_relaxed(outcomes, table, structures)
    for row in relaxed:
        above = table.energy_above_hull(row.composition, row.energy).energy_above_hull
        logging.info("%s: %.4f eV/atom, %.4f above the table", row.composition.reduced_formula, row.energy, above)
    b.save_supplement(
        [*structures, *relaxed], metrics={"from_structure_files": len(structures), "from_relaxations": len(relaxed)}
    )


def render():
    default, newest = ElectrochemicalWindow(), ElectrochemicalWindow(corrections="2020")
    rows, lines, errors = [], [], {"2015": [], "2020": []}
    sure, interfaces = [], []
    for text, reduction, oxidation, source, doubt in PUBLISHED:
        candidate = Candidate(Kind.COMPOSITION, Composition(text), Origin("benchmark", text))
        found = {name: window.run(candidate) for name, window in (("2015", default), ("2020", newest))}
        mine = {name: [f.values[q].mean for q in default.provides] for name, f in found.items()}
        for name in errors:
            pairs = zip(mine[name], (reduction, oxidation), strict=True)
            apart = [abs(own - published) for own, published in pairs if published is not None]
            errors[name] += apart
            sure += apart if name == "2015" and not doubt else []
        details = found["2015"].details
        basis = details["energy_source"]
        cells = [f"{low:.2f} to {high:.2f}" for low, high in (mine["2015"], mine["2020"])]
        published = f"{'' if reduction is None else f'{reduction:.2f}'} to {oxidation:.2f}"
        rows.append(f"| {text} | {published} | {cells[0]} | {cells[1]} | {basis} | {source} {doubt} |\n")
        lines.append(f"| {text} | {details['reduction']['reaction']} | {details['oxidation']['reaction']} |\n")
        for each in details["interfaces"][:2] if len(interfaces) < 12 else ():
            interfaces.append(f"| {text} | {each['with']} | {each['energy']:.3f} | {each['reaction']} |\n")
    return HEAD.format(
        date=date.today().isoformat(),
        mae=np.mean(errors["2015"]),
        worst=np.max(errors["2015"]),
        count=len(errors["2015"]),
        sure=np.mean(sure),
        surely=len(sure),
        newest=np.mean(errors["2020"]),
        rows="".join(rows),
        lines="".join(lines),
        interfaces="".join(interfaces),
    )


HEAD = """# Electrochemical windows

Measured on {date} with

    python benchmarks/window.py --page docs/benchmarks/window.md

Bare formulas against published DFT windows. Mean absolute error over all {count} limits **{mae:.3f} V** (largest
{worst:.2f} V); over the {surely} limits that are not marked doubtful or unchecked {sure:.3f} V; with
`corrections="2020"` {newest:.3f} V.

What to keep in mind:

- Published windows from 2015 on rest on Materials Project energies of that time, without a correction for sulfides.
  `corrections="2015"` (the default) is that scale, so agreement here tests the method and the completeness of the
  table more than nature: Li2S oxidises at 2.01 V on it and was measured at 2.24 V; with the corrections of 2020 it
  is 2.26 V to sulfur (2.14 V to a spurious polysulfide). Both scales are in the details of every result.
- Our own hull holds these very compounds and their decomposition products from the same DFT source as the papers.
- A random sample of the compounds is missing from the hull table. The supplement adds stable compounds of the
  structure files that it lacks (TiO2, Al2O3, AlPO4, CO2, Li4P2O7 ...; DFT) and crystals that we relaxed with CHGNet
  (listed in its card). Where a compound that matters is still missing, windows come out wrong without a warning.
- A metastable material is put on the hull (`energy_source` is `hull`), the published convention; with
  `convention="strict"` it is refused. Temperature, entropy and kinetics are left out.
- Formulas with rounded amounts (Li0.33La0.56TiO3 is not charge-balanced) are taken at the widest window within
  0.3 % of their atoms.

| formula | published, V | corrections 2015, V | corrections 2020, V | energy from | source |
| --- | --- | --- | --- | --- | --- |
{rows}
## Reactions at the limits (corrections of 2015)

| formula | reduction | oxidation |
| --- | --- | --- |
{lines}
## Reactions with electrodes

Strongest reaction over all mixing ratios, eV per atom of the mixture.

| formula | with | energy | reaction |
| --- | --- | --- | --- |
{interfaces}"""


if __name__ == "__main__":
    main()
