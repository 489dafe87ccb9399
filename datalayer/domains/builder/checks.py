"""What must hold of the builder's threads beyond their columns' types, for `check-db`."""

from __future__ import annotations

from datalayer.schema.check.rule import Rule

__all__ = ["CHECKS"]

CHECKS = {
    "DL-C251": Rule(
        "SELECT t.id, t.updated_at FROM builder_threads AS t WHERE EXISTS"
        " (SELECT 1 FROM builder_messages AS m WHERE m.thread_id = t.id AND m.created_at > t.updated_at)",
        "{count} threads are older than their last message, and listed too far behind",
        severity="warning",
        table="builder_threads",
    ),
    "DL-C252": Rule(
        "SELECT thread_id, file_path FROM builder_files WHERE '/' || file_path || '/' LIKE '%/../%'",
        "{count} files have a path that leads out of their thread",
        severity="warning",
        table="builder_files",
    ),
}
