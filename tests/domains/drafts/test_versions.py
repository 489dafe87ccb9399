"""Versions of a draft: numbered, a tree, compared, autosaved only upon the current one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datalayer import CheckViolation, NotFound, StaleVersion
from datalayer.domains.drafts.comparison import compare_texts
from datalayer.store import Store
from datalayer.testing.strategies.drafts import contents, make_draft


def numbers(store: Store, draft: str, user: str) -> list[int]:
    return [one.version_number for one in store.drafts.history(draft, user_id=user).items]


def test_versions_are_numbered_and_grow_from_the_current_one(store: Store, ada: str, draft: str) -> None:
    first = store.drafts.get_version(draft, 1, user_id=ada)
    second = store.drafts.add_version(draft, "b", user_id=ada, source="ai_generation")
    third = store.drafts.add_version(draft, "c", user_id=ada, parent=1, source="ai_edit")
    fourth = store.drafts.add_version(draft, "d", user_id=ada, parent=second.id, make_current=False)
    fifth = store.drafts.add_version(draft, "e", user_id=ada)

    assert [one.version_number for one in (second, third, fourth, fifth)] == [2, 3, 4, 5]
    assert [one.parent_version_id for one in (second, third, fourth, fifth)] == [
        first.id,
        first.id,
        second.id,
        third.id,
    ]
    assert (second.generation_source, third.generation_source) == ("ai_generation", "ai_edit")
    found = store.drafts.get_current(draft, user_id=ada)
    assert (found.current, found.version_count) == (fifth, 5)
    assert found.draft.current_version_id == fifth.id


def test_history_comes_by_pages_newest_first(store: Store, ada: str) -> None:
    key = make_draft(store, user_id=ada, versions=5).draft.id

    first = store.drafts.history(key, user_id=ada, size=3)
    rest = store.drafts.history(key, user_id=ada, size=3, after=first.next)
    assert [one.version_number for one in (*first.items, *rest.items)] == [5, 4, 3, 2, 1]


def test_an_older_version_becomes_current_again(store: Store, ada: str) -> None:
    key = make_draft(store, user_id=ada, versions=3).draft.id
    chosen = store.drafts.set_current(key, 2, user_id=ada)

    assert store.drafts.get_current(key, user_id=ada).current == chosen
    assert store.drafts.set_current(key, chosen.id, user_id=ada) == chosen
    assert store.drafts.add_version(key, "x", user_id=ada).parent_version_id == chosen.id


def test_a_version_of_another_draft_is_not_found(store: Store, ada: str, draft: str) -> None:
    other = make_draft(store, user_id=ada, versions=2)
    assert other.current is not None
    theirs = other.current.id
    for version in (theirs, 2, 0, "absent"):
        for operation in (
            lambda version=version: store.drafts.set_current(draft, version, user_id=ada),
            lambda version=version: store.drafts.get_version(draft, version, user_id=ada),
            lambda version=version: store.drafts.add_version(draft, "x", user_id=ada, parent=version),
            lambda version=version: store.drafts.autosave(draft, "x", user_id=ada, base=version),
            lambda version=version: store.drafts.compare(draft, 1, version, user_id=ada),
        ):
            with pytest.raises(NotFound, match=f"no Version of draft '{draft}'"):
                operation()

    assert numbers(store, draft, ada) == [1]


def test_an_unknown_source_is_refused_and_takes_no_number(store: Store, ada: str, draft: str) -> None:
    with pytest.raises(CheckViolation) as caught:
        store.drafts.add_version(draft, "x", user_id=ada, source="magic")
    assert caught.value.constraint == "version_generation_source_known"

    assert store.drafts.add_version(draft, "x", user_id=ada).version_number == 2


def test_a_version_that_is_undone_takes_no_number(store: Store, ada: str, draft: str) -> None:
    with pytest.raises(ZeroDivisionError), store.transaction():
        store.drafts.add_version(draft, "x", user_id=ada)
        raise ZeroDivisionError

    assert store.drafts.get_current(draft, user_id=ada).version_count == 1
    assert store.drafts.add_version(draft, "y", user_id=ada).version_number == 2


def test_autosave_writes_upon_the_current_version(store: Store, ada: str, draft: str) -> None:
    saved = store.drafts.autosave(draft, "more", user_id=ada, base=1)
    again = store.drafts.autosave(draft, "and more", user_id=ada, base=saved.id)

    assert (saved.version_number, again.version_number) == (2, 3)
    assert (saved.generation_source, again.parent_version_id) == ("user", saved.id)
    assert store.drafts.get_current(draft, user_id=ada).current == again


def test_autosave_of_the_same_text_makes_no_version(store: Store, ada: str, draft: str) -> None:
    saved = store.drafts.autosave(draft, "more", user_id=ada, base=1)

    assert store.drafts.autosave(draft, "more", user_id=ada, base=2) == saved
    assert numbers(store, draft, ada) == [2, 1]


def test_autosave_is_refused_when_the_base_moved_on(store: Store, ada: str, draft: str) -> None:
    store.drafts.add_version(draft, "theirs", user_id=ada, source="ai_edit")
    for content in ("mine", ""):
        with pytest.raises(StaleVersion, match="moved on from version 1") as caught:
            store.drafts.autosave(draft, content, user_id=ada, base=1)
        assert caught.value.hint is not None

    found = store.drafts.get_current(draft, user_id=ada)
    assert found.version_count == 2
    assert found.current is not None
    assert found.current.content == "theirs"


def test_autosave_is_refused_after_going_back_to_an_older_version(store: Store, ada: str) -> None:
    key = make_draft(store, user_id=ada, versions=2).draft.id
    store.drafts.set_current(key, 1, user_id=ada)
    with pytest.raises(StaleVersion):
        store.drafts.autosave(key, "x", user_id=ada, base=2)

    assert store.drafts.autosave(key, "x", user_id=ada, base=1).version_number == 3


def test_two_versions_are_compared(store: Store, ada: str, draft: str) -> None:
    store.drafts.add_version(draft, "one\ntwo\n", user_id=ada)
    third = store.drafts.add_version(draft, "one\nthree", user_id=ada)

    assert store.drafts.compare(draft, 2, third.id, user_id=ada) == (
        "--- version 2\n+++ version 3\n@@ -1,2 +1,2 @@\n one\n-two\n+three\n\\ No newline at end of file\n"
    )
    assert store.drafts.compare(draft, 2, 2, user_id=ada) == ""
    assert " one\n" not in store.drafts.compare(draft, 2, 3, user_id=ada, context=0)


def apply_diff(old: str, diff: str) -> str:
    """Apply a unified diff as `patch` does, refusing what does not fit."""
    source = [f"{line}\n" for line in old.split("\n")]
    source[-1] = source[-1][:-1]
    result: list[str] = []
    place = 0
    lines = diff.split("\n")[2:-1] if diff else []
    for number, line in enumerate(lines):
        text = line[1:]
        if not (number + 1 < len(lines) and lines[number + 1].startswith("\\")):
            text += "\n"
        if line.startswith("@@"):
            start, _, count = line.split()[1].removeprefix("-").partition(",")
            begin = int(start) - (count != "0")
            result += source[place:begin]
            place = begin
        elif line.startswith(("-", " ")):
            assert source[place] == text
            place += 1
            if line.startswith(" "):
                result.append(text)
        elif line.startswith("+"):
            result.append(text)
    return "".join(result + source[place:])


@given(old=contents(), new=contents(), context=st.integers(0, 3))
def test_a_diff_leads_from_one_text_to_the_other(old: str, new: str, context: int) -> None:
    diff = compare_texts(old, new, old_name="a", new_name="b", context=context)

    assert (diff == "") == (old == new)
    assert apply_diff(old, diff) == new
