-- One schema for PostgreSQL and SQLite: numbers are BIGINT (moments in microseconds since 1970), everything
-- else is TEXT.

-- A restaurant's menu. The row is locked by whatever changes it.
CREATE TABLE menus_menus (
    restaurant_id TEXT PRIMARY KEY,
    -- Grows by one with each update that is told.
    version       BIGINT NOT NULL,
    -- Items that are not removed.
    items         BIGINT NOT NULL
);

-- An item as the rules know it (`state`, JSON).
CREATE TABLE menus_items (
    restaurant_id TEXT NOT NULL,
    item_id       TEXT NOT NULL,
    state         TEXT NOT NULL,
    -- 1: there is nothing about it that a reader of the menu would not take for granted.
    is_plain      BIGINT NOT NULL,
    changed_at    BIGINT NOT NULL,
    PRIMARY KEY (restaurant_id, item_id)
);
CREATE INDEX menus_items_plain ON menus_items (changed_at) WHERE is_plain = 1;

-- Every update that was taken: its event id is known for a while.
CREATE TABLE menus_updates (
    event_id      TEXT PRIMARY KEY,
    restaurant_id TEXT NOT NULL,
    outcome       TEXT NOT NULL,
    menu_version  BIGINT NOT NULL,
    kept_at       BIGINT NOT NULL
);
CREATE INDEX menus_updates_kept ON menus_updates (kept_at);

CREATE TABLE menus_streams (
    stream      TEXT PRIMARY KEY,
    seq         BIGINT NOT NULL,
    told_seq    BIGINT NOT NULL,
    told_epoch  TEXT NOT NULL,
    told_offset BIGINT NOT NULL
);

CREATE TABLE menus_outbox (
    stream      TEXT NOT NULL,
    seq         BIGINT NOT NULL,
    event_id    TEXT NOT NULL UNIQUE,
    kind        TEXT NOT NULL,
    at          BIGINT NOT NULL,
    version     TEXT NOT NULL,
    payload     TEXT NOT NULL,
    -- The key of a value of the *latest* class; empty: an event of the log.
    latest_key  TEXT NOT NULL,
    traceparent TEXT NOT NULL,
    channels    TEXT NOT NULL,
    put_at      BIGINT NOT NULL,
    -- Where it was told; null while it waits.
    kept        TEXT,
    PRIMARY KEY (stream, seq)
);
CREATE INDEX menus_outbox_waiting ON menus_outbox (put_at) WHERE kept IS NULL AND put_at > 0;
CREATE INDEX menus_outbox_told ON menus_outbox (put_at) WHERE kept IS NOT NULL;

CREATE TABLE menus_timers (
    subject TEXT NOT NULL,
    name    TEXT NOT NULL,
    due_at  BIGINT NOT NULL,
    PRIMARY KEY (subject, name)
);
CREATE INDEX menus_timers_due ON menus_timers (due_at);
