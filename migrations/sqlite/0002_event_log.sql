-- What pregon adds: the order of each topic, its event log, and what makes retries harmless. Times are microseconds since 1970.

-- The last place taken in each topic. A lane takes the next ones in the transaction that writes the events.
CREATE TABLE pregon_topics (
    topic char(40) NOT NULL PRIMARY KEY,
    epoch int NOT NULL,
    seq int NOT NULL,
    last_at int NOT NULL
) WITHOUT ROWID;

-- One row per event. An event is looked up by its place, so `event_id` needs no index of its own.
-- `detail`: the type of a reaction; for many reads at once "<rows>:<id>,<id>,…", newest first.
CREATE TABLE pregon_events (
    topic char(40) NOT NULL,
    epoch int NOT NULL,
    seq int NOT NULL,
    event_id char(32) NOT NULL,
    kind varchar(10) NOT NULL,
    transport varchar(6) NOT NULL,
    message_id char(32),
    user_id char(32) NOT NULL,
    detail text,
    created_at int NOT NULL,
    PRIMARY KEY (topic, epoch, seq)
) WITHOUT ROWID;

-- A client's own names for its messages. The rowid is kept: rows leave in the order they came.
CREATE TABLE pregon_client_ids (
    user_id char(32) NOT NULL,
    room_id char(32) NOT NULL,
    client_id varchar(64) NOT NULL,
    message_id char(32) NOT NULL,
    created_at int NOT NULL,
    UNIQUE (user_id, room_id, client_id)
);

-- Refresh tokens that may not be used again.
CREATE TABLE pregon_revoked (
    jti varchar(64) NOT NULL PRIMARY KEY,
    expires int NOT NULL
) WITHOUT ROWID;
