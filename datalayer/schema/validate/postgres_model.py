"""What PostgreSQL's files make, followed from file to file: which tables, columns and types are known when.

A light model, kept by statements that were read from their tokens; nothing is run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from datalayer.schema.tokens import Statement
from datalayer.schema.validate.postgres_block import is_plain, unfolded
from datalayer.schema.validate.postgres_change import Change, Constraint, changes_of
from datalayer.schema.validate.postgres_type import name_of
from datalayer.schema.validate.source import Source

__all__ = ["Event", "Known", "KnownTable", "Model"]


@dataclass(slots=True)
class KnownTable:
    """A table as the files made it; `columns` are (type, is not null) by name."""

    name: str
    maker: Source
    line: int
    columns: dict[str, Change] = field(default_factory=dict[str, Change])
    constraints: list[Constraint] = field(default_factory=list[Constraint])
    triggers: set[str] = field(default_factory=set[str])
    is_open: bool = False
    origin: object = field(default_factory=object)

    def copy(self) -> KnownTable:
        """Give it as it is now; `origin` stays the same through copies and new names."""
        own = {"columns": {**self.columns}, "constraints": [*self.constraints], "triggers": {*self.triggers}}
        return replace(self, **own)


@dataclass(slots=True)
class Known:
    """Everything known at one moment."""

    tables: dict[str, KnownTable] = field(default_factory=dict[str, KnownTable])
    indexes: dict[str, tuple[Source, Change]] = field(default_factory=dict[str, "tuple[Source, Change]"])
    enums: dict[str, tuple[str, ...]] = field(default_factory=dict[str, "tuple[str, ...]"])
    relations: set[str] = field(default_factory=set[str])

    def copy(self) -> Known:
        """Give what is known now."""
        tables = {name: table.copy() for name, table in self.tables.items()}
        return Known(tables, {**self.indexes}, {**self.enums}, {*self.relations})


@dataclass(frozen=True, slots=True)
class Event:
    """One change with what was known just before it.

    `table` is the table it is about, None where the files have not made it; `is_new` that the same file made
    it. `existing` is the index or table of that name before a CREATE; `columns`, `constraints` and `enums`
    are those of before too. `is_certain` that no call before it may have made what is not known.
    `inner` is the statement itself, where `statement` is the block around it. `unknown_keys` are columns that
    a foreign key names and the parent has not, as (parent, column, its columns).
    """

    source: Source
    statement: Statement
    change: Change
    table: KnownTable | None
    is_new: bool
    known_tables: frozenset[str]
    known_relations: frozenset[str]
    columns: dict[str, Change]
    existing: Change | None = None
    constraints: tuple[Constraint, ...] = ()
    enums: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, "tuple[str, ...]"])
    is_certain: bool = True
    inner: Statement | None = None
    unknown_keys: tuple[tuple[str, str, tuple[str, ...]], ...] = ()


class Model:
    """The files followed one after the other."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self.known = Known()
        self.events: list[Event] = []
        self.made: dict[str, tuple[Source, int]] = {}
        self.dropped: dict[str, tuple[Source, int]] = {}
        self.around: dict[str, tuple[Known, Known]] = {}
        self._functions: set[str] = set()
        is_certain = True
        for source in sources:
            before = self.known.copy()
            is_certain = is_certain and source.is_sql
            for statement in source.statements:
                is_certain = is_certain and not self._may_make_anything(statement)
                found = ((one, change) for one in unfolded(statement) for change in changes_of(one))
                for inner, change in found:
                    event = self._event(source, statement, change, is_certain=is_certain)
                    keys = tuple(self._unknown_keys(change))
                    self.events.append(replace(event, inner=inner, unknown_keys=keys))
                    self._apply(source, change)
            if any(event.change.kind == "drop table" for event in self.of(source)):
                self.around[source.name] = (before, self.known.copy())

    def of(self, source: Source) -> list[Event]:
        """Give the changes of one file."""
        return [event for event in self.events if event.source is source]

    def _may_make_anything(self, statement: Statement) -> bool:
        """Say whether it is a call, or a block with one: of a function of the files, where it is SELECT."""
        names = [name_of(token) for token in statement.tokens]
        if statement.verb == "CREATE":
            words = [token.upper for token in statement.tokens[:4]]
            if "FUNCTION" in words or "PROCEDURE" in words:
                end = next((place for place, name in enumerate(names) if name == "("), len(names))
                self._functions.add(names[end - 1])
        if statement.verb == "DO":
            return not is_plain(statement)
        is_call = statement.verb == "SELECT" and any(
            name in self._functions and after == "(" for name, after in pairwise(names)
        )
        # names without a schema lead elsewhere from here on
        leads_elsewhere = statement.verb == "SET" and "search_path" in names and "public" not in names
        return is_call or leads_elsewhere or statement.verb in ("CALL", "EXECUTE")

    def _event(self, source: Source, statement: Statement, change: Change, *, is_certain: bool) -> Event:
        known = self.known
        table = known.tables.get(change.table)
        existing = None
        if change.kind in ("create index", "drop index") and change.name in known.indexes:
            existing = known.indexes[change.name][1]
        elif change.kind in ("create table", "create relation") and table is not None:
            existing = Change("create table", table.line, table.name, inner=tuple(table.columns.values()))
        return Event(
            source,
            statement,
            change,
            table,
            table is not None and table.maker is source,
            frozenset(known.tables),
            frozenset(known.relations),
            dict(table.columns) if table else {},
            existing,
            tuple(table.constraints) if table else (),
            {**known.enums},
            is_certain,
        )

    def _unknown_keys(self, change: Change) -> Iterator[tuple[str, str, tuple[str, ...]]]:
        for key in change.constraints:
            parent = self.known.tables.get(key.parent)
            if key.kind == "FOREIGN" and parent is not None and not parent.is_open:
                known = (*parent.columns, *([change.name] if key.parent == change.table else []))
                yield from ((key.parent, one, known) for one in key.parent_columns if one not in known)

    def _apply(self, source: Source, change: Change) -> None:
        known = self.known
        table = known.tables.get(change.table)
        if change.kind == "create table":
            if table is None:
                self._make(source, change)
        elif change.kind in ("create relation", "create part", "create type", "create domain"):
            known.relations.add(change.name)
        elif change.kind == "drop schema":
            self._drop_schema(source, change)
        elif change.kind == "create index":
            known.indexes.setdefault(change.name, (source, change))
        elif change.kind == "create enum" or (change.kind == "add value" and change.name in known.enums):
            known.enums[change.name] = known.enums.get(change.name, ()) + change.labels
        elif change.kind == "rename value" and change.name in known.enums:
            old, new = change.labels
            known.enums[change.name] = tuple(new if one == old else one for one in known.enums[change.name])
        elif change.kind == "rename type" and change.name in known.enums:
            known.enums[change.other] = known.enums.pop(change.name)
            for columns in (table.columns for table in known.tables.values()):
                columns.update(
                    (name, replace(column, other=change.other))
                    for name, column in columns.items()
                    if column.other == change.name
                )
        elif change.kind.startswith("drop ") and change.kind.endswith(("table", "index", "relation", "type")):
            self._drop(source, change)
        elif change.kind == "rename table" and table is not None:
            table.name = change.other
            known.tables[change.other] = known.tables.pop(change.table)
            for name, (maker, index) in [*known.indexes.items()]:
                if index.table == change.table:
                    known.indexes[name] = (maker, replace(index, table=change.other))
            self.dropped[change.table] = (source, change.line)
            self.made[change.other] = (source, change.line)
        elif change.kind == "rename index" and change.name in known.indexes:
            known.indexes[change.other] = known.indexes.pop(change.name)
        elif table is not None:
            _apply_to_table(table, change)

    def _drop_schema(self, source: Source, change: Change) -> None:
        known = self.known
        for name in [*known.tables, *known.relations]:
            schema, _, _ = name.rpartition(".")
            if (schema or "public") == change.name:
                self._drop(source, replace(change, kind="drop table", name=name))

    def _make(self, source: Source, change: Change) -> None:
        columns = {column.name: column for column in change.inner}
        self.known.tables[change.table] = KnownTable(
            change.table, source, change.line, columns, list(change.constraints), is_open=change.is_open
        )
        self.made[change.table] = (source, change.line)

    def _drop(self, source: Source, change: Change) -> None:
        known = self.known
        if change.kind == "drop table" and known.tables.pop(change.name, None) is not None:
            self.dropped[change.name] = (source, change.line)
            for name, (_, index) in [*known.indexes.items()]:
                if index.table == change.name:
                    del known.indexes[name]
        elif change.kind == "drop index":
            known.indexes.pop(change.name, None)
        elif change.kind == "drop type":
            known.enums.pop(change.name, None)
        known.relations.discard(change.name)


def _apply_to_table(table: KnownTable, change: Change) -> None:
    columns = table.columns
    if change.kind == "add column":
        columns.setdefault(change.name, change)
        table.constraints.extend(change.constraints)
    elif change.kind == "drop column":
        columns.pop(change.name, None)
        table.constraints[:] = [one for one in table.constraints if change.name not in one.columns]
    elif change.kind == "rename column" and change.name in columns:
        columns[change.other] = replace(columns.pop(change.name), name=change.other)
    elif change.kind == "create trigger":
        table.triggers.add(change.name)
    elif change.kind == "drop trigger":
        table.triggers.discard(change.name)
    elif change.kind == "add constraint":
        table.constraints.extend(change.constraints)
    elif change.kind == "drop constraint":
        table.constraints[:] = [one for one in table.constraints if one.name != change.name]
    elif change.name in columns:
        columns[change.name] = _column_after(columns[change.name], change)


def _column_after(column: Change, change: Change) -> Change:
    if change.kind == "set type":
        return replace(column, other=change.other)
    if change.kind in ("set not null", "drop not null"):
        return replace(column, is_not_null=change.kind == "set not null")
    if change.kind in ("set default", "drop default"):
        return replace(column, default=change.default)
    return column
