"""The parts of the page that show the winners: a card each, and the family tree. They stand without scripts."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from ionsmith.core.results import Row, RunResult
from ionsmith.report import words
from ionsmith.report.family import Branch, family_tree
from ionsmith.report.payload import standing
from ionsmith.report.verdict import give_verdict, winners

_MOST_LINES = 8


def winner_title(result: RunResult) -> str:
    """Return what the best candidates of a run are called.

    Args:
        result: the finished run.
    """
    return "Winners" if any(row.feasible for row in result.rows) else "Closest candidates"


def winner_section(result: RunResult) -> str:
    """Return a card for each of the best candidates: structure, why it is here, what could be wrong.

    Args:
        result: the finished run; empty text where it wanted nothing or nothing came through.
    """
    best = winners(result)
    if not best:
        return ""
    met = any(row.feasible for row in best)
    lead = (
        "They meet every target by best estimate. Read what could be wrong before why it is here."
        if met
        else "None meets every target; these came closest. Read what could be wrong before why it is here."
    )
    cards = "".join(_card(row, result) for row in best)
    lead += _contradicted(result)
    return (
        f'<section id="winners" aria-labelledby="winners-title"><h2 id="winners-title">{winner_title(result)}</h2>'
        f'<p class="lead">{lead}</p><div class="winners">{cards}</div></section>'
    )


def _contradicted(result: RunResult) -> str:
    hits = [row for row in result.rows if row.feasible] if result.command == "design" else []
    count = sum(bool((row.outcome.details.get("synthesis") or {}).get("bonds_contradict")) for row in hits)
    if not count:
        return ""
    return (
        f" In {count} of the {len(hits)} the bonds contradict a charge that the formula needs: such come last here, "
        "whatever their score, and say so."
    )


def family_section(result: RunResult) -> str:
    """Return the family tree of the best candidates of a design run; empty text for other runs.

    Args:
        result: the finished run.
    """
    best = winners(result, most=12)
    if result.command != "design" or not best:
        return ""
    addresses = {id(row) for row in best}
    tree = "".join(_branch(branch, addresses) for branch in family_tree(result, best))
    return (
        '<section id="family" aria-labelledby="family-title"><h2 id="family-title">Family tree</h2>'
        '<p class="lead">From known materials on the left to the candidates above, by the exchanges that made them. '
        "Numbers in brackets: proposals made from a material in this run.</p>"
        f'<div class="card"><ul class="tree">{tree}</ul></div></section>'
    )


def _card(row: Row, result: RunResult) -> str:
    verdict = give_verdict(row, result)
    name = words.row_id(result, row)
    known = f'<span class="badge known">known: {escape(row.rediscovery)}</span>' if row.rediscovery else ""
    score = "" if row.score is None else f'<span class="quiet">score {row.score:.2f}</span>'
    return (
        f'<article class="card winner"><header><span class="place">{row.rank or ""}</span>'
        f'<h3><a href="#{escape(name)}">{words.formula_markup(words.label_of(row))}</a></h3>{score}{known}</header>'
        f'<div class="split"><div class="sight" data-row="{escape(name)}"></div>'
        f"<div>{_list('Why it is here', verdict.reasons, 'for')}</div>"
        f"<div>{_list('What could be wrong', verdict.doubts, 'against')}</div></div></article>"
    )


def _list(title: str, lines: Sequence[str], kind: str) -> str:
    shown = "".join(f"<li>{sentence(line)}</li>" for line in lines[:_MOST_LINES])
    rest = len(lines) - _MOST_LINES
    more = f'<li class="quiet">and {rest} more, in its own view</li>' if rest > 0 else ""
    empty = '<li class="quiet">Nothing that the record would show.</li>' if not lines else ""
    return f'<h4>{title}</h4><ul class="lines {kind}">{shown}{more}{empty}</ul>'


def sentence(text: str) -> str:
    """Return a sentence as safe HTML, with subscripts in the formulas that it holds.

    Args:
        text: plain text.
    """
    # a space group looks like a formula
    plain = text.startswith("Symmetry")
    parts = text.split(" ")
    return " ".join(words.formula_markup(part) if _is_formula(part) and not plain else escape(part) for part in parts)


def _is_formula(word: str) -> bool:
    bare = word.strip("(),.;:")
    return bare[:1].isupper() and any(c.isdigit() for c in bare) and all(c.isalnum() or c in "()." for c in bare)


def _branch(branch: Branch, best: set[int]) -> str:
    member = branch.member
    label = words.formula_markup(member.label)
    if member.row is not None:
        kind = "winner" if id(member.row) in best else standing(member.row)
        rank = f" <small>rank {member.row.rank}</small>" if member.row.rank else ""
        head = f'<a class="{kind}" href="#{escape(member.address)}">{label}</a>{rank}'
    else:
        head = f"<b>{label}</b>"
    count = f" <small>[{member.offspring}]</small>" if member.offspring else ""
    note = f" <small>{sentence(member.note)}</small>" if member.note else ""
    inner = "".join(_branch(child, best) for child in branch.children)
    return f"<li><span>{head}{count}{note}</span>{f'<ul>{inner}</ul>' if inner else ''}</li>"
