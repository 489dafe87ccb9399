-- domain: search
-- What can be searched by words, one row for each text, kept by triggers of the tables that the texts stand in.
-- The words are in search_words: FTS5 here, on PostgreSQL an index of search_documents, whose rows hold less than
-- 1 MB of words: so much of a text is searched.

CREATE TABLE search_documents (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL
        CONSTRAINT search_documents_kind_known CHECK (kind IN (
            'session', 'draft', 'draft_message', 'builder_message', 'knowledge', 'chat_message', 'thread_message')),
    source_id TEXT NOT NULL,
    -- whose text it is; NULL where it belongs to no user alone
    user_id TEXT,
    -- the thread whose participants may read it
    scope_id TEXT,
    title TEXT NOT NULL DEFAULT '',
    body TEXT NOT NULL DEFAULT '',
    updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z')
        CONSTRAINT search_documents_updated_at_utc
        CHECK (updated_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    CONSTRAINT search_documents_source_unique UNIQUE (kind, source_id)
) STRICT;

CREATE VIRTUAL TABLE search_words USING fts5(
    title, body,
    content='search_documents', content_rowid='id', tokenize='unicode61 remove_diacritics 0'
);

CREATE TRIGGER search_words_insert
AFTER INSERT ON search_documents FOR EACH ROW
BEGIN
    INSERT INTO search_words (rowid, title, body) VALUES (NEW.id, NEW.title, NEW.body);
END;

CREATE TRIGGER search_words_delete
AFTER DELETE ON search_documents FOR EACH ROW
BEGIN
    INSERT INTO search_words (search_words, rowid, title, body) VALUES ('delete', OLD.id, OLD.title, OLD.body);
END;

CREATE TRIGGER search_words_update
AFTER UPDATE OF id, title, body ON search_documents FOR EACH ROW
BEGIN
    INSERT INTO search_words (search_words, rowid, title, body) VALUES ('delete', OLD.id, OLD.title, OLD.body);
    INSERT INTO search_words (rowid, title, body) VALUES (NEW.id, NEW.title, NEW.body);
END;

CREATE TRIGGER sessions_search_insert
AFTER INSERT ON sessions FOR EACH ROW
BEGIN
    INSERT INTO search_documents (kind, source_id, user_id, scope_id, title, body, updated_at)
    SELECT 'session', NEW.id, NULL, NULL, substr(NEW.name, 1, 1000), substr(NEW.task_description, 1, 200000), NEW.updated_at;
END;

CREATE TRIGGER sessions_search_update
AFTER UPDATE OF id, name, task_description ON sessions FOR EACH ROW
BEGIN
    DELETE FROM search_documents WHERE kind = 'session' AND source_id = OLD.id;
    INSERT INTO search_documents (kind, source_id, user_id, scope_id, title, body, updated_at)
    SELECT 'session', NEW.id, NULL, NULL, substr(NEW.name, 1, 1000), substr(NEW.task_description, 1, 200000), NEW.updated_at;
END;

CREATE TRIGGER sessions_search_delete
AFTER DELETE ON sessions FOR EACH ROW
BEGIN
    DELETE FROM search_documents WHERE kind = 'session' AND source_id = OLD.id;
END;

INSERT INTO search_documents (kind, source_id, user_id, scope_id, title, body, updated_at)
SELECT 'session', sessions.id, NULL, NULL, substr(name, 1, 1000), substr(task_description, 1, 200000), updated_at
FROM sessions;
