"""Numbered files that do more than declare come to the same on both engines, whichever their words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.migration_folder import make_folder

from datalayer.engine.connection import Engine
from datalayer.errors import MigrationRefused
from datalayer.schema.change.consent import Consent
from datalayer.schema.migrator import MigrationResult, migrate
from datalayer.schema.numbered import journal
from datalayer.schema.numbered.folder import Folder
from datalayer.schema.numbered.words import guess_dialect
from datalayer.schema.target import target_of

NO_BACKUP = Consent(skip_backup=True)
BOTH = pytest.mark.parametrize("engine", ["memory", "postgresql"], indirect=True)
SERVER = pytest.mark.parametrize("engine", ["postgresql"], indirect=True)


def bring(engine: Engine, root: Path, to: str | None = None, **files: str) -> MigrationResult:
    make_folder(
        root, {f"{name}.py" if "def up" in text else f"{name}.sql": text for name, text in files.items()}
    )
    target = target_of(folder=root, to=to)
    return migrate(engine, target, consent=NO_BACKUP, store_of=lambda of: of)


NOTES = """CREATE TABLE "Notes" (id INTEGER PRIMARY KEY, title TEXT NOT NULL, junk TEXT);
CREATE TABLE tags (note INTEGER NOT NULL REFERENCES "Notes" (id) ON DELETE CASCADE, tag TEXT);
CREATE TRIGGER notes_told AFTER INSERT ON "Notes" BEGIN INSERT INTO tags VALUES (new.id, 'new'); END;
CREATE VIEW titles AS SELECT title FROM "Notes";"""
RECREATED = """DROP VIEW titles;
CREATE TABLE made (id INTEGER PRIMARY KEY, title TEXT NOT NULL, done INTEGER NOT NULL DEFAULT 0
    CHECK (done IN (0, 1)));
INSERT INTO made (id, title) SELECT id, upper(title) FROM "Notes";
DROP TABLE notes;
ALTER TABLE made RENAME TO "Notes";
CREATE VIEW titles AS SELECT title FROM "Notes";"""
KINDS = """CREATE TABLE kind (
    id INTEGER PRIMARY KEY, name TEXT, is_own INTEGER NOT NULL CHECK (is_own IN (0, 1))
);
INSERT INTO kind (name, is_own) VALUES ('x', 1), ('y', 0);
ALTER TABLE tags ADD COLUMN kind INTEGER;
UPDATE tags SET kind = (SELECT max(id) FROM kind);
INSERT INTO kind (name, is_own) SELECT tag, is_own FROM kind, tags WHERE kind.id = 1;
DROP TRIGGER IF EXISTS notes_told;
CREATE TABLE copied AS SELECT tag FROM tags;"""
PYTHON = """def up(engine):
    engine.write("INSERT INTO tags VALUES (1, 'by python', 1)")
"""
NAMES = """ALTER TABLE Tags RENAME COLUMN TAG TO label;
ALTER TABLE tags RENAME TO labels;
UPDATE labels SET label = label || '!' WHERE note = 1;
ALTER TABLE labels DROP COLUMN kind;
DELETE FROM labels WHERE note = 2;"""


@BOTH
def test_files_that_change_rows_drop_and_rename_come_to_the_same(engine: Engine, tmp_path: Path) -> None:
    bring(engine, tmp_path / "m", **{"0001_notes": NOTES})
    engine.write("""INSERT INTO "Notes" (title) VALUES ('a'), ('b')""")

    done = bring(
        engine,
        tmp_path / "m",
        **{
            "0002_recreated": RECREATED,
            "0003_kinds": KINDS,
            "0004_rows": PYTHON,
            "0005_names": NAMES,
        },
    )
    engine.write("""INSERT INTO "Notes" (title) VALUES ('c')""")
    engine.write("INSERT INTO kind (name, is_own) SELECT name, is_own FROM kind WHERE id = 1")

    assert done.applied == ("0002_recreated", "0003_kinds", "0004_rows", "0005_names")
    assert engine.fetch_all("SELECT * FROM titles ORDER BY title") == [("A",), ("B",), ("c",)]
    assert engine.fetch_all("SELECT id, name FROM kind ORDER BY id") == [
        (1, "x"),
        (2, "y"),
        (3, "new"),
        (4, "new"),
        (5, "x"),
    ]
    assert engine.fetch_all("SELECT * FROM labels ORDER BY label") == [(1, "by python!"), (1, "new!")]
    assert engine.fetch_all("SELECT * FROM copied") == [("new",), ("new",)]
    rows = journal.read(engine)[1:]
    assert [(row.kind, row.state, row.statements) for row in rows[1:]] == [
        ("sql", "applied", 7),
        ("python", "applied", 1),
        ("sql", "applied", 5),
    ]
    assert rows[0].shape_before != rows[0].shape_after == rows[1].shape_before
    assert bring(engine, tmp_path / "m").nothing_to_do
    engine.write("""DELETE FROM "Notes" WHERE id = 1""")
    with pytest.raises(MigrationRefused, match=r"0001_notes\.sql was changed after it had been applied"):
        bring(engine, tmp_path / "m", **{"0001_notes": NOTES.replace("junk", "other")})


@BOTH
def test_to_stops_behind_a_file_and_a_failed_one_is_gone_on_with(engine: Engine, tmp_path: Path) -> None:
    one = "CREATE TABLE a (id INTEGER PRIMARY KEY, x TEXT);\nINSERT INTO a (x) VALUES ('k');"
    files = {"0001_one": one, "0002_two": "UPDATE a SET x = x || '1';\nUPDATE a SET x = nosuch;"}

    assert bring(engine, tmp_path / "m", to="0001_one", **files).applied == ("0001_one",)
    with pytest.raises(MigrationRefused, match=r"0002_two.sql:2: UPDATE a SET x = nosuch failed"):
        bring(engine, tmp_path / "m")
    bring(engine, tmp_path / "m", **{"0002_two": "UPDATE a SET x = x || '1';\nUPDATE a SET x = x || '2';"})

    assert engine.fetch_all("SELECT * FROM a") == [(1, "k12")]
    engine.write("INSERT INTO migrations (name) VALUES ('by old code')")
    assert bring(engine, tmp_path / "m").nothing_to_do
    assert journal.read(engine)[-1].name == "by old code"


@SERVER
def test_a_python_file_may_not_change_what_the_sql_files_declare(engine: Engine, tmp_path: Path) -> None:
    bring(engine, tmp_path / "m", **{"0001_a": "CREATE TABLE a (x INTEGER PRIMARY KEY);"})
    other = "def up(engine):\n    engine.write('CREATE TABLE own (x bigint)')\n"
    assert bring(engine, tmp_path / "m", **{"0002_own": other}).applied == ("0002_own",)

    with pytest.raises(MigrationRefused, match="it changes the table a"):
        bring(engine, tmp_path / "m", **{"0003_z": "def up(e):\n    e.write('ALTER TABLE a ADD y text')\n"})

    assert engine.columns("a") == ["x"]


@SERVER
def test_a_folder_of_postgresqls_own_words_is_run_as_it_is(engine: Engine, tmp_path: Path) -> None:
    own = 'CREATE TABLE "users" ("id" serial PRIMARY KEY NOT NULL, "name" varchar(20), "at" timestamptz);'
    plain = 'CREATE TABLE "plain" ("name" varchar(20));'
    bring(engine, tmp_path / "seen", **{"0001_seen": own})
    make_folder(tmp_path / "said", {"0001_said.sql": plain})
    (tmp_path / "said" / "meta").mkdir()
    entry = {"idx": 0, "version": "7", "when": 1, "tag": "0001_said", "breakpoints": True}
    document = {"version": "7", "dialect": "postgresql", "entries": [entry]}
    (tmp_path / "said" / "meta" / "_journal.json").write_text(json.dumps(document))

    bring(engine, tmp_path / "said")

    types = engine.fetch_all(
        "SELECT table_name, data_type FROM information_schema.columns"
        " WHERE table_name IN ('plain', 'users') ORDER BY table_name, ordinal_position"
    )
    assert types == [
        ("plain", "character varying"),
        ("users", "integer"),
        ("users", "character varying"),
        ("users", "timestamp with time zone"),
    ]


@pytest.mark.parametrize(
    ("provider", "words"), [("postgresql", "postgresql"), ("sqlite", "sqlite"), ("x", None)]
)
def test_prismas_lock_file_says_whose_words_its_files_are(tmp_path: Path, provider: str, words: str) -> None:
    (tmp_path / "20260101_a").mkdir()
    (tmp_path / "20260101_a" / "migration.sql").write_text('CREATE TABLE "a" ("x" TEXT);')
    (tmp_path / "migration_lock.toml").write_text(f'# by prisma\nprovider = "{provider}"\n')

    assert guess_dialect(Folder(tmp_path)) == words
