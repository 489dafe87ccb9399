"""What stands on tables: views, indexes, triggers, full-text and rtree tables."""

from __future__ import annotations

from collections.abc import Iterator

from support.rebuild_case import Case

_T = "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b INTEGER);"
_ROWS = _T + "INSERT INTO t VALUES (1, 'x', 10), (5, NULL, 20), (9, 'Z', NULL);"
_LOG = "CREATE TABLE log (what);"


def cases() -> Iterator[Case]:
    yield from _views()
    yield from _indexes()
    yield from _triggers()
    yield from _virtual()


def _views() -> Iterator[Case]:
    view = "CREATE VIEW v AS SELECT a FROM t;"
    yield Case(
        "a view added", _ROWS, _T + view, asked=(("SELECT * FROM v", [("x",), (None,), ("Z",)]),), back={}
    )
    yield Case("a view dropped", _ROWS + view, _T)
    yield Case(
        "a view changed",
        _ROWS + view,
        _T + "CREATE VIEW v (x, y) AS SELECT b, a FROM t WHERE b > 10;",
        asked=(("SELECT * FROM v", [(20, None)]),),
        back={},
    )
    yield Case(
        "a view under a view changed",
        _ROWS + view + "CREATE VIEW w AS SELECT * FROM v;",
        _T + "CREATE VIEW v AS SELECT a, b FROM t; CREATE VIEW w AS SELECT * FROM v;",
        asked=(("SELECT count(b) FROM w", [(2,)]),),
    )
    yield Case(
        "views in another order than they need", _ROWS, _T + "CREATE VIEW w AS SELECT * FROM v;" + view
    )
    yield Case(
        "an empty table becomes a view",
        _ROWS + "CREATE TABLE u (a); CREATE INDEX ui ON u (a);",
        _T + "CREATE VIEW u AS SELECT a FROM t;",
        asked=(("SELECT count(*) FROM u", [(3,)]),),
    )
    yield Case(
        "a table with rows becomes a view",
        _ROWS + "CREATE TABLE u (a); INSERT INTO u VALUES (1);",
        _T + "CREATE VIEW u AS SELECT a FROM t;",
        refused=("u",),
    )
    yield Case(
        "a table with rows becomes a view as was said",
        _ROWS + "CREATE TABLE u (a); INSERT INTO u VALUES (1);",
        _T + "CREATE VIEW u AS SELECT a FROM t;",
        drop_tables=("u",),
    )
    yield Case(
        "a view becomes a table",
        _ROWS + view,
        _T + "CREATE TABLE v (a);",
        asked=(("SELECT count(*) FROM v", [(0,)]),),
    )
    yield Case(
        "a table renamed and a view in its place",
        _ROWS,
        "CREATE TABLE t_base (id INTEGER PRIMARY KEY, a TEXT, b INTEGER); CREATE VIEW t AS SELECT id, a FROM"
        " t_base; CREATE TRIGGER g INSTEAD OF INSERT ON t BEGIN INSERT INTO t_base (a) VALUES (new.a); END;",
        renames={"t": "t_base"},
        act=("INSERT INTO t (a) VALUES ('n')",),
        then=(("SELECT max(id) FROM t_base", [(10,)]),),
    )
    yield Case(
        "a view that was broken before is made right",
        _ROWS + "CREATE TABLE gone (x); CREATE VIEW v AS SELECT x FROM gone; DROP TABLE gone;",
        _T + view,
    )
    yield Case(
        "a view that is broken goes while a table is rebuilt",
        _ROWS + "CREATE TABLE gone (x); CREATE VIEW v AS SELECT x FROM gone; DROP TABLE gone;",
        "CREATE TABLE t (b INTEGER, a TEXT, id INTEGER PRIMARY KEY);",
    )
    yield Case(
        "a view with a star over a table that grows",
        _ROWS + "CREATE VIEW v AS SELECT * FROM t;",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b INTEGER, c DEFAULT 4); CREATE VIEW v AS SELECT *"
        " FROM t;",
        asked=(("SELECT c FROM v", [(4,), (4,), (4,)]),),
    )


def _indexes() -> Iterator[Case]:
    forms = {
        "DESC": "CREATE INDEX i ON t (b DESC);",
        "COLLATE": "CREATE INDEX i ON t (b COLLATE NOCASE);",
        "WHERE": "CREATE INDEX i ON t (b) WHERE b > 5;",
        "an expression": "CREATE INDEX i ON t (b + 1);",
        "UNIQUE": "CREATE UNIQUE INDEX i ON t (b);",
        "another column": "CREATE INDEX i ON t (a);",
        "one column more": "CREATE INDEX i ON t (b, a);",
    }
    plain = "CREATE INDEX i ON t (b);"
    for name, form in forms.items():
        yield Case(f"an index of the same name with {name}", _ROWS + plain, _T + form, back={})
        yield Case(
            f"an index with {name} made while the table is rebuilt",
            _ROWS + plain,
            "CREATE TABLE t (a TEXT, b INTEGER, id INTEGER PRIMARY KEY);" + form,
        )
    yield Case(
        "an index with another condition",
        _ROWS + forms["WHERE"],
        _T + "CREATE INDEX i ON t (b) WHERE b > 15;",
    )
    yield Case(
        "an index of the same name on another table",
        _ROWS + "CREATE TABLE u (b);" + plain,
        _T + "CREATE TABLE u (b); CREATE INDEX i ON u (b);",
    )
    yield Case(
        "an index whose condition a new type changes",
        "CREATE TABLE t (a, b); CREATE INDEX i ON t (b) WHERE a = '1';INSERT INTO t VALUES (1, 2), ('1', 3);",
        "CREATE TABLE t (a TEXT, b); CREATE INDEX i ON t (b) WHERE a = '1';",
        allow_data_loss=True,
        asked=(("SELECT count(*) FROM t INDEXED BY i WHERE a = '1'", [(2,)]),),
    )
    yield Case(
        "an index on an expression whose column gets another type",
        "CREATE TABLE t (a TEXT); CREATE INDEX i ON t (a + 1, typeof(a)); INSERT INTO t VALUES ('1'), ('2');",
        "CREATE TABLE t (a INTEGER); CREATE INDEX i ON t (a + 1, typeof(a));",
        asked=(("SELECT count(*) FROM t INDEXED BY i WHERE a + 1 = 2 AND typeof(a) = 'integer'", [(1,)]),),
        back={},
    )
    yield Case(
        "an index on rows older than their column",
        "CREATE TABLE t (a); INSERT INTO t VALUES (1), (2); ALTER TABLE t ADD COLUMN c DEFAULT 5;"
        "CREATE INDEX i ON t (c); CREATE INDEX j ON t (c + 1) WHERE c = 5;",
        "CREATE TABLE t (a, c DEFAULT 6); CREATE INDEX i ON t (c); CREATE INDEX j ON t (c + 1) WHERE c = 5;",
        asked=(("SELECT count(*) FROM t INDEXED BY j WHERE c = 5", [(2,)]),),
    )
    yield Case("an index added", _ROWS, _T + plain, back={})
    yield Case("an index dropped with its statistics", _ROWS + plain + "ANALYZE;", _T)
    yield Case(
        "an index changed with its statistics",
        _ROWS + plain + "CREATE INDEX j ON t (a); ANALYZE;",
        _T + forms["DESC"] + "CREATE INDEX j ON t (a);",
    )
    yield Case(
        "statistics of a table renamed",
        _ROWS + plain + "ANALYZE;",
        _T.replace(" t ", " u ") + plain.replace(" t ", " u "),
        renames={"t": "u"},
        asked=(("SELECT tbl, idx FROM sqlite_stat1", [("u", "i")]),),
    )
    yield Case(
        "statistics of a table rebuilt",
        _ROWS + plain + "ANALYZE; UPDATE sqlite_stat1 SET stat = '77 7';",
        "CREATE TABLE t (b INTEGER, a TEXT, id INTEGER PRIMARY KEY);" + plain,
        asked=(("SELECT * FROM sqlite_stat1", [("t", "i", "77 7")]),),
    )
    yield Case(
        "statistics of a table dropped",
        _ROWS
        + "CREATE TABLE u (x); CREATE INDEX ui ON u (x); INSERT INTO u VALUES (1);"
        + plain
        + "ANALYZE;",
        _T + plain,
        drop_tables=("u",),
        asked=(("SELECT tbl FROM sqlite_stat1", [("t",)]),),
    )


def _triggers() -> Iterator[Case]:
    one = "CREATE TRIGGER g AFTER INSERT ON t BEGIN INSERT INTO log VALUES ('one'); END;"
    yield Case(
        "a trigger added",
        _ROWS + _LOG,
        _T + _LOG + one,
        act=("INSERT INTO t (a) VALUES ('n')",),
        then=(("SELECT * FROM log", [("one",)]),),
        back={},
    )
    yield Case(
        "a trigger dropped",
        _ROWS + _LOG + one,
        _T + _LOG,
        act=("INSERT INTO t (a) VALUES ('n')",),
        then=(("SELECT * FROM log", []),),
    )
    yield Case(
        "a trigger changed",
        _ROWS + _LOG + one,
        _T + _LOG + one.replace("'one'", "'two'"),
        act=("INSERT INTO t (a) VALUES ('n')",),
        then=(("SELECT * FROM log", [("two",)]),),
        back={},
    )
    yield Case(
        "a trigger of the same name on another table",
        _ROWS + _LOG + one,
        _T + _LOG + "CREATE TRIGGER g AFTER INSERT ON log BEGIN DELETE FROM log WHERE what = 'x'; END;",
    )
    yield Case(
        "triggers that would forbid the copy",
        _ROWS
        + "CREATE TRIGGER no_insert BEFORE INSERT ON t BEGIN SELECT RAISE(ABORT, 'no'); END; CREATE TRIGGER"
        " no_delete BEFORE DELETE ON t BEGIN SELECT RAISE(ROLLBACK, 'no'); END;",
        "CREATE TABLE t (b TEXT, id INTEGER PRIMARY KEY, a TEXT); CREATE TRIGGER no_insert BEFORE INSERT ON t"
        " BEGIN SELECT RAISE(ABORT, 'no'); END; CREATE TRIGGER no_delete BEFORE DELETE ON t BEGIN SELECT"
        " RAISE(ROLLBACK, 'no'); END;",
    )
    yield Case(
        "triggers that would change what is copied",
        _ROWS + "CREATE TRIGGER g AFTER INSERT ON t BEGIN UPDATE t SET a = 'changed' WHERE id = new.id; END;",
        "CREATE TABLE t (b TEXT, id INTEGER PRIMARY KEY, a TEXT); CREATE TRIGGER g AFTER INSERT ON t BEGIN"
        " UPDATE t SET a = 'changed' WHERE id = new.id; END;",
        asked=(("SELECT a FROM t ORDER BY id", [("x",), (None,), ("Z",)]),),
    )
    order = "".join(
        f"CREATE TRIGGER g{n} AFTER INSERT ON t BEGIN INSERT INTO log VALUES ('{n}'); END;" for n in (3, 1, 2)
    )
    yield Case(
        "several triggers keep their order over a rebuild",
        _ROWS + _LOG + order,
        "CREATE TABLE t (b TEXT, id INTEGER PRIMARY KEY, a TEXT);" + _LOG + order,
    )
    yield Case(
        "a trigger on a table that is dropped",
        _ROWS + _LOG + "CREATE TRIGGER g AFTER INSERT ON log BEGIN DELETE FROM t; END;",
        _T,
        drop_tables=("log",),
    )
    yield Case(
        "a trigger that mentions a table that is dropped goes too",
        _ROWS + _LOG + one,
        _T,
        drop_tables=("log",),
        act=("INSERT INTO t (a) VALUES ('n')",),
        then=(("SELECT count(*) FROM t", [(4,)]),),
    )
    yield Case(
        "a trigger on a view of a rebuilt table",
        _ROWS
        + "CREATE VIEW v AS SELECT id, a FROM t; CREATE TRIGGER g INSTEAD OF UPDATE OF a ON v BEGIN UPDATE t"
        " SET a = new.a || '!' WHERE id = old.id; END;",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, b TEXT, a TEXT); CREATE VIEW v AS SELECT id, a FROM t;"
        " CREATE TRIGGER g INSTEAD OF UPDATE OF a ON v BEGIN UPDATE t SET a = new.a || '!' WHERE id = old.id;"
        " END;",
        act=("UPDATE v SET a = 'q' WHERE id = 1",),
        then=(("SELECT a FROM t WHERE id = 1", [("q!",)]),),
    )
    yield Case(
        "a trigger that writes through a view with triggers while both tables are rebuilt",
        "CREATE TABLE p (id INTEGER PRIMARY KEY, a); CREATE TABLE q (id INTEGER PRIMARY KEY, a);"
        "CREATE VIEW v AS SELECT p.id, q.a FROM p JOIN q USING (id);"
        "CREATE TRIGGER v_insert INSTEAD OF INSERT ON v BEGIN"
        " INSERT INTO p VALUES (new.id, 'p'); INSERT INTO q VALUES (new.id, new.a); END;"
        "CREATE TRIGGER p_delete AFTER DELETE ON p BEGIN DELETE FROM q WHERE id = old.id; END;"
        "INSERT INTO p VALUES (1, 'one'); INSERT INTO q VALUES (1, 'two');",
        "CREATE TABLE p (id INTEGER PRIMARY KEY, a TEXT CHECK (a <> ''));"
        "CREATE TABLE q (id INTEGER PRIMARY KEY, a TEXT);"
        "CREATE VIEW v AS SELECT p.id, q.a FROM p JOIN q USING (id);"
        "CREATE TRIGGER v_insert INSTEAD OF INSERT ON v BEGIN"
        " INSERT INTO p VALUES (new.id, 'p'); INSERT INTO q VALUES (new.id, new.a); END;"
        "CREATE TRIGGER p_delete AFTER DELETE ON p BEGIN DELETE FROM q WHERE id = old.id; END;",
        act=("INSERT INTO v VALUES (2, 'x')", "DELETE FROM p WHERE id = 1"),
        then=(("SELECT * FROM v", [(2, "x")]), ("SELECT count(*) FROM q", [(1,)])),
    )
    yield Case(
        "a trigger renamed in its letters",
        _ROWS + _LOG + one,
        _T + _LOG + one.replace("TRIGGER g", "TRIGGER G"),
        act=("INSERT INTO t (a) VALUES ('n')",),
        then=(("SELECT * FROM log", [("one",)]),),
    )
    yield Case(
        "a trigger that was broken before",
        _ROWS + _LOG + one.replace(" log ", " nowhere "),
        "CREATE TABLE t (b TEXT, id INTEGER PRIMARY KEY, a TEXT);" + _LOG,
    )


def _virtual() -> Iterator[Case]:
    fts = "CREATE VIRTUAL TABLE f USING fts5(a, content='t', content_rowid='id');"
    search = "SELECT rowid FROM f WHERE f MATCH 'apple' ORDER BY 1"
    rows = (
        "INSERT INTO t VALUES (1, 'red apple', 1), (50, 'pear', 2), (99, 'green apple', 3); INSERT INTO f (f)"
        " VALUES ('rebuild');"
    )
    yield Case(
        "full text on content that is rebuilt",
        _T + fts + rows,
        "CREATE TABLE t (b TEXT, a TEXT, id INTEGER PRIMARY KEY);" + fts,
        asked=((search, [(1,), (99,)]),),
        back={},
    )
    bare = "CREATE VIRTUAL TABLE f USING fts5(a, content='t');"
    yield Case(
        "full text on content without a key of its own",
        "CREATE TABLE t (a TEXT, b);"
        + bare
        + "INSERT INTO t (rowid, a) VALUES (-3, 'apple'), (40, 'pear'), (1000, 'apple'); INSERT INTO f (f)"
        " VALUES ('rebuild');",
        "CREATE TABLE t (b NOT NULL DEFAULT 0, a TEXT);" + bare,
        asked=((search, [(-3,), (1000,)]), ("SELECT a FROM f WHERE f MATCH 'pear'", [("pear",)])),
    )
    yield Case(
        "full text on content whose column is renamed",
        _T + fts + rows,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, body TEXT, b INTEGER); CREATE VIRTUAL TABLE f USING"
        " fts5(body, content='t', content_rowid='id');",
        renames={"t.a": "body", "f.a": "body"},
        asked=((search, [(1,), (99,)]),),
    )
    yield Case(
        "full text on content that is renamed",
        _T + fts + rows,
        "CREATE TABLE u (id INTEGER PRIMARY KEY, a TEXT, b INTEGER); CREATE VIRTUAL TABLE f USING fts5(a,"
        " content='u', content_rowid='id');",
        renames={"t": "u"},
        asked=((search, [(1,), (99,)]),),
    )
    yield Case(
        "full text added beside a rebuild",
        _ROWS,
        "CREATE TABLE t (b TEXT, a TEXT, id INTEGER PRIMARY KEY); CREATE VIRTUAL TABLE own USING fts5(x);",
    )
    yield Case(
        "full text dropped as was said",
        _ROWS + "CREATE VIRTUAL TABLE f USING fts5(x); INSERT INTO f VALUES ('word');",
        _T,
        drop_tables=("f",),
    )
    yield Case(
        "full text with words dropped unasked",
        _ROWS + "CREATE VIRTUAL TABLE f USING fts5(x); INSERT INTO f VALUES ('word');",
        _T,
        refused=("f",),
    )
    contentless = "CREATE VIRTUAL TABLE f USING fts5(a, content='');"
    yield Case(
        "full text without content beside a rebuild",
        _ROWS + contentless + "INSERT INTO f (rowid, a) VALUES (1, 'apple'), (7, 'apple');",
        "CREATE TABLE t (b TEXT, a TEXT, id INTEGER PRIMARY KEY);" + contentless,
        asked=((search, [(1,), (7,)]),),
    )
    for options in ("prefix='2 3'", "tokenize='trigram'", "detail=none", "columnsize=0", "a UNINDEXED"):
        own = f"CREATE VIRTUAL TABLE f USING fts5(x, {options});"
        yield Case(
            f"full text with {options} beside a rebuild",
            _ROWS + own + "INSERT INTO f (x) VALUES ('red apple'), ('pear');",
            "CREATE TABLE t (b TEXT, a TEXT, id INTEGER PRIMARY KEY);" + own,
            asked=((search, [(1,)]),),
        )
    for module in ("fts4(x)", "fts3(x)", "fts4(x, tokenize=porter)"):
        own = f"CREATE VIRTUAL TABLE f USING {module};"
        yield Case(
            f"{module} beside a rebuild",
            _ROWS + own + "INSERT INTO f (x) VALUES ('red apple'), ('pear');",
            "CREATE TABLE t (b TEXT, a TEXT, id INTEGER PRIMARY KEY);" + own,
            asked=((search, [(1,)]),),
        )
    one_more = "CREATE VIRTUAL TABLE f USING fts5(x, y);"
    yield Case(
        "full text of its own that gets a column",
        "CREATE VIRTUAL TABLE f USING fts5(x); INSERT INTO f (rowid, x) VALUES (5, 'red apple');",
        one_more,
        asked=((search, [(5,)]),),
    )
    yield Case(
        "full text of its own that is renamed",
        _T + "CREATE VIRTUAL TABLE f USING fts5(x); INSERT INTO f (rowid, x) VALUES (5, 'red apple');",
        _T + "CREATE VIRTUAL TABLE words USING fts5(x);",
        renames={"f": "words"},
        asked=(("SELECT rowid, x FROM words WHERE words MATCH 'apple'", [(5, "red apple")]),),
    )
    yield Case(
        "an rtree beside a rebuild",
        _ROWS + "CREATE VIRTUAL TABLE r USING rtree(id, x0, x1); INSERT INTO r VALUES (1, 0, 5), (2, 8, 9);",
        "CREATE TABLE t (b TEXT, a TEXT, id INTEGER PRIMARY KEY); CREATE VIRTUAL TABLE r USING rtree(id, x0,"
        " x1);",
        asked=(("SELECT id FROM r WHERE x0 > 5", [(2,)]),),
    )
