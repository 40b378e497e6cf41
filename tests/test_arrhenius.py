"""Conductivity at a temperature: the line, its spread, and its agreement with the two models."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import constants

from ionsmith.core.errors import InputError
from ionsmith.core.records import Bound, Prediction, Value
from ionsmith.predict.arrhenius import Line, predict_at, value_at
from ionsmith.testing import formula

BOLTZMANN = constants.Boltzmann / constants.elementary_charge


def line(**changed):
    parts = {"sigma": -4.0, "sigma_std": 0.5, "energy": 0.4, "energy_std": 0.1}
    scalars = {name: changed.pop(name) for name in ("correlation", "hopping") if name in changed}
    return Line(**{name: np.array([changed.get(name, value)]) for name, value in parts.items()}, **scalars)


def test_at_the_reference_nothing_changes():
    mean, std = line().at(300.0)
    assert (mean[0], std[0]) == (pytest.approx(-4.0), pytest.approx(0.5))


@pytest.mark.parametrize("kelvin", [200.0, 400.0, 800.0])
def test_the_slope_is_the_activation_energy(kelvin):
    step = 1e-3
    for hopping in (True, False):
        (low,), (high,) = (line(hopping=hopping).at(kelvin + d)[0] for d in (-step, step))
        weight = [(kelvin + d) if hopping else 1.0 for d in (-step, step)]
        drop = (high - low) * np.log(10.0) + np.log(weight[1] / weight[0])
        energy = -BOLTZMANN * drop / (1.0 / (kelvin + step) - 1.0 / (kelvin - step))
        assert energy == pytest.approx(0.4, rel=1e-5)


def test_spread_by_hand_and_by_drawing():
    rng = np.random.default_rng(0)
    rho = -0.5
    draws = rng.multivariate_normal([-4.0, 1.0], [[0.25, rho * 0.05], [rho * 0.05, 0.01]], 200_000)
    many = Line(draws[:, 0], np.zeros(len(draws)), draws[:, 1], np.zeros(len(draws)))
    for kelvin in (250.0, 500.0):
        _, std = line(energy=1.0, correlation=rho).at(kelvin)
        assert std[0] == pytest.approx(many.at(kelvin)[0].std(), rel=0.02)
    # worse than thought and steeper than thought meet again when hot
    assert line(correlation=-0.9).at(450.0)[1][0] < line(correlation=0.0).at(450.0)[1][0]


def test_one_temperature_per_material():
    two = Line(np.full(2, -4.0), np.full(2, 0.1), np.full(2, 0.4), np.full(2, 0.1))
    assert two.at(np.array([300.0, 400.0]))[0][1] > two.at(300.0)[0][1]


class Constant:
    def __init__(self, quantity, mean, std, inside=True):
        self.quantity, self._said = quantity, (mean, std, inside)

    def predict(self, candidates):
        return Prediction(*(np.full(len(candidates), x) for x in self._said))


def test_both_models_take_part():
    models = {
        "conductivity": Constant("log10_conductivity", -5.0, 0.4),
        "energy": Constant("activation_energy", 0.3, 0.05, inside=False),
    }
    said = predict_at([formula("Li3PS4")], 300.0, **models)
    assert (said.mean[0], said.std[0], bool(said.in_domain[0])) == (pytest.approx(-5.0), pytest.approx(0.4), False)
    with pytest.raises(InputError, match="expected models of"):
        predict_at([formula("Li3PS4")], 300.0, conductivity=models["energy"], energy=models["conductivity"])


@pytest.mark.parametrize("kelvin", [0.0, -1.0, np.nan])
def test_no_temperature_is_refused(kelvin):
    with pytest.raises(InputError, match="above 0 K"):
        line().at(kelvin)


@pytest.mark.parametrize(
    ("changed", "said"), [({"energy": -1.0}, "at least zero"), ({"correlation": 2.0}, "-1 to 1")]
)
def test_no_line_is_refused(changed, said):
    with pytest.raises(InputError, match=said):
        line(**changed)
    with pytest.raises(InputError, match="one shape"):
        Line(np.zeros(2), np.zeros(1), np.zeros(1), np.zeros(1))


def test_one_value_at_a_temperature():
    sigma, energy = Value(-4.0, 0.5, "one", True), Value(0.4, 0.1, "two", False)
    cold = value_at(sigma, energy, 250.0)
    mean, std = line().at(250.0)
    assert (cold.mean, cold.std) == (mean[0], std[0])
    assert cold.mean < sigma.mean
    assert cold.method == "one and two at 250 K"
    assert cold.in_domain is False
    assert value_at(replace(sigma, in_domain=None), energy, 300.0).in_domain is None
    assert value_at(replace(sigma, bound=Bound.UPPER), energy, 300.0).bound is Bound.UPPER
    with pytest.raises(InputError, match="temperatures above 0 K"):
        value_at(sigma, energy, 0.0)
