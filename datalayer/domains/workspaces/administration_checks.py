"""What must hold of lists, events and the administration beyond their columns' types, for `check-db`.

Told also where a rule of the database is gone.
"""

from __future__ import annotations

from collections.abc import Mapping

from datalayer.schema.check.rule import Rule

__all__ = ["ADMINISTRATION_CHECKS"]

ADMINISTRATION_CHECKS: Mapping[str, Rule] = {
    "DL-C270": Rule(
        "SELECT e.id, e.capacity, COUNT(*) AS going FROM hosted_events AS e"
        " JOIN event_participants AS p ON p.event_id = e.id AND p.status = 'going'"
        " GROUP BY e.id, e.capacity HAVING COUNT(*) > e.capacity",
        "{count} events have more participants than places",
        table="event_participants",
    ),
    "DL-C271": Rule(
        "SELECT s.id, s.failed_rows FROM admin_import_sessions AS s WHERE s.failed_rows <>"
        " (SELECT COUNT(*) FROM admin_import_errors AS e WHERE e.session_id = s.id)",
        "{count} imports count another number of refused rows than are recorded",
        table="admin_import_errors",
    ),
    "DL-C272": Rule(
        "SELECT id, user_id, provider, expires_at FROM ai_usage_logs"
        " WHERE status = 'reserved' AND expires_at <= {now}",
        "{count} AI calls were reserved and never settled: `find_unsettled()` gives them",
        severity="info",
        table="ai_usage_logs",
        repair="none",
    ),
    "DL-C273": Rule(
        "SELECT t.day, t.entries, t.cost_micros FROM daily_log_summaries AS t"
        " LEFT JOIN daily_log_summaries AS g ON g.day = t.day AND g.kind <> 'total' WHERE t.kind = 'total'"
        " GROUP BY t.id, t.day, t.entries, t.cost_micros"
        " HAVING t.entries <> COALESCE(SUM(g.entries), 0)"
        " OR t.cost_micros <> COALESCE(SUM(g.cost_micros), 0)",
        "{count} days have a total that is not the sum of their groups: `recompute()` puts it right",
        table="daily_log_summaries",
    ),
    "DL-C274": Rule(
        "SELECT key, value FROM system_settings WHERE key IN ('default_rate_limit',"
        " 'max_ai_cost_per_user_daily') AND CAST(value AS TEXT) LIKE '-%'",
        "{count} settings are below 0",
        table="system_settings",
    ),
    "DL-C275": Rule(
        "SELECT id, list_id, completed_at FROM list_items WHERE completed <> (completed_at IS NOT NULL)",
        "{count} items of lists are ticked off without a time, or have a time and are not",
        table="list_items",
    ),
    "DL-C276": Rule(
        "SELECT id, user_id, role FROM admin_users WHERE revoked_at IS NULL AND NOT EXISTS ("
        "SELECT 1 FROM admin_users AS s WHERE s.role = 'superadmin' AND s.revoked_at IS NULL)",
        "{count} administrators and no superadmin among them: `grant(user, 'superadmin')` makes one",
        severity="warning",
        table="admin_users",
    ),
    "DL-C277": Rule(
        "SELECT id, provider, name FROM ai_provider_keys WHERE encrypted_key NOT LIKE 'dl_:%:%'",
        "{count} keys of AI providers are stored unsealed",
        table="ai_provider_keys",
    ),
}
