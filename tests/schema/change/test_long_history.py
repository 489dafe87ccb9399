"""An app's schema through more than thirty versions, with rows in every table before each step."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

import apsw
import pytest
from support.app_history import VERSIONS, Version, all_renames, fill
from support.apsw_engine import open_apsw
from support.live_schema import Connect, LiveTable, live_tables, plain_connect, rows
from support.naive_copy import naive_copy
from support.oracle import kept_header, problems, touched_indexes
from support.rebuilding import run_migrate

from datalayer.engine.connection import Engine, Options
from datalayer.engine.opening import open_engine


def _create(path: Path, version: Version, *, fills: int) -> None:
    with closing(plain_connect(str(path))) as connection:
        connection.execute("PRAGMA journal_mode = WAL").fetchone()
        connection.executescript(version.script)
        for number in range(fills):
            fill(connection, number)


def _tables(path: Path) -> list[LiveTable]:
    with closing(plain_connect(str(path))) as connection:
        return [table for table in live_tables(connection).values() if table.kind == "table"]


def _judge(
    before: Path, path: Path, version: Version, renames: Mapping[str, str], connect: Connect = plain_connect
) -> list[str]:
    """Hold a migrated file against a fresh database of the version with the rows of the old one."""
    copy = naive_copy(str(before), version.script, renames=renames, connect=connect)
    try:
        told = problems(str(path), copy, connect=connect)
    finally:
        copy.connection.close()
    both = (str(before), str(path))
    return [*told, *kept_header(*both, connect=connect), *touched_indexes(*both, connect=connect)]


def _empty_tables(path: Path) -> list[str]:
    with closing(plain_connect(str(path))) as connection:
        return [
            table.name
            for table in live_tables(connection).values()
            if table.kind == "table" and not rows(connection, f'SELECT 1 FROM "{table.name}" LIMIT 1')
        ]


def test_the_history_is_long() -> None:
    assert len(VERSIONS) >= 30


@pytest.mark.slow
@pytest.mark.parametrize(
    ("opening", "connect"),
    [(open_engine, plain_connect), (open_apsw, apsw.Connection)],
    ids=["Python's SQLite", "the newest SQLite"],
)
def test_each_version_is_reached_with_all_rows_from_the_one_before(
    tmp_path: Path, opening: Callable[[Path, Options], Engine], connect: Connect
) -> None:
    path, before = tmp_path / "app.db", tmp_path / "before.db"
    _create(path, VERSIONS[0], fills=1)

    for number, version in enumerate(VERSIONS[1:], start=1):
        with closing(plain_connect(str(path))) as connection:
            fill(connection, number)
        assert _empty_tables(path) == []
        shutil.copyfile(path, before)
        outcome = run_migrate(
            path,
            version.script,
            renames=version.renames,
            drop_columns=version.drop_columns,
            drop_tables=version.drop_tables,
            opening=opening,
        )
        assert outcome.code == 0, (version.why, outcome.said)
        assert _judge(before, path, version, version.renames, connect) == [], version.why
        assert run_migrate(path, version.script, opening=opening).nothing_to_do, version.why


JUMPS = [(0, 29), (0, len(VERSIONS) - 1), (4, 20), (9, 33), (13, 26), (16, 30)]


@pytest.mark.parametrize(("first", "last"), JUMPS)
def test_many_versions_are_taken_in_one_step_and_back(tmp_path: Path, first: int, last: int) -> None:
    path, before, between = tmp_path / "app.db", tmp_path / "before.db", tmp_path / "between.db"
    _create(path, VERSIONS[first], fills=7)
    shutil.copyfile(path, before)
    renames = all_renames(VERSIONS[first + 1 : last + 1], _tables(path))
    columns = [one for version in VERSIONS[first + 1 : last + 1] for one in version.drop_columns]
    tables = [one for version in VERSIONS[first + 1 : last + 1] for one in version.drop_tables]

    there = run_migrate(
        path, VERSIONS[last].script, renames=renames, drop_columns=columns, drop_tables=tables
    )

    assert there.code == 0, there.said
    assert _judge(before, path, VERSIONS[last], renames) == []
    with closing(plain_connect(str(path))) as connection:
        fill(connection, 100)
    shutil.copyfile(path, between)
    back = run_migrate(path, VERSIONS[first].script, renames=_turned(renames), allow_data_loss=True)
    assert back.code == 0, back.said
    assert _judge(between, path, VERSIONS[first], _turned(renames)) == []


def _turned(renames: dict[str, str]) -> dict[str, str]:
    """Turn renames round: their columns are then named in the tables as these are called at the other end."""
    tables = {before: after for before, after in renames.items() if "." not in before}
    turned = {after: before for before, after in tables.items()}
    for before, after in renames.items():
        table, dot, column = before.partition(".")
        if dot:
            turned[f"{tables.get(table, table)}.{after}"] = column
    return turned
