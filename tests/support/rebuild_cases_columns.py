"""Columns added, dropped, renamed and moved."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from support.rebuild_case import Case

_T = "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b INTEGER);"
_ROWS = _T + "INSERT INTO t VALUES (1, 'x', 10), (5, NULL, 20), (9, 'z', NULL);"
_ALL = "SELECT * FROM t ORDER BY 1"


def cases() -> Iterator[Case]:
    yield from _added()
    yield from _dropped()
    yield from _renamed()


def _added() -> Iterator[Case]:
    def add(name: str, column: str, value: object, **rest: Any) -> Case:
        after = f"CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b INTEGER, {column});"
        wanted = [(1, "x", 10, value), (5, None, 20, value), (9, "z", None, value)]
        return Case(f"add {name}", _ROWS, after, asked=((_ALL, wanted),), **rest)

    yield add("a nullable column", "c TEXT", None, back={})
    yield add("a column with a default", "c TEXT DEFAULT 'd'", "d")
    yield add("a column with a default of several signs", "c DEFAULT -1.5e3", -1500.0)
    yield add("a column with an expression as default", "c TEXT DEFAULT (lower('ABC') || 1)", "abc1")
    yield add("a NOT NULL column with a default", "c INTEGER NOT NULL DEFAULT 7", 7)
    yield add("a NOT NULL column with an expression", "c INTEGER NOT NULL DEFAULT (1 + 1)", 2)
    yield add("a column with a CHECK that holds", "c INTEGER DEFAULT 3 CHECK (c > 2)", 3)
    yield add("a UNIQUE column", "c INTEGER UNIQUE", None)
    yield add("a reference", "c INTEGER REFERENCES t (id) ON DELETE SET NULL", None)
    yield add("a virtual column", "c TEXT AS ('v') VIRTUAL", "v")
    yield add("a stored column", "c INTEGER AS (1 + 2) STORED", 3)
    yield add("a column with a collation", "c TEXT COLLATE NOCASE DEFAULT 'Q'", "Q")
    yield add("a column called like a keyword", "\"select\" TEXT DEFAULT 's'", "s")
    yield Case(
        "add a column to an empty table",
        _T,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b INTEGER, c NOT NULL UNIQUE);",
    )
    yield Case(
        "add a NOT NULL column without default",
        _ROWS,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b INTEGER, c TEXT NOT NULL);",
        refused=("t", "c"),
    )
    yield Case(
        "add a column whose default breaks its CHECK",
        _ROWS,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b INTEGER, c INTEGER DEFAULT 1 CHECK (c > 2));",
        refused=("t", "c > 2"),
    )
    yield Case(
        "add a UNIQUE column with a default",
        _ROWS,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b INTEGER, c INTEGER DEFAULT 1 UNIQUE);",
        refused=("t", "c"),
    )
    yield Case(
        "add a reference with a default that refers to nothing",
        _ROWS,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b INTEGER, c INTEGER DEFAULT 77 REFERENCES t);",
        refused=("t",),
    )
    yield Case(
        "add columns in front and in the middle",
        _ROWS,
        "CREATE TABLE t (z TEXT DEFAULT 'z', id INTEGER PRIMARY KEY, y, a TEXT, b INTEGER);",
        asked=(
            (
                "SELECT * FROM t ORDER BY id",
                [("z", 1, None, "x", 10), ("z", 5, None, None, 20), ("z", 9, None, "z", None)],
            ),
        ),
        back={},
    )
    yield Case(
        "add a column before the rules of the table",
        "CREATE TABLE t (a, b, CHECK (a > 0), UNIQUE (b)); INSERT INTO t VALUES (1, 2), (3, 4);",
        "CREATE TABLE t (a, b, c DEFAULT 9, CHECK (a > 0), UNIQUE (b));",
        asked=(("SELECT * FROM t ORDER BY 1", [(1, 2, 9), (3, 4, 9)]),),
    )
    yield Case(
        "add a second column that a CHECK of the table uses",
        _ROWS,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b INTEGER, c INTEGER DEFAULT 4, CHECK (c < 5 OR b IS"
        " NULL));",
    )


def _dropped() -> Iterator[Case]:
    less = "CREATE TABLE t (id INTEGER PRIMARY KEY, b INTEGER);"
    yield Case(
        "drop a column that was named",
        _ROWS,
        less,
        drop_columns=("t.a",),
        asked=((_ALL, [(1, 10), (5, 20), (9, None)]),),
    )
    yield Case("drop a column that was named in capitals", _ROWS, less, drop_columns=("T.A",))
    yield Case("drop a column with allowance for loss", _ROWS, less, allow_data_loss=True)
    yield Case("drop a column with values unasked", _ROWS, less, refused=("t", "a"))
    yield Case("drop another column than was named", _ROWS, less, drop_columns=("t.b",), refused=("a",))
    yield Case(
        "drop a column that is NULL everywhere", _T + "INSERT INTO t (id, b) VALUES (1, 2), (3, 4);", less
    )
    yield Case("drop a column of an empty table", _T, less)
    yield Case(
        "drop a column with its index and CHECK",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT CHECK (a <> ''), b INTEGER UNIQUE); CREATE INDEX i ON"
        " t (a); INSERT INTO t VALUES (1, 'x', 2);",
        "CREATE TABLE t (id INTEGER PRIMARY KEY);",
        drop_columns=("t.a", "t.b"),
    )
    yield Case(
        "drop a column that refers",
        "CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE t (id INTEGER PRIMARY KEY, p REFERENCES p ON"
        " DELETE CASCADE); INSERT INTO p VALUES (1); INSERT INTO t VALUES (1, 1);",
        "CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE t (id INTEGER PRIMARY KEY);",
        drop_columns=("t.p",),
    )
    yield Case(
        "drop a generated column",
        "CREATE TABLE t (a INTEGER, g AS (a + 1), h AS (a + 2) STORED); INSERT INTO t VALUES (1), (2);",
        "CREATE TABLE t (a INTEGER);",
        asked=(("SELECT rowid, a FROM t", [(1, 1), (2, 2)]),),
    )
    yield Case(
        "drop the first column",
        _ROWS,
        "CREATE TABLE t (a TEXT, b INTEGER);",
        drop_columns=("t.id",),
        asked=(("SELECT rowid, * FROM t ORDER BY 1", [(1, "x", 10), (5, None, 20), (9, "z", None)]),),
    )


def _renamed() -> Iterator[Case]:
    yield Case(
        "rename a column",
        _ROWS,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, c TEXT, b INTEGER);",
        renames={"t.a": "c"},
        asked=(("SELECT c FROM t ORDER BY id", [("x",), (None,), ("z",)]),),
        back={"t.c": "a"},
    )
    yield Case(
        "swap two columns",
        _ROWS,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, b TEXT, a INTEGER);",
        renames={"t.a": "b", "t.b": "a"},
        asked=(("SELECT id, b, a FROM t ORDER BY id", [(1, "x", 10), (5, None, 20), (9, "z", None)]),),
        back={"t.a": "b", "t.b": "a"},
    )
    yield Case(
        "rename columns in a chain",
        _ROWS,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, b TEXT, c INTEGER);",
        renames={"t.a": "b", "t.b": "c"},
        asked=(("SELECT b, c FROM t ORDER BY id", [("x", 10), (None, 20), ("z", None)]),),
        back={"t.b": "a", "t.c": "b"},
    )
    yield Case(
        "rotate three columns",
        _ROWS,
        "CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT, id INTEGER);",
        renames={"t.id": "a", "t.a": "b", "t.b": "id"},
        asked=(("SELECT a, b, id FROM t ORDER BY a", [(1, "x", 10), (5, None, 20), (9, "z", None)]),),
    )
    yield Case(
        "rename a column and reuse its name",
        _ROWS,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, old TEXT, b INTEGER, a TEXT DEFAULT 'new');",
        renames={"t.a": "old"},
        asked=(("SELECT old, a FROM t ORDER BY id", [("x", "new"), (None, "new"), ("z", "new")]),),
    )
    yield Case(
        "rename and retype a column",
        _ROWS,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, c TEXT);",
        renames={"t.b": "c"},
        asked=(("SELECT c FROM t ORDER BY id", [("10",), ("20",), (None,)]),),
    )
    yield Case(
        "rename the key",
        _ROWS,
        "CREATE TABLE t (key INTEGER PRIMARY KEY, a TEXT, b INTEGER);",
        renames={"t.id": "key"},
        back={"t.key": "id"},
    )
    yield Case(
        "the case of a column's name", _ROWS, "CREATE TABLE t (id INTEGER PRIMARY KEY, A TEXT, b INTEGER);"
    )
    yield Case(
        "the case of a table's name", _ROWS, "CREATE TABLE T (id INTEGER PRIMARY KEY, a TEXT, b INTEGER);"
    )
    yield Case(
        "the case of both with a rebuild",
        _ROWS,
        "CREATE TABLE T (ID INTEGER PRIMARY KEY, A TEXT NOT NULL DEFAULT '', B INTEGER);",
    )
    yield Case(
        "rename a column that a view, a trigger, an index and a child use",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT UNIQUE, b INTEGER CHECK (b > 0)); CREATE INDEX i ON t"
        " (b, a) WHERE b > 3; CREATE VIEW v AS SELECT a, b FROM t; CREATE TABLE c (x REFERENCES t (a) ON"
        " UPDATE CASCADE); CREATE TRIGGER g AFTER UPDATE OF a ON t BEGIN UPDATE t SET b = b + 1 WHERE a ="
        " new.a; END; INSERT INTO t VALUES (1, 'q', 5); INSERT INTO c VALUES ('q');",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT UNIQUE, b INTEGER CHECK (b > 0)); CREATE INDEX i"
        " ON t (b, name) WHERE b > 3; CREATE VIEW v AS SELECT name AS a, b FROM t; CREATE TABLE c (x"
        " REFERENCES t (name) ON UPDATE CASCADE); CREATE TRIGGER g AFTER UPDATE OF name ON t BEGIN UPDATE t"
        " SET b = b + 1 WHERE name = new.name; END;",
        renames={"t.a": "name"},
        act=("UPDATE t SET name = 'r'",),
        then=(("SELECT * FROM c", [("r",)]), ("SELECT * FROM v", [("r", 6)])),
    )
    yield Case(
        "rename a column undeclared",
        _ROWS,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, c TEXT, b INTEGER);",
        refused=("a",),
    )
    yield Case(
        "rename a column that is not there",
        _ROWS,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, c TEXT, a TEXT, b INTEGER);",
        renames={"t.nope": "c"},
        refused=("nope",),
    )
    yield Case(
        "rename a column of a table that is not there",
        _ROWS,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, c INTEGER);",
        renames={"nope.b": "c"},
        refused=("nope",),
    )
    yield Case(
        "rename a column to one that the schema lacks",
        _ROWS,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, c INTEGER);",
        renames={"t.b": "d"},
        refused=("d",),
    )
    yield Case(
        "reverse the columns",
        "CREATE TABLE t (a, b, c, d); INSERT INTO t VALUES (1, 2, 3, 4), ('a', 'b', 'c', 'd');",
        "CREATE TABLE t (d, c, b, a);",
        asked=(("SELECT * FROM t", [(4, 3, 2, 1), ("d", "c", "b", "a")]),),
        back={},
    )
