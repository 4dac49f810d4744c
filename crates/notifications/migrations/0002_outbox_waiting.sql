-- With this predicate the index is for looking over all that waits, and never for one stream: PostgreSQL took it there,
-- too, and read everything that waits, and what was told since the last vacuum, for each stream.
DROP INDEX notifications_outbox_waiting;
CREATE INDEX notifications_outbox_waiting ON notifications_outbox (put_at) WHERE kept IS NULL AND put_at > 0;
