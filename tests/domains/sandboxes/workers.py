"""What the processes of these tests do; each opens the database itself."""

from __future__ import annotations

from typing import Any

from datalayer import InvalidTransition
from datalayer.store import Store, connect

__all__ = ["do_everything"]

SANDBOXES, CHATS, MESSAGES, CHANGES = 5, 10, 9, 8


def do_everything(target: str, name: str, sandbox_id: str, session_id: str) -> dict[str, Any]:
    """Do what others do at the same time with the same rows; give what came of it."""
    with connect(target, busy_timeout_s=30) as store:
        sandboxes = store.sandboxes
        return {
            "moved": _start(store, sandbox_id),
            "slugs": [sandboxes.create("ada", "My site").slug for _ in range(SANDBOXES)],
            "chats": [
                sandboxes.chats.get_or_create(sandbox_id, f"ses_{n}", user_id="ada").id for n in range(CHATS)
            ],
            "messages": _chat(store, session_id),
            "versions": [
                sandboxes.preferences.change("ada", theme_preset=f"{name} {n}").settings_version
                for n in range(CHANGES)
            ],
        }


def _start(store: Store, sandbox_id: str) -> bool:
    try:
        store.sandboxes.set_status(sandbox_id, "starting")
    except InvalidTransition:
        return False
    return True


def _chat(store: Store, session_id: str) -> int:
    """Post, recount and delete messages; give how many of them stay."""
    messages = store.sandboxes.chats.messages
    for number in range(MESSAGES):
        posted = messages.post(session_id, "user", user_id="ada", input_tokens=number)
        answer = messages.post(session_id, "assistant", user_id="ada", status="streaming")
        messages.finish(answer.id, user_id="ada", output_tokens=number)
        if number % 3 == 0:
            messages.delete_own(posted.id, user_id="ada")
    return 2 * MESSAGES - len(range(0, MESSAGES, 3))
