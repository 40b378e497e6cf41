"""Diffusivity of an ion on a network of sites and hops: the exact long-time limit of its master equation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ionsmith.core.errors import InputError
from ionsmith.core.physics import BOLTZMANN_EV, ROOM_TEMPERATURE
from ionsmith.core.records import FloatArray
from ionsmith.landscape.network import Hop, Network

ATTEMPT_FREQUENCY = 1e13
"""Attempt frequency of every hop, 1/s: the order of a lithium vibration (10 THz), the same for all materials."""

_FIT_RANGE = (300.0, 400.0)  # K, over which the activation energy is taken
_SQUARE_ANGSTROM = 1e-16  # cm^2


@dataclass(frozen=True)
class Transport:
    """Diffusion at one temperature.

    Attributes:
        diffusivity: tensor, cm^2/s; shape (3, 3).
        temperature: K.
        attempt_frequency: 1/s.
        mobile_share: mean of f (1 - f) over f for blocked hops, one for a lone ion.
    """

    diffusivity: FloatArray
    temperature: float
    attempt_frequency: float
    mobile_share: float = 1.0

    @property
    def mean(self) -> float:
        """A third of the trace, cm^2/s."""
        return float(np.trace(self.diffusivity)) / 3.0


def diffusivity(
    network: Network,
    *,
    temperature: float = ROOM_TEMPERATURE,
    ions: float | None = None,
    attempt_frequency: float = ATTEMPT_FREQUENCY,
) -> Transport:
    """Diffusion tensor of ions that hop over a network, without kinetic Monte Carlo noise.

    Rates k_ij = nu exp(-(E_saddle - E_i) / k_B T) obey detailed balance, so the master equation is a network of
    conductances c_ij = f_i (1 - f_j) k_ij and the tensor follows from the potentials h that make the currents vanish:
    D = sum_hops c d d^T / sum_i f_i, d = R + h_j - h_i, with sum_j c_ij d_ij = 0 at every site, R the lattice vector
    that the hop crosses. A lone ion (``ions`` None) occupies site i with exp(-E_i / k_B T) and nothing blocks it;
    with ``ions`` per cell the sites fill as f = 1 / (1 + exp((E_i - mu) / k_B T)) and occupied ones block (mean
    field).

    Strong and weak conductances differ by up to exp(60): the equations are eliminated with sums of positive terms
    only, in a frame in which the strongest hops cross no cell boundary, so that no digit is lost to cancellation.

    Args:
        network: sites and hops, energies in eV.
        temperature: K.
        ions: mobile ions per cell, below the number of sites; None for a lone ion.
        attempt_frequency: nu, 1/s.

    Raises:
        InputError: a temperature or frequency not above zero, or more ions than sites.

    Source: exact long-time limit of a periodic master equation, J. W. Haus and K. W. Kehr, Phys. Rep. 150, 263
    (1987), doi 10.1016/0370-1573(87)90005-6; elimination without subtraction, W. K. Grassmann, M. I. Taksar and
    D. P. Heyman, Oper. Res. 33, 1107 (1985), doi 10.1287/opre.33.5.1107.
    """
    if not (temperature > 0.0 and attempt_frequency > 0.0):
        raise InputError(
            f"expected temperature (K) and attempt frequency above zero, got {temperature:g}, {attempt_frequency:g}"
        )
    beta = 1.0 / (BOLTZMANN_EV * temperature)
    energies = np.array([site.energy for site in network.sites])
    filling, free = _filling(energies, beta, ions)
    # f_i (1 - f_j) exp(-(E_s - E_i) / kT) is symmetric in i and j: f_i exp(E_i / kT) = z (1 - f_i)
    weight = filling * np.exp(beta * energies)
    hops = network.hops
    conductances = np.array([weight[h.start] * free[h.end] * math.exp(-beta * h.energy) for h in hops], dtype=float)
    steps = _gauge(len(energies), hops, conductances)
    heights = _potentials(len(energies), hops, conductances, steps)
    starts, ends = (np.array([getattr(h, end) for h in hops], dtype=np.int64) for end in ("start", "end"))
    travel = (steps + heights[ends] - heights[starts]) @ network.lattice
    total = np.einsum("h,ha,hb->ab", conductances, travel, travel) / filling.sum()
    share = float((filling * free).sum() / filling.sum())
    return Transport(attempt_frequency * _SQUARE_ANGSTROM * total, temperature, attempt_frequency, share)


def activation_energy(
    network: Network, *, ions: float | None = None, attempt_frequency: float = ATTEMPT_FREQUENCY
) -> float:
    """Arrhenius activation energy of the mean diffusivity between 300 and 400 K, eV; infinity where D is zero.

    Args:
        network: sites and hops.
        ions: see :func:`diffusivity`.
        attempt_frequency: 1/s; cancels.
    """
    low, high = _FIT_RANGE
    one = diffusivity(network, temperature=low, ions=ions, attempt_frequency=attempt_frequency).mean
    two = diffusivity(network, temperature=high, ions=ions, attempt_frequency=attempt_frequency).mean
    if not (one > 0.0 and two > 0.0):
        return math.inf
    return float(BOLTZMANN_EV * math.log(two / one) / (1.0 / low - 1.0 / high))


def _filling(energies: FloatArray, beta: float, ions: float | None) -> tuple[FloatArray, FloatArray]:
    """Mean occupation of each site, and the share of time that it is free."""
    if ions is None:
        weight = np.exp(-beta * (energies - energies.min()))
        return weight / weight.sum(), np.ones_like(weight)
    if not 0.0 < ions < len(energies):
        raise InputError(f"expected a number of ions between 0 and the {len(energies)} sites, got {ions:g}")
    low, high = energies.min() - 60.0 / beta, energies.max() + 60.0 / beta
    for _ in range(200):
        mu = 0.5 * (low + high)
        occupied = 1.0 / (1.0 + np.exp(np.clip(beta * (energies - mu), -500.0, 500.0)))
        low, high = (mu, high) if occupied.sum() < ions else (low, mu)
    free = 1.0 / (1.0 + np.exp(np.clip(beta * (mu - energies), -500.0, 500.0)))
    return occupied, free


def _gauge(count: int, hops: Sequence[Hop], conductances: FloatArray) -> FloatArray:
    """Cells that each hop crosses once the sites are moved to the cells in which the strongest hops cross none."""
    parent, cell = list(range(count)), [np.zeros(3) for _ in range(count)]

    def find(site: int) -> tuple[int, FloatArray]:
        shift = np.zeros(3)
        while parent[site] != site:
            shift = shift + cell[site]
            site = parent[site]
        return site, shift

    for n in np.argsort(-conductances, kind="stable"):
        hop = hops[n]
        one, here = find(hop.start)
        two, there = find(hop.end)
        if one != two:
            parent[two], cell[two] = one, here + np.array(hop.cell) - there
    home = np.array([find(site)[1] for site in range(count)]).reshape(-1, 3)
    crossed = np.array([hop.cell for hop in hops], dtype=float).reshape(-1, 3)
    starts, ends = (np.array([getattr(h, end) for h in hops], dtype=np.int64) for end in ("start", "end"))
    return np.asarray(crossed + home[starts] - home[ends])


def _potentials(count: int, hops: Sequence[Hop], conductances: FloatArray, steps: FloatArray) -> FloatArray:
    """Heights (count, 3) in lattice coordinates for which sum_j c_ij (R_ij + h_j - h_i) = 0 at every site."""
    links = np.zeros((count, count))
    force = np.zeros((count, 3))
    for hop, conductance, step in zip(hops, conductances, steps, strict=True):
        if hop.start == hop.end:
            continue  # both ends move together: such a hop pulls on nothing
        links[hop.start, hop.end] += conductance
        links[hop.end, hop.start] += conductance
        force[hop.start] += conductance * step
        force[hop.end] -= conductance * step
    pivots = np.zeros(count)
    for n in range(count - 1, 0, -1):  # star-mesh elimination of site n: only positive numbers are added
        pivots[n] = links[n, :n].sum()
        if pivots[n] <= 0.0:
            continue
        share = links[n, :n] / pivots[n]
        links[:n, :n] += np.outer(links[n, :n], share)
        np.fill_diagonal(links[:n, :n], 0.0)
        force[:n] += share[:, None] * force[n]
    heights = np.zeros((count, 3))
    for n in range(1, count):
        if pivots[n] > 0.0:
            heights[n] = (force[n] + links[n, :n] @ heights[:n]) / pivots[n]
    return heights
