"""What must hold of workspaces beyond their columns' types, for `check-db`; also where a rule is gone."""

from __future__ import annotations

from collections.abc import Mapping

from datalayer.schema.check.rule import Rule

__all__ = ["CHECKS"]

CHECKS: Mapping[str, Rule] = {
    "DL-C260": Rule(
        "SELECT w.id, w.name FROM workspaces AS w"
        " WHERE EXISTS (SELECT 1 FROM workspace_members AS m WHERE m.workspace_id = w.id)"
        " AND NOT EXISTS ("
        "SELECT 1 FROM workspace_members AS m WHERE m.workspace_id = w.id AND m.role = 'owner')",
        "{count} workspaces have members and no owner",
        table="workspaces",
    ),
    "DL-C261": Rule(
        "SELECT m.id, m.room_id, m.user_id FROM room_members AS m JOIN rooms AS r ON r.id = m.room_id"
        " WHERE r.workspace_id <> m.workspace_id OR NOT EXISTS (SELECT 1 FROM workspace_members AS w"
        " WHERE w.workspace_id = r.workspace_id AND w.user_id = m.user_id)",
        "{count} members of rooms are not members of the room's workspace",
        table="room_members",
    ),
    "DL-C262": Rule(
        "SELECT i.id, i.visibility_scope, i.room_id FROM work_items AS i"
        " LEFT JOIN rooms AS r ON r.id = i.room_id"
        " WHERE i.visibility_scope <> COALESCE(r.kind, 'private')",
        "{count} work items are visible to others than those of their room",
        table="work_items",
    ),
    "DL-C263": Rule(
        "SELECT a.id, a.user_id, a.related_user_id FROM relationships AS a"
        " WHERE a.user_id = a.related_user_id OR EXISTS (SELECT 1 FROM relationships AS b"
        " WHERE b.id <> a.id AND ((b.user_id = a.user_id AND b.related_user_id = a.related_user_id)"
        " OR (b.user_id = a.related_user_id AND b.related_user_id = a.user_id)))",
        "{count} relationships are of one user, or there twice",
        table="relationships",
    ),
    "DL-C264": Rule(
        "SELECT q.id, q.user_id, q.related_user_id FROM relationship_requests AS q JOIN relationships AS r"
        " ON (r.user_id = q.user_id AND r.related_user_id = q.related_user_id)"
        " OR (r.user_id = q.related_user_id AND r.related_user_id = q.user_id)"
        " WHERE q.status = 'pending'",
        "{count} requests are pending between users who are related",
        table="relationship_requests",
    ),
    "DL-C265": Rule(
        "SELECT id, thread_id, expires_at FROM thread_invites"
        " WHERE status = 'pending' AND expires_at <= {now}",
        "{count} pending invites have expired: `expire_due()` marks them",
        severity="info",
        table="thread_invites",
        repair="none",
    ),
    "DL-C266": Rule(
        "SELECT id, thread_id, status, accepted_at FROM thread_invites"
        " WHERE (status = 'accepted') <> (accepted_at IS NOT NULL) OR accepted_at >= expires_at",
        "{count} invites are accepted without a time or too late, or have a time and are not accepted",
        table="thread_invites",
    ),
    "DL-C267": Rule(
        "SELECT t.id, t.user_id FROM threads AS t WHERE NOT EXISTS (SELECT 1 FROM thread_participants AS p"
        " WHERE p.thread_id = t.id AND p.role = 'owner' AND p.user_id = t.user_id)",
        "{count} threads do not have their owner among the participants",
        severity="warning",
        table="threads",
    ),
    "DL-C268": Rule(
        "SELECT d.id, d.message_id, d.participant_id FROM thread_message_deliveries AS d"
        " JOIN thread_messages AS m ON m.id = d.message_id"
        " JOIN thread_participants AS p ON p.id = d.participant_id WHERE p.thread_id <> m.thread_id",
        "{count} messages are delivered to participants of other threads",
        table="thread_message_deliveries",
    ),
    "DL-C269": Rule(
        "SELECT id, status, delivered_at, read_at FROM thread_message_deliveries"
        " WHERE (status = 'read') <> (read_at IS NOT NULL)"
        " OR (status IN ('delivered', 'read')) <> (delivered_at IS NOT NULL)",
        "{count} deliveries have a status without its time, or a time without its status",
        table="thread_message_deliveries",
    ),
}
