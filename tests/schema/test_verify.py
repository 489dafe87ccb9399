"""A database is held against its files: history, checksums, shape; drift comes with the SQL to close it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from datalayer.engine.connection import Engine
from datalayer.engine.opening import open_engine
from datalayer.schema.history import package_folder
from datalayer.schema.numbered.folder import Folder
from datalayer.schema.numbered.run import run
from datalayer.schema.squash.squashing import squash
from datalayer.schema.squash.verify import Verification, verify_database, verify_folder

# together they take long: processes, servers, many files
pytestmark = pytest.mark.slow

FIRST = """CREATE TABLE person (id INTEGER PRIMARY KEY, name TEXT NOT NULL DEFAULT '');
CREATE INDEX person_name ON person (name);
CREATE TRIGGER person_touch AFTER UPDATE ON person BEGIN SELECT 1; END;
"""
SECOND = "CREATE TABLE pet (id INTEGER PRIMARY KEY, owner INTEGER REFERENCES person (id));\n"


def found(done: Verification) -> list[tuple[str, str]]:
    return [(one.id, one.message) for one in done.findings]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    root = tmp_path / "steps"
    root.mkdir()
    (root / "0001_person.sql").write_text(FIRST)
    (root / "0002_pet.sql").write_text(SECOND)
    return Folder(root)


@pytest.fixture
def sqlite(tmp_path: Path, folder: Folder) -> Engine:
    engine = open_engine(tmp_path / "app.db")
    run(engine, folder, backup=False)
    return engine


def test_a_database_at_its_files_is_verified(sqlite: Engine, folder: Folder) -> None:
    done = verify_database(sqlite, folder)
    sqlite.close()

    assert (done.findings, done.closing, done.is_ok) == ((), (), True)
    assert done.applied == ("0001_person", "0002_pet")


def test_the_package_s_own_schema_is_verified_on_both_engines(migrated_engine: Engine) -> None:
    assert verify_database(migrated_engine, package_folder()).findings == ()


def test_files_that_are_pending_are_not_expected_in_the_database(tmp_path: Path, folder: Folder) -> None:
    with closing(open_engine(":memory:")) as engine:
        run(engine, folder, to="0001_person", backup=False)
        done = verify_database(engine, folder)

    assert (done.findings, done.pending) == ((), ("0002_pet",))


DRIFT: dict[str, tuple[str, str, bool]] = {
    "an index gone": ("DROP INDEX person_name", "index person_name of person is missing", True),
    "another trigger": (
        "DROP TRIGGER person_touch; CREATE TRIGGER person_touch AFTER DELETE ON person BEGIN SELECT 1; END",
        "trigger person_touch of person is changed",
        True,
    ),
    "a reference gone": (
        "DROP TABLE pet; CREATE TABLE pet (id INTEGER PRIMARY KEY, owner INTEGER)",
        "0 foreign key rules, expected 1 ((owner) REFERENCES person (id))",
        False,
    ),
    "a trigger gone": ("DROP TRIGGER person_touch", "trigger person_touch of person is missing", True),
    "an index by hand": ("CREATE INDEX hand ON pet (owner)", "index hand of pet is extra", True),
    "a table gone": ("DROP TABLE pet", "table pet is missing", True),
    "a column by hand": (
        "ALTER TABLE person ADD COLUMN hand TEXT",
        "table person is changed: column hand unexpected",
        False,
    ),
    "a column gone": ("ALTER TABLE pet DROP COLUMN owner", "column owner missing", True),
}


@pytest.mark.parametrize("name", [one for one in DRIFT if one != "a column gone"])
def test_drift_is_named_and_closed_without_losing_a_row(sqlite: Engine, folder: Folder, name: str) -> None:
    change, words, is_closed = DRIFT[name]
    sqlite.execute("INSERT INTO person (name) VALUES ('Ada')")
    sqlite.connection().executescript(change)
    if "COLUMN hand" in change:
        sqlite.execute("UPDATE person SET hand = 'x'")

    done = verify_database(sqlite, folder)

    assert [one.id for one in done.findings] == ["V001"]
    assert words in done.findings[0].message
    assert bool(done.closing) is is_closed
    for sql in done.closing:
        sqlite.execute(sql)
    assert verify_database(sqlite, folder).is_ok is is_closed
    assert sqlite.fetch_all("SELECT name FROM person") == [("Ada",)]
    sqlite.close()


def test_a_table_that_no_file_makes_is_only_told(sqlite: Engine, folder: Folder) -> None:
    sqlite.execute("CREATE TABLE other (a)")
    sqlite.execute("CREATE INDEX other_a ON other (a)")
    sqlite.execute("CREATE TRIGGER other_ai AFTER INSERT ON other BEGIN SELECT 1; END")
    done = verify_database(sqlite, folder)
    sqlite.close()

    assert [(one.id, one.severity) for one in done.findings] == [("V005", "info")]
    assert done.is_ok


def test_an_applied_file_that_was_changed_is_told_by_its_checksum(sqlite: Engine, folder: Folder) -> None:
    (Path(str(folder.root)) / "0002_pet.sql").write_text(SECOND.replace("owner", "holder"))
    done = verify_database(sqlite, folder)
    sqlite.close()

    assert [one.id for one in done.findings] == ["J001", "V001"]
    assert "column holder missing" in done.findings[1].message


def test_an_applied_file_that_no_longer_runs_is_told(sqlite: Engine, folder: Folder) -> None:
    (Path(str(folder.root)) / "0001_person.sql").write_text("CREATE TABLE person (id INTEGER PRIMARY KEY;")
    done = verify_database(sqlite, folder)
    sqlite.close()

    assert [one.id for one in done.findings] == ["J001", "V006"]


def test_verifying_never_speaks_of_a_reset(sqlite: Engine, folder: Folder) -> None:
    sqlite.execute("DROP TABLE person")
    done = verify_database(sqlite, folder)
    sqlite.close()

    said = " ".join(f"{one.message} {one.fix}" for one in done.findings) + " ".join(done.closing)
    assert "reset" not in said
    assert "DROP TABLE" not in said


CONSOLIDATED: dict[str, tuple[Callable[[str], str], list[str]]] = {
    "as it is written": (lambda text: text, []),
    "with another layout": (lambda text: text.replace("CREATE INDEX", "CREATE  INDEX"), ["V003"]),
    "without an index": (lambda text: text.replace("CREATE INDEX", "-- CREATE INDEX"), ["V002"]),
    "with a mistake": (lambda text: text + "CREATE TABLE;", ["V002"]),
}


@pytest.mark.parametrize("name", CONSOLIDATED)
def test_the_consolidated_file_is_held_against_the_files(folder: Folder, name: str) -> None:
    change, expected = CONSOLIDATED[name]
    (Path(str(folder.root)) / "consolidated_migrations.sql").write_text(change(squash(folder).text))

    assert [one.id for one in verify_folder(folder).findings] == expected


def test_a_folder_without_a_consolidated_file_has_nothing_to_compare(folder: Folder) -> None:
    assert verify_folder(folder).is_ok


def test_postgresql_drift_from_files_in_its_own_sql_is_found(tmp_path: Path, postgres_database: str) -> None:
    (tmp_path / "0001_start.sql").write_text(
        "CREATE TABLE owner (id bigserial PRIMARY KEY, tags jsonb NOT NULL DEFAULT '{}'::jsonb);\n"
        "CREATE INDEX owner_tags ON owner USING gin (tags);\n"
        "CREATE TYPE mood AS ENUM ('good');\n"
        "CREATE VIEW known AS SELECT id FROM owner;\n"
        "CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';\n"
        "CREATE TRIGGER touched BEFORE INSERT ON owner FOR EACH ROW EXECUTE FUNCTION touch();\n"
    )
    folder = Folder(tmp_path)
    with closing(open_engine(postgres_database)) as engine:
        run(engine, folder, backup=False)
        assert verify_database(engine, folder).findings == ()
        engine.execute("DROP INDEX owner_tags")
        engine.execute("ALTER TABLE owner ALTER tags DROP NOT NULL")
        engine.execute("CREATE TABLE other (id integer)")
        engine.execute("ALTER TYPE mood ADD VALUE 'bad'")
        engine.execute("CREATE OR REPLACE VIEW known AS SELECT id FROM owner WHERE id > 0")
        engine.execute("ALTER TABLE owner DISABLE TRIGGER touched")
        engine.execute(
            "CREATE OR REPLACE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'"
        )

        done = verify_database(engine, folder)

        assert {one.id for one in done.findings} == {"V001", "V005"}
        assert ("V001", "index owner_tags of owner is missing") in found(done)
        changed = sorted(one.message.partition(" is ")[0] for one in done.findings if ": " in one.message)
        assert changed == [
            "column owner.tags of owner",
            "function touch()",
            "trigger owner.touched of owner",
            "type mood",
            "view known",
        ]
        assert engine.fetch_all("SELECT 1 FROM pg_database WHERE datname LIKE 'datalayer_rehearsal%'") == []


def test_postgresql_drift_from_files_in_sqlite_s_words_is_closed(migrated_postgres: str) -> None:
    with closing(open_engine(migrated_postgres)) as engine:
        engine.execute("DROP INDEX sessions_name")
        engine.execute("ALTER TABLE sessions ALTER name DROP NOT NULL")

        done = verify_database(engine, package_folder())

        assert ("V001", "index sessions_name of sessions is missing") in found(done)
        assert ("V001", "table sessions is changed: column name is nullable") in found(done)
        for sql in done.closing:
            engine.execute(sql)
        assert ("V001", "index sessions_name of sessions is missing") not in found(
            verify_database(engine, package_folder())
        )
