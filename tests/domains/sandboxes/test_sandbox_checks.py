"""What check-db tells of sandboxes, and that whatever the strategies give is accepted and clean."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.clock import Clock

from datalayer.domains.sandboxes import CHECKS, INSPECTIONS, Sandbox, Sandboxes
from datalayer.schema.check.rule import broken_rules
from datalayer.schema.finding import Finding
from datalayer.store import Store, check_database
from datalayer.testing.strategies import sandboxes as strategies

OLD = "'2020-03-01T10:00:00.000000Z'"
TABLES = frozenset(str(rule.table) for rule in CHECKS.values())


def told(store: Store) -> list[tuple[str, str, int]]:
    return [(one.id, one.severity, one.count) for one in findings(store)]


def findings(store: Store) -> Iterator[Finding]:
    yield from broken_rules(store.engine, CHECKS, tables=TABLES)
    for inspect in INSPECTIONS:
        yield from inspect(store.engine, None)


def test_counters_that_were_forged_are_told(
    sandboxes: Sandboxes, sandbox: Sandbox, store: Store, user: str
) -> None:
    chat = sandboxes.chats.create(sandbox.id, user_id=user)
    sandboxes.chats.create(sandbox.id, user_id=user)
    sandboxes.chats.messages.post(chat.id, "user", user_id=user, input_tokens=3)
    assert told(store) == []

    for forged in (
        "message_count = 2",
        "user_message_count = 0",
        "assistant_message_count = 1",
        "total_input_tokens = 4",
        "total_output_tokens = 1",
        "last_message_at = NULL",
    ):
        with pytest.raises(ZeroDivisionError), store.transaction():
            store.engine.write(f"UPDATE chat_sessions SET {forged} WHERE message_count = 1")
            assert (forged, told(store)) == (forged, [("DL-C280", "error", 1)])
            raise ZeroDivisionError  # as it was


def test_addons_that_are_gone_and_what_never_ends_are_told(
    sandboxes: Sandboxes, sandbox: Sandbox, store: Store, user: str
) -> None:
    sandboxes.preferences.change(user, default_addon_ids=["gpu"])
    chat = sandboxes.chats.create(sandbox.id, user_id=user)
    sandboxes.chats.messages.post(chat.id, "assistant", user_id=user, status="streaming")
    sandboxes.start(sandbox.id, user_id=user)
    store.engine.clock = Clock(store.engine.clock())
    assert told(store) == []

    store.engine.write("""UPDATE sandboxes SET addon_ids = '["gpu", "gone"]'""")
    store.engine.write(f"UPDATE sandboxes SET updated_at = {OLD}")
    store.engine.write("""UPDATE user_preferences SET default_addon_ids = '["gone too"]'""")
    store.engine.write(f"UPDATE chat_messages SET updated_at = {OLD}")

    assert told(store) == [
        ("DL-C283", "warning", 1),
        ("DL-C283", "warning", 1),
        ("DL-C284", "info", 1),
        ("DL-C285", "info", 1),
    ]


@pytest.mark.slow
def test_rows_that_got_past_the_rules_are_told(_sqlite_template: Path, tmp_path: Path) -> None:
    path = tmp_path / "broken.db"
    path.write_bytes(_sqlite_template.read_bytes())
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        for statement in (
            "INSERT INTO users (id) VALUES ('ada'), ('bob')",
            "INSERT INTO sandboxes (id, user_id, name, slug) VALUES ('s', 'ada', 'n', 'n')",
            "INSERT INTO chat_sessions (id, sandbox_id, user_id) VALUES ('c', 's', 'bob')",
            "INSERT INTO onboarding_sessions (id, sandbox_id, user_id) VALUES ('o', 's', 'bob')",
            "INSERT INTO knowledge_documents (id, user_id, category, content, embedding,"
            " embedding_dimensions, embedding_status) VALUES ('d', 'ada', 'c', '', x'00', 1, 'ready')",
            "INSERT INTO knowledge_documents (id, user_id, category, content, embedding_status)"
            " VALUES ('e', 'ada', 'c', '', 'ready')",
        ):
            connection.execute(statement)

    found = {one.id: one.count for one in check_database(path) if one.id.startswith("DL-C28")}

    assert found == {"DL-C281": 2, "DL-C282": 2}


@pytest.mark.slow
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_whatever_the_strategies_give_is_accepted(
    sandboxes: Sandboxes, store: Store, data: st.DataObject
) -> None:
    with pytest.raises(ZeroDivisionError), store.transaction():
        sandbox = sandboxes.add(data.draw(strategies.sandboxes(user_id="ada")))
        owner = {"sandbox_id": sandbox.id, "user_id": "ada"}
        chat = sandboxes.chats.add(data.draw(strategies.chat_sessions(**owner)))
        added = [
            sandboxes.chats.messages.add(one)
            for one in data.draw(st.lists(strategies.chat_messages(session_id=chat.id), max_size=4))
        ]
        sandboxes.onboarding.add(data.draw(strategies.onboarding_sessions(**owner)))
        document = sandboxes.knowledge.add(data.draw(strategies.knowledge_documents(user_id="ada")))
        sandboxes.preferences.add(data.draw(strategies.user_preferences(user_id="ada")))
        sandboxes.opencode_config.add(data.draw(strategies.user_opencode_configs(user_id="ada")))
        sandboxes.opencode_files.add(data.draw(strategies.user_opencode_files(user_id="ada")))
        setting = sandboxes.settings.add(data.draw(strategies.settings()))

        counted = sandboxes.chats.get(chat.id)
        assert counted.message_count == len(added)
        assert counted.total_output_tokens == sum(one.output_tokens for one in added)
        assert sandboxes.knowledge.get(document.id).content == document.content
        assert sandboxes.settings.value_of(setting.key) == setting.value
        raise ZeroDivisionError  # the next example begins from nothing


@pytest.mark.slow
def test_factories_make_what_rows_need(sandboxes: Sandboxes, store: Store, user: str) -> None:
    chat = strategies.make_chat_session(store, user_id=user)

    assert sandboxes.get(chat.sandbox_id).user_id == user
