-- domain: search, workspaces
-- The messages of threads are searched by those who take part in the thread.

CREATE TRIGGER thread_messages_search_insert
AFTER INSERT ON thread_messages FOR EACH ROW
BEGIN
    INSERT INTO search_documents (kind, source_id, user_id, scope_id, title, body, updated_at)
    SELECT 'thread_message', NEW.id, NULL, NEW.thread_id, '', substr(NEW.content, 1, 200000), NEW.created_at;
END;

CREATE TRIGGER thread_messages_search_update
AFTER UPDATE OF id, thread_id, content ON thread_messages FOR EACH ROW
BEGIN
    DELETE FROM search_documents WHERE kind = 'thread_message' AND source_id = OLD.id;
    INSERT INTO search_documents (kind, source_id, user_id, scope_id, title, body, updated_at)
    SELECT 'thread_message', NEW.id, NULL, NEW.thread_id, '', substr(NEW.content, 1, 200000), NEW.created_at;
END;

CREATE TRIGGER thread_messages_search_delete
AFTER DELETE ON thread_messages FOR EACH ROW
BEGIN
    DELETE FROM search_documents WHERE kind = 'thread_message' AND source_id = OLD.id;
END;

INSERT INTO search_documents (kind, source_id, user_id, scope_id, title, body, updated_at)
SELECT 'thread_message', thread_messages.id, NULL, thread_messages.thread_id, '', substr(thread_messages.content, 1, 200000), thread_messages.created_at
FROM thread_messages;
