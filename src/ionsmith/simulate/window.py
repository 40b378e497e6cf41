"""Electrochemical window, voltage profile and reactions with electrodes, from the reference hull."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

from pymatgen.core import Composition

from ionsmith.core.errors import InputError, PhysicsError
from ionsmith.core.quantities import suggestion
from ionsmith.core.records import Bound, Candidate, Kind, Outcome, Status, Value
from ionsmith.core.registry import register
from ionsmith.simulate.hull import MISSING_COMPETITOR, read_references
from ionsmith.simulate.interface import (
    ELECTRODES,
    mixture_text,
    number_text,
    parse_reactant,
    products_document,
    react,
)
from ionsmith.simulate.ordered import ordered_crystal
from ionsmith.simulate.potentials import potential_fingerprint, static_energy
from ionsmith.simulate.stage import check_at_least_one, stopped
from ionsmith.thermodynamics.grand import HIGHEST, Phase, Plateau, hull_energy, voltage_profile
from ionsmith.thermodynamics.known import CORRECTIONS, KnownPhases
from ionsmith.thermodynamics.references import REFERENCES
from ionsmith.thermodynamics.terms import element_amounts

CHARGES = MappingProxyType({"Li": 1, "Na": 1, "K": 1, "Mg": 2, "Ca": 2, "Zn": 2, "Al": 3})
"""Metals that a window can be against, with the charge of their ions."""

CONVENTIONS = ("hull", "strict")

WINDOW_SPREAD = 0.1
"""Root mean square difference from published windows, V; see docs/benchmarks/window.md."""

FAR_ABOVE = 0.1
"""Energy above hull beyond which a window says little about the material, eV/atom."""

LEFT_OUT = (
    "zero temperature, no entropy and no interface energy; phases that nobody has computed; kinetics: decomposition "
    "may be slow, and a metastable material is taken as an equilibrium of the phases below it"
)

ROUNDING = 0.003
"""Share of a material's atoms by which its content may be off where the formula is not whole: the amounts of
Li0.33La0.56TiO3 are rounded, and the 0.01 Li that its charges do not account for is no property of the material."""

_ON_HULL = 1e-5  # eV/atom by which the material is put below the hull, so that it is the one that is found
_STRICT = 5e-3  # eV/atom above the hull that the strict convention still takes as stable
_REVISION = 1  # raise whenever the numbers change for another reason than settings or tables


@dataclass(frozen=True)
class _Own:
    """A material with the energy it takes part with.

    Attributes:
        phase: formula, amounts and energy.
        source: where the energy comes from: ``table``, ``crystal`` or ``hull``.
        above: energy of the crystal (or the table's) above the hull, eV/atom; None where unknown.
        decomposition: hull phases of the same composition.
        note: why the crystal's own energy is missing, or an empty string.
    """

    phase: Phase
    source: str
    above: float | None
    decomposition: tuple[tuple[Phase, float], ...]
    note: str = ""


@register("simulator", "window")
@dataclass(frozen=True)
class ElectrochemicalWindow:
    """Reduction and oxidation potential from the phase diagram open to the mobile element.

    The window is the range of voltages in which the phase equilibrium at the material's composition neither takes up
    nor gives off the mobile element (Zhu, He, Mo 2015, doi 10.1021/acsami.5b07517).

    Which energy the material has: where the tables hold the formula, its lowest-energy known phase (``table``); a
    crystal of an unknown formula that CHGNet and the element references put below the hull takes part with that
    energy (``crystal``); everything else is put on the hull (``hull``): a metastable material has no window of its
    own, and the published convention takes that of the equilibrium of the same composition. ``convention="strict"``
    refuses those instead.

    ``details``: ``reduction`` and ``oxidation`` (``potential``, ``reaction``, ``products`` and ``bound`` where the
    limit was not reached), ``profile`` (from high to low voltage: ``high``, ``low``, ``uptake`` per formula unit,
    ``products``), ``at_voltage`` (``voltage``, ``reaction``, ``energy`` released in eV per atom of the material),
    ``interfaces`` (``with``, ``energy``, ``share``, ``reaction``, ``products``), ``other_corrections`` (limits on
    another scale),
    ``energy_source``, ``energy_above_hull``, ``decomposition``, ``convention``, ``corrections``, ``left_out``.

    Attributes:
        mobile: the exchanged element; potentials are against its metal.
        corrections: scale of the energies, ``2015`` (published windows), ``2018`` or ``2020``; see
            :data:`ionsmith.thermodynamics.known.CORRECTIONS`.
        convention: ``hull`` or ``strict``.
        voltages: at which the equilibrium is described, V.
        electrodes: formulas that the material is mixed with.
        references: element references for the energy of crystals.
        max_sites: larger crystals are treated by their composition alone, atoms.
    """

    mobile: str = "Li"
    corrections: str = "2015"
    convention: str = "hull"
    voltages: tuple[float, ...] = (0.0, 4.2)
    electrodes: tuple[str, ...] = ELECTRODES
    references: str = REFERENCES
    max_sites: int = 200

    name: ClassVar[str] = "window"
    kinds: ClassVar[frozenset[Kind]] = frozenset({Kind.CRYSTAL, Kind.COMPOSITION})
    provides: ClassVar[tuple[str, ...]] = ("reduction_potential", "oxidation_potential")
    cost: ClassVar[float] = 0.5

    def __post_init__(self) -> None:
        """Refuse settings under which nothing can run.

        Raises:
            InputError: an unknown metal, scale or convention, a voltage outside the profile, or no formula.
        """
        for value, known, what in (
            (self.mobile, CHARGES, "mobile element"),
            (self.corrections, CORRECTIONS, "corrections"),
            (self.convention, dict.fromkeys(CONVENTIONS, ""), "convention"),
        ):
            if value not in known:
                raise InputError(f"window: unknown {what} {value!r}{suggestion(value, list(known))}")
        for voltage in self.voltages:
            if not 0.0 <= voltage <= HIGHEST:
                raise InputError(f"window: expected voltages between 0 and {HIGHEST:g} V, got {voltage}")
        for formula in self.electrodes:
            parse_reactant(formula)
        check_at_least_one(self.max_sites, "max_sites")

    @property
    def fingerprint(self) -> str:
        """Settings, tables and references."""
        known = read_references(self.references)
        settings = f"{self.mobile},{self.convention},{self.voltages},{self.electrodes},max_sites={self.max_sites}"
        tables = KnownPhases.shipped(self.corrections).fingerprint
        potential = potential_fingerprint(known.potential)
        return f"window-{_REVISION}({settings},{tables},{potential},{known.fingerprint})"

    def run(self, candidate: Candidate) -> Outcome:
        """Return the limits of the window, with reactions and profile in ``details``.

        Args:
            candidate: a crystal, ordered or disordered, or a composition.
        """
        start = time.perf_counter()
        try:
            composition = candidate.composition.element_composition
            elements = {*element_amounts(composition), self.mobile}
            if len(elements - {self.mobile}) == 0:
                raise PhysicsError(f"{self.mobile} metal has no window against itself")
            above, note = self._own_energy(candidate)
            found = self._limits(composition, above, self.corrections)
            own = found.own
            self._check_strict(own)
            details = self._details(found, note)
        except PhysicsError as reason:
            return stopped(candidate, Status.REJECTED, reason, start)
        except InputError as reason:
            return stopped(candidate, Status.FAILED, reason, start)
        other = self._limits(composition, above, "2018" if self.corrections == "2020" else "2020")
        details["other_corrections"] = {
            "scale": "2018" if self.corrections == "2020" else "2020",
            "reduction_potential": other.reduction,
            "oxidation_potential": min(other.oxidation, HIGHEST),
        }
        values = self._values(found, other)
        return Outcome(candidate, values, cost_s=time.perf_counter() - start, details=details)

    def _own_energy(self, candidate: Candidate) -> tuple[tuple[Composition, float] | None, str]:
        """Return composition and formation energy (corrections of 2020) of a crystal, or why there is none."""
        if candidate.kind is not Kind.CRYSTAL:
            return None, ""
        try:
            ordered, plain = ordered_crystal(candidate, max_sites=self.max_sites)
            references = read_references(self.references)
            energy = static_energy(plain, references.potential)
            return (ordered.composition, references.formation_energy(ordered.composition, energy).mean), ""
        except PhysicsError as reason:
            return None, " ".join(str(reason).split())

    def _limits(self, composition: Composition, crystal: tuple[Composition, float] | None, scale: str) -> _Limits:
        known = KnownPhases.shipped(scale)
        phases = known.phases({*element_amounts(composition), self.mobile})
        own = _place(composition, crystal, known, phases)
        charge = CHARGES[self.mobile]
        profile = voltage_profile([*phases, own.phase], own.phase.amounts, mobile=self.mobile, charge=charge)
        where = next((n for n, step in enumerate(profile) if any(p is own.phase for p, _ in step.products)), None)
        if where is None:
            raise PhysicsError(f"{own.phase.formula}: the material is no part of any equilibrium up to {HIGHEST:g} V")
        amounts = own.phase.amounts
        slack = 0.0 if _whole(amounts) else ROUNDING * sum(amounts.values())
        return _Limits(own, profile, _widest(profile, where, slack))

    def _check_strict(self, own: _Own) -> None:
        if self.convention == "strict" and own.above is not None and own.above > _STRICT:
            raise PhysicsError(
                f"no window in the strict sense: {own.above:.3f} eV/atom above the hull; convention 'hull' gives "
                "that of the stable phases of the same composition"
            )

    def _values(self, found: _Limits, other: _Limits) -> dict[str, Value]:
        above = found.own.above
        trusted = None if above is None else MISSING_COMPETITOR < above <= FAR_ABOVE
        method = f"hull-{self.corrections}"
        low = Bound.UPPER if found.where + 1 == len(found.profile) else Bound.EXACT
        high = Bound.LOWER if found.oxidation > HIGHEST else Bound.EXACT
        reduction, oxidation = found.reduction, min(found.oxidation, HIGHEST)
        return {
            "reduction_potential": Value(
                reduction, math.hypot(WINDOW_SPREAD, 0.5 * (reduction - other.reduction)), method, trusted, low
            ),
            "oxidation_potential": Value(
                oxidation,
                math.hypot(WINDOW_SPREAD, 0.5 * (oxidation - min(other.oxidation, HIGHEST))),
                method,
                trusted,
                high,
            ),
        }

    def _details(self, found: _Limits, note: str) -> dict[str, Any]:
        known = KnownPhases.shipped(self.corrections)
        own, profile = found.own, found.profile
        details: dict[str, Any] = {
            "convention": self.convention,
            "corrections": self.corrections,
            "energy_source": own.source,
            "decomposition": products_document(own.decomposition),
            "reduction": self._limit(found, 1, found.reduction),
            "oxidation": self._limit(found, -1, found.oxidation),
            "profile": [_step(step, own.phase, self.mobile) for step in profile],
            "at_voltage": [self._equilibrium(found, voltage) for voltage in self.voltages],
            "interfaces": [react(own.phase, formula, known) for formula in self.electrodes],
            "mobile": self.mobile,
            "left_out": LEFT_OUT,
        }
        if own.above is not None:
            details["energy_above_hull"] = own.above
        if note:
            details["crystal_energy"] = f"not used: {note}"
        return details

    def _limit(self, found: _Limits, side: int, potential: float) -> dict[str, Any]:
        place = found.where + side
        if 0 <= place < len(found.profile) and any(p is found.own.phase for p, _ in found.profile[place].products):
            place += side  # the rounded formula itself, beside its window
        if place == len(found.profile):
            return {"potential": 0.0, "bound": "upper", "reaction": f"stable against {self.mobile}", "products": []}
        if place < 0:
            return {"potential": HIGHEST, "bound": "lower", "reaction": "not oxidised", "products": []}
        step = found.profile[place]
        return {
            "potential": potential,
            "reaction": _reaction(found.own.phase, step, self.mobile),
            "products": products_document(step.products),
        }

    def _equilibrium(self, found: _Limits, voltage: float) -> dict[str, Any]:
        step = next(step for step in found.profile if step.low <= voltage)
        own = found.own.phase
        charge = CHARGES[self.mobile]
        here = own.energy + charge * voltage * own.amounts.get(self.mobile, 0.0)
        there = step.energy + charge * voltage * step.content
        return {
            "voltage": voltage,
            "reaction": _reaction(own, step, self.mobile),
            "products": products_document(step.products),
            "energy": min(there - here, 0.0) / sum(own.amounts.values()),
        }


@dataclass(frozen=True)
class _Limits:
    """A profile, and the place in it that is the material's window."""

    own: _Own
    profile: tuple[Plateau, ...]
    where: int

    @property
    def reduction(self) -> float:
        return self.profile[self.where].low

    @property
    def oxidation(self) -> float:
        return self.profile[self.where].high


def _place(
    composition: Composition, crystal: tuple[Composition, float] | None, known: KnownPhases, phases: tuple[Phase, ...]
) -> _Own:
    """Return the material with the energy it takes part with."""
    reduced, _ = composition.get_reduced_composition_and_factor()
    amounts = element_amounts(reduced)
    size = sum(amounts.values())
    on_hull, products = hull_energy(phases, amounts)
    held = known.known(composition)
    above = None if held is None else held - on_hull / size
    source, energy = ("hull" if held is None else "table"), on_hull - _ON_HULL * size
    if crystal is not None:
        made = element_amounts(crystal[0].reduced_composition)
        level = hull_energy(phases, made)[0] / sum(made.values())
        above = known.from_2020(crystal[0], crystal[1]) - level
        if held is None and above < -_ON_HULL:
            source, energy = "crystal", on_hull + above * size
    return _Own(Phase(str(composition.reduced_formula), amounts, energy), source, above, products)


def _widest(profile: tuple[Plateau, ...], where: int, slack: float) -> int:
    """Return the widest step whose content differs from that at ``where`` by no more than ``slack`` atoms."""
    near = [n for n, step in enumerate(profile) if abs(step.content - profile[where].content) <= slack]
    return max(near, key=lambda n: (min(profile[n].high, HIGHEST) - profile[n].low, n == where))


def _whole(amounts: Mapping[str, float]) -> bool:
    return all(abs(number - round(number)) < 1e-6 for number in amounts.values())


def _step(step: Plateau, own: Phase, mobile: str) -> dict[str, Any]:
    return {
        "high": min(step.high, HIGHEST),
        "low": step.low,
        "uptake": step.content - own.amounts.get(mobile, 0.0),
        "products": products_document(step.products),
    }


def _reaction(own: Phase, step: Plateau, mobile: str) -> str:
    """Return the reaction from the material to an equilibrium, with the metal on the side it comes from."""
    if any(phase is own for phase, _ in step.products):
        return "stable"
    uptake = step.content - own.amounts.get(mobile, 0.0)
    left, right = own.formula, mixture_text(step.products)
    if uptake > 1e-4:
        left += f" + {number_text(uptake)}{mobile}"
    elif uptake < -1e-4:
        right += f" + {number_text(-uptake)}{mobile}"
    return f"{left} -> {right}"
