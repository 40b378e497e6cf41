"""From what a compound might be made: competing phases, the nearest known compounds, and balanced precursors.

A hint for the chemist who has to choose a first experiment, from formation energies alone. Left out are kinetics,
temperature, gases and their pressure, melts, and everything that the tables do not hold.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from pymatgen.core import Composition

from ionsmith.core.errors import InputError, PhysicsError
from ionsmith.core.records import tidy_formula
from ionsmith.core.results import conventional_formula
from ionsmith.thermodynamics.grand import Phase, hull_energy
from ionsmith.thermodynamics.known import KnownPhases
from ionsmith.thermodynamics.phases import Near, Product
from ionsmith.thermodynamics.terms import element_amounts

LEFT_OUT = "kinetics, temperature, gases and their pressure, melts, and phases that the tables do not hold"
"""What the hint does not know."""

_ALKALI = ("Li", "Na", "K")
_ANIONS = ("2CO3", "OH", "NO3", "2SO4", "3PO4", "PO3", "BO2", "2B4O7", "3BO3", "BH4", "NH2", "PF6", "BF4")
_SALTS = (*(metal + anion for metal in _ALKALI for anion in _ANIONS), "AlPO4", "CaCO3", "SrCO3", "BaCO3")
_CARBONATES = {"Li2O": "Li2CO3", "Na2O": "Na2CO3", "K2O": "K2CO3", "CaO": "CaCO3", "SrO": "SrCO3", "BaO": "BaCO3"}
_FLUIDS = (
    "H2 N2 O2 F2 Cl2 Br2 Hg Kr Xe H2O H2O2 CO CO2 NO NO2 N2O N2O3 N2O4 N2O5 NO3 NH3 N2H4 HF HCl HBr HI H2S H2Se PH3 "
    "AsH3 SiH4 GeH4 CH4 CS2 SO2 SO3 SCl2 S2Cl2 SCl4 SF4 SF6 SeF6 TeF6 PF3 PF5 PCl3 PBr3 AsF3 AsF5 AsCl3 SbF5 SbCl5 "
    "BF3 BCl3 BBr3 BH3 SiF4 SiCl4 SiBr4 GeF4 GeCl4 SnCl4 TiCl4 VCl4 VF5 CF4 CCl4 ClF3 BrF3 BrF5 IF5 IF7 ICl NF3 "
    "NCl3 MoF6 WF6 UF6 ReF6 OF2 Cl2O ClO2"
)
_MOST_UNITS = 60  # largest multiple of the formula by which a reaction is written in whole numbers
_FINEST = 1_000_000  # largest denominator of an amount
_BALANCED = 0.02  # imbalance over positive charge below which charges count as balanced

Test = Callable[[Phase], bool]


@dataclass(frozen=True)
class Precursors:
    """Compounds from which a target can be made, balanced exactly.

    Attributes:
        amounts: formula and number of formula units per formula unit of the target, the largest first.
        energy: of the precursors, eV per atom of the target.
        kind: how simple they are, in words.
        reaction: in whole numbers where they stay small.
        carbonates: the same with carbonates in place of oxides that take up water and carbon dioxide; empty where
            there are none.
    """

    amounts: tuple[tuple[str, float], ...]
    energy: float
    kind: str
    reaction: str
    carbonates: str = ""


@dataclass(frozen=True)
class SynthesisHint:
    """What the tables say about making a compound.

    Attributes:
        formula: of the target, as a chemist writes it.
        table_energy: formation energy of the most stable known polymorph of this formula, eV/atom; None where the
            formula is in no table.
        competing: the most stable mixture of other known phases of the same composition.
        competing_energy: of that mixture, eV/atom.
        same_system: nearest known compounds of exactly the same elements.
        nearest: nearest known compounds of any elements.
        precursors: None where nothing simpler balances.
    """

    formula: str
    table_energy: float | None
    competing: tuple[Product, ...]
    competing_energy: float
    same_system: tuple[Near, ...]
    nearest: tuple[Near, ...]
    precursors: Precursors | None


def synthesis_hint(
    composition: Composition, known: KnownPhases, *, states: Mapping[str, float] | None = None
) -> SynthesisHint:
    """Return competing phases, nearest known compounds and a balanced set of precursors.

    Precursors have fewer elements than the target. They are tried in this order until a set balances: solid binaries
    whose elements keep the oxidation states they have in the target; these and common salts such as Li2CO3 or Li3PO4;
    all ternaries too; binaries, salts and solid elements, also where a cation is in a lower state (AsS2 and S in
    place of As2S5); whatever their oxidation states; and last those that are gases or liquids at room temperature.
    Among the sets of a kind the most stable one is taken (a linear programme), so its members do not react with each
    other to anything equally simple, and the driving force that is left is not owed to an unstable reactant.

    Args:
        composition: of the target; any multiple, partial occupancies included.
        known: phases with formation energies.
        states: oxidation state of each element in the target, e; without them all are taken as equally good.

    Raises:
        InputError: an empty composition.
        PhysicsError: the linear programme has no solution.
    """
    if not len(composition):
        raise InputError("expected a composition to make, got an empty one")
    formula = tidy_formula(composition.element_composition)
    unit = Composition(formula)
    amounts = element_amounts(unit)
    own = str(unit.reduced_formula)
    phases = [phase for phase in known.phases(amounts) if phase.formula != own or len(amounts) == 1]
    energy, mixture = hull_energy(phases, amounts)
    total = sum(amounts.values())
    products = (
        Product(conventional_formula(phase.formula), number * size / total, phase.energy / size)
        for phase, number in mixture
        if (size := sum(phase.amounts.values()))
    )
    return SynthesisHint(
        formula=conventional_formula(formula),
        table_energy=known.known(unit),
        competing=tuple(sorted(products, key=lambda product: (-product.fraction, product.formula))),
        competing_energy=energy / total,
        same_system=_told(known.nearest(unit, within=True)),
        nearest=_told(known.nearest(unit)),
        precursors=find_precursors(unit, phases, states=states or {}),
    )


def find_precursors(unit: Composition, phases: Sequence[Phase], *, states: Mapping[str, float]) -> Precursors | None:
    """Return the simplest balanced set of precursors, or None; see :func:`synthesis_hint` for the order.

    Args:
        unit: one formula unit of the target.
        phases: what may serve, elements included; those with as many elements as the target are left out.
        states: oxidation state of each element in the target, e; may be empty.
    """
    amounts = _neutral(element_amounts(unit), states)
    simpler = [phase for phase in phases if len(phase.amounts) < len(amounts)]
    for kind, fits in _kinds(states):
        usable = [phase for phase in simpler if fits(phase)]
        if not set(amounts) <= {element for phase in usable for element in phase.amounts}:
            continue
        try:
            energy, mixture = hull_energy(usable, amounts)
        except PhysicsError:  # nothing of this kind balances
            continue
        exact = _exact([phase for phase, _ in mixture], amounts)
        if exact is not None:
            names = [_salts().get(phase.formula) or conventional_formula(phase.formula) for phase, _ in mixture]
            return _precursors(unit, names, exact, energy / sum(amounts.values()), kind)
    return None


def _neutral(amounts: Mapping[str, float], states: Mapping[str, float]) -> dict[str, float]:
    """Return amounts with the most frequent anion's changed so that charges balance, if they nearly do already."""
    terms = {element: states.get(element, 0.0) * n for element, n in amounts.items()}
    net = sum(terms.values())
    if not balanced(net, sum(term for term in terms.values() if term > 0.0)):
        return dict(amounts)
    anion = min(terms, key=lambda element: (terms[element], element))
    return {**amounts, anion: amounts[anion] - net / states[anion]}


def balanced(net: float, positive: float) -> bool:
    """Return whether charges balance, within the scatter of refined occupancies.

    Args:
        net: sum of all charges, e.
        positive: sum of the positive ones, e.
    """
    return positive > 0.0 and abs(net) <= _BALANCED * positive


def _kinds(states: Mapping[str, float]) -> tuple[tuple[str, Test], ...]:
    """Return the kinds of precursors with the test for each, simplest first."""

    def neutral(phase: Phase) -> bool:
        terms = [states.get(element, 0.0) * n for element, n in phase.amounts.items()]
        return balanced(sum(terms), sum(term for term in terms if term > 0.0))

    def reduced(phase: Phase) -> bool:
        # what it lacks in charge a solid non-metal can bring; a polysulfide or peroxide would have to lose some
        return neutral(phase) or sum(states.get(element, 0.0) * n for element, n in phase.amounts.items()) > 0.0

    def solid(phase: Phase) -> bool:
        return phase.formula not in _fluids()

    def simple(phase: Phase) -> bool:
        return len(phase.amounts) == 2 or phase.formula in _salts()

    return (
        ("binary compounds", lambda p: solid(p) and neutral(p) and len(p.amounts) == 2),
        ("binary compounds and common salts", lambda p: solid(p) and neutral(p) and simple(p)),
        ("compounds of up to three elements", lambda p: solid(p) and neutral(p) and 2 <= len(p.amounts) <= 3),
        ("compounds and solid elements", lambda p: solid(p) and (len(p.amounts) == 1 or (simple(p) and reduced(p)))),
        ("compounds that change their oxidation states", lambda p: solid(p) and (simple(p) or len(p.amounts) == 1)),
        ("compounds, elements, and gases or liquids", lambda p: simple(p) or len(p.amounts) == 1),
    )


@lru_cache(maxsize=1)
def _salts() -> dict[str, str]:
    """Return reduced formulas of common salts and how they are usually written: LiHO and LiOH."""
    return {str(Composition(formula).reduced_formula): formula for formula in _SALTS}


@lru_cache(maxsize=1)
def _fluids() -> frozenset[str]:
    return frozenset(str(Composition(formula).reduced_formula) for formula in _FLUIDS.split())


def _told(near: Sequence[Near]) -> tuple[Near, ...]:
    return tuple(Near(conventional_formula(each.formula), each.distance) for each in near)


def _exact(phases: Sequence[Phase], amounts: Mapping[str, float]) -> list[Fraction] | None:
    """Return the amount of each phase that balances exactly, by elimination over fractions; None where none does."""
    rows = [
        [*(_fraction(phase.amounts.get(element, 0.0)) for phase in phases), _fraction(n)]
        for element, n in amounts.items()
    ]
    for column in range(len(phases)):
        pivot = next((row for row in rows[column:] if row[column]), None)
        if pivot is None:
            return None
        rows.remove(pivot)
        pivot = [entry / pivot[column] for entry in pivot]
        rows = [[a - row[column] * b for a, b in zip(row, pivot, strict=True)] for row in rows]
        rows.insert(column, pivot)
    solved = [row[-1] for row in rows[: len(phases)]]
    rest = any(row[-1] for row in rows[len(phases) :])
    return None if rest or any(amount <= 0 for amount in solved) else solved


def _fraction(amount: float) -> Fraction:
    return Fraction(amount).limit_denominator(_FINEST)


def _precursors(
    unit: Composition, names: Sequence[str], exact: Sequence[Fraction], energy: float, kind: str
) -> Precursors:
    target = conventional_formula(tidy_formula(unit))
    pairs = sorted(zip(names, exact, strict=True), key=lambda pair: (-pair[1], pair[0]))
    salts = [(_CARBONATES.get(name, name), number) for name, number in pairs]
    released = sum((number for name, number in pairs if name in _CARBONATES), Fraction(0))
    return Precursors(
        amounts=tuple((name, float(number)) for name, number in pairs),
        energy=energy,
        kind=kind,
        reaction=_equation(pairs, [(target, Fraction(1))]),
        carbonates=_equation(salts, [(target, Fraction(1)), ("CO2", released)]) if released else "",
    )


def _equation(left: Sequence[tuple[str, Fraction]], right: Sequence[tuple[str, Fraction]]) -> str:
    common = math.lcm(*(number.denominator for _, number in (*left, *right)))
    scale = common if common <= _MOST_UNITS else 1
    sides = (" + ".join(f"{_number(scale * number)}{name}" for name, number in side) for side in (left, right))
    return " -> ".join(sides)


def _number(amount: Fraction) -> str:
    text = str(amount.numerator) if amount.denominator == 1 else f"{float(amount):.4g}"
    return "" if text == "1" else f"{text} "
