"""The demo's work in drafts: a text grows by versions, is compared, and what a model cost is counted."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from datalayer.errors import StaleVersion

if TYPE_CHECKING:
    from datalayer.store import Store

__all__ = ["work"]


def work(store: Store) -> tuple[str, dict[str, Any]]:
    """Write versions, save upon one that moved on, compare two, talk about it, count the cost."""
    user = store.accounts.sign_up(display_name="Demo").id
    drafts = store.drafts
    key = drafts.create(user, title="Letter", content="Dear Ada,\n").draft.id
    drafts.add_version(key, "Dear Ada,\nthe engine works.\n", user_id=user)
    drafts.add_version(key, "Dear Ada,\nthe engine hums.\n", user_id=user, source="ai_edit", parent=2)
    try:
        drafts.autosave(key, "Dear Ada,\n", user_id=user, base=2)
        refused = False
    except StaleVersion:
        refused = True
    drafts.add_message(key, "user", "Make it livelier", user_id=user, metadata={"tone": "lively"})
    drafts.add_message(key, "assistant", "It hums now.", user_id=user)
    conversation = drafts.open_conversation(key, "provider", "model-1", user_id=user)
    for _ in range(3):
        drafts.record_usage(conversation.id, user_id=user, tokens=120, cost=Decimal("0.000361"))
    facts = {
        "versions": drafts.get_current(key, user_id=user).version_count,
        "changed_lines": drafts.compare(key, 2, 3, user_id=user, context=0).count("\n+") - 1,
        "messages": len(drafts.chat_history(key, user_id=user).items),
        "stale_save_refused": refused,
        "cost": str(drafts.usage(user).cost),
    }
    return "a draft grew to three versions, an outdated save was refused, and every cent was counted", facts
