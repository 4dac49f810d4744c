-- With this predicate the index is for looking over all that waits, and never for one stream: PostgreSQL took it there,
-- too, and read everything that waits, and what was told since the last vacuum, for each stream.
DROP INDEX orders_outbox_waiting;
CREATE INDEX orders_outbox_waiting ON orders_outbox (put_at) WHERE kept IS NULL AND put_at > 0;
