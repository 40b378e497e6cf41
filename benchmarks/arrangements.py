"""How to read the ordered approximant of a conductor: as if it had been refined, or by its formula alone.

Run: IONSMITH_DATA=... python benchmarks/arrangements.py [--largest 120]

The rows of the official test half of OBELiX that come with a believable file, and the shipped conductivity model,
which has seen none of them. Every disordered crystal is turned into its ordered approximant; "as refined" hands the
model the approximant's cell and space group as if they had been measured, which is what it did with the inventions
of generators before 25 November 2026.
"""

from __future__ import annotations

import argparse
import warnings
import zipfile

import numpy as np
from pymatgen.core import Structure
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

from ionsmith.core.errors import IonsmithError
from ionsmith.core.records import Candidate, Kind, Origin, Outcome
from ionsmith.data.obelix import CARD, load_obelix
from ionsmith.data.obelix_crystals import agrees, read_crystal
from ionsmith.io.ordering import order_candidate
from ionsmith.predict.conductivity import QUANTITY, ConductivityModel
from ionsmith.represent.cell import CELL_FACT, SYMMETRY_TOLERANCE, cell_facts

READINGS = ("measured crystal", "approximant as refined", "approximant, shipped", "formula")


def as_refined(structure: Structure) -> Candidate:
    """Return what a row of a table would say of a crystal: composition, cell and space group."""
    bare = structure.copy()
    bare.remove_oxidation_states()
    found = SpacegroupAnalyzer(bare, symprec=SYMMETRY_TOLERANCE)
    cell = found.get_conventional_standard_structure()
    facts = cell_facts(cell.lattice.abc, cell.lattice.angles, space_group=found.get_space_group_number())
    return Candidate(Kind.COMPOSITION, cell.composition, Origin("approximant", facts={CELL_FACT: facts}))


def readings(outcome: Outcome, structure: Structure, largest: int) -> list[Candidate]:
    """Return the four readings of one disordered material."""
    crystal = Candidate(Kind.CRYSTAL, structure, Origin("file"))
    ordered = order_candidate(crystal, max_sites=largest)
    formula = Candidate(Kind.COMPOSITION, outcome.candidate.composition, Origin("formula"))
    return [crystal, as_refined(ordered.structure), ordered, formula]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--largest", type=int, default=120, help="atoms of an approximant")
    largest = parser.parse_args().largest
    warnings.filterwarnings("ignore")
    model, told, asked = ConductivityModel.load(), [], []
    with zipfile.ZipFile(CARD.path("cifs")) as archive:
        members = {name.rsplit("/", 1)[-1].removesuffix(".cif"): name for name in archive.namelist()}
        for outcome in load_obelix("test"):
            entry = str(outcome.candidate.source.facts["id"])
            if entry not in members:
                continue
            structure = read_crystal(archive.read(members[entry]).decode(), entry)
            if structure.is_ordered or not agrees(structure, outcome.candidate):
                continue
            try:
                asked += readings(outcome, structure, largest)
            except IonsmithError as reason:
                print(f"{entry} {structure.composition.reduced_formula}: {reason}")
                continue
            told.append(outcome.values[QUANTITY].mean)
    found = model.predict(asked)
    error = found.mean.reshape(-1, len(READINGS)) - np.array(told)[:, None]
    inside = found.in_domain.reshape(error.shape)
    print(f"{len(told)} kept-out disordered conductors, log10 S/cm")
    print(
        "| reading | mean absolute error | mean error | median error | in domain |\n| --- | --- | --- | --- | --- |"
    )
    for column, name in enumerate(READINGS):
        each = error[:, column]
        figures = f"{np.abs(each).mean():.2f} | {each.mean():+.2f} | {np.median(each):+.2f}"
        print(f"| {name} | {figures} | {inside[:, column].mean():.2f} |")


if __name__ == "__main__":
    main()
