"""Reads one table of the library file, field by field, so that every mistake is named with its entry and field."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ionsmith.core.errors import DataError
from ionsmith.core.quantities import suggestion

_DOI = re.compile(r"10\.\d{4,9}/[^\s\"]+")
_MISSING: Any = object()


@dataclass(frozen=True)
class Table:
    """A TOML table together with the place it stands at.

    Attributes:
        values: the fields as parsed.
        where: file and entry, such as ``library.toml: lgps``, or for the whole file its name and a colon; every
            message starts with it.
    """

    values: Mapping[str, Any]
    where: str

    def place(self, field: str) -> str:
        """Return what a message about a field points at.

        Args:
            field: its name.
        """
        return f"{self.where} {field}" if self.where.endswith(":") else f"{self.where}.{field}"

    def fail(self, field: str, message: str) -> DataError:
        """Return the error for a field; the caller raises it.

        Args:
            field: name of the field at fault.
            message: what was expected and what came.
        """
        return DataError(f"{self.place(field)}: {message}")

    def only(self, *fields: str) -> None:
        """Refuse fields that nobody would read, such as misspelt ones.

        Args:
            fields: every name that is allowed.

        Raises:
            DataError: another field is present.
        """
        for name in self.values:
            if name not in fields:
                raise self.fail(name, f"unknown field{suggestion(name, list(fields))}")

    def text(self, field: str, default: str = _MISSING) -> str:
        """Return a text field.

        Args:
            field: its name.
            default: what an absent field means; without one the field is required and not empty.

        Raises:
            DataError: absent or empty although required, or not a text.
        """
        value = self._get(field, default)
        if not isinstance(value, str) or (default is _MISSING and not value.strip()):
            raise self.fail(field, f"expected a text, got {value!r}")
        return value

    def number(self, field: str, default: float = _MISSING) -> float:
        """Return a finite number.

        Args:
            field: its name.
            default: what an absent field means; without one the field is required.

        Raises:
            DataError: absent although required, or not a finite number.
        """
        value = self._get(field, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise self.fail(field, f"expected a finite number, got {value!r}")
        return float(value)

    def positive(self, field: str, default: float = _MISSING) -> float:
        """Return a number above zero.

        Args:
            field: its name.
            default: what an absent field means; without one the field is required.

        Raises:
            DataError: absent although required, or not a finite number above zero.
        """
        value = self.number(field, default)
        if value <= 0.0:
            raise self.fail(field, f"expected a number above zero, got {value:g}")
        return value

    def integer(self, field: str, low: int, high: int) -> int:
        """Return a required whole number.

        Args:
            field: its name.
            low: smallest allowed value.
            high: largest allowed value.

        Raises:
            DataError: absent, not a whole number, or outside [low, high].
        """
        value = self._get(field, _MISSING)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self.fail(field, f"expected a whole number from {low} to {high}, got {value!r}")
        return value

    def one_of(self, field: str, allowed: Sequence[str], default: str = _MISSING) -> str:
        """Return a text that must be one of a few.

        Args:
            field: its name.
            allowed: the accepted texts.
            default: what an absent field means; without one the field is required.

        Raises:
            DataError: absent although required, or not one of the accepted texts.
        """
        value = self.text(field, default)
        if value not in allowed:
            raise self.fail(field, f"expected one of {', '.join(allowed)}, got {value!r}")
        return value

    def doi(self, field: str, default: str = _MISSING) -> str:
        """Return a DOI without any ``https://doi.org/`` before it.

        Args:
            field: its name.
            default: what an absent field means; without one the field is required.

        Raises:
            DataError: absent although required, or not shaped like a DOI.
        """
        value = self.text(field, default)
        if value and not _DOI.fullmatch(value):
            raise self.fail(field, f"expected a DOI such as 10.1038/nmat3066, got {value!r}")
        return value

    def table(self, field: str) -> Table:
        """Return a required inner table.

        Args:
            field: its name.

        Raises:
            DataError: absent, or not a table.
        """
        value = self._get(field, _MISSING)
        if not isinstance(value, Mapping):
            raise self.fail(field, f"expected a table, got {value!r}")
        return Table(value, self.place(field))

    def tables(self, field: str) -> tuple[Table, ...]:
        """Return a required list of inner tables, at least one.

        Args:
            field: its name.

        Raises:
            DataError: absent, not a list, empty, or with something in it that is not a table.
        """
        value = self._get(field, _MISSING)
        if not isinstance(value, list) or not value or not all(isinstance(v, Mapping) for v in value):
            raise self.fail(field, f"expected a list of tables, got {value!r}")
        return tuple(Table(v, f"{self.place(field)}[{n}]") for n, v in enumerate(value, start=1))

    def numbers(self, field: str, count: int) -> tuple[float, ...]:
        """Return a required list of finite numbers.

        Args:
            field: its name.
            count: how many there must be.

        Raises:
            DataError: absent, not a list, of another length, or with something in it that is not a finite number.
        """
        value = self._get(field, _MISSING)
        if not isinstance(value, list) or len(value) != count:
            raise self.fail(field, f"expected {count} numbers, got {value!r}")
        inner = Table({str(n): v for n, v in enumerate(value, start=1)}, self.place(field))
        return tuple(inner.number(str(n)) for n in range(1, count + 1))

    def _get(self, field: str, default: Any) -> Any:
        value = self.values.get(field, default)
        if value is _MISSING:
            raise self.fail(field, "expected this field, got none")
        return value
