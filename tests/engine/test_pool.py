"""A pool: threads share a few PostgreSQL connections and give them back."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from datalayer.engine.connection import Engine, Options
from datalayer.engine.opening import open_engine
from datalayer.errors import DatabaseBusy, DataLayerError


@pytest.fixture
def pooled(postgres_database: str) -> Iterator[Engine]:
    engine = open_engine(postgres_database, Options(pool=2, busy_timeout_s=1))
    engine.execute("CREATE TABLE item (id int)")
    yield engine
    engine.close()


def backends(engine: Engine) -> int:
    row = engine.fetch_one("SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database()")
    assert row is not None
    return int(row[0])


def test_many_threads_share_two_connections(pooled: Engine) -> None:
    def work() -> None:
        for number in range(20):
            with pooled.transaction():
                pooled.write("INSERT INTO item VALUES (%s)", (number,))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert pooled.fetch_one("SELECT COUNT(*) FROM item") == (160,)
    assert backends(pooled) <= 2


def test_a_connection_is_given_back_after_each_statement_and_block(pooled: Engine) -> None:
    pooled.fetch_one("SELECT 1")
    assert not pooled.has_connection

    with pooled.transaction():
        with pooled.transaction():
            pooled.fetch_one("SELECT 1")
        assert pooled.has_connection
    assert not pooled.has_connection


def test_an_empty_pool_is_busy_and_says_what_to_do(pooled: Engine) -> None:
    inside, go_on = threading.Barrier(3), threading.Event()

    def hold() -> None:
        with pooled.transaction():
            inside.wait(10)
            go_on.wait(10)

    threads = [threading.Thread(target=hold) for _ in range(2)]
    for thread in threads:
        thread.start()
    inside.wait(10)
    with pytest.raises(DatabaseBusy, match="all 2 connections"):
        pooled.fetch_one("SELECT 1")
    go_on.set()
    for thread in threads:
        thread.join()

    assert pooled.fetch_one("SELECT 1") == (1,)


def test_a_failed_block_gives_a_clean_connection_back(pooled: Engine) -> None:
    with pytest.raises(DataLayerError), pooled.transaction():
        pooled.execute("SELECT 1 / 0")

    for _ in range(4):
        assert pooled.fetch_one("SELECT 1") == (1,)
