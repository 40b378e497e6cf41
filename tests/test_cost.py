"""The price of the elements: a weighted sum, told element by element."""

import pytest

from ionsmith.core.records import Status
from ionsmith.simulate.cost import ElementCost
from ionsmith.testing import formula, rock_salt


def cost(text):
    return ElementCost().run(formula(text)).values["element_cost"].mean


def test_a_compound_costs_what_its_elements_weigh():
    elements = {symbol: cost(symbol) for symbol in ("Li", "F")}
    weight = 6.94 / (6.94 + 18.998)
    assert cost("LiF") == pytest.approx(weight * elements["Li"] + (1 - weight) * elements["F"], rel=1e-3)
    assert ElementCost().run(rock_salt()).values["element_cost"].mean == pytest.approx(cost("LiF"))


def test_germanium_is_dearer_than_phosphorus():
    found = ElementCost().run(formula("Li10GeP2S12"))
    assert found.values["element_cost"].mean > 2 * cost("Li3PS4")
    parts = found.details["usd_per_kg_by_element"]
    assert max(parts, key=parts.get) == "Ge"
    assert sum(parts.values()) == pytest.approx(found.values["element_cost"].mean, abs=0.01)


def test_an_element_without_a_price_is_a_rejection_that_names_it():
    found = ElementCost().run(formula("LiPm"))
    assert found.status is Status.REJECTED
    assert found.note == "no price is known for Pm"
