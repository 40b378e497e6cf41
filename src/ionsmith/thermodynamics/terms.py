"""Linear energy terms per formula, and the robust fit that maps one set of DFT corrections onto another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from pymatgen.core import Composition, Element

from ionsmith.core.errors import InputError
from ionsmith.core.records import FloatArray

Amounts = Mapping[str, float]

HUBBARD = ("Co", "Cr", "Fe", "Mn", "Mo", "Ni", "V", "W")
"""Metals that the Materials Project treats with a Hubbard U in oxides and fluorides."""

_ANION_CHARGE: Mapping[str, int] = {
    **{"F": 1, "Cl": 1, "Br": 1, "I": 1, "H": 1, "O": 2, "S": 2, "Se": 2, "Te": 2},
    **{"N": 3, "P": 3, "As": 3, "Sb": 3, "Si": 4, "C": 4},
}
_ROUNDS = 60  # of the reweighting; the coefficients stand still after about 40


@dataclass(frozen=True)
class TermFit:
    """Coefficients of a fitted sum of terms.

    Attributes:
        coefficients: term to energy, eV per atom of the term's element.
        ridge: weight of the prior that pulls coefficients to zero, in rows.
        floor: residual below which the loss is quadratic, eV/atom.
    """

    coefficients: Mapping[str, float]
    ridge: float
    floor: float

    def energy(self, terms: Mapping[str, float]) -> float:
        """Return the fitted energy of one material, eV/atom; a term that was never seen adds nothing.

        Args:
            terms: term to atomic fraction.
        """
        return sum(self.coefficients.get(name, 0.0) * share for name, share in terms.items())


def element_amounts(composition: Composition) -> dict[str, float]:
    """Return element symbol to number of atoms; oxidation states and isotopes are dropped.

    Args:
        composition: any.
    """
    amounts: dict[str, float] = {}
    for species, number in composition.items():
        symbol = "H" if species.symbol in ("D", "T") else species.symbol
        amounts[symbol] = amounts.get(symbol, 0.0) + float(number)
    return amounts


def fractions(amounts: Amounts) -> dict[str, float]:
    """Return atomic fractions.

    Args:
        amounts: element to number of atoms, in any multiple.

    Raises:
        InputError: no atoms.
    """
    total = float(sum(amounts.values()))
    if not total > 0.0:
        raise InputError(f"expected at least one atom, got {dict(amounts)}")
    return {element: number / total for element, number in amounts.items()}


def reference_terms(amounts: Amounts) -> dict[str, float]:
    """Return what the energy reference of a material is made of: its elements, and metals treated with U.

    CHGNet was trained on energies with the corrections of 2020, which the reference data carry too, so no anion
    term is needed; the mixing of calculations with and without U is learned less exactly, hence one term for each
    such metal where oxygen or fluorine is present.

    Args:
        amounts: element to number of atoms.

    Raises:
        InputError: no atoms.
    """
    share = fractions(amounts)
    if "O" in share or "F" in share:
        share |= {f"{metal}+U": share[metal] for metal in HUBBARD if metal in share}
    return share


def release_terms(amounts: Amounts) -> dict[str, float]:
    """Return the terms in which the energy corrections of two Materials Project releases differ.

    The corrections of 2018 and 2020 differ for anions (per atom, by element, only where the element is an anion)
    and for metals treated with U, separately in oxides and fluorides (Wang et al., doi 10.1038/s41598-021-94550-5).

    Args:
        amounts: element to number of atoms.

    Raises:
        InputError: no atoms.
    """
    share = fractions(amounts)
    terms = dict(share)
    host = "O" if "O" in share else "F" if "F" in share else ""
    if host:
        terms |= {f"{metal}+U({host})": share[metal] for metal in HUBBARD if metal in share}
    terms |= {f"{element}-": share[element] for element in anions(amounts)}
    return terms


def anions(amounts: Amounts) -> frozenset[str]:
    """Return the elements of a formula that act as anions.

    The most electronegative element, if it can be an anion at all; then, down the electronegativity scale, every
    further element up to the last one at which the remaining elements can still pay for all of them in their
    highest common oxidation states.

    Args:
        amounts: element to number of atoms.
    """
    order = sorted(amounts, key=_electronegativity, reverse=True)
    found: set[str] = set(order[:1]) & _ANION_CHARGE.keys()
    chain: list[str] = []
    for element in order[:-1]:
        if element not in _ANION_CHARGE:
            break
        chain.append(element)
        debt = sum(_ANION_CHARGE[e] * amounts[e] for e in chain)
        if sum(_highest_charge(e) * amounts[e] for e in order[len(chain) :]) >= debt - 1e-6:
            found.update(chain)
    return frozenset(found)


def fit_terms(
    terms: Sequence[Mapping[str, float]], energies: FloatArray, *, ridge: float = 1e-3, floor: float = 5e-3
) -> TermFit:
    """Fit coefficients by least absolute deviations with a small ridge.

    Iteratively reweighted least squares: minimises sum_i rho(y_i - sum_k c_k x_ik) + ridge/2 sum_k c_k^2, where rho
    is |r| beyond ``floor`` and quadratic within. A few wrong rows then do not drag an element along.

    Args:
        terms: term to atomic fraction, per row; n rows.
        energies: shape (n,), eV/atom.
        ridge: weight of the prior.
        floor: eV/atom.

    Raises:
        InputError: no rows, lengths that differ, or an energy that is not finite.
    """
    if not terms or len(terms) != len(energies) or not np.isfinite(energies).all():
        raise InputError(f"expected as many finite energies as rows, got {len(terms)} rows, {len(energies)} energies")
    names = sorted({name for row in terms for name in row})
    place = {name: column for column, name in enumerate(names)}
    matrix = np.zeros((len(terms), len(names)))
    for number, row in enumerate(terms):
        for name, share in row.items():
            matrix[number, place[name]] = share
    solution = _least_absolute(matrix, energies, ridge=ridge, floor=floor)
    return TermFit(dict(zip(names, solution.tolist(), strict=True)), ridge, floor)


def _least_absolute(matrix: FloatArray, target: FloatArray, *, ridge: float, floor: float) -> FloatArray:
    weights: FloatArray = np.ones(len(target))
    solution: FloatArray = np.zeros(matrix.shape[1])
    for _ in range(_ROUNDS):
        weighted = weights[:, None] * matrix
        normal = matrix.T @ weighted + ridge * np.eye(matrix.shape[1])
        solution = np.asarray(np.linalg.solve(normal, weighted.T @ target), dtype=np.float64)
        weights = 1.0 / np.maximum(np.abs(target - matrix @ solution), floor)
    return solution


@lru_cache(maxsize=256)
def _electronegativity(element: str) -> float:
    known = Element(element).data.get("X")
    return float(known) if isinstance(known, int | float) and known == known else 0.0


@lru_cache(maxsize=256)
def _highest_charge(element: str) -> int:
    states = Element(element).icsd_oxidation_states or Element(element).common_oxidation_states
    return max((state for state in states if state > 0), default=0)
