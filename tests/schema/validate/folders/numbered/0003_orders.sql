CREATE TABLE orders (
    id INTEGER PRIMARY KEY,
    account_id INTEGER NOT NULL REFERENCES accounts (id),
    placed_at TEXT,
    total_cents INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE order_lines (
    order_id INTEGER NOT NULL,
    line INTEGER NOT NULL,
    sku TEXT NOT NULL,
    quantity INTEGER NOT NULL DEFAULT 1 CHECK (quantity BETWEEN 1 AND 999),
    price_cents INTEGER NOT NULL,
    amount_cents INTEGER GENERATED ALWAYS AS (quantity * price_cents) STORED,
    PRIMARY KEY (order_id, line),
    FOREIGN KEY (order_id) REFERENCES orders (id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    FOREIGN KEY (sku) REFERENCES products (sku)
);
CREATE INDEX order_lines_sku ON order_lines (sku);
CREATE INDEX orders_account ON orders (account_id);
CREATE INDEX orders_open ON orders (placed_at) WHERE placed_at IS NULL;

CREATE TRIGGER order_lines_total AFTER INSERT ON order_lines
BEGIN
    UPDATE orders
    SET total_cents = (SELECT sum(amount_cents) FROM order_lines WHERE order_id = NEW.order_id)
    WHERE id = NEW.order_id;
END;
