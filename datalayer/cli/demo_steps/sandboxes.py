"""Sandboxes in the demo: one that runs, a chat in it, a document, preferences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from datalayer.repository.fields import new_id

if TYPE_CHECKING:
    from datalayer.store import Store

__all__ = ["work"]


def work(store: Store) -> tuple[str, dict[str, Any]]:
    """Start a sandbox, chat in it, keep what was learnt, and take it all down to rest."""
    user = store.accounts.add(id=new_id(), display_name="Demo")
    sandboxes = store.sandboxes
    first = sandboxes.create(user.id, "My site", addon_ids=["code-server"])
    second = sandboxes.create(user.id, "My site")
    sandboxes.start(first.id, user_id=user.id)
    sandboxes.set_status(first.id, "running", container_id=f"demo {first.id}")
    chat = sandboxes.chats.get_or_create(first.id, "demo", user_id=user.id, title="A landing page")
    messages = sandboxes.chats.messages
    messages.post(chat.id, "user", "Make me a landing page", user_id=user.id, input_tokens=6)
    answer = messages.post(chat.id, "assistant", user_id=user.id, status="streaming")
    for piece in ("Here ", "it ", "is."):
        messages.append(answer.id, piece, user_id=user.id)
    messages.finish(answer.id, user_id=user.id, output_tokens=3)
    document = sandboxes.knowledge.create(user.id, "notes", "A landing page has one call to action.")
    sandboxes.knowledge.set_embedding(document.id, [0.25, 0.5, 0.75], version=document.version)
    version = sandboxes.preferences.change(user.id, theme_mode="dark").settings_version
    sandboxes.stop(first.id, user_id=user.id)
    stopped = sandboxes.set_status(first.id, "stopped")
    counted = sandboxes.chats.get(chat.id)
    facts = {
        "slugs": [first.slug, second.slug],
        "status": stopped.status,
        "messages": counted.message_count,
        "tokens": counted.total_input_tokens + counted.total_output_tokens,
        "settings_version": version,
    }
    return (
        f"sandbox {first.slug} was started, chatted in ({facts['messages']} messages,"
        f" {facts['tokens']} tokens) and stopped; its twin became {second.slug}",
        facts,
    )
