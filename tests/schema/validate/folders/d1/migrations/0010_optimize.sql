CREATE INDEX posts_title ON posts (title COLLATE NOCASE);
PRAGMA optimize;
