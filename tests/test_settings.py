"""Settings of a method: on the command line, in the Spec, and checked against the constructor."""

from dataclasses import dataclass

import pytest

from ionsmith import recipes
from ionsmith.core.errors import InputError, SpecError
from ionsmith.core.settings import accepted_settings, checked_settings
from ionsmith.objective.spec import Spec, parse_spec


@dataclass(frozen=True)
class Method:
    steps: int = 1
    limit: float = 0.5
    kelvin: tuple[float, ...] = (300.0,)
    label: str = ""
    careful: bool = False
    threads: int | None = None


def test_names_come_from_the_constructor():
    assert accepted_settings(Method) == ("steps", "limit", "kelvin", "label", "careful", "threads")


def test_whole_numbers_and_lists_serve_where_reals_and_tuples_are_wanted():
    given = {"steps": 3, "limit": 2, "kelvin": [600, 800.0], "label": "a", "careful": True, "threads": 2}
    found = checked_settings(Method, given, where="here")
    assert found == {**given, "kelvin": (600.0, 800.0)}
    assert isinstance(found["limit"], float)
    assert all(isinstance(kelvin, float) for kelvin in found["kelvin"])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"step": 3}, "here: unknown setting 'step'; did you mean 'steps'"),
        ({"steps": 1.5}, "here.steps: expected a whole number, got 1.5"),
        ({"steps": True}, "here.steps: expected a whole number, got True"),
        ({"limit": "wide"}, "here.limit: expected a number, got 'wide'"),
        ({"kelvin": 600}, "here.kelvin: expected a list, got 600"),
        ({"kelvin": ["hot"]}, "here.kelvin: expected a number, got 'hot'"),
        ({"label": 3}, "here.label: expected text, got 3"),
        ({"careful": 1}, "here.careful: expected true or false, got 1"),
        ({"threads": "two"}, "here.threads: expected a whole number, got 'two'"),
    ],
)
def test_a_wrong_setting_is_one_clear_line(given, message):
    with pytest.raises(InputError, match=message):
        checked_settings(Method, given, where="here")


def test_the_spec_gives_settings_to_its_rungs():
    spec = parse_spec({"ladder": {"rungs": ["bvse"]}, "settings": {"bvse": {"resolution": 0.3}}})
    assert parse_spec(spec.plain()) == spec
    assert recipes.make_simulator("bvse", spec=spec).resolution == 0.3
    assert recipes.make_simulator("bvse", spec=spec, settings={"resolution": 0.4}).resolution == 0.4


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"settings": {"md": {}}}, "settings: unknown key 'md'"),
        ({"settings": {"bvse": 3}}, "settings.bvse: expected a table, got 3"),
        ({"settings": 3}, "settings: expected a table"),
    ],
)
def test_wrong_settings_in_a_spec(document, message):
    with pytest.raises(SpecError, match=message):
        parse_spec(document)


def test_a_rungs_setting_is_checked_when_the_rung_is_built():
    spec = parse_spec({"settings": {"bvse": {"resolutoin": 0.3}}})
    with pytest.raises(InputError, match=r"settings\.bvse: unknown setting 'resolutoin'; did you mean 'resolution'"):
        recipes.make_simulator("bvse", spec=spec)


def test_scratch_goes_to_those_that_take_it(tmp_path, monkeypatch):
    @dataclass(frozen=True)
    class Long:
        scratch: str = ""

    monkeypatch.setattr(recipes, "lookup", lambda role, name: Long)
    assert recipes.make_simulator("long", spec=Spec(), scratch=tmp_path).scratch == str(tmp_path)
    assert recipes.make_simulator("long", spec=Spec()).scratch == ""
