"""A plan done on a SQLite database, inside one write transaction that its caller holds.

Order: triggers and views out, tables moved aside, new ones made and filled and proved, texts changed,
views, indexes and triggers made, numbering restored, references checked, the whole schema compared with the
wanted one. Any exception leaves the transaction to be rolled back by the caller.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count

from datalayer.errors import MigrationRefused
from datalayer.schema.change import breaches, external, numbering, schema_text
from datalayer.schema.change.breaches import Breach, refuse
from datalayer.schema.change.consent import Consent
from datalayer.schema.change.copying import (
    changed_rows,
    copy,
    count_rows,
    has_key_in_common,
    is_complete,
)
from datalayer.schema.change.defaults import settle_defaults
from datalayer.schema.change.layout import converts, is_computed_anew
from datalayer.schema.change.meter import Meter
from datalayer.schema.change.pairing import Pair
from datalayer.schema.change.planning import Change, Plan
from datalayer.schema.change.projection import default_expression, is_filled, quote
from datalayer.schema.change.proving import (
    check_references,
    check_what_is_kept,
    prove_schema,
    references_to_look_at,
)
from datalayer.schema.snapshot import Column
from datalayer.schema.tokens import fold
from datalayer.schema.virtual import read_virtual

__all__ = ["apply"]


@dataclass(slots=True)
class _Work:
    """A plan while it is being done."""

    connection: sqlite3.Connection
    plan: Plan
    consent: Consent
    meter: Meter
    order: Sequence[tuple[str, str]]
    # what a table is called while another one takes its name, by its folded name
    aside: dict[str, str] = field(default_factory=dict[str, str])
    # rows of the tables that are worked on, by their wanted names, folded
    rows: dict[str, int] = field(default_factory=dict[str, int])

    def run(self, sql: str) -> None:
        self.connection.execute(sql)


def apply(
    connection: sqlite3.Connection,
    plan: Plan,
    consent: Consent,
    order: Sequence[tuple[str, str]],
    meter: Meter,
) -> None:
    """Do a plan. `order` are the (type, name) of the wanted schema's rows in sqlite_schema.

    Foreign keys must be off, and a write transaction open. Raises MigrationRefused naming the rows that a
    new rule refuses or that would change; sqlite3.Error for what the file refuses (full, read-only, damaged).
    """
    plan = settle_defaults(connection, plan)
    work = _Work(connection, plan, consent, meter, order)
    meter.expect(_look_ahead(work))
    kept, indexed = numbering.remember(connection), external.right_ones(connection, plan)
    _drop_what_looks(work)
    _drop_gone(work)
    _move_aside(work)
    _make_tables(work)
    _retell(work)
    # a full-text table may read the table or the view whose text it indexes, so that one comes first
    for view in plan.created_views:
        work.run(view.sql)
    _make_virtual_tables(work)
    external.renew(connection, plan, indexed)
    _make_indexes(work)
    _make_triggers(work)
    numbering.restore(connection, plan, kept)
    _set_header(work)
    if schema_text.can_write(connection):
        schema_text.put_in_order(connection, order, _texts(plan))
    with meter.part(sum(_rows_of_references(work, change) for change in plan.changes)):
        check_references(connection, plan)
    check_what_is_kept(connection, plan)
    prove_schema(connection, plan)


def _look_ahead(work: _Work) -> int:
    """Count the rows to work on, each as often as it will be: copied, proved, looked at, put into indexes."""
    total = 0
    for change in work.plan.changes:
        table = change.pair.wanted
        made = sum(fold(index.table) == fold(table.name) for index in work.plan.created_indexes)
        times = 2 * (change.way == "rebuild") + made + change.looks
        times += len(references_to_look_at(work.plan, change))
        if times and table.kind == "table" and change.pair.found.kind == "table":
            rows = work.rows[fold(table.name)] = count_rows(work.connection, change.pair.found.name)
            total += rows * times
    return total


def _rows_of_references(work: _Work, change: Change) -> int:
    rows = work.rows.get(fold(change.pair.wanted.name), 0)
    return rows * len(references_to_look_at(work.plan, change))


# -- out of the way --------------------------------------------------------------------------------


def _drop_what_looks(work: _Work) -> None:
    """Drop triggers, which would fire, and views, which a rename would trip over."""
    for trigger in work.plan.dropped_triggers:
        work.run(f"DROP TRIGGER IF EXISTS {quote(trigger.name)}")
    for view in work.plan.dropped_views:
        work.run(f"DROP VIEW {quote(view.name)}")


def _drop_gone(work: _Work) -> None:
    """Drop indexes and tables that the wanted schema lacks, where they are empty or the user said so.

    Indexes of tables that are made anew go now too: a wanted table may bear the name of one.
    """
    rebuilt = (index for change in work.plan.rebuilt for index in change.pair.found.indexes)
    for index in (*work.plan.dropped_indexes, *rebuilt):
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
    schema_text.retell(work.connection, dict(_without_own_name(moving)))
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


def _without_own_name(moving: Sequence[Change]) -> Iterator[tuple[schema_text.Key, str]]:
    """Give the texts in which a table's own name stands before a column: there it would not follow."""
    for change in moving:
        table = change.pair.found
        texts = [("table", table.name, table.sql)]
        if change.way != "rebuild":
            texts += [("index", index.name, index.sql) for index in table.indexes]
        for kind, name, text in texts:
            shorter = schema_text.without_qualifier(text, table.name)
            if shorter != text and table.kind != "virtual":
                yield (kind, name), shorter


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
            if read_virtual(table.sql).has_external_content:
                work.run(f"INSERT INTO {quote(table.name)} ({quote(table.name)}) VALUES ('rebuild')")


def _rebuild(work: _Work, change: Change) -> None:
    pair, connection = change.pair, work.connection
    old = work.aside[fold(pair.found.name)]
    rows = _rows_to_keep(connection, pair, old)
    work.run(pair.wanted.sql)
    try:
        copy(connection, pair, old, rows, work.meter)
    except (sqlite3.IntegrityError, sqlite3.OperationalError) as exc:
        if exc.sqlite_errorname == "SQLITE_ERROR" or isinstance(exc, sqlite3.IntegrityError):
            raise _explain(connection, pair, old, exc) from exc
        raise
    released = frozenset(_released(pair, work.consent))
    if not is_complete(connection, pair, old, rows, work.meter, may_change=released):
        raise _changed(connection, pair, old, released)
    if rows and not has_key_in_common(pair):
        _refuse_conversions(connection, pair, old, released)
    work.run(f"DROP TABLE {quote(old)}")
    work.rows[fold(pair.wanted.name)] = rows
    found = list(_of_computed(connection, pair))
    if found:
        raise refuse(found, "correct these rows, or the schema")


def _refuse_conversions(
    connection: sqlite3.Connection, pair: Pair, old: str, released: frozenset[str]
) -> None:
    """Refuse what would be other values, told beforehand: new rows cannot be held beside the old ones."""
    found = [one for one in breaches.lossy(connection, pair, old) if one.object not in released]
    if found:
        raise refuse(found, "correct these rows, keep the type, or say --allow-data-loss")


def _of_computed(connection: sqlite3.Connection, pair: Pair) -> Iterator[Breach]:
    """Look at what is computed when it is read, and so was not when the rows were copied."""
    table = pair.wanted
    source = breaches.in_place(table)
    virtual = [
        column
        for column in table.columns
        if column.generated is not None and not column.is_stored and is_computed_anew(pair, column)
    ]
    yield from breaches.not_computed(connection, source, table, virtual)
    if table.is_strict:
        yield from breaches.wrong_types(connection, source, table, virtual)


def _rows_to_keep(connection: sqlite3.Connection, pair: Pair, old: str) -> int:
    """Count the rows that must be in the new table; none where another table holds them."""
    before, after = read_virtual(pair.found.sql), read_virtual(pair.wanted.sql)
    if before.only_tells or (before.has_external_content and after.has_external_content):
        return 0
    try:
        rows = count_rows(connection, old)
        if rows and before.has_external_content:
            # its text is looked for in the other table, whose names may have changed
            connection.execute(f"SELECT * FROM {quote(old)} LIMIT 1").fetchone()
    except sqlite3.OperationalError as exc:
        if exc.sqlite_errorname != "SQLITE_ERROR" or not before.has_external_content:
            raise
        raise breaches.no_text(pair.found.name) from exc
    if rows and before.is_contentless:
        raise breaches.no_text(pair.found.name)
    return rows


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
    connection: sqlite3.Connection, pair: Pair, old: str, exc: sqlite3.DatabaseError
) -> MigrationRefused:
    """Name the rows that the new table refuses."""
    try:
        found = list(breaches.of_pair(connection, pair, old))
    except sqlite3.Error:
        # a rule that can only be computed in its own table: what SQLite said is all there is
        found = []
    if not found and fold(old) != fold(pair.wanted.name):
        found = _broken_in_place(connection, pair, old)
    if not found:
        return MigrationRefused(
            f"rows of {pair.found.name} break a rule of the new table; nothing was changed",
            why=str(exc),
            hint="correct the rows or the schema",
            findings=[Breach("rule", pair.found.name, pair.wanted.name, 0, str(exc), ()).finding()],
        )
    return refuse(found, "correct these rows, or the schema")


def _broken_in_place(connection: sqlite3.Connection, pair: Pair, old: str) -> list[Breach]:
    """Ask the new table itself, filled without regard to its CHECKs: its types may make them false."""
    table = pair.wanted
    connection.execute("PRAGMA ignore_check_constraints = ON")
    try:
        connection.execute(f"DELETE FROM {quote(table.name)}")
        copy(connection, pair, old, count_rows(connection, old), Meter(connection, None))
        return list(breaches.broken_checks(connection, breaches.in_place(table), table, table.checks))
    except sqlite3.Error:
        return []
    finally:
        connection.execute("PRAGMA ignore_check_constraints = OFF")


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
        _fill(work, change)
        taken = {fold(column.name) for column in (*pair.found.columns, *pair.wanted.columns)}
        for number, column in enumerate(pair.added):
            name = next(
                name for name in (f"new_{number}{'_' * more}" for more in count()) if name not in taken
            )
            bare = _bare(pair, column)
            work.run(f"ALTER TABLE {quote(pair.wanted.name)} ADD COLUMN {quote(name)} {bare}")
        texts["table", pair.wanted.name] = pair.wanted.sql
    for index in work.plan.retold_indexes:
        texts["index", index.name] = index.sql
    schema_text.retell(work.connection, texts)
    found: list[Breach] = []
    for change in work.plan.retold:
        with work.meter.part(work.rows.get(fold(change.pair.wanted.name), 0) * change.looks):
            found += _scan(work.connection, change)
    if found:
        raise refuse(found, "correct these rows, or the schema")


def _fill(work: _Work, change: Change) -> None:
    """Give rows the default where they have NULL and must not; the old CHECKs may be about to go."""
    pair = change.pair
    columns = [one for one in pair.wanted.columns if is_filled(pair, one) and one in change.new_not_null]
    if not columns:
        return
    work.run("PRAGMA ignore_check_constraints = ON")
    try:
        for column in columns:
            source = pair.source(column)
            assert source is not None
            name = quote(source.name)
            work.run(
                f"UPDATE OR ABORT {quote(pair.wanted.name)} SET {name} = ({default_expression(column)})"
                f" WHERE {name} IS NULL"
            )
    except sqlite3.IntegrityError as exc:
        raise _explain(work.connection, pair, pair.wanted.name, exc) from exc
    finally:
        work.run("PRAGMA ignore_check_constraints = OFF")


def _bare(pair: Pair, column: Column) -> str:
    """Give what a column needs to be there: its default, and the type that a STRICT table asks for.

    Its name may still be another column's, its type may need what the table is about to become, and its rules
    speak of columns by their new names: the whole text comes right after, and the rows are looked at then. A
    VIRTUAL column has no place in a row, nor has one without default that no row has a value of.
    """
    words = ["ANY"] if pair.found.is_strict else []
    if column.default is not None and column.generated is None:
        words.append(f"DEFAULT {column.default}")
    return " ".join(words)


def _scan(connection: sqlite3.Connection, change: Change) -> Iterator[Breach]:
    table = change.pair.wanted
    source = breaches.in_place(table)
    for column in change.new_not_null:
        yield from breaches.nulls(connection, source, table, column)
    yield from breaches.broken_checks(connection, source, table, change.new_checks)
    if table.is_strict:
        looked_at = table.columns if change.becomes_strict else change.pair.added
        yield from breaches.wrong_types(connection, source, table, looked_at)
    yield from breaches.not_computed(connection, source, table, change.pair.added)


def _make_indexes(work: _Work) -> None:
    for index in work.plan.created_indexes:
        try:
            work.meter.run(index.sql, work.rows.get(fold(index.table), 0))
        except (sqlite3.IntegrityError, sqlite3.OperationalError) as exc:
            if isinstance(exc, sqlite3.OperationalError) and exc.sqlite_errorname != "SQLITE_ERROR":
                raise
            table = work.plan.wanted.table(index.table)
            found = (
                list(breaches.of_index(work.connection, breaches.in_place(table), table, index))
                if table
                else []
            )
            if not found:
                raise MigrationRefused(
                    f"index {index.name} cannot be made; nothing was changed", why=str(exc)
                ) from exc
            raise refuse(found, "correct these rows, or the schema") from exc


def _make_triggers(work: _Work) -> None:
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
