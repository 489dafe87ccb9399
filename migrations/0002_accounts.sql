-- domain: accounts
-- The users that every other domain refers to, with their sessions, linked accounts and verifications.
-- Case of an e-mail is ignored for the letters of ASCII, on both engines alike. Tokens stand as SHA-256 in
-- hexadecimal, OAuth tokens as sealed text, passwords as a hash in PHC form: plain ones are refused.

CREATE TABLE users (
    id TEXT PRIMARY KEY
        CONSTRAINT users_id_given CHECK (id <> ''),
    email TEXT
        CONSTRAINT users_email_form CHECK (
            length(email) <= 320 AND instr(email, '@') > 1 AND instr(email, '@') < length(email)
            AND instr(email, ' ') = 0),
    display_name TEXT NOT NULL DEFAULT '',
    avatar_url TEXT,
    email_verified INTEGER NOT NULL DEFAULT 0
        CONSTRAINT users_email_verified_bool CHECK (email_verified IN (0, 1)),
    suspended INTEGER NOT NULL DEFAULT 0
        CONSTRAINT users_suspended_bool CHECK (suspended IN (0, 1)),
    suspended_reason TEXT,
    locale TEXT NOT NULL DEFAULT 'en'
        CONSTRAINT users_locale_given CHECK (locale <> ''),
    timezone TEXT NOT NULL DEFAULT 'UTC'
        CONSTRAINT users_timezone_given CHECK (timezone <> ''),
    last_seen_at TEXT
        CONSTRAINT users_last_seen_at_utc
        CHECK (last_seen_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT users_created_at_utc
        CHECK (created_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT users_updated_at_utc
        CHECK (updated_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    CONSTRAINT users_verified_email_given CHECK (NOT email_verified OR email IS NOT NULL),
    CONSTRAINT users_reason_when_suspended CHECK (suspended OR suspended_reason IS NULL)
) STRICT;

CREATE UNIQUE INDEX users_email ON users (lower(email));
CREATE INDEX users_display_name ON users (display_name, id);

CREATE TRIGGER users_touch
AFTER UPDATE ON users FOR EACH ROW
WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE users
    SET updated_at = strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z'
    WHERE id = NEW.id;
END;

CREATE TRIGGER users_new_email_unverified
AFTER UPDATE OF email ON users FOR EACH ROW
WHEN OLD.email_verified AND NEW.email_verified AND NEW.email IS NOT NULL AND lower(NEW.email) IS NOT lower(OLD.email)
BEGIN
    UPDATE users
    SET email_verified = 0
    WHERE id = NEW.id;
END;

CREATE TABLE auth_sessions (
    id TEXT PRIMARY KEY,
    token TEXT NOT NULL
        CONSTRAINT auth_sessions_token_hash CHECK (length(token) = 64 AND token NOT GLOB '*[^0-9a-f]*')
        CONSTRAINT auth_sessions_token_unique UNIQUE,
    user_id TEXT NOT NULL
        CONSTRAINT auth_sessions_user REFERENCES users (id) ON DELETE CASCADE,
    expires_at TEXT NOT NULL
        CONSTRAINT auth_sessions_expires_at_utc
        CHECK (expires_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    ip_address TEXT,
    user_agent TEXT,
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT auth_sessions_created_at_utc
        CHECK (created_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT auth_sessions_updated_at_utc
        CHECK (updated_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z')
) STRICT;

CREATE INDEX auth_sessions_user_id ON auth_sessions (user_id, expires_at DESC);
CREATE INDEX auth_sessions_expiry ON auth_sessions (expires_at);

CREATE TRIGGER auth_sessions_touch
AFTER UPDATE ON auth_sessions FOR EACH ROW
WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE auth_sessions
    SET updated_at = strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z'
    WHERE id = NEW.id;
END;

CREATE TRIGGER auth_sessions_user_not_suspended
BEFORE INSERT ON auth_sessions FOR EACH ROW
BEGIN
    SELECT id FROM users WHERE id = NEW.user_id;
    SELECT RAISE(ABORT, 'auth_sessions_user_not_suspended: a suspended user opens no session')
    WHERE EXISTS (SELECT 1 FROM users WHERE id = NEW.user_id AND suspended);
END;

CREATE TRIGGER auth_sessions_same_user
BEFORE UPDATE OF user_id ON auth_sessions FOR EACH ROW
WHEN NEW.user_id <> OLD.user_id
BEGIN
    SELECT RAISE(ABORT, 'auth_sessions_same_user: a session stays with the user who opened it');
END;

CREATE TRIGGER users_suspended_sessions
AFTER UPDATE OF suspended ON users FOR EACH ROW
WHEN NEW.suspended AND NOT OLD.suspended
BEGIN
    DELETE FROM auth_sessions WHERE user_id = NEW.id;
END;

CREATE TABLE auth_accounts (
    id TEXT PRIMARY KEY,
    provider_id TEXT NOT NULL
        CONSTRAINT auth_accounts_provider_id_given CHECK (provider_id <> ''),
    account_id TEXT NOT NULL
        CONSTRAINT auth_accounts_account_id_given CHECK (account_id <> ''),
    user_id TEXT NOT NULL
        CONSTRAINT auth_accounts_user REFERENCES users (id) ON DELETE CASCADE,
    access_token TEXT
        CONSTRAINT auth_accounts_access_token_sealed CHECK (access_token GLOB 'dl[0-9]:*:*'),
    refresh_token TEXT
        CONSTRAINT auth_accounts_refresh_token_sealed CHECK (refresh_token GLOB 'dl[0-9]:*:*'),
    id_token TEXT
        CONSTRAINT auth_accounts_id_token_sealed CHECK (id_token GLOB 'dl[0-9]:*:*'),
    access_token_expires_at TEXT
        CONSTRAINT auth_accounts_access_token_expires_at_utc
        CHECK (access_token_expires_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    refresh_token_expires_at TEXT
        CONSTRAINT auth_accounts_refresh_token_expires_at_utc
        CHECK (refresh_token_expires_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    scope TEXT,
    password_hash TEXT
        CONSTRAINT auth_accounts_password_hash_form CHECK (password_hash GLOB '$[a-z]*$*'),
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT auth_accounts_created_at_utc
        CHECK (created_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT auth_accounts_updated_at_utc
        CHECK (updated_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    CONSTRAINT auth_accounts_provider_account_unique UNIQUE (provider_id, account_id)
) STRICT;

CREATE INDEX auth_accounts_user_id ON auth_accounts (user_id, provider_id);

CREATE TRIGGER auth_accounts_touch
AFTER UPDATE ON auth_accounts FOR EACH ROW
WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE auth_accounts
    SET updated_at = strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z'
    WHERE id = NEW.id;
END;

CREATE TABLE auth_verifications (
    id TEXT PRIMARY KEY,
    identifier TEXT NOT NULL
        CONSTRAINT auth_verifications_identifier_given CHECK (identifier <> ''),
    value TEXT NOT NULL
        CONSTRAINT auth_verifications_value_hash CHECK (length(value) = 64 AND value NOT GLOB '*[^0-9a-f]*'),
    expires_at TEXT NOT NULL
        CONSTRAINT auth_verifications_expires_at_utc
        CHECK (expires_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT auth_verifications_created_at_utc
        CHECK (created_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT auth_verifications_updated_at_utc
        CHECK (updated_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    CONSTRAINT auth_verifications_identifier_value_unique UNIQUE (identifier, value)
) STRICT;

CREATE INDEX auth_verifications_expiry ON auth_verifications (expires_at);

CREATE TRIGGER auth_verifications_touch
AFTER UPDATE ON auth_verifications FOR EACH ROW
WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE auth_verifications
    SET updated_at = strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z'
    WHERE id = NEW.id;
END;
