"""The schema that files in SQLite's words come to, followed statement by statement in memory.

Knows what PostgreSQL is to be told for a DROP or RENAME of theirs. Changes no database.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Self

from datalayer.engine.connection import Engine
from datalayer.errors import MigrationRefused
from datalayer.schema.loading import load
from datalayer.schema.numbered.folder import Folder, MigrationFile
from datalayer.schema.numbered.manner import manner_of, opening
from datalayer.schema.snapshot import Schema, Table, read
from datalayer.schema.tokens import Statement, fold, plain, quote, significant, tokenize, unquote

__all__ = ["Following", "is_followed", "native"]

_REFERENCES = """
SELECT c.relname, k.conname FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
WHERE k.contype = 'f' AND k.conrelid <> k.confrelid
AND k.confrelid = to_regclass(quote_ident(%s) || '.' || quote_ident(%s))"""


class Following:
    """A database in memory at the schema of the files run so far, with the rows that they alone bring.

    A table is new until rows from elsewhere come to it: what the files insert into new tables only is all
    that they hold.
    """

    def __init__(self, files: Iterable[MigrationFile]) -> None:
        self._connection = load("")
        self._known = read(self._connection)
        self._settled: set[str] = set()
        try:
            for file in files:
                for statement in file.statements():
                    self._run_applied(file, statement)
        except MigrationRefused:
            self._connection.close()
            raise
        self._settled = {fold(table.name) for table in self.schema.tables}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    @property
    def schema(self) -> Schema:
        """The schema now."""
        self._known = read(self._connection, self._known)
        return self._known

    def run(self, statement: Statement, *, is_sure: bool = True) -> None:
        """Follow a statement; one that is not sure may fail for want of rows.

        Raises MigrationRefused where SQLite refuses it.
        """
        try:
            self._connection.execute(statement.text).fetchall()
        except sqlite3.Error as exc:
            if is_sure:
                raise MigrationRefused(f"{opening(statement)} is refused", why=str(exc)) from exc
        words = plain(statement.tokens)
        is_renamed = len(words) == 6 and words[:2] == ("alter", "table") and words[3:5] == ("rename", "to")
        if is_renamed and words[2] in self._settled:
            self._settled.add(words[-1])

    def settle(self, statement: Statement) -> None:
        """Note that the tables which a statement names have other rows than those in memory."""
        self._settled |= {fold(table.name) for table in self._named(statement)}

    def brings(self, statement: Statement) -> bool:
        """Say whether a statement inserts into new tables, and reads of no others."""
        named = self._named(statement)
        is_new = all(fold(table.name) not in self._settled for table in named)
        return statement.verb in ("INSERT", "REPLACE") and bool(named) and is_new

    def target_of(self, statement: Statement) -> Table | None:
        """Give the table that an INSERT writes to; None for other statements."""
        words = plain(statement.tokens)
        place = words.index("into") + 1 if statement.verb in ("INSERT", "REPLACE") and "into" in words else 0
        return self.schema.table(words[place]) if 0 < place < len(words) else None

    def inserted(self, statement: Statement) -> tuple[Table, Sequence[tuple[object, ...]]]:
        """Follow an INSERT into a new table; gives the table and the rows that are new in it.

        Raises MigrationRefused where SQLite refuses it.
        """
        table = self.target_of(statement)
        if table is None:
            raise MigrationRefused(f"{opening(statement)} names no table that the files make")
        before = Counter(self._rows(table))
        self.run(statement)
        return table, list((Counter(self._rows(table)) - before).elements())

    def _rows(self, table: Table) -> list[tuple[object, ...]]:
        kept = [each.name for each in table.columns if each.generated is None and not each.is_hidden]
        names = ", ".join(map(quote, kept))
        return self._connection.execute(f"SELECT {names} FROM {quote(table.name)}").fetchall()

    def _named(self, statement: Statement) -> list[Table]:
        names = set(plain(statement.tokens))
        return [table for table in self.schema.tables if fold(table.name) in names]

    def _run_applied(self, file: MigrationFile, statement: Statement) -> None:
        if manner_of(statement, "sqlite").how != "inside":
            return
        is_sure = statement.verb in ("CREATE", "ALTER", "DROP")
        try:
            self._connection.execute(statement.text).fetchall()
        except sqlite3.Error as exc:
            if is_sure:
                raise MigrationRefused(
                    f"{file.source}:{statement.line}: {opening(statement)} cannot be followed",
                    why=str(exc),
                    hint="SQLite must be able to run the folder's SQL files one after the other",
                ) from exc


def is_followed(folder: Folder) -> bool:
    """Say whether SQLite can run the SQL files of a folder one after the other."""
    try:
        with Following(folder.files()):
            return True
    except MigrationRefused:
        return False


def native(engine: Engine, schema: Schema, statement: Statement) -> tuple[list[str], str]:
    """Give PostgreSQL's words for a DROP, and for an ALTER TABLE that drops or renames.

    And what must be told before: references, views and triggers of the files' that lean on what is dropped,
    which are made again where they are declared behind it.
    """
    words, tokens = plain(statement.tokens), list(statement.tokens)
    place = 4 if words[2:4] == ("if", "exists") else 2
    if words[place + 1 : place + 2] == (".",):
        place += 2
    name = _as_made(schema, words[1], unquote(tokens[place]))
    if words[0] == "drop":
        # a view or index goes with what it is of
        condition = "IF EXISTS " if words[2] == "if" or words[1] != "table" else ""
        if words[1] == "trigger":
            return _without_triggers(schema, name=name), "SELECT 1"
        leaning = _leaning(engine, schema, name) if words[1] != "index" else []
        return leaning, f"DROP {words[1].upper()} {condition}{quote(name)}"
    rest = [token for token in tokens[place + 1 :] if token.upper != "COLUMN"]
    action, new = rest[0].upper, unquote(rest[-1])
    if action == "RENAME" and rest[1].upper == "TO":
        return [], f"ALTER TABLE {quote(name)} RENAME TO {quote(new)}"
    table = schema.table(name)
    column = table.column(unquote(rest[1])) if table is not None else None
    quoted = quote(column.name if column is not None else unquote(rest[1]))
    if action == "RENAME":
        return [], f"ALTER TABLE {quote(name)} RENAME COLUMN {quoted} TO {quote(new)}"
    return [], f"ALTER TABLE {quote(name)} DROP COLUMN {quoted}"


def _as_made(schema: Schema, kind: str, given: str) -> str:
    """Give the name of an object as it was written when it was made: PostgreSQL tells letters apart."""
    names = {
        "table": [table.name for table in schema.tables],
        "view": [view.name for view in schema.views],
        "index": [index.name for table in schema.tables for index in table.indexes],
        "trigger": [trigger.name for trigger in schema.triggers],
    }
    return next((name for name in names.get(kind, ()) if fold(name) == fold(given)), given)


def _without_triggers(schema: Schema, *, name: str | None = None, of: str | None = None) -> list[str]:
    """Give what drops a trigger, or those of a table or view, each with its function."""
    found: list[str] = []
    for trigger in schema.triggers:
        if trigger.name == name or (of is not None and fold(trigger.table) == fold(of)):
            owner = _as_made(schema, "table", _as_made(schema, "view", trigger.table))
            found += [
                f"DROP TRIGGER IF EXISTS {quote(trigger.name)} ON {quote(owner)}",
                f"DROP FUNCTION IF EXISTS {quote(trigger.name)}()",
            ]
    return found


def _leaning(engine: Engine, schema: Schema, name: str) -> list[str]:
    """Give what drops the references to a table, its triggers, and the views that read it, top ones first."""
    views: list[str] = []
    wanted = [fold(name)]
    while wanted:
        mentioned = wanted.pop()
        for view in schema.views:
            words = plain(significant(tokenize(view.sql)))
            if mentioned in words and fold(view.name) not in (fold(name), mentioned, *map(fold, views)):
                views.insert(0, view.name)
                wanted.append(fold(view.name))
    rows = engine.fetch_all(_REFERENCES, (engine.schema_name, name))
    return [
        *(sql for each in (name, *views) for sql in _without_triggers(schema, of=each)),
        *(f"DROP VIEW IF EXISTS {quote(view)}" for view in views),
        *(f"ALTER TABLE {quote(str(table))} DROP CONSTRAINT {quote(str(key))}" for table, key in rows),
    ]
