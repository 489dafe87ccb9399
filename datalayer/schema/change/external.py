"""Full-text tables that stay while the text changes that they index, which stands in another table.

No trigger fires in a migration, so nobody tells them (sqlite.org/fts5.html, 4.4.3): an index that was right
before is made anew where it is not right afterwards. One that its program keeps in a way of its own is left
alone.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from datalayer.schema.change.layout import converts, is_computed_anew
from datalayer.schema.change.planning import Change, Plan
from datalayer.schema.change.projection import is_filled, quote
from datalayer.schema.tokens import fold
from datalayer.schema.virtual import read_virtual

__all__ = ["renew", "right_ones"]


def right_ones(connection: sqlite3.Connection, plan: Plan) -> list[str]:
    """Give the wanted names of indexes whose text may change with a plan, and that are right as yet."""
    return [
        change.pair.wanted.name
        for change in _concerned(plan)
        if _is_right(connection, change.pair.found.name, change.pair.found.sql)
    ]


def renew(connection: sqlite3.Connection, plan: Plan, names: list[str]) -> None:
    """Make those of these anew that are not right any more."""
    for name in names:
        table = plan.wanted.table(name)
        if table is not None and not _is_right(connection, name, table.sql):
            connection.execute(f"INSERT INTO {quote(name)} ({quote(name)}) VALUES ('rebuild')")


def _concerned(plan: Plan) -> Iterator[Change]:
    changed = {fold(change.pair.wanted.name) for change in plan.changes if _changes_values(change)}
    before = {(view.name, view.sql) for view in plan.found.views}
    # what a view shows may come from any table
    views = {fold(view.name) for view in plan.wanted.views if changed or (view.name, view.sql) not in before}
    changed |= views
    for change in plan.changes:
        content = read_virtual(change.pair.wanted.sql).content
        if content and change.way != "rebuild" and fold(content) in changed:
            yield change


def _changes_values(change: Change) -> bool:
    pair = change.pair
    return change.way != "nothing" and any(
        is_filled(pair, column)
        or converts(pair, column)
        or (column.generated is not None and is_computed_anew(pair, column))
        for column in pair.wanted.columns
    )


def _is_right(connection: sqlite3.Connection, name: str, sql: str) -> bool:
    rank = read_virtual(sql).module == "fts5"
    into = f"INSERT INTO {quote(name)} ({quote(name)}{', rank' if rank else ''})"
    try:
        connection.execute(f"{into} VALUES ('integrity-check'{', 1' if rank else ''})")
    except sqlite3.DatabaseError as exc:
        if exc.sqlite_errorname not in ("SQLITE_CORRUPT_VTAB", "SQLITE_CORRUPT", "SQLITE_ERROR"):
            raise
        return False
    return True
