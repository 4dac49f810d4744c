-- One schema for PostgreSQL and SQLite: numbers are BIGINT (moments in microseconds since 1970) or DOUBLE PRECISION
-- (degrees), everything else is TEXT.

-- Which replica takes the fixes of a partition's riders. `term` grows with every change of hands and fences what an
-- earlier owner still wants to write.
CREATE TABLE tracking_leases (
    partition_no BIGINT PRIMARY KEY,
    owner        TEXT NOT NULL,
    url          TEXT NOT NULL,
    term         BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL
);

-- The replicas that are alive, also those that hold nothing yet: each gets its share.
CREATE TABLE tracking_replicas (
    owner      TEXT PRIMARY KEY,
    expires_at BIGINT NOT NULL
);

-- A rider as the rules remember them (JSON); fixes after `seq` have to be taken again to rebuild the newest state.
CREATE TABLE tracking_riders (
    rider_id         TEXT PRIMARY KEY,
    partition_no     BIGINT NOT NULL,
    state            TEXT NOT NULL,
    seq              BIGINT NOT NULL,
    -- Null without a shift.
    shift_started_at BIGINT,
    shift_ended_at   BIGINT,
    changed_at       BIGINT NOT NULL
);
CREATE INDEX tracking_riders_partition ON tracking_riders (partition_no);

-- Fixes that were acknowledged, those of one call in a row (JSON), in the order in which they were taken, until a
-- stored state includes them.
CREATE TABLE tracking_fixes (
    rider_id TEXT NOT NULL,
    seq      BIGINT NOT NULL,
    taken_at BIGINT NOT NULL,
    fixes    TEXT NOT NULL,
    PRIMARY KEY (rider_id, seq)
);

-- Points of trails: simplified pieces of a way, as an encoded polyline and the moments of its points.
CREATE TABLE tracking_trails (
    rider_id    TEXT NOT NULL,
    -- Empty outside of a delivery.
    delivery_id TEXT NOT NULL,
    started_at  BIGINT NOT NULL,
    ended_at    BIGINT NOT NULL,
    points      TEXT NOT NULL,
    PRIMARY KEY (rider_id, delivery_id, started_at)
);
CREATE INDEX tracking_trails_delivery ON tracking_trails (delivery_id, started_at);
CREATE INDEX tracking_trails_ended ON tracking_trails (ended_at);

-- A delivery as it is now. `state` is what the rules know (JSON), `payload` the delivery as Django serialised it.
CREATE TABLE tracking_deliveries (
    delivery_id TEXT PRIMARY KEY,
    rider_id    TEXT NOT NULL,
    status      TEXT NOT NULL,
    version     BIGINT NOT NULL,
    state       TEXT NOT NULL,
    payload     TEXT NOT NULL,
    changed_at  BIGINT NOT NULL,
    -- Null while it lasts.
    ended_at    BIGINT
);
CREATE INDEX tracking_deliveries_rider ON tracking_deliveries (rider_id, ended_at);
CREATE INDEX tracking_deliveries_changed ON tracking_deliveries (changed_at);

-- Every change of a delivery that was taken, so that a repeat is recognised.
CREATE TABLE tracking_changes (
    event_id    TEXT PRIMARY KEY,
    delivery_id TEXT NOT NULL,
    outcome     TEXT NOT NULL,
    kept_at     BIGINT NOT NULL
);
CREATE INDEX tracking_changes_delivery ON tracking_changes (delivery_id);

CREATE TABLE tracking_offers (
    offer_id    TEXT PRIMARY KEY,
    delivery_id TEXT NOT NULL,
    rider_id    TEXT NOT NULL,
    attempt     BIGINT NOT NULL,
    status      TEXT NOT NULL,
    reason      TEXT NOT NULL,
    payload     TEXT NOT NULL,
    expires_at  BIGINT NOT NULL,
    settled_at  BIGINT
);
CREATE INDEX tracking_offers_delivery ON tracking_offers (delivery_id, attempt);

-- Speeds by class of road that were learned from this tier's own trips (JSON).
CREATE TABLE tracking_speeds (
    name       TEXT PRIMARY KEY,
    speeds     TEXT NOT NULL,
    changed_at BIGINT NOT NULL
);

CREATE TABLE tracking_grants (
    user_id    TEXT NOT NULL,
    channel    TEXT NOT NULL,
    expires_at BIGINT,
    PRIMARY KEY (user_id, channel)
);

CREATE TABLE tracking_streams (
    stream      TEXT PRIMARY KEY,
    seq         BIGINT NOT NULL,
    told_seq    BIGINT NOT NULL,
    told_epoch  TEXT NOT NULL,
    told_offset BIGINT NOT NULL
);

CREATE TABLE tracking_outbox (
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
CREATE INDEX tracking_outbox_waiting ON tracking_outbox (put_at) WHERE kept IS NULL;

CREATE TABLE tracking_timers (
    subject TEXT NOT NULL,
    name    TEXT NOT NULL,
    due_at  BIGINT NOT NULL,
    PRIMARY KEY (subject, name)
);
CREATE INDEX tracking_timers_due ON tracking_timers (due_at);
