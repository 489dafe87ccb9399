"""The app whose databases the corruption laboratory damages: its schema, its rows, and what is done to them.

Everything comes from a seed. The app works a while: rows are deleted and changed, so that remains of them lie
in free pages and free blocks, as in a file that was in use.
"""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

__all__ = ["APP_SCHEMA", "fill_app", "fill_own", "work_on_app", "work_on_own"]

APP_SCHEMA = """
CREATE TABLE customer (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    email TEXT NOT NULL CONSTRAINT customer_email_unique UNIQUE,
    balance REAL NOT NULL DEFAULT 0.0,
    joined_on TEXT NOT NULL CHECK (joined_on GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]'),
    settings TEXT CHECK (settings IS NULL OR json_valid(settings)),
    is_active INTEGER NOT NULL DEFAULT 1 CHECK (is_active IN (0, 1))
);
CREATE INDEX customer_name ON customer (name COLLATE NOCASE);
CREATE TABLE product (
    code TEXT PRIMARY KEY CHECK (length(code) = 8),
    title TEXT NOT NULL,
    price INTEGER NOT NULL CHECK (price >= 0),
    weight REAL,
    picture BLOB
) STRICT, WITHOUT ROWID;
CREATE INDEX product_title ON product (title);
CREATE TABLE purchase (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    customer_id INTEGER NOT NULL REFERENCES customer (id) ON DELETE CASCADE,
    made_at INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('open', 'paid', 'sent')),
    total NUMERIC
);
CREATE INDEX purchase_customer ON purchase (customer_id, made_at);
CREATE INDEX purchase_open ON purchase (made_at) WHERE state = 'open';
CREATE TABLE line (
    purchase_id INTEGER NOT NULL REFERENCES purchase (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    code TEXT NOT NULL REFERENCES product (code),
    amount INTEGER NOT NULL CHECK (amount > 0),
    PRIMARY KEY (purchase_id, position)
) WITHOUT ROWID;
CREATE TABLE note (
    id INTEGER PRIMARY KEY,
    customer_id INTEGER REFERENCES customer (id) ON DELETE SET NULL,
    body TEXT NOT NULL,
    attachment BLOB
);
CREATE TABLE tag (
    id INTEGER PRIMARY KEY,
    owner INTEGER NOT NULL,
    label TEXT NOT NULL,
    CONSTRAINT tag_unique UNIQUE (owner, label)
);
CREATE TABLE price_change (code TEXT NOT NULL, changed_at INTEGER NOT NULL, price INTEGER, reason TEXT);
CREATE INDEX price_change_all ON price_change (code, changed_at, price, reason);
CREATE TABLE event (happened_at REAL, kind, line TEXT, level INTEGER);
CREATE TABLE place (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    parent_id INTEGER REFERENCES place (id),
    latitude REAL,
    longitude REAL,
    folded TEXT GENERATED ALWAYS AS (lower(name)) STORED,
    shown TEXT AS (name || ' (' || id || ')') VIRTUAL
);
CREATE INDEX place_folded ON place (folded);
CREATE INDEX place_short ON place (substr(name, 1, 3));
CREATE TABLE reading (
    sensor INTEGER NOT NULL,
    taken_at INTEGER NOT NULL,
    value REAL NOT NULL,
    quality INTEGER NOT NULL,
    raw BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX reading_unique ON reading (sensor, taken_at);
CREATE VIRTUAL TABLE document USING fts5 (title, body);
CREATE VIEW customer_total AS
    SELECT customer.id, name, sum(total) AS spent
    FROM customer LEFT JOIN purchase ON customer_id = customer.id
    GROUP BY customer.id;
CREATE TRIGGER purchase_total_known AFTER INSERT ON purchase WHEN NEW.total IS NULL
BEGIN
    UPDATE purchase SET total = 0 WHERE id = NEW.id;
END;
CREATE TRIGGER product_price_kept AFTER UPDATE OF price ON product WHEN NEW.price <> OLD.price
BEGIN
    INSERT INTO price_change VALUES (NEW.code, 1700000000 + NEW.price, OLD.price, 'changed');
END;
ALTER TABLE reading ADD COLUMN unit TEXT NOT NULL DEFAULT 'celsius';
PRAGMA user_version = 7;
PRAGMA application_id = 271828;
"""
_WORDS = (
    *(
        "alpha",
        "river",
        "stone",
        "paper",
        "window",
        "garden",
        "north",
        "silver",
        "quiet",
        "morning",
        "engine",
    ),
    *(
        "letter",
        "market",
        "bridge",
        "orange",
        "harbour",
        "señor",
        "Straße",
        "naïve",
        "日本語",
        "Ελλάδα",
        "кот",
    ),
    *("🙂", "table", "number", "signal", "forest", "winter"),
)
# how many rows of each table; in this order each finds what it refers to
_SHARES = (
    ("customer", 500),
    ("product", 400),
    ("purchase", 900),
    ("line", 1500),
    ("note", 160),
    ("tag", 1200),
    ("price_change", 700),
    ("event", 900),
    ("place", 300),
    ("reading", 1300),
    ("document", 250),
)


def _text(rng: random.Random, most: int) -> str:
    return " ".join(rng.choice(_WORDS) for _ in range(rng.randint(1, most)))


class App:
    """Makes rows of each table; knows which ids there are."""

    def __init__(self, connection: sqlite3.Connection, rng: random.Random) -> None:
        self.connection, self.rng = connection, rng

    def add(self, table: str, count: int) -> None:
        rows = [getattr(self, table)() for _ in range(count)]
        marks = ", ".join("?" for _ in rows[0])
        columns = {
            "customer": "(name, email, balance, joined_on, settings, is_active)",
            "purchase": "(customer_id, made_at, state, total)",
            "note": "(customer_id, body, attachment)",
            "tag": "(owner, label)",
            "place": "(name, parent_id, latitude, longitude)",
            "document": "(title, body)",
            "reading": "(sensor, taken_at, value, quality, raw)",
        }.get(table, "")
        self.connection.executemany(f"INSERT OR IGNORE INTO {table} {columns} VALUES ({marks})", rows)

    def _one(self, sql: str) -> Any:
        # ids grow by one and few are gone: a random one is tried until it is there
        found = self.connection.execute(sql, [self.rng.random()]).fetchone()
        return found and found[0]

    def _customer(self) -> int:
        return self._one("SELECT id FROM customer WHERE id >= ? * (SELECT max(id) FROM customer) LIMIT 1")

    def customer(self) -> Sequence[object]:
        rng = self.rng
        settings = (
            json.dumps({"size": rng.randint(1, 99), "words": _text(rng, 6)}) if rng.random() < 0.7 else None
        )
        day = f"20{rng.randint(10, 26)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"
        email = f"{rng.getrandbits(40):x}@{rng.choice(_WORDS[:12])}.example"
        return _text(rng, 3), email, round(rng.uniform(-500, 9000), 2), day, settings, int(rng.random() < 0.9)

    def product(self) -> Sequence[object]:
        rng = self.rng
        picture = rng.randbytes(rng.randint(20, 300)) if rng.random() < 0.6 else None
        weight = rng.choice([None, rng.random() * 10, float(rng.randint(1, 9))])
        return f"{rng.getrandbits(32):08x}", _text(rng, 4), rng.randint(0, 10**6), weight, picture

    def purchase(self) -> Sequence[object]:
        rng = self.rng
        total = rng.choice([None, rng.randint(1, 9999), rng.randint(1, 99999) / 100])
        return self._customer(), rng.randint(10**9, 2 * 10**9), rng.choice(("open", "paid", "sent")), total

    def line(self) -> Sequence[object]:
        purchase = self._one("SELECT id FROM purchase WHERE id >= ? * (SELECT max(id) FROM purchase) LIMIT 1")
        least = f"{self.rng.getrandbits(32):08x}"
        code = self.connection.execute(
            "SELECT code FROM product WHERE code >= ? UNION ALL SELECT max(code) FROM product", [least]
        ).fetchone()[0]
        return purchase, self.rng.randint(1, 40), code, self.rng.randint(1, 12)

    def note(self) -> Sequence[object]:
        rng = self.rng
        body = _text(rng, rng.choice((8, 60, 400, 1500)))
        attachment = rng.randbytes(rng.choice((40, 900, 6000, 20000))) if rng.random() < 0.4 else None
        return rng.choice((None, self._customer())), body, attachment

    def tag(self) -> Sequence[object]:
        return self.rng.randint(1, 300), _text(self.rng, 3)

    def price_change(self) -> Sequence[object]:
        rng = self.rng
        return f"{rng.getrandbits(32):08x}", rng.randint(10**9, 2 * 10**9), rng.randint(0, 999), _text(rng, 3)

    def event(self) -> Sequence[object]:
        rng = self.rng
        kind = rng.choice([None, rng.randint(-(2**62), 2**62), rng.random(), _text(rng, 2), rng.randbytes(9)])
        return rng.uniform(1e9, 2e9), kind, _text(rng, 8), rng.choice((None, 1, 2, 3, 200))

    def place(self) -> Sequence[object]:
        rng = self.rng
        parent = self._one("SELECT id FROM place WHERE id >= ? * (SELECT max(id) FROM place) LIMIT 1")
        return _text(rng, 2), parent, rng.uniform(-90, 90), rng.uniform(-180, 180)

    def reading(self) -> Sequence[object]:
        rng = self.rng
        return (
            rng.randint(1, 40),
            rng.randint(10**9, 2 * 10**9),
            rng.gauss(20, 5),
            rng.randint(0, 9),
            rng.randbytes(12),
        )

    def document(self) -> Sequence[object]:
        return _text(self.rng, 4), _text(self.rng, 40)


def fill_app(connection: sqlite3.Connection, rng: random.Random, scale: float) -> None:
    """Make the schema and the rows, table by table in turns, so that their pages lie among each other."""
    connection.executescript(APP_SCHEMA)
    app = App(connection, rng)
    connection.execute("BEGIN")
    for turn in range(8):
        if turn == 4:
            connection.execute("UPDATE reading SET unit = 'kelvin' WHERE sensor = 3")
        for table, rows in _SHARES:
            app.add(table, max(1, int(rows * scale / 8)))
    connection.execute("COMMIT")


def work_on_app(connection: sqlite3.Connection, rng: random.Random, share: float) -> Iterator[None]:
    """Delete, change and add a share of the rows; yields before each of the three."""
    app = App(connection, rng)
    yield
    for table in ("tag", "event", "reading", "note", "price_change", "purchase", "document"):
        top = connection.execute(f"SELECT max(rowid) FROM {table}").fetchone()[0]
        # a run of neighbours empties whole pages, single ones leave free blocks
        first = rng.randrange(1, top)
        connection.execute(
            f"DELETE FROM {table} WHERE rowid BETWEEN ? AND ?", [first, first + int(top * share / 2)]
        )
        gone = [[rng.randint(1, top)] for _ in range(int(top * share / 2))]
        connection.executemany(f"DELETE FROM {table} WHERE rowid = ?", gone)
    connection.execute("DELETE FROM line WHERE purchase_id % ? = 0", [int(1 / share)])
    yield
    for table, change in (
        ("customer", "balance = balance + 1, name = name || ' jr'"),
        ("purchase", "state = 'paid', total = 5"),
        ("note", "body = body || ' changed'"),
        ("reading", "quality = quality + 1"),
        ("tag", "label = label || ' ' || id"),
        ("event", "level = 7"),
    ):
        number = rng.randrange(int(1 / share))
        connection.execute(f"UPDATE {table} SET {change} WHERE rowid % ? = ?", [int(1 / share), number])
    connection.execute("UPDATE product SET price = price + 1 WHERE code LIKE ?", [f"{rng.randrange(16):x}%"])
    yield
    for table, rows in _SHARES:
        app.add(table, max(1, int(rows * share / 8)))


def _hash(rng: random.Random) -> str:
    return f"{rng.getrandbits(256):064x}"


def _time(rng: random.Random) -> str:
    return (
        f"20{rng.randint(20, 26)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"
        f"T{rng.randint(0, 23):02}:{rng.randint(0, 59):02}:{rng.randint(0, 59):02}.{rng.randrange(10**6):06}Z"
    )


def _identity(rng: random.Random) -> str:
    held = f"{rng.getrandbits(128):032x}"
    return f"{held[:8]}-{held[8:12]}-{held[12:16]}-{held[16:20]}-{held[20:]}"


def fill_own(connection: sqlite3.Connection, rng: random.Random, scale: float) -> None:
    """Make the package's own schema and rows of its domains."""
    connection.execute("BEGIN")
    connection.execute("INSERT INTO migrations VALUES (1, '0001_foundation', ?)", [_time(rng)])
    sessions = [_identity(rng) for _ in range(int(120 * scale))]
    for place, session in enumerate(sessions):
        connection.execute(
            "INSERT INTO sessions (id, name, project_directory, project_hash, task_description, created_at,"
            " updated_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
            [session, _text(rng, 4), f"/home/{place}", _hash(rng), _text(rng, 60), _time(rng), _time(rng)],
        )
    for turn in range(6):
        _own_files(connection, rng, sessions, int(300 * scale), turn)
        _own_jobs(connection, rng, sessions, int(90 * scale))
        _own_values(connection, rng, int(110 * scale))
    connection.execute("COMMIT")


def _own_files(
    connection: sqlite3.Connection, rng: random.Random, sessions: Sequence[str], count: int, turn: int
) -> None:
    for table, share in (("included_files", 1), ("excluded_files", 3)):
        rows = [
            [
                rng.choice(sessions),
                f"{table[0]}/{turn}/{rng.choice(_WORDS)}/{rng.getrandbits(24)}.py",
                _time(rng),
            ]
            for _ in range(count // share)
        ]
        connection.executemany(f"INSERT INTO {table} (session_id, path, created_at) VALUES (?, ?, ?)", rows)


def _own_jobs(
    connection: sqlite3.Connection, rng: random.Random, sessions: Sequence[str], count: int
) -> None:
    for _ in range(count):
        status = rng.choice(("queued", "completed", "failed", "idle"))
        end = _time(rng) if status in ("completed", "failed") else None
        words = rng.choice((5, 40, 300, 900))
        connection.execute(
            "INSERT INTO background_jobs (id, session_id, status, priority, run_at, end_time, created_at,"
            " updated_at, metadata, prompt, response, task_type) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                *(_identity(rng), rng.choice(sessions), status, rng.randint(-3, 9), _time(rng), end),
                *(_time(rng), _time(rng), json.dumps({"n": rng.randint(1, 99)}), _text(rng, words)),
                *(_text(rng, words) if end else None, rng.choice(("path_finder", "text_improvement"))),
            ],
        )


def _own_values(connection: sqlite3.Connection, rng: random.Random, count: int) -> None:
    for _ in range(count):
        value = json.dumps({_text(rng, 1): rng.random(), "list": [rng.randint(0, 9) for _ in range(9)]})
        connection.execute(
            "INSERT INTO cached_state (project_directory, project_hash, key, value, updated_at)"
            " VALUES (?, ?, ?, ?, ?)",
            [_text(rng, 1), _hash(rng), _text(rng, 3), value, _time(rng)],
        )
        key = f"{rng.choice(_WORDS)}.{rng.getrandbits(40):x}"
        connection.execute(
            "INSERT INTO key_value_store (key, value, updated_at) VALUES (?, ?, ?)", [key, value, _time(rng)]
        )


def work_on_own(connection: sqlite3.Connection, rng: random.Random, share: float) -> Iterator[None]:
    """Delete, change and add a share of the rows; yields before each of the three."""
    sessions = [row[0] for row in connection.execute("SELECT id FROM sessions ORDER BY rowid")]
    yield
    for table in ("included_files", "background_jobs", "cached_state", "key_value_store", "excluded_files"):
        top = connection.execute(f"SELECT max(rowid) FROM {table}").fetchone()[0]
        first = rng.randrange(1, top)
        connection.execute(
            f"DELETE FROM {table} WHERE rowid BETWEEN ? AND ?", [first, first + int(top * share / 2)]
        )
        gone = [[rng.randint(1, top)] for _ in range(int(top * share / 2))]
        connection.executemany(f"DELETE FROM {table} WHERE rowid = ?", gone)
    yield
    every = int(1 / share)
    number = rng.randrange(every)
    for table, change in (
        ("sessions", "name = name || ' again'"),
        ("background_jobs", "priority = priority + 1, prompt = prompt || ' more'"),
        ("cached_state", "value = json_array(value)"),
        ("key_value_store", "value = json_array(value)"),
    ):
        moment = _time(rng)
        connection.execute(
            f"UPDATE {table} SET {change}, updated_at = ? WHERE rowid % ? = ?", [moment, every, number]
        )
    yield
    _own_files(connection, rng, sessions, int(300 * share), 9)
    _own_jobs(connection, rng, sessions, int(90 * share))
    _own_values(connection, rng, int(110 * share))
