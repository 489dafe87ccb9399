"""The same words about something else: names that moved, texts that are easily read too broadly."""

from __future__ import annotations

from collections.abc import Iterator

from support.rebuild_case import Case, pair

_SWAP = {"t.a": "b", "t.b": "a"}


def cases() -> Iterator[Case]:
    yield from _swapped()
    yield from _put_in_place()
    yield from _not_computed()
    yield from _full_text()
    yield from _letter_by_letter()


def _swapped() -> Iterator[Case]:
    rows = "(6, 1)"
    yield pair(
        "columns swap names under a CHECK",
        "(a, b, CHECK (a > 5))",
        "(b, a, CHECK (a > 5))",
        rows,
        renames=_SWAP,
        refused=("t", "a > 5"),
    )
    yield Case(
        "columns swap names under an indexed virtual column",
        "CREATE TABLE t (a, b, g AS (a * 2)); CREATE INDEX i ON t (g); INSERT INTO t VALUES (6, 1);",
        "CREATE TABLE t (b, a, g AS (a * 2)); CREATE INDEX i ON t (g);",
        renames=_SWAP,
        asked=(("SELECT a, b FROM t WHERE g = 2", [(1, 6)]),),
    )
    yield pair(
        "columns swap names under a stored column",
        "(a, b, g AS (a * 2) STORED)",
        "(b, a, g AS (a * 2) STORED)",
        rows,
        renames=_SWAP,
        asked=(("SELECT * FROM t", [(6, 1, 2)]),),
    )
    yield pair(
        "a new column takes the name of a unique one",
        "(a UNIQUE, b)",
        "(old_a, b, a UNIQUE)",
        rows,
        renames={"t.a": "old_a"},
        asked=(("SELECT * FROM t", [(6, 1, None)]),),
    )


def _put_in_place() -> Iterator[Case]:
    yield pair(
        "a STRICT table becomes a plain one with a type of its own",
        "(a INT) STRICT",
        "(a INT, b VARCHAR(10) DEFAULT 5)",
        "(6)",
        asked=(("SELECT a, b, typeof(b) FROM t", [(6, "5", "text")]),),
    )
    yield pair("a new column has a quoted type", "(a)", '(a, b "a type" DEFAULT 1)', "(6)", back={})
    yield pair(
        "a new column's default is not of its STRICT type",
        "(a INT) STRICT",
        "(a INT, b INT DEFAULT 'x') STRICT",
        "(6)",
        refused=("t", "b", "x"),
    )
    yield pair(
        "NULLs get a default that the old CHECK refuses",
        "(a CHECK (a <> 0))",
        "(a NOT NULL DEFAULT 0)",
        "(1), (NULL)",
        asked=(("SELECT a FROM t", [(1,), (0,)]),),
    )
    yield pair(
        "NULLs get a default that a kept CHECK refuses",
        "(a CHECK (a <> 0))",
        "(a NOT NULL DEFAULT 0 CHECK (a <> 0))",
        "(1), (NULL)",
        refused=("t", "a <> 0"),
    )
    for name, column in (("kept", "a"), ("retyped", "a TEXT")):
        yield Case(
            f"a table takes the name of an index, whose table is {name}",
            "CREATE TABLE t (a); CREATE INDEX other ON t (a); INSERT INTO t VALUES (1);",
            f"CREATE TABLE other (x); CREATE TABLE t ({column});",
        )
    for name, parent, value in (("text", "TEXT", "01"), ("nothing", "", "1")):
        yield Case(
            f"a number refers to a column of {name}",
            f"CREATE TABLE p (x {parent} UNIQUE); INSERT INTO p VALUES ('{value}');"
            "CREATE TABLE t (y INTEGER); INSERT INTO t VALUES (1);",
            f"CREATE TABLE p (x {parent} UNIQUE); CREATE TABLE t (y INTEGER REFERENCES p (x));",
            refused=("t", "1"),
        )
    yield pair(
        "the lowest integer as a real number in a STRICT table",
        "(a INTEGER)",
        "(a INTEGER) STRICT",
        "(1), (-9223372036854775808.0)",
        refused=("t", "a", "2"),
    )
    yield Case(
        "a reference that leads nowhere gets another type",
        "CREATE TABLE p (x TEXT UNIQUE); CREATE TABLE t (y TEXT REFERENCES p (x));"
        "INSERT INTO t VALUES ('1');",
        "CREATE TABLE p (x TEXT UNIQUE); CREATE TABLE t (y INTEGER REFERENCES p (x));",
        refused=("t", "1"),
    )
    yield pair(
        "a key of a table without rowids is computed from now on",
        "(a, b, PRIMARY KEY (a)) WITHOUT ROWID",
        "(a AS (b), b)",
        "(1, 1), (2, 3)",
        refused=("t", "a", "2"),
    )
    yield pair(
        "a text of a large number becomes one", "(a)", "(a INTEGER)", "('1.0e+16')", refused=("t", "a")
    )
    yield pair(
        "a new text is TRUE by default",
        "(a)",
        "(a, b TEXT DEFAULT TRUE)",
        "(1)",
        asked=(("SELECT b, typeof(b) FROM t", [("1", "text")]),),
    )
    yield Case(
        "a table gets another name and a column another default than rows have",
        "CREATE TABLE t (a DEFAULT 'x'); INSERT INTO t VALUES ('x');",
        "CREATE TABLE u (a DEFAULT 'y');",
        renames={"t": "u"},
        asked=(("SELECT a FROM u", [("x",)]),),
    )
    yield Case(
        "a table is renamed whose rules name it before their columns",
        "CREATE TABLE t (a CHECK (t.a > 0), b AS (a + 1), CHECK (t . b > 0)); INSERT INTO t VALUES (1);"
        "CREATE INDEX i ON t (b) WHERE t.a > 0;",
        "CREATE TABLE u (a CHECK (u.a > 0), b AS (a + 1), c, CHECK (u . b > 0));"
        "CREATE INDEX i ON u (b) WHERE u.a > 0;",
        renames={"t": "u"},
        asked=(("SELECT * FROM u", [(1, 2, None)]),),
    )
    yield pair(
        "a table is made anew whose rules name it before their columns",
        "(a CHECK (t.a > 0), b AS (a + 1), CHECK (t . b > 0))",
        "(a TEXT CHECK (t.a > 0), b AS (a + 1), CHECK (t . b > 0))",
        "(1)",
    )
    yield pair(
        "a key of a table without rowids may become another",
        "(a NUMERIC PRIMARY KEY, b) WITHOUT ROWID",
        "(a REAL PRIMARY KEY, b) WITHOUT ROWID",
        "(9007199254740993, 1), (1, 2)",
        allow_data_loss=True,
    )
    yield pair(
        "a text becomes the rowid",
        "(a, b)",
        "(a INTEGER PRIMARY KEY, b)",
        "('12', 1), ('word', 2)",
        refused=("t", "word"),
    )


def _not_computed() -> Iterator[Case]:
    rows = "('[1]'), ('[')"
    for name, after in {
        "CHECK": "(a CHECK (json_extract(a, '$[0]') > 0))",
        "virtual column": "(a, b AS (json_extract(a, '$[0]')))",
        "stored column": "(a, b AS (json_extract(a, '$[0]')) STORED)",
        "virtual column of a rebuilt table": "(b AS (json_extract(a, '$[0]')), a)",
    }.items():
        yield pair(f"a {name} cannot be computed", "(a)", after, rows, refused=("t", "2"))
    yield Case(
        "an index cannot be computed",
        f"CREATE TABLE t (a); INSERT INTO t VALUES {rows};",
        "CREATE TABLE t (a); CREATE INDEX i ON t (json_extract(a, '$[0]'));",
        refused=("t", "i", "2"),
    )


def _full_text() -> Iterator[Case]:
    yield Case(
        "full text without content is renamed",
        "CREATE VIRTUAL TABLE one USING fts5(a, content=''); INSERT INTO one (rowid, a) VALUES (5, 'x');",
        "CREATE VIRTUAL TABLE two USING fts5(a, content='');",
        renames={"one": "two"},
        asked=(("SELECT rowid FROM two WHERE two MATCH 'x'", [(5,)]),),
    )


def _letter_by_letter() -> Iterator[Case]:
    at_column, of_table = "(a INTEGER PRIMARY KEY DESC, b)", "(a INTEGER, b, PRIMARY KEY (a DESC))"
    yield pair("a descending key becomes the rowid", at_column, of_table, "(3, 1)")
    yield pair("the rowid becomes a descending key", of_table, at_column, "(3, 1)")
    for name, words in {"a bare word": ("Open", "OPEN"), "in double quotes": ('"Open"', '"open"')}.items():
        before, after = (f"CREATE TABLE t (a TEXT DEFAULT {one}); CREATE TABLE open (b);" for one in words)
        yield Case(
            f"a default that is {name} changes its letters",
            before,
            after,
            act=("INSERT INTO t DEFAULT VALUES",),
            then=(("SELECT a FROM t", [(words[1].strip('"'),)]),),
        )
    before, after = (
        f"CREATE TABLE t (a CHECK (a <> {one})); CREATE TABLE open (b);" for one in ('"Open"', '"open"')
    )
    insert = "INSERT INTO t VALUES ('open');"
    yield Case("a string in double quotes changes its letters", before + insert, after, refused=("t", "open"))
    view = "CREATE TABLE t (a); CREATE VIEW v AS SELECT a AS {} FROM t;"
    yield Case("a column of a view changes its letters", view.format("Total"), view.format("total"))
