"""Announcing: a statement that writes wakes who listens, and costs no NOTIFY while nobody does."""

from __future__ import annotations

import pytest

from datalayer.engine.connection import Engine, Options
from datalayer.engine.opening import open_engine
from datalayer.engine.wakeup import Listener

CHANNEL = 'it\'s "odd"'


def write(engine: Engine) -> None:
    announce = engine.dialect.announce(CHANNEL)
    engine.write("INSERT INTO item VALUES (1)" + (f" RETURNING {announce}" if announce else ""))


def test_a_write_that_announces_wakes_who_listens(engine: Engine) -> None:
    engine.execute("CREATE TABLE item (id INTEGER)")
    with Listener(engine, CHANNEL) as listener, Listener(engine, CHANNEL) as other:
        write(engine)

        assert listener.wait(10)
        assert other.wait(10)


def test_an_announcement_of_a_transaction_comes_with_its_commit(engine: Engine) -> None:
    engine.execute("CREATE TABLE item (id INTEGER)")
    with Listener(engine, CHANNEL) as listener:
        with engine.transaction():
            write(engine)
        assert listener.wait(10)


def test_nothing_is_notified_while_nobody_listens(postgres_database: str) -> None:
    engine = open_engine(postgres_database)
    engine.execute("CREATE TABLE item (id INTEGER)")
    listener = engine.open_extra()
    listener.execute(engine.dialect.listen_sql.format(channel=engine.dialect.quote(CHANNEL)))
    write(engine)
    assert list(listener.notifies(timeout=0.1)) == []

    # it attends now; the lock goes with its connection
    listener.execute(engine.dialect.attend(CHANNEL))
    write(engine)
    assert len(list(listener.notifies(timeout=10, stop_after=1))) == 1
    engine.close_extra(listener)
    engine.close()


def test_writers_do_not_keep_the_lock_that_listeners_hold(postgres_database: str) -> None:
    engine = open_engine(postgres_database)
    engine.execute("CREATE TABLE item (id INTEGER)")
    with engine.transaction():
        write(engine)
        held = engine.fetch_one(
            "SELECT COUNT(*) FROM pg_locks WHERE locktype = 'advisory'"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
        assert held == (0,)
    engine.close()


@pytest.mark.parametrize("pool", [1, 3])
def test_a_listener_takes_no_place_in_the_pool(postgres_database: str, pool: int) -> None:
    engine = open_engine(postgres_database, Options(pool=pool, busy_timeout_s=0.2))
    engine.execute("CREATE TABLE item (id INTEGER)")
    with Listener(engine, CHANNEL) as listener:
        with engine.transaction():
            write(engine)
            with Listener(engine, CHANNEL):
                pass
            write(engine)
        assert listener.wait(10)
        assert engine.fetch_one("SELECT COUNT(*) FROM item") == (2,)
    engine.close()
