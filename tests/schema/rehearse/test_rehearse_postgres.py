"""Pending files tried on a copy of a PostgreSQL database: locks, rewrites, scans, rows; no harm to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from datalayer.engine.connection import Engine
from datalayer.engine.opening import open_engine
from datalayer.errors import MigrationRefused
from datalayer.schema import catalog
from datalayer.schema.numbered.folder import Folder
from datalayer.schema.rehearse.rehearsal import rehearse
from datalayer.schema.rehearse.report import Rehearsal

START = """
CREATE TABLE owner (id integer PRIMARY KEY, name text NOT NULL, age integer, born timestamp);
CREATE TABLE pet (id integer PRIMARY KEY, owner integer REFERENCES owner (id) ON DELETE CASCADE,
    mate integer, name varchar(10));
CREATE INDEX pet_name ON pet (name);
INSERT INTO owner SELECT n, 'o' || n, n FROM generate_series(1, 20) AS n;
INSERT INTO pet SELECT n, n, n, 'p' || n FROM generate_series(1, 20) AS n;
"""


class Place:
    """A database with a folder of migrations."""

    def __init__(self, url: str, folder: Path) -> None:
        self.engine: Engine = open_engine(url)
        self.engine.execute(START)
        self.folder = folder

    def pending(self, text: str, name: str = "0001_next.sql") -> Place:
        (self.folder / name).write_text(text, encoding="utf-8")
        return self

    def rehearse(self, **options: object) -> Rehearsal:
        return rehearse(self.engine, Folder(self.folder), **options)  # type: ignore[arg-type]

    def copies(self) -> list[tuple[object, ...]]:
        return self.engine.fetch_all(
            "SELECT datname FROM pg_database WHERE datname LIKE 'datalayer_rehearsal%'"
        )


@pytest.fixture
def place(tmp_path: Path, postgres_database: str) -> Iterator[Place]:
    made = Place(postgres_database, tmp_path)
    yield made
    made.engine.close()


def ids(done: Rehearsal) -> list[str]:
    return [one.id for one in done.findings]


CASES = {
    "an index": ("CREATE INDEX pet_mate ON pet (mate);", ["L002"]),
    "an index aside": ("CREATE INDEX CONCURRENTLY pet_mate ON pet (mate);", []),
    "a reference": (
        "ALTER TABLE pet ADD CONSTRAINT pet_mate FOREIGN KEY (mate) REFERENCES pet (id);",
        ["L003"],
    ),
    "a reference without proof": (
        "ALTER TABLE pet ADD CONSTRAINT pet_mate FOREIGN KEY (mate) REFERENCES pet (id) NOT VALID;",
        [],
    ),
    "a check": ("ALTER TABLE pet ADD CONSTRAINT pet_good CHECK (id > 0);", ["L003"]),
    "a check proved under its own lock": (
        "ALTER TABLE pet ADD CONSTRAINT pet_good CHECK (id > 0) NOT VALID;\n"
        "ALTER TABLE pet VALIDATE CONSTRAINT pet_good;",
        ["L007"],
    ),
    "not null": ("ALTER TABLE pet ALTER name SET NOT NULL;", ["L004"]),
    "a default for each row": ("ALTER TABLE pet ADD COLUMN key uuid DEFAULT gen_random_uuid();", ["L008"]),
    "one default": ("ALTER TABLE pet ADD COLUMN good boolean NOT NULL DEFAULT TRUE;", []),
    "another type": ("ALTER TABLE owner ALTER age TYPE bigint;", ["L009"]),
    "a wider type": ("ALTER TABLE pet ALTER name TYPE varchar(20);", []),
    "a rewrite": ("CLUSTER pet USING pet_name;", ["L005"]),
    "rows dropped": ("DROP TABLE pet;", ["D002"]),
    "an index that is there": ("CREATE INDEX IF NOT EXISTS pet_name ON pet (name);", ["N002", "N004"]),
    "another index of that name": (
        "CREATE INDEX IF NOT EXISTS pet_name ON pet (mate);\nCREATE TABLE x (id integer);",
        ["N001"],
    ),
    "only without rows": ("ALTER TABLE pet ADD COLUMN n integer NOT NULL;", ["D003"]),
    "no such column": ("UPDATE pet SET nmae = 'x';", ["X001"]),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_each_defect_is_found_by_its_rule(place: Place, name: str) -> None:
    text, expected = CASES[name]

    assert ids(place.pending(text).rehearse(with_rows="real")) == expected


def test_locks_rewrites_and_scans_are_told_of_each_statement(place: Place) -> None:
    place.pending(
        "ALTER TABLE owner ALTER age TYPE bigint;\n"
        "ALTER TABLE pet ADD CONSTRAINT pet_mate FOREIGN KEY (mate) REFERENCES owner (id);\n"
        "DELETE FROM owner WHERE id = 1;"
    )

    first, second, third = place.rehearse(with_rows="real").statements

    assert (first.locks, first.rewrites) == ((("owner", "AccessExclusiveLock"),), ("owner",))
    assert (second.locks, second.scans) == ((("pet", "ShareRowExclusiveLock"),), ("pet",))
    assert third.rows == {"owner": (20, 19), "pet": (20, 19)}


@pytest.mark.slow
def test_other_tools_wait_for_locks_without_end_and_cannot_go_concurrently(place: Place) -> None:
    place.pending("ALTER TABLE pet ADD COLUMN note text;").pending(
        "CREATE INDEX CONCURRENTLY pet_mate ON pet (mate);", "0002_index.sql"
    )

    assert ids(place.rehearse(as_tool="plain")) == ["L001", "L006"]


def test_the_original_is_not_touched_and_no_copy_is_left(place: Place) -> None:
    before = catalog.read(place.engine), place.engine.fetch_all("SELECT * FROM pet ORDER BY id")
    place.pending("ALTER TABLE pet ADD COLUMN note text; DELETE FROM pet;").pending(
        "DROP TABLE no;", "0002_x.sql"
    )

    place.rehearse()

    assert (catalog.read(place.engine), place.engine.fetch_all("SELECT * FROM pet ORDER BY id")) == before
    assert place.copies() == []


@pytest.mark.slow
def test_a_database_in_use_is_copied_all_the_same(place: Place, postgres_database: str) -> None:
    place.pending("DELETE FROM owner WHERE id <= 5;")
    with psycopg.connect(postgres_database) as other:
        other.execute("SELECT 1")

        done = place.rehearse(with_rows="real")

    assert done.statements[0].rows == {"owner": (20, 15), "pet": (20, 15)}
    assert place.copies() == []


@pytest.mark.slow
def test_synthetic_rows_are_made_in_an_empty_copy(place: Place) -> None:
    place.pending("ALTER TABLE pet ADD COLUMN n integer NOT NULL;")

    done = place.rehearse(with_rows="synthetic")

    assert done.filled == {"owner": 3, "pet": 3}
    assert ids(done) == ["D003"]
    assert place.copies() == []


def test_a_copy_of_a_killed_rehearsal_goes_with_the_next(place: Place) -> None:
    place.engine.execute("CREATE DATABASE datalayer_rehearsal_1000000000_abcd")
    place.pending("CREATE TABLE x (id integer);")

    place.rehearse()

    assert place.copies() == []


@pytest.mark.slow
def test_a_role_that_may_not_make_a_copy_is_told_so(place: Place, postgres_database: str) -> None:
    place.engine.execute("CREATE ROLE small_role LOGIN")
    try:
        place.engine.execute("GRANT USAGE ON SCHEMA public TO small_role")
        small = open_engine(postgres_database.replace("postgres@", "small_role@", 1))
        place.pending("CREATE TABLE x (id integer);")
        with pytest.raises(MigrationRefused, match="may not create databases"):
            rehearse(small, Folder(place.folder))
        small.close()
    finally:
        place.engine.execute("DROP OWNED BY small_role")
        place.engine.execute("DROP ROLE small_role")


def test_what_reaches_beyond_the_copy_is_left_out_and_told(place: Place) -> None:
    place.pending(
        "CREATE ROLE datalayer_test_role;\nDO $$ BEGIN CREATE ROLE datalayer_test_role; END $$;\n"
        "COPY pet TO '/nowhere/pet';\nALTER TABLE pet ADD COLUMN note text;"
    )

    done = place.rehearse(with_rows="real")

    assert [(one.id, one.line) for one in done.findings] == [("beyond", 1), ("beyond", 2), ("beyond", 3)]
    assert done.is_clean
    assert place.engine.fetch_one("SELECT 1 FROM pg_roles WHERE rolname = 'datalayer_test_role'") is None
