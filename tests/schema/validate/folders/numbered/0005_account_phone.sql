ALTER TABLE accounts ADD COLUMN phone TEXT;
ALTER TABLE accounts ADD COLUMN newsletter INTEGER NOT NULL DEFAULT 0 CHECK (newsletter IN (0, 1));
UPDATE accounts SET phone = '' WHERE phone IS NULL;
CREATE INDEX accounts_phone ON accounts (phone) WHERE phone <> '';
