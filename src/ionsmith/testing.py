"""Conformance kit: what every registered method must do, and tiny crystals whose answers are known."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from pymatgen.core import Composition, Lattice, Structure

from ionsmith.core.errors import IonsmithError
from ionsmith.core.protocols import Generator, PropertyModel, Simulator
from ionsmith.core.quantities import QUANTITIES
from ionsmith.core.records import Candidate, Kind, Origin, Outcome, Status, Value


class ConformanceError(IonsmithError, AssertionError):
    """A method breaks the contract that the rest of the house relies on."""


def rock_salt(cation: str = "Li", anion: str = "F", *, a: float = 4.03) -> Candidate:
    """Return a rock-salt crystal, 8 sites; LiF by default.

    Args:
        cation: species on the origin.
        anion: species on the body centre.
        a: cubic cell length, angstrom.
    """
    structure = _face_centred(a, [(cation, (0.0, 0.0, 0.0)), (anion, (0.5, 0.5, 0.5))])
    return Candidate(Kind.CRYSTAL, structure, Origin("toy", f"toy:{cation}{anion}"))


def antifluorite(cation: str = "Li", anion: str = "O", *, a: float = 4.62) -> Candidate:
    """Return an antifluorite crystal, 12 sites; Li2O by default.

    Args:
        cation: species on the tetrahedral sites.
        anion: species on the origin.
        a: cubic cell length, angstrom.
    """
    sites = [(cation, (0.25, 0.25, 0.25)), (cation, (0.25, 0.25, 0.75)), (anion, (0.0, 0.0, 0.0))]
    structure = _face_centred(a, sites)
    return Candidate(Kind.CRYSTAL, structure, Origin("toy", f"toy:{cation}2{anion}"))


def disordered_chloride() -> Candidate:
    """Return rock-salt Li0.5Na0.5Cl: one mixed site, the smallest disordered crystal."""
    structure = _face_centred(5.4, [({"Li": 0.5, "Na": 0.5}, (0.0, 0.0, 0.0)), ({"Cl": 1.0}, (0.5, 0.5, 0.5))])
    return Candidate(Kind.CRYSTAL, structure, Origin("toy", "toy:LiNaCl2"))


def _face_centred(a: float, sites: Sequence[tuple[Any, tuple[float, float, float]]]) -> Structure:
    """Return a cubic crystal; written out, because pymatgen takes a second to set up 192 operations."""
    shifts = ((0.0, 0.0, 0.0), (0.0, 0.5, 0.5), (0.5, 0.0, 0.5), (0.5, 0.5, 0.0))
    species = [kind for kind, _ in sites for _ in shifts]
    places = [np.add(place, shift) % 1.0 for _, place in sites for shift in shifts]
    return Structure(Lattice.cubic(a), species, places)


def formula(text: str) -> Candidate:
    """Return a composition candidate.

    Args:
        text: chemical formula.
    """
    return Candidate(Kind.COMPOSITION, Composition(text), Origin("toy", f"toy:{text}"))


def without_lithium() -> Candidate:
    """Return rock-salt MgO, which holds no mobile ion."""
    return rock_salt("Mg", "O", a=4.21)


def measured(candidate: Candidate, quantity: str, mean: float, *, std: float = 0.1) -> Outcome:
    """Return an Outcome with one measured value, for fitting.

    Args:
        candidate: the material.
        quantity: quantity name.
        mean: value in the unit of the quantity.
        std: its spread.
    """
    return Outcome(candidate, {quantity: Value(mean, std, "measured")})


def check_simulator(simulator: Simulator, candidates: Sequence[Candidate], *, registry_name: str) -> None:
    """Check the Simulator contract.

    Args:
        simulator: the simulator under test.
        candidates: materials of accepted kinds, good and bad; physics may refuse them, exceptions may not escape.
        registry_name: the name it is registered under.

    Raises:
        ConformanceError: the first breach found, in words.
    """
    _require(simulator.name == registry_name, f"name {simulator.name!r} differs from registry name {registry_name!r}")
    _require(set(simulator.provides) <= set(QUANTITIES), f"{simulator.name} provides unknown {simulator.provides}")
    _require(simulator.cost > 0.0, f"{simulator.name}: cost must be positive, is {simulator.cost}")
    twin: Simulator = pickle.loads(pickle.dumps(simulator))  # noqa: S301  our own bytes, made one call earlier
    _require(twin.fingerprint == simulator.fingerprint, f"{simulator.name}: fingerprint changes when pickled")
    for candidate in candidates:
        before = candidate.key
        outcome = simulator.run(candidate)
        _require(candidate.key == before, f"{simulator.name} changed its input {candidate.source.locator}")
        _check_outcome(simulator.name, outcome, simulator.provides)
        again = twin.run(candidate)
        _require(_same(outcome, again), f"{simulator.name}: second run of {candidate.source.locator} differs")


def check_model(model: PropertyModel, candidates: Sequence[Candidate], *, registry_name: str) -> None:
    """Check the PropertyModel contract of a fitted model.

    Args:
        model: the fitted model under test.
        candidates: materials of accepted kinds.
        registry_name: the name it is registered under.

    Raises:
        ConformanceError: the first breach found, in words.
    """
    _require(model.name == registry_name, f"name {model.name!r} differs from registry name {registry_name!r}")
    _require(model.quantity in QUANTITIES, f"{model.name} predicts unknown quantity {model.quantity!r}")
    twin: PropertyModel = pickle.loads(pickle.dumps(model))  # noqa: S301  our own bytes, made one call earlier
    _require(twin.fingerprint == model.fingerprint, f"{model.name}: fingerprint changes when pickled")
    whole = model.predict(candidates)
    _require(len(whole) == len(candidates), f"{model.name}: {len(candidates)} candidates, {len(whole)} predictions")
    _require(bool(np.isfinite(whole.mean).all()), f"{model.name}: a mean is not finite")
    _require(bool((whole.std > 0).all() and np.isfinite(whole.std).all()), f"{model.name}: a spread is not positive")
    _require(whole.in_domain.dtype == np.bool_, f"{model.name}: in_domain is {whole.in_domain.dtype}, expected bool")
    for place, candidate in enumerate(candidates):
        alone = twin.predict([candidate])
        same = abs(alone.mean[0] - whole.mean[place]) < 1e-9 and abs(alone.std[0] - whole.std[place]) < 1e-9
        _require(bool(same), f"{model.name}: {candidate.formula} alone and in a batch differ")


def check_generator(make: Callable[[], Generator], *, registry_name: str) -> None:
    """Check the Generator contract.

    Args:
        make: builds a fresh generator that is ready to be asked.
        registry_name: the name it is registered under.

    Raises:
        ConformanceError: the first breach found, in words.
    """
    first, second = make(), make()
    _require(first.name == registry_name, f"name {first.name!r} differs from registry name {registry_name!r}")
    asked = first.ask(3, np.random.default_rng(7))
    _require(len(asked) <= 3, f"{first.name}: asked for 3, got {len(asked)}")
    again = second.ask(3, np.random.default_rng(7))
    keys = [[outcome.candidate.key for outcome in some] for some in (asked, again)]
    _require(keys[0] == keys[1], f"{first.name}: equal random streams gave different proposals")
    first.tell(asked, np.random.default_rng(8))


def _check_outcome(name: str, outcome: Outcome, provides: Sequence[str]) -> None:
    _require(set(outcome.values) <= set(provides), f"{name}: values {sorted(outcome.values)} beyond what it provides")
    if outcome.status is Status.OK:
        missing = sorted(set(provides) - set(outcome.values))
        _require(not missing, f"{name}: status ok without {', '.join(missing)}")
    for key, value in outcome.values.items():
        QUANTITIES[key].check(value.mean, where=name)
    _require("\n" not in outcome.note, f"{name}: a note is one line, got {outcome.note!r}")
    _require(outcome.cost_s >= 0.0, f"{name}: negative cost {outcome.cost_s}")


def _same(one: Outcome, two: Outcome) -> bool:
    close = all(abs(one.values[k].mean - two.values[k].mean) < 1e-6 for k in one.values if k in two.values)
    return one.status is two.status and set(one.values) == set(two.values) and close


def _require(condition: bool, breach: str) -> None:
    if not condition:
        raise ConformanceError(breach)
