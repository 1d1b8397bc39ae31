-- People and chat, with the names and columns of the backend that pregon replaces.
--
-- UUIDs are 32 lower-case hexadecimal digits, times 26 characters in UTC ("2026-02-01 10:30:00.000000"): both sort as
-- text as they do by value. No column has a default: every INSERT names what it writes.
-- Every table is WITHOUT ROWID: one b-tree a table instead of a table and its key's index. Where rows are only ever
-- found by their unique pair or triple, that is the primary key and `id` a plain column.
-- Only indexes that a query uses are here, because the lane pays for each of them with every row.

CREATE TABLE users (
    id char(32) NOT NULL PRIMARY KEY,
    password varchar(128) NOT NULL,
    last_login char(26),
    is_superuser int NOT NULL,
    first_name varchar(150) NOT NULL,
    last_name varchar(150) NOT NULL,
    is_staff int NOT NULL,
    is_active int NOT NULL,
    date_joined char(26) NOT NULL,
    email varchar(254) NOT NULL COLLATE NOCASE UNIQUE,
    username varchar(30) NOT NULL COLLATE NOCASE UNIQUE,
    display_name varchar(100) NOT NULL,
    avatar varchar(100),
    cover_photo varchar(100),
    bio text NOT NULL,
    position varchar(100) NOT NULL,
    team varchar(100) NOT NULL,
    contact_number varchar(20) NOT NULL,
    interests text NOT NULL,
    social_links text NOT NULL,
    is_private int NOT NULL,
    show_email int NOT NULL,
    show_phone int NOT NULL,
    followers_count int NOT NULL,
    following_count int NOT NULL,
    posts_count int NOT NULL,
    created_at char(26) NOT NULL,
    updated_at char(26) NOT NULL,
    last_active char(26) NOT NULL,
    is_verified int NOT NULL,
    email_verified int NOT NULL,
    account_type varchar(20) NOT NULL,
    company_name varchar(200) NOT NULL,
    industry varchar(100) NOT NULL,
    website varchar(200) NOT NULL
) WITHOUT ROWID;

CREATE TABLE user_follows (
    id char(32) NOT NULL,
    created_at char(26) NOT NULL,
    follower_id char(32) NOT NULL REFERENCES users (id),
    following_id char(32) NOT NULL REFERENCES users (id),
    PRIMARY KEY (follower_id, following_id)
) WITHOUT ROWID;
CREATE INDEX user_follow_followi_7c1ee1_idx ON user_follows (following_id, created_at DESC);

CREATE TABLE friendships (
    id char(32) NOT NULL,
    created_at char(26) NOT NULL,
    user1_id char(32) NOT NULL REFERENCES users (id),
    user2_id char(32) NOT NULL REFERENCES users (id),
    PRIMARY KEY (user1_id, user2_id),
    CHECK (user1_id < user2_id)
) WITHOUT ROWID;
CREATE INDEX friendships_user2_id_idx ON friendships (user2_id);

CREATE TABLE friend_requests (
    id char(32) NOT NULL PRIMARY KEY,
    status varchar(10) NOT NULL,
    created_at char(26) NOT NULL,
    sender_id char(32) NOT NULL REFERENCES users (id),
    receiver_id char(32) NOT NULL REFERENCES users (id)
) WITHOUT ROWID;
CREATE INDEX friend_requests_pair_idx ON friend_requests (sender_id, receiver_id);

CREATE TABLE chat_rooms (
    id char(32) NOT NULL PRIMARY KEY,
    name varchar(100) NOT NULL,
    chat_type varchar(15) NOT NULL,
    description text NOT NULL,
    avatar varchar(100),
    is_active int NOT NULL,
    created_at char(26) NOT NULL,
    updated_at char(26) NOT NULL,
    last_activity char(26) NOT NULL,
    created_by_id char(32) NOT NULL REFERENCES users (id)
) WITHOUT ROWID;

CREATE TABLE chat_participants (
    id char(32) NOT NULL,
    role varchar(10) NOT NULL,
    other_user_nickname varchar(50) NOT NULL,
    chat_background varchar(20) NOT NULL,
    chat_color varchar(30) NOT NULL,
    other_message_color varchar(30) NOT NULL,
    notifications_enabled int NOT NULL,
    sound_enabled int NOT NULL,
    is_muted int NOT NULL,
    is_blocked int NOT NULL,
    joined_at char(26) NOT NULL,
    last_read_at char(26) NOT NULL,
    user_id char(32) NOT NULL REFERENCES users (id),
    chat_room_id char(32) NOT NULL REFERENCES chat_rooms (id),
    PRIMARY KEY (chat_room_id, user_id)
) WITHOUT ROWID;
CREATE INDEX chat_partic_user_id_902601_idx ON chat_participants (user_id, joined_at DESC);

CREATE TABLE messages (
    id char(32) NOT NULL PRIMARY KEY,
    content text NOT NULL,
    message_type varchar(15) NOT NULL,
    image varchar(100),
    video varchar(100),
    audio varchar(100),
    file_url varchar(200) NOT NULL,
    file_name varchar(255) NOT NULL,
    file_size int,
    is_edited int NOT NULL,
    is_deleted int NOT NULL,
    deleted_at char(26),
    created_at char(26) NOT NULL,
    updated_at char(26) NOT NULL,
    chat_room_id char(32) NOT NULL REFERENCES chat_rooms (id),
    reply_to_id char(32) REFERENCES messages (id),
    sender_id char(32) NOT NULL REFERENCES users (id),
    story_id char(32)
) WITHOUT ROWID;
CREATE INDEX messages_chat_ro_134f80_idx ON messages (chat_room_id, is_deleted, created_at);

CREATE TABLE message_reactions (
    id char(32) NOT NULL,
    reaction_type varchar(10) NOT NULL,
    created_at char(26) NOT NULL,
    message_id char(32) NOT NULL REFERENCES messages (id),
    user_id char(32) NOT NULL REFERENCES users (id),
    PRIMARY KEY (message_id, user_id, reaction_type)
) WITHOUT ROWID;

CREATE TABLE message_reads (
    id char(32) NOT NULL,
    read_at char(26) NOT NULL,
    message_id char(32) NOT NULL REFERENCES messages (id),
    user_id char(32) NOT NULL REFERENCES users (id),
    PRIMARY KEY (message_id, user_id)
) WITHOUT ROWID;

CREATE TABLE posts (
    id char(32) NOT NULL PRIMARY KEY,
    content text NOT NULL,
    images text NOT NULL,
    video varchar(100),
    thumbnail varchar(100),
    podcast_url varchar(200) NOT NULL,
    streaming_url varchar(200) NOT NULL,
    post_type varchar(20) NOT NULL,
    category varchar(20) NOT NULL,
    likes_count int NOT NULL,
    celebrations_count int NOT NULL,
    golazos_count int NOT NULL,
    comments_count int NOT NULL,
    shares_count int NOT NULL,
    views_count int NOT NULL,
    is_pinned int NOT NULL,
    is_archived int NOT NULL,
    allow_comments int NOT NULL,
    is_public int NOT NULL,
    created_at char(26) NOT NULL,
    updated_at char(26) NOT NULL,
    user_id char(32) NOT NULL REFERENCES users (id),
    short_id varchar(8) NOT NULL COLLATE NOCASE UNIQUE
) WITHOUT ROWID;
CREATE INDEX posts_user_id_dfa368_idx ON posts (user_id, created_at DESC);

CREATE TABLE stories (
    id char(32) NOT NULL PRIMARY KEY,
    media varchar(100) NOT NULL,
    media_type varchar(10) NOT NULL,
    thumbnail varchar(100),
    views_count int NOT NULL,
    created_at char(26) NOT NULL,
    expires_at char(26) NOT NULL,
    user_id char(32) NOT NULL REFERENCES users (id)
) WITHOUT ROWID;
