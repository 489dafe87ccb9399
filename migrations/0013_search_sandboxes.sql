-- domain: search, sandboxes
-- Knowledge documents are searched, and the messages of sandboxes' chats once they are complete.

CREATE TRIGGER knowledge_documents_search_insert
AFTER INSERT ON knowledge_documents FOR EACH ROW
BEGIN
    INSERT INTO search_documents (kind, source_id, user_id, scope_id, title, body, updated_at)
    SELECT 'knowledge', NEW.id, NEW.user_id, NULL, substr(NEW.title, 1, 1000), substr(NEW.content, 1, 200000), NEW.updated_at;
END;

CREATE TRIGGER knowledge_documents_search_update
AFTER UPDATE OF id, user_id, title, content ON knowledge_documents FOR EACH ROW
BEGIN
    DELETE FROM search_documents WHERE kind = 'knowledge' AND source_id = OLD.id;
    INSERT INTO search_documents (kind, source_id, user_id, scope_id, title, body, updated_at)
    SELECT 'knowledge', NEW.id, NEW.user_id, NULL, substr(NEW.title, 1, 1000), substr(NEW.content, 1, 200000), NEW.updated_at;
END;

CREATE TRIGGER knowledge_documents_search_delete
AFTER DELETE ON knowledge_documents FOR EACH ROW
BEGIN
    DELETE FROM search_documents WHERE kind = 'knowledge' AND source_id = OLD.id;
END;

CREATE TRIGGER chat_messages_search_insert
AFTER INSERT ON chat_messages FOR EACH ROW
WHEN NEW.status <> 'streaming'
BEGIN
    INSERT INTO search_documents (kind, source_id, user_id, scope_id, title, body, updated_at)
    SELECT 'chat_message', NEW.id, chat_sessions.user_id, NULL, '', substr(NEW.content, 1, 200000), NEW.created_at
    FROM chat_sessions WHERE chat_sessions.id = NEW.session_id;
END;

CREATE TRIGGER chat_messages_search_update
AFTER UPDATE OF id, session_id, content, status ON chat_messages FOR EACH ROW
WHEN NEW.status <> 'streaming'
BEGIN
    DELETE FROM search_documents WHERE kind = 'chat_message' AND source_id = OLD.id;
    INSERT INTO search_documents (kind, source_id, user_id, scope_id, title, body, updated_at)
    SELECT 'chat_message', NEW.id, chat_sessions.user_id, NULL, '', substr(NEW.content, 1, 200000), NEW.created_at
    FROM chat_sessions WHERE chat_sessions.id = NEW.session_id;
END;

CREATE TRIGGER chat_messages_search_delete
AFTER DELETE ON chat_messages FOR EACH ROW
BEGIN
    DELETE FROM search_documents WHERE kind = 'chat_message' AND source_id = OLD.id;
END;

INSERT INTO search_documents (kind, source_id, user_id, scope_id, title, body, updated_at)
SELECT 'knowledge', knowledge_documents.id, user_id, NULL, substr(title, 1, 1000), substr(content, 1, 200000), updated_at
FROM knowledge_documents;

INSERT INTO search_documents (kind, source_id, user_id, scope_id, title, body, updated_at)
SELECT 'chat_message', chat_messages.id, chat_sessions.user_id, NULL, '', substr(chat_messages.content, 1, 200000), chat_messages.created_at
FROM chat_messages
JOIN chat_sessions ON chat_sessions.id = chat_messages.session_id
WHERE chat_messages.status <> 'streaming';
