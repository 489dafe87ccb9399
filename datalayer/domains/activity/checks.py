"""What must hold of activity beyond its columns' types, for `check-db`; told also where a rule is gone."""

from __future__ import annotations

from datalayer.schema.check.rule import Rule

__all__ = ["CHECKS"]

CHECKS = {
    "DL-C300": Rule(
        "SELECT l.id, l.action, l.created_at FROM activity_log AS l"
        " JOIN activity_log_archive AS a ON a.id = l.id",
        "{count} entries are in the log and in the archive",
        table="activity_log_archive",
    ),
    "DL-C301": Rule(
        "SELECT id, action, created_at FROM activity_log WHERE anonymized"
        " AND (user_id IS NOT NULL OR entity_id IS NOT NULL OR ip_address IS NOT NULL"
        " OR user_agent IS NOT NULL OR metadata <> '{}')",
        "{count} entries are anonymised and still say who or where",
        table="activity_log",
    ),
    "DL-C302": Rule(
        "SELECT id, action, created_at, archived_at FROM activity_log_archive WHERE archived_at < created_at",
        "{count} entries were archived before they were made: a clock was set back",
        severity="info",
        table="activity_log_archive",
        repair="none",
    ),
}
