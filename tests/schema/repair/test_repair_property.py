"""Whatever rows are made of and whatever objects go: one repair cures it, and a second finds nothing."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from contextlib import closing, suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.damaged import DAMAGES, damage, digests, expectation, make, problems, rows

from datalayer.schema.repair.repairing import repair, undo

VALUES = st.sampled_from(
    (
        "NULL",
        "-1",
        "777",
        "4",
        "''",
        "'note 3'",
        "x'00ff'",
        "CAST(x'41ff' AS TEXT)",
        "1.5",
        "'{\"b\": []}'",
        "'12'",
    )
)
COLUMNS = {
    "owners": ("id", "name", "email"),
    "notes": ("id", "owner_id", "editor_id", "title", "stars", "extra"),
    "tags": ("note_id", "word"),
    "measures": ("amount", "unit"),
}
CELLS = st.sampled_from([(table, column) for table, columns in COLUMNS.items() for column in columns])


@st.composite
def changes(draw: st.DrawFn) -> str:
    """A statement that makes rows wrong, in the words of a schema that forbids nothing."""
    table, column = draw(CELLS)
    where = f"WHERE abs(random()) % {draw(st.integers(2, 40))} = 0"
    if draw(st.booleans()):
        return f"UPDATE OR IGNORE {table} SET {column} = {draw(VALUES)} {where}"
    return f"DELETE FROM {table} {where}"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("template") / "app.db", notes=80)


@pytest.mark.slow
@settings(max_examples=25)
@given(
    kinds=st.lists(st.sampled_from(sorted(DAMAGES)), max_size=4, unique=True),
    statements=st.lists(changes(), max_size=4),
)
def test_random_damage_is_cured_once_and_for_all(
    template: Path, kinds: list[str], statements: list[str]
) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        path = Path(shutil.copy(template, folder / "app.db"))
        _forbid_nothing(path, statements)
        for kind in kinds:
            # some kinds leave nothing for others to damage
            with suppress(sqlite3.Error, ValueError):
                DAMAGES[kind](path)
        before, count = digests(path), rows(path, "SELECT count(*) FROM notes")

        report = repair(path, expectation(folder), yes=True)

        assert report.left == ()
        assert problems(path) == []
        again = repair(path, expectation(folder))
        assert again.nothing_to_do and again.left == ()
        [(moved,)] = _moved(path)
        assert rows(path, "SELECT count(*) FROM notes")[0][0] + moved >= count[0][0]
        if report.evidence is not None:
            undo(path)
        assert digests(path) == before


def _forbid_nothing(path: Path, statements: list[str]) -> None:
    """Run statements while the tables are said to have no rules, then say again that they have."""
    with closing(sqlite3.connect(path)) as connection:
        texts = connection.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'table'").fetchall()
    plain = {
        "notes": "CREATE TABLE notes (id INTEGER PRIMARY KEY, owner_id, editor_id, title, stars, extra)",
        "measures": "CREATE TABLE measures (id INTEGER PRIMARY KEY, amount, unit)",
    }
    damage(
        path,
        "DROP TRIGGER notes_gone",
        *(f"UPDATE sqlite_schema SET sql = '{sql}' WHERE name = '{name}'" for name, sql in plain.items()),
    )
    for statement in statements:
        with suppress(sqlite3.IntegrityError):
            damage(path, statement)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        for name, sql in texts:
            if name in plain:
                connection.execute("UPDATE sqlite_schema SET sql = ? WHERE name = ?", (sql, name))


def _moved(path: Path) -> list[tuple[int]]:
    with closing(sqlite3.connect(path)) as connection:
        try:
            sql = "SELECT count(*) FROM lost_and_found WHERE \"table\" = 'notes'"
            return connection.execute(sql).fetchall()
        except sqlite3.OperationalError:
            return [(0,)]
