"""A folder's replay in memory, state by state, beside a live SQLite database.

The texts of sqlite_schema are kept of each state; a snapshot is made only of those that may matter.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import replace

from datalayer.engine.connection import Engine
from datalayer.schema.adopt.state import Ignored, States
from datalayer.schema.difference import Difference, differences
from datalayer.schema.numbered.folder import MigrationFile
from datalayer.schema.snapshot import Schema, read
from datalayer.schema.tokens import fold
from datalayer.schema.validate.replay import open_memory, run_statement, set_aside

__all__ = ["Replayed", "sqlite_states"]

_Row = tuple[str, str, str, str]
# these may fail for want of the rows that the real database has; the schema is the same without them
_ROWS_ONLY = frozenset(["INSERT", "UPDATE", "DELETE", "REPLACE", "SELECT", "WITH", "VALUES", "PRAGMA"])
_ORDER = {"table": 0, "index": 1, "view": 2, "trigger": 3}


def sqlite_states(engine: Engine, files: Sequence[MigrationFile], ignored: Ignored) -> States:
    """Replay the files in memory and read the live schema."""
    if engine.in_transaction:
        live = read(engine.connection())
    else:
        with engine.transaction(read=True):
            live = read(engine.connection())
    return _SqliteStates(Replayed(files), live, ignored)


class Replayed:
    """The texts of the schema after each file, as far as SQLite took them."""

    def __init__(self, files: Sequence[MigrationFile]) -> None:
        self.files: list[MigrationFile] = []
        self.not_replayed: list[str] = []
        self.refused = ""
        self.texts: list[tuple[_Row, ...]] = [()]
        connection = open_memory()
        try:
            for file in files:
                self.refused = self._run(connection, file)
                if self.refused:
                    break
                self.files.append(file)
        finally:
            connection.close()

    def schema(self, place: int) -> Schema:
        """Make the schema after so many files anew and read it."""
        connection = open_memory()
        try:
            for _, _, _, sql in sorted(self.texts[place], key=lambda row: _ORDER.get(row[0], 4)):
                try:
                    connection.execute(sql)
                except sqlite3.Error:
                    # the shadow tables of a virtual one, which came with it
                    continue
            return read(connection)
        finally:
            connection.close()

    def _run(self, connection: sqlite3.Connection, file: MigrationFile) -> str:
        if file.kind == "python":
            self.not_replayed.append(file.name)
        for statement in file.statements():
            error = None if set_aside(statement) else run_statement(connection, statement)
            if error and statement.verb not in _ROWS_ONLY:
                return f"{file.label}, line {statement.line}: {error}"
        rows = tuple(
            connection.execute(
                "SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE sql IS NOT NULL"
                " AND substr(lower(name), 1, 7) <> 'sqlite_' ORDER BY rowid"
            )
        )
        self.texts.append(self.texts[-1] if rows == self.texts[-1] else rows)
        return ""


class _SqliteStates(States):
    """The states of a replay beside a live SQLite schema."""

    def __init__(self, replayed: Replayed, live: Schema, ignored: Ignored) -> None:
        super().__init__()
        self.replayed = replayed
        self.files, self.not_replayed = replayed.files, replayed.not_replayed
        self.refused = replayed.refused
        self.user_version = live.user_version
        self.ignored = ignored
        self._names = [frozenset(self._of(row) for row in rows) for rows in replayed.texts]
        made = frozenset[str]().union(*self._names)
        tables = [
            table.name for table in live.tables if table.kind != "shadow" and not ignored.has(table.name)
        ]
        names = [*tables, *(view.name for view in live.views)]
        self.extra = tuple(name for name in names if fold(name) not in made)
        self.live = self._counted(live, made)
        self._live_names = frozenset(key[1] for key in self.live.shapes())
        self._known: dict[int, tuple[Difference, ...]] = {}

    @property
    def is_untouched(self) -> bool:
        """Whether the live schema has nothing that any file makes."""
        return not self.live.tables and not self.live.views

    def may_equal(self, place: int) -> bool:
        """Say cheaply whether a state can have the live shape."""
        return self._names[place] - {""} == self._live_names

    def distance(self, place: int) -> int:
        """Say cheaply how far a state is from the live schema."""
        return len((self._names[place] - {""}) ^ self._live_names)

    def differences(self, place: int) -> Sequence[Difference]:
        """Compare a state with the live schema; nothing where their shapes are equal."""
        key = id(self.replayed.texts[place])
        if key not in self._known:
            expected = self._counted(self.replayed.schema(place), None)
            self._known[key] = tuple(differences(expected, self.live))
        return self._known[key]

    def is_same(self, place: int, other: int) -> bool:
        """Whether two states have the same schema."""
        return self.replayed.texts[place] is self.replayed.texts[other]

    def _of(self, row: _Row) -> str:
        """Give the name of an object that counts, else nothing."""
        return "" if self.ignored.has(row[2]) else fold(row[1])

    def _counted(self, schema: Schema, made: frozenset[str] | None) -> Schema:
        """Leave out journals, and of the live schema the tables and views that no file ever made."""

        def counts(name: str) -> bool:
            return not self.ignored.has(name) and (made is None or fold(name) in made)

        return replace(
            schema,
            tables=tuple(table for table in schema.tables if counts(table.name)),
            views=tuple(view for view in schema.views if counts(view.name)),
            triggers=tuple(trigger for trigger in schema.triggers if counts(trigger.table)),
        )
