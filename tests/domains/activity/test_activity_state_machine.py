"""Activity against a model of it in plain Python: whatever is done, nothing is lost or doubled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from support.clock import Clock

from datalayer import ForeignKeyViolation
from datalayer.domains.activity import CHECKS, ActivityEntry
from datalayer.schema.check.rule import broken_rules
from datalayer.store import Store

pytestmark = pytest.mark.slow

USERS = ("ada", "bob")
DAYS = 90
users = st.sampled_from(USERS)


@dataclass
class Expected:
    """What an entry ought to say."""

    user: str | None
    action: str
    entity_type: str | None
    entity_id: str | None
    ip_address: str | None
    created_at: datetime
    is_anonymous: bool = False

    def forget(self) -> None:
        self.user = self.entity_id = self.ip_address = None
        self.is_anonymous = True


class ActivityMachine(RuleBasedStateMachine):
    open_store: Callable[[], Store]

    def __init__(self) -> None:
        super().__init__()
        self.store = type(self).open_store()
        self.clock = Clock()
        self.store.engine.clock = self.clock
        self.activity = self.store.activity
        self.logged: dict[str, Expected] = {}
        self.archived: dict[str, Expected] = {}
        self.users: set[str] = set()

    def teardown(self) -> None:
        # between examples rows go, the database stays
        for table in ("users", "activity_log", "activity_log_archive"):
            self.store.engine.write(f"DELETE FROM {table}")

    @initialize()
    def begin(self) -> None:
        for user in USERS:
            self.sign_up(user)
            for days in (100, 95):
                self.add_old(user, days)

    @rule(user=users)
    def sign_up(self, user: str) -> None:
        if user not in self.users:
            self.store.engine.write(f"INSERT INTO users (id) VALUES ('{user}')")
            self.users.add(user)

    @rule(user=st.none() | users, about=st.sampled_from([None, "s1", *USERS]))
    def log(self, user: str | None, about: str | None) -> None:
        kind = None if about is None else "user" if about in USERS else "sandbox"
        facts = {"entity_type": kind, "entity_id": about, "ip_address": "192.0.2.7"}
        if user is not None and user not in self.users:
            with pytest.raises(ForeignKeyViolation):
                self.activity.log("do", user_id=user, **facts)
            return
        entry = self.activity.log("do", user_id=user, **facts)
        self.logged[entry.id] = Expected(user, "do", kind, about, "192.0.2.7", self.clock.now)

    @rule(user=users, days=st.sampled_from([89, 91, 100]))
    def add_old(self, user: str, days: int) -> None:
        if user in self.users:
            moment = self.clock.now - timedelta(days=days)
            entry = self.activity.add(action="did", user_id=user, created_at=moment)
            self.logged[entry.id] = Expected(user, "did", None, None, None, moment)

    @rule(days=st.sampled_from([1, 30, 91]))
    def move_clock(self, days: int) -> None:
        self.clock.move(days * 86_400)

    @rule(batch=st.integers(1, 3))
    def archive(self, batch: int) -> None:
        before = self.clock.now - timedelta(days=DAYS)
        old = [key for key, one in self.logged.items() if one.created_at < before]
        assert self.activity.archive(older_than_days=DAYS, batch=batch) == len(old)
        for key in old:
            self.archived[key] = self.logged.pop(key)

    @rule(user=users)
    def anonymize(self, user: str) -> None:
        assert self.activity.anonymize(user) == len(self.forget(user))

    @rule(user=users)
    def delete_user(self, user: str) -> None:
        self.store.engine.write(f"DELETE FROM users WHERE id = '{user}'")
        if user in self.users:
            self.users.remove(user)
            self.forget(user)

    def forget(self, user: str) -> list[Expected]:
        mine = [one for one in self.logged.values() if one.user == user]
        for one in mine:
            one.forget()
        for one in self.logged.values():
            if (one.entity_type, one.entity_id) == ("user", user):
                one.entity_id = None
        return mine

    @rule(user=users, size=st.integers(1, 3))
    def read_back(self, user: str, size: int) -> None:
        keys: list[str] = []
        after = None
        while True:
            page = self.activity.page_for_user(user, size=size, after=after)
            keys += [one.id for one in page.items]
            after = page.next
            if after is None:
                break
        mine = [(one.created_at, key) for key, one in self.logged.items() if one.user == user]
        assert keys == [key for _, key in sorted(mine, reverse=True)]

    @invariant()
    def database_is_as_the_model(self) -> None:
        assert {row.id: seen(row) for row in self.activity.find()} == self.logged
        kept = {
            row.id: (row.action, row.entity_type, row.created_at) for row in self.activity.archived.find()
        }
        assert kept == {
            key: (one.action, one.entity_type, one.created_at) for key, one in self.archived.items()
        }

    @invariant()
    def check_finds_nothing(self) -> None:
        tables = frozenset({"activity_log", "activity_log_archive"})
        assert list(broken_rules(self.store.engine, CHECKS, tables=tables)) == []


def seen(row: ActivityEntry) -> Expected:
    return Expected(
        row.user_id,
        row.action,
        row.entity_type,
        row.entity_id,
        row.ip_address,
        row.created_at,
        row.anonymized,
    )


def test_activity_behaves_as_its_model_says(store: Store) -> None:
    class Machine(ActivityMachine):
        open_store = staticmethod(lambda: store)

    run_state_machine_as_test(Machine, settings=settings(stateful_step_count=30, max_examples=10))
