"""Changes of one table crossed with what may stand on it, in it and around it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from support.rebuild_case import Case

_OLD = {"t": "t", "a": "a", "b": "b"}


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of the table: its columns (a template), its names, and what the user says to it."""

    name: str
    columns: str
    names: Mapping[str, str] = field(default_factory=lambda: dict(_OLD))
    renames: Mapping[str, str] = field(default_factory=dict[str, str])
    drop_columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Construct:
    """What surrounds the table.

    `key` declares its id, `body` stands behind its columns, `tail` and `around` behind the table.
    """

    name: str
    around: str = ""
    key: str = "id INTEGER PRIMARY KEY"
    body: str = ""
    tail: str = ""
    fill: tuple[str, ...] = ()
    setup: str = ""
    journal: str = "wal"
    not_with: tuple[str, ...] = ()


CHANGES = (
    Change("columns reordered", "{b} INTEGER DEFAULT 5, old TEXT, {key}, {a} TEXT"),
    Change("a column dropped", "{key}, {a} TEXT, {b} INTEGER DEFAULT 5", drop_columns=("t.old",)),
    Change(
        "a column in the middle", "{key}, {a} TEXT, mid TEXT DEFAULT 'm', {b} INTEGER DEFAULT 5, old TEXT"
    ),
    Change("a type changed", "{key}, {a} TEXT, {b} TEXT DEFAULT 5, old TEXT"),
    Change("a column made NOT NULL", "{key}, {a} TEXT, {b} INTEGER NOT NULL DEFAULT 5, old TEXT"),
    Change("a CHECK added", "{key}, {a} TEXT, {b} INTEGER DEFAULT 5 CHECK ({b} < 1000), old TEXT"),
    Change("a collation changed", "{key}, {a} TEXT COLLATE NOCASE, {b} INTEGER DEFAULT 5, old TEXT"),
    Change("a UNIQUE added", "{key}, {a} TEXT UNIQUE, {b} INTEGER DEFAULT 5, old TEXT"),
    Change(
        "a column renamed",
        "{key}, {a} TEXT, {b} INTEGER DEFAULT 5, old TEXT",
        names={"t": "t", "a": '"a new"', "b": "b"},
        renames={"t.a": "a new"},
    ),
    Change(
        "the table renamed",
        "{key}, {a} TEXT, {b} INTEGER DEFAULT 5, old TEXT",
        names={"t": '"t 2"', "a": "a", "b": "b"},
        renames={"t": "t 2"},
    ),
    Change(
        "everything renamed and rebuilt",
        "{key}, old TEXT, {b} TEXT DEFAULT 5, {a} TEXT COLLATE NOCASE",
        names={"t": '"order"', "a": "b", "b": "a"},
        renames={"t": "order", "t.a": "b", "t.b": "a"},
    ),
)

_RENAMING = ("a column renamed", "the table renamed", "everything renamed and rebuilt")
_LOG = "CREATE TABLE log (n INTEGER PRIMARY KEY, what TEXT);\n"
_ROWS = (
    "INSERT INTO t (id, a, b, old) VALUES (1, 'x', 10, NULL), (3, 'Y y', NULL, 'o'), (10, NULL, 20, 'text'), "
    "(-7, 'z''z', 30, x'00ff')"
)

_TEMPORARIES = (
    "_new_t",
    "t_old",
    "__tmp",
    "sqlitex_t",
    "datalayer_tmp_t",
    "datalayer_new_t",
    "datalayer_aside_0",
    "t_new",
)

CONSTRUCTS = (
    Construct("nothing else"),
    Construct(
        "triggers on the table",
        _LOG
        + """CREATE TRIGGER t_insert AFTER INSERT ON {t} BEGIN
  INSERT INTO log (what) VALUES ('i' || new.{a}); END;
CREATE TRIGGER t_insert_2 AFTER INSERT ON {t} BEGIN INSERT INTO log (what) VALUES ('second'); END;
CREATE TRIGGER t_update BEFORE UPDATE OF {a}, {b} ON {t} WHEN new.{b} IS NOT old.{b} BEGIN
  INSERT INTO log (what) SELECT 'u' || count(*) || coalesce(old.{a}, '-') FROM {t}; END;
CREATE TRIGGER t_delete AFTER DELETE ON {t} BEGIN
  INSERT INTO log (what) VALUES (CASE WHEN old.{b} THEN 'd' ELSE 'e' END || old.id); END;
""",
        fill=("INSERT INTO log (what) VALUES ('before')",),
    ),
    Construct(
        "a trigger elsewhere that writes to it",
        _LOG
        + """CREATE TABLE other (x TEXT);
CREATE TRIGGER other_insert AFTER INSERT ON other BEGIN
  INSERT INTO {t} ({a}, {b}) VALUES (new.x, 7); UPDATE {t} SET {b} = {b} + 1 WHERE {a} = new.x;
  INSERT INTO log (what) SELECT {a} FROM {t} WHERE {b} > 1; END;
""",
        fill=("DELETE FROM log",),
    ),
    Construct(
        "a trigger elsewhere that deletes from it",
        _LOG
        + """CREATE TABLE other (x TEXT);
CREATE TRIGGER other_gone AFTER DELETE ON other WHEN EXISTS (SELECT 1 FROM {t} WHERE {a} = old.x) BEGIN
  DELETE FROM {t} WHERE {a} = old.x; INSERT INTO log (what) VALUES ('gone'); END;
CREATE TRIGGER log_full BEFORE INSERT ON log WHEN (SELECT max({b}) FROM {t}) > 1000 BEGIN
  SELECT RAISE(ABORT, 'full'); END;
""",
        fill=("INSERT INTO other VALUES ('x'), ('none')",),
    ),
    Construct(
        "a view that takes writes",
        _LOG
        + """CREATE VIEW seen AS SELECT id, {a} AS shown, {b} FROM {t} WHERE id > 0;
CREATE TRIGGER seen_insert INSTEAD OF INSERT ON seen BEGIN INSERT INTO {t} ({a}) VALUES (new.shown); END;
CREATE TRIGGER seen_delete INSTEAD OF DELETE ON seen BEGIN INSERT INTO log (what) VALUES (old.shown); END;
""",
    ),
    Construct(
        "views on views",
        """CREATE VIEW one AS SELECT {a} AS v, {b} AS w FROM {t};
CREATE VIEW two AS SELECT v, count(*) AS n FROM one GROUP BY v;
CREATE VIEW three (n) AS WITH q AS (SELECT n FROM two) SELECT q.n FROM q JOIN {t} ON q.n = {t}.id;
""",
    ),
    Construct(
        "all kinds of indexes",
        """CREATE INDEX t_plain ON {t} ({b}, {a});
CREATE INDEX t_desc ON {t} ({b} DESC, {a} COLLATE NOCASE);
CREATE INDEX t_part ON {t} ({a}) WHERE {b} > 5 AND {a} IS NOT NULL;
CREATE INDEX t_expression ON {t} (lower({a}), {b} + 1);
CREATE UNIQUE INDEX t_unique ON {t} ({a}, id);
CREATE UNIQUE INDEX "t odd, (one)" ON {t} (abs({b})) WHERE {b} IS NOT NULL;
""",
    ),
    Construct(
        "indexes with statistics",
        "CREATE INDEX t_plain ON {t} ({b}, {a});\nCREATE INDEX t_a ON {t} ({a});\nCREATE TABLE far (x"
        " UNIQUE);\n",
        fill=("INSERT INTO far VALUES (1), (2)", "ANALYZE"),
    ),
    *(
        Construct(
            f"children ON DELETE {action}",
            "CREATE TABLE child (id INTEGER PRIMARY KEY, t_id INTEGER DEFAULT 1 REFERENCES {t} (id) "
            f"ON DELETE {action} ON UPDATE {action}, t_id_2 REFERENCES {{t}});\n",
            fill=("INSERT INTO child VALUES (1, 1, NULL), (2, 3, NULL), (3, 10, NULL), (4, NULL, -7)",),
        )
        for action in ("CASCADE", "RESTRICT", "SET NULL", "SET DEFAULT")
    ),
    Construct(
        "children of a child that cascade",
        """CREATE TABLE child (id INTEGER PRIMARY KEY, t_id REFERENCES {t} ON DELETE CASCADE);
CREATE TABLE grandchild (id INTEGER PRIMARY KEY,
  c REFERENCES child ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED);
""",
        fill=("INSERT INTO child VALUES (1, 1), (2, 3)", "INSERT INTO grandchild VALUES (1, 1), (2, 2)"),
    ),
    Construct(
        "a reference to itself",
        body=", up INTEGER REFERENCES {t} (id) ON DELETE CASCADE",
        fill=(
            "UPDATE t SET up = 10 WHERE id = 1",
            "UPDATE t SET up = 1 WHERE id = 3",
            "UPDATE t SET up = 10 WHERE id = 10",
        ),
    ),
    Construct(
        "a circle of references",
        "CREATE TABLE mate (id INTEGER PRIMARY KEY, t_id NOT NULL REFERENCES {t} ON DELETE RESTRICT);\n",
        body=", mate INTEGER REFERENCES mate (id) ON DELETE CASCADE",
        fill=(
            "INSERT INTO mate VALUES (5, 1), (6, 3)",
            "UPDATE t SET mate = 6 WHERE id = 1",
            "UPDATE t SET mate = 5 WHERE id = 3",
        ),
    ),
    Construct(
        "a reference to another table",
        "CREATE TABLE parent (p TEXT PRIMARY KEY, q UNIQUE);\n",
        body=", p TEXT REFERENCES parent (p) ON UPDATE CASCADE",
        fill=("INSERT INTO parent VALUES ('a', 1), ('b', 2)", "UPDATE t SET p = 'b' WHERE id > 1"),
    ),
    Construct(
        "numbers that never come again",
        key="id INTEGER PRIMARY KEY AUTOINCREMENT",
        fill=("INSERT INTO t (id) VALUES (5000)", "DELETE FROM t WHERE id = 5000"),
    ),
    Construct(
        "a generated column with an index",
        "CREATE INDEX t_g ON {t} (g);\nCREATE INDEX t_h ON {t} (h) WHERE g IS NOT NULL;\n",
        body=", g TEXT GENERATED ALWAYS AS ({a} || '!') VIRTUAL, h INTEGER AS ({b} * 2) STORED",
    ),
    Construct(
        "a full-text index on its content",
        """CREATE VIRTUAL TABLE docs USING fts5({a}, content='{t}', content_rowid='id');
CREATE TRIGGER docs_insert AFTER INSERT ON {t} BEGIN
  INSERT INTO docs (rowid, {a}) VALUES (new.id, new.{a}); END;
CREATE TRIGGER docs_delete AFTER DELETE ON {t} BEGIN
  INSERT INTO docs (docs, rowid, {a}) VALUES ('delete', old.id, old.{a}); END;
""",
        fill=("INSERT INTO docs (docs) VALUES ('rebuild')",),
        not_with=_RENAMING,
    ),
    Construct(
        "a full-text index of its own",
        """CREATE VIRTUAL TABLE notes USING fts5(body, tokenize = "porter unicode61");
CREATE TRIGGER notes_insert AFTER INSERT ON {t} BEGIN
  INSERT INTO notes (rowid, body) VALUES (new.id, new.{a}); END;
""",
        fill=("INSERT INTO notes (rowid, body) VALUES (500, 'only here')",),
    ),
    Construct(
        "an rtree beside it",
        """CREATE VIRTUAL TABLE boxes USING rtree(id, x0, x1);
CREATE TRIGGER boxes_delete AFTER DELETE ON {t} BEGIN DELETE FROM boxes WHERE id = old.id; END;
""",
        fill=("INSERT INTO boxes SELECT id, coalesce(b, 0), coalesce(b, 0) + 1 FROM t",),
    ),
    Construct("rowids of its own", key="id INTEGER", fill=("UPDATE t SET rowid = rowid * 1000 - 2500",)),
    Construct("no rowid", key="id INTEGER NOT NULL PRIMARY KEY", tail=" WITHOUT ROWID"),
    Construct(
        "columns called like the rowid",
        body=", rowid TEXT, oid INTEGER, _rowid_ TEXT",
        fill=("UPDATE t SET rowid = 'r' || id, oid = id * 2",),
    ),
    Construct(
        "comments everywhere",
        "-- about the table, (with a comma\nCREATE INDEX t_plain /* one */ ON {t} ( -- two\n {b}); --"
        " three\n",
        body=" -- the last column, it's (odd\n /* , ghost TEXT */ , seen TEXT -- CHECK (0)\n",
    ),
    Construct(
        "literals that look like SQL",
        body=(
            ", note TEXT DEFAULT 'a, (b) -- c\n''d'' /* \"x\" */' CHECK (note <> '); DROP TABLE t; --'), "
            "[check] TEXT DEFAULT ') , (' CHECK ([check] NOT IN (',', '('))"
        ),
    ),
    Construct(
        "a file in UTF-16",
        setup="PRAGMA encoding = 'UTF-16le'",
        fill=("UPDATE t SET a = 'zß水🍌' WHERE id = 1",),
    ),
    Construct("a file that vacuums itself", setup="PRAGMA auto_vacuum = FULL;PRAGMA page_size = 1024"),
    Construct("a file with a rollback journal", journal="delete"),
    Construct(
        "names that look like temporaries",
        "".join(f"CREATE TABLE {name} (x);\n" for name in _TEMPORARIES)
        + "CREATE VIEW datalayer_t AS SELECT * FROM t_new;\nCREATE INDEX temp_t ON {t} ({a});\n",
        fill=tuple(f"INSERT INTO {name} VALUES (1)" for name in _TEMPORARIES),
    ),
)


def _table(construct: Construct, columns: str, names: Mapping[str, str]) -> str:
    filled = columns.replace("{key}", construct.key) + construct.body
    return _named(f"CREATE TABLE {{t}} ({filled}){construct.tail};\n{construct.around}", names)


def _named(text: str, names: Mapping[str, str]) -> str:
    for mark, name in names.items():
        text = text.replace(f"{{{mark}}}", name)
    return text


def _cross(change: Change, construct: Construct, *, is_slow: bool) -> Case:
    before = _table(construct, "{key}, {a} TEXT, {b} INTEGER DEFAULT 5, old TEXT", _OLD)
    fill = (_ROWS, *construct.fill)
    can_return = not change.renames and not change.drop_columns and "NOT NULL" not in change.name
    return Case(
        f"{change.name}, {construct.name}",
        before,
        _table(construct, change.columns, change.names),
        renames=change.renames,
        drop_columns=change.drop_columns,
        fill=tuple((statement, ()) for statement in fill),
        setup=construct.setup,
        journal=construct.journal,
        is_slow=is_slow,
        back={} if can_return and construct.name in ("nothing else", "a circle of references") else None,
    )


def cases() -> Iterator[Case]:
    for row, construct in enumerate(CONSTRUCTS):
        for column, change in enumerate(CHANGES):
            if change.name not in construct.not_with:
                # each construct and each change is in the fast run, not each pair
                yield _cross(change, construct, is_slow=bool((row + column) % 4))
