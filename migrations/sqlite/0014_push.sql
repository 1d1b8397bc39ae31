-- Browsers that are told of messages by Web Push while their user has no socket. `id` is made of the endpoint, so each browser has one row.
-- Times are microseconds since 1970.
CREATE TABLE pregon_push_subscriptions (
    id char(32) NOT NULL PRIMARY KEY,
    user_id char(32) NOT NULL,
    family char(32) NOT NULL,
    endpoint text NOT NULL,
    p256dh text NOT NULL,
    auth text NOT NULL,
    created_at int NOT NULL
) WITHOUT ROWID;
CREATE INDEX pregon_push_subscriptions_user_idx ON pregon_push_subscriptions (user_id, id);

-- The key that push services know this server by, if no setting gives one. One row.
CREATE TABLE pregon_push_key (
    number int NOT NULL PRIMARY KEY,
    private_key text NOT NULL,
    created_at int NOT NULL
);
