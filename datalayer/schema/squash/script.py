"""The text of a consolidated file: every object's own text as SQLite holds it, in an order that loads.

Knows no folder; what is written comes from a replay.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from datalayer.errors import MigrationRefused
from datalayer.schema.numbered.journal import JOURNAL_TABLES
from datalayer.schema.snapshot import Table
from datalayer.schema.squash.replay import Replayed, indexed_rows, sequences, stored_rows, value_columns
from datalayer.schema.tokens import KEYWORDS, fold, quote, quote_text, significant, tokenize, unquote
from datalayer.schema.virtual import read_virtual

__all__ = ["Kept", "kept_rows", "written"]

_ROWS_A_STATEMENT = 200


@dataclass(frozen=True, slots=True)
class Kept:
    """Rows of one table that go into the file, with the columns that are written."""

    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]


def kept_rows(first: Replayed, second: Replayed) -> dict[str, Kept]:
    """Give the rows that two replays have in common, by table.

    A column whose values differ is left out where its default makes them. Raises MigrationRefused naming the
    table and column of any other.
    """
    found: dict[str, Kept] = {}
    for table in first.schema.tables:
        if table.kind == "shadow":
            continue
        _refuse_contentless(first.connection, table)
        mine, theirs = stored_rows(first.connection, table), stored_rows(second.connection, table)
        if not mine and not theirs:
            continue
        names = value_columns(table)
        changing = _changing(table, names, mine, theirs)
        places = [place for place, name in enumerate(names) if name not in changing]
        found[table.name] = Kept(
            tuple(names[place] for place in places), tuple(tuple(row[one] for one in places) for row in mine)
        )
    return found


def written(replay: Replayed, rows: Mapping[str, Kept], *, heading: str) -> str:
    """Write the file: `heading`, then each table with its indexes, rows and triggers, then the views."""
    objects = _in_order(replay)
    blocks = [heading.rstrip("\n")]
    numbers = [
        f"PRAGMA {name} = {value};"
        for name, value in (
            ("application_id", replay.schema.application_id),
            ("user_version", replay.schema.user_version),
        )
        if value
    ]
    if numbers:
        blocks.append("\n".join(numbers))
    last = ""
    for place, (kind, name, table, sql) in enumerate(objects):
        comment = replay.comments.get((kind, fold(name)))
        text = f"{comment}\n{sql};" if comment else f"{sql};"
        if kind == last == "index" and not comment:
            blocks[-1] += f"\n{text}"
        else:
            blocks.append(text)
        last = kind
        follower = objects[place + 1][0] if place + 1 < len(objects) else ""
        if kind in ("table", "index") and follower != "index":
            # before the triggers of the table: what they do to a row is in the rows already
            blocks += _inserts(replay, table, rows)
    return "\n\n".join(blocks) + "\n"


def _changing(
    table: Table,
    names: Sequence[str],
    mine: Sequence[tuple[object, ...]],
    theirs: Sequence[tuple[object, ...]],
) -> set[str]:
    def refuse(what: str) -> MigrationRefused:
        return MigrationRefused(
            f"the rows that the migrations put into {table.name} differ from run to run: {what}",
            why="a consolidated file can hold only rows that are the same each time",
            hint="write the value itself into the migration, or leave it to a DEFAULT",
        )

    if len(mine) != len(theirs):
        raise refuse(f"{len(mine)} and {len(theirs)} rows")
    found: set[str] = set()
    for place, name in enumerate(names):
        if all(_same(one[place], other[place]) for one, other in zip(mine, theirs)):
            continue
        column = table.column(name)
        if column is None or column.default is None or not _is_computed(column.default):
            raise refuse(f"column {name}")
        found.add(name)
    return found


def _same(one: object, other: object) -> bool:
    return type(one) is type(other) and (one == other or (one != one and other != other))


def _is_computed(default: str) -> bool:
    tokens = significant(tokenize(default))
    return any(token.kind == "word" and token.upper not in ("NULL", "TRUE", "FALSE") for token in tokens)


def _in_order(replay: Replayed) -> list[tuple[str, str, str, str]]:
    """Sort the objects: a table, its indexes, its triggers once all that they name is there; views last.

    Triggers of one table keep their order, for it is the order in which they fire.
    """
    order = replay.order
    homes = {fold(name): place for place, (kind, name, _, _) in enumerate(order) if kind == "table"}
    homes |= {
        fold(name): len(order) + place for place, (kind, name, _, _) in enumerate(order) if kind == "view"
    }
    latest: dict[str, int] = {}
    keys: dict[tuple[str, str], tuple[int, int, int]] = {}
    for place, (kind, name, table, sql) in enumerate(order):
        home = homes.get(fold(table), 0) if kind != "view" else homes[fold(name)]
        if kind == "trigger":
            home = max([home, latest.get(fold(table), 0), *_mentioned(sql, homes)])
            latest[fold(table)] = home
        rank = ("table", "view", "index", "trigger").index(kind)
        keys[kind, fold(name)] = (home, rank, place)
    return sorted(order, key=lambda one: keys[one[0], fold(one[1])])


def _mentioned(sql: str, homes: Mapping[str, int]) -> list[int]:
    names = {fold(unquote(token)) for token in tokenize(sql) if token.kind in ("word", "identifier")}
    return [homes[name] for name in names if name in homes]


def _inserts(replay: Replayed, table: str, rows: Mapping[str, Kept]) -> list[str]:
    found = replay.schema.table(table)
    if found is not None and read_virtual(found.sql).has_external_content:
        name = _bare(found.name)
        return [f"INSERT INTO {name} ({name}) VALUES ('rebuild');"] if _is_filled(replay, found) else []
    if found is None or fold(table) in JOURNAL_TABLES:
        return []
    kept = rows.get(found.name)
    if kept is None:
        return _numbering(replay, found, "INSERT INTO sqlite_sequence (seq, name) VALUES ({}, {});")
    names = ", ".join(_bare(name) for name in kept.columns)
    texts = [f"    ({', '.join(map(_literal, row))})" for row in kept.rows]
    if not kept.columns:
        return ["\n".join([f"INSERT INTO {_bare(table)} DEFAULT VALUES;"] * len(kept.rows))]
    return [*_filled(table, names, texts), *_numbering(replay, found)]


def _numbering(
    replay: Replayed, table: Table, sql: str = "UPDATE sqlite_sequence SET seq = {} WHERE name = {};"
) -> list[str]:
    """Write how far a table has numbered its rows, where that is further than its last one."""
    number = sequences(replay.connection).get(table.name)
    if number is None:
        return []
    last = replay.connection.execute(f"SELECT max(_rowid_) FROM {quote(table.name)}").fetchone()[0]
    return [] if number == last else [sql.format(number, quote_text(table.name))]


def _filled(table: str, names: str, texts: Sequence[str]) -> list[str]:
    return [
        f"INSERT INTO {_bare(table)} ({names}) VALUES\n"
        + ",\n".join(texts[start : start + _ROWS_A_STATEMENT])
        + ";"
        for start in range(0, len(texts), _ROWS_A_STATEMENT)
    ]


def _is_filled(replay: Replayed, table: Table) -> bool:
    """Say whether a full-text index knows of the rows of its table; of none, where there are none."""
    content = read_virtual(table.sql).content or ""
    sql = f"SELECT 1 FROM {quote(content)} LIMIT 1"
    return indexed_rows(replay.connection, table) != [] or replay.connection.execute(sql).fetchone() is None


def _refuse_contentless(connection: sqlite3.Connection, table: Table) -> None:
    """Refuse a full-text table that has indexed texts and keeps them nowhere: no text could fill it again."""
    is_contentless = table.kind == "virtual" and read_virtual(table.sql).is_contentless
    if is_contentless and connection.execute(f"SELECT rowid FROM {quote(table.name)} LIMIT 1").fetchone():
        raise MigrationRefused(
            f"the migrations put rows into {table.name}, a full-text table that keeps no text",
            why="a consolidated file could not fill it again",
            hint="let the program fill it, or let it index a table",
        )


def _bare(name: str) -> str:
    """Write a name without quotes where it needs none."""
    is_plain = name.isascii() and name.replace("_", "a").isalnum() and not name[0].isdigit()
    return name if is_plain and name.upper() not in KEYWORDS else quote(name)


def _literal(value: object) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f"x'{value.hex()}'"
    if isinstance(value, str):
        # a literal ends at a NUL, and a file holds valid UTF-8 only
        is_plain = "\x00" not in value and not any("\ud800" <= letter <= "\udfff" for letter in value)
        return (
            quote_text(value)
            if is_plain
            else f"CAST(x'{value.encode('utf-8', 'surrogateescape').hex()}' AS TEXT)"
        )
    if isinstance(value, float) and math.isinf(value):
        return "9e999" if value > 0 else "-9e999"
    return repr(value)
