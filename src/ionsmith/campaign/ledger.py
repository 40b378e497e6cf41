"""The ledger: every Outcome of a run in a database, one transaction each, so that nothing finished is ever lost."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from ionsmith.campaign import codec
from ionsmith.core.errors import LedgerError
from ionsmith.core.records import Candidate, Kind, Outcome, Status
from ionsmith.core.results import LEDGER_FILE

LAYOUT = 1
_metadata = sa.MetaData()
_run = sa.Table(
    "run",
    _metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("layout", sa.Integer, nullable=False),
    sa.Column("header", sa.Text, nullable=False),
    sa.Column("started_at", sa.String(32), nullable=False),
)
_candidates = sa.Table(
    "candidates",
    _metadata,
    sa.Column("key", sa.String(16), primary_key=True),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("payload", sa.Text, nullable=False),
)
_inputs = sa.Table(
    "inputs",
    _metadata,
    sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("key", sa.String(16), nullable=False, index=True),
    sa.Column("origin", sa.Text, nullable=False),
    sa.Column("parents", sa.Text, nullable=False),
    sa.Column("status", sa.String(8), nullable=False),
    sa.Column("note", sa.Text, nullable=False),
)
_outcomes = sa.Table(
    "outcomes",
    _metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("key", sa.String(16), nullable=False, index=True),
    sa.Column("stage", sa.String(64), nullable=False),
    sa.Column("fingerprint", sa.String(255), nullable=False),
    sa.Column("result_key", sa.String(16), nullable=False),
    sa.Column("origin", sa.Text, nullable=False),
    sa.Column("parents", sa.Text, nullable=False),
    sa.Column("status", sa.String(8), nullable=False),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("values", sa.Text, nullable=False),
    sa.Column("details", sa.Text, nullable=False),
    sa.Column("cost_s", sa.Float, nullable=False),
    sa.Column("finished_at", sa.String(32), nullable=False),
    sa.UniqueConstraint("key", "stage", "fingerprint"),
)


class Ledger:
    """Stores and finds Outcomes by the content of the material and the fingerprint of the stage.

    Args:
        url: SQLAlchemy database URL; ``sqlite://`` keeps the ledger in memory.
        header: what the run is (command, version, Spec, seed), JSON-ready. Outcomes of a run with another header are
            kept, since they are found by content; the list of its inputs is not.

    Raises:
        LedgerError: the database cannot be opened, or another layout of this package wrote it.
    """

    def __init__(self, url: str = "sqlite://", *, header: dict[str, Any] | None = None) -> None:
        try:
            self._engine = sa.create_engine(url)
            if self._engine.dialect.name == "sqlite":
                sa.event.listen(self._engine, "connect", _durable)
            _metadata.create_all(self._engine)
            self._write_header(header or {})
        except (SQLAlchemyError, ImportError) as error:
            raise LedgerError(f"ledger {url}: cannot be opened: {_reason(error)}") from error

    @classmethod
    def in_folder(cls, folder: Path, *, header: dict[str, Any] | None = None) -> Self:
        """Open or create ``ledger.db`` in a run folder.

        Args:
            folder: existing run folder.
            header: what the run is.
        """
        return cls(f"sqlite:///{folder / LEDGER_FILE}", header=header)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the database connection back."""
        self._engine.dispose()

    def add_input(self, position: int, reading: Outcome) -> None:
        """Record how one input was read; a repeated call for the same position replaces the row.

        Args:
            position: place in the input, from 0.
            reading: candidate, status and note of the reading.

        Raises:
            LedgerError: the database refuses the row.
        """
        candidate = reading.candidate
        row = {
            "position": position,
            "key": candidate.key,
            "origin": codec.encode_origin(candidate.source),
            "parents": codec.dumps(list(candidate.parents)),
            "status": reading.status.value,
            "note": reading.note,
        }
        self._transact(
            candidate, [_inputs.delete().where(_inputs.c.position == position), _inputs.insert().values(row)]
        )

    def inputs(self) -> list[Outcome]:
        """Return the recorded readings in order of position."""
        query = (
            sa.select(_inputs, _candidates.c.kind, _candidates.c.payload)
            .join(_candidates, _candidates.c.key == _inputs.c.key)
            .order_by(_inputs.c.position)
        )
        with self._engine.connect() as connection:
            rows = connection.execute(query).mappings().all()
        return [Outcome(_candidate(row), status=Status(row["status"]), note=row["note"]) for row in rows]

    def add(self, key: str, stage: str, fingerprint: str, outcome: Outcome) -> None:
        """Record what a stage found out, in a transaction of its own.

        Args:
            key: content hash of the material that entered the stage.
            stage: name of the stage.
            fingerprint: identifies the settings of the stage.
            outcome: what it found out.

        Raises:
            LedgerError: the database refuses the row.
        """
        row = {
            "key": key,
            "stage": stage,
            "fingerprint": fingerprint,
            "result_key": outcome.candidate.key,
            "origin": codec.encode_origin(outcome.candidate.source),
            "parents": codec.dumps(list(outcome.candidate.parents)),
            "status": outcome.status.value,
            "note": outcome.note,
            "values": codec.encode_values(outcome.values),
            "details": codec.dumps(dict(outcome.details)),
            "cost_s": outcome.cost_s,
            "finished_at": _now(),
        }
        same = sa.and_(_outcomes.c.key == key, _outcomes.c.stage == stage, _outcomes.c.fingerprint == fingerprint)
        self._transact(outcome.candidate, [_outcomes.delete().where(same), _outcomes.insert().values(row)])

    def find(self, key: str, stage: str, fingerprint: str) -> Outcome | None:
        """Return the recorded Outcome of a stage for a material, or None if there is none yet.

        Args:
            key: content hash of the material that entered the stage.
            stage: name of the stage.
            fingerprint: identifies the settings of the stage.
        """
        query = (
            sa.select(_outcomes, _candidates.c.kind, _candidates.c.payload)
            .join(_candidates, _candidates.c.key == _outcomes.c.result_key)
            .where(_outcomes.c.key == key, _outcomes.c.stage == stage, _outcomes.c.fingerprint == fingerprint)
        )
        with self._engine.connect() as connection:
            row = connection.execute(query).mappings().first()
        return None if row is None else _outcome(row)

    def count(self) -> int:
        """Return the number of recorded Outcomes."""
        with self._engine.connect() as connection:
            return int(connection.execute(sa.select(sa.func.count()).select_from(_outcomes)).scalar_one())

    def _transact(self, candidate: Candidate, statements: list[Any]) -> None:
        try:
            with self._engine.begin() as connection:
                known = sa.select(_candidates.c.key).where(_candidates.c.key == candidate.key)
                if connection.execute(known).first() is None:
                    row = {
                        "key": candidate.key,
                        "kind": candidate.kind.value,
                        "payload": codec.encode_payload(candidate),
                    }
                    connection.execute(_candidates.insert().values(row))
                for statement in statements:
                    connection.execute(statement)
        except SQLAlchemyError as error:
            raise LedgerError(f"ledger: could not record {candidate.key}: {_reason(error)}") from error

    def _write_header(self, header: dict[str, Any]) -> None:
        with self._engine.begin() as connection:
            held = connection.execute(sa.select(_run.c.layout, _run.c.header)).first()
            if held is not None and held.layout != LAYOUT:
                raise LedgerError(
                    f"ledger: expected layout {LAYOUT}, found {held.layout}, written by another version"
                )
            row = {"id": 1, "layout": LAYOUT, "header": codec.dumps(header)}
            if held is None:
                connection.execute(_run.insert().values({**row, "started_at": _now()}))
            elif held.header != row["header"]:
                connection.execute(_run.update().values(row))
                connection.execute(_inputs.delete())


def _durable(connection: Any, record: Any) -> None:
    # write-ahead log: readers (the web page) do not block the writer, and a kill loses no committed row
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA busy_timeout=30000")
    cursor.close()


def _candidate(row: Any) -> Candidate:
    kind = Kind(row["kind"])
    return Candidate(
        kind,
        codec.decode_payload(kind, row["payload"]),
        codec.decode_origin(row["origin"]),
        tuple(json.loads(row["parents"])),
    )


def _outcome(row: Any) -> Outcome:
    return Outcome(
        candidate=_candidate(row),
        values=codec.decode_values(row["values"]),
        status=Status(row["status"]),
        note=row["note"],
        cost_s=row["cost_s"],
        details=json.loads(row["details"]),
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _reason(error: Exception) -> str:
    return str(getattr(error, "orig", None) or error).splitlines()[0]
