"""The rules of lists, events and the administration, broken with raw SQL: the database itself says no."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

import peewee
import pytest

from datalayer import CheckViolation, DatabaseBusy, ForeignKeyViolation, NotNullViolation, UniqueViolation
from datalayer.domains import workspaces
from datalayer.errors import ConstraintViolation
from datalayer.repository.fields import JSONField, UtcField
from datalayer.store import Store, connect

T1, T2 = (f"'2026-03-0{day}T12:00:00.000000Z'" for day in (1, 2))
DIGEST = "0123456789abcdef" * 4
MODELS: list[type[peewee.Model]] = [
    workspaces.SharedList,
    workspaces.ListItem,
    workspaces.ListMember,
    workspaces.HostedEvent,
    workspaces.EventParticipant,
    workspaces.AdminUser,
    workspaces.AuditEntry,
    workspaces.AiUsage,
    workspaces.CostBudget,
    workspaces.DailyLogSummary,
    workspaces.ImportSession,
    workspaces.ImportFailure,
    workspaces.SystemSetting,
    workspaces.AiProvider,
    workspaces.AiProviderKey,
]
ROWS = [
    "users (id) VALUES ('ann'), ('ben'), ('cleo')",
    "workspaces (id, name) VALUES ('team', 'Team')",
    "lists (id, owner_id, workspace_id, name) VALUES ('list', 'ann', 'team', 'List')",
    "list_items (id, list_id, added_by, content) VALUES ('item', 'list', 'ben', 'Item')",
    "list_members (id, list_id, user_id) VALUES ('la', 'list', 'ann')",
    f"hosted_events (id, host_id, workspace_id, title, starts_at, capacity) VALUES"
    f" ('party', 'ann', 'team', 'Party', {T2}, 1), ('fair', 'ann', NULL, 'Fair', {T2}, NULL)",
    "event_participants (id, event_id, user_id, status) VALUES"
    " ('ea', 'party', 'ann', 'going'), ('eb', 'party', 'ben', 'waitlisted'), ('ef', 'fair', 'ben', 'going')",
    "admin_users (id, user_id, role, granted_by) VALUES ('admin', 'ann', 'superadmin', 'ben')",
    "audit_logs (id, actor_id, action) VALUES ('entry', 'ann', 'act')",
    "ai_usage_logs (id, user_id, provider, status, expires_at, reserved_micros)"
    f" VALUES ('runs', 'ann', 'openai', 'reserved', {T2}, 5)",
    f"ai_usage_logs (id, user_id, provider, ended_at, cost_micros) VALUES ('cost', 'ann', 'openai', {T1}, 5)",
    f"ai_usage_logs (id, provider, status, ended_at) VALUES ('none', 'openai', 'released', {T1})",
    "ai_cost_budgets (id, user_id, period, limit_micros) VALUES"
    " ('day', 'ann', 'daily', NULL), ('month', 'ann', 'monthly', 5), ('all', NULL, 'daily', 7)",
    "daily_log_summaries (id, day, kind) VALUES ('sum', '2026-03-01', 'total')",
    f"admin_import_sessions (id, kind, source_digest, started_by) VALUES ('import', 'k', '{DIGEST}', 'ann')",
    "admin_import_sessions (id, kind, source_digest, status, total_rows, succeeded_rows, finished_at)"
    f" VALUES ('done', 'k', '{DIGEST[::-1]}', 'completed', 2, 2, {T1})",
    "admin_import_errors (id, session_id, row_number, error_code, message)"
    " VALUES ('e', 'import', 1, 'c', 'm')",
    "system_settings (key, value, updated_by) VALUES ('own', '[]', 'ann')",
    "ai_provider_settings (id, provider, default_model) VALUES ('po', 'openai', 'm')",
    "ai_provider_settings (id, provider, default_model, fallback_provider)"
    " VALUES ('pg', 'gemini', 'm', 'openai')",
    "ai_provider_keys (id, provider, encrypted_key, masked_preview, created_by)"
    " VALUES ('key', 'openai', 'dl1:k:AAAA', '...', 'ann')",
]
CALL = "INSERT INTO ai_usage_logs (id, provider, status, expires_at, ended_at, cost_micros) VALUES ('x', 'p',"
KEY = "INSERT INTO ai_provider_keys (id, provider, name, encrypted_key, masked_preview) VALUES ('x',"
SETTING = "INSERT INTO system_settings (key, value) VALUES ("
SUMMARY = "INSERT INTO daily_log_summaries (id, day, kind, name, detail) VALUES ('x',"

# the rule that says no -> statements that would break it
CHECKS: dict[str, list[str]] = {
    "lists_name_given": ["UPDATE lists SET name = ''", "UPDATE lists SET name = '  '"],
    "list_items_content_given": ["UPDATE list_items SET content = ' '"],
    "list_items_position_range": ["UPDATE list_items SET position = -1"],
    "list_items_completed_when": [f"UPDATE list_items SET completed_at = {T1}"],
    "list_members_role_known": ["UPDATE list_members SET role = 'owner'"],
    "list_members_delivery_preference_known": [
        "UPDATE list_members SET delivery_preference = 'weekly'",
        "UPDATE list_members SET delivery_preference = ''",
    ],
    "hosted_events_title_given": ["UPDATE hosted_events SET title = ''"],
    "hosted_events_capacity_range": [
        "INSERT INTO hosted_events (id, host_id, title, starts_at, capacity)"
        f" VALUES ('x', 'ann', 't', {T1}, 0)"
    ],
    "hosted_events_status_known": ["UPDATE hosted_events SET status = 'over'"],
    "hosted_events_ends_after_start": [f"UPDATE hosted_events SET ends_at = {T1}"],
    "event_participants_status_known": ["UPDATE event_participants SET status = 'maybe' WHERE id = 'eb'"],
    "event_participants_attended_when_going": [
        f"UPDATE event_participants SET attended_at = {T1} WHERE id = 'eb'"
    ],
    "event_participants_capacity": [
        "INSERT INTO event_participants (id, event_id, user_id) VALUES ('x', 'party', 'cleo')",
        "UPDATE event_participants SET status = 'going' WHERE id = 'eb'",
        "UPDATE event_participants SET status = 'going'",
        "UPDATE event_participants SET event_id = 'party', user_id = 'cleo' WHERE id = 'ef'",
    ],
    "admin_users_role_known": ["UPDATE admin_users SET role = 'boss'"],
    "audit_logs_action_given": ["INSERT INTO audit_logs (id, action) VALUES ('x', '')"],
    "audit_logs_append_only": [
        "UPDATE audit_logs SET action = 'other'",
        "UPDATE audit_logs SET actor_id = NULL",
        "UPDATE audit_logs SET action = action WHERE id = 'entry'",
        "DELETE FROM audit_logs",
        "DELETE FROM audit_logs WHERE id = 'entry'",
    ],
    "ai_usage_logs_provider_given": ["UPDATE ai_usage_logs SET provider = '' WHERE id = 'runs'"],
    "ai_usage_logs_status_known": [f"{CALL} 'lost', NULL, {T1}, 0)"],
    "ai_usage_logs_reserved_micros_range": [
        "UPDATE ai_usage_logs SET reserved_micros = -1 WHERE id = 'runs'"
    ],
    "ai_usage_logs_cost_micros_range": [f"{CALL} 'settled', NULL, {T1}, -1)"],
    "ai_usage_logs_input_tokens_range": ["UPDATE ai_usage_logs SET input_tokens = -1 WHERE id = 'runs'"],
    "ai_usage_logs_output_tokens_range": ["UPDATE ai_usage_logs SET output_tokens = -1 WHERE id = 'runs'"],
    "ai_usage_logs_expires_when_reserved": [
        f"{CALL} 'reserved', NULL, NULL, 0)",
        f"{CALL} 'settled', {T1}, {T1}, 0)",
    ],
    "ai_usage_logs_ended_when_not": [
        f"{CALL} 'settled', NULL, NULL, 0)",
        f"{CALL} 'reserved', {T1}, {T1}, 0)",
    ],
    "ai_usage_logs_cost_when_settled": [
        f"{CALL} 'reserved', {T1}, NULL, 1)",
        f"{CALL} 'released', NULL, {T1}, 1)",
    ],
    "ai_usage_logs_final": [
        "UPDATE ai_usage_logs SET cost_micros = 6 WHERE id = 'cost'",
        f"UPDATE ai_usage_logs SET status = 'reserved', ended_at = NULL, expires_at = {T1} WHERE id = 'none'",
        f"UPDATE ai_usage_logs SET created_at = {T1} WHERE id = 'cost'",
    ],
    "ai_cost_budgets_period_known": ["UPDATE ai_cost_budgets SET period = 'hourly' WHERE id = 'month'"],
    "ai_cost_budgets_limit_micros_range": ["UPDATE ai_cost_budgets SET limit_micros = -1"],
    "ai_cost_budgets_limit_given": [
        "UPDATE ai_cost_budgets SET limit_micros = NULL WHERE id = 'month'",
        "UPDATE ai_cost_budgets SET limit_micros = NULL WHERE id = 'all'",
    ],
    "daily_log_summaries_day_form": [f"{SUMMARY} '1.3.2026', 'total', '', '')"],
    "daily_log_summaries_kind_known": [f"{SUMMARY} '2026-03-02', 'other', '', '')"],
    "daily_log_summaries_total_plain": [
        f"{SUMMARY} '2026-03-02', 'total', 'n', '')",
        f"{SUMMARY} '2026-03-02', 'total', '', 'd')",
    ],
    "daily_log_summaries_entries_range": ["UPDATE daily_log_summaries SET entries = -1, users = -1"],
    "daily_log_summaries_users_range": ["UPDATE daily_log_summaries SET users = 1"],
    "daily_log_summaries_input_tokens_range": ["UPDATE daily_log_summaries SET input_tokens = -1"],
    "daily_log_summaries_output_tokens_range": ["UPDATE daily_log_summaries SET output_tokens = -1"],
    "daily_log_summaries_cost_micros_range": ["UPDATE daily_log_summaries SET cost_micros = -1"],
    "admin_import_sessions_kind_given": ["UPDATE admin_import_sessions SET kind = ''"],
    "admin_import_sessions_source_digest_length": ["UPDATE admin_import_sessions SET source_digest = 'abc'"],
    "admin_import_sessions_status_known": [
        f"UPDATE admin_import_sessions SET status = 'lost', finished_at = {T1} WHERE id = 'import'"
    ],
    "admin_import_sessions_succeeded_rows_range": [
        "UPDATE admin_import_sessions SET succeeded_rows = -1 WHERE id = 'import'"
    ],
    "admin_import_sessions_failed_rows_range": [
        "UPDATE admin_import_sessions SET failed_rows = -1 WHERE id = 'import'"
    ],
    "admin_import_sessions_finished_when_final": [
        "UPDATE admin_import_sessions SET status = 'failed' WHERE id = 'import'",
        f"UPDATE admin_import_sessions SET finished_at = {T1} WHERE id = 'import'",
    ],
    "admin_import_sessions_rows_when_completed": [
        f"UPDATE admin_import_sessions SET status = 'completed', finished_at = {T1} WHERE id = 'import'",
        "UPDATE admin_import_sessions SET status = 'completed', total_rows = 2, succeeded_rows = 1,"
        f" finished_at = {T1} WHERE id = 'import'",
    ],
    "admin_import_sessions_rows_within_total": [
        "UPDATE admin_import_sessions SET total_rows = 1, failed_rows = 2 WHERE id = 'import'"
    ],
    "admin_import_sessions_final": [
        "UPDATE admin_import_sessions SET status = 'running', finished_at = NULL WHERE id = 'done'",
        "UPDATE admin_import_sessions SET succeeded_rows = 1, failed_rows = 1 WHERE id = 'done'",
    ],
    "admin_import_errors_row_number_range": ["UPDATE admin_import_errors SET row_number = 0"],
    "system_settings_key_given": [f"{SETTING}'', '1')"],
    "system_settings_maintenance_mode_type": [
        f"{SETTING}'maintenance_mode', '1')",
        f"{SETTING}'maintenance_mode', '\"on\"')",
        f"{SETTING}'maintenance_mode', 'null')",
    ],
    "system_settings_max_ai_cost_type": [
        f"{SETTING}'max_ai_cost_per_user_daily', '1.5')",
        f"{SETTING}'max_ai_cost_per_user_daily', '\"1\"')",
    ],
    "system_settings_rate_limit_type": [
        f"{SETTING}'default_rate_limit', 'null')",
        f"{SETTING}'default_rate_limit', 'true')",
    ],
    "ai_provider_settings_provider_known": ["UPDATE ai_provider_settings SET provider = 'x' WHERE id = 'pg'"],
    "ai_provider_settings_default_model_given": ["UPDATE ai_provider_settings SET default_model = ''"],
    "ai_provider_settings_fallback_other": [
        "UPDATE ai_provider_settings SET fallback_provider = 'gemini' WHERE id = 'pg'"
    ],
    "ai_provider_settings_feature_routing_object": [
        "UPDATE ai_provider_settings SET feature_routing_json = '[]'"
    ],
    "ai_provider_keys_provider_known": [f"{KEY} 'other', 'n', 'dl1:k:AAAA', '...')"],
    "ai_provider_keys_name_given": [f"{KEY} 'openai', '', 'dl1:k:AAAA', '...')"],
    "ai_provider_keys_encrypted_key_sealed": [f"{KEY} 'openai', 'n', 'sk-plain', '...')"],
    "ai_provider_keys_masked_preview_short": [
        f"{KEY} 'openai', 'n', 'dl1:k:AAAA', '')",
        f"{KEY} 'openai', 'n', 'dl1:k:AAAA', 'sk-much-too-much-of-it')",
    ],
}
KEYS = {
    "list_members": "INSERT INTO list_members (id, list_id, user_id) VALUES ('x', 'list', 'ann')",
    "event_participants": "INSERT INTO event_participants (id, event_id, user_id, status)"
    " VALUES ('x', 'party', 'ben', 'declined')",
    "admin_users": "INSERT INTO admin_users (id, user_id) VALUES ('x', 'ann')",
    "daily_log_summaries": f"{SUMMARY} '2026-03-01', 'total', '', '')",
    "admin_import_sessions": "INSERT INTO admin_import_sessions (id, kind, source_digest)"
    f" VALUES ('x', 'k', '{DIGEST[::-1]}')",
    "admin_import_errors": "INSERT INTO admin_import_errors (id, session_id, row_number, error_code, message)"
    " VALUES ('x', 'import', 1, 'c', 'm')",
    "ai_provider_settings": "INSERT INTO ai_provider_settings (id, provider, default_model)"
    " VALUES ('x', 'openai', 'm')",
    "ai_provider_keys": f"{KEY} 'openai', 'default', 'dl1:k:AAAA', '...')",
}
BUDGETS = [
    "INSERT INTO ai_cost_budgets (id, user_id, period, limit_micros) VALUES ('x', 'ann', 'daily', 1)",
    "INSERT INTO ai_cost_budgets (id, user_id, period, limit_micros) VALUES ('x', NULL, 'daily', 1)",
]
REFERENCES = {
    "lists_workspace": "UPDATE lists SET workspace_id = 'nowhere'",
    "lists_owner": "UPDATE lists SET owner_id = 'nobody'",
    "list_items_list": "INSERT INTO list_items (id, list_id, content) VALUES ('x', 'none', 'c')",
    "list_items_added_by": "UPDATE list_items SET added_by = 'nobody'",
    "list_members_list": "INSERT INTO list_members (id, list_id, user_id) VALUES ('x', 'none', 'ann')",
    "list_members_user": "INSERT INTO list_members (id, list_id, user_id) VALUES ('x', 'list', 'nobody')",
    "hosted_events_workspace": "UPDATE hosted_events SET workspace_id = 'nowhere'",
    "hosted_events_host": "UPDATE hosted_events SET host_id = 'nobody'",
    "event_participants_event": "INSERT INTO event_participants (id, event_id, user_id)"
    " VALUES ('x', 'none', 'ann')",
    "event_participants_user": "INSERT INTO event_participants (id, event_id, user_id)"
    " VALUES ('x', 'fair', 'nobody')",
    "admin_users_user": "INSERT INTO admin_users (id, user_id) VALUES ('x', 'nobody')",
    "admin_users_granted_by": "UPDATE admin_users SET granted_by = 'nobody'",
    "ai_usage_logs_user": "UPDATE ai_usage_logs SET user_id = 'nobody' WHERE id = 'runs'",
    "ai_cost_budgets_user": "UPDATE ai_cost_budgets SET user_id = 'nobody' WHERE id = 'month'",
    "admin_import_sessions_started_by": "UPDATE admin_import_sessions SET started_by = 'nobody'",
    "admin_import_errors_session": "UPDATE admin_import_errors SET session_id = 'none'",
    "system_settings_updated_by": "UPDATE system_settings SET updated_by = 'nobody'",
    "ai_provider_settings_fallback": "DELETE FROM users WHERE id = 'x'",
    "ai_provider_keys_created_by": "UPDATE ai_provider_keys SET created_by = 'nobody'",
}
del REFERENCES["ai_provider_settings_fallback"]  # both known providers are there: nothing else can be named


# the file of SQLite has the rules of the one in memory
both = pytest.mark.parametrize("store", ["memory", "postgresql"], indirect=True)


@pytest.fixture
def world(store: Store) -> Store:
    for row in ROWS:
        store.engine.write(f"INSERT INTO {row}")
    return store


def table_of(model: type[peewee.Model]) -> str:
    return str(model._meta.table_name)


def refused(store: Store, kind: type[ConstraintViolation], statements: Iterable[str]) -> set[str | None]:
    """Give the rules that refused the statements, each of which changes nothing."""
    rules: set[str | None] = set()
    for statement in statements:
        with pytest.raises(kind) as caught:
            store.engine.write(statement)
        rules.add(caught.value.constraint)
    return rules


# of each CHECK that breaks, SQLite's name is sought in the texts of all tables
@pytest.mark.parametrize(
    "store", [pytest.param("memory", marks=pytest.mark.slow), "postgresql"], indirect=True
)
def test_every_rule_is_held_by_the_database_under_its_name(world: Store) -> None:
    answers = {rule: refused(world, CheckViolation, broken) for rule, broken in CHECKS.items()}

    assert {rule: answer for rule, answer in answers.items() if answer != {rule}} == {}


@both
def test_keys_are_there_once(world: Store) -> None:
    for table, statement in KEYS.items():
        with pytest.raises(UniqueViolation) as caught:
            world.engine.write(statement)

        assert caught.value.table == table
    refused(world, UniqueViolation, BUDGETS)


@both
def test_what_is_referred_to_is_there(world: Store) -> None:
    for rule, statement in REFERENCES.items():
        assert refused(world, ForeignKeyViolation, [statement]) <= {rule, None}, rule


@both
def test_a_provider_falls_back_on_one_that_has_settings(world: Store) -> None:
    world.engine.write("DELETE FROM ai_provider_settings WHERE provider = 'openai'")

    assert world.workspaces.ai_providers.one(provider="gemini").fallback_provider is None
    statement = "UPDATE ai_provider_settings SET fallback_provider = 'openai'"
    assert refused(world, ForeignKeyViolation, [statement]) <= {"ai_provider_settings_fallback", None}


@both
def test_what_must_have_a_value_has_one(world: Store) -> None:
    for model in MODELS:
        for field in model._meta.sorted_fields:
            # SQLite lets a text key be NULL unless the table says otherwise; the library always gives one
            if field.null or field.primary_key:
                continue
            statement = f"UPDATE {table_of(model)} SET {field.column_name} = NULL"
            with pytest.raises((NotNullViolation, CheckViolation)) as caught:
                world.engine.write(statement)

            broken_by_rule = isinstance(caught.value, CheckViolation)
            assert broken_by_rule or caught.value.columns == (field.column_name,), statement


@pytest.mark.parametrize("store", ["memory"], indirect=True)
def test_times_and_documents_have_their_form(world: Store) -> None:
    # on PostgreSQL the types hold it
    for model in MODELS:
        for field in model._meta.sorted_fields:
            if isinstance(field, UtcField | JSONField) and model is not workspaces.AuditEntry:
                where = " WHERE status = 'reserved'" if model is workspaces.AiUsage else ""
                statement = f"UPDATE {table_of(model)} SET {field.column_name} = 'soon'{where}"
                refused(world, CheckViolation, [statement])


@pytest.mark.parametrize("store", ["memory"], indirect=True)
def test_an_entry_of_the_trail_is_not_replaced_either(world: Store) -> None:
    statement = "INSERT OR REPLACE INTO audit_logs (id, action) VALUES ('entry', 'other')"

    assert refused(world, CheckViolation, [statement]) == {"audit_logs_append_only"}
    assert world.workspaces.audit.get("entry").action == "act"


@both
def test_capacity_does_not_fall_below_those_who_have_a_place(world: Store) -> None:
    world.engine.write("UPDATE hosted_events SET capacity = 2 WHERE id = 'party'")
    world.engine.write("UPDATE event_participants SET status = 'going' WHERE id = 'eb'")
    statement = "UPDATE hosted_events SET capacity = 1 WHERE id = 'party'"

    assert refused(world, CheckViolation, [statement]) == {"hosted_events_capacity_kept"}


@both
def test_deleting_a_user_takes_what_is_theirs_and_leaves_the_records(world: Store) -> None:
    world.engine.write("DELETE FROM users WHERE id = 'ann'")

    counts = {table_of(model): world.repository(model).count() for model in MODELS}
    assert counts == {
        "lists": 0,
        "list_items": 0,
        "list_members": 0,
        "hosted_events": 0,
        "event_participants": 0,
        "admin_users": 0,
        "audit_logs": 1,
        "ai_usage_logs": 3,
        "ai_cost_budgets": 1,
        "daily_log_summaries": 1,
        "admin_import_sessions": 2,
        "admin_import_errors": 1,
        "system_settings": 1,
        "ai_provider_settings": 2,
        "ai_provider_keys": 1,
    }
    assert world.workspaces.audit.get("entry").actor_id == "ann"
    assert world.workspaces.ai_costs.get("cost").user_id is None
    assert world.workspaces.imports.get("import").started_by is None


@both
def test_deleting_a_workspace_takes_its_lists_and_events(world: Store) -> None:
    world.engine.write("DELETE FROM workspaces WHERE id = 'team'")

    assert [event.id for event in world.workspaces.events.find()] == ["fair"]
    assert (world.workspaces.lists.count(), world.workspaces.lists.items.count()) == (0, 0)


@both
def test_raw_updates_record_their_time(world: Store) -> None:
    for model in MODELS:
        if "updated_at" not in model._meta.fields:
            continue
        table, key = table_of(model), "key" if model is workspaces.SystemSetting else "id"
        world.engine.write(f"UPDATE {table} SET updated_at = {T1}")
        world.engine.write(f"UPDATE {table} SET {key} = {key}")

        assert world.repository(model).count(updated_at=UtcField().python_value(T1.strip("'"))) == 0, table


@pytest.mark.parametrize("store", ["postgresql"], indirect=True)
def test_no_snapshot_from_before_takes_a_place_or_money_that_is_gone(world: Store) -> None:
    world.engine.write("UPDATE hosted_events SET capacity = 2 WHERE id = 'party'")
    with connect(str(world.engine.address.secret_url)) as other:
        for mine, theirs in (
            (lambda: take_place(world, "ben"), lambda: take_place(other, "cleo")),
            (lambda: reserve(world), lambda: reserve(other)),
        ):
            with pytest.raises(DatabaseBusy), world.engine.transaction(isolation="REPEATABLE READ"):
                world.engine.fetch_all("SELECT id FROM users")
                theirs()
                mine()

    assert world.workspaces.events.attendance("party").going == 2
    assert world.workspaces.ai_costs.count(status="reserved", user_id="cleo") == 1


def take_place(store: Store, user_id: str) -> None:
    store.workspaces.events.join("party", user_id)


def reserve(store: Store) -> None:
    store.workspaces.ai_costs.reserve("cleo", Decimal("0.000002"), provider="openai")
