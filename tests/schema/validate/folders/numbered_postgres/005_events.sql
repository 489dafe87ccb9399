CREATE TABLE events (
    id bigserial,
    at timestamptz NOT NULL,
    customer_id bigint,
    payload json
) PARTITION BY RANGE (at);
CREATE TABLE events_2026 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE INDEX events_at ON events (at);
CREATE SEQUENCE ticket START 1000;
