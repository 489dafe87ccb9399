"""What is asked often is sought by an index, whatever else has piled up."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from datalayer.domains.workspaces import NewThread
from datalayer.engine.statements import Statement
from datalayer.store import Store, connect


@pytest.fixture
def store() -> Iterator[Store]:
    with connect(":memory:", log_parameters=True) as opened:
        opened.migrate()
        yield opened


def test_what_is_asked_often_is_sought_by_an_index(
    store: Store, talk: NewThread, ann: str, team: str
) -> None:
    spaces, thread = store.workspaces, talk.thread.id
    ours = spaces.threads.participant_of(ann, thread).id
    message = spaces.messages.post(ours, "Hello").message.id
    statements: list[Statement] = []
    store.engine.statements.add_hook(statements.append)

    asked: dict[str, Callable[[], object]] = {
        "thread_invites_due": spaces.invites.expire_due,
        "idx_thread_invites_token": lambda: spaces.invites.view(talk.invites[0].token),
        "inbox_items_unread": lambda: spaces.inbox.unread_count(ann),
        "inbox_items_read_at": spaces.inbox.prune,
        "inbox_items_user_id": lambda: spaces.inbox.page_for(ann),
        "thread_message_deliveries_unread": lambda: spaces.messages.mark_read(ours, message),
        "thread_message_deliveries_queued": spaces.messages.outbox,
        "thread_messages_thread_id": lambda: spaces.messages.history(ours),
        "work_items_room_id": lambda: spaces.work_items.page_visible(ann),
        "work_items_schedule": lambda: spaces.work_items.upcoming(ann),
        "idx_thread_participants_user_id": lambda: spaces.threads.page_for(ann),
        "workspace_members_user_id": lambda: spaces.page_for(ann),
        "room_members_user_id": lambda: spaces.rooms.page_for(ann),
        "relationships_related_user_id": lambda: spaces.relationships.page_for(ann),
        "relationship_requests_related_user_id": lambda: spaces.relationships.incoming(ann),
    }
    for index, ask in asked.items():
        statements.clear()
        ask()
        plans = [plan for one in list(statements) for plan in plan_of(store, one)]

        assert any(f"INDEX {index}" in plan for plan in plans), plans
        # the rows of a partial index are what is asked for
        assert [plan for plan in plans if plan.startswith("SCAN") and index not in plan] == []


def plan_of(store: Store, statement: Statement) -> list[str]:
    if statement.sql.split()[0] not in ("SELECT", "UPDATE", "DELETE"):
        return []
    found = store.engine.fetch_all(f"EXPLAIN QUERY PLAN {statement.sql}", statement.parameters)
    return [str(row[-1]) for row in found]
