"""The rules of workspaces and what belongs to them, broken with raw SQL: the database itself says no."""

from __future__ import annotations

from collections.abc import Iterable

import peewee
import pytest

from datalayer import CheckViolation, ForeignKeyViolation, NotNullViolation, UniqueViolation
from datalayer.domains import workspaces
from datalayer.errors import ConstraintViolation
from datalayer.repository.fields import UtcField
from datalayer.store import Store

T1, T2, T3 = (f"'2026-03-0{day}T12:00:00.000000Z'" for day in (1, 2, 3))
HASH = "0123456789abcdef" * 4
MODELS: list[type[peewee.Model]] = [
    workspaces.Workspace,
    workspaces.WorkspaceMember,
    workspaces.Room,
    workspaces.RoomMember,
    workspaces.WorkItem,
    workspaces.InboxItem,
    workspaces.Relationship,
    workspaces.RelationshipRequest,
    workspaces.Thread,
    workspaces.ThreadInvite,
    workspaces.ThreadParticipant,
    workspaces.ThreadMessage,
    workspaces.ThreadMessageDelivery,
]

# ann owns the team, ben is in it; cleo owns a club and is in nothing else
ROWS = [
    "users (id) VALUES ('ann'), ('ben'), ('cleo'), ('dan')",
    "workspaces (id, name, created_by) VALUES ('team', 'Team', 'ann'), ('club', 'Club', 'cleo')",
    "workspace_members (id, workspace_id, user_id, role) VALUES"
    " ('wa', 'team', 'ann', 'owner'), ('wb', 'team', 'ben', 'member'), ('wc', 'club', 'cleo', 'owner')",
    "rooms (id, workspace_id, kind, name, created_by) VALUES ('room', 'team', 'room', 'Room', 'ann'),"
    " ('quest', 'team', 'quest', 'Quest', NULL), ('bar', 'club', 'room', 'Bar', NULL)",
    "room_members (id, room_id, workspace_id, user_id) VALUES"
    " ('ra', 'room', 'team', 'ann'), ('rb', 'room', 'team', 'ben')",
    "work_items (id, user_id, title, room_id, visibility_scope, assignee_id) VALUES"
    " ('own', 'ann', 'Own', NULL, 'private', NULL), ('shared', 'ann', 'Shared', 'room', 'room', 'ben')",
    "inbox_items (id, user_id, kind, title) VALUES ('notice', 'ann', 'k', 't')",
    "relationships (id, user_id, related_user_id) VALUES ('rel', 'ann', 'cleo')",
    "relationship_requests (id, user_id, related_user_id) VALUES ('asked', 'ben', 'ann')",
    "relationship_requests (id, user_id, related_user_id, status, decided_at)"
    f" VALUES ('refused', 'ann', 'dan', 'declined', {T1})",
    "threads (id, user_id, title, workspace_id) VALUES ('talk', 'ann', 'Talk', 'team')",
    "threads (id, user_id, title, status) VALUES ('gone', 'ann', 'Gone', 'deleted')",
    "thread_participants (id, thread_id, user_id, email, role) VALUES"
    " ('pa', 'talk', 'ann', NULL, 'owner'), ('pb', 'talk', 'ben', 'ben@example.org', 'member'),"
    " ('pg', 'gone', 'ann', NULL, 'owner')",
    "thread_invites (id, thread_id, token, email, candidate_name, created_at, expires_at)"
    f" VALUES ('open', 'talk', '{HASH}', 'e', 'n', {T1}, {T3}),"
    f" ('late', 'gone', '{HASH[::-1]}', 'e', 'n', {T1}, {T3})",
    "thread_invites"
    " (id, thread_id, token, email, candidate_name, created_at, expires_at, status, accepted_at)"
    f" VALUES ('used', 'talk', '{'a' * 64}', 'e', 'n', {T1}, {T3}, 'accepted', {T2})",
    "thread_messages (id, thread_id, sender_id, content) VALUES ('hello', 'talk', 'pa', 'Hello')",
    "thread_messages (id, thread_id, content, status) VALUES ('erased', 'talk', '', 'deleted')",
    "thread_message_deliveries (id, message_id, participant_id) VALUES ('queued', 'hello', 'pb')",
    "thread_message_deliveries (id, message_id, participant_id, status, sent_at, delivered_at, read_at)"
    f" VALUES ('read', 'erased', 'pb', 'read', {T1}, {T1}, {T2})",
    "thread_message_deliveries (id, message_id, participant_id, status, sent_at, delivered_at)"
    f" VALUES ('there', 'erased', 'pa', 'delivered', {T1}, {T1})",
]

# the rule that says no -> statements that would break it
CHECKS: dict[str, list[str]] = {
    "workspaces_name_given": ["UPDATE workspaces SET name = ''"],
    "workspace_members_role_known": ["UPDATE workspace_members SET role = 'boss' WHERE id = 'wb'"],
    "workspace_members_stay": [
        "UPDATE workspace_members SET workspace_id = 'club' WHERE id = 'wb'",
        "UPDATE workspace_members SET user_id = 'dan' WHERE id = 'wa'",
    ],
    "workspace_members_last_owner": [
        "DELETE FROM workspace_members WHERE id = 'wa'",
        "DELETE FROM workspace_members WHERE workspace_id = 'team'",
        "UPDATE workspace_members SET role = 'admin' WHERE id = 'wa'",
        "UPDATE workspace_members SET role = 'guest'",
    ],
    "rooms_kind_known": ["UPDATE rooms SET kind = 'hall' WHERE id = 'bar'"],
    "rooms_name_given": ["UPDATE rooms SET name = ''"],
    "room_members_role_known": ["UPDATE room_members SET role = 'owner'"],
    "work_items_visibility_scope_known": [
        "UPDATE work_items SET visibility_scope = 'public' WHERE id = 'shared'"
    ],
    "work_items_type_known": ["UPDATE work_items SET type = 'dream'"],
    "work_items_status_known": ["UPDATE work_items SET status = 'lost'"],
    "work_items_title_given": ["UPDATE work_items SET title = ''"],
    "work_items_private_without_room": [
        "UPDATE work_items SET visibility_scope = 'squad' WHERE id = 'own'",
        "UPDATE work_items SET room_id = 'room' WHERE id = 'own'",
        "UPDATE work_items SET room_id = NULL WHERE id = 'shared'",
    ],
    "work_items_start_when_scheduled": [
        "UPDATE work_items SET type = 'scheduled'",
        f"UPDATE work_items SET starts_at = {T1}",
    ],
    "work_items_end_after_start": [
        f"UPDATE work_items SET ends_at = {T1}",
        f"UPDATE work_items SET type = 'scheduled', starts_at = {T2}, ends_at = {T1}",
    ],
    "work_items_completed_when_done": [
        "UPDATE work_items SET status = 'done'",
        f"UPDATE work_items SET completed_at = {T1}",
    ],
    "inbox_items_kind_given": ["UPDATE inbox_items SET kind = ''"],
    "inbox_items_title_given": ["UPDATE inbox_items SET title = ''"],
    "relationships_pair_in_order": [
        "INSERT INTO relationships (id, user_id, related_user_id) VALUES ('x', 'cleo', 'ann')",
        "INSERT INTO relationships (id, user_id, related_user_id) VALUES ('x', 'dan', 'dan')",
    ],
    "relationships_stay": ["UPDATE relationships SET related_user_id = 'dan'"],
    "relationships_not_requested": [
        "INSERT INTO relationships (id, user_id, related_user_id) VALUES ('x', 'ann', 'ben')"
    ],
    "relationship_requests_status_known": [
        f"UPDATE relationship_requests SET status = 'maybe', decided_at = {T1} WHERE id = 'asked'"
    ],
    "relationship_requests_of_another": [
        "INSERT INTO relationship_requests (id, user_id, related_user_id) VALUES ('x', 'dan', 'dan')"
    ],
    "relationship_requests_decided_when_final": [
        "UPDATE relationship_requests SET status = 'accepted' WHERE id = 'asked'",
        f"UPDATE relationship_requests SET decided_at = {T1} WHERE id = 'asked'",
    ],
    "relationship_requests_final": [
        "UPDATE relationship_requests SET status = 'accepted' WHERE id = 'refused'",
        "UPDATE relationship_requests SET status = 'pending', decided_at = NULL WHERE id = 'refused'",
    ],
    "relationship_requests_stay": ["UPDATE relationship_requests SET related_user_id = 'cleo'"],
    "relationship_requests_not_related": [
        "INSERT INTO relationship_requests (id, user_id, related_user_id) VALUES ('x', 'ann', 'cleo')",
        "INSERT INTO relationship_requests (id, user_id, related_user_id) VALUES ('x', 'cleo', 'ann')",
    ],
    "threads_title_given": ["UPDATE threads SET title = ''"],
    "threads_status_known": ["UPDATE threads SET status = 'lost' WHERE id = 'talk'"],
    "threads_deleted_final": ["UPDATE threads SET status = 'active' WHERE id = 'gone'"],
    "thread_invites_token_hash": [
        "INSERT INTO thread_invites (id, thread_id, token, email, candidate_name, expires_at)"
        f" VALUES ('x', 'talk', '{token}', 'e', 'n', '2100-01-01T00:00:00.000000Z')"
        for token in ("the token itself", "A" * 64, HASH[1:])
    ],
    "thread_invites_email_given": ["UPDATE thread_invites SET email = ''"],
    "thread_invites_candidate_name_given": ["UPDATE thread_invites SET candidate_name = ''"],
    "thread_invites_status_known": ["UPDATE thread_invites SET status = 'seen' WHERE id = 'open'"],
    "thread_invites_accepted_when_accepted": [
        "UPDATE thread_invites SET status = 'accepted' WHERE id = 'open'",
        f"UPDATE thread_invites SET accepted_at = {T2} WHERE id = 'open'",
    ],
    "thread_invites_accepted_in_time": [
        f"UPDATE thread_invites SET status = 'accepted', accepted_at = {T3} WHERE id = 'open'"
    ],
    "thread_invites_expires_later": [f"UPDATE thread_invites SET expires_at = {T1} WHERE id = 'open'"],
    "thread_invites_final": [
        "UPDATE thread_invites SET status = 'pending', accepted_at = NULL WHERE id = 'used'",
        "UPDATE thread_invites SET status = 'declined', accepted_at = NULL WHERE id = 'used'",
        f"UPDATE thread_invites SET accepted_at = {T1} WHERE id = 'used'",
    ],
    "thread_invites_stay": [
        f"UPDATE thread_invites SET token = '{'b' * 64}' WHERE id = 'open'",
        "UPDATE thread_invites SET thread_id = 'gone' WHERE id = 'open'",
    ],
    "thread_invites_thread_active": [
        f"UPDATE thread_invites SET status = 'accepted', accepted_at = {T2} WHERE id = 'late'"
    ],
    "thread_participants_email_given": ["UPDATE thread_participants SET email = '' WHERE id = 'pb'"],
    "thread_participants_role_known": ["UPDATE thread_participants SET role = 'admin' WHERE id = 'pb'"],
    "thread_participants_stay": ["UPDATE thread_participants SET thread_id = 'gone' WHERE id = 'pb'"],
    "thread_messages_status_known": ["UPDATE thread_messages SET status = 'lost' WHERE id = 'hello'"],
    "thread_messages_empty_when_deleted": [
        "UPDATE thread_messages SET content = '' WHERE id = 'hello'",
        "UPDATE thread_messages SET status = 'deleted' WHERE id = 'hello'",
        "UPDATE thread_messages SET content = 'again' WHERE id = 'erased'",
    ],
    "thread_messages_stay": ["UPDATE thread_messages SET thread_id = 'gone'"],
    "thread_messages_forward": [
        "UPDATE thread_messages SET status = 'posted', content = 'again' WHERE id = 'erased'",
        "UPDATE thread_messages SET status = 'edited', content = 'again' WHERE id = 'erased'",
    ],
    "thread_messages_sender_takes_part": [
        "UPDATE thread_messages SET sender_id = 'pg' WHERE id = 'hello'",
        "INSERT INTO thread_messages (id, thread_id, sender_id, content) VALUES ('x', 'talk', 'pg', 'Hi')",
    ],
    "thread_message_deliveries_status_known": [
        f"UPDATE thread_message_deliveries SET status = 'lost', sent_at = {T1} WHERE id = 'queued'"
    ],
    "thread_message_deliveries_sent_time": [
        "UPDATE thread_message_deliveries SET status = 'sent' WHERE id = 'queued'",
        f"UPDATE thread_message_deliveries SET sent_at = {T1} WHERE id = 'queued'",
    ],
    "thread_message_deliveries_delivered_time": [
        f"UPDATE thread_message_deliveries SET delivered_at = {T1} WHERE id = 'queued'",
        "UPDATE thread_message_deliveries SET delivered_at = NULL WHERE id = 'there'",
    ],
    "thread_message_deliveries_read_time": [
        f"UPDATE thread_message_deliveries SET read_at = {T1} WHERE id = 'there'",
        "UPDATE thread_message_deliveries SET read_at = NULL WHERE id = 'read'",
    ],
    "thread_message_deliveries_error_when_failed": [
        "UPDATE thread_message_deliveries SET status = 'failed' WHERE id = 'queued'",
        "UPDATE thread_message_deliveries SET error_message = 'e' WHERE id = 'queued'",
    ],
    "thread_message_deliveries_stay": [
        "UPDATE thread_message_deliveries SET message_id = 'erased' WHERE id = 'queued'",
        "UPDATE thread_message_deliveries SET participant_id = 'pa' WHERE id = 'queued'",
    ],
    "thread_message_deliveries_forward": [
        "UPDATE thread_message_deliveries SET status = 'delivered', read_at = NULL WHERE id = 'read'",
        "UPDATE thread_message_deliveries SET status = 'sent', delivered_at = NULL WHERE id = 'there'",
        "UPDATE thread_message_deliveries SET status = 'queued', sent_at = NULL, delivered_at = NULL"
        " WHERE id = 'there'",
        "UPDATE thread_message_deliveries SET status = 'failed', delivered_at = NULL, error_message = 'e'"
        " WHERE id = 'there'",
    ],
    "thread_message_deliveries_same_thread": [
        "INSERT INTO thread_message_deliveries (id, message_id, participant_id) VALUES ('x', 'hello', 'pg')"
    ],
}
KEYS: dict[str, list[str]] = {
    "workspace_members": [
        "INSERT INTO workspace_members (id, workspace_id, user_id) VALUES ('x', 'team', 'ben')"
    ],
    "room_members": [
        "INSERT INTO room_members (id, room_id, workspace_id, user_id) VALUES ('x', 'room', 'team', 'ben')"
    ],
    "relationships": ["INSERT INTO relationships (id, user_id, related_user_id) VALUES ('x', 'ann', 'cleo')"],
    "relationship_requests": [
        "INSERT INTO relationship_requests (id, user_id, related_user_id) VALUES ('x', 'ben', 'ann')",
        "INSERT INTO relationship_requests (id, user_id, related_user_id) VALUES ('x', 'ann', 'ben')",
    ],
    "thread_invites": [
        "INSERT INTO thread_invites (id, thread_id, token, email, candidate_name, expires_at)"
        f" VALUES ('x', 'gone', '{HASH}', 'e', 'n', '2100-01-01T00:00:00.000000Z')"
    ],
    "thread_participants": [
        "INSERT INTO thread_participants (id, thread_id, user_id) VALUES ('x', 'talk', 'ben')",
        "INSERT INTO thread_participants (id, thread_id, email) VALUES ('x', 'talk', 'BEN@example.org')",
        "INSERT INTO thread_participants (id, thread_id, user_id, role) VALUES ('x', 'talk', 'dan', 'owner')",
    ],
    "thread_message_deliveries": [
        "INSERT INTO thread_message_deliveries (id, message_id, participant_id) VALUES ('x', 'hello', 'pb')"
    ],
}
REFERENCES: dict[str, str] = {
    "workspaces_creator": "UPDATE workspaces SET created_by = 'nobody'",
    "workspace_members_workspace": "INSERT INTO workspace_members (id, workspace_id, user_id)"
    " VALUES ('x', 'nowhere', 'ben')",
    "workspace_members_user": "INSERT INTO workspace_members (id, workspace_id, user_id)"
    " VALUES ('x', 'team', 'nobody')",
    "rooms_workspace": "UPDATE rooms SET workspace_id = 'nowhere' WHERE id = 'quest'",
    "rooms_creator": "UPDATE rooms SET created_by = 'nobody'",
    "room_members_room": "INSERT INTO room_members (id, room_id, workspace_id, user_id)"
    " VALUES ('x', 'bar', 'team', 'ben')",
    "room_members_workspace_member": "INSERT INTO room_members (id, room_id, workspace_id, user_id)"
    " VALUES ('x', 'quest', 'team', 'cleo')",
    "work_items_user": "UPDATE work_items SET user_id = 'nobody'",
    "work_items_assignee": "UPDATE work_items SET assignee_id = 'nobody'",
    "work_items_room": "UPDATE work_items SET visibility_scope = 'quest' WHERE id = 'shared'",
    "inbox_items_user": "UPDATE inbox_items SET user_id = 'nobody'",
    "threads_user": "UPDATE threads SET user_id = 'nobody'",
    "threads_workspace": "UPDATE threads SET workspace_id = 'nowhere'",
    "thread_participants_user": "UPDATE thread_participants SET user_id = 'nobody' WHERE id = 'pb'",
    "thread_messages_sender": "UPDATE thread_messages SET sender_id = 'nobody'",
}
INDEXES = {
    "idx_threads_user_id",
    "idx_threads_workspace_id",
    "idx_threads_status",
    "idx_thread_invites_thread_id",
    "idx_thread_invites_token",
    "idx_thread_invites_email",
    "idx_thread_invites_status",
    "idx_thread_participants_thread_id",
    "idx_thread_participants_user_id",
    "idx_thread_participants_email",
}


@pytest.fixture
def world(store: Store) -> Store:
    for row in ROWS:
        store.engine.write(f"INSERT INTO {row}")
    return store


def table_of(model: type[peewee.Model]) -> str:
    return str(model._meta.table_name)


def ids(store: Store, table: str) -> list[str]:
    return [row[0] for row in store.engine.fetch_all(f"SELECT id FROM {table} ORDER BY id")]


def refused(store: Store, kind: type[ConstraintViolation], statements: Iterable[str]) -> set[str | None]:
    """Give the rules that refused the statements, each of which changes nothing."""
    rules: set[str | None] = set()
    for statement in statements:
        with pytest.raises(kind) as caught:
            store.engine.write(statement)
        rules.add(caught.value.constraint)
    return rules


# of each CHECK that breaks, SQLite's name is sought in the texts of all tables
@pytest.mark.parametrize(
    "store", [pytest.param("memory", marks=pytest.mark.slow), "postgresql"], indirect=True
)
def test_every_rule_is_held_by_the_database_under_its_name(world: Store) -> None:
    assert {rule: refused(world, CheckViolation, broken) for rule, broken in CHECKS.items()} == {
        rule: {rule} for rule in CHECKS
    }


def test_keys_are_there_once(world: Store) -> None:
    for table, statements in KEYS.items():
        for statement in statements:
            with pytest.raises(UniqueViolation) as caught:
                world.engine.write(statement)

            assert caught.value.table == table


def test_what_is_referred_to_is_there(world: Store) -> None:
    for rule, statement in REFERENCES.items():
        assert refused(world, ForeignKeyViolation, [statement]) <= {rule, None}, rule


def test_what_a_row_must_have_it_must_have(world: Store) -> None:
    for model in MODELS:
        for field in model._meta.sorted_fields:
            if field.null or field.primary_key:
                continue
            with pytest.raises(NotNullViolation) as caught:
                world.engine.write(f"UPDATE {table_of(model)} SET {field.column_name} = NULL")

            assert (caught.value.table, caught.value.columns) == (table_of(model), (field.column_name,))


def test_times_booleans_and_documents_have_their_form(world: Store) -> None:
    forms = {
        "rooms_archived_bool": "rooms SET archived = '2'",
        "inbox_items_data_json": "inbox_items SET data = '{'",
    }
    for model in MODELS:
        for field in model._meta.sorted_fields:
            if isinstance(field, UtcField):
                table = table_of(model)
                forms[f"{table}_{field.column_name}_utc"] = f"{table} SET {field.column_name} = 'soon'"
    for rule, assignment in forms.items():
        # held by the column's type on PostgreSQL
        assert refused(world, CheckViolation, [f"UPDATE {assignment}"]) <= {rule, None}, rule


def test_raw_updates_record_their_time(world: Store) -> None:
    for model in MODELS:
        table = table_of(model)
        if "updated_at" not in model._meta.fields:
            continue
        world.engine.write(f"UPDATE {table} SET updated_at = {T1}")
        world.engine.write(f"UPDATE {table} SET id = id")

        assert world.engine.fetch_all(f"SELECT id FROM {table} WHERE updated_at <= {T1}") == [], table


def test_what_is_a_users_goes_with_the_user(world: Store) -> None:
    world.engine.write("DELETE FROM users WHERE id = 'ann'")

    left = {table_of(model): ids(world, table_of(model)) for model in MODELS}
    assert left == {
        "workspaces": ["club", "team"],
        "workspace_members": ["wb", "wc"],
        "rooms": ["bar", "quest", "room"],
        "room_members": ["rb"],
        "work_items": [],
        "inbox_items": [],
        "relationships": [],
        "relationship_requests": [],
        "threads": [],
        "thread_invites": [],
        "thread_participants": [],
        "thread_messages": [],
        "thread_message_deliveries": [],
    }
    assert world.engine.fetch_one("SELECT role FROM workspace_members WHERE id = 'wb'") == ("owner",)


def test_a_participant_and_what_they_said_outlive_their_user(world: Store) -> None:
    world.engine.write("UPDATE thread_messages SET sender_id = 'pb' WHERE id = 'hello'")
    world.engine.write("DELETE FROM users WHERE id = 'ben'")

    found = world.engine.fetch_one("SELECT user_id, email FROM thread_participants WHERE id = 'pb'")
    assert found == (None, "ben@example.org")
    assert world.engine.fetch_one("SELECT sender_id FROM thread_messages WHERE id = 'hello'") == ("pb",)
    world.engine.write("DELETE FROM thread_participants WHERE id = 'pb'")
    assert world.engine.fetch_one("SELECT sender_id FROM thread_messages WHERE id = 'hello'") == (None,)


def test_a_workspace_takes_its_rooms_and_leaves_items_and_threads(world: Store) -> None:
    world.engine.write("DELETE FROM workspaces WHERE id = 'team'")

    assert ids(world, "rooms") == ["bar"]
    assert ids(world, "workspace_members") == ["wc"]
    assert ids(world, "room_members") == []
    found = world.engine.fetch_all("SELECT room_id, visibility_scope FROM work_items")
    assert found == [(None, "private")] * 2
    assert world.engine.fetch_one("SELECT workspace_id FROM threads WHERE id = 'talk'") == (None,)


def test_who_leaves_a_workspace_leaves_its_rooms(world: Store) -> None:
    world.engine.write("DELETE FROM workspace_members WHERE id = 'wb'")

    assert ids(world, "room_members") == ["ra"]


def test_the_indexes_have_the_names_that_were_agreed(world: Store) -> None:
    sqlite = world.engine.dialect.name == "sqlite"
    names = "SELECT name FROM sqlite_schema" if sqlite else "SELECT indexname FROM pg_indexes"

    assert {row[0] for row in world.engine.fetch_all(names)} >= INDEXES
