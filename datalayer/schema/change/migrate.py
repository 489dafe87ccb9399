"""An existing SQLite database brought to a schema: looked at, planned, refused or done."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

from datalayer.engine.connection import Engine
from datalayer.schema.change import breaches, schema_text
from datalayer.schema.change.applying import apply, refuse
from datalayer.schema.change.breaches import Breach, Rows
from datalayer.schema.change.consent import Consent
from datalayer.schema.change.copying import count_rows, external_content
from datalayer.schema.change.estimate import Size, seconds_of, size_of
from datalayer.schema.change.layout import converts
from datalayer.schema.change.pairing import Pair, Pairing, pair_up
from datalayer.schema.change.planning import Change, Plan, make_plan
from datalayer.schema.change.projection import is_filled, key_columns, quote
from datalayer.schema.plan import Step
from datalayer.schema.snapshot import Column, Schema, read
from datalayer.schema.tokens import fold

__all__ = ["Wanted", "destroys", "foresee", "perform", "plan_change", "steps_of", "unguarded"]

Progress = Callable[[int, int], object]
_STEPS_BETWEEN_SIGNALS = 1_000_000
_SETTINGS = {"foreign_keys": 0, "legacy_alter_table": 0, "temp_store": 1, "cache_size": -2000}


@dataclass(frozen=True, slots=True)
class Wanted:
    """The schema to reach.

    `order` is the (type, name) of each row of its sqlite_schema, `header` the numbers (user_version,
    application_id) that it sets. `exact`: it is the whole schema; else tables that it lacks belong to
    somebody else.
    """

    schema: Schema
    order: tuple[tuple[str, str], ...]
    header: frozenset[str]
    exact: bool


def plan_change(connection: sqlite3.Connection, wanted: Wanted, consent: Consent) -> Plan:
    """Plan the way from what the database holds now to the wanted schema.

    Take a transaction around it. Raises MigrationRefused for renames that lead nowhere, and where rows would
    be dropped that nobody let go.
    """
    found = read(connection)
    pairing = pair_up(found, wanted.schema, consent, exact=wanted.exact)
    _refuse_losses(connection, pairing, consent)
    return make_plan(
        found,
        wanted.schema,
        pairing,
        exact=wanted.exact,
        can_retell=schema_text.can_write(connection),
        header=wanted.header,
    )


def destroys(connection: sqlite3.Connection, plan: Plan, consent: Consent) -> bool:
    """Whether a plan drops or changes values that are there: a backup comes first then."""
    if any(_has_rows(connection, table.name) for table in plan.pairing.dropped):
        return True
    if consent.allow_data_loss and any(_may_change(change) for change in plan.changes):
        return True
    return any(
        _has_values(connection, pair, column) for pair in plan.pairing.pairs for column in pair.dropped
    )


def perform(
    connection: sqlite3.Connection, plan: Plan, consent: Consent, wanted: Wanted, progress: Progress | None
) -> None:
    """Do a plan in the transaction that is open; see `applying.apply`. `progress` is called with rows."""
    total, done = _work_ahead(connection, plan), 0

    def advance(rows: int) -> None:
        nonlocal done
        done += max(rows, 0)
        if progress is not None:
            progress(done, total)

    with _interruptible(connection):
        apply(connection, plan, consent, wanted.order, advance)


def _work_ahead(connection: sqlite3.Connection, plan: Plan) -> int:
    """Count the rows to copy, once more for each index that is made of them."""
    return sum(
        count_rows(connection, change.pair.found.name)
        * (1 + sum(fold(index.table) == fold(change.pair.wanted.name) for index in plan.created_indexes))
        for change in plan.rebuilt
    )


@contextmanager
def _interruptible(connection: sqlite3.Connection) -> Generator[None]:
    """Let Ctrl-C end a long statement: Python hears a signal only when SQLite calls back."""
    connection.set_progress_handler(lambda: 0, _STEPS_BETWEEN_SIGNALS)
    try:
        yield
    except sqlite3.OperationalError as exc:
        if exc.sqlite_errorname == "SQLITE_INTERRUPT":
            raise KeyboardInterrupt from exc
        raise
    finally:
        connection.set_progress_handler(None, 0)


@contextmanager
def unguarded(engine: Engine) -> Generator[None]:
    """Set what a migration needs, outside its transaction: inside one, foreign_keys would be ignored.

    Sorting goes to temporary files, so that memory stays bounded; with SQLite's own small page cache an index
    is made in two thirds of the time that a cache of 16 MiB takes. At the end the schema is read anew: after
    a rollback this connection may remember one that never was.
    """
    connection: sqlite3.Connection = engine.connection()
    before = {name: _setting(connection, name) for name in _SETTINGS}
    try:
        for name, value in _SETTINGS.items():
            connection.execute(f"PRAGMA {name} = {value}")
        yield
    finally:
        _guard_again(engine, connection, before)


def _guard_again(engine: Engine, connection: sqlite3.Connection, before: dict[str, int]) -> None:
    if not engine.has_connection or engine.connection() is not connection:
        # it was closed, as it could not be rolled back
        return
    try:
        connection.execute("PRAGMA writable_schema = RESET")
        for name, value in before.items():
            connection.execute(f"PRAGMA {name} = {value}")
    except sqlite3.Error:
        # a disk that fails may not even let the schema be read: the next statement opens a new connection
        engine.discard(engine.state())


def _setting(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


# -- refusals --------------------------------------------------------------------------------------


def _refuse_losses(connection: sqlite3.Connection, pairing: Pairing, consent: Consent) -> None:
    found = [*_lost_tables(connection, pairing, consent), *_lost_columns(connection, pairing, consent)]
    if not found:
        return
    hint = "name what may go by --drop table.column or --drop-table table, or say --allow-data-loss"
    if pairing.suggestions:
        hint = f"if it is a rename, say {' '.join(pairing.suggestions)}; else {hint}"
    raise refuse(found, hint)


def _lost_tables(connection: sqlite3.Connection, pairing: Pairing, consent: Consent) -> Iterator[Breach]:
    for table in pairing.dropped:
        is_free = consent.may_drop_table(table.name) or external_content(table.sql)
        rows = 0 if is_free else count_rows(connection, table.name)
        if rows:
            message = f"the table has {rows} rows and is not in the wanted schema"
            yield Breach("data-loss", table.name, table.name, rows, message, ())


def _lost_columns(connection: sqlite3.Connection, pairing: Pairing, consent: Consent) -> Iterator[Breach]:
    for pair in pairing.pairs:
        for column in pair.dropped:
            if consent.may_drop_column(pair.found.name, column.name):
                continue
            if _has_values(connection, pair, column):
                count = _values(connection, pair, column)
                message = f"column {column.name} has {count} values and is not in the wanted schema"
                rows = breaches.first_values(connection, pair.found, column.name)
                yield Breach("data-loss", pair.found.name, column.name, count, message, rows)


def _values(connection: sqlite3.Connection, pair: Pair, column: Column) -> int:
    """Count the values that go with a column."""
    if not _is_own(pair, column):
        return 0
    sql = f"SELECT count({quote(column.name)}) FROM {quote(pair.found.name)}"
    return int(connection.execute(sql).fetchone()[0])


def _has_values(connection: sqlite3.Connection, pair: Pair, column: Column) -> bool:
    condition = f"WHERE {quote(column.name)} IS NOT NULL"
    return _is_own(pair, column) and _has_rows(connection, pair.found.name, condition)


def _is_own(pair: Pair, column: Column) -> bool:
    """Whether the values stand here alone: what is computed, or read from another table, is no loss."""
    return column.generated is None and not external_content(pair.found.sql)


def _has_rows(connection: sqlite3.Connection, table: str, condition: str = "") -> bool:
    return connection.execute(f"SELECT 1 FROM {quote(table)} {condition} LIMIT 1").fetchone() is not None


def _may_change(change: Change) -> bool:
    return change.way == "rebuild" and any(
        converts(change.pair, column)
        or (column.generated is not None and change.pair.source(column) is not None)
        for column in change.pair.wanted.columns
    )


# -- what is told of a plan ------------------------------------------------------------------------


def foresee(connection: sqlite3.Connection, plan: Plan, consent: Consent) -> None:
    """Look, without changing anything, for the rows that would stop a plan. A few passes a table.

    Raises MigrationRefused as `perform` would.
    """
    found: list[Breach] = []
    for change in plan.changes:
        if change.pair.wanted.kind == "table":
            try:
                found += _foreseen(connection, plan, change, consent)
            except sqlite3.OperationalError as exc:
                if exc.sqlite_errorname != "SQLITE_ERROR":
                    raise
                # a rule that can only be computed in the new table is met when the plan is done
                continue
    if found:
        raise refuse(found, "correct these rows, or the schema")


def _foreseen(
    connection: sqlite3.Connection, plan: Plan, change: Change, consent: Consent
) -> Iterator[Breach]:
    pair = change.pair
    table, rows = pair.wanted, breaches.in_old_rows(pair, pair.found.name)
    if change.way in ("scan", "rebuild"):
        yield from breaches.of_pair(connection, pair, pair.found.name)
        if not consent.allow_data_loss:
            yield from breaches.lossy(connection, pair)
    else:
        for index in plan.created_indexes:
            if index.is_unique and fold(index.table) == fold(table.name):
                yield from breaches.duplicates(connection, rows, table, index.name, index.terms, index.where)
    for key in change.new_references:
        parent = plan.pairing.pair_of(key.parent)
        if parent is not None and not key.parent_columns:
            # the rows looked at tell the parent's old key
            key = replace(key, parent_columns=tuple(key_columns(parent.wanted)))
        there = _parent_rows(plan, parent, key.parent)
        yield from breaches.broken_references(connection, rows, table, key, there)


def _parent_rows(plan: Plan, parent: Pair | None, name: str) -> Rows | None:
    """Give the rows that a reference may lead to: as they will be, or those of a table that stays."""
    if parent is not None:
        return breaches.in_old_rows(parent, parent.found.name)
    kept = next((table for table in plan.pairing.kept if fold(table.name) == fold(name)), None)
    return None if kept is None else breaches.in_place(kept)


def steps_of(connection: sqlite3.Connection, plan: Plan, *, measured: bool) -> tuple[Step, ...]:
    """Give a plan as steps, in the order in which they are done, with what each costs.

    `measured`: with rows, bytes and seconds, for which every table that changes is read once.
    """
    measure = partial(size_of, connection) if measured else _unmeasured
    steps = [*_drops(plan, measure)]
    steps += [_table_step(connection, change, measure) for change in plan.changes if change.way != "nothing"]
    steps += [Step("table", table.name, table.sql, "create") for table in plan.pairing.created]
    steps += [Step("index", index.name, index.sql, "scan") for index in plan.created_indexes]
    steps += [Step("view", view.name, view.sql, "alter") for view in plan.created_views]
    steps += [Step("trigger", trigger.name, trigger.sql, "alter") for trigger in plan.created_triggers]
    if plan.user_version is not None:
        steps.append(Step("pragma", "user_version", f"PRAGMA user_version = {plan.user_version}", "alter"))
    if plan.application_id is not None:
        steps.append(
            Step("pragma", "application_id", f"PRAGMA application_id = {plan.application_id}", "alter")
        )
    return tuple(steps)


def _unmeasured(_: str) -> None:
    return None


def _drops(plan: Plan, measure: Callable[[str], Size | None]) -> Iterator[Step]:
    made = {fold(view.name) for view in plan.created_views}
    fired = {fold(trigger.name) for trigger in plan.created_triggers}
    for trigger in plan.dropped_triggers:
        if fold(trigger.name) not in fired:
            yield Step("trigger", trigger.name, f"DROP TRIGGER {quote(trigger.name)}", "alter")
    for view in plan.dropped_views:
        if fold(view.name) not in made:
            yield Step("view", view.name, f"DROP VIEW {quote(view.name)}", "alter")
    for index in plan.dropped_indexes:
        yield Step("index", index.name, f"DROP INDEX {quote(index.name)}", "alter")
    for table in plan.pairing.dropped:
        size = measure(table.name)
        step = Step("table", table.name, f"DROP TABLE {quote(table.name)}", "drop")
        yield (
            step
            if size is None
            else replace(
                step,
                rows=size.rows,
                size_bytes=size.size_bytes,
                risk=f"{size.rows} rows go" if size.rows else "it is empty",
            )
        )


def _table_step(
    connection: sqlite3.Connection, change: Change, measure: Callable[[str], Size | None]
) -> Step:
    pair = change.pair
    step = Step("table", pair.wanted.name, pair.wanted.sql, change.way)
    size = measure(pair.found.name) if change.way != "alter" else Size(0, 0)
    if size is None:
        return step
    return replace(
        step,
        rows=size.rows,
        size_bytes=size.size_bytes,
        seconds=seconds_of(change.way, size),
        risk="; ".join(_risks(connection, change)),
    )


def _risks(connection: sqlite3.Connection, change: Change) -> Iterator[str]:
    """Say why it is done this way, and what happens to values."""
    pair = change.pair
    if pair.found.name != pair.wanted.name:
        yield f"renamed from {pair.found.name}"
    yield from (
        f"column {source.name} renamed to {column.name}"
        for column in pair.wanted.columns
        if (source := pair.source(column)) is not None and source.name != column.name
    )
    yield from change.reasons
    yield from (f"adds {column.name}" for column in pair.added)
    for column in pair.dropped:
        count = _values(connection, pair, column)
        if count:
            yield f"{count} values of {column.name} go"
    for column in change.new_not_null:
        if is_filled(pair, column):
            yield f"NULLs of {column.name} become {column.default}"
    if change.new_defaults and change.way == "scan":
        yield "rebuilt if rows still take a value from the old default"
