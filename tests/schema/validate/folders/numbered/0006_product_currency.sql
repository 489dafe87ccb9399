-- SQLite cannot add a CHECK in place: the table is built anew.
CREATE TABLE products_new (
    sku TEXT PRIMARY KEY,
    category_id INTEGER NOT NULL REFERENCES categories (id),
    title TEXT NOT NULL,
    price_cents INTEGER NOT NULL CHECK (price_cents >= 0),
    currency TEXT NOT NULL DEFAULT 'EUR' CHECK (length(currency) = 3),
    attributes TEXT CHECK (attributes IS NULL OR json_valid(attributes)),
    "order" INTEGER DEFAULT 0
) WITHOUT ROWID;
INSERT INTO products_new (sku, category_id, title, price_cents, attributes, "order")
SELECT sku, category_id, title, price_cents, attributes, "order" FROM products;
DROP TRIGGER products_search;
DROP TABLE products;
ALTER TABLE products_new RENAME TO products;
CREATE INDEX products_category ON products (category_id, title);
CREATE TRIGGER products_search AFTER INSERT ON products
BEGIN
    INSERT INTO product_search (rowid, title) VALUES ((SELECT count(*) FROM products), NEW.title);
END;
