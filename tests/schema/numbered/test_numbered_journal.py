from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.migration_folder import folder_of, key_column, table_names

from datalayer.engine.connection import Engine
from datalayer.errors import MigrationRefused
from datalayer.schema import history
from datalayer.schema.numbered import journal
from datalayer.schema.numbered.journal import JOURNAL_TABLES, JournalRow
from datalayer.schema.numbered.run import run


def _ensure(engine: Engine) -> None:
    with engine.transaction():
        journal.ensure(engine)


def test_a_database_without_journal_has_no_rows(engine: Engine) -> None:
    assert journal.read(engine) == []


def test_a_row_is_read_as_it_was_written_and_replaced_by_its_name(engine: Engine) -> None:
    row = JournalRow(
        name="0001_a",
        ordinal=1,
        kind="sql",
        checksum_raw="12",
        checksum_norm="34",
        state="running",
        started_at=datetime(2026, 11, 4, 10, 11, 12, 345, tzinfo=UTC),
        statements=3,
        statements_done=1,
        no_ops=({"line": 3, "object": "table é", "result": "same"},),
        source="SELECT 'é%s' -- 100 %",
        error="it's wrong",
    )
    _ensure(engine)
    journal.write(engine, row)
    assert journal.read(engine) == [row]

    done = replace(row, state="applied", applied_at=row.started_at, rows_changed=2**40, error=None)
    journal.write(engine, done)

    assert journal.read(engine) == [done]


def test_the_journal_is_made_once_and_leaves_rows_alone(engine: Engine) -> None:
    _ensure(engine)
    history.record(engine, ["0001_a"])

    _ensure(engine)

    assert history.applied_names(engine) == ("0001_a",)
    assert sorted(table_names(engine)) == sorted(JOURNAL_TABLES)


def test_the_plain_table_takes_rows_of_old_code(engine: Engine) -> None:
    _ensure(engine)
    mark = engine.dialect.placeholder

    engine.write(f"INSERT INTO migrations (name) VALUES ({mark})", ("0001_a",))

    row = engine.fetch_one("SELECT id, name, applied_at FROM migrations")
    assert row is not None
    assert (row[0], row[1]) == (1, "0001_a")


def test_another_programs_table_migrations_is_refused(engine: Engine) -> None:
    engine.execute("CREATE TABLE migrations (migration TEXT, batch INTEGER)")

    with pytest.raises(MigrationRefused, match="another program's"), engine.transaction():
        journal.ensure(engine)
    assert table_names(engine) == ["migrations"]


def test_names_of_old_code_are_adopted_with_the_files_as_they_are_now(engine: Engine, tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "CREATE TABLE a (x INTEGER)", "CREATE TABLE b (x INTEGER)")
    _ensure(engine)
    history.record(engine, ["0001_step", "0000_lost"])

    with engine.transaction():
        names = journal.import_names(engine, folder)

    first, lost = journal.read(engine)
    assert names == ("0001_step", "0000_lost")
    assert (first.kind, first.state, first.ordinal) == ("adopted", "applied", 1)
    assert first.checksum_norm == folder.files()[0].checksum_norm
    assert first.source == "CREATE TABLE a (x INTEGER)"
    assert (lost.name, lost.ordinal, lost.checksum_raw, lost.source) == ("0000_lost", 2, None, None)


def test_a_run_adopts_names_and_applies_the_rest(engine: Engine, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "m", "CREATE TABLE a (x INTEGER)", "CREATE TABLE b (x INTEGER)")
    _ensure(engine)
    engine.execute("DROP TABLE migrations_journal")
    engine.execute("CREATE TABLE a (x INTEGER)")
    history.record(engine, ["0001_step"])

    done = run(engine, folder)

    assert done.applied == ("0002_step",)
    assert [(row.name, row.kind, row.ordinal) for row in journal.read(engine)] == [
        ("0001_step", "adopted", 1),
        ("0002_step", "sql", 2),
    ]
    assert run(engine, folder).applied == ()


@pytest.mark.parametrize(
    ("column", "before", "pattern"),
    [
        ("text NOT NULL", "'2024-05-06 07:08:09'", r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d"),
        ("text NOT NULL", "'2024-05-06T07:08:09Z'", r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"),
        ("text NOT NULL", None, r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"),
        ("bigint NOT NULL", "1714979289", r"\d{10}"),
        ("bigint NOT NULL", "1714979289000", r"\d{13}"),
        ("bigint NOT NULL", None, r"\d{10}"),
        ("bigint NOT NULL DEFAULT 7", "1714979289", "7"),
        ("timestamp", "'2024-05-06 07:08:09'", r"20\d\d-\d\d-\d\d .*"),
    ],
)
def test_the_time_is_written_as_old_code_wrote_it(
    engine: Engine, column: str, before: str | None, pattern: str
) -> None:
    engine.execute(f"CREATE TABLE migrations ({key_column(engine)}, name text NOT NULL, applied_at {column})")
    if before is not None:
        engine.write(f"INSERT INTO migrations (name, applied_at) VALUES ('0001_a', {before})")

    history.record(engine, ["0002_b"])

    row = engine.fetch_one("SELECT applied_at FROM migrations WHERE name = '0002_b'")
    assert row is not None
    assert re.fullmatch(pattern, str(row[0]))


def test_what_a_consolidated_file_brought_is_a_baseline(engine: Engine, tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "CREATE TABLE a (x INTEGER)", "CREATE TABLE b (x INTEGER)")
    _ensure(engine)
    history.record(engine, ["0001_step", "0002_step"])

    with engine.transaction():
        names = journal.baseline(engine, folder)

    rows = journal.read(engine)
    assert names == ("0001_step", "0002_step")
    assert [(row.ordinal, row.kind, row.state, row.origin) for row in rows] == [
        (1, "baseline", "applied", "consolidated"),
        (2, "baseline", "applied", "consolidated"),
    ]
    assert [row.checksum_norm for row in rows] == [file.checksum_norm for file in folder.files()]
