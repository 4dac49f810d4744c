-- One schema for PostgreSQL and SQLite: numbers are BIGINT (moments in microseconds since 1970), everything
-- else is TEXT.

-- A user with an inbox. The row is locked by whatever changes the inbox.
CREATE TABLE notifications_users (
    user_id     TEXT PRIMARY KEY,
    -- Of the newest notification.
    sequence    BIGINT NOT NULL,
    unread      BIGINT NOT NULL,
    -- JSON; empty: the defaults.
    preferences TEXT NOT NULL,
    -- The day on which promotions were counted, and how many.
    promo_day   TEXT NOT NULL,
    promo_count BIGINT NOT NULL
);

CREATE TABLE notifications_inbox (
    id           BIGINT PRIMARY KEY,
    user_id      TEXT NOT NULL,
    sequence     BIGINT NOT NULL,
    kind         TEXT NOT NULL,
    category     TEXT NOT NULL,
    priority     TEXT NOT NULL,
    title        TEXT NOT NULL,
    message      TEXT NOT NULL,
    -- JSON.
    data         TEXT NOT NULL,
    -- Null: none.
    dedupe_key   TEXT,
    -- Empty: none.
    collapse_key TEXT NOT NULL,
    -- Seconds for which a push is of use; null: as long as the settings say.
    ttl          BIGINT,
    created_at   BIGINT NOT NULL,
    read_at      BIGINT,
    shown_at     BIGINT
);
CREATE UNIQUE INDEX notifications_inbox_user ON notifications_inbox (user_id, sequence);
CREATE UNIQUE INDEX notifications_inbox_dedupe ON notifications_inbox (user_id, dedupe_key);
CREATE INDEX notifications_inbox_unread ON notifications_inbox (user_id, sequence) WHERE read_at IS NULL;
CREATE INDEX notifications_inbox_created ON notifications_inbox (created_at);

-- Keys of notifications that are gone: a repeat is still recognised.
CREATE TABLE notifications_seen (
    user_id    TEXT NOT NULL,
    dedupe_key TEXT NOT NULL,
    id         BIGINT NOT NULL,
    at         BIGINT NOT NULL,
    PRIMARY KEY (user_id, dedupe_key)
);
CREATE INDEX notifications_seen_at ON notifications_seen (at);

-- What may be pushed to. `address` is how its service knows it (JSON), a secret.
CREATE TABLE notifications_devices (
    device_id TEXT PRIMARY KEY,
    user_id   TEXT NOT NULL,
    service   TEXT NOT NULL,
    address   TEXT NOT NULL,
    name      TEXT NOT NULL,
    added_at  BIGINT NOT NULL
);
CREATE INDEX notifications_devices_user ON notifications_devices (user_id);

-- Pushes to send. Whoever sends one holds its lease.
CREATE TABLE notifications_pushes (
    notification_id BIGINT NOT NULL,
    device_id       TEXT NOT NULL,
    due_at          BIGINT NOT NULL,
    attempts        BIGINT NOT NULL,
    PRIMARY KEY (notification_id, device_id)
);
CREATE INDEX notifications_pushes_due ON notifications_pushes (due_at);

-- What became of a notification on each way out.
CREATE TABLE notifications_deliveries (
    notification_id BIGINT NOT NULL,
    way             TEXT NOT NULL,
    -- Empty: no certain device.
    device_id       TEXT NOT NULL,
    state           TEXT NOT NULL,
    why             TEXT NOT NULL,
    attempts        BIGINT NOT NULL,
    changed_at      BIGINT NOT NULL,
    PRIMARY KEY (notification_id, way, device_id)
);
CREATE INDEX notifications_deliveries_changed ON notifications_deliveries (changed_at);

CREATE TABLE notifications_ids (
    name      TEXT PRIMARY KEY,
    last_used BIGINT NOT NULL
);
INSERT INTO notifications_ids (name, last_used) VALUES ('notifications', 0);

-- E-mails and text messages for Django; see `platepal_service::feed`.
CREATE TABLE notifications_feed (
    subject  TEXT NOT NULL,
    seq      BIGINT NOT NULL,
    position BIGINT,
    kind     TEXT NOT NULL,
    payload  TEXT NOT NULL,
    at       BIGINT NOT NULL,
    PRIMARY KEY (subject, seq)
);
-- Partial, so that what has no position yet is found by the index below.
CREATE UNIQUE INDEX notifications_feed_position ON notifications_feed (position) WHERE position IS NOT NULL;
CREATE INDEX notifications_feed_new ON notifications_feed (seq, at, subject) WHERE position IS NULL;

CREATE TABLE notifications_feed_readers (
    reader       TEXT PRIMARY KEY,
    acknowledged BIGINT NOT NULL
);

CREATE TABLE notifications_feed_head (
    id        BIGINT PRIMARY KEY,
    position  BIGINT NOT NULL,
    forgotten BIGINT NOT NULL
);
INSERT INTO notifications_feed_head (id, position, forgotten) VALUES (1, 0, 0);

CREATE TABLE notifications_grants (
    user_id    TEXT NOT NULL,
    channel    TEXT NOT NULL,
    expires_at BIGINT,
    PRIMARY KEY (user_id, channel)
);

CREATE TABLE notifications_streams (
    stream      TEXT PRIMARY KEY,
    seq         BIGINT NOT NULL,
    told_seq    BIGINT NOT NULL,
    told_epoch  TEXT NOT NULL,
    told_offset BIGINT NOT NULL
);

CREATE TABLE notifications_outbox (
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
CREATE INDEX notifications_outbox_waiting ON notifications_outbox (put_at) WHERE kept IS NULL;

CREATE TABLE notifications_timers (
    subject TEXT NOT NULL,
    name    TEXT NOT NULL,
    due_at  BIGINT NOT NULL,
    PRIMARY KEY (subject, name)
);
CREATE INDEX notifications_timers_due ON notifications_timers (due_at);
