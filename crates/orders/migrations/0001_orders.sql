-- One schema for PostgreSQL and SQLite: numbers are BIGINT (moments in microseconds since 1970), everything
-- else is TEXT.

-- An order as it is now. `state` is what the rules know (JSON), `payload` the order as Django serialised it.
CREATE TABLE orders_orders (
    order_id   TEXT PRIMARY KEY,
    state      TEXT NOT NULL,
    payload    TEXT NOT NULL,
    changed_at BIGINT NOT NULL
);
CREATE INDEX orders_orders_changed ON orders_orders (changed_at);

-- Every update that was taken: an event id is known for as long as its order.
CREATE TABLE orders_updates (
    event_id TEXT PRIMARY KEY,
    order_id TEXT NOT NULL,
    outcome  TEXT NOT NULL,
    kind     TEXT NOT NULL,
    version  BIGINT NOT NULL,
    kept_at  BIGINT NOT NULL,
    -- Only of a conflict: what was not told.
    payload  TEXT
);
CREATE INDEX orders_updates_order ON orders_updates (order_id, version);

-- What was remembered of a restaurant.
CREATE TABLE orders_restaurants (
    restaurant_id TEXT PRIMARY KEY,
    sla_minutes   BIGINT,
    alerted_at    BIGINT
);

CREATE TABLE orders_rejections (
    restaurant_id TEXT NOT NULL,
    order_id      TEXT NOT NULL,
    at            BIGINT NOT NULL,
    PRIMARY KEY (restaurant_id, order_id)
);
CREATE INDEX orders_rejections_at ON orders_rejections (at);

CREATE TABLE orders_grants (
    user_id    TEXT NOT NULL,
    channel    TEXT NOT NULL,
    expires_at BIGINT,
    PRIMARY KEY (user_id, channel)
);

CREATE TABLE orders_streams (
    stream      TEXT PRIMARY KEY,
    seq         BIGINT NOT NULL,
    told_seq    BIGINT NOT NULL,
    told_epoch  TEXT NOT NULL,
    told_offset BIGINT NOT NULL
);

CREATE TABLE orders_outbox (
    stream      TEXT NOT NULL,
    seq         BIGINT NOT NULL,
    event_id    TEXT NOT NULL UNIQUE,
    kind        TEXT NOT NULL,
    at          BIGINT NOT NULL,
    version     TEXT NOT NULL,
    payload     TEXT NOT NULL,
    traceparent TEXT NOT NULL,
    channels    TEXT NOT NULL,
    put_at      BIGINT NOT NULL,
    -- Where it was told; null while it waits.
    kept        TEXT,
    PRIMARY KEY (stream, seq)
);
CREATE INDEX orders_outbox_waiting ON orders_outbox (put_at) WHERE kept IS NULL;

CREATE TABLE orders_timers (
    subject TEXT NOT NULL,
    name    TEXT NOT NULL,
    due_at  BIGINT NOT NULL,
    PRIMARY KEY (subject, name)
);
CREATE INDEX orders_timers_due ON orders_timers (due_at);
