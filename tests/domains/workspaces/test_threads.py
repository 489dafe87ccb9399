"""Threads, who takes part in them, and what they say to each other."""

from __future__ import annotations

from itertools import product

import pytest
from support.clock import Clock

from datalayer import CheckViolation, ForeignKeyViolation, InvalidTransition, NotFound
from datalayer.domains.workspaces import NewThread
from datalayer.store import Store

ORDER = ["queued", "sent", "delivered", "read"]


@pytest.fixture
def voices(store: Store, talk: NewThread, ann: str, ben: str) -> tuple[str, str]:
    """Give the participants of Ann and Ben in the thread."""
    ours = store.workspaces.threads.participant_of(ann, talk.thread.id)
    theirs = store.workspaces.invites.accept(talk.invites[0].token, user_id=ben)
    return ours.id, theirs.id


def test_a_thread_begins_with_its_owner(store: Store, team: str, ann: str, cleo: str) -> None:
    threads = store.workspaces.threads
    made = threads.create(ann, "Sailing", workspace_id=team)

    (owner,) = threads.participants_of(ann, made.thread.id)
    assert (owner.user_id, owner.role, owner.joined_at) == (ann, "owner", made.thread.created_at)
    assert (made.invites, made.thread.workspace_id) == ((), team)
    with pytest.raises(NotFound):
        threads.create(cleo, "Sailing", workspace_id=team)
    with pytest.raises(ForeignKeyViolation):
        threads.create("nobody", "Sailing")
    with pytest.raises(CheckViolation, match="threads_title_given"):
        threads.create(ann, "")
    assert threads.count() == 1


def test_a_thread_is_found_by_those_in_it(
    store: Store, talk: NewThread, voices: tuple[str, str], ann: str, ben: str, cleo: str
) -> None:
    threads, key = store.workspaces.threads, talk.thread.id
    own = threads.create(ben, "Ben's own").thread

    assert [one.id for one in threads.page_for(ben).items] == [own.id, key]
    assert [one.id for one in threads.page_for(ann).items] == [key]
    assert [one.user_id for one in threads.participants_of(ben, key)] == [ann, ben]
    for looking in (threads.get_for, threads.participants_of, threads.participant_of):
        with pytest.raises(NotFound):
            looking(cleo, key)
    threads.leave(ben, key)
    with pytest.raises(NotFound):
        threads.get_for(ben, key)
    with pytest.raises(InvalidTransition):
        threads.leave(ann, key)


def test_only_its_owner_changes_a_thread(
    store: Store, talk: NewThread, voices: tuple[str, str], ann: str, ben: str
) -> None:
    threads, key = store.workspaces.threads, talk.thread.id
    assert threads.edit(ann, key, title="New", description="d").title == "New"
    assert threads.edit(ann, key).description == "d"

    for change in (threads.edit, threads.archive, threads.reopen, threads.discard):
        with pytest.raises(NotFound):
            change(ben, key)
    for broken in ({"status": "deleted"}, {"title": ""}):
        with pytest.raises(CheckViolation):
            threads.edit(ann, key, **broken)
    threads.archive(ann, key)
    with pytest.raises(InvalidTransition):
        threads.archive(ann, key)
    threads.reopen(ann, key)
    threads.discard(ann, key)
    for change in (threads.archive, threads.reopen, threads.discard):
        with pytest.raises(InvalidTransition) as caught:
            change(ann, key)
        assert caught.value.current == "deleted"
    messages, (ours, theirs) = store.workspaces.messages, voices
    for looking in (
        lambda: threads.get_for(ann, key),
        lambda: threads.participant_of(ann, key),
        lambda: messages.history(theirs),
        lambda: messages.mark_read(ours, "any"),
    ):
        with pytest.raises(NotFound):
            looking()
    assert threads.get(key).status == "deleted"


def test_a_message_is_delivered_to_all_others(
    store: Store, talk: NewThread, voices: tuple[str, str], clock: Clock
) -> None:
    messages, (ann, ben) = store.workspaces.messages, voices
    guest = store.workspaces.threads.participants.add(
        thread_id=talk.thread.id, email="g@example.org", joined_at=clock.now
    )
    posted = messages.post(ann, "Hello")

    assert [(one.participant_id, one.status) for one in posted.deliveries] == [
        (ben, "queued"),
        (guest.id, "queued"),
    ]
    assert [one.id for one in messages.outbox()] == [one.id for one in posted.deliveries]
    assert [one.content for one in messages.history(guest.id).items] == ["Hello"]
    assert messages.post(guest.id, "Hi").message.sender_id == guest.id
    with pytest.raises(CheckViolation, match="thread_messages_empty_when_deleted"):
        messages.post(ann, "")
    with pytest.raises(NotFound):
        messages.post("nobody", "Hello")
    assert messages.deliveries.count() == 4


def test_nothing_is_posted_to_a_closed_thread(
    store: Store, talk: NewThread, voices: tuple[str, str], ann: str
) -> None:
    store.workspaces.threads.archive(ann, talk.thread.id)

    with pytest.raises(InvalidTransition) as caught:
        store.workspaces.messages.post(voices[1], "Hello")
    assert caught.value.current == "archived"


def test_deliveries_move_forward_alone(store: Store, voices: tuple[str, str], clock: Clock) -> None:
    messages = store.workspaces.messages
    for start, goal in product([*ORDER, "failed"], repeat=2):
        (delivery,) = messages.post(voices[0], "Hello").deliveries
        if start != "queued":
            messages.move(delivery.id, start)
        onward = start in ORDER and goal in ORDER and ORDER.index(goal) >= ORDER.index(start)
        if onward or start == goal or (goal == "failed" and start in ("queued", "sent")):
            assert messages.move(delivery.id, goal).status == goal
        else:
            with pytest.raises(InvalidTransition) as caught:
                messages.move(delivery.id, goal)
            assert (caught.value.current, caught.value.wanted) == (start, goal)


def test_a_delivery_has_the_times_of_what_it_passed(
    store: Store, voices: tuple[str, str], clock: Clock
) -> None:
    messages = store.workspaces.messages
    first, second = (messages.post(voices[0], text).deliveries[0] for text in "ab")
    sent = messages.move(first.id, "sent").sent_at
    read = clock.move(60)
    found = messages.move(first.id, "read")

    assert (found.sent_at, found.delivered_at, found.read_at) == (sent, read, read)
    assert messages.move(first.id, "read").__data__ == found.__data__
    failed = messages.move(second.id, "failed", error="mailbox full")
    assert (failed.error_message, failed.sent_at) == ("mailbox full", None)
    with pytest.raises(NotFound):
        messages.move("nothing", "sent")


def test_reading_up_to_a_message_reads_what_came_before(
    store: Store, talk: NewThread, voices: tuple[str, str], ann: str
) -> None:
    messages, (ours, theirs) = store.workspaces.messages, voices
    posted = [messages.post(ours, text) for text in "abc"]
    messages.move(posted[0].deliveries[0].id, "failed")
    other = store.workspaces.threads.create(ann, "Other").thread
    elsewhere = messages.post(store.workspaces.threads.participant_of(ann, other.id).id, "Hello")

    assert messages.unread_count(theirs) == 2
    assert messages.mark_read(theirs, posted[1].message.id) == 1
    assert messages.mark_read(theirs, posted[1].message.id) == 0
    assert messages.unread_count(theirs) == 1
    assert [one.status for one in messages.receipts(ours, posted[1].message.id)] == ["read"]
    for key in (elsewhere.message.id, "nothing"):
        with pytest.raises(NotFound):
            messages.mark_read(theirs, key)
    with pytest.raises(NotFound):
        messages.receipts(theirs, posted[1].message.id)


def test_ones_own_messages_are_edited_and_erased(store: Store, voices: tuple[str, str]) -> None:
    messages, (ours, theirs) = store.workspaces.messages, voices
    key = messages.post(ours, "Helo").message.id

    for change in (lambda: messages.edit(theirs, key, "Mine"), lambda: messages.erase(theirs, key)):
        with pytest.raises(NotFound):
            change()
    assert messages.edit(ours, key, "Hello").status == "edited"
    assert messages.edit(ours, key, "Hello!").content == "Hello!"
    with pytest.raises(CheckViolation):
        messages.edit(ours, key, "")
    erased = messages.erase(ours, key)
    assert (erased.status, erased.content) == ("deleted", "")
    for change in (lambda: messages.edit(ours, key, "Back"), lambda: messages.erase(ours, key)):
        with pytest.raises(InvalidTransition):
            change()


def test_history_comes_by_pages_the_newest_first(store: Store, voices: tuple[str, str]) -> None:
    messages = store.workspaces.messages
    for text in "abcde":
        messages.post(voices[0], text)

    first = messages.history(voices[1], size=3)
    second = messages.history(voices[1], size=3, after=first.next)
    assert [one.content for one in (*first.items, *second.items)] == list("edcba")
