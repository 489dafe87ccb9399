"""What `check-db` says of workspaces whose rules were out of the way; and what strategies draw."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datalayer import Repository
from datalayer.store import Store, check_database
from datalayer.testing.strategies import workspaces as strategies

PAST = "'2001-01-01T00:00:00.000000Z'"
EARLIER = "'2000-01-01T00:00:00.000000Z'"
BROKEN = {
    "DL-C260": ["workspaces (id, name) VALUES ('w', 'w')"],
    "DL-C261": [
        "rooms (id, workspace_id, name) VALUES ('r', 'w', 'r')",
        "room_members (id, room_id, workspace_id, user_id) VALUES ('m', 'r', 'w', 'b')",
    ],
    "DL-C262": ["work_items (id, user_id, title, visibility_scope) VALUES ('i', 'a', 't', 'squad')"],
    "DL-C263": ["relationships (id, user_id, related_user_id) VALUES ('one', 'b', 'a'), ('two', 'a', 'b')"],
    "DL-C264": ["relationship_requests (id, user_id, related_user_id) VALUES ('q', 'b', 'a')"],
    "DL-C265": [
        "thread_invites (id, thread_id, token, email, candidate_name, created_at, expires_at)"
        f" VALUES ('due', 't', 'x', 'e', 'n', {EARLIER}, {PAST})"
    ],
    "DL-C266": [
        "thread_invites (id, thread_id, token, email, candidate_name, status, created_at, expires_at)"
        f" VALUES ('timeless', 't', 'y', 'e', 'n', 'accepted', {EARLIER}, {PAST})"
    ],
    "DL-C267": ["threads (id, user_id, title) VALUES ('t', 'a', 't'), ('s', 'b', 's')"],
    "DL-C268": [
        "thread_participants (id, thread_id) VALUES ('p', 's')",
        "thread_messages (id, thread_id, content) VALUES ('m', 't', 'c')",
        "thread_message_deliveries (id, message_id, participant_id) VALUES ('d', 'm', 'p')",
    ],
    "DL-C269": [
        "thread_message_deliveries (id, message_id, participant_id, status) VALUES ('r', 'm', 'q', 'read')",
        "thread_participants (id, thread_id) VALUES ('q', 't')",
    ],
}


@pytest.mark.slow
def test_what_the_rules_would_have_refused_is_found(_sqlite_template: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(_sqlite_template, tmp_path / "broken.db"))
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute("INSERT INTO users (id) VALUES ('a'), ('b')")
        connection.execute("INSERT INTO workspace_members (id, workspace_id, user_id) VALUES ('m', 'w', 'a')")
        for rows in BROKEN.values():
            for row in rows:
                connection.execute(f"INSERT INTO {row}")

    findings = {one.id: one for one in check_database(path, with_schema=True) if one.id in BROKEN}

    assert sorted(findings) == sorted(BROKEN)
    assert {key for key, one in findings.items() if one.severity == "info"} == {"DL-C265"}
    assert findings["DL-C263"].count == 2


# -- strategies --------------------------------------------------------------------------------------------


def drawn(store: Store) -> Iterator[tuple[Repository[Any], st.SearchStrategy[Any]]]:
    """Give each strategy with the repository that takes what it draws."""
    spaces = store.workspaces
    team = strategies.make_workspace(store, owner_id="a", members=["b"])
    room = spaces.rooms.create(team.id, "r", user_id="a", kind="squad")
    talk = strategies.make_thread(store, user_id="a")
    voice = spaces.threads.participant_of("a", talk.thread.id)
    message = spaces.messages.post(voice.id, "m").message
    thread, users = talk.thread.id, {"user_id": "a", "related_user_id": "b"}
    yield spaces, strategies.workspaces(created_by="a")
    yield spaces.members, strategies.workspace_members(workspace_id=team.id, user_id="c")
    yield spaces.rooms, strategies.rooms(workspace_id=team.id, created_by="a")
    yield spaces.rooms.members, strategies.room_members(room=room, user_id="b")
    yield spaces.work_items, strategies.work_items(user_id="a", assignee_id="b")
    yield spaces.work_items, strategies.work_items(user_id="a", room=room)
    yield spaces.inbox, strategies.inbox_items(user_id="a")
    yield spaces.relationships, strategies.relationships(**users)
    yield spaces.relationships.requests, strategies.relationship_requests(**users)
    yield spaces.threads, strategies.threads(user_id="a", workspace_id=team.id)
    yield spaces.invites, strategies.thread_invites(thread_id=thread)
    yield spaces.threads.participants, strategies.thread_participants(thread_id=thread)
    yield spaces.threads.participants, strategies.thread_participants(thread_id=thread, user_id="b")
    yield spaces.messages, strategies.thread_messages(thread_id=thread, sender_id=voice.id)
    yield (
        spaces.messages.deliveries,
        strategies.thread_message_deliveries(message_id=message.id, participant_id=voice.id),
    )


@pytest.mark.slow
@pytest.mark.parametrize("store", ["memory", "postgresql"], indirect=True)
def test_what_is_drawn_is_stored_and_read_as_it_was(store: Store) -> None:
    for user in "abc":
        store.engine.write(f"INSERT INTO users (id) VALUES ('{user}')")
    strategies_of = list(drawn(store))

    @given(data=st.data())
    def keep(data: st.DataObject) -> None:
        for repository, strategy in strategies_of:
            row = data.draw(strategy)
            values = dict(row.__data__)
            found = repository.get(repository.add(row).id)
            assert {name: found.__data__[name] for name in values} == values
            repository.delete(found)

    keep()
