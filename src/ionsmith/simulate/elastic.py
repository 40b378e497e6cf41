"""Elastic tensor, moduli and the dendrite criterion of a crystal, from stresses of strained cells."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from pymatgen.core import Structure

from ionsmith.core.errors import InputError, PhysicsError
from ionsmith.core.records import Candidate, FloatArray, Kind, Outcome, Status, Value
from ionsmith.core.registry import register
from ionsmith.simulate.elastic_correction import ModulusCorrection, correction_for
from ionsmith.simulate.minimum import nearest_minimum, stopped_early
from ionsmith.simulate.ordered import ordered_crystal
from ionsmith.simulate.potentials import DEFAULT, check_potential, no_answer, potential, potential_fingerprint
from ionsmith.simulate.stage import check_at_least_one, check_range, stopped

LITHIUM_SHEAR = 3.4
"""Shear modulus of lithium metal in the dendrite criterion, GPa (doi 10.1149/1.1850854)."""

DENDRITE_FACTOR = 2.0
"""Multiple of lithium's shear modulus beyond which a separator stops dendrites; between 1.8 and 2.2 depending on
the Poisson ratio (doi 10.1149/1.1850854)."""

_SPREAD = {"bulk_modulus": 0.35, "shear_modulus": 0.6}  # relative, of a potential without correction
_REVISION = 2  # raise whenever the numbers change for another reason than settings or tables


@dataclass(frozen=True)
class Moduli:
    """Moduli of a polycrystal, Voigt-Reuss-Hill averages (doi 10.1088/0370-1298/65/5/307), GPa.

    Attributes:
        bulk: bulk modulus.
        shear: shear modulus.
        anisotropy: universal anisotropy index, zero for an isotropic crystal (doi 10.1103/PhysRevLett.101.055504).
    """

    bulk: float
    shear: float
    anisotropy: float


def moduli(tensor: FloatArray) -> Moduli:
    """Return the moduli of an elastic tensor.

    Voigt: 9 K_V = tr of the upper left block summed over all pairs; Reuss: the same from the compliances; Hill: the
    mean of both.

    Args:
        tensor: stiffnesses in Voigt's notation, shape (6, 6), GPa; its symmetric part is used.

    Raises:
        InputError: not a finite matrix of shape (6, 6).
        PhysicsError: an eigenvalue that is not positive: no Reuss average exists.
    """
    c = np.asarray(tensor, dtype=float)
    if c.shape != (6, 6) or not np.isfinite(c).all():
        raise InputError(f"expected a finite elastic tensor of shape (6, 6), got shape {c.shape}")
    c = 0.5 * (c + c.T)
    lowest = float(eigenvalues(c)[0])
    if not lowest > 0.0:
        raise PhysicsError(f"mechanically unstable: smallest eigenvalue of the elastic tensor {lowest:.3g} GPa")
    s = np.linalg.inv(c)
    voigt_bulk = c[:3, :3].sum() / 9.0
    voigt_shear = (np.trace(c[:3, :3]) - (c[0, 1] + c[0, 2] + c[1, 2]) + 3.0 * np.trace(c[3:, 3:])) / 15.0
    reuss_bulk = 1.0 / s[:3, :3].sum()
    reuss_shear = 15.0 / (4.0 * np.trace(s[:3, :3]) - 4.0 * (s[0, 1] + s[0, 2] + s[1, 2]) + 3.0 * np.trace(s[3:, 3:]))
    anisotropy = 5.0 * voigt_shear / reuss_shear + voigt_bulk / reuss_bulk - 6.0
    return Moduli(
        float(0.5 * (voigt_bulk + reuss_bulk)),
        float(0.5 * (voigt_shear + reuss_shear)),
        float(anisotropy),
    )


def eigenvalues(tensor: FloatArray) -> FloatArray:
    """Return the eigenvalues of a stiffness in Mandel's basis, ascending, GPa; all are positive in a stable crystal.

    Args:
        tensor: symmetric, in Voigt's notation, shape (6, 6), GPa.
    """
    return np.asarray(np.linalg.eigvalsh(tensor * np.outer(_MANDEL, _MANDEL)))


@dataclass(frozen=True)
class Strained:
    """What straining a relaxed cell gave.

    Attributes:
        structure: the relaxed crystal.
        tensor: symmetric stiffness, Voigt's notation, shape (6, 6), GPa.
        asymmetry: largest difference between a component and its transposed one, GPa: the numerical noise.
        max_force: of the relaxed crystal, eV/angstrom.
    """

    structure: Structure
    tensor: FloatArray
    asymmetry: float
    max_force: float


def strain_crystal(
    plain: Structure, name: str = DEFAULT, *, strain: float = 0.01, fmax: float = 0.02, max_steps: int = 300
) -> Strained:
    """Relax a crystal, strain it six ways in both directions, let the ions follow, and fit the elastic tensor.

    Args:
        plain: ordered crystal of elements.
        name: of the potential.
        strain: normal strain, and off-diagonal element of the shear strain.
        fmax: force limit of all relaxations, eV/angstrom.
        max_steps: step limit of each.

    Raises:
        InputError: an unknown potential.
        PhysicsError: the crystal falls apart or does not settle, or the potential has no answer.
    """
    from matcalc import ElasticityCalc

    calculator = potential(name)
    relaxed, found = nearest_minimum(plain, name, fmax=fmax, max_steps=max_steps)
    stopped_early(found, fmax=fmax)
    try:
        job = ElasticityCalc(
            calculator,
            norm_strains=(-strain, strain),
            shear_strains=(-strain, strain),
            fmax=fmax,
            relax_structure=False,
            relax_deformed_structures=True,
            units_GPa=True,
            relax_calc_kwargs={"optimizer": "BFGS", "max_steps": max_steps},
            r2_min=-math.inf,
        )
        raw = np.asarray(job.calc(relaxed)["elastic_tensor"].voigt, dtype=float)
    except (ValueError, RuntimeError, NotImplementedError, KeyError, IndexError, FloatingPointError) as error:
        if isinstance(error, InputError):
            raise
        raise PhysicsError(no_answer(name, error)) from error
    if not np.isfinite(raw).all():
        raise PhysicsError(f"{name} gave an elastic tensor that is not finite")
    asymmetry = float(np.abs(raw - raw.T).max())
    return Strained(relaxed, 0.5 * (raw + raw.T), asymmetry, found.largest_force)


@register("simulator", "elastic")
@dataclass(frozen=True)
class Elasticity:
    """Elastic tensor with relaxed ions, its moduli, and whether lithium dendrites are held back.

    CHGNet's potential energy surface is too soft. ``correction`` combines its moduli with an estimate from DFT moduli
    of other compounds (see :mod:`ionsmith.simulate.elastic_correction`); the tensor in the details stays as computed.
    Where CHGNet finds a negative eigenvalue, the moduli come from composition and volume alone, with a note: it does
    so for a fifth of the known stable compounds (docs/benchmarks/elastic.md), so this is no ground for a rejection.

    ``details``: ``elastic_tensor`` (6 by 6, Voigt's notation, GPa, as computed), ``eigenvalues`` (GPa),
    ``stable``, ``uncorrected`` (``bulk_modulus``, ``shear_modulus``, GPa), ``youngs_modulus`` (GPa),
    ``poisson_ratio``, ``pugh_ratio`` (bulk over shear; above 1.75 ductile), ``anisotropy``, ``dendrite``
    (``lithium_shear_modulus``, ``ratio``, ``needed``, ``suppressed``), ``correction``, ``asymmetry``, ``max_force``.

    Attributes:
        potential: name of the potential.
        correction: whether the moduli are corrected; only for the potential that the correction was fitted for.
        strain: normal strain, and off-diagonal element of the shear strain.
        fmax: force limit of all relaxations, eV/angstrom.
        max_steps: step limit of each.
        max_sites: larger cells are rejected, atoms.
        reject_unstable: whether a crystal that the potential finds mechanically unstable is rejected; without a
            correction it always is.
    """

    potential: str = DEFAULT
    correction: bool = True
    strain: float = 0.01
    fmax: float = 0.02
    max_steps: int = 300
    max_sites: int = 120
    reject_unstable: bool = False

    name: ClassVar[str] = "elastic"
    kinds: ClassVar[frozenset[Kind]] = frozenset({Kind.CRYSTAL})
    provides: ClassVar[tuple[str, ...]] = ("bulk_modulus", "shear_modulus")
    cost: ClassVar[float] = 60.0

    def __post_init__(self) -> None:
        """Refuse settings under which nothing can run.

        Raises:
            InputError: a limit that is not above zero, a strain beyond 5 %, or a potential that cannot be had.
        """
        if not 0.0 < self.strain <= 0.05:
            raise InputError(f"expected a strain above zero and at most 0.05, got {self.strain:g}")
        if not (self.fmax > 0.0 and math.isfinite(self.fmax)):
            raise InputError(f"expected fmax above zero, got {self.fmax}")
        check_at_least_one(self.max_steps, "max_steps")
        check_at_least_one(self.max_sites, "max_sites")
        check_potential(self.potential)

    @property
    def fingerprint(self) -> str:
        """Settings, potential and its version, and the correction."""
        settings = f"strain={self.strain:g},fmax={self.fmax:g},max_steps={self.max_steps},max_sites={self.max_sites}"
        settings += f",reject_unstable={self.reject_unstable}"
        known = self._correction()
        parts = (settings, potential_fingerprint(self.potential), "plain" if known is None else known.fingerprint)
        return f"elastic-{_REVISION}({','.join(parts)})"

    def run(self, candidate: Candidate) -> Outcome:
        """Return bulk and shear modulus; rejected where the crystal is unstable or does not settle.

        Args:
            candidate: a crystal, ordered or disordered.
        """
        start = time.perf_counter()
        try:
            ordered, plain = ordered_crystal(candidate, max_sites=self.max_sites)
            found = strain_crystal(
                plain, self.potential, strain=self.strain, fmax=self.fmax, max_steps=self.max_steps
            )
            values, details, note = self._judge(found)
        except PhysicsError as reason:
            return stopped(candidate, Status.REJECTED, reason, start)
        except InputError as reason:
            return stopped(candidate, Status.FAILED, reason, start)
        if ordered is not candidate:
            details["prepared"] = list(ordered.source.notes[len(candidate.source.notes) :])
        return Outcome(candidate, values, note=note, cost_s=time.perf_counter() - start, details=details)

    def _correction(self) -> ModulusCorrection | None:
        return correction_for(self.potential) if self.correction else None

    def _judge(self, found: Strained) -> tuple[dict[str, Value], dict[str, Any], str]:
        """Return values, details and note.

        Raises:
            PhysicsError: an unstable crystal that may not pass, or a modulus beyond what a material can have.
        """
        known = self._correction()
        try:
            raw, note = moduli(found.tensor), ""
        except PhysicsError as reason:
            if known is None or self.reject_unstable:
                raise
            raw, note = None, f"{reason}; moduli from composition and volume alone"
        spread: Mapping[str, float] = _SPREAD
        trusted: bool | None = None if raw is not None else False
        if known is None or raw is None:
            bulk, shear = (raw.bulk, raw.shear) if raw is not None else _estimate(known, found.structure)
        else:
            bulk, shear = known.corrected(found.structure, raw.bulk, raw.shear)
            spread, trusted = known.spread, known.in_domain(found.structure)
        check_range("bulk_modulus", bulk)
        check_range("shear_modulus", shear)
        method = self.potential if known is None else f"{self.potential}+correction" if raw else "composition+volume"
        values = {
            "bulk_modulus": Value(bulk, spread["bulk_modulus"] * bulk, method, trusted),
            "shear_modulus": Value(shear, spread["shear_modulus"] * shear, method, trusted),
        }
        details = _details(found, raw, bulk, shear)
        return values, details | {"correction": "none" if known is None else known.fingerprint}, note


def _estimate(known: ModulusCorrection | None, structure: Structure) -> tuple[float, float]:
    if known is None:
        raise PhysicsError("no estimate without a correction")
    return known.without_potential(structure)


def youngs_modulus(bulk: float, shear: float) -> float:
    """Return Young's modulus of an isotropic solid, 9 K G / (3 K + G), GPa.

    Args:
        bulk: GPa.
        shear: GPa.
    """
    return 9.0 * bulk * shear / (3.0 * bulk + shear)


def poisson_ratio(bulk: float, shear: float) -> float:
    """Return the Poisson ratio of an isotropic solid, (3 K - 2 G) / (6 K + 2 G).

    Args:
        bulk: GPa.
        shear: GPa.
    """
    return (3.0 * bulk - 2.0 * shear) / (6.0 * bulk + 2.0 * shear)


def _details(found: Strained, raw: Moduli | None, bulk: float, shear: float) -> dict[str, Any]:
    ratio = shear / LITHIUM_SHEAR
    return {
        "elastic_tensor": [[round(float(x), 3) for x in row] for row in found.tensor],
        "eigenvalues": [round(float(value), 3) for value in eigenvalues(found.tensor)],
        "stable": raw is not None,
        "youngs_modulus": youngs_modulus(bulk, shear),
        "poisson_ratio": poisson_ratio(bulk, shear),
        "pugh_ratio": bulk / shear,
        "dendrite": {
            "lithium_shear_modulus": LITHIUM_SHEAR,
            "ratio": ratio,
            "needed": DENDRITE_FACTOR,
            "suppressed": bool(ratio >= DENDRITE_FACTOR),
        },
        "asymmetry": found.asymmetry,
        "max_force": found.max_force,
        **_uncorrected(raw),
    }


def _uncorrected(raw: Moduli | None) -> dict[str, Any]:
    if raw is None:
        return {}
    return {"anisotropy": raw.anisotropy, "uncorrected": {"bulk_modulus": raw.bulk, "shear_modulus": raw.shear}}


_MANDEL = np.array([1.0, 1.0, 1.0, math.sqrt(2.0), math.sqrt(2.0), math.sqrt(2.0)])
