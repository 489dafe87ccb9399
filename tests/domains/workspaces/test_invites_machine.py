"""The life of invites, against a model of it in plain Python, with a clock that moves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)
from support.clock import Clock

from datalayer import CheckViolation, InvalidTransition, NotFound
from datalayer.domains.workspaces import Candidate
from datalayer.store import Store, connect
from datalayer.testing.strategies.workspaces import candidates

pytestmark = pytest.mark.slow

OWNERS = ["ann", "ben"]
USERS = [*OWNERS, "cleo", None]
MOST = 4


@dataclass
class Expected:
    """What an invite ought to be."""

    key: str
    thread: str
    expires_at: datetime
    status: str = "pending"
    accepted_at: datetime | None = None


@dataclass
class Talk:
    """What a thread ought to be."""

    owner: str
    status: str = "active"
    told: int = 0


class InviteMachine(RuleBasedStateMachine):
    open_store: Callable[[], Store]
    talks = Bundle("talks")
    tokens = Bundle("tokens")

    def __init__(self) -> None:
        super().__init__()
        self.store = type(self).open_store()
        self.clock = Clock()
        self.store.engine.clock = self.clock
        self.spaces = self.store.workspaces
        self.spaces.invites.most_per_thread = MOST
        self.invites: dict[str, Expected] = {}
        self.threads: dict[str, Talk] = {}

    def teardown(self) -> None:
        # between examples rows go, the database stays
        for table in ("threads", "inbox_items"):
            self.store.engine.write(f"DELETE FROM {table}")
        self.store.close()

    def of(self, thread: str, *statuses: str) -> list[Expected]:
        return [one for one in self.invites.values() if one.thread == thread and one.status in statuses]

    def learn(self, thread: str, made: list[tuple[str, str]], hours: int) -> list[str]:
        expires_at = self.clock.now + timedelta(hours=hours)
        for key, token in made:
            self.invites[token] = Expected(key, thread, expires_at)
        return [token for _, token in made]

    # -- the owner ---------------------------------------------------------------------------------

    @initialize(target=tokens)
    def begin(self) -> object:
        return multiple(*self.open_thread("ann", [Candidate("n", "same@example.org")] * 3, 72))

    def open_thread(self, owner: str, people: list[Candidate], hours: int) -> list[str]:
        made = self.spaces.threads.create(owner, "t", people, expires_in=timedelta(hours=hours))
        self.threads[made.thread.id] = Talk(owner)
        return self.learn(made.thread.id, [(one.invite.id, one.token) for one in made.invites], hours)

    @precondition(lambda self: len(self.threads) < 3)
    @rule(
        target=tokens,
        owner=st.sampled_from(OWNERS),
        people=st.lists(candidates(), max_size=MOST),
        hours=st.sampled_from([1, 72]),
    )
    def create(self, owner: str, people: list[Candidate], hours: int) -> object:
        return multiple(*self.open_thread(owner, people, hours))

    @rule(target=tokens, data=st.data(), user=st.sampled_from(OWNERS), count=st.integers(1, 2))
    def invite(self, data: st.DataObject, user: str, count: int) -> object:
        key = data.draw(st.sampled_from(sorted(self.threads)))
        talk, people = self.threads[key], [Candidate("n", "same@example.org")] * count
        error: type[Exception] | None = None
        if talk.owner != user:
            error = NotFound
        elif talk.status != "active":
            error = InvalidTransition
        elif len(self.of(key, "pending", "accepted")) + count > MOST:
            error = CheckViolation
        if error:
            with pytest.raises(error):
                self.spaces.invites.invite(user, key, people)
            return multiple()
        made = self.spaces.invites.invite(user, key, people)
        return multiple(*self.learn(key, [(one.invite.id, one.token) for one in made], 72))

    @rule(data=st.data(), verb=st.sampled_from(["archive", "reopen", "reopen", "reopen", "discard"]))
    def close(self, data: st.DataObject, verb: str) -> None:
        key = data.draw(st.sampled_from(sorted(self.threads)))
        talk = self.threads[key]
        goal, allowed = {
            "archive": ("archived", ["active"]),
            "reopen": ("active", ["archived"]),
            "discard": ("deleted", ["active", "archived"]),
        }[verb]
        call = getattr(self.spaces.threads, verb)
        if talk.status not in allowed:
            with pytest.raises(InvalidTransition):
                call(talk.owner, key)
            return
        call(talk.owner, key)
        talk.status = goal
        if goal == "deleted":
            for one in self.of(key, "pending"):
                one.status = "expired"

    # -- the invited -------------------------------------------------------------------------------

    @rule(token=tokens, user=st.sampled_from(USERS))
    def accept(self, token: str, user: str | None) -> None:
        one = self.invites[token]
        talk = self.threads[one.thread]
        is_open = one.status == "pending" and one.expires_at > self.clock.now and talk.status == "active"
        if not is_open:
            with pytest.raises(InvalidTransition):
                self.spaces.invites.accept(token, user_id=user)
            return
        participant = self.spaces.invites.accept(token, user_id=user)
        assert participant.thread_id == one.thread
        if user is not None:
            assert participant.user_id == user
        one.status, one.accepted_at = "accepted", self.clock.now
        talk.told += 1

    @rule(token=tokens)
    def decline(self, token: str) -> None:
        one = self.invites[token]
        if one.status == "pending" and one.expires_at > self.clock.now:
            self.spaces.invites.decline(token)
            one.status = "declined"
            return
        with pytest.raises(InvalidTransition):
            self.spaces.invites.decline(token)

    @rule(token=tokens)
    def view(self, token: str) -> None:
        one = self.invites[token]
        talk = self.threads[one.thread]
        if talk.status == "deleted":
            with pytest.raises(NotFound):
                self.spaces.invites.view(token)
            return
        is_over = one.status == "pending" and one.expires_at <= self.clock.now
        seen = self.spaces.invites.view(token)
        assert seen.status == ("expired" if is_over else one.status)
        assert seen.is_open == (seen.status == "pending" and talk.status == "active")

    # -- time --------------------------------------------------------------------------------------

    @rule(hours=st.sampled_from([0.5, 0.5, 1, 72]))
    def move_clock(self, hours: float) -> None:
        self.clock.move(hours * 3600)

    @rule(batch=st.integers(1, 3))
    def expire(self, batch: int) -> None:
        due = [
            one
            for one in self.invites.values()
            if one.status == "pending" and one.expires_at <= self.clock.now
        ]
        assert self.spaces.invites.expire_due(batch=batch) == len(due)
        for one in due:
            one.status = "expired"

    @invariant()
    def database_is_as_the_model(self) -> None:
        rows = {row.id: row for row in self.spaces.invites.find()}
        assert {key: (row.status, row.accepted_at, row.expires_at) for key, row in rows.items()} == {
            one.key: (one.status, one.accepted_at, one.expires_at) for one in self.invites.values()
        }
        for owner in OWNERS:
            told = sum(talk.told for talk in self.threads.values() if talk.owner == owner)
            assert self.spaces.inbox.unread_count(owner) == told
        people = self.spaces.threads.participants.find()
        for key in self.threads:
            inside = [one.user_id for one in people if one.thread_id == key and one.user_id]
            assert len(inside) == len(set(inside)) <= 3


def test_invites_live_as_their_model_says(database: str) -> None:
    with connect(database) as store:
        for user in ("ann", "ben", "cleo"):
            store.engine.write(f"INSERT INTO users (id) VALUES ('{user}')")

    class Machine(InviteMachine):
        open_store = staticmethod(lambda: connect(database))

    run_state_machine_as_test(Machine, settings=settings(stateful_step_count=40, max_examples=10))
