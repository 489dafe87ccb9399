"""What migrate decides about a database that exists: its history, what may go, what belongs to others."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from datalayer.engine.connection import Engine, Options
from datalayer.engine.opening import open_engine
from datalayer.errors import MigrationRefused
from datalayer.schema.change.consent import Consent, parse_renames
from datalayer.schema.check import check
from datalayer.schema.history import applied_names
from datalayer.schema.migrator import MigrationResult, migrate
from datalayer.schema.numbered import journal
from datalayer.schema.target import target_of

NO_BACKUP = Consent(skip_backup=True)


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Engine]:
    engine = open_engine(tmp_path / "app.db")
    yield engine
    engine.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "migrations"
    place.mkdir()
    (place / "0001_people.sql").write_text("CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT);")
    (place / "0002_age.sql").write_text("ALTER TABLE people ADD COLUMN age INTEGER;")
    (place / "0003_name.sql").write_text("CREATE INDEX people_name ON people (name);")
    return place


def bring(
    engine: Engine, schema: str, consent: Consent = NO_BACKUP, *, plan: bool = False
) -> MigrationResult:
    assert engine.path is not None
    file = engine.path.with_suffix(".sql")
    file.write_text(schema)
    return migrate(engine, target_of(schema_file=file), consent=consent, plan=plan)


# -- history ---------------------------------------------------------------------------------------


def test_a_database_without_a_record_is_taken_over_by_its_shape(app: Engine, folder: Path) -> None:
    app.write("CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT, age INTEGER)")
    app.write("INSERT INTO people (name) VALUES ('Ann')")

    result = migrate(app, target_of(folder=folder), consent=NO_BACKUP)

    assert result.applied == ("0001_people", "0002_age", "0003_name")
    assert [(row.name, row.kind) for row in journal.read(app)] == [
        ("0001_people", "adopted"),
        ("0002_age", "adopted"),
        ("0003_name", "sql"),
    ]
    assert app.fetch_all("SELECT name, age FROM people") == [("Ann", None)]
    assert migrate(app, target_of(folder=folder)).nothing_to_do


def test_rows_of_files_behind_the_shape_come_once(app: Engine, folder: Path) -> None:
    app.write("CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT)")
    (folder / "0004_rows.sql").write_text("INSERT INTO people (name) VALUES ('Ann');")

    migrate(app, target_of(folder=folder), consent=NO_BACKUP)

    assert app.fetch_all("SELECT name FROM people") == [("Ann",)]


def test_names_that_old_code_recorded_are_journalled_and_its_table_stays_readable(
    app: Engine, folder: Path
) -> None:
    app.write(
        "CREATE TABLE migrations (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE,"
        " applied_at DATETIME DEFAULT CURRENT_TIMESTAMP)"
    )
    app.write("CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT)")
    app.write("INSERT INTO migrations (name) VALUES ('0001_people')")

    result = migrate(app, target_of(folder=folder), consent=NO_BACKUP)
    app.write("INSERT INTO migrations (name) VALUES ('by old code')")

    assert result.applied == ("0002_age", "0003_name")
    assert [row.checksum_raw is not None for row in journal.read(app)] == [True, True, True]
    assert applied_names(app) == ("0001_people", "0002_age", "0003_name", "by old code")


def test_a_shape_that_no_file_made_is_reached_by_what_differs(app: Engine, folder: Path) -> None:
    app.write("CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT NOT NULL, age REAL)")
    app.write("INSERT INTO people (name, age) VALUES ('Ann', 41.0)")

    result = migrate(app, target_of(folder=folder), consent=NO_BACKUP)

    assert result.applied == ("0001_people", "0002_age", "0003_name")
    assert app.fetch_all("SELECT name, age, typeof(age) FROM people") == [("Ann", 41, "integer")]
    assert migrate(app, target_of(folder=folder)).nothing_to_do


def test_a_change_by_hand_is_undone_after_the_files(app: Engine, folder: Path) -> None:
    migrate(app, target_of(folder=folder))
    app.write("DROP INDEX people_name")
    app.write("ALTER TABLE people ADD COLUMN stray TEXT")

    result = migrate(app, target_of(folder=folder), consent=NO_BACKUP)

    assert result.created == ("index people_name",)
    assert app.columns("people") == ["id", "name", "age"]


def test_a_statement_that_no_history_lets_pass_is_named_with_its_own_file(app: Engine, folder: Path) -> None:
    app.write("CREATE TABLE other (x INTEGER)")
    (folder / "0003_name.sql").write_text("-- an index\n\nCREATE INDEX people_name ON people (nosuch);")

    with pytest.raises(MigrationRefused, match=r"0003_name\.sql:3: CREATE INDEX") as refused:
        migrate(app, target_of(folder=folder), consent=NO_BACKUP)

    assert "nosuch" in str(refused.value.why)


def test_to_stops_at_a_file(app: Engine, folder: Path) -> None:
    first = migrate(app, target_of(folder=folder, to="0002_age"))
    rest = migrate(app, target_of(folder=folder))

    assert first.applied == ("0001_people", "0002_age")
    assert rest.applied == ("0003_name",)


def test_a_python_file_gets_what_the_caller_makes(app: Engine, folder: Path) -> None:
    (folder / "0004_rows.py").write_text(
        "def up(store):\n    store.write('INSERT INTO people DEFAULT VALUES')\n"
    )

    result = migrate(app, target_of(folder=folder), consent=NO_BACKUP, store_of=lambda engine: engine)

    assert result.applied[-1] == "0004_rows"
    assert app.fetch_one("SELECT count(*) FROM people") == (1,)


# -- what belongs to others ------------------------------------------------------------------------


def test_tables_views_triggers_and_indexes_of_the_app_outlive_a_rebuild_of_ours(app: Engine) -> None:
    migrate(app)
    for sql in (
        "CREATE TABLE own (session_id TEXT REFERENCES sessions (id) ON DELETE CASCADE)",
        "CREATE VIEW own_view AS SELECT id, name FROM sessions",
        "CREATE TRIGGER own_trigger AFTER UPDATE ON sessions BEGIN INSERT INTO own VALUES (new.id); END",
        "CREATE INDEX own_index ON sessions (updated_at)",
        "DROP INDEX sessions_name",
        "ALTER TABLE sessions ADD COLUMN stray INTEGER",
    ):
        app.write(sql)

    migrate(app, consent=NO_BACKUP)

    names = {row[0] for row in app.fetch_all("SELECT name FROM sqlite_schema")}
    assert {"own", "own_view", "own_trigger", "own_index", "sessions_name"} <= names
    assert "stray" not in app.columns("sessions")
    assert [one.message for one in check(app) if one.severity == "error"] == []


def test_a_view_of_the_app_that_would_break_stops_the_migration(app: Engine) -> None:
    migrate(app)
    app.write("ALTER TABLE sessions ADD COLUMN stray INTEGER")
    app.write("CREATE VIEW own_view AS SELECT stray FROM sessions")

    with pytest.raises(MigrationRefused, match="view own_view"):
        migrate(app, consent=NO_BACKUP)

    assert app.fetch_all("SELECT stray FROM own_view") == []


def test_our_record_is_no_part_of_a_schema_file(app: Engine, folder: Path) -> None:
    migrate(app, target_of(folder=folder))

    bring(app, "CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT, age INTEGER, x);")

    assert applied_names(app) == ("0001_people", "0002_age", "0003_name")
    assert len(journal.read(app)) == 3


def test_what_a_repair_put_aside_stays(app: Engine) -> None:
    app.write("CREATE TABLE t (a)")
    app.write("CREATE TABLE lost_and_found (id INTEGER PRIMARY KEY, reason TEXT)")
    app.write("INSERT INTO lost_and_found (reason) VALUES ('no parent')")

    bring(app, "CREATE TABLE t (a, b UNIQUE);")

    assert app.fetch_all("SELECT reason FROM lost_and_found") == [("no parent",)]


# -- what may go -----------------------------------------------------------------------------------


def test_a_column_with_values_goes_only_when_it_is_named_and_is_backed_up_first(app: Engine) -> None:
    app.write("CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT, c TEXT)")
    app.write("INSERT INTO t VALUES (1, 'x', NULL)")

    with pytest.raises(MigrationRefused) as caught:
        bring(app, "CREATE TABLE t (a INTEGER PRIMARY KEY);")
    result = bring(app, "CREATE TABLE t (a INTEGER PRIMARY KEY);", Consent(drop_columns=frozenset({"T.B"})))

    assert [(one["table"], one["object"], one["rows"]) for one in caught.value.findings] == [
        ("t", "b", [{"a": 1, "b": "x"}])
    ]
    assert result.backup is not None
    with sqlite3.connect(result.backup) as copy:
        assert copy.execute("SELECT * FROM t").fetchall() == [(1, "x", None)]
    copy.close()


def test_a_server_is_backed_up_before_a_column_goes(
    postgres_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    engine = open_engine(postgres_database)
    file = tmp_path / "app.sql"
    file.write_text("CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT);")
    migrate(engine, target_of(schema_file=file))
    engine.write("INSERT INTO t (a, b) VALUES (1, 'x')")
    file.write_text("CREATE TABLE t (a INTEGER PRIMARY KEY);")

    with pytest.raises(MigrationRefused):
        migrate(engine, target_of(schema_file=file))
    result = migrate(engine, target_of(schema_file=file), consent=Consent(drop_columns=frozenset({"t.b"})))

    assert result.backup is not None
    assert result.backup.exists()
    assert engine.columns("t") == ["a"]
    engine.close()


def test_a_likely_rename_is_suggested_and_never_guessed(app: Engine) -> None:
    app.write("CREATE TABLE users (id INTEGER PRIMARY KEY, full_name TEXT, mail TEXT)")
    app.write("INSERT INTO users VALUES (1, 'Ann', 'a@b')")
    wanted = "CREATE TABLE people (id INTEGER PRIMARY KEY, fullname TEXT, mail TEXT, age INTEGER);"

    with pytest.raises(MigrationRefused) as first:
        bring(app, wanted)
    with pytest.raises(MigrationRefused) as second:
        bring(app, wanted, Consent(renames={"users": "people"}))
    bring(app, wanted, Consent(renames=parse_renames(["users=people", "users.full_name=fullname"])))

    assert "--rename users=people" in str(first.value.hint)
    assert "--rename users.full_name=fullname" in str(second.value.hint)
    assert app.fetch_all("SELECT * FROM people") == [(1, "Ann", "a@b", None)]


@pytest.mark.parametrize(
    ("rename", "message"),
    [
        ({"t.nothing": "b"}, "names nothing"),
        ({"t.a": "nowhere"}, "leads nowhere"),
        ({"t": "nowhere"}, "leads nowhere"),
    ],
)
def test_a_rename_that_names_nothing_is_refused(app: Engine, rename: dict[str, str], message: str) -> None:
    app.write("CREATE TABLE t (a INTEGER)")

    with pytest.raises(MigrationRefused, match=message):
        bring(app, "CREATE TABLE t (b INTEGER);", Consent(renames=rename))


def test_a_plan_foresees_what_would_be_refused(app: Engine) -> None:
    app.write("CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT)")
    app.write("INSERT INTO t VALUES (1, '007'), (2, 'x'), (3, NULL)")

    for wanted, said in (
        ("b INTEGER", "would change"),
        ("b TEXT NOT NULL", "NULL and has no default"),
        ("b TEXT CHECK (length(b) > 1)", "is false"),
    ):
        with pytest.raises(MigrationRefused, match=said):
            bring(app, f"CREATE TABLE t (a INTEGER PRIMARY KEY, {wanted});", plan=True)


def test_a_plan_foresees_duplicates_and_references_that_lead_nowhere(app: Engine) -> None:
    app.write("CREATE TABLE p (id INTEGER PRIMARY KEY, code TEXT)")
    app.write("CREATE TABLE c (id INTEGER PRIMARY KEY, p_id INTEGER, gone INTEGER)")
    app.write("INSERT INTO p VALUES (1, 'x'), (2, 'x')")
    app.write("INSERT INTO c VALUES (1, 1, NULL), (2, NULL, NULL), (3, 9, NULL)")
    parent, child = (
        "CREATE TABLE p (id INTEGER PRIMARY KEY, code TEXT);",
        "CREATE TABLE c (id INTEGER PRIMARY KEY, ",
    )

    with pytest.raises(MigrationRefused) as index:
        bring(
            app, f"{parent}{child}p_id INTEGER, gone INTEGER); CREATE UNIQUE INDEX i ON p (code);", plan=True
        )
    with pytest.raises(MigrationRefused) as reference:
        bring(app, f"{parent}{child}p_id INTEGER REFERENCES p);", plan=True)
    with pytest.raises(MigrationRefused) as empty:
        bring(
            app,
            f"{parent}{child}p_id INTEGER REFERENCES q); CREATE TABLE q (id INTEGER PRIMARY KEY);",
            plan=True,
        )

    assert [one["id"] for one in index.value.findings] == ["unique"]
    assert [one["rows"] for one in reference.value.findings] == [[{"id": 3, "p_id": 9}]]
    assert [one["count"] for one in empty.value.findings] == [2]


def test_a_plan_tells_the_way_of_each_table_with_rows_and_bytes(app: Engine) -> None:
    app.write("CREATE TABLE grown (a INTEGER PRIMARY KEY)")
    app.write("CREATE TABLE looked_at (a INTEGER PRIMARY KEY, b TEXT)")
    app.write("CREATE TABLE made_anew (a INTEGER PRIMARY KEY, b TEXT, c TEXT)")
    app.write("INSERT INTO made_anew VALUES (1, 'x', NULL), (2, 'y', NULL)")

    planned = bring(
        app,
        "CREATE TABLE grown (a INTEGER PRIMARY KEY, b TEXT);"
        "CREATE TABLE looked_at (a INTEGER PRIMARY KEY, b TEXT NOT NULL);"
        "CREATE TABLE made_anew (a INTEGER PRIMARY KEY, b TEXT UNIQUE);",
        plan=True,
    )

    assert [(step.name, step.cost, step.rows) for step in planned.steps] == [
        ("grown", "alter", 0),
        ("looked_at", "scan", 0),
        ("made_anew", "rebuild", 2),
    ]
    assert planned.steps[2].size_bytes
    assert "drops c" in planned.steps[2].risk


def test_a_file_of_another_program_keeps_its_journal_mode(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "other.db") as made:
        made.execute("CREATE TABLE t (a)")
    made.close()
    engine = open_engine(tmp_path / "other.db", Options(keeps_journal_mode=True))

    bring(engine, "CREATE TABLE t (a, b UNIQUE);")

    assert engine.fetch_one("PRAGMA journal_mode") == ("delete",)
    engine.close()


def test_settings_of_the_connection_are_as_before_also_after_a_refusal(app: Engine) -> None:
    app.write("CREATE TABLE t (a INTEGER)")
    app.write("INSERT INTO t VALUES (NULL)")
    names = ("foreign_keys", "temp_store", "cache_size", "legacy_alter_table", "writable_schema")
    before = [app.fetch_one(f"PRAGMA {name}") for name in names]

    with pytest.raises(MigrationRefused):
        bring(app, "CREATE TABLE t (a INTEGER NOT NULL);")

    assert [app.fetch_one(f"PRAGMA {name}") for name in names] == before
    assert not app.connection().in_transaction


def test_a_number_of_autoincrement_that_is_none_is_kept_as_it_is(app: Engine) -> None:
    app.write("CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, a)")
    app.write("INSERT INTO t VALUES (1, 2)")
    app.write("UPDATE sqlite_sequence SET seq = 'many'")

    bring(app, "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, a TEXT);")

    assert app.fetch_all("SELECT * FROM sqlite_sequence") == [("t", "many")]


def test_a_table_that_only_tells_of_another_has_no_rows_to_lose(app: Engine) -> None:
    words = "CREATE VIRTUAL TABLE words USING fts5(a)"
    app.write(words)
    app.write("INSERT INTO words VALUES ('x y')")
    app.write("CREATE VIRTUAL TABLE told USING fts5vocab(words, row)")

    bring(app, f"{words}; CREATE VIRTUAL TABLE told USING fts5vocab(words, col);")
    told = app.fetch_all("SELECT term, col FROM told ORDER BY term")
    bring(app, f"{words};")

    assert told == [("x", "a"), ("y", "a")]
    assert app.fetch_one("SELECT 1 FROM sqlite_schema WHERE name = 'told'") is None


def test_a_table_may_have_the_name_that_full_text_gives_its_own(app: Engine) -> None:
    words = "CREATE VIRTUAL TABLE words USING fts5(a, content='words_content', content_rowid='id')"
    app.write("CREATE TABLE words_content (id INTEGER PRIMARY KEY, a)")
    app.write("INSERT INTO words_content VALUES (1, 'x')")
    app.write(words)

    bring(app, f"CREATE TABLE words_content (id INTEGER PRIMARY KEY, a, b DEFAULT 3); {words};")

    assert app.fetch_all("SELECT * FROM words_content") == [(1, "x", 3)]


@pytest.mark.parametrize("content", ["t", "shown"])
def test_an_index_of_another_table_s_text_is_right_after_that_text_changed(app: Engine, content: str) -> None:
    around = (
        "CREATE VIEW shown AS SELECT id, a FROM t;"
        f"CREATE VIRTUAL TABLE words USING fts5(a, content='{content}', content_rowid='id');"
    )
    bring(app, f"CREATE TABLE t (id INTEGER PRIMARY KEY, a, b); {around}")
    app.write("INSERT INTO t VALUES (1, 'some', 2), (2, NULL, 3)")
    app.write("INSERT INTO words (words) VALUES ('rebuild')")

    bring(app, f"CREATE TABLE t (id INTEGER PRIMARY KEY, a NOT NULL DEFAULT 'none', b TEXT); {around}")

    assert app.fetch_all("SELECT rowid FROM words WHERE words MATCH 'none'") == [(2,)]
    app.write("INSERT INTO words (words, rank) VALUES ('integrity-check', 1)")


@pytest.mark.parametrize(
    ("consent", "question"),
    [
        (Consent({"people.nmae": "title"}), "did you mean people.name?"),
        (Consent({"people.name": "titel"}), "did you mean title?"),
        (
            Consent(drop_columns=frozenset({"people.nmae"})),
            "there is no people.nmae: did you mean people.name?",
        ),
        (Consent({"people.name": "title", "people.age": "title"}), "two columns of people"),
    ],
)
def test_a_name_that_is_none_is_asked_about(app: Engine, consent: Consent, question: str) -> None:
    app.write("CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT, age)")
    app.write("INSERT INTO people VALUES (1, 'Ann', 3)")

    with pytest.raises(MigrationRefused) as refusal:
        bring(app, "CREATE TABLE people (id INTEGER PRIMARY KEY, title TEXT);", consent)

    assert question in str(refusal.value)


def test_a_name_is_renamed_once() -> None:
    with pytest.raises(MigrationRefused, match="renamed twice"):
        parse_renames(["t.a=b", "t.a=c"])


def test_a_command_of_the_shell_in_a_schema_file_is_told_as_such(app: Engine) -> None:
    with pytest.raises(MigrationRefused, match=r"line 2: \.mode csv is a command of the sqlite3 program"):
        bring(app, "CREATE TABLE t (a);\n.mode csv\nCREATE TABLE u (a);")


def test_a_row_that_breaks_a_rule_by_its_new_type_alone_is_named(app: Engine) -> None:
    app.write("CREATE TABLE t (a TEXT)")
    app.write("INSERT INTO t VALUES ('6'), ('7')")

    with pytest.raises(MigrationRefused) as refusal:
        bring(app, "CREATE TABLE t (a NUMERIC CHECK (a IS NOT '007'));")

    assert [finding["rows"] for finding in refusal.value.findings] == [[{"rowid": 2}]]
