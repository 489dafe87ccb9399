"""Many keys at once, in order, and in namespaces that do not see each other."""

from __future__ import annotations

from pathlib import PureWindowsPath

import pytest
from support.clock import Clock

from datalayer import CheckViolation
from datalayer.domains.state import CachedEntry, KeyValueEntry
from datalayer.repository.keyvalue import KeyValues
from datalayer.store import Store, connect


def test_many_keys_are_read_in_one_query_and_in_the_order_asked(keys: KeyValues, store: Store) -> None:
    keys.set_many({f"k{place}": place for place in range(3_000)})
    statements: list[str] = []
    remove = store.engine.statements.add_hook(lambda statement: statements.append(statement.sql))

    found = keys.get_many([f"k{place}" for place in range(2_999, -1, -1)] + ["absent", "k1"])
    remove()
    assert list(found.items()) == [(f"k{place}", place) for place in range(2_999, -1, -1)]
    assert len(statements) == 1


def test_no_keys_are_no_values(keys: KeyValues) -> None:
    keys.set_many({})

    assert keys.get_many([]) == {}
    assert keys.delete_many([]) == 0


def test_set_many_sets_all_or_none(keys: KeyValues) -> None:
    keys.set("a", 0)
    with pytest.raises(CheckViolation):
        keys.set_many({"a": 1, "": 2})

    assert keys.get_many(["a", ""]) == {"a": 0}


def test_delete_many_counts_those_that_were_there(keys: KeyValues) -> None:
    keys.set_many({"a": 1, "b": 2, "c": 3})

    assert keys.delete_many(["a", "c", "absent", "a"]) == 2
    assert keys.get_many("abc") == {"b": 2}


def test_clear_removes_what_begins_with_the_prefix(keys: KeyValues) -> None:
    keys.set_many({"a": 1, "a/1": 2, "a/2": 3, "a0": 4, "b": 5})

    assert keys.clear("a/") == 2
    assert [entry.key for entry in keys.scan()] == ["a", "a0", "b"]
    assert keys.clear() == 3
    assert keys.count() == 0


def test_prefixes_take_wildcards_for_what_they_are(keys: KeyValues) -> None:
    keys.set_many({"100%": 1, "100x": 2, "a_b": 3, "axb": 4})

    assert [entry.key for entry in keys.scan("100%")] == ["100%"]
    assert keys.count("a_") == 1


def test_a_scan_walks_all_pages(keys: KeyValues) -> None:
    keys.set_many({f"k/{place:03}": place for place in range(57)})
    keys.set_many({"k": 0, "k0": 0, "l": 0})

    assert [entry.value for entry in keys.scan("k/", chunk=10)] == list(range(57))


def test_pages_lead_from_one_to_the_next(keys: KeyValues) -> None:
    keys.set_many({name: name for name in "abcde"})

    first = keys.page(size=2)
    second = keys.page(size=2, after=first.next)
    third = keys.page(size=2, after=second.next)

    assert ["".join(entry.key for entry in page.items) for page in (first, second, third)] == [
        "ab",
        "cd",
        "e",
    ]
    assert (first.has_more, third.has_more) == (True, False)


def test_keys_that_come_and_go_between_pages_move_no_other(keys: KeyValues) -> None:
    keys.set_many({name: name for name in "bdf"})
    first = keys.page(size=2)
    keys.delete("b")
    keys.set("a", "a")
    keys.set("e", "e")

    assert [entry.key for entry in keys.page(size=2, after=first.next).items] == ["e", "f"]


def test_an_after_outside_the_prefix_is_its_beginning_or_end(keys: KeyValues) -> None:
    keys.set_many({name: name for name in ("a", "b1", "b2", "c")})

    assert [entry.key for entry in keys.page("b", after="a").items] == ["b1", "b2"]
    assert keys.page("b", after="c").items == ()


def test_an_entry_tells_times_and_value(keys: KeyValues, clock: Clock) -> None:
    keys.set("a", [1], ttl_s=60)
    (entry,) = keys.scan()

    assert (entry.key, entry.value, entry.updated_at) == ("a", [1], clock.now)
    assert entry.expires_at == clock.move(60)


def test_ranges_of_keys_are_walked_along_the_index() -> None:
    # on SQLite, whose plans do not depend on how many rows there are
    with connect(":memory:") as store:
        store.migrate()
        seen: list[str] = []
        remove = store.engine.statements.add_hook(lambda statement: seen.append(statement.sql))
        for keys in (store.kv, store.cache.project("/app")):
            keys.page("a")
            keys.page("a", after="b")
            keys.count("a")
        remove()

        for sql in seen:
            plan = store.engine.fetch_all(f"EXPLAIN QUERY PLAN {sql}", ("a",) * sql.count("?"))
            assert all("key>" in row[3] and "key<?" in row[3] for row in plan), plan


def test_projects_do_not_see_each_other(store: Store) -> None:
    one, other = store.cache.project("/one"), store.cache.project("/other")
    one.set_many({"a": 1, "b": 2})
    other.set("a", 3)
    store.kv.set("a", 4)

    assert (one.get("a"), other.get("a"), store.kv.get("a")) == (1, 3, 4)
    assert other.increment("a") == 4
    assert one.clear() == 2
    assert (other.count(), store.kv.count()) == (1, 1)


def test_a_project_is_the_same_however_its_path_is_written(store: Store) -> None:
    store.cache.project("C:\\Users\\me\\app\\").set("a", 1)

    assert store.cache.project("c:/Users/you/../me/./app").get("a") == 1
    assert store.cache.project(PureWindowsPath("C:/Users/me/app")).get("a") == 1
    assert store.cache.project("c:/users/me/app").get("a") is None


def test_a_row_keeps_the_directory_as_it_was_first_given(store: Store) -> None:
    store.cache.project("/app/").set("a", 1)
    store.cache.project("/app").set("a", 2)

    (row,) = store.repository(CachedEntry).find()
    assert (row.project_directory, row.key, row.value) == ("/app/", "a", 2)


def test_rows_can_be_asked_for_in_other_ways(store: Store) -> None:
    store.kv.set_many({"a": 1, "b": {"x": 2}})

    rows = store.repository(KeyValueEntry).find(order_by="-key")
    assert [(row.key, row.value, row.expires_at) for row in rows] == [("b", {"x": 2}, None), ("a", 1, None)]
