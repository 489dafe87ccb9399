WITH recent AS (SELECT id FROM customers WHERE created_at > now() - interval '1 year')
UPDATE customers SET phone = '+49' FROM recent WHERE recent.id = customers.id;
INSERT INTO customers (name, email) VALUES ('a', 'b') ON CONFLICT (email) DO UPDATE SET name = excluded.name;
DELETE FROM events WHERE at < '2020-01-01';
REFRESH MATERIALIZED VIEW customer_totals;
