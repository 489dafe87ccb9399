"""Activity in the demo: what a user did, some of it long ago, archived and made anonymous."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from datalayer.repository.fields import new_id

if TYPE_CHECKING:
    from datalayer.store import Store

__all__ = ["work"]

_OLD, _FRESH = 40, 10


def work(store: Store) -> tuple[str, dict[str, Any]]:
    """Log what a user did, archive what is old, and forget the user."""
    user = store.accounts.add(id=new_id(), display_name="Demo")
    long_ago = store.engine.clock() - timedelta(days=120)
    store.activity.add_many(
        {"action": "login", "user_id": user.id, "ip_address": "192.0.2.7", "created_at": long_ago}
        for _ in range(_OLD)
    )
    with store.transaction():
        for _ in range(_FRESH):
            store.activity.log("sandbox.start", user_id=user.id, ip_address="192.0.2.7")
    seen = len(store.activity.page_for_user(user.id, size=20).items)
    archived = store.activity.archive(older_than_days=90, batch=25)
    anonymous = store.activity.anonymize(user.id)
    facts = {"logged": _OLD + _FRESH, "shown": seen, "archived": archived, "anonymized": anonymous}
    return (
        f"{facts['logged']} things that a user did were logged; {archived} old ones were archived in batches,"
        f" the other {anonymous} do not tell who it was any more",
        facts,
    )
