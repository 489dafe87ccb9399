"""What stands in sqlite_schema and no statement wrote: SQLite goes on with it, the doctor tells it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from datalayer.errors import DatabaseCorrupt, DataLayerError
from datalayer.schema.check import check_file
from datalayer.schema.repair.repairing import repair
from datalayer.schema.snapshot import read
from datalayer.store import connect

SCHEMA = """
CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT);
CREATE INDEX t_a ON t (a);
CREATE VIEW v AS SELECT * FROM t;
CREATE TRIGGER g AFTER INSERT ON t BEGIN SELECT 1; END;
INSERT INTO t VALUES (1, 'x');
"""
COLUMNS = ("type", "name", "tbl_name", "sql")
OBJECTS = ("t", "t_a", "v", "g")


def spoiled(path: Path, statement: str) -> Path:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(SCHEMA)
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(statement)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("name", OBJECTS)
@pytest.mark.parametrize("value", ["CAST({} AS BLOB)", "CAST(x'ff80' AS TEXT)", "x'ff80'", "17"])
def test_a_schema_row_that_holds_no_text_is_a_finding(
    column: str, name: str, value: str, tmp_path: Path
) -> None:
    value = value.format(column)
    path = spoiled(tmp_path / "a.db", f"UPDATE sqlite_schema SET {column} = {value} WHERE name = '{name}'")

    findings = check_file(path, with_schema=False)

    assert ("DL-C013", "error") in {(one.id, one.severity) for one in findings}


@pytest.mark.parametrize("column", COLUMNS)
def test_the_finding_says_which_value_is_no_text(column: str, tmp_path: Path) -> None:
    path = spoiled(tmp_path / "a.db", f"UPDATE sqlite_schema SET {column} = CAST({column} AS BLOB)")

    messages = [one.message for one in check_file(path, with_schema=False) if one.id == "DL-C013"]

    assert [f"{column} in row 1 of sqlite_schema is a blob" in message for message in messages] == [True]


def test_a_statement_with_bytes_that_are_no_text_is_a_finding(tmp_path: Path) -> None:
    statement = "UPDATE sqlite_schema SET sql = CAST(replace(sql, 'a TEXT', 'a TEXT' || x'ff') AS TEXT)"
    path = spoiled(tmp_path / "a.db", f"{statement} WHERE name = 't'")

    assert "DL-C013" in {one.id for one in check_file(path, with_schema=False)}


@pytest.mark.slow
@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("name", OBJECTS)
def test_who_reads_such_a_schema_is_told_that_the_database_is_damaged(
    column: str, name: str, tmp_path: Path
) -> None:
    statement = f"UPDATE sqlite_schema SET {column} = CAST({column} AS BLOB) WHERE name = '{name}'"
    path = spoiled(tmp_path / "a.db", statement)

    with closing(sqlite3.connect(path)) as connection, pytest.raises(DatabaseCorrupt, match="is a blob"):
        read(connection)
    with connect(path) as store:
        for work in (store.migrate, store.backup):
            with pytest.raises(DataLayerError, match="sqlite_schema is a blob"):
                work()
        assert "DL-C013" in {one.id for one in store.check()}


@pytest.mark.slow
@pytest.mark.parametrize("column", COLUMNS)
def test_such_a_schema_is_repaired_and_no_row_is_lost(column: str, tmp_path: Path) -> None:
    path = spoiled(tmp_path / "a.db", f"UPDATE sqlite_schema SET {column} = CAST({column} AS BLOB)")

    repair(path, yes=True)

    assert check_file(path, with_schema=False) == []
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT * FROM t").fetchall() == [(1, "x")]
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema")}
    assert names == {*OBJECTS}


def test_the_text_factory_of_a_connection_stays_its_own(tmp_path: Path) -> None:
    path = spoiled(tmp_path / "a.db", "UPDATE sqlite_schema SET name = x'ff' WHERE name = 't'")

    with closing(sqlite3.connect(path)) as connection:
        with pytest.raises(DatabaseCorrupt):
            read(connection)
        assert connection.text_factory is str
