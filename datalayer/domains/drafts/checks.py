"""What must hold of drafts beyond their columns' types, for `check-db`; told also where a rule is gone."""

from __future__ import annotations

from datalayer.schema.check.rule import Rule

__all__ = ["CHECKS"]

CHECKS = {
    "DL-C241": Rule(
        "SELECT draft_id, count(*) AS versions, max(version_number) AS highest FROM version"
        " GROUP BY draft_id"
        " HAVING min(version_number) <> 1 OR max(version_number) <> count(DISTINCT version_number)"
        " OR count(*) <> count(DISTINCT version_number)",
        "{count} drafts have versions that are not numbered 1, 2, 3, ...",
        table="version",
    ),
    "DL-C242": Rule(
        "SELECT d.id, d.current_version_id FROM draft AS d"
        " WHERE d.current_version_id IS NOT NULL AND NOT EXISTS"
        " (SELECT 1 FROM version AS v WHERE v.id = d.current_version_id AND v.draft_id = d.id)",
        "{count} drafts have a current version that is none of theirs",
        table="draft",
    ),
    "DL-C243": Rule(
        "SELECT v.id, v.draft_id, v.parent_version_id FROM version AS v"
        " WHERE v.parent_version_id IS NOT NULL AND NOT EXISTS"
        " (SELECT 1 FROM version AS p WHERE p.id = v.parent_version_id AND p.draft_id = v.draft_id"
        " AND p.version_number < v.version_number)",
        "{count} versions have a parent that is no older version of the same draft",
        table="version",
    ),
    "DL-C244": Rule(
        "SELECT d.id FROM draft AS d WHERE d.current_version_id IS NULL"
        " AND EXISTS (SELECT 1 FROM version AS v WHERE v.draft_id = d.id)",
        "{count} drafts have versions, none of which is current",
        severity="warning",
        table="draft",
    ),
}
