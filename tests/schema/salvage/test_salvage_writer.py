"""What was salvaged is written into a sound database, and what its rules refuse is set aside."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from support.salvage_case import create, schema_of, truth
from support.salvage_shop import Shop

from datalayer.errors import DatabaseUnavailable
from datalayer.schema.salvage.findings import inspect
from datalayer.schema.salvage.outcome import TableCounts, Written
from datalayer.schema.salvage.recover import salvage
from datalayer.schema.salvage.writer import write


def _written(source: Path, target: Path) -> Written:
    with salvage(source) as salvaged:
        return write(salvaged, target)


def _query(path: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def test_a_sound_file_is_written_as_it_was(any_shop: Shop, tmp_path: Path) -> None:
    target = tmp_path / "new.db"

    written = _written(any_shop.path, target)

    assert written.faults == ()
    assert written.moved == 0
    assert truth(target) == any_shop.rows
    assert schema_of(target) == any_shop.schema
    assert _query(target, "SELECT * FROM sqlite_sequence") == [("order", 799)]
    assert inspect(target) == []


def test_rows_that_refer_to_lost_ones_are_set_aside_after_them(tmp_path: Path) -> None:
    source, target = tmp_path / "source.db", tmp_path / "new.db"
    with closing(
        create(
            source,
            "CREATE TABLE a (id INTEGER PRIMARY KEY);"
            "CREATE TABLE b (id INTEGER PRIMARY KEY, a INTEGER NOT NULL REFERENCES a);"
            "CREATE TABLE c (id INTEGER PRIMARY KEY, b INTEGER REFERENCES b ON DELETE SET NULL);"
            "CREATE TABLE d (id INTEGER PRIMARY KEY, b INTEGER NOT NULL REFERENCES b);"
            "PRAGMA foreign_keys = OFF;"
            "INSERT INTO a VALUES (1); INSERT INTO b VALUES (1, 1), (2, 99);"
            "INSERT INTO c VALUES (1, 1), (2, 2); INSERT INTO d VALUES (1, 1), (2, 2)",
        )
    ):
        pass

    written = _written(source, target)

    assert written.faults == ()
    assert written.tables["b"] == TableCounts(kept=1, moved=1)
    assert written.tables["d"] == TableCounts(kept=1, moved=1)
    assert _query(target, "SELECT * FROM c") == [(1, 1), (2, None)]
    assert _query(target, 'SELECT "table", row_id, c1 FROM lost_and_found ORDER BY 1') == [
        ("b", 2, 99),
        ("c", 2, 2),
        ("d", 2, 2),
    ]
    assert written.cleared == {"c": 1}


def test_many_rows_keep_their_place_by_a_placeholder_for_the_row_they_refer_to(tmp_path: Path) -> None:
    source, target = tmp_path / "source.db", tmp_path / "new.db"
    script = (
        "CREATE TABLE a (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);"
        "CREATE TABLE b (id INTEGER PRIMARY KEY, a INTEGER NOT NULL REFERENCES a);"
        "PRAGMA foreign_keys = OFF;"
    )
    with closing(create(source, script)) as connection:
        connection.executemany("INSERT INTO b VALUES (?, ?)", [(n, n % 2 + 1) for n in range(100)])

    written = _written(source, target)

    assert written.faults == ()
    assert written.tables == {"a": TableCounts(made=2), "b": TableCounts(kept=100)}
    assert _query(target, "SELECT * FROM a") == [(1, "lost 1"), (2, "lost 2")]
    named = 'SELECT "table", row_id, reason, c1 FROM lost_and_found'
    reason = "placeholder for a lost row"
    assert _query(target, named) == [("a", 1, reason, "lost 1"), ("a", 2, reason, "lost 2")]


def test_rows_that_break_a_rule_are_set_aside_with_the_reason(tmp_path: Path) -> None:
    source, target = tmp_path / "source.db", tmp_path / "new.db"
    with closing(create(source, "CREATE TABLE t (a INTEGER CHECK (a > 0), b TEXT)")) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute("INSERT INTO t VALUES (1, 'x'), (-1, 'y'), (2, CAST(x'ff' AS TEXT))")

    written = _written(source, target)

    assert written.faults == ()
    assert written.tables == {"t": TableCounts(kept=1, moved=2)}
    assert sorted(written.reasons) == [
        "a text in it does not decode",
        "refused: CHECK constraint failed: a > 0",
    ]
    assert _query(target, "SELECT row_id, c0, c1 FROM lost_and_found ORDER BY 1") == [
        (2, -1, "y"),
        (3, 2, b"\xff"),
    ]


def test_a_full_text_table_finds_its_words_again(tmp_path: Path) -> None:
    source, target = tmp_path / "source.db", tmp_path / "new.db"
    with closing(create(source, "CREATE VIRTUAL TABLE words USING fts5 (body)")) as connection:
        connection.execute("INSERT INTO words VALUES ('hello world'), ('good night')")
        connection.execute("DELETE FROM words_idx")
        connection.execute("DELETE FROM words_data WHERE id > 10")

    written = _written(source, target)

    assert written.faults == ()
    assert _query(target, "SELECT body FROM words ('night')") == [("good night",)]


def test_an_existing_file_is_not_written_over(shop: Shop, tmp_path: Path) -> None:
    target = tmp_path / "there.db"
    target.write_bytes(b"mine")

    with salvage(shop.path) as salvaged, pytest.raises(DatabaseUnavailable):
        write(salvaged, target)

    assert target.read_bytes() == b"mine"


def test_a_stored_text_that_would_run_a_query_is_not_run(tmp_path: Path) -> None:
    path = tmp_path / "damaged.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE t (a TEXT)")
        connection.execute("INSERT INTO t VALUES ('x')")
        connection.execute("PRAGMA writable_schema = ON")
        numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"
        endless = f"CREATE TABLE t AS {numbers}"
        connection.execute("UPDATE sqlite_schema SET sql = ?", (endless,))

    written = _written(path, tmp_path / "new.db")

    assert written.tables.get("t") is None or written.tables["t"].kept <= 1
