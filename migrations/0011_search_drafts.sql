-- domain: search, drafts
-- Drafts are searched by title, description and current version, and the chat about them.

CREATE TRIGGER draft_search_insert
AFTER INSERT ON draft FOR EACH ROW
BEGIN
    INSERT INTO search_documents (kind, source_id, user_id, scope_id, title, body, updated_at)
    SELECT 'draft', NEW.id, NEW.user_id, NULL, coalesce(NEW.title, ''), substr(coalesce(NEW.description, '') || ' ' || coalesce((
        SELECT content FROM version WHERE version.id = NEW.current_version_id), ''), 1, 200000), NEW.updated_at;
END;

CREATE TRIGGER draft_search_update
AFTER UPDATE OF id, user_id, title, description, current_version_id ON draft FOR EACH ROW
BEGIN
    DELETE FROM search_documents WHERE kind = 'draft' AND source_id = OLD.id;
    INSERT INTO search_documents (kind, source_id, user_id, scope_id, title, body, updated_at)
    SELECT 'draft', NEW.id, NEW.user_id, NULL, coalesce(NEW.title, ''), substr(coalesce(NEW.description, '') || ' ' || coalesce((
        SELECT content FROM version WHERE version.id = NEW.current_version_id), ''), 1, 200000), NEW.updated_at;
END;

CREATE TRIGGER draft_search_delete
AFTER DELETE ON draft FOR EACH ROW
BEGIN
    DELETE FROM search_documents WHERE kind = 'draft' AND source_id = OLD.id;
END;

CREATE TRIGGER chat_message_search_insert
AFTER INSERT ON chat_message FOR EACH ROW
BEGIN
    INSERT INTO search_documents (kind, source_id, user_id, scope_id, title, body, updated_at)
    SELECT 'draft_message', NEW.id, draft.user_id, NULL, '', substr(NEW.content, 1, 200000), NEW.created_at
    FROM draft WHERE draft.id = NEW.draft_id;
END;

CREATE TRIGGER chat_message_search_update
AFTER UPDATE OF id, draft_id, content ON chat_message FOR EACH ROW
BEGIN
    DELETE FROM search_documents WHERE kind = 'draft_message' AND source_id = OLD.id;
    INSERT INTO search_documents (kind, source_id, user_id, scope_id, title, body, updated_at)
    SELECT 'draft_message', NEW.id, draft.user_id, NULL, '', substr(NEW.content, 1, 200000), NEW.created_at
    FROM draft WHERE draft.id = NEW.draft_id;
END;

CREATE TRIGGER chat_message_search_delete
AFTER DELETE ON chat_message FOR EACH ROW
BEGIN
    DELETE FROM search_documents WHERE kind = 'draft_message' AND source_id = OLD.id;
END;

INSERT INTO search_documents (kind, source_id, user_id, scope_id, title, body, updated_at)
SELECT 'draft', draft.id, draft.user_id, NULL, coalesce(draft.title, ''), substr(coalesce(draft.description, '') || ' ' || coalesce(version.content, ''), 1, 200000), draft.updated_at
FROM draft
LEFT JOIN version ON version.id = draft.current_version_id;

INSERT INTO search_documents (kind, source_id, user_id, scope_id, title, body, updated_at)
SELECT 'draft_message', chat_message.id, draft.user_id, NULL, '', substr(chat_message.content, 1, 200000), chat_message.created_at
FROM chat_message
JOIN draft ON draft.id = chat_message.draft_id;
