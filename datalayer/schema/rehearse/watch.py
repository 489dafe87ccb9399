"""Looking at a copy between two statements: its schema, rows, and on PostgreSQL its locks and files.

Reads only. What a statement cannot have changed is not read again.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping
from typing import Any, Protocol

from datalayer.engine.connection import Engine
from datalayer.schema import catalog
from datalayer.schema.rehearse.facts import Facts, TableFacts, facts_of_catalog, facts_of_schema
from datalayer.schema.snapshot import Schema, read
from datalayer.schema.tokens import quote

__all__ = ["PostgresWatch", "SqliteWatch", "names_in"]

_LOCKS = """
SELECT c.relname, l.mode FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
WHERE l.pid = pg_backend_pid() AND l.granted AND c.relnamespace = %s::regnamespace AND c.relkind IN ('r', 'p')
AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"""
_FILES = """
SELECT relname, pg_relation_filenode(oid)::bigint FROM pg_class
WHERE relnamespace = %s::regnamespace AND relkind = 'r'"""
# reading takes these itself
_READING = ("AccessShareLock",)
_NAMED = re.compile(r'"((?:[^"]|"")+)"')


class Watch(Protocol):
    """What sees a copy."""

    def look(self, last: Facts | None = None) -> Facts:
        """Give the facts of now; `last` are those of before, for what cannot have changed."""
        ...

    def notices(self) -> list[str]:
        """Give what the server said about the statements since the last call."""
        ...


class SqliteWatch:
    """Sees a SQLite copy."""

    def __init__(self, engine: Engine) -> None:
        self.connection: sqlite3.Connection = engine.connection()
        self._version = -1
        self._total: int = -1
        self._schema: Schema | None = None

    def look(self, last: Facts | None = None) -> Facts:
        """Give the facts of now; rows are counted again where any were written or the schema is another."""
        version = int(self._one("PRAGMA schema_version"))
        total: int = self.connection.total_changes
        header = (self._one("PRAGMA user_version"), self._one("PRAGMA application_id"))
        if last is not None and (version, total) == (self._version, self._total) and self._has(last, header):
            return last
        is_same = version == self._version and last is not None and self._has(last, header)
        if self._schema is None or not is_same:
            self._schema = read(self.connection)
        no_rows_written = last is not None and total == self._total
        self._version, self._total = version, total
        tables, other = facts_of_schema(self._schema)
        if last is not None and no_rows_written and set(last.tables) <= set(tables):
            # what only made something new has changed no row; what DROP TABLE deletes is not in total_changes
            counts = self._counts(self._schema, last.counts)
            return Facts(tables, counts, self._links(self._schema, last.links), other, last.broken)
        # while references are enforced, rows alone cannot break one; looking reads every row
        is_held = is_same and self._one("PRAGMA foreign_keys") == 1
        broken = last.broken if last is not None and is_held else self._broken()
        return Facts(tables, self._counts(self._schema, {}), self._links(self._schema, {}), other, broken)

    def notices(self) -> list[str]:
        """Give nothing: SQLite says nothing."""
        return []

    def _has(self, last: Facts, header: tuple[Any, Any]) -> bool:
        return {f"user_version {header[0]}", f"application_id {header[1]}"} <= last.other

    def _one(self, sql: str) -> Any:
        return self.connection.execute(sql).fetchone()[0]

    def _counts(self, schema: Schema, known: Mapping[str, int]) -> dict[str, int]:
        found: dict[str, int] = {}
        for table in schema.tables:
            if table.kind == "shadow":
                continue
            if table.name in known:
                found[table.name] = known[table.name]
                continue
            try:
                found[table.name] = int(self._one(f"SELECT count(*) FROM {quote(table.name)}"))
            except sqlite3.Error:
                # a virtual table whose module is not here
                continue
        return found

    def _links(self, schema: Schema, known: Mapping[str, int]) -> dict[str, int]:
        found: dict[str, int] = {}
        for table in schema.tables:
            for key in table.foreign_keys:
                if {key.on_delete, key.on_update} & {"SET NULL", "SET DEFAULT"}:
                    link = f"{table.name}.{', '.join(key.columns)} -> {key.parent}"
                    is_set = " AND ".join(f"{quote(name)} IS NOT NULL" for name in key.columns)
                    count = f"SELECT count(*) FROM {quote(table.name)} WHERE {is_set}"
                    found[link] = known[link] if link in known else int(self._one(count))
        return found

    def _broken(self) -> int:
        try:
            return len(self.connection.execute("PRAGMA foreign_key_check").fetchall())
        except sqlite3.Error:
            # half-way through a rebuild a parent may lack the key that is referred to
            return 0


class PostgresWatch:
    """Sees a PostgreSQL copy, within the transaction whose locks are told."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._notices: list[str] = []
        self._connection: Any = None

    def look(self, last: Facts | None = None) -> Facts:
        """Give the facts of now."""
        self._listen()
        locks = self._locks()
        found = catalog.read(self.engine)
        tables, other, unproven = facts_of_catalog(found)
        rows = self.engine.fetch_all(_FILES, (quote(self.engine.schema_name),))
        timeout = self.engine.fetch_one("SELECT current_setting('lock_timeout')")
        return Facts(
            tables,
            self._counts(tables),
            {},
            other,
            0,
            {str(name): int(number or 0) for name, number in rows},
            locks,
            unproven,
            str(timeout[0]) if timeout else "",
        )

    def notices(self) -> list[str]:
        """Give the server's words since the last call: "rewriting table ...", "verifying table ..."."""
        said, self._notices = self._notices, []
        return said

    def _listen(self) -> None:
        connection: Any = self.engine.connection()
        if connection is not self._connection:
            self._connection = connection
            connection.add_notice_handler(self._hear)

    def _hear(self, notice: Any) -> None:
        self._notices.append(str(notice.message_primary))

    def _locks(self) -> frozenset[tuple[str, str]]:
        rows = self.engine.fetch_all(_LOCKS, (quote(self.engine.schema_name),))
        return frozenset((str(table), str(mode)) for table, mode in rows if mode not in _READING)

    def _counts(self, tables: dict[str, TableFacts]) -> dict[str, int]:
        found: dict[str, int] = {}
        for name in tables:
            row = self.engine.fetch_one(f"SELECT count(*) FROM {quote(name)}")
            found[name] = int(row[0]) if row else 0
        return found


def names_in(notice: str) -> tuple[str, ...]:
    """Give the quoted names of a notice."""
    return tuple(name.replace('""', '"') for name in _NAMED.findall(notice))
