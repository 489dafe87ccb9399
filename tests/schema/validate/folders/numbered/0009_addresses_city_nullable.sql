-- city may be empty for post boxes, so NOT NULL goes
CREATE TABLE addresses_new (
    id INTEGER PRIMARY KEY,
    account_id INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    street TEXT NOT NULL,
    city TEXT
);
INSERT INTO addresses_new (id, account_id, street, city) SELECT id, account_id, street, city FROM addresses;
DROP TABLE addresses;
ALTER TABLE addresses_new RENAME TO addresses;
CREATE INDEX addresses_account ON addresses (account_id);
