"""The crystals of OBELiX: the refined sites of half of its entries, hung on their rows where both agree."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from types import MappingProxyType

from pymatgen.core import Composition, Lattice, Structure
from pymatgen.io.cif import CifParser

from ionsmith.core.crystals import CRYSTAL_FACT, crystal_facts
from ionsmith.core.errors import DataError
from ionsmith.core.records import Candidate, Outcome
from ionsmith.data.obelix import CARD

_MOST_SHIFT = 0.1  # sum of |difference of atomic fractions| between file and row
_VOLUME = (0.9, 1.1)  # volume per atom in the file over that of the row
_OVERFULL = 1.05  # rounded occupancies may add up to this


def with_crystals(outcomes: Sequence[Outcome]) -> tuple[Outcome, ...]:
    """Return the outcomes with their measured crystals as the fact ``crystal``, where a file agrees with its row.

    The coordinates in the files are slightly randomised by their authors, with the symmetry kept. A file whose
    atomic fractions differ from the row's by more than 0.1 in sum (lithium that was not refined, another compound)
    or whose volume per atom differs by more than a tenth is not believed.

    Args:
        outcomes: rows of :func:`ionsmith.data.obelix.load_obelix`.

    Raises:
        DataError: the archive is absent or damaged, or a file in it is no crystal.
    """
    with zipfile.ZipFile(CARD.path("cifs")) as archive:
        members = {name.rsplit("/", 1)[-1].removesuffix(".cif"): name for name in archive.namelist()}
        return tuple(_with_crystal(outcome, archive, members) for outcome in outcomes)


def _with_crystal(outcome: Outcome, archive: zipfile.ZipFile, members: dict[str, str]) -> Outcome:
    candidate = outcome.candidate
    entry = str(candidate.source.facts["id"])
    if entry not in members:
        return outcome
    structure = read_crystal(archive.read(members[entry]).decode(), entry)
    if not agrees(structure, candidate):
        return outcome
    facts = MappingProxyType({**candidate.source.facts, CRYSTAL_FACT: crystal_facts(structure)})
    return replace(outcome, candidate=replace(candidate, source=replace(candidate.source, facts=facts)))


def read_crystal(text: str, entry: str) -> Structure:
    """Return the crystal of a file, in the cell that the file states.

    Args:
        text: content of the file.
        entry: ID, for the message.

    Raises:
        DataError: no crystal in the text.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of rounded coordinates and formulas that leave vacancies out
            parser = CifParser.from_str(text, occupancy_tolerance=_OVERFULL)
            return parser.parse_structures(primitive=False)[0]
    except (ArithmeticError, AssertionError, LookupError, ValueError) as error:  # as the parser happens to end
        raise DataError(f"obelix: entry {entry}: expected a crystal in its file: {error}") from error


def agrees(structure: Structure, row: Candidate) -> bool:
    """Return whether a crystal is the material of a row; see :func:`with_crystals`.

    Args:
        structure: from the file.
        row: composition with the fact ``cell``.
    """
    mine, theirs = (_fractions(material) for material in (structure.composition, row.composition))
    shift = sum(abs(mine.get(name, 0.0) - theirs.get(name, 0.0)) for name in mine.keys() | theirs.keys())
    cell = row.source.facts["cell"]
    lattice = Lattice.from_parameters(*(cell[name] for name in ("a", "b", "c", "alpha", "beta", "gamma")))
    ratio = structure.volume / structure.composition.num_atoms * row.composition.num_atoms / lattice.volume
    return bool(shift <= _MOST_SHIFT and _VOLUME[0] <= ratio <= _VOLUME[1])


def _fractions(composition: Composition) -> dict[str, float]:
    amounts = composition.element_composition
    return {element.symbol: float(amount) / float(amounts.num_atoms) for element, amount in amounts.items()}
