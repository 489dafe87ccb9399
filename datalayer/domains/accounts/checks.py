"""What must hold of accounts beyond their columns' types, for `check-db`; told also where a rule is gone.

None of these shows a token, a hash or an e-mail.
"""

from __future__ import annotations

from datalayer.schema.check.rule import Rule

__all__ = ["CHECKS"]

CHECKS = {
    "DL-C230": Rule(
        "SELECT id, user_id, expires_at FROM auth_sessions WHERE expires_at <= {now}",
        "{count} sessions have expired, and wait for `delete_expired`",
        severity="info",
        table="auth_sessions",
        repair="none",
    ),
    "DL-C231": Rule(
        "SELECT id, expires_at FROM auth_verifications WHERE expires_at <= {now}",
        "{count} verifications have expired, and wait for `delete_expired`",
        severity="info",
        table="auth_verifications",
        repair="none",
    ),
    "DL-C232": Rule(
        "SELECT s.id, s.user_id FROM auth_sessions AS s JOIN users AS u ON u.id = s.user_id"
        " WHERE u.suspended",
        "{count} sessions of suspended users are open",
        table="auth_sessions",
    ),
    "DL-C233": Rule(
        "SELECT min(id) AS first_id, count(*) AS users FROM users WHERE email IS NOT NULL"
        " GROUP BY lower(email) HAVING count(*) > 1",
        "{count} e-mails are those of several users",
        table="users",
    ),
    "DL-C234": Rule(
        "SELECT id, user_id FROM auth_accounts WHERE substr(access_token, 1, 2) <> 'dl'"
        " OR substr(refresh_token, 1, 2) <> 'dl' OR substr(id_token, 1, 2) <> 'dl'"
        " OR substr(password_hash, 1, 1) <> '$'",
        "{count} linked accounts hold a token or password in the clear",
        table="auth_accounts",
    ),
    "DL-C235": Rule(
        "SELECT id FROM auth_sessions WHERE length(token) <> 64",
        "{count} sessions hold their token in the clear",
        table="auth_sessions",
    ),
}
