"""The one door through which a crystal enters: rebuilt plain from its sites, checked, or refused with one line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike
from pymatgen.core import DummySpecies, Element, Lattice, Species, Structure, get_el_sp

from ionsmith.core.errors import InputError
from ionsmith.core.records import FloatArray
from ionsmith.io.entry import PARSE_ERRORS

OVERFULL = 1.02  # sites that hold up to this much are refinements rounded up, and are rescaled to one
SPLIT_OVERFULL = 1.1  # the same for two split sites that cannot both be filled
_FULL = 1.0 + 1e-6
_EMPTIEST = 1e-4  # occupancy below which nothing is there
_SPARSEST = 1000.0  # cubic angstrom per site; crystals have 5 to 60
_ISOTOPES = {"D": "H", "T": "H"}


@dataclass(frozen=True)
class ReadLimits:
    """What a reader refuses rather than hand on to hours of computing.

    Attributes:
        max_sites: most sites of one crystal, split and mixed sites counted once each.
        max_hits: most rows taken from one Materials Project or OPTIMADE query.
        min_distance: closest that two atoms may be, angstrom.
    """

    max_sites: int = 500
    max_hits: int = 2000
    min_distance: float = 0.5

    def __post_init__(self) -> None:
        """Refuse limits that nothing could pass.

        Raises:
            InputError: a count below one, or a negative distance.
        """
        if self.max_sites < 1 or self.max_hits < 1 or not self.min_distance >= 0.0:
            raise InputError(
                f"expected max_sites and max_hits of at least 1 and min_distance of at least 0, "
                f"got {self.max_sites}, {self.max_hits} and {self.min_distance}"
            )


def make_crystal(
    cell: ArrayLike, occupants: Sequence[Mapping[str, float]], *, positions: ArrayLike, limits: ReadLimits
) -> tuple[Structure, tuple[str, ...]]:
    """Return a crystal without site properties, and notes on what was put right.

    Args:
        cell: lattice vectors as rows, angstrom; shape (3, 3).
        occupants: per site, species label (``Li``, ``S2-``) to occupancy.
        positions: fractional coordinates; shape (n, 3).
        limits: what to refuse.

    Raises:
        InputError: too many or no sites, coordinates that are not finite, a cell without volume, an unknown
            element, an impossible occupancy, or overlapping atoms.
    """
    check_count(len(occupants), limits)
    matrix = np.asarray(cell, dtype=float)
    places = np.asarray(positions, dtype=float)
    _check_numbers(matrix, places, [next(iter(site), "empty") for site in occupants])
    notes: list[str] = []
    sites = [_occupancy(site, index, notes) for index, site in enumerate(occupants)]
    keep = [index for index, site in enumerate(sites) if site]
    if not keep:
        raise InputError("expected a crystal with atoms, got only empty sites")
    structure = Structure(
        Lattice(matrix), _plain_if_uncharged([sites[i] for i in keep]), places[keep], to_unit_cell=True
    )
    notes += _check_distances(structure, limits.min_distance)
    return structure, tuple(dict.fromkeys(notes))


def recheck(structure: Structure, *, limits: ReadLimits) -> tuple[Structure, tuple[str, ...]]:
    """Return :func:`make_crystal` of a structure that some parser made.

    Args:
        structure: what the parser made.
        limits: what to refuse.

    Raises:
        InputError: see :func:`make_crystal`.
    """
    occupants = [{str(species): float(n) for species, n in site.species.items()} for site in structure]
    return make_crystal(structure.lattice.matrix, occupants, positions=structure.frac_coords, limits=limits)


def check_count(sites: int, limits: ReadLimits) -> None:
    """Refuse a crystal by its number of sites alone.

    Args:
        sites: number of sites.
        limits: what to refuse.

    Raises:
        InputError: no sites, or more than the limit.
    """
    if sites == 0:
        raise InputError("expected a crystal with atoms, got no atom sites")
    if sites > limits.max_sites:
        raise InputError(f"{sites} sites, limit {limits.max_sites} (--max-sites)")


@lru_cache(maxsize=4096)
def species(label: str) -> Element | Species:
    """Return the element or ion that a label names; heavy hydrogen is hydrogen.

    Args:
        label: ``Li``, ``Li+``, ``S2-``, ``Fe2.5+``, ``D``.

    Raises:
        InputError: no such element.
    """
    text = label.strip()
    head = text.rstrip("+-.0123456789")
    text = _ISOTOPES.get(head, head) + text[len(head) :]
    try:
        found = get_el_sp(text)
    except PARSE_ERRORS:
        found = None
    if not isinstance(found, Element | Species) or isinstance(found, DummySpecies):
        raise InputError(f"unknown element {label!r}")
    return found


def _check_numbers(matrix: FloatArray, places: FloatArray, labels: Sequence[str]) -> None:
    if matrix.shape != (3, 3) or not np.isfinite(matrix).all():
        raise InputError("expected three finite cell vectors, got a cell with missing or infinite numbers")
    if places.shape != (len(labels), 3):
        raise InputError(f"expected {len(labels)} positions of three numbers, got an array of shape {places.shape}")
    wrong = np.flatnonzero(~np.isfinite(places).all(axis=1))
    if len(wrong):
        raise InputError(
            f"expected finite coordinates, got NaN or infinity at site {wrong[0] + 1} ({labels[wrong[0]]})"
        )
    volume = abs(float(np.linalg.det(matrix)))
    if volume < 1e-3:
        raise InputError(f"expected a cell with a volume, got {volume:.3g} cubic angstrom")
    if volume > _SPARSEST * len(labels):
        raise InputError(
            f"expected at most {_SPARSEST:g} cubic angstrom per site, got {volume / len(labels):.3g}: not a crystal"
        )


def _occupancy(site: Mapping[str, float], index: int, notes: list[str]) -> dict[Element | Species, float]:
    found: dict[Element | Species, float] = {}
    for label, amount in site.items():
        if not (np.isfinite(amount) and amount >= 0.0):
            raise InputError(f"expected an occupancy of at least zero, got {amount} for {label} at site {index + 1}")
        try:
            ion = species(label)
        except InputError as error:
            raise InputError(f"{error} at site {index + 1}") from None
        if label.strip().rstrip("+-.0123456789") in _ISOTOPES:
            notes.append(f"{label} read as H")
        if amount >= _EMPTIEST:
            found[ion] = found.get(ion, 0.0) + float(amount)
    total = sum(found.values())
    if total > OVERFULL:
        raise InputError(f"expected occupancies that sum to 1 or less, got {total:.4g} at site {index + 1}")
    if total > _FULL:
        notes.append(f"occupancies that sum to {total:.4g} rescaled to 1")
    return {ion: amount / max(total, 1.0) for ion, amount in found.items()}


def _plain_if_uncharged(sites: list[dict[Element | Species, float]]) -> list[dict[Element | Species, float]]:
    """Drop oxidation states where all are zero: the file's way of not giving any."""
    if any(getattr(ion, "oxi_state", None) for site in sites for ion in site):
        return sites
    return [{Element(ion.symbol): amount for ion, amount in site.items()} for site in sites]


def _check_distances(structure: Structure, closest: float) -> list[str]:
    thinnest = min(1.0 / length for length in structure.lattice.reciprocal_lattice_crystallographic.abc)
    if thinnest < closest:
        raise InputError(f"expected a cell at least {closest:g} angstrom thick, got {thinnest:.3g}")
    first, second, _, distance = structure.get_neighbor_list(closest, exclude_self=True)
    filled = np.array([site.species.num_atoms for site in structure])
    notes = []
    for k in np.argsort(distance, kind="stable"):
        i, j = int(first[k]), int(second[k])
        together = filled[i] + filled[j]
        both_partial = max(filled[i], filled[j]) < 1.0 - 1e-6
        if together > (SPLIT_OVERFULL if both_partial else _FULL):
            raise InputError(
                f"overlapping atoms: {structure[i].species_string} and {structure[j].species_string} at sites "
                f"{min(i, j) + 1} and {max(i, j) + 1} are {distance[k]:.2f} angstrom apart, limit {closest:g}"
            )
        if together > _FULL:
            notes.append(f"split sites {distance[k]:.1f} angstrom apart together hold up to {together:.3g} atoms")
    return notes
