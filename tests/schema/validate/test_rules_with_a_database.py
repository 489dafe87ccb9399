"""What a database adds to the rules: its journal, its rows, its invalid indexes. It is only read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from support.rule_cases import write_files

from datalayer.engine.connection import Engine
from datalayer.engine.opening import open_engine
from datalayer.schema.history import package_folder
from datalayer.schema.numbered.folder import Folder
from datalayer.schema.numbered.run import run
from datalayer.schema.validate import RuleFinding, validate
from datalayer.store import Store

# together they take long: processes, servers, many files
pytestmark = pytest.mark.slow

FILES = {
    "0001_users.sql": "CREATE TABLE users (id integer PRIMARY KEY, email text);\n",
    "0003_posts.sql": "CREATE TABLE posts (id integer PRIMARY KEY);\n",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return write_files(tmp_path / "files", FILES)


@pytest.fixture
def server(postgres_database: str) -> Iterator[Engine]:
    engine = open_engine(postgres_database)
    yield engine
    engine.close()


def told(folder: Path, engine: Engine, rule: str) -> list[RuleFinding]:
    return [one for one in validate(Folder(folder), engine=engine) if one.id == rule]


def test_applied_file_that_was_changed_is_told(engine: Engine, folder: Path) -> None:
    run(engine, Folder(folder), backup=False)
    before = told(folder, engine, "J001")

    (folder / "0001_users.sql").write_text("CREATE TABLE users (id integer PRIMARY KEY, mail text);\n")

    (found,) = told(folder, engine, "J001")
    assert before == []
    assert (Path(found.file).name, found.line, found.severity) == ("0001_users.sql", 1, "error")


def test_other_layout_of_an_applied_file_is_mentioned_only(engine: Engine, folder: Path) -> None:
    run(engine, Folder(folder), backup=False)

    text = FILES["0001_users.sql"].replace("(id", "(\r\n    id -- the key\r\n   ")
    (folder / "0001_users.sql").write_bytes(text.encode())

    assert [one.severity for one in told(folder, engine, "J001")] == ["info"]


def test_pending_file_below_an_applied_one_is_told(engine: Engine, folder: Path) -> None:
    run(engine, Folder(folder), backup=False)
    before = told(folder, engine, "J002")

    write_files(
        folder, {"0002_late.sql": "CREATE TABLE late (id integer);\n", "0004_next.sql": "SELECT 1;\n"}
    )

    assert before == []
    assert [Path(one.file).name for one in told(folder, engine, "J002")] == ["0002_late.sql"]


def test_applied_file_that_is_gone_is_told(engine: Engine, folder: Path) -> None:
    run(engine, Folder(folder), backup=False)

    (folder / "0003_posts.sql").unlink()

    (found,) = told(folder, engine, "J004")
    assert "0003_posts" in found.message


def test_history_of_another_folder_is_none_of_this_one(engine: Engine, folder: Path, tmp_path: Path) -> None:
    run(engine, Folder(folder), backup=False)
    other = write_files(tmp_path / "other", {"0001_other.sql": "CREATE TABLE other (id integer);\n"})

    assert validate(Folder(other), engine=engine) == []


def test_dropping_a_table_matters_by_its_rows(engine: Engine, folder: Path) -> None:
    run(engine, Folder(folder), backup=False)
    write_files(folder, {"0004_users.sql": "CREATE TABLE x (id integer);\nDROP TABLE users;\n"})
    empty = told(folder, engine, "D002")
    with engine.transaction():
        engine.write("INSERT INTO users (id) VALUES (1)")

    (found,) = told(folder, engine, "D002")

    assert empty == []
    assert (found.severity, found.line) == ("error", 2)


def test_what_was_dropped_long_ago_is_no_loss(engine: Engine, folder: Path) -> None:
    write_files(folder, {"0004_drop.sql": "CREATE TABLE x (id integer);\nDROP TABLE posts;\n"})
    before = told(folder, engine, "D002")
    run(engine, Folder(folder), backup=False)

    assert len(before) == 1
    assert told(folder, engine, "D002") == []


def test_golang_migrate_skips_what_is_below_its_version(engine: Engine, folder: Path) -> None:
    run(engine, Folder(folder), backup=False)
    with engine.transaction():
        engine.write("CREATE TABLE schema_migrations (version bigint, dirty boolean)")
        engine.write("INSERT INTO schema_migrations (version) VALUES (3)")
    write_files(folder, {"0002_late.sql": "CREATE TABLE late (id integer);\n"})

    assert [Path(one.file).name for one in told(folder, engine, "J003")] == ["0002_late.sql"]


def test_empty_tables_are_exempt_from_lock_rules(server: Engine, folder: Path) -> None:
    run(server, Folder(folder), backup=False)
    write_files(folder, {"0004_index.sql": "CREATE INDEX by_email ON users (email);\n"})
    empty = told(folder, server, "L002")
    with server.transaction():
        server.write("INSERT INTO users (id) VALUES (1)")

    assert empty == []
    assert len(told(folder, server, "L002")) == 1


def test_invalid_index_that_would_be_accepted_is_told(
    server: Engine, folder: Path, postgres_database: str
) -> None:
    run(server, Folder(folder), backup=False)
    with psycopg.connect(postgres_database, autocommit=True) as connection:
        connection.execute("INSERT INTO public.users (id, email) VALUES (1, 'a'), (2, 'a')")
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute("CREATE UNIQUE INDEX CONCURRENTLY by_email ON public.users (email)")
    text = "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS by_email ON users (email);\n"
    write_files(folder, {"0004_index.sql": text})

    (found,) = told(folder, server, "N003")

    assert (Path(found.file).name, found.line) == ("0004_index.sql", 1)


def test_server_finds_names_within_queries(server: Engine, folder: Path) -> None:
    text = (
        "CREATE TABLE public.notes (id integer, body text);\n"
        "CREATE VIEW bodies AS\nSELECT id,\n    boddy\nFROM notes;\nSELECT 1;\n"
    )
    write_files(folder, {"0004_view.sql": text})

    (found,) = told(folder, server, "X001")

    assert (Path(found.file).name, found.line) == ("0004_view.sql", 4)
    assert 'did you mean "body"?' in found.message
    assert server.columns("notes") == []


def test_server_tells_what_is_there_already_as_it_understands_it(server: Engine, folder: Path) -> None:
    text = (
        "CREATE TABLE IF NOT EXISTS users (id int4 CONSTRAINT users_pkey PRIMARY KEY, email text);\n"
        "CREATE TABLE IF NOT EXISTS users (id integer PRIMARY KEY, email text UNIQUE);\n"
        "CREATE VIEW v AS SELECT 1 AS x;\nALTER TABLE public.users ADD COLUMN IF NOT EXISTS email varchar;\n"
        "CREATE TABLE IF NOT EXISTS users AS SELECT 1 AS id, '' AS email;\n"
    )
    write_files(folder, {"0004_again.sql": text})

    found = [(one.id, one.line) for one in validate(Folder(folder), engine=server) if one.id[0] == "N"]

    assert found == [("N002", 1), ("N001", 2), ("N001", 4), ("N002", 5)]
    assert server.fetch_all("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'datalayer%'") == []


def test_tables_that_are_there_stay_out_of_reach(server: Engine, folder: Path) -> None:
    run(server, Folder(folder), backup=False)
    before = server.columns("users")
    write_files(folder, {"0004_x.sql": "ALTER TABLE public.users DROP COLUMN email;\nDELETE FROM users;\n"})
    with server.transaction():
        server.write("INSERT INTO users (id) VALUES (1)")

    assert told(folder, server, "X001") == []
    assert server.columns("users") == before
    assert server.fetch_all("SELECT id FROM users") == [(1,)]


def test_folder_that_is_right_is_silent_on_a_server(server: Engine) -> None:
    folders = Path(__file__).parent / "folders"

    for name in ("numbered_postgres", "drizzle_postgres"):
        assert [str(one) for one in validate(Folder(folders / name), engine=server)] == []


def test_the_package_has_nothing_to_tell_on_either_engine(store: Store) -> None:
    assert validate(package_folder(), engine=store.engine) == []


def test_words_of_a_newer_server_are_told(server: Engine, folder: Path) -> None:
    write_files(folder, {"0004_x.sql": "CREATE TABLE x (a integer, UNIQUE NULLS NOT DISTINCT (a));\n"})

    assert told(folder, server, "D005") == []
