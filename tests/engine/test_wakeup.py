"""Waking up: who waits hears of commits at once, and of nothing else."""

from __future__ import annotations

import threading

from datalayer.engine.connection import Engine
from datalayer.engine.wakeup import Listener, notify


def change(engine: Engine) -> None:
    with engine.transaction():
        engine.execute("INSERT INTO item VALUES (1)")
        notify(engine, "items")


def test_a_listener_wakes_after_a_commit_of_another_thread(engine: Engine) -> None:
    engine.execute("CREATE TABLE item (id INTEGER)")
    with Listener(engine, "items") as listener:
        thread = threading.Thread(target=change, args=(engine,))
        thread.start()
        assert listener.wait(10)
        thread.join()


def test_a_change_before_the_wait_is_not_missed(engine: Engine) -> None:
    engine.execute("CREATE TABLE item (id INTEGER)")
    with Listener(engine, "items") as listener:
        change(engine)
        assert listener.wait(10)
        assert not listener.wait(0.01)


def test_a_wait_without_a_change_ends_with_the_time(engine: Engine) -> None:
    with Listener(engine, "items") as listener:
        assert not listener.wait(0.01)


def test_an_undone_change_wakes_nobody(engine: Engine) -> None:
    engine.execute("CREATE TABLE item (id INTEGER)")
    with Listener(engine, "items") as listener:
        try:
            with engine.transaction():
                engine.execute("INSERT INTO item VALUES (1)")
                notify(engine, "items")
                raise KeyError
        except KeyError:
            pass
        assert not listener.wait(0.05)
