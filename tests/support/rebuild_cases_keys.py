"""What names a row: primary keys, WITHOUT ROWID, AUTOINCREMENT."""

from __future__ import annotations

from collections.abc import Iterator

from support.rebuild_case import Case, pair

_ALL = "SELECT rowid, * FROM t ORDER BY 1"


def cases() -> Iterator[Case]:
    yield from _keys()
    yield from _without_rowid()
    yield from _numbering()


def _keys() -> Iterator[Case]:
    rows = "(3, 'x'), (1, 'y'), (-2, NULL)"
    yield pair(
        "a column becomes the rowid",
        "(id INTEGER, a TEXT)",
        "(id INTEGER PRIMARY KEY, a TEXT)",
        rows,
        asked=((_ALL, [(-2, -2, None), (1, 1, "y"), (3, 3, "x")]),),
    )
    yield pair(
        "a column that repeats becomes the rowid",
        "(id INTEGER, a TEXT)",
        "(id INTEGER PRIMARY KEY, a TEXT)",
        "(1, 'x'), (1, 'y')",
        refused=("t", "id"),
    )
    yield pair(
        "a column with NULL becomes the rowid",
        "(id INTEGER, a TEXT)",
        "(id INTEGER PRIMARY KEY, a TEXT)",
        "(1, 'x'), (NULL, 'y')",
        refused=("t", "id"),
    )
    yield pair(
        "a column with text becomes the rowid",
        "(id INTEGER, a TEXT)",
        "(id INTEGER PRIMARY KEY, a TEXT)",
        "(1, 'x'), ('abc', 'y')",
        refused=("t", "id"),
    )
    yield Case(
        "the rowid becomes a column",
        "CREATE TABLE t (a TEXT); INSERT INTO t (rowid, a) VALUES (-5, 'm'), (7, 'x'), (1000, 'y');",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT);",
        asked=(("SELECT id, a FROM t ORDER BY id", [(-5, "m"), (7, "x"), (1000, "y")]),),
    )
    yield pair(
        "the rowid's column loses its key",
        "(id INTEGER PRIMARY KEY, a TEXT)",
        "(id INTEGER, a TEXT)",
        rows,
        asked=((_ALL, [(-2, -2, None), (1, 1, "y"), (3, 3, "x")]),),
        back={},
    )
    yield pair(
        "the key moves to another column",
        "(id INTEGER PRIMARY KEY, a TEXT)",
        "(id INTEGER, a TEXT PRIMARY KEY)",
        "(3, 'x'), (1, 'y')",
        asked=((_ALL, [(1, 1, "y"), (3, 3, "x")]),),
    )
    yield pair(
        "the key moves to a column that repeats",
        "(id INTEGER PRIMARY KEY, a TEXT)",
        "(id INTEGER, a TEXT PRIMARY KEY)",
        "(3, 'x'), (1, 'x')",
        refused=("t", "a"),
    )
    yield pair(
        "INTEGER PRIMARY KEY becomes TEXT PRIMARY KEY",
        "(id INTEGER PRIMARY KEY, a TEXT)",
        "(id TEXT PRIMARY KEY, a TEXT)",
        rows,
        asked=(
            ("SELECT typeof(id), id FROM t ORDER BY rowid", [("text", "-2"), ("text", "1"), ("text", "3")]),
        ),
    )
    yield pair(
        "TEXT PRIMARY KEY of digits becomes INTEGER PRIMARY KEY",
        "(id TEXT PRIMARY KEY, a TEXT)",
        "(id INTEGER PRIMARY KEY, a TEXT)",
        "('12', 'x'), ('5', 'y')",
        asked=((_ALL, [(5, 5, "y"), (12, 12, "x")]),),
    )
    yield pair(
        "TEXT PRIMARY KEY of words becomes INTEGER PRIMARY KEY",
        "(id TEXT PRIMARY KEY, a TEXT)",
        "(id INTEGER PRIMARY KEY, a TEXT)",
        "('one', 'x'), ('5', 'y')",
        refused=("t", "id"),
    )
    yield pair(
        "INT PRIMARY KEY becomes INTEGER PRIMARY KEY",
        "(id INT PRIMARY KEY, a TEXT)",
        "(id INTEGER PRIMARY KEY, a TEXT)",
        rows,
        asked=((_ALL, [(-2, -2, None), (1, 1, "y"), (3, 3, "x")]),),
    )
    yield pair(
        "INTEGER PRIMARY KEY becomes INT PRIMARY KEY",
        "(id INTEGER PRIMARY KEY, a TEXT)",
        "(id INT PRIMARY KEY, a TEXT)",
        rows,
        asked=((_ALL, [(-2, -2, None), (1, 1, "y"), (3, 3, "x")]),),
        back={},
    )
    yield pair(
        "INTEGER PRIMARY KEY becomes DESC, which is no rowid",
        "(id INTEGER PRIMARY KEY, a TEXT)",
        "(id INTEGER PRIMARY KEY DESC, a TEXT)",
        rows,
        back={},
    )
    yield pair(
        "a key of two columns",
        "(id INTEGER PRIMARY KEY, a TEXT)",
        "(id INTEGER, a TEXT, PRIMARY KEY (a, id))",
        rows,
    )
    yield pair(
        "a key of two columns in another order",
        "(a, b, PRIMARY KEY (a, b))",
        "(a, b, PRIMARY KEY (b, a))",
        "(1, 2), (2, 1)",
        back={},
    )
    yield pair("a key dropped", "(a TEXT PRIMARY KEY, b)", "(a TEXT, b)", "('x', 1), (NULL, 2)", back={})
    for clause in ("REPLACE", "IGNORE", "FAIL"):
        yield pair(
            f"a key ON CONFLICT {clause} over repetition",
            "(a TEXT, b)",
            f"(a TEXT PRIMARY KEY ON CONFLICT {clause}, b)",
            "('x', 1), ('x', 2)",
            refused=("t", "a"),
        )
        yield pair(
            f"the rowid ON CONFLICT {clause} over repetition",
            "(id INTEGER, b)",
            f"(id INTEGER PRIMARY KEY ON CONFLICT {clause}, b)",
            "(4, 1), (4, 2)",
            refused=("t", "id"),
        )
    yield pair(
        "a key of several columns becomes one",
        "(a TEXT, b, PRIMARY KEY (a, b))",
        "(a TEXT PRIMARY KEY, b)",
        "('x', 1), ('x', 2)",
        refused=("t", "a"),
    )
    yield Case(
        "a key changed that children refer to",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT UNIQUE); CREATE TABLE c (x REFERENCES t (a) ON DELETE"
        " CASCADE); INSERT INTO t VALUES (5, 'k'); INSERT INTO c VALUES ('k');",
        "CREATE TABLE t (id INTEGER, a TEXT PRIMARY KEY); CREATE TABLE c (x REFERENCES t (a) ON DELETE"
        " CASCADE);",
        asked=(("SELECT * FROM c", [("k",)]),),
    )


def _without_rowid() -> Iterator[Case]:
    rows = "(3, 'x'), (1, 'y'), (-2, NULL)"
    # SQLite counts the indexes of constraints otherwise for INTEGER PRIMARY KEY, though there is no rowid
    for old, new in (("INT", "INTEGER"), ("INTEGER", "INT"), ("INTEGER", "BIGINT")):
        yield pair(
            f"{old} PRIMARY KEY becomes {new} PRIMARY KEY beside a UNIQUE, WITHOUT ROWID",
            f"(id {old} PRIMARY KEY, a UNIQUE, b UNIQUE) WITHOUT ROWID",
            f"(id {new} PRIMARY KEY, a UNIQUE, b UNIQUE) WITHOUT ROWID",
            "(1, 2, 3), (4, 5, 6)",
            back={},
        )
        yield pair(
            f"{old} PRIMARY KEY becomes {new} PRIMARY KEY beside a UNIQUE",
            f"(id {old} PRIMARY KEY, a UNIQUE, b UNIQUE)",
            f"(id {new} PRIMARY KEY, a UNIQUE, b UNIQUE)",
            "(1, 2, 3), (4, 5, 6)",
        )
    for old, new in (
        ("a PRIMARY KEY, b UNIQUE", "a, b UNIQUE CHECK (b), PRIMARY KEY (a)"),
        ("a, b UNIQUE, PRIMARY KEY (a)", "a PRIMARY KEY, b UNIQUE CHECK (b)"),
        ("a UNIQUE, b UNIQUE", "a, b CHECK (b), UNIQUE (b), UNIQUE (a)"),
        ("a UNIQUE, b", "a UNIQUE, b CHECK (b), UNIQUE (a)"),
        ("a PRIMARY KEY, b, UNIQUE (a)", "a, b CHECK (b), UNIQUE (a)"),
        ("a PRIMARY KEY, b, UNIQUE (a, b)", "a, b CHECK (b), UNIQUE (a, b), PRIMARY KEY (a)"),
        ("a, b, UNIQUE (a)", "a, b CHECK (b), UNIQUE (a DESC)"),
        ("a, b, UNIQUE (a)", "a, b CHECK (b), UNIQUE (a COLLATE RTRIM)"),
        ("a, b, PRIMARY KEY (a)", "a, b CHECK (b), PRIMARY KEY (a DESC)"),
        ("a UNIQUE, b", "a CONSTRAINT one UNIQUE ON CONFLICT REPLACE, b CHECK (b)"),
    ):
        for tail in ("", " WITHOUT ROWID") if "PRIMARY" in old and "PRIMARY" in new else ("",):
            yield pair(
                f"the indexes of constraints with a new rule, from {old} to {new}{tail}",
                f"({old}){tail}",
                f"({new}){tail}",
                "(1, 20), (2, 10), (3, 30)",
            )
    for old, new in (
        ("a UNIQUE, b UNIQUE", "a, b UNIQUE"),
        ("a, b UNIQUE", "a UNIQUE, b UNIQUE"),
        ("a UNIQUE, b UNIQUE", "a, b, UNIQUE (b), UNIQUE (a)"),
        ("a UNIQUE, b", "a UNIQUE, b, UNIQUE (a)"),
        ("a UNIQUE, b, UNIQUE (a, b)", "a, b, UNIQUE (a, b), UNIQUE (a)"),
        ("a PRIMARY KEY, b UNIQUE", "a UNIQUE, b PRIMARY KEY"),
        ("a PRIMARY KEY, b", "a UNIQUE, b"),
    ):
        yield pair(
            f"the indexes of constraints, from {old} to {new}",
            f"({old})",
            f"({new})",
            "(1, 2), (3, 4)",
            back={},
        )
    yield pair(
        "WITHOUT ROWID",
        "(id INTEGER PRIMARY KEY, a TEXT)",
        "(id INTEGER PRIMARY KEY, a TEXT) WITHOUT ROWID",
        rows,
        asked=(("SELECT * FROM t", [(-2, None), (1, "y"), (3, "x")]),),
        back={},
    )
    yield pair(
        "WITH rowid again",
        "(id INTEGER PRIMARY KEY, a TEXT) WITHOUT ROWID",
        "(id INTEGER PRIMARY KEY, a TEXT)",
        rows,
        asked=((_ALL, [(-2, -2, None), (1, 1, "y"), (3, 3, "x")]),),
        back={},
    )
    yield pair(
        "WITHOUT ROWID where a key is NULL",
        "(k TEXT PRIMARY KEY, a TEXT)",
        "(k TEXT PRIMARY KEY, a TEXT) WITHOUT ROWID",
        "('x', 1), (NULL, 2)",
        refused=("t", "k"),
    )
    yield pair(
        "a TEXT key WITH rowid again",
        "(k TEXT PRIMARY KEY, a) WITHOUT ROWID",
        "(k TEXT PRIMARY KEY, a)",
        "('x', 1), ('a', 2)",
        asked=(("SELECT k, a FROM t ORDER BY k", [("a", 2), ("x", 1)]),),
    )
    yield pair(
        "another key WITHOUT ROWID",
        "(a, b, c, PRIMARY KEY (a, b)) WITHOUT ROWID",
        "(a, b, c, PRIMARY KEY (b DESC)) WITHOUT ROWID",
        "(1, 1, 'x'), (1, 2, 'y')",
        asked=(("SELECT b FROM t", [(2,), (1,)]),),
    )
    yield pair(
        "WITHOUT ROWID and rowid written out",
        "(k TEXT PRIMARY KEY, rowid TEXT) WITHOUT ROWID",
        "(rowid TEXT, k TEXT PRIMARY KEY) WITHOUT ROWID",
        "('x', 'r')",
        back={},
    )


def _numbering() -> Iterator[Case]:
    plain, counted = (
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a);",
        "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, a);",
    )
    rows = "INSERT INTO t VALUES (3, 'x'), (9, 'y');"
    gone = "INSERT INTO t VALUES (500, 'z'); DELETE FROM t WHERE id = 500;"
    seq = "SELECT seq FROM sqlite_sequence WHERE name = 't'"
    yield Case(
        "a memory of numbers under a name in other letters",
        counted + rows + gone,
        "CREATE TABLE T (a, id INTEGER PRIMARY KEY AUTOINCREMENT);",
        act=("INSERT INTO t (a) VALUES ('n')",),
        then=(("SELECT max(id) FROM t", [(501,)]),),
    )
    yield Case(
        "AUTOINCREMENT after the highest rowid there can be",
        counted + "INSERT INTO t VALUES (9223372036854775807, 'z');",
        "CREATE TABLE t (a, id INTEGER PRIMARY KEY AUTOINCREMENT);",
        asked=((seq, [(2**63 - 1,)]),),
    )
    yield Case(
        "AUTOINCREMENT",
        plain + rows,
        counted,
        asked=((seq, [(9,)]),),
        act=("INSERT INTO t (a) VALUES ('n')",),
        then=(("SELECT max(id) FROM t", [(10,)]),),
    )
    yield Case(
        "AUTOINCREMENT on an empty table",
        plain,
        counted,
        act=("INSERT INTO t (a) VALUES ('n')",),
        then=(("SELECT max(id) FROM t", [(1,)]),),
    )
    yield Case(
        "AUTOINCREMENT dropped",
        counted + rows + gone,
        plain,
        asked=(("SELECT * FROM sqlite_sequence", []),),
        act=("INSERT INTO t (a) VALUES ('n')",),
        then=(("SELECT max(id) FROM t", [(10,)]),),
    )
    yield Case(
        "a rebuild with numbers beyond the highest row",
        counted + rows + gone,
        "CREATE TABLE t (a, id INTEGER PRIMARY KEY AUTOINCREMENT);",
        asked=((seq, [(500,)]),),
        act=("INSERT INTO t (a) VALUES ('n')",),
        then=(("SELECT max(id) FROM t", [(501,)]),),
        back={},
    )
    yield Case(
        "a rebuild of an empty table that has numbered",
        counted + rows + gone + "DELETE FROM t;",
        "CREATE TABLE t (a, id INTEGER PRIMARY KEY AUTOINCREMENT);",
        asked=((seq, [(500,)]),),
        act=("INSERT INTO t (a) VALUES ('n')",),
        then=(("SELECT max(id) FROM t", [(501,)]),),
        back={},
    )
    yield Case(
        "a rename of a table that has numbered",
        counted + rows + gone,
        "CREATE TABLE u (id INTEGER PRIMARY KEY AUTOINCREMENT, a);",
        renames={"t": "u"},
        asked=(("SELECT * FROM sqlite_sequence", [("u", 500)]),),
        back={"u": "t"},
    )
    yield Case(
        "a rename and rebuild of an empty table that has numbered",
        counted + rows + gone + "DELETE FROM t;",
        "CREATE TABLE u (a TEXT, id INTEGER PRIMARY KEY AUTOINCREMENT);",
        renames={"t": "u"},
        asked=(("SELECT * FROM sqlite_sequence", [("u", 500)]),),
    )
    yield Case(
        "a swap of two tables that have numbered",
        "CREATE TABLE a (id INTEGER PRIMARY KEY AUTOINCREMENT, x); CREATE TABLE b (id INTEGER PRIMARY KEY"
        " AUTOINCREMENT, y); INSERT INTO a VALUES (10, 1); INSERT INTO b VALUES (200, 2); DELETE FROM b;",
        "CREATE TABLE b (id INTEGER PRIMARY KEY AUTOINCREMENT, x); CREATE TABLE a (id INTEGER PRIMARY KEY"
        " AUTOINCREMENT, y);",
        renames={"a": "b", "b": "a"},
        asked=(("SELECT * FROM sqlite_sequence ORDER BY name", [("a", 200), ("b", 10)]),),
    )
    yield Case(
        "a table dropped that has numbered",
        counted + "CREATE TABLE u (id INTEGER PRIMARY KEY AUTOINCREMENT); INSERT INTO u VALUES (7);" + rows,
        counted,
        drop_tables=("u",),
        asked=(("SELECT * FROM sqlite_sequence", [("t", 9)]),),
    )
    yield Case(
        "another table's numbers while one is rebuilt",
        counted
        + "CREATE TABLE u (id INTEGER PRIMARY KEY AUTOINCREMENT); INSERT INTO u VALUES (7); DELETE FROM u;"
        + rows,
        "CREATE TABLE t (a, id INTEGER PRIMARY KEY AUTOINCREMENT); CREATE TABLE u (id INTEGER PRIMARY KEY"
        " AUTOINCREMENT);",
        asked=(("SELECT * FROM sqlite_sequence ORDER BY name", [("t", 9), ("u", 7)]),),
    )
