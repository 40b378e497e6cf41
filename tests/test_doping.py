"""Doping as a mutation: charges balance, the mobile ion pays, and what cannot be is passed over."""

import numpy as np
import pytest

from generator_toys import Wish, iodide, keys, play, small_prototypes, symbols
from ionsmith.core.errors import InputError
from ionsmith.core.records import Status
from ionsmith.generate.dopants import Doping
from ionsmith.generate.doping import AliovalentExchange
from ionsmith.generate.genetic import Genetic
from ionsmith.generate.ions import IonicCrystal, ionic_crystals, likely_partners


def rng(seed=0):
    return np.random.default_rng(seed)


def exchange(**settings):
    return AliovalentExchange(**{"mobile": "Li", "exclude": (), "boldness": 2.0, "largest": 60, **settings})


@pytest.fixture(scope="module")
def argyrodite():
    return ionic_crystals(small_prototypes("Li6PS5I"), mobile="Li")[0]


def test_partners_of_another_charge():
    up, weights = likely_partners("Zr", 4, becomes=5)
    assert {"Nb", "Ta"} <= set(up)
    assert len(up) == len(weights)
    assert "Al" not in likely_partners("Zr", 4)[0]
    assert "Al" in likely_partners("Zr", 4, becomes=3)[0]


def test_what_is_drawn_balances_and_the_mobile_ion_pays(argyrodite):
    source, made = exchange(), []
    for seed in range(40):
        doping = source.draw(argyrodite, rng(seed))
        if doping is not None and (crystal := source.apply(argyrodite, doping, origin="toy")) is not None:
            made.append((doping, crystal))
    assert len(made) >= 15
    for doping, crystal in made:
        content = crystal.candidate.composition
        assert sum(crystal.charges[e.symbol] * amount for e, amount in content.items()) == pytest.approx(0.0)
        assert abs(doping.charge - argyrodite.charges[doping.site]) == 1
        assert len(crystal.candidate.structure) <= 60
        assert content["Li"] > 0
        assert f"{doping.site} -> {doping.dopant}, Li balances" in crystal.candidate.source.locator
        assert crystal.candidate.parents[-1] == argyrodite.candidate.key


def test_a_site_that_is_replaced_throughout_leaves_the_charges(argyrodite):
    crystal = exchange().apply(argyrodite, Doping("P", "Si", 1.0, 4), origin="toy")
    assert crystal.charges == {"Li": 1, "Si": 4, "S": -2, "I": -1}
    assert crystal.candidate.composition.reduced_formula == "Li7SiS5I"


def test_charges_that_were_guessed_another_way_give_nothing(argyrodite):
    strange = IonicCrystal(argyrodite.candidate, {**argyrodite.charges, "P": 3})
    assert exchange().apply(strange, Doping("S", "Cl", 0.2, -1), origin="toy") is None


def test_what_cannot_be_doped_gives_nothing(argyrodite):
    tiny = exchange(largest=5)
    assert tiny.apply(argyrodite, Doping("P", "Si", 0.5, 4, max_sites=5), origin="toy") is None
    steps = [(symbol, charge, charge + by) for symbol, charge in argyrodite.charges.items() for by in (1, -1)]
    every = {p for symbol, charge, other in steps for p in likely_partners(symbol, charge, becomes=other)[0]}
    assert all(exchange(exclude=tuple(every)).draw(argyrodite, rng(seed)) is None for seed in range(10))


def test_the_genetic_algorithm_breeds_doped_children():
    settings = {"objective": Wish(iodide), "doping": 0.7, "exclude": ("Br",)}
    rounds = [play(Genetic(small_prototypes(), **settings), rounds=2, n=8, seed=1) for _ in range(2)]
    assert list(map(keys, rounds[0])) == list(map(keys, rounds[1]))
    born = [p for proposals in rounds[0] for p in proposals]
    doped = [p for p in born if "Li balances" in p.candidate.source.locator]
    assert 4 <= len(doped) < len(born)
    assert all(p.status is Status.OK for p in doped)
    assert not any("Br" in symbols(p) for p in doped)
    assert len({p.candidate.formula for p in doped}) == len(doped)
    with pytest.raises(InputError, match="genetic: expected a probability of doping from 0 to 1, got 2"):
        Genetic(doping=2)
