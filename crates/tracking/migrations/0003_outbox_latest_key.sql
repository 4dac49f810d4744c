-- The key of a value of the *latest* class; empty: an event of the log.
ALTER TABLE tracking_outbox ADD COLUMN latest_key TEXT NOT NULL DEFAULT '';
