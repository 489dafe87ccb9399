"""Files of a thread by path: written one or many at a time, all or none, renamed, put back as a snapshot."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.clock import Clock

from datalayer import CheckViolation, NotFound, UniqueViolation
from datalayer.store import Store
from datalayer.testing.strategies import builder as drawn
from datalayer.testing.strategies.values import texts


def test_a_file_is_written_and_written_again(store: Store, clock: Clock, ada: str, thread: str) -> None:
    first = store.builder.write_file(thread, "src/App.tsx", "one", user_id=ada)
    clock.move(60)
    again = store.builder.write_file(thread, "src/App.tsx", "two", user_id=ada)

    assert (again.id, again.created_at) == (first.id, first.created_at)
    assert (again.updated_at, again.file_content) == (clock.now, "two")
    assert store.builder.read_file(thread, "src/App.tsx", user_id=ada).file_content == "two"
    assert store.builder.get(thread).updated_at == clock.now


def test_many_files_are_written_all_or_none(store: Store, ada: str, thread: str) -> None:
    assert store.builder.write_files(thread, {"a": "1", "b": "2"}, user_id=ada) == 2
    with pytest.raises(CheckViolation):
        store.builder.write_files(thread, {"a": "changed", "../c": ""}, user_id=ada)
    with pytest.raises(ZeroDivisionError), store.transaction():
        store.builder.write_files(thread, {"a": "changed", "c": "3"}, user_id=ada)
        raise ZeroDivisionError

    assert store.builder.snapshot(thread, user_id=ada) == {"a": "1", "b": "2"}
    assert store.builder.write_files(thread, {}, user_id=ada) == 0


def test_a_snapshot_is_put_back(store: Store, ada: str, thread: str) -> None:
    store.builder.write_files(thread, {"a": "1", "b": "2"}, user_id=ada)
    taken = store.builder.snapshot(thread, user_id=ada)
    store.builder.write_files(thread, {"b": "changed", "c": "3"}, user_id=ada)
    store.builder.delete_file(thread, "a", user_id=ada)

    store.builder.write_files(thread, taken, user_id=ada, replace=True)
    assert store.builder.snapshot(thread, user_id=ada) == taken
    store.builder.write_files(thread, {}, user_id=ada, replace=True)
    assert store.builder.snapshot(thread, user_id=ada) == {}


def test_a_file_is_renamed(store: Store, ada: str, thread: str) -> None:
    written = store.builder.write_file(thread, "a", "1", user_id=ada)
    renamed = store.builder.rename_file(thread, "a", "dir/a", user_id=ada)
    same = store.builder.rename_file(thread, "dir/a", "dir/a", user_id=ada, overwrite=True)

    assert (renamed.id, renamed.file_path, same.file_path) == (written.id, "dir/a", "dir/a")
    assert store.builder.snapshot(thread, user_id=ada) == {"dir/a": "1"}


def test_a_file_is_not_renamed_onto_another_unless_told(store: Store, ada: str, thread: str) -> None:
    store.builder.write_files(thread, {"a": "1", "b": "2"}, user_id=ada)
    with pytest.raises(UniqueViolation) as caught:
        store.builder.rename_file(thread, "a", "b", user_id=ada)
    assert caught.value.columns == ("thread_id", "file_path")
    assert store.builder.snapshot(thread, user_id=ada) == {"a": "1", "b": "2"}

    store.builder.rename_file(thread, "a", "b", user_id=ada, overwrite=True)
    assert store.builder.snapshot(thread, user_id=ada) == {"b": "1"}


def test_a_file_that_is_not_there_is_not_found(store: Store, ada: str, thread: str) -> None:
    store.builder.write_file(thread, "b", "2", user_id=ada)
    for operation in (
        lambda: store.builder.read_file(thread, "a", user_id=ada),
        lambda: store.builder.delete_file(thread, "a", user_id=ada),
        lambda: store.builder.rename_file(thread, "a", "b", user_id=ada, overwrite=True),
    ):
        with pytest.raises(NotFound, match="no BuilderFile"):
            operation()

    assert store.builder.snapshot(thread, user_id=ada) == {"b": "2"}


def test_a_path_that_cannot_be_is_refused(store: Store, ada: str, thread: str) -> None:
    store.builder.write_file(thread, "a", "1", user_id=ada)
    for path in ("", "a\0b", "..", "../a", "a/../../b", "a\\..\\b"):
        for operation in (
            lambda path=path: store.builder.write_file(thread, path, "", user_id=ada),
            lambda path=path: store.builder.write_files(thread, {"b": "", path: ""}, user_id=ada),
            lambda path=path: store.builder.rename_file(thread, "a", path, user_id=ada),
            lambda path=path: store.builder.create_thread(ada, "x", files={path: ""}),
        ):
            with pytest.raises(CheckViolation) as caught:
                operation()
            assert caught.value.columns == ("file_path",)

    assert store.builder.snapshot(thread, user_id=ada) == {"a": "1"}


FILES = st.dictionaries(drawn.file_paths(), texts(), max_size=6)


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=FILES, written=FILES, replace=st.booleans())
def test_files_are_what_a_mapping_would_be(
    store: Store, before: dict[str, str], written: dict[str, str], replace: bool
) -> None:
    if not store.engine.fetch_all("SELECT id FROM users"):
        store.engine.write("INSERT INTO users (id) VALUES ('ada')")
    key = store.builder.create_thread("ada", "x", files=before).id
    store.builder.write_files(key, written, user_id="ada", replace=replace)

    expected = written if replace else before | written
    found = store.builder.snapshot(key, user_id="ada")
    assert found == expected
    assert list(found) == sorted(expected)


@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_is_drawn_is_stored(store: Store, data: st.DataObject) -> None:
    if not store.engine.fetch_all("SELECT id FROM users"):
        store.engine.write("INSERT INTO users (id) VALUES ('ada')")
    thread = store.builder.add(data.draw(drawn.builder_threads(user_id="ada")))
    file = store.builder.files.add(data.draw(drawn.builder_files(thread_id=thread.id)))
    message = store.builder.messages.add(data.draw(drawn.builder_messages(thread_id=thread.id)))

    assert store.builder.files.get(file.id).__data__ == file.__data__
    assert store.builder.messages.get(message.id).__data__ == message.__data__
    found = store.builder.get(thread.id)
    assert (found.title, found.template) == (thread.title, thread.template)
    assert found.updated_at >= message.created_at
