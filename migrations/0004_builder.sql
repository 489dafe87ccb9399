-- domain: builder
-- needs: accounts
-- What users build in chats: threads with their messages and files. Names of keys, indexes and triggers are those of
-- the system that apps come from.

CREATE TABLE builder_threads (
    id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL
        CONSTRAINT fk_builder_thread_user REFERENCES users (id) ON DELETE CASCADE,
    title TEXT NOT NULL
        CONSTRAINT builder_threads_title_length CHECK (length(title) <= 255),
    template TEXT NOT NULL DEFAULT 'react'
        CONSTRAINT builder_threads_template_known
        CHECK (template IN ('react', 'nextjs', 'vite-react', 'vanilla', 'static')),
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT builder_threads_created_at_utc
        CHECK (created_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT builder_threads_updated_at_utc
        CHECK (updated_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z')
) STRICT;

-- datalayer:allow I002
CREATE INDEX idx_builder_threads_user_id ON builder_threads (user_id);
CREATE INDEX idx_builder_threads_updated_at ON builder_threads (updated_at DESC);
CREATE INDEX builder_threads_recent ON builder_threads (user_id, updated_at DESC, id DESC);

CREATE TRIGGER trigger_update_builder_thread_timestamp
AFTER UPDATE ON builder_threads FOR EACH ROW
WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE builder_threads
    SET updated_at = strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z'
    WHERE id = NEW.id;
END;

CREATE TABLE builder_messages (
    id TEXT PRIMARY KEY,
    thread_id TEXT NOT NULL
        CONSTRAINT fk_builder_message_thread REFERENCES builder_threads (id) ON DELETE CASCADE,
    role TEXT NOT NULL
        CONSTRAINT builder_messages_role_known CHECK (role IN ('user', 'assistant', 'system')),
    content TEXT NOT NULL,
    mentions TEXT NOT NULL DEFAULT '[]'
        CONSTRAINT builder_messages_mentions_json CHECK (json_valid(mentions))
        CONSTRAINT builder_messages_mentions_array CHECK (NOT json_valid(mentions) OR json_type(mentions) = 'array'),
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT builder_messages_created_at_utc
        CHECK (created_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z')
) STRICT;

-- datalayer:allow I002
CREATE INDEX idx_builder_messages_thread_id ON builder_messages (thread_id);
CREATE INDEX idx_builder_messages_created_at ON builder_messages (created_at);
CREATE INDEX builder_messages_history ON builder_messages (thread_id, created_at DESC, id DESC);

CREATE TRIGGER builder_messages_raise_thread
AFTER INSERT ON builder_messages FOR EACH ROW
BEGIN
    UPDATE builder_threads
    SET updated_at = NEW.created_at
    WHERE id = NEW.thread_id AND updated_at < NEW.created_at;
END;

CREATE TABLE builder_files (
    id TEXT PRIMARY KEY,
    thread_id TEXT NOT NULL
        CONSTRAINT fk_builder_file_thread REFERENCES builder_threads (id) ON DELETE CASCADE,
    file_path TEXT NOT NULL
        CONSTRAINT builder_files_file_path_given CHECK (file_path <> ''),
    file_content TEXT NOT NULL DEFAULT '',
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT builder_files_created_at_utc
        CHECK (created_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT builder_files_updated_at_utc
        CHECK (updated_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    CONSTRAINT builder_files_thread_path_unique UNIQUE (thread_id, file_path)
) STRICT;

-- datalayer:allow I002
CREATE INDEX idx_builder_files_thread_id ON builder_files (thread_id);
CREATE INDEX idx_builder_files_updated_at ON builder_files (updated_at DESC);

CREATE TRIGGER trigger_update_builder_file_timestamp
AFTER UPDATE ON builder_files FOR EACH ROW
WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE builder_files
    SET updated_at = strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z'
    WHERE id = NEW.id;
END;
