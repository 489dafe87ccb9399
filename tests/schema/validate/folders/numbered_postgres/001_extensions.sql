CREATE EXTENSION IF NOT EXISTS pgcrypto;
CREATE SCHEMA billing;
CREATE TYPE invoice_state AS ENUM ('draft', 'sent', 'paid');
CREATE DOMAIN cents AS bigint CHECK (VALUE >= 0);
