"""The oracle itself: it passes what is right, and each way of being wrong is seen."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.live_schema import differing, plain_connect
from support.naive_copy import CannotHold, Copy, naive_copy
from support.oracle import problems, whole
from support.sql_words import normal, statements, words

BEFORE = """
CREATE TABLE log (what);
CREATE TABLE p (id INTEGER PRIMARY KEY AUTOINCREMENT, a TEXT, b INTEGER, old);
CREATE TABLE c (r REFERENCES p (id) ON DELETE CASCADE);
CREATE INDEX i ON p (a);
CREATE TRIGGER g AFTER INSERT ON p BEGIN INSERT INTO log VALUES (new.a); END;
INSERT INTO p VALUES (1, 'x', 1, 0), (2, NULL, 2, 0), (5, '007', NULL, 0), (90, 'z', 9, 0);
DELETE FROM p WHERE id = 90;
DELETE FROM log;
INSERT INTO c VALUES (1), (5);
INSERT INTO c (rowid, r) VALUES (77, 2);
ANALYZE;
PRAGMA user_version = 3;
"""
AFTER = """
CREATE TABLE log (what);
CREATE TABLE p (b INTEGER NOT NULL DEFAULT 4, name TEXT COLLATE NOCASE, id INTEGER PRIMARY KEY AUTOINCREMENT);
CREATE TABLE c (r REFERENCES p (id) ON DELETE CASCADE);
CREATE INDEX i ON p (name);
CREATE TRIGGER g AFTER INSERT ON p BEGIN INSERT INTO log VALUES (new.name); END;
"""
RENAMES = {"p.a": "name"}


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[Copy]:
    connection = plain_connect(str(tmp_path / "before.db"))
    connection.executescript(BEFORE)
    connection.close()
    made = naive_copy(str(tmp_path / "before.db"), AFTER, renames=RENAMES)
    yield made
    made.connection.close()


@pytest.fixture
def right(copy: Copy, tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A file that is as it must be, open to be spoiled."""
    opened = plain_connect(str(tmp_path / "after.db"))
    copy.connection.backup(opened)
    yield opened
    opened.close()


def test_what_must_be_there_is_said_by_the_rows_themselves(copy: Copy) -> None:
    ask = copy.connection.execute

    assert ask("SELECT id, name, b FROM p ORDER BY id").fetchall() == [
        (1, "x", 1),
        (2, None, 2),
        (5, "007", 4),
    ]
    assert ask("SELECT rowid, r FROM c").fetchall() == [(1, 1), (2, 5), (77, 2)]
    assert ask("SELECT * FROM sqlite_sequence").fetchall() == [("p", 90)]
    assert ask("SELECT * FROM log").fetchall() == []
    assert ask("PRAGMA user_version").fetchall() == [(3,)]


def test_a_right_file_has_no_problems(copy: Copy, right: sqlite3.Connection, tmp_path: Path) -> None:
    assert problems(str(tmp_path / "after.db"), copy) == []


@pytest.mark.parametrize(
    ("damage", "check"),
    [
        ("UPDATE p SET name = 'X' WHERE id = 1", "rows"),
        ("UPDATE p SET name = 7 WHERE id = 5", "rows"),
        ("UPDATE p SET name = CAST('x' AS BLOB) WHERE id = 1", "rows"),
        ("DELETE FROM p WHERE id = 2", "rows"),
        ("UPDATE c SET rowid = 78 WHERE rowid = 77", "rows"),
        ("INSERT INTO log VALUES ('fired')", "rows"),
        ("INSERT INTO c VALUES (99)", "soundness"),
        ("DELETE FROM sqlite_sequence", "numbering"),
        ("UPDATE sqlite_sequence SET seq = 5", "numbering"),
        ("DELETE FROM sqlite_stat1 WHERE tbl = 'c'", "statistics"),
        ("INSERT INTO sqlite_stat1 VALUES ('gone', NULL, '1')", "statistics"),
        ("DROP INDEX i", "texts"),
        ("DROP INDEX i; CREATE INDEX i ON p (name DESC)", "bytecode"),
        ("CREATE TABLE datalayer_left (x)", "texts"),
        ("DROP TRIGGER g", "behaviour"),
        (
            "DROP TRIGGER g; CREATE TRIGGER g AFTER INSERT ON p BEGIN INSERT INTO log VALUES (new.b); END",
            "behaviour",
        ),
        ("ALTER TABLE c RENAME TO c2", "texts"),
        ("ALTER TABLE p ADD COLUMN more", "shapes"),
        ("PRAGMA user_version = 4", "shapes"),
    ],
)
def test_damage_is_seen(
    copy: Copy, right: sqlite3.Connection, tmp_path: Path, damage: str, check: str
) -> None:
    right.executescript(damage)

    found = problems(str(tmp_path / "after.db"), copy)

    assert check in {line.split(":")[0] for line in found}


def test_a_row_that_breaks_a_rule_cannot_be_held(tmp_path: Path) -> None:
    path = str(tmp_path / "before.db")
    connection = plain_connect(path)
    connection.executescript("CREATE TABLE t (a); INSERT INTO t VALUES (1), (1);")
    connection.close()

    with pytest.raises(CannotHold, match="UNIQUE"):
        naive_copy(path, "CREATE TABLE t (a UNIQUE ON CONFLICT REPLACE);", renames={})


def test_dumps_differ_where_anything_does(tmp_path: Path) -> None:
    path = str(tmp_path / "one.db")
    connection = plain_connect(path)
    connection.executescript("CREATE TABLE t (a, b TEXT); INSERT INTO t VALUES (1, 'x');")
    before = whole(path)
    connection.execute("UPDATE t SET a = 1.0")

    assert [line.split(":")[0] for line in differing(before, whole(path))] == ["rows of t"]
    connection.close()


def test_texts_that_mean_the_same_are_equal() -> None:
    one = "CREATE TABLE \"T\" (a /* , x */ INTEGER, CHECK (a <> 'X,('), b) -- end"
    other = "create table t(A integer,[b], check(a<>'X,('))"

    assert normal(one) == normal(other)
    assert normal(one) != normal(other.replace("'X,('", "'x,('"))
    assert words("a--b\n||'--'") == ["a", "||", "'--'"]


def test_a_script_is_cut_behind_the_body_of_a_trigger() -> None:
    script = "CREATE TRIGGER g AFTER INSERT ON t BEGIN SELECT ';'; SELECT 2; END; SELECT 3 -- ;"

    assert [len(one) for one in statements(script)] == [script.index("END;") + 4, len(" SELECT 3 -- ;")]
