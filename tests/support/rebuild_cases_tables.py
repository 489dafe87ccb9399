"""Whole tables: new, renamed, dropped, oddly named; the numbers in the header."""

from __future__ import annotations

from collections.abc import Iterator

from support.rebuild_case import Case

_T = "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b INTEGER);"
_ROWS = _T + "INSERT INTO t VALUES (1, 'x', 10), (5, NULL, 20), (9, 'Z', NULL);"
_LOG = "CREATE TABLE log (what);"


def cases() -> Iterator[Case]:
    yield from _nothing()
    yield from _tables()
    yield from _names()
    yield from _header()


def _nothing() -> Iterator[Case]:
    yield Case("nothing to do", _ROWS, _ROWS, is_nothing=True)
    yield Case(
        "nothing to do but layout",
        _ROWS,
        "-- here\ncreate  table\n t(id integer primary key /* x */,a text,b integer) ;",
        is_nothing=True,
    )
    yield Case(
        "nothing to do with rows in the file of the schema",
        _T,
        _T + "INSERT INTO t VALUES (7, 'from the file', 1);",
        is_nothing=True,
        asked=(("SELECT count(*) FROM t", [(0,)]),),
    )
    yield Case(
        "nothing to do in a rich schema",
        _ROWS
        + "CREATE INDEX i ON t (b DESC) WHERE a > '('; CREATE VIEW v AS SELECT 1 AS one; CREATE TRIGGER g"
        " AFTER INSERT ON t BEGIN SELECT 1; END; CREATE VIRTUAL TABLE f USING fts5(x); INSERT INTO f VALUES"
        " ('word');",
        _T + "CREATE INDEX i ON t (b DESC) WHERE a > '('; CREATE VIEW v AS SELECT 1 AS one; CREATE TRIGGER g"
        " AFTER INSERT ON t BEGIN SELECT 1; END; CREATE VIRTUAL TABLE f USING fts5(x);",
        is_nothing=True,
    )


def _tables() -> Iterator[Case]:
    yield Case(
        "a new table",
        _ROWS,
        _T + "CREATE TABLE u (x REFERENCES t); CREATE INDEX ui ON u (x);",
        asked=(("SELECT count(*) FROM u", [(0,)]),),
    )
    yield Case(
        "a new table for the rows of the file",
        _ROWS,
        _T + "CREATE TABLE u (x UNIQUE); CREATE TRIGGER g AFTER INSERT ON u BEGIN DELETE FROM t; END;",
        asked=(("SELECT count(*) FROM t", [(3,)]),),
    )
    yield Case("an empty table dropped", _ROWS + "CREATE TABLE u (x); CREATE INDEX ui ON u (x);", _T)
    yield Case(
        "a table dropped that was named",
        _ROWS + "CREATE TABLE u (x); INSERT INTO u VALUES (1);",
        _T,
        drop_tables=("u",),
    )
    yield Case(
        "a table dropped unasked", _ROWS + "CREATE TABLE u (x); INSERT INTO u VALUES (1);", _T, refused=("u",)
    )
    yield Case(
        "a table dropped with allowance for loss",
        _ROWS + "CREATE TABLE u (x); INSERT INTO u VALUES (1);",
        _T,
        allow_data_loss=True,
    )
    yield Case(
        "a parent dropped while its children stay without reference",
        "CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE t (id INTEGER PRIMARY KEY, p REFERENCES p ON"
        " DELETE CASCADE, a); INSERT INTO p VALUES (1); INSERT INTO t VALUES (1, 1, 'x');",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, p, a);",
        drop_tables=("p",),
        asked=(("SELECT * FROM t", [(1, 1, "x")]),),
    )
    yield Case(
        "a table renamed",
        _ROWS,
        _ROWS.split("INSERT")[0].replace(" t ", " u "),
        renames={"t": "u"},
        back={"u": "t"},
    )
    yield Case("a table renamed unasked", _ROWS, _T.replace(" t ", " u "), refused=("t",))
    yield Case(
        "a rename of a table that is not there",
        _ROWS,
        _T + "CREATE TABLE v (x);",
        renames={"u": "v"},
        refused=("u",),
    )
    yield Case(
        "a rename to a table that the schema lacks",
        _ROWS,
        _T.replace(" t ", " w "),
        renames={"t": "u"},
        refused=("u",),
    )
    yield Case(
        "two tables swapped",
        "CREATE TABLE a (x); CREATE TABLE b (y UNIQUE); INSERT INTO a VALUES (1); INSERT INTO b VALUES (2);"
        " CREATE INDEX i ON a (x);",
        "CREATE TABLE b (x); CREATE TABLE a (y UNIQUE); CREATE INDEX i ON b (x);",
        renames={"a": "b", "b": "a"},
        asked=(("SELECT * FROM a, b", [(2, 1)]),),
        back={"a": "b", "b": "a"},
    )
    yield Case(
        "two tables that refer to each other swapped",
        "CREATE TABLE a (id INTEGER PRIMARY KEY, b REFERENCES b); CREATE TABLE b (id INTEGER PRIMARY KEY, a"
        " REFERENCES a, more); INSERT INTO a VALUES (1, 2); INSERT INTO b VALUES (2, 1, 'm');",
        "CREATE TABLE b (id INTEGER PRIMARY KEY, b REFERENCES a); CREATE TABLE a (id INTEGER PRIMARY KEY, a"
        " REFERENCES b, more);",
        renames={"a": "b", "b": "a"},
        asked=(("SELECT * FROM a", [(2, 1, "m")]),),
    )
    yield Case(
        "tables renamed in a chain",
        "CREATE TABLE a (x); CREATE TABLE b (y); CREATE TABLE c (z); INSERT INTO a VALUES (1); INSERT INTO b"
        " VALUES (2); INSERT INTO c VALUES (3);",
        "CREATE TABLE b (x); CREATE TABLE c (y); CREATE TABLE d (z);",
        renames={"a": "b", "b": "c", "c": "d"},
        asked=(("SELECT * FROM b, c, d", [(1, 2, 3)]),),
        back={"b": "a", "c": "b", "d": "c"},
    )
    yield Case(
        "a table renamed and rebuilt under everything",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT UNIQUE, up REFERENCES t); CREATE TABLE log (what);"
        " CREATE TABLE c (x REFERENCES t (a) ON DELETE CASCADE); CREATE INDEX i ON t (a DESC); CREATE VIEW v"
        " AS SELECT t.a FROM t AS t; CREATE TRIGGER g AFTER DELETE ON t BEGIN INSERT INTO log SELECT old.a ||"
        " count(*) FROM t; END; INSERT INTO t VALUES (1, 'p', NULL), (2, 'q', 1); INSERT INTO c VALUES"
        " ('q');",
        "CREATE TABLE n (up REFERENCES n, id INTEGER PRIMARY KEY, a TEXT UNIQUE); CREATE TABLE log (what);"
        " CREATE TABLE c (x REFERENCES n (a) ON DELETE CASCADE); CREATE INDEX i ON n (a DESC); CREATE VIEW v"
        " AS SELECT t.a FROM n AS t; CREATE TRIGGER g AFTER DELETE ON n BEGIN INSERT INTO log SELECT old.a ||"
        " count(*) FROM n; END;",
        renames={"t": "n"},
        act=("DELETE FROM n WHERE id = 2",),
        then=(("SELECT * FROM log", [("q1",)]), ("SELECT * FROM c", []), ("SELECT * FROM v", [("p",)])),
    )
    yield Case(
        "rename, drop, add and rebuild at once",
        _ROWS + "CREATE TABLE x (v); INSERT INTO x VALUES (1); CREATE TABLE y (v); CREATE VIEW z AS SELECT a"
        " FROM t;",
        "CREATE TABLE t2 (b TEXT, key INTEGER PRIMARY KEY, c DEFAULT 1); CREATE TABLE x (v NOT NULL CHECK"
        " (v)); CREATE TABLE w (v); CREATE VIEW z AS SELECT b FROM t2;",
        renames={"t": "t2", "t.id": "key"},
        drop_columns=("t.a",),
        asked=(("SELECT * FROM t2 ORDER BY key", [("10", 1, 1), ("20", 5, 1), (None, 9, 1)]),),
    )
    many = "".join(
        f"CREATE TABLE t{n} (id INTEGER PRIMARY KEY, a, up REFERENCES t{max(0, n - 1)} ON DELETE CASCADE);"
        for n in range(50)
    )
    yield Case(
        "fifty tables at once",
        many + "".join(f"INSERT INTO t{n} VALUES (1, {n}, 1);" for n in range(50)),
        "".join(
            f"CREATE TABLE t{n} (a TEXT, id INTEGER PRIMARY KEY, up REFERENCES t{max(0, n - 1)} ON DELETE"
            " CASCADE);"
            for n in range(50)
        ),
    )
    yield Case("an empty schema over a table with rows", _ROWS, "-- nothing\n", refused=("t",))
    yield Case("an empty schema over empty tables", _T + "CREATE VIEW v AS SELECT 1;", "-- nothing\n")
    yield Case(
        "a mistake in the file of the schema",
        _ROWS,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT,, b INTEGER);",
        refused=(",",),
    )
    yield Case(
        "a mistake at the end of the file of the schema",
        _ROWS,
        "CREATE TABLE t (b INTEGER, id INTEGER PRIMARY KEY, a TEXT);\nCREATE INDEX i ON nowhere (x);",
        refused=("nowhere",),
    )
    yield Case("a view on something that is not there", _ROWS, _T + "CREATE VIEW v AS SELECT * FROM nowhere;")


_ODD = (
    '"a b"',
    '"q""q"',
    "`tick`",
    "[brackets here]",
    '"ünï 表"',
    '"order"',
    '"group"',
    '"table"',
    '"MixedCase"',
    '"_new_t"',
    '"t_old"',
    '"__tmp"',
    '"sqlitex_master"',
    '"datalayer_tmp_t"',
    '"datalayer_new_t"',
    '"datalayer_aside_0"',
    '"a.b"',
    '"semi;colon"',
    '"comma,paren("',
    '"it\'s"',
    '"--no comment"',
    '"100%"',
    '"with_underscore%"',
    '"{brace}"',
    '"new"',
    '"rowid"',
    "sqlitexsequence",
)


def _names() -> Iterator[Case]:
    for odd in _ODD:
        bare = odd.strip('"`[]').replace('""', '"')
        before = (
            f"CREATE TABLE {odd} (id INTEGER PRIMARY KEY, {odd} TEXT, plain INTEGER DEFAULT 1, CHECK ({odd}"
            f" <> '')); CREATE INDEX \"i of {bare.replace(chr(34), chr(34) * 2)}\" ON {odd} ({odd}); CREATE"
            f" TABLE log (what); CREATE TRIGGER g AFTER UPDATE OF {odd} ON {odd} BEGIN INSERT INTO log SELECT"
            f" {odd} FROM {odd}; END; CREATE VIEW v AS SELECT {odd} AS a FROM {odd}; CREATE TABLE c (x"
            f" REFERENCES {odd} (id) ON DELETE CASCADE); INSERT INTO {odd} VALUES (4, 'q', 2); INSERT INTO c"
            " VALUES (4);"
        )
        ddl = before.split("INSERT INTO " + odd, maxsplit=1)[0]
        yield Case(
            f"a rebuild of {odd}",
            before,
            ddl.replace("id INTEGER PRIMARY KEY, ", "").replace(
                "DEFAULT 1,", "DEFAULT 1, id INTEGER PRIMARY KEY,"
            ),
            back={},
            act=(f"UPDATE {odd} SET {odd} = 'r'",),
            then=(
                ("SELECT * FROM log", [("r",)]),
                ("SELECT * FROM v", [("r",)]),
                ("SELECT * FROM c", [(4,)]),
            ),
        )
    for odd in ('"a b"', '"q""q"', '"order"', '"a.b"', '"ünï 表"', '"datalayer_tmp_t"'):
        bare = odd.strip('"').replace('""', '"')
        yield Case(
            f"names from {odd}",
            f"CREATE TABLE {odd} (id INTEGER PRIMARY KEY, {odd} TEXT); INSERT INTO {odd} VALUES (4, 'q');",
            "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT);",
            renames={bare: "t", f"{bare}.{bare}": "a"},
            asked=(("SELECT * FROM t", [(4, "q")]),),
        )
        yield Case(
            f"names to {odd}",
            "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT); INSERT INTO t VALUES (4, 'q');",
            f"CREATE TABLE {odd} ({odd} TEXT, id INTEGER PRIMARY KEY);",
            renames={"t": bare, "t.a": bare},
            asked=((f"SELECT * FROM {odd}", [("q", 4)]),),
        )


def _header() -> Iterator[Case]:
    keep = "PRAGMA user_version = 7; PRAGMA application_id = 99;"
    yield Case(
        "numbers of the header are kept",
        keep + _ROWS,
        "CREATE TABLE t (b INTEGER, a TEXT, id INTEGER PRIMARY KEY);",
        asked=(("PRAGMA user_version", [(7,)]), ("PRAGMA application_id", [(99,)])),
    )
    yield Case(
        "numbers of the header are set",
        keep + _ROWS,
        "PRAGMA user_version = 8; PRAGMA application_id = 100;"
        + "CREATE TABLE t (b INTEGER, a TEXT, id INTEGER PRIMARY KEY);",
        asked=(("PRAGMA user_version", [(8,)]), ("PRAGMA application_id", [(100,)])),
    )
    yield Case(
        "a number of the header alone is set",
        _ROWS,
        "PRAGMA user_version = 8;" + _T,
        asked=(("PRAGMA user_version", [(8,)]),),
    )
