"""Placeholders for lost rows: as bare as their table accepts, none where it accepts none, each named."""

from __future__ import annotations

import json
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.damaged import damage, problems, rows

from datalayer.schema.check.rule import read_rules
from datalayer.schema.repair.expectation import Expectation
from datalayer.schema.repair.repairing import plan_repair, repair
from datalayer.schema.repair.report import RepairReport, TableOutcome

NAMED = (
    "SELECT \"table\", row_id FROM lost_and_found WHERE reason = 'placeholder for a lost row' ORDER BY 1, 2"
)
CHILD = "CREATE TABLE c (id INTEGER PRIMARY KEY, p_id NOT NULL REFERENCES p);"


def orphaned(path: Path, parents: str, *, first: int = 1, children: str = CHILD) -> Path:
    """Make a hundred rows of `c` that refer to four rows of `p`, which are not there."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(parents + children)
        columns = [row[1] for row in connection.execute("PRAGMA table_info(c)")][1:]
        marks = ", ".join("?" * len(columns))
        for number in range(100):
            key = [first + number % 4] * len(columns)
            connection.execute(f"INSERT INTO c ({', '.join(columns)}) VALUES ({marks})", key)
        connection.commit()
    return path


def cured(path: Path, expectation: Expectation | None = None) -> RepairReport:
    """Repair, and see that it is whole and that a second repair finds nothing."""
    wanted = expectation or Expectation()
    report = repair(path, wanted, yes=True)
    assert problems(path) == []
    again = repair(path, wanted, yes=True)
    assert (again.nothing_to_do, again.left) == (True, ()), again.lines()
    return report


REFUSING = {
    "an empty column": ("CREATE TABLE p (id INTEGER PRIMARY KEY, a, b TEXT DEFAULT 'x');", (None, "x")),
    "values that must be": (
        "CREATE TABLE p (id INTEGER PRIMARY KEY, a INTEGER NOT NULL, b TEXT NOT NULL, c BLOB NOT NULL);",
        (0, "lost 1", b""),
    ),
    "a list of values": (
        "CREATE TABLE p (id INTEGER PRIMARY KEY, a TEXT NOT NULL CHECK (a IN ('red', 'green')));",
        ("red",),
    ),
    "a lower bound": ("CREATE TABLE p (id INTEGER PRIMARY KEY, a INTEGER NOT NULL CHECK (a > 7));", (8,)),
    "a document": (
        "CREATE TABLE p (id INTEGER PRIMARY KEY, a TEXT NOT NULL CHECK (json_valid(a)));",
        ("{}",),
    ),
    "a rule of two columns": (
        "CREATE TABLE p (id INTEGER PRIMARY KEY, a INTEGER, b TEXT, CHECK (a IS NOT NULL OR b IS NOT NULL));",
        (0, None),
    ),
    "a length": (
        "CREATE TABLE p (id INTEGER PRIMARY KEY, a TEXT NOT NULL CHECK (length(a) = 6));",
        ("lost 1",),
    ),
    "unique numbers": (
        "CREATE TABLE p (id INTEGER PRIMARY KEY, a INTEGER NOT NULL UNIQUE, b TEXT UNIQUE DEFAULT '');",
        (0, ""),
    ),
    "a strict table": (
        "CREATE TABLE p (id INTEGER PRIMARY KEY, a ANY NOT NULL, b REAL NOT NULL) STRICT;",
        (b"", 0.0),
    ),
    "a computed column": (
        "CREATE TABLE p (id INTEGER PRIMARY KEY, a TEXT NOT NULL, b AS (length(a)) STORED);",
        ("lost 1", 6),
    ),
    "a clause that ends the transaction": (
        "CREATE TABLE p (id INTEGER PRIMARY KEY, a INTEGER NOT NULL CHECK (a > 0)"
        " UNIQUE ON CONFLICT ROLLBACK);",
        (1,),
    ),
    "a trigger": (
        "CREATE TABLE p (id INTEGER PRIMARY KEY, a INTEGER NOT NULL);"
        "CREATE TRIGGER p_low BEFORE INSERT ON p WHEN NEW.a < 3 BEGIN SELECT RAISE(ROLLBACK, 'low'); END;"
        "CREATE TABLE seen (id);"
        "CREATE TRIGGER p_seen AFTER INSERT ON p BEGIN INSERT INTO seen VALUES (NEW.id); END;",
        (3,),
    ),
    "a row of another table": (
        "CREATE TABLE g (id INTEGER PRIMARY KEY, a TEXT NOT NULL);"
        "CREATE TABLE p (id INTEGER PRIMARY KEY, a INTEGER NOT NULL REFERENCES g, b INTEGER REFERENCES g);",
        (0, None),
    ),
    "a row like itself": (
        "CREATE TABLE p (id INTEGER PRIMARY KEY, a INTEGER NOT NULL REFERENCES p);",
        (1,),
    ),
}


@pytest.mark.parametrize("what", REFUSING)
def test_a_placeholder_is_as_bare_as_the_rules_of_its_table_allow(what: str, tmp_path: Path) -> None:
    sql, values = REFUSING[what]
    path = orphaned(tmp_path / "app.db", sql)

    report = cured(path)

    assert rows(path, "SELECT count(*) FROM c") == [(100,)]
    assert rows(path, "SELECT * FROM p ORDER BY id LIMIT 1") == [(1, *values)]
    assert [row for row in rows(path, NAMED) if row[0] == "p"] == [("p", number) for number in range(1, 5)]
    assert report.plan.tables["p"].made == 4
    assert report.left == ()


def test_what_most_other_rows_hold_is_taken_where_nothing_else_is_accepted(tmp_path: Path) -> None:
    path = orphaned(
        tmp_path / "app.db",
        "CREATE TABLE p (id INTEGER PRIMARY KEY, a TEXT NOT NULL CHECK (hex(a) = '6162' OR hex(a) = '6163'));"
        "INSERT INTO p VALUES (90, 'ab'), (91, 'ac'), (92, 'ac');",
    )

    cured(path)

    assert rows(path, "SELECT a FROM p WHERE id < 5") == [("ac",)] * 4


def test_a_placeholder_for_a_placeholder_to_refer_to_is_named_too(tmp_path: Path) -> None:
    path = orphaned(tmp_path / "app.db", REFUSING["a row of another table"][0])

    report = cured(path)

    assert rows(path, "SELECT * FROM g") == [(0, "lost 0")]
    assert rows(path, NAMED) == [("g", 0), ("p", 1), ("p", 2), ("p", 3), ("p", 4)]
    assert report.plan.tables["g"].made == 1
    [step] = [step for step in report.plan.steps if step.table == "g"]
    assert step.choice == "1 placeholders are made for those of p to refer to"


def test_a_key_that_is_itself_a_reference_is_made_in_both_tables(tmp_path: Path) -> None:
    path = orphaned(
        tmp_path / "app.db",
        "CREATE TABLE g (id INTEGER PRIMARY KEY);"
        "CREATE TABLE p (id INTEGER PRIMARY KEY REFERENCES g ON DELETE CASCADE);",
    )

    cured(path)

    assert rows(path, "SELECT id FROM g") == rows(path, "SELECT id FROM p") == [(1,), (2,), (3,), (4,)]


def test_keys_of_two_columns_without_a_rowid_are_made(tmp_path: Path) -> None:
    path = orphaned(
        tmp_path / "app.db",
        "CREATE TABLE p (a INTEGER, b TEXT COLLATE NOCASE, d TEXT NOT NULL, PRIMARY KEY (a, b))"
        " WITHOUT ROWID;",
        children="CREATE TABLE c (id INTEGER PRIMARY KEY, a NOT NULL, b, FOREIGN KEY (a, b) REFERENCES p);",
    )

    cured(path)

    assert rows(path, "SELECT * FROM p LIMIT 1") == [(1, "1", "lost 1 1")]
    assert rows(path, "SELECT count(*) FROM c") == [(100,)]
    assert rows(path, "SELECT c0, c1 FROM lost_and_found") == [(n, str(n)) for n in range(1, 5)]


def test_a_unique_column_that_is_no_key_is_referred_to(tmp_path: Path) -> None:
    path = orphaned(
        tmp_path / "app.db",
        "CREATE TABLE p (id INTEGER PRIMARY KEY AUTOINCREMENT, code TEXT NOT NULL UNIQUE);",
        children="CREATE TABLE c (id INTEGER PRIMARY KEY, code TEXT NOT NULL REFERENCES p (code));",
    )

    cured(path)

    assert rows(path, "SELECT id, code FROM p") == [(n, str(n)) for n in range(1, 5)]


def test_where_the_table_accepts_no_placeholder_the_rows_move_and_the_plan_says_so(tmp_path: Path) -> None:
    path = orphaned(tmp_path / "app.db", "CREATE TABLE p (id INTEGER PRIMARY KEY CHECK (id < 3));")
    [made, moved] = plan_repair(path).steps

    report = cured(path)

    assert (made.action, made.count, moved.action, moved.count) == ("placeholder", 2, "move", 50)
    assert "no placeholder for what they refer to is accepted" in moved.choice
    assert "a backup may still have the rows of p" in moved.choice
    assert rows(path, "SELECT count(*) FROM c") == [(50,)]
    assert rows(path, "SELECT count(*) FROM lost_and_found WHERE \"table\" = 'c'") == [(50,)]
    outcome = report.plan.tables["p"]
    assert (outcome.kept, outcome.made) == (0, 2)


def test_two_tables_that_must_refer_to_each_other_get_no_placeholders(tmp_path: Path) -> None:
    path = orphaned(
        tmp_path / "app.db",
        "CREATE TABLE g (id INTEGER PRIMARY KEY, p_id INTEGER NOT NULL REFERENCES p);"
        "CREATE TABLE p (id INTEGER PRIMARY KEY, g_id INTEGER NOT NULL REFERENCES g);",
    )

    cured(path)

    moved = rows(path, "SELECT count(*) FROM lost_and_found WHERE \"table\" = 'c'")
    assert rows(path, "SELECT count(*) FROM c") == [(100 - int(str(moved[0][0])),)]


def test_a_rule_of_the_app_that_placeholders_would_break_keeps_them_from_being_made(tmp_path: Path) -> None:
    path = orphaned(tmp_path / "app.db", "CREATE TABLE p (id INTEGER PRIMARY KEY, a TEXT);")
    file = tmp_path / "rules.json"
    file.write_text(json.dumps({"a-known": {"sql": "SELECT id FROM p WHERE a IS NULL"}}), encoding="utf-8")

    cured(path, Expectation(None, read_rules(file)))

    assert rows(path, "SELECT count(*) FROM p") == [(0,)]
    assert rows(path, "SELECT count(*) FROM lost_and_found WHERE \"table\" = 'c'") == [(100,)]


def test_what_hangs_on_few_rows_may_be_too_much_to_move(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "CREATE TABLE p (id INTEGER PRIMARY KEY);" + CHILD + "CREATE TABLE d (id INTEGER PRIMARY KEY,"
            " c_id INTEGER NOT NULL REFERENCES c ON DELETE CASCADE); INSERT INTO c VALUES (1, 7), (2, 7);"
        )
        connection.executemany("INSERT INTO d VALUES (?, ?)", [(n, n % 2 + 1) for n in range(100)])
        connection.commit()

    cured(path)

    assert rows(path, "SELECT * FROM p") == [(7,)]
    assert rows(path, "SELECT count(*) FROM d") == [(100,)]


def test_references_that_break_few_rows_each_count_together(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE q (id INTEGER PRIMARY KEY);"
            "INSERT INTO p VALUES (1); INSERT INTO q VALUES (1);"
            "CREATE TABLE c (id INTEGER PRIMARY KEY, p_id INTEGER REFERENCES p, q_id INTEGER REFERENCES q);"
        )
        keys = [(n, 2 if n < 15 else 1, 2 if 15 <= n < 30 else 1) for n in range(100)]
        connection.executemany("INSERT INTO c VALUES (?, ?, ?)", keys)
        connection.commit()

    cured(path)

    assert rows(path, "SELECT count(*) FROM c") == [(100,)]
    assert rows(path, NAMED) == [("p", 2), ("q", 2)]


TREE = """
CREATE TABLE a (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE b (id INTEGER PRIMARY KEY, a_id INTEGER NOT NULL REFERENCES a ON DELETE CASCADE,
    kind TEXT NOT NULL CHECK (kind IN ('x', 'y')), made TEXT NOT NULL CHECK (made GLOB '[0-9][0-9]-[a-c]'));
CREATE TABLE c (b_id INTEGER NOT NULL REFERENCES b, place INTEGER, a_name TEXT REFERENCES a (name),
    PRIMARY KEY (b_id, place)) WITHOUT ROWID;
CREATE TABLE d (id INTEGER PRIMARY KEY, b_id INTEGER NOT NULL, place INTEGER NOT NULL,
    up INTEGER REFERENCES d, FOREIGN KEY (b_id, place) REFERENCES c ON DELETE CASCADE);
"""
SIZES = {"a": 50, "b": 100, "c": 200, "d": 300}
KEYS = {"a": "id", "b": "id", "c": "b_id * 10 + place", "d": "id"}


def fill(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(TREE)
        connection.executemany("INSERT INTO a VALUES (?, ?)", [(n, f"a{n}") for n in range(50)])
        connection.executemany("INSERT INTO b VALUES (?, ?, 'y', '12-a')", [(n, n % 50) for n in range(100)])
        connection.executemany(
            "INSERT INTO c VALUES (?, ?, ?)", [(n // 2, n % 2, f"a{n % 50}") for n in range(200)]
        )
        connection.executemany(
            "INSERT INTO d VALUES (?, ?, ?, ?)",
            [(n, n % 100, n % 2, n // 2 if n else None) for n in range(300)],
        )
        connection.commit()


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("abcd"), st.integers(0, 90), st.integers(1, 60)), min_size=1, max_size=4
    )
)
def test_no_row_that_is_there_leaves_a_table_that_too_many_would_leave(
    gone: list[tuple[str, int, int]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "app.db"
        fill(path)
        for table, start, share in gone:
            key, size = KEYS[table], SIZES[table]
            damage(
                path, f"DELETE FROM {table} WHERE (({key}) * 7 + {start}) % {size} < {size * share // 100}"
            )
        # freed cells are no matter of references
        damage(path, "VACUUM")
        before = {table: rows(path, f"SELECT * FROM {table}") for table in SIZES}

        report = repair(path, yes=True)

        assert problems(path) == [] and report.left == ()
        for table, known in before.items():
            kept = set(rows(path, f"SELECT * FROM {table}"))
            left = [row for row in known if row not in kept]
            outcome = report.plan.tables.get(table, TableOutcome(len(known)))
            assert len(left) == outcome.moved <= max(20, len(known) / 20), (table, report.lines())
            assert outcome.kept + outcome.moved == len(known)
            assert len(kept) == outcome.kept + outcome.made
        assert repair(path, yes=True).nothing_to_do
