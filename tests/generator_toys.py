"""A toy campaign for generators that learn: small prototypes, objectives with known answers, nothing simulated."""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from ionsmith.core.records import Candidate, Kind, Origin, Outcome, Status, Value
from ionsmith.data.library import load_library
from ionsmith.generate.ions import ionic_crystals
from ionsmith.generate.substitution import Substitution

SMALL = ("Li3InCl6", "LiZnPS4", "Li3ClO", "Li2MgCl4", "LiAlO2", "Li3VO4", "Li3N", "Li6PS5I", "Li3YBr6", "LiBO2")


@lru_cache(maxsize=1)
def library():
    return tuple(load_library())


@lru_cache(maxsize=1)
def _ordered():
    return [c.candidate for c in ionic_crystals(library(), mobile="Li")]


def small_prototypes(*formulas):
    return tuple(c for c in _ordered() if c.formula in (formulas or SMALL) and len(c.structure) <= 20)


def iodide(candidate):
    """Rises with the share of iodine and bromine, by mass."""
    return candidate.composition.get_wt_fraction("I") + candidate.composition.get_wt_fraction("Br")


def dense(candidate):
    """Rises with density, up to 8 g/cm^3."""
    return min(1.0, float(candidate.structure.density) / 8.0)


@dataclass(frozen=True)
class Wish:
    """An objective that reads its score off the crystal."""

    judge: object
    ranks: bool = True

    def admit(self, candidate):
        return ""

    def hopeless(self, outcome):
        return ""

    def feasible(self, outcome):
        return True

    def score(self, outcome, *, caution=0.0):
        return self.judge(outcome.candidate)

    def checks(self, outcome):
        return {}


def answered(proposal):
    """What a campaign tells of a proposal: something became known of those that were not refused."""
    known = {"density": Value(1.0, 0.1, "toy")} if proposal.status is Status.OK else {}
    return replace(proposal, values=known)


def relaxed(proposal, *, strain=0.02):
    """Return a proposal as a relaxation would tell it: another cell, the earlier key among the parents."""
    structure = proposal.candidate.structure.copy()
    structure.apply_strain(strain)
    return answered(replace(proposal, candidate=proposal.candidate.child(structure, note="relaxed")))


def play(generator, *, rounds=4, n=12, seed=0):
    """Run rounds of ask and tell; return the proposals of each round."""
    heard = []
    for number in range(rounds):
        rng = np.random.default_rng([seed, number])
        proposals = generator.ask(n, rng)
        generator.tell([answered(p) for p in proposals], rng)
        heard.append(proposals)
    return heard


def late_mean(rounds, judge):
    """Return the mean score of the last two rounds, refused proposals counting zero."""
    late = [p for proposals in rounds[-2:] for p in proposals]
    return float(np.mean([judge(p.candidate) if p.status is Status.OK else 0.0 for p in late]))


@lru_cache(maxsize=4)
def random_mean(judge):
    """Return what random substitution reaches at the same budget, over three seeds."""
    return np.mean([late_mean(play(Substitution(small_prototypes()), seed=s), judge) for s in range(3)])


def keys(proposals):
    return [p.candidate.key for p in proposals]


def symbols(proposal):
    return {e.symbol for e in proposal.candidate.composition.elements}


def broken(proposal):
    return replace(proposal, status=Status.FAILED, note="the potential fell over")


def unreadable_row():
    return Outcome(Candidate(Kind.UNREADABLE, "junk", Origin("file", "junk.cif")), status=Status.FAILED, note="junk")
