"""Versions under any order of operations: always a tree of 1, 2, 3, ..., checked against a plain model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from datalayer import ConstraintViolation, NotFound, StaleVersion
from datalayer.domains.drafts import CHECKS
from datalayer.domains.drafts.model import SOURCES
from datalayer.store import Store
from datalayer.testing.strategies.drafts import contents

pytestmark = pytest.mark.slow

USERS = ("ada", "eve")
INSERT = (
    "INSERT INTO version (id, draft_id, content, version_number, parent_version_id) VALUES (?, ?, '', ?, ?)"
)


@dataclass
class Expected:
    """A draft as it should be: of each version the content and the parent's number (0: none)."""

    key: str
    user: str
    contents: list[str]
    parents: list[int] = field(default_factory=lambda: [0])
    current: int = 1
    raw: int = 0


def test_the_versions_of_a_draft_are_a_tree_whatever_happens(store: Store) -> None:
    for user in USERS:
        store.engine.write(f"INSERT INTO users (id) VALUES ('{user}')")

    class VersionTree(RuleBasedStateMachine):
        drafts: Bundle[Expected] = Bundle("drafts")

        def __init__(self) -> None:
            super().__init__()
            self.alive: dict[str, Expected] = {}

        def _insert(self, *params: Any) -> None:
            store.engine.write(store.engine.dialect.sql(INSERT), params)

        @rule(target=drafts, user=st.sampled_from(USERS), content=contents())
        def create(self, user: str, content: str) -> Expected:
            made = store.drafts.create(user, content=content)
            expected = Expected(made.draft.id, user, [content])
            self.alive[expected.key] = expected
            return expected

        @rule(one=drafts, content=contents(), data=st.data(), source=st.sampled_from(SOURCES))
        def add_version(self, one: Expected, content: str, data: st.DataObject, source: str) -> None:
            parent = data.draw(st.none() | st.integers(1, len(one.contents)), label="parent")
            make_current = data.draw(st.booleans(), label="make current")
            added = store.drafts.add_version(
                one.key, content, user_id=one.user, source=source, parent=parent, make_current=make_current
            )
            one.contents.append(content)
            one.parents.append(parent or one.current)
            assert added.version_number == len(one.contents)
            if make_current:
                one.current = added.version_number

        @rule(one=drafts, content=contents(), data=st.data())
        def autosave(self, one: Expected, content: str, data: st.DataObject) -> None:
            base = data.draw(st.integers(1, len(one.contents)), label="base")
            if base != one.current:
                with pytest.raises(StaleVersion):
                    store.drafts.autosave(one.key, content, user_id=one.user, base=base)
                return
            store.drafts.autosave(one.key, content, user_id=one.user, base=base)
            if content != one.contents[base - 1]:
                one.contents.append(content)
                one.parents.append(base)
                one.current = len(one.contents)

        @rule(one=drafts, data=st.data())
        def set_current(self, one: Expected, data: st.DataObject) -> None:
            one.current = data.draw(st.integers(1, len(one.contents)), label="version")
            store.drafts.set_current(one.key, one.current, user_id=one.user)

        @rule(one=drafts, number=st.integers(0, 6), data=st.data())
        def insert_by_plain_sql(self, one: Expected, number: int, data: st.DataObject) -> None:
            other = data.draw(st.sampled_from(list(self.alive.values())), label="draft of the parent")
            parent = data.draw(st.integers(0, len(other.contents)), label="parent")
            parent_id = None
            if parent:
                parent_id = store.drafts.get_version(other.key, parent, user_id=other.user).id
            allowed = number == len(one.contents) + 1 and (not parent or other is one)
            if not allowed:
                with pytest.raises(ConstraintViolation):
                    self._insert(f"{one.key}-raw", one.key, number, parent_id)
                return
            one.raw += 1
            self._insert(f"{one.key}-{one.raw}", one.key, number, parent_id)
            one.contents.append("")
            one.parents.append(parent)

        @rule(one=drafts)
        def another_user(self, one: Expected) -> None:
            other = USERS[1 - USERS.index(one.user)]
            for operation in (store.drafts.get_current, store.drafts.delete_draft):
                with pytest.raises(NotFound):
                    operation(one.key, user_id=other)

        @rule(target=drafts, one=consumes(drafts))
        def delete(self, one: Expected) -> Any:
            store.drafts.delete_draft(one.key, user_id=one.user)
            del self.alive[one.key]
            return multiple()

        @invariant()
        def drafts_are_as_expected(self) -> None:
            for key, one in self.alive.items():
                found = store.drafts.get_current(key, user_id=one.user)
                assert found.current is not None
                assert (found.current.version_number, found.version_count) == (
                    one.current,
                    len(one.contents),
                )
                versions = store.drafts.versions.find(draft_id=key, order_by="version_number")
                number_of: dict[str | None, int] = {each.id: each.version_number for each in versions}
                number_of[None] = 0
                assert [each.version_number for each in versions] == [*range(1, len(versions) + 1)]
                assert [each.content for each in versions] == one.contents
                assert [number_of[each.parent_version_id] for each in versions] == one.parents

        def teardown(self) -> None:
            for each in CHECKS.values():
                assert store.engine.fetch_all(each.sql) == []
            store.drafts.delete_where(user_id=list(USERS))
            assert store.drafts.versions.count() == 0

    run_state_machine_as_test(
        VersionTree, settings=settings(max_examples=8, stateful_step_count=20, deadline=None)
    )
