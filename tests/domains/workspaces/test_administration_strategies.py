"""What an app's tests draw of lists, events and the administration is stored, and comes back as it was."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import peewee
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datalayer.store import Store
from datalayer.testing.strategies import administration as drawn

# what one row at a time may hold: the world is emptied before each example
TABLES = [
    "lists",
    "hosted_events",
    "admin_users",
    "ai_usage_logs",
    "ai_cost_budgets",
    "daily_log_summaries",
    "admin_import_sessions",
    "system_settings",
    "ai_provider_settings",
]


def rows(store: Store, data: st.DataObject) -> Iterator[peewee.Model]:
    """Store one row after the other; a participant changes its event."""
    spaces = store.workspaces
    shared = spaces.lists.add(data.draw(drawn.shared_lists(owner_id="ann")))
    event = spaces.events.add(data.draw(drawn.hosted_events(host_id="ann")))
    yield shared
    yield event
    session = spaces.imports.add(data.draw(drawn.import_sessions(started_by="ann")))
    others: list[tuple[Any, st.SearchStrategy[Any]]] = [
        (spaces.lists.items, drawn.list_items(list_id=shared.id, added_by="ann")),
        (spaces.lists.members, drawn.list_members(list_id=shared.id, user_id="ann")),
        (spaces.events.participants, drawn.event_participants(event_id=event.id, user_id="ann")),
        (spaces.admins, drawn.admin_users(user_id="ann")),
        (spaces.ai_costs, drawn.ai_usages(user_id="ann")),
        (spaces.ai_costs.budgets, drawn.cost_budgets(user_id="ann")),
        (spaces.ai_costs.budgets, drawn.cost_budgets()),
        (spaces.daily_summaries, drawn.daily_log_summaries()),
        (spaces.imports.failures, drawn.import_failures(session_id=session.id, row_number=1)),
        (spaces.settings, drawn.system_settings(updated_by="ann")),
        (spaces.ai_providers, drawn.ai_providers()),
    ]
    yield session
    for repository, strategy in others:
        yield repository.add(data.draw(strategy))
    entry = data.draw(drawn.audit_entries(actor_id="ann"))
    yield store.repository(type(entry)).add(entry)


@pytest.mark.parametrize("store", ["memory", "postgresql"], indirect=True)
@pytest.mark.slow
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_is_drawn_is_stored(store: Store, data: st.DataObject) -> None:
    if not store.engine.fetch_all("SELECT id FROM users"):
        store.engine.write("INSERT INTO users (id) VALUES ('ann')")
    for table in TABLES:
        store.engine.write(f"DELETE FROM {table}")
    for row in rows(store, data):
        plain = store.repository(type(row))
        assert plain.get(plain.shape.key_of(row)).__data__ == row.__data__
