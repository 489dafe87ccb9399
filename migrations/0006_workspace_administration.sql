-- domain: workspaces
-- needs: accounts
-- Lists and events of workspaces, and their administration: administrators, the audit trail, what AI calls
-- cost and may cost, summaries of days, imports, settings, AI providers and their keys.
-- Money is exact: whole millionths of a unit, in columns called ..._micros.

CREATE TABLE lists (
    id TEXT PRIMARY KEY,
    workspace_id TEXT
        CONSTRAINT lists_workspace REFERENCES workspaces (id) ON DELETE CASCADE,
    owner_id TEXT NOT NULL
        CONSTRAINT lists_owner REFERENCES users (id) ON DELETE CASCADE,
    name TEXT NOT NULL
        CONSTRAINT lists_name_given CHECK (trim(name) <> ''),
    description TEXT NOT NULL DEFAULT '',
    archived INTEGER NOT NULL DEFAULT 0
        CONSTRAINT lists_archived_bool CHECK (archived IN (0, 1)),
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT lists_created_at_utc
        CHECK (created_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT lists_updated_at_utc
        CHECK (updated_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z')
) STRICT;

CREATE INDEX lists_owner_id ON lists (owner_id, updated_at DESC, id DESC);
CREATE INDEX lists_workspace_id ON lists (workspace_id, updated_at DESC, id DESC);

CREATE TRIGGER lists_touch
AFTER UPDATE ON lists FOR EACH ROW
WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE lists
    SET updated_at = strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z'
    WHERE id = NEW.id;
END;

CREATE TABLE list_items (
    id TEXT PRIMARY KEY,
    list_id TEXT NOT NULL
        CONSTRAINT list_items_list REFERENCES lists (id) ON DELETE CASCADE,
    added_by TEXT
        CONSTRAINT list_items_added_by REFERENCES users (id) ON DELETE SET NULL,
    content TEXT NOT NULL
        CONSTRAINT list_items_content_given CHECK (trim(content) <> ''),
    position INTEGER NOT NULL DEFAULT 0
        CONSTRAINT list_items_position_range CHECK (position >= 0),
    completed INTEGER NOT NULL DEFAULT 0
        CONSTRAINT list_items_completed_bool CHECK (completed IN (0, 1)),
    completed_at TEXT
        CONSTRAINT list_items_completed_at_utc
        CHECK (completed_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT list_items_created_at_utc
        CHECK (created_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT list_items_updated_at_utc
        CHECK (updated_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    CONSTRAINT list_items_completed_when CHECK (completed = (completed_at IS NOT NULL))
) STRICT;

CREATE INDEX list_items_list_id ON list_items (list_id, position, id);
CREATE INDEX list_items_added ON list_items (list_id, created_at, id);
CREATE INDEX list_items_added_by_id ON list_items (added_by);

CREATE TRIGGER list_items_touch
AFTER UPDATE ON list_items FOR EACH ROW
WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE list_items
    SET updated_at = strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z'
    WHERE id = NEW.id;
END;

CREATE TABLE list_members (
    id TEXT PRIMARY KEY,
    list_id TEXT NOT NULL
        CONSTRAINT list_members_list REFERENCES lists (id) ON DELETE CASCADE,
    user_id TEXT NOT NULL
        CONSTRAINT list_members_user REFERENCES users (id) ON DELETE CASCADE,
    role TEXT NOT NULL DEFAULT 'editor'
        CONSTRAINT list_members_role_known CHECK (role IN ('editor', 'viewer')),
    delivery_preference TEXT NOT NULL DEFAULT 'instant'
        CONSTRAINT list_members_delivery_preference_known
        CHECK (delivery_preference IN ('instant', 'daily_digest', 'none')),
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT list_members_created_at_utc
        CHECK (created_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT list_members_updated_at_utc
        CHECK (updated_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    CONSTRAINT list_members_list_user_unique UNIQUE (list_id, user_id)
) STRICT;

CREATE INDEX list_members_user_id ON list_members (user_id, delivery_preference);
CREATE INDEX list_members_delivery ON list_members (list_id, delivery_preference, user_id);

CREATE TRIGGER list_members_touch
AFTER UPDATE ON list_members FOR EACH ROW
WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE list_members
    SET updated_at = strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z'
    WHERE id = NEW.id;
END;

CREATE TABLE hosted_events (
    id TEXT PRIMARY KEY,
    workspace_id TEXT
        CONSTRAINT hosted_events_workspace REFERENCES workspaces (id) ON DELETE CASCADE,
    host_id TEXT NOT NULL
        CONSTRAINT hosted_events_host REFERENCES users (id) ON DELETE CASCADE,
    title TEXT NOT NULL
        CONSTRAINT hosted_events_title_given CHECK (trim(title) <> ''),
    description TEXT NOT NULL DEFAULT '',
    location TEXT,
    starts_at TEXT NOT NULL
        CONSTRAINT hosted_events_starts_at_utc
        CHECK (starts_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    ends_at TEXT
        CONSTRAINT hosted_events_ends_at_utc
        CHECK (ends_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    capacity INTEGER
        CONSTRAINT hosted_events_capacity_range CHECK (capacity >= 1),
    is_public INTEGER NOT NULL DEFAULT 1
        CONSTRAINT hosted_events_is_public_bool CHECK (is_public IN (0, 1)),
    status TEXT NOT NULL DEFAULT 'scheduled'
        CONSTRAINT hosted_events_status_known CHECK (status IN ('scheduled', 'canceled')),
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT hosted_events_created_at_utc
        CHECK (created_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT hosted_events_updated_at_utc
        CHECK (updated_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    CONSTRAINT hosted_events_ends_after_start CHECK (ends_at >= starts_at)
) STRICT;

CREATE INDEX hosted_events_host_id ON hosted_events (host_id, starts_at DESC, id DESC);
CREATE INDEX hosted_events_workspace_id ON hosted_events (workspace_id, starts_at DESC, id DESC);
CREATE INDEX hosted_events_upcoming ON hosted_events (starts_at, id) WHERE status = 'scheduled';

CREATE TRIGGER hosted_events_touch
AFTER UPDATE ON hosted_events FOR EACH ROW
WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE hosted_events
    SET updated_at = strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z'
    WHERE id = NEW.id;
END;

CREATE TABLE event_participants (
    id TEXT PRIMARY KEY,
    event_id TEXT NOT NULL
        CONSTRAINT event_participants_event REFERENCES hosted_events (id) ON DELETE CASCADE,
    user_id TEXT NOT NULL
        CONSTRAINT event_participants_user REFERENCES users (id) ON DELETE CASCADE,
    status TEXT NOT NULL DEFAULT 'going'
        CONSTRAINT event_participants_status_known
        CHECK (status IN ('invited', 'going', 'waitlisted', 'declined')),
    responded_at TEXT
        CONSTRAINT event_participants_responded_at_utc
        CHECK (responded_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    attended_at TEXT
        CONSTRAINT event_participants_attended_at_utc
        CHECK (attended_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT event_participants_created_at_utc
        CHECK (created_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT event_participants_updated_at_utc
        CHECK (updated_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    CONSTRAINT event_participants_event_user_unique UNIQUE (event_id, user_id),
    CONSTRAINT event_participants_attended_when_going CHECK (attended_at IS NULL OR status = 'going')
) STRICT;

CREATE INDEX event_participants_event_id ON event_participants (event_id, status, responded_at, id);
CREATE INDEX event_participants_user_id ON event_participants (user_id, status);

CREATE TRIGGER event_participants_touch
AFTER UPDATE ON event_participants FOR EACH ROW
WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE event_participants
    SET updated_at = strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z'
    WHERE id = NEW.id;
END;

-- who takes a place writes the event: others wait for that, and a snapshot from before is refused
CREATE TRIGGER event_participants_capacity_insert
BEFORE INSERT ON event_participants FOR EACH ROW
WHEN NEW.status = 'going'
BEGIN
    UPDATE hosted_events SET status = status WHERE id = NEW.event_id;
    SELECT RAISE(ABORT, 'event_participants_capacity: every place at this event is taken')
    WHERE (SELECT COUNT(*) FROM event_participants WHERE event_id = NEW.event_id AND status = 'going')
        >= (SELECT capacity FROM hosted_events WHERE id = NEW.event_id);
END;

CREATE TRIGGER event_participants_capacity_update
BEFORE UPDATE OF event_id, status ON event_participants FOR EACH ROW
WHEN NEW.status = 'going' AND (OLD.status <> 'going' OR NEW.event_id <> OLD.event_id)
BEGIN
    UPDATE hosted_events SET status = status WHERE id = NEW.event_id;
    SELECT RAISE(ABORT, 'event_participants_capacity: every place at this event is taken')
    WHERE (SELECT COUNT(*) FROM event_participants WHERE event_id = NEW.event_id AND status = 'going')
        >= (SELECT capacity FROM hosted_events WHERE id = NEW.event_id);
END;

CREATE TRIGGER hosted_events_capacity_kept
BEFORE UPDATE OF capacity ON hosted_events FOR EACH ROW
WHEN NEW.capacity IS NOT NULL
BEGIN
    SELECT RAISE(ABORT, 'hosted_events_capacity_kept: more people have a place than that')
    WHERE (SELECT COUNT(*) FROM event_participants WHERE event_id = NEW.id AND status = 'going')
        > NEW.capacity;
END;

CREATE TABLE admin_users (
    id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL
        CONSTRAINT admin_users_user REFERENCES users (id) ON DELETE CASCADE
        CONSTRAINT admin_users_user_unique UNIQUE,
    role TEXT NOT NULL DEFAULT 'support'
        CONSTRAINT admin_users_role_known CHECK (role IN ('support', 'admin', 'superadmin')),
    granted_by TEXT
        CONSTRAINT admin_users_granted_by REFERENCES users (id) ON DELETE SET NULL,
    revoked_at TEXT
        CONSTRAINT admin_users_revoked_at_utc
        CHECK (revoked_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT admin_users_created_at_utc
        CHECK (created_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT admin_users_updated_at_utc
        CHECK (updated_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z')
) STRICT;

CREATE INDEX admin_users_granted_by_id ON admin_users (granted_by);
CREATE INDEX admin_users_active ON admin_users (role, id) WHERE revoked_at IS NULL;

CREATE TRIGGER admin_users_touch
AFTER UPDATE ON admin_users FOR EACH ROW
WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE admin_users
    SET updated_at = strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z'
    WHERE id = NEW.id;
END;

-- The trail outlives whom and what it names: actor_id, workspace_id and entity_id refer to nothing, so that
-- a user can be deleted and no entry changes.
CREATE TABLE audit_logs (
    id TEXT PRIMARY KEY,
    actor_id TEXT,
    workspace_id TEXT,
    action TEXT NOT NULL
        CONSTRAINT audit_logs_action_given CHECK (action <> ''),
    entity_type TEXT NOT NULL DEFAULT '',
    entity_id TEXT,
    details TEXT NOT NULL DEFAULT '{}'
        CONSTRAINT audit_logs_details_json CHECK (json_valid(details)),
    ip_address TEXT,
    user_agent TEXT,
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT audit_logs_created_at_utc
        CHECK (created_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z')
) STRICT;

CREATE INDEX audit_logs_recent ON audit_logs (created_at DESC, id DESC);
CREATE INDEX audit_logs_actor ON audit_logs (actor_id, created_at DESC, id DESC);
CREATE INDEX audit_logs_action ON audit_logs (action, created_at DESC, id DESC);
CREATE INDEX audit_logs_entity ON audit_logs (entity_type, entity_id, created_at DESC, id DESC);
CREATE INDEX audit_logs_workspace ON audit_logs (workspace_id, created_at DESC, id DESC)
    WHERE workspace_id IS NOT NULL;

CREATE TRIGGER audit_logs_append_only_update
BEFORE UPDATE ON audit_logs FOR EACH ROW
BEGIN
    SELECT RAISE(ABORT, 'audit_logs_append_only: an entry of the audit trail is never changed');
END;

CREATE TRIGGER audit_logs_append_only_delete
BEFORE DELETE ON audit_logs FOR EACH ROW
BEGIN
    SELECT RAISE(ABORT, 'audit_logs_append_only: an entry of the audit trail is never deleted');
END;

-- INSERT OR REPLACE deletes without asking the trigger above
CREATE TRIGGER audit_logs_append_only_insert
BEFORE INSERT ON audit_logs FOR EACH ROW
BEGIN
    SELECT RAISE(ABORT, 'audit_logs_append_only: an entry of the audit trail is never replaced')
    WHERE EXISTS (SELECT 1 FROM audit_logs WHERE id = NEW.id);
END;

CREATE TABLE ai_usage_logs (
    id TEXT PRIMARY KEY,
    user_id TEXT
        CONSTRAINT ai_usage_logs_user REFERENCES users (id) ON DELETE SET NULL,
    provider TEXT NOT NULL
        CONSTRAINT ai_usage_logs_provider_given CHECK (provider <> ''),
    model TEXT NOT NULL DEFAULT '',
    feature TEXT NOT NULL DEFAULT '',
    status TEXT NOT NULL DEFAULT 'settled'
        CONSTRAINT ai_usage_logs_status_known CHECK (status IN ('reserved', 'settled', 'released')),
    reserved_micros INTEGER NOT NULL DEFAULT 0
        CONSTRAINT ai_usage_logs_reserved_micros_range
        CHECK (reserved_micros BETWEEN 0 AND 1000000000000000),
    cost_micros INTEGER NOT NULL DEFAULT 0
        CONSTRAINT ai_usage_logs_cost_micros_range CHECK (cost_micros BETWEEN 0 AND 1000000000000000),
    input_tokens INTEGER NOT NULL DEFAULT 0
        CONSTRAINT ai_usage_logs_input_tokens_range CHECK (input_tokens >= 0),
    output_tokens INTEGER NOT NULL DEFAULT 0
        CONSTRAINT ai_usage_logs_output_tokens_range CHECK (output_tokens >= 0),
    expires_at TEXT
        CONSTRAINT ai_usage_logs_expires_at_utc
        CHECK (expires_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    ended_at TEXT
        CONSTRAINT ai_usage_logs_ended_at_utc
        CHECK (ended_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    metadata TEXT NOT NULL DEFAULT '{}'
        CONSTRAINT ai_usage_logs_metadata_json CHECK (json_valid(metadata)),
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT ai_usage_logs_created_at_utc
        CHECK (created_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT ai_usage_logs_updated_at_utc
        CHECK (updated_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    CONSTRAINT ai_usage_logs_expires_when_reserved CHECK ((status = 'reserved') = (expires_at IS NOT NULL)),
    CONSTRAINT ai_usage_logs_ended_when_not CHECK ((status = 'reserved') = (ended_at IS NULL)),
    CONSTRAINT ai_usage_logs_cost_when_settled CHECK (status = 'settled' OR cost_micros = 0)
) STRICT;

CREATE INDEX ai_usage_logs_user_id ON ai_usage_logs (user_id, created_at);
CREATE INDEX ai_usage_logs_provider ON ai_usage_logs (provider, created_at);
CREATE INDEX ai_usage_logs_feature ON ai_usage_logs (feature, created_at);
CREATE INDEX ai_usage_logs_created ON ai_usage_logs (created_at, id);
CREATE INDEX ai_usage_logs_reserved ON ai_usage_logs (expires_at, id) WHERE status = 'reserved';

CREATE TRIGGER ai_usage_logs_touch
AFTER UPDATE ON ai_usage_logs FOR EACH ROW
WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE ai_usage_logs
    SET updated_at = strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z'
    WHERE id = NEW.id;
END;

CREATE TRIGGER ai_usage_logs_final
BEFORE UPDATE OF provider, model, feature, status, reserved_micros, cost_micros, input_tokens,
    output_tokens, created_at ON ai_usage_logs FOR EACH ROW
WHEN OLD.status <> 'reserved'
BEGIN
    SELECT RAISE(ABORT, 'ai_usage_logs_final: what a call cost is recorded once');
END;

CREATE TABLE ai_cost_budgets (
    id TEXT PRIMARY KEY,
    user_id TEXT
        CONSTRAINT ai_cost_budgets_user REFERENCES users (id) ON DELETE CASCADE,
    period TEXT NOT NULL DEFAULT 'daily'
        CONSTRAINT ai_cost_budgets_period_known CHECK (period IN ('daily', 'monthly', 'total')),
    limit_micros INTEGER
        CONSTRAINT ai_cost_budgets_limit_micros_range CHECK (limit_micros BETWEEN 0 AND 1000000000000000),
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT ai_cost_budgets_created_at_utc
        CHECK (created_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT ai_cost_budgets_updated_at_utc
        CHECK (updated_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    CONSTRAINT ai_cost_budgets_limit_given CHECK (
        limit_micros IS NOT NULL OR (user_id IS NOT NULL AND period = 'daily'))
) STRICT;

CREATE UNIQUE INDEX ai_cost_budgets_user_period ON ai_cost_budgets (user_id, period);
CREATE UNIQUE INDEX ai_cost_budgets_shared_period ON ai_cost_budgets (period) WHERE user_id IS NULL;

CREATE TRIGGER ai_cost_budgets_touch
AFTER UPDATE ON ai_cost_budgets FOR EACH ROW
WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE ai_cost_budgets
    SET updated_at = strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z'
    WHERE id = NEW.id;
END;

CREATE TABLE daily_log_summaries (
    id TEXT PRIMARY KEY,
    day TEXT NOT NULL
        CONSTRAINT daily_log_summaries_day_form
        CHECK (day GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]'),
    kind TEXT NOT NULL
        CONSTRAINT daily_log_summaries_kind_known CHECK (kind IN ('total', 'ai_usage', 'audit')),
    name TEXT NOT NULL DEFAULT '',
    detail TEXT NOT NULL DEFAULT '',
    entries INTEGER NOT NULL DEFAULT 0
        CONSTRAINT daily_log_summaries_entries_range CHECK (entries >= 0),
    users INTEGER NOT NULL DEFAULT 0
        CONSTRAINT daily_log_summaries_users_range CHECK (users BETWEEN 0 AND entries),
    input_tokens INTEGER NOT NULL DEFAULT 0
        CONSTRAINT daily_log_summaries_input_tokens_range CHECK (input_tokens >= 0),
    output_tokens INTEGER NOT NULL DEFAULT 0
        CONSTRAINT daily_log_summaries_output_tokens_range CHECK (output_tokens >= 0),
    cost_micros INTEGER NOT NULL DEFAULT 0
        CONSTRAINT daily_log_summaries_cost_micros_range CHECK (cost_micros >= 0),
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT daily_log_summaries_created_at_utc
        CHECK (created_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT daily_log_summaries_updated_at_utc
        CHECK (updated_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    CONSTRAINT daily_log_summaries_group_unique UNIQUE (day, kind, name, detail),
    CONSTRAINT daily_log_summaries_total_plain CHECK (kind <> 'total' OR (name = '' AND detail = ''))
) STRICT;

CREATE INDEX daily_log_summaries_kind ON daily_log_summaries (kind, day DESC);

CREATE TRIGGER daily_log_summaries_touch
AFTER UPDATE ON daily_log_summaries FOR EACH ROW
WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE daily_log_summaries
    SET updated_at = strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z'
    WHERE id = NEW.id;
END;

CREATE TABLE admin_import_sessions (
    id TEXT PRIMARY KEY,
    started_by TEXT
        CONSTRAINT admin_import_sessions_started_by REFERENCES users (id) ON DELETE SET NULL,
    kind TEXT NOT NULL
        CONSTRAINT admin_import_sessions_kind_given CHECK (kind <> ''),
    source_name TEXT NOT NULL DEFAULT '',
    source_digest TEXT NOT NULL
        CONSTRAINT admin_import_sessions_source_digest_length CHECK (length(source_digest) = 64),
    status TEXT NOT NULL DEFAULT 'running'
        CONSTRAINT admin_import_sessions_status_known
        CHECK (status IN ('running', 'completed', 'failed', 'canceled')),
    total_rows INTEGER,
    succeeded_rows INTEGER NOT NULL DEFAULT 0
        CONSTRAINT admin_import_sessions_succeeded_rows_range CHECK (succeeded_rows >= 0),
    failed_rows INTEGER NOT NULL DEFAULT 0
        CONSTRAINT admin_import_sessions_failed_rows_range CHECK (failed_rows >= 0),
    error_message TEXT,
    finished_at TEXT
        CONSTRAINT admin_import_sessions_finished_at_utc
        CHECK (finished_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT admin_import_sessions_created_at_utc
        CHECK (created_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT admin_import_sessions_updated_at_utc
        CHECK (updated_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    CONSTRAINT admin_import_sessions_finished_when_final CHECK (
        (status = 'running') = (finished_at IS NULL)),
    CONSTRAINT admin_import_sessions_rows_when_completed CHECK (
        status <> 'completed' OR (total_rows IS NOT NULL AND total_rows = succeeded_rows + failed_rows)),
    CONSTRAINT admin_import_sessions_rows_within_total CHECK (succeeded_rows + failed_rows <= total_rows)
) STRICT;

CREATE INDEX admin_import_sessions_started_by_id ON admin_import_sessions (started_by);
CREATE INDEX admin_import_sessions_recent ON admin_import_sessions (created_at DESC, id DESC);
CREATE UNIQUE INDEX admin_import_sessions_source ON admin_import_sessions (kind, source_digest)
    WHERE status IN ('running', 'completed');

CREATE TRIGGER admin_import_sessions_touch
AFTER UPDATE ON admin_import_sessions FOR EACH ROW
WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE admin_import_sessions
    SET updated_at = strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z'
    WHERE id = NEW.id;
END;

CREATE TRIGGER admin_import_sessions_final
BEFORE UPDATE OF status, total_rows, succeeded_rows, failed_rows ON admin_import_sessions FOR EACH ROW
WHEN OLD.status <> 'running'
BEGIN
    SELECT RAISE(ABORT, 'admin_import_sessions_final: an import that has ended stays as it is');
END;

CREATE TABLE admin_import_errors (
    id TEXT PRIMARY KEY,
    session_id TEXT NOT NULL
        CONSTRAINT admin_import_errors_session REFERENCES admin_import_sessions (id) ON DELETE CASCADE,
    row_number INTEGER NOT NULL
        CONSTRAINT admin_import_errors_row_number_range CHECK (row_number >= 1),
    error_code TEXT NOT NULL,
    message TEXT NOT NULL,
    row_data TEXT
        CONSTRAINT admin_import_errors_row_data_json CHECK (row_data IS NULL OR json_valid(row_data)),
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT admin_import_errors_created_at_utc
        CHECK (created_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    CONSTRAINT admin_import_errors_session_row_unique UNIQUE (session_id, row_number)
) STRICT;

CREATE TABLE system_settings (
    key TEXT PRIMARY KEY
        CONSTRAINT system_settings_key_given CHECK (key <> ''),
    value TEXT NOT NULL
        CONSTRAINT system_settings_value_json CHECK (json_valid(value)),
    updated_by TEXT
        CONSTRAINT system_settings_updated_by REFERENCES users (id) ON DELETE SET NULL,
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT system_settings_created_at_utc
        CHECK (created_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT system_settings_updated_at_utc
        CHECK (updated_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    CONSTRAINT system_settings_maintenance_mode_type CHECK (
        key <> 'maintenance_mode' OR NOT json_valid(value) OR json_type(value) IN ('true', 'false')),
    CONSTRAINT system_settings_max_ai_cost_type CHECK (
        key <> 'max_ai_cost_per_user_daily' OR NOT json_valid(value)
        OR json_type(value) IN ('integer', 'null')),
    CONSTRAINT system_settings_rate_limit_type CHECK (
        key <> 'default_rate_limit' OR NOT json_valid(value) OR json_type(value) = 'integer')
) STRICT;

CREATE INDEX system_settings_updated_by_id ON system_settings (updated_by);

CREATE TRIGGER system_settings_touch
AFTER UPDATE ON system_settings FOR EACH ROW
WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE system_settings
    SET updated_at = strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z'
    WHERE key = NEW.key;
END;

CREATE TABLE ai_provider_settings (
    id TEXT PRIMARY KEY,
    provider TEXT NOT NULL
        CONSTRAINT ai_provider_settings_provider_known CHECK (provider IN ('gemini', 'openai'))
        CONSTRAINT ai_provider_settings_provider_unique UNIQUE,
    is_enabled INTEGER NOT NULL DEFAULT 1
        CONSTRAINT ai_provider_settings_is_enabled_bool CHECK (is_enabled IN (0, 1)),
    default_model TEXT NOT NULL
        CONSTRAINT ai_provider_settings_default_model_given CHECK (default_model <> ''),
    fallback_provider TEXT
        CONSTRAINT ai_provider_settings_fallback
        REFERENCES ai_provider_settings (provider) ON DELETE SET NULL
        CONSTRAINT ai_provider_settings_fallback_other CHECK (fallback_provider <> provider),
    feature_routing_json TEXT NOT NULL DEFAULT '{}'
        CONSTRAINT ai_provider_settings_feature_routing_json CHECK (json_valid(feature_routing_json))
        CONSTRAINT ai_provider_settings_feature_routing_object CHECK (
            NOT json_valid(feature_routing_json) OR json_type(feature_routing_json) = 'object'),
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT ai_provider_settings_created_at_utc
        CHECK (created_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT ai_provider_settings_updated_at_utc
        CHECK (updated_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z')
) STRICT;

CREATE INDEX ai_provider_settings_fallback_provider ON ai_provider_settings (fallback_provider);

CREATE TRIGGER ai_provider_settings_touch
AFTER UPDATE ON ai_provider_settings FOR EACH ROW
WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE ai_provider_settings
    SET updated_at = strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z'
    WHERE id = NEW.id;
END;

CREATE TABLE ai_provider_keys (
    id TEXT PRIMARY KEY,
    provider TEXT NOT NULL
        CONSTRAINT ai_provider_keys_provider_known CHECK (provider IN ('gemini', 'openai')),
    name TEXT NOT NULL DEFAULT 'default'
        CONSTRAINT ai_provider_keys_name_given CHECK (name <> ''),
    encrypted_key TEXT NOT NULL
        CONSTRAINT ai_provider_keys_encrypted_key_sealed CHECK (encrypted_key GLOB 'dl[0-9]:*:*'),
    masked_preview TEXT NOT NULL
        CONSTRAINT ai_provider_keys_masked_preview_short CHECK (length(masked_preview) BETWEEN 1 AND 16),
    is_active INTEGER NOT NULL DEFAULT 1
        CONSTRAINT ai_provider_keys_is_active_bool CHECK (is_active IN (0, 1)),
    created_by TEXT
        CONSTRAINT ai_provider_keys_created_by REFERENCES users (id) ON DELETE SET NULL,
    last_used_at TEXT
        CONSTRAINT ai_provider_keys_last_used_at_utc
        CHECK (last_used_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT ai_provider_keys_created_at_utc
        CHECK (created_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT ai_provider_keys_updated_at_utc
        CHECK (updated_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    CONSTRAINT ai_provider_keys_provider_name_unique UNIQUE (provider, name)
) STRICT;

-- datalayer:allow I002
CREATE INDEX idx_ai_provider_keys_provider ON ai_provider_keys (provider);
CREATE INDEX ai_provider_keys_created_by_id ON ai_provider_keys (created_by);

CREATE TRIGGER ai_provider_keys_touch
AFTER UPDATE ON ai_provider_keys FOR EACH ROW
WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE ai_provider_keys
    SET updated_at = strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z'
    WHERE id = NEW.id;
END;
