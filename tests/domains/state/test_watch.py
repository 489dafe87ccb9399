"""watch: changes of others reach who waits for them, and nothing is held longer than asked."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from itertools import islice

import pytest
from support.clock import Clock

from datalayer import DataLayerError
from datalayer.repository.keyvalue import KeyValues
from datalayer.repository.keywatch import Change
from datalayer.store import Store

LONG_S = 30.0


def in_another_thread(store: Store, *steps: object) -> threading.Thread:
    def run() -> None:
        for step in steps:
            step()  # type: ignore[operator] a lambda of the test's
        store.engine.release()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_a_change_by_another_is_seen(keys: KeyValues, store: Store) -> None:
    with keys.watch("a", timeout_s=LONG_S) as changes:
        thread = in_another_thread(store, lambda: keys.set("a", {"n": 1}))

        assert next(changes) == Change("a", {"n": 1}, is_present=True)
        thread.join()


def test_changes_between_the_call_and_the_wait_are_seen(keys: KeyValues) -> None:
    keys.set("gone", 1)
    with keys.watch(prefix="", timeout_s=LONG_S) as changes:
        keys.set("b", 2)
        keys.set("a", 1)
        keys.delete("gone")

        assert list(islice(changes, 3)) == [
            Change("gone", None, is_present=False),
            Change("a", 1, is_present=True),
            Change("b", 2, is_present=True),
        ]


def test_every_write_wakes_who_watches(keys: KeyValues) -> None:
    writes: list[Callable[[], object]] = [
        lambda: keys.set("there", 2),
        lambda: keys.set_many({"there": 2}),
        lambda: keys.set_if_absent("new", 2),
        lambda: keys.compare_and_set("there", 1, 2),
        lambda: keys.increment("there"),
        lambda: keys.delete("there"),
        lambda: keys.delete_many(["there"]),
        lambda: keys.pop("there"),
        lambda: keys.compare_and_delete("there", 1),
        keys.clear,
        lambda: keys.touch("there"),
        lambda: keys.expire("there", 1_000),
        lambda: keys.get_or_compute("new", lambda: 2),
    ]
    with keys.watch(prefix="", timeout_s=LONG_S) as changes:
        for write in writes:
            keys.clear()
            keys.set("there", 1)
            listener = changes._listener
            while listener.wait(0):
                pass
            write()

            assert listener.wait(LONG_S)


def test_the_same_value_set_again_is_a_change(keys: KeyValues) -> None:
    keys.set("a", 1)
    with keys.watch("a", timeout_s=LONG_S) as changes:
        keys.set("a", 1)

        assert next(changes) == Change("a", 1, is_present=True)


@pytest.mark.slow
def test_a_key_that_expires_is_a_change(keys: KeyValues, clock: Clock) -> None:
    keys.set("a", 1, ttl_s=10)
    with keys.watch("a", timeout_s=LONG_S) as changes:
        clock.move(10)

        assert next(changes) == Change("a", None, is_present=False)


def test_other_keys_are_not_seen(keys: KeyValues, store: Store) -> None:
    with keys.watch("a", timeout_s=0.3) as one, keys.watch(prefix="p/", timeout_s=0.3) as many:
        keys.set("b", 1)
        keys.set("p", 1)
        store.cache.project("/other").set("a", 1)
        store.cache.project("/other").set("p/", 1)

        assert [*one, *many] == []


def test_an_undone_change_is_not_seen(keys: KeyValues, store: Store) -> None:
    with keys.watch("a", timeout_s=0.3) as changes:
        with pytest.raises(KeyError), store.transaction():
            keys.set("a", 1)
            raise KeyError

        assert list(changes) == []


def test_watching_ends_with_its_time(keys: KeyValues) -> None:
    assert list(keys.watch("a", timeout_s=0.02)) == []


def test_another_thread_may_end_it(keys: KeyValues, store: Store) -> None:
    with keys.watch("a", timeout_s=LONG_S) as changes:
        thread = in_another_thread(store, changes.close)

        assert list(changes) == []
        thread.join()


def test_a_watch_that_is_dropped_lets_go_of_its_connection(keys: KeyValues) -> None:
    changes = keys.watch("a", timeout_s=LONG_S)
    listener = changes._listener
    del changes
    gc.collect()

    assert listener._conn is None


def test_inside_a_transaction_watching_is_refused(keys: KeyValues, store: Store) -> None:
    with store.transaction(), pytest.raises(DataLayerError, match="a transaction is open"):
        keys.watch("a", timeout_s=1)


def test_more_keys_than_the_limit_are_refused(keys: KeyValues) -> None:
    keys.set_many({"p/1": 1, "p/2": 2, "q": 3})

    with pytest.raises(DataLayerError, match="more than 1 keys"):
        keys.watch(prefix="p/", timeout_s=1, limit=1)
    assert list(keys.watch(prefix="p/", timeout_s=0, limit=2)) == []
