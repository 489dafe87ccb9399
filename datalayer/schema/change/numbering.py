"""What SQLite keeps beside a table and a rebuild would lose: AUTOINCREMENT's memory and ANALYZE's figures."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

from datalayer.schema.change.planning import Plan
from datalayer.schema.change.projection import quote
from datalayer.schema.snapshot import Table
from datalayer.schema.tokens import fold

__all__ = ["Numbering", "remember", "restore"]


@dataclass(frozen=True, slots=True)
class Numbering:
    """The rows of sqlite_sequence, and of each sqlite_stat table with the names of its columns."""

    sequence: dict[str, object]
    statistics: dict[str, tuple[tuple[str, ...], list[tuple[object, ...]]]]


def remember(connection: sqlite3.Connection) -> Numbering:
    """Read all of it before the first change."""
    present = {
        str(row[0])
        for row in connection.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name IN"
            " ('sqlite_sequence', 'sqlite_stat1', 'sqlite_stat4')"
        ).fetchall()
    }
    sequence: dict[str, object] = {}
    if "sqlite_sequence" in present:
        # anybody may write here, so it may hold what is no number
        rows = connection.execute("SELECT name, seq FROM sqlite_sequence").fetchall()
        sequence = {fold(str(name)): number for name, number in rows if number is not None}
    statistics: dict[str, tuple[tuple[str, ...], list[tuple[object, ...]]]] = {}
    for name in sorted(present - {"sqlite_sequence"}):
        cursor = connection.execute(f"SELECT * FROM {name}")
        columns = tuple(str(column[0]) for column in cursor.description)
        statistics[name] = (columns, cursor.fetchall())
    return Numbering(sequence, statistics)


def restore(connection: sqlite3.Connection, plan: Plan, numbering: Numbering) -> None:
    """Put it back for every table that moved, under its new name.

    An AUTOINCREMENT that was ahead of the largest rowid stays ahead, also of an empty table. Figures of an
    index that became another one are left out: they would mislead the planner.
    """
    for change in plan.changes:
        if change.way == "rebuild" or change.is_renamed:
            _restore_sequence(connection, change.pair.found, change.pair.wanted, numbering)
    _restore_statistics(connection, plan, numbering)


def _restore_sequence(
    connection: sqlite3.Connection, found: Table, wanted: Table, numbering: Numbering
) -> None:
    number = numbering.sequence.get(fold(found.name))
    key, old_key = wanted.primary_key, found.primary_key
    if number is None or key is None or not key.autoincrement or old_key is None or not old_key.autoincrement:
        return
    connection.execute("DELETE FROM sqlite_sequence WHERE name = ? COLLATE NOCASE", (wanted.name,))
    connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (wanted.name, number))


def _restore_statistics(connection: sqlite3.Connection, plan: Plan, numbering: Numbering) -> None:
    moved = {fold(change.pair.found.name): change for change in plan.changes if change.moves}
    made = {fold(index.name) for index in plan.created_indexes}
    for table, (columns, rows) in numbering.statistics.items():
        names = [fold(column) for column in columns]
        place, index_place = names.index("tbl"), names.index("idx")
        kept: list[tuple[object, ...]] = []
        for row in rows:
            change = moved.get(fold(str(row[place])))
            if change is None:
                continue
            index = row[index_place]
            if index is None or _is_unchanged(fold(str(index)), change.pair.found, change.pair.wanted, made):
                kept.append((*row[:place], change.pair.wanted.name, *row[place + 1 :]))
        names_of = ((change.pair.found.name, change.pair.wanted.name) for change in moved.values())
        _replace(connection, table, columns, {name for both in names_of for name in both}, kept)


def _replace(
    connection: sqlite3.Connection,
    table: str,
    columns: Iterable[str],
    goals: Iterable[str],
    rows: list[tuple[object, ...]],
) -> None:
    listed = ", ".join(map(quote, columns))
    for goal in goals:
        connection.execute(f"DELETE FROM {table} WHERE tbl = ? COLLATE NOCASE", (goal,))
    for row in rows:
        marks = ", ".join("?" * len(row))
        connection.execute(f"INSERT INTO {table} ({listed}) VALUES ({marks})", row)


def _is_unchanged(name: str, found: Table, wanted: Table, made: set[str]) -> bool:
    """Say whether an index orders its table as it did: the same terms, or the same key of a constraint."""
    before = {fold(index.name): index for index in found.indexes}
    after = {fold(index.name): index for index in wanted.indexes}
    if name in before and name in after:
        old, new = before[name], after[name]
        return (old.terms, old.where, old.is_unique) == (new.terms, new.where, new.is_unique)
    is_key = name.startswith("sqlite_autoindex_") and name not in made
    return is_key and found.uniques == wanted.uniques and found.primary_key == wanted.primary_key
