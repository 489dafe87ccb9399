"""The rules of the sandboxes' tables, broken by raw SQL: each is held by the database, under its name."""

from __future__ import annotations

import pytest

from datalayer import (
    CheckViolation,
    ForeignKeyViolation,
    NotNullViolation,
    UniqueViolation,
)
from datalayer.domains.sandboxes import Sandbox, Sandboxes
from datalayer.schema.history import package_folder
from datalayer.schema.snapshot import read_text
from datalayer.store import Store

TIME = "'2026-03-01T10:00:00.000000Z'"
LONG_AGO = "'2020-03-01T10:00:00.000000Z'"

# table -> what is said of its rows -> the rule that says no
BROKEN = {
    "resource_tiers": {
        "name = ''": "resource_tiers_name_given",
        "cpu_cores = 0": "resource_tiers_cpu_cores_range",
        "memory_mb = 0": "resource_tiers_memory_mb_range",
        "storage_gb = -1": "resource_tiers_storage_gb_range",
    },
    "container_flavors": {
        "name = ''": "container_flavors_name_given",
        "languages = '{}'": "container_flavors_languages_array",
    },
    "container_addons": {
        "name = ''": "container_addons_name_given",
        "category = 'other'": "container_addons_category_known",
        "port = 0": "container_addons_port_range",
        "port = 65536": "container_addons_port_range",
    },
    "sandboxes": {
        "name = ''": "sandboxes_name_given",
        "slug = ''": "sandboxes_slug_length",
        f"slug = '{'x' * 64}'": "sandboxes_slug_length",
        "slug = 'A'": "sandboxes_slug_form",
        "slug = 'a b'": "sandboxes_slug_form",
        "slug = '-a'": "sandboxes_slug_form",
        "slug = 'a-'": "sandboxes_slug_form",
        "addon_ids = '{}'": "sandboxes_addon_ids_array",
        "addon_ids = '\"a\"'": "sandboxes_addon_ids_array",
        "status = 'broken'": "sandboxes_status_known",
        "status = 'running'": "sandboxes_moves",
        "error_message = 'e'": "sandboxes_message_when_error",
    },
    "chat_sessions": {
        "source = 'mail'": "chat_sessions_source_known",
        "opencode_session_id = ''": "chat_sessions_opencode_session_id_given",
        "source = 'acp_gateway', acp_session_id = ''": "chat_sessions_acp_session_id_given",
        "status = 'gone'": "chat_sessions_status_known",
        "message_count = -1": "chat_sessions_message_count_range",
        "user_message_count = -1": "chat_sessions_user_message_count_range",
        "assistant_message_count = -1": "chat_sessions_assistant_message_count_range",
        "total_input_tokens = -1": "chat_sessions_total_input_tokens_range",
        "total_output_tokens = -1": "chat_sessions_total_output_tokens_range",
        "acp_session_id = 'a'": "chat_sessions_acp_when_gateway",
        "acp_agent_id = 'a'": "chat_sessions_acp_when_gateway",
    },
    "chat_messages": {
        "external_message_id = ''": "chat_messages_external_message_id_given",
        "role = 'bot'": "chat_messages_role_known",
        "tool_calls = '{}'": "chat_messages_tool_calls_array",
        "tool_results = '1'": "chat_messages_tool_results_array",
        "input_tokens = -1": "chat_messages_input_tokens_range",
        "output_tokens = -1": "chat_messages_output_tokens_range",
        f"status = 'done', completed_at = {TIME}": "chat_messages_status_known",
        "status = 'complete'": "chat_messages_completed_when_final",
        f"completed_at = {TIME}": "chat_messages_completed_when_final",
        "error_message = 'e'": "chat_messages_message_when_error",
    },
    "onboarding_sessions": {
        "status = 'late'": "onboarding_sessions_status_known",
        "gathered_requirements = '[]'": "onboarding_sessions_gathered_requirements_object",
        "generated_config = '1'": "onboarding_sessions_generated_config_object",
        "status = 'completed'": "onboarding_sessions_completed_when_done",
        "status = 'skipped'": "onboarding_sessions_completed_when_done",
        f"completed_at = {TIME}": "onboarding_sessions_completed_when_done",
        "error_message = 'e'": "onboarding_sessions_message_when_failed",
    },
    "knowledge_documents": {
        "category = ''": "knowledge_documents_category_given",
        "tags = '{}'": "knowledge_documents_tags_array",
        "version = 0": "knowledge_documents_steps",
        "embedding_dimensions = 0": "knowledge_documents_embedding_dimensions_range",
        "embedding_status = 'done'": "knowledge_documents_embedding_status_known",
        "embedding_dimensions = 1": "knowledge_documents_embedding_whole",
        "embedding_status = 'ready'": "knowledge_documents_embedding_when_ready",
        "embedding_error = 'e'": "knowledge_documents_message_when_error",
    },
    "user_preferences": {
        "theme_mode = 'pink'": "user_preferences_theme_mode_known",
        "default_addon_ids = '{}'": "user_preferences_default_addon_ids_array",
        "settings_version = 0": "user_preferences_steps",
    },
    "user_opencode_config": {
        "global_config = '[]'": "user_opencode_config_global_config_object",
        "permissions = '1'": "user_opencode_config_permissions_object",
    },
    "user_opencode_files": {
        "type = 'poem'": "user_opencode_files_type_known",
        "name = ''": "user_opencode_files_name_given",
        "extension = 'exe'": "user_opencode_files_extension_known",
    },
    "settings": {"key = ''": "settings_key_given"},
}
# what an insert alone can break
BROKEN_BY_INSERT = {
    "INSERT INTO sandboxes (id, user_id, name, slug, status) VALUES ('n', 'ada', 'n', 'n', 'running')": (
        "sandboxes_container_when_running"
    ),
    "INSERT INTO knowledge_documents (id, user_id, category, content, version)"
    " VALUES ('n', 'ada', 'c', '', 0)": ("knowledge_documents_version_range"),
    "INSERT INTO knowledge_documents"
    " (id, user_id, category, content, embedding_status, embedding_dimensions, embedding)"
    " SELECT 'n', 'ada', 'c', '', 'ready', 2, embedding FROM knowledge_documents"
    " WHERE embedding_dimensions = 1": ("knowledge_documents_embedding_size"),
    "INSERT INTO user_preferences (user_id, settings_version) VALUES ('bob', 0)": (
        "user_preferences_settings_version_range"
    ),
}
UNIQUE = {
    "UPDATE resource_tiers SET is_default = NOT is_default",
    "UPDATE container_flavors SET is_default = NOT is_default",
    "INSERT INTO sandboxes (id, user_id, name, slug) VALUES ('n', 'ada', 'n', 'site')",
    "INSERT INTO chat_sessions (id, sandbox_id, user_id, opencode_session_id)"
    " SELECT 'n', sandbox_id, user_id, opencode_session_id FROM chat_sessions",
    "INSERT INTO chat_messages (id, session_id, role, status, external_message_id)"
    " SELECT 'n', session_id, role, status, external_message_id FROM chat_messages",
    "INSERT INTO onboarding_sessions (id, sandbox_id, user_id)"
    " SELECT 'n', sandbox_id, user_id FROM onboarding_sessions",
    "INSERT INTO user_opencode_files (id, user_id, type, name)"
    " SELECT 'n', user_id, type, name FROM user_opencode_files",
}
UNKNOWN = {
    "UPDATE sandboxes SET resource_tier_id = 'x'": "sandboxes_resource_tier",
    "UPDATE sandboxes SET flavor_id = 'x'": "sandboxes_flavor",
    "INSERT INTO sandboxes (id, user_id, name, slug) VALUES ('n', 'x', 'n', 'n')": "sandboxes_user",
    "UPDATE chat_sessions SET user_id = 'bob'": "chat_sessions_sandbox",
    "UPDATE chat_sessions SET user_id = 'x'": None,
    "UPDATE onboarding_sessions SET user_id = 'bob'": "onboarding_sessions_sandbox",
    "UPDATE sandboxes SET user_id = 'bob'": None,
    "UPDATE chat_messages SET session_id = 'x'": "chat_messages_session",
    "UPDATE knowledge_documents SET user_id = 'x'": "knowledge_documents_user",
    "UPDATE user_preferences SET default_resource_tier_id = 'x'": "user_preferences_resource_tier",
    "UPDATE user_preferences SET default_flavor_id = 'x'": "user_preferences_flavor",
    "DELETE FROM resource_tiers WHERE id = 'starter'": "sandboxes_resource_tier",
}


@pytest.fixture
def one_of_each(sandboxes: Sandboxes, sandbox: Sandbox, user: str) -> Sandboxes:
    chat = sandboxes.chats.get_or_create(sandbox.id, "ses", user_id=user)
    sandboxes.chats.messages.post(
        chat.id, "user", user_id=user, status="streaming", external_message_id="msg"
    )
    sandboxes.onboarding.begin(sandbox.id, user_id=user)
    sandboxes.knowledge.create(user, "c", "text")
    ready = sandboxes.knowledge.create(user, "ready", "text")
    sandboxes.knowledge.set_embedding(ready.id, [1.0], version=1)
    sandboxes.preferences.change(user, theme_mode="dark")
    sandboxes.opencode_config.write(user, permissions={"a": 1})
    sandboxes.opencode_files.write(user, "agent", "a", "")
    sandboxes.settings.put("a", 1)
    return sandboxes


def change(store: Store, table: str, assignments: str) -> None:
    # one row, and of documents the one without an embedding
    key = "key" if table == "settings" else "user_id" if table.startswith("user_") else "id"
    key = "id" if table == "user_opencode_files" else key
    only = " WHERE category = 'c'" if table == "knowledge_documents" else ""
    store.engine.write(
        f"UPDATE {table} SET {assignments} WHERE {key} = (SELECT MIN({key}) FROM {table}{only})"
    )


def test_every_rule_is_held_by_the_database_under_its_name(one_of_each: Sandboxes, store: Store) -> None:
    for table, cases in BROKEN.items():
        for assignments, rule in cases.items():
            with pytest.raises(CheckViolation) as caught:
                change(store, table, assignments)
            assert (table, assignments, caught.value.constraint) == (table, assignments, rule)
    for statement, rule in BROKEN_BY_INSERT.items():
        with pytest.raises(CheckViolation) as caught:
            store.engine.write(statement)
        assert (statement, caught.value.constraint) == (statement, rule)


def test_what_is_one_of_its_kind_stays_so(one_of_each: Sandboxes, store: Store) -> None:
    for statement in UNIQUE:
        with pytest.raises(UniqueViolation):
            store.engine.write(statement)


def test_reference_leads_to_what_there_is(one_of_each: Sandboxes, store: Store) -> None:
    for statement, rule in UNKNOWN.items():
        with pytest.raises(ForeignKeyViolation) as caught:
            store.engine.write(statement)
        if rule is not None:
            assert (statement, caught.value.constraint) == (statement, rule)


def test_value_of_another_form_or_none_is_refused(one_of_each: Sandboxes, store: Store) -> None:
    for table, column, value in (
        ("sandboxes", "addon_ids", "'['"),
        ("sandboxes", "last_accessed_at", "'now-ish'"),
        ("chat_messages", "tool_calls", "''"),
        ("settings", "value", "'{'"),
        ("user_preferences", "in_app_notifications", "'2'"),
        ("knowledge_documents", "tags", "'a'"),
    ):
        with pytest.raises(CheckViolation):
            change(store, table, f"{column} = {value}")
    for table, column in (
        ("sandboxes", "user_id"),
        ("sandboxes", "slug"),
        ("sandboxes", "status"),
        ("chat_sessions", "sandbox_id"),
        ("chat_messages", "role"),
        ("chat_messages", "tool_results"),
        ("knowledge_documents", "content"),
        ("user_preferences", "settings_version"),
        ("settings", "value"),
    ):
        with pytest.raises((NotNullViolation, CheckViolation)):
            change(store, table, f"{column} = NULL")


def test_raw_writer_cannot_forget_the_time_of_change(one_of_each: Sandboxes, store: Store) -> None:
    for table in BROKEN:
        column = {"settings": "description", "user_opencode_config": "permissions"}.get(table, "created_at")
        change(store, table, f"updated_at = {LONG_AGO}")
        change(store, table, f"{column} = {column}")

        left = store.engine.fetch_one(f"SELECT COUNT(*) FROM {table} WHERE updated_at = {LONG_AGO}")
        assert (table, left) == (table, (0,))


def test_all_goes_with_the_user(one_of_each: Sandboxes, store: Store) -> None:
    store.engine.write("DELETE FROM users WHERE id = 'ada'")

    kept = ("resource_tiers", "container_flavors", "container_addons", "settings")
    for table in BROKEN:
        found = store.engine.fetch_one(f"SELECT COUNT(*) FROM {table}")
        assert found is not None
        assert (table, found[0] > 0) == (table, table in kept)


def test_no_rule_of_these_tables_is_untested() -> None:
    schema = read_text(package_folder().script())
    told = {rule for cases in BROKEN.values() for rule in cases.values()} | set(BROKEN_BY_INSERT.values())
    forms = ("_utc", "_json", "_bool")
    rules = {
        check.name
        for table in schema.tables
        if table.name in BROKEN
        for check in table.checks
        if check.name and not check.name.endswith(forms)
    }

    assert rules - told == set()
