"""Rows that stand for lost ones, so that what refers to them can stay: as bare as their table accepts.

Each is named in lost_and_found, so that an app can find and delete it. Where a placeholder must itself refer
to a row, that one is a placeholder too. Knows nothing of when placeholders are called for.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice, product

from datalayer.schema.declaration import ForeignKey, read_trigger
from datalayer.schema.reader import Unexpected
from datalayer.schema.repair.fillers import Filler, Omit, Stored, candidates, choices, filled
from datalayer.schema.repair.quarantine import keep_copies
from datalayer.schema.repair.rowset import Rowset
from datalayer.schema.snapshot import Column, Schema, Table, Trigger
from datalayer.schema.tokens import fold, quote, tokenize

__all__ = ["REASON", "Placeholders", "broken_reference", "parent_columns", "refers"]

REASON = "placeholder for a lost row"
"""What lost_and_found says of each."""

_DEPTH = 8
_SEARCHES = 5
_BATCH = 500
_KEYS = 6
_FAILURES = 50
_SEEN = 10_000
_REFUSALS = (sqlite3.Error, OverflowError, UnicodeError)
Key = tuple[Stored, ...]


def parent_columns(key: ForeignKey, parent: Table) -> tuple[str, ...]:
    """Give the columns that a reference refers to; none where that cannot be told."""
    names = key.parent_columns or (() if parent.primary_key is None else parent.primary_key.columns)
    known = len(names) == len(key.columns) and all(parent.column(name) for name in names)
    return tuple(names) if known else ()


@dataclass(slots=True)
class _Mould:
    """How the rows of one table are made for keys of the same columns; `proven` is what was accepted last.

    `proof` holds for a row that breaks nothing; `highest` is a number that no later one of its table reaches.
    """

    table: Table
    columns: tuple[str, ...]
    fillers: dict[str, list[Filler]]
    proof: str
    highest: int
    proven: dict[str, Filler] | None = None
    searches: int = 0


class Placeholders:
    """Makes them, in the transaction that its caller holds, with triggers out of the way.

    `wanted` is what the schema should be: its rules count as well. Of `triggers` those count that only look
    at a new row and refuse it.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        schema: Schema,
        wanted: Schema | None = None,
        triggers: Sequence[Trigger] = (),
    ) -> None:
        self._connection = connection
        self._schema = schema
        self._wanted = wanted
        self._triggers = [trigger for trigger in triggers if _only_looks(trigger)]
        self._moulds: dict[tuple[str, ...], _Mould] = {}
        self._shared: dict[tuple[str, ...], Key] = {}
        self._busy: list[str] = []
        self._failures: Counter[str] = Counter()
        # what was made and not yet noted: a savepoint that is rolled back takes the end of it away
        self._log: list[tuple[Table, tuple[str, ...], Key]] = []

    def make(self, parent: Table, columns: Sequence[str], query: str) -> Counter[str]:
        """Make a row for each key that a query gives, as far as rules allow; give how many, by table.

        Each is named in lost_and_found.
        """
        rows: dict[str, Rowset] = {}
        counts: Counter[str] = Counter()
        try:
            with self._guarded():
                for keys in self._batches(len(columns), query):
                    for key in keys:
                        self._add(parent, tuple(columns), key)
                    self._note(rows)
            for made in rows.values():
                keep_copies(self._connection, made.table, made.condition, REASON)
                counts[made.table.name] = made.count
        finally:
            for made in rows.values():
                made.drop()
        return counts

    def forget(self) -> None:
        """Take note that what was made is rolled back."""
        self._log.clear()
        self._shared.clear()
        self._moulds.clear()

    def _batches(self, width: int, query: str) -> Iterator[list[Key]]:
        """Give the keys of a query, which is run to its end before the first row is made."""
        connection, last = self._connection, 0
        names = ", ".join(f"k{place}" for place in range(width))
        connection.execute(f"CREATE TEMP TABLE datalayer_lost ({names})")
        connection.execute(f"INSERT INTO temp.datalayer_lost {query}")
        sql = f"SELECT rowid, {names} FROM temp.datalayer_lost WHERE rowid > ? ORDER BY rowid LIMIT {_BATCH}"
        while found := connection.execute(sql, (last,)).fetchall():
            last = found[-1][0]
            yield [row[1:] for row in found]
        connection.execute("DROP TABLE temp.datalayer_lost")

    def _note(self, rows: dict[str, Rowset]) -> None:
        for table, columns, key in self._log:
            if table.name not in rows:
                rows[table.name] = Rowset(self._connection, table)
            rows[table.name].add(_same(columns), key)
        self._log.clear()

    # -- one row -----------------------------------------------------------------------------------

    def _add(self, table: Table, columns: tuple[str, ...], key: Key, depth: int = 0) -> bool:
        """Make a row, unless there is one; say whether one is there."""
        if depth > _DEPTH or None in key or self._failures[table.name] > _FAILURES:
            return False
        mark, is_made = len(self._log), False
        self._busy.append(table.name)
        self._connection.execute("SAVEPOINT placeholder")
        try:
            if self._is_there(table, columns, key):
                is_made = True
            else:
                referred = self._references(table, dict(zip(map(fold, columns), key)), depth)
                is_made = referred is not None and self._fill(table, columns, key, referred)
        except _REFUSALS:
            is_made = False
        self._busy.pop()
        if not is_made:
            self._connection.execute("ROLLBACK TO placeholder")
            self._failures[table.name] += 1
            del self._log[mark:]
            self._shared.clear()
        self._connection.execute("RELEASE placeholder")
        return is_made

    def _is_there(self, table: Table, columns: Sequence[str], key: Key) -> bool:
        sql = f"SELECT 1 FROM {quote(table.name)} AS t0 WHERE {_same(columns)} LIMIT 1"
        return self._connection.execute(sql, key).fetchone() is not None

    def _fill(self, table: Table, columns: tuple[str, ...], key: Key, referred: Mapping[str, Stored]) -> bool:
        mould = self._mould(table, columns, referred)
        if mould.proven is not None and self._try(mould, key, referred, mould.proven):
            return True
        if mould.searches >= _SEARCHES:
            return False
        for fillers in choices(mould.fillers):
            if self._try(mould, key, referred, fillers):
                mould.proven = fillers
                return True
        mould.searches += 1
        return False

    def _try(
        self, mould: _Mould, key: Key, referred: Mapping[str, Stored], fillers: Mapping[str, Filler]
    ) -> bool:
        name, mould.highest = quote(mould.table.name), mould.highest + 1
        row: dict[str, Stored] = {**referred, **dict(zip(mould.columns, key))}
        for column, filler in fillers.items():
            value = filled(filler, key, mould.highest)
            if not isinstance(value, Omit):
                row[column] = value
        names, marks = ", ".join(map(quote, row)), ", ".join("?" * len(row))
        try:
            # OR ABORT: a clause of the table that replaces, ignores or rolls back must not
            sql = f"INSERT OR ABORT INTO {name} ({names}) VALUES ({marks})"
            self._connection.execute(sql, tuple(row.values()))
        except _REFUSALS:
            return False
        own = _same(mould.columns)
        sql = f"SELECT 1 FROM {name} AS t0 WHERE {own} AND {mould.proof}"
        if self._connection.execute(sql, key).fetchone() is None:
            self._connection.execute(f"DELETE FROM {name} AS t0 WHERE {own}", key)
            return False
        self._log.append((mould.table, mould.columns, key))
        return True

    # -- what a row needs --------------------------------------------------------------------------

    def _mould(self, table: Table, columns: tuple[str, ...], referred: Mapping[str, Stored]) -> _Mould:
        given = tuple(map(fold, (*columns, *referred)))
        known = self._moulds.get((fold(table.name), *given))
        if known is not None:
            return known
        fillers = self._candidates(table, given)
        mould = _Mould(table, columns, fillers, self._proof(table), self._highest(table))
        self._moulds[(fold(table.name), *given)] = mould
        return mould

    def _candidates(self, table: Table, given: Sequence[str]) -> dict[str, list[Filler]]:
        own = [one for one in self._triggers if fold(one.table) == fold(table.name)]
        return candidates(self._connection, table, self._wanted_table(table), own, given)

    def _wanted_table(self, table: Table) -> Table | None:
        return None if self._wanted is None else self._wanted.table(table.name)

    def _highest(self, table: Table) -> int:
        names = [quote(column.name) for column in table.columns if not column.is_hidden]
        tops = ", ".join(f"max(CASE typeof({name}) WHEN 'integer' THEN {name} END)" for name in names)
        found = self._connection.execute(f"SELECT {tops} FROM {quote(table.name)}").fetchone()
        return max((int(one) for one in found if one is not None and one < 1 << 60), default=0)

    def _proof(self, table: Table) -> str:
        """Give what holds for a row of the table, over `t0`, that breaks no reference and no wanted rule."""
        wanted = self._wanted_table(table)
        parts = ["1"]
        for key in table.foreign_keys:
            parent = self._schema.table(key.parent)
            if parent is not None and (names := parent_columns(key, parent)):
                parts.append(f"NOT ({broken_reference(key, parent, names)})")
        for check in () if wanted is None or wanted.sql == table.sql else wanted.checks:
            if self._can_ask(table, check.expression):
                parts.append(f"({check.expression}\n) IS NOT FALSE")
        return " AND ".join(parts)

    def _can_ask(self, table: Table, expression: str) -> bool:
        try:
            self._connection.execute(f"EXPLAIN SELECT ({expression}\n) FROM {quote(table.name)} AS t0")
        except sqlite3.Error:
            return False
        return True

    def _references(self, table: Table, given: Mapping[str, Stored], depth: int) -> dict[str, Stored] | None:
        """Give the values of the columns by which a row refers to others; None where it cannot."""
        found: dict[str, Stored] = {}
        for key in table.foreign_keys:
            parent = self._schema.table(key.parent)
            names = () if parent is None else parent_columns(key, parent)
            if parent is None or not names:
                continue
            known = {**given, **{fold(name): value for name, value in found.items()}}
            held = [known[fold(name)] for name in key.columns if fold(name) in known]
            free = [one for name in key.columns if fold(name) not in known and (one := table.column(name))]
            empty = next((column for column in free if not self._is_required(table, column)), None)
            if None in held:
                continue
            if empty is not None:
                found[empty.name] = None
                continue
            values = self._referred(table, key, (parent, names), known, depth)
            if values is None:
                return None
            found |= {
                one.name: values[key.columns.index(name)]
                for name in key.columns
                for one in free
                if fold(one.name) == fold(name)
            }
        return found

    def _is_required(self, table: Table, column: Column) -> bool:
        wanted = self._wanted_table(table)
        other = None if wanted is None else wanted.column(column.name)
        return column.is_not_null or column.key_position > 0 or (other is not None and other.is_not_null)

    def _referred(
        self,
        table: Table,
        key: ForeignKey,
        target: tuple[Table, tuple[str, ...]],
        known: Mapping[str, Stored],
        depth: int,
    ) -> Key | None:
        """Give the key of a row to refer to: the row's own, a placeholder's, or what most others refer to."""
        parent, names = target
        if parent is table and all(fold(name) in known for name in names):
            own = tuple(known[fold(name)] for name in names)
            if all(known.get(fold(name), one) == one for name, one in zip(key.columns, own)):
                return own
        if all(fold(name) in known for name in key.columns):
            values = tuple(known[fold(name)] for name in key.columns)
            return values if self._add(parent, names, values, depth + 1) else None
        place = (fold(table.name), *key.columns)
        if place in self._shared and not any(fold(name) in known for name in key.columns):
            return self._shared[place]
        fixed = [known.get(fold(name)) for name in key.columns]
        # a row that waits for this one cannot be what it refers to
        for values in () if parent.name in self._busy else self._free_keys(parent, names, fixed):
            if not self._is_there(parent, names, values) and self._add(parent, names, values, depth + 1):
                self._shared[place] = values
                return values
        return self._usual(table, key, fixed)

    def _free_keys(self, parent: Table, names: Sequence[str], fixed: Sequence[Stored]) -> Iterator[Key]:
        """Give keys that a placeholder may have; a few of them."""
        number = self._highest(parent) + 1
        every = {fold(name): fillers for name, fillers in self._candidates(parent, ()).items()}
        choice: list[list[Stored]] = []
        for name, value in zip(names, fixed):
            found = [filled(one, ("row",), number) for one in (*every.get(fold(name), ()), number)]
            options: list[Stored] = [one for one in found if one is not None and not isinstance(one, Omit)]
            choice.append(options if value is None else [value])
        yield from islice(product(*choice), _KEYS)

    def _usual(self, table: Table, key: ForeignKey, fixed: Sequence[Stored]) -> Key | None:
        """Give what most rows of the table refer to, as far as some of them tell."""
        names = ", ".join(quote(name) for name in key.columns)
        sql = (
            f"SELECT {names} FROM (SELECT {names} FROM {quote(table.name)} LIMIT {_SEEN})"
            f" GROUP BY {names} ORDER BY count(*) DESC, {names} LIMIT {_KEYS}"
        )
        for row in self._connection.execute(sql).fetchall():
            if None not in row and all(want in (None, one) for want, one in zip(fixed, row)):
                return tuple(row)
        return None

    # -- triggers ----------------------------------------------------------------------------------

    @contextmanager
    def _guarded(self) -> Generator[None]:
        """Let the triggers that refuse rows do so meanwhile, as far as they can run here."""
        names: list[str] = []
        for trigger in self._triggers:
            try:
                self._connection.execute(_not_ending(trigger.sql))
            except sqlite3.Error:
                continue
            names.append(trigger.name)
            try:
                self._connection.execute(f"EXPLAIN INSERT INTO {quote(trigger.table)} DEFAULT VALUES")
            except sqlite3.Error:
                # it reads a table that is not there, or calls a function of the app's
                self._connection.execute(f"DROP TRIGGER {quote(names.pop())}")
        try:
            yield
        finally:
            for name in names:
                self._connection.execute(f"DROP TRIGGER {quote(name)}")


def broken_reference(key: ForeignKey, parent: Table, names: Sequence[str]) -> str:
    """Give what holds for the rows that refer to nothing, as SQL over `t0`."""
    given = " AND ".join(f"t0.{quote(name)} IS NOT NULL" for name in key.columns)
    return f"{given} AND NOT EXISTS (SELECT 1 FROM {quote(parent.name)} AS p WHERE {refers(key, names)})"


def refers(key: ForeignKey, names: Sequence[str]) -> str:
    """Give what holds where a row `t0` refers to a row `p` by its columns of these names."""
    # the parent's collation and affinity count, and not the child's: sqlite.org/foreignkeys.html, 4.1;
    # a comparison takes the collation of its left side, and the + hides the affinity of its right
    return " AND ".join(f"p.{quote(theirs)} = +t0.{quote(mine)}" for theirs, mine in zip(names, key.columns))


def _same(columns: Sequence[str]) -> str:
    return " AND ".join(f"t0.{quote(name)} = ?" for name in columns)


def _only_looks(trigger: Trigger) -> bool:
    try:
        text = read_trigger(trigger.sql)
    except Unexpected:
        return False
    return (
        text.event == "INSERT"
        and text.timing in ("BEFORE", "AFTER")
        and all(statement.lstrip().upper().startswith("SELECT") for statement in text.statements)
    )


def _not_ending(sql: str) -> str:
    """Let a trigger refuse the row only, where it would end the transaction."""
    return "".join(
        "ABORT" if token.kind == "word" and token.text.upper() == "ROLLBACK" else token.text
        for token in tokenize(sql)
    )
