"""Events and their numbers by day, as the database accepts them."""

from __future__ import annotations

from hypothesis import strategies as st

from datalayer.domains.events import AnalyticsEvent, AnalyticsRollup
from datalayer.repository.fields import new_id
from datalayer.testing.strategies.values import json_documents, moments, texts

__all__ = ["analytics_events", "analytics_rollups", "event_names"]


def event_names() -> st.SearchStrategy[str]:
    """Give names of events, few enough to be counted."""
    return st.sampled_from(["page.seen", "draft.opened", "search.asked"])


@st.composite
def analytics_events(draw: st.DrawFn, *, user_id: str | None = None) -> AnalyticsEvent:
    """Give events of a user, or of visitors."""
    return AnalyticsEvent(
        id=new_id(),
        name=draw(event_names()),
        user_id=user_id,
        visitor_id=draw(st.none() | st.sampled_from(["v1", "v2"])),
        properties=draw(st.dictionaries(texts(max_size=10), json_documents(), max_size=2)),
        occurred_at=draw(moments()),
        created_at=draw(moments()),
    )


@st.composite
def analytics_rollups(draw: st.DrawFn) -> AnalyticsRollup:
    """Give numbers of a name on a day; each pair once."""
    count = draw(st.integers(1, 1_000_000))
    return AnalyticsRollup(
        day=draw(moments()).date().isoformat(),
        name=draw(event_names()),
        event_count=count,
        actor_count=draw(st.integers(0, count)),
    )
