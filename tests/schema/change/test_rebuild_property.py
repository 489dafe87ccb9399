"""Two random schemas and random rows: there and back, done where the rows fit, refused where they do not."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st
from support.live_schema import differing, live_tables, plain_connect, quoted
from support.naive_copy import CannotHold, naive_copy
from support.oracle import problems, whole
from support.random_schemas import VALUES, Schema, neighbours, renames, schemas, script
from support.rebuilding import run_migrate

_MANY = 1500


def _make(path: Path, schema: Schema, data: st.DataObject) -> None:
    connection = plain_connect(str(path))
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA journal_mode = WAL").fetchone()
    connection.executescript(script(schema))
    connection.execute("PRAGMA foreign_keys = ON")
    for name, table in live_tables(connection).items():
        if name == "log":
            continue
        marks = ", ".join("?" * len(table.columns))
        for row in data.draw(st.lists(st.tuples(*[VALUES] * len(table.columns)), max_size=5)):
            try:
                connection.execute(f"INSERT INTO {quoted(table.name)} VALUES ({marks})", row)
            except sqlite3.Error as exc:
                note(f"not inserted: {exc}")
    connection.close()


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
