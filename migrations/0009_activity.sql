-- domain: activity
-- needs: accounts
-- What users did, and an archive of it that has no room for who they were.

CREATE TABLE activity_log (
    id TEXT PRIMARY KEY,
    user_id TEXT
        CONSTRAINT activity_log_user REFERENCES users (id) ON DELETE SET NULL,
    action TEXT NOT NULL
        CONSTRAINT activity_log_action_given CHECK (action <> ''),
    entity_type TEXT
        CONSTRAINT activity_log_entity_type_given CHECK (entity_type <> ''),
    entity_id TEXT,
    metadata TEXT NOT NULL DEFAULT '{}'
        CONSTRAINT activity_log_metadata_json CHECK (json_valid(metadata))
        CONSTRAINT activity_log_metadata_object CHECK (json_type(metadata) = 'object'),
    ip_address TEXT,
    user_agent TEXT,
    anonymized INTEGER NOT NULL DEFAULT 0
        CONSTRAINT activity_log_anonymized_bool CHECK (anonymized IN (0, 1)),
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT activity_log_created_at_utc
        CHECK (created_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    CONSTRAINT activity_log_entity_whole CHECK (entity_id IS NULL OR entity_type IS NOT NULL),
    CONSTRAINT activity_log_anonymized_bare CHECK (
        NOT anonymized
        OR (user_id IS NULL AND entity_id IS NULL AND ip_address IS NULL AND user_agent IS NULL
            AND metadata = '{}'))
) STRICT;

CREATE INDEX activity_log_user_recent ON activity_log (user_id, created_at DESC, id DESC);
CREATE INDEX activity_log_entity ON activity_log (entity_type, entity_id, created_at DESC, id DESC);
CREATE INDEX activity_log_age ON activity_log (created_at, id);

-- who loses its user, also by the user's deletion, loses all that could tell who it was
CREATE TRIGGER activity_log_anonymize
AFTER UPDATE OF user_id ON activity_log FOR EACH ROW
WHEN OLD.user_id IS NOT NULL AND NEW.user_id IS NULL
BEGIN
    UPDATE activity_log
    SET anonymized = 1, entity_id = NULL, ip_address = NULL, user_agent = NULL, metadata = '{}'
    WHERE id = NEW.id;
END;

CREATE TRIGGER activity_log_stays_anonymous
BEFORE UPDATE OF anonymized ON activity_log FOR EACH ROW
WHEN OLD.anonymized AND NOT NEW.anonymized
BEGIN
    SELECT RAISE(ABORT, 'activity_log_stays_anonymous: an anonymised row stays so');
END;

-- what others did to a user does not name the user any more
CREATE TRIGGER activity_log_forget_user
AFTER DELETE ON users FOR EACH ROW
BEGIN
    UPDATE activity_log
    SET entity_id = NULL, metadata = '{}'
    WHERE entity_type = 'user' AND entity_id = OLD.id;
END;

CREATE TABLE activity_log_archive (
    id TEXT PRIMARY KEY,
    action TEXT NOT NULL
        CONSTRAINT activity_log_archive_action_given CHECK (action <> ''),
    entity_type TEXT
        CONSTRAINT activity_log_archive_entity_type_given CHECK (entity_type <> ''),
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT activity_log_archive_created_at_utc
        CHECK (created_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    archived_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT activity_log_archive_archived_at_utc
        CHECK (archived_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z')
) STRICT;

CREATE INDEX activity_log_archive_age ON activity_log_archive (created_at, id);

CREATE TRIGGER activity_log_archive_moved_insert
BEFORE INSERT ON activity_log_archive FOR EACH ROW
BEGIN
    SELECT RAISE(ABORT, 'activity_log_archive_moved: this row is still in the activity log')
    WHERE EXISTS (SELECT 1 FROM activity_log WHERE id = NEW.id);
END;
