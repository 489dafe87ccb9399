SET lock_timeout = '2s';
ALTER TABLE customers
    ADD COLUMN phone text,
    ADD COLUMN IF NOT EXISTS country char(2) NOT NULL DEFAULT 'DE',
    ALTER COLUMN email SET DEFAULT '';
ALTER TABLE customers ADD CONSTRAINT customers_phone_given CHECK (phone <> '') NOT VALID;
