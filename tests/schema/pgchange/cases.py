"""Changes of a PostgreSQL schema with rows in it: change x construct, and what the rows are afterwards.

`before` is the schema as a file has it, or raw PostgreSQL where it begins with `PG:`; `rows` fill it.
`keep` maps a query's FROM and columns to the rows that it gives afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from datalayer.schema.change.consent import Consent

__all__ = ["CASES", "FEW", "Case"]


@dataclass(frozen=True)
class Case:
    name: str
    before: str
    rows: str
    after: str
    keep: dict[tuple[str, str], list[tuple[Any, ...]]] = field(default_factory=dict)
    consent: Consent = field(default_factory=Consent)
    exact: bool = True
    costs: frozenset[str] | None = None


T = "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, s TEXT{more});"
ROWS = "INSERT INTO t (id, n, s) VALUES (1, 10, 'a'), (2, 20, 'b'), (3, NULL, NULL);"
KEPT = {("t", "id, n, s"): [(1, 10, "a"), (2, 20, "b"), (3, None, None)]}


def table(more: str = "", then: str = "") -> str:
    return T.format(more=more) + then


def add(name: str, more: str, then: str = "", **given: Any) -> Case:
    keep = {**KEPT, **given.pop("keep", {})}
    return Case(name, table(), ROWS, table(more, then), keep=keep, **given)


def same(name: str, before: str, after: str, rows: str = ROWS, **given: Any) -> Case:
    keep = given.pop("keep", KEPT)
    return Case(name, before, rows, after, keep=keep, **given)


NOW = "strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z'"
PARENT = "CREATE TABLE p (id INTEGER PRIMARY KEY, u TEXT UNIQUE);"
PARENT_ROWS = "INSERT INTO p VALUES (10, 'x'), (20, 'y');"
VIEW = "CREATE VIEW v AS SELECT id, n FROM t WHERE n > 0;"
VIEWS = VIEW + "CREATE VIEW w AS SELECT id FROM v;"
TRIGGER = """CREATE TRIGGER guard BEFORE UPDATE OF n ON t FOR EACH ROW WHEN NEW.n < 0
BEGIN SELECT RAISE(ABORT, 'guard: n'); END;"""
TOUCH = """CREATE TRIGGER touch AFTER UPDATE ON t FOR EACH ROW
BEGIN UPDATE t SET x = 'fired' WHERE id = NEW.id; END;"""

COLUMNS = [
    add("a column is added", ", x TEXT", keep={("t", "id, x"): [(1, None), (2, None), (3, None)]}),
    add("a column with a default is added", ", x INTEGER NOT NULL DEFAULT 7",
        keep={("t", "id, x"): [(1, 7), (2, 7), (3, 7)]}, costs=frozenset({"free"})),
    add("a column with a time is added", f", x TEXT NOT NULL DEFAULT ({NOW}) CHECK (x GLOB "
        "'[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9]"
        ".[0-9][0-9][0-9][0-9][0-9][0-9]Z')"),
    add("a computed column is added", ", x INTEGER GENERATED ALWAYS AS (n * 2) STORED",
        keep={("t", "id, x"): [(1, 20), (2, 40), (3, None)]}),
    add("a column with a check is added", ", x INTEGER DEFAULT 1 CONSTRAINT x_small CHECK (x < 5)"),
    add("a column with a reference is added", ", x INTEGER REFERENCES t (id)"),
    add("a unique column is added", ", x TEXT CONSTRAINT x_unique UNIQUE"),
    add("a json column is added", ", x TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(x))",
        keep={("t", "id, x"): [(1, {}), (2, {}), (3, {})]}),
    same("an empty column is dropped", table(", x TEXT"), table()),
    same("a named column is dropped", table(", x TEXT DEFAULT 'v'"), table(),
         consent=Consent(drop_columns=frozenset({"t.x"}))),
    same("a column is dropped with data loss allowed", table(", x TEXT DEFAULT 'v'"), table(),
         consent=Consent(allow_data_loss=True)),
    same("an indexed column is dropped", table(", x TEXT", "CREATE INDEX tx ON t (x);"), table()),
    same("a column of a view is dropped", table(", x TEXT", "CREATE VIEW v AS SELECT id, x FROM t;"),
         table("", "CREATE VIEW v AS SELECT id FROM t;")),
    same("a column is renamed", table().replace(" s ", " old "), table(),
         rows=ROWS.replace(" s)", " old)"), consent=Consent(renames={"t.old": "s"})),
    same("a column that rules, indexes and views use is renamed",
         table(", CONSTRAINT c CHECK (old <> 'z'), CONSTRAINT u UNIQUE (old)",
               "CREATE INDEX i ON t (old) WHERE old > 'a'; CREATE VIEW v AS SELECT id, old FROM t;"
               ).replace(" s ", " old "),
         table(", CONSTRAINT c CHECK (s <> 'z'), CONSTRAINT u UNIQUE (s)",
               "CREATE INDEX i ON t (s) WHERE s > 'a'; CREATE VIEW v AS SELECT id, s FROM t;"),
         rows=ROWS.replace(" s)", " old)"), consent=Consent(renames={"t.old": "s"})),
    same("the columns come in another order", "CREATE TABLE t (s TEXT, n INTEGER, id INTEGER PRIMARY KEY);",
         table()),
    same("a table is renamed", table().replace("TABLE t ", "TABLE old "), table(),
         rows=ROWS.replace("INTO t", "INTO old"), consent=Consent(renames={"old": "t"})),
    same("a table that others refer to is renamed with a column",
         table().replace("TABLE t ", "TABLE old ").replace(" s ", " z ")
         + "CREATE TABLE c (id INTEGER PRIMARY KEY, t INTEGER CONSTRAINT f REFERENCES old (id));",
         table() + "CREATE TABLE c (id INTEGER PRIMARY KEY, t INTEGER CONSTRAINT f REFERENCES t (id));",
         rows=ROWS.replace("INTO t", "INTO old").replace(" s)", " z)") + "INSERT INTO c VALUES (1, 2);",
         consent=Consent(renames={"old": "t", "old.z": "s"})),
]  # fmt: skip

FACTS = [
    same("a default is added", table(), table().replace("n INTEGER", "n INTEGER DEFAULT 5")),
    same("a default is changed", table(", x TEXT DEFAULT 'a'"), table(", x TEXT DEFAULT 'b'")),
    same("a default is dropped", table(", x TEXT DEFAULT 'a'"), table(", x TEXT")),
    same("not null is set where no row has NULL", table(), table().replace("n INTEGER", "n INTEGER NOT NULL"),
         rows="INSERT INTO t VALUES (1, 10, 'a');", keep={("t", "id, n, s"): [(1, 10, "a")]}),
    same("not null fills rows with the default", table(),
         table().replace("n INTEGER, s TEXT", "n INTEGER NOT NULL DEFAULT 5, s TEXT NOT NULL DEFAULT 'd'"),
         keep={("t", "id, n, s"): [(1, 10, "a"), (2, 20, "b"), (3, 5, "d")]}),
    same("not null is dropped", table(", x TEXT NOT NULL DEFAULT 'a'"), table(", x TEXT DEFAULT 'a'"),
         costs=frozenset({"free"})),
    same("a computed column is computed otherwise", table(", x INTEGER GENERATED ALWAYS AS (n * 2) STORED"),
         table(", x INTEGER GENERATED ALWAYS AS (n * 3) STORED"),
         keep={**KEPT, ("t", "id, x"): [(1, 30), (2, 60), (3, None)]}),
    same("a computed column becomes plain", table(", x INTEGER GENERATED ALWAYS AS (n * 2) STORED"),
         table(", x INTEGER"), keep={**KEPT, ("t", "id, x"): [(1, 20), (2, 40), (3, None)]}),
    same("a plain column becomes computed", table(", x INTEGER"),
         table(", x INTEGER GENERATED ALWAYS AS (n * 2) STORED", "CREATE INDEX tx ON t (x);"),
         keep={**KEPT, ("t", "id, x"): [(1, 20), (2, 40), (3, None)]}),
    Case("a serial column numbers itself from then on",
         "PG:CREATE TABLE t (id serial PRIMARY KEY, s text COLLATE \"C\")",
         "INSERT INTO t (s) VALUES ('a'), ('b'); DELETE FROM t WHERE id = 2;",
         "CREATE TABLE t (id INTEGER PRIMARY KEY, s TEXT);", keep={("t", "id, s"): [(1, "a")]}),
    Case("a bigserial column numbers itself from then on",
         "PG:CREATE TABLE t (id bigserial PRIMARY KEY, s text COLLATE \"C\")",
         "INSERT INTO t (s) VALUES ('a'), ('b');",
         "CREATE TABLE t (id INTEGER PRIMARY KEY, s TEXT);", keep={("t", "id, s"): [(1, "a"), (2, "b")]}),
    *(Case(f"{old} keeps its step and its place", f"PG:CREATE TABLE t (id {old}, s text COLLATE \"C\")",
           f"ALTER SEQUENCE t_id_seq INCREMENT {step} MINVALUE -99 START 7 RESTART 7;"
           "INSERT INTO t (s) VALUES ('a'), ('b');",
           "CREATE TABLE t (id INTEGER PRIMARY KEY, s TEXT);",
           keep={("t", "id, s, (SELECT nextval(pg_get_serial_sequence('t', 'id')) WHERE s = 'b')"):
                 sorted([(7, "a", None), (7 + step, "b", 7 + 2 * step)])})
      for step in (10, -3)
      for old in ("bigserial PRIMARY KEY", "int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY")),
]  # fmt: skip

LONG = "l" * 63
TIGHT = [
    same("columns take each other's names in turn", table(),
         "CREATE TABLE t (id INTEGER PRIMARY KEY, s INTEGER, z TEXT);",
         keep={("t", "id, s, z"): [(1, 10, "a"), (2, 20, "b"), (3, None, None)]},
         consent=Consent(renames={"t.n": "s", "t.s": "z"})),
    Case("names as long as they can be",
         f"PG:CREATE TABLE {LONG} (id int PRIMARY KEY, {'k' * 60} int, {'k' * 60}\u00e9 text)",
         f"INSERT INTO {LONG} VALUES (1, 2, 'a');",
         f"CREATE TABLE {LONG} (id INTEGER PRIMARY KEY, {'k' * 60} INTEGER NOT NULL,"
         f" {'k' * 60}\u00e9 TEXT NOT NULL);",
         keep={(LONG, f"id, {'k' * 60}, {'k' * 60}\u00e9"): [(1, 2, "a")]}),
    same("another key than before, of columns that may be NULL", table().replace("n INTEGER", "n TEXT"),
         "CREATE TABLE t (id INTEGER, n TEXT NOT NULL, s TEXT NOT NULL, PRIMARY KEY (n, s));",
         rows="INSERT INTO t VALUES (1, '10', 'a');", keep={("t", "id, n, s"): [(1, "10", "a")]}),
    same("another key than before, of columns with another type", table(),
         "CREATE TABLE t (id INTEGER, n TEXT NOT NULL, s TEXT NOT NULL, PRIMARY KEY (n, s));",
         rows="INSERT INTO t VALUES (1, 10, 'a');", keep={("t", "id, n, s"): [(1, "10", "a")]}),
]  # fmt: skip

RULES = [
    add("a check is added", ", CONSTRAINT c CHECK (n > 5)"),
    add("a check without a name is added", ", CHECK (n > 5)"),
    same("a check is changed", table(", CONSTRAINT c CHECK (n > 5)"), table(", CONSTRAINT c CHECK (n > 6)")),
    same("a check is dropped", table(", CONSTRAINT c CHECK (n > 5)"), table(), costs=frozenset({"free"})),
    same("a check gets another name", table(", CONSTRAINT c CHECK (n > 5)"),
         table(", CONSTRAINT d CHECK (n > 5)"), costs=frozenset({"free"})),
    same("a default that the old check forbids fills rows", table(", CONSTRAINT c CHECK (n > 5)"),
         table(", CONSTRAINT c CHECK (n >= 0)").replace("n INTEGER", "n INTEGER NOT NULL DEFAULT 0"),
         keep={("t", "id, n"): [(1, 10), (2, 20), (3, 0)]}),
    add("a unique rule is added", ", CONSTRAINT u UNIQUE (n, s)"),
    same("a unique rule is dropped", table(", CONSTRAINT u UNIQUE (n)"), table()),
    same("a unique rule is on other columns", table(", CONSTRAINT u UNIQUE (n)"),
         table(", CONSTRAINT u UNIQUE (n, s)")),
    same("a reference is added", PARENT + table(),
         PARENT + table().replace("n INTEGER", "n INTEGER CONSTRAINT f REFERENCES p (id)"),
         rows=PARENT_ROWS + ROWS),
    same("a reference gets another action",
         PARENT + table().replace("n INTEGER", "n INTEGER CONSTRAINT f REFERENCES p (id)"),
         PARENT + table().replace("n INTEGER", "n INTEGER CONSTRAINT f REFERENCES p (id) ON DELETE CASCADE"),
         rows=PARENT_ROWS + ROWS),
    same("a reference is dropped",
         PARENT + table().replace("n INTEGER", "n INTEGER CONSTRAINT f REFERENCES p (id)"), PARENT + table(),
         rows=PARENT_ROWS + ROWS, costs=frozenset({"free"})),
    same("a reference to itself is added", table(),
         table().replace("n INTEGER", "n INTEGER CONSTRAINT f REFERENCES t (id) DEFERRABLE"),
         rows="INSERT INTO t VALUES (1, 1, 'a'), (2, 1, 'b');",
         keep={("t", "id, n"): [(1, 1), (2, 1)]}),
    same("a reference to a new table is added", table(),
         "CREATE TABLE q (id INTEGER PRIMARY KEY);"
         + table().replace("n INTEGER", "n INTEGER CONSTRAINT f REFERENCES q (id)"),
         rows="INSERT INTO t VALUES (1, NULL, 'a');", keep={("t", "id, n"): [(1, None)]}),
    same("references that go in a circle are added",
         "CREATE TABLE a (id INTEGER PRIMARY KEY, b INTEGER);"
         "CREATE TABLE b (id INTEGER PRIMARY KEY, a INTEGER);",
         "CREATE TABLE a (id INTEGER PRIMARY KEY, b INTEGER CONSTRAINT ab REFERENCES b (id));"
         "CREATE TABLE b (id INTEGER PRIMARY KEY, a INTEGER CONSTRAINT ba REFERENCES a (id));",
         rows="INSERT INTO a VALUES (1, 1); INSERT INTO b VALUES (1, 1);", keep={("a", "id, b"): [(1, 1)]}),
    same("the primary key is another column", "CREATE TABLE t (id TEXT PRIMARY KEY, k TEXT NOT NULL);",
         "CREATE TABLE t (id TEXT NOT NULL, k TEXT PRIMARY KEY NOT NULL);",
         rows="INSERT INTO t VALUES ('a', 'x'), ('b', 'y');",
         keep={("t", "id, k"): [("a", "x"), ("b", "y")]}),
    same("the primary key gets a second column, and a child refers to what was the key",
         "CREATE TABLE t (id TEXT PRIMARY KEY, k TEXT NOT NULL);"
         "CREATE TABLE c (t TEXT CONSTRAINT f REFERENCES t (id));",
         "CREATE TABLE t (id TEXT NOT NULL CONSTRAINT t_id UNIQUE, k TEXT NOT NULL, PRIMARY KEY (id, k));"
         "CREATE TABLE c (t TEXT CONSTRAINT f REFERENCES t (id));",
         rows="INSERT INTO t VALUES ('a', 'x'), ('b', 'y'); INSERT INTO c VALUES ('a');",
         keep={("t", "id, k"): [("a", "x"), ("b", "y")], ("c", "t"): [("a",)]}),
    Case("a rule that was never validated is validated",
         "PG:CREATE TABLE t (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, n bigint);"
         "ALTER TABLE t ADD CONSTRAINT c CHECK (n > 5) NOT VALID", "INSERT INTO t (id, n) VALUES (1, 10);",
         "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, CONSTRAINT c CHECK (n > 5));",
         keep={("t", "id, n"): [(1, 10)]}, costs=frozenset({"weak"})),
]  # fmt: skip

INDEXES = [
    add("an index is added", "", "CREATE INDEX i ON t (n DESC, s);", costs=frozenset({"weak", "free"})),
    add("a unique index is added", "", "CREATE UNIQUE INDEX i ON t (s) WHERE n > 0;"),
    add("an index on an expression is added", "", "CREATE INDEX i ON t (lower(s));"),
    same("an index is changed", table("", "CREATE INDEX i ON t (n);"),
         table("", "CREATE INDEX i ON t (s, n);")),
    same("an index is dropped", table("", "CREATE INDEX i ON t (n);"), table()),
    same("an index gets another name", table("", "CREATE INDEX i ON t (n);"),
         table("", "CREATE INDEX j ON t (n);"),
         costs=frozenset({"free"})),
    Case("an index of odd names is added", 'CREATE TABLE "select %s" (id INTEGER PRIMARY KEY, "a ""b" TEXT);',
         'INSERT INTO "select %s" VALUES (1, \'x\');',
         'CREATE TABLE "select %s" (id INTEGER PRIMARY KEY, "a ""b" TEXT);'
         'CREATE INDEX "in dex ON t" ON "select %s" ("a ""b" DESC);', keep={('"select %s"', "id"): [(1,)]}),
]  # fmt: skip

IDS = [(1,), (2,)]
PG_T = "PG:CREATE TABLE t (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, x {type});"


def retype(name: str, old: str, value: str, new: str, result: list[Any], **given: Any) -> Case:
    before = PG_T.format(type=old) + given.pop("extra_before", "")
    after = f"CREATE TABLE t (id INTEGER PRIMARY KEY, x {new});" + given.pop("extra_after", "")
    keep = {("t", "id, x"): [(place + 1, each) for place, each in enumerate(result)]}
    return Case(name, before, f"INSERT INTO t (x) VALUES {value};", after, keep=keep, **given)


JSON = "TEXT CHECK (json_valid(x))"
UTC = ("TEXT CHECK (x GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9]"
       ".[0-9][0-9][0-9][0-9][0-9][0-9]Z')")  # fmt: skip
BOOL = "INTEGER CHECK (x IN (0, 1))"

TYPES = [
    retype("varchar becomes text", 'varchar(20) COLLATE "C"', "('a'), (NULL)", "TEXT", ["a", None],
           costs=frozenset({"free"})),
    retype("varchar of another collation becomes text", "varchar(20)", "('a'), ('b')", "TEXT", ["a", "b"]),
    retype("an indexed column gets another collation", "text", "('a'), ('b')", "TEXT", ["a", "b"],
           extra_before="CREATE INDEX i ON t (x)", extra_after="CREATE INDEX i ON t (x);",
           costs=frozenset({"scan", "weak", "free"})),
    retype("numeric of one scale becomes numeric", "numeric(10, 2)", "(1.50)", "NUMERIC", [1.5],
           costs=frozenset({"free"})),
    retype("integer becomes bigint", "integer", "(1), (NULL)", "INTEGER", [1, None],
           costs=frozenset({"free", "weak"})),
    retype("bigint becomes text", "bigint", "(1), (-5)", "TEXT", ["1", "-5"]),
    retype("text becomes bigint", "text", "('12'), (NULL)", "INTEGER", [12, None]),
    retype("text becomes double precision", "text", "('1.5')", "REAL", [1.5]),
    retype("real becomes double precision", "real", "(0.5)", "REAL", [0.5]),
    retype("double precision becomes bigint", "double precision", "(3), (4)", "INTEGER", [3, 4]),
    retype("json becomes jsonb", "json", """('{"b": 1, "a": [1, 2]}')""", JSON, [{"a": [1, 2], "b": 1}]),
    retype("text becomes jsonb", "text", """('{"b": 1}'), (NULL)""", JSON, [{"b": 1}, None]),
    retype("jsonb becomes text", "jsonb", """('{"b": 1}')""", "TEXT", ['{"b": 1}']),
    retype("integer becomes boolean", "integer", "(0), (1), (NULL)", BOOL, [False, True, None]),
    retype("boolean becomes bigint", "boolean", "(true), (false)", "INTEGER", [1, 0]),
    retype("text becomes bytea", "text", "('é')", "BLOB", ["é".encode()]),
    retype("bytea becomes text", "bytea", "('\\xc3a9')", "TEXT", ["é"]),
    retype("uuid becomes text", "uuid", "('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11')", "TEXT",
           ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"]),
    Case("a time without zone becomes one with", PG_T.format(type="timestamp"),
         "INSERT INTO t (x) VALUES ('2026-01-02 03:04:05.6');",
         f"CREATE TABLE t (id INTEGER PRIMARY KEY, x {UTC});",
         keep={("t", "x::text"): [("2026-01-02 03:04:05.6+00",)]}, costs=frozenset({"free"})),
    Case("text becomes a time", PG_T.format(type="text"),
         "INSERT INTO t (x) VALUES ('2026-01-02T03:04:05.600000Z');",
         f"CREATE TABLE t (id INTEGER PRIMARY KEY, x {UTC});",
         keep={("t", "x::text"): [("2026-01-02 03:04:05.6+00",)]}),
    Case("a time becomes text", PG_T.format(type="timestamptz"),
         "INSERT INTO t (x) VALUES ('2026-01-02 03:04:05.6+00');",
         "CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT);",
         keep={("t", "x"): [("2026-01-02T03:04:05.600000Z",)]}),
    Case("a serial key of integer becomes one of bigint, with children",
         "PG:CREATE TABLE p (id serial PRIMARY KEY, s text COLLATE \"C\");"
         "CREATE TABLE t (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,"
         " p integer CONSTRAINT f REFERENCES p (id) ON DELETE CASCADE)",
         "INSERT INTO p (s) VALUES ('a'), ('b'); INSERT INTO t (p) VALUES (1), (2), (2);",
         "CREATE TABLE p (id INTEGER PRIMARY KEY, s TEXT);"
         "CREATE TABLE t (id INTEGER PRIMARY KEY,"
         " p INTEGER CONSTRAINT f REFERENCES p (id) ON DELETE CASCADE);",
         keep={("p", "id, s"): [(1, "a"), (2, "b")], ("t", "id, p"): [(1, 1), (2, 2), (3, 2)]}),
    Case("a column with everything on it gets another type",
         "PG:CREATE TABLE t (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, n integer NOT NULL"
         " DEFAULT 4 CONSTRAINT c CHECK (n > 0), s text COLLATE \"C\", CONSTRAINT u UNIQUE (n, s));"
         "CREATE INDEX i ON t (n DESC NULLS LAST) WHERE n > 5;"
         "CREATE VIEW v AS SELECT id, n FROM t WHERE n > 0;CREATE VIEW w AS SELECT id FROM v;"
         "CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;"
         "CREATE TRIGGER guard BEFORE UPDATE OF n ON t FOR EACH ROW EXECUTE FUNCTION guard()",
         "INSERT INTO t (id, n, s) VALUES (1, 10, 'a'), (2, 20, 'b');",
         "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER NOT NULL DEFAULT 4 CONSTRAINT c CHECK (n > 0),"
         " s TEXT, CONSTRAINT u UNIQUE (n, s)); CREATE INDEX i ON t (n DESC) WHERE n > 5;" + VIEWS + TRIGGER,
         keep={("t", "id, n, s"): [(1, 10, "a"), (2, 20, "b")], ("w", "id"): IDS}),
    Case("a column that a computed one reads gets another type",
         "PG:CREATE TABLE t (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, n integer,"
         " x bigint GENERATED ALWAYS AS (n * 2) STORED)", "INSERT INTO t (n) VALUES (10);",
         "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, x INTEGER GENERATED ALWAYS AS (n * 2) STORED);",
         keep={("t", "id, n, x"): [(1, 10, 20)]}),
    Case("a nullable column gets another type, not null and a default",
         PG_T.format(type="integer"), "INSERT INTO t (x) VALUES (1), (NULL);",
         "CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT NOT NULL DEFAULT 'none');",
         keep={("t", "id, x"): [(1, "1"), (2, "none")]}),
    Case("a key and what refers to it get another type",
         "PG:CREATE TABLE p (id text COLLATE \"C\" PRIMARY KEY, UNIQUE (id));"
         "CREATE TABLE t (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,"
         " p text COLLATE \"C\" CONSTRAINT f REFERENCES p (id))",
         "INSERT INTO p VALUES ('1'), ('2'); INSERT INTO t (p) VALUES ('2'), (NULL);",
         "CREATE TABLE p (id BIGINT PRIMARY KEY NOT NULL);"
         "CREATE TABLE t (id INTEGER PRIMARY KEY, p BIGINT CONSTRAINT f REFERENCES p (id));",
         keep={("p", "id"): IDS, ("t", "id, p"): [(1, 2), (2, None)]}),
    Case("a table and a column get other names and types at once",
         "PG:CREATE TABLE old (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, m integer NOT NULL);"
         "CREATE INDEX i ON old (m); CREATE VIEW v AS SELECT id, m AS n FROM old WHERE m > 0",
         "INSERT INTO old (m) VALUES (1), (2);",
         "CREATE TABLE t (id INTEGER PRIMARY KEY, n TEXT NOT NULL); CREATE INDEX i ON t (n);"
         "CREATE VIEW v AS SELECT id, n FROM t WHERE n > '0';",
         keep={("t", "id, n"): [(1, "1"), (2, "2")], ("v", "id"): IDS},
         consent=Consent(renames={"old": "t", "old.m": "n"})),
    Case("two columns of one table get other types, one index has both",
         "PG:CREATE TABLE t (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, a integer, b integer"
         " NOT NULL DEFAULT 3, UNIQUE (a, b)); CREATE INDEX i ON t (b, a)",
         "INSERT INTO t (a, b) VALUES (1, 2), (NULL, 4);",
         "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b REAL NOT NULL DEFAULT 3, UNIQUE (a, b));"
         "CREATE INDEX i ON t (b, a);", keep={("t", "id, a, b"): [(1, "1", 2.0), (2, None, 4.0)]}),
    Case("a column gets another collation and its check another name",
         "PG:CREATE TABLE t (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, x text"
         " CONSTRAINT c CHECK (x <> ''))", "INSERT INTO t (x) VALUES ('a');",
         "CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT CONSTRAINT d CHECK (x <> ''));",
         keep={("t", "id, x"): [(1, "a")]}),
    Case("a column of an odd name gets another type and an odd default",
         'PG:CREATE TABLE "select %s" (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,'
         ' "a \'b""$body$" integer)', 'INSERT INTO "select %s" ("a \'b""$body$") VALUES (1), (NULL);',
         'CREATE TABLE "select %s" (id INTEGER PRIMARY KEY,'
         ' "a \'b""$body$" TEXT NOT NULL DEFAULT \'$body$ %s\');',
         keep={('"select %s"', "id, \"a 'b\"\"$body$\""): [(1, "1"), (2, "$body$ %s")]}),
    Case("values that a type loses are changed when that is allowed", PG_T.format(type="double precision"),
         "INSERT INTO t (x) VALUES (1.5);", "CREATE TABLE t (id INTEGER PRIMARY KEY, x INTEGER);",
         keep={("t", "id, x"): [(1, 2)]}, consent=Consent(allow_data_loss=True)),
]  # fmt: skip

OBJECTS = [
    same("a table is added", table(), table() + PARENT + "CREATE INDEX pi ON p (u);"),
    same("a table that refers to a table with rows is added", table(),
         table() + "CREATE TABLE c (id INTEGER PRIMARY KEY, t INTEGER CONSTRAINT f REFERENCES t (id));"),
    same("an empty table is dropped", table() + PARENT, table()),
    same("a named table is dropped", table() + PARENT, table(), rows=ROWS + PARENT_ROWS,
         consent=Consent(drop_tables=frozenset({"p"}))),
    same("tables that refer to each other are dropped",
         table() + PARENT + "CREATE TABLE c (p INTEGER REFERENCES p (id));", table(), rows=ROWS + PARENT_ROWS,
         consent=Consent(allow_data_loss=True)),
    same("an empty table is changed in every way",
         table() + "CREATE TABLE e (id INTEGER PRIMARY KEY, a INTEGER, b TEXT, CONSTRAINT u UNIQUE (b));",
         table() + "CREATE TABLE e (id TEXT PRIMARY KEY, a TEXT NOT NULL, c TEXT,"
         " d INTEGER GENERATED ALWAYS AS (length(a)) STORED, CONSTRAINT u UNIQUE (c),"
         " CONSTRAINT k CHECK (a <> ''));"
         "CREATE INDEX ei ON e (a);"),
    same("a view is added", table(), table("", VIEWS)),
    same("a view is changed under another", table("", VIEWS),
         table("", VIEWS.replace("n > 0", "n > 1")), keep={**KEPT, ("w", "id"): IDS}),
    same("a view is dropped", table("", VIEWS), table()),
    same("a trigger is added", table(), table("", TRIGGER)),
    same("a trigger is changed", table("", TRIGGER), table("", TRIGGER.replace("< 0", "< 1"))),
    same("a trigger does something else", table("", TRIGGER),
         table("", TRIGGER.replace("guard: n", "guard: m"))),
    same("a trigger is dropped with its function", table("", TRIGGER), table()),
    same("triggers do not fire while rows are filled",
         table(", x TEXT", TOUCH),
         table(", x TEXT", TOUCH).replace("n INTEGER", "n INTEGER NOT NULL DEFAULT 0"),
         keep={("t", "id, n, x"): [(1, 10, None), (2, 20, None), (3, 0, None)]}),
    same("tables of other programs stay", table() + PARENT, table(", x TEXT"), rows=ROWS + PARENT_ROWS,
         exact=False, keep={**KEPT, ("p", "id, u"): [(10, "x"), (20, "y")]}),
]  # fmt: skip

TURNED = [
    same("an index becomes a rule of the same name", table("", "CREATE UNIQUE INDEX u ON t (s);"),
         table(", CONSTRAINT u UNIQUE (s)")),
    same("a rule becomes an index of the same name", table(", CONSTRAINT u UNIQUE (s)"),
         table("", "CREATE UNIQUE INDEX u ON t (s);")),
    same("a check becomes a unique rule of the same name", table(", CONSTRAINT u CHECK (n > 0)"),
         table(", CONSTRAINT u UNIQUE (n)")),
    same("a reference becomes a unique rule of the same name",
         PARENT + table().replace("n INTEGER", "n INTEGER CONSTRAINT f REFERENCES p (id)"),
         PARENT + table(", CONSTRAINT f UNIQUE (n)"), rows=PARENT_ROWS + ROWS),
    same("a reference becomes a check of the same name",
         PARENT + table().replace("n INTEGER", "n INTEGER CONSTRAINT f REFERENCES p (id)"),
         PARENT + table(", CONSTRAINT f CHECK (n > 0)"), rows=PARENT_ROWS + ROWS),
    same("a table becomes a view", table() + "CREATE TABLE v (id INTEGER);", table("", VIEW)),
    same("a view that others read becomes a table", table("", VIEWS),
         table() + "CREATE TABLE v (id INTEGER); CREATE VIEW w AS SELECT id FROM v;"),
    same("the column of the primary key is dropped",
         "CREATE TABLE t (id INTEGER PRIMARY KEY, s TEXT NOT NULL);",
         "CREATE TABLE t (s TEXT PRIMARY KEY NOT NULL);", rows="INSERT INTO t VALUES (1, 'a'), (2, 'b');",
         consent=Consent(allow_data_loss=True), keep={("t", "s"): [("a",), ("b",)]}),
    same("rows get a number", "CREATE TABLE t (s TEXT);", "CREATE TABLE t (id INTEGER PRIMARY KEY, s TEXT);",
         rows="INSERT INTO t VALUES ('a'), ('b');", keep={("t", "s, id"): [("a", 1), ("b", 2)]}),
    same("a column that a computed one reads is renamed",
         table(", x INTEGER GENERATED ALWAYS AS (m + 1) STORED").replace(" n ", " m "),
         table(", x INTEGER GENERATED ALWAYS AS (n + 1) STORED"), rows=ROWS.replace(" n,", " m,"),
         consent=Consent(renames={"t.m": "n"}), keep={**KEPT, ("t", "id, x"): [(1, 11), (2, 21), (3, None)]}),
]  # fmt: skip

CASES = [*COLUMNS, *FACTS, *TIGHT, *RULES, *INDEXES, *TYPES, *OBJECTS, *TURNED]

# one of each way of doing things: the others are run with the slow tests
FEW = (
    "a column with a time is added",
    "a check is added",
    "a reference is added",
    "a unique rule is on other columns",
    "not null fills rows with the default",
    "a column that rules, indexes and views use is renamed",
    "a column with everything on it gets another type",
    "a serial key of integer becomes one of bigint, with children",
    "an indexed column gets another collation",
    "an empty table is changed in every way",
    "a trigger does something else",
)
