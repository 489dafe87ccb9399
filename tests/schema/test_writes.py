"""A statement that writes is read from its text, however it is written."""

from __future__ import annotations

import pytest

from datalayer.schema.reader import Unexpected
from datalayer.schema.writes import Piece, Write, read_write


def read(sql: str) -> Write:
    found = read_write(sql)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("INSERT INTO t VALUES (1)", ("INSERT", None, "t", "")),
        (
            "  -- 1\n insert or fail into [a b].`c``d` default values ;;",
            ("INSERT", "a b", "c`d", "FAIL"),
        ),
        ('REPLACE INTO "q""q" (a) SELECT 1', ("INSERT", None, 'q"q', "REPLACE")),
        (
            "WITH RECURSIVE a (n) AS (SELECT 1), b AS NOT MATERIALIZED (SELECT 2) DELETE FROM t",
            ("DELETE", None, "t", ""),
        ),
        ("UPDATE OR IGNORE main.t AS x INDEXED BY i SET a = 1", ("UPDATE", "main", "t", "IGNORE")),
    ],
)
def test_verb_and_table_are_found(sql: str, expected: tuple[str, str | None, str, str]) -> None:
    found = read(sql)

    assert (found.verb, found.schema, found.table, found.conflict) == expected


@pytest.mark.parametrize(
    "sql", ["", ";", "SELECT 1", "WITH a AS (SELECT 1) SELECT * FROM a", "DROP TABLE t", "COMMIT", "?"]
)
def test_other_statements_are_none_that_write(sql: str) -> None:
    assert read_write(sql) is None


@pytest.mark.parametrize("sql", ["INSERT", "UPDATE t", "DELETE FROM", "INSERT INTO t (", "WITH a SELECT"])
def test_a_text_that_is_cut_off_is_refused(sql: str) -> None:
    with pytest.raises(Unexpected):
        read_write(sql)


def test_the_pieces_know_their_parameters() -> None:
    found = read(
        "WITH w AS (SELECT ?) UPDATE t"
        " SET a = ? IS DISTINCT FROM ?, (B, c) = (f(?, 1), 2), (d, e) = (SELECT 1, 2)"
        " WHERE x IN (?, ?) RETURNING ?"
    )

    assert found.prefix == Piece("WITH w AS (SELECT ?)", 0, 1)
    assert found.sets == {
        "a": Piece("? IS DISTINCT FROM ?", 1, 3),
        "b": Piece("f(?, 1)", 3, 4),
        "c": Piece("2", 4, 4),
        "d": None,
        "e": None,
    }
    assert found.tail == Piece("WHERE x IN (?, ?)", 4, 6)
    assert found.tail.values("abcdefg") == ["e", "f"]
    assert (found.parameter_count, found.has_own_rows, found.calls >= {"f"}) == (7, True, True)


def test_an_upsert_ends_the_rows_and_a_join_does_not() -> None:
    found = read(
        "INSERT INTO t AS x (A, [b]) SELECT a, ? FROM u JOIN v ON u.i = v.i WHERE true"
        " ON CONFLICT (a) WHERE a > 0 DO UPDATE SET b = excluded.b, c = ? WHERE t.b <> ?"
        " ON CONFLICT DO NOTHING"
    )

    assert found.columns == ("a", "b")
    assert found.source == Piece("SELECT a, ? FROM u JOIN v ON u.i = v.i WHERE true", 0, 1)
    assert found.upserts == ({"b": Piece("excluded.b", 1, 1), "c": Piece("?", 1, 2)},)
    assert found.may_skip


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE t SET a = u.a FROM u WHERE u.i = t.i",
        "DELETE FROM t ORDER BY a LIMIT 1",
        "DELETE FROM t WHERE a RETURNING a ORDER BY a LIMIT 1",
    ],
)
def test_rows_that_something_else_chooses_are_said_to_be(sql: str) -> None:
    assert not read(sql).has_own_rows
