"""Keys against a dictionary that knows the same rules: whatever is done in whatever order, they agree."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from support.clock import Clock

from datalayer import CheckViolation, NotFound
from datalayer.repository.keyvalue import KeyValues
from datalayer.store import Store

ABSENT = object()
names = st.sampled_from(["a", "a/", "a/1", "a/é", "b", "ab", "\U0001f600", "\uffff"])
prefixes = st.sampled_from(["", "a", "a/", "b", "\U0001f600", "x"])
values = st.sampled_from(
    [None, True, 0, 1, 1.0, 41, -7, "text", [1, {"a": None}], {"a": 1, "b": 2.5}, 2**63 - 1]
)
times_to_live = st.sampled_from([None, 1.0, 10.0, 100.0])


def same(left: Any, right: Any) -> bool:
    """Equality as JSON has it: true is no number."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    return left == right


class Model:
    """What the keys should hold: (value, when it expires)."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.rows: dict[str, tuple[Any, datetime | None]] = {}

    def get(self, key: str) -> Any:
        value, expiry = self.rows.get(key, (ABSENT, None))
        return ABSENT if expiry is not None and expiry <= self.clock.now else value

    def set(self, key: str, value: Any, ttl_s: float | None) -> None:
        self.rows[key] = (value, None if ttl_s is None else self.clock.now + timedelta(seconds=ttl_s))

    def live(self, prefix: str = "") -> Iterator[str]:
        return (key for key in sorted(self.rows) if key.startswith(prefix) and self.get(key) is not ABSENT)


class Keys(RuleBasedStateMachine):
    keys: KeyValues
    clock: Clock

    @initialize()
    def begin(self) -> None:
        self.keys.clear()
        self.model = Model(self.clock)

    @rule(key=names, value=values, ttl_s=times_to_live)
    def set(self, key: str, value: Any, ttl_s: float | None) -> None:
        self.keys.set(key, value, ttl_s=ttl_s)
        self.model.set(key, value, ttl_s)

    @rule(many=st.dictionaries(names, values, max_size=4), ttl_s=times_to_live)
    def set_many(self, many: dict[str, Any], ttl_s: float | None) -> None:
        self.keys.set_many(many, ttl_s=ttl_s)
        for key, value in many.items():
            self.model.set(key, value, ttl_s)

    @rule(key=names, value=values, ttl_s=times_to_live)
    def set_if_absent(self, key: str, value: Any, ttl_s: float | None) -> None:
        was_absent = self.model.get(key) is ABSENT
        assert self.keys.set_if_absent(key, value, ttl_s=ttl_s) is was_absent
        if was_absent:
            self.model.set(key, value, ttl_s)

    @rule(key=names, expected=values, value=values, ttl_s=times_to_live)
    def compare_and_set(self, key: str, expected: Any, value: Any, ttl_s: float | None) -> None:
        fits = same(self.model.get(key), expected)
        assert self.keys.compare_and_set(key, expected, value, ttl_s=ttl_s) is fits
        if fits:
            expiry = self.model.rows[key][1]
            self.model.set(key, value, ttl_s)
            if ttl_s is None:
                self.model.rows[key] = (value, expiry)

    @rule(key=names, expected=values)
    def compare_and_delete(self, key: str, expected: Any) -> None:
        fits = same(self.model.get(key), expected)
        assert self.keys.compare_and_delete(key, expected) is fits
        if fits:
            del self.model.rows[key]

    @rule(key=names, by=st.sampled_from([1, -1, 5, 2**62, -(2**63)]), ttl_s=times_to_live)
    def increment(self, key: str, by: int, ttl_s: float | None) -> None:
        value = self.model.get(key)
        if value is ABSENT:
            assert self.keys.increment(key, by, ttl_s=ttl_s) == by
            self.model.set(key, by, ttl_s)
        elif type(value) is int and -(2**63) <= value + by < 2**63:
            assert self.keys.increment(key, by, ttl_s=ttl_s) == value + by
            self.model.rows[key] = (value + by, self.model.rows[key][1])
        else:
            with pytest.raises(CheckViolation):
                self.keys.increment(key, by, ttl_s=ttl_s)

    @rule(key=names)
    def delete(self, key: str) -> None:
        assert self.keys.delete(key) is (self.model.get(key) is not ABSENT)
        self.model.rows.pop(key, None)

    @rule(key=names)
    def pop(self, key: str) -> None:
        value = self.model.get(key)
        assert same(self.keys.pop(key, ABSENT), value)
        if value is not ABSENT:
            del self.model.rows[key]

    @rule(some=st.lists(names, max_size=4))
    def delete_many(self, some: list[str]) -> None:
        assert self.keys.delete_many(some) == sum(self.model.get(key) is not ABSENT for key in set(some))
        for key in some:
            self.model.rows.pop(key, None)

    @rule(prefix=prefixes)
    def clear(self, prefix: str) -> None:
        at_least = len(list(self.model.live(prefix)))
        assert self.keys.clear(prefix) >= at_least
        for key in [key for key in self.model.rows if key.startswith(prefix)]:
            del self.model.rows[key]

    @rule(key=names, ttl_s=times_to_live)
    def expire(self, key: str, ttl_s: float | None) -> None:
        value = self.model.get(key)
        assert self.keys.expire(key, ttl_s) is (value is not ABSENT)
        if value is not ABSENT:
            self.model.set(key, value, ttl_s)

    @rule(key=names)
    def touch(self, key: str) -> None:
        assert self.keys.touch(key) is (self.model.get(key) is not ABSENT)

    @rule(key=names, value=values, ttl_s=times_to_live)
    def get_or_compute(self, key: str, value: Any, ttl_s: float | None) -> None:
        there = self.model.get(key)
        given = self.keys.get_or_compute(key, lambda: value, ttl_s=ttl_s)
        assert same(given, value if there is ABSENT else there)
        if there is ABSENT:
            self.model.set(key, value, ttl_s)

    @rule(seconds=st.sampled_from([0.5, 1.0, 9.5, 60.0]))
    def wait(self, seconds: float) -> None:
        self.clock.move(seconds)

    @rule(batch=st.integers(1, 3))
    def purge(self, batch: int) -> None:
        expired = [key for key in self.model.rows if self.model.get(key) is ABSENT]
        assert self.keys.purge_expired(batch=batch) == len(expired)
        for key in expired:
            del self.model.rows[key]

    @rule(some=st.lists(names, max_size=4), prefix=prefixes)
    def read(self, some: list[str], prefix: str) -> None:
        found = self.keys.get_many(some)
        assert list(found) == [key for key in dict.fromkeys(some) if self.model.get(key) is not ABSENT]
        assert all(same(self.keys.get(key, ABSENT), self.model.get(key)) for key in some)
        assert self.keys.count(prefix) == len(list(self.model.live(prefix)))

    @rule(key=names)
    def ttl_of(self, key: str) -> None:
        if self.model.get(key) is ABSENT:
            with pytest.raises(NotFound):
                self.keys.ttl_of(key)
        else:
            expiry = self.model.rows[key][1]
            left = None if expiry is None else (expiry - self.clock.now).total_seconds()
            assert self.keys.ttl_of(key) == left

    @invariant()
    def agrees(self) -> None:
        if hasattr(self, "model"):
            found = [(entry.key, entry.value, entry.expires_at) for entry in self.keys.scan(chunk=3)]
            expected = [(key, *self.model.rows[key]) for key in self.model.live()]
            assert [key for key, _, _ in found] == [key for key, _, _ in expected]
            assert all(
                same(one, other) and left == right
                for (_, one, left), (_, other, right) in zip(found, expected, strict=True)
            )


def test_keys_behave_as_a_dictionary_with_a_time_to_live(keys: KeyValues, store: Store, clock: Clock) -> None:
    machine = type("KeysHere", (Keys,), {"keys": keys, "clock": clock})
    examples = 5 if store.engine.dialect.has_copy else 20
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
