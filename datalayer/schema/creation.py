"""A whole schema made in a fresh database, in one transaction, with every migration recorded."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from time import monotonic, sleep

from datalayer.engine.connection import Engine
from datalayer.errors import MigrationRefused
from datalayer.schema import history
from datalayer.schema.difference import differences
from datalayer.schema.loading import runnable
from datalayer.schema.numbered import journal
from datalayer.schema.numbered.lock import POLL_S, being_migrated, lock_key
from datalayer.schema.postgres import Derived, object_lines
from datalayer.schema.postgres_types import Kind, PgTable, layout_of
from datalayer.schema.snapshot import Schema, Table, read
from datalayer.schema.target import Target
from datalayer.schema.tokens import fold, quote

__all__ = [
    "bring_rows",
    "copy_rows",
    "create_on_postgres",
    "create_on_sqlite",
    "lock_schema",
    "without_references",
]


@contextmanager
def without_references(engine: Engine) -> Generator[None]:
    """Let rows come before the tables that they refer to; the setting is ignored inside a transaction."""
    engine.execute("PRAGMA foreign_keys = OFF")
    try:
        yield
    finally:
        engine.execute("PRAGMA foreign_keys = ON")


def create_on_sqlite(engine: Engine, target: Target) -> None:
    """Run the whole script in the caller's transaction, foreign keys off.

    Raises MigrationRefused where what came out is not the schema, or a row breaks a reference.
    """
    assert target.whole is not None
    for statement in runnable(target.whole.script):
        engine.write(statement.text).close()
    _record(engine, target)
    made = read(engine.connection())
    wrong = [one for one in differences(target.schema, made) if one.change != "extra"]
    if wrong:
        raise MigrationRefused(
            f"{engine.display_url} did not come out as {target.source} has it; nothing was changed",
            why="; ".join(map(str, wrong[:8])),
            hint="keep the file and report this",
        )
    broken = engine.fetch_one("PRAGMA foreign_key_check")
    if broken is not None:
        raise MigrationRefused(
            f"a row of {target.source} breaks a reference; nothing was changed",
            why=f"row {broken[1]} of {broken[0]} refers to a row of {broken[2]} that is not there",
            hint="correct the row in the script",
        )


def lock_schema(engine: Engine, deadline: float) -> None:
    """Take the advisory lock of migrations for the caller's transaction, trying until `deadline`.

    https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS
    """
    key = lock_key(engine.schema_name)
    while engine.fetch_one("SELECT pg_try_advisory_xact_lock(%s)", (key,)) != (True,):
        if monotonic() >= deadline:
            raise being_migrated(engine.display_url)
        sleep(POLL_S)


def create_on_postgres(engine: Engine, target: Target, derived: Derived) -> None:
    """Run the derived statements in the caller's transaction, and copy the rows that the script inserts."""
    if engine.fetch_one("SELECT 1 FROM pg_namespace WHERE nspname = %s", (engine.schema_name,)) is None:
        engine.execute(f"CREATE SCHEMA {quote(engine.schema_name)}")
    for step in derived.tables:
        engine.execute(step.sql)
    assert target.whole is not None
    # in the order in which the tables were made, so that what is referred to is there first
    for step in derived.tables:
        if step.name in target.whole.rows:
            _copy(engine, target, step.name, _pg_columns(derived.layout[fold(step.name)]))
    for step in derived.rest:
        engine.execute(step.sql)
    _record(engine, target)


def _record(engine: Engine, target: Target) -> None:
    if target.folder is not None and target.names:
        history.record(engine, target.names)
        journal.baseline(engine, target.folder)


def bring_rows(engine: Engine, target: Target, names: Sequence[str]) -> None:
    """Insert the rows of tables that these migrations make and that have none, in the caller's transaction.

    For a schema that was reached by its differences, which know no rows.
    """
    if target.whole is None or target.folder is None or not target.whole.rows:
        return
    made = {
        name
        for file in target.folder.files()
        if file.name in names and file.kind == "sql"
        for kind, name in object_lines(file.read())
        if kind == "table"
    }
    for name in target.whole.rows:
        table = target.schema.table(name)
        if table is None or table.kind != "table" or fold(name) not in made:
            continue
        if engine.fetch_one(f"SELECT 1 FROM {quote(name)} LIMIT 1") is None:
            _copy(engine, target, name, _columns(engine, table))


def _columns(engine: Engine, table: Table) -> Sequence[tuple[str, Kind]]:
    if engine.dialect.has_copy:
        return _pg_columns(layout_of(Schema((table,), (), ()))[fold(table.name)])
    # SQLite takes what SQLite gave
    return [
        (column.name, "any") for column in table.columns if column.generated is None and not column.is_hidden
    ]


def _pg_columns(table: PgTable) -> Sequence[tuple[str, Kind]]:
    return [
        (column.name, column.kind)
        for column in table.columns.values()
        if column.source.generated is None and not column.source.is_hidden
    ]


def copy_rows(engine: Engine, table: Table, rows: Sequence[tuple[object, ...]]) -> None:
    """Insert rows as SQLite holds them, and set the numbering behind them, in the caller's transaction."""
    if rows:
        _insert(engine, table, rows, _columns(engine, table))


def _copy(engine: Engine, target: Target, name: str, columns: Sequence[tuple[str, Kind]]) -> None:
    """Insert the rows that the script brings."""
    assert target.whole is not None
    table = target.schema.table(name)
    assert table is not None
    _insert(engine, table, target.whole.rows[name], columns)


def _insert(
    engine: Engine,
    table: Table,
    rows: Sequence[tuple[object, ...]],
    columns: Sequence[tuple[str, Kind]],
) -> None:
    name, mark = table.name, engine.dialect.placeholder
    place, names = quote(name), ", ".join(quote(column) for column, _ in columns)
    if mark != "?":
        # psycopg reads a single % as the beginning of a parameter
        place, names = place.replace("%", "%%"), names.replace("%", "%%")
    engine.execute_many(
        f"INSERT INTO {place} ({names}) VALUES ({', '.join([mark] * len(columns))})",
        [tuple(_stored(value, kind) for value, (_, kind) in zip(row, columns)) for row in rows],
    )
    numbered = table.rowid_column
    if numbered is not None and not engine.dialect.has_row_id:
        engine.execute(
            f"SELECT setval(pg_get_serial_sequence(%s, %s), (SELECT max({quote(numbered.name)})"
            f" FROM {quote(name)}))".replace("%", "%%").replace("%%s", "%s"),
            (quote(name), numbered.name),
        )


def _stored(value: object, kind: Kind) -> object:
    return bool(value) if kind == "bool" and isinstance(value, int) else value
