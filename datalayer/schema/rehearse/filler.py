"""Synthetic rows for every table of a database: made by trying, within what its own rules allow.

Knows no engine: a bed (bed_sqlite, bed_postgres) tells the tables and tries the rows. Parents come before
children; a reference within a circle is set when both sides have rows. What cannot be filled is told with
the rule that was in the way.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Protocol

from datalayer.schema.rehearse.values import OMIT, Column, Omit, Rule, Value, values_of
from datalayer.schema.tokens import quote

__all__ = ["Bed", "FillTable", "Filled", "Reference", "Refusal", "Row", "fill"]

Row = dict[str, Value]
_ATTEMPTS = 600
_RESTART = 60
_SEED = 20_26


@dataclass(frozen=True, slots=True)
class Reference:
    """A foreign key, its parent by the name under which the bed lists it."""

    columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...]

    def is_loose(self, parent: str) -> str:
        """Write the condition, in the SQL of both engines, that a row `child` refers to no row of a place."""
        pairs = zip(self.columns, self.parent_columns)
        same = " AND ".join(f"parent.{quote(theirs)} = child.{quote(mine)}" for mine, theirs in pairs)
        return f"NOT EXISTS (SELECT 1 FROM {parent} AS parent WHERE {same})"

    def leads_nowhere(self, parent: str) -> str:
        """Write the condition that it does so although it is set."""
        present = " AND ".join(f"child.{quote(name)} IS NOT NULL" for name in self.columns)
        return f"{present} AND {self.is_loose(parent)}"


@dataclass(frozen=True, slots=True)
class FillTable:
    """A table as the filler needs it: columns that may be given a value, rules, keys, references."""

    name: str
    columns: tuple[Column, ...]
    rules: tuple[Rule, ...] = ()
    keys: tuple[tuple[str, ...], ...] = ()
    references: tuple[Reference, ...] = ()

    def column(self, name: str) -> Column:
        """Give a column by its name. Raises StopIteration for one that cannot be given a value."""
        return next(column for column in self.columns if column.name == name)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a row was not taken: in words, and the columns that could be given other values."""

    message: str
    columns: tuple[str, ...] = ()


class Bed(Protocol):
    """A database to be filled; everything happens in one transaction of the caller's."""

    def tables(self) -> Sequence[FillTable]:
        """Give the tables that rows can be inserted into."""
        ...

    def count(self, table: str) -> int:
        """Give the number of rows."""
        ...

    def insert(self, table: FillTable, row: Row) -> Refusal | None:
        """Try a row; one that is refused leaves nothing behind."""
        ...

    def keys(self, table: str, columns: Sequence[str]) -> list[tuple[Value, ...]]:
        """Give up to a hundred values that are there in these columns."""
        ...

    def loose(self, table: FillTable, reference: Reference) -> list[tuple[Value, ...]]:
        """Give handles of rows without the row that they refer to, or without a value there."""
        ...

    def refer(
        self, table: FillTable, reference: Reference, handle: tuple[Value, ...], key: Sequence[Value]
    ) -> Refusal | None:
        """Try to let a row refer to another one."""
        ...

    def dangling(self, table: FillTable, reference: Reference) -> int:
        """Count the rows whose reference leads nowhere."""
        ...

    def drop(self, table: FillTable, reference: Reference) -> int:
        """Delete the rows whose reference leads nowhere; gives their number."""
        ...


@dataclass(frozen=True, slots=True)
class Filled:
    """What the filler did: rows added by table, and for each table left without why."""

    rows: Mapping[str, int]
    unfilled: Mapping[str, str]


@dataclass(slots=True)
class _Work:
    bed: Bed
    tables: dict[str, FillTable]
    wanted: int
    random: Random = field(default_factory=lambda: Random(_SEED))
    number: int = 0
    made: dict[str, int] = field(default_factory=dict[str, int])
    why: dict[str, str] = field(default_factory=dict[str, str])
    late: list[tuple[FillTable, Reference]] = field(default_factory=list[tuple[FillTable, Reference]])


def fill(bed: Bed, *, rows: int = 3, skip: Collection[str] = ()) -> Filled:
    """Add rows to every table that has fewer than `rows`, until it has as many.

    The first row of a table has a value in every column, the second leaves out what has a default and what
    may be NULL, the others mix both. The same schema gets the same rows each time. At most 600 attempts a
    row; what triggers do with the rows is theirs to do.

    Cost: an INSERT an attempt, most rows at the first one; see tests/schema/rehearse for what is filled.
    """
    work = _Work(bed, {table.name: table for table in bed.tables() if table.name not in skip}, rows)
    dangling = {
        (table.name, reference): work.bed.dangling(table, reference)
        for table in work.tables.values()
        for reference in table.references
    }
    # rows of others keep small numbers, so that a new one is new
    work.number = max((bed.count(name) for name in work.tables), default=0)
    filled: set[str] = set()
    while len(filled) < len(work.tables):
        table = _next(work, filled)
        filled.add(table.name)
        _fill(work, table, filled)
    _close_circles(work)
    _take_back(work, dangling)
    return Filled(work.made, work.why)


def _next(work: _Work, filled: set[str]) -> FillTable:
    """Choose the table with the fewest parents still to come, required ones counting more."""

    def missing(table: FillTable) -> int:
        return sum(
            1 + 100 * all(table.column(name).is_not_null for name in reference.columns)
            for reference in table.references
            if reference.parent not in filled and reference.parent != table.name
        )

    return min((table for name, table in work.tables.items() if name not in filled), key=missing)


def _fill(work: _Work, table: FillTable, filled: set[str]) -> None:
    # a parent that is not to be filled has the rows that it has
    to_come = work.tables.keys() - filled
    late = [reference for reference in table.references if reference.parent in to_come]
    work.late += [(table, reference) for reference in late]
    present = work.bed.count(table.name)
    refusal: Refusal | None = None
    for style in range(max(0, work.wanted - present)):
        refusal = _Maker(work, table, late).make(style)
        if refusal is not None:
            break
    # a trigger may have put rows there, or taken them away again
    added = work.bed.count(table.name) - present
    work.made[table.name] = added
    if added <= 0 < work.wanted - present:
        taken_away = "what was inserted is not there: a trigger takes it away"
        work.why[table.name] = refusal.message if refusal else taken_away


class _Maker:
    """Makes one row: a first guess, then other values where the database says no."""

    def __init__(self, work: _Work, table: FillTable, late: Sequence[Reference]) -> None:
        self.work = work
        self.table = table
        self.late = late
        self.random = work.random
        self.references = {
            reference: self._choices(reference) for reference in table.references if reference not in late
        }
        self.referring = {name: reference for reference in self.references for name in reference.columns}

    def make(self, style: int) -> Refusal | None:
        """Insert a row; gives the last refusal where none was taken."""
        refusal = self._without_parent()
        if refusal is not None:
            return refusal
        row = self._guess(style)
        for attempt in range(1, _ATTEMPTS + 1):
            refusal = self.work.bed.insert(self.table, row)
            if refusal is None:
                return None
            if attempt % _RESTART == 0:
                # begin anew, each time with less in the row, in the end with random values
                row = self._guess(1 if attempt == _RESTART else 2)
            else:
                self._change(row, refusal)
        return refusal

    def _without_parent(self) -> Refusal | None:
        """Say which row that is needed does not exist."""
        for reference, choices in self.references.items():
            is_needed = all(self.table.column(name).is_not_null for name in reference.columns)
            if is_needed and not choices and reference.parent != self.table.name:
                return Refusal(f"it needs a row of {reference.parent}, which has none")
        return None

    def _choices(self, reference: Reference) -> list[tuple[Value, ...]]:
        found = self.work.bed.keys(reference.parent, reference.parent_columns)
        turn = self.work.number % len(found) if found else 0
        return found[turn:] + found[:turn]

    def _guess(self, style: int) -> Row:
        self.work.number += 1
        row: Row = {}
        for column in self.table.columns:
            may_lack = column.has_default or not column.is_not_null or column.is_numbered
            if may_lack and (style == 1 or (style > 1 and self.random.random() < 0.5)):
                row[column.name] = OMIT
            else:
                choices = self._options(column)
                # of what is spelled out each row takes the next
                is_told = bool(column.choices) or any(
                    column.name in rule.columns for rule in self.table.rules
                )
                turn = style % len(choices) if is_told else 0
                row[column.name] = choices[turn] if style < 2 else self.random.choice(choices[:8])
        for reference in self.late:
            self._leave(row, reference)
        for reference in self.references:
            self._refer(row, reference, is_first=style != 2)
        return row

    def _leave(self, row: Row, reference: Reference) -> None:
        """Leave a reference open whose other side has no rows yet."""
        empty = [name for name in reference.columns if not self.table.column(name).is_not_null]
        for name in empty[:1]:
            row[name] = None

    def _refer(self, row: Row, reference: Reference, *, is_first: bool = False) -> None:
        choices = list(self.references[reference])
        if reference.parent == self.table.name:
            own = tuple(row.get(name, OMIT) for name in reference.parent_columns)
            if not any(isinstance(value, Omit) for value in own):
                choices.append(own)
        shared = [
            name
            for other in self.references
            if other is not reference
            for name in other.columns
            if name in reference.columns
        ]
        fitting = [
            choice
            for choice in choices
            if all(
                row.get(name) == value
                for name, value in zip(reference.columns, choice)
                if name in shared and not isinstance(row.get(name), Omit)
            )
        ] or choices
        if fitting:
            fitting = [one for one in fitting if self._leaves_a_choice(reference, one)] or fitting
            chosen = fitting[0] if is_first else self.random.choice(fitting)
            row.update(zip(reference.columns, chosen))
        elif all(self.table.column(name).is_not_null for name in reference.columns):
            return
        else:
            self._leave(row, reference)

    def _leaves_a_choice(self, reference: Reference, chosen: tuple[Value, ...]) -> bool:
        """Whether the references that share columns with this one can refer to something then."""
        values = dict(zip(reference.columns, chosen))
        others = (other for other in self.references if other is not reference)
        return all(
            any(
                all(values.get(name, value) == value for name, value in zip(other.columns, choice))
                for choice in self.references[other]
            )
            for other in others
            if set(other.columns) & set(reference.columns)
        )

    def _options(self, column: Column) -> list[Value]:
        return values_of(column, self.table.rules, self.work.number, self.random) or [None]

    def _change(self, row: Row, refusal: Refusal) -> None:
        """Give one of the columns to blame another value, now and then any other column."""
        blamed = [name for name in refusal.columns if name in row]
        names = blamed if blamed and self.random.random() < 0.85 else list(row)
        if not names:
            return
        name = self.random.choice(names)
        self.work.number += 1
        column = self.table.column(name)
        reference = self.referring.get(name)
        if reference is not None and (column.is_not_null or self.random.random() < 0.7):
            self._refer(row, reference)
            return
        options: list[Value] = [] if reference is not None else self._options(column)
        if not column.is_not_null:
            options.append(None)
        if column.has_default or column.is_numbered:
            options.append(OMIT)
        options += _sums(row, [one for one in blamed if one != name], column)
        row[name] = self.random.choice(options)


def _sums(row: Row, others: Sequence[str], column: Column) -> list[Value]:
    """Give what the other numbers that a rule is about make together."""
    if column.kind not in ("integer", "real"):
        return []
    numbers = [value for name in others if isinstance(value := row.get(name), (int, float))]
    if len(numbers) < 2:
        return []
    total = sum(numbers)
    return [total, *(2 * one - total for one in numbers)] * 8


def _close_circles(work: _Work) -> None:
    """Give the rows that were made before what they refer to their references."""
    for table, reference in work.late:
        if table.name in work.why:
            continue
        choices = work.bed.keys(reference.parent, reference.parent_columns)
        for turn, handle in enumerate(work.bed.loose(table, reference)):
            for offset in range(len(choices)):
                key = choices[(turn + offset) % len(choices)]
                if work.bed.refer(table, reference, handle, key) is None:
                    break


def _take_back(work: _Work, dangling: Mapping[tuple[str, Reference], int]) -> None:
    """Delete rows whose reference still leads nowhere; those that did before are somebody else's."""
    for _ in range(len(work.tables)):
        lost = 0
        for table in work.tables.values():
            for reference in table.references:
                if work.bed.dangling(table, reference) > dangling[table.name, reference]:
                    gone = work.bed.drop(table, reference)
                    work.made[table.name] = work.made.get(table.name, 0) - gone
                    work.why.setdefault(
                        table.name, f"a row of {reference.parent} and one of its own need each other"
                    )
                    lost += gone
        if not lost:
            return
