-- What pregon adds to any database, whoever made the rest: the order of each topic, its event log, and what makes retries
-- harmless. Times are microseconds since 1970, in no zone; keys are compared byte by byte.

-- The last place taken in each topic. A lane locks its topics' rows, in the keys' order, in the transaction that writes
-- the events.
CREATE TABLE IF NOT EXISTS pregon_topics (
    topic char(40) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    epoch int unsigned NOT NULL,
    seq bigint unsigned NOT NULL,
    last_at bigint NOT NULL
) ENGINE=InnoDB;

-- One row per event. An event is looked up by its place, so `event_id` needs no index of its own.
-- `message_id` names what the event is about, whatever that is: a message, a comment, a notification, another user.
-- `detail`: the type of a reaction; several ids as "<rows>:<id>,<id>,…", newest first; what changed between two users.
CREATE TABLE IF NOT EXISTS pregon_events (
    topic char(40) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    epoch int unsigned NOT NULL,
    seq bigint unsigned NOT NULL,
    event_id {uuid} NOT NULL,
    kind varchar(10) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    transport varchar(6) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    message_id {uuid} NULL,
    user_id {uuid} NOT NULL,
    detail text CHARACTER SET ascii COLLATE ascii_bin NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (topic, epoch, seq)
) ENGINE=InnoDB;

-- A client's own names for its messages, and the order in which they are forgotten.
CREATE TABLE IF NOT EXISTS pregon_client_ids (
    user_id {uuid} NOT NULL,
    room_id {uuid} NOT NULL,
    client_id varbinary(64) NOT NULL,
    message_id {uuid} NOT NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (user_id, room_id, client_id),
    KEY pregon_client_ids_created_idx (created_at)
) ENGINE=InnoDB;

-- Refresh tokens that may not be used again.
CREATE TABLE IF NOT EXISTS pregon_revoked (
    jti varchar(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    expires bigint NOT NULL,
    KEY pregon_revoked_expires_idx (expires)
) ENGINE=InnoDB;
