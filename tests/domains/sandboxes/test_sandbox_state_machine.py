"""Sandboxes against a model of them in plain Python: whatever is tried, only legal moves are made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

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

from datalayer import CheckViolation, InvalidTransition, NotFound, UniqueViolation
from datalayer.domains.sandboxes import SANDBOX_MOVES, SANDBOX_STATUSES, Sandbox
from datalayer.store import Store

pytestmark = pytest.mark.slow

USERS = ("ada", "bob")
statuses = st.sampled_from(SANDBOX_STATUSES)
users = st.sampled_from(USERS)


@dataclass
class Expected:
    """What a sandbox ought to be."""

    user: str
    slug: str
    status: str = "created"
    error: str | None = None
    container: str | None = None


class SandboxMachine(RuleBasedStateMachine):
    open_store: Callable[[], Store]
    keys = Bundle("keys")

    def __init__(self) -> None:
        super().__init__()
        self.store = type(self).open_store()
        self.sandboxes = self.store.sandboxes
        self.model: dict[str, Expected] = {}

    def teardown(self) -> None:
        # between examples rows go, the database stays
        self.sandboxes.delete_where(Sandbox.id != "")

    @initialize(target=keys)
    def begin(self) -> object:
        return multiple(*(self.add(user, "first") for user in USERS))

    @precondition(lambda self: len(self.model) < 6)
    @rule(target=keys, user=users, name=st.sampled_from(["first", "Second one", "é"]))
    def create(self, user: str, name: str) -> str:
        return self.add(user, name)

    def add(self, user: str, name: str) -> str:
        taken = {one.slug for one in self.model.values() if one.user == user}
        made = self.sandboxes.create(user, name)
        assert made.slug not in taken
        assert made.slug.startswith({"Second one": "second-one", "é": "e"}.get(name, name))
        self.model[made.id] = Expected(user, made.slug)
        return made.id

    @rule(key=keys, to=statuses, container=st.sampled_from([None, "c1", "c2"]))
    def move(self, key: str, to: str, container: str | None) -> None:
        one = self.model[key]
        facts = {} if container is None else {"container_id": f"{key} {container}"}
        if to not in SANDBOX_MOVES[one.status]:
            with pytest.raises(InvalidTransition) as caught:
                self.sandboxes.set_status(key, to, error_message="why", **facts)
            assert (caught.value.current, caught.value.wanted) == (one.status, to)
            return
        if to == "running" and not facts and one.container is None:
            with pytest.raises(CheckViolation):
                self.sandboxes.set_status(key, to)
            return
        self.sandboxes.set_status(key, to, error_message="why", **facts)
        one.status, one.error = to, "why" if to == "error" else None
        one.container = facts.get("container_id", one.container)

    @rule(key=keys, to=statuses)
    def write_raw(self, key: str, to: str) -> None:
        """Move by SQL alone, as somebody who knows no rule."""
        one = self.model[key]
        sql = self.store.engine.dialect.sql("UPDATE sandboxes SET status = ? WHERE id = ?")
        is_legal = to == one.status or (
            to in SANDBOX_MOVES[one.status] and (to != "running" or one.container is not None)
        )
        # the message of an error goes with the error, a rule of its own
        if is_legal and (one.error is None or to == "error"):
            self.store.engine.write(sql, (to, key))
            one.status = to
        else:
            with pytest.raises(CheckViolation):
                self.store.engine.write(sql, (to, key))

    @rule(key=keys, user=users, start=st.booleans())
    def ask(self, key: str, user: str, start: bool) -> None:
        """Start or stop as a user."""
        one = self.model[key]
        to = "starting" if start else "stopping"
        call = self.sandboxes.start if start else self.sandboxes.stop
        if user != one.user or to not in SANDBOX_MOVES[one.status]:
            with pytest.raises(NotFound if user != one.user else InvalidTransition):
                call(key, user_id=user)
            return
        call(key, user_id=user)
        one.status, one.error = to, None

    @rule(key=keys, other=keys)
    def take_slug(self, key: str, other: str) -> None:
        one, wanted = self.model[key], self.model[other].slug
        is_taken = any(
            each.slug == wanted
            for each_key, each in self.model.items()
            if each.user == one.user and each_key != key
        )
        if is_taken:
            with pytest.raises(UniqueViolation):
                self.sandboxes.edit(key, user_id=one.user, slug=wanted)
        else:
            assert self.sandboxes.edit(key, user_id=one.user, slug=wanted).slug == wanted
            one.slug = wanted

    @invariant()
    def database_is_as_the_model(self) -> None:
        found = {
            row.id: Expected(row.user_id, row.slug, row.status, row.error_message, row.container_id)
            for row in self.sandboxes.find()
        }
        assert found == self.model
        counts = self.sandboxes.counts_by_status()
        for status in SANDBOX_STATUSES:
            assert counts[status] == sum(one.status == status for one in self.model.values())


def test_sandboxes_behave_as_their_model_says(store: Store) -> None:
    store.engine.write("INSERT INTO users (id) VALUES ('ada'), ('bob')")

    class Machine(SandboxMachine):
        open_store = staticmethod(lambda: store)

    run_state_machine_as_test(Machine, settings=settings(stateful_step_count=40, max_examples=10))
