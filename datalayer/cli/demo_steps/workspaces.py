"""The demo's work in workspaces: a team with a quest, an invite that is accepted, messages that are read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from datalayer.domains.workspaces import Candidate

if TYPE_CHECKING:
    from datalayer.store import Store

__all__ = ["work"]


def work(store: Store) -> tuple[str, dict[str, Any]]:
    """Let two users work together and talk; say what came of it."""
    with store.transaction():
        spaces = store.workspaces
        ann, ben = (store.accounts.sign_up(display_name=name).id for name in ("Ann", "Ben"))
        team = spaces.create("Harbour", owner_id=ann)
        spaces.members.join(team.id, ben)
        quest = spaces.rooms.create(team.id, "Paint the boat", user_id=ann, kind="quest")
        spaces.rooms.join(quest.id, ben)
        item = spaces.work_items.create(ann, "Buy paint", room_id=quest.id, assignee_id=ben)
        spaces.work_items.set_status(ben, item.id, "done")
        request = spaces.relationships.request(ann, ben, message="We share a boat")
        spaces.relationships.accept(ben, request.id)
        guests = [Candidate("Ben", "ben@example.org"), Candidate("Cleo", "cleo@example.org")]
        made = spaces.threads.create(ann, "Which colour?", guests, workspace_id=team.id)
        reader = spaces.invites.accept(made.invites[0].token, user_id=ben)
        spaces.invites.decline(made.invites[1].token)
        posted = spaces.messages.post(spaces.threads.participant_of(ann, made.thread.id).id, "Blue or red?")
        for delivery in posted.deliveries:
            spaces.messages.move(delivery.id, "delivered")
        read = spaces.messages.mark_read(reader.id, posted.message.id)
    facts = {
        "members": 2,
        "invites": len(made.invites),
        "read": read,
        "inbox": spaces.inbox.unread_count(ann),
    }
    return "a quest with a task that is done, a thread of two guests, of whom one came and read", facts
