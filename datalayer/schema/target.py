"""The schema that a migration leads to, read from files: a consolidated one, or a folder's.

Knows files and SQLite as their parser; no live database.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from datalayer.errors import MigrationRefused
from datalayer.schema import history
from datalayer.schema.loading import load, runnable
from datalayer.schema.numbered.folder import CONSOLIDATED, Folder, read_script
from datalayer.schema.snapshot import Schema, read
from datalayer.schema.tokens import fold, quote

__all__ = ["HEADER", "Target", "Whole", "own_target", "target_of"]

HEADER = ("user_version", "application_id")


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole schema: its script, the snapshot of it, and the rows that the script inserts.

    `order` is the (type, name) of each row of its sqlite_schema, `header` the numbers that it sets.
    """

    script: str
    schema: Schema
    rows: dict[str, list[tuple[object, ...]]]
    order: tuple[tuple[str, str], ...]
    header: frozenset[str]


@dataclass(frozen=True, slots=True)
class Target:
    """What a migration leads to.

    `folder` is where numbered files come from, up to the one called `to`; `names` are theirs. `is_whole`: a
    file that describes the whole database, so that what it lacks goes; else tables besides belong to somebody
    else. `is_own`: the package's own schema. `unknown` says why a folder's whole schema cannot be told
    without a database.
    """

    source: str
    folder: Folder | None
    to: str | None
    names: tuple[str, ...]
    whole: Whole | None
    is_whole: bool
    is_own: bool
    unknown: MigrationRefused | None = None

    @property
    def schema(self) -> Schema:
        """The snapshot of the whole schema. Raises MigrationRefused where it cannot be told."""
        if self.whole is None:
            raise self.unknown or MigrationRefused(f"{self.source} tells no schema")
        return self.whole.schema

    @property
    def has_consolidated(self) -> bool:
        """Whether a fresh database gets the whole schema, or that of some domains, at once."""
        folder = self.folder
        if folder is None or not (folder.root / CONSOLIDATED).is_file():
            return False
        return folder.domains is None or self.whole is not None


def own_target(applied: Iterable[str] = (), *, domains: Iterable[str] | None = None) -> Target:
    """Give the package's own schema as far as a database with these applied migrations has its domains.

    `domains` are there besides, with what they need. A database without a record is held to them, or to the
    whole schema where they are not given.
    """
    installed = _domains_of(frozenset(applied))
    if domains is None:
        return _own_target(installed)
    return _own_target(frozenset(domains) | (installed or frozenset()))


@cache
def _domains_of(applied: frozenset[str]) -> frozenset[str] | None:
    files = history.package_files()
    if not applied & {file.name for file in files}:
        return None
    return frozenset(domain for file in files if file.name in applied for domain in file.mark.domains)


def target_of(
    *,
    schema_file: str | os.PathLike[str] | None = None,
    folder: str | os.PathLike[str] | None = None,
    to: str | None = None,
    domains: Iterable[str] | None = None,
) -> Target:
    """Read the schema to reach from files; without any, the package's own.

    `domains`: only what these domains of the folder and those that they need make up. The package's own is
    read once: its files do not change while a program runs.

    Raises MigrationRefused where a file cannot be read, SQLite refuses a consolidated one, or a domain is
    unknown.
    """
    if schema_file is not None:
        if domains is not None:
            raise MigrationRefused(
                f"{schema_file} is one schema without domains", hint="leave the domains out"
            )
        source = str(schema_file)
        whole = _whole(read_script(Path(schema_file)), source, needs_history=False)
        return Target(source, None, None, (), whole, is_whole=True, is_own=False)
    if folder is None:
        own = _own_target(None if domains is None else frozenset(domains))
        return own if to is None else replace(own, to=to)
    place = Folder(Path(folder))
    return _of_folder(place if domains is None else place.of_domains(domains), to)


@cache
def _own_target(domains: frozenset[str] | None) -> Target:
    place = history.package_folder()
    target = _of_folder(place if domains is None else place.of_domains(domains), None)
    return replace(target, source=CONSOLIDATED if domains is None else target.source, is_own=True)


def _of_folder(place: Folder, to: str | None) -> Target:
    names = tuple(file.name for file in place.files())
    consolidated = place.root / CONSOLIDATED
    source = str(place.root)
    if place.domains is None and consolidated.is_file():
        source = str(consolidated)
        whole, unknown = _whole(place.script(), source, needs_history=bool(names)), None
    else:
        whole, unknown = _replayed(place, source, names)
    return Target(source, place, to, names, whole, is_whole=False, is_own=False, unknown=unknown)


def _replayed(
    place: Folder, source: str, names: tuple[str, ...]
) -> tuple[Whole | None, MigrationRefused | None]:
    """Run a folder's files in memory; Python files, and PostgreSQL's own words, need a database."""
    try:
        return _whole(place.script(), source, needs_history=bool(names), place_of=place.place_of), None
    except MigrationRefused as exc:
        return None, exc


def _whole(
    script: str, source: str, *, needs_history: bool, place_of: Callable[[int], str] | None = None
) -> Whole:
    connection = load(script, source=source, place_of=place_of)
    header = _header(script)
    try:
        if needs_history and not connection.execute("PRAGMA table_info(migrations)").fetchall():
            connection.execute(history.TABLE_SQL)
            script = f"{script}\n;\n{history.TABLE_SQL};\n"
        schema = read(connection)
        return Whole(script, schema, _rows(connection, schema), _order(connection), header)
    finally:
        connection.close()


def _rows(connection: sqlite3.Connection, schema: Schema) -> dict[str, list[tuple[object, ...]]]:
    """Give the rows that the script itself inserts."""
    rows: dict[str, list[tuple[object, ...]]] = {}
    for table in schema.tables:
        names = [
            quote(column.name)
            for column in table.columns
            if column.generated is None and not column.is_hidden
        ]
        if table.kind == "table" and names:
            found = connection.execute(f"SELECT {', '.join(names)} FROM {quote(table.name)}").fetchall()
            if found:
                rows[table.name] = found
    return rows


def _order(connection: sqlite3.Connection) -> tuple[tuple[str, str], ...]:
    rows = connection.execute("SELECT type, name FROM sqlite_schema ORDER BY rowid").fetchall()
    return tuple((str(kind), str(name)) for kind, name in rows)


def _header(script: str) -> frozenset[str]:
    set_here = {
        fold(token.text)
        for statement in runnable(script)
        if statement.verb == "PRAGMA"
        for token in statement.tokens
    }
    return frozenset(name for name in HEADER if name in set_here)
