-- Posts' reactions, comments, shares and bookmarks, and notifications, with the names and columns of the backend that
-- pregon replaces. As in 0001: rows that are found by a pair have it as primary key, and only indexes that a query
-- uses are here; their names are the backend's where their columns are.

CREATE TABLE post_reactions (
    id char(32) NOT NULL,
    reaction_type varchar(15) NOT NULL,
    created_at char(26) NOT NULL,
    post_id char(32) NOT NULL REFERENCES posts (id),
    user_id char(32) NOT NULL REFERENCES users (id),
    PRIMARY KEY (post_id, user_id, reaction_type)
) WITHOUT ROWID;
-- The newest reactions of a post, however many it has.
CREATE INDEX post_reactions_newest_idx ON post_reactions (post_id, created_at DESC);

CREATE TABLE comments (
    id char(32) NOT NULL PRIMARY KEY,
    content text NOT NULL,
    image varchar(100),
    likes_count int NOT NULL,
    replies_count int NOT NULL,
    is_edited int NOT NULL,
    created_at char(26) NOT NULL,
    updated_at char(26) NOT NULL,
    parent_id char(32) REFERENCES comments (id),
    user_id char(32) NOT NULL REFERENCES users (id),
    post_id char(32) NOT NULL REFERENCES posts (id)
) WITHOUT ROWID;
-- A post's top-level comments in order, however many replies are between them.
CREATE INDEX comments_top_level_idx ON comments (post_id, parent_id, created_at);
CREATE INDEX comments_parent__149355_idx ON comments (parent_id, created_at);

CREATE TABLE comment_likes (
    id char(32) NOT NULL,
    created_at char(26) NOT NULL,
    comment_id char(32) NOT NULL REFERENCES comments (id),
    user_id char(32) NOT NULL REFERENCES users (id),
    PRIMARY KEY (comment_id, user_id)
) WITHOUT ROWID;

CREATE TABLE post_shares (
    id char(32) NOT NULL,
    message text NOT NULL,
    created_at char(26) NOT NULL,
    post_id char(32) NOT NULL REFERENCES posts (id),
    user_id char(32) NOT NULL REFERENCES users (id),
    PRIMARY KEY (post_id, user_id)
) WITHOUT ROWID;

CREATE TABLE post_bookmarks (
    id char(32) NOT NULL,
    created_at char(26) NOT NULL,
    post_id char(32) NOT NULL REFERENCES posts (id),
    user_id char(32) NOT NULL REFERENCES users (id),
    PRIMARY KEY (post_id, user_id)
) WITHOUT ROWID;

CREATE TABLE notifications (
    id char(32) NOT NULL PRIMARY KEY,
    notification_type varchar(20) NOT NULL,
    post_id char(32),
    comment_id char(32),
    message text NOT NULL,
    is_read int NOT NULL,
    created_at char(26) NOT NULL,
    read_at char(26),
    recipient_id char(32) NOT NULL REFERENCES users (id),
    sender_id char(32) NOT NULL REFERENCES users (id),
    friend_request_id char(32),
    story_id char(32)
) WITHOUT ROWID;
CREATE INDEX notificatio_recipie_2d3764_idx ON notifications (recipient_id, created_at DESC);
-- The newest unread ones, however many newer ones are read.
CREATE INDEX notifications_unread_idx ON notifications (recipient_id, is_read, created_at DESC, id DESC);
-- Whether somebody was told of somebody's reaction to a post lately.
CREATE INDEX notifications_told_idx ON notifications (sender_id, post_id, recipient_id, created_at DESC);

-- Lists of public posts: of some authors, counted without a look at the rows, and of everybody.
DROP INDEX posts_user_id_dfa368_idx;
CREATE INDEX posts_of_authors_idx ON posts (user_id, is_public, created_at DESC, id DESC);
CREATE INDEX posts_newest_idx ON posts (is_public, created_at DESC, id DESC, user_id);

-- From here on these columns are what they count: each write moves them in its transaction.
UPDATE users SET
    followers_count = (SELECT count(*) FROM user_follows WHERE following_id = users.id),
    following_count = (SELECT count(*) FROM user_follows WHERE follower_id = users.id),
    posts_count = (SELECT count(*) FROM posts WHERE user_id = users.id);

CREATE INDEX friend_requests_receiver_idx ON friend_requests (receiver_id);

-- From here on `pregon_events.message_id` names what an event is about, whatever that is: a message, a comment, a
-- notification, another user. `detail` has a reaction's type, several ids, or what changed between two users.
