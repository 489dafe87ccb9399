"""Which foreign key a refused statement broke on SQLite, which says only that one did."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from schema.violations import NOTHING, REFERENCES, Facts, broken, facts, run

from datalayer.engine.translate import from_sqlite
from datalayer.errors import ForeignKeyViolation
from datalayer.schema.violation import complete
from datalayer.store import Store, connect


@pytest.fixture
def store() -> Iterator[Store]:
    with connect(":memory:") as opened:
        yield opened


PERSON: Facts = ("visit", ("person",), "visit_person")
CODE: Facts = ("visit", ("code",), "visit_code")
PLACE: Facts = ("visit", ("x", "y"), "visit_place")
AFTER: Facts = ("visit", ("after",), "visit_after")
BADGE: Facts = ("badge", ("person",), "badge_person")
BROKEN_REFERENCES: list[tuple[str, tuple[Any, ...], Facts]] = [
    ("INSERT INTO visit (person) VALUES (?)", (7,), PERSON),
    ("INSERT INTO visit DEFAULT VALUES", (), PERSON),
    ("INSERT INTO visit (id, code) VALUES (?, 'a')", (5,), PERSON),
    ("INSERT INTO visit (person, code) VALUES (1, ?)", ("z",), CODE),
    ("INSERT INTO visit VALUES (?, ?, ?, ?, ?, ?);", (9, 1, "A", 1, 2, None), PLACE),
    ("INSERT INTO main.visit VALUES (?, ?, ?, ?, ?, ?)", (9, 1, "A", 1, 1, 50), AFTER),
    ("INSERT INTO visit (person, x, y) VALUES (1, 1, 1), (1, 2, 2), (1, ?, 2)", (1,), PLACE),
    ("INSERT INTO visit (x, y) SELECT x, y FROM place", (), PERSON),
    (
        "WITH person (id) AS (SELECT ?) /* hides */ INSERT OR ABORT"
        ' INTO "VISIT" ([Person]) SELECT id FROM person',
        (8,),
        PERSON,
    ),
    ("INSERT INTO visit (person) VALUES (?) RETURNING id", (7,), PERSON),
    (
        "INSERT INTO visit (id, person) VALUES (?, ?)"
        " ON CONFLICT (id) DO UPDATE SET person = excluded.person",
        (1, 7),
        PERSON,
    ),
    ("INSERT OR IGNORE INTO visit (person) VALUES (?)", (7,), PERSON),
    ("REPLACE INTO visit (id, person) VALUES (4, ?)", (7,), NOTHING),
    ("INSERT INTO visit (person) VALUES (abs(random()) + 10)", (), NOTHING),
    ("INSERT INTO visit (person, code) VALUES (?1, ?2)", (7, None), NOTHING),
    ("UPDATE visit SET person = ?", (7,), PERSON),
    ("UPDATE visit SET code = ? , after = ? WHERE id = ?", ("z", 1, 1), CODE),
    ("UPDATE visit AS v SET (x, y) = (?, ?), code = 'A' WHERE v.id = ?", (2, 1, 1), PLACE),
    ("UPDATE visit SET y = ?, person = ? WHERE id IN (SELECT ?)", (2, 2, 1), PLACE),
    ("UPDATE visit SET person = person + 10, code = lower(code)", (), PERSON),
    ("UPDATE visit SET person = p.id + 9, code = NULL FROM person AS p", (), NOTHING),
    ("DELETE FROM person WHERE id = ?", (2,), BADGE),
    ("DELETE FROM person WHERE id = ? AND code = ?", (1, "a"), PERSON),
    ("DELETE FROM place", (), PLACE),
    ("DELETE FROM person AS p WHERE p.id > ?", (1,), BADGE),
    ("UPDATE person SET id = id + ? WHERE id = 2", (10,), BADGE),
    ("UPDATE person SET code = upper(code) || ? WHERE id < ?", ("!", 9), CODE),
    ("UPDATE place SET x = 5", (), PLACE),
    ("DROP TABLE person", (), NOTHING),
]


@pytest.mark.parametrize(("statement", "params", "expected"), BROKEN_REFERENCES)
def test_the_reference_that_does_not_hold_is_named(
    store: Store, statement: str, params: tuple[Any, ...], expected: Facts
) -> None:
    run(store, REFERENCES)

    error = broken(store.engine, statement, params)

    assert (type(error), facts(error)) == (ForeignKeyViolation, expected)
    assert store.engine.fetch_one("SELECT count(*) FROM visit") == (1,)
    assert not store.engine.connection().in_transaction


def test_a_single_reference_needs_no_values(store: Store) -> None:
    run(store, REFERENCES)

    with pytest.raises(ForeignKeyViolation) as raised:
        store.engine.execute_many("INSERT INTO badge (person) VALUES (?)", [(1,), (40,)])
    with pytest.raises(ForeignKeyViolation) as several:
        store.engine.execute_many("INSERT INTO visit (person) VALUES (?)", [(1,), (40,)])

    assert facts(raised.value) == BADGE
    assert facts(several.value) == NOTHING


def test_a_trigger_that_makes_the_parent_takes_it_out_of_question(store: Store) -> None:
    run(store, REFERENCES)
    store.engine.write(
        "CREATE TRIGGER visit_person_made AFTER INSERT ON visit BEGIN"
        " INSERT OR IGNORE INTO person (id) VALUES (NEW.person); END"
    )

    error = broken(store.engine, "INSERT INTO visit (person, x, y) VALUES (70, 5, 5)")

    assert facts(error) == PLACE


def test_an_action_that_brings_the_change_to_another_table_is_followed(store: Store) -> None:
    run(
        store,
        [
            "CREATE TABLE top (id INTEGER PRIMARY KEY)",
            "CREATE TABLE middle (id INTEGER PRIMARY KEY, top INT REFERENCES top ON DELETE CASCADE)",
            "CREATE TABLE leaf (m INT CONSTRAINT leaf_middle REFERENCES middle)",
            "INSERT INTO top VALUES (1)",
            "INSERT INTO middle VALUES (1, 1)",
            "INSERT INTO leaf VALUES (1)",
        ],
    )

    assert facts(broken(store.engine, "DELETE FROM top")) == ("leaf", ("m",), "leaf_middle")


def test_a_deferred_reference_is_no_candidate_inside_a_block(store: Store) -> None:
    run(
        store,
        [
            "CREATE TABLE p (id INTEGER PRIMARY KEY)",
            "CREATE TABLE c (a INT CONSTRAINT late REFERENCES p DEFERRABLE INITIALLY DEFERRED,"
            " b INT CONSTRAINT soon REFERENCES p)",
        ],
    )

    with pytest.raises(ForeignKeyViolation) as raised, store.transaction():
        store.engine.write("INSERT INTO c VALUES (?, ?)", (1, 1))
    with pytest.raises(ForeignKeyViolation) as at_commit, store.transaction():
        store.engine.write("INSERT INTO c (a) VALUES (1)")

    assert facts(raised.value) == ("c", ("b",), "soon")
    assert facts(at_commit.value) == NOTHING
    assert facts(broken(store.engine, "INSERT INTO c (a) VALUES (1)")) == ("c", ("a",), "late")


def test_a_restricted_delete_is_a_foreign_key_violation_without_a_store_too(store: Store) -> None:
    run(store, REFERENCES)
    store.engine.complete_violation = None

    error = broken(store.engine, "DELETE FROM person WHERE id = 2")

    assert (type(error), facts(error)) == (ForeignKeyViolation, NOTHING)


# -- properties ----------------------------------------------------------------------------------------

KEYS = {
    "c_p": "CONSTRAINT c_p FOREIGN KEY (p) REFERENCES p (id)",
    "c_k": "CONSTRAINT c_k FOREIGN KEY (k) REFERENCES p (k)",
    "c_q": "CONSTRAINT c_q FOREIGN KEY (a, b) REFERENCES q (a, b) ON DELETE RESTRICT",
    "c_c": "CONSTRAINT c_c FOREIGN KEY (c) REFERENCES c (id)",
}
TRIGGER = "CREATE TRIGGER make AFTER INSERT ON c BEGIN INSERT OR IGNORE INTO p VALUES (NEW.p, NEW.p); END"
STATEMENTS = [
    "INSERT INTO c VALUES (?, ?, ?, ?, ?, ?)",
    "INSERT INTO c (id, p, k, a, b, c) SELECT ? + id, ?, k, ?, ?, ? FROM p WHERE id > ?",
    "INSERT INTO c VALUES (?, ?, ?, ?, ?, 1), (?, 1, 1, 1, 1, NULL)",
    "INSERT OR REPLACE INTO c VALUES (?, ?, ?, ?, ?, ?)",
    "INSERT OR IGNORE INTO c VALUES (?, ?, ?, ?, ?, ?)",
    "INSERT INTO c VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET p = excluded.p, k = 4",
    "UPDATE c SET p = ?, k = ?, a = ?, b = ?, c = ? WHERE id >= ?",
    "UPDATE OR IGNORE c SET p = p + ?, k = ?, a = ?, (b, c) = (?, ?) WHERE id <> ?",
    "UPDATE c SET id = id + ? - ?, c = ?, k = ? WHERE id IN (?, ?)",
    "UPDATE p SET id = id + ?, k = k + ? WHERE id + ? > ? AND k IN (?, ?)",
    "UPDATE q SET (a, b) = (? + a, ? + b) WHERE a IN (?, ?) OR b IN (?, ?)",
    "DELETE FROM p WHERE id IN (?, ?, ?) AND k NOT IN (?, ?, ?)",
    "DELETE FROM q WHERE a IN (?, ?, ?) AND b NOT IN (?, ?, ?)",
    "DELETE FROM c WHERE id IN (?, ?, ?) AND p NOT IN (?, ?, ?)",
]


def _database(keys: Sequence[str], rows: list[tuple[Any, ...]], *, has_trigger: bool) -> sqlite3.Connection:
    conn = sqlite3.connect(":memory:", isolation_level=None)
    conn.execute("PRAGMA foreign_keys = ON")
    conn.execute("CREATE TABLE p (id INTEGER PRIMARY KEY, k INT UNIQUE)")
    conn.execute("CREATE TABLE q (a INT, b INT, PRIMARY KEY (a, b))")
    parts = ["id INTEGER PRIMARY KEY", "p INT", "k INT", "a INT", "b INT", "c INT", *map(KEYS.get, keys)]
    conn.execute(f"CREATE TABLE c ({', '.join(part or '' for part in parts)})")
    conn.executemany("INSERT INTO p VALUES (?, ?)", [(1, 1), (2, 3), (3, 2)])
    conn.executemany("INSERT INTO q VALUES (?, ?)", [(1, 1), (1, 2), (2, 1)])
    for row in rows:
        _refusal(conn, "INSERT INTO c VALUES (?, ?, ?, ?, ?, ?)", row)
    if has_trigger:
        conn.execute(TRIGGER)
    return conn


def _refusal(conn: sqlite3.Connection, sql: str, params: Sequence[Any]) -> sqlite3.Error | None:
    try:
        conn.execute(sql, params)
    except sqlite3.Error as exc:
        return exc
    return None


_numbers = st.one_of(st.integers(1, 4), st.none())
_few = st.sampled_from([None, 1, 2])


@given(
    rows=st.lists(st.tuples(st.none(), *[_few] * 4, st.none() | _few), max_size=4),
    statement=st.sampled_from(STATEMENTS),
    params=st.tuples(*[_numbers] * 6),
    has_trigger=st.booleans(),
)
def test_the_reference_that_is_named_fails_when_it_is_the_only_one(
    rows: list[tuple[Any, ...]], statement: str, params: tuple[Any, ...], has_trigger: bool
) -> None:
    with closing(_database(list(KEYS), rows, has_trigger=has_trigger)) as conn:
        kept = conn.execute("SELECT * FROM c").fetchall()
        driver_error = _refusal(conn, statement, params)
        if driver_error is None or not str(driver_error).startswith("FOREIGN KEY"):
            return
        error = from_sqlite(driver_error, "here")
        error.__cause__ = driver_error
        assert isinstance(error, ForeignKeyViolation)

        complete(conn, error, statement, params)

    if error.constraint is None:
        return
    with closing(_database([error.constraint], [], has_trigger=False)) as alone:
        alone.execute("PRAGMA foreign_keys = OFF")
        alone.executemany("INSERT INTO c VALUES (?, ?, ?, ?, ?, ?)", kept)
        alone.execute("PRAGMA foreign_keys = ON")
        if has_trigger:
            alone.execute(TRIGGER)
        assert str(_refusal(alone, statement, params)).startswith("FOREIGN KEY")
