"""One key: get and set, conditional writes, increments."""

from __future__ import annotations

from typing import Any

import pytest
from support.clock import Clock

from datalayer import CheckViolation
from datalayer.repository.keyvalue import KeyValues
from datalayer.store import Store


def test_a_value_comes_back_as_it_was_set(keys: KeyValues) -> None:
    keys.set("a", {"list": [1, 2.5, None, True], "text": "é\n"})

    assert keys.get("a") == {"list": [1, 2.5, None, True], "text": "é\n"}


def test_an_absent_key_gives_the_default(keys: KeyValues) -> None:
    assert keys.get("a") is None
    assert keys.get("a", 7) == 7


def test_none_is_a_value_and_differs_from_absent(keys: KeyValues) -> None:
    keys.set("a", None)

    assert keys.get("a", "default") is None
    assert not keys.set_if_absent("a", 1)
    assert keys.compare_and_set("a", None, 1)
    assert not keys.compare_and_set("absent", None, 1)


def test_set_replaces_the_value(keys: KeyValues) -> None:
    keys.set("a", 1)
    keys.set("a", [2])

    assert keys.get("a") == [2]
    assert keys.count() == 1


def test_set_records_the_time_of_the_stores_clock(keys: KeyValues, clock: Clock) -> None:
    keys.set("a", 1)
    clock.move(60)
    keys.set("a", 2)

    assert [entry.updated_at for entry in keys.scan()] == [clock.now]


def test_what_cannot_be_a_key_is_refused(keys: KeyValues) -> None:
    for key in ("", "a\0b", "\ud800"):
        with pytest.raises(CheckViolation):
            keys.set(key, 1)

    assert keys.count() == 0


def test_a_key_that_is_no_text_is_refused(keys: KeyValues) -> None:
    number: Any = 5
    with pytest.raises(CheckViolation):
        keys.get(number)


def test_what_json_cannot_hold_is_refused(keys: KeyValues) -> None:
    for value in (float("nan"), {"a": {1, 2}}, "\0", "\udfff"):
        with pytest.raises(CheckViolation):
            keys.set("a", value)

    assert keys.get("a", "absent") == "absent"


def test_keys_are_told_apart_by_case_blanks_and_accents(keys: KeyValues) -> None:
    names = ["a", "A", "a ", " a", "á", "a\u0301", "%", "_", "'", '"']
    keys.set_many({name: place for place, name in enumerate(names)})

    assert [keys.get(name) for name in names] == list(range(len(names)))


def test_delete_says_whether_the_key_was_there(keys: KeyValues) -> None:
    keys.set("a", 1)

    assert keys.delete("a")
    assert not keys.delete("a")
    assert keys.get("a") is None


def test_pop_gives_the_value_once(keys: KeyValues) -> None:
    keys.set("a", [1])

    assert keys.pop("a", "gone") == [1]
    assert keys.pop("a", "gone") == "gone"


def test_set_if_absent_sets_once(keys: KeyValues) -> None:
    assert keys.set_if_absent("a", 1)
    assert not keys.set_if_absent("a", 2)
    assert keys.get("a") == 1


def test_compare_and_set_needs_the_expected_value(keys: KeyValues) -> None:
    keys.set("a", {"n": 1})

    assert not keys.compare_and_set("a", {"n": 2}, "wrong")
    assert keys.get("a") == {"n": 1}
    assert keys.compare_and_set("a", {"n": 1}, "right")
    assert keys.get("a") == "right"


SAME = [
    (1, 1.0),
    (1.0, 1),
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    ([1, 2.0], [1.0, 2]),
    (0.0, -0.0),
    (1e20, 100_000_000_000_000_000_000),
    (2**80, 2**80),
    ("é", "é"),
]
DIFFERENT = [
    (1, True),
    (0, False),
    (1, "1"),
    (None, False),
    ([1, 2], [2, 1]),
    ({"a": 1}, {"a": 1, "b": None}),
    ({"a": True}, {"a": 1}),
    ([[]], []),
    (2**80, 2**80 + 1),
    (0.1, 0.1 + 2**-55),
    ("e\u0301", "é"),
    ("a", "A"),
    ([], {}),
]


def test_documents_that_are_equal_as_json_are_the_expected_ones(keys: KeyValues) -> None:
    for stored, expected in SAME:
        keys.set("a", stored)

        assert keys.compare_and_set("a", expected, "new"), (stored, expected)


def test_documents_that_differ_as_json_are_not_the_expected_ones(keys: KeyValues) -> None:
    for stored, expected in DIFFERENT:
        keys.set("a", stored)

        assert not keys.compare_and_set("a", expected, "new"), (stored, expected)
        assert not keys.compare_and_delete("a", expected), (stored, expected)
        assert keys.get("a") == stored


def test_what_raw_sql_wrote_otherwise_is_compared_as_the_same_document(store: Store) -> None:
    store.engine.execute(
        store.engine.dialect.sql("INSERT INTO key_value_store (key, value, updated_at) VALUES (?, ?, ?)"),
        ("a", '{ "b" : 1.00, "a": [ true ] }', "2026-03-01T12:00:00.000000Z"),
    )

    assert store.kv.compare_and_set("a", store.kv.get("a"), "new")


def test_compare_and_delete_needs_the_expected_value(keys: KeyValues) -> None:
    keys.set("a", 1)

    assert not keys.compare_and_delete("a", 2)
    assert keys.compare_and_delete("a", 1)
    assert keys.get("a") is None


def test_increment_counts_from_zero(keys: KeyValues) -> None:
    assert [keys.increment("n"), keys.increment("n", 41), keys.increment("n", -2)] == [1, 42, 40]
    assert keys.get("n") == 40


def test_increment_of_what_is_no_integer_is_refused(keys: KeyValues) -> None:
    for value in (None, True, 1.0, 1.5, "1", "-", [1], {}, 2**63, -(2**63) - 1):
        keys.set("n", value)
        with pytest.raises(CheckViolation, match="cannot be raised") as caught:
            keys.increment("n")

        assert caught.value.columns == ("value",)
        assert keys.get("n") == value
        assert type(keys.get("n")) is type(value)


def test_a_sum_of_more_than_64_bits_is_refused(keys: KeyValues) -> None:
    for start, by in ((2**63 - 1, 1), (-(2**63), -1), (1, 2**63 - 1)):
        keys.set("n", start)
        with pytest.raises(CheckViolation):
            keys.increment("n", by)

        assert keys.get("n") == start


def test_sums_go_up_to_64_bits(keys: KeyValues) -> None:
    assert keys.increment("n", 2**63 - 1) == 2**63 - 1
    assert keys.increment("n", -(2**63)) == -1
    assert keys.increment("n", -(2**63) + 1) == -(2**63)


def test_an_increment_by_what_is_no_integer_is_refused(keys: KeyValues) -> None:
    amounts: list[Any] = [True, 1.0, "1", 2**63, -(2**63) - 1]
    for by in amounts:
        with pytest.raises(CheckViolation):
            keys.increment("n", by)

    assert keys.count() == 0


def test_a_refused_increment_leaves_the_transaction_usable(keys: KeyValues, store: Store) -> None:
    keys.set("n", "text")
    with store.transaction():
        with pytest.raises(CheckViolation):
            keys.increment("n")
        keys.set("other", 1)

    assert keys.get("other") == 1


def test_writes_belong_to_the_callers_transaction(keys: KeyValues, store: Store) -> None:
    keys.set("a", 1)
    with pytest.raises(KeyError), store.transaction():
        keys.set("a", 2)
        keys.increment("n")
        keys.set_many({"b": 1})
        keys.delete("a")
        raise KeyError

    assert {entry.key: entry.value for entry in keys.scan()} == {"a": 1}
