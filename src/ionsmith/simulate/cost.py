"""What the elements of a compound cost, so that a Spec can ask for affordable ones."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

from pymatgen.core import Composition, Element

from ionsmith.core.errors import PhysicsError
from ionsmith.core.records import Candidate, Kind, Outcome, Status, Value
from ionsmith.core.registry import register
from ionsmith.simulate.stage import stopped

_SPREAD = 0.5  # relative; prices of one element in one year differ by about so much with purity and seller


@register("simulator", "cost")
@dataclass(frozen=True)
class ElementCost:
    """Price of the elements in a kilogram of the compound, by pymatgen's table of element prices.

    Raw elements only: salts, purification and synthesis are left out, and the prices are some years old. It tells
    germanium from phosphorus, not one supplier from another.
    """

    name: ClassVar[str] = "cost"
    kinds: ClassVar[frozenset[Kind]] = frozenset({Kind.CRYSTAL, Kind.COMPOSITION})
    provides: ClassVar[tuple[str, ...]] = ("element_cost",)
    cost: ClassVar[float] = 0.001

    @property
    def fingerprint(self) -> str:
        """Revision of the sum; the prices are those of the installed pymatgen."""
        return "cost-1(pymatgen)"

    def run(self, candidate: Candidate) -> Outcome:
        """Return USD/kg, and what each element adds in ``details``; rejected where an element has no price.

        Args:
            candidate: a crystal or composition.
        """
        start = time.perf_counter()
        composition: Composition = candidate.composition
        prices = {e.symbol: _price(e.symbol) for e in composition.elements}
        if unpriced := sorted(symbol for symbol, price in prices.items() if price is None):
            reason = PhysicsError(f"no price is known for {', '.join(unpriced)}")
            return stopped(candidate, Status.REJECTED, reason, start)
        shares = {
            s: composition.get_wt_fraction(Element(s)) * price for s, price in prices.items() if price is not None
        }
        total = float(sum(shares.values()))
        value = Value(total, _SPREAD * total, "element prices")
        details: dict[str, Any] = {
            "usd_per_kg_by_element": {s: round(float(v), 3) for s, v in sorted(shares.items())}
        }
        return Outcome(candidate, {"element_cost": value}, cost_s=time.perf_counter() - start, details=details)


@lru_cache(maxsize=128)
def _price(symbol: str) -> float | None:
    """Return the price of an element, USD/kg; None where the table has none."""
    analyzer = _analyzer()
    try:
        return float(analyzer.get_cost_per_kg(symbol))
    except ValueError:
        return None


@lru_cache(maxsize=1)
def _analyzer() -> Any:
    from pymatgen.analysis.cost import CostAnalyzer, CostDBElements

    return CostAnalyzer(CostDBElements())
