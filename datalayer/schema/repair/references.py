"""Rows that refer to rows which are not there: one rule for cures in place and for salvaged rows.

SET NULL and SET DEFAULT do as they say, where that is allowed. Of all others the rows go to lost_and_found,
and what hangs on them after them, where these are few of each table. Where they are many, it is what they
refer to that is missing, and placeholders are made for it.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

from datalayer.schema.repair.placeholders import Placeholders, broken_reference, parent_columns, refers
from datalayer.schema.repair.quarantine import is_lost_and_found, keep_copies, move
from datalayer.schema.repair.report import Step
from datalayer.schema.repair.rowset import Rowset
from datalayer.schema.snapshot import ForeignKey, Schema, Table, Trigger
from datalayer.schema.tokens import fold, quote

__all__ = ["Orphans", "References", "find_orphans"]

_SHARE = 0.05
_FEW = 20


@dataclass(frozen=True, slots=True)
class Orphans:
    """The rows of a table that break one reference; `parent` is None where that table does not exist."""

    table: Table
    key: ForeignKey
    parent: Table | None
    parent_columns: tuple[str, ...]
    count: int

    @property
    def label(self) -> str:
        """The reference's name, or its columns."""
        return self.key.name or f"{self.table.name}({', '.join(self.key.columns)})"

    @property
    def condition(self) -> str:
        """What holds for these rows, as SQL over `t0`."""
        if self.parent is None:
            return " AND ".join(f"t0.{quote(name)} IS NOT NULL" for name in self.key.columns)
        return broken_reference(self.key, self.parent, self.parent_columns)

    @property
    def reason(self) -> str:
        """What is wrong with them."""
        return f"{', '.join(self.key.columns)} refers to a row of {self.key.parent} that is not there"


def find_orphans(
    connection: sqlite3.Connection, schema: Schema, parents: Collection[str] | None = None
) -> Iterator[Orphans]:
    """Find the references that rows break; each once, with the number of rows.

    `parents` (folded names) are the tables that the references lead to; None: all.
    """
    for table in schema.tables:
        if table.kind != "table" or is_lost_and_found(table.name):
            continue
        for key in table.foreign_keys:
            if parents is not None and fold(key.parent) not in parents:
                continue
            parent = schema.table(key.parent)
            names = () if parent is None else parent_columns(key, parent)
            if (parent is not None and not names) or not all(map(table.column, key.columns)):
                continue
            orphans = Orphans(table, key, parent, names, 0)
            count = _count(connection, table, orphans.condition)
            if count:
                yield Orphans(table, key, parent, names, count)


class References:
    """The references of one database, in the transaction that its caller holds: `settle` mends them.

    Triggers must be out of the way, foreign_keys off. `objections` counts what else is wrong: placeholders
    that raise it are taken back. `steps` is what was done; `left` are references to tables that do not exist.
    """

    def __init__(self, connection: sqlite3.Connection, *, objections: Callable[[], int] = lambda: 0) -> None:
        self.steps: list[Step] = []
        self.left: list[Orphans] = []
        self._connection = connection
        self._objections = objections
        self._moved: Counter[str] = Counter()

    def settle(self, schema: Schema, wanted: Schema | None = None, triggers: Sequence[Trigger] = ()) -> None:
        """Mend the references of all tables, until none is broken but those in `left`."""
        placeholders = Placeholders(self._connection, schema, wanted, triggers)
        self.left, parents = [], None
        # every round takes rows or references away, or makes what is referred to: so there is a last one
        while broken := [*find_orphans(self._connection, schema, parents)]:
            self.left += [one for one in broken if one.parent is None]
            rest = [one for one in broken if one.parent is not None and not self._by_its_rule(one)]
            changed = {fold(one.table.name) for one in broken if one.parent is not None}
            self._choose(rest, schema, placeholders)
            parents = changed

    def _choose(self, broken: Sequence[Orphans], schema: Schema, placeholders: Placeholders) -> None:
        """Move the rows, or make what they refer to where too many of any table would move."""
        total = self._would_move(broken, schema)
        crowded = {name: count for name, count in total.items() if count > self._bound(name)}
        moving: list[tuple[Orphans, str]] = []
        for one in broken:
            hit = [name for name in self._would_move([one], schema) if name in crowded] if crowded else []
            if not hit:
                moving.append((one, ""))
                continue
            name = max(hit, key=lambda name: crowded[name])
            self._hold(one, f"{crowded[name]} of {self._rows(name)} rows of {name}", placeholders)
            moving.append((one, "no placeholder for what they refer to is accepted; "))
        for one, why in moving:
            self._move(one, why)

    def _bound(self, name: str) -> float:
        """Give how many rows of a table may yet move."""
        before = self._rows(name) + self._moved[name]
        return max(_FEW, before * _SHARE) - self._moved[name]

    def _rows(self, name: str) -> int:
        return _rows(self._connection, name)

    def _would_move(self, broken: Sequence[Orphans], schema: Schema) -> Counter[str]:
        """Count the rows that break references and what hangs on them, by table."""
        rows: dict[str, Rowset] = {}
        try:
            for one in broken:
                self._rowset(rows, one.table).add(one.condition)
            waiting = list(rows)
            while waiting:
                gone = rows[waiting.pop(0)]
                for child, condition in _hanging(schema, gone):
                    if self._rowset(rows, child).add(condition) and child.name not in waiting:
                        waiting.append(child.name)
            return Counter({name: one.count for name, one in rows.items() if one.count})
        finally:
            for one in rows.values():
                one.drop()

    def _rowset(self, rows: dict[str, Rowset], table: Table) -> Rowset:
        if table.name not in rows:
            rows[table.name] = Rowset(self._connection, table)
        return rows[table.name]

    def _by_its_rule(self, orphans: Orphans) -> bool:
        """SET NULL, or SET DEFAULT to a row that is there; False where the rule is another or impossible."""
        connection, table, action = self._connection, orphans.table, orphans.key.on_delete
        columns = [column for name in orphans.key.columns if (column := table.column(name)) is not None]
        if not _stays(orphans.key, table):
            return False
        values = ["NULL" if action == "SET NULL" else f"({column.default or 'NULL'})" for column in columns]
        connection.execute("SAVEPOINT rule")
        try:
            reason = f"{orphans.reason}; the row stays, with {action[4:]} there"
            keep_copies(connection, table, orphans.condition, reason)
            sets = ", ".join(f"{quote(column.name)} = {value}" for column, value in zip(columns, values))
            sql = f"UPDATE {quote(table.name)} AS t0 SET {sets} WHERE {orphans.condition}"
            count = connection.execute(sql).rowcount
            if _count(connection, table, orphans.condition):
                raise sqlite3.IntegrityError("the default refers to nothing either")
        except sqlite3.IntegrityError:
            connection.execute("ROLLBACK TO rule")
            return False
        finally:
            connection.execute("RELEASE rule")
        choice = (
            f"{count} references become {action[4:]}, as ON DELETE {action} says; lost_and_found keeps them"
        )
        kind = "set-null" if action == "SET NULL" else "set-default"
        if count:
            self.steps.append(
                Step(kind, table.name, orphans.label, count, orphans.reason, choice, is_lossy=True)
            )
        return True

    def _hold(self, orphans: Orphans, crowd: str, placeholders: Placeholders) -> None:
        """Make a row for each parent that is gone, as far as that is accepted."""
        parent = orphans.parent
        assert parent is not None
        count = _count(self._connection, orphans.table, orphans.condition)
        if not count:
            return
        names = ", ".join(f"t0.{quote(name)}" for name in orphans.key.columns)
        query = f"SELECT DISTINCT {names} FROM {quote(orphans.table.name)} AS t0 WHERE {orphans.condition}"
        before = self._objections()
        self._connection.execute("SAVEPOINT hold")
        made = placeholders.make(parent, orphans.parent_columns, query)
        if made and self._objections() > before:
            self._connection.execute("ROLLBACK TO hold")
            placeholders.forget()
            made.clear()
        self._connection.execute("RELEASE hold")
        why = f"{count} rows of {orphans.table.name} refer to rows of {parent.name} that are gone"
        for name, number in made.items():
            choice = (
                f"{number} placeholders are made, else {crowd} would have to move; lost_and_found names"
                f" them; a backup may still have the rows of {name}"
            )
            if fold(name) != fold(parent.name):
                choice = f"{number} placeholders are made for those of {parent.name} to refer to"
            self.steps.append(Step("placeholder", name, orphans.label, number, why, choice, is_lossy=True))

    def _move(self, orphans: Orphans, why: str) -> None:
        table, total = orphans.table, self._rows(orphans.table.name)
        count = move(self._connection, table, orphans.condition, orphans.reason)
        if not count:
            return
        self._moved[table.name] += count
        choice = f"{why}{count} rows move to lost_and_found"
        choice += ", as CASCADE says" if orphans.key.on_delete == "CASCADE" else ""
        if count > max(_FEW, total * _SHARE):
            choice += f"; that is much of {total}"
        if why:
            choice += f"; a backup may still have the rows of {orphans.key.parent}"
        self.steps.append(
            Step("move", table.name, orphans.label, count, orphans.reason, choice, is_lossy=True)
        )


def _stays(key: ForeignKey, table: Table) -> bool:
    """Whether a row of which the parent goes stays by the rule of its reference."""
    columns = [column for name in key.columns if (column := table.column(name)) is not None]
    if key.on_delete == "SET NULL":
        return not any(column.is_not_null or column.key_position for column in columns)
    return key.on_delete == "SET DEFAULT"


def _hanging(schema: Schema, gone: Rowset) -> Iterator[tuple[Table, str]]:
    """Give the tables of which rows go with the rows of a set, each with what holds for these over `t0`."""
    for table in schema.tables:
        if table.kind != "table" or is_lost_and_found(table.name):
            continue
        for key in table.foreign_keys:
            names = parent_columns(key, gone.table)
            if fold(key.parent) != fold(gone.table.name) or not names or _stays(key, table):
                continue
            found = f"{refers(key, names)} AND {gone.holds('p')}"
            yield table, f"EXISTS (SELECT 1 FROM {quote(gone.table.name)} AS p WHERE {found})"


def _count(connection: sqlite3.Connection, table: Table, condition: str) -> int:
    sql = f"SELECT count(*) FROM {quote(table.name)} AS t0 WHERE {condition}"
    return int(connection.execute(sql).fetchone()[0])


def _rows(connection: sqlite3.Connection, table: str) -> int:
    return int(connection.execute(f"SELECT count(*) FROM {quote(table)}").fetchone()[0])
