"""What a SQLite file holds, read by PRAGMAs and SELECT alone: tables, typed cells, header, statistics.

For the oracle of migrations, so it imports nothing of the package. A connection is sqlite3's or any that has
its `execute`.
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from support.sql_words import lower

Connect = Callable[[str], Any]
Row = tuple[object, ...]
_CHUNK = 400  # cells of one SELECT; SQLite gives at most 2,000 results a row
_HEADER = ("user_version", "application_id", "auto_vacuum", "page_size", "encoding")


def plain_connect(path: str) -> sqlite3.Connection:
    """Open a database with Python's own SQLite, in autocommit; no power cut is expected."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous = OFF")
    return connection


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def rows(connection: Any, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
    return [tuple(row) for row in connection.execute(sql, tuple(parameters))]


@dataclass(frozen=True, slots=True)
class LiveTable:
    """One table of a file. `rowid` is a name under which its rowid can be read, None where there is none."""

    name: str
    kind: str
    columns: tuple[str, ...]
    generated: frozenset[str]
    not_null: frozenset[str]
    defaults: frozenset[str]
    rowid: str | None
    rowid_column: str | None

    @property
    def folded(self) -> frozenset[str]:
        """The names of its columns, folded."""
        return frozenset(map(lower, self.columns))


def live_tables(connection: Any) -> dict[str, LiveTable]:
    """Give every table that holds rows or derives them (virtual ones too), by its folded name."""
    listed = rows(connection, "SELECT name, type, wr FROM pragma_table_list WHERE schema = 'main'")
    return {
        lower(str(name)): _live_table(connection, str(name), str(kind), bool(without_rowid))
        for name, kind, without_rowid in listed
        if kind != "view" and not lower(str(name)).startswith("sqlite_")
    }


def _live_table(connection: Any, name: str, kind: str, without_rowid: bool) -> LiveTable:
    found = rows(
        connection, 'SELECT name, "notnull", dflt_value, pk, hidden FROM pragma_table_xinfo(?)', (name,)
    )
    columns = tuple(str(row[0]) for row in found if row[4] != 1)
    keys = [str(row[0]) for row in found if row[3]]
    rowid, rowid_column = None, None
    if not without_rowid:
        taken = set(map(lower, columns))
        rowid = next((alias for alias in ("rowid", "_rowid_", "oid") if alias not in taken), None)
        has_index = rows(connection, "SELECT 1 FROM pragma_index_list(?) WHERE origin = 'pk'", (name,))
        if len(keys) == 1 and not has_index and kind != "virtual":
            rowid_column = rowid = keys[0]
    return LiveTable(
        name,
        kind,
        columns,
        frozenset(lower(str(row[0])) for row in found if row[4] in (2, 3)),
        frozenset(lower(str(row[0])) for row in found if row[1]),
        frozenset(lower(str(row[0])) for row in found if row[2] is not None),
        rowid,
        rowid_column,
    )


def cells(connection: Any, table: LiveTable, columns: Iterable[str], *, with_rowid: bool = True) -> list[Row]:
    """Give all rows as (typeof, value) pairs, text as the bytes it has, reals as the eight bytes they are.

    In order of the rowid, or of the primary key; the rowid comes first where there is one.
    """
    names = [table.rowid] if table.rowid and with_rowid else []
    names += list(columns)
    if not names:
        return [()] * int(str(rows(connection, f"SELECT count(*) FROM {quoted(table.name)}")[0][0]))
    order = f" ORDER BY {quoted(table.rowid)}" if table.rowid and table.kind != "virtual" else ""
    parts: list[list[Row]] = []
    for start in range(0, len(names), _CHUNK):
        asked = ", ".join(_cell(quoted(str(name))) for name in names[start : start + _CHUNK])
        parts.append(rows(connection, f"SELECT {asked} FROM {quoted(table.name)}{order}"))
    return [tuple(_pairs(row for part in whole for row in part)) for whole in zip(*parts, strict=True)]


def _cell(name: str) -> str:
    return f"typeof({name}), CASE typeof({name}) WHEN 'text' THEN CAST({name} AS BLOB) ELSE {name} END"


def _pairs(values: Iterable[object]) -> Iterable[tuple[object, object]]:
    source = iter(values)
    for kind, value in zip(source, source, strict=True):
        yield kind, struct.pack(">d", value) if isinstance(value, float) else value


def dump(connection: Any) -> dict[str, object]:
    """Give everything that a file says, rowids included: equal dumps are logically the same database."""
    content: dict[str, object] = {
        "schema": sorted(
            rows(connection, "SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_schema"), key=repr
        ),
        "header": header(connection),
        "sqlite_sequence": side_table(connection, "sqlite_sequence"),
        "sqlite_stat1": side_table(connection, "sqlite_stat1"),
        "sqlite_stat4": side_table(connection, "sqlite_stat4"),
    }
    for name, table in live_tables(connection).items():
        if table.kind != "virtual":
            content[f"rows of {name}"] = cells(connection, table, table.columns)
    return content


def header(connection: Any) -> dict[str, object]:
    return {name: rows(connection, f"PRAGMA {name}")[0][0] for name in _HEADER}


def side_table(connection: Any, name: str) -> list[Row]:
    """Give the rows of one of SQLite's own tables; none where it is not there."""
    if not rows(connection, "SELECT 1 FROM sqlite_schema WHERE name = ?", (name,)):
        return []
    return sorted(rows(connection, f"SELECT * FROM {name}"), key=repr)


def differing(left: dict[str, object], right: dict[str, object]) -> list[str]:
    """Name the parts in which two dumps differ, with both sides cut short."""
    return [
        f"{part}: {brief(left.get(part))} became {brief(right.get(part))}"
        for part in sorted(left.keys() | right.keys())
        if left.get(part) != right.get(part)
    ]


def brief(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 300 else f"{text[:300]}..."
