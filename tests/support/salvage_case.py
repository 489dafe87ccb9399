"""Databases to salvage: made by SQLite in every format, with what a SELECT gives as the truth."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from datalayer.schema.salvage.outcome import LostRow, Salvaged
from datalayer.schema.snapshot import Schema, read
from datalayer.schema.tokens import quote

Rows = dict[tuple[object, ...], tuple[object, ...]]

SHOP = """
CREATE TABLE customer (
    id INTEGER PRIMARY KEY, email TEXT NOT NULL UNIQUE, name TEXT, born INTEGER,
    balance REAL NOT NULL DEFAULT 0
);
CREATE TABLE product (
    code TEXT PRIMARY KEY, title TEXT NOT NULL, price INTEGER NOT NULL CHECK (price >= 0), picture BLOB
) WITHOUT ROWID;
CREATE TABLE "order" (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    customer INTEGER NOT NULL REFERENCES customer (id),
    state TEXT NOT NULL CHECK (state IN ('new', 'paid', 'sent')),
    placed_at TEXT NOT NULL,
    note TEXT
);
CREATE INDEX order_by_customer ON "order" (customer);
CREATE INDEX order_by_state ON "order" (state, placed_at);
CREATE TABLE line (
    "order" INTEGER NOT NULL REFERENCES "order" (id),
    product TEXT NOT NULL REFERENCES product (code),
    amount INTEGER NOT NULL
);
CREATE INDEX line_by_order ON line ("order", product, amount);
CREATE TABLE document (id INTEGER PRIMARY KEY, body TEXT NOT NULL, meta TEXT CHECK (json_valid(meta)));
CREATE VIEW open_order AS SELECT * FROM "order" WHERE state = 'new';
CREATE TRIGGER no_empty_note AFTER INSERT ON "order" WHEN NEW.note = '' BEGIN
    UPDATE "order" SET note = NULL WHERE id = NEW.id;
END;
"""


@dataclass(frozen=True)
class Format:
    page_size: int = 4096
    encoding: str = "UTF-8"
    auto_vacuum: int = 0


def create(path: Path, script: str, form: Format | None = None) -> sqlite3.Connection:
    """Open a new database of a format with a schema; the caller closes it."""
    form = form or Format()
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(f"PRAGMA page_size = {form.page_size}")
    connection.execute(f"PRAGMA encoding = '{form.encoding}'")
    connection.execute(f"PRAGMA auto_vacuum = {form.auto_vacuum}")
    connection.execute("PRAGMA synchronous = OFF")
    connection.executescript(script)
    return connection


def fill_shop(connection: sqlite3.Connection, count: int, *, seed: int = 0) -> None:
    """Give the shop customers, orders and documents in proportion to `count`; some spill over pages."""
    connection.execute("BEGIN")
    connection.executemany(
        "INSERT INTO customer VALUES (?, ?, ?, ?, ?)",
        [
            (n, f"user{n + seed}@example.org", f"Name {n} Ünï", None if n % 7 == 0 else 1950 + n % 60, n / 4)
            for n in range(1, count + 1)
        ],
    )
    connection.executemany(
        "INSERT INTO product VALUES (?, ?, ?, ?)",
        [
            (f"P{n * 7919 % 100003:06}", f"Thing number {n}", n * 10, bytes(range(n % 90)))
            for n in range(count // 4)
        ],
    )
    codes = [row[0] for row in connection.execute("SELECT code FROM product ORDER BY code")]
    connection.executemany(
        'INSERT INTO "order" VALUES (?, ?, ?, ?, ?)',
        [
            (
                n,
                n * 31 % count + 1,
                ("new", "paid", "sent")[n % 3],
                f"2026-01-{n % 28 + 1:02}T10:{n % 60:02}",
                None,
            )
            for n in range(1, count * 2)
        ],
    )
    connection.executemany(
        "INSERT INTO line VALUES (?, ?, ?)",
        [(n % (count * 2 - 1) + 1, codes[n * 13 % len(codes)], n % 9 + 1) for n in range(count * 3)],
    )
    connection.executemany(
        "INSERT INTO document VALUES (?, ?, ?)",
        [(n, f"text {n} " * (n * n % 700 + 1), f'{{"n": {n}}}') for n in range(1, count // 10 + 2)],
    )
    connection.execute("COMMIT")


def truth(path: Path) -> dict[str, Rows]:
    """Give the rows of all tables by rowid, or by all values where there is none."""
    with closing(sqlite3.connect(path)) as connection:
        schema = read(connection)
        return {
            table.name: _rows(connection, schema, table.name)
            for table in schema.tables
            if table.kind != "virtual"
        }


def _rows(connection: sqlite3.Connection, schema: Schema, name: str) -> Rows:
    table = schema.table(name)
    assert table is not None
    columns = ", ".join(quote(column.name) for column in table.columns if column.generated is None)
    if table.is_without_rowid:
        return {tuple(row): tuple(row) for row in connection.execute(f"SELECT {columns} FROM {quote(name)}")}
    rows = connection.execute(f"SELECT rowid, {columns} FROM {quote(name)}")
    return {(row[0],): tuple(row[1:]) for row in rows}


def schema_of(path: Path) -> Schema:
    with closing(sqlite3.connect(path)) as connection:
        return read(connection)


def found_rows(salvaged: Salvaged, lost: list[LostRow] | None = None) -> dict[str, Rows]:
    """Give the rows in place like `truth` does."""
    kept: list[LostRow] = [] if lost is None else lost
    found: dict[str, Rows] = {}
    for name, table in salvaged.tables.items():
        rows: Rows = {}
        for row in table.rows(kept.append):
            key = tuple(row.values) if row.rowid is None else (row.rowid,)
            assert key not in rows, f"{name} {key} twice"
            rows[key] = tuple(row.values)
        found[name] = rows
    return found


def missing(wanted: dict[str, Rows], found: dict[str, Rows]) -> int:
    """Count the rows that were not found as they were."""
    return sum(
        _differs(found.get(name, {}), key, row) for name, rows in wanted.items() for key, row in rows.items()
    )


def false_rows(wanted: dict[str, Rows], found: dict[str, Rows]) -> int:
    """Count the rows that never were."""
    return sum(
        _differs(wanted.get(name, {}), key, row) for name, rows in found.items() for key, row in rows.items()
    )


def _differs(rows: Rows, key: tuple[object, ...], row: tuple[object, ...]) -> bool:
    other = rows.get(key)
    return other is None or [(type(value), value) for value in other] != [
        (type(value), value) for value in row
    ]
