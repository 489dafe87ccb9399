"""Where a rule holds back: what was meant, what only real rows can tell, what is put right further on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import pytest
from support.rule_cases import write_files

from datalayer.errors import MigrationRefused
from datalayer.schema.numbered.folder import Folder
from datalayer.schema.validate import validate
from datalayer.schema.validate.folder import subject_of

USERS = """CREATE TABLE users (
    id INTEGER PRIMARY KEY,
    email TEXT NOT NULL,
    age TEXT,
    team INTEGER
);
"""
TEAMS = "CREATE TABLE teams (id INTEGER PRIMARY KEY);\n"


def swap(body: str, *, values: str = "id, email, age, team", before: str = "", after: str = "") -> str:
    return (
        f"{before}CREATE TABLE users_new ({body});\n"
        f"INSERT INTO users_new (id, email, age, team) SELECT {values} FROM users;\n"
        f"DROP TABLE users;\nALTER TABLE users_new RENAME TO users;\n{after}"
    )


def ids(folder: Path, target: Literal["sqlite", "d1"] = "sqlite") -> set[str]:
    return {one.id for one in validate(Folder(folder), target=target) if one.severity != "info"}


NULLABLE = "id INTEGER PRIMARY KEY, email TEXT, age TEXT, team INTEGER"


@pytest.mark.parametrize(
    ("name", "comment", "told"),
    [
        ("0002_rebuild", "", {"F004"}),
        ("0002_users_email_nullable", "", set()),
        ("0002_rebuild", "-- drops NOT NULL of email: it may be unknown\n", set()),
        ("0002_rebuild", "-- drops something of age\n", {"F004"}),
        ("0002_rebuild", "-- email\n", {"F004"}),
        ("0002_rebuild", "-- about\n-- email: dropped NOT NULL\n", set()),
        ("0002_rebuild", "-- email is needed\n\n-- nothing is dropped\n", {"F004"}),
        ("0002_rebuild", "-- email is needed\n\n-- datalayer:allow D002\n", {"F004"}),
    ],
)
def test_loss_is_meant_where_words_of_the_file_say_so(
    tmp_path: Path, name: str, comment: str, told: set[str]
) -> None:
    write_files(tmp_path, {"0001_users.sql": USERS, f"{name}.sql": swap(NULLABLE, before=comment)})

    assert ids(tmp_path) == told


def test_type_is_meant_to_change_where_the_copy_computes_it(tmp_path: Path) -> None:
    body = "id INTEGER PRIMARY KEY, email TEXT NOT NULL, age INTEGER, team INTEGER"
    bare = write_files(tmp_path / "bare", {"0001_users.sql": USERS, "0002_x.sql": swap(body)})
    cast = swap(body, values="id, email, CAST(age AS INTEGER), team")
    computed = write_files(tmp_path / "cast", {"0001_users.sql": USERS, "0002_x.sql": cast})

    assert (ids(bare), ids(computed)) == ({"F006"}, set())


@pytest.mark.parametrize(("is_not_null", "told"), [(True, {"F004"}), (False, set())])
def test_loss_is_meant_where_the_drizzle_snapshot_has_it(
    tmp_path: Path, is_not_null: bool, told: set[str]
) -> None:
    columns = {name: {"name": name, "notNull": False} for name in ("id", "email", "age", "team")}
    columns["email"]["notNull"] = is_not_null
    tables = {"users": {"name": "users", "columns": columns}}
    entries = [{"idx": n, "when": n, "tag": tag} for n, tag in enumerate(["0000_users", "0001_x"])]
    write_files(
        tmp_path,
        {
            "0000_users.sql": USERS,
            "0001_x.sql": swap(NULLABLE),
            "meta/_journal.json": json.dumps({"dialect": "sqlite", "entries": entries}),
            "meta/0000_snapshot.json": json.dumps({"id": "a", "prevId": "", "tables": tables}),
            "meta/0001_snapshot.json": json.dumps({"id": "b", "prevId": "a", "tables": tables}),
        },
    )

    assert ids(tmp_path) == told


@pytest.mark.parametrize(
    "body",
    [
        "id INTEGER PRIMARY KEY, email TEXT NOT NULL, age TEXT, team INTEGER REFERENCES teams (id)",
        "id INTEGER PRIMARY KEY, email TEXT NOT NULL CHECK (email LIKE '%@%'), age TEXT, team INTEGER",
        "id INTEGER PRIMARY KEY, email TEXT NOT NULL CHECK (json_valid(email)), age TEXT, team INTEGER",
        "id INTEGER PRIMARY KEY, email TEXT NOT NULL, age TEXT NOT NULL, team INTEGER UNIQUE",
    ],
)
def test_new_rule_over_old_values_is_for_the_rows_to_say(tmp_path: Path, body: str) -> None:
    write_files(tmp_path, {"0001_users.sql": f"{USERS}{TEAMS}", "0002_rule.sql": swap(body)})

    assert ids(tmp_path) == set()


@pytest.mark.parametrize(
    ("old", "new", "told"), [("CASCADE", "SET NULL", {"F005"}), ("NO ACTION", "CASCADE", set())]
)
def test_action_of_a_reference_is_lost_where_one_was_asked_for(
    tmp_path: Path, old: str, new: str, told: set[str]
) -> None:
    body = (
        "id INTEGER PRIMARY KEY, email TEXT NOT NULL, age TEXT, team INTEGER REFERENCES teams (id) ON DELETE"
    )
    users = f"{TEAMS}CREATE TABLE users ({body} {old});\n"
    write_files(tmp_path, {"0001_users.sql": users, "0002_x.sql": swap(f"{body} {new}")})

    assert ids(tmp_path) == told


def test_check_that_a_new_default_breaks_is_told(tmp_path: Path) -> None:
    text = "ALTER TABLE users ADD COLUMN status TEXT DEFAULT 'x' CHECK (status IN ('a', 'b'));\n"
    write_files(tmp_path, {"0001_users.sql": USERS, "0002_status.sql": text})

    assert ids(tmp_path) == {"D003", "X004"}


def test_children_that_are_saved_and_restored_are_not_lost(tmp_path: Path) -> None:
    children = "CREATE TABLE notes (\n    user_id INTEGER REFERENCES users (id) ON DELETE CASCADE\n);\n"
    body = "id INTEGER PRIMARY KEY, email TEXT NOT NULL, age TEXT, team INTEGER, name TEXT"
    save = "CREATE TABLE kept AS SELECT user_id FROM notes;\n"
    restore = "INSERT INTO notes (user_id) SELECT user_id FROM kept;\nDROP TABLE kept;\n"
    files = {"0001_users.sql": f"{USERS}{children}"}
    lost = write_files(tmp_path / "lost", {**files, "0002_name.sql": swap(body)})
    kept_text = swap(body, before=save, after=restore)
    kept = write_files(tmp_path / "kept", {**files, "0002_name.sql": kept_text})

    assert ids(lost, target="d1") == {"D002"}
    assert ids(kept, target="d1") == set()


def test_values_taken_over_by_an_update_are_a_copy(tmp_path: Path) -> None:
    text = "UPDATE users SET team = (SELECT min(id) FROM teams);\nDROP TABLE teams;\n"
    write_files(tmp_path, {"0001_users.sql": f"{USERS}{TEAMS}", "0002_merge.sql": text})

    assert ids(tmp_path) == set()


def test_folder_that_begins_elsewhere_is_told_of_once(tmp_path: Path) -> None:
    files = {
        f"000{n}_{name}.sql": f"ALTER TABLE {name} ADD COLUMN x TEXT;\n"
        for n, name in enumerate(["memo", "people", "tag"], 1)
    }
    write_files(tmp_path, files)

    found = [one for one in validate(Folder(tmp_path)) if one.id == "X001"]

    assert [Path(one.file).name for one in found] == ["0001_memo.sql"]


def test_python_file_may_have_made_what_is_missing(tmp_path: Path) -> None:
    write_files(
        tmp_path,
        {
            "0001_users.sql": USERS,
            "0002_more.py": "def up(store):\n    pass\n",
            "0003_use.sql": "ALTER TABLE settings ADD COLUMN x TEXT;\nALTER TABLE user ADD COLUMN x TEXT;\n",
        },
    )

    found = [one for one in validate(Folder(tmp_path)) if one.severity == "error"]

    # a name that is nearly a known one is a slip all the same
    assert [(one.id, one.line) for one in found] == [("X001", 2)]


def test_own_transaction_after_the_pragma_keeps_the_pragma(tmp_path: Path) -> None:
    body = "id INTEGER PRIMARY KEY, email TEXT NOT NULL, age TEXT, team INTEGER, name TEXT"
    text = swap(
        body, before="PRAGMA foreign_keys = OFF;\nBEGIN;\n", after="COMMIT;\nPRAGMA foreign_keys = ON;\n"
    )
    write_files(tmp_path, {"0001_users.sql": USERS, "0002_name.sql": text})

    assert ids(tmp_path) == {"T001"}


def test_drizzle_folder_by_a_wrangler_file_is_for_d1(tmp_path: Path) -> None:
    write_files(
        tmp_path,
        {"wrangler.toml": "", "db/drizzle/meta/_journal.json": '{"dialect": "sqlite", "entries": []}'},
    )

    assert subject_of(Folder(tmp_path / "db" / "drizzle")).target == "d1"


def test_endless_query_is_stopped(tmp_path: Path) -> None:
    text = "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n;\n"
    write_files(tmp_path, {"0001_users.sql": USERS, "0002_endless.sql": text})

    assert ids(tmp_path) == set()


def test_no_file_outside_is_reached(tmp_path: Path) -> None:
    victim = tmp_path / "victim.db"
    text = f"ATTACH '{victim}' AS v;\nCREATE TABLE v.t (x);\nVACUUM INTO '{victim}';\n"
    write_files(tmp_path / "m", {"0001_a.sql": text})

    validate(Folder(tmp_path / "m"))

    assert not victim.exists()


JOBS = "CREATE TABLE jobs (id bigint PRIMARY KEY, state text, CHECK (state <> 'lost'));\n"
BLOCK = (
    "DO $$ BEGIN\n CREATE TYPE state AS ENUM ('a', 'b');\n"
    "EXCEPTION WHEN duplicate_object THEN null;\nEND $$;\n"
)
# what stands in a second file, and whether the rule tells of it
_SAID = [
    ("X004", f"{BLOCK}ALTER TABLE jobs ADD COLUMN kind state DEFAULT 'a';\n", None),
    ("X004", f"{BLOCK}ALTER TABLE jobs ADD COLUMN kind state DEFAULT 'c';\n", "error"),
    ("X004", f"{BLOCK}ALTER TABLE jobs ADD COLUMN kind public.state DEFAULT E'b';\n", None),
    ("X004", "ALTER TYPE seen ADD VALUE 'x';\nALTER TABLE jobs ADD COLUMN kind seen DEFAULT 'y';\n", None),
    (
        "X004",
        "ALTER TABLE jobs ADD COLUMN kind text DEFAULT 'x';\nALTER TABLE jobs ADD CHECK (kind <> 'x');\n",
        "error",
    ),
    (
        "X004",
        "ALTER TABLE jobs ADD COLUMN kind text DEFAULT 'x', ALTER kind DROP DEFAULT,\n"
        "ADD CHECK (kind <> 'x');\n",
        None,
    ),
    ("X001", "CREATE TEMP TABLE job AS SELECT 1 AS x;\nINSERT INTO job VALUES (2);\n", None),
    ("X001", "CREATE TABLE app.parts (id int);\nALTER TABLE parts ADD COLUMN x int;\n", None),
    (
        "X001",
        "CREATE FUNCTION split() RETURNS void AS $$ $$ LANGUAGE sql;\nSELECT split();\nDELETE FROM jobs_1;\n",
        None,
    ),
    (
        "X001",
        "CREATE FUNCTION split() RETURNS void AS $$ $$ LANGUAGE sql;\nSELECT split();\nDELETE FROM jbos;\n",
        "error",
    ),
    ("D002", "DO $$ BEGIN\nCREATE TABLE kept AS SELECT * FROM jobs;\nDROP TABLE jobs;\nEND $$;\n", None),
    ("D002", "DO $$ BEGIN\nDROP TABLE jobs;\nEND $$;\n", "warning"),
    ("D003", "DELETE FROM jobs;\nALTER TABLE jobs ADD COLUMN kind text NOT NULL;\n", None),
    ("D003", "DELETE FROM jobs WHERE id = 1;\nALTER TABLE jobs ADD COLUMN kind text NOT NULL;\n", "error"),
    (
        "D003",
        "ALTER TABLE jobs ADD COLUMN kind text;\nDO $$ BEGIN UPDATE jobs SET kind = 'a'; END $$;\n"
        "ALTER TABLE jobs ALTER kind SET NOT NULL;\n",
        None,
    ),
    ("T001", "BEGIN;\nALTER TABLE jobs ADD COLUMN kind text;\nCOMMIT;\n", "warning"),
    ("T001", "BEGIN;\nDROP TABLE jobs;\nCOMMIT;\nCREATE TABLE a (id int);\n", "error"),
    (
        "T002",
        "-- +goose NO TRANSACTION\nCREATE TABLE a (id int);\nDROP INDEX CONCURRENTLY by_state;\n",
        "warning",
    ),
    (
        "T003",
        "-- migrate:up transaction:false\nALTER TYPE s ADD VALUE 'x';\nUPDATE jobs SET state = 'x';\n",
        None,
    ),
    (
        "T003",
        "ALTER TYPE s ADD VALUE 'x';\nDO $$ BEGIN DELETE FROM jobs WHERE state = 'x'; END $$;\n",
        "error",
    ),
    ("N001", "CREATE TABLE IF NOT EXISTS jobs (id int8 PRIMARY KEY, state text);\n", None),
    (
        "N003",
        "CREATE INDEX i ON jobs (id);\nCREATE INDEX IF NOT EXISTS i ON jobs (id) INCLUDE (state);\n",
        "error",
    ),
    ("N005", "DROP INDEX IF EXISTS jobs_by_state;\n", "info"),
    ("N005", "DROP INDEX IF EXISTS jobs_state_key;\nDROP TABLE IF EXISTS auth.users;\n", None),
    ("X001", "TRUNCATE job;\n", "error"),
    ("X001", "CREATE TABLE a (job bigint REFERENCES jobs (key));\n", "error"),
    (
        "X001",
        "CREATE TABLE a (LIKE jobs);\nCREATE INDEX i ON a (state);\nSELECT 1 AS x INTO b;\nDELETE FROM b;\n",
        None,
    ),
    ("D005", "CREATE TABLE a (at text DEFAULT (strftime('%s', 'now')));\n", "error"),
    ("D005", "CREATE TABLE [a] (id int);\n", "error"),
    ("D005", "CREATE TABLE a (\"autoincrement\" text DEFAULT 'COLLATE NOCASE');\n", None),
    ("L001", "ALTER TABLE jobs ADD COLUMN a int; SET lock_timeout = 100;\n", "warning"),
    ("L001", "SET lock_timeout = 0;\nALTER TABLE jobs ADD COLUMN a int;\n", "warning"),
    ("L001", "SELECT set_config('lock_timeout', '2s', true);\nALTER TABLE jobs ADD COLUMN a int;\n", None),
    ("L004", "ALTER TABLE jobs ALTER id SET NOT NULL;\n", None),
    (
        "L004",
        "ALTER TABLE jobs ADD CONSTRAINT c CHECK (state IS NOT NULL) NOT VALID;\n"
        "ALTER TABLE jobs ALTER state SET NOT NULL;\n",
        "warning",
    ),
    ("L005", "ALTER TABLE jobs SET TABLESPACE fast;\n", "warning"),
    (
        "L010",
        "SELECT pg_advisory_lock(1);\nSELECT pg_advisory_unlock(1);\nREINDEX TABLE CONCURRENTLY jobs;\n",
        None,
    ),
]


@pytest.mark.parametrize(("rule", "text", "severity"), _SAID)
def test_postgres_file_is_told_of_where_it_says_so(
    tmp_path: Path, rule: str, text: str, severity: str | None
) -> None:
    write_files(tmp_path, {"0001_jobs.sql": JOBS, "0002_next.sql": text})

    found = [one.severity for one in validate(Folder(tmp_path), dialect="postgresql") if one.id == rule]

    assert found == [severity][: severity is not None]


SWAP_OF_JOBS = """CREATE TABLE fresh (id bigint PRIMARY KEY, {body});
INSERT INTO fresh (id, {names}) SELECT id, {values} FROM jobs;
DROP TABLE jobs;
ALTER TABLE fresh RENAME TO jobs;
{after}"""
RICH_JOBS = """CREATE TABLE jobs (id bigint PRIMARY KEY, n int DEFAULT 1 CHECK (n > 0), UNIQUE (n, id),
    up bigint REFERENCES jobs (id) ON DELETE CASCADE);
CREATE TRIGGER seen AFTER INSERT ON jobs FOR EACH ROW EXECUTE FUNCTION f();
"""
_SAME = "n integer DEFAULT (1) CHECK (n > 0 AND n < 9), UNIQUE (id, n), up bigint REFERENCES jobs (id)"
_SEEN = "CREATE TRIGGER seen AFTER INSERT ON jobs FOR EACH ROW EXECUTE FUNCTION f();\n"


@pytest.mark.parametrize(
    ("body", "names", "values", "after", "told"),
    [
        (f"{_SAME} ON DELETE CASCADE", "n, up", "n, up", _SEEN, set()),
        (f"{_SAME} ON DELETE CASCADE", "n, up", "n, up", "", {"F001"}),
        (_SAME, "n, up", "n, up", _SEEN, {"F005"}),
        (f"{_SAME.replace('integer', 'text')} ON DELETE CASCADE", "n, up", "n, up", _SEEN, {"F006"}),
        (f"{_SAME.replace('integer', 'text')} ON DELETE CASCADE", "n, up", "n::text, up", _SEEN, set()),
        (
            "size int DEFAULT 1, up bigint REFERENCES jobs (id) ON DELETE CASCADE",
            "size, up",
            "n, up",
            _SEEN,
            set(),
        ),
    ],
)
def test_table_of_postgresql_made_anew_is_compared_by_meaning(
    tmp_path: Path, body: str, names: str, values: str, after: str, told: set[str]
) -> None:
    text = SWAP_OF_JOBS.format(body=body, names=names, values=values, after=after)
    write_files(tmp_path, {"0001_jobs.sql": RICH_JOBS, "0002_next.sql": text})

    found = {one.id for one in validate(Folder(tmp_path), dialect="postgresql") if one.id.startswith("F")}

    assert found == told


@pytest.mark.parametrize(
    ("rule", "text", "is_told"),
    [
        ("D001", "PRAGMA /* x */ main.foreign_keys = no;\n", True),
        ("D004", "WITH x AS (SELECT * FROM users) INSERT INTO users SELECT x.* FROM x;\n", True),
        ("X004", "CREATE TABLE a (s TEXT COLLATE NOCASE DEFAULT 'A' CHECK (s IN ('a')));\n", False),
        ("X004", "CREATE TABLE a (n TEXT DEFAULT 5 CHECK (n = '5'));\n", False),
        ("N004", "REINDEX;\n", False),
        ("F006", swap(NULLABLE.replace("age TEXT", "age TEXT COLLATE NOCASE")), False),
    ],
)
def test_sqlite_file_is_told_of_where_it_says_so(tmp_path: Path, rule: str, text: str, is_told: bool) -> None:
    write_files(tmp_path, {"0001_users.sql": USERS, "0002_next.sql": text})

    assert any(one.id == rule for one in validate(Folder(tmp_path), dialect="sqlite")) is is_told


def test_child_that_the_file_drops_too_is_not_told_with_its_parent(tmp_path: Path) -> None:
    notes = "CREATE TABLE notes (user_id INTEGER REFERENCES users (id) ON DELETE CASCADE);\n"
    gone = "DROP TABLE users;\nDROP TABLE notes;\n"
    write_files(tmp_path, {"0001_users.sql": USERS + notes, "0002_drop_users_and_notes.sql": gone})

    found = [one.severity for one in validate(Folder(tmp_path), target="d1") if one.id == "D002"]

    assert found == ["info", "info"]


def test_folder_of_mysql_is_not_judged(tmp_path: Path) -> None:
    write_files(tmp_path, {"0001_a.sql": "CREATE TABLE a (\n id int NOT NULL AUTO_INCREMENT\n);\n"})

    with pytest.raises(MigrationRefused, match=r"0001_a\.sql:1 is MySQL's"):
        validate(Folder(tmp_path))


def test_folder_of_prisma_may_be_called_like_a_file(tmp_path: Path) -> None:
    write_files(tmp_path, {"20240101_a.sql/migration.sql": "CREATE TABLE a (id integer);\n"})

    assert [file.name for file in Folder(tmp_path).files()] == ["20240101_a.sql"]
