"""A change of a schema in neutral words, so that every tool can be told the same.

Made from the two schemas by the package's own snapshots; knows no tool.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datalayer.schema.change.consent import Consent
from datalayer.schema.change.pairing import Pair, pair_up
from datalayer.schema.loading import load
from datalayer.schema.snapshot import Check, Column, ForeignKey, Schema, Table, Unique, read
from datalayer.schema.tokens import canonical, fold, quote, tokenize

__all__ = ["CannotExpress", "TableWish", "Wish", "done_around", "read_wish"]


class CannotExpress(Exception):
    """The tool has no words for this change."""


@dataclass(frozen=True, slots=True)
class TableWish:
    """What shall become of one table.

    Columns are keyed by their old names; `beyond` says what no tool is asked in neutral words.
    """

    table: str
    new_name: str
    pair: Pair
    added: tuple[Column, ...]
    dropped: tuple[Column, ...]
    renames: Mapping[str, str]
    types: Mapping[str, Column]
    not_null: Mapping[str, bool]
    defaults: Mapping[str, str | None]
    new_checks: tuple[Check, ...]
    gone_checks: tuple[Check, ...]
    new_uniques: tuple[Unique, ...]
    gone_uniques: tuple[Unique, ...]
    new_references: tuple[ForeignKey, ...]
    gone_references: tuple[ForeignKey, ...]
    is_reordered: bool
    new_key: tuple[str, ...] | None
    is_strict: bool | None
    beyond: tuple[str, ...]

    @property
    def is_empty(self) -> bool:
        """Whether only the name changes, if that."""
        parts = (
            *(self.added, self.dropped, self.renames, self.types, self.not_null, self.defaults),
            *(self.new_checks, self.gone_checks, self.new_uniques, self.gone_uniques),
            *(self.new_references, self.gone_references, self.is_reordered, self.beyond),
        )
        return not any(parts) and self.new_key is None and self.is_strict is None


@dataclass(frozen=True, slots=True)
class Wish:
    """Everything that shall change in a file; `before` and `after` are SQL that runs around the tables."""

    found: Schema
    wanted: Schema
    tables: tuple[TableWish, ...]
    dropped: tuple[Table, ...]
    created: tuple[Table, ...]
    before: tuple[str, ...] = ()
    after: tuple[tuple[str, str, str], ...] = field(default=())
    header: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing for a tool to do."""
        return not (self.tables or self.dropped or self.created or self.before or self.after or self.header)


def read_wish(path: Path, script: str, renames: Mapping[str, str]) -> Wish:
    """Say what leads from the file at `path` to the schema that `script` makes.

    Raises CannotExpress where that is more than words for tables, columns and rules can say.
    """
    with closing(sqlite3.connect(path)) as connection:
        found = read(connection)
    with closing(load(script, source="the case")) as connection:
        wanted = read(connection)
    pairing = pair_up(found, wanted, Consent(dict(renames)), exact=True)
    names = found.names | wanted.names
    if any(pair.found.kind != "table" or pair.wanted.kind != "table" for pair in pairing.pairs):
        _refuse_other_kinds(pairing.pairs)
    pairs = [pair for pair in pairing.pairs if pair.wanted.kind == "table"]
    known = {fold(pair.found.name): pair for pair in pairs}
    tables = [_table_wish(pair, names, known) for pair in pairs]
    tables = [one for one in tables if not one.is_empty or one.table != one.new_name]
    before, after = _around(found, wanted, names)
    before += tuple(_fillings(found, tables))
    header = tuple(
        f"PRAGMA {name} = {getattr(wanted, name)}"
        for name in ("user_version", "application_id")
        if name in script.lower() and getattr(wanted, name) != getattr(found, name)
    )
    return Wish(found, wanted, tuple(tables), pairing.dropped, pairing.created, before, after, header)


def done_around(connection: sqlite3.Connection, wish: Wish) -> Iterator[None]:
    """Do what is left to SQL: before the tool at the first step, after it at the second."""
    for sql in wish.before:
        connection.execute(sql)
    yield
    present = {
        (str(kind), fold(str(name)))
        for kind, name in connection.execute("SELECT type, name FROM sqlite_schema").fetchall()
    }
    for kind, name, sql in wish.after:
        if (kind, fold(name)) not in present:
            connection.execute(sql)
    for sql in wish.header:
        connection.execute(sql)
    yield


def _fillings(found: Schema, tables: Sequence[TableWish]) -> Iterator[str]:
    """Give what a user runs before a column becomes NOT NULL: its default for the rows that are NULL."""
    for wish in tables:
        is_watched = any(fold(trigger.table) == fold(wish.table) for trigger in found.triggers)
        for name, is_not_null in wish.not_null.items():
            column = wish.pair.wanted.column(wish.renames.get(name, name))
            if is_not_null and column is not None and column.default is not None and not is_watched:
                goal = quote(name)
                yield f"UPDATE {quote(wish.table)} SET {goal} = ({column.default}) WHERE {goal} IS NULL"


def _refuse_other_kinds(pairs: tuple[Pair, ...]) -> None:
    for pair in pairs:
        if {pair.found.kind, pair.wanted.kind} == {"table"}:
            continue
        same = canonical(tokenize(pair.found.sql)) == canonical(tokenize(pair.wanted.sql))
        if not same or pair.found.name != pair.wanted.name:
            raise CannotExpress("a virtual table changes")


def _around(
    found: Schema, wanted: Schema, names: frozenset[str]
) -> tuple[tuple[str, ...], tuple[tuple[str, str, str], ...]]:
    """Give drops of what goes or changes, and the statements of what is new, changed, or may be lost."""
    old, new = _objects(found, names), _objects(wanted, names)
    nothing: tuple[str, str, object] = ("", "", None)
    gone = [key for key, (_, _, shape) in old.items() if shape != new.get(key, nothing)[2]]
    changed = [key for key, (_, _, shape) in new.items() if old.get(key, nothing)[2] != shape]
    if any(kind == "view" for kind, _ in gone):
        # views stand on views: without one of them, SQLite lets no table be renamed
        views = {fold(view.name) for view in (*found.views, *wanted.views)}
        on_views = {fold(t.name) for t in (*found.triggers, *wanted.triggers) if fold(t.table) in views}
        moved = [("view", name) for name in views] + [("trigger", name) for name in on_views]
        gone += [key for key in old if key in moved and key not in gone]
        changed += [key for key in new if key in moved and key not in changed]
    # triggers of one table fire in the order in which they were made
    tables = {fold(t.name): fold(t.table) for t in (*found.triggers, *wanted.triggers)}
    again = {tables[name] for kind, name in (*gone, *changed) if kind == "trigger"}
    gone += [key for key in old if key[0] == "trigger" and tables[key[1]] in again and key not in gone]
    changed += [key for key in new if key[0] == "trigger" and tables[key[1]] in again]
    changed = [key for key in new if key in changed]
    kinds = ("trigger", "view", "index")
    before = [
        f"DROP {kind.upper()} {quote(old[kind, name][0])}"
        for wished in kinds
        for kind, name in gone
        if kind == wished
    ]
    after = [(key[0], new[key][0], new[key][1]) for key in changed]
    return tuple(before), tuple(sorted(after, key=lambda one: ("index", "view", "trigger").index(one[0])))


def _objects(
    schema: Schema, names: frozenset[str]
) -> dict[tuple[str, str], tuple[str, str, tuple[object, ...]]]:
    objects = [
        *(("index", index.name, index.sql) for table in schema.tables for index in table.indexes),
        *(("view", view.name, view.sql) for view in schema.views),
        *(("trigger", trigger.name, trigger.sql) for trigger in schema.triggers),
    ]
    return {
        (kind, fold(name)): (name, sql, tuple(canonical(tokenize(sql), names))) for kind, name, sql in objects
    }


def _table_wish(pair: Pair, names: frozenset[str], known: Mapping[str, Pair]) -> TableWish:
    found, wanted = pair.found, pair.wanted
    kept = [
        (source, column)
        for column in wanted.columns
        if (source := pair.source(column)) and not column.is_hidden
    ]
    now = {fold(source.name): fold(column.name) for source, column in kept}
    is_key_changed = _key(found, now) != _key(wanted, {})
    return TableWish(
        found.name,
        wanted.name,
        pair,
        tuple(pair.added),
        tuple(pair.dropped),
        {old.name: new.name for old, new in kept if old.name != new.name},
        {old.name: new for old, new in kept if _words(old.type) != _words(new.type)},
        {
            old.name: new.is_not_null
            for old, new in kept
            if old.is_not_null != new.is_not_null and new is not wanted.rowid_column
        },
        {
            old.name: new.default
            for old, new in kept
            if _said(old.default, names) != _said(new.default, names)
        },
        *_rules(pair, names, now, known),
        _is_reordered(pair),
        tuple(column.name for column in sorted(wanted.columns, key=_place) if column.key_position)
        if is_key_changed
        else None,
        wanted.is_strict if wanted.is_strict != found.is_strict else None,
        tuple(_beyond(pair, kept, names)),
    )


def _place(column: Column) -> int:
    return column.key_position


def _words(text: str) -> list[str]:
    return fold(text).split()


def _said(text: str | None, names: frozenset[str]) -> object:
    return None if text is None else tuple(canonical(tokenize(text), names))


def _key(table: Table, now: Mapping[str, str]) -> list[str]:
    key = [column for column in sorted(table.columns, key=_place) if column.key_position]
    return [now.get(fold(column.name), fold(column.name)) for column in key]


def _is_reordered(pair: Pair) -> bool:
    """Whether columns stand otherwise than the kept ones in their order, then the new ones."""
    kept = {
        fold(source.name): column.name for column in pair.wanted.columns if (source := pair.source(column))
    }
    natural = [kept[fold(column.name)] for column in pair.found.columns if fold(column.name) in kept]
    natural += [column.name for column in pair.added]
    return natural != [column.name for column in pair.wanted.columns if not column.is_hidden]


def _rules(
    pair: Pair, names: frozenset[str], now: Mapping[str, str], known: Mapping[str, Pair]
) -> Iterator[tuple[Any, ...]]:
    """Give the checks, uniques and references that are new, and those that go, in the order of TableWish.

    `known` are all pairs: a reference follows the renames of its parent by itself.
    """
    found, wanted = pair.found, pair.wanted

    def check(one: Check, renamed: Mapping[str, str]) -> object:
        words = canonical(tokenize(one.expression), names)
        return [renamed.get(word, word) for word in words], one.name

    def unique(one: Unique, renamed: Mapping[str, str]) -> object:
        columns = [renamed.get(fold(term.column or ""), fold(term.column or "")) for term in one.terms]
        return columns, [(term.collation, term.descending) for term in one.terms], one.conflict

    def reference(one: ForeignKey, renamed: Mapping[str, str]) -> object:
        columns = [renamed.get(fold(name), fold(name)) for name in one.columns]
        parent = known.get(fold(one.parent)) if renamed is now else None
        after = {fold(old.name): new for new, old in parent.sources.items()} if parent else {}
        goal = (
            fold(parent.wanted.name if parent else one.parent),
            [after.get(fold(name), fold(name)) for name in one.parent_columns],
        )
        return columns, goal, one.on_delete, one.on_update, one.is_deferrable, one.is_deferred

    rules: list[tuple[Sequence[Any], Sequence[Any], Callable[[Any, Mapping[str, str]], object]]] = [
        (found.checks, wanted.checks, check),
        (found.uniques, wanted.uniques, unique),
        (found.foreign_keys, wanted.foreign_keys, reference),
    ]
    for old, new, shape in rules:
        before, after = [shape(one, now) for one in old], [shape(one, {}) for one in new]
        yield tuple(one for one, said in zip(new, after) if said not in before)
        yield tuple(one for one, said in zip(old, before) if said not in after)


def _beyond(pair: Pair, kept: list[tuple[Column, Column]], names: frozenset[str]) -> Iterator[str]:
    """Name what changes without a word for it in TableWish."""
    found, wanted = pair.found, pair.wanted
    if found.is_without_rowid != wanted.is_without_rowid:
        yield "WITHOUT ROWID"
    first, last = found.primary_key, wanted.primary_key
    if bool(first and first.autoincrement) != bool(last and last.autoincrement):
        yield "AUTOINCREMENT"
    if (first and first.conflict) != (last and last.conflict) or [
        (term.collation, term.descending) for term in (first.terms if first else ())
    ] != [(term.collation, term.descending) for term in (last.terms if last else ())]:
        yield "the order or conflict clause of the primary key"
    for old, new in kept:
        if fold(old.collation or "binary") != fold(new.collation or "binary"):
            yield f"the collation of {new.name}"
        if _said(old.generated, names) != _said(new.generated, names) or old.is_stored != new.is_stored:
            yield f"the computation of {new.name}"
        if old.conflict != new.conflict:
            yield f"the conflict clause of {new.name}"
    for column in pair.added:
        if column.collation or column.generated is not None or column.conflict:
            yield f"the collation, computation or conflict clause of {column.name}"
