"""The statement log: who listens hears everything, and secrets stay out unless asked for."""

from __future__ import annotations

import logging

import pytest

from datalayer.engine.connection import Engine, Options
from datalayer.engine.opening import open_engine
from datalayer.engine.statements import Statement
from datalayer.errors import DataLayerError


def test_a_hook_hears_statements_with_their_time_but_not_their_values(engine: Engine) -> None:
    heard: list[Statement] = []
    remove = engine.statements.add_hook(heard.append)
    engine.execute("CREATE TABLE item (name TEXT)")
    insert = engine.dialect.sql("INSERT INTO item VALUES (?)")
    engine.write(insert, ("secret",))
    engine.fetch_one("SELECT name FROM item")
    engine.execute_many(insert, [("b",), ("c",)])
    remove()
    engine.fetch_one("SELECT 1")

    assert [s.sql for s in heard] == [
        "CREATE TABLE item (name TEXT)",
        insert,
        "SELECT name FROM item",
        insert,
    ]
    assert all(s.duration_s >= 0 and s.error is None for s in heard)
    assert heard[1].parameter_count == 1
    assert "secret" not in repr(heard)


def test_values_are_told_only_when_the_store_was_opened_so() -> None:
    engine = open_engine(":memory:", Options(log_parameters=True))
    heard: list[Statement] = []
    engine.statements.add_hook(heard.append)
    engine.fetch_one("SELECT ?", ("value",))

    assert heard[0].parameters == ("value",)
    engine.close()


def test_a_hook_hears_of_statements_that_failed(engine: Engine) -> None:
    heard: list[Statement] = []
    engine.statements.add_hook(heard.append)
    with pytest.raises(DataLayerError):
        engine.execute("SELEKT 1")

    assert heard[0].error is not None


def test_transactions_are_heard_too(engine: Engine) -> None:
    heard: list[str] = []
    engine.statements.add_hook(lambda statement: heard.append(statement.sql))
    with engine.transaction(), engine.transaction():
        pass

    assert heard[0].startswith("BEGIN")
    assert heard[1].startswith("SAVEPOINT")
    assert heard[-1] == "COMMIT"


def test_slow_statements_are_logged_as_warnings(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    engine.statements.set_slow(0.0)
    with caplog.at_level(logging.WARNING, "datalayer.sql"):
        engine.fetch_one("SELECT 1")
    engine.statements.set_slow(None)

    assert "SELECT 1" in caplog.text
    assert "slow" in caplog.text


def test_the_debug_log_is_picked_up_on_a_running_engine(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "datalayer.sql"):
        engine.statements.refresh()
        engine.fetch_one("SELECT 42")
    engine.statements.refresh()

    assert "SELECT 42" in caplog.text
    assert not engine.statements.is_watched
