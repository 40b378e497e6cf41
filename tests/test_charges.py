"""Which charges of an element are usual, and which make a chemist wonder."""

from __future__ import annotations

import pytest
from pymatgen.core import Composition

from ionsmith.io.charges import unusual_states, usual_states
from ionsmith.simulate.synthesis import charge_details


@pytest.mark.parametrize(
    ("symbol", "usual", "unusual"),
    [("P", {-3, 3, 5}, {4}), ("Ge", {2, 4}, {3}), ("Zr", {4}, {3}), ("V", {3, 4, 5}, {2}), ("Li", {1}, {2})],
)
def test_usual_charges_are_those_of_known_crystals(symbol, usual, unusual):
    assert usual <= usual_states(symbol)
    assert not unusual & usual_states(symbol)


def test_an_element_without_statistics_has_its_common_charges():
    assert usual_states("Pt") == {2, 4}


def test_averages_and_zeros_are_not_called_unusual():
    assert unusual_states({"Fe": 2.5, "Li": 1.0, "P": 4.0, "S": 0.0}) == {"P": 4}


def test_balanced_on_paper_only_is_told():
    found = charge_details(Composition("Li10SiPS8Br2"))
    assert found["charges_balanced"]
    assert found["unusual_states"] == {"P": 4}
    assert charge_details(Composition("Li9SiPS8Br2"))["unusual_states"] == {}
