-- domain: providers
-- needs: accounts
-- Providers of models, what each user has to sign in there, and sign-ins that are under way.
-- Keys, tokens and device codes are sealed for their user and row; the state of a redirect stands as SHA-256.

CREATE TABLE providers (
    id TEXT PRIMARY KEY
        CONSTRAINT providers_id_given CHECK (id <> ''),
    name TEXT NOT NULL
        CONSTRAINT providers_name_given CHECK (name <> ''),
    base_url TEXT,
    auth_types TEXT NOT NULL DEFAULT '["api_key"]'
        CONSTRAINT providers_auth_types_json CHECK (json_valid(auth_types))
        CONSTRAINT providers_auth_types_list CHECK (json_type(auth_types) = 'array'),
    is_enabled INTEGER NOT NULL DEFAULT 1
        CONSTRAINT providers_is_enabled_bool CHECK (is_enabled IN (0, 1)),
    is_default INTEGER NOT NULL DEFAULT 0
        CONSTRAINT providers_is_default_bool CHECK (is_default IN (0, 1)),
    position INTEGER NOT NULL DEFAULT 0,
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT providers_created_at_utc
        CHECK (created_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT providers_updated_at_utc
        CHECK (updated_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    CONSTRAINT providers_default_enabled CHECK (NOT is_default OR is_enabled)
) STRICT;

CREATE UNIQUE INDEX providers_one_default ON providers (is_default) WHERE is_default;
CREATE INDEX providers_position ON providers (position, id);

CREATE TRIGGER providers_touch
AFTER UPDATE ON providers FOR EACH ROW
WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE providers
    SET updated_at = strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z'
    WHERE id = NEW.id;
END;

CREATE TABLE provider_credentials (
    id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL
        CONSTRAINT provider_credentials_user REFERENCES users (id) ON DELETE CASCADE,
    provider_id TEXT NOT NULL
        CONSTRAINT provider_credentials_provider REFERENCES providers (id),
    auth_type TEXT NOT NULL
        CONSTRAINT provider_credentials_auth_type_known CHECK (auth_type IN ('api_key', 'oauth', 'device_flow')),
    api_key TEXT
        CONSTRAINT provider_credentials_api_key_sealed CHECK (api_key GLOB 'dl[0-9]:*:*'),
    access_token TEXT
        CONSTRAINT provider_credentials_access_token_sealed CHECK (access_token GLOB 'dl[0-9]:*:*'),
    refresh_token TEXT
        CONSTRAINT provider_credentials_refresh_token_sealed CHECK (refresh_token GLOB 'dl[0-9]:*:*'),
    masked_preview TEXT NOT NULL DEFAULT ''
        CONSTRAINT provider_credentials_masked_preview_short CHECK (length(masked_preview) <= 16),
    scope TEXT,
    expires_at TEXT
        CONSTRAINT provider_credentials_expires_at_utc
        CHECK (expires_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    last_used_at TEXT
        CONSTRAINT provider_credentials_last_used_at_utc
        CHECK (last_used_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT provider_credentials_created_at_utc
        CHECK (created_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT provider_credentials_updated_at_utc
        CHECK (updated_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    CONSTRAINT provider_credentials_user_provider_unique UNIQUE (user_id, provider_id),
    CONSTRAINT provider_credentials_key_or_tokens CHECK (
        (auth_type = 'api_key') = (api_key IS NOT NULL)
        AND (auth_type <> 'api_key') = (access_token IS NOT NULL)
        AND (auth_type <> 'api_key' OR refresh_token IS NULL))
) STRICT;

CREATE INDEX provider_credentials_provider_id ON provider_credentials (provider_id);
CREATE INDEX provider_credentials_expiry ON provider_credentials (expires_at) WHERE expires_at IS NOT NULL;

CREATE TRIGGER provider_credentials_touch
AFTER UPDATE ON provider_credentials FOR EACH ROW
WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE provider_credentials
    SET updated_at = strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z'
    WHERE id = NEW.id;
END;

CREATE TABLE oauth_state (
    id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL
        CONSTRAINT oauth_state_user REFERENCES users (id) ON DELETE CASCADE,
    provider_id TEXT NOT NULL
        CONSTRAINT oauth_state_provider REFERENCES providers (id),
    flow TEXT NOT NULL
        CONSTRAINT oauth_state_flow_known CHECK (flow IN ('redirect', 'device_flow')),
    status TEXT NOT NULL DEFAULT 'pending'
        CONSTRAINT oauth_state_status_known CHECK (status IN ('pending', 'completed', 'denied', 'failed', 'expired')),
    state TEXT
        CONSTRAINT oauth_state_state_hash CHECK (length(state) = 64 AND state NOT GLOB '*[^0-9a-f]*')
        CONSTRAINT oauth_state_state_unique UNIQUE,
    code_verifier TEXT
        CONSTRAINT oauth_state_code_verifier_sealed CHECK (code_verifier GLOB 'dl[0-9]:*:*'),
    redirect_uri TEXT,
    device_code TEXT
        CONSTRAINT oauth_state_device_code_sealed CHECK (device_code GLOB 'dl[0-9]:*:*'),
    user_code TEXT,
    verification_uri TEXT,
    interval_s INTEGER NOT NULL DEFAULT 5
        CONSTRAINT oauth_state_interval_s_range CHECK (interval_s BETWEEN 1 AND 3600),
    last_polled_at TEXT
        CONSTRAINT oauth_state_last_polled_at_utc
        CHECK (last_polled_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    error_message TEXT,
    expires_at TEXT NOT NULL
        CONSTRAINT oauth_state_expires_at_utc
        CHECK (expires_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT oauth_state_created_at_utc
        CHECK (created_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT oauth_state_updated_at_utc
        CHECK (updated_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    CONSTRAINT oauth_state_redirect_whole CHECK (
        flow <> 'redirect' OR (state IS NOT NULL AND device_code IS NULL AND user_code IS NULL)),
    CONSTRAINT oauth_state_device_whole CHECK (
        flow <> 'device_flow' OR (state IS NULL AND user_code IS NOT NULL AND verification_uri IS NOT NULL)),
    CONSTRAINT oauth_state_device_code_while_pending CHECK (
        flow <> 'device_flow' OR (status = 'pending') = (device_code IS NOT NULL)),
    CONSTRAINT oauth_state_verifier_while_pending CHECK (status = 'pending' OR code_verifier IS NULL)
) STRICT;

CREATE INDEX oauth_state_user_id ON oauth_state (user_id, id DESC);
CREATE INDEX oauth_state_provider_id ON oauth_state (provider_id);
CREATE INDEX oauth_state_expiry ON oauth_state (expires_at, id);
CREATE INDEX oauth_state_pending ON oauth_state (expires_at, id) WHERE status = 'pending';

CREATE TRIGGER oauth_state_touch
AFTER UPDATE ON oauth_state FOR EACH ROW
WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE oauth_state
    SET updated_at = strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z'
    WHERE id = NEW.id;
END;

CREATE TRIGGER oauth_state_ends_once
BEFORE UPDATE OF status ON oauth_state FOR EACH ROW
WHEN OLD.status <> 'pending' AND NEW.status <> OLD.status
BEGIN
    SELECT RAISE(ABORT, 'oauth_state_ends_once: a sign-in that has ended keeps its status');
END;

INSERT INTO providers (id, name, base_url, auth_types, is_default, position, created_at, updated_at)
VALUES
    ('anthropic', 'Anthropic', 'https://api.anthropic.com', '["api_key", "oauth"]', 1, 1, '2026-01-01T00:00:00.000000Z', '2026-01-01T00:00:00.000000Z'),
    ('openai', 'OpenAI', 'https://api.openai.com', '["api_key", "oauth"]', 0, 2, '2026-01-01T00:00:00.000000Z', '2026-01-01T00:00:00.000000Z'),
    ('google', 'Google', 'https://generativelanguage.googleapis.com', '["api_key", "oauth"]', 0, 3, '2026-01-01T00:00:00.000000Z', '2026-01-01T00:00:00.000000Z'),
    ('github-copilot', 'GitHub Copilot', 'https://api.githubcopilot.com', '["device_flow"]', 0, 4, '2026-01-01T00:00:00.000000Z', '2026-01-01T00:00:00.000000Z'),
    ('openrouter', 'OpenRouter', 'https://openrouter.ai', '["api_key"]', 0, 5, '2026-01-01T00:00:00.000000Z', '2026-01-01T00:00:00.000000Z');
