"""Which migrations a database has had, and where the package's own SQL files lie.

The table is migrations(id, name, applied_at), as old programs know it. Names are those of the files without
ending.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from importlib import resources
from pathlib import Path

from datalayer.engine.connection import Engine
from datalayer.errors import MigrationRefused
from datalayer.schema.numbered.folder import CONSOLIDATED, Folder, MigrationFile, read_script
from datalayer.schema.snapshot import Schema

__all__ = [
    "TABLE_SQL",
    "applied_names",
    "consolidated_sql",
    "package_files",
    "package_folder",
    "record",
    "recorded_names",
    "refuse_foreign",
]

# larger numbers are milliseconds: as seconds they would be of the year 5138
_FIRST_MILLISECONDS = 100_000_000_000

_COLUMNS = frozenset(("id", "name", "applied_at", "checksum"))

# for an app whose own schema has no such table; the package's consolidated file brings its own, with the
# same text
TABLE_SQL = """CREATE TABLE migrations (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL CONSTRAINT migrations_name_unique UNIQUE,
    applied_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT migrations_applied_at_utc
        CHECK (applied_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z')
) STRICT"""  # noqa: E501 - the text is compared with the file's


def package_folder() -> Folder:
    """Give the package's own migrations.

    Installed as datalayer.migrations, in a bare checkout beside the package.
    """
    try:
        return Folder(resources.files("datalayer.migrations"))
    except ModuleNotFoundError:
        return Folder(Path(__file__).resolve().parents[2] / "migrations")


def package_files() -> list[MigrationFile]:
    """Give the package's numbered migrations in order."""
    return package_folder().files()


def consolidated_sql() -> str:
    """Give the package's whole current schema."""
    return read_script(package_folder().root / CONSOLIDATED)


def applied_names(engine: Engine) -> tuple[str, ...]:
    """Give the names of the applied migrations in order of application; empty where no such table is.

    Another tool's table `migrations`, without a column `name`, counts as none. Two cheap reads, no lock.
    """
    if engine.dialect.name == "sqlite":
        columns = engine.fetch_all("SELECT name FROM pragma_table_xinfo('migrations', 'main')")
    else:
        columns = engine.fetch_all(
            "SELECT attname FROM pg_attribute WHERE attnum > 0 AND NOT attisdropped"
            " AND attrelid = to_regclass(quote_ident(%s) || '.migrations')",
            (engine.schema_name,),
        )
    if not {"id", "name"} <= {str(row[0]) for row in columns}:
        return ()
    return tuple(str(row[0]) for row in engine.fetch_all("SELECT name FROM migrations ORDER BY id"))


def refuse_foreign(engine: Engine) -> None:
    """Refuse a database whose table `migrations` is yet another program's; one cheap read.

    Raises MigrationRefused where it has other columns than ours and the seed's, as TypeORM's and db-migrate's
    have.
    """
    columns = engine.columns("migrations")
    strange = sorted({column.lower() for column in columns} - _COLUMNS)
    if strange:
        raise MigrationRefused(
            f"{engine.display_url} has a table migrations that is another program's; nothing was changed",
            why=f"it has {', '.join(strange)} besides the columns id, name and applied_at",
            hint="rename that table, and tell its program of the new name",
        )


def recorded_names(connection: sqlite3.Connection, found: Schema) -> frozenset[str]:
    """Give the names that a SQLite database of this schema records; none where they cannot be read."""
    table = found.table("migrations")
    if table is None or table.column("name") is None:
        return frozenset()
    try:
        return frozenset(str(row[0]) for row in connection.execute("SELECT name FROM migrations"))
    except sqlite3.DatabaseError:
        return frozenset()


def record(engine: Engine, names: Sequence[str]) -> None:
    """Record migrations as applied, in this order, within the caller's transaction.

    The time is the table's own default, or of the kind that an old program has written before.
    """
    columns, values = "name", tuple[object, ...]()
    if names and _needs_time(engine):
        columns, values = "name, applied_at", (_time_as_before(engine),)
    mark = engine.dialect.placeholder
    for name in names:
        marks = ", ".join([mark] * (1 + len(values)))
        engine.write(f"INSERT INTO migrations ({columns}) VALUES ({marks})", (name, *values))


def _needs_time(engine: Engine) -> bool:
    """Whether there is a column applied_at that nothing fills by itself."""
    if engine.dialect.name == "sqlite":
        sql = (
            "SELECT dflt_value IS NULL FROM pragma_table_xinfo('migrations', 'main')"
            " WHERE lower(name) = 'applied_at'"
        )
        return engine.fetch_one(sql) == (1,)
    sql = (
        "SELECT NOT atthasdef FROM pg_attribute WHERE attname = 'applied_at' AND NOT attisdropped"
        " AND attrelid = to_regclass(quote_ident(%s) || '.migrations')"
    )
    return engine.fetch_one(sql, (engine.schema_name,)) == (True,)


def _time_as_before(engine: Engine) -> object:
    """Give the time now as the newest row has it: seconds, milliseconds, a text; else as the column is."""
    now = engine.clock()
    row = engine.fetch_one("SELECT applied_at FROM migrations ORDER BY id DESC LIMIT 1")
    before = row[0] if row else None
    if isinstance(before, int | float):
        return int(now.timestamp() * (1000 if before > _FIRST_MILLISECONDS else 1))
    if isinstance(before, datetime):
        return now
    if isinstance(before, str) and before[10:11] == " ":
        return f"{now:%Y-%m-%d %H:%M:%S}"
    if before is None and "INT" in _declared(engine).upper():
        return int(now.timestamp())
    return f"{now:%Y-%m-%dT%H:%M:%S.%fZ}"


def _declared(engine: Engine) -> str:
    if engine.dialect.name == "sqlite":
        sql = "SELECT type FROM pragma_table_xinfo('migrations', 'main') WHERE lower(name) = 'applied_at'"
        row = engine.fetch_one(sql)
    else:
        sql = (
            "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attname = 'applied_at'"
            " AND attrelid = to_regclass(quote_ident(%s) || '.migrations')"
        )
        row = engine.fetch_one(sql, (engine.schema_name,))
    return str(row[0]) if row else ""
