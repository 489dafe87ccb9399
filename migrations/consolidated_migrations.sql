-- The whole current schema of datalayer, in SQLite's dialect and the subset that PostgreSQL's is derived from:
-- STRICT types; JSON, booleans and UTC times are known by their named CHECK; a boolean is a condition by itself
-- (NOT cleared); a SELECT without RAISE in a trigger also locks what it reads where writers run side by side;
-- RAISE messages begin with the rule's name.

CREATE TABLE migrations (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL CONSTRAINT migrations_name_unique UNIQUE,
    applied_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT migrations_applied_at_utc
        CHECK (applied_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z')
) STRICT;

CREATE TABLE sessions (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    project_directory TEXT NOT NULL,
    project_hash TEXT NOT NULL
        CONSTRAINT sessions_project_hash_length CHECK (length(project_hash) = 64),
    task_description TEXT NOT NULL DEFAULT '',
    search_term TEXT NOT NULL DEFAULT '',
    title_regex TEXT NOT NULL DEFAULT '',
    content_regex TEXT NOT NULL DEFAULT '',
    negative_title_regex TEXT NOT NULL DEFAULT '',
    negative_content_regex TEXT NOT NULL DEFAULT '',
    is_regex_active INTEGER NOT NULL DEFAULT 0
        CONSTRAINT sessions_is_regex_active_bool CHECK (is_regex_active IN (0, 1)),
    codebase_structure TEXT NOT NULL DEFAULT '',
    search_selected_files_only INTEGER NOT NULL DEFAULT 0
        CONSTRAINT sessions_search_selected_files_only_bool CHECK (search_selected_files_only IN (0, 1)),
    model_used TEXT,
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT sessions_created_at_utc
        CHECK (created_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT sessions_updated_at_utc
        CHECK (updated_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z')
) STRICT;

CREATE INDEX sessions_project ON sessions (project_hash, updated_at DESC, id DESC);
CREATE INDEX sessions_name ON sessions (name, id);

CREATE TRIGGER sessions_touch
AFTER UPDATE ON sessions FOR EACH ROW
WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE sessions
    SET updated_at = strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z'
    WHERE id = NEW.id;
END;

CREATE TABLE included_files (
    id INTEGER PRIMARY KEY,
    session_id TEXT NOT NULL
        CONSTRAINT included_files_session REFERENCES sessions (id) ON DELETE CASCADE,
    path TEXT NOT NULL
        CONSTRAINT included_files_path_given CHECK (path <> ''),
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT included_files_created_at_utc
        CHECK (created_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    CONSTRAINT included_files_session_path_unique UNIQUE (session_id, path)
) STRICT;

CREATE TABLE excluded_files (
    id INTEGER PRIMARY KEY,
    session_id TEXT NOT NULL
        CONSTRAINT excluded_files_session REFERENCES sessions (id) ON DELETE CASCADE,
    path TEXT NOT NULL
        CONSTRAINT excluded_files_path_given CHECK (path <> ''),
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT excluded_files_created_at_utc
        CHECK (created_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    CONSTRAINT excluded_files_session_path_unique UNIQUE (session_id, path)
) STRICT;

CREATE TRIGGER included_files_not_excluded_insert
BEFORE INSERT ON included_files FOR EACH ROW
BEGIN
    SELECT id FROM sessions WHERE id = NEW.session_id;
    SELECT RAISE(ABORT, 'included_files_not_excluded: this path is already excluded in the session')
    WHERE EXISTS (
        SELECT 1 FROM excluded_files
        WHERE session_id = NEW.session_id AND path = NEW.path
    );
END;

CREATE TRIGGER included_files_not_excluded_update
BEFORE UPDATE OF session_id, path ON included_files FOR EACH ROW
BEGIN
    SELECT id FROM sessions WHERE id = NEW.session_id;
    SELECT RAISE(ABORT, 'included_files_not_excluded: this path is already excluded in the session')
    WHERE EXISTS (
        SELECT 1 FROM excluded_files
        WHERE session_id = NEW.session_id AND path = NEW.path
    );
END;

CREATE TRIGGER excluded_files_not_included_insert
BEFORE INSERT ON excluded_files FOR EACH ROW
BEGIN
    SELECT id FROM sessions WHERE id = NEW.session_id;
    SELECT RAISE(ABORT, 'excluded_files_not_included: this path is already included in the session')
    WHERE EXISTS (
        SELECT 1 FROM included_files
        WHERE session_id = NEW.session_id AND path = NEW.path
    );
END;

CREATE TRIGGER excluded_files_not_included_update
BEFORE UPDATE OF session_id, path ON excluded_files FOR EACH ROW
BEGIN
    SELECT id FROM sessions WHERE id = NEW.session_id;
    SELECT RAISE(ABORT, 'excluded_files_not_included: this path is already included in the session')
    WHERE EXISTS (
        SELECT 1 FROM included_files
        WHERE session_id = NEW.session_id AND path = NEW.path
    );
END;

CREATE TABLE background_jobs (
    id TEXT PRIMARY KEY,
    session_id TEXT
        CONSTRAINT background_jobs_session REFERENCES sessions (id) ON DELETE CASCADE,
    status TEXT NOT NULL DEFAULT 'idle'
        CONSTRAINT background_jobs_status_known CHECK (status IN (
            'idle', 'created', 'queued', 'acknowledged_by_worker', 'preparing', 'running',
            'completed', 'failed', 'canceled')),
    priority INTEGER NOT NULL DEFAULT 0,
    run_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT background_jobs_run_at_utc
        CHECK (run_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    attempt INTEGER NOT NULL DEFAULT 0
        CONSTRAINT background_jobs_attempt_range CHECK (attempt BETWEEN 0 AND max_attempts),
    max_attempts INTEGER NOT NULL DEFAULT 1
        CONSTRAINT background_jobs_max_attempts_range CHECK (max_attempts >= 1),
    lease_owner TEXT,
    lease_expires_at TEXT
        CONSTRAINT background_jobs_lease_expires_at_utc
        CHECK (lease_expires_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    dedupe_key TEXT,
    task_type TEXT NOT NULL DEFAULT 'unknown',
    api_type TEXT NOT NULL DEFAULT 'unknown',
    status_message TEXT,
    error_message TEXT,
    model_used TEXT,
    max_output_tokens INTEGER
        CONSTRAINT background_jobs_max_output_tokens_range CHECK (max_output_tokens >= 0),
    tokens_sent INTEGER NOT NULL DEFAULT 0
        CONSTRAINT background_jobs_tokens_sent_range CHECK (tokens_sent >= 0),
    tokens_received INTEGER NOT NULL DEFAULT 0
        CONSTRAINT background_jobs_tokens_received_range CHECK (tokens_received >= 0),
    chars_received INTEGER NOT NULL DEFAULT 0
        CONSTRAINT background_jobs_chars_received_range CHECK (chars_received >= 0),
    project_directory TEXT,
    cleared INTEGER NOT NULL DEFAULT 0
        CONSTRAINT background_jobs_cleared_bool CHECK (cleared IN (0, 1)),
    start_time TEXT
        CONSTRAINT background_jobs_start_time_utc
        CHECK (start_time GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    end_time TEXT
        CONSTRAINT background_jobs_end_time_utc
        CHECK (end_time GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT background_jobs_created_at_utc
        CHECK (created_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT background_jobs_updated_at_utc
        CHECK (updated_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    output_file_path TEXT,
    metadata TEXT NOT NULL DEFAULT '{}'
        CONSTRAINT background_jobs_metadata_json CHECK (json_valid(metadata)),
    prompt TEXT NOT NULL DEFAULT '',
    response TEXT,
    CONSTRAINT background_jobs_lease_whole CHECK ((lease_owner IS NULL) = (lease_expires_at IS NULL)),
    CONSTRAINT background_jobs_lease_when_active CHECK (
        (status IN ('acknowledged_by_worker', 'preparing', 'running')) = (lease_owner IS NOT NULL)),
    CONSTRAINT background_jobs_end_when_final CHECK (
        (status IN ('completed', 'failed', 'canceled')) = (end_time IS NOT NULL)),
    CONSTRAINT background_jobs_start_when_running CHECK (status <> 'running' OR start_time IS NOT NULL),
    CONSTRAINT background_jobs_one_response CHECK (response IS NULL OR output_file_path IS NULL)
) STRICT;

CREATE INDEX background_jobs_claim ON background_jobs (priority DESC, run_at, id) WHERE status = 'queued';
CREATE INDEX background_jobs_claim_type ON background_jobs (task_type, priority DESC, run_at, id)
    WHERE status = 'queued';
CREATE INDEX background_jobs_lease ON background_jobs (lease_expires_at, id) WHERE lease_expires_at IS NOT NULL;
CREATE INDEX background_jobs_session_id ON background_jobs (session_id, id);
CREATE INDEX background_jobs_status ON background_jobs (status, id);
CREATE INDEX background_jobs_type ON background_jobs (task_type, id);
CREATE INDEX background_jobs_end ON background_jobs (end_time, id) WHERE end_time IS NOT NULL;
CREATE UNIQUE INDEX background_jobs_dedupe ON background_jobs (dedupe_key)
    WHERE dedupe_key IS NOT NULL AND status NOT IN ('completed', 'failed', 'canceled');

CREATE TRIGGER background_jobs_touch
AFTER UPDATE ON background_jobs FOR EACH ROW
WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE background_jobs
    SET updated_at = strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z'
    WHERE id = NEW.id;
END;

CREATE TRIGGER background_jobs_final
BEFORE UPDATE OF status ON background_jobs FOR EACH ROW
WHEN OLD.status IN ('completed', 'failed', 'canceled') AND NEW.status <> OLD.status
BEGIN
    SELECT RAISE(ABORT, 'background_jobs_final: completed, failed and canceled jobs keep their status');
END;

CREATE TRIGGER background_jobs_start_once
BEFORE UPDATE OF start_time ON background_jobs FOR EACH ROW
WHEN OLD.start_time IS NOT NULL AND NEW.start_time IS NOT OLD.start_time
BEGIN
    SELECT RAISE(ABORT, 'background_jobs_start_once: start_time is set once, when the job first runs');
END;

CREATE TRIGGER background_jobs_end_once
BEFORE UPDATE OF end_time ON background_jobs FOR EACH ROW
WHEN OLD.end_time IS NOT NULL AND NEW.end_time IS NOT OLD.end_time
BEGIN
    SELECT RAISE(ABORT, 'background_jobs_end_once: end_time is set once, when the job becomes final');
END;

CREATE TABLE cached_state (
    id INTEGER PRIMARY KEY,
    project_directory TEXT NOT NULL,
    project_hash TEXT NOT NULL
        CONSTRAINT cached_state_project_hash_length CHECK (length(project_hash) = 64),
    key TEXT NOT NULL
        CONSTRAINT cached_state_key_given CHECK (key <> ''),
    value TEXT NOT NULL
        CONSTRAINT cached_state_value_json CHECK (json_valid(value)),
    updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT cached_state_updated_at_utc
        CHECK (updated_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    expires_at TEXT
        CONSTRAINT cached_state_expires_at_utc
        CHECK (expires_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    CONSTRAINT cached_state_project_key_unique UNIQUE (project_hash, key)
) STRICT;

CREATE INDEX cached_state_expiry ON cached_state (expires_at) WHERE expires_at IS NOT NULL;

CREATE TRIGGER cached_state_touch
AFTER UPDATE ON cached_state FOR EACH ROW
WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE cached_state
    SET updated_at = strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z'
    WHERE id = NEW.id;
END;

CREATE TABLE key_value_store (
    key TEXT PRIMARY KEY
        CONSTRAINT key_value_store_key_given CHECK (key <> ''),
    value TEXT NOT NULL
        CONSTRAINT key_value_store_value_json CHECK (json_valid(value)),
    updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT key_value_store_updated_at_utc
        CHECK (updated_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    expires_at TEXT
        CONSTRAINT key_value_store_expires_at_utc
        CHECK (expires_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z')
) STRICT;

CREATE INDEX key_value_store_expiry ON key_value_store (expires_at) WHERE expires_at IS NOT NULL;

CREATE TRIGGER key_value_store_touch
AFTER UPDATE ON key_value_store FOR EACH ROW
WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE key_value_store
    SET updated_at = strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z'
    WHERE key = NEW.key;
END;
