"""Aliovalent doping as a mutation: ions of a site give way to ions of the next charge, and the mobile ion pays.

Carriers come from such defects: most fast conductors are doped. The likely partners are those of
``generate/ions.py``, one charge up or down; where the vacancies or interstitials go is told in
``generate/dopants.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ionsmith.core.crystals import arranged
from ionsmith.core.errors import IonsmithError
from ionsmith.core.protocols import Rng
from ionsmith.core.records import Origin
from ionsmith.generate.dopants import Doping, dope
from ionsmith.generate.ions import IonicCrystal, partner_chances

DOUBLED = 2
"""Cells in which a site that comes once is half replaced."""


class AliovalentExchange:
    """Draws dopants and puts them in.

    Args:
        mobile: symbol of the ion that balances the charge.
        exclude: symbols of elements that are never put in.
        boldness: temperature of the draw; see :class:`ionsmith.generate.ions.IonExchange`.
        largest: most atoms of the doped cell.
    """

    def __init__(self, *, mobile: str, exclude: Sequence[str], boldness: float, largest: int) -> None:
        self._mobile, self._exclude, self._boldness, self._largest = mobile, frozenset(exclude), boldness, largest

    def draw(self, host: IonicCrystal, rng: Rng) -> Doping | None:
        """Return a dopant for one of the crystal's sites and how much of it; None where no ion is likely.

        Args:
            host: crystal that is doped.
            rng: random stream.
        """
        sites = sorted(symbol for symbol in host.charges if symbol != self._mobile)
        site = sites[int(rng.integers(len(sites)))]
        charge = host.charges[site] + (1 if rng.random() < 0.5 else -1)
        held = {*host.charges, *self._exclude}
        partners, chances = partner_chances(
            site, host.charges[site], held=held, boldness=self._boldness, becomes=charge
        )
        if not partners:
            return None
        dopant = partners[int(rng.choice(len(partners), p=chances))]
        count = sum(each.specie.symbol == site for each in host.candidate.structure)
        parts = count if count > 1 else DOUBLED
        level = int(rng.integers(1, parts + 1)) / parts
        return Doping(site, dopant, level, charge, self._mobile, self._largest)

    def apply(self, host: IonicCrystal, doping: Doping, *, origin: str) -> IonicCrystal | None:
        """Return the doped crystal of lowest electrostatic energy; None where there is none.

        Args:
            host: crystal that is doped.
            doping: what is put where.
            origin: name of the source, for the record.
        """
        try:
            made = dope(host.candidate, doping, count=1)[0]
        except IonsmithError:
            return None
        words = (
            f"{host.candidate.formula}: {doping.level:.0%} {doping.site} -> {doping.dopant}, {self._mobile} balances"
        )
        child = replace(made, source=arranged(Origin(origin, words, notes=made.source.notes[-2:])))
        held = {e.symbol for e in child.composition.elements}
        charges = {**host.charges, doping.dopant: int(doping.charge or 0)}
        left = {symbol: charge for symbol, charge in charges.items() if symbol in held}
        net = sum(left[element.symbol] * amount for element, amount in child.composition.items())
        return IonicCrystal(child, left) if abs(net) < 0.01 else None  # else the charges were guessed another way
