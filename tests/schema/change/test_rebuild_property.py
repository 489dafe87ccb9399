"""Two random schemas and random rows: there and back, done where the rows fit, refused where they do not."""

from __future__ import annotations

import shutil
import sqlite3
import struct
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st
from support.live_schema import cells, differing, live_tables, plain_connect, quoted
from support.naive_copy import CannotHold, Renames, naive_copy
from support.oracle import problems, whole
from support.random_schemas import (
    LOG,
    VALUES,
    Schema,
    Table,
    added_sql,
    neighbours,
    renames,
    schemas,
    script,
    surroundings,
    table_sql,
)
from support.rebuilding import run_migrate
from support.sql_words import lower

# together they take long: processes, servers, many files
pytestmark = pytest.mark.slow

_MANY = 100


def _make(path: Path, schema: Schema, data: st.DataObject) -> None:
    """Make a database with random rows, some of them older than the last column of their table."""
    connection = plain_connect(str(path))
    connection.execute("PRAGMA journal_mode = WAL").fetchone()
    connection.execute("PRAGMA foreign_keys = ON")
    connection.executescript(LOG)
    for table in schema:
        is_older = len(table.columns) > 1 and data.draw(st.booleans())
        if not is_older or not _make_with_older_rows(connection, table, schema, data):
            connection.execute(table_sql(table, schema))
    for statement in surroundings(schema):
        try:
            connection.execute(statement)
        except sqlite3.Error as exc:
            note(f"not made: {exc}")
    for table in schema:
        _fill(connection, table.name, data)
    connection.close()


def _make_with_older_rows(
    connection: sqlite3.Connection, table: Table, schema: Schema, data: st.DataObject
) -> bool:
    """Make a table without its last column, fill it, add the column; say whether that can be done."""
    connection.execute(table_sql(replace(table, columns=table.columns[:-1]), schema))
    _fill(connection, table.name, data)
    try:
        connection.execute(added_sql(table, schema))
        # SQLite lets a STRICT table have a column whose default is of another type
        if connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]:
            return True
    except sqlite3.Error as exc:
        note(f"not added: {exc}")
    # with foreign keys on it would look for the rows of tables that are not made yet
    connection.execute("PRAGMA foreign_keys = OFF")
    connection.execute(f"DROP TABLE {quoted(table.name)}")
    connection.execute("PRAGMA foreign_keys = ON")
    return False


def _fill(connection: sqlite3.Connection, table: str, data: st.DataObject) -> None:
    count = len(connection.execute("SELECT 1 FROM pragma_table_info(?)", (table,)).fetchall())
    fewest = data.draw(st.sampled_from((4, 2, 0)))
    for row in data.draw(st.lists(st.tuples(*[VALUES] * count), min_size=fewest, max_size=6)):
        try:
            connection.execute(f"INSERT INTO {quoted(table)} VALUES ({', '.join('?' * count)})", row)
        except sqlite3.Error as exc:
            note(f"not inserted: {exc}")


def _check(path: Path, before: Schema, after: Schema) -> bool:
    """Migrate and judge; say whether it was done."""
    old = path.with_name("old.db")
    shutil.copyfile(path, old)
    declared = renames(before, after)
    note(f"from\n{script(before)}\nto\n{script(after)}\nwith {declared}")
    outcome = run_migrate(path, script(after), renames=declared, allow_data_loss=True)
    try:
        copy = naive_copy(str(old), script(after), renames=declared)
    except CannotHold as exc:
        assert outcome.code == 5, f"{exc}, yet {outcome}"
        assert differing(whole(str(old)), whole(str(path))) == []
        return False
    assert outcome.code == 0, outcome.said
    try:
        assert problems(str(path), copy) == []
    finally:
        copy.connection.close()
    assert run_migrate(path, script(after)).nothing_to_do
    return True


def _there_and_back(data: st.DataObject, *, is_near: bool) -> None:
    before = data.draw(schemas())
    after = data.draw(neighbours(before) if is_near else schemas())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "random.db"
        _make(path, before, data)
        if _check(path, before, after):
            _check(path, after, before)


def _losses(old: Path, new: Path, declared: dict[str, str]) -> list[str]:
    """Name what is in the old file and not in the new one: tables, columns, values; read by rowid."""
    before, after = plain_connect(str(old)), plain_connect(str(new))
    there, here = live_tables(before), live_tables(after)
    names = Renames.of(declared, there)
    targets = {names.old_table(name): table for name, table in here.items()}
    told: list[str] = []
    for name, table in there.items():
        target = targets.get(name)
        if target is None:
            told += [f"{name} had rows"] if cells(before, table, table.columns) else []
            continue
        sources = {names.old_column(name, column): column for column in target.columns}
        for column in table.columns:
            was = cells(before, table, [column], with_rowid=False)
            if lower(column) not in sources:
                told += (
                    [f"{name}.{column} had values"] if any(row[0] != ("null", None) for row in was) else []
                )
            elif table.rowid and target.rowid and bool(table.rowid_column) == bool(target.rowid_column):
                now = dict(cells(after, target, [sources[lower(column)]]))
                for rowid, value in cells(before, table, [column]):
                    told += [] if _is_kept(value, now[rowid]) else [f"{name}.{column}: {value}, {now[rowid]}"]
    before.close()
    after.close()
    return told


def _is_kept(old: Any, new: Any) -> bool:
    """Say whether the new form of a value tells what the old one was."""
    kinds = (old[0], new[0])
    if old == new or kinds[0] == "null":
        return True
    if "blob" in kinds or "null" in kinds:
        return False
    left, right = (struct.unpack(">d", value)[0] if kind == "real" else value for kind, value in (old, new))
    if kinds[0] == "text":
        ask = plain_connect(":memory:").execute
        return ask("SELECT CAST(? AS TEXT)", (right,)).fetchone()[0].encode() == left
    return (float(right) if isinstance(right, bytes) else right) == left


@given(st.data())
def test_without_a_word_of_consent_nothing_is_lost(data: st.DataObject) -> None:
    before = data.draw(schemas())
    after = data.draw(neighbours(before))
    declared = renames(before, after)
    with tempfile.TemporaryDirectory() as folder:
        path, old = Path(folder) / "random.db", Path(folder) / "old.db"
        _make(path, before, data)
        shutil.copyfile(path, old)
        note(f"from\n{script(before)}\nto\n{script(after)}\nwith {declared}")

        outcome = run_migrate(path, script(after), renames=declared)

        if outcome.code == 0:
            assert _losses(old, path, declared) == []
        else:
            assert outcome.code == 5, outcome.said
            assert differing(whole(str(old)), whole(str(path))) == []


@given(st.data())
def test_a_schema_is_changed_in_a_few_places_and_back(data: st.DataObject) -> None:
    _there_and_back(data, is_near=True)


@given(st.data())
def test_a_schema_is_changed_to_quite_another_and_back(data: st.DataObject) -> None:
    _there_and_back(data, is_near=False)


@pytest.mark.slow
@settings(max_examples=_MANY)
@given(st.data())
def test_many_schemas_are_changed_in_a_few_places_and_back(data: st.DataObject) -> None:
    _there_and_back(data, is_near=True)
