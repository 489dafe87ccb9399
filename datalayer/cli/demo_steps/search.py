"""The demo's work in search: a text is written, found by its words and by what it means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datalayer.store import Store

__all__ = ["work"]

_EMAIL = "searcher@demo.example"
_TEXTS = {
    "Backups": ("A backup that was never restored is a hope.", [1.0, 0.1, 0.0]),
    "Migrations": ("A migration leaves every row where it belongs.", [0.7, 0.7, 0.0]),
    "Queues": ("A job is done once, however many workers there are.", [0.0, 0.2, 1.0]),
}


def work(store: Store) -> tuple[str, dict[str, Any]]:
    """Keep texts and find them again."""
    user = store.accounts.get_by_email_or_none(_EMAIL) or store.accounts.sign_up(_EMAIL)
    if not store.sandboxes.knowledge.count(user_id=user.id):
        for title, (text, vector) in _TEXTS.items():
            document = store.sandboxes.knowledge.create(user.id, "demo", text, title=title)
            store.sandboxes.knowledge.set_embedding(document.id, vector, version=document.version)
    hits = store.search.find('backup* OR "every row"', user_id=user.id)
    near = store.search.similar([1.0, 0.2, 0.0], user_id=user.id, limit=1)
    facts = {"hits": [hit.snippet for hit in hits], "nearest": near[0].title}
    return f"{len(hits)} texts by words, nearest by meaning: {near[0].title}", facts
