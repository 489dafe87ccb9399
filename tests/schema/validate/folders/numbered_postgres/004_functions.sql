CREATE OR REPLACE FUNCTION billing.touch() RETURNS trigger AS $body$
DECLARE
    n integer;
BEGIN
    SELECT count(*) INTO n FROM customers;
    RETURN NEW;
END;
$body$ LANGUAGE plpgsql;
CREATE TRIGGER invoices_touch BEFORE UPDATE ON billing.invoices
    FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION billing.touch();
CREATE FUNCTION plus(a integer, b integer) RETURNS integer LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
    SELECT a + b;
END;
