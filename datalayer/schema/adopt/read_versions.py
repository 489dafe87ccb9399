"""Readers of journals that keep a version or a hash of each migration, or one version for all.

Drizzle, prisma, alembic, dbmate, Rails, Ecto, golang-migrate, goose, flyway, sqlx, refinery and Room.
"""

from __future__ import annotations

from collections.abc import Sequence

from datalayer.schema.adopt.journal import Entry, ForeignJournal, Source, number_of
from datalayer.schema.numbered.moment import moment

__all__ = [
    "read_alembic",
    "read_drizzle",
    "read_flyway",
    "read_golang_migrate",
    "read_goose",
    "read_prisma",
    "read_refinery",
    "read_room",
    "read_sqlx",
    "read_versions",
]


def read_drizzle(source: Source, tool: str) -> ForeignJournal:
    """Read __drizzle_migrations(id, hash, created_at); created_at is the `when` of the folder's journal.

    On SQLite `id` is declared SERIAL, which is no rowid there, so it is NULL in every row.
    """
    order = "rowid" if source.engine.dialect.name == "sqlite" else "id"
    rows = source.rows("hash", "created_at", "name", order=order)
    entries = tuple(
        Entry(str(name or digest), moment(at), checksum=str(digest), when=number_of(at))
        for digest, at, name in rows
    )
    return ForeignJournal(tool, source.relation.shown, entries)


def read_prisma(source: Source, tool: str) -> ForeignJournal:
    """Read _prisma_migrations: applied is what finished and was not rolled back."""
    rows = source.rows(
        "migration_name", "checksum", "finished_at", "rolled_back_at", order="started_at, migration_name"
    )
    applied = tuple(
        Entry(str(name), moment(finished), checksum=str(checksum))
        for name, checksum, finished, rolled_back in rows
        if finished is not None and rolled_back is None
    )
    failed = [str(row[0]) for row in rows if row[2] is None and row[3] is None]
    return ForeignJournal(
        tool,
        source.relation.shown,
        applied,
        blocked=f"migration {failed[0]} began and did not finish" if failed else "",
        to_repair="see what it did, then run `prisma migrate resolve`" if failed else "",
    )


def read_alembic(source: Source, tool: str) -> ForeignJournal:
    """Read alembic_version: the heads alone; what lies before them stands in the version files."""
    rows = source.rows("version_num", order="version_num")
    return ForeignJournal(tool, source.relation.shown, tuple(Entry(str(row[0])) for row in rows))


def read_versions(source: Source, tool: str) -> ForeignJournal:
    """Read a table with one row for each version: dbmate, Rails, Ecto."""
    rows = source.rows("version", "inserted_at", order="version")
    entries = [Entry(str(version), moment(at), number_of(version)) for version, at in rows]
    # a text orders 10 before 9
    entries.sort(key=lambda entry: (entry.version is None, entry.version or 0, entry.name))
    return ForeignJournal(tool, source.relation.shown, tuple(entries))


def read_golang_migrate(source: Source, tool: str) -> ForeignJournal:
    """Read schema_migrations(version, dirty): one row, the version that the whole database is at."""
    rows = source.rows("version", "dirty", order="version")
    version = number_of(rows[-1][0]) if rows else None
    dirty = bool(rows) and bool(rows[-1][1])
    return ForeignJournal(
        tool,
        source.relation.shown,
        () if version is None else (Entry(str(version), version=version),),
        mark=version,
        blocked=f"version {version} is dirty: its migration failed half-way" if dirty else "",
        to_repair="bring the schema to a version by hand, then run `migrate force VERSION`" if dirty else "",
    )


def read_goose(source: Source, tool: str) -> ForeignJournal:
    """Read goose_db_version: the latest row of a version says whether it is applied; row 0 is a marker."""
    latest: dict[int, tuple[object, object]] = {}
    for version, is_applied, at in source.rows("version_id", "is_applied", "tstamp", order="id"):
        number = number_of(version)
        if number:
            # taken out first, so that a version that came again stands where it came last
            latest.pop(number, None)
            latest[number] = (is_applied, at)
    entries = tuple(
        Entry(str(number), moment(at), number) for number, (is_applied, at) in latest.items() if is_applied
    )
    return ForeignJournal(tool, source.relation.shown, entries)


def read_flyway(source: Source, tool: str) -> ForeignJournal:
    """Read flyway_schema_history by installed_rank.

    DELETE and UNDO rows take back what stands above them; a BASELINE row says that the database had
    everything up to its version; SCHEMA rows are flyway's own.
    """
    columns = ("version", "type", "script", "checksum", "success", "installed_on", "description")
    rows = source.rows(*columns, order="installed_rank")
    applied: dict[str, Entry] = {}
    baseline = ""
    for version, kind, script, checksum, success, at, description in rows:
        key, kind = str(version if version is not None else description), str(kind).upper()
        if not success or kind == "SCHEMA":
            continue
        applied.pop(key, None)
        if kind == "DELETE" or kind.startswith("UNDO"):
            continue
        if kind == "BASELINE":
            baseline = _text(version)
        else:
            applied[key] = Entry(str(script), moment(at), number_of(version), _text(checksum))
    failed = _failed(rows)
    return ForeignJournal(
        tool,
        source.relation.shown,
        tuple(applied.values()),
        baseline=baseline,
        blocked=f"{failed} failed" if failed else "",
        to_repair="see what it did, then run `flyway repair`" if failed else "",
    )


def read_sqlx(source: Source, tool: str) -> ForeignJournal:
    """Read _sqlx_migrations: the checksum is the SHA-384 of the file."""
    columns = ("version", "description", "installed_on", "success", "checksum")
    rows = source.rows(*columns, order="version")
    entries = tuple(
        Entry(f"{version}_{description}", moment(at), number_of(version), _hex(checksum))
        for version, description, at, success, checksum in rows
        if success
    )
    failed = [str(row[0]) for row in rows if not row[3]]
    return ForeignJournal(
        tool,
        source.relation.shown,
        entries,
        blocked=f"version {failed[0]} is applied in part" if failed else "",
        to_repair="finish or undo it by hand, then correct its row" if failed else "",
    )


def read_refinery(source: Source, tool: str) -> ForeignJournal:
    """Read refinery_schema_history; its checksum is a SipHash of name, version and text, and is not used."""
    rows = source.rows("version", "name", "applied_on", order="version")
    entries = tuple(Entry(f"{version}_{name}", moment(at), number_of(version)) for version, name, at in rows)
    return ForeignJournal(tool, source.relation.shown, entries)


def read_room(source: Source, tool: str) -> ForeignJournal:
    """Read Android's Room: its table holds a hash of the schema, the version is PRAGMA user_version."""
    row = source.engine.fetch_one("SELECT user_version FROM pragma_user_version")
    version = number_of(row[0]) if row else None
    entries = (Entry(str(version), version=version),) if version else ()
    return ForeignJournal(tool, source.relation.shown, entries, mark=version or None)


def _failed(rows: Sequence[tuple[object, ...]]) -> str:
    """Give flyway's last row when it failed: a later success of the same script has answered it."""
    return str(rows[-1][2]) if rows and not rows[-1][4] else ""


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _hex(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else ""
