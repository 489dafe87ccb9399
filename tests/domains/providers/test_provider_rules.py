"""The rules of the database, broken with plain SQL; and what check-db tells where they are gone."""

from __future__ import annotations

from datetime import timedelta

import pytest

from datalayer.domains.providers import CHECKS, DeviceFlow, Providers
from datalayer.errors import CheckViolation, ConstraintViolation, ForeignKeyViolation, UniqueViolation
from datalayer.schema.check.rule import broken_rules
from datalayer.store import Store
from datalayer.testing.strategies.providers import make_credential

HASH = "ab" * 32
SEALED = "'dl1:k:AAAA'"
CREDENTIAL = "INSERT INTO provider_credentials (id, user_id, provider_id, {}) VALUES ('c', 'u', 'google', {})"
STATE = (
    "INSERT INTO oauth_state (id, user_id, provider_id, expires_at, {})"
    " VALUES ('s', 'u', 'openai', '2030-01-01T00:00:00.000000Z', {})"
)
DEVICE = "flow, device_code, user_code, verification_uri"
BROKEN: list[tuple[str, str, type[ConstraintViolation]]] = [
    ("INSERT INTO providers (id, name) VALUES ('', 'x')", "providers_id_given", CheckViolation),
    ("INSERT INTO providers (id, name) VALUES ('x', '')", "providers_name_given", CheckViolation),
    (
        "INSERT INTO providers (id, name, auth_types) VALUES ('x', 'x', '{}')",
        "providers_auth_types_list",
        CheckViolation,
    ),
    ("UPDATE providers SET is_enabled = {false}", "providers_default_enabled", CheckViolation),
    ("UPDATE providers SET is_default = {true}", "providers_one_default", UniqueViolation),
    ("DELETE FROM providers WHERE id = 'openai'", "provider_credentials_provider", ForeignKeyViolation),
    (
        CREDENTIAL.format("auth_type, api_key", f"'magic', {SEALED}"),
        "provider_credentials_auth_type_known",
        CheckViolation,
    ),
    (
        CREDENTIAL.format("auth_type, api_key", "'api_key', 'sk-plain'"),
        "provider_credentials_api_key_sealed",
        CheckViolation,
    ),
    (
        CREDENTIAL.format("auth_type, access_token", "'oauth', 'plain'"),
        "provider_credentials_access_token_sealed",
        CheckViolation,
    ),
    (
        CREDENTIAL.format("auth_type, access_token, refresh_token", f"'oauth', {SEALED}, 'plain'"),
        "provider_credentials_refresh_token_sealed",
        CheckViolation,
    ),
    (
        CREDENTIAL.format("auth_type, access_token", f"'api_key', {SEALED}"),
        "provider_credentials_key_or_tokens",
        CheckViolation,
    ),
    (
        CREDENTIAL.format("auth_type, api_key, masked_preview", f"'api_key', {SEALED}, 'sk-a-whole-key-123'"),
        "provider_credentials_masked_preview_short",
        CheckViolation,
    ),
    (
        CREDENTIAL.replace("google", "openai").format("auth_type, api_key", f"'api_key', {SEALED}"),
        "provider_credentials_user_provider_unique",
        UniqueViolation,
    ),
    (STATE.format("flow, state", f"'other', '{HASH}'"), "oauth_state_flow_known", CheckViolation),
    (STATE.format("flow, state", "'redirect', 'plain'"), "oauth_state_state_hash", CheckViolation),
    (STATE.format("flow", "'redirect'"), "oauth_state_redirect_whole", CheckViolation),
    (
        STATE.format("flow, device_code", f"'device_flow', {SEALED}"),
        "oauth_state_device_whole",
        CheckViolation,
    ),
    (
        STATE.format(DEVICE, "'device_flow', 'plain', 'c', 'u'"),
        "oauth_state_device_code_sealed",
        CheckViolation,
    ),
    (
        STATE.format(f"status, {DEVICE}", f"'denied', 'device_flow', {SEALED}, 'c', 'u'"),
        "oauth_state_device_code_while_pending",
        CheckViolation,
    ),
    (
        STATE.format("flow, state, status, code_verifier", f"'redirect', '{HASH}', 'failed', {SEALED}"),
        "oauth_state_verifier_while_pending",
        CheckViolation,
    ),
    (
        STATE.format("flow, state, code_verifier", f"'redirect', '{HASH}', 'plain'"),
        "oauth_state_code_verifier_sealed",
        CheckViolation,
    ),
    (
        STATE.format("flow, state, status", f"'redirect', '{HASH}', 'x'"),
        "oauth_state_status_known",
        CheckViolation,
    ),
    (
        STATE.format("flow, state, interval_s", f"'redirect', '{HASH}', 0"),
        "oauth_state_interval_s_range",
        CheckViolation,
    ),
    ("UPDATE oauth_state SET status = 'completed'", "oauth_state_ends_once", CheckViolation),
]


@pytest.fixture
def filled(store: Store) -> Store:
    store.accounts.add(id="u")
    make_credential(store, user_id="u")
    flow = DeviceFlow(device_code="d", user_code="c", verification_uri="u")
    started = store.providers.sign_ins.start_device("u", "openai", flow)
    store.providers.sign_ins.deny("u", started.id)
    return store


def test_plain_sql_cannot_break_a_rule(filled: Store) -> None:
    words = ("1", "0") if filled.engine.dialect.name == "sqlite" else ("TRUE", "FALSE")
    for sql, constraint, raised in BROKEN:
        text = sql.replace("{true}", words[0]).replace("{false}", words[1])
        with pytest.raises(raised) as caught:
            filled.engine.write(text)
        if raised is CheckViolation:
            assert caught.value.constraint == constraint, sql


def test_check_db_tells_what_waits(filled: Store, providers: Providers) -> None:
    tables = frozenset(rule.table for rule in CHECKS.values() if rule.table)
    assert list(broken_rules(filled.engine, CHECKS, tables=tables)) == []
    providers.sign_ins.start_redirect("u", "openai", ttl=timedelta(seconds=-1))
    providers.disable("openai")

    found = {one.id: one.count for one in broken_rules(filled.engine, CHECKS, tables=tables)}
    assert found == {"DL-C291": 1, "DL-C294": 1}
