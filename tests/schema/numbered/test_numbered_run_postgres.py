from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import pytest
from support.migration_folder import folder_of, make_folder, run_in_process, table_names
from support.processes import worker
from support.waiting import wait_until

from datalayer.engine.connection import Engine, Options
from datalayer.engine.opening import open_engine
from datalayer.errors import DatabaseBusy, MigrationRefused
from datalayer.schema import history
from datalayer.schema.numbered import journal
from datalayer.schema.numbered.folder import Folder
from datalayer.schema.numbered.lock import migration_lock
from datalayer.schema.numbered.run import run

# together they take long: processes, servers, many files
pytestmark = pytest.mark.slow

_TABLE = "CREATE TABLE a (x integer); INSERT INTO a VALUES (1), (1), (2);"
_CONCURRENT = (
    "ALTER TABLE a ADD COLUMN y integer;\n"
    "CREATE INDEX CONCURRENTLY a_y ON a (y);\n"
    "CREATE UNIQUE INDEX CONCURRENTLY a_x ON a (x);\n"
    "INSERT INTO a VALUES (9);"
)


@pytest.fixture
def engine(postgres_database: str) -> Iterator[Engine]:
    opened = open_engine(postgres_database)
    yield opened
    opened.close()


@pytest.fixture
def other(postgres_database: str) -> Iterator[Engine]:
    opened = open_engine(postgres_database)
    yield opened
    opened.close()


def _indexes(engine: Engine) -> dict[str, bool]:
    rows = engine.fetch_all(
        "SELECT c.relname, i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
        " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s",
        (engine.schema_name,),
    )
    return {str(name): bool(is_valid) for name, is_valid in rows if name[:2] == "a_"}


def _waiting(engine: Engine, words: str) -> bool:
    row = engine.fetch_one(
        "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND strpos(query, %s) = 1"
        " AND datname = current_database()",
        (words,),
    )
    return row is not None


def test_a_file_with_a_concurrent_index_is_run_and_journalled_whole(engine: Engine, tmp_path: Path) -> None:
    text = _CONCURRENT.replace("UNIQUE ", "")

    done = run(engine, folder_of(tmp_path / "m", _TABLE, text), backup=False)

    row = journal.read(engine)[1]
    assert done.applied == ("0001_step", "0002_step")
    assert (row.state, row.statements, row.statements_done, row.rows_changed) == ("applied", 4, 4, 1)
    assert _indexes(engine) == {"a_y": True, "a_x": True}
    assert done.findings == ()


def test_a_failed_concurrent_index_leaves_none_behind_and_the_next_run_goes_on_there(
    engine: Engine, tmp_path: Path
) -> None:
    folder = folder_of(tmp_path / "m", _TABLE, _CONCURRENT)

    with pytest.raises(
        MigrationRefused, match=r"0002_step\.sql:3: .*its first 2 statements are applied"
    ) as no:
        run(engine, folder, backup=False)

    assert "statement 3" in str(no.value.hint)
    assert _indexes(engine) == {"a_y": True}
    row = journal.read(engine)[1]
    assert (row.state, row.statements, row.statements_done) == ("failed", 4, 2)
    assert "could not create unique index" in str(row.error)
    assert history.applied_names(engine) == ("0001_step",)
    with pytest.raises(MigrationRefused, match="could not create unique index"):
        run(engine, folder, backup=False)
    # the rest of the file may be corrected
    folder_of(tmp_path / "m", _TABLE, _CONCURRENT.replace("CREATE UNIQUE", "-- only one\nCREATE"))
    assert run(engine, folder, backup=False).applied == ("0002_step",)
    row = journal.read(engine)[1]
    assert (row.ordinal, row.state, row.statements_done, row.error) == (2, "applied", 4, None)
    assert _indexes(engine) == {"a_y": True, "a_x": True}
    assert run(engine, folder).applied == ()


def test_statements_that_are_done_must_not_change_before_the_file_is_resumed(
    engine: Engine, tmp_path: Path
) -> None:
    folder = folder_of(tmp_path / "m", _TABLE, _CONCURRENT)
    with pytest.raises(MigrationRefused):
        run(engine, folder, backup=False)
    folder_of(tmp_path / "m", _TABLE, _CONCURRENT.replace("y integer", "y text").replace("UNIQUE", ""))

    with pytest.raises(MigrationRefused, match="changed in its part that is applied") as refused:
        run(engine, folder, backup=False)

    assert [one["id"] for one in refused.value.findings] == ["J001"]


def test_a_resumed_file_goes_on_even_when_what_is_left_fits_a_transaction(
    engine: Engine, tmp_path: Path
) -> None:
    folder = folder_of(tmp_path / "m", _TABLE, _CONCURRENT)
    with pytest.raises(MigrationRefused):
        run(engine, folder, backup=False)
    left = [line for line in _CONCURRENT.splitlines() if "UNIQUE" not in line]
    folder_of(tmp_path / "m", _TABLE, "\n".join(left))

    assert run(engine, folder, backup=False).applied == ("0002_step",)
    assert engine.fetch_all("SELECT count(*) FROM a") == [(4,)]


@pytest.mark.slow
def test_a_run_killed_while_an_index_is_made_is_resumed_and_the_invalid_one_replaced(
    engine: Engine, other: Engine, postgres_database: str, tmp_path: Path
) -> None:
    text = "ALTER TABLE a ADD COLUMN y integer;\nCREATE INDEX CONCURRENTLY a_x ON a (x);"
    folder = folder_of(tmp_path / "m", _TABLE)
    run(engine, folder)
    folder_of(tmp_path / "m", _TABLE, text)
    with other.transaction():
        other.write("UPDATE a SET x = 5 WHERE x = 2")
        # the ALTER needs the table, so it waits; the index waits for the old transaction
        with worker(
            "support.migration_folder", "run_in_process", postgres_database, str(tmp_path / "m")
        ) as one:
            assert wait_until(lambda: _waiting(engine, "ALTER TABLE"))
            one.kill()
    engine.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
        " AND datname = current_database()"
    )
    engine.execute("CREATE TABLE b (x integer)")
    blocker = open_engine(postgres_database)
    with blocker.transaction(isolation="REPEATABLE READ"):
        blocker.fetch_all("SELECT * FROM b")
        with worker(
            "support.migration_folder", "run_in_process", postgres_database, str(tmp_path / "m")
        ) as one:
            assert wait_until(lambda: _waiting(engine, "CREATE INDEX CONCURRENTLY"))
            one.kill()
        engine.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE strpos(query, 'CREATE INDEX') = 1"
            " AND datname = current_database() AND pid <> pg_backend_pid()"
        )
        assert wait_until(lambda: _indexes(engine) == {"a_x": False})
    blocker.close()
    assert journal.read(engine)[1].state == "running"

    assert run(engine, folder, backup=False).applied == ("0002_step",)
    assert _indexes(engine) == {"a_x": True}


def test_an_index_that_was_finished_before_the_kill_is_taken_as_done(engine: Engine, tmp_path: Path) -> None:
    text = "ALTER TABLE a ADD COLUMN y integer;\nCREATE INDEX CONCURRENTLY a_x ON a (x);"
    folder = folder_of(tmp_path / "m", _TABLE, text)
    run(engine, folder, backup=False)
    # as a process leaves it that is killed between the index and its note
    engine.write("DELETE FROM migrations WHERE name = '0002_step'")
    engine.write("UPDATE migrations_journal SET state = 'running', statements_done = 1 WHERE ordinal = 2")

    assert run(engine, folder, backup=False).applied == ("0002_step",)
    assert _indexes(engine) == {"a_x": True}


def test_a_lock_is_asked_for_again_until_it_comes(engine: Engine, other: Engine, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "m", _TABLE)
    run(engine, folder)
    folder_of(tmp_path / "m", _TABLE, "ALTER TABLE a ADD COLUMN y integer")
    begun, let_go = threading.Event(), threading.Event()

    def block() -> None:
        with other.transaction():
            other.fetch_all("SELECT * FROM a")
            begun.set()
            wait_until(lambda: _waiting(engine, "ALTER TABLE"))
            let_go.wait(0.2)

    thread = threading.Thread(target=block)
    thread.start()
    begun.wait()
    done = run(engine, folder, backup=False, lock_timeout_s=20)
    thread.join()

    assert done.applied == ("0002_step",)


def test_a_lock_that_does_not_come_is_an_error_with_the_place_and_nothing_changed(
    engine: Engine, other: Engine, tmp_path: Path
) -> None:
    folder = folder_of(tmp_path / "m", _TABLE)
    run(engine, folder)
    folder_of(tmp_path / "m", _TABLE, "CREATE TABLE b (x integer);\nALTER TABLE a ADD COLUMN y integer")
    with other.transaction():
        other.fetch_all("SELECT * FROM a")
        started = monotonic()

        with pytest.raises(DatabaseBusy, match=r"0002_step\.sql:2"):
            run(engine, folder, backup=False, lock_timeout_s=0.3)

        assert monotonic() - started < 5
    assert "b" not in table_names(engine)


def test_another_migrator_is_waited_for_no_longer_than_told(
    engine: Engine, other: Engine, tmp_path: Path
) -> None:
    with (
        migration_lock(other, monotonic() + 5),
        pytest.raises(DatabaseBusy, match="is being migrated by another process"),
    ):
        run(engine, folder_of(tmp_path / "m", _TABLE), lock_timeout_s=0.1)
    assert table_names(engine) == []


def test_a_new_enum_value_may_be_used_in_the_same_file(engine: Engine, tmp_path: Path) -> None:
    first = "CREATE TYPE mood AS ENUM ('sad'); CREATE TABLE m (x mood);"
    text = "ALTER TYPE mood ADD VALUE IF NOT EXISTS 'glad';\nINSERT INTO m VALUES ('glad');"

    run(engine, folder_of(tmp_path / "m", first, text), backup=False)

    assert engine.fetch_all("SELECT x::text FROM m") == [("glad",)]


def test_vacuum_and_reindex_run_outside_transactions(engine: Engine, tmp_path: Path) -> None:
    text = (
        "VACUUM a; CREATE INDEX CONCURRENTLY ON a (x); REINDEX TABLE CONCURRENTLY a; BEGIN; ANALYZE; COMMIT;"
    )

    run(engine, folder_of(tmp_path / "m", _TABLE, text), backup=False)

    assert _indexes(engine) == {"a_x_idx": True}


def test_an_index_without_name_that_fails_is_taken_away_too(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(MigrationRefused, match="could not create unique index"):
        run(
            engine,
            folder_of(tmp_path / "m", _TABLE, "CREATE UNIQUE INDEX CONCURRENTLY ON a (x)"),
            backup=False,
        )
    assert _indexes(engine) == {}


def test_settings_of_a_file_end_with_it(engine: Engine, tmp_path: Path) -> None:
    before = engine.fetch_one("SHOW search_path")
    text = (
        "SET search_path = ''; SET work_mem = '5MB'; SELECT pg_catalog.set_config('search_path', '', false);"
    )

    run(
        engine,
        folder_of(tmp_path / "m", f"{text} CREATE TABLE {engine.schema_name}.a (x integer)", _TABLE[:0]),
    )

    assert engine.fetch_one("SHOW search_path") == before
    assert engine.fetch_one("SHOW work_mem") != ("5MB",)
    assert history.applied_names(engine) == ("0001_step", "0002_step")


def test_settings_hold_for_the_statements_behind_them_also_when_a_file_is_resumed(
    engine: Engine, tmp_path: Path
) -> None:
    text = (
        "SET work_mem = '5MB';\nVACUUM a;\nSELECT 1 / nullif(0, {zero});\n"
        "INSERT INTO a SELECT 7 WHERE current_setting('work_mem') = '5MB'"
    )
    folder = folder_of(tmp_path / "m", _TABLE, text.format(zero="1"))
    with pytest.raises(MigrationRefused, match="division by zero"):
        run(engine, folder, backup=False)
    folder_of(tmp_path / "m", _TABLE, text.format(zero="0"))

    run(engine, folder, backup=False)

    assert engine.fetch_all("SELECT count(*) FROM a WHERE x = 7") == [(1,)]


def test_functions_and_do_blocks_are_run_whole(engine: Engine, tmp_path: Path) -> None:
    text = """
        CREATE FUNCTION f() RETURNS integer LANGUAGE plpgsql AS $body$
        BEGIN /* ; /* nested; */ */ RETURN length('a;b'); END; $body$;
        DO $$ BEGIN EXECUTE 'CREATE TABLE b (x text)'; END $$;
        INSERT INTO b VALUES (E'it\\'s; 100 % {} %s'), ($x$;$x$);
    """

    run(engine, folder_of(tmp_path / "m", text))

    assert engine.fetch_all("SELECT f()") == [(3,)]
    assert engine.fetch_all("SELECT x FROM b ORDER BY x DESC") == [("it's; 100 % {} %s",), (";",)]


@pytest.mark.parametrize("text", ["\\connect other", "COPY a FROM stdin;\n1\n\\.\n", "ROLLBACK"])
def test_what_only_psql_knows_is_refused_by_line(engine: Engine, tmp_path: Path, text: str) -> None:
    with pytest.raises(MigrationRefused, match=r"0001_step\.sql:2: .*cannot be part of a migration"):
        run(engine, folder_of(tmp_path / "m", f"SELECT 1;\n{text}"))


@pytest.mark.parametrize(
    "text",
    [
        "CREATE INDEX CONCURRENTLY",
        "CREATE INDEX CONCURRENTLY IF NOT EXISTS",
        "ALTER TABLE a.b ADD IF NOT",
        "ALTER TABLE IF EXISTS",
        "DROP TABLE IF EXISTS",
        "ALTER",
        "SELECT 1; /* never closed; SELECT 2;",
    ],
)
def test_a_statement_that_breaks_off_is_refused_by_the_server(
    engine: Engine, tmp_path: Path, text: str
) -> None:
    with pytest.raises(MigrationRefused, match=r"0001_step\.sql:1: .* failed"):
        run(engine, folder_of(tmp_path / "m", text))


def test_an_invalid_index_that_stands_in_the_way_is_told(engine: Engine, tmp_path: Path) -> None:
    run(engine, folder_of(tmp_path / "m", _TABLE))
    connection = engine.connection()
    with pytest.raises(engine.driver_errors):
        connection.execute("CREATE UNIQUE INDEX CONCURRENTLY a_x ON a (x)")
    text = "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS a_x ON a (x); SELECT 1"

    done = run(engine, folder_of(tmp_path / "m", _TABLE, text), backup=False)

    assert [(one["id"], one["severity"]) for one in done.findings] == [("N003", "error")]


def test_a_table_that_differs_in_a_default_or_rule_differs(engine: Engine, tmp_path: Path) -> None:
    first = (
        "CREATE TABLE p (id serial PRIMARY KEY); CREATE TABLE c (id bigint GENERATED ALWAYS AS IDENTITY,"
        " p integer NOT NULL DEFAULT 3 REFERENCES p (id) ON DELETE CASCADE, t text CHECK (t <> ''))"
    )
    again = first.replace("CREATE TABLE", "CREATE TABLE IF NOT EXISTS")
    changes = [
        again.replace("DEFAULT 3", "DEFAULT 4"),
        again.replace("CASCADE", "SET NULL"),
        again.replace("<> ''", "<> 'x'"),
        again.replace("NOT NULL", ""),
    ]

    done = run(engine, folder_of(tmp_path / "m", first, again, *changes))

    found = [one["id"] for one in done.findings if one["id"] != "N004"]
    assert found == ["N002", "N002", *(["N002", "N001"] * 4)]
    assert engine.fetch_all("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'datalayer%'") == []


def test_of_a_table_that_a_query_makes_the_columns_are_compared(engine: Engine, tmp_path: Path) -> None:
    first = "CREATE TABLE a (x integer PRIMARY KEY, y text); INSERT INTO a VALUES (1, 'b')"
    texts = [
        "CREATE TABLE IF NOT EXISTS a AS SELECT 2 AS x, 'c' AS y WITH NO DATA",
        "CREATE TABLE IF NOT EXISTS a AS SELECT x, y AS z FROM a",
    ]

    done = run(engine, folder_of(tmp_path / "m", first, *texts))

    assert [one["id"] for one in done.findings if one["id"] != "N004"] == ["N002", "N001"]


def test_a_rule_with_an_operator_of_several_signs_is_the_same_again(engine: Engine, tmp_path: Path) -> None:
    text = "CREATE TABLE IF NOT EXISTS a (x jsonb CHECK (x @> '{}'), y text CHECK (y !~~ 'b%'))"

    done = run(engine, folder_of(tmp_path / "m", text, text))

    assert [one["id"] for one in done.findings if one["id"] != "N004"] == ["N002"]


def test_a_pool_and_another_schema_do_as_well(postgres_database: str, tmp_path: Path) -> None:
    pooled = open_engine(postgres_database, Options(pool=2, schema_name="my app"))
    text = (
        "CREATE INDEX CONCURRENTLY IF NOT EXISTS a_x ON a (x); SET work_mem = '5MB'; INSERT INTO a VALUES (3)"
    )

    done = run(pooled, folder_of(tmp_path / "m", _TABLE, text))

    assert done.applied == ("0001_step", "0002_step")
    assert pooled.fetch_all("SELECT schemaname FROM pg_tables WHERE tablename = 'a'") == [("my app",)]
    pooled.close()


def test_a_run_in_this_process_says_what_was_applied(postgres_database: str, tmp_path: Path) -> None:
    make_folder(tmp_path / "m", {"0001_a.sql": "CREATE TABLE a (x integer)"})

    assert run_in_process(postgres_database, str(tmp_path / "m")) == ["0001_a"]
    assert Folder(tmp_path / "m").layout == "numbered"


@pytest.mark.slow
def test_a_run_killed_inside_a_file_leaves_what_was_before_it(
    engine: Engine, other: Engine, postgres_database: str, tmp_path: Path
) -> None:
    run(engine, folder_of(tmp_path / "m", _TABLE))
    text = "INSERT INTO a VALUES (3); CREATE TABLE b (x integer); ALTER TABLE a ADD COLUMN y integer;"
    folder = folder_of(tmp_path / "m", _TABLE, "CREATE TABLE c (x integer)", text)
    arguments = (postgres_database, str(tmp_path / "m"))
    with other.transaction():
        other.fetch_all("SELECT * FROM a")
        with worker("support.migration_folder", "run_in_process", *arguments) as one:
            assert wait_until(lambda: _waiting(engine, "ALTER TABLE"))
            one.kill()
        engine.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE strpos(query, 'ALTER TABLE') = 1"
            " AND datname = current_database() AND pid <> pg_backend_pid()"
        )

    assert {"b", "c"} & {*table_names(engine)} == {"c"}
    assert history.applied_names(engine) == ("0001_step", "0002_step")
    assert engine.fetch_all("SELECT count(*) FROM a") == [(3,)]
    assert run(engine, folder, backup=False).applied == ("0003_step",)


def test_a_role_of_a_file_ends_with_it(engine: Engine, tmp_path: Path) -> None:
    # roles belong to the server, so the name is this database's own
    role = str(engine.fetch_all("SELECT current_database() || '_guest'")[0][0])
    engine.execute(f"CREATE ROLE {role}")
    text = f"CREATE TABLE a (x integer); SET ROLE {role}"

    run(engine, folder_of(tmp_path / "m", text, "CREATE TABLE b (x integer)"))

    assert {"a", "b"} <= {*table_names(engine)}
    engine.execute(f"DROP ROLE {role}")


def test_a_column_that_is_there_or_gone_already_is_told(engine: Engine, tmp_path: Path) -> None:
    first = "CREATE TABLE a (x integer, y numeric(5, 2) NOT NULL DEFAULT 3)"
    second = (
        "ALTER TABLE a ADD COLUMN IF NOT EXISTS Y numeric(5, 2) NOT NULL DEFAULT 3;\n"
        "ALTER TABLE IF EXISTS ONLY a ADD IF NOT EXISTS y text;\n"
        "ALTER TABLE a DROP COLUMN IF EXISTS z;\n"
        "ALTER TABLE a ADD COLUMN IF NOT EXISTS z numeric(5, 2);\n"
        "ALTER TABLE a DROP IF EXISTS x;\n"
        "ALTER TABLE a ADD COLUMN IF NOT EXISTS z text, ADD COLUMN IF NOT EXISTS w text;"
    )

    done = run(engine, folder_of(tmp_path / "m", first, second))

    assert [(one["id"], one["line"]) for one in done.findings] == [("N002", 1), ("N001", 2), ("N005", 3)]
    assert "column a.y" in str(done.findings[0]["message"])
    assert engine.columns("a") == ["y", "z", "w"]
