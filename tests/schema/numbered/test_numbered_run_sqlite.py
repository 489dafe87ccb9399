from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.migration_folder import folder_of, make_drizzle_folder, make_folder, table_names

from datalayer.engine.connection import Engine
from datalayer.engine.opening import open_engine
from datalayer.errors import ForeignKeyViolation, MigrationRefused
from datalayer.schema import history
from datalayer.schema.numbered import journal
from datalayer.schema.numbered.run import run
from datalayer.schema.numbered.shape import shape, shape_of
from datalayer.schema.snapshot import read_text

_PARENT_AND_CHILDREN = """
CREATE TABLE parent (id INTEGER PRIMARY KEY, name TEXT);
CREATE TABLE child (id INTEGER PRIMARY KEY, parent INTEGER REFERENCES parent (id) ON DELETE CASCADE);
CREATE TABLE note (id INTEGER PRIMARY KEY, parent INTEGER REFERENCES parent (id) ON DELETE SET NULL);
INSERT INTO parent VALUES (1, 'a'), (2, 'b');
INSERT INTO child VALUES (10, 1), (11, 2);
INSERT INTO note VALUES (20, 1);
"""
_RECREATE = """PRAGMA foreign_keys=OFF;--> statement-breakpoint
CREATE TABLE `__new_parent` (`id` integer PRIMARY KEY, `name` text NOT NULL);--> statement-breakpoint
INSERT INTO `__new_parent`("id", "name") SELECT "id", "name" FROM `parent`;--> statement-breakpoint
DROP TABLE `parent`;--> statement-breakpoint
ALTER TABLE `__new_parent` RENAME TO `parent`;--> statement-breakpoint
PRAGMA foreign_keys=ON;"""


@pytest.fixture(params=["memory", "sqlite"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    opened = open_engine(":memory:" if request.param == "memory" else tmp_path / "app.db")
    yield opened
    opened.close()


def _one(engine: Engine, sql: str) -> object:
    row = engine.fetch_one(sql)
    assert row is not None
    return row[0]


def test_children_with_cascade_survive_drizzles_recreate_of_their_parent(
    engine: Engine, tmp_path: Path
) -> None:
    run(engine, make_drizzle_folder(tmp_path / "m", {"0000_a": _PARENT_AND_CHILDREN}))

    run(engine, make_drizzle_folder(tmp_path / "m", {"0000_a": _PARENT_AND_CHILDREN, "0001_b": _RECREATE}))

    assert engine.fetch_all("SELECT * FROM child") == [(10, 1), (11, 2)]
    assert engine.fetch_all("SELECT * FROM note") == [(20, 1)]
    assert engine.fetch_all("PRAGMA foreign_key_check") == []
    assert _one(engine, "PRAGMA foreign_keys") == 1
    with pytest.raises(ForeignKeyViolation):
        engine.write("INSERT INTO child VALUES (12, 99)")


def test_children_survive_a_recreate_without_any_pragma(engine: Engine, tmp_path: Path) -> None:
    plain = "\n".join(line for line in _RECREATE.splitlines() if not line.startswith("PRAGMA"))

    run(engine, folder_of(tmp_path / "m", _PARENT_AND_CHILDREN, plain))

    assert _one(engine, "SELECT count(*) FROM child") == 2


def test_children_survive_where_a_file_defers_foreign_keys_as_d1_wants_it(
    engine: Engine, tmp_path: Path
) -> None:
    (tmp_path / "wrangler.toml").write_text("", encoding="utf-8")
    text = _RECREATE.replace("foreign_keys=OFF", "defer_foreign_keys=ON").replace("foreign_keys=ON;", "x;")

    run(engine, folder_of(tmp_path / "m", _PARENT_AND_CHILDREN, text.replace("PRAGMA x;", "")))

    assert _one(engine, "SELECT count(*) FROM child") == 2


def test_references_that_would_break_are_refused_and_the_rows_named(engine: Engine, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "m", _PARENT_AND_CHILDREN)
    run(engine, folder)
    folder_of(tmp_path / "m", _PARENT_AND_CHILDREN, "CREATE TABLE x (y); DELETE FROM parent WHERE id = 2")

    with pytest.raises(MigrationRefused, match="would break 1 reference;") as refused:
        run(engine, folder)

    assert refused.value.findings[0]["table"] == "child"
    assert refused.value.findings[0]["rows"] == [11]
    assert _one(engine, "SELECT count(*) FROM parent") == 2
    assert "x" not in table_names(engine)
    assert history.applied_names(engine) == ("0001_step",)


def test_references_that_were_broken_before_do_not_stand_in_the_way(engine: Engine, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "m", _PARENT_AND_CHILDREN)
    run(engine, folder)
    engine.execute("PRAGMA foreign_keys = OFF")
    engine.write("INSERT INTO child VALUES (12, 99)")
    engine.execute("PRAGMA foreign_keys = ON")
    folder_of(tmp_path / "m", _PARENT_AND_CHILDREN, "ALTER TABLE child ADD COLUMN z")

    assert run(engine, folder).applied == ("0002_step",)


def test_a_reference_to_columns_without_a_key_is_told_where_it_is_new(engine: Engine, tmp_path: Path) -> None:
    first = "CREATE TABLE p (code); CREATE TABLE c (code REFERENCES p (code)); INSERT INTO p VALUES (1)"
    steps = [first, "CREATE TABLE d (code REFERENCES p (code))", "CREATE UNIQUE INDEX p_code ON p (code)"]

    told = [
        [
            (one["id"], str(one["message"]))
            for one in run(engine, folder_of(tmp_path / "m", *steps[:count])).findings
        ]
        for count in (1, 2, 3)
    ]

    assert told == [
        [("X003", "a reference of c is to columns without a key")],
        [("X003", "a reference of d is to columns without a key")],
        [],
    ]
    engine.write("INSERT INTO c VALUES (1)")


def test_a_setting_of_a_file_that_failed_is_set_back(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(MigrationRefused):
        run(engine, folder_of(tmp_path / "m", "PRAGMA legacy_alter_table = ON; SELECT nix"))

    assert _one(engine, "PRAGMA legacy_alter_table") == 0
    assert _one(engine, "PRAGMA foreign_keys") == 1


def test_a_file_that_turns_foreign_keys_on_has_cascades(engine: Engine, tmp_path: Path) -> None:
    text = "PRAGMA foreign_keys = ON;\nDELETE FROM parent WHERE id = 2;"

    run(engine, folder_of(tmp_path / "m", _PARENT_AND_CHILDREN, text))

    assert engine.fetch_all("SELECT id FROM child") == [(10,)]


def test_dropping_a_parent_with_foreign_keys_on_is_refused_by_the_children_with_rows(
    engine: Engine, tmp_path: Path
) -> None:
    text = f"PRAGMA foreign_keys = ON;\n{_RECREATE.replace('PRAGMA foreign_keys=OFF;', '')}"

    with pytest.raises(MigrationRefused, match="DROP TABLE parent would reach rows of child, note"):
        run(engine, folder_of(tmp_path / "m", _PARENT_AND_CHILDREN, text))
    assert table_names(engine) == []


def test_files_that_disagree_about_foreign_keys_run_with_them_off(engine: Engine, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "m", f"PRAGMA foreign_keys = ON; {_PARENT_AND_CHILDREN}", _RECREATE)

    run(engine, folder)

    assert _one(engine, "SELECT count(*) FROM child") == 2


@pytest.mark.parametrize(
    "statement", ["VACUUM", "ATTACH 'x.db' AS x", "PRAGMA writable_schema = ON", "DETACH x"]
)
def test_what_cannot_be_part_of_the_one_transaction_is_refused_by_line(
    engine: Engine, tmp_path: Path, statement: str
) -> None:
    with pytest.raises(MigrationRefused, match=rf"0002_step\.sql:2: {statement.split(maxsplit=1)[0]}"):
        run(engine, folder_of(tmp_path / "m", "CREATE TABLE a (x)", f"SELECT 1;\n{statement}"))
    assert table_names(engine) == []


def test_settings_of_the_connection_are_passed_over_and_those_of_the_file_kept(
    engine: Engine, tmp_path: Path
) -> None:
    before = _one(engine, "PRAGMA cache_size")
    text = "PRAGMA journal_mode = DELETE; PRAGMA cache_size = 7; PRAGMA user_version = 42; SELECT 1 FROM t;"

    run(engine, folder_of(tmp_path / "m", f"CREATE TABLE t (x); {text} PRAGMA legacy_alter_table = ON;"))

    assert _one(engine, "PRAGMA user_version") == 42
    assert _one(engine, "PRAGMA cache_size") == before
    assert _one(engine, "PRAGMA legacy_alter_table") == 0


@pytest.mark.parametrize(
    "text", ["CREATE", "CREATE TABLE", "CREATE TABLE IF NOT EXISTS", "DROP TABLE IF EXISTS"]
)
def test_a_statement_that_breaks_off_is_refused_by_sqlite(engine: Engine, tmp_path: Path, text: str) -> None:
    folder = folder_of(tmp_path / "m", "CREATE TABLE a (x)", text)

    with pytest.raises(MigrationRefused, match=r"0002_step\.sql:1: .* failed"):
        run(engine, folder)


def test_all_files_are_one_transaction(engine: Engine, tmp_path: Path) -> None:
    steps = [f"CREATE TABLE t{number} (x)" for number in range(5)]

    with pytest.raises(MigrationRefused, match=r"0006_step\.sql:1: SELECT nix failed"):
        run(engine, folder_of(tmp_path / "m", *steps, "SELECT nix"))
    assert table_names(engine) == []


def test_a_trigger_a_view_and_a_virtual_table_are_compared_too(engine: Engine, tmp_path: Path) -> None:
    made = (
        "CREATE TABLE a (x);CREATE VIEW v AS SELECT x FROM a;CREATE VIRTUAL TABLE f USING fts5(x);"
        "CREATE TRIGGER t AFTER INSERT ON a BEGIN SELECT 1; END;"
    )
    again = made.replace("CREATE VIEW", "CREATE VIEW IF NOT EXISTS")
    again = again.replace("VIRTUAL TABLE", "VIRTUAL TABLE IF NOT EXISTS")
    again = again.replace("CREATE TRIGGER", "CREATE TRIGGER IF NOT EXISTS").removeprefix(
        "CREATE TABLE a (x);"
    )
    other = again.replace("SELECT 1", "SELECT 2").replace("SELECT x", "SELECT 3").replace("(x);", "(y);")

    done = run(engine, folder_of(tmp_path / "m", made, again, other))

    found = [one["id"] for one in done.findings if one["id"] != "N004"]
    assert found == ["N002", "N002", "N002", "N001", "N001", "N001"]


@pytest.mark.parametrize("engine", ["memory", pytest.param("sqlite", marks=pytest.mark.slow)], indirect=True)
def test_the_packages_own_files_make_its_schema(engine: Engine) -> None:
    run(engine, history.package_folder())

    expected = read_text(history.consolidated_sql())
    assert shape(engine) == shape_of(expected)


def test_another_kind_of_object_of_that_name_differs(engine: Engine, tmp_path: Path) -> None:
    text = "CREATE TABLE a (x); CREATE VIEW v AS SELECT 1 AS x; CREATE TABLE IF NOT EXISTS v (x);"

    assert [one["id"] for one in run(engine, folder_of(tmp_path / "m", text)).findings] == ["N001"]


def test_of_a_table_that_a_query_makes_the_columns_are_compared(engine: Engine, tmp_path: Path) -> None:
    first = "CREATE TABLE a (x INTEGER PRIMARY KEY, y TEXT); CREATE TABLE b AS SELECT x, y FROM a"
    texts = [
        "CREATE TABLE IF NOT EXISTS b AS SELECT x, y FROM a",
        "CREATE TABLE IF NOT EXISTS a AS SELECT 1 AS X, 'b' AS y",
        "CREATE TABLE IF NOT EXISTS b AS SELECT x, y AS z FROM a",
        "CREATE TABLE IF NOT EXISTS b AS SELECT x FROM gone",
    ]

    done = run(engine, folder_of(tmp_path / "m", first, *texts))

    assert [one["id"] for one in done.findings if one["id"] != "N004"] == ["N002", "N002", "N001"]


def test_a_temporary_table_hides_nothing(engine: Engine, tmp_path: Path) -> None:
    text = "CREATE TABLE a (x); CREATE TEMP TABLE IF NOT EXISTS a (y); DROP TABLE IF EXISTS temp.a;"

    assert run(engine, folder_of(tmp_path / "m", text)).findings == ()


def test_old_code_goes_on_reading_and_writing_the_plain_table(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    with sqlite3.connect(path) as old:
        old.execute("CREATE TABLE migrations (id INTEGER PRIMARY KEY, name TEXT, applied_at TEXT)")
        old.execute("CREATE TABLE a (x)")
        old.execute("INSERT INTO migrations (name, applied_at) VALUES ('0001_step', '2024-01-01')")
    old.close()
    engine = open_engine(path)
    folder = folder_of(tmp_path / "m", "CREATE TABLE a (x)", "CREATE TABLE b (x)")
    run(engine, folder)
    engine.close()

    with sqlite3.connect(path) as old:
        old.execute("CREATE TABLE c (x)")
        old.execute("INSERT INTO migrations (name, applied_at) VALUES ('0003_step', '2024-01-02')")
        names = [row[0] for row in old.execute("SELECT name FROM migrations ORDER BY id")]
    old.close()
    engine = open_engine(path)
    folder = folder_of(tmp_path / "m", "CREATE TABLE a (x)", "CREATE TABLE b (x)", "CREATE TABLE c (x)")
    done = run(engine, folder)
    engine.close()

    assert names == ["0001_step", "0002_step", "0003_step"]
    assert done.applied == ()


def test_a_statement_may_hold_question_marks_in_texts_only(engine: Engine, tmp_path: Path) -> None:
    folder = make_folder(
        tmp_path / "m", {"1_a.sql": "CREATE TABLE a (x); INSERT INTO a VALUES ('100 % ? :x')"}
    )

    run(engine, folder)

    assert _one(engine, "SELECT x FROM a") == "100 % ? :x"


@pytest.mark.parametrize(
    ("statement", "is_refused"),
    [
        ('INSERT INTO new ("id", "mail")\nSELECT "id", "mail" FROM old', True),
        ('UPDATE new SET mail = (SELECT "mail" FROM old)', False),
        ('UPDATE old SET id = "id" WHERE "id" = "other"', False),
        ('INSERT INTO "new" ("mail") SELECT "a text" FROM "old"', False),
        ('INSERT INTO new (mail) VALUES ("mail")', False),
        ("INSERT INTO new (mail) SELECT 'mail' FROM old", False),
    ],
)
def test_a_column_that_drizzle_reads_and_that_is_not_there_is_no_text(
    engine: Engine, tmp_path: Path, statement: str, is_refused: bool
) -> None:
    tables = "CREATE TABLE old (id INTEGER);\nCREATE TABLE new (id INTEGER, mail TEXT);"
    folder = folder_of(tmp_path / "m", tables, f"\n{statement};")

    if is_refused:
        with pytest.raises(MigrationRefused, match=r'0002_step\.sql:3: there is no column "mail" to read'):
            run(engine, folder)
    else:
        assert len(run(engine, folder).applied) == 2


@given(st.lists(st.sets(st.integers(1, 6)), max_size=4))
def test_files_in_whatever_order_they_arrive_are_each_applied_once(batches: list[set[int]]) -> None:
    engine = open_engine(":memory:")
    arrived: set[int] = set()
    applied: list[str] = []
    with tempfile.TemporaryDirectory() as root:
        for batch in batches:
            arrived |= batch
            texts = {f"{number:04}_x.sql": f"CREATE TABLE t{number} (x)" for number in batch}
            done = run(engine, make_folder(Path(root) / "m", texts))
            assert list(done.applied) == sorted(done.applied)
            applied += done.applied

    assert sorted(applied) == [f"{number:04}_x" for number in sorted(arrived)]
    assert history.applied_names(engine) == tuple(applied)
    assert [row.ordinal for row in journal.read(engine)] == [*range(1, len(applied) + 1)]
    engine.close()
