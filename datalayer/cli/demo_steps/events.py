"""The demo's work in events: a month of them, counted by day."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datalayer.store import Store

__all__ = ["work"]

_DAYS = 30


def work(store: Store) -> tuple[str, dict[str, Any]]:
    """Record events and count them."""
    now = store.engine.clock()
    store.events.track_many(
        {
            "name": name,
            "visitor_id": f"visitor-{number % 7}",
            "occurred_at": now - timedelta(days=number % _DAYS, minutes=number),
        }
        for number in range(600)
        for name in ("page.seen", "draft.opened")
    )
    first = (now - timedelta(days=_DAYS + 1)).date()
    rollups = store.events.roll_up(first)
    seen = sum(day.event_count for day in store.events.daily("page.seen", first=first, last=now.date()))
    return f"1,200 events recorded, {rollups} numbers by day", {"rollups": rollups, "seen": seen}
