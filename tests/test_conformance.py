"""The conformance kit, run over everything that is registered."""

from types import SimpleNamespace

import numpy as np
import pytest

from ionsmith.core.protocols import Generator, PropertyModel, Representation, Simulator
from ionsmith.core.records import Kind, Outcome, Prediction, Value
from ionsmith.core.registry import registered
from ionsmith.testing import (
    ConformanceError,
    antifluorite,
    check_generator,
    check_model,
    check_simulator,
    disordered_chloride,
    formula,
    rock_salt,
    without_lithium,
)

CRYSTALS = (rock_salt(), antifluorite(), disordered_chloride(), without_lithium())
FORMULAS = (formula("Li6PS5Cl"), formula("LiF"))


@pytest.mark.parametrize("name", registered("simulator"))
def test_simulators(name):
    method = registered("simulator")[name]
    simulator = method(**getattr(method, "trial", {}))  # a dear simulator says how it runs in seconds
    assert isinstance(simulator, Simulator)
    check_simulator(simulator, CRYSTALS, registry_name=name)


@pytest.mark.parametrize("name", registered("model"))
def test_models(name):
    model = registered("model")[name].load()
    assert isinstance(model, PropertyModel)
    accepted = [c for c in (*CRYSTALS, *FORMULAS) if c.kind in model.kinds]
    check_model(model, accepted, registry_name=name)


@pytest.mark.parametrize("name", registered("generator"))
def test_generators(name):
    generator = registered("generator")[name]
    assert isinstance(generator(), Generator)
    check_generator(generator, registry_name=name)


@pytest.mark.parametrize("name", registered("representation"))
def test_representations(name):
    representation = registered("representation")[name]()
    assert isinstance(representation, Representation)
    assert len(representation.encode(list(FORMULAS))) == len(FORMULAS)


def test_something_is_registered_under_every_role_in_use():
    assert {"relax", "hull", "bvse"} <= set(registered("simulator"))
    assert "conductivity" in registered("model")
    assert "pool" in registered("generator")


class Sim:
    """A well-behaved simulator to spoil."""

    name = "sim"
    kinds = frozenset({Kind.CRYSTAL})
    provides = ("band_gap",)
    cost = 1.0
    fingerprint = "sim-1"
    values = (1.0, 1.0, 1.0)
    calls = 0

    def run(self, candidate):
        Sim.calls += 1
        return Outcome(candidate, {"band_gap": Value(self.values[Sim.calls % 3], 0.1, "sim")})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": "other"}, "differs from registry name"),
        ({"provides": ("colour",)}, "provides unknown"),
        ({"cost": 0.0}, "cost must be positive"),
        ({"provides": ("density",)}, "beyond what it provides"),
        ({"provides": ("band_gap", "density")}, "status ok without density"),
        ({"values": (1.0, 2.0, 3.0)}, "second run"),
        ({"run": lambda self, c: Outcome(c, {"band_gap": Value(1.0, 0.1, "s")}, note="a\nb")}, "one line"),
        ({"run": lambda self, c: Outcome(c, {"band_gap": Value(1.0, 0.1, "s")}, cost_s=-1.0)}, "negative cost"),
    ],
)
def test_the_kit_sees_a_bad_simulator(changes, words, monkeypatch):
    for key, value in changes.items():
        monkeypatch.setattr(Sim, key, value)
    with pytest.raises(ConformanceError, match=words):
        check_simulator(Sim(), [rock_salt()], registry_name="sim")


class Model:
    """A well-behaved model to spoil."""

    name = "model"
    quantity = "band_gap"
    kinds = frozenset({Kind.CRYSTAL})
    fingerprint = "model-1"
    n, mean, std, flag = 0, 1.0, 0.1, np.bool_(True)

    def predict(self, candidates):
        n = len(candidates) + self.n
        return Prediction(np.full(n, self.mean), np.full(n, self.std), np.full(n, self.flag))


class Moody(Model):
    """Answers differently in a batch and alone."""

    def predict(self, candidates):
        n = len(candidates)
        return Prediction(np.full(n, 1.0 + n), np.full(n, 0.1), np.full(n, True))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": "other"}, "differs from registry name"),
        ({"quantity": "colour"}, "unknown quantity"),
        ({"n": 1}, "2 candidates, 3 predictions"),
        ({"mean": np.nan}, "mean is not finite"),
        ({"std": 0.0}, "spread is not positive"),
        ({"flag": 1.0}, "expected bool"),
    ],
)
def test_the_kit_sees_a_bad_model(changes, words, monkeypatch):
    for key, value in changes.items():
        monkeypatch.setattr(Model, key, value)
    with pytest.raises(ConformanceError, match=words):
        check_model(Model(), [rock_salt(), antifluorite()], registry_name="model")


def test_the_kit_sees_a_moody_model():
    with pytest.raises(ConformanceError, match="alone and in a batch differ"):
        check_model(Moody(), [rock_salt(), antifluorite()], registry_name="model")


def test_the_kit_sees_a_bad_generator():
    outcomes = [Outcome(rock_salt()), Outcome(antifluorite())]
    drawn = iter([outcomes[:1], outcomes[1:]])
    greedy = SimpleNamespace(name="g", ask=lambda n, rng: outcomes * 2, tell=lambda o, rng: None)
    fickle = SimpleNamespace(name="g", ask=lambda n, rng: next(drawn), tell=lambda o, rng: None)
    with pytest.raises(ConformanceError, match="asked for 3, got 4"):
        check_generator(lambda: greedy, registry_name="g")
    with pytest.raises(ConformanceError, match="different proposals"):
        check_generator(lambda: fickle, registry_name="g")
    with pytest.raises(ConformanceError, match="differs from registry name"):
        check_generator(lambda: fickle, registry_name="h")
