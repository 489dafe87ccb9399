"""The journal of migrations: what was applied, when, how long it took, and what the file said then.

A table of its own, migrations_journal, beside the plain migrations(id, name, applied_at), which old programs
read and write. The plain table decides what counts as applied; the journal knows more of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, field, fields
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from typing import Any, Literal

from datalayer.engine.connection import Engine
from datalayer.errors import MigrationRefused
from datalayer.schema import history
from datalayer.schema.numbered.folder import Folder, MigrationFile
from datalayer.schema.postgres import derive, object_lines
from datalayer.schema.snapshot import read_text

__all__ = [
    "JOURNAL_TABLES",
    "JournalRow",
    "baseline",
    "ensure",
    "import_names",
    "read",
    "row_of",
    "versions",
    "write",
]

JOURNAL_TABLES = ("migrations", "migrations_journal")

_SQLITE = """CREATE TABLE IF NOT EXISTS migrations_journal (
    name TEXT NOT NULL CONSTRAINT migrations_journal_pk PRIMARY KEY,
    ordinal INTEGER NOT NULL,
    kind TEXT NOT NULL
        CONSTRAINT migrations_journal_kind CHECK (kind IN ('sql', 'python', 'baseline', 'adopted')),
    checksum_raw TEXT,
    checksum_norm TEXT,
    state TEXT NOT NULL
        CONSTRAINT migrations_journal_state CHECK (state IN ('running', 'applied', 'failed')),
    started_at TEXT NOT NULL,
    applied_at TEXT,
    duration_ms INTEGER,
    statements INTEGER,
    statements_done INTEGER,
    rows_changed INTEGER,
    no_ops TEXT NOT NULL DEFAULT '[]'
        CONSTRAINT migrations_journal_no_ops_json CHECK (json_valid(no_ops)),
    shape_before TEXT,
    shape_after TEXT,
    tool_version TEXT,
    engine_version TEXT,
    backup TEXT,
    origin TEXT,
    source TEXT,
    error TEXT
) STRICT"""
_POSTGRES = (
    _SQLITE.removesuffix(" STRICT")
    .replace("started_at TEXT", "started_at timestamptz")
    .replace("applied_at TEXT", "applied_at timestamptz")
    .replace("INTEGER", "bigint")
    .replace("no_ops TEXT NOT NULL DEFAULT '[]'", "no_ops jsonb NOT NULL DEFAULT '[]'")
    .replace("\n        CONSTRAINT migrations_journal_no_ops_json CHECK (json_valid(no_ops))", "")
)


@dataclass(frozen=True, slots=True)
class JournalRow:
    """One migration in the journal; what is not known is None.

    `ordinal` counts from 1 in order of application. `kind` is sql or python for a file that was run, baseline
    for one whose effect came with a consolidated schema, adopted for one that another program had applied;
    the checksums and the text of these two are of the file as it was when the row was made. `statements_done`
    of `statements` have been kept where `state` is not applied. `no_ops` are {line, statement, object,
    result}, with a result of same, differs, invalid or absent. `shape_before` and `shape_after` are checksums
    of the schema.
    """

    name: str
    ordinal: int
    kind: Literal["sql", "python", "baseline", "adopted"]
    checksum_raw: str | None
    checksum_norm: str | None
    state: Literal["running", "applied", "failed"]
    started_at: datetime
    applied_at: datetime | None = None
    duration_ms: int | None = None
    statements: int | None = None
    statements_done: int | None = None
    rows_changed: int | None = None
    no_ops: Sequence[Mapping[str, object]] = field(default_factory=tuple[Mapping[str, object], ...])
    shape_before: str | None = None
    shape_after: str | None = None
    tool_version: str | None = None
    engine_version: str | None = None
    backup: str | None = None
    origin: str | None = None
    source: str | None = None
    error: str | None = None


_COLUMNS = tuple(each.name for each in fields(JournalRow))


def read(engine: Engine) -> list[JournalRow]:
    """Give the journal in order of application; empty where the database has none. Reads only."""
    if not engine.columns("migrations_journal"):
        return []
    rows = engine.fetch_all(f"SELECT {', '.join(_COLUMNS)} FROM migrations_journal ORDER BY ordinal, name")
    return [_row(values) for values in rows]


def ensure(engine: Engine, *, makes_history: bool = True) -> None:
    """Make the two tables where they are missing, within the caller's transaction and lock.

    `makes_history=False` leaves the plain one to a migration that makes it itself. Raises MigrationRefused
    where a table `migrations` of another program stands in the way.
    """
    columns = set(engine.columns("migrations"))
    if not columns and makes_history:
        for sql in _history_sql(engine.dialect.name):
            engine.write(sql)
    elif columns and not {"id", "name"} <= columns:
        raise MigrationRefused(
            f"{engine.display_url} has a table migrations that is another program's",
            why=f"its columns are {', '.join(sorted(columns))}; needed are id, name, applied_at",
            hint="run `datalayer migrations adopt`, or rename that table",
        )
    if not engine.columns("migrations_journal"):
        engine.write(_SQLITE if engine.dialect.name == "sqlite" else _POSTGRES)


def write(engine: Engine, row: JournalRow) -> None:
    """Write a row, over one of the same name, within the caller's transaction; `ensure` has been called."""
    marks = ", ".join([engine.dialect.placeholder] * len(_COLUMNS))
    changes = ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS[1:])
    engine.write(
        f"INSERT INTO migrations_journal ({', '.join(_COLUMNS)}) VALUES ({marks})"
        f" ON CONFLICT (name) DO UPDATE SET {changes}",
        _values(engine, row),
    )


def import_names(engine: Engine, folder: Folder) -> tuple[str, ...]:
    """Take names that the journal lacks over into it, within the caller's transaction; gives them.

    Their rows are of kind adopted, with the checksums of the files as they are now; a name without a file has
    none. `ensure` has been called.
    """
    return _take_over(engine, folder, "adopted", None)


def baseline(engine: Engine, folder: Folder, *, origin: str = "consolidated") -> tuple[str, ...]:
    """Journal what came without running the files, within the caller's transaction; `origin` says how.

    A consolidated file has made a fresh database, or what differed from the whole schema was closed.
    `history.record` has recorded the names before. Makes the journal where it is missing; gives the names.
    """
    ensure(engine)
    return _take_over(engine, folder, "baseline", origin)


def row_of(engine: Engine, file: MigrationFile, ordinal: int, **facts: Any) -> JournalRow:
    """Give the row of a file as it is now; `facts` are other fields of JournalRow.

    `state` is running and `started_at` now unless they say otherwise.
    """
    known: dict[str, Any] = {
        "kind": file.kind,
        "state": "running",
        "started_at": engine.clock(),
        "checksum_raw": file.checksum_raw,
        "checksum_norm": file.checksum_norm,
        "source": file.read(),
    }
    tool_version, engine_version = versions(engine)
    known |= {"tool_version": tool_version, "engine_version": engine_version}
    return JournalRow(name=file.name, ordinal=ordinal, **(known | facts))


def versions(engine: Engine) -> tuple[str, str]:
    """Give the versions of this package and of the database's program."""
    query = "SELECT sqlite_version()" if engine.dialect.name == "sqlite" else "SHOW server_version"
    row = engine.fetch_one(query)
    return _tool_version(), str(row[0]) if row else ""


@cache
def _tool_version() -> str:
    try:
        return metadata.version("datalayer")
    except metadata.PackageNotFoundError:
        # a bare checkout
        return "unknown"


def _take_over(
    engine: Engine, folder: Folder, kind: Literal["baseline", "adopted"], origin: str | None
) -> tuple[str, ...]:
    known = {row.name: row for row in read(engine)}
    files = {file.name: file for file in folder.files()}
    names = [name for name in history.applied_names(engine) if name not in known]
    last = max((row.ordinal for row in known.values()), default=0)
    now = engine.clock()
    for ordinal, name in enumerate(names, last + 1):
        facts: dict[str, Any] = {"kind": kind, "state": "applied", "applied_at": now, "origin": origin}
        file = files.get(name)
        if file is not None:
            write(engine, row_of(engine, file, ordinal, **facts))
        else:
            write(
                engine,
                JournalRow(name, ordinal, checksum_raw=None, checksum_norm=None, started_at=now, **facts),
            )
    return tuple(names)


def _history_sql(engine_name: str) -> list[str]:
    if engine_name == "sqlite":
        return [history.TABLE_SQL]
    text = history.TABLE_SQL
    derived = derive(read_text(text), lines=object_lines(text), source="the table of history")
    return [step.sql for step in derived.steps]


def _values(engine: Engine, row: JournalRow) -> list[object]:
    is_sqlite = engine.dialect.name == "sqlite"
    return [_stored(value, is_sqlite=is_sqlite) for value in astuple(row)]


def _stored(value: object, *, is_sqlite: bool) -> object:
    if isinstance(value, datetime):
        moment = value.astimezone(UTC)
        return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if is_sqlite else moment
    return json.dumps(value) if isinstance(value, list | tuple) else value


def _row(values: Sequence[Any]) -> JournalRow:
    facts: dict[str, Any] = dict(zip(_COLUMNS, values, strict=True))
    for name in ("started_at", "applied_at"):
        if isinstance(facts[name], str):
            facts[name] = datetime.fromisoformat(facts[name])
    if isinstance(facts["no_ops"], str):
        facts["no_ops"] = json.loads(facts["no_ops"])
    facts["no_ops"] = tuple(facts["no_ops"])
    return JournalRow(**facts)
