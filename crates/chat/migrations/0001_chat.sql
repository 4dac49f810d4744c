-- One schema for PostgreSQL and SQLite: numbers are BIGINT (moments in microseconds since 1970), everything
-- else is TEXT. The index for searching words is made by the store, as the engines differ there.

-- A room as it is now. `state` is what the rules know (JSON).
CREATE TABLE chat_rooms (
    room_id         TEXT PRIMARY KEY,
    state           TEXT NOT NULL,
    order_id        TEXT NOT NULL,
    -- Of the newest thing that happened in it.
    sequence        BIGINT NOT NULL,
    last_message_at BIGINT,
    -- Who has it at the support desk; empty: nobody.
    agent_id        TEXT NOT NULL,
    -- Since when it waits for an agent; null: it does not.
    waiting_since   BIGINT,
    changed_at      BIGINT NOT NULL,
    -- Null while it is open.
    closed_at       BIGINT
);
CREATE INDEX chat_rooms_order ON chat_rooms (order_id) WHERE order_id <> '';
CREATE INDEX chat_rooms_waiting ON chat_rooms (waiting_since) WHERE waiting_since IS NOT NULL;
CREATE INDEX chat_rooms_agent ON chat_rooms (agent_id, changed_at) WHERE agent_id <> '';
CREATE INDEX chat_rooms_closed ON chat_rooms (closed_at) WHERE closed_at IS NOT NULL;

-- Who is in which room, and how far they have read.
CREATE TABLE chat_members (
    room_id       TEXT NOT NULL,
    user_id       TEXT NOT NULL,
    read_sequence BIGINT NOT NULL,
    PRIMARY KEY (room_id, user_id)
);
CREATE INDEX chat_members_user ON chat_members (user_id);

CREATE TABLE chat_messages (
    id         BIGINT PRIMARY KEY,
    room_id    TEXT NOT NULL,
    -- Null until it is shown.
    sequence   BIGINT,
    -- The sequence of what happened to it last.
    changed    BIGINT,
    -- Empty: the platform.
    sender_id  TEXT NOT NULL,
    client_id  TEXT NOT NULL,
    -- The sender's name, address and picture as they were (JSON).
    sender     TEXT NOT NULL,
    kind       TEXT NOT NULL,
    content    TEXT NOT NULL,
    -- JSON; empty: none.
    attachment TEXT NOT NULL,
    -- shown, held or dropped.
    status     TEXT NOT NULL,
    reason     TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    edited_at  BIGINT,
    deleted_at BIGINT,
    read_at    BIGINT
);
CREATE UNIQUE INDEX chat_messages_client ON chat_messages (room_id, sender_id, client_id);
CREATE UNIQUE INDEX chat_messages_sequence ON chat_messages (room_id, sequence);
CREATE INDEX chat_messages_changed ON chat_messages (room_id, changed);
CREATE INDEX chat_messages_pace ON chat_messages (room_id, sender_id, created_at);
CREATE INDEX chat_messages_sender ON chat_messages (sender_id, id);
CREATE INDEX chat_messages_unread ON chat_messages (room_id, sequence) WHERE read_at IS NULL;
CREATE INDEX chat_messages_held ON chat_messages (created_at) WHERE status = 'held';

-- Numbers of messages are handed out in blocks.
CREATE TABLE chat_ids (
    name      TEXT PRIMARY KEY,
    last_used BIGINT NOT NULL
);
INSERT INTO chat_ids (name, last_used) VALUES ('messages', 0);

-- What Django's copy is told; see `platepal_service::feed`.
CREATE TABLE chat_feed (
    subject  TEXT NOT NULL,
    seq      BIGINT NOT NULL,
    position BIGINT,
    kind     TEXT NOT NULL,
    payload  TEXT NOT NULL,
    at       BIGINT NOT NULL,
    PRIMARY KEY (subject, seq)
);
-- Partial, so that what has no position yet is found by the index below.
CREATE UNIQUE INDEX chat_feed_position ON chat_feed (position) WHERE position IS NOT NULL;
CREATE INDEX chat_feed_new ON chat_feed (seq, at, subject) WHERE position IS NULL;

CREATE TABLE chat_feed_readers (
    reader       TEXT PRIMARY KEY,
    acknowledged BIGINT NOT NULL
);

CREATE TABLE chat_feed_head (
    id        BIGINT PRIMARY KEY,
    position  BIGINT NOT NULL,
    forgotten BIGINT NOT NULL
);
INSERT INTO chat_feed_head (id, position, forgotten) VALUES (1, 0, 0);

CREATE TABLE chat_grants (
    user_id    TEXT NOT NULL,
    channel    TEXT NOT NULL,
    expires_at BIGINT,
    PRIMARY KEY (user_id, channel)
);

CREATE TABLE chat_streams (
    stream      TEXT PRIMARY KEY,
    seq         BIGINT NOT NULL,
    told_seq    BIGINT NOT NULL,
    told_epoch  TEXT NOT NULL,
    told_offset BIGINT NOT NULL
);

CREATE TABLE chat_outbox (
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
CREATE INDEX chat_outbox_waiting ON chat_outbox (put_at) WHERE kept IS NULL;

CREATE TABLE chat_timers (
    subject TEXT NOT NULL,
    name    TEXT NOT NULL,
    due_at  BIGINT NOT NULL,
    PRIMARY KEY (subject, name)
);
CREATE INDEX chat_timers_due ON chat_timers (due_at);
