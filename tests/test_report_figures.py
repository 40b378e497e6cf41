"""Figures and words of the report: numbers as stated, nothing drawn from nothing, labels that do not collide."""

import json
import math

import pytest

from ionsmith.core.errors import InputError
from ionsmith.core.records import Bound, Origin, Value
from ionsmith.report import words
from ionsmith.report.comparison import agreement, measured_against_predicted
from ionsmith.report.figures import conductivity_against_hull, outcome_by_family, target_map
from ionsmith.report.labels import place_labels
from test_report_page import row, run


def known(position: int, measured: float, predicted: float, **facts):
    details = facts.pop("details", {})
    source = Origin("file", str(position), {"log10_conductivity": measured, **facts})
    return row(position, predicted, source=source, outcome={"details": {"model": details}})


def test_map_has_every_point_with_its_spread_and_the_wanted_corner() -> None:
    figure = conductivity_against_hull(run(row(0, -2.0, 0.01), row(1, -6.0, 0.09)))
    traces = {trace.name: trace for trace in figure.data}
    assert list(traces["meets every target"].x) == [0.01] and list(traces["meets every target"].error_y.array) == [
        0.8
    ]
    assert list(traces["misses or lacks a target"].y) == [-6.0]
    (box,) = figure.layout.shapes
    assert box.x1 == 0.05 and box.y0 == -3.52 and box.x0 < figure.layout.xaxis.range[0]
    assert [note.text for note in figure.layout.annotations] == ["LiF"]
    json.loads(figure.to_json())


def test_map_is_absent_where_no_candidate_has_both_values() -> None:
    assert conductivity_against_hull(run(row(0, hull=None))) is None
    assert conductivity_against_hull(run()) is None


def test_map_without_targets_has_one_class_and_no_box() -> None:
    figure = target_map(run(row(0), row(1), spec={}))
    assert [trace.name for trace in figure.data] == ["candidates"] and not figure.layout.shapes


def test_map_refuses_unknown_quantities() -> None:
    with pytest.raises(InputError, match="unknown quantity 'bandgap'"):
        target_map(run(row(0)), x="bandgap")
    with pytest.raises(InputError, match="unknown quantity 'sigma'"):
        measured_against_predicted(run(row(0)), "sigma")


def test_one_outlier_does_not_squeeze_the_map() -> None:
    rows = [row(i, -3.0 - 0.1 * i, 0.001 * i) for i in range(60)] + [row(60, -3.0, 19.0)]
    assert conductivity_against_hull(run(*rows)).layout.xaxis.range[1] < 1.0


def test_agreement_states_error_rank_and_training() -> None:
    rows = [known(i, float(-i), -i + (0.5 if i % 2 else -0.5)) for i in range(6)]
    found = agreement(run(*rows))
    assert (found.n, found.limits) == (6, 0)
    assert found.mae == pytest.approx(0.5) and 0.8 < found.spearman < 1.0
    assert "does not say" in found.training
    flagged = [known(i, float(-i), float(-i), details={"in_training": i < 2}) for i in range(4)]
    assert agreement(run(*flagged)).training.startswith("2 of these 4 materials were in the training data")


def test_limits_are_drawn_but_counted_in_no_error() -> None:
    rows = [known(0, -3.0, -3.0), known(1, -10.0, -6.0, conductivity_bound="upper")]
    found = agreement(run(*rows))
    assert (found.n, found.limits, found.mae, found.spearman) == (1, 1, 0.0, None)
    names = [trace.name for trace in measured_against_predicted(run(*rows)).data]
    assert "measured as a limit only" in names
    assert agreement(run(rows[1])) is None


def test_nothing_measured_gives_no_comparison() -> None:
    assert agreement(run(row(0))) is None and measured_against_predicted(run(row(0))) is None


def test_repeated_measurement_is_no_prediction() -> None:
    values = {"log10_conductivity": Value(-3.0, 0.1, "measured")}
    told = row(0, values=values, source=Origin("file", "a", {"log10_conductivity": -3.0}))
    assert agreement(run(told)) is None


def test_families_stack_to_the_number_of_candidates() -> None:
    rows = [row(i, source=Origin("file", str(i), {"family": "garnet" if i < 2 else "halide"})) for i in range(5)]
    figure = outcome_by_family(run(*rows))
    assert sum(sum(bar.x) for bar in figure.data) == 5
    assert outcome_by_family(run(row(0), row(1))) is None  # one anion chemistry only: nothing to compare


def test_labels_do_not_cover_each_other_and_give_up_in_a_crowd() -> None:
    texts = ["Li6PS5Cl", "Li7P3S11", "Li10GeP2S12", "Li3YCl6"] * 50
    spots = [(0.5 + 0.0008 * i, 0.5) for i in range(len(texts))]
    offsets = place_labels(spots, texts, ([0.0, 1.0], [0.0, 1.0]))
    boxes = [(580 * x + o[0], 360 * (1 - y) + o[1]) for (x, y), o in zip(spots, offsets, strict=True) if o]
    assert offsets[0] is not None and 4 < len(boxes) < len(texts)
    for i, (x, y) in enumerate(boxes):
        for other_x, other_y in boxes[:i]:
            assert abs(y - other_y) >= 8 or abs(x - other_x) >= 36


def test_labels_leave_a_crowd_for_the_free_side() -> None:
    crowd = [(0.3 + 0.01 * i, 0.4 + 0.02 * j) for i in range(30) for j in range(20)]
    (offset,) = place_labels([(0.58, 0.6)], ["Li6PS5Cl"], ([0.0, 1.0], [0.0, 1.0]), crowd)
    assert offset is not None and 580 * 0.58 + offset[0] - 30 > 580 * 0.59  # beyond the last column


def test_maps_show_every_candidate_that_meets_the_targets() -> None:
    rows = [row(i, -6.0, 0.1) for i in range(200)] + [row(200, 0.0, -0.5)]
    axes = conductivity_against_hull(run(*rows)).layout
    assert axes.xaxis.range[0] < -0.5 and axes.yaxis.range[1] > 0.0


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Value(-2.94, 0.8, "m"), "−2.94 ± 0.80"),
        (Value(0.0539, 0.026, "m"), "0.054 ± 0.026"),
        (Value(-0.0004, 0.02, "m"), "0.000 ± 0.020"),
        (Value(0.45, 0.0, "m"), "0.45"),
        (Value(12.0, 0.1, "m", bound=Bound.LOWER), "≥ 12.00 ± 0.10"),
        (Value(3e-10, 1e-10, "m"), "3.0 × 10⁻¹⁰ ± 1.0 × 10⁻¹⁰"),
        (Value(151.3, 22.0, "m"), "151 ± 22"),
        (Value(0.0, 0.0, "m"), "0"),
    ],
)
def test_values_are_rounded_to_their_spread(value: Value, text: str) -> None:
    assert words.value_text(value) == text


def test_measured_reads_qualifiers_and_refuses_what_is_no_number() -> None:
    told = {"log10_conductivity": -4.0, "log10_conductivity_std": 0.3, "conductivity_bound": "upper"}
    fact = words.measured(row(0, source=Origin("f", "a", told)), "log10_conductivity")
    assert (fact.mean, fact.std, fact.bound) == (-4.0, 0.3, Bound.UPPER)
    for nonsense in ("-4", True, math.nan, None):
        odd = row(0, source=Origin("f", "a", {"log10_conductivity": nonsense}))
        assert words.measured(odd, "log10_conductivity") is None


def test_formulas_get_subscripts_and_nothing_else() -> None:
    assert words.formula_markup("Li6.5PS5Cl") == "Li<sub>6.5</sub>PS<sub>5</sub>Cl"
    assert words.formula_markup("<b>2") == "&lt;b&gt;2"
    assert words.formula_markup("Li(PO3)4") == "Li(PO<sub>3</sub>)<sub>4</sub>"


def test_long_details_are_thinned_and_say_so() -> None:
    curve = words.plain({"profile": [float(i) for i in range(1000)]})["profile"]
    assert len(curve) == 60 and (curve[0], curve[-1]) == (0.0, 999.0)
    assert words.plain(list(map(str, range(100))))[-1] == "… and 40 more"
    assert len(words.plain("x" * 5000)) < 700


def test_formula_as_the_source_writes_it_is_shown_only_if_it_is_the_same_material() -> None:
    for written, shown in (("F1Li1", "F1Li1"), ("LiCl", "LiF"), ("<b>", "LiF"), (7, "LiF")):
        assert words.label_of(row(0, source=Origin("library", "a", {"formula": written}))) == shown
