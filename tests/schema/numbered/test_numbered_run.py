from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support.migration_folder import (
    folder_of,
    key_column,
    make_drizzle_folder,
    make_folder,
    table_names,
)

from datalayer.engine.connection import Engine
from datalayer.errors import DatabaseUnavailable, DataLayerError, MigrationRefused
from datalayer.schema import history
from datalayer.schema.numbered import journal
from datalayer.schema.numbered.folder import Folder
from datalayer.schema.numbered.pending import pending
from datalayer.schema.numbered.run import run
from datalayer.store import Store


def _ids(findings: Any) -> list[tuple[object, object]]:
    return [(one["id"], one["severity"]) for one in findings]


def _rows(engine: Engine, table: str = "a") -> list[Any]:
    return [row[0] for row in engine.fetch_all(f"SELECT x FROM {table} ORDER BY x")]


def test_files_are_applied_once_in_order_and_journalled(engine: Engine, tmp_path: Path) -> None:
    folder = folder_of(
        tmp_path / "m",
        "CREATE TABLE a (x INTEGER);\nINSERT INTO a VALUES (1), (2);",
        "UPDATE a SET x = x + 1; CREATE INDEX a_x ON a (x)",
    )

    done = run(engine, folder)

    first, second = journal.read(engine)
    assert done.applied == ("0001_step", "0002_step") == history.applied_names(engine)
    assert done.findings == ()
    assert _rows(engine) == [2, 3]
    assert (first.ordinal, first.state, first.statements, first.statements_done) == (1, "applied", 2, 2)
    assert (first.rows_changed, second.rows_changed) == (2, 2)
    assert first.shape_before != first.shape_after == second.shape_before != second.shape_after
    assert first.checksum_raw == folder.files()[0].checksum_raw
    assert first.source == folder.files()[0].read()
    assert first.origin == f"numbered {tmp_path / 'm'}"
    assert first.tool_version
    assert first.engine_version
    assert first.applied_at is not None
    assert first.applied_at >= first.started_at
    again = run(engine, folder)
    assert (again.applied, again.backup) == ((), None)


def test_a_folder_may_make_the_table_of_history_itself(engine: Engine, tmp_path: Path) -> None:
    own = f"CREATE TABLE migrations ({key_column(engine)}, name varchar(100) NOT NULL, at text)"
    folder = folder_of(tmp_path / "m", "CREATE TABLE a (x INTEGER)", own, "CREATE TABLE b (x INTEGER)")

    run(engine, folder)

    assert history.applied_names(engine) == ("0001_step", "0002_step", "0003_step")
    assert [row.name for row in journal.read(engine)] == ["0001_step", "0002_step", "0003_step"]
    assert engine.columns("migrations") == ["id", "name", "at"]
    assert run(engine, folder).applied == ()


def test_a_run_stops_behind_the_file_that_is_named(engine: Engine, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "m", *(f"CREATE TABLE t{n} (x INTEGER)" for n in range(3)))

    assert run(engine, folder, to="0002_step").applied == ("0001_step", "0002_step")
    assert [file.name for file in pending(engine, folder).files] == ["0003_step"]
    with pytest.raises(MigrationRefused, match="no migration 0003_stepp") as refused:
        run(engine, folder, to="0003_stepp")
    assert refused.value.why == "did you mean 0003_step?"


def test_a_failing_statement_is_named_with_file_and_line_and_undone(engine: Engine, tmp_path: Path) -> None:
    folder = folder_of(
        tmp_path / "m",
        "CREATE TABLE a (x INTEGER)",
        "\nCREATE TABLE b (x INTEGER);  INSERT INTO\n  nowhere\nVALUES (1)",
    )

    with pytest.raises(MigrationRefused, match=r"0002_step\.sql:2: INSERT INTO nowhere") as refused:
        run(engine, folder)

    assert (refused.value.findings[0]["line"], refused.value.findings[0]["column"]) == (3, 3)
    assert "nowhere" in str(refused.value.why)
    assert str(refused.value.why).endswith("(line 3, column 3)")
    with pytest.raises(MigrationRefused, match=r"\(line 2, column 32\)"):
        run(
            engine,
            make_folder(tmp_path / "m", {"0002_step.sql": "\n/* ; */ CREATE TABLE b (x INT) INSERT INTO a"}),
        )
    assert "b" not in table_names(engine)
    # SQLite keeps nothing of the run, PostgreSQL the files before the one that failed
    kept = () if engine.dialect.name == "sqlite" else ("0001_step",)
    assert history.applied_names(engine) == kept
    make_folder(tmp_path / "m", {"0002_step.sql": "CREATE TABLE b (x INTEGER)"})
    run(engine, folder)
    assert history.applied_names(engine) == ("0001_step", "0002_step")


def test_an_applied_file_that_was_changed_stops_the_run_and_the_change_is_shown(
    engine: Engine, tmp_path: Path
) -> None:
    folder = folder_of(tmp_path / "m", "CREATE TABLE a (x INTEGER);\n", "CREATE TABLE b (x INTEGER)")
    run(engine, folder, to="0001_step")
    make_folder(tmp_path / "m", {"0001_step.sql": "CREATE TABLE a (x TEXT);\n"})

    with pytest.raises(MigrationRefused, match=r"0001_step\.sql was changed after") as refused:
        run(engine, folder)

    assert _ids(refused.value.findings) == [("J001", "error")]
    diff = str(refused.value.findings[0]["diff"])
    assert "-CREATE TABLE a (x INTEGER);\n+CREATE TABLE a (x TEXT);" in diff
    assert "it was `CREATE TABLE a (x INTEGER);`, and is `CREATE TABLE a (x TEXT);`" in str(refused.value.why)
    assert "b" not in table_names(engine)


def test_other_line_ends_and_comments_in_an_applied_file_are_only_told(
    engine: Engine, tmp_path: Path
) -> None:
    folder = folder_of(tmp_path / "m", "CREATE TABLE a (\nx INTEGER);\n", "CREATE TABLE b (x INTEGER)")
    run(engine, folder, to="0001_step")
    make_folder(tmp_path / "m", {"0001_step.sql": "-- why\r\ncreate table a (\r\nx INTEGER);\r\n"})

    done = run(engine, folder)

    assert done.applied == ("0002_step",)
    assert _ids(done.findings) == [("J001", "info")]


def test_files_with_windows_line_ends_and_a_byte_order_mark_are_applied(
    engine: Engine, tmp_path: Path
) -> None:
    text = "\ufeff-- first\r\nCREATE TABLE a (x INTEGER);\r\nINSERT INTO a VALUES (1);\r\n\r\n"
    text += "INSERT INTO nix;\r\n"
    folder = make_folder(tmp_path / "m", {"0001_a.sql": text})

    with pytest.raises(MigrationRefused, match=r"0001_a\.sql:5"):
        run(engine, folder)
    make_folder(tmp_path / "m", {"0001_a.sql": text.replace("INSERT INTO nix;", "")})
    run(engine, folder)

    assert _rows(engine) == [1]


def test_a_lower_number_that_comes_late_is_applied_and_told(engine: Engine, tmp_path: Path) -> None:
    first = "CREATE TABLE a (x INTEGER)"
    folder = make_folder(tmp_path / "m", {"0001_a.sql": first, "0003_c.sql": "CREATE TABLE c (x INTEGER)"})
    run(engine, folder)
    make_folder(tmp_path / "m", {"0002_b.sql": "CREATE TABLE b (x INTEGER)"})

    done = run(engine, folder)

    assert done.applied == ("0002_b",)
    assert _ids(done.findings) == [("J002", "error")]
    assert "0003_c" in str(done.findings[0]["message"])
    assert history.applied_names(engine) == ("0001_a", "0003_c", "0002_b")
    assert run(engine, folder).findings == ()


def test_an_applied_file_that_is_gone_is_told_and_the_rest_applied(engine: Engine, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "m", "CREATE TABLE a (x INTEGER)", "CREATE TABLE b (x INTEGER)")
    run(engine, folder, to="0001_step")
    (tmp_path / "m" / "0001_step.sql").unlink()

    done = run(engine, folder)

    assert done.applied == ("0002_step",)
    assert _ids(done.findings) == [("J004", "error")]


def test_a_gap_in_the_numbers_changes_nothing(engine: Engine, tmp_path: Path) -> None:
    texts = {f"{number:04}_x.sql": f"CREATE TABLE t{number} (x INTEGER)" for number in (1, 5, 20)}

    assert run(engine, make_folder(tmp_path / "m", texts)).applied == ("0001_x", "0005_x", "0020_x")


def test_two_files_of_one_name_are_refused_before_anything_is_changed(engine: Engine, tmp_path: Path) -> None:
    folder = make_folder(
        tmp_path / "m", {"0001_a.sql": "CREATE TABLE a (x INTEGER)", "0001_a.py": "def up(s): 0"}
    )

    with pytest.raises(MigrationRefused, match="two migrations called 0001_a"):
        run(engine, folder)
    assert table_names(engine) == []


def test_drizzles_when_going_back_skips_nothing(engine: Engine, tmp_path: Path) -> None:
    files = {"0000_a": "CREATE TABLE a (x INTEGER)", "0001_b": "CREATE TABLE b (x INTEGER)"}
    whens = {"0000_a": 2000, "0001_b": 1000, "0002_c": 500}
    run(engine, make_drizzle_folder(tmp_path / "m", files, whens=whens))
    files["0002_c"] = "CREATE TABLE c (x INTEGER);--> statement-breakpoint\nCREATE TABLE d (x INTEGER)"

    done = run(engine, make_drizzle_folder(tmp_path / "m", files, whens=whens))

    assert done.applied == ("0002_c",)
    assert {"a", "b", "c", "d"} <= {*table_names(engine)}


def test_what_drizzles_journal_lacks_is_told_and_not_applied(engine: Engine, tmp_path: Path) -> None:
    folder = make_drizzle_folder(tmp_path / "m", {"0000_a": "CREATE TABLE a (x INTEGER)", "0001_b": ""})
    (tmp_path / "m" / "0001_b.sql").unlink()
    (tmp_path / "m" / "0002_stray.sql").write_text("CREATE TABLE stray (x INTEGER)", encoding="utf-8")

    done = run(engine, folder)

    assert done.applied == ("0000_a",)
    assert _ids(done.findings) == [("J004", "error"), ("J005", "error")]


def test_a_d1_folder_is_applied_like_ours(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "wrangler.toml").write_text("", encoding="utf-8")
    folder = folder_of(tmp_path / "migrations", "CREATE TABLE a (x INTEGER);", "INSERT INTO a VALUES (7)")

    assert run(engine, folder).applied == ("0001_step", "0002_step")
    assert _rows(engine) == [7]
    assert str(journal.read(engine)[0].origin).startswith("d1 ")


# -- IF [NOT] EXISTS that does nothing -----------------------------------------------------------


def test_a_statement_that_did_nothing_is_told_with_what_stands_there(engine: Engine, tmp_path: Path) -> None:
    folder = folder_of(
        tmp_path / "m",
        f"CREATE TABLE a ({key_column(engine)}, x INTEGER CONSTRAINT a_x CHECK (x > 0));"
        " CREATE INDEX a_by_x ON a (x)",
        f"CREATE TABLE IF NOT EXISTS A (\n {key_column(engine)},\n x integer CONSTRAINT a_x CHECK (x > 0));"
        "CREATE INDEX IF NOT EXISTS a_by_x ON a (x);\n"
        "CREATE TABLE IF NOT EXISTS a (y INTEGER);\n"
        "CREATE INDEX IF NOT EXISTS a_by_x ON a (x DESC);\n"
        "DROP TABLE IF EXISTS nix; DROP INDEX IF EXISTS nix;",
    )

    done = run(engine, folder)

    assert [(one["id"], one["line"]) for one in done.findings] == [
        ("N002", 1),
        ("N002", 3),
        ("N001", 4),
        ("N001", 5),
        ("N005", 6),
        ("N005", 6),
        ("N004", None),
    ]
    assert [one["result"] for one in journal.read(engine)[1].no_ops] == [
        "same",
        "same",
        "differs",
        "differs",
        "absent",
        "absent",
    ]


def test_a_conditional_statement_that_does_something_is_no_finding(engine: Engine, tmp_path: Path) -> None:
    folder = folder_of(
        tmp_path / "m",
        "CREATE TABLE IF NOT EXISTS a (x INTEGER); DROP TABLE IF EXISTS a; CREATE TABLE a (x INTEGER)",
    )

    assert run(engine, folder).findings == ()


def test_an_empty_file_is_applied_and_told(engine: Engine, tmp_path: Path) -> None:
    done = run(engine, folder_of(tmp_path / "m", "-- later\n"))

    assert done.applied == ("0001_step",)
    assert _ids(done.findings) == [("N004", "warning")]


# -- Python --------------------------------------------------------------------------------------

_PYTHON = """
def up(store):
    with store.transaction():
        store.engine.write("INSERT INTO a VALUES (40)")
    store.engine.write("UPDATE a SET x = x + 2")
"""


def test_a_python_file_gets_the_store_and_its_blocks_are_part_of_the_migration(
    engine: Engine, tmp_path: Path
) -> None:
    folder = make_folder(
        tmp_path / "m", {"0001_a.sql": "CREATE TABLE a (x INTEGER)", "0002_fill.py": _PYTHON}
    )

    done = run(engine, folder, store_of=Store)

    assert done.applied == ("0001_a", "0002_fill")
    assert _rows(engine) == [42]
    rows = journal.read(engine)
    assert [row.kind for row in rows] == ["sql", "python"]
    assert rows[1].rows_changed == (2 if engine.dialect.name == "sqlite" else None)


def test_a_python_file_may_define_dataclasses_and_has_its_own_future(engine: Engine, tmp_path: Path) -> None:
    text = (
        "from dataclasses import dataclass\n@dataclass\nclass A:\n    x: 'int'\n"
        "def up(store):\n    assert up.__annotations__ == {}, 1\n    f()\ndef f(y: int = A(1).x): pass\n"
        "assert f.__annotations__ == {'y': int}\n"
    )

    assert run(engine, make_folder(tmp_path / "m", {"1_a.py": text}), store_of=Store).applied == ("1_a",)


def test_a_python_file_that_fails_is_undone_and_its_line_named(engine: Engine, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "m", {"0001_a.sql": "CREATE TABLE a (x INTEGER)"})
    run(engine, folder)
    make_folder(tmp_path / "m", {"0002_fill.py": f"{_PYTHON}    raise KeyError('left')\n"})

    with pytest.raises(MigrationRefused, match=r"0002_fill\.py:6: the migration 0002_fill failed") as refused:
        run(engine, folder, store_of=Store)

    assert refused.value.why == "KeyError: 'left'"
    assert _rows(engine) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def down(store): pass", r"has no function up\(store\)"),
        ("up = 3", r"has no function up\(store\)"),
        ("async def up(store): pass", r"up\(store\) is asynchronous"),
        ("def up(:", r"0002_x\.py:1: the migration 0002_x cannot be loaded"),
        ("\nimport nothing_of_that_name", r"0002_x\.py:2: the migration 0002_x cannot be loaded"),
    ],
)
def test_a_python_file_that_cannot_be_run_is_refused_before_anything_is_changed(
    engine: Engine, tmp_path: Path, text: str, message: str
) -> None:
    folder = make_folder(tmp_path / "m", {"0001_a.sql": "CREATE TABLE a (x INTEGER)", "0002_x.py": text})

    with pytest.raises(MigrationRefused, match=message):
        run(engine, folder, store_of=Store)
    assert table_names(engine) == []


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("yield", "is a generator, and so does nothing"),
        ("return g()\nasync def g(): pass", "is asynchronous"),
        ("raise SystemExit(0)", "0002_x.py:3: the migration 0002_x failed"),
        ("store.engine.execute('SELECT nosuch FROM a')", "0002_x.py:3: the migration 0002_x failed"),
        ("store.engine.connection().commit()", "ends the run's transaction by COMMIT"),
        ("store.engine.execute('ROLLBACK')", "ends the run's transaction by"),
    ],
)
def test_a_python_file_that_does_not_do_its_work_within_the_run_is_not_recorded(
    engine: Engine, tmp_path: Path, body: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = f"def up(store):\n    print('told')\n    {body}\n"
    files = {"0001_a.sql": "CREATE TABLE a (x INTEGER)", "0002_x.py": text}

    with pytest.raises(MigrationRefused, match=message) as refused:
        run(engine, make_folder(tmp_path / "m", files), store_of=Store)
    assert "0002_x" not in history.applied_names(engine)
    assert "nosuch" not in body or "nosuch" in str(refused.value.why)
    # a generator and a coroutine have not begun
    assert [*capsys.readouterr()] == ["", "" if "yield" in body else "told\n"]


def test_a_python_file_without_anything_that_makes_a_store_is_refused(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(MigrationRefused, match="no store is there"):
        run(engine, make_folder(tmp_path / "m", {"0001_x.py": "def up(store): pass"}))


# -- backup --------------------------------------------------------------------------------------


def test_one_backup_is_taken_before_the_first_change_where_there_are_rows(
    engine: Engine, tmp_path: Path, data_home: Path
) -> None:
    folder = folder_of(tmp_path / "m", "CREATE TABLE a (x INTEGER)")
    assert run(engine, folder).backup is None
    engine.write("INSERT INTO a VALUES (1)")
    folder_of(tmp_path / "m", "CREATE TABLE a (x INTEGER)", "DELETE FROM a", "DROP TABLE a")

    done = run(engine, folder)

    if engine.dialect.name == "sqlite" and engine.path is None:
        assert done.backup is None
        return
    assert done.backup is not None
    assert done.backup.is_file()
    assert "0001_step" in done.backup.name
    if engine.dialect.name == "postgresql":
        assert done.backup.is_relative_to(data_home)
    assert [row.backup for row in journal.read(engine)] == [None, str(done.backup), str(done.backup)]
    assert [one for one in done.backup.parent.iterdir() if one.suffix != ".json"] == [done.backup]


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_a_run_that_was_undone_leaves_no_backup_and_keeps_those_of_others(
    engine: Engine, tmp_path: Path
) -> None:
    first = "CREATE TABLE a (x INTEGER); INSERT INTO a VALUES (1)"
    run(engine, folder_of(tmp_path / "m", first))
    kept = run(engine, folder_of(tmp_path / "m", first, "DELETE FROM a; INSERT INTO a VALUES (2)")).backup
    assert kept is not None
    files = {*kept.parent.iterdir()}
    folder = folder_of(tmp_path / "m", first, "DELETE FROM a; INSERT INTO a VALUES (2)", "DROP TABLE gone")

    for _ in range(2):
        with pytest.raises(MigrationRefused):
            run(engine, folder)

    assert {*kept.parent.iterdir()} == files
    assert _rows(engine) == [2]


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_the_backup_stays_where_a_python_file_may_have_kept_what_it_did(
    engine: Engine, tmp_path: Path
) -> None:
    first = "CREATE TABLE a (x INTEGER); INSERT INTO a VALUES (1)"
    run(engine, folder_of(tmp_path / "m", first))
    text = (
        "def up(engine):\n    engine.write('DELETE FROM a')\n    engine.connection().execute('COMMIT')\n"
        "    raise ValueError('too late')\n"
    )
    folder = make_folder(tmp_path / "m", {"0002_step.py": text})

    with pytest.raises(MigrationRefused):
        run(engine, folder, store_of=lambda engine: engine)

    (kept,) = [one for one in (tmp_path / "backups").iterdir() if one.suffix == ".db"]
    with closing(sqlite3.connect(kept)) as copy:
        assert copy.execute("SELECT x FROM a").fetchall() == [(1,)]


def test_no_backup_is_taken_when_nobody_wants_one(engine: Engine, tmp_path: Path, data_home: Path) -> None:
    folder = folder_of(tmp_path / "m", "CREATE TABLE a (x INTEGER)")
    run(engine, folder)
    engine.write("INSERT INTO a VALUES (1)")
    folder_of(tmp_path / "m", "CREATE TABLE a (x INTEGER)", "DELETE FROM a")

    assert run(engine, folder, backup=False).backup is None
    assert not data_home.exists()


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_nothing_is_changed_when_the_backup_cannot_be_written(engine: Engine, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "m", "CREATE TABLE a (x INTEGER); INSERT INTO a VALUES (1)")
    run(engine, folder)
    folder_of(tmp_path / "m", "CREATE TABLE a (x INTEGER); INSERT INTO a VALUES (1)", "DELETE FROM a")
    (tmp_path / "backups").write_text("a file stands in the way", encoding="utf-8")

    with pytest.raises(DatabaseUnavailable):
        run(engine, folder)
    assert _rows(engine) == [1]


# -- surroundings --------------------------------------------------------------------------------


def test_a_run_inside_a_transaction_is_refused(engine: Engine, tmp_path: Path) -> None:
    with engine.transaction(), pytest.raises(MigrationRefused, match="inside a transaction"):
        run(engine, folder_of(tmp_path / "m", "SELECT 1"))


def test_progress_counts_statements_to_the_end(engine: Engine, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    folder = folder_of(
        tmp_path / "m", "CREATE TABLE a (x INTEGER); INSERT INTO a VALUES (1)", "DELETE FROM a"
    )

    run(engine, folder, progress=lambda done, total: told.append((done, total)))

    assert told == [(1, 3), (2, 3), (3, 3)]


def test_rollback_in_a_file_is_refused_before_anything_is_changed(engine: Engine, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "m", "CREATE TABLE a (x INTEGER)", "BEGIN;\nDELETE FROM a;\nROLLBACK;")

    with pytest.raises(MigrationRefused, match=r"0002_step\.sql:3: ROLLBACK cannot be part"):
        run(engine, folder)
    assert table_names(engine) == []


def test_begin_and_commit_of_a_file_are_the_runs_own(engine: Engine, tmp_path: Path) -> None:
    text = "BEGIN TRANSACTION; CREATE TABLE a (x INTEGER); COMMIT; INSERT INTO a VALUES ('x' || nothing());"

    with pytest.raises(DataLayerError):
        run(engine, folder_of(tmp_path / "m", text))
    assert "a" not in table_names(engine)


def test_pending_reads_and_changes_nothing(engine: Engine, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "m", "CREATE TABLE a (x INTEGER)")

    found = pending(engine, folder)

    assert [file.name for file in found.files] == ["0001_step"]
    assert (found.applied, found.findings, found.is_nothing_to_do) == ((), (), False)
    assert table_names(engine) == []


def test_a_missing_folder_is_refused(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(MigrationRefused, match="cannot read the migrations folder"):
        run(engine, Folder(tmp_path / "nothing"))
