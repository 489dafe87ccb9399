"""What changes of large tables cost, and what is told while they are at work."""

from __future__ import annotations

from pathlib import Path
from time import process_time

import pytest
from support.live_schema import plain_connect

from datalayer.engine.opening import open_engine
from datalayer.schema.migrator import migrate
from datalayer.schema.target import target_of

ROWS = 5_000
# a look at each pair of rows would take several seconds
MOST_S = 1.0

PARENT = "CREATE TABLE parent (id INTEGER PRIMARY KEY, code TEXT)"
CHILD = "CREATE TABLE child (id INTEGER PRIMARY KEY, code TEXT)"
REFERENCE = CHILD.replace("TEXT", "TEXT REFERENCES parent (code)")
KEYED = "CREATE TABLE kept (k INTEGER PRIMARY KEY, v TEXT) WITHOUT ROWID"
CASES = {
    "a key that becomes a text": ([KEYED], [KEYED.replace("INTEGER", "TEXT")]),
    "a key that is compared otherwise": (
        [KEYED.replace("INTEGER", "TEXT")],
        ["CREATE TABLE kept (k TEXT, v TEXT, PRIMARY KEY (k COLLATE NOCASE)) WITHOUT ROWID"],
    ),
    "rows that get numbers": ([KEYED], ["CREATE TABLE kept (k INTEGER UNIQUE, v TEXT)"]),
    "a reference to a key that is new": (
        [PARENT, CHILD],
        [PARENT.replace("TEXT", "TEXT UNIQUE"), REFERENCE],
    ),
    "a reference to an index that is new": (
        [PARENT, CHILD],
        [PARENT, "CREATE UNIQUE INDEX by_code ON parent (code)", REFERENCE],
    ),
    "a reference of two columns": (
        [PARENT, CHILD],
        [
            PARENT.replace("INTEGER PRIMARY KEY, code TEXT", "INTEGER, code TEXT, PRIMARY KEY (id, code)"),
            CHILD.replace("code TEXT", "code TEXT, FOREIGN KEY (id, code) REFERENCES parent"),
        ],
    ),
    "a key that its children are compared with otherwise": (
        [PARENT.replace("TEXT", "TEXT UNIQUE"), REFERENCE],
        [PARENT.replace("TEXT", "INTEGER UNIQUE"), REFERENCE.replace("TEXT", "INTEGER")],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_change_looks_each_row_up_by_a_key(tmp_path: Path, case: str) -> None:
    before, after = CASES[case]
    path, schema = tmp_path / "large.db", tmp_path / "wanted.sql"
    connection = plain_connect(str(path))
    connection.executescript(";".join([*before, "BEGIN"]))
    for table in [sql.split()[2] for sql in before]:
        connection.execute(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
            f" INSERT INTO {table} SELECT i, i FROM n",
            (ROWS,),
        )
    connection.execute("COMMIT")
    connection.close()
    schema.write_text(";\n".join(after))
    target = target_of(schema_file=schema)

    engine = open_engine(path)
    started = process_time()
    assert migrate(engine, target, plan=True).steps
    assert migrate(engine, target).steps
    spent_s = process_time() - started

    assert spent_s < MOST_S
    engine.close()
