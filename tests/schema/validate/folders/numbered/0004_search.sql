CREATE VIRTUAL TABLE product_search USING fts5 (title, content='');
CREATE TRIGGER products_search AFTER INSERT ON products
BEGIN
    INSERT INTO product_search (rowid, title) VALUES ((SELECT count(*) FROM products), NEW.title);
END;
CREATE VIEW open_orders AS
SELECT o.id, a.email, o.total_cents FROM orders AS o JOIN accounts AS a ON a.id = o.account_id
WHERE o.placed_at IS NULL;
