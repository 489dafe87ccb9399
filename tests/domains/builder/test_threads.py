"""Threads of a user: by recency, duplicated, deleted; nobody else finds them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support.clock import Clock

from datalayer import CheckViolation, ForeignKeyViolation, NotFound
from datalayer.domains.builder import Builder
from datalayer.store import Store
from datalayer.testing.strategies.builder import make_thread


def titles(store: Store, user: str, **options: Any) -> list[str]:
    return [one.title for one in store.builder.page_for_user(user, **options).items]


def test_a_thread_begins_with_its_files(store: Store, ada: str) -> None:
    plain = store.builder.create_thread(ada, "Plain")
    thread = store.builder.create_thread(ada, "Shop", template="nextjs", files={"b": "2", "a": "1"})

    assert (plain.template, thread.template) == ("react", "nextjs")
    assert store.builder.snapshot(plain.id, user_id=ada) == {}
    assert list(store.builder.snapshot(thread.id, user_id=ada).items()) == [("a", "1"), ("b", "2")]
    assert store.builder.get_thread(thread.id, user_id=ada).title == "Shop"


def test_a_thread_that_cannot_be_made_leaves_nothing(store: Store, ada: str) -> None:
    for error, user, options in (
        (ForeignKeyViolation, "nobody", {}),
        (CheckViolation, ada, {"template": "svelte"}),
        (CheckViolation, ada, {"files": {"a": "", "": ""}}),
    ):
        with pytest.raises(error):
            store.builder.create_thread(user, "Shop", **options)
    with pytest.raises(CheckViolation):
        store.builder.create_thread(ada, "x" * 256)

    assert store.builder.count() == store.builder.files.count() == 0


def test_the_last_worked_on_comes_first(store: Store, ada: str, eve: str, clock: Clock) -> None:
    keys: dict[str, str] = {}
    for title in "abcd":
        clock.move(1)
        keys[title] = store.builder.create_thread(ada, title, template="static").id
    store.builder.create_thread(eve, "hers")
    assert titles(store, ada) == ["d", "c", "b", "a"]

    for title, work in {
        "a": lambda key: store.builder.post_message(key, "user", "hi", user_id=ada),
        "b": lambda key: store.builder.write_file(key, "x", "", user_id=ada),
        "c": lambda key: store.builder.delete_file(key, "y", user_id=ada),
        "d": lambda key: store.builder.rename_thread(key, "d", user_id=ada),
    }.items():
        store.builder.files.add(thread_id=keys[title], file_path="y")
        clock.move(1)
        work(keys[title])
        assert titles(store, ada, size=1) == [title]
    assert titles(store, ada, template="react") == []
    assert len(titles(store, ada, template="static")) == 4


def test_a_message_never_lowers_the_recency(store: Store, ada: str, thread: str, clock: Clock) -> None:
    store.builder.rename_thread(thread, "new", user_id=ada)
    recent = store.builder.get(thread).updated_at
    clock.move(-3600)
    store.builder.post_message(thread, "user", "from the past", user_id=ada)

    assert store.builder.get(thread).updated_at == recent


def test_messages_come_newest_first_by_pages(store: Store, ada: str, thread: str) -> None:
    for number in range(5):
        store.builder.post_message(thread, "assistant", str(number), user_id=ada, mentions=[number, {"a": 1}])

    first = store.builder.history(thread, user_id=ada, size=3)
    rest = store.builder.history(thread, user_id=ada, size=3, before=first.next)
    assert [one.content for one in (*first.items, *rest.items)] == ["4", "3", "2", "1", "0"]
    assert rest.next is None
    assert first.items[0].mentions == [4, {"a": 1}]


def test_a_message_that_may_not_be_is_refused(store: Store, ada: str, thread: str) -> None:
    before = store.builder.get(thread).updated_at
    with pytest.raises(CheckViolation) as caught:
        store.builder.post_message(thread, "tool", "hi", user_id=ada)
    assert caught.value.constraint == "builder_messages_role_known"
    with pytest.raises(CheckViolation):
        store.builder.post_message(thread, "user", "hi", user_id=ada, mentions=[float("nan")])

    assert store.builder.get(thread).updated_at == before
    assert store.builder.messages.count() == 0


def test_a_copy_has_the_files_and_the_messages_in_their_order(
    store: Store, ada: str, thread: str, clock: Clock
) -> None:
    for number in range(3):
        store.builder.post_message(thread, "user", str(number), user_id=ada, mentions=[number])
        clock.move(number % 2)
    store.builder.write_files(thread, {"a": "1", "b": "2"}, user_id=ada)
    clock.move(1)
    copied = store.builder.duplicate(thread, user_id=ada, title="Copy")
    assert store.builder.get(copied.id).updated_at == clock.now
    store.builder.write_file(copied.id, "a", "changed", user_id=ada)
    bare = store.builder.duplicate(thread, user_id=ada, with_messages=False)

    assert (copied.title, bare.title, copied.template) == ("Copy", "Shop", "react")
    assert store.builder.snapshot(thread, user_id=ada) == {"a": "1", "b": "2"}
    assert store.builder.snapshot(copied.id, user_id=ada) == {"a": "changed", "b": "2"}
    said = [
        [(one.content, one.mentions, one.created_at) for one in store.builder.history(key, user_id=ada).items]
        for key in (thread, copied.id)
    ]
    assert said[0] == said[1]
    assert len(said[0]) == 3
    assert store.builder.history(bare.id, user_id=ada).items == ()


def test_a_thread_is_deleted_with_all_that_belongs_to_it(store: Store, ada: str) -> None:
    gone, kept = (make_thread(store, user_id=ada, files=2).id for _ in range(2))
    store.builder.delete_thread(gone, user_id=ada)

    assert [one.id for one in store.builder.find()] == [kept]
    assert {one.thread_id for one in store.builder.messages.find()} == {kept}
    assert {one.thread_id for one in store.builder.files.find()} == {kept}
    store.engine.write("DELETE FROM users")
    assert store.builder.files.count() == store.builder.count() == 0


OPERATIONS: dict[str, Callable[[Builder, str, str], Any]] = {
    "get_thread": lambda builder, key, user: builder.get_thread(key, user_id=user),
    "rename_thread": lambda builder, key, user: builder.rename_thread(key, "mine", user_id=user),
    "duplicate": lambda builder, key, user: builder.duplicate(key, user_id=user),
    "delete_thread": lambda builder, key, user: builder.delete_thread(key, user_id=user),
    "post_message": lambda builder, key, user: builder.post_message(key, "user", "hi", user_id=user),
    "history": lambda builder, key, user: builder.history(key, user_id=user),
    "write_file": lambda builder, key, user: builder.write_file(key, "a", "mine", user_id=user),
    "write_files": lambda builder, key, user: builder.write_files(key, {"a": ""}, user_id=user, replace=True),
    "read_file": lambda builder, key, user: builder.read_file(key, "src/0.ts", user_id=user),
    "rename_file": lambda builder, key, user: builder.rename_file(key, "src/0.ts", "b", user_id=user),
    "delete_file": lambda builder, key, user: builder.delete_file(key, "src/0.ts", user_id=user),
    "snapshot": lambda builder, key, user: builder.snapshot(key, user_id=user),
}


def content_of(store: Store) -> list[Any]:
    names = ("builder_threads", "builder_messages", "builder_files")
    return [store.engine.fetch_all(f"SELECT * FROM {name} ORDER BY id") for name in names]


def test_another_users_thread_is_not_found_by_any_operation(store: Store, ada: str, eve: str) -> None:
    key = make_thread(store, user_id=ada, files=1).id
    before = content_of(store)

    for name, operation in OPERATIONS.items():
        for target in (key, "absent"):
            with pytest.raises(NotFound, match=target):
                operation(store.builder, target, eve)
            assert content_of(store) == before, name
