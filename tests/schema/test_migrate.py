from __future__ import annotations

import hashlib
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from datalayer.engine.connection import Engine, Options
from datalayer.engine.opening import open_engine
from datalayer.errors import DatabaseBusy, DatabaseUnavailable, MigrationRefused
from datalayer.schema import catalog, history
from datalayer.schema.change.consent import Consent
from datalayer.schema.check import check
from datalayer.schema.history import applied_names, consolidated_sql, package_files, package_folder
from datalayer.schema.migrator import migrate
from datalayer.schema.numbered import journal
from datalayer.schema.numbered.folder import Folder
from datalayer.schema.snapshot import Schema, read, read_text
from datalayer.schema.target import target_of

# the words of a full-text index stand in tables of SQLite's own
TABLES = [table.name for table in read_text(consolidated_sql()).tables if table.kind == "table"]
# what is always there, for tests to which the tables of the other domains add nothing
BASE = target_of(domains=[])
BASE_FILES = package_folder().of_domains([]).files()
BASE_TABLES = [table.name for table in read_text(package_folder().of_domains([]).script()).tables]
ROOT = Path(__file__).parents[2]


def tables_of(engine: Engine) -> set[str]:
    if engine.dialect.name == "sqlite":
        return {table.name for table in live(engine).tables if table.kind == "table"}
    return set(catalog.read(engine).tables)


def live(engine: Engine) -> Schema:
    return read(engine.connection())


def test_a_fresh_database_gets_the_whole_schema_with_every_migration_recorded(engine: Engine) -> None:
    result = migrate(engine)

    assert result.applied == applied_names(engine) == tuple(file.name for file in package_files())
    assert {f"table {name}" for name in TABLES} <= set(result.created)
    assert tables_of(engine) == {*TABLES, "migrations_journal"}
    assert not result.nothing_to_do
    assert result.seconds > 0


def test_a_current_database_is_left_alone(engine: Engine) -> None:
    migrate(engine, BASE)

    again = migrate(engine, BASE)

    assert again.nothing_to_do
    assert (again.applied, again.created, again.steps) == ((), (), ())
    assert len(applied_names(engine)) == len(BASE_FILES)


def test_a_plan_tells_the_steps_and_changes_nothing(engine: Engine) -> None:
    result = migrate(engine, plan=True)

    assert not result.nothing_to_do
    assert {step.kind for step in result.steps} >= {"table", "index", "trigger"}
    assert tables_of(engine) == set()


def test_a_current_database_needs_no_right_to_write(tmp_path: Path) -> None:
    engine = open_engine(tmp_path / "app.db")
    migrate(engine)
    engine.close()
    reader = open_engine(tmp_path / "app.db", Options(read_only=True))

    assert migrate(reader).nothing_to_do
    reader.close()


def test_tables_of_the_app_beside_ours_make_no_difference(engine: Engine) -> None:
    migrate(engine, BASE)
    engine.write("CREATE TABLE own (id INTEGER PRIMARY KEY)")

    assert migrate(engine, BASE).nothing_to_do


def test_an_older_table_of_our_name_keeps_its_rows_or_stays_as_it_is(engine: Engine) -> None:
    engine.write("CREATE TABLE sessions (id TEXT PRIMARY KEY, title TEXT)")
    engine.write("INSERT INTO sessions VALUES ('kept', 'x')")

    with pytest.raises(MigrationRefused) as caught:
        migrate(engine)

    assert "sessions" in str(caught.value)
    assert any(one["object"] == "title" for one in caught.value.findings)
    assert tables_of(engine) == {"sessions"}
    assert engine.fetch_all("SELECT id FROM sessions") == [("kept",)]


def test_a_half_made_database_is_completed(engine: Engine) -> None:
    migrate(engine, BASE)
    engine.write("DROP TABLE included_files")
    engine.write("DROP INDEX sessions_name")

    result = migrate(engine, BASE)

    assert {"table included_files", "index sessions_name"} <= set(result.created)
    assert [one.message for one in check(engine) if one.severity == "error"] == []
    assert migrate(engine, BASE).nothing_to_do


def test_a_missing_record_is_taken_over_by_shape(engine: Engine) -> None:
    migrate(engine, BASE)
    engine.write("DELETE FROM migrations")
    engine.write("DELETE FROM migrations_journal")

    migrate(engine, BASE)

    assert applied_names(engine) == tuple(file.name for file in BASE_FILES)
    assert [row.name for row in journal.read(engine)] == [file.name for file in BASE_FILES]


def test_a_database_of_another_program_is_told_from_an_old_one_of_ours(engine: Engine) -> None:
    engine.write("CREATE TABLE posts (id INTEGER PRIMARY KEY)")

    with pytest.raises(MigrationRefused, match="belongs to another program"):
        migrate(engine)


def test_another_tools_table_of_migrations_is_no_record_of_ours(engine: Engine) -> None:
    engine.write("CREATE TABLE migrations (id INTEGER PRIMARY KEY, migration TEXT, batch INTEGER)")

    assert applied_names(engine) == ()
    with pytest.raises(MigrationRefused, match="another program's"):
        migrate(engine)


def test_a_migration_inside_a_transaction_is_refused(engine: Engine) -> None:
    with engine.transaction(), pytest.raises(MigrationRefused, match="inside a transaction"):
        migrate(engine)


@pytest.fixture
def app_folder(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "migrations"
    folder.mkdir()
    (folder / "0001_people.sql").write_text(
        "CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT) -- no end"
    )
    (folder / "0002_rows.sql").write_text("INSERT INTO people (name) VALUES ('a; b'), ('%s');")
    (folder / "0010_more.sql").write_text("ALTER TABLE people ADD COLUMN age INTEGER;")
    (folder / "README.md").write_text("not a migration")
    yield folder


def test_an_apps_folder_is_applied_in_order_and_recorded(engine: Engine, app_folder: Path) -> None:
    (app_folder / "stray.sql").write_text("CREATE TABLE stray (x INTEGER);")

    result = migrate(engine, target_of(folder=app_folder))

    assert [one["id"] for one in result.findings] == ["J005"]
    assert result.applied == ("0001_people", "0002_rows", "0010_more") == applied_names(engine)
    assert engine.fetch_all("SELECT name, age FROM people ORDER BY id") == [("a; b", None), ("%s", None)]
    assert migrate(engine, target_of(folder=app_folder)).nothing_to_do


def test_a_later_file_is_applied(engine: Engine, app_folder: Path) -> None:
    migrate(engine, target_of(folder=app_folder))
    (app_folder / "0011_index.sql").write_text("CREATE INDEX people_name ON people (name);")

    planned = migrate(engine, target_of(folder=app_folder), plan=True)
    result = migrate(engine, target_of(folder=app_folder), consent=Consent(skip_backup=True))

    assert not planned.nothing_to_do
    assert result.applied == ("0011_index",)
    assert migrate(engine, target_of(folder=app_folder)).nothing_to_do


def test_a_later_table_comes_with_its_rows_and_they_come_once(engine: Engine, app_folder: Path) -> None:
    migrate(engine, target_of(folder=app_folder))
    (app_folder / "0011_kinds.sql").write_text(
        "CREATE TABLE kinds (id INTEGER PRIMARY KEY, name TEXT NOT NULL, is_open INTEGER NOT NULL"
        " CONSTRAINT kinds_is_open_bool CHECK (is_open IN (0, 1))) STRICT;"
        " INSERT INTO kinds (id, name, is_open) VALUES (7, 'small %', 1), (9, 'large', 0);"
    )

    migrate(engine, target_of(folder=app_folder), consent=Consent(skip_backup=True))
    engine.write("INSERT INTO kinds (name, is_open) SELECT 'own', is_open FROM kinds WHERE id = 9")
    assert [tuple(row) for row in engine.fetch_all("SELECT id, name, is_open FROM kinds ORDER BY id")] == [
        (7, "small %", 1),
        (9, "large", 0),
        (10, "own", 0),
    ]
    # who takes them out wants them out
    engine.write("DELETE FROM kinds")
    (app_folder / "0012_index.sql").write_text("CREATE INDEX kinds_name ON kinds (name);")
    migrate(engine, target_of(folder=app_folder), consent=Consent(skip_backup=True))
    assert engine.fetch_all("SELECT id FROM kinds") == []


def test_a_database_without_a_record_gets_the_rows_of_tables_that_it_lacks(migrated_engine: Engine) -> None:
    engine = migrated_engine
    before = engine.fetch_all("SELECT * FROM resource_tiers ORDER BY id")
    engine.write("DELETE FROM migrations")
    for table in ("user_preferences", "onboarding_sessions", "chat_messages", "chat_sessions", "sandboxes"):
        engine.write(f"DROP TABLE {table}")
    engine.write("DROP TABLE resource_tiers")

    migrate(engine)

    assert engine.fetch_all("SELECT * FROM resource_tiers ORDER BY id") == before
    assert len(before) > 3


def test_a_rule_with_between_among_others_is_as_wanted_at_once(engine: Engine, app_folder: Path) -> None:
    migrate(engine, target_of(folder=app_folder))
    (app_folder / "0011_items.sql").write_text(
        "CREATE TABLE items (id INTEGER PRIMARY KEY, a TEXT, n INTEGER,"
        " CONSTRAINT items_a CHECK (length(a) BETWEEN 1 AND 9 AND a <> 'x' AND n NOT BETWEEN 3 AND 5),"
        " CONSTRAINT items_n CHECK (n NOT BETWEEN 7 AND 8 OR a = 'y' OR n BETWEEN 1 AND 2)) STRICT;"
    )
    migrate(engine, target_of(folder=app_folder), consent=Consent(skip_backup=True))

    assert migrate(engine, target_of(folder=app_folder)).nothing_to_do


def test_the_consolidated_file_of_a_folder_wins(tmp_path: Path, app_folder: Path) -> None:
    (app_folder / "consolidated_migrations.sql").write_text("CREATE TABLE people (whole INTEGER);")
    engine = open_engine(tmp_path / "app.db")

    migrate(engine, target_of(folder=app_folder))

    assert [column.name for column in live(engine).tables[0].columns] == ["whole"]
    assert applied_names(engine) == ("0001_people", "0002_rows", "0010_more")
    engine.close()


def test_a_folder_of_python_files_tells_no_schema_without_a_database(app_folder: Path) -> None:
    (app_folder / "0012_code.py").write_text("def up(store):\n    pass\n")

    with pytest.raises(MigrationRefused, match=r"0012_code\.py"):
        _ = target_of(folder=app_folder).schema


@pytest.mark.parametrize("name", ["missing", "latin1.sql"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "latin1.sql").write_bytes(b"-- caf\xe9")

    with pytest.raises(MigrationRefused, match=name):
        target_of(schema_file=tmp_path / name)


def test_a_folder_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(MigrationRefused, match="cannot read the migrations folder"):
        Folder(tmp_path / "nowhere").files()


def test_a_schema_file_brings_its_rows_and_the_numbers_of_its_header(tmp_path: Path) -> None:
    file = tmp_path / "app.sql"
    file.write_text(
        "\ufeffPRAGMA foreign_keys = OFF;\nBEGIN;\nPRAGMA user_version = 42;\nPRAGMA application_id = 77;\n"
        "CREATE TABLE child (p INTEGER REFERENCES parent);\nINSERT INTO child VALUES (1);\n"
        "CREATE TABLE parent (id INTEGER PRIMARY KEY);\nINSERT INTO parent VALUES (1);\nCOMMIT;\n",
        encoding="utf-8",
    )
    engine = open_engine(tmp_path / "app.db")

    result = migrate(engine, target_of(schema_file=file))

    assert result.created == ("table child", "table parent")
    assert (live(engine).user_version, live(engine).application_id) == (42, 77)
    assert engine.fetch_all("SELECT p FROM child") == [(1,)]
    assert migrate(engine, target_of(schema_file=file)).nothing_to_do
    engine.close()


def test_a_row_of_the_script_that_breaks_a_reference_undoes_everything(tmp_path: Path) -> None:
    file = tmp_path / "app.sql"
    file.write_text("CREATE TABLE p (id INTEGER PRIMARY KEY REFERENCES p); INSERT INTO p VALUES (1);")
    engine = open_engine(tmp_path / "app.db")
    migrate(engine, target_of(schema_file=file))
    engine.close()
    file.write_text(
        "CREATE TABLE p (id INTEGER PRIMARY KEY, q INTEGER REFERENCES p); INSERT INTO p VALUES (1, 2);"
    )
    other = open_engine(tmp_path / "other.db")

    with pytest.raises(MigrationRefused, match="row 1 of p refers to a row of p that is not there"):
        migrate(other, target_of(schema_file=file))

    assert other.fetch_one("PRAGMA foreign_keys") == (1,)
    assert live(other).tables == ()
    other.close()


def test_what_postgresql_cannot_have_is_refused_before_anything_is_made(
    postgres_database: str, tmp_path: Path
) -> None:
    file = tmp_path / "app.sql"
    file.write_text(
        "CREATE TABLE good (id INTEGER PRIMARY KEY);\nCREATE TABLE bad (\n  a TEXT COLLATE NOCASE);\n"
    )
    engine = open_engine(postgres_database)

    with pytest.raises(MigrationRefused, match=r"app\.sql, line 3: table bad"):
        migrate(engine, target_of(schema_file=file))

    assert catalog.read(engine).is_empty
    engine.close()


def test_a_schema_of_another_name_is_made_where_it_is_missing(postgres_database: str) -> None:
    engine = open_engine(postgres_database, Options(schema_name="Odd name"))

    migrate(engine, BASE)

    assert tables_of(engine) == {*BASE_TABLES, "migrations_journal"}
    assert migrate(engine, BASE).nothing_to_do
    engine.close()


def test_waiting_for_another_migrator_ends_at_the_timeout(database_url: str, tmp_path: Path) -> None:
    holder, other = open_engine(database_url), open_engine(database_url, Options(busy_timeout_s=0.1))
    with holder.transaction():
        if holder.dialect.name == "sqlite":
            holder.write("CREATE TABLE in_the_way (a INTEGER)")
        else:
            digest = hashlib.sha256(b"datalayer.migrate public").digest()
            holder.execute(
                "SELECT pg_advisory_xact_lock(%s)", (int.from_bytes(digest[:8], "big", signed=True),)
            )
        with pytest.raises(DatabaseBusy):
            migrate(other, lock_timeout_s=0.3)
    holder.close()
    other.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return str(tmp_path / "shared.db")
    return str(request.getfixturevalue("postgres_database"))


RACER = """
import sys
from datalayer.engine.opening import open_engine
from datalayer.schema.migrator import migrate
engine = open_engine(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
result = migrate(engine)
print("nothing" if result.nothing_to_do else "made", flush=True)
"""


@pytest.mark.slow
def test_of_two_migrators_one_makes_and_the_others_find_nothing_to_do(database_url: str) -> None:
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, database_url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        for _ in range(4)
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    outcomes = [racer.communicate("go\n")[0].strip() for racer in racers]

    assert sorted(outcomes) == ["made", "nothing", "nothing", "nothing"]
    assert [racer.returncode for racer in racers] == [0, 0, 0, 0]
    engine = open_engine(database_url)
    assert migrate(engine).nothing_to_do
    engine.close()


DYING = """
import os, signal, sys
from datalayer.engine.opening import open_engine
from datalayer.schema.migrator import migrate
engine = open_engine(sys.argv[1])
left = [int(sys.argv[2])]
def hook(statement):
    left[0] -= 1
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
engine.statements.add_hook(hook)
migrate(engine)
"""


@pytest.mark.slow
def test_kill_9_at_any_moment_leaves_nothing_or_everything(database_url: str) -> None:
    seen: set[str] = set()
    for statements in (1, 38, 270, 500, 2_000):
        child = subprocess.run(
            [sys.executable, "-c", DYING, database_url, str(statements)],
            cwd=ROOT,
            capture_output=True,
            check=False,
        )
        if child.returncode != 0:
            assert child.returncode == -signal.SIGKILL, child.stderr.decode()
        engine = open_engine(database_url)
        found = tables_of(engine)
        engine.close()
        assert found in (set(), {*TABLES, "migrations_journal"})
        seen.add("everything" if found else "nothing")

    assert seen == {"nothing", "everything"}


def test_a_disk_that_is_full_leaves_nothing(tmp_path: Path) -> None:
    engine = open_engine(tmp_path / "app.db")
    engine.connection().execute("PRAGMA max_page_count = 20")

    with pytest.raises(DatabaseUnavailable, match="disk is full"):
        migrate(engine)

    assert live(engine).tables == ()
    engine.connection().execute("PRAGMA max_page_count = 1073741823")
    assert migrate(engine).applied
    engine.close()


def test_old_programs_can_read_the_record_of_migrations(tmp_path: Path) -> None:
    engine = open_engine(tmp_path / "app.db")
    migrate(engine)
    engine.close()
    connection = sqlite3.connect(tmp_path / "app.db")

    (number, name, applied_at), *others = connection.execute(
        "SELECT id, name, applied_at FROM migrations ORDER BY id"
    ).fetchall()

    assert (number, name) == (1, "0001_foundation")
    assert [name for _, name, _ in others] == [file.name for file in package_files()[1:]]
    assert applied_at.endswith("Z")
    connection.close()


def test_all_numbered_files_in_order_make_the_consolidated_schema() -> None:
    script = "".join(f"{file.read()}\n;\n" for file in package_files())

    assert read_text(script).fingerprint() == read_text(consolidated_sql()).fingerprint()


def test_the_table_of_history_is_the_same_in_the_file_and_for_apps() -> None:
    ours = read_text(consolidated_sql()).table("migrations")
    apps = read_text(history.TABLE_SQL).table("migrations")

    assert ours == apps
