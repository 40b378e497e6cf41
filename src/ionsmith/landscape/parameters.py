"""Bond-valence tables: Morse and bond-valence parameters per pair of ions, radii and quantum numbers per element.

The numbers are the softBV set as the installed bvlain package publishes them (Chen, Wong and Adams, Acta Cryst. B 75,
18 (2019), doi 10.1107/S2052520618015718); they are read from that package, none is copied here.
"""

from __future__ import annotations

import pickle
import re
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

from ase.data import atomic_numbers, chemical_symbols, covalent_radii

from ionsmith.core.errors import ArtifactError, InputError, PhysicsError

_ION = re.compile(r"^([A-Z][a-z]?)(?:(\d*)([+-]))?$")
_NUMPY_PARTS = frozenset({"scalar", "dtype", "_reconstruct", "ndarray"})


@dataclass(frozen=True, order=True)
class Ion:
    """An element with an integer charge.

    Attributes:
        number: atomic number.
        charge: charge number; zero for an atom that takes no part.
    """

    number: int
    charge: int

    @property
    def symbol(self) -> str:
        """Chemical symbol."""
        return str(chemical_symbols[self.number])

    def __str__(self) -> str:
        return f"{self.symbol}{abs(self.charge)}{'+' if self.charge >= 0 else '-'}"


@dataclass(frozen=True)
class PairParameters:
    """Bond-valence and Morse parameters of one cation-anion pair.

    Attributes:
        r0: length of a bond of unit valence, angstrom.
        alpha: inverse softness 1/b, 1/angstrom.
        r_min: distance of the lowest Morse energy, angstrom.
        d0: Morse depth parameter, eV.
    """

    r0: float
    alpha: float
    r_min: float
    d0: float


def parse_mobile(mobile: str) -> tuple[int, int | None]:
    """Return atomic number and charge (None where not written) of a mobile ion such as ``Li``, ``Li+``, ``Mg2+``.

    Args:
        mobile: chemical symbol, with or without a charge.

    Raises:
        InputError: text that is no element with an optional charge.
    """
    match = _ION.match(mobile.strip())
    if not match or match[1] not in atomic_numbers:
        raise InputError(f"mobile ion: expected a symbol such as Li, Na+ or Mg2+, got {mobile!r}")
    if match[3] is None:
        return int(atomic_numbers[match[1]]), None
    return int(atomic_numbers[match[1]]), int(match[2] or 1) * (1 if match[3] == "+" else -1)


def mobile_charges(number: int) -> tuple[int, ...]:
    """Charges for which an element can be the mobile ion, cations first.

    Args:
        number: atomic number.
    """
    tables = _tables()
    cation = tuple(sorted(int(q) for q in tables["cation"].get(number, ())))
    return cation + tuple(sorted(int(q) for q in tables["anion"].get(number, ())))


def anion_charges(number: int) -> tuple[int, ...]:
    """Negative charges that the tables know for an element.

    Args:
        number: atomic number.
    """
    return tuple(sorted(int(q) for q in _tables()["anion"].get(number, ())))


@lru_cache(maxsize=4096)
def find_pair(one: Ion, other: Ion) -> PairParameters | None:
    """Parameters of a cation-anion pair in either order, or None where there are none or they are unphysical.

    Args:
        one: an ion.
        other: an ion of the opposite sign.
    """
    cation, anion = (one, other) if one.charge > other.charge else (other, one)
    row = _tables()["cation"].get(cation.number, {}).get(cation.charge, {}).get(anion.number, {}).get(anion.charge)
    if row is None or not (row["alpha"] > 0.0 and row["r_min"] > 0.0 and row["d0"] > 0.0):
        return None  # a few published rows have a negative softness: the energy would grow without limit
    return PairParameters(*(float(row[name]) for name in ("r0", "alpha", "r_min", "d0")))


def pair(one: Ion, other: Ion) -> PairParameters:
    """Parameters of a cation-anion pair in either order.

    Args:
        one: an ion.
        other: an ion of the opposite sign.

    Raises:
        PhysicsError: the tables have no usable entry; the message names the pair.
    """
    found = find_pair(one, other)
    if found is None:
        raise PhysicsError(f"no bond-valence parameters for the pair {one} - {other}")
    return found


def quantum_number(ion: Ion) -> int:
    """Principal quantum number of the valence shell, as the Coulomb term of the bond-valence method uses it.

    Args:
        ion: any ion.

    Raises:
        PhysicsError: the element is not in the table.
    """
    number = _tables()["quantum_n"].get(ion.number)
    if number is None:
        raise PhysicsError(f"no principal quantum number for {ion} in the bond-valence tables")
    return int(number)


def covalent_radius(ion: Ion) -> float:
    """Covalent radius of the element, angstrom (ASE's table, doi 10.1039/b801115j, which bvlain uses by default).

    Args:
        ion: any ion; its charge plays no part.
    """
    return float(covalent_radii[ion.number])


@lru_cache(maxsize=1)
def _tables() -> dict[str, dict[Any, Any]]:
    return {name: _read(f"{name}.pkl") for name in ("cation", "anion", "quantum_n")}


class _NumbersOnly(pickle.Unpickler):
    """Reads plain containers and numpy numbers, and nothing that could run code."""

    def find_class(self, module: str, name: str) -> Any:
        if module.split(".")[0] == "numpy" and name in _NUMPY_PARTS:
            return super().find_class(module, name)
        raise ArtifactError(f"bvlain tables: expected plain numbers, found {module}.{name}")


def _read(name: str) -> dict[Any, Any]:
    path = files("bvlain.data") / name
    try:
        with path.open("rb") as stream:
            table = _NumbersOnly(stream).load()
    except FileNotFoundError:
        raise ArtifactError(f"bvlain tables: expected {name} in the installed bvlain package") from None
    return dict(table)
