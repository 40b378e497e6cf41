"""The Spec: what the user wants, in physical units, read from TOML and checked word by word."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pymatgen.core import Element

from ionsmith.core.errors import SpecError
from ionsmith.core.quantities import QUANTITIES, suggestion

_TOP_KEYS = ["mobile_ion", "exclude", "targets", "budget", "ladder", "settings", "drop_below"]
# 3e-4 S/cm; the gap at which a perfect crystal conducts 1e-8 S/cm by electrons (core.physics.minimum_band_gap), to be
# met by PBE gaps, which lie below measured ones; a bond-valence barrier that three in four of the measured superionic
# conductors of OBELiX stay under and three in four of the poor ones exceed (306 crystals); the usual limit for a
# metastable phase
_DEFAULT_TARGETS = {
    "log10_conductivity": {"min": -3.52},
    "band_gap": {"min": 1.3},
    "percolation_barrier": {"max": 1.0},
    "energy_above_hull": {"max": 0.05},
}


@dataclass(frozen=True)
class Target:
    """Wanted range of one quantity, in its unit; None is an open end."""

    quantity: str
    low: float | None = None
    high: float | None = None

    def words(self) -> str:
        """Return the range as a reader would say it."""
        if self.low is not None and self.high is not None:
            return f"between {self.low:g} and {self.high:g}"
        return f"at least {self.low:g}" if self.low is not None else f"at most {self.high:g}"

    def plain(self) -> dict[str, float]:
        """Return the range as the TOML table it was read from."""
        ends = {"min": self.low, "max": self.high}
        return {name: value for name, value in ends.items() if value is not None}


@dataclass(frozen=True)
class Budget:
    """How much work a run may do.

    Attributes:
        candidates: most candidates that are looked at.
        simulations: most candidates that enter the ladder of simulations.
        rounds: in how many rounds of ask and tell the work is divided; a list needs one.
    """

    candidates: int = 5000
    simulations: int = 200
    rounds: int = 1


@dataclass(frozen=True)
class Ladder:
    """The rungs a survivor climbs, cheap ones first, and the potential they use.

    Attributes:
        rungs: names of registered simulators.
        potential: ASE calculator by name, or ``module:factory``.
    """

    rungs: tuple[str, ...] = ("bvse", "relax", "hull")
    potential: str = "chgnet"


@dataclass(frozen=True)
class Spec:
    """Targets, chemistry and budget of a run.

    Attributes:
        mobile_ion: symbol of the ion that has to move.
        exclude: symbols of elements that must not occur.
        targets: quantity name to wanted range.
        budget: how much work may be done.
        ladder: which simulations, with which potential.
        drop_below: a candidate leaves the ladder once the probability of meeting any one target is below this.
        settings: rung to its settings by name, where they differ from the defaults.
    """

    mobile_ion: str = "Li"
    exclude: tuple[str, ...] = ()
    targets: Mapping[str, Target] = field(default_factory=lambda: _read_targets(_DEFAULT_TARGETS, "default"))
    budget: Budget = Budget()
    ladder: Ladder = Ladder()
    drop_below: float = 0.05
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """Return the Spec as plain, JSON-ready data in the layout of the TOML file."""
        return {
            "mobile_ion": self.mobile_ion,
            "exclude": list(self.exclude),
            "targets": {name: target.plain() for name, target in self.targets.items()},
            "budget": vars(self.budget).copy(),
            "ladder": {"rungs": list(self.ladder.rungs), "potential": self.ladder.potential},
            "drop_below": self.drop_below,
            "settings": {rung: dict(table) for rung, table in self.settings.items()},
        }


def load_spec(path: Path) -> Spec:
    """Read a Spec from a TOML file.

    Args:
        path: the file.

    Raises:
        SpecError: the file cannot be read, is not TOML, or holds an unknown key or impossible value.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SpecError(f"{path}: expected a readable Spec file, got {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SpecError(f"{path}: expected TOML, got {error}") from error
    return parse_spec(document, where=str(path))


def parse_spec(document: Mapping[str, Any], *, where: str = "Spec") -> Spec:
    """Build a Spec from plain data.

    Args:
        document: what a TOML file holds.
        where: file name for messages.

    Raises:
        SpecError: an unknown key or an impossible value.
    """
    _known(document, _TOP_KEYS, where)
    default = Spec()
    ion = _symbol(document.get("mobile_ion", default.mobile_ion), f"{where}: mobile_ion")
    exclude = tuple(_symbol(s, f"{where}: exclude") for s in _list(document.get("exclude", []), f"{where}: exclude"))
    if ion in exclude:
        raise SpecError(f"{where}: exclude: expected elements other than the mobile ion, got {ion}")
    targets = document.get("targets")
    ladder = _read_ladder(document.get("ladder", {}), where)
    return Spec(
        mobile_ion=ion,
        exclude=exclude,
        targets=default.targets if targets is None else _read_targets(targets, where),
        budget=_read_budget(document.get("budget", {}), where),
        ladder=ladder,
        drop_below=_fraction(document.get("drop_below", default.drop_below), f"{where}: drop_below"),
        settings=_read_settings(document.get("settings", {}), ladder.rungs, where),
    )


def _known(table: Any, keys: list[str], where: str) -> None:
    if not isinstance(table, Mapping):
        raise SpecError(f"{where}: expected a table, got {table!r}")
    for key in table:
        if key not in keys:
            raise SpecError(f"{where}: unknown key {key!r}{suggestion(str(key), keys)}")


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list | tuple):
        raise SpecError(f"{where}: expected a list, got {value!r}")
    return list(value)


def _symbol(value: Any, where: str) -> str:
    if not isinstance(value, str) or not Element.is_valid_symbol(value):
        raise SpecError(f'{where}: expected an element symbol such as "Li", got {value!r}')
    return value


def _number(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise SpecError(f"{where}: expected a number, got {value!r}")
    return float(value)


def _fraction(value: Any, where: str) -> float:
    number = _number(value, where)
    if not 0.0 <= number < 1.0:
        raise SpecError(f"{where}: expected a probability from 0 to below 1, got {number:g}")
    return number


def _read_targets(table: Any, where: str) -> Mapping[str, Target]:
    _known(table, sorted(QUANTITIES), f"{where}: targets")
    if not table:
        raise SpecError(f"{where}: targets: expected at least one target, got none")
    return MappingProxyType(
        {name: _read_target(name, ends, f"{where}: targets.{name}") for name, ends in table.items()}
    )


def _read_target(name: str, ends: Any, where: str) -> Target:
    _known(ends, ["min", "max"], where)
    if not ends:
        raise SpecError(f"{where}: expected min, max or both, got neither")
    limits = {}
    for end, value in ends.items():
        number = _number(value, f"{where}.{end}")
        limit = QUANTITIES[name]
        if not limit.low <= number <= limit.high:
            raise SpecError(f"{where}.{end}: expected {limit.low:g} to {limit.high:g} {limit.unit}, got {number:g}")
        limits[end] = number
    low, high = limits.get("min"), limits.get("max")
    if low is not None and high is not None and low >= high:
        raise SpecError(f"{where}: expected min below max, got min {low:g} and max {high:g}")
    return Target(name, low, high)


def _read_budget(table: Any, where: str) -> Budget:
    default = vars(Budget())
    _known(table, list(default), f"{where}: budget")
    for key, value in table.items():
        least = 0 if key == "simulations" else 1
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise SpecError(f"{where}: budget.{key}: expected a whole number of at least {least}, got {value!r}")
    return Budget(**{**default, **table})


def _read_ladder(table: Any, where: str) -> Ladder:
    default = Ladder()
    _known(table, list(vars(default)), f"{where}: ladder")
    rungs = _list(table.get("rungs", default.rungs), f"{where}: ladder.rungs")
    potential = table.get("potential", default.potential)
    for name, value in [("rungs", r) for r in rungs] + [("potential", potential)]:
        if not isinstance(value, str) or not value:
            raise SpecError(f"{where}: ladder.{name}: expected a name, got {value!r}")
    if len(set(rungs)) != len(rungs):
        raise SpecError(f"{where}: ladder.rungs: expected each rung once, got {rungs}")
    return Ladder(tuple(rungs), potential)


def _read_settings(table: Any, rungs: tuple[str, ...], where: str) -> dict[str, dict[str, Any]]:
    """Return settings per rung; whether a rung knows them is checked where the rung is built."""
    _known(table, list(rungs), f"{where}: settings")
    for rung, settings in table.items():
        if not isinstance(settings, Mapping):
            raise SpecError(f"{where}: settings.{rung}: expected a table, got {settings!r}")
    return {rung: dict(settings) for rung, settings in table.items()}
