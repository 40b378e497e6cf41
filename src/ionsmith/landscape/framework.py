"""The crystal as the mobile ion feels it: fixed ions with weights, and the pair energy with each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pymatgen.core import Structure
from scipy import constants
from scipy.special import erfc

from ionsmith.core.errors import PhysicsError
from ionsmith.core.records import FloatArray
from ionsmith.landscape.oxidation import OxidationStates
from ionsmith.landscape.parameters import Ion, covalent_radius, pair, quantum_number

COULOMB = constants.e / (4.0 * constants.pi * constants.epsilon_0) * 1e10
"""e^2 / (4 pi epsilon_0), eV angstrom."""

SCREENING = 0.74
"""Screening factor f: rho = f (r_cov1 + r_cov2)."""


@dataclass(frozen=True)
class Framework:
    """Everything but the mobile ion, averaged over partial occupancies.

    Attributes:
        lattice: rows are the cell vectors, angstrom; shape (3, 3).
        positions: fractional coordinates; shape (n, 3).
        kinds: index into ``ions`` of each entry; shape (n,).
        weights: occupancy of each entry; shape (n,).
        ions: the different ions.
        mobile: the mobile ion.
    """

    lattice: FloatArray
    positions: FloatArray
    kinds: np.ndarray[tuple[int], np.dtype[np.int64]]
    weights: FloatArray
    ions: tuple[Ion, ...]
    mobile: Ion


def build_framework(structure: Structure, oxidation: OxidationStates, mobile: Ion) -> Framework:
    """Freeze the crystal without its mobile ions.

    Disorder is a mean field: with occupancy w_is of ion s on site i the energy is
    E(r) = sum_i sum_s w_is u_s(|r - R_i|). It is the average over all arrangements that are uncorrelated with each
    other and with the mobile ion; no ordered approximant is needed. An element with two oxidation states counts with
    the share of each. A framework ion that shares a site with the mobile ion repels it with its occupancy.

    Args:
        structure: crystal, ordered or disordered.
        oxidation: charges of its elements.
        mobile: the mobile ion; all atoms of its element are taken out.

    Raises:
        PhysicsError: nothing is left without the mobile ion, or a pair with the mobile ion has no parameters.
    """
    entries: dict[Ion, list[tuple[int, float]]] = {}
    for index, site in enumerate(structure):
        for species, occupancy in site.species.items():
            number = int(species.Z)
            if number == mobile.number:
                continue
            for charge, share in _shares(species, oxidation):
                entries.setdefault(Ion(number, charge), []).append((index, float(occupancy) * share))
    if not entries:
        raise PhysicsError(f"expected a framework around {mobile}, got {structure.composition.reduced_formula}")
    ions = tuple(sorted(entries))
    _check_pairs(ions, mobile)
    rows = [(index, kind, weight) for kind, ion in enumerate(ions) for index, weight in entries[ion]]
    sites, kinds, weights = (np.array(column) for column in zip(*rows, strict=True))
    positions = np.asarray(structure.frac_coords, dtype=float)[sites] % 1.0
    lattice = np.array(structure.lattice.matrix, dtype=float)
    return Framework(lattice, positions, kinds.astype(np.int64), weights.astype(float), ions, mobile)


def _shares(species: object, oxidation: OxidationStates) -> tuple[tuple[int, float], ...]:
    if oxidation.method == "given":  # sites of one element may carry different charges
        charge = float(getattr(species, "oxi_state", 0.0) or 0.0)
        low = int(np.floor(charge))
        upper = charge - low
        return tuple((q, s) for q, s in ((low, 1.0 - upper), (low + 1, upper)) if s > 1e-9)
    return oxidation.states[int(getattr(species, "Z", 0))]


def _check_pairs(ions: tuple[Ion, ...], mobile: Ion) -> None:
    for ion in ions:
        if ion.charge * mobile.charge < 0:
            pair(mobile, ion)
        elif ion.charge * mobile.charge > 0:
            quantum_number(ion)
    quantum_number(mobile)


def pair_energy(mobile: Ion, ion: Ion, distance: FloatArray) -> FloatArray:
    """Energy between the mobile ion and one framework ion, eV.

    Opposite charges: u = (D0 / 2) [(exp(alpha (r_min - r)) - 1)^2 - 1]. Equal signs:
    u = e^2 / (4 pi eps0) q1 q2 / sqrt(n1 n2) erfc(r / rho) / r with rho = f (r_cov1 + r_cov2) and f = 0.74. Neutral
    atoms: zero. These are the terms of bvlain 0.25.1, the half of the Morse depth included.

    Args:
        mobile: the mobile ion.
        ion: the framework ion.
        distance: angstrom; any shape, above zero.

    Raises:
        PhysicsError: a pair without parameters.

    Source: S. Adams and R. P. Rao, Phys. Status Solidi A 208, 1746 (2011), doi 10.1002/pssa.201001116; parameters
    Chen, Wong and Adams (2019), doi 10.1107/S2052520618015718.
    """
    product = mobile.charge * ion.charge
    if product == 0:
        return np.zeros_like(distance)
    if product < 0:
        found = pair(mobile, ion)
        bond = np.exp(found.alpha * (found.r_min - distance))
        return np.asarray(0.5 * found.d0 * (bond * bond - 2.0 * bond))
    rho = SCREENING * (covalent_radius(mobile) + covalent_radius(ion))
    strength = COULOMB * product / np.sqrt(quantum_number(mobile) * quantum_number(ion))
    return np.asarray(strength * erfc(distance / rho) / distance)


def energy_at(framework: Framework, points: FloatArray, cutoff: float) -> FloatArray:
    """Energy at arbitrary points by direct summation, eV; the slow, exact reference of the grid kernel.

    Args:
        framework: the fixed ions.
        points: fractional coordinates; shape (m, 3).
        cutoff: largest distance that counts, angstrom.

    Returns:
        Energies; shape (m,).
    """
    heights = 1.0 / np.linalg.norm(np.linalg.inv(framework.lattice), axis=0)
    reach = [int(np.ceil(cutoff / h)) + 1 for h in heights]
    shifts = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in reach), indexing="ij"), -1).reshape(-1, 3)
    images = (framework.positions[:, None, :] + shifts[None]).reshape(-1, 3) @ framework.lattice
    kinds = np.repeat(framework.kinds, len(shifts))
    weights = np.repeat(framework.weights, len(shifts))
    energies = np.zeros(len(points))
    for row, point in enumerate((np.asarray(points) % 1.0) @ framework.lattice):
        distance = np.linalg.norm(images - point, axis=1)
        for kind, ion in enumerate(framework.ions):
            near = (kinds == kind) & (distance < cutoff)
            energies[row] += weights[near] @ pair_energy(framework.mobile, ion, np.maximum(distance[near], 0.3))
    return energies
