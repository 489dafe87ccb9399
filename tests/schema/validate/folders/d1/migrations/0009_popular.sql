CREATE VIEW popular AS
SELECT p.id, p.title, count(c.id) AS comments FROM posts p LEFT JOIN comments c ON c.post_id = p.id GROUP BY p.id;
