"""Sessions: saved whole, found by project and name, renamed, moved, duplicated, deleted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import PureWindowsPath
from typing import Any

import pytest
from support.clock import Clock

from datalayer import CheckViolation, NotFound, NotNullViolation
from datalayer.domains.sessions import Session, SessionFiles
from datalayer.store import Store

PROJECT = "/home/me/app"


def session(name: str = "Login", directory: str = PROJECT, **values: Any) -> Session:
    return Session(name=name, project_directory=directory, **values)


def keys_of(sessions: list[Session]) -> list[str]:
    return [one.id for one in sessions]


@contextmanager
def counted(store: Store) -> Iterator[list[str]]:
    seen: list[str] = []
    remove = store.engine.statements.add_hook(lambda statement: seen.append(statement.sql))
    yield seen
    remove()


def test_a_new_session_is_saved_with_its_files(store: Store, clock: Clock) -> None:
    saved = store.sessions.save(session(is_regex_active=True), ["b.py", "a.py", "b.py"], ["c.py"])

    found = store.sessions.get_with_files(saved.session.id)
    assert found.included_files == saved.included_files == ("a.py", "b.py")
    assert found.excluded_files == saved.excluded_files == ("c.py",)
    assert found.session.__data__ == saved.session.__data__
    assert found.session.is_regex_active is True
    assert found.session.search_selected_files_only is False
    assert found.session.model_used is None
    assert found.session.created_at == found.session.updated_at == clock.now


def test_a_saved_session_is_saved_again_as_it_is_then(store: Store, clock: Clock) -> None:
    saved = store.sessions.save(session(), ["a", "b"], ["c", "d"])
    began = clock.now
    clock.move(60)
    again = store.sessions.get(saved.session.id)
    again.task_description = "fix it"

    result = store.sessions.save(again, ["c", "b"], ["a", "e"])

    found = store.sessions.get_with_files(saved.session.id)
    assert found.session.task_description == "fix it"
    assert (found.session.created_at, found.session.updated_at) == (began, clock.now)
    assert (found.included_files, found.excluded_files) == (("b", "c"), ("a", "e"))
    assert (result.session.updated_at, result.included_files) == (clock.now, ("b", "c"))
    assert store.sessions.count() == 1


def test_saving_keeps_the_rows_of_paths_that_stay(store: Store) -> None:
    saved = store.sessions.save(session(), ["a", "b"])
    before = dict(store.engine.fetch_all("SELECT path, id FROM included_files"))
    store.sessions.save(saved.session, ["b", "c"])

    after = dict(store.engine.fetch_all("SELECT path, id FROM included_files"))
    assert after["b"] == before["b"]


def test_saving_is_whole_or_not_at_all(store: Store) -> None:
    saved = store.sessions.save(session(), ["a"], ["b"])
    changed = store.sessions.get(saved.session.id)
    changed.name = "Other"
    changed.is_regex_active = None
    with pytest.raises(NotNullViolation):
        store.sessions.save(changed, ["x"])

    assert store.sessions.get_with_files(saved.session.id).included_files == ("a",)
    assert store.sessions.get(saved.session.id).name == "Login"


def test_a_path_in_both_lists_is_refused_and_named(store: Store) -> None:
    saved = store.sessions.save(session(), ["a"], ["b"])
    for act in (
        lambda: store.sessions.save(session(), ["x", "y"], ["y"]),
        lambda: store.sessions.replace_files(saved.session.id, ["x", "y"], ["y"]),
    ):
        with pytest.raises(CheckViolation, match="'y' is both") as caught:
            act()
        assert caught.value.constraint == "included_files_not_excluded"

    assert store.sessions.count() == 1
    assert store.sessions.get_with_files(saved.session.id).included_files == ("a",)


@pytest.mark.parametrize("path", ["", "a\0b", "\ud800"])
def test_what_cannot_be_a_path_is_refused(store: Store, path: str) -> None:
    saved = store.sessions.save(session())
    acts: list[Callable[[], object]] = [
        lambda: store.sessions.save(session(), [path]),
        lambda: store.sessions.include(saved.session.id, [path]),
        lambda: store.sessions.exclude(saved.session.id, ["fine", path]),
    ]
    for act in acts:
        with pytest.raises(CheckViolation):
            act()

    assert store.sessions.get_with_files(saved.session.id) == SessionFiles(saved.session)
    assert store.sessions.count() == 1


def test_one_text_is_no_list_of_paths(store: Store) -> None:
    with pytest.raises(CheckViolation, match="one text"):
        store.sessions.save(session(), "a.py")


def test_ten_thousand_paths_take_no_more_statements_than_one(store: Store) -> None:
    many = [f"src/folder/file_{number}.py" for number in range(10_000)]
    with counted(store) as few:
        store.sessions.save(session(), ["a"], ["b"])
    with counted(store) as seen:
        saved = store.sessions.save(session(), many, [f"not/{path}" for path in many])
    assert len(seen) == len(few)

    found = store.sessions.get_with_files(saved.session.id)
    assert found.included_files == tuple(sorted(many))
    assert len(found.excluded_files) == 10_000


def test_sessions_and_files_are_read_in_one_query_for_each_table(store: Store) -> None:
    for number in range(5):
        store.sessions.save(session(str(number)), [f"in{number}"], [f"out{number}"])
    digest = store.sessions.find()[0].project_hash

    with counted(store) as seen:
        found = store.sessions.find_with_files(project_hash=digest, order_by="name")
    assert [(one.session.name, *one.included_files, *one.excluded_files) for one in found] == [
        (str(number), f"in{number}", f"out{number}") for number in range(5)
    ]
    assert sum(sql.startswith("SELECT") for sql in seen) == 3
    with counted(store) as seen:
        store.sessions.get_with_files(found[0].session.id)
    assert sum(sql.startswith("SELECT") for sql in seen) == 3


def test_no_sessions_have_no_files(store: Store) -> None:
    assert store.sessions.find_with_files(name="absent") == []


def test_including_and_excluding_move_a_path_from_list_to_list(store: Store, clock: Clock) -> None:
    key = store.sessions.save(session(), ["a"], ["b", "c"]).session.id
    clock.move(60)

    assert store.sessions.include(key, ["a", "b", "new"]) == 2
    assert store.sessions.get_with_files(key).included_files == ("a", "b", "new")
    assert store.sessions.get_with_files(key).excluded_files == ("c",)
    clock.move(1)
    assert store.sessions.exclude(key, ["a"]) == 1
    found = store.sessions.get_with_files(key)
    assert (found.included_files, found.excluded_files) == (("b", "new"), ("a", "c"))
    assert found.session.updated_at == clock.now


def test_paths_are_taken_off_whichever_list_they_are_in(store: Store) -> None:
    key = store.sessions.save(session(), ["a", "b"], ["c", "d"]).session.id

    assert store.sessions.forget_files(key, ["a", "d", "absent"]) == 2
    found = store.sessions.get_with_files(key)
    assert (found.included_files, found.excluded_files) == (("b",), ("c",))


def test_all_files_are_replaced_at_once(store: Store) -> None:
    key = store.sessions.save(session(), ["a", "b"], ["c"]).session.id
    store.sessions.replace_files(key, ["c"], ["b"])

    found = store.sessions.get_with_files(key)
    assert (found.included_files, found.excluded_files) == (("c",), ("b",))


def test_what_is_asked_of_a_session_that_is_not_there_is_not_found(store: Store) -> None:
    acts: list[Callable[[], object]] = [
        lambda: store.sessions.get_with_files("absent"),
        lambda: store.sessions.include("absent", ["a"]),
        lambda: store.sessions.exclude("absent", ["a"]),
        lambda: store.sessions.forget_files("absent", ["a"]),
        lambda: store.sessions.replace_files("absent", ["a"], []),
        lambda: store.sessions.rename("absent", "x"),
        lambda: store.sessions.move("absent", "/x"),
        lambda: store.sessions.duplicate("absent"),
        lambda: store.sessions.delete("absent"),
        lambda: store.sessions.set_active(PROJECT, "absent"),
    ]
    for act in acts:
        with pytest.raises(NotFound):
            act()

    assert store.engine.fetch_all("SELECT path FROM included_files") == []


def test_a_project_gives_its_sessions_the_last_changed_first(store: Store, clock: Clock) -> None:
    saved = []
    for name in "abc":
        saved.append(store.sessions.save(session(name)).session.id)
        clock.move(1)
    store.sessions.save(session("other", "/home/me/other"))
    clock.move(1)
    store.sessions.include(saved[0], ["x"])

    assert keys_of(store.sessions.find_by_project("/home/me//app/")) == [saved[0], saved[2], saved[1]]
    assert keys_of(store.sessions.find_by_project(PROJECT, limit=1)) == [saved[0]]
    assert store.sessions.count_by_project(PROJECT) == 3


def test_pages_of_a_project_lead_from_one_to_the_next(store: Store, clock: Clock) -> None:
    for number in range(5):
        clock.move(number % 2)
        store.sessions.save(session(str(number)))
    expected = keys_of(store.sessions.find_by_project(PROJECT))

    found: list[str] = []
    after = None
    while True:
        page = store.sessions.page_by_project(PROJECT, size=2, after=after)
        found += keys_of(list(page.items))
        after = page.next
        if after is None:
            break
    assert found == expected


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("login", {"Login page", "LOGIN", "re-login"}),
        ("LOGIN", {"Login page", "LOGIN", "re-login"}),
        ("100%", {"100% done"}),
        ("a_b", {"a_b"}),
        ("a\\b", {"a\\b"}),
        ("É", {"É"}),
        ("é", {"Café"}),
        ("caf", {"Café"}),
        ("'", {"it's"}),
        ("absent", set()),
    ],
)
def test_names_are_searched_for_text_in_either_case(store: Store, text: str, names: set[str]) -> None:
    for name in (
        "Login page",
        "LOGIN",
        "re-login",
        "100% done",
        "100x",
        "a_b",
        "axb",
        "a\\b",
        "É",
        "Café",
        "it's",
    ):
        store.sessions.save(session(name))

    assert {one.name for one in store.sessions.search(text)} == names


def test_a_search_may_stay_in_one_project(store: Store) -> None:
    store.sessions.save(session("Login"))
    other = store.sessions.save(session("Login", "/other")).session.id

    assert keys_of(store.sessions.search("log", project_directory="/other/")) == [other]
    assert len(store.sessions.search("log", limit=1)) == 1


def test_fields_are_changed_and_the_time_with_them(store: Store, clock: Clock) -> None:
    key = store.sessions.save(session()).session.id
    clock.move(60)
    store.sessions.rename(key, "Other")
    clock.move(1)
    store.sessions.update(key, search_term="x", is_regex_active=True)

    found = store.sessions.get(key)
    assert (found.name, found.search_term, found.is_regex_active) == ("Other", "x", True)
    assert found.updated_at == clock.now


@pytest.mark.parametrize("way", ["move", "update", "save", "row", "update_where", "upsert", "upsert_many"])
def test_the_hash_follows_the_directory_in_every_way_of_writing_it(store: Store, way: str) -> None:
    row = store.sessions.save(session()).session
    goal = "C:\\Other\\"
    if way == "move":
        store.sessions.move(row.id, goal)
    elif way == "update":
        store.sessions.update(row.id, project_directory=goal)
    elif way == "update_where":
        store.sessions.update_where(name="Login", changes={"project_directory": goal})
    else:
        row.project_directory = goal
        if way == "save":
            store.sessions.save(row)
        elif way == "row":
            row.save()
        elif way == "upsert":
            store.sessions.upsert(row)
        else:
            store.sessions.upsert_many([row])

    (found,) = store.sessions.find_by_project("c:/Other")
    assert (found.id, found.project_directory) == (row.id, goal)
    assert store.sessions.find_by_project(PROJECT) == []


def test_new_sessions_get_their_hash_in_every_way_of_adding_them(store: Store) -> None:
    store.sessions.add(session("a"))
    store.sessions.add(name="b", project_directory=PureWindowsPath("/home/me/app"))
    store.sessions.add_many([session("c"), {"name": "d", "project_directory": PROJECT + "/."}])
    store.sessions.upsert(name="e", project_directory=PROJECT)

    assert sorted(one.name for one in store.sessions.find_by_project(PROJECT)) == list("abcde")


def test_a_duplicate_has_the_same_values_and_files_and_another_id(store: Store, clock: Clock) -> None:
    source = store.sessions.save(session(task_description="fix", model_used="m"), ["a", "b"], ["c"])
    clock.move(60)
    copy = store.sessions.duplicate(source.session.id, name="Copy")

    assert copy == store.sessions.get_with_files(copy.session.id)
    assert copy.session.id != source.session.id
    assert (copy.session.name, copy.session.task_description, copy.session.model_used) == ("Copy", "fix", "m")
    assert (copy.included_files, copy.excluded_files) == (("a", "b"), ("c",))
    assert copy.session.created_at == copy.session.updated_at == clock.now
    assert store.sessions.duplicate(source.session.id).session.name == "Login"


def test_deleting_a_session_takes_its_files_along(store: Store) -> None:
    keep = store.sessions.save(session(), ["a"])
    gone = store.sessions.save(session(), ["a", "b"], ["c"])
    store.sessions.delete(gone.session)

    assert store.sessions.get_or_none(gone.session.id) is None
    assert store.engine.fetch_all("SELECT session_id FROM included_files") == [(keep.session.id,)]
    assert store.engine.fetch_all("SELECT session_id FROM excluded_files") == []


def test_deleting_a_project_leaves_other_projects(store: Store) -> None:
    for directory in (PROJECT, PROJECT + "/", "/other"):
        store.sessions.save(session("x", directory), ["a"])

    assert store.sessions.delete_project(PROJECT) == 2
    assert [one.project_directory for one in store.sessions.find()] == ["/other"]


def test_a_project_has_one_active_session(store: Store) -> None:
    one, two = (store.sessions.save(session(name)).session.id for name in "ab")
    assert store.sessions.get_active(PROJECT) is None

    store.sessions.set_active(PROJECT, one)
    store.sessions.set_active("/home/me/./app/", two)
    active = store.sessions.get_active(PROJECT)
    assert active is not None and active.id == two
    assert store.sessions.get_active("/other") is None
    assert store.sessions.clear_active(PROJECT)
    assert not store.sessions.clear_active(PROJECT)
    assert store.sessions.get_active(PROJECT) is None


def test_a_session_of_another_project_cannot_be_active(store: Store) -> None:
    key = store.sessions.save(session()).session.id
    with pytest.raises(NotFound):
        store.sessions.set_active("/other", key)

    assert store.sessions.get_active("/other") is None


@pytest.mark.parametrize("way", ["delete", "delete_project", "delete_where", "move", "update"])
def test_a_session_that_left_is_not_active_any_more(store: Store, way: str) -> None:
    key = store.sessions.save(session()).session.id
    store.sessions.set_active(PROJECT, key)
    acts: dict[str, Callable[[], object]] = {
        "delete": lambda: store.sessions.delete(key),
        "delete_project": lambda: store.sessions.delete_project(PROJECT),
        "delete_where": lambda: store.sessions.delete_where(id=key),
        "move": lambda: store.sessions.move(key, "/other"),
        "update": lambda: store.sessions.update(key, project_directory="/other"),
    }
    acts[way]()

    assert store.sessions.get_active(PROJECT) is None
    assert store.sessions.get_active("/other") is None
    if way in ("delete", "delete_project", "move"):
        assert store.kv.count() == 0


def test_another_session_stays_active_when_one_is_deleted_or_moved(store: Store) -> None:
    stays, gone, moved = (store.sessions.save(session(name)).session.id for name in "abc")
    store.sessions.set_active(PROJECT, stays)
    store.sessions.delete(gone)
    store.sessions.move(moved, "/other")

    active = store.sessions.get_active(PROJECT)
    assert active is not None and active.id == stays


def test_moving_within_the_project_keeps_the_active_session(store: Store) -> None:
    key = store.sessions.save(session()).session.id
    store.sessions.set_active(PROJECT, key)
    store.sessions.move(key, PROJECT + "/")

    active = store.sessions.get_active(PROJECT)
    assert active is not None and active.project_directory == PROJECT + "/"


def test_sessions_of_a_failed_transaction_are_not_there(store: Store) -> None:
    with pytest.raises(KeyError), store.transaction():
        key = store.sessions.save(session(), ["a"]).session.id
        store.sessions.set_active(PROJECT, key)
        raise KeyError

    assert store.sessions.count() == 0
    assert store.sessions.get_active(PROJECT) is None


def test_a_session_without_a_project_is_refused(store: Store) -> None:
    with pytest.raises(CheckViolation):
        store.sessions.save(session("x", " "))
    with pytest.raises(NotNullViolation):
        store.sessions.save(Session(name="x"))
