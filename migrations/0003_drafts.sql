-- domain: drafts
-- needs: accounts
-- Drafts with their versions, the chat about them, and what the conversations with a model cost.
-- A draft names its current version and a version its draft: the two tables refer to each other. Triggers hold that the
-- current version and a parent are of the same draft; keys of two columns would do so too, but then a repair could not
-- keep a draft, or a version, whose current version or parent a damaged file has lost.

CREATE TABLE draft (
    id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL
        CONSTRAINT draft_user REFERENCES users (id) ON DELETE CASCADE,
    title TEXT
        CONSTRAINT draft_title_length CHECK (length(title) <= 255),
    description TEXT,
    current_version_id TEXT
        CONSTRAINT draft_current_version REFERENCES version (id) ON DELETE SET NULL,
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT draft_created_at_utc
        CHECK (created_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT draft_updated_at_utc
        CHECK (updated_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z')
) STRICT;

-- datalayer:allow I002
CREATE INDEX draft_user_id_idx ON draft (user_id);
CREATE INDEX draft_recent ON draft (user_id, updated_at DESC, id DESC);
CREATE INDEX draft_current_version_id ON draft (current_version_id);

CREATE TRIGGER draft_touch
AFTER UPDATE ON draft FOR EACH ROW
WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE draft
    SET updated_at = strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z'
    WHERE id = NEW.id;
END;

CREATE TRIGGER draft_current_own_insert
BEFORE INSERT ON draft FOR EACH ROW
WHEN NEW.current_version_id IS NOT NULL
BEGIN
    SELECT RAISE(ABORT, 'draft_current_own: the current version is one of this draft')
    WHERE EXISTS (SELECT 1 FROM version WHERE id = NEW.current_version_id AND draft_id <> NEW.id);
END;

CREATE TRIGGER draft_current_own_update
BEFORE UPDATE OF id, current_version_id ON draft FOR EACH ROW
WHEN NEW.current_version_id IS NOT NULL
BEGIN
    SELECT RAISE(ABORT, 'draft_current_own: the current version is one of this draft')
    WHERE EXISTS (SELECT 1 FROM version WHERE id = NEW.current_version_id AND draft_id <> NEW.id);
END;

CREATE TABLE version (
    id TEXT PRIMARY KEY,
    draft_id TEXT NOT NULL
        CONSTRAINT version_draft REFERENCES draft (id) ON DELETE CASCADE,
    content TEXT NOT NULL,
    version_number INTEGER NOT NULL
        CONSTRAINT version_version_number_range CHECK (version_number >= 1),
    parent_version_id TEXT
        CONSTRAINT version_parent REFERENCES version (id) ON DELETE SET NULL,
    generation_source TEXT
        CONSTRAINT version_generation_source_known CHECK (generation_source IN ('user', 'ai_generation', 'ai_edit')),
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT version_created_at_utc
        CHECK (created_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    CONSTRAINT version_draft_number_unique UNIQUE (draft_id, version_number)
) STRICT;

-- datalayer:allow I002
CREATE INDEX version_draft_id_idx ON version (draft_id);
CREATE INDEX version_parent_version_id ON version (parent_version_id);

CREATE TRIGGER version_number_next
BEFORE INSERT ON version FOR EACH ROW
BEGIN
    SELECT id FROM draft WHERE id = NEW.draft_id;
    SELECT RAISE(ABORT, 'version_number_next: the versions of a draft are numbered 1, 2, 3, ...')
    WHERE NEW.version_number <> (
        SELECT coalesce(max(version_number), 0) + 1 FROM version WHERE draft_id = NEW.draft_id
    );
END;

CREATE TRIGGER version_parent_older
BEFORE INSERT ON version FOR EACH ROW
WHEN NEW.parent_version_id IS NOT NULL
BEGIN
    SELECT RAISE(ABORT, 'version_parent_older: a parent is an older version of the same draft')
    WHERE NOT EXISTS (
        SELECT 1 FROM version
        WHERE id = NEW.parent_version_id AND draft_id = NEW.draft_id AND version_number < NEW.version_number
    );
END;

CREATE TRIGGER version_not_replaced
BEFORE INSERT ON version FOR EACH ROW
BEGIN
    SELECT RAISE(ABORT, 'version_not_replaced: a version is written once')
    WHERE EXISTS (SELECT 1 FROM version WHERE id = NEW.id);
END;

CREATE TRIGGER version_not_changed
BEFORE UPDATE OF id, draft_id, content, version_number, parent_version_id, generation_source, created_at
ON version FOR EACH ROW
BEGIN
    SELECT RAISE(ABORT, 'version_not_changed: a version is written once')
    WHERE EXISTS (SELECT 1 FROM draft WHERE id = OLD.draft_id);
END;

CREATE TRIGGER version_goes_with_draft
BEFORE DELETE ON version FOR EACH ROW
BEGIN
    SELECT RAISE(ABORT, 'version_goes_with_draft: a version is deleted with its draft only')
    WHERE EXISTS (SELECT 1 FROM draft WHERE id = OLD.draft_id);
END;

CREATE TABLE chat_message (
    id TEXT PRIMARY KEY,
    draft_id TEXT NOT NULL
        CONSTRAINT chat_message_draft REFERENCES draft (id) ON DELETE CASCADE,
    role TEXT NOT NULL
        CONSTRAINT chat_message_role_known CHECK (role IN ('user', 'assistant')),
    content TEXT NOT NULL,
    metadata TEXT
        CONSTRAINT chat_message_metadata_json CHECK (metadata IS NULL OR json_valid(metadata)),
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT chat_message_created_at_utc
        CHECK (created_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z')
) STRICT;

-- datalayer:allow I002
CREATE INDEX chat_message_draft_id_idx ON chat_message (draft_id);
CREATE INDEX chat_message_history ON chat_message (draft_id, created_at DESC, id DESC);

CREATE TABLE ai_conversation (
    id TEXT PRIMARY KEY,
    draft_id TEXT NOT NULL
        CONSTRAINT ai_conversation_draft REFERENCES draft (id) ON DELETE CASCADE,
    provider TEXT NOT NULL
        CONSTRAINT ai_conversation_provider_length CHECK (length(provider) BETWEEN 1 AND 50),
    model TEXT NOT NULL
        CONSTRAINT ai_conversation_model_length CHECK (length(model) BETWEEN 1 AND 100),
    system_prompt TEXT,
    total_tokens INTEGER NOT NULL DEFAULT 0
        CONSTRAINT ai_conversation_total_tokens_range CHECK (total_tokens >= 0),
    -- decimal(10, 6), counted in millionths
    total_cost INTEGER NOT NULL DEFAULT 0
        CONSTRAINT ai_conversation_total_cost_range CHECK (total_cost BETWEEN 0 AND 9999999999),
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT ai_conversation_created_at_utc
        CHECK (created_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z')
) STRICT;

CREATE INDEX ai_conversation_draft_id_idx ON ai_conversation (draft_id);
