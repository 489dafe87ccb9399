CREATE TABLE categories (
    id INTEGER PRIMARY KEY,
    parent_id INTEGER REFERENCES categories (id),
    name TEXT NOT NULL
);
CREATE INDEX categories_parent ON categories (parent_id);

CREATE TABLE products (
    sku TEXT PRIMARY KEY,
    category_id INTEGER NOT NULL REFERENCES categories (id),
    title TEXT NOT NULL,
    price_cents INTEGER NOT NULL CHECK (price_cents >= 0),
    attributes TEXT CHECK (attributes IS NULL OR json_valid(attributes)),
    "order" INTEGER DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX products_category ON products (category_id, title);

INSERT INTO categories (id, name) VALUES (1, 'books; and others'), (2, 'music');
INSERT INTO categories (parent_id, name) SELECT id, name || ' (used)' FROM categories;
