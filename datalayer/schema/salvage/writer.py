"""Writing salvaged rows into a new database of the right schema, and proving that it is sound.

Tables first, rows with all constraints on, then references, indexes, views and triggers; what a rule refuses
goes to lost_and_found with its reason. Knows nothing of pages.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from datalayer.errors import DatabaseUnavailable
from datalayer.schema.salvage.judge import insert_text, rowid_name
from datalayer.schema.salvage.outcome import (
    BadText,
    LostRow,
    Row,
    Salvaged,
    SalvagedTable,
    TableCounts,
    Value,
    Written,
)
from datalayer.schema.salvage.quarantine import Quarantine
from datalayer.schema.salvage.references import Settled, settle
from datalayer.schema.snapshot import Index, Schema, Table, Trigger, View
from datalayer.schema.tokens import fold, quote

__all__ = ["target_schema", "write"]

_BATCH = 2000
_MADE_ANEW = ("_data", "_idx", "_docsize", "_config", "_segments", "_segdir", "_stat")
_ENCODINGS = {"utf-8": "UTF-8", "utf-16-le": "UTF-16le", "utf-16-be": "UTF-16be"}


def write(
    salvaged: Salvaged,
    target: str | Path,
    expected: Schema | None = None,
    *,
    progress: Callable[[str, int], None] | None = None,
    verify: bool = True,
) -> Written:
    """Write a new database; `target` must not exist. `progress` is called with a table and its rows so far.

    The schema is the file's own; where `expected` has a table of the same columns, or one that the file
    lacks, its text counts, and so do the numbers that its header should have. `verify=False` leaves it to the
    caller to look at pages and references. Raises DatabaseUnavailable where the target exists or cannot be
    written; a target that was not finished is removed.
    """
    path = Path(target)
    if path.exists():
        raise DatabaseUnavailable(f"{path} already exists", hint="name another file")
    try:
        return _Writing(salvaged, path, expected, progress).run(verify=verify)
    except sqlite3.OperationalError as exc:
        path.unlink(missing_ok=True)
        raise DatabaseUnavailable(f"{path} cannot be written", why=str(exc)) from exc
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def target_schema(found: Schema, expected: Schema | None) -> Schema:
    """Give the schema to write: the file's own, with the expected text of tables with the same columns."""
    if expected is None:
        return found
    tables = [_better(table, expected.table(table.name)) for table in found.tables]
    tables += [table for table in expected.tables if found.table(table.name) is None]
    triggers = {fold(item.name): item for item in (*found.triggers, *expected.triggers)}
    views = {fold(item.name): item for item in (*found.views, *expected.views)}
    return Schema(
        tuple(tables),
        tuple(triggers.values()),
        tuple(views.values()),
        expected.user_version or found.user_version,
        expected.application_id or found.application_id,
    )


def _better(found: Table, expected: Table | None) -> Table:
    if expected is None or found.kind != "table" or expected.kind != "table":
        return found
    if [fold(column.name) for column in found.columns] != [fold(column.name) for column in expected.columns]:
        return found
    if found.is_without_rowid != expected.is_without_rowid:
        return found
    return expected


class _Writing:
    """One run: a connection, the quarantine and what went wrong."""

    def __init__(
        self,
        salvaged: Salvaged,
        path: Path,
        expected: Schema | None,
        progress: Callable[[str, int], None] | None,
    ) -> None:
        self.salvaged = salvaged
        self.path = path
        self.schema = target_schema(salvaged.schema, expected)
        self.progress = progress
        self.connection = sqlite3.connect(path, isolation_level=None, cached_statements=64)
        self.quarantine = Quarantine(self.connection)
        self.faults: list[str] = []
        self._fresh: dict[str, list[tuple[Value, ...]]] = {}

    def run(self, *, verify: bool) -> Written:
        """Write, verify and close."""
        try:
            self._prepare()
            self.connection.execute("BEGIN")
            self._make_tables()
            for table in _in_order(self.schema):
                self._fill(table)
            for row in self.salvaged.unplaced():
                self.quarantine(row)
            self._mend_word_indexes()
            self._make_unique_indexes()
            settled = settle(self.connection, self.schema, self.quarantine)
            self._make_rest()
            self._set_numbers()
            self.connection.execute("COMMIT")
            if verify:
                self._verify()
            return self._written(settled)
        finally:
            self.connection.close()
            _sync(self.path)

    def _prepare(self) -> None:
        salvaged = self.salvaged
        for pragma in (
            f"page_size = {salvaged.page_size}",
            f"encoding = '{_ENCODINGS[salvaged.encoding]}'",
            f"auto_vacuum = {salvaged.auto_vacuum}",
            "journal_mode = MEMORY",  # without one, a statement that fails could not be undone
            "synchronous = OFF",
            "cache_size = -32768",
            "foreign_keys = OFF",
        ):
            self.connection.execute(f"PRAGMA {pragma}").fetchall()

    def _make_tables(self) -> None:
        for kind in ("virtual", "table", "shadow"):
            for table in self.schema.tables:
                if table.kind == kind and not (kind == "shadow" and self._exists(table.name)):
                    self._make(f"table {table.name}", table.sql)

    def _exists(self, name: str) -> bool:
        sql = "SELECT 1 FROM sqlite_schema WHERE name = ? COLLATE NOCASE"
        return self.connection.execute(sql, (name,)).fetchone() is not None

    def _make(self, what: str, sql: str) -> bool:
        try:
            self.connection.execute(sql)
        except (sqlite3.OperationalError, sqlite3.IntegrityError, sqlite3.Warning) as exc:
            self.faults.append(f"{what} cannot be made: {exc}")
            return False
        return True

    def _fill(self, table: Table) -> None:
        source = next(
            (found for name, found in self.salvaged.tables.items() if fold(name) == fold(table.name)), None
        )
        if source is None or not self._exists(table.name):
            return
        text, takes_rowid = insert_text(table), rowid_name(table) is not None
        rows = self._decoded(source)
        done = 0
        while batch := list(islice(rows, _BATCH)):
            if table.kind == "shadow" and not done:
                # a virtual table fills its shadow tables when it is made
                self._fresh[table.name] = self.connection.execute(
                    f"SELECT * FROM {quote(table.name)}"
                ).fetchall()
                self.connection.execute(f"DELETE FROM {quote(table.name)}")
            self._insert(table, text, batch, takes_rowid=takes_rowid)
            done += len(batch)
            if self.progress is not None:
                self.progress(table.name, done)

    def _decoded(self, source: SalvagedTable) -> Iterator[Row]:
        """Pass over the rows with a text that does not decode, which go to lost_and_found."""
        reason = "a text in it does not decode"
        for row in source.rows(self.quarantine):
            if BadText in map(type, row.values):
                self.quarantine(LostRow(source.table.name, row.rowid, row.values, reason))
            else:
                yield row

    def _insert(self, table: Table, text: str, batch: Sequence[Row], *, takes_rowid: bool) -> None:
        execute = self.connection.execute
        execute("SAVEPOINT batch")
        try:
            self.connection.executemany(text, [_parameters(row, takes_rowid) for row in batch])
        except (sqlite3.IntegrityError, sqlite3.DataError, sqlite3.InterfaceError):
            execute("ROLLBACK TO batch")
            for row in batch:
                self._insert_one(table, text, row, takes_rowid=takes_rowid)
        execute("RELEASE batch")

    def _insert_one(self, table: Table, text: str, row: Row, *, takes_rowid: bool) -> None:
        try:
            self.connection.execute(text, _parameters(row, takes_rowid))
        except (sqlite3.IntegrityError, sqlite3.DataError, sqlite3.InterfaceError) as exc:
            self.quarantine(LostRow(table.name, row.rowid, row.values, f"refused: {exc}"))

    def _mend_word_indexes(self) -> None:
        """Make the index of a full-text table anew from its rows where the two disagree."""
        for table in self.schema.tables:
            if table.kind != "virtual" or "fts" not in fold(table.sql) or not self._exists(table.name):
                continue
            # what this connection read when it made the table counts for it, whatever stands there now
            said = self._mend_words(table) if self._has_version(table) else "no version is told"
            if said:
                self._refresh(table)
                said = self._mend_words(table)
            if said:
                self.faults.append(f"the word index of {table.name} cannot be made: {said}")

    def _has_version(self, table: Table) -> bool:
        """Whether the configuration of a full-text table, where it keeps one, tells of a version."""
        name = f"{table.name}_config"
        if fold(name) not in map(fold, self._fresh):
            return True
        sql = f"SELECT 1 FROM {quote(name)} WHERE k = 'version' AND typeof(v) = 'integer'"
        return self.connection.execute(sql).fetchone() is not None

    def _mend_words(self, table: Table) -> str:
        """Check the index of a full-text table, and make it anew; give what is wrong with it after that."""
        said, name = "", quote(table.name)
        for word in ("integrity-check", "rebuild", "integrity-check"):
            try:
                self.connection.execute(f"INSERT INTO {name} ({name}) VALUES (?)", (word,))
            except sqlite3.DatabaseError as exc:
                said = str(exc)
            else:
                said = ""
            if word == "integrity-check" and not said:
                break
        return said

    def _refresh(self, table: Table) -> None:
        """Put back what a full-text table made when it was made itself, in all but the table of its rows."""
        for name, rows in self._fresh.items():
            ending = fold(name).removeprefix(fold(table.name))
            if ending in _MADE_ANEW:
                self.connection.execute(f"DELETE FROM {quote(name)}")
                for row in rows:
                    marks = ", ".join("?" * len(row))
                    self.connection.execute(f"INSERT INTO {quote(name)} VALUES ({marks})", row)

    def _make_unique_indexes(self) -> None:
        """Make the unique indexes; rows that repeat a key go to lost_and_found, all but the first."""
        for table, index in self._indexes():
            if index.is_unique:
                try:
                    self.connection.execute(index.sql)
                except sqlite3.IntegrityError:
                    self._move_repeated(table, index)
                    self._make(f"index {index.name}", index.sql)
                except sqlite3.OperationalError as exc:
                    self.faults.append(f"index {index.name} cannot be made: {exc}")

    def _indexes(self) -> Iterator[tuple[Table, Index]]:
        for table in self.schema.tables:
            if self._exists(table.name):
                for index in table.indexes:
                    yield table, index

    def _move_repeated(self, table: Table, index: Index) -> None:
        terms = [
            (quote(term.column) if term.column is not None else f"({term.expression})")
            + (f" COLLATE {quote(term.collation)}" if term.collation else "")
            for term in index.terms
        ]
        own = rowid_name(table) or (quote(table.rowid_column.name) if table.rowid_column else None)
        if own is None:
            return
        columns = ", ".join(quote(column.name) for column in table.columns if column.generated is None)
        given = " AND ".join(f"{term} IS NOT NULL" for term in terms)
        condition = f"({index.where}) AND {given}" if index.where else given
        repeated = (
            f"SELECT {own} AS r FROM (SELECT {own}, row_number() OVER (PARTITION BY {', '.join(terms)}"
            f" ORDER BY {own}) AS place FROM {quote(table.name)} WHERE {condition}) WHERE place > 1"
        )
        rows = self.connection.execute(
            f"SELECT {own}, {columns} FROM {quote(table.name)} WHERE {own} IN ({repeated})"
        ).fetchall()
        for row in rows:
            self.quarantine(LostRow(table.name, row[0], row[1:], f"refused: repeats a key of {index.name}"))
        self.connection.executemany(
            f"DELETE FROM {quote(table.name)} WHERE {own} = ?", [(row[0],) for row in rows]
        )

    def _make_rest(self) -> None:
        for _, index in self._indexes():
            if not index.is_unique:
                self._make(f"index {index.name}", index.sql)
        later: tuple[View | Trigger, ...] = (*self.schema.views, *self.schema.triggers)
        for item in later:
            self._make(item.name, item.sql)

    def _set_numbers(self) -> None:
        schema, execute = self.schema, self.connection.execute
        for name, number in self.salvaged.sequences.items():
            if not self._exists("sqlite_sequence"):
                break
            changed = execute("UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = ?", (number, name))
            if not changed.rowcount:
                execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (name, number))
        execute(f"PRAGMA user_version = {schema.user_version}")
        execute(f"PRAGMA application_id = {schema.application_id}")

    def _verify(self) -> None:
        for pragma in ("integrity_check(20)", "integrity_check(sqlite_schema)"):
            for (said,) in self.connection.execute(f"PRAGMA {pragma}").fetchall():
                if said != "ok" and str(said) not in self.faults:
                    self.faults.append(str(said))
        try:
            broken = self.connection.execute("PRAGMA foreign_key_check").fetchmany(20)
        except sqlite3.OperationalError as exc:
            self.faults.append(str(exc))
            return
        self.faults += [f"{row[0]} {row[1]} refers to a missing row of {row[2]}" for row in broken]

    def _written(self, settled: Settled) -> Written:
        counts: dict[str, TableCounts] = {}
        for table in self.schema.tables:
            if table.kind == "table" and self._exists(table.name):
                kept = self.connection.execute(f"SELECT count(*) FROM {quote(table.name)}").fetchone()[0]
                moved = self.quarantine.tables[table.name]
                given_up, made = self.quarantine.given_up[table.name], settled.made(table.name)
                counts[table.name] = TableCounts(kept - made, moved, given_up, made)
        return Written(
            str(self.path),
            counts,
            self.quarantine.unplaced,
            dict(self.quarantine.reasons),
            tuple(self.faults),
            dict(settled.cleared),
            tuple(settled.placeholders),
        )


def _parameters(row: Row, takes_rowid: bool) -> Sequence[Value]:
    return (row.rowid, *row.values) if takes_rowid else row.values


def _in_order(schema: Schema) -> list[Table]:
    """Give the tables with rows, parents before those that refer to them; circles as the schema has them."""
    ordered: list[Table] = []
    waiting = [table for table in schema.tables if table.kind != "virtual"]
    names = {fold(table.name) for table in waiting}
    while waiting:
        left = {fold(table.name) for table in waiting}
        ready = [
            table
            for table in waiting
            if not any(
                fold(key.parent) in left & names and fold(key.parent) != fold(table.name)
                for key in table.foreign_keys
            )
        ] or waiting[:1]
        ordered += ready
        waiting = [table for table in waiting if not any(table is other for other in ready)]
    return ordered


def _sync(path: Path) -> None:
    if path.exists():
        with path.open("rb+") as file:
            os.fsync(file.fileno())
