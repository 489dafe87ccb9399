"""Errors: the same class on every engine, with the facts, by code."""

from __future__ import annotations

import pickle

import pytest

from datalayer.engine.connection import Engine
from datalayer.engine.opening import open_engine
from datalayer.errors import (
    CheckViolation,
    ConstraintViolation,
    DatabaseUnavailable,
    DataLayerError,
    ForeignKeyViolation,
    NotNullViolation,
    SchemaMismatch,
    TransactionDied,
    UniqueViolation,
)

SCHEMA = (
    "CREATE TABLE parent (id INTEGER PRIMARY KEY)",
    "CREATE TABLE child (id INTEGER PRIMARY KEY, code TEXT CONSTRAINT child_code_unique UNIQUE,"
    " size INTEGER NOT NULL CONSTRAINT child_size_positive CHECK (size > 0),"
    " parent_id INTEGER CONSTRAINT child_parent REFERENCES parent (id))",
    "INSERT INTO child VALUES (1, 'a', 1, NULL)",
)


@pytest.fixture
def tables(engine: Engine) -> Engine:
    for statement in SCHEMA:
        engine.execute(statement)
    return engine


@pytest.mark.parametrize(
    ("statement", "kind", "columns"),
    [
        ("INSERT INTO child VALUES (2, 'a', 1, NULL)", UniqueViolation, ("code",)),
        ("INSERT INTO child VALUES (1, 'b', 1, NULL)", UniqueViolation, ("id",)),
        ("INSERT INTO child VALUES (2, 'b', NULL, NULL)", NotNullViolation, ("size",)),
        ("UPDATE child SET size = NULL", NotNullViolation, ("size",)),
        ("INSERT INTO child VALUES (2, 'b', -1, NULL)", CheckViolation, ()),
        ("INSERT INTO child VALUES (2, 'b', 1, 77)", ForeignKeyViolation, None),
    ],
)
def test_each_kind_of_violation_has_its_class_and_facts(
    tables: Engine, statement: str, kind: type[ConstraintViolation], columns: tuple[str, ...] | None
) -> None:
    with pytest.raises(kind) as raised:
        tables.write(statement)

    error = raised.value
    assert type(error) is kind
    assert error.__cause__ is not None
    if columns is not None:
        assert error.columns == columns
    if kind is CheckViolation:
        assert error.constraint == "child_size_positive"
    elif columns is not None:
        assert error.table == "child"


def test_deleting_a_row_that_is_referred_to_is_a_foreign_key_violation(tables: Engine) -> None:
    tables.write("INSERT INTO parent VALUES (5)")
    tables.write("INSERT INTO child VALUES (2, 'b', 1, 5)")

    with pytest.raises(ForeignKeyViolation):
        tables.write("DELETE FROM parent")


def test_an_error_on_the_way_through_the_rows_is_ours_too(engine: Engine) -> None:
    engine.execute("CREATE TABLE item (n BIGINT)")
    engine.write("INSERT INTO item VALUES (1), (-9223372036854775807 - 1)")

    for act in (engine.fetch_all, engine.write_all):
        with pytest.raises(DataLayerError):
            act("SELECT abs(n) FROM item")


def test_a_failure_while_rows_are_fetched_dooms_the_block(engine: Engine) -> None:
    engine.execute("CREATE TABLE item (n BIGINT)")
    engine.write("INSERT INTO item VALUES (1), (-9223372036854775807 - 1)")

    with pytest.raises(TransactionDied), engine.transaction():
        with pytest.raises(DataLayerError):
            engine.fetch_all("SELECT abs(n) FROM item")
        engine.fetch_one("SELECT 1")


def test_a_number_that_does_not_fit_is_a_check_violation_everywhere(tables: Engine) -> None:
    insert = tables.dialect.sql("INSERT INTO child VALUES (?, 'b', 1, NULL)")

    with pytest.raises(CheckViolation):
        tables.write(insert, (2**70,))


def test_half_a_surrogate_pair_is_a_check_violation_everywhere(tables: Engine) -> None:
    insert = tables.dialect.sql("INSERT INTO child VALUES (2, ?, 1, NULL)")

    with pytest.raises(CheckViolation):
        tables.write(insert, ("\ud800",))


def test_a_statement_that_is_wrong_is_a_plain_error_with_the_driver_s_as_cause(engine: Engine) -> None:
    with pytest.raises(DataLayerError) as raised:
        engine.execute("SELEKT 1")

    assert not isinstance(raised.value, ConstraintViolation | DatabaseUnavailable | SchemaMismatch)
    assert raised.value.__cause__ is not None


def test_values_that_postgresql_quotes_stay_out_of_the_error(postgres_database: str) -> None:
    engine = open_engine(postgres_database)
    engine.execute("CREATE TABLE account (email text PRIMARY KEY, n int)")
    engine.write("INSERT INTO account VALUES ('secret@example.org', 1)")

    for statement in (
        "INSERT INTO account VALUES ('secret@example.org', 1)",
        "INSERT INTO account VALUES ('x', 'secret')",
    ):
        with pytest.raises(ConstraintViolation) as raised:
            engine.write(statement)
        assert "secret" not in str(raised.value)
    engine.close()


def test_a_server_that_is_not_there_is_unavailable_without_the_password() -> None:
    with pytest.raises(DatabaseUnavailable) as raised:
        open_engine("postgresql://somebody:hunter2@127.0.0.1:1/app?connect_timeout=2")

    assert "hunter2" not in str(raised.value) + repr(raised.value)
    assert "somebody:***@127.0.0.1" in raised.value.what
    assert raised.value.hint


def test_an_address_that_cannot_be_read_does_not_show_its_password() -> None:
    with pytest.raises(DataLayerError) as raised:
        open_engine("postgresql://somebody:hunter2@[::1/app")

    assert "hunter2" not in str(raised.value)
    assert raised.value.__cause__ is None


def test_an_unknown_scheme_says_what_can_be_opened() -> None:
    with pytest.raises(DataLayerError, match="unknown kind of database: mysql://"):
        open_engine("mysql://localhost/app")


def test_errors_travel_between_processes_whole() -> None:
    error = UniqueViolation(
        "taken", table="child", columns=["code"], constraint="child_code_unique", hint="choose"
    )

    copy = pickle.loads(pickle.dumps(error))

    assert type(copy) is UniqueViolation
    assert (copy.table, copy.columns, copy.constraint, str(copy)) == (
        "child",
        ("code",),
        "child_code_unique",
        str(error),
    )
