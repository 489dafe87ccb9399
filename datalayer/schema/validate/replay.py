"""What happens when SQLite runs a folder's files: the schema around each statement, and what failed.

Runs in memory and touches no file: ATTACH is refused. Transactions and connection settings in the files are
passed over, as the run of a folder has them around the file.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from datalayer.schema.loading import no_attach
from datalayer.schema.snapshot import Index, Schema, Table, Trigger, View, read
from datalayer.schema.tokens import Statement, fold
from datalayer.schema.validate.source import Source

__all__ = ["Replay", "Step", "open_memory", "run_statement", "set_aside"]

_PASSED_OVER_LIST = "BEGIN COMMIT END ROLLBACK SAVEPOINT RELEASE VACUUM ANALYZE ATTACH DETACH"
_PASSED_OVER = frozenset(_PASSED_OVER_LIST.split())
_PRAGMAS = frozenset(["user_version", "application_id", "legacy_alter_table", "defer_foreign_keys"])
# a query that never ends is stopped after this many thousand steps of SQLite's machine
_MOST_THOUSANDS = 20_000


@dataclass(frozen=True, slots=True)
class Step:
    """One statement that was run. `error` is what SQLite said; `was_run` is False for what is passed over.

    `is_certain` is False after a Python file or an unknown module, which may have made what is missing.
    """

    source: Source
    statement: Statement
    before: Schema
    after: Schema
    error: str | None = None
    rows: int = 0
    was_run: bool = True
    is_certain: bool = True

    @property
    def changed_schema(self) -> bool:
        """Whether the schema was written."""
        return self.before is not self.after


class Replay:
    """The files run one after the other on an empty database."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self.connection = open_memory()
        self.empty = self.schema = read(self.connection)
        self.steps: list[Step] = []
        self.states: dict[str, bytes] = {}
        self.starts: dict[str, Schema] = {}
        self._version = 0
        self._made: dict[str, Step] = {}
        names: set[str] = set()
        is_certain = True
        for source in sources:
            self.states[source.name] = _state_of(self.connection)
            self.starts[source.name] = self.schema
            is_certain = is_certain and source.is_sql
            for statement in source.statements:
                step = self._run(source, statement, is_certain=is_certain)
                is_certain = is_certain and not (step.error or "").startswith("no such module")
                self.steps.append(step)
                if step.before is not step.after:
                    before, names = names, _names(step.after)
                    self._made.update(dict.fromkeys(names - before, step))

    def close(self) -> None:
        """Close the database in memory."""
        self.connection.close()

    def of(self, source: Source) -> list[Step]:
        """Give the steps of one file."""
        return [step for step in self.steps if step.source is source]

    def end_of(self, source: Source) -> Schema:
        """Give the schema after a file."""
        steps = self.of(source)
        return steps[-1].after if steps else self.starts[source.name]

    def maker_of(self, name: str) -> Step | None:
        """Give the last step that made an object of this name.

        A table that was renamed was made by the renaming.
        """
        return self._made.get(fold(name))

    def _run(self, source: Source, statement: Statement, *, is_certain: bool) -> Step:
        before = self.schema
        if set_aside(statement):
            return Step(source, statement, before, before, was_run=False, is_certain=is_certain)
        changes = self.connection.total_changes
        error = run_statement(self.connection, statement)
        version = int(self.connection.execute("PRAGMA schema_version").fetchone()[0])
        if version != self._version or statement.verb == "PRAGMA":
            self._version, self.schema = version, read(self.connection, self.schema)
        rows = self.connection.total_changes - changes
        return Step(source, statement, before, self.schema, error, rows, is_certain=is_certain)


def open_memory(state: bytes | None = None, *, cached_statements: int = 0) -> sqlite3.Connection:
    """Open a database in memory, empty or with a serialized content, that can reach no file."""
    connection = sqlite3.connect(":memory:", isolation_level=None, cached_statements=cached_statements)
    if state:
        connection.deserialize(state)
    connection.set_authorizer(no_attach)
    return connection


def run_statement(connection: sqlite3.Connection, statement: Statement) -> str | None:
    """Run one statement; give SQLite's message where it refuses."""
    connection.set_progress_handler(_counter(), 1000)
    try:
        connection.execute(statement.text).fetchall()
    except (sqlite3.Error, sqlite3.Warning, UnicodeError) as exc:
        return str(exc)
    finally:
        connection.set_progress_handler(None, 0)
    return None


def set_aside(statement: Statement) -> bool:
    """Say whether a statement steers the transaction or the connection, and is passed over."""
    if statement.verb == "PRAGMA":
        return not any(fold(token.text) in _PRAGMAS for token in statement.tokens)
    return statement.verb in _PASSED_OVER


def _counter() -> Callable[[], bool]:
    thousands = 0

    def is_too_long() -> bool:
        nonlocal thousands
        thousands += 1
        return thousands > _MOST_THOUSANDS

    return is_too_long


def _names(schema: Schema) -> set[str]:
    named: list[Table | Index | View | Trigger] = [*schema.tables, *schema.views, *schema.triggers]
    named += [index for table in schema.tables for index in table.indexes]
    return {fold(one.name) for one in named}


def _state_of(connection: sqlite3.Connection) -> bytes:
    # a database without a page cannot be serialized
    return connection.serialize() if connection.execute("PRAGMA page_count").fetchone()[0] else b""
