"""Migration barrier: climbing-image bands of all distinct hops, and the barrier at which they percolate."""

from __future__ import annotations

import io
import logging
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pymatgen.core import Structure

from ionsmith.core.errors import InputError, PhysicsError
from ionsmith.core.records import Bound, Candidate, Kind, Outcome, Status, Value
from ionsmith.core.registry import register
from ionsmith.simulate.hops import HopClass, distinct_hops, percolation_levels
from ionsmith.simulate.md_cell import relaxed_cell, supercell_matrix
from ionsmith.simulate.md_scratch import kept_cell, scratch_folder
from ionsmith.simulate.neb_path import valley_surface
from ionsmith.simulate.neb_run import Band, NebSettings, evaluator, relax_band, vacancy
from ionsmith.simulate.ordered import ordered_crystal
from ionsmith.simulate.potentials import DEFAULT, check_potential, no_answer, potential_fingerprint
from ionsmith.simulate.stage import check_at_least_one, check_range, stopped

SPREAD = 0.21
"""Spread of a barrier, eV; the root mean square difference from published DFT barriers (docs/benchmarks/neb.md)."""

_NAMES = ("1d", "2d", "3d")
_REVISION = 2  # raise whenever the numbers change for another reason than settings or tables
_log = logging.getLogger(__name__)


@register("simulator", "neb")
@dataclass(frozen=True)
class MigrationBarrier:
    """Lowest barrier at which hops of a vacancy cross the crystal, from nudged elastic bands of every distinct hop.

    The value is the barrier of the lowest dimension in which the crystal percolates (1-D), the one that papers quote
    as its migration barrier; 2-D and 3-D are in the details. The vacancy is neutral, because universal potentials
    carry no charge: the electron goes with the ion. A disordered crystal is computed as its ordered approximant.

    Details: ``barriers_eV`` (``1d``, ``2d``, ``3d``; absent where there is none), ``supercell_atoms``,
    ``image_distance_A``, ``hops`` (per distinct hop: ``from``, ``to``, ``cell``, ``length_A``, ``count``,
    ``energies_eV`` of the images, ``coordinate`` 0 to 1 along the band, ``forward_eV``, ``backward_eV``,
    ``converged``, ``steps``, ``force_eV_A``, ``started_from``), ``failed`` (hops without an answer, with the reason)
    and ``files`` (images of every hop as extxyz).

    Attributes:
        mobile: element that hops.
        potential: as in :func:`ionsmith.simulate.potentials.potential`.
        distance: longest hop, angstrom; raised up to 7 where such hops do not percolate.
        min_length: least distance of the vacancy from its own image, angstrom.
        images: between the end points of a band.
        fmax: largest force on a converged band, eV/angstrom.
        max_steps: iterations of a band.
        max_sites: larger cells are rejected, atoms.
        max_hops: distinct hops to compute, shortest first.
        vacancies: one, or two for a divacancy (the ion nearest to the middle of the hop is missing as well).
        relax: relax cell and atoms first.
        scratch: folder for checkpoints; empty for none.
    """

    mobile: str = "Li"
    potential: str = DEFAULT
    distance: float = 4.5
    min_length: float = 8.0
    images: int = 5
    fmax: float = 0.05
    max_steps: int = 150
    max_sites: int = 100
    max_hops: int = 12
    vacancies: int = 1
    relax: bool = True
    scratch: str = ""

    name: ClassVar[str] = "neb"
    kinds: ClassVar[frozenset[Kind]] = frozenset({Kind.CRYSTAL})
    provides: ClassVar[tuple[str, ...]] = ("neb_barrier",)
    cost: ClassVar[float] = 300.0
    trial: ClassVar[Mapping[str, Any]] = MappingProxyType(
        {"potential": "lj", "relax": False, "min_length": 3.0, "images": 1, "max_steps": 2, "max_hops": 1}
    )
    """Settings under which the conformance kit runs it in seconds."""

    def __post_init__(self) -> None:
        """Refuse settings under which nothing can run.

        Raises:
            InputError: a limit that is not above zero, a count below one, more than two vacancies, or a potential
                that cannot be had.
        """
        for name in ("distance", "min_length", "fmax"):
            if not (getattr(self, name) > 0.0 and math.isfinite(getattr(self, name))):
                raise InputError(f"expected {name} above zero, got {getattr(self, name)}")
        for name in ("images", "max_steps", "max_sites", "max_hops"):
            check_at_least_one(getattr(self, name), name)
        if self.vacancies not in (1, 2):
            raise InputError(f"expected one or two vacancies, got {self.vacancies}")
        check_potential(self.potential)

    @property
    def fingerprint(self) -> str:
        """Settings, potential and its version."""
        fields = ("mobile", "distance", "min_length", "images", "fmax", "max_steps", "max_sites", "max_hops")
        settings = ",".join(f"{name}={getattr(self, name)}" for name in (*fields, "vacancies", "relax"))
        return f"neb-{_REVISION}({settings},{potential_fingerprint(self.potential)})"

    def run(self, candidate: Candidate) -> Outcome:
        """Return the percolating barrier; rejected where nothing hops through the crystal.

        Args:
            candidate: a crystal, ordered or disordered.
        """
        start = time.perf_counter()
        try:
            folder = scratch_folder(self.scratch, candidate, self.fingerprint)
            crystal = kept_cell(folder, lambda: self._prepared(candidate))
            classes = distinct_hops(crystal, self.mobile, distance=self.distance)
            matrix = supercell_matrix(crystal, self.min_length)
            bands, failed = self._bands(crystal, classes[: self.max_hops], matrix, folder)
            levels = _levels(crystal, bands)
            if not math.isfinite(levels[0]):
                reason = failed[0]["reason"] if failed else "the hops computed do not connect the crystal"
                raise PhysicsError(f"no percolating barrier: {len(failed)} of {len(classes)} hops failed; {reason}")
            check_range("neb_barrier", levels[0])
        except PhysicsError as reason:
            return stopped(candidate, Status.REJECTED, reason, start)
        except InputError as reason:
            return stopped(candidate, Status.FAILED, reason, start)
        left = len(classes) - len(bands)
        bound = Bound.UPPER if left else Bound.EXACT
        value = Value(levels[0], SPREAD, f"{self.name} {self.potential}", None, bound)
        note = f"{left} of {len(classes)} distinct hops are missing: the barrier is an upper limit" if left else ""
        details = _details(crystal, bands, failed, levels) | {
            "supercell_atoms": round(abs(float(np.linalg.det(matrix)))) * len(crystal) - self.vacancies,
            "image_distance_A": round(float(np.linalg.norm(matrix @ crystal.lattice.matrix, axis=1).min()), 3),
        }
        return Outcome(
            candidate, {"neb_barrier": value}, note=note, cost_s=time.perf_counter() - start, details=details
        )

    def _prepared(self, candidate: Candidate) -> Structure:
        plain = ordered_crystal(candidate, max_sites=self.max_sites)[1]
        if plain.composition.get(self.mobile, 0) == 0:
            raise PhysicsError(f"no {self.mobile} in {plain.composition.reduced_formula}: nothing hops")
        distinct_hops(plain, self.mobile, distance=self.distance)  # refuse before the work starts
        return relaxed_cell(plain, self.potential) if self.relax else plain

    def _bands(
        self, crystal: Structure, classes: tuple[HopClass, ...], matrix: NDArray[np.int64], folder: Path | None
    ) -> tuple[list[tuple[HopClass, Band, Any]], list[dict[str, Any]]]:
        settings = NebSettings(self.images, self.fmax, self.max_steps)
        surface = valley_surface(crystal, self.mobile)
        bands: list[tuple[HopClass, Band, Any]] = []
        failed: list[dict[str, Any]] = []
        for number, group in enumerate(classes, start=1):
            hop = group.example
            begun = time.perf_counter()
            try:
                defect = vacancy(crystal, hop, matrix, removed=self.vacancies)
                evaluate = evaluator(defect.atoms, self.potential)
                place = None if folder is None else folder / f"hop-{number:03d}"
                band = relax_band(defect, hop, settings=settings, evaluate=evaluate, surface=surface, folder=place)
            except PhysicsError as reason:
                failed.append(_failed(group, str(reason)))
            except (ValueError, RuntimeError, NotImplementedError, KeyError, IndexError) as error:
                failed.append(_failed(group, no_answer(self.potential, error)))
            else:
                bands.append((group, band, defect.atoms))
            spent = time.perf_counter() - begun
            left = spent * (len(classes) - number)
            _log.info("hop %d of %d: %.0f s, about %.0f s left", number, len(classes), spent, left)
        return bands, failed


def _failed(group: HopClass, reason: str) -> dict[str, Any]:
    hop = group.example
    return {"from": hop.start, "to": hop.end, "cell": list(hop.cell), "length_A": round(hop.length, 4)} | {
        "count": len(group.members),
        "reason": " ".join(reason.split()),
    }


def _levels(crystal: Structure, bands: list[tuple[HopClass, Band, Any]]) -> tuple[float, float, float]:
    """Percolation of all hops that symmetry makes from the computed ones."""
    energies: dict[int, float] = {}
    hops = []
    for group, band, _ in bands:
        vacant_end, vacant_start = float(band.energies[0]), float(band.energies[-1])
        for member, turned in zip(group.members, group.turned, strict=True):
            pairs = ((member.end, vacant_end), (member.start, vacant_start))
            if turned:
                pairs = ((member.end, vacant_start), (member.start, vacant_end))
            for site, energy in pairs:
                energies[site] = min(energies.get(site, math.inf), energy)
            hops.append((member, band.saddle))
    return percolation_levels(crystal, hops, energies) if hops else (math.inf, math.inf, math.inf)


def _details(
    crystal: Structure,
    bands: list[tuple[HopClass, Band, Any]],
    failed: list[dict[str, Any]],
    levels: tuple[float, float, float],
) -> dict[str, Any]:
    return {
        "barriers_eV": {n: round(e, 5) for n, e in zip(_NAMES, levels, strict=True) if math.isfinite(e)},
        "formula": crystal.composition.reduced_formula,
        "hops": [_hop(group, band) for group, band, _ in bands],
        "failed": failed,
        "files": {f"hop-{n:03d}.extxyz": _images(band, atoms) for n, (_, band, atoms) in enumerate(bands, start=1)},
    }


def _hop(group: HopClass, band: Band) -> dict[str, Any]:
    hop = band.hop
    steps = np.linalg.norm(np.diff(band.positions, axis=0), axis=(1, 2))
    way = np.concatenate([[0.0], np.cumsum(steps)])
    return {
        "from": hop.start,
        "to": hop.end,
        "cell": list(hop.cell),
        "length_A": round(hop.length, 4),
        "count": len(group.members),
        "coordinate": [round(float(x / max(way[-1], 1e-9)), 4) for x in way],
        "energies_eV": [round(float(e - band.energies[0]), 5) for e in band.energies],
        "forward_eV": round(band.forward, 5),
        "backward_eV": round(band.backward, 5),
        "converged": band.converged,
        "steps": band.steps,
        "force_eV_A": round(band.force, 4),
        "started_from": band.start,
    }


def _images(band: Band, atoms: Any) -> str:
    from ase.io import write

    frames = []
    for positions, energy in zip(band.positions, band.energies, strict=True):
        frame = atoms.copy()
        frame.set_positions(positions)
        frame.info["energy_above_start_eV"] = round(float(energy - band.energies[0]), 6)
        frames.append(frame)
    text = io.StringIO()
    write(text, frames, format="extxyz")
    return text.getvalue()
