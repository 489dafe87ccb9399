"""What must hold of providers beyond their columns' types, for `check-db`; told also where a rule is gone.

None of these shows a key or token, sealed or not.
"""

from __future__ import annotations

from datalayer.schema.check.rule import Rule

__all__ = ["CHECKS"]

CHECKS = {
    "DL-C290": Rule(
        "SELECT id, user_id, provider_id FROM provider_credentials WHERE substr(api_key, 1, 2) <> 'dl'"
        " OR substr(access_token, 1, 2) <> 'dl' OR substr(refresh_token, 1, 2) <> 'dl'",
        "{count} credentials hold a key or token in the clear",
        table="provider_credentials",
    ),
    "DL-C291": Rule(
        "SELECT id, user_id, provider_id, expires_at FROM oauth_state"
        " WHERE status = 'pending' AND expires_at <= {now}",
        "{count} sign-ins have run out, and wait for `expire_due`",
        severity="info",
        table="oauth_state",
        repair="none",
    ),
    "DL-C292": Rule(
        "SELECT id, is_enabled FROM providers WHERE is_default"
        " AND (NOT is_enabled OR 1 < (SELECT count(*) FROM providers WHERE is_default))",
        "{count} providers are the default and disabled, or several are",
        table="providers",
    ),
    "DL-C293": Rule(
        "SELECT id, user_id, provider_id, status FROM oauth_state"
        " WHERE status <> 'pending' AND (device_code IS NOT NULL OR code_verifier IS NOT NULL)",
        "{count} sign-ins have ended and still hold their secrets",
        table="oauth_state",
    ),
    "DL-C294": Rule(
        "SELECT c.id, c.user_id, c.provider_id FROM provider_credentials AS c"
        " JOIN providers AS p ON p.id = c.provider_id WHERE NOT p.is_enabled",
        "{count} credentials are for providers that are disabled",
        severity="info",
        table="provider_credentials",
        repair="none",
    ),
}
