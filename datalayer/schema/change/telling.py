"""What is told of a plan before it is done: the rows that would stop it, its steps and what they cost."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

from datalayer.schema.change import breaches
from datalayer.schema.change.breaches import Breach, Rows, refuse
from datalayer.schema.change.consent import Consent
from datalayer.schema.change.copying import count_rows
from datalayer.schema.change.estimate import Size, seconds_of_change, seconds_of_index, size_of
from datalayer.schema.change.losses import count_values, has_rows
from datalayer.schema.change.planning import Change, Plan
from datalayer.schema.change.projection import is_filled, quote
from datalayer.schema.change.proving import references_to_look_at
from datalayer.schema.plan import Step
from datalayer.schema.snapshot import Index, Table
from datalayer.schema.tokens import fold
from datalayer.schema.virtual import read_virtual

__all__ = ["foresee", "steps_of"]


def foresee(connection: sqlite3.Connection, plan: Plan, consent: Consent) -> None:
    """Look, without changing anything, for the rows that would stop a plan. A few passes a table.

    Raises MigrationRefused as `perform` would.
    """
    found: list[Breach] = []
    for change in plan.changes:
        if change.way == "rebuild" or change.pair.wanted.kind == "table":
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
            yield from breaches.lossy(connection, pair, pair.found.name)
    is_gone = read_virtual(pair.found.sql).is_contentless and change.way == "rebuild"
    if is_gone and has_rows(connection, pair.found.name):
        raise breaches.no_text(pair.found.name)
    for index in plan.created_indexes:
        if fold(index.table) == fold(table.name):
            # of one that is made anew, the unique keys have been looked at
            index = replace(index, is_unique=index.is_unique and change.way in ("nothing", "alter"))
            yield from breaches.of_index(connection, rows, table, index)
    for key in references_to_look_at(plan, change):
        there = _parent_rows(plan, key.parent)
        yield from breaches.broken_references(connection, rows, table, key, there)


def _parent_rows(plan: Plan, name: str) -> tuple[Table, Rows] | None:
    """Give the table that a reference leads to, with its rows: as they will be, or as they stay."""
    parent = plan.pairing.pair_of(name)
    if parent is not None:
        return parent.wanted, breaches.in_old_rows(parent, parent.found.name)
    kept = next((table for table in plan.pairing.kept if fold(table.name) == fold(name)), None)
    return None if kept is None else (kept, breaches.in_place(kept))


def steps_of(connection: sqlite3.Connection, plan: Plan, *, measured: bool) -> tuple[Step, ...]:
    """Give a plan as steps, in the order in which they are done, with what each costs.

    `measured`: with rows, bytes and seconds, for which every table that changes is read once.
    """
    measure = partial(size_of, connection) if measured else _unmeasured
    steps = [*_drops(plan, measure)]
    steps += [
        _table_step(connection, plan, change, measure) for change in plan.changes if change.way != "nothing"
    ]
    steps += [Step("table", table.name, table.sql, "create") for table in plan.pairing.created]
    steps += [
        _index_step(connection, plan, index) if measured else Step("index", index.name, index.sql, "scan")
        for index in plan.created_indexes
    ]
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


def _index_step(connection: sqlite3.Connection, plan: Plan, index: Index) -> Step:
    pair = next((one for one in plan.pairing.pairs if fold(one.wanted.name) == fold(index.table)), None)
    rows = 0 if pair is None else count_rows(connection, pair.found.name)
    return Step("index", index.name, index.sql, "scan", rows=rows, seconds=seconds_of_index(rows))


def _table_step(
    connection: sqlite3.Connection, plan: Plan, change: Change, measure: Callable[[str], Size | None]
) -> Step:
    pair = change.pair
    step = Step("table", pair.wanted.name, pair.wanted.sql, change.way)
    references = len(references_to_look_at(plan, change))
    is_read = change.way != "alter" or change.looks or references
    size = measure(pair.found.name) if is_read else Size(0, 0, 0)
    if size is None:
        return step
    return replace(
        step,
        rows=size.rows,
        size_bytes=size.size_bytes,
        seconds=seconds_of_change(change, size, references=references),
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
        count = count_values(connection, pair, column)
        if count:
            yield f"{count} values of {column.name} go"
    for column in change.new_not_null:
        if is_filled(pair, column):
            yield f"NULLs of {column.name} become {column.default}"
    if change.new_defaults and change.way == "scan":
        yield "rebuilt if rows still take a value from the old default"
