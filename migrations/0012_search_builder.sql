-- domain: search, builder
-- The messages of builder threads are searched.

CREATE TRIGGER builder_messages_search_insert
AFTER INSERT ON builder_messages FOR EACH ROW
BEGIN
    INSERT INTO search_documents (kind, source_id, user_id, scope_id, title, body, updated_at)
    SELECT 'builder_message', NEW.id, builder_threads.user_id, NULL, '', substr(NEW.content, 1, 200000), NEW.created_at
    FROM builder_threads WHERE builder_threads.id = NEW.thread_id;
END;

CREATE TRIGGER builder_messages_search_update
AFTER UPDATE OF id, thread_id, content ON builder_messages FOR EACH ROW
BEGIN
    DELETE FROM search_documents WHERE kind = 'builder_message' AND source_id = OLD.id;
    INSERT INTO search_documents (kind, source_id, user_id, scope_id, title, body, updated_at)
    SELECT 'builder_message', NEW.id, builder_threads.user_id, NULL, '', substr(NEW.content, 1, 200000), NEW.created_at
    FROM builder_threads WHERE builder_threads.id = NEW.thread_id;
END;

CREATE TRIGGER builder_messages_search_delete
AFTER DELETE ON builder_messages FOR EACH ROW
BEGIN
    DELETE FROM search_documents WHERE kind = 'builder_message' AND source_id = OLD.id;
END;

INSERT INTO search_documents (kind, source_id, user_id, scope_id, title, body, updated_at)
SELECT 'builder_message', builder_messages.id, builder_threads.user_id, NULL, '', substr(builder_messages.content, 1, 200000), builder_messages.created_at
FROM builder_messages
JOIN builder_threads ON builder_threads.id = builder_messages.thread_id;
