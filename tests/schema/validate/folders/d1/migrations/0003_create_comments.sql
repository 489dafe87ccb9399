CREATE TABLE comments (
    id INTEGER PRIMARY KEY,
    post_id INTEGER NOT NULL REFERENCES posts (id) ON DELETE CASCADE,
    author TEXT,
    body TEXT NOT NULL CHECK (length(body) > 0)
);
CREATE INDEX comments_post ON comments (post_id, id);
