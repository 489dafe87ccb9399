"""An error of a broken rule says which one: table, columns and constraint, on SQLite as on PostgreSQL."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from schema.pairs import Outcome, Pair
from schema.test_rules_on_both_engines import PREPARE, RULES, TYPED
from schema.violations import REFERENCES, Facts, broken, facts, run

from datalayer.engine.opening import open_engine
from datalayer.errors import (
    CheckViolation,
    ConstraintViolation,
    ForeignKeyViolation,
    NotNullViolation,
    UniqueViolation,
)
from datalayer.schema.violation import complete
from datalayer.store import Store, connect


@pytest.fixture
def store() -> Iterator[Store]:
    with connect(":memory:") as opened:
        yield opened


# -- every rule of the package's own schema, on both engines -------------------------------------------


@pytest.fixture
def stores(package_pair: Pair) -> tuple[Store, Store]:
    pair = package_pair
    for statement in (*PREPARE, "INSERT INTO migrations (name) VALUES ('one')"):
        assert pair.run(statement) == Outcome()
    return Store(pair.sqlite), Store(pair.postgres)


def test_every_rule_gives_the_same_facts_on_both_engines(stores: tuple[Store, Store]) -> None:
    for rule, statement, _ in RULES:
        ours, theirs = (broken(store.engine, statement) for store in stores)

        assert (type(ours), ours.table) == (type(theirs), theirs.table), rule
        if type(ours) is CheckViolation:
            # PostgreSQL tells no columns of a CHECK
            assert (ours.constraint, theirs.constraint, theirs.columns) == (rule, rule, ()), rule
        else:
            assert ours.columns == theirs.columns != (), rule
        # a key without a name has one of PostgreSQL's making
        is_named = rule not in ("sessions", "key_value_store")
        assert ours.constraint == (theirs.constraint if is_named else None), rule
        assert ours.what == theirs.what, rule


def test_a_row_still_referred_to_names_the_reference_on_both_engines(stores: tuple[Store, Store]) -> None:
    for store in stores:
        store.engine.write("DELETE FROM included_files")
        store.engine.write("DELETE FROM excluded_files")

    ours, theirs = (broken(store.engine, "UPDATE sessions SET id = 'new'") for store in stores)

    assert type(ours) is type(theirs) is ForeignKeyViolation
    assert facts(ours) == ("background_jobs", ("session_id",), "background_jobs_session")
    # the columns that PostgreSQL tells are those of the row referred to
    assert facts(theirs) == ("background_jobs", (), "background_jobs_session")


def test_rules_that_a_type_holds_on_postgresql_name_their_columns(stores: tuple[Store, Store]) -> None:
    for rule, statement in TYPED:
        error = broken(stores[0].engine, statement)

        assert error.constraint == rule
        assert f"{error.table}_{error.columns[0]}" == rule.removesuffix("_utc").removesuffix(
            "_bool"
        ).removesuffix("_json")


VERBS: list[tuple[str, Callable[[Store], object], Facts]] = [
    (
        "add with a reference to nothing",
        lambda store: store.jobs.add(id="x", session_id="nobody"),
        ("background_jobs", ("session_id",), "background_jobs_session"),
    ),
    (
        "upsert with a reference to nothing",
        lambda store: store.jobs.upsert(id="j", session_id="nobody"),
        ("background_jobs", ("session_id",), "background_jobs_session"),
    ),
    (
        "update_where to a reference to nothing",
        lambda store: store.jobs.update_where(id="j", changes={"session_id": "nobody"}),
        ("background_jobs", ("session_id",), "background_jobs_session"),
    ),
    (
        "add_many with a key that is taken",
        lambda store: store.jobs.add_many([{"id": "x", "dedupe_key": "d"}]),
        ("background_jobs", ("dedupe_key",), "background_jobs_dedupe"),
    ),
    (
        "update_where against a trigger",
        lambda store: store.jobs.update_where(id="e", changes={"start_time": None}),
        ("background_jobs", (), "background_jobs_start_once"),
    ),
    (
        "update_where to nothing",
        lambda store: store.sessions.update_where(id="s", changes={"name": None}),
        ("sessions", ("name",), None),
    ),
]


def test_verbs_of_repositories_raise_the_same_facts_on_both_engines(database: str) -> None:
    with connect(database) as store:
        with store.transaction():
            run(store, PREPARE)

        for what, verb, expected in VERBS:
            with pytest.raises(ConstraintViolation) as raised:
                verb(store)

            assert facts(raised.value) == expected, what
            assert raised.value.args == (raised.value.what,)


def test_the_facts_are_found_in_nested_blocks_and_leave_them_as_they_are(tmp_path: Any) -> None:
    with connect(tmp_path / "app.db") as store:
        store.migrate()
        run(store, PREPARE)
        with store.transaction():
            store.engine.write("DELETE FROM key_value_store")
            with pytest.raises(UniqueViolation) as raised:
                with store.transaction():
                    run(store, ["DELETE FROM cached_state", PREPARE[0]])
            assert store.engine.in_transaction

        assert facts(raised.value) == ("sessions", ("id",), None)
        assert store.engine.fetch_one("SELECT count(*) FROM key_value_store") == (0,)
        assert store.engine.fetch_one("SELECT count(*) FROM cached_state") == (1,)


# -- one kind of rule after the other ------------------------------------------------------------------

ODD = (
    'CREATE TABLE "o.dd, t" ("a.b" INTEGER PRIMARY KEY, "c, d" TEXT CONSTRAINT "odd one" UNIQUE,'
    ' "n.n" INT NOT NULL DEFAULT 1, `q"q` INT CONSTRAINT [it\'s] CHECK ([q"q] > 0), x,'
    ' CONSTRAINT pair UNIQUE (X, "n.n"))',
    "INSERT INTO \"o.dd, t\" VALUES (1, 'a', 1, 1, 1)",
    'CREATE TABLE loose (a, b, CHECK (a < /* less */ b), CHECK ("b" <> 7))',
    "CREATE TABLE bare (v)",
    "INSERT INTO bare (rowid, v) VALUES (1, 1)",
    "CREATE TABLE whole (a, b, CONSTRAINT whole_key PRIMARY KEY (b, a)) WITHOUT ROWID",
    "INSERT INTO whole VALUES (1, 2)",
    "CREATE TABLE mail (id INTEGER PRIMARY KEY, address TEXT, host TEXT, kind TEXT)",
    "CREATE UNIQUE INDEX mail_lower ON mail (lower(address), host)",
    "CREATE UNIQUE INDEX mail_kind ON mail (kind) WHERE kind <> 'x'",
    "INSERT INTO mail VALUES (1, 'A', 'h', 'k')",
    "CREATE TABLE twice (a UNIQUE)",
    "CREATE UNIQUE INDEX twice_a ON twice (a) WHERE a > 0",
    "INSERT INTO twice VALUES (1)",
    'CREATE TABLE exact (id INTEGER PRIMARY KEY, size INT, "is it" INT) STRICT',
)
KEYS_AND_COLUMNS: list[tuple[str, type[ConstraintViolation], Facts]] = [
    ("INSERT INTO [o.dd, t] VALUES (1, 'b', 2, 2, 2)", UniqueViolation, ("o.dd, t", ("a.b",), None)),
    ("INSERT INTO [o.dd, t] VALUES (2, 'a', 2, 2, 2)", UniqueViolation, ("o.dd, t", ("c, d",), "odd one")),
    ("INSERT INTO `o.dd, t` VALUES (2, 'b', 1, 2, 1)", UniqueViolation, ("o.dd, t", ("x", "n.n"), "pair")),
    ('UPDATE main."o.dd, t" SET "n.n" = NULL', NotNullViolation, ("o.dd, t", ("n.n",), None)),
    ('UPDATE [o.dd, t] SET [q"q] = -1 -- low', CheckViolation, ("o.dd, t", ('q"q',), "it's")),
    ("INSERT INTO loose VALUES (2, 1)", CheckViolation, ("loose", ("a", "b"), None)),
    ("REPLACE INTO loose VALUES (2, 7)", CheckViolation, ("loose", ("b",), None)),
    ("INSERT INTO bare (rowid, v) VALUES (1, 2)", UniqueViolation, ("bare", ("rowid",), None)),
    ("INSERT INTO whole VALUES (1, 2)", UniqueViolation, ("whole", ("b", "a"), "whole_key")),
    (
        "INSERT INTO mail VALUES (2, 'a', 'h', 'l')",
        UniqueViolation,
        ("mail", ("address", "host"), "mail_lower"),
    ),
    ("INSERT INTO mail VALUES (2, 'b', 'h', 'k')", UniqueViolation, ("mail", ("kind",), "mail_kind")),
    # two rules over the same column: which of them it was is not told
    ("INSERT INTO twice VALUES (1)", UniqueViolation, ("twice", ("a",), None)),
    ("INSERT INTO exact (size) VALUES ('much')", CheckViolation, ("exact", ("size",), None)),
    ("INSERT INTO exact ([is it]) VALUES ('no')", CheckViolation, ("exact", ("is it",), None)),
    ("INSERT INTO exact (id) VALUES (1), (1)", UniqueViolation, ("exact", ("id",), None)),
]


@pytest.mark.parametrize(("statement", "kind", "expected"), KEYS_AND_COLUMNS)
def test_keys_columns_and_checks_are_named_whatever_they_are_called(
    store: Store, statement: str, kind: type[ConstraintViolation], expected: Facts
) -> None:
    run(store, ODD)

    error = broken(store.engine, statement)

    assert (type(error), facts(error)) == (kind, expected)


TRIGGERS = (
    "CREATE TABLE source (id INTEGER PRIMARY KEY, n INT, CONSTRAINT positive CHECK (n > 0))",
    "CREATE TABLE target (id INTEGER PRIMARY KEY, size INT, CONSTRAINT positive CHECK (size > 1))",
    "CREATE TABLE other (m INT, CONSTRAINT small CHECK (m < 100 AND abs(m) >= 0))",
    "CREATE TRIGGER source_copy AFTER INSERT ON source WHEN NEW.n = 1 BEGIN"
    " INSERT INTO target (size) VALUES (NEW.n); END",
    "CREATE TRIGGER source_small AFTER UPDATE OF n ON source BEGIN INSERT INTO other VALUES (NEW.n); END",
    "CREATE TRIGGER other_rule BEFORE INSERT ON other WHEN NEW.m = 13 BEGIN"
    " SELECT RAISE(ABORT, 'unlucky: it''s thirteen'); END",
    "CREATE TRIGGER target_rule BEFORE DELETE ON target BEGIN SELECT RAISE(ABORT, 'kept: always'); END",
    "CREATE TRIGGER source_rule BEFORE DELETE ON source WHEN OLD.n = 2 BEGIN"
    " SELECT RAISE(ABORT, 'kept: always'); END",
    "CREATE TRIGGER plain BEFORE DELETE ON other BEGIN SELECT RAISE(ROLLBACK, 'no rule, just this'); END",
    "CREATE VIEW seen AS SELECT id, n FROM source",
    "CREATE TRIGGER seen_put INSTEAD OF INSERT ON seen BEGIN INSERT INTO other VALUES (NEW.n); END",
    "INSERT INTO source VALUES (1, 2), (3, 4)",
    "INSERT INTO target VALUES (1, 5)",
    "INSERT INTO other VALUES (5)",
)


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("UPDATE other SET m = 100", ("other", ("m",), "small")),
        ("UPDATE source SET n = 200", ("other", ("m",), "small")),
        ("INSERT INTO seen (n) VALUES (200)", ("other", ("m",), "small")),
        ("UPDATE target SET size = 0", ("target", ("size",), "positive")),
        ("UPDATE source SET n = 0", ("source", ("n",), "positive")),
        # both tables have a rule of this name, and the statement can break either
        ("INSERT INTO source VALUES (9, 0)", (None, (), "positive")),
        ("UPDATE source SET n = 13", ("other", (), "unlucky")),
        ("DELETE FROM target", ("target", (), "kept")),
        ("DELETE FROM source WHERE id = 1", ("source", (), "kept")),
        ("DELETE FROM other", ("other", (), None)),
    ],
)
def test_checks_and_rules_of_triggers_name_the_table_that_they_are_of(
    store: Store, statement: str, expected: Facts
) -> None:
    run(store, TRIGGERS)

    error = broken(store.engine, statement)

    assert (type(error), facts(error)) == (CheckViolation, expected)


def test_a_temporary_trigger_leaves_the_table_open(store: Store) -> None:
    run(store, TRIGGERS)
    store.engine.write("CREATE TEMP TRIGGER unseen AFTER INSERT ON main.target BEGIN SELECT 1; END")

    assert facts(broken(store.engine, "UPDATE source SET n = 0")) == (None, (), "positive")


# -- any text ---------------------------------------------------------------------------------------

WORDS = """
WITH RECURSIVE INSERT OR REPLACE INTO UPDATE SET DELETE FROM WHERE VALUES DEFAULT ON CONFLICT DO NOTHING
RETURNING ORDER BY LIMIT AS SELECT person visit id code x y a.b ( ( ) ) , . ; = ? ?1 :n 'it\'\'s' "visit"
[visit] `person` /*c*/ excluded 'open 1 é --
"""
_texts = st.one_of(
    st.text(max_size=60),
    st.lists(st.sampled_from(WORDS.split()), max_size=14).map(" ".join),
    st.tuples(st.sampled_from([statement for statement, *_ in KEYS_AND_COLUMNS]), st.integers(0, 60)).map(
        lambda pair: pair[0][: pair[1]]
    ),
)
ERRORS = [
    (ForeignKeyViolation, "FOREIGN KEY constraint failed", 787),
    (UniqueViolation, "UNIQUE constraint failed: visit.id", 2067),
    (UniqueViolation, "UNIQUE constraint failed: index 'gone'", 2067),
    (NotNullViolation, "NOT NULL constraint failed: a.b.c, d", 1299),
    (CheckViolation, "CHECK constraint failed: x", 275),
    (CheckViolation, "rule: said", 1811),
    (CheckViolation, "", None),
]


@given(sql=_texts, params=st.lists(st.one_of(st.none(), st.integers(), st.text(), st.binary()), max_size=4))
def test_any_text_at_all_leaves_an_error_and_no_exception(sql: str, params: list[Any]) -> None:
    conn = sqlite3.connect(":memory:", isolation_level=None)
    for statement in REFERENCES:
        conn.execute(statement)
    before = conn.total_changes
    for (kind, message, code), in_block in itertools.product(ERRORS, (False, True)):
        cause = sqlite3.IntegrityError(message)
        if code is not None:
            cause.sqlite_errorcode = code
        error = kind("as it was")
        error.__cause__ = cause
        if in_block:
            conn.execute("BEGIN")

        complete(conn, error, sql, params)

        assert conn.in_transaction is in_block
        assert error.__cause__ is cause
        if in_block:
            conn.execute("ROLLBACK")
    assert conn.total_changes == before
    conn.close()


def test_a_connection_that_answers_nothing_leaves_the_error_as_it_was() -> None:
    engine = open_engine(":memory:")
    engine.execute("CREATE TABLE t (a UNIQUE)")
    engine.write("INSERT INTO t VALUES (1)")
    error = broken(engine, "INSERT INTO t VALUES (1)")
    conn = sqlite3.connect(":memory:")
    conn.close()

    complete(conn, error, "INSERT INTO t VALUES (1)", ())

    assert (facts(error), error.what) == (("t", ("a",), None), "t.a is taken already")
    engine.close()
