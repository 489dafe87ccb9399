"""What a check tells of lists, events and the administration where a rule of the database is gone."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from datalayer.domains.workspaces import ENCRYPTED
from datalayer.domains.workspaces.administration_checks import ADMINISTRATION_CHECKS
from datalayer.store import check_database

LONG_AGO = "'2001-01-01T00:00:00.000000Z'"
BROKEN = [
    "users (id) VALUES ('ann'), ('ben')",
    f"hosted_events (id, host_id, title, starts_at, capacity) VALUES ('e', 'ann', 'Party', {LONG_AGO}, 1)",
    "event_participants (id, event_id, user_id) VALUES ('a', 'e', 'ann'), ('b', 'e', 'ben')",
    f"admin_import_sessions (id, kind, source_digest, failed_rows) VALUES ('i', 'k', '{'0' * 64}', 1)",
    "ai_usage_logs (id, user_id, provider, status, expires_at)"
    f" VALUES ('u', 'ann', 'openai', 'reserved', {LONG_AGO})",
    "daily_log_summaries (id, day, kind, entries) VALUES ('s', '2026-03-01', 'total', 3)",
    "daily_log_summaries (id, day, kind, name, entries) VALUES ('g', '2026-03-01', 'audit', 'act', 2)",
    "system_settings (key, value) VALUES ('default_rate_limit', '-1')",
    "lists (id, owner_id, name) VALUES ('l', 'ann', 'List')",
    "list_items (id, list_id, content, completed) VALUES ('t', 'l', 'Tea', 1)",
    "admin_users (id, user_id, role) VALUES ('d', 'ann', 'admin')",
    "ai_provider_keys (id, provider, encrypted_key, masked_preview)"
    " VALUES ('k', 'openai', 'sk-plain', '...')",
]


@pytest.mark.slow
def test_each_broken_rule_is_told_with_its_rows(_sqlite_template: Path, tmp_path: Path) -> None:
    path = tmp_path / "broken.db"
    path.write_bytes(_sqlite_template.read_bytes())
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        for row in BROKEN:
            connection.execute(f"INSERT INTO {row}")

    told = {
        finding.id: finding.count for finding in check_database(path) if finding.id in ADMINISTRATION_CHECKS
    }
    assert told == dict.fromkeys(ADMINISTRATION_CHECKS, 1)


def test_the_column_of_keys_is_walked_by_rotation() -> None:
    assert [(each.table, each.column, each.owner_column) for each in ENCRYPTED] == [
        ("ai_provider_keys", "encrypted_key", "provider")
    ]
