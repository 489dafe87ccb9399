"""Columns retyped, made NOT NULL, given another default, computed otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from support.rebuild_case import Case

_T = "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b INTEGER);"
_ROWS = _T + "INSERT INTO t VALUES (1, 'x', 10), (5, NULL, 20), (9, 'z', NULL);"
_ALL = "SELECT * FROM t ORDER BY 1"


def cases() -> Iterator[Case]:
    yield from _retyped()
    yield from _not_null()
    yield from _defaults()
    yield from _generated()


def _retyped() -> Iterator[Case]:
    def typed(
        name: str, old: str, new: str, values: tuple[object, ...], wanted: list[object] | None, **rest: Any
    ) -> Case:
        fill = tuple(("INSERT INTO t (v) VALUES (?)", (value,)) for value in values)
        asked = (
            (("SELECT typeof(v), v FROM t ORDER BY id", [(_kind(one), one) for one in wanted]),)
            if wanted is not None
            else ()
        )
        return Case(
            f"retype {name}",
            f"CREATE TABLE t (id INTEGER PRIMARY KEY, v {old});",
            f"CREATE TABLE t (id INTEGER PRIMARY KEY, v {new});",
            fill=fill,
            asked=asked,
            **rest,
        )

    yield typed("digits to INTEGER", "TEXT", "INTEGER", ("12", "0", "-5", None), [12, 0, -5, None], back={})
    yield typed(
        "words to INTEGER stay words",
        "TEXT",
        "INTEGER",
        ("abc", "", " ", "1a", "0x10", "é"),
        ["abc", "", " ", "1a", "0x10", "é"],
        back={},
    )
    yield typed("leading zeros to INTEGER", "TEXT", "INTEGER", ("007", "1"), None, refused=("t", "v", "1"))
    yield typed(
        "leading zeros to INTEGER, allowed", "TEXT", "INTEGER", ("007", "1"), [7, 1], allow_data_loss=True
    )
    for sign, value in (
        ("a plus", "+5"),
        ("a blank", " 5"),
        ("an exponent", "1e3"),
        ("a fraction of nothing", "5.0"),
        ("minus nothing", "-0"),
    ):
        yield typed(f"{sign} to INTEGER", "TEXT", "INTEGER", ("3", value), None, refused=("t", "v", "2"))
    yield typed(
        "a huge number of digits to INTEGER",
        "TEXT",
        "INTEGER",
        ("123456789012345678901234567890",),
        None,
        refused=("t", "v"),
    )
    yield typed(
        "the largest integer from TEXT",
        "TEXT",
        "INTEGER",
        (str(2**63 - 1), str(-(2**63))),
        [2**63 - 1, -(2**63)],
    )
    yield typed("integers to REAL", "INTEGER", "REAL", (1, -7, 2**53, None), [1.0, -7.0, 2.0**53, None])
    yield typed("2^53 + 1 to REAL", "INTEGER", "REAL", (1, 2**53 + 1), None, refused=("t", "v", "2"))
    yield typed(
        "2^53 + 1 to REAL, allowed", "INTEGER", "REAL", (1, 2**53 + 1), [1.0, 2.0**53], allow_data_loss=True
    )
    yield typed(
        "integers to TEXT", "INTEGER", "TEXT", (1, -7, 2**62, None), ["1", "-7", str(2**62), None], back={}
    )
    yield typed("reals to TEXT", "REAL", "TEXT", (1.5, -0.25, None), ["1.5", "-0.25", None])
    yield typed("whole reals to INTEGER", "REAL", "INTEGER", (2.0, 1.5), [2, 1.5])
    yield typed(
        "blobs to TEXT stay blobs",
        "BLOB",
        "TEXT",
        (b"\x00\xff", b"", b"abc"),
        [b"\x00\xff", b"", b"abc"],
        back={},
    )
    yield typed("blobs to INTEGER stay blobs", "BLOB", "INTEGER", (b"12", None), [b"12", None])
    yield typed("no type to BLOB", "", "BLOB", (1, "a", 1.5, b"b", None), [1, "a", 1.5, b"b", None], back={})
    yield typed(
        "NUMERIC to INTEGER", "NUMERIC", "INTEGER", (1, 1.5, "x", 2**60), [1, 1.5, "x", 2**60], back={}
    )
    yield typed("a longer name of the same affinity", "VARCHAR(10)", "VARCHAR(200)", ("007", 5), ["007", "5"])
    yield typed(
        "words and numbers in an INTEGER column to BIGINT",
        "INTEGER",
        "BIGINT",
        ("x", 5, 1.25),
        ["x", 5, 1.25],
    )
    yield typed(
        "infinities",
        "REAL",
        "NUMERIC",
        (float("inf"), float("-inf"), 1e300),
        [float("inf"), float("-inf"), 1e300],
    )
    yield typed("infinity to TEXT", "REAL", "TEXT", (float("inf"),), None, refused=("t", "v"))
    yield typed("a text that is cut by a CAST", "TEXT", "NUMERIC", ("12abc", "3.7xyz"), ["12abc", "3.7xyz"])
    yield typed("dates in TEXT to DATE", "TEXT", "DATE", ("2026-01-02", "12:00"), ["2026-01-02", "12:00"])


def _kind(value: object) -> str:
    names = {int: "integer", float: "real", str: "text", bytes: "blob"}
    return names.get(type(value), "null")


def _not_null() -> Iterator[Case]:
    def rule(name: str, old: str, new: str, **rest: Any) -> Case:
        table = "CREATE TABLE t (id INTEGER PRIMARY KEY, a {});"
        rows = "INSERT INTO t VALUES (1, 5), (4, 6);"
        return Case(name, table.format(old) + rows, table.format(new), **rest)

    null = (("INSERT INTO t VALUES (77, NULL)", ()),)
    yield rule("NOT NULL where nothing is NULL", "INTEGER", "INTEGER NOT NULL", back={})
    yield rule("NOT NULL over a NULL", "INTEGER", "INTEGER NOT NULL", fill=null, refused=("t", "a", "77"))
    yield rule(
        "NOT NULL over a NULL with allowance for loss",
        "INTEGER",
        "INTEGER NOT NULL",
        fill=null,
        allow_data_loss=True,
        refused=("t", "a", "77"),
    )
    yield rule(
        "NOT NULL over a NULL with a default",
        "INTEGER",
        "INTEGER NOT NULL DEFAULT 3",
        fill=null,
        asked=(("SELECT a FROM t ORDER BY id", [(5,), (6,), (3,)]),),
    )
    yield rule(
        "NOT NULL over a NULL with an expression",
        "TEXT",
        "TEXT NOT NULL DEFAULT ('a' || 'b')",
        fill=null,
        asked=(("SELECT a FROM t WHERE id = 77", [("ab",)]),),
    )
    yield rule(
        "NOT NULL with a default that is NULL",
        "INTEGER",
        "INTEGER NOT NULL DEFAULT NULL",
        fill=null,
        refused=("t", "a"),
    )
    yield rule(
        "NOT NULL with a default that breaks the CHECK",
        "INTEGER",
        "INTEGER NOT NULL DEFAULT 3 CHECK (a > 4)",
        fill=null,
        refused=("t",),
    )
    yield rule("NOT NULL dropped", "INTEGER NOT NULL", "INTEGER", back={})
    yield rule(
        "NOT NULL ON CONFLICT IGNORE over a NULL",
        "INTEGER",
        "INTEGER NOT NULL ON CONFLICT IGNORE",
        fill=null,
        refused=("t", "a", "77"),
    )
    yield rule(
        "NOT NULL ON CONFLICT REPLACE with a default",
        "INTEGER",
        "INTEGER NOT NULL ON CONFLICT REPLACE DEFAULT 8",
        fill=null,
        asked=(("SELECT a FROM t WHERE id = 77", [(8,)]),),
    )
    yield rule(
        "another default of a NOT NULL column",
        "INTEGER NOT NULL DEFAULT 1",
        "INTEGER NOT NULL DEFAULT 2",
        asked=(("SELECT a FROM t ORDER BY id", [(5,), (6,)]),),
    )
    yield rule("NOT NULL given a name", "INTEGER", "INTEGER CONSTRAINT a_is_there NOT NULL", back={})


def _defaults() -> Iterator[Case]:
    early = (
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a); INSERT INTO t VALUES (1, 'early'), (2, 'early'); ALTER"
        " TABLE t ADD COLUMN c {}; INSERT INTO t (id, a) VALUES (3, 'late'); INSERT INTO t VALUES (4,"
        " 'late', 9);"
    )
    wanted = [(1, 5), (2, 5), (3, 5), (4, 9)]

    def short(
        name: str, old: str, new: str, rows: list[tuple[object, ...]] = wanted, rest: str = "", **more: Any
    ) -> Case:
        return Case(
            f"rows older than their column, {name}",
            early.format(old),
            f"CREATE TABLE t (id INTEGER PRIMARY KEY, a, c {new}{rest});",
            asked=(("SELECT id, c FROM t ORDER BY id", rows),),
            **more,
        )

    yield short("another default", "DEFAULT 5", "DEFAULT 6")
    yield short("default gone", "DEFAULT 5", "")
    yield short("default an expression", "DEFAULT 5", "DEFAULT (3 + 4)")
    yield short("default spelled another way", "DEFAULT 5", "DEFAULT +5")
    yield short("NOT NULL as well", "DEFAULT 5", "NOT NULL DEFAULT 6")
    yield short("NOT NULL dropped with the default", "NOT NULL DEFAULT 5", "")
    yield short("a default for NULL", "", "DEFAULT 6", [(1, None), (2, None), (3, None), (4, 9)])
    yield short("NOT NULL and a default for NULL", "", "NOT NULL DEFAULT 6", [(1, 6), (2, 6), (3, 6), (4, 9)])
    yield short("another column added behind", "DEFAULT 5", "DEFAULT 6", rest=", d DEFAULT 1")
    yield short("another CHECK", "DEFAULT 5", "DEFAULT 6 CHECK (c > 4)")
    yield short(
        "another type", "INTEGER DEFAULT 5", "TEXT DEFAULT '6'", [(1, "5"), (2, "5"), (3, "5"), (4, "9")]
    )
    indexes = "CREATE INDEX i ON t (c); CREATE INDEX j ON t (a, c DESC) WHERE c IS NOT 7;"
    for new in ("DEFAULT 6", "", "NOT NULL DEFAULT 6", "DEFAULT (3 + 4)", "CHECK (c > 4)", "DEFAULT NULL"):
        for kept in ("CREATE INDEX i ON t (c);", indexes, ""):
            yield Case(
                f"rows older than their column and its indexes, {new or 'no default'}, {kept.count('INDEX')}",
                early.format("DEFAULT 5") + indexes,
                f"CREATE TABLE t (id INTEGER PRIMARY KEY, a, c {new}); {kept}",
                asked=(("SELECT id, c FROM t ORDER BY id", wanted),),
            )
    yield Case(
        "rows older than their column, another rule only",
        early.format("DEFAULT 5"),
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a CHECK (a <> ''), c DEFAULT 5);",
        asked=(("SELECT id, c FROM t ORDER BY id", wanted),),
    )
    yield Case(
        "rows older than their column, renamed and another default",
        early.format("DEFAULT 5"),
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a, d DEFAULT 6);",
        renames={"t.c": "d"},
        asked=(("SELECT id, d FROM t ORDER BY id", wanted),),
    )
    yield Case(
        "rows older than their column, dropped and added anew",
        early.format("DEFAULT 5"),
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a, d DEFAULT 6);",
        drop_columns=("t.c",),
        asked=(("SELECT id, d FROM t ORDER BY id", [(1, 6), (2, 6), (3, 6), (4, 6)]),),
    )
    full = (
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a DEFAULT 1); INSERT INTO t VALUES (1, NULL), (2, 1), (3,"
        " 'x');"
    )
    for name, new in (
        ("another value", "DEFAULT 2"),
        ("none", ""),
        ("a time", "DEFAULT CURRENT_TIMESTAMP"),
        ("a word", "DEFAULT word"),
        ("a blob", "DEFAULT x'00'"),
        ("odd text", "DEFAULT 'it''s, (-- here\n)'"),
    ):
        yield Case(
            f"a default that becomes {name}",
            full,
            f"CREATE TABLE t (id INTEGER PRIMARY KEY, a {new});",
            asked=((_ALL, [(1, None), (2, 1), (3, "x")]),),
        )


def _generated() -> Iterator[Case]:
    before = "CREATE TABLE t (a INTEGER, g AS (a + 1) {}); INSERT INTO t VALUES (1), (2), (NULL);"
    for kind in ("VIRTUAL", "STORED"):
        yield Case(
            f"another expression, {kind}",
            before.format(kind),
            f"CREATE TABLE t (a INTEGER, g AS (a * 10) {kind});",
            asked=(("SELECT g FROM t", [(10,), (20,), (None,)]),),
            back={},
        )
        yield Case(
            f"another expression and its index, {kind}",
            before.format(kind) + "CREATE INDEX i ON t (g);",
            f"CREATE TABLE t (a INTEGER, g AS (a * 10) {kind}); CREATE INDEX i ON t (g);",
            asked=(("SELECT a FROM t INDEXED BY i WHERE g = 20", [(2,)]),),
        )
        yield Case(
            f"{kind} becomes a plain column",
            before.format(kind),
            "CREATE TABLE t (a INTEGER, g);",
            asked=(("SELECT a, g FROM t", [(1, 2), (2, 3), (None, None)]),),
        )
    yield Case(
        "virtual becomes stored",
        before.format("VIRTUAL"),
        "CREATE TABLE t (a INTEGER, g AS (a + 1) STORED);",
        back={},
    )
    yield Case(
        "a column renamed that another is made of",
        before.format("STORED"),
        "CREATE TABLE t (b INTEGER, g AS (b + 1) STORED);",
        renames={"t.a": "b"},
        back={"t.b": "a"},
    )
    yield Case(
        "a CHECK on a generated column that holds",
        before.format("VIRTUAL"),
        "CREATE TABLE t (a INTEGER, g AS (a + 1) CHECK (g > 1));",
    )
    yield Case(
        "a CHECK on a generated column that breaks",
        before.format("VIRTUAL"),
        "CREATE TABLE t (a INTEGER, g AS (a + 1) CHECK (g > 2));",
        refused=("t",),
    )
    yield Case(
        "a UNIQUE expression that repeats",
        "CREATE TABLE t (a INTEGER, g AS (a + 1)); INSERT INTO t VALUES (1), (2);",
        "CREATE TABLE t (a INTEGER, g AS (a / 10) UNIQUE);",
        refused=("t",),
    )
    yield Case(
        "a generated column among moved ones",
        "CREATE TABLE t (a, g AS (a || b), b, h AS (g || '?') STORED); INSERT INTO t VALUES ('x', 'y');",
        "CREATE TABLE t (h AS (g || '?') STORED, b, g AS (a || b), a);",
        asked=(("SELECT h, b, g, a FROM t", [("xy?", "y", "xy", "x")]),),
    )
