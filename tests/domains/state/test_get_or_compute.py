"""get_or_compute: one computes, the others wait; a lease says who, and leaves nothing behind."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from support.clock import Clock
from support.waiting import wait_until

from datalayer import CheckViolation, DatabaseBusy, DataLayerError
from datalayer.repository.keyvalue import KeyValues
from datalayer.store import Store


def again(store: Store, keys: KeyValues) -> KeyValues:
    """The same keys as another process sees them: with locks of its own."""
    other = Store(store.engine)
    return other.kv if keys is store.kv else other.cache.project("/home/me/app")


def never() -> Any:
    raise AssertionError("computed although the value is there")


def after(change: Callable[[], object], value: Any) -> Callable[[], Any]:
    """A function that takes so long that something else happens before it gives its value."""

    def work() -> Any:
        change()
        return value

    return work


def held(
    store: Store, keys: KeyValues, key: str = "a", lease_s: float = 30.0
) -> tuple[Callable[[], None], Any]:
    """Compute a key in a thread until the function given back is called; it gives "held"."""
    entered, release = threading.Event(), threading.Event()

    def work() -> str:
        entered.set()
        assert release.wait(30)
        return "held"

    def run() -> Any:
        try:
            return keys.get_or_compute(key, work, lease_s=lease_s)
        finally:
            store.engine.release()

    pool = ThreadPoolExecutor(1)
    future = pool.submit(run)
    assert entered.wait(30)
    pool.shutdown(wait=False)
    return release.set, future


def test_a_value_that_is_there_is_not_computed(keys: KeyValues) -> None:
    keys.set("a", None)

    assert keys.get_or_compute("a", never) is None


def test_a_computed_value_is_kept_for_its_time(keys: KeyValues, clock: Clock) -> None:
    assert keys.get_or_compute("a", lambda: [1], ttl_s=60) == [1]
    assert keys.get_or_compute("a", never) == [1]
    assert keys.ttl_of("a") == 60
    clock.move(60)

    assert keys.get_or_compute("a", lambda: [2]) == [2]
    assert keys.ttl_of("a") is None


def test_who_computed_gets_the_value_as_all_others_do(keys: KeyValues) -> None:
    assert keys.get_or_compute("a", lambda: (1, {2: 3})) == keys.get("a") == [1, {"2": 3}]


def test_threads_wait_for_the_one_that_computes(keys: KeyValues, store: Store) -> None:
    calls: list[int] = []
    everybody = threading.Barrier(8)

    def ask(_: int) -> Any:
        everybody.wait(30)
        try:
            return keys.get_or_compute("a", lambda: calls.append(1) or "value")
        finally:
            store.engine.release()

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(8))) == ["value"] * 8
    assert calls == [1]


def test_no_transaction_is_open_while_the_function_runs(keys: KeyValues, store: Store) -> None:
    def work() -> bool:
        keys.set("other", 1)
        return store.engine.in_transaction

    assert keys.get_or_compute("a", work) is False


def test_inside_a_transaction_only_a_value_that_is_there_is_given(keys: KeyValues, store: Store) -> None:
    keys.set("a", 1)
    with store.transaction():
        assert keys.get_or_compute("a", never) == 1
        with pytest.raises(DataLayerError, match="a transaction is open"):
            keys.get_or_compute("b", never)


def test_while_it_is_computed_a_key_is_absent_for_others(keys: KeyValues, store: Store, clock: Clock) -> None:
    release, future = held(store, keys)
    other = again(store, keys)

    assert other.get("a", "absent") == "absent"
    assert other.count() == 0
    assert list(other.scan()) == []
    assert other.pop("a") is None
    clock.move(1)
    assert other.purge_expired() == 0
    release()
    assert future.result() == "held"
    assert other.get("a") == "held"


def test_another_process_waits_for_the_value(keys: KeyValues, store: Store) -> None:
    release, future = held(store, keys)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(again(store, keys).get_or_compute, "a", never)
        release()

        assert (future.result(), waiting.result()) == ("held", "held")


def test_waiting_ends_with_its_time(keys: KeyValues, store: Store) -> None:
    release, future = held(store, keys)

    with pytest.raises(DatabaseBusy, match="still being computed"):
        again(store, keys).get_or_compute("a", never, timeout_s=0.05)
    with pytest.raises(DatabaseBusy, match="still being computed"):
        keys.get_or_compute("a", never, timeout_s=0.05)
    release()
    assert future.result() == "held"


def test_an_error_reaches_its_caller_and_the_next_one_computes(keys: KeyValues) -> None:
    def fail() -> None:
        raise LookupError("no answer")

    with pytest.raises(LookupError, match="no answer"):
        keys.get_or_compute("a", fail)

    assert keys.get_or_compute("a", lambda: 1, timeout_s=0) == 1


def test_what_json_cannot_hold_is_refused_and_leaves_nothing(keys: KeyValues) -> None:
    with pytest.raises(CheckViolation):
        keys.get_or_compute("a", object)

    assert keys.clear() == 0


def test_a_key_deleted_meanwhile_stays_deleted(keys: KeyValues) -> None:
    changes: list[Callable[[], object]] = [
        lambda: keys.delete("a"),
        lambda: keys.delete_many(["a"]),
        keys.clear,
    ]
    for change in changes:
        assert keys.get_or_compute("a", after(change, "stale")) == "stale"
        assert keys.get("a", "absent") == "absent"


def test_a_value_set_meanwhile_stands(keys: KeyValues) -> None:
    changes: list[Callable[[], object]] = [
        lambda: keys.set("a", 1),
        lambda: keys.set_if_absent("a", 1),
        lambda: keys.increment("a"),
        lambda: keys.set_many({"a": 1}),
    ]
    for change in changes:
        assert keys.get_or_compute("a", after(change, "stale")) == 1
        assert keys.pop("a") == 1


def test_a_function_that_asks_for_its_own_key_is_told_so(keys: KeyValues) -> None:
    with pytest.raises(DataLayerError, match="asks for the key"):
        keys.get_or_compute("a", lambda: keys.get_or_compute("a", never))

    assert keys.get_or_compute("a", lambda: keys.get_or_compute("b", lambda: 2)) == 2


def test_a_lease_that_ran_out_is_taken_over(keys: KeyValues, store: Store, clock: Clock) -> None:
    release, future = held(store, keys, lease_s=60)
    clock.move(60)

    assert again(store, keys).get_or_compute("a", lambda: "second") == "second"
    release()
    # who lost the lease gives what is there, and does not overwrite it
    assert future.result() == "second"
    assert keys.get("a") == "second"


def test_a_lease_is_renewed_while_the_function_runs(keys: KeyValues, store: Store, clock: Clock) -> None:
    release, future = held(store, keys, lease_s=0.3)
    clock.move(100)
    name = "key_value_store" if keys is store.kv else "cached_state"

    def renewed() -> bool:
        row = store.engine.fetch_one(
            store.engine.dialect.sql(f"SELECT COUNT(*) FROM {name} WHERE updated_at >= ?"),
            (clock.now.isoformat(timespec="microseconds").replace("+00:00", "Z"),),
        )
        return row == (1,)

    assert wait_until(renewed)
    release()
    assert future.result() == "held"


def test_a_lease_that_nobody_renewed_for_a_day_is_purged(keys: KeyValues, store: Store, clock: Clock) -> None:
    release, future = held(store, keys)
    clock.move(86_400)

    assert keys.purge_expired() == 1
    release()
    assert future.result() == "held"
    assert keys.get("a", "absent") == "absent"
