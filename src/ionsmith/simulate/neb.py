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
from ionsmith.core.records import Bound, Candidate, FloatArray, Kind, Outcome, Status, Value
from ionsmith.core.registry import register
from ionsmith.simulate.hops import HopClass, percolation_levels
from ionsmith.simulate.md_cell import relaxed_cell, supercell_matrix
from ionsmith.simulate.md_scratch import kept_cell, scratch_folder
from ionsmith.simulate.mechanisms import Mechanism, Ways
from ionsmith.simulate.neb_path import valley_surface
from ionsmith.simulate.neb_run import Band, NebSettings, evaluator, relax_band, relaxed_positions
from ionsmith.simulate.ordered import ordered_crystal
from ionsmith.simulate.places import settled_places
from ionsmith.simulate.potentials import DEFAULT, check_potential, no_answer, potential_fingerprint
from ionsmith.simulate.stage import check_at_least_one, check_range, stopped

SPREAD = 0.21
"""Spread of a barrier, eV; the root mean square difference from published DFT barriers of vacancies
(docs/benchmarks/neb.md). Extra ions are given the same, for want of published ones."""

_NAMES = ("1d", "2d", "3d")
_REVISION = 2  # raise whenever the numbers change for another reason than settings or tables
_PLACES = 2  # likewise, for how the places of an extra ion are found
_log = logging.getLogger(__name__)


@register("simulator", "neb")
@dataclass(frozen=True)
class MigrationBarrier:
    """Lowest barrier at which hops of a defect cross the crystal, from nudged elastic bands of every distinct hop.

    The value is the barrier of the lowest dimension in which the crystal percolates (1-D), the one that papers quote
    as its migration barrier; 2-D and 3-D are in the details. The defect is neutral, because universal potentials
    carry no charge: the electron goes with the ion. A disordered crystal is computed as its ordered approximant.

    An extra ion sits on the empty places that the bond-valence landscape shows, relaxed with the potential. It hops
    from one to the next, or knocks the lattice ion between them off its site into the next (interstitialcy). The
    barrier is that of moving; what it costs to make the defect is not in it.

    Details: ``barriers_eV`` (``1d``, ``2d``, ``3d``; absent where there is none), ``supercell_atoms``,
    ``image_distance_A``, ``hops`` (per distinct hop: ``from``, ``to``, ``cell``, ``length_A``, ``count``,
    ``energies_eV`` of the images, ``coordinate`` 0 to 1 along the band, ``forward_eV``, ``backward_eV``,
    ``converged``, ``steps``, ``force_eV_A``, ``started_from``), ``mechanism``, ``places`` (of an extra ion, see
    :func:`ionsmith.simulate.places.settled_places`), ``failed`` (hops without an answer, with the reason) and
    ``files`` (images of every hop as extxyz).

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
        mechanism: ``vacancy``, ``interstitial`` or ``knock-off``.
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
    mechanism: str = Mechanism.VACANCY
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
            InputError: a limit that is not above zero, a count below one, an unknown mechanism, more than two
                vacancies or two beside an extra ion, or a potential that cannot be had.
        """
        for name in ("distance", "min_length", "fmax"):
            if not (getattr(self, name) > 0.0 and math.isfinite(getattr(self, name))):
                raise InputError(f"expected {name} above zero, got {getattr(self, name)}")
        for name in ("images", "max_steps", "max_sites", "max_hops"):
            check_at_least_one(getattr(self, name), name)
        if self.mechanism not in tuple(Mechanism):
            raise InputError(f"expected the mechanism {', '.join(Mechanism)}, got {self.mechanism!r}")
        if self.vacancies not in (1, 2):
            raise InputError(f"expected one or two vacancies, got {self.vacancies}")
        if self.vacancies == 2 and self.mechanism != Mechanism.VACANCY:
            raise InputError(f"expected two vacancies only with the mechanism vacancy, got {self.mechanism}")
        check_potential(self.potential)

    @property
    def fingerprint(self) -> str:
        """Settings, potential and its version."""
        fields = ("mobile", "distance", "min_length", "images", "fmax", "max_steps", "max_sites", "max_hops")
        settings = ",".join(f"{name}={getattr(self, name)}" for name in (*fields, "vacancies", "relax"))
        settings += "" if self.mechanism == Mechanism.VACANCY else f",mechanism={self.mechanism},places={_PLACES}"
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
            matrix = supercell_matrix(crystal, self.min_length)
            ways = self._settled(self._ways(crystal), matrix, folder)
            bands, failed = self._bands(crystal, ways, matrix, folder)
            levels = _levels(ways, bands)
            if not math.isfinite(levels[0]):
                reason = failed[0]["reason"] if failed else "the hops computed do not connect the crystal"
                raise PhysicsError(
                    f"no percolating barrier: {len(failed)} of {len(ways.classes)} hops failed; {reason}"
                )
            check_range("neb_barrier", levels[0])
        except PhysicsError as reason:
            return stopped(candidate, Status.REJECTED, reason, start)
        except InputError as reason:
            return stopped(candidate, Status.FAILED, reason, start)
        left = len(ways.classes) - len(bands)
        bound = Bound.UPPER if left else Bound.EXACT
        value = Value(levels[0], SPREAD, f"{self.name} {self.potential}", None, bound)
        note = (
            f"{left} of {len(ways.classes)} distinct hops are missing: the barrier is an upper limit" if left else ""
        )
        more = 1 if ways.extra else -self.vacancies
        details = _details(crystal, bands, failed, levels) | {
            "mechanism": str(self.mechanism),
            "places": ways.sites.properties.get("places", []),
            "supercell_atoms": round(abs(float(np.linalg.det(matrix)))) * len(crystal) + more,
            "image_distance_A": round(float(np.linalg.norm(matrix @ crystal.lattice.matrix, axis=1).min()), 3),
        }
        return Outcome(
            candidate, {"neb_barrier": value}, note=note, cost_s=time.perf_counter() - start, details=details
        )

    def _prepared(self, candidate: Candidate) -> Structure:
        plain = ordered_crystal(candidate, max_sites=self.max_sites)[1]
        if plain.composition.get(self.mobile, 0) == 0:
            raise PhysicsError(f"no {self.mobile} in {plain.composition.reduced_formula}: nothing hops")
        self._ways(plain)  # refuse before the work starts
        return relaxed_cell(plain, self.potential) if self.relax else plain

    def _ways(self, crystal: Structure) -> Ways:
        return Ways.of(crystal, self.mobile, Mechanism(self.mechanism), distance=self.distance)

    def _settled(self, ways: Ways, matrix: NDArray[np.int64], folder: Path | None) -> Ways:
        if not ways.extra:
            return ways
        settings = NebSettings(self.images, self.fmax, self.max_steps)

        def relax(atoms: Any) -> tuple[FloatArray, float]:
            try:
                evaluate = evaluator(atoms, self.potential)
                positions = relaxed_positions(atoms, evaluate, settings)
                return positions, float(evaluate(positions[None])[0][0])
            except (ValueError, RuntimeError, NotImplementedError, KeyError, IndexError) as error:
                raise PhysicsError(no_answer(self.potential, error)) from error

        sites = kept_cell(folder, lambda: settled_places(ways.sites, self.mobile, matrix, relax), "places")
        return Ways.between(sites, self.mobile, ways.mechanism, distance=self.distance)

    def _bands(
        self, crystal: Structure, ways: Ways, matrix: NDArray[np.int64], folder: Path | None
    ) -> tuple[list[tuple[HopClass, Band, Any]], list[dict[str, Any]]]:
        settings = NebSettings(self.images, self.fmax, self.max_steps)
        surface = valley_surface(crystal, self.mobile)
        bands: list[tuple[HopClass, Band, Any]] = []
        failed: list[dict[str, Any]] = []
        classes = ways.classes[: self.max_hops]
        for number, group in enumerate(classes, start=1):
            hop = group.example
            begun = time.perf_counter()
            try:
                defect = ways.defect(hop, matrix, vacancies=self.vacancies)
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


def _levels(ways: Ways, bands: list[tuple[HopClass, Band, Any]]) -> tuple[float, float, float]:
    """Percolation of all hops that symmetry makes from the computed ones."""
    energies: dict[int, float] = {}
    hops = []
    for group, band, _ in bands:
        at_start, at_end = ways.at_ends(band)
        for member, turned in zip(group.members, group.turned, strict=True):
            first, last = (member.end, member.start) if turned else (member.start, member.end)
            for site, energy in ((first, at_start), (last, at_end)):
                energies[site] = min(energies.get(site, math.inf), energy)
            hops.append((member, band.saddle))
    return percolation_levels(ways.sites, hops, energies) if hops else (math.inf, math.inf, math.inf)


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
