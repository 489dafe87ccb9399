-- domain: workspaces
-- needs: accounts
-- Workspaces with members and rooms, work items, the inbox, relationships, threads with invites and messages.
-- A workspace with members has an owner; a room's members are members of its workspace; two users have one
-- relationship, whoever asked; an invite is used once and before it expires; deliveries only move forward.

CREATE TABLE workspaces (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL
        CONSTRAINT workspaces_name_given CHECK (name <> ''),
    description TEXT NOT NULL DEFAULT '',
    created_by TEXT
        CONSTRAINT workspaces_creator REFERENCES users (id) ON DELETE SET NULL,
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT workspaces_created_at_utc
        CHECK (created_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT workspaces_updated_at_utc
        CHECK (updated_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z')
) STRICT;

CREATE INDEX workspaces_created_by ON workspaces (created_by);
CREATE INDEX workspaces_name ON workspaces (name, id);

CREATE TRIGGER workspaces_touch
AFTER UPDATE ON workspaces FOR EACH ROW
WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE workspaces
    SET updated_at = strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z'
    WHERE id = NEW.id;
END;

CREATE TABLE workspace_members (
    id TEXT PRIMARY KEY,
    workspace_id TEXT NOT NULL
        CONSTRAINT workspace_members_workspace REFERENCES workspaces (id) ON DELETE CASCADE,
    user_id TEXT NOT NULL
        CONSTRAINT workspace_members_user REFERENCES users (id) ON DELETE CASCADE,
    role TEXT NOT NULL DEFAULT 'member'
        CONSTRAINT workspace_members_role_known CHECK (role IN ('owner', 'admin', 'member', 'guest')),
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT workspace_members_created_at_utc
        CHECK (created_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT workspace_members_updated_at_utc
        CHECK (updated_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    CONSTRAINT workspace_members_once UNIQUE (workspace_id, user_id)
) STRICT;

CREATE INDEX workspace_members_user_id ON workspace_members (user_id, workspace_id);
CREATE INDEX workspace_members_owners ON workspace_members (workspace_id, id) WHERE role = 'owner';

CREATE TRIGGER workspace_members_touch
AFTER UPDATE ON workspace_members FOR EACH ROW
WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE workspace_members
    SET updated_at = strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z'
    WHERE id = NEW.id;
END;

CREATE TRIGGER workspace_members_stay
BEFORE UPDATE OF workspace_id, user_id ON workspace_members FOR EACH ROW
WHEN NEW.workspace_id <> OLD.workspace_id OR NEW.user_id <> OLD.user_id
BEGIN
    SELECT RAISE(ABORT, 'workspace_members_stay: a membership is of one user in one workspace for good');
END;

CREATE TRIGGER workspace_members_last_owner_leaves
BEFORE DELETE ON workspace_members FOR EACH ROW
WHEN OLD.role = 'owner'
BEGIN
    SELECT id FROM workspaces WHERE id = OLD.workspace_id;
    SELECT RAISE(ABORT, 'workspace_members_last_owner: the last owner of a workspace stays')
    WHERE EXISTS (SELECT 1 FROM workspaces WHERE id = OLD.workspace_id)
    AND EXISTS (SELECT 1 FROM users WHERE id = OLD.user_id)
    AND NOT EXISTS (
        SELECT 1 FROM workspace_members
        WHERE workspace_id = OLD.workspace_id AND role = 'owner' AND id <> OLD.id
    );
END;

CREATE TRIGGER workspace_members_last_owner_steps_down
BEFORE UPDATE OF role ON workspace_members FOR EACH ROW
WHEN OLD.role = 'owner' AND NEW.role <> 'owner'
BEGIN
    SELECT id FROM workspaces WHERE id = OLD.workspace_id;
    SELECT RAISE(ABORT, 'workspace_members_last_owner: the last owner of a workspace stays')
    WHERE NOT EXISTS (
        SELECT 1 FROM workspace_members
        WHERE workspace_id = OLD.workspace_id AND role = 'owner' AND id <> OLD.id
    );
END;

CREATE TRIGGER workspace_members_heir
AFTER DELETE ON workspace_members FOR EACH ROW
WHEN OLD.role = 'owner'
BEGIN
    UPDATE workspace_members
    SET role = 'owner'
    WHERE id = (
        SELECT id FROM workspace_members
        WHERE workspace_id = OLD.workspace_id
        ORDER BY CASE role WHEN 'admin' THEN 0 WHEN 'member' THEN 1 ELSE 2 END, created_at, id
        LIMIT 1
    )
    AND EXISTS (SELECT 1 FROM workspaces WHERE id = OLD.workspace_id)
    AND NOT EXISTS (
        SELECT 1 FROM workspace_members WHERE workspace_id = OLD.workspace_id AND role = 'owner'
    );
END;

CREATE TABLE rooms (
    id TEXT PRIMARY KEY,
    workspace_id TEXT NOT NULL
        CONSTRAINT rooms_workspace REFERENCES workspaces (id) ON DELETE CASCADE,
    kind TEXT NOT NULL DEFAULT 'room'
        CONSTRAINT rooms_kind_known CHECK (kind IN ('room', 'quest', 'squad')),
    name TEXT NOT NULL
        CONSTRAINT rooms_name_given CHECK (name <> ''),
    description TEXT NOT NULL DEFAULT '',
    archived INTEGER NOT NULL DEFAULT 0
        CONSTRAINT rooms_archived_bool CHECK (archived IN (0, 1)),
    created_by TEXT
        CONSTRAINT rooms_creator REFERENCES users (id) ON DELETE SET NULL,
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT rooms_created_at_utc
        CHECK (created_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT rooms_updated_at_utc
        CHECK (updated_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    CONSTRAINT rooms_of_workspace UNIQUE (id, workspace_id),
    CONSTRAINT rooms_of_kind UNIQUE (id, kind)
) STRICT;

CREATE INDEX rooms_workspace_id ON rooms (workspace_id, name, id);
CREATE INDEX rooms_created_by ON rooms (created_by);

CREATE TRIGGER rooms_touch
AFTER UPDATE ON rooms FOR EACH ROW
WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE rooms
    SET updated_at = strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z'
    WHERE id = NEW.id;
END;

CREATE TABLE room_members (
    id TEXT PRIMARY KEY,
    room_id TEXT NOT NULL,
    workspace_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    role TEXT NOT NULL DEFAULT 'member'
        CONSTRAINT room_members_role_known CHECK (role IN ('moderator', 'member')),
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT room_members_created_at_utc
        CHECK (created_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT room_members_updated_at_utc
        CHECK (updated_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    CONSTRAINT room_members_once UNIQUE (room_id, user_id),
    CONSTRAINT room_members_room
        FOREIGN KEY (room_id, workspace_id) REFERENCES rooms (id, workspace_id) ON DELETE CASCADE,
    CONSTRAINT room_members_workspace_member
        FOREIGN KEY (workspace_id, user_id) REFERENCES workspace_members (workspace_id, user_id) ON DELETE CASCADE
) STRICT;

CREATE INDEX room_members_room_id ON room_members (room_id, workspace_id);
CREATE INDEX room_members_workspace_user ON room_members (workspace_id, user_id);
CREATE INDEX room_members_user_id ON room_members (user_id, room_id);

CREATE TRIGGER room_members_touch
AFTER UPDATE ON room_members FOR EACH ROW
WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE room_members
    SET updated_at = strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z'
    WHERE id = NEW.id;
END;

CREATE TABLE work_items (
    id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL
        CONSTRAINT work_items_user REFERENCES users (id) ON DELETE CASCADE,
    assignee_id TEXT
        CONSTRAINT work_items_assignee REFERENCES users (id) ON DELETE SET NULL,
    room_id TEXT,
    visibility_scope TEXT NOT NULL DEFAULT 'private'
        CONSTRAINT work_items_visibility_scope_known
        CHECK (visibility_scope IN ('private', 'room', 'quest', 'squad')),
    type TEXT NOT NULL DEFAULT 'task'
        CONSTRAINT work_items_type_known CHECK (type IN ('task', 'scheduled')),
    status TEXT NOT NULL DEFAULT 'open'
        CONSTRAINT work_items_status_known CHECK (status IN ('open', 'in_progress', 'done', 'cancelled')),
    title TEXT NOT NULL
        CONSTRAINT work_items_title_given CHECK (title <> ''),
    description TEXT NOT NULL DEFAULT '',
    starts_at TEXT
        CONSTRAINT work_items_starts_at_utc
        CHECK (starts_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    ends_at TEXT
        CONSTRAINT work_items_ends_at_utc
        CHECK (ends_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    due_at TEXT
        CONSTRAINT work_items_due_at_utc
        CHECK (due_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    completed_at TEXT
        CONSTRAINT work_items_completed_at_utc
        CHECK (completed_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT work_items_created_at_utc
        CHECK (created_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT work_items_updated_at_utc
        CHECK (updated_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    CONSTRAINT work_items_private_without_room CHECK ((visibility_scope = 'private') = (room_id IS NULL)),
    CONSTRAINT work_items_start_when_scheduled CHECK ((type = 'scheduled') = (starts_at IS NOT NULL)),
    CONSTRAINT work_items_end_after_start CHECK (
        ends_at IS NULL OR (starts_at IS NOT NULL AND ends_at >= starts_at)),
    CONSTRAINT work_items_completed_when_done CHECK ((status = 'done') = (completed_at IS NOT NULL)),
    CONSTRAINT work_items_room
        FOREIGN KEY (room_id, visibility_scope) REFERENCES rooms (id, kind)
) STRICT;

CREATE INDEX work_items_user_id ON work_items (user_id, id DESC);
CREATE INDEX work_items_assignee_id ON work_items (assignee_id, id DESC);
CREATE INDEX work_items_room_id ON work_items (room_id, visibility_scope, id DESC);
CREATE INDEX work_items_schedule ON work_items (user_id, starts_at, id) WHERE type = 'scheduled';

CREATE TRIGGER work_items_touch
AFTER UPDATE ON work_items FOR EACH ROW
WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE work_items
    SET updated_at = strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z'
    WHERE id = NEW.id;
END;

CREATE TRIGGER rooms_items_become_private
BEFORE DELETE ON rooms FOR EACH ROW
BEGIN
    UPDATE work_items SET room_id = NULL, visibility_scope = 'private' WHERE room_id = OLD.id;
END;

CREATE TABLE inbox_items (
    id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL
        CONSTRAINT inbox_items_user REFERENCES users (id) ON DELETE CASCADE,
    kind TEXT NOT NULL
        CONSTRAINT inbox_items_kind_given CHECK (kind <> ''),
    title TEXT NOT NULL
        CONSTRAINT inbox_items_title_given CHECK (title <> ''),
    body TEXT NOT NULL DEFAULT '',
    data TEXT NOT NULL DEFAULT '{}'
        CONSTRAINT inbox_items_data_json CHECK (json_valid(data)),
    read_at TEXT
        CONSTRAINT inbox_items_read_at_utc
        CHECK (read_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT inbox_items_created_at_utc
        CHECK (created_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT inbox_items_updated_at_utc
        CHECK (updated_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z')
) STRICT;

CREATE INDEX inbox_items_user_id ON inbox_items (user_id, id DESC);
CREATE INDEX inbox_items_unread ON inbox_items (user_id, id DESC) WHERE read_at IS NULL;
CREATE INDEX inbox_items_read_at ON inbox_items (read_at, id) WHERE read_at IS NOT NULL;

CREATE TRIGGER inbox_items_touch
AFTER UPDATE ON inbox_items FOR EACH ROW
WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE inbox_items
    SET updated_at = strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z'
    WHERE id = NEW.id;
END;

CREATE TABLE relationships (
    id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL
        CONSTRAINT relationships_user REFERENCES users (id) ON DELETE CASCADE,
    related_user_id TEXT NOT NULL
        CONSTRAINT relationships_related_user REFERENCES users (id) ON DELETE CASCADE,
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT relationships_created_at_utc
        CHECK (created_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT relationships_updated_at_utc
        CHECK (updated_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    CONSTRAINT relationships_pair_in_order CHECK (user_id < related_user_id),
    CONSTRAINT relationships_pair_once UNIQUE (user_id, related_user_id)
) STRICT;

CREATE INDEX relationships_related_user_id ON relationships (related_user_id, user_id);

CREATE TRIGGER relationships_touch
AFTER UPDATE ON relationships FOR EACH ROW
WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE relationships
    SET updated_at = strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z'
    WHERE id = NEW.id;
END;

CREATE TABLE relationship_requests (
    id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL
        CONSTRAINT relationship_requests_user REFERENCES users (id) ON DELETE CASCADE,
    related_user_id TEXT NOT NULL
        CONSTRAINT relationship_requests_related_user REFERENCES users (id) ON DELETE CASCADE,
    message TEXT NOT NULL DEFAULT '',
    status TEXT NOT NULL DEFAULT 'pending'
        CONSTRAINT relationship_requests_status_known
        CHECK (status IN ('pending', 'accepted', 'declined', 'cancelled')),
    decided_at TEXT
        CONSTRAINT relationship_requests_decided_at_utc
        CHECK (decided_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT relationship_requests_created_at_utc
        CHECK (created_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT relationship_requests_updated_at_utc
        CHECK (updated_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    CONSTRAINT relationship_requests_of_another CHECK (user_id <> related_user_id),
    CONSTRAINT relationship_requests_decided_when_final CHECK ((status = 'pending') = (decided_at IS NULL))
) STRICT;

CREATE INDEX relationship_requests_user_id ON relationship_requests (user_id, id DESC);
CREATE INDEX relationship_requests_related_user_id ON relationship_requests (related_user_id, id DESC);
CREATE UNIQUE INDEX relationship_requests_pending_pair
    ON relationship_requests (min(user_id, related_user_id), max(user_id, related_user_id))
    WHERE status = 'pending';

CREATE TRIGGER relationship_requests_touch
AFTER UPDATE ON relationship_requests FOR EACH ROW
WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE relationship_requests
    SET updated_at = strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z'
    WHERE id = NEW.id;
END;

CREATE TRIGGER relationship_requests_final
BEFORE UPDATE ON relationship_requests FOR EACH ROW
WHEN OLD.status <> 'pending' AND NEW.status <> OLD.status
BEGIN
    SELECT RAISE(ABORT, 'relationship_requests_final: a request that was decided stays so');
END;

CREATE TRIGGER relationship_requests_stay
BEFORE UPDATE OF user_id, related_user_id ON relationship_requests FOR EACH ROW
WHEN NEW.user_id <> OLD.user_id OR NEW.related_user_id <> OLD.related_user_id
BEGIN
    SELECT RAISE(ABORT, 'relationship_requests_stay: a request is between the same two users for good');
END;

CREATE TRIGGER relationship_requests_not_related
BEFORE INSERT ON relationship_requests FOR EACH ROW
WHEN NEW.status = 'pending'
BEGIN
    SELECT id FROM users WHERE id = min(NEW.user_id, NEW.related_user_id);
    SELECT RAISE(ABORT, 'relationship_requests_not_related: the two users are related already')
    WHERE EXISTS (
        SELECT 1 FROM relationships
        WHERE user_id = min(NEW.user_id, NEW.related_user_id)
        AND related_user_id = max(NEW.user_id, NEW.related_user_id)
    );
END;

CREATE TRIGGER relationships_stay
BEFORE UPDATE OF user_id, related_user_id ON relationships FOR EACH ROW
WHEN NEW.user_id <> OLD.user_id OR NEW.related_user_id <> OLD.related_user_id
BEGIN
    SELECT RAISE(ABORT, 'relationships_stay: a relationship is between the same two users for good');
END;

CREATE TRIGGER relationships_not_requested
BEFORE INSERT ON relationships FOR EACH ROW
BEGIN
    SELECT id FROM users WHERE id = NEW.user_id;
    SELECT RAISE(ABORT, 'relationships_not_requested: a request between the two users is pending')
    WHERE EXISTS (
        SELECT 1 FROM relationship_requests
        WHERE min(user_id, related_user_id) = NEW.user_id
        AND max(user_id, related_user_id) = NEW.related_user_id
        AND status = 'pending'
    );
END;

CREATE TABLE threads (
    id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL
        CONSTRAINT threads_user REFERENCES users (id) ON DELETE CASCADE,
    workspace_id TEXT
        CONSTRAINT threads_workspace REFERENCES workspaces (id) ON DELETE SET NULL,
    title TEXT NOT NULL
        CONSTRAINT threads_title_given CHECK (title <> ''),
    description TEXT,
    status TEXT NOT NULL DEFAULT 'active'
        CONSTRAINT threads_status_known CHECK (status IN ('active', 'archived', 'deleted')),
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT threads_created_at_utc
        CHECK (created_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT threads_updated_at_utc
        CHECK (updated_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z')
) STRICT;

CREATE INDEX idx_threads_user_id ON threads (user_id);
CREATE INDEX idx_threads_workspace_id ON threads (workspace_id);
CREATE INDEX idx_threads_status ON threads (status);

CREATE TRIGGER threads_touch
AFTER UPDATE ON threads FOR EACH ROW
WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE threads
    SET updated_at = strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z'
    WHERE id = NEW.id;
END;

CREATE TRIGGER threads_deleted_final
BEFORE UPDATE OF status ON threads FOR EACH ROW
WHEN OLD.status = 'deleted' AND NEW.status <> 'deleted'
BEGIN
    SELECT RAISE(ABORT, 'threads_deleted_final: a deleted thread stays deleted');
END;

CREATE TABLE thread_invites (
    id TEXT PRIMARY KEY,
    thread_id TEXT NOT NULL
        CONSTRAINT thread_invites_thread REFERENCES threads (id) ON DELETE CASCADE,
    token TEXT NOT NULL
        CONSTRAINT thread_invites_token_hash CHECK (length(token) = 64 AND token NOT GLOB '*[^0-9a-f]*'),
    email TEXT NOT NULL
        CONSTRAINT thread_invites_email_given CHECK (email <> ''),
    candidate_name TEXT NOT NULL
        CONSTRAINT thread_invites_candidate_name_given CHECK (candidate_name <> ''),
    candidate_reason TEXT,
    status TEXT NOT NULL DEFAULT 'pending'
        CONSTRAINT thread_invites_status_known CHECK (status IN ('pending', 'accepted', 'declined', 'expired')),
    expires_at TEXT NOT NULL
        CONSTRAINT thread_invites_expires_at_utc
        CHECK (expires_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    accepted_at TEXT
        CONSTRAINT thread_invites_accepted_at_utc
        CHECK (accepted_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT thread_invites_created_at_utc
        CHECK (created_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    CONSTRAINT thread_invites_accepted_when_accepted CHECK ((status = 'accepted') = (accepted_at IS NOT NULL)),
    CONSTRAINT thread_invites_accepted_in_time CHECK (accepted_at < expires_at),
    CONSTRAINT thread_invites_expires_later CHECK (expires_at > created_at)
) STRICT;

CREATE INDEX idx_thread_invites_thread_id ON thread_invites (thread_id);
CREATE UNIQUE INDEX idx_thread_invites_token ON thread_invites (token);
CREATE INDEX idx_thread_invites_email ON thread_invites (email);
CREATE INDEX idx_thread_invites_status ON thread_invites (status);
CREATE INDEX thread_invites_due ON thread_invites (expires_at, id) WHERE status = 'pending';

CREATE TRIGGER thread_invites_final
BEFORE UPDATE ON thread_invites FOR EACH ROW
WHEN OLD.status <> 'pending' AND (NEW.status <> OLD.status OR NEW.accepted_at IS NOT OLD.accepted_at)
BEGIN
    SELECT RAISE(ABORT, 'thread_invites_final: an invite that was accepted, declined or expired stays so');
END;

CREATE TRIGGER thread_invites_stay
BEFORE UPDATE OF thread_id, token ON thread_invites FOR EACH ROW
WHEN NEW.thread_id <> OLD.thread_id OR NEW.token <> OLD.token
BEGIN
    SELECT RAISE(ABORT, 'thread_invites_stay: an invite keeps its thread and its token');
END;

CREATE TRIGGER thread_invites_thread_active
BEFORE UPDATE OF status ON thread_invites FOR EACH ROW
WHEN NEW.status = 'accepted' AND OLD.status = 'pending'
BEGIN
    SELECT id FROM threads WHERE id = NEW.thread_id;
    SELECT RAISE(ABORT, 'thread_invites_thread_active: only an active thread takes participants in')
    WHERE EXISTS (SELECT 1 FROM threads WHERE id = NEW.thread_id AND status <> 'active');
END;

CREATE TABLE thread_participants (
    id TEXT PRIMARY KEY,
    thread_id TEXT NOT NULL
        CONSTRAINT thread_participants_thread REFERENCES threads (id) ON DELETE CASCADE,
    user_id TEXT
        CONSTRAINT thread_participants_user REFERENCES users (id) ON DELETE SET NULL,
    email TEXT
        CONSTRAINT thread_participants_email_given CHECK (email <> ''),
    role TEXT NOT NULL DEFAULT 'member'
        CONSTRAINT thread_participants_role_known CHECK (role IN ('owner', 'member')),
    joined_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT thread_participants_joined_at_utc
        CHECK (joined_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z')
) STRICT;

CREATE INDEX idx_thread_participants_thread_id ON thread_participants (thread_id);
CREATE INDEX idx_thread_participants_user_id ON thread_participants (user_id);
CREATE INDEX idx_thread_participants_email ON thread_participants (email);
CREATE UNIQUE INDEX thread_participants_user_once ON thread_participants (thread_id, user_id)
    WHERE user_id IS NOT NULL;
CREATE UNIQUE INDEX thread_participants_email_once ON thread_participants (thread_id, lower(email))
    WHERE email IS NOT NULL;
CREATE UNIQUE INDEX thread_participants_one_owner ON thread_participants (thread_id) WHERE role = 'owner';

CREATE TRIGGER thread_participants_stay
BEFORE UPDATE OF thread_id ON thread_participants FOR EACH ROW
WHEN NEW.thread_id <> OLD.thread_id
BEGIN
    SELECT RAISE(ABORT, 'thread_participants_stay: a participant stays in the thread');
END;

CREATE TABLE thread_messages (
    id TEXT PRIMARY KEY,
    thread_id TEXT NOT NULL
        CONSTRAINT thread_messages_thread REFERENCES threads (id) ON DELETE CASCADE,
    sender_id TEXT
        CONSTRAINT thread_messages_sender REFERENCES thread_participants (id) ON DELETE SET NULL,
    content TEXT NOT NULL,
    status TEXT NOT NULL DEFAULT 'posted'
        CONSTRAINT thread_messages_status_known CHECK (status IN ('posted', 'edited', 'deleted')),
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT thread_messages_created_at_utc
        CHECK (created_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT thread_messages_updated_at_utc
        CHECK (updated_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    CONSTRAINT thread_messages_empty_when_deleted CHECK ((status = 'deleted') = (content = ''))
) STRICT;

CREATE INDEX thread_messages_thread_id ON thread_messages (thread_id, id DESC);
CREATE INDEX thread_messages_sender_id ON thread_messages (sender_id);

CREATE TRIGGER thread_messages_touch
AFTER UPDATE ON thread_messages FOR EACH ROW
WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE thread_messages
    SET updated_at = strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z'
    WHERE id = NEW.id;
END;

CREATE TRIGGER thread_messages_stay
BEFORE UPDATE OF thread_id ON thread_messages FOR EACH ROW
WHEN NEW.thread_id <> OLD.thread_id
BEGIN
    SELECT RAISE(ABORT, 'thread_messages_stay: a message stays in its thread');
END;

CREATE TRIGGER thread_messages_forward
BEFORE UPDATE OF status ON thread_messages FOR EACH ROW
WHEN NEW.status <> OLD.status AND (OLD.status = 'deleted' OR NEW.status = 'posted')
BEGIN
    SELECT RAISE(ABORT, 'thread_messages_forward: a message is posted, then edited, then deleted');
END;

CREATE TRIGGER thread_messages_sender_takes_part_insert
BEFORE INSERT ON thread_messages FOR EACH ROW
BEGIN
    SELECT RAISE(ABORT, 'thread_messages_sender_takes_part: the sender takes part in another thread')
    WHERE EXISTS (
        SELECT 1 FROM thread_participants WHERE id = NEW.sender_id AND thread_id <> NEW.thread_id
    );
END;

CREATE TRIGGER thread_messages_sender_takes_part_update
BEFORE UPDATE OF sender_id ON thread_messages FOR EACH ROW
BEGIN
    SELECT RAISE(ABORT, 'thread_messages_sender_takes_part: the sender takes part in another thread')
    WHERE EXISTS (
        SELECT 1 FROM thread_participants WHERE id = NEW.sender_id AND thread_id <> NEW.thread_id
    );
END;

CREATE TABLE thread_message_deliveries (
    id TEXT PRIMARY KEY,
    message_id TEXT NOT NULL
        CONSTRAINT thread_message_deliveries_message REFERENCES thread_messages (id) ON DELETE CASCADE,
    participant_id TEXT NOT NULL
        CONSTRAINT thread_message_deliveries_participant
        REFERENCES thread_participants (id) ON DELETE CASCADE,
    status TEXT NOT NULL DEFAULT 'queued'
        CONSTRAINT thread_message_deliveries_status_known
        CHECK (status IN ('queued', 'sent', 'delivered', 'read', 'failed')),
    error_message TEXT,
    sent_at TEXT
        CONSTRAINT thread_message_deliveries_sent_at_utc
        CHECK (sent_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    delivered_at TEXT
        CONSTRAINT thread_message_deliveries_delivered_at_utc
        CHECK (delivered_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    read_at TEXT
        CONSTRAINT thread_message_deliveries_read_at_utc
        CHECK (read_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT thread_message_deliveries_created_at_utc
        CHECK (created_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT thread_message_deliveries_updated_at_utc
        CHECK (updated_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    CONSTRAINT thread_message_deliveries_once UNIQUE (message_id, participant_id),
    CONSTRAINT thread_message_deliveries_sent_time CHECK (
        status = 'failed' OR (status = 'queued') = (sent_at IS NULL)),
    CONSTRAINT thread_message_deliveries_delivered_time CHECK (
        (status IN ('delivered', 'read')) = (delivered_at IS NOT NULL)),
    CONSTRAINT thread_message_deliveries_read_time CHECK ((status = 'read') = (read_at IS NOT NULL)),
    CONSTRAINT thread_message_deliveries_error_when_failed CHECK (
        (status = 'failed') = (error_message IS NOT NULL))
) STRICT;

CREATE INDEX thread_message_deliveries_participant_id
    ON thread_message_deliveries (participant_id, message_id DESC);
CREATE INDEX thread_message_deliveries_unread ON thread_message_deliveries (participant_id, message_id)
    WHERE status IN ('queued', 'sent', 'delivered');
CREATE INDEX thread_message_deliveries_queued ON thread_message_deliveries (id) WHERE status = 'queued';

CREATE TRIGGER thread_message_deliveries_touch
AFTER UPDATE ON thread_message_deliveries FOR EACH ROW
WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE thread_message_deliveries
    SET updated_at = strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z'
    WHERE id = NEW.id;
END;

CREATE TRIGGER thread_message_deliveries_stay
BEFORE UPDATE OF message_id, participant_id ON thread_message_deliveries FOR EACH ROW
WHEN NEW.message_id <> OLD.message_id OR NEW.participant_id <> OLD.participant_id
BEGIN
    SELECT RAISE(ABORT, 'thread_message_deliveries_stay: a delivery is of one message to one participant');
END;

CREATE TRIGGER thread_message_deliveries_forward
BEFORE UPDATE OF status ON thread_message_deliveries FOR EACH ROW
WHEN NEW.status <> OLD.status
AND (
    OLD.status IN ('read', 'failed')
    OR NEW.status = 'queued'
    OR (OLD.status = 'delivered' AND NEW.status <> 'read')
)
BEGIN
    SELECT RAISE(ABORT, 'thread_message_deliveries_forward: a delivery never goes back, and read or failed it ends');
END;

CREATE TRIGGER thread_message_deliveries_same_thread
BEFORE INSERT ON thread_message_deliveries FOR EACH ROW
BEGIN
    SELECT RAISE(ABORT, 'thread_message_deliveries_same_thread: the participant is in another thread')
    FROM thread_messages AS message
    JOIN thread_participants AS participant ON participant.thread_id <> message.thread_id
    WHERE message.id = NEW.message_id AND participant.id = NEW.participant_id;
END;
