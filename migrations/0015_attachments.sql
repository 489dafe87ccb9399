-- domain: attachments
-- needs: accounts
-- Files that belong to rows of any table. What a file holds is kept once, under the SHA-256 of it, in the folder of
-- large values; attachment_contents counts the attachments of each.

CREATE TABLE attachment_contents (
    sha256 TEXT PRIMARY KEY
        CONSTRAINT attachment_contents_sha256_hex CHECK (length(sha256) = 64 AND sha256 = lower(sha256)),
    size_bytes INTEGER NOT NULL
        CONSTRAINT attachment_contents_size_bytes_range CHECK (size_bytes >= 0),
    reference_count INTEGER NOT NULL DEFAULT 0
        CONSTRAINT attachment_contents_reference_count_range CHECK (reference_count >= 0),
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT attachment_contents_created_at_utc
        CHECK (created_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z')
) STRICT;

CREATE INDEX attachment_contents_unused ON attachment_contents (sha256) WHERE reference_count = 0;

CREATE TABLE attachments (
    id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL
        CONSTRAINT attachments_user REFERENCES users (id) ON DELETE CASCADE,
    -- what it is attached to: the kind of thing and its key, or nothing yet
    owner_type TEXT
        CONSTRAINT attachments_owner_type_given CHECK (owner_type <> ''),
    owner_id TEXT
        CONSTRAINT attachments_owner_id_given CHECK (owner_id <> ''),
    name TEXT NOT NULL
        CONSTRAINT attachments_name_given CHECK (name <> ''),
    media_type TEXT NOT NULL DEFAULT 'application/octet-stream'
        CONSTRAINT attachments_media_type_given CHECK (media_type <> ''),
    sha256 TEXT NOT NULL
        CONSTRAINT attachments_content REFERENCES attachment_contents (sha256) ON DELETE RESTRICT,
    metadata TEXT NOT NULL DEFAULT '{}'
        CONSTRAINT attachments_metadata_json CHECK (json_valid(metadata))
        CONSTRAINT attachments_metadata_object CHECK (json_type(metadata) = 'object'),
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT attachments_created_at_utc
        CHECK (created_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT attachments_updated_at_utc
        CHECK (updated_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    CONSTRAINT attachments_owner_whole CHECK ((owner_type IS NULL) = (owner_id IS NULL))
) STRICT;

CREATE INDEX attachments_user ON attachments (user_id, created_at DESC, id DESC);
CREATE INDEX attachments_owner ON attachments (owner_type, owner_id);
CREATE INDEX attachments_sha256 ON attachments (sha256);

CREATE TRIGGER attachments_touch
AFTER UPDATE ON attachments FOR EACH ROW
WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE attachments
    SET updated_at = strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z'
    WHERE id = NEW.id;
END;

CREATE TRIGGER attachments_counted
AFTER INSERT ON attachments FOR EACH ROW
BEGIN
    UPDATE attachment_contents SET reference_count = reference_count + 1 WHERE sha256 = NEW.sha256;
END;

CREATE TRIGGER attachments_uncounted
AFTER DELETE ON attachments FOR EACH ROW
BEGIN
    UPDATE attachment_contents SET reference_count = reference_count - 1 WHERE sha256 = OLD.sha256;
END;

CREATE TRIGGER attachments_recounted
AFTER UPDATE OF sha256 ON attachments FOR EACH ROW
WHEN NEW.sha256 <> OLD.sha256
BEGIN
    UPDATE attachment_contents SET reference_count = reference_count - 1 WHERE sha256 = OLD.sha256;
    UPDATE attachment_contents SET reference_count = reference_count + 1 WHERE sha256 = NEW.sha256;
END;
