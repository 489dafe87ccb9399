"""Rules: CHECK, UNIQUE, foreign keys, collation, STRICT."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from support.rebuild_case import Case, pair

_ALL = "SELECT rowid, * FROM t ORDER BY 1"


def cases() -> Iterator[Case]:
    yield from _checks()
    yield from _uniques()
    yield from _references()
    yield from _collations()
    yield from _strictness()


def _checks() -> Iterator[Case]:
    plain, rows = "(a INTEGER, b TEXT)", "(1, 'x'), (2, 'y'), (NULL, NULL)"
    yield pair("a CHECK that holds", plain, "(a INTEGER CHECK (a > 0), b TEXT)", rows, back={})
    yield pair("a CHECK that breaks", plain, "(a INTEGER CHECK (a > 1), b TEXT)", rows, refused=("t", "1"))
    yield pair(
        "a named CHECK that breaks",
        plain,
        "(a INTEGER, b TEXT, CONSTRAINT a_is_big CHECK (a > 1))",
        rows,
        refused=("t", "a_is_big"),
    )
    yield pair(
        "a CHECK that breaks with allowance for loss",
        plain,
        "(a INTEGER CHECK (a > 1), b TEXT)",
        rows,
        allow_data_loss=True,
        refused=("t",),
    )
    yield pair(
        "a CHECK of two columns",
        plain,
        "(a INTEGER, b TEXT, CHECK (a < length(b) + 1))",
        rows,
        refused=("t", "2"),
    )
    yield pair("a CHECK dropped", "(a INTEGER CHECK (a > 0), b TEXT)", plain, rows)
    yield pair(
        "a CHECK widened",
        "(a INTEGER CHECK (a IN (1, 2)), b TEXT)",
        "(a INTEGER CHECK (a IN (1, 2, 3)), b TEXT)",
        rows,
        back={},
    )
    yield pair(
        "a CHECK narrowed over a row",
        "(a INTEGER CHECK (a IN (1, 2)), b TEXT)",
        "(a INTEGER CHECK (a IN (1, 3)), b TEXT)",
        rows,
        refused=("t", "2"),
    )
    yield pair(
        "a CHECK renamed",
        "(a INTEGER, CONSTRAINT one CHECK (a > 0), b TEXT)".replace(
            ", CONSTRAINT one CHECK (a > 0), b TEXT", " CONSTRAINT one CHECK (a > 0), b TEXT"
        ),
        "(a INTEGER CONSTRAINT two CHECK (a > 0), b TEXT)",
        rows,
    )
    yield pair(
        "a CHECK with literals like SQL",
        plain,
        "(a INTEGER, b TEXT CHECK (b NOT IN ('--', '/*', ')', ',', 'it''s\n', \"a\")))",
        rows,
        back={},
    )
    yield pair(
        "a CHECK on a type that the new column has",
        "(a TEXT, b TEXT)",
        "(a INTEGER CHECK (typeof(a) = 'integer'), b TEXT)",
        "('1', 'x'), ('2', 'y')",
    )
    yield pair(
        "a CHECK on a type that a value has not",
        "(a TEXT, b TEXT)",
        "(a INTEGER CHECK (typeof(a) = 'integer'), b TEXT)",
        "('1', 'x'), ('two', 'y')",
        refused=("t", "2"),
    )
    yield pair(
        "a CHECK on JSON",
        plain,
        "(a INTEGER, b TEXT CHECK (b IS NULL OR json_valid(b)))",
        "(1, '{}'), (2, NULL)",
    )
    yield pair(
        "a CHECK with a text in double quotes",
        '(a TEXT CHECK (a <> "none"), b)',
        '(b, a TEXT CHECK (a <> "none"))',
        "('x', 1)",
        back={},
    )
    yield pair(
        "a CHECK that needs another column's old type",
        "(a INTEGER, b TEXT, CHECK (a < b))",
        "(a INTEGER, b INTEGER, CHECK (a < b))",
        "(1, '2')",
    )
    yield pair(
        "a CHECK that a new type breaks",
        "(a, b, CHECK (typeof(a) = 'integer'))",
        "(a TEXT, b, CHECK (typeof(a) = 'integer'))",
        "(1, 2)",
        refused=("t", "1"),
    )
    yield pair("a CHECK with the table's own name", "(a INTEGER)", "(a INTEGER CHECK (t.a > 0))", "(1), (2)")


def _uniques() -> Iterator[Case]:
    plain = "(a INTEGER, b TEXT)"
    good, bad = "(1, 'x'), (2, 'X'), (NULL, NULL), (NULL, NULL)", "(1, 'x'), (2, 'y'), (1, 'z')"
    yield pair("UNIQUE without repetition", plain, "(a INTEGER UNIQUE, b TEXT)", good, back={})
    yield pair("UNIQUE with repetition", plain, "(a INTEGER UNIQUE, b TEXT)", bad, refused=("t", "a"))
    yield pair("UNIQUE of two columns", plain, "(a INTEGER, b TEXT, UNIQUE (a, b))", bad, back={})
    yield pair(
        "UNIQUE of two columns with repetition",
        plain,
        "(a INTEGER, b TEXT, UNIQUE (b, a))",
        bad + ", (1, 'z')",
        refused=("t",),
    )
    yield pair(
        "UNIQUE by another collation",
        plain,
        "(a INTEGER, b TEXT, UNIQUE (b COLLATE NOCASE))",
        good,
        refused=("t", "b"),
    )
    for clause in ("REPLACE", "IGNORE", "ROLLBACK", "FAIL"):
        yield pair(
            f"UNIQUE ON CONFLICT {clause} with repetition",
            plain,
            f"(a INTEGER UNIQUE ON CONFLICT {clause}, b TEXT)",
            bad,
            refused=("t", "a"),
        )
        yield pair(
            f"UNIQUE ON CONFLICT {clause} without repetition",
            plain,
            f"(a INTEGER UNIQUE ON CONFLICT {clause}, b TEXT)",
            good,
        )
    yield pair(
        "UNIQUE ON CONFLICT REPLACE with repetition and a column dropped",
        plain,
        "(a INTEGER UNIQUE ON CONFLICT REPLACE)",
        bad,
        drop_columns=("t.b",),
        refused=("t", "a"),
    )
    yield pair("UNIQUE dropped", "(a INTEGER UNIQUE, b TEXT)", plain, good)
    yield pair(
        "UNIQUE in another order",
        "(a INTEGER, b TEXT, UNIQUE (a, b))",
        "(a INTEGER, b TEXT, UNIQUE (b, a))",
        good,
    )
    yield pair(
        "UNIQUE by its affinity",
        "(a TEXT)",
        "(a INTEGER UNIQUE)",
        "('1'), ('1.0')",
        allow_data_loss=True,
        refused=("t", "a"),
    )
    yield Case(
        "an index made unique over repetition",
        "CREATE TABLE t (a); CREATE INDEX i ON t (a); INSERT INTO t VALUES (1), (1);",
        "CREATE TABLE t (a); CREATE UNIQUE INDEX i ON t (a);",
        refused=("t", "i"),
    )
    yield Case(
        "a unique partial index over repetition outside it",
        "CREATE TABLE t (a, b); INSERT INTO t VALUES (1, 0), (1, 0), (1, 1);",
        "CREATE TABLE t (a, b); CREATE UNIQUE INDEX i ON t (a) WHERE b;",
    )
    yield Case(
        "a unique index on an expression over repetition",
        "CREATE TABLE t (a, b); INSERT INTO t VALUES ('x', 0), ('X', 0);",
        "CREATE TABLE t (a, b); CREATE UNIQUE INDEX i ON t (lower(a));",
        refused=("t", "i"),
    )


def _references() -> Iterator[Case]:
    parent = (
        "CREATE TABLE p (id INTEGER PRIMARY KEY, u TEXT UNIQUE); INSERT INTO p VALUES (1, 'one'), (2, 'two');"
    )
    p = "CREATE TABLE p (id INTEGER PRIMARY KEY, u TEXT UNIQUE);"

    def key(name: str, old: str, new: str, rows: str = "(1, 1), (2, 2), (3, NULL)", **rest: Any) -> Case:
        return Case(
            name,
            f"{parent} CREATE TABLE c (id INTEGER PRIMARY KEY, r {old}); INSERT INTO c VALUES {rows};",
            f"{p} CREATE TABLE c (id INTEGER PRIMARY KEY, r {new});",
            **rest,
        )

    bad = "(1, 1), (44, 99)"
    yield key("a reference that holds", "INTEGER", "INTEGER REFERENCES p", back={})
    yield key("a reference over an orphan", "INTEGER", "INTEGER REFERENCES p", rows=bad, refused=("c", "44"))
    yield key(
        "a deferred reference over an orphan",
        "INTEGER",
        "INTEGER REFERENCES p DEFERRABLE INITIALLY DEFERRED",
        rows=bad,
        refused=("c", "44"),
    )
    yield key(
        "a reference over an orphan with allowance for loss",
        "INTEGER",
        "INTEGER REFERENCES p ON DELETE CASCADE",
        rows=bad,
        allow_data_loss=True,
        refused=("c", "44"),
    )
    yield key("a reference dropped", "INTEGER REFERENCES p", "INTEGER")
    for action in ("CASCADE", "SET NULL", "SET DEFAULT", "RESTRICT", "NO ACTION"):
        yield key(
            f"a reference that becomes ON DELETE {action}",
            "INTEGER REFERENCES p ON UPDATE CASCADE",
            f"INTEGER REFERENCES p ON DELETE {action}",
        )
    yield key(
        "a cascading reference that becomes RESTRICT",
        "INTEGER REFERENCES p ON DELETE CASCADE",
        "INTEGER REFERENCES p ON DELETE RESTRICT",
    )
    yield key(
        "a reference made deferrable",
        "INTEGER REFERENCES p",
        "INTEGER REFERENCES p DEFERRABLE INITIALLY DEFERRED",
        back={},
    )
    yield key("a reference given a name", "INTEGER REFERENCES p", "INTEGER CONSTRAINT c_p REFERENCES p (id)")
    yield key(
        "a reference to another key",
        "TEXT REFERENCES p (u)",
        "TEXT REFERENCES p (u) ON UPDATE CASCADE",
        rows="(1, 'one'), (2, NULL)",
    )
    yield key(
        "a reference to another table that lacks the row",
        "INTEGER REFERENCES p",
        "INTEGER REFERENCES c",
        rows="(1, 1), (44, 2)",
        refused=("c", "44"),
    )
    yield Case(
        "an orphan that was there before, elsewhere",
        f"{parent} CREATE TABLE c (r REFERENCES p); INSERT INTO c VALUES (99); CREATE TABLE t (a, b); INSERT"
        " INTO t VALUES (1, 2);",
        f"{p} CREATE TABLE c (r REFERENCES p); CREATE TABLE t (b, a);",
    )
    yield Case(
        "a reference of two columns",
        "CREATE TABLE p (a, b, PRIMARY KEY (a, b)); CREATE TABLE c (x, y); INSERT INTO p VALUES (1, 2);"
        " INSERT INTO c VALUES (1, 2), (NULL, 3);",
        "CREATE TABLE p (a, b, PRIMARY KEY (a, b)); CREATE TABLE c (x, y, FOREIGN KEY (x, y) REFERENCES p (a,"
        " b));",
        back={},
    )
    yield Case(
        "a reference of two columns over an orphan",
        "CREATE TABLE p (a, b, PRIMARY KEY (a, b)); CREATE TABLE c (x, y); INSERT INTO p VALUES (1, 2);"
        " INSERT INTO c VALUES (1, 3);",
        "CREATE TABLE p (a, b, PRIMARY KEY (a, b)); CREATE TABLE c (x, y, FOREIGN KEY (x, y) REFERENCES p (a,"
        " b));",
        refused=("c",),
    )
    yield Case(
        "a parent dropped while children refer to it",
        f"{parent} CREATE TABLE c (id INTEGER PRIMARY KEY, r REFERENCES p); INSERT INTO c VALUES (1, 1);",
        "CREATE TABLE c (id INTEGER PRIMARY KEY, r REFERENCES p);",
        drop_tables=("p",),
        refused=("c",),
    )
    yield Case(
        "a parent dropped with the reference to it",
        f"{parent} CREATE TABLE c (id INTEGER PRIMARY KEY, r REFERENCES p ON DELETE CASCADE); INSERT INTO c"
        " VALUES (1, 1);",
        "CREATE TABLE c (id INTEGER PRIMARY KEY, r);",
        drop_tables=("p",),
        asked=(("SELECT * FROM c", [(1, 1)]),),
    )
    yield Case(
        "a parent and its child both rebuilt, cascading",
        f"{parent} CREATE TABLE c (id INTEGER PRIMARY KEY, r REFERENCES p ON DELETE CASCADE); INSERT INTO c"
        " VALUES (1, 1), (2, 2);",
        "CREATE TABLE p (u TEXT UNIQUE, id INTEGER PRIMARY KEY); CREATE TABLE c (r REFERENCES p ON DELETE"
        " CASCADE, id INTEGER PRIMARY KEY);",
        back={},
        asked=(("SELECT count(*) FROM c", [(2,)]),),
    )
    yield Case(
        "a circle of two tables, both rebuilt",
        "CREATE TABLE a (id INTEGER PRIMARY KEY, b REFERENCES b ON DELETE CASCADE); CREATE TABLE b (id"
        " INTEGER PRIMARY KEY, a REFERENCES a ON DELETE CASCADE); INSERT INTO a VALUES (1, 1); INSERT INTO b"
        " VALUES (1, 1);",
        "CREATE TABLE a (b NOT NULL REFERENCES b ON DELETE CASCADE, id INTEGER PRIMARY KEY); CREATE TABLE b"
        " (a NOT NULL REFERENCES a ON DELETE CASCADE, id INTEGER PRIMARY KEY);",
        back={},
    )
    yield Case(
        "a parent renamed and rebuilt",
        f"{parent} CREATE TABLE c (id INTEGER PRIMARY KEY, r REFERENCES p ON DELETE CASCADE); INSERT INTO c"
        " VALUES (1, 1);",
        "CREATE TABLE q (u TEXT UNIQUE, id INTEGER PRIMARY KEY); CREATE TABLE c (id INTEGER PRIMARY KEY, r"
        " REFERENCES q ON DELETE CASCADE);",
        renames={"p": "q"},
        back={"q": "p"},
        act=("DELETE FROM q WHERE id = 1",),
        then=(("SELECT * FROM c", []),),
    )
    yield Case(
        "a parent renamed while another takes its name",
        f"{parent} CREATE TABLE c (id INTEGER PRIMARY KEY, r REFERENCES p); INSERT INTO c VALUES (1, 1);",
        "CREATE TABLE q (id INTEGER PRIMARY KEY, u TEXT UNIQUE); CREATE TABLE p (x); CREATE TABLE c (id"
        " INTEGER PRIMARY KEY, r REFERENCES q);",
        renames={"p": "q"},
    )
    yield Case(
        "a parent's key that loses its uniqueness",
        f"{parent} CREATE TABLE c (r REFERENCES p (u)); INSERT INTO c VALUES ('one');",
        "CREATE TABLE p (id INTEGER PRIMARY KEY, u TEXT); CREATE TABLE c (r);",
    )


def _collations() -> Iterator[Case]:
    rows = "('b'), ('A'), ('a '), (NULL)"
    yield pair(
        "a collation",
        "(a TEXT)",
        "(a TEXT COLLATE NOCASE)",
        rows,
        asked=(("SELECT rowid FROM t ORDER BY a", [(4,), (2,), (3,), (1,)]),),
        back={},
    )
    yield pair(
        "a collation with UNIQUE that holds",
        "(a TEXT UNIQUE)",
        "(a TEXT COLLATE NOCASE UNIQUE)",
        rows,
        back={},
    )
    yield pair(
        "a collation with UNIQUE that breaks",
        "(a TEXT UNIQUE)",
        "(a TEXT COLLATE NOCASE UNIQUE)",
        "('a'), ('A')",
        refused=("t", "a"),
    )
    yield pair(
        "RTRIM with a key that breaks",
        "(a TEXT PRIMARY KEY)",
        "(a TEXT COLLATE RTRIM PRIMARY KEY)",
        "('a'), ('a ')",
        refused=("t", "a"),
    )
    yield Case(
        "a collation under an index whose text stays",
        "CREATE TABLE t (a TEXT); CREATE INDEX i ON t (a); INSERT INTO t VALUES ('b'), ('A'), ('a'), ('B');",
        "CREATE TABLE t (a TEXT COLLATE NOCASE); CREATE INDEX i ON t (a);",
        asked=(("SELECT count(*) FROM t INDEXED BY i WHERE a = 'b'", [(2,)]),),
        back={},
    )
    yield Case(
        "a collation under a unique index",
        "CREATE TABLE t (a TEXT); CREATE UNIQUE INDEX i ON t (a); INSERT INTO t VALUES ('b'), ('B');",
        "CREATE TABLE t (a TEXT COLLATE NOCASE); CREATE UNIQUE INDEX i ON t (a);",
        refused=("t", "i"),
    )
    yield Case(
        "a collation of a key WITHOUT ROWID",
        "CREATE TABLE t (a TEXT PRIMARY KEY, b) WITHOUT ROWID; INSERT INTO t VALUES ('b', 1), ('A', 2);",
        "CREATE TABLE t (a TEXT COLLATE NOCASE PRIMARY KEY, b) WITHOUT ROWID;",
        asked=(("SELECT a FROM t", [("A",), ("b",)]),),
        back={},
    )
    yield Case(
        "a collation under a CHECK that then breaks",
        "CREATE TABLE t (a TEXT CHECK (a <> 'X')); INSERT INTO t VALUES ('x');",
        "CREATE TABLE t (a TEXT COLLATE NOCASE CHECK (a <> 'X'));",
        refused=("t",),
    )
    yield Case(
        "a collation under a partial index",
        "CREATE TABLE t (a TEXT, b); CREATE INDEX i ON t (b) WHERE a = 'X'; INSERT INTO t VALUES ('x', 1),"
        " ('X', 2);",
        "CREATE TABLE t (a TEXT COLLATE NOCASE, b); CREATE INDEX i ON t (b) WHERE a = 'X';",
        asked=(("SELECT count(*) FROM t INDEXED BY i WHERE a = 'X'", [(2,)]),),
    )
    yield Case(
        "a collation of a parent's key",
        "CREATE TABLE t (a TEXT COLLATE NOCASE PRIMARY KEY); CREATE TABLE c (a REFERENCES t); INSERT INTO t"
        " VALUES ('x'); INSERT INTO c VALUES ('X');",
        "CREATE TABLE t (a TEXT PRIMARY KEY); CREATE TABLE c (a REFERENCES t);",
        refused=("c",),
    )


def _strictness() -> Iterator[Case]:
    plain, strict = "(a INTEGER, b TEXT, c REAL)", "(a INTEGER, b TEXT, c REAL) STRICT"
    good = "(1, 'x', 1.5), (NULL, NULL, 2)"
    yield pair("STRICT where all values fit", plain, strict, good, back={})
    yield pair(
        "STRICT over a text in INTEGER",
        plain,
        strict,
        "(1, 'x', 1), ('abc', 'y', 2)",
        refused=("t", "a", "2"),
    )
    yield pair("STRICT over a blob in TEXT", plain, strict, "(1, x'00', 1)", refused=("t", "b"))
    yield pair("STRICT over a fraction in INTEGER", plain, strict, "(1.5, 'x', 1)", refused=("t", "a"))
    yield pair("STRICT dropped", strict, plain, good)
    yield pair("STRICT with ANY", "(a, b)", "(a ANY, b ANY) STRICT", "('01', 1), (x'00', NULL)", back={})
    yield pair(
        "a column that leaves ANY", "(a ANY) STRICT", "(a INTEGER) STRICT", "('01')", refused=("t", "a")
    )
    yield pair(
        "STRICT and WITHOUT ROWID",
        "(a INTEGER PRIMARY KEY, b TEXT)",
        "(a INTEGER PRIMARY KEY, b TEXT) STRICT, WITHOUT ROWID",
        "(1, 'x'), (2, 'y')",
        back={},
    )
