"""Damage that SQL can do, to rows and objects of a sound file, and what stands in a database's place."""

from __future__ import annotations

import gzip
import sqlite3
from collections.abc import Callable, Iterable
from typing import Any

from support.corruption import PLAIN, Damage, TrackedFile, kind

APPS = tuple(name for name in PLAIN if name.startswith("app"))
BYTES = ("app-512", "app-1024-full", "app-4096", "app-65536")
Excused = Iterable[tuple[str, Any]]


def _relaxed(
    connection: sqlite3.Connection, name: str, old: str, new: str, work: Callable[[], object]
) -> None:
    """Do some work while the text of an object stands otherwise in sqlite_schema."""
    kept = connection.execute("SELECT sql FROM sqlite_schema WHERE name = ?", [name]).fetchone()[0]
    assert old in kept
    connection.execute("PRAGMA writable_schema = ON")
    change = "UPDATE sqlite_schema SET sql = ? WHERE name = ?"
    connection.execute(change, [kept.replace(old, new), name])
    connection.execute("PRAGMA writable_schema = RESET")
    work()
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute(change, [kept, name])
    connection.execute("PRAGMA writable_schema = RESET")


def _hidden(connection: sqlite3.Connection, index: str, work: Callable[[], object]) -> None:
    """Do some work while an index is not in sqlite_schema, so that it misses the changes."""
    columns = "type, name, tbl_name, rootpage, sql"
    kept = connection.execute(f"SELECT {columns} FROM sqlite_schema WHERE name = ?", [index]).fetchone()
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute("DELETE FROM sqlite_schema WHERE name = ?", [index])
    connection.execute("PRAGMA writable_schema = RESET")
    work()
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute(f"INSERT INTO sqlite_schema ({columns}) VALUES (?, ?, ?, ?, ?)", kept)
    connection.execute("PRAGMA writable_schema = RESET")


def _rowids(damage: Damage, connection: sqlite3.Connection, table: str, count: int) -> list[int]:
    every = [row[0] for row in connection.execute(f"SELECT rowid FROM {table} ORDER BY rowid")]
    return damage.rng.sample(every, count)


def _update(connection: sqlite3.Connection, table: str, change: str, rowids: Iterable[int]) -> None:
    connection.executemany(f"UPDATE {table} SET {change} WHERE rowid = ?", [[rowid] for rowid in rowids])


@kind("index", *APPS)
def index_entries_missing(damage: Damage) -> None:
    def work(connection: sqlite3.Connection) -> None:
        chosen = _rowids(damage, connection, "customer", 20)
        insert = (
            "INSERT INTO price_change SELECT code, changed_at + 1, price, 'new' FROM price_change LIMIT 30"
        )
        _hidden(connection, "price_change_all", lambda: connection.execute(insert))
        _hidden(
            connection, "customer_name", lambda: _update(connection, "customer", "name = name || id", chosen)
        )

    damage.run(work)


@kind("index", *APPS)
def index_entries_extra(damage: Damage) -> None:
    def work(connection: sqlite3.Connection) -> None:
        gone = [[rowid] for rowid in _rowids(damage, connection, "price_change", 30)]
        delete = "DELETE FROM price_change WHERE rowid = ?"
        _hidden(connection, "price_change_all", lambda: connection.executemany(delete, gone))

    damage.run(work)


@kind("index", *APPS)
def index_terms_changed(damage: Damage) -> None:
    """The index was built for other terms than its text says."""

    def work(connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(
            "UPDATE sqlite_schema SET sql = replace(sql, '(title)', '(price)') WHERE name = 'product_title'"
        )

    damage.run(work)


@kind("logical", *PLAIN)
def orphans(damage: Damage) -> None:
    def work(connection: sqlite3.Connection) -> Excused:
        table = "sessions" if damage.base.name == "own" else "customer"
        gone = [row[0] for row in connection.execute(f"SELECT id FROM {table} ORDER BY id")][5:8]
        connection.executemany(f"DELETE FROM {table} WHERE id = ?", [[key] for key in gone])
        marks = ", ".join("?" for _ in gone)
        children = (
            ("included_files", "excluded_files", "background_jobs")
            if table == "sessions"
            else ("purchase", "note")
        )
        column = "session_id" if table == "sessions" else "customer_id"
        for child in children:
            for (key,) in connection.execute(f"SELECT rowid FROM {child} WHERE {column} IN ({marks})", gone):
                yield child, key
        if table == "customer":
            below = "SELECT purchase_id, position FROM line JOIN purchase ON id = purchase_id"
            for key in connection.execute(f"{below} WHERE customer_id IN ({marks})", gone):
                yield "line", key

    damage.run(work)


def _wrong(damage: Damage, table: str, change: str, relaxed: tuple[str, str, str] | None) -> None:
    """Change a few rows in a way that a constraint forbids; they are excused."""

    def work(connection: sqlite3.Connection) -> Excused:
        chosen = _rowids(damage, connection, table, 6)
        if relaxed is None:
            connection.execute("PRAGMA ignore_check_constraints = ON")
            _update(connection, table, change, chosen)
        else:
            _relaxed(connection, *relaxed, lambda: _update(connection, table, change, chosen))
        return [(table, rowid) for rowid in chosen]

    damage.run(work)


@kind("logical", *APPS)
def null_where_forbidden(damage: Damage) -> None:
    _wrong(damage, "note", "body = NULL", ("note", "body TEXT NOT NULL", "body TEXT"))


@kind("logical", *APPS)
def check_violated(damage: Damage) -> None:
    _wrong(damage, "customer", "is_active = 9", None)


@kind("logical", *APPS)
def json_invalid(damage: Damage) -> None:
    _wrong(damage, "customer", "settings = '{\"size\": '", None)


@kind("logical", "own")
def own_json_invalid(damage: Damage) -> None:
    # with a time of its own, or the table's trigger would put the present one
    moment = "updated_at = '2026-01-02T03:04:05.678901Z'"
    _wrong(damage, "cached_state", f"value = '{{\"size\": ', {moment}", None)


@kind("logical", *APPS)
def type_wrong(damage: Damage) -> None:
    _wrong(damage, "reading", "quality = 'good'", ("reading", ") STRICT", ")"))


@kind("logical", *BYTES)
def text_undecodable(damage: Damage) -> None:
    _wrong(damage, "event", "line = CAST(x'6162ffc328' AS TEXT)", None)


@kind("logical", *APPS)
def duplicates(damage: Damage) -> None:
    def work(connection: sqlite3.Connection) -> Excused:
        pairs = _rowids(damage, connection, "reading", 12)
        other = "SELECT sensor, taken_at FROM reading WHERE rowid = ?"
        change = f"UPDATE reading SET (sensor, taken_at) = ({other}) WHERE rowid = ?"
        _relaxed(
            *(connection, "reading_unique", "UNIQUE INDEX", "INDEX"),
            lambda: connection.executemany(change, list(zip(pairs[::2], pairs[1::2]))),
        )
        return [("reading", rowid) for rowid in pairs]

    damage.run(work)


def _statements(damage: Damage, *statements: str) -> None:
    def work(connection: sqlite3.Connection) -> None:
        for statement in statements:
            connection.execute(statement)

    damage.run(work)


@kind("logical", *APPS)
def sequence_behind(damage: Damage) -> None:
    _statements(damage, "UPDATE sqlite_sequence SET seq = 3")


@kind("logical", *APPS)
def sequence_missing(damage: Damage) -> None:
    _statements(damage, "DELETE FROM sqlite_sequence")


@kind("logical", *APPS)
def indexes_missing(damage: Damage) -> None:
    _statements(damage, "DROP INDEX purchase_open", "DROP INDEX reading_unique")


@kind("logical", *APPS)
def trigger_missing(damage: Damage) -> None:
    _statements(damage, "DROP TRIGGER product_price_kept")


@kind("logical", *APPS)
def view_missing(damage: Damage) -> None:
    _statements(damage, "DROP VIEW customer_total")


@kind("logical", *APPS)
def column_missing(damage: Damage) -> None:
    _statements(damage, "ALTER TABLE event DROP COLUMN level")


@kind("logical", *APPS)
def table_missing(damage: Damage) -> None:
    _statements(damage, "DROP TABLE price_change")


@kind("logical", *PLAIN)
def table_extra(damage: Damage) -> None:
    def work(connection: sqlite3.Connection) -> Excused:
        connection.execute("CREATE TABLE stray (one, two TEXT)")
        connection.executemany("INSERT INTO stray VALUES (?, ?)", [(place, "stray") for place in range(40)])
        return [("stray", place) for place in range(1, 41)]

    damage.run(work)


@kind("logical", *APPS)
def word_index_emptied(damage: Damage) -> None:
    _statements(damage, "DELETE FROM document_data WHERE id > 10")


@kind("environment")
def empty_file(damage: Damage) -> None:
    damage.main.resize(0)


@kind("environment")
def text_file(damage: Damage) -> None:
    damage.files["main"] = TrackedFile("", b"this is not a database\n" * 900)


@kind("environment")
def random_file(damage: Damage) -> None:
    damage.files["main"] = TrackedFile("", damage.rng.randbytes(len(damage.main)))


@kind("environment")
def zeroed_file(damage: Damage) -> None:
    damage.main.put(0, bytes(len(damage.main)))


@kind("environment")
def compressed_file(damage: Damage) -> None:
    damage.files["main"] = TrackedFile("", gzip.compress(bytes(damage.main.data), mtime=0))


@kind("environment")
def directory_in_place(damage: Damage) -> None:
    damage.form = "directory"


@kind("environment")
def missing_file(damage: Damage) -> None:
    damage.form = "missing"


@kind("environment")
def read_only_file(damage: Damage) -> None:
    damage.form = "read-only"


@kind("environment")
def prefixed_file(damage: Damage) -> None:
    damage.main.insert(0, damage.rng.randbytes(512))


@kind("environment")
def appended_garbage(damage: Damage) -> None:
    damage.main.insert(len(damage.main), damage.rng.randbytes(damage.size * 2 + 100))


@kind("environment")
def stray_log(damage: Damage) -> None:
    damage.files["wal"] = TrackedFile("", damage.rng.randbytes(damage.rng.choice((0, 20, 5000))))


@kind("environment")
def stray_journal(damage: Damage) -> None:
    damage.files["journal"] = TrackedFile("", damage.rng.choice((bytes(9000), damage.rng.randbytes(9000))))


@kind("environment")
def stray_shared_memory(damage: Damage) -> None:
    damage.extra["damaged.db-shm"] = damage.rng.randbytes(32768)
