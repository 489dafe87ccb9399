"""Entries of the activity log and of its archive, as the database accepts them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import strategies as st

from datalayer.domains.activity import ActivityEntry, ArchivedActivity
from datalayer.repository.fields import new_id
from datalayer.store import Store
from datalayer.testing.strategies.values import json_documents, moments, texts

__all__ = ["activity_entries", "archived_activities", "make_activity"]

_ACTIONS = st.sampled_from(["sandbox.create", "sandbox.start", "login", "draft.save"])
_TYPES = st.sampled_from(["sandbox", "draft", "user"])


@st.composite
def activity_entries(draw: st.DrawFn, *, user_id: str | None = None) -> ActivityEntry:
    """Give entries of a user or of the system, and anonymous ones where there is no user."""
    anonymized = user_id is None and draw(st.booleans())
    entity_type = draw(st.none() | _TYPES)
    values: dict[str, Any] = {}
    if not anonymized:
        values = {
            "entity_id": None if entity_type is None else draw(st.none() | st.builds(new_id)),
            "metadata": draw(st.dictionaries(texts(max_size=10), json_documents(), max_size=2)),
            "ip_address": draw(st.none() | st.sampled_from(["192.0.2.7", "2001:db8::1"])),
            "user_agent": draw(st.none() | texts()),
        }
    return ActivityEntry(
        id=new_id(),
        user_id=user_id,
        action=draw(_ACTIONS),
        entity_type=entity_type,
        anonymized=anonymized,
        created_at=draw(moments()),
        **values,
    )


@st.composite
def archived_activities(draw: st.DrawFn) -> ArchivedActivity:
    """Give entries of the archive."""
    created = draw(moments())
    return ArchivedActivity(
        id=new_id(),
        action=draw(_ACTIONS),
        entity_type=draw(st.none() | _TYPES),
        created_at=created,
        archived_at=created + timedelta(days=draw(st.integers(90, 400))),
    )


def make_activity(store: Store, *, days_ago: float = 0, **fields: Any) -> ActivityEntry:
    """Make an entry that is so many days old by the store's clock."""
    moment = store.engine.clock() - timedelta(days=days_ago)
    return store.activity.add(**{"action": "login", "created_at": moment, **fields})
