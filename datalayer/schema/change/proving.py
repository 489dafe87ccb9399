"""What is looked at once a plan is done, before it commits: references, views, the whole schema."""

from __future__ import annotations

import sqlite3

from datalayer.errors import MigrationRefused
from datalayer.schema.change import breaches
from datalayer.schema.change.breaches import Breach, refuse
from datalayer.schema.change.layout import collation_of, converts
from datalayer.schema.change.pairing import Pair
from datalayer.schema.change.planning import Change, Plan
from datalayer.schema.change.projection import is_filled, quote
from datalayer.schema.snapshot import ForeignKey, Schema, read
from datalayer.schema.tokens import fold

__all__ = ["check_references", "check_what_is_kept", "prove_schema", "references_to_look_at"]


def check_references(connection: sqlite3.Connection, plan: Plan) -> None:
    """Look at the references that are new, or of which either end has changed its type or collation."""
    found: list[Breach] = []
    for change in plan.changes:
        table = change.pair.wanted
        for key in references_to_look_at(plan, change):
            parent = plan.wanted.table(key.parent)
            there = None if parent is None else (parent, breaches.in_place(parent))
            child = breaches.in_place(table)
            found += breaches.broken_references(connection, child, table, key, there)
    if found:
        raise refuse(found, "correct these rows, or add the rows that they refer to")


def references_to_look_at(plan: Plan, change: Change) -> list[ForeignKey]:
    """Give the references of a table that are new, or lead from or to values that may be others."""
    return [
        key
        for key in change.pair.wanted.foreign_keys
        if key in change.new_references or _has_other_ends(plan, change, key)
    ]


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


def check_what_is_kept(connection: sqlite3.Connection, plan: Plan) -> None:
    """See that the views and triggers of somebody else, made again, still find what they speak of."""
    wanted = {fold(one.name) for one in (*plan.wanted.views, *plan.wanted.triggers)}
    for view in plan.created_views:
        if fold(view.name) not in wanted:
            _compile(connection, f"view {view.name}", f"SELECT * FROM {quote(view.name)}")
    for trigger in plan.created_triggers:
        if fold(trigger.name) not in wanted:
            table = quote(trigger.table)
            column = quote(str(connection.execute(f"SELECT * FROM {table} LIMIT 0").description[0][0]))
            for sql in (
                f"INSERT INTO {table} DEFAULT VALUES",
                f"UPDATE {table} SET {column} = {column}",
                f"DELETE FROM {table}",
            ):
                _compile(connection, f"trigger {trigger.name}", sql)


def _compile(connection: sqlite3.Connection, name: str, sql: str) -> None:
    try:
        connection.execute(f"EXPLAIN {sql}").fetchall()
    except sqlite3.OperationalError as exc:
        if exc.sqlite_errorname != "SQLITE_ERROR":
            raise
        raise MigrationRefused(
            f"{name} is no part of the schema and would not work any more; nothing was changed",
            why=str(exc),
            hint="drop it, or change it once the migration is through",
        ) from exc


def prove_schema(connection: sqlite3.Connection, plan: Plan) -> None:
    """Compare what stands in the file now with the wanted schema, object by object."""
    now = read(connection)
    wanted, made = plan.wanted.shapes(now.names), now.shapes(plan.wanted.names)
    wrong = [f"{kind} {name}" for (kind, name), shape in wanted.items() if made.get((kind, name)) != shape]
    wrong = [one for one in wrong if one not in _left_alone(plan)]
    extra = _extra(plan, now)
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
