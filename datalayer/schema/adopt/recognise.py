"""Whose migration journals a database holds: by the names of tables and the columns in them.

A table of readers, one for each tool. Reads only, and never a table that it does not know.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from datalayer.engine.connection import Engine
from datalayer.schema.adopt.journal import ForeignJournal, Relation, Source
from datalayer.schema.adopt.read_names import (
    read_django,
    read_kysely,
    read_names,
    read_pgroll,
    read_sqitch,
    read_with_lock,
    sqitch_entries,
)
from datalayer.schema.adopt.read_versions import (
    read_alembic,
    read_drizzle,
    read_flyway,
    read_golang_migrate,
    read_goose,
    read_prisma,
    read_refinery,
    read_room,
    read_sqlx,
    read_versions,
)
from datalayer.schema.tokens import fold

__all__ = ["TOOLS", "Tool", "recognise"]


@dataclass(frozen=True, slots=True)
class Tool:
    """How a tool's journal is known: its table, the columns that it has and has not, and who reads it.

    `beside` is a table that must be there too, `without` one that must not. `schemas` are PostgreSQL schemas
    of the tool's own; the engine's schema is searched always. `also` are its other tables.
    """

    name: str
    table: str
    columns: frozenset[str]
    read: Callable[[Source, str], ForeignJournal]
    lacks: frozenset[str] = frozenset()
    beside: str = ""
    without: str = ""
    schemas: tuple[str, ...] = ()
    also: tuple[str, ...] = ()


def _columns(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SQITCH = "changes dependencies events projects releases tags"
TOOLS = (
    Tool(
        "drizzle",
        "__drizzle_migrations",
        _columns("id hash created_at"),
        read_drizzle,
        schemas=("drizzle",),
    ),
    Tool(
        "d1",
        "d1_migrations",
        _columns("id name applied_at"),
        read_names("name", "applied_at"),
        also=("_cf_*",),
    ),
    Tool("alembic", "alembic_version", _columns("version_num"), read_alembic),
    Tool("django", "django_migrations", _columns("id app name applied"), read_django),
    Tool(
        "yoyo",
        "_yoyo_migration",
        _columns("migration_hash migration_id applied_at_utc"),
        read_names("migration_id", "applied_at_utc", "applied_at_utc, migration_id"),
        also=("_yoyo_log", "_yoyo_version", "yoyo_lock"),
    ),
    Tool(
        "golang-migrate",
        "schema_migrations",
        _columns("version dirty"),
        read_golang_migrate,
        also=("schema_lock",),
    ),
    Tool(
        "rails",
        "schema_migrations",
        _columns("version"),
        read_versions,
        lacks=_columns("dirty inserted_at"),
        beside="ar_internal_metadata",
        also=("ar_internal_metadata",),
    ),
    Tool(
        "ecto", "schema_migrations", _columns("version inserted_at"), read_versions, lacks=_columns("dirty")
    ),
    Tool(
        "dbmate",
        "schema_migrations",
        _columns("version"),
        read_versions,
        lacks=_columns("dirty inserted_at"),
        without="ar_internal_metadata",
    ),
    Tool("goose", "goose_db_version", _columns("id version_id is_applied tstamp"), read_goose),
    Tool("playhouse.migrations", "schema_migration", _columns("id name"), read_names("name", "applied")),
    Tool(
        "peewee-migrate", "migratehistory", _columns("id name migrated_at"), read_names("name", "migrated_at")
    ),
    Tool(
        "knex",
        "knex_migrations",
        _columns("id name batch migration_time"),
        read_with_lock("name", "migration_time", "knex_migrations_lock"),
        also=("knex_migrations_lock",),
    ),
    Tool("sequelize", "SequelizeMeta", _columns("name"), read_names("name", order="name")),
    Tool(
        "kysely",
        "kysely_migration",
        _columns("name timestamp"),
        read_kysely,
        also=("kysely_migration_lock",),
    ),
    Tool("node-pg-migrate", "pgmigrations", _columns("id name run_on"), read_names("name", "run_on")),
    Tool(
        "sqitch",
        "changes",
        _columns("change_id change project committed_at planned_at"),
        read_sqitch,
        beside="events",
        schemas=("sqitch",),
        also=tuple(_SQITCH.split()),
    ),
    Tool(
        "prisma",
        "_prisma_migrations",
        _columns("id checksum finished_at migration_name rolled_back_at started_at"),
        read_prisma,
    ),
    Tool(
        "flyway",
        "flyway_schema_history",
        _columns("installed_rank version type script checksum success"),
        read_flyway,
    ),
    Tool("sqlx", "_sqlx_migrations", _columns("version description success checksum"), read_sqlx),
    Tool("refinery", "refinery_schema_history", _columns("version name applied_on checksum"), read_refinery),
    Tool("GRDB", "grdb_migrations", _columns("identifier"), read_names("identifier", order="rowid")),
    Tool("Room", "room_master_table", _columns("id identity_hash"), read_room, also=("android_metadata",)),
    Tool(
        "pgroll",
        "migrations",
        _columns("schema name migration parent done"),
        read_pgroll,
        schemas=("pgroll",),
    ),
)


def recognise(engine: Engine) -> list[ForeignJournal]:
    """Give every journal of another tool that the database holds, in the order of TOOLS.

    Two cheap reads of the catalog and one of each journal; no lock. PostgreSQL: the engine's schema, and
    those that a tool has of its own (drizzle, sqitch, pgroll). SQLite: also sqitch's registry, which is a
    file beside the database.

        [journal.origin for journal in recognise(engine)]      # ['dbmate schema_migrations']
    """
    relations = _relations(engine)
    found = [
        replace(tool.read(Source(engine, table, relations), tool.name), tables=_own_tables(tool, table))
        for tool in TOOLS
        for table in relations
        if _is_journal(tool, table, relations, engine)
    ]
    return [*found, *_sqitch_files(engine)]


def _is_journal(tool: Tool, table: Relation, relations: Sequence[Relation], engine: Engine) -> bool:
    has_columns = tool.columns <= table.columns and not tool.lacks & table.columns
    if fold(table.name) != fold(tool.table) or not has_columns:
        return False
    if engine.dialect.name == "postgresql":
        # an own schema is shown; what is in the engine's has no need of it
        if table.schema and table.schema not in tool.schemas:
            return False
        if tool.name == "pgroll" and not table.schema:
            return False
    neighbours = {fold(other.name) for other in relations if other.schema == table.schema}
    return (not tool.beside or tool.beside in neighbours) and tool.without not in neighbours


def _own_tables(tool: Tool, table: Relation) -> tuple[str, ...]:
    return () if table.schema else (tool.table, *tool.also)


def _relations(engine: Engine) -> list[Relation]:
    """Read the columns of all tables whose name one of the tools uses."""
    wanted = {fold(name) for tool in TOOLS for name in (tool.table, tool.beside, *tool.also) if name}
    found: dict[tuple[str, str], set[str]] = {}
    for schema, name, column in _column_rows(engine, wanted):
        found.setdefault((schema, name), set()).add(column)
    return [Relation(schema, name, frozenset(columns)) for (schema, name), columns in found.items()]


def _column_rows(engine: Engine, wanted: set[str]) -> Iterator[tuple[str, str, str]]:
    if engine.dialect.name == "sqlite":
        tables = engine.fetch_all("SELECT name FROM main.sqlite_schema WHERE type = 'table'")
        for (table,) in tables:
            # the columns of a virtual table may need a module that is not there
            if fold(str(table)) in wanted:
                for (column,) in engine.fetch_all("SELECT name FROM pragma_table_xinfo(?, 'main')", (table,)):
                    yield "", str(table), fold(str(column))
        return
    schemas = sorted({schema for tool in TOOLS for schema in tool.schemas})
    rows = engine.fetch_all(
        "SELECT n.nspname, c.relname, a.attname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
        " WHERE c.relkind IN ('r', 'p') AND n.nspname = ANY(%s) AND lower(c.relname) = ANY(%s) ORDER BY 1, 2",
        ([engine.schema_name, *schemas], sorted(wanted)),
    )
    for schema, table, column in rows:
        yield "" if schema == engine.schema_name else schema, table, column


def _sqitch_files(engine: Engine) -> Iterator[ForeignJournal]:
    """Read sqitch's registry for SQLite: sqitch.SUFFIX in the database's folder, or sqitch.sqlite there."""
    if engine.dialect.name != "sqlite" or engine.path is None:
        return
    names = dict.fromkeys((f"sqitch{engine.path.suffix}", "sqitch.sqlite", "sqitch.db"))
    for path in (engine.path.with_name(name) for name in names):
        if path != engine.path and path.is_file():
            rows = _sqitch_rows(path)
            if rows is not None:
                yield ForeignJournal("sqitch", f"{path.name}:changes", sqitch_entries(rows))


def _sqitch_rows(path: Path) -> list[tuple[object, ...]] | None:
    """Give the rows of a registry; None for a file that is none."""
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    except sqlite3.Error:
        return None
    try:
        # one letter case, no double quotes: a column that is missing must be an error, not its own name
        return connection.execute(
            "SELECT [change], committed_at, script_hash FROM changes ORDER BY committed_at, planned_at"
        ).fetchall()
    except sqlite3.Error:
        return None
    finally:
        connection.close()
