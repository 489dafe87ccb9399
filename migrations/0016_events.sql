-- domain: events
-- needs: accounts
-- What users did, for numbers about the app: each event once, and how many of a kind there were on each day.

CREATE TABLE analytics_events (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL
        CONSTRAINT analytics_events_name_given CHECK (name <> ''),
    user_id TEXT
        CONSTRAINT analytics_events_user REFERENCES users (id) ON DELETE SET NULL,
    -- who did it where nobody is signed in: a key that the app makes
    visitor_id TEXT,
    properties TEXT NOT NULL DEFAULT '{}'
        CONSTRAINT analytics_events_properties_json CHECK (json_valid(properties))
        CONSTRAINT analytics_events_properties_object CHECK (json_type(properties) = 'object'),
    occurred_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT analytics_events_occurred_at_utc
        CHECK (occurred_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT analytics_events_created_at_utc
        CHECK (created_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z')
) STRICT;

CREATE INDEX analytics_events_recent ON analytics_events (occurred_at, id);
CREATE INDEX analytics_events_name ON analytics_events (name, occurred_at DESC, id DESC);
CREATE INDEX analytics_events_user ON analytics_events (user_id, occurred_at DESC, id DESC);

CREATE TABLE analytics_rollups (
    -- a day in UTC, as 2026-11-21
    day TEXT NOT NULL
        CONSTRAINT analytics_rollups_day_iso CHECK (day GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]'),
    name TEXT NOT NULL
        CONSTRAINT analytics_rollups_name_given CHECK (name <> ''),
    event_count INTEGER NOT NULL
        CONSTRAINT analytics_rollups_event_count_range CHECK (event_count >= 0),
    -- different users and visitors
    actor_count INTEGER NOT NULL
        CONSTRAINT analytics_rollups_actor_count_range CHECK (actor_count BETWEEN 0 AND event_count),
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT analytics_rollups_created_at_utc
        CHECK (created_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT analytics_rollups_updated_at_utc
        CHECK (updated_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    CONSTRAINT analytics_rollups_key PRIMARY KEY (day, name)
) STRICT, WITHOUT ROWID;

CREATE INDEX analytics_rollups_name ON analytics_rollups (name, day);

CREATE TRIGGER analytics_rollups_touch
AFTER UPDATE ON analytics_rollups FOR EACH ROW
WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE analytics_rollups
    SET updated_at = strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z'
    WHERE day = NEW.day AND name = NEW.name;
END;
