from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from datalayer.engine.connection import Engine
from datalayer.engine.opening import open_engine
from datalayer.errors import DatabaseCorrupt
from datalayer.schema.check import Finding, check
from datalayer.schema.snapshot import read_text

HASH = "0" * 64


@pytest.fixture
def migrated(migrated_engine: Engine) -> Engine:
    return migrated_engine


@pytest.fixture
def file_engine(migrated_file: Path) -> Iterator[Engine]:
    opened = open_engine(migrated_file.rename(migrated_file.with_name("a ? b # %41.db")))
    yield opened
    opened.close()


def ids(findings: list[Finding]) -> list[str]:
    return [finding.id for finding in findings]


def test_a_sound_database_has_no_findings(migrated: Engine) -> None:
    assert check(migrated) == []
    assert check(migrated, quick=True) == []


def test_a_database_without_tables_says_what_to_do(engine: Engine) -> None:
    [finding] = check(engine)

    assert (finding.id, finding.severity, finding.repair) == ("DL-C024", "error", "automatic")
    assert "datalayer migrate" in finding.message
    assert check(engine, with_schema=False) == []


def test_missing_changed_and_extra_objects_are_told_apart(migrated: Engine) -> None:
    migrated.write("ALTER TABLE sessions DROP COLUMN model_used")
    migrated.write("DROP TABLE included_files")
    migrated.write("DROP INDEX sessions_name")
    migrated.write("CREATE TABLE own (id INTEGER PRIMARY KEY)")
    trigger = "DROP TRIGGER cached_state_touch"
    migrated.write(trigger if migrated.dialect.name == "sqlite" else trigger + " ON cached_state")

    found = {
        (finding.id, finding.table, finding.object, finding.severity, finding.repair)
        for finding in check(migrated)
    }

    assert found == {
        ("DL-C020", "included_files", None, "error", "manual"),
        ("DL-C020", "sessions", "sessions_name", "error", "automatic"),
        ("DL-C020", "cached_state", "cached_state_touch", "error", "automatic"),
        ("DL-C021", "sessions", None, "error", "manual"),
        ("DL-C022", "own", None, "info", "none"),
    }


def test_pending_and_unknown_migrations_are_found(migrated: Engine) -> None:
    migrated.write("UPDATE migrations SET name = '9999_newer' WHERE name = '0001_foundation'")

    assert [(f.id, f.object, f.severity) for f in check(migrated)] == [
        ("DL-C030", "0001_foundation", "warning"),
        ("DL-C031", "9999_newer", "warning"),
    ]


def test_another_expected_schema_is_compared_without_the_migrations(engine: Engine) -> None:
    engine.write("CREATE TABLE t (a BIGINT NOT NULL)")

    assert check(engine, expected=read_text("CREATE TABLE t (a BIGINT NOT NULL)")) == []
    [finding] = check(engine, expected=read_text("CREATE TABLE t (a BIGINT NOT NULL, b TEXT)"))
    assert (finding.id, finding.table) == ("DL-C021", "t")
    assert "column b missing" in finding.message


def test_the_numbers_in_the_header_are_compared(file_engine: Engine) -> None:
    file_engine.write("PRAGMA user_version = 3")

    [finding] = check(file_engine)

    assert (finding.id, finding.object, finding.severity) == ("DL-C023", "user_version", "warning")


def test_broken_references_are_counted_per_table_and_constraint(file_engine: Engine) -> None:
    file_engine.execute("PRAGMA foreign_keys = OFF")
    for path in ("a", "b", "c"):
        file_engine.write("INSERT INTO included_files (session_id, path) VALUES ('gone', ?)", (path,))
    file_engine.write("INSERT INTO background_jobs (id, session_id) VALUES ('j', 'gone')")
    file_engine.execute("PRAGMA foreign_keys = ON")

    findings = check(file_engine)

    assert [(f.id, f.table, f.object, f.count, f.repair) for f in findings] == [
        ("DL-C010", "background_jobs", "background_jobs_session", 1, "lossy"),
        ("DL-C010", "included_files", "included_files_session", 3, "lossy"),
    ]
    assert check(file_engine, quick=True) == []


def test_a_reference_without_a_name_is_called_by_its_columns(tmp_path: Path) -> None:
    engine = open_engine(tmp_path / "app.db")
    parent = "CREATE TABLE p (id INTEGER PRIMARY KEY)"
    script = f"{parent}; CREATE TABLE c (a REFERENCES p, b CONSTRAINT named REFERENCES p)"
    for statement in script.split(";"):
        engine.write(statement)
    engine.execute("PRAGMA foreign_keys = OFF")
    engine.write("INSERT INTO c VALUES (1, NULL), (NULL, 1), (2, 2)")
    engine.execute("PRAGMA foreign_keys = ON")

    findings = check(engine, expected=read_text(script))

    assert [(f.object, f.count) for f in findings] == [("named", 2), ("c(a)", 2)]
    engine.close()


def test_foreign_keys_that_are_off_are_noticed(file_engine: Engine) -> None:
    file_engine.execute("PRAGMA foreign_keys = OFF")

    assert ids(check(file_engine)) == ["DL-C040"]


def test_checking_writes_no_byte(file_engine: Engine) -> None:
    file_engine.write(
        f"INSERT INTO sessions (id, name, project_directory, project_hash) VALUES ('s', 'n', '/', '{HASH}')"
    )
    assert file_engine.path is not None
    files = [file_engine.path, file_engine.path.with_name(file_engine.path.name + "-wal")]
    before = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
    listing = sorted(entry.name for entry in file_engine.path.parent.iterdir())

    assert check(file_engine) == []

    assert [hashlib.sha256(file.read_bytes()).hexdigest() for file in files] == before
    assert sorted(entry.name for entry in file_engine.path.parent.iterdir()) == listing


def test_a_writer_is_not_in_the_way_of_a_check(file_engine: Engine) -> None:
    other = open_engine(str(file_engine.path))
    with other.transaction():
        other.write("DELETE FROM migrations")

        assert check(file_engine) == []
    other.close()


def test_a_file_that_is_no_database_is_refused(file_engine: Engine) -> None:
    assert file_engine.path is not None
    file_engine.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    file_engine.path.write_bytes(b"no database, but long enough to be read as one" * 100)

    with pytest.raises(DatabaseCorrupt, match="not a database"):
        check(file_engine)


def damage(path: Path, position: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(position)
        file.write(data)


@pytest.fixture
def filled(migrated_file: Path) -> Path:
    engine = open_engine(migrated_file)
    with engine.transaction():
        for number in range(400):
            engine.write(
                "INSERT INTO sessions (id, name, project_directory, project_hash, task_description)"
                " VALUES (?, ?, '/', ?, ?)",
                (f"s{number}", "n", HASH, "x" * 300),
            )
    engine.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    engine.close()
    return migrated_file


def test_damaged_pages_are_findings_and_not_errors(filled: Path) -> None:
    connection = sqlite3.connect(filled)
    [(root,)] = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'sessions'").fetchall()
    connection.close()
    damage(filled, (root - 1) * 4096 + 8, b"\xff" * 64)
    engine = open_engine(filled)

    findings = check(engine)

    assert "DL-C001" in ids(findings)
    assert all(finding.severity == "error" for finding in findings if finding.id == "DL-C001")
    engine.close()


def test_a_damaged_schema_page_is_a_finding(filled: Path) -> None:
    engine = open_engine(filled)
    damage(filled, 100, b"\xff" * 400)

    findings = check(engine)

    assert "DL-C013" in ids(findings)
    engine.close()


def test_an_index_that_lost_rows_can_be_made_again(filled: Path) -> None:
    connection = sqlite3.connect(filled)
    connection.executescript("""
        PRAGMA writable_schema = ON;
        DELETE FROM sqlite_schema WHERE name = 'sessions_name';
    """)
    connection.execute("CREATE INDEX other ON sessions (name, id) WHERE id > 's2'")
    connection.execute(
        "UPDATE sqlite_schema SET name = 'sessions_name',"
        " sql = 'CREATE INDEX sessions_name ON sessions (name, id)' WHERE name = 'other'"
    )
    connection.commit()
    connection.close()
    engine = open_engine(filled)

    findings = [finding for finding in check(engine) if finding.id == "DL-C002"]

    assert findings
    assert {(finding.object, finding.repair) for finding in findings} == {("sessions_name", "automatic")}
    engine.close()


def test_stored_values_that_break_a_rule_are_counted_by_its_name(filled: Path) -> None:
    connection = sqlite3.connect(filled)
    connection.execute("PRAGMA ignore_check_constraints = ON")
    connection.execute("UPDATE sessions SET is_regex_active = 7 WHERE id IN ('s1', 's2')")
    connection.commit()
    connection.close()
    engine = open_engine(filled)

    [finding] = check(engine)

    assert (finding.id, finding.table, finding.repair) == ("DL-C003", "sessions", "lossy")
    assert (finding.object, finding.count) == ("sessions_is_regex_active_bool", 2)
    engine.close()


def test_missing_values_and_values_of_another_type_are_named_with_their_column(tmp_path: Path) -> None:
    script = "CREATE TABLE t (a INTEGER NOT NULL, b INTEGER) STRICT"
    connection = sqlite3.connect(tmp_path / "app.db", isolation_level=None)
    connection.execute("CREATE TABLE t (a INTEGER, b INTEGER)")
    connection.execute("INSERT INTO t VALUES (NULL, 'text')")
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute("UPDATE sqlite_schema SET sql = ?", (script,))
    connection.close()
    engine = open_engine(tmp_path / "app.db")

    found = check(engine, expected=read_text(script))

    assert [(f.id, f.table, f.object) for f in found] == [("DL-C005", "t", "a"), ("DL-C006", "t", "b")]
    engine.close()


def test_a_rule_that_this_sqlite_cannot_compute_is_a_warning(tmp_path: Path) -> None:
    script = "CREATE TABLE t (a TEXT CHECK (known_elsewhere(a)))"
    connection = sqlite3.connect(tmp_path / "app.db")
    connection.create_function("known_elsewhere", 1, len)
    connection.execute(script)
    connection.close()
    engine = open_engine(tmp_path / "app.db")

    [finding] = check(engine, with_schema=False)

    assert (finding.id, finding.severity, finding.table) == ("DL-C004", "warning", "t")
    engine.close()


def test_an_invalid_index_and_an_unvalidated_constraint_are_found(migrated_postgres: str) -> None:
    engine = open_engine(migrated_postgres)
    engine.execute("INSERT INTO key_value_store (key, value) VALUES ('a', '1'), ('b', '1')")
    with pytest.raises(Exception, match="taken"):
        engine.execute("CREATE UNIQUE INDEX CONCURRENTLY doubled ON key_value_store (value)")
    engine.execute("ALTER TABLE key_value_store ADD CONSTRAINT short CHECK (length(key) < 1) NOT VALID")

    found = {(finding.id, finding.table, finding.object, finding.severity) for finding in check(engine)}

    assert found == {
        ("DL-C050", "key_value_store", "doubled", "error"),
        ("DL-C051", "key_value_store", "short", "error"),
    }
    engine.close()


def test_a_trigger_whose_function_was_changed_is_found(migrated_postgres: str) -> None:
    engine = open_engine(migrated_postgres)
    engine.execute(
        "CREATE OR REPLACE FUNCTION background_jobs_final() RETURNS trigger LANGUAGE plpgsql"
        " AS 'BEGIN RETURN NEW; END'"
    )

    [finding] = check(engine)

    assert (finding.id, finding.object) == ("DL-C021", "background_jobs_final")
    engine.close()


def test_types_and_nullability_are_compared_on_postgresql(migrated_postgres: str) -> None:
    engine = open_engine(migrated_postgres)
    engine.execute(
        "ALTER TABLE sessions ALTER COLUMN model_used TYPE varchar(50),"
        " ALTER COLUMN title_regex DROP NOT NULL"
    )
    engine.execute('ALTER TABLE sessions ALTER COLUMN search_term TYPE text COLLATE "default"')
    engine.execute("ALTER TABLE sessions DROP CONSTRAINT sessions_project_hash_length")

    findings = check(engine)

    assert [finding.message for finding in findings] == [
        "table sessions is changed: column search_term has the collation of the database, expected C;"
        " column title_regex is nullable; column model_used is character varying(50), expected text",
        "constraint sessions_project_hash_length of sessions is missing",
    ]
    engine.close()


def test_rows_that_break_a_constraint_behind_not_valid_are_counted_with_their_keys(
    postgres_database: str,
) -> None:
    engine = open_engine(postgres_database)
    engine.execute("CREATE TABLE p (id bigint PRIMARY KEY)")
    engine.execute("CREATE TABLE c (id bigint PRIMARY KEY, p bigint, n int)")
    engine.execute("INSERT INTO c VALUES (1, 7, 1), (2, NULL, -1), (3, 8, -2)")
    engine.execute("ALTER TABLE c ADD CONSTRAINT c_p FOREIGN KEY (p) REFERENCES p NOT VALID")
    engine.execute("ALTER TABLE c ADD CONSTRAINT c_n CHECK (n > 0) NOT VALID")

    findings = check(engine, with_schema=False)
    quick = check(engine, with_schema=False, quick=True)

    assert {(one.id, one.object, one.severity, one.count): list(one.rows) for one in findings} == {
        ("DL-C051", "c_p", "error", 2): [{"id": 1}, {"id": 3}],
        ("DL-C051", "c_n", "error", 2): [{"id": 2}, {"id": 3}],
    }
    assert [(one.object, one.severity) for one in quick] == [("c_n", "warning"), ("c_p", "warning")]
    engine.close()


def test_a_sequence_behind_its_column_is_found_on_postgresql(postgres_database: str) -> None:
    engine = open_engine(postgres_database)
    engine.execute("CREATE TABLE t (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY)")
    engine.execute("INSERT INTO t DEFAULT VALUES")
    assert check(engine, with_schema=False) == []
    engine.execute("INSERT INTO t VALUES (5)")

    [finding] = check(engine, with_schema=False)

    assert (finding.id, finding.table, finding.object, finding.count) == ("DL-C011", "t", "id", 4)
    engine.close()


@pytest.mark.slow
def test_many_dead_rows_are_told_until_they_are_gone(postgres_database: str) -> None:
    engine = open_engine(postgres_database)
    engine.execute("CREATE TABLE t (id int, note text) WITH (autovacuum_enabled = off)")
    engine.execute("INSERT INTO t SELECT n, repeat('x', 400) FROM generate_series(1, 100000) n")
    flush = "SELECT pg_stat_force_next_flush()"

    engine.execute("DELETE FROM t WHERE id > 10")
    engine.execute(flush)
    [finding] = check(engine, with_schema=False)
    assert (finding.id, finding.severity, finding.table, finding.count) == (
        "DL-C055",
        "warning",
        "t",
        99_990,
    )
    engine.execute("VACUUM t")
    engine.execute(flush)
    assert check(engine, with_schema=False) == []
    engine.close()


def test_dead_rows_that_statistics_tell_of_and_no_page_holds_are_no_finding(postgres_database: str) -> None:
    late, other = open_engine(postgres_database), open_engine(postgres_database)
    late.execute("CREATE TABLE t (id int) WITH (autovacuum_enabled = off)")
    late.execute("SELECT pg_stat_force_next_flush()")
    late.execute("SELECT 1")
    # what it deletes it reports a second later, or when asked to
    late.execute("INSERT INTO t SELECT generate_series(1, 60000)")
    late.execute("DELETE FROM t")
    other.execute("TRUNCATE t")
    other.execute("SELECT pg_stat_force_next_flush()")
    late.execute("SELECT pg_stat_force_next_flush()")

    assert check(late, with_schema=False) == []
    late.close()
    other.close()


def test_a_migration_that_was_changed_since_is_found(migrated: Engine) -> None:
    migrated.write(
        "UPDATE migrations_journal SET checksum_raw = 'a', checksum_norm = 'b' WHERE name = '0001_foundation'"
    )

    [finding] = check(migrated)

    assert (finding.id, finding.object, finding.severity) == ("DL-C032", "0001_foundation", "error")
