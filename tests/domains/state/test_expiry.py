"""Time to live: an expired key is absent at once, and its row goes later."""

from __future__ import annotations

import pytest
from support.clock import Clock

from datalayer import CheckViolation, NotFound
from datalayer.repository.keyvalue import KeyValues
from datalayer.store import Store


def rows(store: Store) -> int:
    found = store.engine.fetch_one(
        "SELECT (SELECT COUNT(*) FROM key_value_store) + (SELECT COUNT(*) FROM cached_state)"
    )
    assert found is not None
    return int(found[0])


def test_an_expired_key_is_absent_for_every_verb(keys: KeyValues, store: Store, clock: Clock) -> None:
    keys.set("a", 1, ttl_s=10)
    clock.move(9.999)
    assert keys.get("a") == 1
    clock.move(0.001)

    assert keys.get("a", "absent") == "absent"
    assert keys.get_many(["a"]) == {}
    assert list(keys.scan()) == []
    assert keys.count() == 0
    assert not keys.touch("a")
    assert not keys.expire("a", 100)
    assert not keys.compare_and_set("a", 1, 2)
    assert not keys.compare_and_delete("a", 1)
    assert keys.pop("a", "absent") == "absent"
    with pytest.raises(NotFound):
        keys.ttl_of("a")
    assert keys.delete_many(["a"]) == 0
    assert rows(store) == 0
    assert not keys.delete("a")


def test_an_expired_key_may_be_set_anew(keys: KeyValues, clock: Clock) -> None:
    keys.set_many({"a": 1, "b": 1, "c": 1}, ttl_s=10)
    clock.move(10)

    assert keys.set_if_absent("a", 2)
    assert keys.increment("b", 5) == 5
    keys.set("c", 3)
    assert keys.get_many("abc") == {"a": 2, "b": 5, "c": 3}
    assert keys.ttl_of("b") is None


def test_an_expired_text_may_become_a_counter(keys: KeyValues, clock: Clock) -> None:
    keys.set("n", "text", ttl_s=1)
    clock.move(1)

    assert keys.increment("n", ttl_s=5) == 1
    assert keys.ttl_of("n") == 5


def test_set_replaces_the_expiry(keys: KeyValues) -> None:
    keys.set("a", 1, ttl_s=10)
    keys.set("a", 2)

    assert keys.ttl_of("a") is None


def test_increment_counts_in_a_window_that_begins_with_the_first(keys: KeyValues, clock: Clock) -> None:
    keys.increment("n", ttl_s=60)
    clock.move(45)
    keys.increment("n", ttl_s=60)

    assert keys.ttl_of("n") == 15
    clock.move(15)
    assert keys.increment("n", ttl_s=60) == 1


def test_compare_and_set_keeps_the_expiry_unless_given_another(keys: KeyValues, clock: Clock) -> None:
    keys.set("a", 1, ttl_s=60)
    clock.move(20)

    keys.compare_and_set("a", 1, 2)
    assert keys.ttl_of("a") == 40
    keys.compare_and_set("a", 2, 3, ttl_s=5)
    assert keys.ttl_of("a") == 5


def test_expire_sets_and_takes_away_the_time_to_live(keys: KeyValues, clock: Clock) -> None:
    keys.set("a", 1)

    assert keys.expire("a", 30)
    assert keys.ttl_of("a") == 30
    assert keys.expire("a", None)
    clock.move(1e6)
    assert keys.get("a") == 1


def test_touch_changes_the_time_of_the_last_use_only(keys: KeyValues, clock: Clock) -> None:
    keys.set("a", 1, ttl_s=60)
    clock.move(20)

    assert keys.touch("a")
    entry = next(keys.scan())
    assert (entry.value, entry.updated_at) == (1, clock.now)
    assert keys.ttl_of("a") == 40


def test_a_time_to_live_that_is_none_is_refused(keys: KeyValues) -> None:
    for ttl_s in (0, -1, float("nan"), float("inf"), 1e30):
        with pytest.raises(CheckViolation):
            keys.set("a", 1, ttl_s=ttl_s)
        with pytest.raises(CheckViolation):
            keys.get_or_compute("a", lambda: 1, ttl_s=ttl_s)

    assert keys.count() == 0


def test_purge_removes_expired_rows_in_batches(keys: KeyValues, store: Store, clock: Clock) -> None:
    keys.set_many({str(place): place for place in range(25)}, ttl_s=10)
    keys.set_many({"stays": 1, "lives": 2}, ttl_s=100)
    keys.set("for ever", 3)
    clock.move(10)
    statements: list[str] = []
    remove = store.engine.statements.add_hook(lambda statement: statements.append(statement.sql))

    assert keys.purge_expired(batch=10) == 25
    remove()
    assert len(statements) == 3
    assert rows(store) == 3


def test_purge_removes_as_many_as_asked(keys: KeyValues, store: Store, clock: Clock) -> None:
    keys.set_many({str(place): place for place in range(25)}, ttl_s=10)
    clock.move(10)

    assert keys.purge_expired(batch=10, limit=15) == 15
    assert rows(store) == 10
    assert keys.purge_expired() == 10
    assert keys.purge_expired() == 0


def test_purge_removes_no_more_than_asked_whatever_the_plan(
    keys: KeyValues, store: Store, clock: Clock
) -> None:
    keys.set_many({str(place): place for place in range(25)}, ttl_s=10)
    clock.move(10)

    with store.transaction():
        if store.engine.dialect.name == "postgresql":
            # the plans that are left ask for the rows to delete once for every row of the table
            for kind in ("hashjoin", "mergejoin", "hashagg", "sort", "material", "bitmapscan"):
                store.engine.write(f"SET LOCAL enable_{kind} = off")
        assert keys.purge_expired(batch=10, limit=10) == 10
    assert rows(store) == 15


def test_purge_of_the_cache_reaches_all_projects(store: Store, clock: Clock) -> None:
    for name in ("a", "b"):
        store.cache.project(f"/{name}").set("k", 1, ttl_s=1)
    clock.move(1)

    assert store.cache.purge_expired() == 2
