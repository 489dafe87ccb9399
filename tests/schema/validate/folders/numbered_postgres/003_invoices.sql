CREATE TABLE billing.invoices (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    customer_id bigint NOT NULL REFERENCES customers (id) ON DELETE RESTRICT,
    state invoice_state NOT NULL DEFAULT 'draft',
    total numeric(12, 2) NOT NULL DEFAULT 0,
    period daterange NOT NULL,
    issued_on date,
    CONSTRAINT invoices_pk PRIMARY KEY (id),
    CONSTRAINT invoices_once EXCLUDE USING gist (period WITH &&)
);
CREATE INDEX invoices_customer ON billing.invoices (customer_id) INCLUDE (total);
CREATE INDEX invoices_open ON billing.invoices (issued_on) WHERE state <> 'paid';
ALTER TABLE billing.invoices ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON billing.invoices USING (customer_id = current_setting('app.customer')::bigint);
GRANT SELECT ON billing.invoices TO PUBLIC;
