"""A plan done on a SQLite database, inside one write transaction that its caller holds.

Order: triggers and views out, tables moved aside, new ones made and filled and proved, texts changed,
indexes, views and triggers made, numbering restored, references checked, the whole schema compared with the
wanted one. Any exception leaves the transaction to be rolled back by the caller.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count

from datalayer.errors import MigrationRefused
from datalayer.schema.change import breaches, numbering, schema_text
from datalayer.schema.change.breaches import Breach
from datalayer.schema.change.consent import Consent
from datalayer.schema.change.copying import (
    Advance,
    changed_rows,
    copy,
    count_rows,
    external_content,
    is_complete,
)
from datalayer.schema.change.layout import collation_of, converts
from datalayer.schema.change.pairing import Pair
from datalayer.schema.change.planning import Change, Plan, as_rebuild
from datalayer.schema.change.projection import default_expression, is_filled, quote
from datalayer.schema.snapshot import Column, ForeignKey, Schema, Table, read
from datalayer.schema.tokens import fold

__all__ = ["apply", "refuse"]


@dataclass(slots=True)
class _Work:
    """A plan while it is being done."""

    connection: sqlite3.Connection
    plan: Plan
    consent: Consent
    advance: Advance
    order: Sequence[tuple[str, str]]
    # what a table is called while another one takes its name, by its folded name
    aside: dict[str, str] = field(default_factory=dict[str, str])
    # rows of the tables made anew, by their folded names
    rows: dict[str, int] = field(default_factory=dict[str, int])

    def run(self, sql: str) -> None:
        self.connection.execute(sql)


def apply(
    connection: sqlite3.Connection,
    plan: Plan,
    consent: Consent,
    order: Sequence[tuple[str, str]],
    advance: Advance,
) -> None:
    """Do a plan. `order` are the (type, name) of the wanted schema's rows in sqlite_schema.

    Foreign keys must be off, and a write transaction open. Raises MigrationRefused naming the rows that a
    new rule refuses or that would change; sqlite3.Error for what the file refuses (full, read-only, damaged).
    """
    plan = _settle_defaults(connection, plan)
    work = _Work(connection, plan, consent, advance, order)
    kept = numbering.remember(connection)
    _drop_what_looks(work)
    _drop_gone(work)
    _move_aside(work)
    _make_tables(work)
    _retell(work)
    # a full-text table may read the table whose text it indexes, so that one comes first
    _make_virtual_tables(work)
    _make_indexes(work)
    _make_views_and_triggers(work)
    numbering.restore(connection, plan, kept)
    _set_header(work)
    if schema_text.can_write(connection):
        schema_text.put_in_order(connection, order, _texts(plan))
    _check_references(work)
    _check_what_is_kept(work)
    _prove_schema(work)


def refuse(found: Sequence[Breach], hint: str) -> MigrationRefused:
    """Make the error that names what stands in the way."""
    first = found[0]
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    rows = "; ".join(", ".join(f"{name} {value}" for name, value in row.items()) for row in first.rows[:3])
    return MigrationRefused(
        f"{first.table}: {first.message}{more}; nothing was changed",
        why=f"{first.count} rows, such as {rows}" if rows else f"{first.count} rows",
        hint=hint,
        findings=[breach.finding() for breach in found],
    )


def _settle_defaults(connection: sqlite3.Connection, plan: Plan) -> Plan:
    """Rebuild a table after all where rows take a value from the DEFAULT that is about to change.

    A row that is older than a column added by ALTER TABLE has no value stored for it: SQLite answers the
    default of the day (sqlite.org/lang_altertable.html, 4). The change is tried, and undone if such a row
    shows.
    """
    for change in plan.changes:
        if change.way not in ("alter", "scan") or not change.new_defaults:
            continue
        if _rows_lean_on_default(connection, change):
            plan = as_rebuild(plan, change, "rows take their value from the old default")
    return plan


def _rows_lean_on_default(connection: sqlite3.Connection, change: Change) -> bool:
    found = change.pair.found
    sources = [change.pair.source(column) for column in change.new_defaults]
    columns = [column for column in sources if column is not None]
    counts = [_count_default(connection, found, column) for column in columns]
    if not any(counts):
        return False
    if [column.name for column in found.columns] != [column.name for column in change.pair.wanted.columns]:
        # the text cannot be tried while the indexes still speak of the old names
        return True
    connection.execute("SAVEPOINT datalayer_default")
    try:
        text = change.pair.wanted.sql
        schema_text.retell(connection, {("table", found.name): text})
        return counts != [_count_default(connection, found, column) for column in columns]
    finally:
        connection.execute("ROLLBACK TO datalayer_default")
        connection.execute("RELEASE datalayer_default")
        connection.execute("PRAGMA writable_schema = RESET")


def _count_default(connection: sqlite3.Connection, table: Table, column: Column) -> int:
    value = default_expression(column) or "NULL"
    condition = f"{quote(column.name)} IS ({value}) COLLATE BINARY"
    # an index holds the value that the default gave when it was made
    sql = f"SELECT count(*) FROM {quote(table.name)} NOT INDEXED WHERE {condition}"
    return int(connection.execute(sql).fetchone()[0])


# -- out of the way --------------------------------------------------------------------------------


def _drop_what_looks(work: _Work) -> None:
    """Drop triggers, which would fire, and views, which a rename would trip over."""
    for trigger in work.plan.dropped_triggers:
        work.run(f"DROP TRIGGER IF EXISTS {quote(trigger.name)}")
    for view in work.plan.dropped_views:
        work.run(f"DROP VIEW {quote(view.name)}")


def _drop_gone(work: _Work) -> None:
    """Drop indexes and tables that the wanted schema lacks, where they are empty or the user said so."""
    for index in work.plan.dropped_indexes:
        work.run(f"DROP INDEX {quote(index.name)}")
    for table in work.plan.pairing.dropped:
        work.run(f"DROP TABLE {quote(table.name)}")


def _move_aside(work: _Work) -> None:
    """Give every table that moves a name of its own, then those that are only renamed their new one.

    legacy_alter_table keeps other objects from following (sqlite.org/pragma.html#pragma_legacy_alter_table);
    through names of their own, tables can also swap theirs.
    """
    moving = [change for change in work.plan.changes if change.moves]
    if not moving:
        return
    taken = {
        fold(str(row[0])) for row in work.connection.execute("SELECT name FROM sqlite_schema").fetchall()
    }
    taken |= {fold(name) for _, name in work.order}
    work.run("PRAGMA legacy_alter_table = ON")
    try:
        for number, change in enumerate(moving):
            name = f"datalayer_aside_{number}"
            while name in taken:
                name += "_"
            taken.add(name)
            work.run(f"ALTER TABLE {quote(change.pair.found.name)} RENAME TO {quote(name)}")
            work.aside[fold(change.pair.found.name)] = name
        for change in moving:
            if change.way != "rebuild":
                old = work.aside.pop(fold(change.pair.found.name))
                work.run(f"ALTER TABLE {quote(old)} RENAME TO {quote(change.pair.wanted.name)}")
    finally:
        work.run("PRAGMA legacy_alter_table = OFF")


# -- tables ----------------------------------------------------------------------------------------


def _make_tables(work: _Work) -> None:
    for table in work.plan.pairing.created:
        if table.kind != "virtual":
            work.run(table.sql)
    for change in work.plan.rebuilt:
        if change.pair.wanted.kind != "virtual":
            _rebuild(work, change)


def _make_virtual_tables(work: _Work) -> None:
    for change in work.plan.rebuilt:
        if change.pair.wanted.kind == "virtual":
            _rebuild(work, change)
    for table in work.plan.pairing.created:
        if table.kind == "virtual":
            work.run(table.sql)
            if external_content(table.sql):
                work.run(f"INSERT INTO {quote(table.name)} ({quote(table.name)}) VALUES ('rebuild')")


def _rebuild(work: _Work, change: Change) -> None:
    pair, connection = change.pair, work.connection
    old = work.aside[fold(pair.found.name)]
    # one that keeps its text elsewhere would look for it there, under names that may have changed
    rows = 0 if external_content(pair.found.sql) else count_rows(connection, old)
    work.run(pair.wanted.sql)
    if rows and _is_contentless(pair.found):
        raise MigrationRefused(
            f"{pair.found.name} keeps no text of its own, so it cannot be made anew; nothing was changed",
            hint=f"let it go by --drop-table {pair.found.name}, then fill a new one from the texts' table",
        )
    try:
        copy(connection, pair, old, rows, work.advance)
    except sqlite3.IntegrityError as exc:
        raise _explain(connection, pair, old, exc) from exc
    released = frozenset(_released(pair, work.consent))
    if not is_complete(connection, pair, old, rows, may_change=released):
        raise _changed(connection, pair, old, released)
    work.run(f"DROP TABLE {quote(old)}")
    work.rows[fold(pair.wanted.name)] = rows


def _is_contentless(table: Table) -> bool:
    return table.kind == "virtual" and "content=''" in table.sql.replace(" ", "").replace('"', "'").lower()


def _released(pair: Pair, consent: Consent) -> Iterator[str]:
    """Give the wanted columns whose values the user lets a new type or a computation change."""
    for column in pair.wanted.columns:
        source = pair.source(column)
        if source is None:
            continue
        is_computed = column.generated is not None and consent.may_drop_column(pair.found.name, source.name)
        if is_computed or (consent.allow_data_loss and converts(pair, column)):
            yield column.name


def _explain(
    connection: sqlite3.Connection, pair: Pair, old: str, exc: sqlite3.IntegrityError
) -> MigrationRefused:
    """Name the rows that the new table refuses."""
    try:
        found = list(breaches.of_pair(connection, pair, old))
    except sqlite3.Error:
        # a rule that can only be computed in its own table: what SQLite said is all there is
        found = []
    if not found:
        return MigrationRefused(
            f"rows of {pair.found.name} break a rule of the new table; nothing was changed",
            why=str(exc),
            hint="correct the rows or the schema",
            findings=[Breach("rule", pair.found.name, pair.wanted.name, 0, str(exc), ()).finding()],
        )
    return refuse(found, "correct these rows, or the schema")


def _changed(
    connection: sqlite3.Connection, pair: Pair, old: str, released: frozenset[str]
) -> MigrationRefused:
    """Name the values that would be others in the new table."""
    found = [
        Breach(
            "changed-value",
            pair.found.name,
            column.name,
            count,
            f"the values of {column.name} would change as {column.type or 'a column without type'}",
            tuple(rows),
        )
        for column, count, rows in changed_rows(connection, pair, old, breaches.MOST_ROWS)
        if column.name not in released
    ]
    if found:
        return refuse(found, "correct these rows, keep the type, or say --allow-data-loss")
    found = list(breaches.of_pair(connection, pair, old))
    if found:
        return refuse(found, "correct these rows, or the schema")
    return MigrationRefused(
        f"the copy of {pair.found.name} is not the same as the table; nothing was changed",
        why=f"{count_rows(connection, old)} rows, {count_rows(connection, pair.wanted.name)} in the copy",
        hint="keep the file and report this",
    )


# -- texts and what stands on tables ---------------------------------------------------------------


def _retell(work: _Work) -> None:
    """Change the texts of tables whose rows stay, and hold the rows to what is new in them."""
    texts: dict[tuple[str, str], str] = {}
    for change in work.plan.retold:
        pair = change.pair
        for column in pair.wanted.columns:
            if is_filled(pair, column) and column in change.new_not_null:
                _fill(work, pair, column)
        taken = {fold(column.name) for column in (*pair.found.columns, *pair.wanted.columns)}
        for number, column in enumerate(pair.added):
            name = next(
                name for name in (f"new_{number}{'_' * more}" for more in count()) if name not in taken
            )
            work.run(f"ALTER TABLE {quote(pair.wanted.name)} ADD COLUMN {quote(name)} {_bare(column)}")
        texts["table", pair.wanted.name] = pair.wanted.sql
    for index in work.plan.retold_indexes:
        texts["index", index.name] = index.sql
    schema_text.retell(work.connection, texts)
    found: list[Breach] = []
    for change in work.plan.retold:
        found += _scan(work.connection, change)
    if found:
        raise refuse(found, "correct these rows, or the schema")


def _fill(work: _Work, pair: Pair, column: Column) -> None:
    source = pair.source(column)
    assert source is not None
    name = quote(source.name)
    work.run(
        f"UPDATE OR ABORT {quote(pair.wanted.name)} SET {name} = ({default_expression(column)})"
        f" WHERE {name} IS NULL"
    )


def _bare(column: Column) -> str:
    """Give a column's type and default alone.

    Its name may still be another column's, and its rules speak of columns by their new names: the whole text
    comes right after, and the rows are looked at then. A VIRTUAL column has no place in a row, nor has one
    without default that no row has a value of.
    """
    has_default = column.default is not None and column.generated is None
    return f"{column.type} DEFAULT {column.default}" if has_default else column.type


def _scan(connection: sqlite3.Connection, change: Change) -> Iterator[Breach]:
    table = change.pair.wanted
    source = breaches.in_place(table)
    for column in change.new_not_null:
        yield from breaches.nulls(connection, source, table, column)
    yield from breaches.broken_checks(connection, source, table, change.new_checks)
    if change.becomes_strict:
        yield from breaches.wrong_types(connection, source, table)


def _make_indexes(work: _Work) -> None:
    for index in work.plan.created_indexes:
        try:
            work.run(index.sql)
        except sqlite3.IntegrityError as exc:
            table = work.plan.wanted.table(index.table)
            found = list(breaches.of_index(work.connection, table, index)) if table else []
            if not found:
                raise MigrationRefused(
                    f"index {index.name} cannot be made; nothing was changed", why=str(exc)
                ) from exc
            raise refuse(found, "correct these rows, or the schema") from exc
        work.advance(work.rows.get(fold(index.table), 0))


def _make_views_and_triggers(work: _Work) -> None:
    for view in work.plan.created_views:
        work.run(view.sql)
    for trigger in work.plan.created_triggers:
        try:
            work.run(trigger.sql)
        except sqlite3.OperationalError as exc:
            if exc.sqlite_errorname != "SQLITE_ERROR":
                raise
            raise MigrationRefused(
                f"trigger {trigger.name} on {trigger.table} does not fit the new schema; nothing was changed",
                why=str(exc),
                hint="drop the trigger first, or add what it needs to the schema",
            ) from exc


def _set_header(work: _Work) -> None:
    if work.plan.user_version is not None:
        work.run(f"PRAGMA user_version = {work.plan.user_version}")
    if work.plan.application_id is not None:
        work.run(f"PRAGMA application_id = {work.plan.application_id}")


def _texts(plan: Plan) -> dict[tuple[str, str], str]:
    """Give the texts as SQLite holds them in a new database of the wanted schema."""
    texts = {
        ("table", change.pair.wanted.name): change.pair.wanted.sql
        for change in plan.changes
        if change.way != "nothing"
    }
    return {key: text for key, text in texts.items() if not text.upper().startswith("CREATE VIRTUAL")} | {
        ("index", index.name): index.sql for index in (*plan.created_indexes, *plan.retold_indexes)
    }


# -- proof of the whole ----------------------------------------------------------------------------


def _check_references(work: _Work) -> None:
    """Look at the references that are new, or of which either end has changed its type or collation."""
    found: list[Breach] = []
    for change in work.plan.changes:
        table = change.pair.wanted
        for key in table.foreign_keys:
            if key in change.new_references or _has_other_ends(work.plan, change, key):
                parent = work.plan.wanted.table(key.parent)
                there = None if parent is None else breaches.in_place(parent)
                child = breaches.in_place(table)
                found += breaches.broken_references(work.connection, child, table, key, there)
    if found:
        raise refuse(found, "correct these rows, or add the rows that they refer to")


def _has_other_ends(plan: Plan, change: Change, key: ForeignKey) -> bool:
    ends = [(change.pair, name) for name in key.columns]
    parent = plan.pairing.pair_of(key.parent)
    if parent is None and plan.found.table(key.parent) is not None:
        return True
    if parent is not None:
        names = key.parent_columns or tuple(c.name for c in parent.wanted.columns if c.key_position)
        ends += [(parent, name) for name in names]
    return any(_is_other(pair, name) for pair, name in ends)


def _is_other(pair: Pair, name: str) -> bool:
    column, source = pair.wanted.column(name), pair.source(name)
    if column is None or source is None:
        return True
    return converts(pair, column) or collation_of(column) != collation_of(source) or is_filled(pair, column)


def _check_what_is_kept(work: _Work) -> None:
    """See that the views and triggers of somebody else, made again, still find what they speak of."""
    wanted = {fold(one.name) for one in (*work.plan.wanted.views, *work.plan.wanted.triggers)}
    for view in work.plan.created_views:
        if fold(view.name) not in wanted:
            _compile(work, f"view {view.name}", f"SELECT * FROM {quote(view.name)}")
    for trigger in work.plan.created_triggers:
        if fold(trigger.name) not in wanted:
            table = quote(trigger.table)
            column = quote(str(work.connection.execute(f"SELECT * FROM {table} LIMIT 0").description[0][0]))
            for sql in (
                f"INSERT INTO {table} DEFAULT VALUES",
                f"UPDATE {table} SET {column} = {column}",
                f"DELETE FROM {table}",
            ):
                _compile(work, f"trigger {trigger.name}", sql)


def _compile(work: _Work, name: str, sql: str) -> None:
    try:
        work.connection.execute(f"EXPLAIN {sql}").fetchall()
    except sqlite3.OperationalError as exc:
        if exc.sqlite_errorname != "SQLITE_ERROR":
            raise
        raise MigrationRefused(
            f"{name} is no part of the schema and would not work any more; nothing was changed",
            why=str(exc),
            hint="drop it, or change it once the migration is through",
        ) from exc


def _prove_schema(work: _Work) -> None:
    """Compare what stands in the file now with the wanted schema, object by object."""
    now = read(work.connection)
    wanted, made = work.plan.wanted.shapes(now.names), now.shapes(work.plan.wanted.names)
    wrong = [f"{kind} {name}" for (kind, name), shape in wanted.items() if made.get((kind, name)) != shape]
    wrong = [one for one in wrong if one not in _left_alone(work.plan)]
    extra = _extra(work.plan, now)
    if wrong or extra:
        raise MigrationRefused(
            "the database did not come out as the schema wants it; nothing was changed",
            why=", ".join([*wrong, *(f"{name} is left over" for name in extra)][:8]),
            hint="keep the file and report this",
        )


def _left_alone(plan: Plan) -> set[str]:
    return {f"table {fold(change.pair.wanted.name)}" for change in plan.changes if change.way == "nothing"}


def _extra(plan: Plan, now: Schema) -> list[str]:
    known = {fold(table.name) for table in (*plan.wanted.tables, *plan.pairing.kept)}
    return [table.name for table in now.tables if table.kind != "shadow" and fold(table.name) not in known]
