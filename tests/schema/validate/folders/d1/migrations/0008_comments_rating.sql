PRAGMA defer_foreign_keys = true;
CREATE TABLE comments_new (
    id INTEGER PRIMARY KEY,
    post_id INTEGER NOT NULL REFERENCES posts (id) ON DELETE CASCADE,
    author_name TEXT,
    body TEXT NOT NULL CHECK (length(body) > 0),
    rating INTEGER CHECK (rating BETWEEN 1 AND 5)
);
INSERT INTO comments_new (id, post_id, author_name, body) SELECT id, post_id, author_name, body FROM comments;
DROP TABLE comments;
ALTER TABLE comments_new RENAME TO comments;
CREATE INDEX comments_post ON comments (post_id, id);
