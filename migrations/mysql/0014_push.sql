-- Browsers that are told of messages by Web Push while their user has no socket. `id` is made of the endpoint, so each browser has one row.
-- Times are microseconds since 1970, in no zone.
CREATE TABLE IF NOT EXISTS pregon_push_subscriptions (
    id {uuid} NOT NULL,
    user_id {uuid} NOT NULL,
    family {uuid} NOT NULL,
    endpoint varchar(1024) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    p256dh varchar(88) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    auth varchar(24) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (id),
    KEY pregon_push_subscriptions_user_idx (user_id, id)
) ENGINE=InnoDB;

-- The key that push services know this server by, if no setting gives one. One row.
CREATE TABLE IF NOT EXISTS pregon_push_key (
    number int NOT NULL,
    private_key varchar(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (number)
) ENGINE=InnoDB;
