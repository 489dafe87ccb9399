"""Drafts of a user: made with a first version, listed, edited, deleted; nobody else finds them."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from support.clock import Clock

from datalayer import CheckViolation, ForeignKeyViolation, NotFound
from datalayer.domains.drafts import Drafts
from datalayer.store import Store
from datalayer.testing.strategies.drafts import make_draft


def test_a_draft_begins_with_an_empty_version_that_is_current(store: Store, ada: str) -> None:
    made = store.drafts.create(ada, title="Letter", description="to Eve")

    assert made.current is not None
    assert (made.current.content, made.current.version_number, made.version_count) == ("", 1, 1)
    assert (made.current.parent_version_id, made.current.generation_source) == (None, "user")
    assert made.draft.current_version_id == made.current.id
    found = store.drafts.get_current(made.draft.id, user_id=ada)
    assert (found.draft, found.current, found.version_count) == (made.draft, made.current, 1)
    assert (found.draft.title, found.draft.description) == ("Letter", "to Eve")


def test_a_draft_needs_a_user(store: Store) -> None:
    with pytest.raises(ForeignKeyViolation) as caught:
        store.drafts.create("nobody")

    assert caught.value.constraint == "draft_user"
    assert store.drafts.count() == 0


def test_a_draft_without_versions_has_no_current_one(store: Store, ada: str) -> None:
    bare = store.drafts.add(user_id=ada)

    found = store.drafts.get_current(bare.id, user_id=ada)
    assert (found.current, found.version_count) == (None, 0)
    assert store.drafts.add_version(bare.id, "first", user_id=ada).version_number == 1


def test_the_last_changed_draft_comes_first(store: Store, ada: str, eve: str, clock: Clock) -> None:
    keys: list[str] = []
    for title in "abc":
        keys.append(store.drafts.create(ada, title=title).draft.id)
        clock.move(1)
    store.drafts.create(eve, title="hers")
    store.drafts.add_version(keys[0], "more", user_id=ada)

    first = store.drafts.page_for_user(ada, size=2)
    second = store.drafts.page_for_user(ada, size=2, after=first.next)
    assert [one.title for one in (*first.items, *second.items)] == ["a", "c", "b"]
    assert second.next is None


def test_a_version_that_is_not_current_counts_as_a_change_too(
    store: Store, ada: str, draft: str, clock: Clock
) -> None:
    moment = clock.move(3600)
    store.drafts.add_version(draft, "aside", user_id=ada, make_current=False)

    assert store.drafts.get(draft).updated_at == moment


def test_title_and_description_are_edited(store: Store, ada: str, draft: str) -> None:
    edited = store.drafts.edit(draft, user_id=ada, description="new")
    assert (edited.title, edited.description) == ("Letter", "new")
    assert store.drafts.edit(draft, user_id=ada) == edited

    assert store.drafts.edit(draft, user_id=ada, title=None).title is None
    with pytest.raises(CheckViolation) as caught:
        store.drafts.edit(draft, user_id=ada, title="x" * 256)
    assert caught.value.constraint == "draft_title_length"


def test_a_draft_is_deleted_with_all_that_belongs_to_it(store: Store, ada: str) -> None:
    key = make_draft(store, user_id=ada, versions=3).draft.id
    kept = make_draft(store, user_id=ada, versions=2).draft.id
    for each in (key, kept):
        store.drafts.add_message(each, "user", "hi", user_id=ada)
        store.drafts.open_conversation(each, "p", "m", user_id=ada)

    store.drafts.delete_draft(key, user_id=ada)

    assert [one.id for one in store.drafts.find()] == [kept]
    assert {one.draft_id for one in store.drafts.versions.find()} == {kept}
    assert {one.draft_id for one in store.drafts.messages.find()} == {kept}
    assert {one.draft_id for one in store.drafts.conversations.find()} == {kept}


def test_drafts_go_with_their_user(store: Store, ada: str, draft: str) -> None:
    store.drafts.add_version(draft, "x", user_id=ada)
    store.engine.write("DELETE FROM users WHERE id = 'ada'")

    assert store.drafts.count() == store.drafts.versions.count() == 0


OPERATIONS: dict[str, Callable[[Drafts, str, str], Any]] = {
    "get_current": lambda drafts, key, user: drafts.get_current(key, user_id=user),
    "edit": lambda drafts, key, user: drafts.edit(key, user_id=user, title="mine"),
    "edit nothing": lambda drafts, key, user: drafts.edit(key, user_id=user),
    "delete_draft": lambda drafts, key, user: drafts.delete_draft(key, user_id=user),
    "add_version": lambda drafts, key, user: drafts.add_version(key, "mine", user_id=user),
    "autosave": lambda drafts, key, user: drafts.autosave(key, "mine", user_id=user, base=1),
    "get_version": lambda drafts, key, user: drafts.get_version(key, 1, user_id=user),
    "history": lambda drafts, key, user: drafts.history(key, user_id=user),
    "set_current": lambda drafts, key, user: drafts.set_current(key, 1, user_id=user),
    "compare": lambda drafts, key, user: drafts.compare(key, 1, 1, user_id=user),
    "add_message": lambda drafts, key, user: drafts.add_message(key, "user", "mine", user_id=user),
    "chat_history": lambda drafts, key, user: drafts.chat_history(key, user_id=user),
    "open_conversation": lambda drafts, key, user: drafts.open_conversation(key, "p", "m", user_id=user),
    "conversations_of": lambda drafts, key, user: drafts.conversations_of(key, user_id=user),
    "usage": lambda drafts, key, user: drafts.usage(user, draft_id=key),
}


def content_of(store: Store) -> list[Any]:
    names = ("draft", "version", "chat_message", "ai_conversation")
    return [store.engine.fetch_all(f"SELECT * FROM {name} ORDER BY id") for name in names]


def test_another_users_draft_is_not_found_by_any_operation(store: Store, ada: str, eve: str) -> None:
    key = make_draft(store, user_id=ada).draft.id
    before = content_of(store)

    for name, operation in OPERATIONS.items():
        for target in (key, "absent"):
            with pytest.raises(NotFound, match=target):
                operation(store.drafts, target, eve)
            assert content_of(store) == before, name


def test_usage_of_another_users_conversation_is_not_recorded(
    store: Store, ada: str, eve: str, draft: str
) -> None:
    opened = store.drafts.open_conversation(draft, "p", "m", user_id=ada)
    for key, user in ((opened.id, eve), ("absent", ada)):
        with pytest.raises(NotFound, match=key):
            store.drafts.record_usage(key, user_id=user, tokens=1, cost=Decimal(1))

    assert store.drafts.usage(ada).tokens == 0
