"""Pending files tried on a copy of a SQLite database: rows, rules, and no harm to the file."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from datalayer.engine.connection import Engine
from datalayer.engine.opening import open_engine
from datalayer.errors import MigrationRefused
from datalayer.schema.numbered.folder import Folder
from datalayer.schema.rehearse.rehearsal import rehearse
from datalayer.schema.rehearse.report import Rehearsal

START = """
CREATE TABLE owner (id INTEGER PRIMARY KEY, name TEXT NOT NULL DEFAULT '' CHECK (name <> 'x'),
    mail TEXT UNIQUE, age INTEGER);
CREATE INDEX owner_name ON owner (name);
CREATE TRIGGER owner_touch AFTER UPDATE ON owner BEGIN SELECT 1; END;
CREATE TABLE pet (id INTEGER PRIMARY KEY, owner INTEGER NOT NULL REFERENCES owner (id) ON DELETE CASCADE);
CREATE TABLE flea (id INTEGER PRIMARY KEY, pet INTEGER NOT NULL REFERENCES pet (id) ON DELETE CASCADE);
CREATE TABLE letter (id INTEGER PRIMARY KEY, owner INTEGER REFERENCES owner (id) ON DELETE SET NULL);
"""
ROWS = """
INSERT INTO owner VALUES (1, 'a', 'a@x', 1), (2, 'b', NULL, NULL);
INSERT INTO pet VALUES (1, 1), (2, 1), (3, 2);
INSERT INTO flea VALUES (1, 1), (2, 3);
INSERT INTO letter VALUES (1, 1), (2, NULL);
"""
RECREATE = """
PRAGMA foreign_keys=OFF;
CREATE TABLE __new_owner (id INTEGER PRIMARY KEY, name TEXT NOT NULL DEFAULT '' CHECK (name <> 'x'),
    mail TEXT UNIQUE, age INTEGER, born TEXT);
INSERT INTO __new_owner (id, name, mail, age) SELECT id, name, mail, age FROM owner;
DROP TABLE owner;
ALTER TABLE __new_owner RENAME TO owner;
CREATE INDEX owner_name ON owner (name);
CREATE TRIGGER owner_touch AFTER UPDATE ON owner BEGIN SELECT 1; END;
PRAGMA foreign_keys=ON;
"""


class Place:
    """A database file with a folder of migrations beside it."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "app.db"
        self.folder = folder / "steps"
        self.folder.mkdir()
        self.engine: Engine = open_engine(self.file)
        for statement in (START + ROWS).split(";\n"):
            self.engine.execute(statement)

    def pending(self, text: str, name: str = "0001_next.sql") -> Place:
        (self.folder / name).write_text(text, encoding="utf-8")
        return self

    def rehearse(self, **options: object) -> Rehearsal:
        return rehearse(self.engine, Folder(self.folder), **options)  # type: ignore[arg-type]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    made.engine.close()


def copies() -> set[Path]:
    return set(Path(tempfile.gettempdir()).glob(f"datalayer-rehearsal-{os.getpid()}-*"))


def ids(done: Rehearsal) -> list[tuple[str, str, int]]:
    return [(one.id, one.severity, one.line) for one in done.findings]


def test_recreating_a_parent_in_a_transaction_wipes_its_children_and_is_an_error(place: Place) -> None:
    place.pending(RECREATE)

    done = place.rehearse(with_rows="real", as_tool="plain")
    first = next(one for one in done.findings if one.id == "D001")

    assert (first.severity, first.line) == ("error", 2)
    assert "pet (3 of 3 rows)" in first.message
    assert "flea (2 of 2 rows)" in first.message
    assert "letter.owner -> owner (1 of 1 references)" in first.message
    drop = next(one for one in done.statements if one.sql == "DROP TABLE owner")
    assert drop.rows == {"owner": (2, None), "pet": (3, 0), "flea": (2, 0)}
    assert drop.links == {"letter.owner -> owner": (1, 0)}
    also = [one.message for one in done.findings if one.id == "D002"]
    assert any("3 of the 3 rows of pet" in message for message in also)
    assert not done.is_clean


def test_the_same_file_is_harmless_as_this_package_runs_it(place: Place) -> None:
    place.pending(RECREATE)

    assert place.rehearse(as_tool="datalayer").findings == ()


def test_synthetic_rows_show_what_an_empty_database_hides(tmp_path: Path) -> None:
    engine = open_engine(tmp_path / "empty.db")
    for statement in START.split(";\n"):
        engine.execute(statement)
    steps = tmp_path / "steps"
    steps.mkdir()
    (steps / "0001_next.sql").write_text(RECREATE)

    real = rehearse(engine, Folder(steps), with_rows="real", as_tool="d1")
    made = rehearse(engine, Folder(steps), with_rows="synthetic", as_tool="d1")
    engine.close()

    assert [one.severity for one in real.findings] == ["warning"]
    assert "pet (3 of 3 rows)" in next(one.message for one in made.findings if one.id == "D001")
    assert made.filled["pet"] == 3


def test_the_database_is_not_written_and_no_copy_is_left(place: Place) -> None:
    place.pending(RECREATE).pending("DROP TABLE flea; UPDATE nowhere SET x = 1;", "0002_bad.sql")
    place.engine.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = (hashlib.sha256(place.file.read_bytes()).hexdigest(), place.file.stat().st_mtime_ns)
    left = copies()

    done = place.rehearse(as_tool="plain")

    assert done.statements[-1].error is not None
    assert (hashlib.sha256(place.file.read_bytes()).hexdigest(), place.file.stat().st_mtime_ns) == before
    assert copies() == left
    assert place.engine.fetch_one("SELECT count(*) FROM flea") == (2,)


def test_what_a_killed_rehearsal_left_goes_with_the_next(place: Place) -> None:
    # no process has this number: the kernel's are smaller
    leftover = Path(tempfile.gettempdir()) / "datalayer-rehearsal-99999999-x"
    leftover.mkdir(exist_ok=True)
    place.pending("CREATE TABLE more (id INTEGER PRIMARY KEY);")

    place.rehearse()

    assert not leftover.exists()


CASES = {
    "a table dropped with its rows": ("DROP TABLE flea;", [("D002", "error", 1)]),
    "rows that were moved before": (
        "CREATE TABLE bug (id INTEGER PRIMARY KEY, pet INTEGER);\n"
        "INSERT INTO bug SELECT id, pet FROM flea;\nDROP TABLE flea;",
        [],
    ),
    "a table dropped that others refer to": (
        "PRAGMA foreign_keys = OFF;\nDROP TABLE pet;",
        [("D002", "error", 2), ("X003", "error", 2)],
    ),
    "a column that rows cannot take": (
        "CREATE TABLE x (a);\nALTER TABLE owner ADD COLUMN n INTEGER NOT NULL;",
        [("D003", "error", 2)],
    ),
    "a default that changes from row to row": (
        "ALTER TABLE owner ADD COLUMN at TEXT DEFAULT CURRENT_TIMESTAMP;",
        [("D003", "error", 1)],
    ),
    "a unique index over equal values": (
        "CREATE UNIQUE INDEX pet_owner ON pet (owner);",
        [("D003", "error", 1)],
    ),
    "a name that is not there": ("UPDATE ownr SET name = 'y';", [("X001", "error", 1)]),
    "a statement that another object makes useless": (
        "CREATE TABLE IF NOT EXISTS owner (id INTEGER PRIMARY KEY, other TEXT);",
        [("N001", "error", 1), ("N004", "warning", 1)],
    ),
    "an index that is there": (
        "CREATE INDEX IF NOT EXISTS owner_name ON owner (name);\nCREATE TABLE y (a);",
        [("N002", "info", 1)],
    ),
    "nothing to drop": ("DROP TABLE IF EXISTS ghost;\nCREATE TABLE z (a);", [("N005", "info", 1)]),
    "a file of comments": ("-- later\n", [("N004", "warning", 1)]),
    "a plain change": ("ALTER TABLE owner ADD COLUMN note TEXT;", []),
    "some orphans": ("DELETE FROM owner WHERE id = 1;", [("D002", "error", 1)]),
    "orphans": ("DELETE FROM owner;", [("D002", "error", 1)]),
    "a recreation that forgets": (
        "CREATE TABLE n (id INTEGER PRIMARY KEY, name TEXT, age TEXT);\n"
        "INSERT INTO n SELECT id, name, age FROM owner;\nDROP TABLE owner;\nALTER TABLE n RENAME TO owner;",
        [
            ("F001", "error", 3),
            ("F001", "error", 3),
            ("F002", "error", 3),
            ("F003", "error", 3),
            ("F004", "error", 3),
            ("F006", "error", 3),
            ("F006", "warning", 3),
            ("F006", "warning", 3),
        ],
    ),
    "a recreation that forgets rows and the reference": (
        "CREATE TABLE n (id INTEGER PRIMARY KEY, owner INTEGER NOT NULL);\n"
        "INSERT INTO n SELECT id, owner FROM pet WHERE id > 1;\nDELETE FROM flea;\nDROP TABLE pet;\n"
        "ALTER TABLE n RENAME TO pet;",
        [("D002", "error", 4), ("F005", "error", 4)],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_each_defect_is_found_by_its_rule(place: Place, name: str) -> None:
    text, expected = CASES[name]

    assert ids(place.pending(text).rehearse(with_rows="real")) == expected


def test_a_deletion_that_cascades_is_told_where_references_are_enforced(place: Place) -> None:
    done = place.pending("DELETE FROM owner WHERE id = 1;").rehearse(with_rows="real", as_tool="plain")

    assert ids(done) == [("D002", "warning", 1), ("D002", "warning", 1), ("D002", "warning", 1)]
    assert done.statements[0].rows == {"owner": (2, 1), "pet": (3, 1), "flea": (2, 1)}


def test_children_saved_and_restored_are_no_finding_but_the_ignored_pragma(place: Place) -> None:
    text = RECREATE.replace(
        "DROP TABLE owner;",
        "CREATE TABLE kept AS SELECT * FROM pet; \n"
        "CREATE TABLE bites AS SELECT * FROM flea;\nDROP TABLE owner;",
    ).replace(
        "CREATE INDEX",
        "INSERT INTO pet SELECT * FROM kept; INSERT INTO flea SELECT * FROM bites;\n"
        "DROP TABLE kept; DROP TABLE bites; UPDATE letter SET owner = 1 WHERE id = 1;\nCREATE INDEX",
    )
    done = place.pending(text).rehearse(with_rows="real", as_tool="plain")

    assert ids(done) == [("D001", "warning", 2)]


def test_a_file_that_steers_the_transaction_itself_fails_where_the_tool_does(place: Place) -> None:
    place.pending("BEGIN;\nCREATE TABLE x (a);\nCOMMIT;")

    assert ids(place.rehearse(as_tool="plain")) == [("T001", "error", 1)]
    assert ids(place.rehearse(as_tool="datalayer")) == []


def test_python_files_are_called_with_a_store_of_the_copy(place: Place) -> None:
    place.pending("def up(store):\n    store.execute('DELETE FROM flea')\n", "0001_clean.py")

    done = place.rehearse(with_rows="real", store_of=lambda engine: engine)

    assert done.statements[0].rows == {"flea": (2, 0)}
    assert place.engine.fetch_one("SELECT count(*) FROM flea") == (2,)
    with pytest.raises(MigrationRefused, match="no store"):
        place.rehearse()


def test_later_files_see_what_earlier_ones_made(place: Place) -> None:
    place.pending("CREATE TABLE x (a TEXT);").pending("INSERT INTO x VALUES ('1');", "0002_fill.sql")

    done = place.rehearse()

    assert done.files == ("0001_next", "0002_fill")
    assert done.statements[1].rows == {"x": (0, 1)}
    assert done.is_clean


def test_nothing_pending_is_nothing_to_rehearse(place: Place) -> None:
    done = place.rehearse()

    assert (done.files, done.statements, done.findings) == ((), (), ())


def test_a_file_cannot_reach_another_database(place: Place, tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    place.pending(f"ATTACH '{place.file}' AS real;\nDROP TABLE real.flea;").pending(
        f"VACUUM INTO '{other}';", "0002_copy.sql"
    )

    assert ids(place.rehearse(as_tool="plain")) == [("failed", "error", 1)]
    assert ids(place.rehearse(as_tool="datalayer")) == [("D005", "error", 1)]
    assert not other.exists()


D1_REFUSES = (
    "PRAGMA journal_mode = WAL;",
    "CREATE TEMP TABLE t (a);",
    "SAVEPOINT s;",
    "PRAGMA user_version = 3;",
)


@pytest.mark.parametrize("text", D1_REFUSES)
def test_what_d1_refuses_fails_there_alone(place: Place, text: str) -> None:
    place.pending(text)

    assert ids(place.rehearse(as_tool="d1")) == [("D005", "error", 1)]
    assert "error" not in [one.severity for one in place.rehearse(as_tool="datalayer").findings]


@pytest.mark.slow
def test_a_rehearsal_that_is_killed_leaves_the_database_as_it_was(place: Place, tmp_path: Path) -> None:
    place.pending("CREATE TABLE x (a);").pending(
        "def up(store):\n    print('here', flush=True)\n    input()\n", "2_x.py"
    )
    place.engine.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = hashlib.sha256(place.file.read_bytes()).hexdigest()
    code = (
        "import sys; from pathlib import Path; from datalayer.engine.opening import open_engine;"
        "from datalayer.schema.numbered.folder import Folder;"
        "from datalayer.schema.rehearse.rehearsal import rehearse;"
        "rehearse(open_engine(sys.argv[1]), Folder(Path(sys.argv[2])), store_of=lambda engine: engine)"
    )
    command = [sys.executable, "-c", code, str(place.file), str(place.folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "here\n"
        left = list(Path(tempfile.gettempdir()).glob(f"datalayer-rehearsal-{process.pid}-*"))
        process.kill()

    assert len(left) == 1
    place.rehearse(to="0001_next")
    assert not left[0].exists()
    assert hashlib.sha256(place.file.read_bytes()).hexdigest() == before
