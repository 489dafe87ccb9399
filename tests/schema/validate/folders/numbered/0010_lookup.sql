CREATE INDEX accounts_lower_name ON accounts (lower(display_name), id DESC);
ALTER TABLE orders RENAME COLUMN placed_at TO ordered_at;
DROP VIEW open_orders;
CREATE VIEW open_orders AS
SELECT o.id, a.email, o.total_cents FROM orders AS o JOIN accounts AS a ON a.id = o.account_id
WHERE o.ordered_at IS NULL;
INSERT INTO categories (id, name) VALUES (1, 'books') ON CONFLICT (id) DO UPDATE SET name = excluded.name;
