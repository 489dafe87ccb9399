"""Readers of journals that keep the name of each migration.

Cloudflare D1, yoyo, playhouse.migrations, peewee-migrate, knex, kysely, node-pg-migrate, GRDB, Django, sqitch
and pgroll. Each takes the recognised table and gives its entries in the order of application.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from datalayer.schema.adopt.journal import Entry, ForeignJournal, Source
from datalayer.schema.numbered.moment import moment

__all__ = ["read_django", "read_kysely", "read_names", "read_pgroll", "read_sqitch", "read_with_lock"]

Reader = Callable[[Source, str], ForeignJournal]


def read_names(name: str, time: str = "", order: str = "id") -> Reader:
    """Make a reader of a table with a column of names, and perhaps one of times."""

    def read(source: Source, tool: str) -> ForeignJournal:
        rows = source.rows(name, time, order=order)
        entries = tuple(Entry(str(row[0]), moment(row[1])) for row in rows)
        return ForeignJournal(tool, source.relation.shown, entries)

    return read


def read_with_lock(name: str, time: str, lock: str) -> Reader:
    """Make a reader for knex, which leaves its lock behind when a run dies."""
    read_rows = read_names(name, time)

    def read(source: Source, tool: str) -> ForeignJournal:
        return _with_lock(source, read_rows(source, tool), lock)

    return read


def read_kysely(source: Source, tool: str) -> ForeignJournal:
    """Read kysely_migration(name, timestamp); kysely orders by time, then name."""
    read = read_names("name", "timestamp", "timestamp, name")
    return _with_lock(source, read(source, tool), "kysely_migration_lock")


def read_django(source: Source, tool: str) -> ForeignJournal:
    """Read django_migrations: one row for each (app, name), those of Django's own apps beside the others."""
    rows = source.rows("app", "name", "applied", order="id")
    entries = tuple(Entry(str(name), moment(applied), app=str(app)) for app, name, applied in rows)
    return ForeignJournal(tool, source.relation.shown, entries)


def read_sqitch(source: Source, tool: str) -> ForeignJournal:
    """Read sqitch's changes: those that are deployed now; reverted ones have left the table."""
    rows = source.rows("change", "committed_at", "script_hash", order="committed_at, planned_at")
    return ForeignJournal(tool, source.relation.shown, sqitch_entries(rows))


def sqitch_entries(rows: Iterable[tuple[object, ...]]) -> tuple[Entry, ...]:
    """Give entries for rows of (change, committed_at, script_hash)."""
    return tuple(
        Entry(str(change), moment(at), checksum="" if digest is None else str(digest))
        for change, at, digest in rows
    )


def read_pgroll(source: Source, tool: str) -> ForeignJournal:
    """Read pgroll.migrations of the engine's schema, each behind its parent.

    A migration that was started and not completed leaves both versions of the schema in the database.
    """
    rows = source.rows("schema", "name", "parent", "done", "created_at", order="created_at, name")
    mine = [row for row in rows if row[0] == source.engine.schema_name]
    after: dict[object, tuple[object, ...]] = {row[2]: row for row in mine}
    entries: list[Entry] = []
    parent: object = None
    while (row := after.pop(parent, None)) is not None:
        if row[3]:
            entries.append(Entry(str(row[1]), moment(row[4])))
        parent = row[1]
    started = [str(row[1]) for row in mine if not row[3]]
    return ForeignJournal(
        tool,
        source.relation.shown,
        tuple(entries),
        blocked=f"migration {started[0]} was started and not completed" if started else "",
        to_repair="run `pgroll complete` or `pgroll rollback`" if started else "",
    )


def _with_lock(source: Source, journal: ForeignJournal, name: str) -> ForeignJournal:
    lock = source.other(name)
    held = lock is not None and any(
        str(row[0]) == "1" for row in source.rows("is_locked", order="is_locked", relation=lock)
    )
    if not held:
        return journal
    return ForeignJournal(
        journal.tool,
        journal.table,
        journal.entries,
        blocked=f"{name} is locked: a run of {journal.tool} is going on, or died half-way",
        to_repair=f"let it finish; after a crash look at what it did, then set is_locked of {name} to 0",
    )
