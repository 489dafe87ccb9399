"""Other tools' journals are known by table and columns, and read as that tool means them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.foreign_journals import ForeignCase, cases, sqitch_registry

from datalayer.engine.connection import Engine
from datalayer.engine.opening import open_engine
from datalayer.schema.adopt.journal import ForeignJournal
from datalayer.schema.adopt.recognise import TOOLS, recognise
from datalayer.schema.numbered.moment import moment
from datalayer.testing.postgres import PostgresServer


class Undone(Exception):
    """Ends a transaction without keeping it."""


@pytest.fixture(scope="module")
def postgres_engine(postgres: PostgresServer) -> Iterator[Engine]:
    url = postgres.create_database()
    engine = open_engine(url)
    yield engine
    engine.close()
    postgres.drop_database(url)


@pytest.fixture
def memory() -> Iterator[Engine]:
    engine = open_engine(":memory:")
    yield engine
    engine.close()


def found_in(engine: Engine, *statements: str) -> list[ForeignJournal]:
    """Make tables, recognise, and undo them again."""
    found: list[ForeignJournal] = []
    with pytest.raises(Undone), engine.transaction():
        for sql in statements:
            engine.write(sql)
        found += recognise(engine)
        raise Undone
    return found


def engine_of(case: ForeignCase, request: pytest.FixtureRequest) -> Engine:
    return request.getfixturevalue("memory" if case.engine == "sqlite" else "postgres_engine")


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.label)
def test_a_journal_is_told_with_its_tool_its_table_and_what_is_applied(
    case: ForeignCase, request: pytest.FixtureRequest
) -> None:
    (journal,) = found_in(engine_of(case, request), *case.sql)

    assert (journal.tool, journal.table) == (case.tool, case.table)
    assert tuple(entry.name for entry in journal.entries) == case.names
    assert not journal.blocked


def test_every_tool_has_a_case() -> None:
    assert {tool.name for tool in TOOLS} == {case.tool for case in cases()}


@pytest.mark.parametrize("name", ["memory", "postgres_engine"])
def test_a_database_without_any_has_none(name: str, request: pytest.FixtureRequest) -> None:
    engine: Engine = request.getfixturevalue(name)

    assert found_in(engine, "CREATE TABLE users (id INTEGER PRIMARY KEY)") == []


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE changes (id INTEGER, change TEXT)",
        "CREATE TABLE schema_migration (id INTEGER, label TEXT)",
        "CREATE TABLE migrations (id INTEGER, name TEXT, applied_at TEXT)",
        "CREATE TABLE goose_db_version (id INTEGER, note TEXT)",
    ],
)
def test_an_apps_own_table_of_a_tools_name_is_no_journal(memory: Engine, sql: str) -> None:
    assert found_in(memory, sql) == []


def test_two_journals_in_one_database_are_both_told(memory: Engine) -> None:
    by_tool = {case.tool: case for case in cases() if case.engine == "sqlite"}

    found = found_in(memory, *by_tool["drizzle"].sql, *by_tool["d1"].sql)

    assert [journal.tool for journal in found] == ["drizzle", "d1"]


def test_a_journal_in_another_schema_belongs_to_another_app(postgres_engine: Engine) -> None:
    found = found_in(
        postgres_engine,
        "CREATE SCHEMA other",
        "CREATE TABLE other.schema_migrations (version varchar(128) primary key)",
    )

    assert found == []


def test_drizzles_rows_on_sqlite_come_in_order_although_their_ids_are_null(memory: Engine) -> None:
    (journal,) = found_in(
        memory,
        "CREATE TABLE __drizzle_migrations (id SERIAL PRIMARY KEY, hash text NOT NULL, created_at numeric)",
        "INSERT INTO __drizzle_migrations (hash, created_at) VALUES ('zz', 5), ('aa', 3), ('mm', 4)",
    )

    assert [entry.checksum for entry in journal.entries] == ["zz", "aa", "mm"]


def test_a_dirty_version_of_golang_migrate_blocks(memory: Engine) -> None:
    (journal,) = found_in(
        memory,
        "CREATE TABLE schema_migrations (version uint64, dirty bool)",
        "INSERT INTO schema_migrations VALUES (7, 1)",
    )

    assert "version 7 is dirty" in journal.blocked
    assert "force" in journal.to_repair


@pytest.mark.parametrize(
    ("tool", "change"),
    [
        ("knex", "UPDATE knex_migrations_lock SET is_locked = 1"),
        ("kysely", "UPDATE kysely_migration_lock SET is_locked = 1"),
        ("prisma", "UPDATE _prisma_migrations SET rolled_back_at = NULL WHERE id = '2'"),
        ("sqlx", "UPDATE _sqlx_migrations SET success = 0 WHERE version = 2"),
        ("flyway", "UPDATE flyway_schema_history SET success = 0 WHERE installed_rank = 4"),
    ],
)
def test_a_run_that_failed_or_goes_on_blocks(memory: Engine, tool: str, change: str) -> None:
    (case,) = [case for case in cases() if case.tool == tool and case.engine == "sqlite"]

    (journal,) = found_in(memory, *case.sql, change)

    assert journal.blocked
    assert journal.to_repair


def test_a_started_migration_of_pgroll_blocks(postgres_engine: Engine) -> None:
    (case,) = [case for case in cases() if case.tool == "pgroll"]

    (journal,) = found_in(
        postgres_engine, *case.sql, "UPDATE pgroll.migrations SET done = false WHERE name = '0002_age'"
    )

    assert "0002_age" in journal.blocked


def test_flyways_baseline_stands_for_what_the_database_had_before(memory: Engine) -> None:
    (case,) = [case for case in cases() if case.tool == "flyway" and case.engine == "sqlite"]

    (journal,) = found_in(
        memory,
        case.sql[0],
        "INSERT INTO flyway_schema_history VALUES (1, '4', 'base', 'BASELINE', '<< base >>',"
        " NULL, 'me', 'x', 0, 1)",
        "INSERT INTO flyway_schema_history VALUES (2, '5', 'next', 'SQL', 'V5__next.sql', 1,"
        " 'me', 'x', 0, 1)",
    )

    assert journal.baseline == "4"
    assert [entry.name for entry in journal.entries] == ["V5__next.sql"]


@pytest.mark.parametrize("registry", ["sqitch.db", "sqitch.sqlite"])
def test_sqitchs_registry_is_a_file_beside_the_database(tmp_path: Path, registry: str) -> None:
    beside = sqlite3.connect(tmp_path / registry)
    for sql in sqitch_registry():
        beside.execute(sql)
    beside.commit()
    beside.close()
    engine = open_engine(tmp_path / "app.db")

    (journal,) = recognise(engine)
    engine.close()

    assert journal.origin == f"sqitch {registry}:changes"
    assert [(entry.name, entry.checksum) for entry in journal.entries] == [("users", "h1"), ("age", "h2")]


def test_a_file_called_sqitch_that_is_no_registry_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "sqitch.db").write_text("no database", encoding="utf-8")
    engine = open_engine(tmp_path / "app.db")

    found = recognise(engine)
    engine.close()

    assert found == []


@pytest.mark.parametrize(
    ("stored", "seen"),
    [
        ("2024-01-02 10:00:00", datetime(2024, 1, 2, 10, tzinfo=UTC)),
        ("2024-01-02T12:00:00+02:00", datetime(2024, 1, 2, 10, tzinfo=UTC)),
        ("2024-01-02T10:00:00.000Z", datetime(2024, 1, 2, 10, tzinfo=UTC)),
        (1704189600, datetime(2024, 1, 2, 10, tzinfo=UTC)),
        (1704189600000, datetime(2024, 1, 2, 10, tzinfo=UTC)),
        ("1704189600000", datetime(2024, 1, 2, 10, tzinfo=UTC)),
        (datetime(2024, 1, 2, 10), datetime(2024, 1, 2, 10, tzinfo=UTC)),  # noqa: DTZ001 - as a driver gives it
        ("yesterday", None),
        (None, None),
    ],
)
def test_times_are_read_in_every_form_that_tools_store(stored: object, seen: datetime | None) -> None:
    assert moment(stored) == seen
