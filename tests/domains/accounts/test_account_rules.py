"""The rules of the database, broken with plain SQL; and what check-db tells where they are gone."""

from __future__ import annotations

import pytest

from datalayer.domains.accounts import CHECKS, Accounts
from datalayer.errors import CheckViolation, ConstraintViolation, ForeignKeyViolation, UniqueViolation
from datalayer.schema.check.rule import broken_rules
from datalayer.schema.finding import Finding
from datalayer.store import Store
from datalayer.testing.strategies.accounts import make_user

HASH = "ab" * 32
SESSION = (
    "INSERT INTO auth_sessions (id, token, user_id, expires_at)"
    " VALUES ('s', '{}', '{}', '2030-01-01T00:00:00.000000Z')"
)
LINK = (
    "INSERT INTO auth_accounts (id, provider_id, account_id, user_id, {0}) VALUES ('l', 'p', 'a', 'u', '{1}')"
)
VERIFICATION = (
    "INSERT INTO auth_verifications (id, identifier, value, expires_at)"
    " VALUES ('v', '{}', '{}', '2030-01-01T00:00:00.000000Z')"
)
BROKEN: list[tuple[str, str, type[ConstraintViolation]]] = [
    ("INSERT INTO users (id) VALUES ('')", "users_id_given", CheckViolation),
    ("INSERT INTO users (id, email) VALUES ('x', 'nobody')", "users_email_form", CheckViolation),
    ("INSERT INTO users (id, email) VALUES ('x', 'a b@c.d')", "users_email_form", CheckViolation),
    ("INSERT INTO users (id, email) VALUES ('x', 'U@Example.ORG')", "users_email", UniqueViolation),
    ("INSERT INTO users (id, locale) VALUES ('x', '')", "users_locale_given", CheckViolation),
    ("INSERT INTO users (id, timezone) VALUES ('x', '')", "users_timezone_given", CheckViolation),
    ("UPDATE users SET email = NULL", "users_verified_email_given", CheckViolation),
    ("UPDATE users SET suspended_reason = 'x'", "users_reason_when_suspended", CheckViolation),
    (SESSION.format("plain", "u"), "auth_sessions_token_hash", CheckViolation),
    (SESSION.format("G" * 64, "u"), "auth_sessions_token_hash", CheckViolation),
    (SESSION.format(HASH, "nobody"), "auth_sessions_user", ForeignKeyViolation),
    (LINK.format("access_token", "plain"), "auth_accounts_access_token_sealed", CheckViolation),
    (LINK.format("refresh_token", "plain"), "auth_accounts_refresh_token_sealed", CheckViolation),
    (LINK.format("id_token", "plain"), "auth_accounts_id_token_sealed", CheckViolation),
    (LINK.format("password_hash", "plain"), "auth_accounts_password_hash_form", CheckViolation),
    (VERIFICATION.format("", HASH), "auth_verifications_identifier_given", CheckViolation),
    (VERIFICATION.format("i", "123456"), "auth_verifications_value_hash", CheckViolation),
]


@pytest.mark.parametrize("kind", [CheckViolation, UniqueViolation, ForeignKeyViolation])
def test_plain_sql_cannot_break_a_rule(
    store: Store, accounts: Accounts, kind: type[ConstraintViolation]
) -> None:
    accounts.add(id="u", email="u@example.org", email_verified=True)
    for sql, constraint, raised in BROKEN:
        if raised is kind:
            with pytest.raises(kind) as caught:
                store.engine.write(sql)
            if kind is not UniqueViolation:
                assert caught.value.constraint == constraint, sql


def test_triggers_keep_sessions_with_their_user_and_times_true(store: Store, accounts: Accounts) -> None:
    ada, eve = make_user(store), make_user(store)
    accounts.sessions.open(ada.id)
    move = store.engine.dialect.sql("UPDATE auth_sessions SET user_id = ?")
    with pytest.raises(CheckViolation) as caught:
        store.engine.write(move, (eve.id,))
    assert caught.value.constraint == "auth_sessions_same_user"

    before = accounts.get(ada.id).updated_at
    store.engine.write("UPDATE users SET display_name = 'raw'")
    assert accounts.get(ada.id).updated_at > before
    store.engine.write(f"UPDATE users SET suspended = {_true(store)}")
    assert accounts.sessions.count() == 0


def test_check_db_tells_what_waits_and_what_is_wrong(store: Store, accounts: Accounts) -> None:
    user = make_user(store)
    accounts.sessions.add(token=HASH, user_id=user.id, expires_at=user.created_at)
    accounts.verifications.add(identifier="i", value=HASH, expires_at=user.created_at)
    found = {one.id: one.count for one in _broken(store)}
    assert {name: found.get(name) for name in ("DL-C230", "DL-C231")} == {"DL-C230": 1, "DL-C231": 1}

    drop = "DROP TRIGGER users_suspended_sessions"
    store.engine.execute(drop if store.engine.dialect.name == "sqlite" else f"{drop} ON users")
    store.engine.write(f"UPDATE users SET suspended = {_true(store)}")
    assert "DL-C232" in {one.id for one in _broken(store)}


def _broken(store: Store) -> list[Finding]:
    tables = frozenset(rule.table for rule in CHECKS.values() if rule.table)
    return list(broken_rules(store.engine, CHECKS, tables=tables))


def _true(store: Store) -> str:
    return "1" if store.engine.dialect.name == "sqlite" else "TRUE"
