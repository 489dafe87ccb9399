-- domain: sandboxes
-- needs: accounts
-- Sandboxes with their reference data and chats, knowledge documents, and what users set for themselves.
-- What follows from other rows is kept by triggers: a chat's counters, the version of a document, the number
-- of changes of a user's preferences. An embedding is 32-bit floats, least significant byte first.

CREATE TABLE resource_tiers (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL
        CONSTRAINT resource_tiers_name_given CHECK (name <> ''),
    description TEXT NOT NULL DEFAULT '',
    cpu_cores REAL NOT NULL
        CONSTRAINT resource_tiers_cpu_cores_range CHECK (cpu_cores > 0),
    memory_mb INTEGER NOT NULL
        CONSTRAINT resource_tiers_memory_mb_range CHECK (memory_mb > 0),
    storage_gb INTEGER NOT NULL
        CONSTRAINT resource_tiers_storage_gb_range CHECK (storage_gb > 0),
    is_default INTEGER NOT NULL DEFAULT 0
        CONSTRAINT resource_tiers_is_default_bool CHECK (is_default IN (0, 1)),
    sort_order INTEGER NOT NULL DEFAULT 0,
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT resource_tiers_created_at_utc
        CHECK (created_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT resource_tiers_updated_at_utc
        CHECK (updated_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z')
) STRICT;

CREATE UNIQUE INDEX resource_tiers_one_default ON resource_tiers (is_default) WHERE is_default;

CREATE TRIGGER resource_tiers_touch
AFTER UPDATE ON resource_tiers FOR EACH ROW
WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE resource_tiers
    SET updated_at = strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z'
    WHERE id = NEW.id;
END;

CREATE TABLE container_flavors (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL
        CONSTRAINT container_flavors_name_given CHECK (name <> ''),
    description TEXT NOT NULL DEFAULT '',
    languages TEXT NOT NULL DEFAULT '[]'
        CONSTRAINT container_flavors_languages_json CHECK (json_valid(languages))
        CONSTRAINT container_flavors_languages_array CHECK (json_type(languages) = 'array'),
    is_default INTEGER NOT NULL DEFAULT 0
        CONSTRAINT container_flavors_is_default_bool CHECK (is_default IN (0, 1)),
    sort_order INTEGER NOT NULL DEFAULT 0,
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT container_flavors_created_at_utc
        CHECK (created_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT container_flavors_updated_at_utc
        CHECK (updated_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z')
) STRICT;

CREATE UNIQUE INDEX container_flavors_one_default ON container_flavors (is_default) WHERE is_default;

CREATE TRIGGER container_flavors_touch
AFTER UPDATE ON container_flavors FOR EACH ROW
WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE container_flavors
    SET updated_at = strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z'
    WHERE id = NEW.id;
END;

CREATE TABLE container_addons (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL
        CONSTRAINT container_addons_name_given CHECK (name <> ''),
    description TEXT NOT NULL DEFAULT '',
    category TEXT NOT NULL
        CONSTRAINT container_addons_category_known CHECK (category IN (
            'interface', 'compute', 'storage', 'devops', 'database', 'runtime')),
    port INTEGER
        CONSTRAINT container_addons_port_range CHECK (port BETWEEN 1 AND 65535),
    requires_gpu INTEGER NOT NULL DEFAULT 0
        CONSTRAINT container_addons_requires_gpu_bool CHECK (requires_gpu IN (0, 1)),
    sort_order INTEGER NOT NULL DEFAULT 0,
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT container_addons_created_at_utc
        CHECK (created_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT container_addons_updated_at_utc
        CHECK (updated_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z')
) STRICT;

CREATE TRIGGER container_addons_touch
AFTER UPDATE ON container_addons FOR EACH ROW
WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE container_addons
    SET updated_at = strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z'
    WHERE id = NEW.id;
END;

INSERT INTO resource_tiers
    (id, name, description, cpu_cores, memory_mb, storage_gb, is_default, sort_order, created_at, updated_at)
VALUES
    ('starter', 'Starter', 'Small projects and trying things out', 1.0, 2048, 10, 1, 1,
        '2025-01-01T00:00:00.000000Z', '2025-01-01T00:00:00.000000Z'),
    ('builder', 'Builder', 'Daily work on projects of usual size', 2.0, 4096, 20, 0, 2,
        '2025-01-01T00:00:00.000000Z', '2025-01-01T00:00:00.000000Z'),
    ('creator', 'Creator', 'Large projects with several services', 4.0, 8192, 50, 0, 3,
        '2025-01-01T00:00:00.000000Z', '2025-01-01T00:00:00.000000Z'),
    ('power', 'Power', 'Heavy builds and many processes at once', 8.0, 16384, 100, 0, 4,
        '2025-01-01T00:00:00.000000Z', '2025-01-01T00:00:00.000000Z');

INSERT INTO container_flavors
    (id, name, description, languages, is_default, sort_order, created_at, updated_at)
VALUES
    ('fullstack', 'Full stack', 'JavaScript and Python with their usual tools', '["javascript","python"]', 1, 1,
        '2025-01-01T00:00:00.000000Z', '2025-01-01T00:00:00.000000Z'),
    ('bare', 'Bare', 'A shell and version control, nothing more', '[]', 0, 2,
        '2025-01-01T00:00:00.000000Z', '2025-01-01T00:00:00.000000Z'),
    ('js', 'JavaScript', 'Node.js, Bun and Deno', '["javascript"]', 0, 3,
        '2025-01-01T00:00:00.000000Z', '2025-01-01T00:00:00.000000Z'),
    ('python', 'Python', 'Python with package and environment managers', '["python"]', 0, 4,
        '2025-01-01T00:00:00.000000Z', '2025-01-01T00:00:00.000000Z'),
    ('go', 'Go', 'The Go toolchain', '["go"]', 0, 5,
        '2025-01-01T00:00:00.000000Z', '2025-01-01T00:00:00.000000Z'),
    ('rust', 'Rust', 'The Rust toolchain', '["rust"]', 0, 6,
        '2025-01-01T00:00:00.000000Z', '2025-01-01T00:00:00.000000Z'),
    ('polyglot', 'Polyglot', 'All languages of the other flavors', '["javascript","python","go","rust"]', 0, 7,
        '2025-01-01T00:00:00.000000Z', '2025-01-01T00:00:00.000000Z');

INSERT INTO container_addons
    (id, name, description, category, port, requires_gpu, sort_order, created_at, updated_at)
VALUES
    ('code-server', 'Code server', 'An editor in the browser', 'interface', 8080, 0, 1,
        '2025-01-01T00:00:00.000000Z', '2025-01-01T00:00:00.000000Z'),
    ('gui', 'Desktop', 'A graphical desktop over VNC', 'interface', 6080, 0, 2,
        '2025-01-01T00:00:00.000000Z', '2025-01-01T00:00:00.000000Z'),
    ('gpu', 'GPU', 'Drivers and libraries for a graphics processor', 'compute', NULL, 1, 3,
        '2025-01-01T00:00:00.000000Z', '2025-01-01T00:00:00.000000Z'),
    ('databases', 'Databases', 'Clients and servers of common databases', 'database', NULL, 0, 4,
        '2025-01-01T00:00:00.000000Z', '2025-01-01T00:00:00.000000Z'),
    ('cloud', 'Cloud', 'Command line tools of cloud providers', 'devops', NULL, 0, 5,
        '2025-01-01T00:00:00.000000Z', '2025-01-01T00:00:00.000000Z');

CREATE TABLE sandboxes (
    id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL
        CONSTRAINT sandboxes_user REFERENCES users (id) ON DELETE CASCADE,
    name TEXT NOT NULL
        CONSTRAINT sandboxes_name_given CHECK (name <> ''),
    slug TEXT NOT NULL
        CONSTRAINT sandboxes_slug_length CHECK (length(slug) BETWEEN 1 AND 63)
        CONSTRAINT sandboxes_slug_form CHECK (
            slug NOT GLOB '*[^a-z0-9-]*' AND slug NOT GLOB '-*' AND slug NOT GLOB '*-'),
    description TEXT NOT NULL DEFAULT '',
    repo_name TEXT,
    github_url TEXT,
    resource_tier_id TEXT NOT NULL DEFAULT 'starter'
        CONSTRAINT sandboxes_resource_tier REFERENCES resource_tiers (id),
    flavor_id TEXT NOT NULL DEFAULT 'fullstack'
        CONSTRAINT sandboxes_flavor REFERENCES container_flavors (id),
    addon_ids TEXT NOT NULL DEFAULT '[]'
        CONSTRAINT sandboxes_addon_ids_json CHECK (json_valid(addon_ids))
        CONSTRAINT sandboxes_addon_ids_array CHECK (json_type(addon_ids) = 'array'),
    container_id TEXT,
    container_name TEXT,
    status TEXT NOT NULL DEFAULT 'created'
        CONSTRAINT sandboxes_status_known CHECK (status IN (
            'created', 'starting', 'running', 'stopping', 'stopped', 'error')),
    error_message TEXT,
    opencode_url TEXT,
    acp_gateway_url TEXT,
    code_server_url TEXT,
    vnc_url TEXT,
    last_accessed_at TEXT
        CONSTRAINT sandboxes_last_accessed_at_utc
        CHECK (last_accessed_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT sandboxes_created_at_utc
        CHECK (created_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT sandboxes_updated_at_utc
        CHECK (updated_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    CONSTRAINT sandboxes_user_slug_unique UNIQUE (user_id, slug),
    -- what belongs to a sandbox refers to both, so it is never another user's
    CONSTRAINT sandboxes_id_user_unique UNIQUE (id, user_id),
    CONSTRAINT sandboxes_message_when_error CHECK (status = 'error' OR error_message IS NULL),
    CONSTRAINT sandboxes_container_when_running CHECK (status <> 'running' OR container_id IS NOT NULL)
) STRICT;

CREATE INDEX sandboxes_recent ON sandboxes (user_id, updated_at DESC, id DESC);
CREATE INDEX sandboxes_status ON sandboxes (status, id);
CREATE INDEX sandboxes_tier ON sandboxes (resource_tier_id);
CREATE INDEX sandboxes_flavor_of ON sandboxes (flavor_id);
CREATE UNIQUE INDEX sandboxes_container ON sandboxes (container_id) WHERE container_id IS NOT NULL;

CREATE TRIGGER sandboxes_touch
AFTER UPDATE ON sandboxes FOR EACH ROW
WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE sandboxes
    SET updated_at = strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z'
    WHERE id = NEW.id;
END;

CREATE TRIGGER sandboxes_moves
BEFORE UPDATE OF status ON sandboxes FOR EACH ROW
WHEN NEW.status <> OLD.status
    AND NEW.status IN ('created', 'starting', 'running', 'stopping', 'stopped', 'error')
    AND NOT (
        (OLD.status = 'created' AND NEW.status IN ('starting', 'error'))
        OR (OLD.status = 'starting' AND NEW.status IN ('running', 'stopping', 'stopped', 'error'))
        OR (OLD.status = 'running' AND NEW.status IN ('stopping', 'stopped', 'error'))
        OR (OLD.status = 'stopping' AND NEW.status IN ('stopped', 'error'))
        OR (OLD.status = 'stopped' AND NEW.status IN ('starting', 'error'))
        OR (OLD.status = 'error' AND NEW.status IN ('starting', 'stopping', 'stopped')))
BEGIN
    SELECT RAISE(ABORT, 'sandboxes_moves: a sandbox may not go from its status to that one');
END;

CREATE TABLE chat_sessions (
    id TEXT PRIMARY KEY,
    sandbox_id TEXT NOT NULL,
    user_id TEXT NOT NULL
        CONSTRAINT chat_sessions_user REFERENCES users (id) ON DELETE CASCADE,
    source TEXT NOT NULL DEFAULT 'opencode'
        CONSTRAINT chat_sessions_source_known CHECK (source IN ('opencode', 'acp_gateway')),
    opencode_session_id TEXT
        CONSTRAINT chat_sessions_opencode_session_id_given CHECK (opencode_session_id <> ''),
    acp_session_id TEXT
        CONSTRAINT chat_sessions_acp_session_id_given CHECK (acp_session_id <> ''),
    acp_agent_id TEXT,
    title TEXT,
    status TEXT NOT NULL DEFAULT 'active'
        CONSTRAINT chat_sessions_status_known CHECK (status IN ('active', 'archived')),
    message_count INTEGER NOT NULL DEFAULT 0
        CONSTRAINT chat_sessions_message_count_range CHECK (message_count >= 0),
    user_message_count INTEGER NOT NULL DEFAULT 0
        CONSTRAINT chat_sessions_user_message_count_range CHECK (user_message_count >= 0),
    assistant_message_count INTEGER NOT NULL DEFAULT 0
        CONSTRAINT chat_sessions_assistant_message_count_range CHECK (assistant_message_count >= 0),
    total_input_tokens INTEGER NOT NULL DEFAULT 0
        CONSTRAINT chat_sessions_total_input_tokens_range CHECK (total_input_tokens >= 0),
    total_output_tokens INTEGER NOT NULL DEFAULT 0
        CONSTRAINT chat_sessions_total_output_tokens_range CHECK (total_output_tokens >= 0),
    last_message_at TEXT
        CONSTRAINT chat_sessions_last_message_at_utc
        CHECK (last_message_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT chat_sessions_created_at_utc
        CHECK (created_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT chat_sessions_updated_at_utc
        CHECK (updated_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    CONSTRAINT chat_sessions_sandbox FOREIGN KEY (sandbox_id, user_id)
        REFERENCES sandboxes (id, user_id) ON DELETE CASCADE,
    CONSTRAINT chat_sessions_sandbox_opencode_unique UNIQUE (sandbox_id, opencode_session_id),
    CONSTRAINT chat_sessions_sandbox_acp_unique UNIQUE (sandbox_id, acp_session_id),
    CONSTRAINT chat_sessions_acp_when_gateway CHECK (
        source = 'acp_gateway' OR (acp_session_id IS NULL AND acp_agent_id IS NULL))
) STRICT;

CREATE INDEX chat_sessions_recent ON chat_sessions (sandbox_id, user_id, updated_at DESC, id DESC);
CREATE INDEX chat_sessions_user_recent ON chat_sessions (user_id, updated_at DESC, id DESC);

CREATE TRIGGER chat_sessions_touch
AFTER UPDATE ON chat_sessions FOR EACH ROW
WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE chat_sessions
    SET updated_at = strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z'
    WHERE id = NEW.id;
END;

CREATE TABLE chat_messages (
    id TEXT PRIMARY KEY,
    session_id TEXT NOT NULL
        CONSTRAINT chat_messages_session REFERENCES chat_sessions (id) ON DELETE CASCADE,
    external_message_id TEXT
        CONSTRAINT chat_messages_external_message_id_given CHECK (external_message_id <> ''),
    role TEXT NOT NULL
        CONSTRAINT chat_messages_role_known CHECK (role IN ('user', 'assistant', 'system', 'tool')),
    content TEXT NOT NULL DEFAULT '',
    thinking TEXT,
    tool_calls TEXT NOT NULL DEFAULT '[]'
        CONSTRAINT chat_messages_tool_calls_json CHECK (json_valid(tool_calls))
        CONSTRAINT chat_messages_tool_calls_array CHECK (json_type(tool_calls) = 'array'),
    tool_results TEXT NOT NULL DEFAULT '[]'
        CONSTRAINT chat_messages_tool_results_json CHECK (json_valid(tool_results))
        CONSTRAINT chat_messages_tool_results_array CHECK (json_type(tool_results) = 'array'),
    model_provider TEXT,
    model_id TEXT,
    agent_id TEXT,
    input_tokens INTEGER NOT NULL DEFAULT 0
        CONSTRAINT chat_messages_input_tokens_range CHECK (input_tokens >= 0),
    output_tokens INTEGER NOT NULL DEFAULT 0
        CONSTRAINT chat_messages_output_tokens_range CHECK (output_tokens >= 0),
    status TEXT NOT NULL DEFAULT 'complete'
        CONSTRAINT chat_messages_status_known CHECK (status IN ('streaming', 'complete', 'error', 'cancelled')),
    error_message TEXT,
    completed_at TEXT
        CONSTRAINT chat_messages_completed_at_utc
        CHECK (completed_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT chat_messages_created_at_utc
        CHECK (created_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT chat_messages_updated_at_utc
        CHECK (updated_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    CONSTRAINT chat_messages_session_external_unique UNIQUE (session_id, external_message_id),
    CONSTRAINT chat_messages_completed_when_final CHECK (
        (status <> 'streaming') = (completed_at IS NOT NULL)),
    CONSTRAINT chat_messages_message_when_error CHECK (status = 'error' OR error_message IS NULL)
) STRICT;

CREATE INDEX chat_messages_history ON chat_messages (session_id, created_at, id);
CREATE INDEX chat_messages_streaming ON chat_messages (updated_at, id) WHERE status = 'streaming';

CREATE TRIGGER chat_messages_touch
AFTER UPDATE ON chat_messages FOR EACH ROW
WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE chat_messages
    SET updated_at = strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z'
    WHERE id = NEW.id;
END;

CREATE TRIGGER chat_messages_final
BEFORE UPDATE OF status ON chat_messages FOR EACH ROW
WHEN OLD.status <> 'streaming' AND NEW.status <> OLD.status
BEGIN
    SELECT RAISE(ABORT, 'chat_messages_final: a complete, failed or cancelled message keeps its status');
END;

CREATE TRIGGER chat_messages_count_insert
AFTER INSERT ON chat_messages FOR EACH ROW
BEGIN
    UPDATE chat_sessions
    SET message_count = message_count + 1,
        user_message_count = user_message_count + (NEW.role = 'user'),
        assistant_message_count = assistant_message_count + (NEW.role = 'assistant'),
        total_input_tokens = total_input_tokens + NEW.input_tokens,
        total_output_tokens = total_output_tokens + NEW.output_tokens,
        last_message_at = CASE WHEN last_message_at >= NEW.created_at THEN last_message_at ELSE NEW.created_at END
    WHERE id = NEW.session_id;
END;

-- the session is locked first: the last message is looked for when nobody adds one any more
CREATE TRIGGER chat_messages_count_delete
AFTER DELETE ON chat_messages FOR EACH ROW
BEGIN
    SELECT id FROM chat_sessions WHERE id = OLD.session_id;
    UPDATE chat_sessions
    SET message_count = message_count - 1,
        user_message_count = user_message_count - (OLD.role = 'user'),
        assistant_message_count = assistant_message_count - (OLD.role = 'assistant'),
        total_input_tokens = total_input_tokens - OLD.input_tokens,
        total_output_tokens = total_output_tokens - OLD.output_tokens,
        last_message_at = (SELECT max(created_at) FROM chat_messages WHERE session_id = OLD.session_id)
    WHERE id = OLD.session_id;
END;

CREATE TRIGGER chat_messages_count_update
AFTER UPDATE OF session_id, role, input_tokens, output_tokens, created_at ON chat_messages FOR EACH ROW
WHEN NEW.session_id <> OLD.session_id OR NEW.role <> OLD.role OR NEW.input_tokens <> OLD.input_tokens
    OR NEW.output_tokens <> OLD.output_tokens OR NEW.created_at <> OLD.created_at
BEGIN
    SELECT id FROM chat_sessions WHERE id IN (OLD.session_id, NEW.session_id) ORDER BY id;
    UPDATE chat_sessions
    SET message_count = message_count - 1,
        user_message_count = user_message_count - (OLD.role = 'user'),
        assistant_message_count = assistant_message_count - (OLD.role = 'assistant'),
        total_input_tokens = total_input_tokens - OLD.input_tokens,
        total_output_tokens = total_output_tokens - OLD.output_tokens,
        last_message_at = (SELECT max(created_at) FROM chat_messages WHERE session_id = OLD.session_id)
    WHERE id = OLD.session_id;
    UPDATE chat_sessions
    SET message_count = message_count + 1,
        user_message_count = user_message_count + (NEW.role = 'user'),
        assistant_message_count = assistant_message_count + (NEW.role = 'assistant'),
        total_input_tokens = total_input_tokens + NEW.input_tokens,
        total_output_tokens = total_output_tokens + NEW.output_tokens,
        last_message_at = (SELECT max(created_at) FROM chat_messages WHERE session_id = NEW.session_id)
    WHERE id = NEW.session_id;
END;

CREATE TABLE onboarding_sessions (
    id TEXT PRIMARY KEY,
    sandbox_id TEXT NOT NULL
        CONSTRAINT onboarding_sessions_sandbox_unique UNIQUE,
    user_id TEXT NOT NULL
        CONSTRAINT onboarding_sessions_user REFERENCES users (id) ON DELETE CASCADE,
    status TEXT NOT NULL DEFAULT 'pending'
        CONSTRAINT onboarding_sessions_status_known CHECK (status IN (
            'pending', 'gathering', 'generating', 'completed', 'skipped', 'failed')),
    current_step TEXT,
    gathered_requirements TEXT NOT NULL DEFAULT '{}'
        CONSTRAINT onboarding_sessions_gathered_requirements_json CHECK (json_valid(gathered_requirements))
        CONSTRAINT onboarding_sessions_gathered_requirements_object CHECK (json_type(gathered_requirements) = 'object'),
    generated_config TEXT NOT NULL DEFAULT '{}'
        CONSTRAINT onboarding_sessions_generated_config_json CHECK (json_valid(generated_config))
        CONSTRAINT onboarding_sessions_generated_config_object CHECK (json_type(generated_config) = 'object'),
    selected_model TEXT,
    error_message TEXT,
    completed_at TEXT
        CONSTRAINT onboarding_sessions_completed_at_utc
        CHECK (completed_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT onboarding_sessions_created_at_utc
        CHECK (created_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT onboarding_sessions_updated_at_utc
        CHECK (updated_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    CONSTRAINT onboarding_sessions_sandbox FOREIGN KEY (sandbox_id, user_id)
        REFERENCES sandboxes (id, user_id) ON DELETE CASCADE,
    CONSTRAINT onboarding_sessions_completed_when_done CHECK (
        (status IN ('completed', 'skipped')) = (completed_at IS NOT NULL)),
    CONSTRAINT onboarding_sessions_message_when_failed CHECK (status = 'failed' OR error_message IS NULL)
) STRICT;

CREATE INDEX onboarding_sessions_sandbox_user ON onboarding_sessions (sandbox_id, user_id);
CREATE INDEX onboarding_sessions_user_id ON onboarding_sessions (user_id, id);

CREATE TRIGGER onboarding_sessions_touch
AFTER UPDATE ON onboarding_sessions FOR EACH ROW
WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE onboarding_sessions
    SET updated_at = strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z'
    WHERE id = NEW.id;
END;

CREATE TABLE knowledge_documents (
    id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL
        CONSTRAINT knowledge_documents_user REFERENCES users (id) ON DELETE CASCADE,
    category TEXT NOT NULL
        CONSTRAINT knowledge_documents_category_given CHECK (category <> ''),
    title TEXT NOT NULL DEFAULT '',
    content TEXT NOT NULL,
    tags TEXT NOT NULL DEFAULT '[]'
        CONSTRAINT knowledge_documents_tags_json CHECK (json_valid(tags))
        CONSTRAINT knowledge_documents_tags_array CHECK (json_type(tags) = 'array'),
    version INTEGER NOT NULL DEFAULT 1
        CONSTRAINT knowledge_documents_version_range CHECK (version >= 1),
    embedding BLOB,
    embedding_dimensions INTEGER
        CONSTRAINT knowledge_documents_embedding_dimensions_range CHECK (embedding_dimensions >= 1),
    embedding_model TEXT,
    embedding_status TEXT NOT NULL DEFAULT 'pending'
        CONSTRAINT knowledge_documents_embedding_status_known CHECK (embedding_status IN (
            'pending', 'processing', 'ready', 'error')),
    embedding_error TEXT,
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT knowledge_documents_created_at_utc
        CHECK (created_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT knowledge_documents_updated_at_utc
        CHECK (updated_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    CONSTRAINT knowledge_documents_embedding_whole CHECK (
        (embedding IS NULL) = (embedding_dimensions IS NULL)),
    CONSTRAINT knowledge_documents_embedding_size CHECK (length(embedding) = 4 * embedding_dimensions),
    CONSTRAINT knowledge_documents_embedding_when_ready CHECK (
        (embedding_status = 'ready') = (embedding IS NOT NULL)),
    CONSTRAINT knowledge_documents_message_when_error CHECK (
        embedding_status = 'error' OR embedding_error IS NULL)
) STRICT;

CREATE INDEX knowledge_documents_recent ON knowledge_documents (user_id, updated_at DESC, id DESC);
CREATE INDEX knowledge_documents_category ON knowledge_documents (user_id, category, updated_at DESC, id DESC);
CREATE INDEX knowledge_documents_to_embed ON knowledge_documents (embedding_status, id)
    WHERE embedding_status <> 'ready';

CREATE TRIGGER knowledge_documents_touch
AFTER UPDATE ON knowledge_documents FOR EACH ROW
WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE knowledge_documents
    SET updated_at = strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z'
    WHERE id = NEW.id;
END;

-- fires before the next one where both do: names settle the order on PostgreSQL
CREATE TRIGGER knowledge_documents_steps
BEFORE UPDATE OF version ON knowledge_documents FOR EACH ROW
WHEN NEW.version NOT IN (OLD.version, OLD.version + 1)
BEGIN
    SELECT RAISE(ABORT, 'knowledge_documents_steps: a version is raised by one, when the content changes');
END;

-- an embedding of other content is none
CREATE TRIGGER knowledge_documents_version
AFTER UPDATE OF content ON knowledge_documents FOR EACH ROW
WHEN NEW.content <> OLD.content
BEGIN
    UPDATE knowledge_documents
    SET version = OLD.version + 1,
        embedding_status = CASE WHEN NEW.embedding IS OLD.embedding THEN 'pending' ELSE NEW.embedding_status END,
        embedding_error = CASE WHEN NEW.embedding IS OLD.embedding THEN NULL ELSE NEW.embedding_error END,
        embedding_model = CASE WHEN NEW.embedding IS OLD.embedding THEN NULL ELSE NEW.embedding_model END,
        embedding_dimensions =
            CASE WHEN NEW.embedding IS OLD.embedding THEN NULL ELSE NEW.embedding_dimensions END,
        embedding = CASE WHEN NEW.embedding IS OLD.embedding THEN NULL ELSE NEW.embedding END
    WHERE id = NEW.id;
END;

CREATE TABLE user_preferences (
    user_id TEXT PRIMARY KEY
        CONSTRAINT user_preferences_user REFERENCES users (id) ON DELETE CASCADE,
    theme_mode TEXT NOT NULL DEFAULT 'auto'
        CONSTRAINT user_preferences_theme_mode_known CHECK (theme_mode IN ('auto', 'light', 'dark')),
    theme_preset TEXT NOT NULL DEFAULT 'default',
    default_resource_tier_id TEXT
        CONSTRAINT user_preferences_resource_tier REFERENCES resource_tiers (id) ON DELETE SET NULL,
    default_flavor_id TEXT
        CONSTRAINT user_preferences_flavor REFERENCES container_flavors (id) ON DELETE SET NULL,
    default_addon_ids TEXT NOT NULL DEFAULT '[]'
        CONSTRAINT user_preferences_default_addon_ids_json CHECK (json_valid(default_addon_ids))
        CONSTRAINT user_preferences_default_addon_ids_array CHECK (json_type(default_addon_ids) = 'array'),
    default_agent_id TEXT,
    in_app_notifications INTEGER NOT NULL DEFAULT 1
        CONSTRAINT user_preferences_in_app_notifications_bool CHECK (in_app_notifications IN (0, 1)),
    system_notifications INTEGER NOT NULL DEFAULT 1
        CONSTRAINT user_preferences_system_notifications_bool CHECK (system_notifications IN (0, 1)),
    settings_version INTEGER NOT NULL DEFAULT 1
        CONSTRAINT user_preferences_settings_version_range CHECK (settings_version >= 1),
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT user_preferences_created_at_utc
        CHECK (created_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT user_preferences_updated_at_utc
        CHECK (updated_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z')
) STRICT;

CREATE INDEX user_preferences_tier ON user_preferences (default_resource_tier_id);
CREATE INDEX user_preferences_flavor_of ON user_preferences (default_flavor_id);

CREATE TRIGGER user_preferences_touch
AFTER UPDATE ON user_preferences FOR EACH ROW
WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE user_preferences
    SET updated_at = strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z'
    WHERE user_id = NEW.user_id;
END;

-- fires before the next one where both do: names settle the order on PostgreSQL
CREATE TRIGGER user_preferences_steps
BEFORE UPDATE OF settings_version ON user_preferences FOR EACH ROW
WHEN NEW.settings_version NOT IN (OLD.settings_version, OLD.settings_version + 1)
BEGIN
    SELECT RAISE(ABORT, 'user_preferences_steps: settings_version is raised by one with each change');
END;

CREATE TRIGGER user_preferences_version
AFTER UPDATE OF theme_mode, theme_preset, default_resource_tier_id, default_flavor_id, default_addon_ids,
    default_agent_id, in_app_notifications, system_notifications ON user_preferences FOR EACH ROW
WHEN NEW.theme_mode <> OLD.theme_mode OR NEW.theme_preset <> OLD.theme_preset
    OR NEW.default_resource_tier_id IS NOT OLD.default_resource_tier_id
    OR NEW.default_flavor_id IS NOT OLD.default_flavor_id
    OR NEW.default_addon_ids <> OLD.default_addon_ids OR NEW.default_agent_id IS NOT OLD.default_agent_id
    OR NEW.in_app_notifications <> OLD.in_app_notifications
    OR NEW.system_notifications <> OLD.system_notifications
BEGIN
    UPDATE user_preferences
    SET settings_version = OLD.settings_version + 1
    WHERE user_id = NEW.user_id;
END;

CREATE TABLE user_opencode_config (
    user_id TEXT PRIMARY KEY
        CONSTRAINT user_opencode_config_user REFERENCES users (id) ON DELETE CASCADE,
    global_config TEXT NOT NULL DEFAULT '{}'
        CONSTRAINT user_opencode_config_global_config_json CHECK (json_valid(global_config))
        CONSTRAINT user_opencode_config_global_config_object CHECK (json_type(global_config) = 'object'),
    permissions TEXT NOT NULL DEFAULT '{}'
        CONSTRAINT user_opencode_config_permissions_json CHECK (json_valid(permissions))
        CONSTRAINT user_opencode_config_permissions_object CHECK (json_type(permissions) = 'object'),
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT user_opencode_config_created_at_utc
        CHECK (created_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT user_opencode_config_updated_at_utc
        CHECK (updated_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z')
) STRICT;

CREATE TRIGGER user_opencode_config_touch
AFTER UPDATE ON user_opencode_config FOR EACH ROW
WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE user_opencode_config
    SET updated_at = strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z'
    WHERE user_id = NEW.user_id;
END;

CREATE TABLE user_opencode_files (
    id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL
        CONSTRAINT user_opencode_files_user REFERENCES users (id) ON DELETE CASCADE,
    type TEXT NOT NULL
        CONSTRAINT user_opencode_files_type_known CHECK (type IN ('agent', 'command', 'tool', 'plugin')),
    name TEXT NOT NULL
        CONSTRAINT user_opencode_files_name_given CHECK (name <> ''),
    extension TEXT NOT NULL DEFAULT 'md'
        CONSTRAINT user_opencode_files_extension_known CHECK (extension IN ('md', 'ts', 'js', 'json')),
    content TEXT NOT NULL DEFAULT '',
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT user_opencode_files_created_at_utc
        CHECK (created_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT user_opencode_files_updated_at_utc
        CHECK (updated_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    CONSTRAINT user_opencode_files_user_type_name_unique UNIQUE (user_id, type, name)
) STRICT;

CREATE TRIGGER user_opencode_files_touch
AFTER UPDATE ON user_opencode_files FOR EACH ROW
WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE user_opencode_files
    SET updated_at = strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z'
    WHERE id = NEW.id;
END;

CREATE TABLE settings (
    key TEXT PRIMARY KEY
        CONSTRAINT settings_key_given CHECK (key <> ''),
    value TEXT NOT NULL
        CONSTRAINT settings_value_json CHECK (json_valid(value)),
    description TEXT NOT NULL DEFAULT '',
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT settings_created_at_utc
        CHECK (created_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT settings_updated_at_utc
        CHECK (updated_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z')
) STRICT;

CREATE TRIGGER settings_touch
AFTER UPDATE ON settings FOR EACH ROW
WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE settings
    SET updated_at = strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z'
    WHERE key = NEW.key;
END;
