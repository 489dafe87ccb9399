"""Chats: made once for each id of another system, counted by the database, final when they are final."""

from __future__ import annotations

import pytest

from datalayer import CheckViolation, InvalidTransition, NotFound, UniqueViolation
from datalayer.domains.sandboxes import ChatSession, Sandbox, Sandboxes
from datalayer.store import Store


@pytest.fixture
def chat(sandboxes: Sandboxes, sandbox: Sandbox, user: str) -> ChatSession:
    return sandboxes.chats.create(sandbox.id, user_id=user, title="First")


def counters(sandboxes: Sandboxes, key: str) -> tuple[int, ...]:
    row = sandboxes.chats.get(key)
    return (
        row.message_count,
        row.user_message_count,
        row.assistant_message_count,
        row.total_input_tokens,
        row.total_output_tokens,
    )


def test_session_is_made_once_for_an_id_of_another_system(
    sandboxes: Sandboxes, sandbox: Sandbox, user: str
) -> None:
    chats = sandboxes.chats
    first = chats.get_or_create(sandbox.id, "ses_1", user_id=user, title="A")
    second = chats.get_or_create(sandbox.id, "ses_1", user_id=user, title="B")
    gateway = chats.get_or_create(sandbox.id, "ses_1", user_id=user, source="acp_gateway")
    elsewhere = chats.get_or_create(sandboxes.create(user, "Else").id, "ses_1", user_id=user)

    assert (second.id, second.title) == (first.id, "A")
    assert (gateway.source, gateway.acp_session_id, gateway.opencode_session_id) == (
        "acp_gateway",
        "ses_1",
        None,
    )
    assert len({first.id, gateway.id, elsewhere.id}) == 3
    with pytest.raises(CheckViolation):
        chats.get_or_create(sandbox.id, "", user_id=user)


def test_session_is_linked_later_and_once(
    sandboxes: Sandboxes, sandbox: Sandbox, chat: ChatSession, user: str, other: str
) -> None:
    chats = sandboxes.chats
    linked = chats.link(chat.id, "acp_1", user_id=user, source="acp_gateway")

    assert (linked.source, linked.acp_session_id) == ("acp_gateway", "acp_1")
    assert chats.get_or_create(sandbox.id, "acp_1", user_id=user, source="acp_gateway").id == chat.id
    with pytest.raises(NotFound):
        chats.link(chat.id, "acp_2", user_id=other)
    with pytest.raises(UniqueViolation):
        chats.link(chats.create(sandbox.id, user_id=user).id, "acp_1", user_id=user, source="acp_gateway")


def test_sessions_of_a_sandbox_come_by_pages(
    sandboxes: Sandboxes, sandbox: Sandbox, chat: ChatSession, user: str
) -> None:
    chats = sandboxes.chats
    chats.create(sandbox.id, user_id=user)
    archived = chats.edit(chat.id, user_id=user, status="archived", title="Old")

    assert (archived.status, archived.title) == ("archived", "Old")
    page = chats.page_for_sandbox(sandbox.id, user_id=user, status="archived")
    assert [one.id for one in page.items] == [chat.id]
    assert len(chats.page_for_sandbox(sandbox.id, user_id=user).items) == 2


def test_counters_follow_every_change_of_the_messages(
    sandboxes: Sandboxes, sandbox: Sandbox, chat: ChatSession, store: Store, user: str
) -> None:
    messages = sandboxes.chats.messages
    asked = messages.post(chat.id, "user", "Hi", user_id=user, input_tokens=5)
    answer = messages.post(chat.id, "assistant", "Ho", user_id=user, input_tokens=7, output_tokens=11)
    messages.post(chat.id, "system", user_id=user)
    assert counters(sandboxes, chat.id) == (3, 1, 1, 12, 11)

    elsewhere = sandboxes.chats.create(sandbox.id, user_id=user)
    sql = store.engine.dialect.sql
    write = store.engine.write
    # what a writer of raw SQL may do: count otherwise, change the role, move, delete several
    write(sql("UPDATE chat_messages SET output_tokens = 20, input_tokens = 1 WHERE id = ?"), (answer.id,))
    assert counters(sandboxes, chat.id) == (3, 1, 1, 6, 20)
    write(sql("UPDATE chat_messages SET role = 'user' WHERE id = ?"), (answer.id,))
    assert counters(sandboxes, chat.id) == (3, 2, 0, 6, 20)
    write(
        sql("UPDATE chat_messages SET session_id = ?, input_tokens = 2 WHERE role = 'user'"), (elsewhere.id,)
    )
    assert counters(sandboxes, chat.id) == (1, 0, 0, 0, 0)
    assert counters(sandboxes, elsewhere.id) == (2, 2, 0, 4, 20)
    messages.delete_own(asked.id, user_id=user)
    assert counters(sandboxes, elsewhere.id) == (1, 1, 0, 2, 20)
    write("DELETE FROM chat_messages")
    assert counters(sandboxes, elsewhere.id) == counters(sandboxes, chat.id) == (0, 0, 0, 0, 0)
    assert sandboxes.chats.get(chat.id).last_message_at is None


def test_last_message_is_the_latest_there_is(
    sandboxes: Sandboxes, chat: ChatSession, store: Store, user: str
) -> None:
    messages = sandboxes.chats.messages
    times = [f"2026-03-01T10:00:0{second}.000000Z" for second in (2, 3, 1)]
    keys = [messages.post(chat.id, "user", user_id=user).id for _ in times]
    sql = store.engine.dialect.sql("UPDATE chat_messages SET created_at = ? WHERE id = ?")
    for key, time in zip(keys, times, strict=True):
        store.engine.write(sql, (time, key))

    def last() -> str:
        return f"{sandboxes.chats.get(chat.id).last_message_at:%S}"

    assert last() == "03"
    messages.delete_own(keys[1], user_id=user)
    assert last() == "02"
    messages.delete_own(keys[0], user_id=user)
    assert last() == "01"


def test_message_that_streams_grows_and_ends_once(
    sandboxes: Sandboxes, chat: ChatSession, store: Store, user: str
) -> None:
    messages = sandboxes.chats.messages
    growing = messages.post(chat.id, "assistant", user_id=user, status="streaming")
    for piece in ("a", "%s é", "'"):
        messages.append(growing.id, piece, user_id=user)
    done = messages.finish(growing.id, user_id=user, output_tokens=3, tool_calls=[{"name": "ls"}])

    assert (done.content, done.status, done.tool_calls) == ("a%s é'", "complete", [{"name": "ls"}])
    assert done.completed_at == sandboxes.engine.clock()
    assert counters(sandboxes, chat.id) == (1, 0, 1, 0, 3)
    with pytest.raises(InvalidTransition):
        messages.append(growing.id, "more", user_id=user)
    for status in ("error", "complete", "streaming"):
        with pytest.raises(InvalidTransition):
            messages.finish(growing.id, status, user_id=user)
    for status in ("error", "cancelled", "streaming"):
        with pytest.raises(CheckViolation) as caught:
            store.engine.write(f"UPDATE chat_messages SET status = '{status}'")
        assert caught.value.constraint == "chat_messages_final"


def test_message_of_another_system_is_added_once(sandboxes: Sandboxes, chat: ChatSession, user: str) -> None:
    messages = sandboxes.chats.messages
    first = messages.post(chat.id, "user", "one", user_id=user, external_message_id="msg_1")
    again = messages.post(chat.id, "user", "two", user_id=user, external_message_id="msg_1")

    assert (again.id, again.content) == (first.id, "one")
    assert counters(sandboxes, chat.id)[0] == 1


def test_history_goes_back_page_by_page(sandboxes: Sandboxes, chat: ChatSession, user: str) -> None:
    messages = sandboxes.chats.messages
    for number in range(5):
        messages.post(chat.id, "user", str(number), user_id=user)
    first = messages.history(chat.id, user_id=user, size=3)
    messages.post(chat.id, "user", "5", user_id=user)
    second = messages.history(chat.id, user_id=user, size=3, after=first.next)

    assert [[one.content for one in page.items] for page in (first, second)] == [["4", "3", "2"], ["1", "0"]]


def test_messages_are_their_users_own(sandboxes: Sandboxes, chat: ChatSession, user: str, other: str) -> None:
    chats, messages = sandboxes.chats, sandboxes.chats.messages
    growing = messages.post(chat.id, "assistant", "mine", user_id=user, status="streaming")
    theirs = {"user_id": other}
    for attempt in (
        lambda: messages.post(chat.id, "user", "x", **theirs),
        lambda: messages.post("no session", "user", "x", user_id=user),
        lambda: messages.history(chat.id, **theirs),
        lambda: messages.get_own(growing.id, **theirs),
        lambda: messages.append(growing.id, "x", **theirs),
        lambda: messages.finish(growing.id, **theirs),
        lambda: messages.delete_own(growing.id, **theirs),
        lambda: chats.get_own(chat.id, **theirs),
        lambda: chats.edit(chat.id, title="x", **theirs),
        lambda: chats.delete_own(chat.id, **theirs),
    ):
        with pytest.raises(NotFound):
            attempt()

    assert messages.get_own(growing.id, user_id=user).__data__ == growing.__data__
    chats.delete_own(chat.id, user_id=user)
    assert messages.count() == 0
