CREATE TABLE payments (
    id TEXT PRIMARY KEY DEFAULT (lower(hex(randomblob(16)))),
    order_id INTEGER NOT NULL REFERENCES orders (id),
    method TEXT NOT NULL CHECK (method IN ('card', 'bank')),
    amount_cents INTEGER NOT NULL
);
CREATE UNIQUE INDEX payments_order ON payments (order_id, method);
WITH due AS (SELECT id, total_cents FROM orders WHERE placed_at IS NOT NULL)
INSERT INTO payments (order_id, method, amount_cents) SELECT id, 'bank', total_cents FROM due;
