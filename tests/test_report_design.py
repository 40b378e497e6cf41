"""What the page says of a design run: learning curve, front, family tree, winners with reasons and doubts."""

import re
from dataclasses import replace

import numpy as np
import pytest
from pymatgen.core import Composition

from ionsmith.core.records import Candidate, Kind, Origin, Status, Value
from ionsmith.core.results import RunResult
from ionsmith.data.library import load_library
from ionsmith.generate.ions import ionic_crystals
from ionsmith.report.family import family_tree, library_keys, parents_of
from ionsmith.report.front import caption, find_front, front_figure, front_pairs, pair_label
from ionsmith.report.page import render
from ionsmith.report.panels import make_panels
from ionsmith.report.payload import payload
from ionsmith.report.progress import finds, learning_curves, running_mean, window_of
from ionsmith.report.verdict import Verdict, give_verdict, reaction_energy, winners
from ionsmith.report.winners import family_section, sentence, winner_section
from ionsmith.report.words import headline, row_id
from ionsmith.simulate.synthesis import SynthesisCheck
from ionsmith.testing import formula
from test_report_browser import assert_calm, chromium, show
from test_report_page import NASTY, TARGETS, lost, own_markup, record, row, run, salt

__all__ = ["chromium"]  # a fixture
SPEC = {
    "targets": TARGETS,
    "mobile_ion": "Li",
    "ladder": {"rungs": ["relax", "hull"]},
    "budget": {"candidates": 8, "simulations": 4, "rounds": 2},
}


def design(*rows) -> RunResult:
    return run(*rows, spec=SPEC, command="design")


def child(position, parents=(), how="LiF: F -> Cl", **changes):
    source = Origin("substitution", how)
    candidate = Candidate(Kind.CRYSTAL, salt(4.0 + 0.01 * position), source, tuple(parents))
    return row(position, candidate=candidate, **changes)


def verdict_of(subject, result=None) -> Verdict:
    return give_verdict(subject, result or design(subject))


def said(lines, words) -> str:
    (found,) = [line for line in lines if words in line]
    return found


class TestLearningCurve:
    def test_the_running_mean_looks_back_over_the_window_only(self):
        assert running_mean([1.0, 0.0, 0.5, 1.0], 2).tolist() == [1.0, 0.5, 0.25, 0.75]
        assert running_mean([], 3).shape == (0,)
        assert window_of(20) == 10 and window_of(1000) == 100

    def test_finds_count_what_is_met_what_is_new_and_its_chemistry(self):
        known = replace(row(2), rediscovery="library")
        rows = [row(0, -9.0), row(1), known, row(3), lost(4)]
        assert finds(rows) == ([0, 1, 2, 3, 3], [0, 1, 1, 2, 2], [0, 1, 1, 1, 1])

    def test_proposals_stand_in_the_order_of_asking_not_of_rank(self):
        rows = [row(n, -2.0 - n, score=1.0 - 0.1 * n) for n in range(8)]
        figure = learning_curves(design(*reversed(rows)))
        named = {trace.name: trace for trace in figure.data}
        mean = named["mean of the last 10"]
        assert list(mean.x) == list(range(1, 9))
        assert mean.y[-1] == pytest.approx(np.mean([1.0 - 0.1 * n for n in range(8)]))
        assert list(named["met so far"].y) == [1, 2, 2, 2, 2, 2, 2, 2]
        assert figure.layout.shapes[0].x0 == 4.5, "the first round ends after four of eight"

    def test_many_rounds_get_no_lines(self):
        spec = {**SPEC, "budget": {"candidates": 40, "rounds": 20}}
        assert not learning_curves(run(*(row(n) for n in range(40)), spec=spec, command="design")).layout.shapes

    def test_there_is_none_for_a_list_or_for_a_handful(self):
        assert learning_curves(run(*(row(n) for n in range(8)), command="screen")) is None
        assert learning_curves(design(row(0), row(1))) is None

    def test_where_nothing_was_found_the_figure_says_so(self):
        figure = learning_curves(design(*(row(n, -9.0) for n in range(4))))
        assert [note.text for note in figure.layout.annotations] == ["no proposal meets every target"]


class TestFront:
    def test_only_what_climbed_the_ladder_takes_part_and_the_rejected_beat_nobody(self):
        best = row(0, -2.0, 0.02)
        beaten, other = row(1, -3.0, 0.03), row(2, -4.0, 0.01)
        dead = row(3, -1.0, 0.0, outcome={"status": Status.REJECTED, "note": "melts"})
        unasked = replace(row(4, -0.5, 0.0), stage="select")
        lacking = row(5, -1.0, None)
        front = find_front(design(best, beaten, other, dead, unasked, lacking))
        assert front.kinds == ("front", "beaten", "front", "rejected")
        assert front.without == 1 and "1 more stopped" in caption(front)

    def test_a_target_that_nobody_knows_is_left_out_and_named(self):
        spec = {**SPEC, "targets": {**TARGETS, "neb_barrier": {"max": 0.3}}}
        front = find_front(run(row(0), row(1, -3.0), spec=spec, command="screen"))
        assert front.unknown == ("neb_barrier",) and "never computed: migration barrier" in caption(front)

    def test_there_is_none_without_two_targets_or_two_candidates(self):
        assert find_front(design(row(0))) is None
        assert find_front(run(row(0), row(1), spec={})) is None
        assert find_front(design(row(0, hull=None), row(1, hull=None))) is None

    def test_without_a_ladder_all_that_came_through_count(self):
        front = find_front(run(row(0), row(1), lost(2)))
        assert len(front.rows) == 2

    def test_every_pair_of_targets_has_a_figure_with_the_best_line(self):
        front = find_front(design(row(0, -2.0, 0.02), row(1, -3.0, 0.01), row(2, -4.0, 0.03)))
        ((x, y),) = front_pairs(front)
        assert (x, y) == ("energy_above_hull", "log10_conductivity")
        assert pair_label((x, y)) == "log10 conductivity (300 K) against energy above hull"
        figure = front_figure(front, x, y)
        line = next(trace for trace in figure.data if trace.name == "best of these two")
        assert list(line.x) == [0.01, 0.02] and list(line.y) == [-3.0, -2.0]

    def test_a_crowd_is_thinned_but_never_the_front(self, monkeypatch):
        monkeypatch.setattr("ionsmith.report.front.MOST_OTHERS", 2)
        rows = [row(n, -2.0 - n, 0.03 + 0.001 * n) for n in range(6)] + [row(6, -9.0, 0.0)]
        front = find_front(design(*rows))
        figure = front_figure(front, *front_pairs(front)[0])
        assert {t.name: len(t.x) for t in figure.data if t.mode == "markers"} == {
            "beaten by another": 2,
            "on the front": 2,
        }
        assert "2 of 7 simulated" in caption(front) and "the first 2" in caption(front)

    def test_the_page_offers_the_pairs(self):
        spec = {**SPEC, "targets": {**TARGETS, "density": {"max": 3.0}}}
        rows = [row(n, -2.0 - n, 0.03 - 0.01 * n) for n in range(3)]
        rows = [
            replace(r, outcome=replace(r.outcome, values={**r.outcome.values, "density": Value(2.0, 0.1, "chgnet")}))
            for r in rows
        ]
        (chart,) = [c for c in record(render(run(*rows, spec=spec)))["charts"] if c["id"] == "pareto"]
        assert len(chart["choices"]) == 3 == 1 + len(chart["others"])


class TestFamily:
    def test_the_parents_are_those_of_the_proposal_not_its_own_earlier_forms(self):
        made = child(0, ["a", "b"])
        relaxed = made.outcome.candidate.child(salt(3.9), note="relaxed")
        assert relaxed.parents == ("a", "b", made.key)
        assert parents_of(replace(made, outcome=replace(made.outcome, candidate=relaxed))) == ("a", "b")

    def test_a_line_goes_over_relaxed_rows_back_to_the_library(self):
        library = next(c for c in load_library() if c.formula == "Li3YCl6")
        first = child(0, [library.key], "Li3YCl6: Cl -> Br")
        relaxed = first.outcome.candidate.child(salt(3.8), note="relaxed")
        first = replace(first, outcome=replace(first.outcome, candidate=relaxed))
        second = child(1, [relaxed.key, "gone"], "Li3YBr6: Y -> In, as in Li3InCl6")
        (tree,) = family_tree(design(first, second), [second])
        assert (
            tree.member.label == "Li3YCl6" and "built-in library" in tree.member.note and tree.member.offspring == 1
        )
        (middle,) = tree.children
        (leaf,) = middle.children
        assert middle.member.row is first and middle.member.note == "Cl → Br" and middle.member.offspring == 1
        assert leaf.member.row is second and leaf.children == ()

    def test_the_ordered_form_of_a_disordered_entry_is_that_entry(self):
        crystal = next(c for c in ionic_crystals(load_library(), mobile="Li") if c.candidate.parents)
        assert library_keys("Li")[crystal.candidate.key].key == crystal.candidate.parents[0]

    def test_parents_from_nowhere_keep_the_name_their_child_gives_them(self):
        (tree,) = family_tree(design(made := child(0, ["lost"], "Li10Ge(PS6)2: Ge -> Sn")), [made])
        assert tree.member.label == "Li10GeP2S12" and tree.member.note == "parent not in this run"
        (nameless,) = family_tree(design(made := child(0, ["lost"], "")), [made])
        assert nameless.member.label == "unnamed parent"

    def test_a_second_parent_is_named(self):
        library = next(c for c in load_library() if c.formula == "Li3YCl6")
        made = child(0, ["lost", library.key], "from two")
        (tree,) = family_tree(design(made), [made])
        assert tree.children[0].member.note == "crossed with Li3YCl6"

    def test_without_parents_chemistry_and_symmetry_gather(self):
        details = {"details": {"relax": {"space_group_after": "Fm-3m"}}}
        rows = [row(0, outcome=details), row(1, outcome=details)]
        formulas = Candidate(Kind.COMPOSITION, Composition("Li3YCl6"), Origin("file", "x"))
        rows.append(row(2, candidate=formulas))
        trees = family_tree(design(*rows), rows)
        assert [tree.member.label for tree in trees] == ["fluoride, Fm-3m", "chloride, formula only"]
        assert len(trees[0].children) == 2

    def test_a_circle_of_parents_ends(self):
        one, two = child(0), child(1)
        one = replace(one, outcome=replace(one.outcome, candidate=replace(one.outcome.candidate, parents=(two.key,))))
        two = replace(two, outcome=replace(two.outcome, candidate=replace(two.outcome.candidate, parents=(one.key,))))
        (tree,) = family_tree(design(one, two), [one])
        assert tree.member.row is two and tree.children[0].member.row is one


class TestVerdict:
    def test_a_met_target_is_told_with_its_probability_and_a_missed_one_too(self):
        found = verdict_of(row(0, -2.0, 0.2))
        assert said(found.reasons, "log10 conductivity") == (
            "log10 conductivity −2.00 ± 0.80 meets at least −3.52, with a probability of 96 %."
        )
        assert "misses at most 0.05; the chance that it is met is less than 1 %." in said(
            found.doubts, "Energy above"
        )

    def test_what_was_never_computed_is_a_doubt(self):
        assert "never computed" in said(verdict_of(row(0, hull=None)).doubts, "energy above hull")

    def test_a_wide_spread_and_a_limit_within_it_are_doubts(self):
        wide = row(
            0, values={"log10_conductivity": Value(-2.0, 1.5, "trees"), "energy_above_hull": Value(0.04, 0.02, "x")}
        )
        doubts = verdict_of(wide).doubts
        assert said(doubts, "uncertain") == "The log10 conductivity is uncertain by ± 1.5 decades."
        assert said(doubts, "within its spread") == "The limit of the energy above hull lies within its spread."

    def test_the_nearest_measured_materials_come_from_the_model_of_a_target(self):
        near = [{"formula": "Li10Ge(PS6)2", "value": -1.917, "doi": "10.1/x", "distance": 0.1}]
        near += [near[0], {"formula": "LiF", "value": None, "doi": "10.1/y"}, {"formula": "LiI", "value": -6.0}]
        subject = row(0, outcome={"details": {"trees": {"neighbours": near, "in_training": True}}})
        found = verdict_of(subject)
        assert said(found.reasons, "nearest to it").endswith("log10 conductivity: Li10GeP2S12 (−1.92).")
        assert "is a memory" in said(found.doubts, "learnt from this material")

    def test_new_known_and_out_of_domain_are_told(self):
        assert said(verdict_of(row(0)).reasons, "New: ")
        known = verdict_of(row(0, rediscovery="library"))
        assert said(known.doubts, "Not new: known from the library") and not any("New" in r for r in known.reasons)
        assert not any("New" in reason for reason in give_verdict(row(0), run(row(0))).reasons), (
            "a screen invents nothing"
        )
        strange = row(0, values={"band_gap": Value(1.0, 0.1, "x", False), "density": Value(1.0, 0.1, "x", False)})
        assert "band gap, density." in said(verdict_of(strange).doubts, "Out of domain")

    def test_stability_has_a_margin_and_rivals(self):
        hull = {"decomposition": [{"formula": "Li2S"}, {"formula": "P2S5"}], "formula_known": False}
        found = said(verdict_of(row(0, outcome={"details": {"hull": hull}})).reasons, "margin")
        assert found == "Stability margin: 0.040 eV/atom, 1.54 times its ±. It competes with Li2S + P2S5."
        hull = {"decomposition": [{"formula": "LiF"}], "formula_known": True}
        assert "compound of its own formula" in said(
            verdict_of(row(0, hull=0.2, outcome={"details": {"hull": hull}})).reasons, "On the hull"
        )

    @pytest.mark.parametrize(
        ("hull", "energy", "words"),
        [
            ({"warning": "far below every known phase"}, -0.3, "Stability is far below"),
            ({"formula_known": False}, -0.08, "a competing phase may be missing"),
        ],
    )
    def test_a_missing_competitor_is_suspected(self, hull, energy, words):
        assert said(verdict_of(row(0, hull=energy, outcome={"details": {"hull": hull}})).doubts, words)

    @pytest.mark.parametrize(
        ("details", "words"),
        [
            ({"relax": {"volume_change": -0.18, "rms_displacement": 0.1}}, "volume −18 %, atoms moved by 0.10 Å"),
            ({"relax": {"rms_displacement": 0.6}}, "Relaxed far"),
            ({"relax": {"space_group_before": "P1", "space_group_after": "R-3m"}}, "from P1 to R-3m"),
            ({"relax": {"converged": False}}, "stopped before"),
            ({"relax": {"prepared": ["ordered approximant of 80 atoms"]}}, "one ordered arrangement"),
            ({"md": {"atoms": 8, "warnings": ["few hops"]}}, "in one unit cell"),
            ({"md": {"atoms": 80, "warnings": ["few hops"]}}, "Molecular dynamics: few hops."),
            ({"phonon": {"stable": False}}, "finds the crystal unstable"),
            ({"synthesis": {"charges_balanced": False, "oxidation_states": {"Li": 1, "F": -1}}}, "(Li +1, F −1)"),
            ({"synthesis": {"charges_balanced": None}}, "metal or an alloy"),
            ({"synthesis": {"charges_balanced": True, "how": "mixed valence: Fe +2.5"}}, "it may conduct electrons"),
            (
                {"synthesis": {"charges_balanced": True, "unusual_states": {"P": 4}, "oxidation_states": {"P": 4}}},
                "rare in known crystals (P +4)",
            ),
            (
                {
                    "synthesis": {
                        "charges_balanced": True,
                        "bonds_contradict": {"Ge": 3.52},
                        "oxidation_states": {"Ge": 2.0},
                    }
                },
                "balance with Ge +2, but its bonds are as strong as those of a charge of +3.5",
            ),
            ({"synthesis": {"competing_phases": []}}, "No set of simpler"),
        ],
    )
    def test_what_the_stages_found_becomes_a_doubt(self, details, words):
        assert said(verdict_of(row(0, outcome={"details": details})).doubts, words)
        assert not any(words in doubt for doubt in verdict_of(row(0)).doubts)

    def test_the_reaction_counts_with_the_simulated_energy_only(self):
        found = {"synthesis": {"reaction": "Li + F -> LiF", "precursors_eV_per_atom": -2.0}}
        values = {"formation_energy": Value(-2.1, 0.02, "chgnet+references")}
        learned = row(0, values=values, outcome={"details": found})
        assert reaction_energy(learned) is None
        relaxed = row(0, values=values, outcome={"details": {**found, "relax": {"converged": True}}})
        assert reaction_energy(relaxed) == pytest.approx(-0.1)
        assert "Li + F → LiF would release 0.100 eV/atom" in said(verdict_of(relaxed).reasons, "simple compounds")
        values = {"formation_energy": Value(-1.9, 0.02, "chgnet+references")}
        uphill = row(0, values=values, outcome={"details": {**found, "relax": {"converged": True}}})
        assert "would cost 0.100 eV/atom" in said(verdict_of(uphill).doubts, "No driving force")

    def test_a_formula_and_a_learned_conductivity_say_what_they_are(self):
        bare = Candidate(Kind.COMPOSITION, Composition("Li3YCl6"), Origin("file", "x"))
        doubts = verdict_of(row(0, candidate=bare)).doubts
        assert said(doubts, "Only its formula") and said(doubts, "no hop of its own ions")
        moved = row(0, outcome={"details": {"neb": {"hops": []}}})
        assert said(verdict_of(moved).doubts, "learned") == "Its conductivity is learned from other materials."

    @pytest.mark.parametrize(("read", "told"), [("formula", True), ("crystal", False), ("cell", False)])
    def test_a_conductivity_read_off_the_formula_of_a_crystal_says_so(self, read, told):
        doubts = verdict_of(row(0, outcome={"details": {"conductivity": {"read": read}}})).doubts
        assert ("read off its formula" in said(doubts, "learned")) is told

    def test_winners_are_those_that_meet_everything_or_else_the_closest(self):
        met, missed, dead = row(1), row(0, -9.0), lost(2)
        assert winners(design(missed, met, dead)) == (met,)
        assert winners(design(missed, dead)) == (missed,)
        assert winners(design(dead)) == () and winners(run(met, spec={})) == ()


class TestPage:
    def test_hits_whose_bonds_contradict_their_charges_come_last_and_are_counted(self):
        found = {"charges_balanced": True, "oxidation_states": {"Ge": 2.0}, "bonds_contradict": {"Ge": 3.5}}
        doubted, sound = row(0, rank=1, outcome={"details": {"synthesis": found}}), row(1, rank=2)
        result = design(doubted, sound)
        assert winners(result) == (sound, doubted) and winners(run(doubted, sound)) == (doubted, sound)
        assert "In 1 of the 2 the bonds contradict" in winner_section(result)
        assert "contradict" not in winner_section(design(sound))
        assert row_id(result, sound) in headline(result)

    def test_winners_and_family_stand_on_the_page_without_scripts(self):
        page = own_markup(render(design(child(0, ["lost"]), row(1, -9.0))))
        assert 'href="#winners">Winners</a>' in page and 'href="#family">Family</a>' in page
        assert "Why it is here" in page and "What could be wrong" in page and "F → Cl" in page
        closest = own_markup(render(design(row(0, -9.0))))
        assert ">Closest candidates</h2>" in closest

    def test_a_prediction_has_neither(self):
        page = own_markup(render(run(row(0), spec={}, command="predict")))
        assert 'id="winners"' not in page and 'id="family"' not in page
        assert 'id="family"' not in own_markup(render(run(row(0))))
        assert winner_section(design(lost(0))) == family_section(design(lost(0))) == ""

    def test_long_lists_are_cut_and_say_so(self, monkeypatch):
        many = Verdict(tuple(f"reason {n}" for n in range(11)), ())
        monkeypatch.setattr("ionsmith.report.winners.give_verdict", lambda row, result: many)
        section = winner_section(design(row(0)))
        assert "reason 7" in section and "reason 8" not in section and "and 3 more" in section
        assert "Nothing that the record would show." in section

    def test_what_users_write_stays_text(self):
        source = Origin("file", f"{NASTY}: {NASTY}", {"family": NASTY, "formula": NASTY})
        candidate = Candidate(Kind.CRYSTAL, salt(), source, ("lost",))
        details = {"md": {"warnings": [NASTY]}, "synthesis": {"reaction": NASTY, "oxidation_states": {NASTY: 1}}}
        page = render(design(row(0, candidate=candidate, rediscovery=NASTY, outcome={"details": details})))
        assert NASTY not in page and "alert(" not in own_markup(page).replace("alert(&#x27;x&#x27;)", "")

    def test_formulas_in_sentences_get_subscripts_and_space_groups_do_not(self):
        assert sentence("From Li2S + P2S5, then.") == "From Li<sub>2</sub>S + P<sub>2</sub>S<sub>5</sub>, then."
        assert "<sub>" not in sentence("Symmetry changed in relaxation, from P1 to P21.")
        assert "<sub>" not in sentence("log10 conductivity −2.0 & more")

    def test_the_record_carries_both_lists(self):
        (entry,) = payload(design(row(0)))["rows"]
        assert entry["reasons"] and entry["doubts"]
        assert "reasons" not in payload(run(row(0), spec={}))["rows"][0]


class TestPanel:
    def panel(self, text, **changes):
        candidate = formula(text)
        details = {"synthesis": SynthesisCheck().run(candidate).details, **changes.pop("details", {})}
        (found,) = make_panels(row(0, candidate=candidate, outcome={"details": details}, **changes))
        return found

    def test_the_hint_is_shown_with_each_compound_once(self):
        found = self.panel("Li6PS5Cl")
        assert "Charges balance (neutral charges): Li +1, P +5, Cl −1, S −2." in found.text
        assert "5 Li2S + 2 LiCl + P2S5 → 2 Li6PS5Cl" in found.text and found.formulas
        assert "To the most stable known phases it releases 0.067 eV/atom" in found.text
        names = [cells[0] for cells in found.rows]
        assert names[:4] == ["Li2S", "LiCl", "P2S5", "Li3PS4"] and len(set(names)) == len(names)
        assert found.rows[0][1:] == (2.5, 23.1, "–")

    def test_the_crystals_own_energy_is_put_beside_the_tables(self):
        values = {"formation_energy": Value(-1.35, 0.02, "chgnet+references")}
        found = self.panel("Li6PS5Cl", values=values, details={"relax": {"converged": True}})
        assert "To this crystal it releases 0.013 eV/atom." in found.text
        assert "and lies 0.054 eV/atom above it" in found.text

    def test_carbonates_metals_and_imbalance_are_told(self):
        assert "With carbonates, which keep better" in self.panel("Li7La3Zr2O12").text
        assert "Charges: none to balance." in self.panel("LiAl").text
        assert "Charges do not balance" in self.panel("Li3Cl").text
        assert "No set of simpler known compounds" in self.panel("Li").text

    def test_nothing_is_shown_without_a_hint(self):
        assert make_panels(row(0, outcome={"details": {"synthesis": {"traceback": "x"}}})) == []


@pytest.mark.browser
def test_a_browser_draws_winners_and_changes_the_axes(chromium, tmp_path):
    rows = [row(n, -2.0 - 0.2 * n, 0.03 - 0.001 * n) for n in range(9)]
    probe = """
      said.canvases = document.querySelectorAll(".winner canvas").length;
      said.drawn = [...document.querySelectorAll(".winner canvas")].every((c) => c.width > 100);
      said.learning = document.querySelectorAll("#chart-learning .main-svg").length;
      const select = document.querySelector("#chart-pareto").parentElement.querySelector("select");
      select.value = "1"; select.dispatchEvent(new Event("change"));
      said.axis = document.querySelector("#chart-pareto").layout.xaxis.title.text;
      location.hash = document.querySelector(".winner h3 a").getAttribute("href");
      setTimeout(() => { said.lists = document.querySelectorAll("#candidate .lines").length; }, 200);
    """
    spec = {**SPEC, "targets": {**TARGETS, "density": {"max": 3.0}}}
    rows = [
        replace(r, outcome=replace(r.outcome, values={**r.outcome.values, "density": Value(2.0, 0.1, "chgnet")}))
        for r in rows
    ]
    document = show(chromium, run(*rows, spec=spec, command="design"), tmp_path, probe=probe)
    assert_calm(document)
    found = dict(re.findall(r'data-(canvases|drawn|learning|axis|lists)="([^"]*)"', document))
    assert found["canvases"] == "8" and found["drawn"] == "true" and int(found["learning"]) >= 1
    assert found["axis"] == "Density, g/cm3" and found["lists"] == "2"
