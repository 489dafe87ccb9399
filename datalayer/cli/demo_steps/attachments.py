"""The demo's work in attachments: the same content twice, read back, and one let go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datalayer.store import Store

__all__ = ["work"]

_EMAIL = "keeper@demo.example"
_TEXT = b"A file that two attachments share.\n" * 1000


def work(store: Store) -> tuple[str, dict[str, Any]]:
    """Attach, read and delete."""
    user = store.accounts.get_by_email_or_none(_EMAIL) or store.accounts.sign_up(_EMAIL)
    first, second = (
        store.attachments.attach(user.id, name, _TEXT, owner=("demo", "1")) for name in ("a.txt", "b.txt")
    )
    content = store.attachments.read(first.id, user_id=user.id)
    store.attachments.delete_own(second.id, user_id=user.id)
    facts = {"bytes": len(content), "attachments": store.attachments.count(user_id=user.id)}
    return f"{len(content):,} bytes kept once for two attachments, read back by digest", facts
