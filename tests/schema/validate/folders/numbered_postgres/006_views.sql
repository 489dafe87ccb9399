CREATE MATERIALIZED VIEW customer_totals AS
SELECT c.id, sum(i.total) AS total FROM customers c JOIN billing.invoices i ON i.customer_id = c.id GROUP BY c.id
WITH NO DATA;
CREATE UNIQUE INDEX customer_totals_id ON customer_totals (id);
CREATE VIEW unpaid AS SELECT * FROM billing.invoices WHERE state = 'sent';
