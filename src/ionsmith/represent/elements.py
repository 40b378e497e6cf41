"""Frozen facts about the elements that composition features are made of: one shipped table, and how it was made."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from pymatgen.core import Element

from ionsmith.core.records import BoolArray, FloatArray
from ionsmith.represent.element_data import ROWS

LAST = 96
"""Highest atomic number in the table (Cm); beyond it too little is measured."""

_PYMATGEN = (
    *("X", "atomic_mass", "atomic_radius", "van_der_waals_radius", "mendeleev_no", "group", "row"),
    *("electron_affinity", "ionization_energy", "molar_volume", "melting_point", "average_ionic_radius"),
    *("max_oxidation_state", "min_oxidation_state", "Z", "atomic_radius_calculated"),
)
_SHELLS = {"s": 2, "p": 6, "d": 10, "f": 14}
PROPERTIES = (
    *_PYMATGEN,
    *(f"{shell}_valence" for shell in _SHELLS),
    *(f"{shell}_unfilled" for shell in _SHELLS),
    *("valence", "unfilled"),
)
"""Columns of ``element_table``: Pauling electronegativity; mass, u; radii, angstrom; molar volume, cm^3; melting
point, K; energies (electron affinity, first ionisation), eV; oxidation states; atomic number; valence electrons and
empty places of the open shells."""

ANION_CHARGE: Mapping[str, int] = MappingProxyType(
    {"F": -1, "Cl": -1, "Br": -1, "I": -1, "O": -2, "S": -2, "Se": -2, "Te": -2, "N": -3}
)
"""Elements that are anions wherever they occur in an electrolyte."""

LESSER_ANION_CHARGE: Mapping[str, int] = MappingProxyType(
    {"P": -3, "As": -3, "Sb": -3, "Bi": -3, "C": -4, "H": -1, "Si": -4, "Ge": -4, "Sn": -4, "B": -3}
)
"""Elements that take the anion's part only where no element of ``ANION_CHARGE`` is present, in falling rank."""

ANION_RADIUS: Mapping[str, float] = MappingProxyType(
    {
        **{"F": 1.33, "Cl": 1.81, "Br": 1.96, "I": 2.20, "O": 1.40, "S": 1.84, "Se": 1.98, "Te": 2.21, "N": 1.46},
        **{"P": 2.1, "As": 2.2, "Sb": 2.4, "Bi": 2.4, "C": 2.6, "H": 1.4, "Si": 2.7, "Ge": 2.7, "Sn": 2.9, "B": 1.8},
    }
)
"""Radius of the anion, angstrom; six-coordinate effective radii (doi 10.1107/S0567739476001551) where listed there,
rough estimates for the lesser anions."""

ANION_POLARIZABILITY: Mapping[str, float] = MappingProxyType(
    {
        **{"F": 1.04, "Cl": 3.66, "Br": 4.77, "I": 7.10, "O": 3.88, "S": 10.2, "Se": 10.5, "Te": 14.0},
        **{"N": 6.0, "P": 12.0, "As": 12.0, "Sb": 14.0, "Bi": 14.0, "C": 8.0, "H": 10.0},
        **{"Si": 10.0, "Ge": 10.0, "Sn": 10.0, "B": 10.0},
    }
)
"""Polarizability of the free anion, cubic angstrom; halides and chalcogenides after Pauling 1927
(doi 10.1098/rspa.1927.0035), rough estimates below them."""

ION_VOLUME: Mapping[str, float] = MappingProxyType(
    {
        **{"F": 16.5, "Cl": 36.0, "Br": 44.0, "I": 60.0, "O": 19.0, "S": 40.0, "Se": 46.0, "Te": 60.0, "N": 28.0},
        **{"P": 55.0, "As": 58.0, "Sb": 70.0, "Bi": 70.0, "C": 30.0, "H": 15.0},
        **{"Si": 55.0, "Ge": 55.0, "Sn": 65.0, "B": 25.0},
    }
)
"""Crystal volume that goes with one anion, its share of cations and voids included, cubic angstrom; good to a third.
Read off simple crystals (Li2O 25, perovskites 19, Li2S 46, LiCl 34, Li3P 60 ...); only for telling a wrong cell."""

CATION_CHARGE: Mapping[str, int] = MappingProxyType(
    {
        **dict.fromkeys(("Li", "Na", "K", "Rb", "Cs", "Ag", "Tl", "H"), 1),
        **dict.fromkeys(("Be", "Mg", "Ca", "Sr", "Ba", "Zn", "Cd", "Hg", "Mn", "Co", "Ni", "Cu", "Pb", "Pd"), 2),
        **dict.fromkeys(("Al", "Ga", "In", "Sc", "Y", "B", "Cr", "Fe", "Bi", "Rh", "Au"), 3),
        **dict.fromkeys(
            ("La", "Ce", "Pr", "Nd", "Pm", "Sm", "Eu", "Gd", "Tb", "Dy", "Ho", "Er", "Tm", "Yb", "Lu"), 3
        ),
        **dict.fromkeys(("Ti", "Zr", "Hf", "Si", "Ge", "Sn", "C", "Ru", "Ir", "Os", "Pt", "Th"), 4),
        **dict.fromkeys(("P", "As", "Sb", "V", "Nb", "Ta", "N", "I", "Br"), 5),
        **dict.fromkeys(("Mo", "W", "S", "Se", "Te", "U"), 6),
        **dict.fromkeys(("Cl", "Re", "Tc"), 7),
    }
)
"""Usual charge as a cation in an electrolyte; three where an element is not listed."""

_USUAL_CHARGE = 3
_RARE_ANIONS = ("Si", "Ge", "Sn", "B")


@lru_cache(maxsize=1)
def element_table() -> FloatArray:
    """Return the frozen table, shape (LAST + 1, len(PROPERTIES)); row Z is the element of atomic number Z."""
    return _frozen()[:, : len(PROPERTIES)]


@lru_cache(maxsize=1)
def cation_table() -> FloatArray:
    """Return the usual cation charge and the radius at that charge (angstrom), shape (LAST + 1, 2)."""
    return _frozen()[:, len(PROPERTIES) :]


def _frozen() -> FloatArray:
    rows = [[float(cell) for cell in line.split()[1:]] for line in ROWS.strip().splitlines()]
    return np.vstack([np.zeros(len(rows[0])), rows])


@lru_cache(maxsize=1)
def anion_table() -> FloatArray:
    """Return charge, radius (angstrom) and polarizability (cubic angstrom) as an anion, shape (LAST + 1, 3).

    Rows of elements that never are anions are zero.
    """
    table = np.zeros((LAST + 1, 3))
    for symbol, charge in {**ANION_CHARGE, **LESSER_ANION_CHARGE}.items():
        table[Element(symbol).Z] = charge, ANION_RADIUS[symbol], ANION_POLARIZABILITY[symbol]
    return table


@lru_cache(maxsize=1)
def volume_table() -> FloatArray:
    """Return ``ION_VOLUME`` by atomic number, cubic angstrom, 0 for what is never an anion; shape (LAST + 1,)."""
    table = np.zeros(LAST + 1)
    for symbol, volume in ION_VOLUME.items():
        table[Element(symbol).Z] = volume
    return table


@lru_cache(maxsize=3)
def _ranked(rank: int) -> BoolArray:
    mask = np.zeros(LAST + 1, dtype=bool)
    lesser = [symbol for symbol in LESSER_ANION_CHARGE if rank == 2 or symbol not in _RARE_ANIONS]
    mask[[Element(symbol).Z for symbol in (ANION_CHARGE, lesser, lesser)[rank]]] = True
    return mask


def anion_mask(numbers: NDArray[np.int64]) -> BoolArray:
    """Return who is an anion: halogens, chalcogens and nitrogen; only in their absence the lesser ones.

    Li3P, LiBH4 and Li3Sb thus have anions, and P in Li3PO4 is a cation; Si, Ge, Sn and B come last.

    Args:
        numbers: atomic numbers of n compositions, 0 where there is no further element; shape (n, k).
    """
    anion = _ranked(0)[numbers]
    for rank in (1, 2):
        anion = np.where(anion.any(axis=1, keepdims=True), anion, _ranked(rank)[numbers])
    return anion


def tabulate_properties() -> FloatArray:
    """Return the table as the installed pymatgen gives it, shape (LAST + 1, len(PROPERTIES)); row 0 is zero."""
    numbers = np.arange(1, LAST + 1)
    table = np.zeros((LAST + 1, len(PROPERTIES)))
    for z in numbers:
        element = Element.from_Z(int(z))
        table[z] = [*(_number(element, name) for name in _PYMATGEN), *_valence(element)]
    for column in table[1:].T:
        known = np.isfinite(column)
        column[~known] = np.interp(numbers[~known], numbers[known], column[known])
    return table


def _number(element: Element, name: str) -> float:
    value = getattr(element, name)
    return float("nan") if value is None else float(value)


def _valence(element: Element) -> list[float]:
    """Electrons and empty places of the open shells: outer s and p, and d and f while they are not yet core."""
    shells = element.full_electronic_structure
    outer = max(n for n, _, _ in shells)
    held = {"s": 0.0, "p": 0.0, "d": 0.0, "f": 0.0}
    for n, kind, electrons in shells:
        open_d = kind == "d" and n == outer - 1 and (electrons < 10 or element.group in (11, 12))
        open_f = kind == "f" and n == outer - 2 and electrons < 14
        if (kind in "sp" and n == outer) or open_d or open_f:
            held[kind] += electrons
    empty = {kind: _SHELLS[kind] - held[kind] if 0.0 < held[kind] < _SHELLS[kind] else 0.0 for kind in held}
    return [*held.values(), *empty.values(), sum(held.values()), sum(empty.values())]


def tabulate_cations() -> FloatArray:
    """Return usual charge and radius (angstrom) as the installed pymatgen gives them, shape (LAST + 1, 2)."""
    table = np.zeros((LAST + 1, 2))
    for z in range(1, LAST + 1):
        element = Element.from_Z(z)
        charge = CATION_CHARGE.get(element.symbol, _USUAL_CHARGE)
        radii = {state: radius for state, radius in element.ionic_radii.items() if state > 0}
        nearest = min(radii, key=lambda state: (abs(state - charge), state), default=None)
        table[z] = charge, radii[nearest] if nearest is not None else _unlisted_radius(element)
    return table


def _unlisted_radius(element: Element) -> float:
    """A small ion's radius where pymatgen lists none as a cation: half the atomic radius, at least 0.2 angstrom."""
    return max(0.2, 0.5 * float(element.atomic_radius or 0.0))
