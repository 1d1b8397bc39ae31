-- People and chat: exactly the tables, columns and indexes that the backend's own migrations make, so that either
-- program may go on with a database that the other began.
--
-- `{uuid}` is `uuid` on MariaDB from 10.7 on and `char(32)` elsewhere; `{table}` the engine, with the character set where
-- the database's own is another. `json` is `longtext` with a check on MariaDB. No column has a default: every INSERT names
-- what it writes. Names with eight digits are those that Django gives.
-- Friend requests, which the contract does not describe, have the columns that pregon needs of them.

CREATE TABLE IF NOT EXISTS users (
    id {uuid} NOT NULL PRIMARY KEY,
    password varchar(128) NOT NULL,
    last_login datetime(6) NULL,
    is_superuser tinyint(1) NOT NULL,
    first_name varchar(150) NOT NULL,
    last_name varchar(150) NOT NULL,
    is_staff tinyint(1) NOT NULL,
    is_active tinyint(1) NOT NULL,
    date_joined datetime(6) NOT NULL,
    email varchar(254) NOT NULL UNIQUE,
    username varchar(30) NOT NULL UNIQUE,
    display_name varchar(100) NOT NULL,
    avatar varchar(100) NULL,
    cover_photo varchar(100) NULL,
    bio longtext NOT NULL,
    position varchar(100) NOT NULL,
    team varchar(100) NOT NULL,
    contact_number varchar(20) NOT NULL,
    interests json NOT NULL,
    social_links json NOT NULL,
    is_private tinyint(1) NOT NULL,
    show_email tinyint(1) NOT NULL,
    show_phone tinyint(1) NOT NULL,
    followers_count int unsigned NOT NULL CHECK (followers_count >= 0),
    following_count int unsigned NOT NULL CHECK (following_count >= 0),
    posts_count int unsigned NOT NULL CHECK (posts_count >= 0),
    created_at datetime(6) NOT NULL,
    updated_at datetime(6) NOT NULL,
    last_active datetime(6) NOT NULL,
    is_verified tinyint(1) NOT NULL,
    email_verified tinyint(1) NOT NULL,
    account_type varchar(20) NOT NULL,
    company_name varchar(200) NOT NULL,
    industry varchar(100) NOT NULL,
    website varchar(200) NOT NULL,
    KEY users_email_4b85f2_idx (email),
    KEY users_usernam_baeb4b_idx (username),
    KEY users_is_acti_af9e1a_idx (is_active, created_at DESC)
){table};

CREATE TABLE IF NOT EXISTS user_follows (
    id {uuid} NOT NULL PRIMARY KEY,
    created_at datetime(6) NOT NULL,
    follower_id {uuid} NOT NULL,
    following_id {uuid} NOT NULL,
    UNIQUE KEY user_follows_follower_id_following_id_352db369_uniq (follower_id, following_id),
    KEY user_follow_followe_5ed1bd_idx (follower_id, created_at DESC),
    KEY user_follow_followi_7c1ee1_idx (following_id, created_at DESC),
    CONSTRAINT user_follows_follower_id_02b002df_fk_users_id
        FOREIGN KEY (follower_id) REFERENCES users (id),
    CONSTRAINT user_follows_following_id_7f71c40b_fk_users_id
        FOREIGN KEY (following_id) REFERENCES users (id)
){table};

CREATE TABLE IF NOT EXISTS friendships (
    id {uuid} NOT NULL PRIMARY KEY,
    created_at datetime(6) NOT NULL,
    user1_id {uuid} NOT NULL,
    user2_id {uuid} NOT NULL,
    UNIQUE KEY friendships_user1_id_user2_id_a90e8fc0_uniq (user1_id, user2_id),
    CONSTRAINT friendships_user1_id_6bd3a177_fk_users_id
        FOREIGN KEY (user1_id) REFERENCES users (id),
    CONSTRAINT friendships_user2_id_f50fb9d3_fk_users_id
        FOREIGN KEY (user2_id) REFERENCES users (id)
){table};

CREATE TABLE IF NOT EXISTS friend_requests (
    id {uuid} NOT NULL PRIMARY KEY,
    status varchar(10) NOT NULL,
    created_at datetime(6) NOT NULL,
    sender_id {uuid} NOT NULL,
    receiver_id {uuid} NOT NULL,
    KEY friend_requests_pair_idx (sender_id, receiver_id),
    CONSTRAINT friend_requests_sender_id_e02b64d5_fk_users_id
        FOREIGN KEY (sender_id) REFERENCES users (id),
    CONSTRAINT friend_requests_receiver_id_6e370850_fk_users_id
        FOREIGN KEY (receiver_id) REFERENCES users (id)
){table};

CREATE TABLE IF NOT EXISTS chat_rooms (
    id {uuid} NOT NULL PRIMARY KEY,
    name varchar(100) NOT NULL,
    chat_type varchar(15) NOT NULL,
    description longtext NOT NULL,
    avatar varchar(100) NULL,
    is_active tinyint(1) NOT NULL,
    created_at datetime(6) NOT NULL,
    updated_at datetime(6) NOT NULL,
    last_activity datetime(6) NOT NULL,
    created_by_id {uuid} NOT NULL,
    KEY chat_rooms_chat_ty_cd4e3a_idx (chat_type, last_activity DESC),
    KEY chat_rooms_created_b6023e_idx (created_by_id, created_at DESC),
    CONSTRAINT chat_rooms_created_by_id_b5269f8f_fk_users_id
        FOREIGN KEY (created_by_id) REFERENCES users (id)
){table};

CREATE TABLE IF NOT EXISTS chat_participants (
    id {uuid} NOT NULL PRIMARY KEY,
    role varchar(10) NOT NULL,
    other_user_nickname varchar(50) NOT NULL,
    chat_background varchar(20) NOT NULL,
    chat_color varchar(30) NOT NULL,
    other_message_color varchar(30) NOT NULL,
    notifications_enabled tinyint(1) NOT NULL,
    sound_enabled tinyint(1) NOT NULL,
    is_muted tinyint(1) NOT NULL,
    is_blocked tinyint(1) NOT NULL,
    joined_at datetime(6) NOT NULL,
    last_read_at datetime(6) NOT NULL,
    user_id {uuid} NOT NULL,
    chat_room_id {uuid} NOT NULL,
    UNIQUE KEY chat_participants_chat_room_id_user_id_bef19a83_uniq (chat_room_id, user_id),
    KEY chat_partic_user_id_902601_idx (user_id, joined_at DESC),
    KEY chat_partic_chat_ro_329d69_idx (chat_room_id, user_id),
    CONSTRAINT chat_participants_user_id_283c72d9_fk_users_id
        FOREIGN KEY (user_id) REFERENCES users (id),
    CONSTRAINT chat_participants_chat_room_id_1099369a_fk_chat_rooms_id
        FOREIGN KEY (chat_room_id) REFERENCES chat_rooms (id)
){table};

CREATE TABLE IF NOT EXISTS messages (
    id {uuid} NOT NULL PRIMARY KEY,
    content longtext NOT NULL,
    message_type varchar(15) NOT NULL,
    image varchar(100) NULL,
    video varchar(100) NULL,
    audio varchar(100) NULL,
    file_url varchar(200) NOT NULL,
    file_name varchar(255) NOT NULL,
    file_size int unsigned NULL CHECK (file_size >= 0),
    is_edited tinyint(1) NOT NULL,
    is_deleted tinyint(1) NOT NULL,
    deleted_at datetime(6) NULL,
    created_at datetime(6) NOT NULL,
    updated_at datetime(6) NOT NULL,
    chat_room_id {uuid} NOT NULL,
    reply_to_id {uuid} NULL,
    sender_id {uuid} NOT NULL,
    story_id {uuid} NULL,
    KEY messages_chat_ro_6c0442_idx (chat_room_id, created_at),
    KEY messages_sender__7375e3_idx (sender_id, created_at DESC),
    KEY messages_chat_ro_134f80_idx (chat_room_id, is_deleted, created_at),
    CONSTRAINT messages_chat_room_id_d23e48ac_fk_chat_rooms_id
        FOREIGN KEY (chat_room_id) REFERENCES chat_rooms (id),
    CONSTRAINT messages_reply_to_id_59eac9e3_fk_messages_id
        FOREIGN KEY (reply_to_id) REFERENCES messages (id),
    CONSTRAINT messages_sender_id_dc5a0bbd_fk_users_id
        FOREIGN KEY (sender_id) REFERENCES users (id)
){table};

CREATE TABLE IF NOT EXISTS message_reactions (
    id {uuid} NOT NULL PRIMARY KEY,
    reaction_type varchar(10) NOT NULL,
    created_at datetime(6) NOT NULL,
    message_id {uuid} NOT NULL,
    user_id {uuid} NOT NULL,
    UNIQUE KEY message_reactions_message_id_user_id_reaction_type_2ead89b1_uniq (message_id, user_id, reaction_type),
    KEY message_rea_message_57565e_idx (message_id, reaction_type),
    KEY message_rea_user_id_97e8d1_idx (user_id, created_at DESC),
    CONSTRAINT message_reactions_message_id_7f9c0331_fk_messages_id
        FOREIGN KEY (message_id) REFERENCES messages (id),
    CONSTRAINT message_reactions_user_id_58a64546_fk_users_id
        FOREIGN KEY (user_id) REFERENCES users (id)
){table};

CREATE TABLE IF NOT EXISTS message_reads (
    id {uuid} NOT NULL PRIMARY KEY,
    read_at datetime(6) NOT NULL,
    message_id {uuid} NOT NULL,
    user_id {uuid} NOT NULL,
    UNIQUE KEY message_reads_message_id_user_id_e74b1465_uniq (message_id, user_id),
    KEY message_rea_user_id_59f535_idx (user_id, read_at DESC),
    KEY message_rea_message_19da3c_idx (message_id, user_id),
    CONSTRAINT message_reads_message_id_028abfc8_fk_messages_id
        FOREIGN KEY (message_id) REFERENCES messages (id),
    CONSTRAINT message_reads_user_id_3ad09fda_fk_users_id
        FOREIGN KEY (user_id) REFERENCES users (id)
){table};

CREATE TABLE IF NOT EXISTS posts (
    id {uuid} NOT NULL PRIMARY KEY,
    content longtext NOT NULL,
    images json NOT NULL,
    video varchar(100) NULL,
    thumbnail varchar(100) NULL,
    podcast_url varchar(200) NOT NULL,
    streaming_url varchar(200) NOT NULL,
    post_type varchar(20) NOT NULL,
    category varchar(20) NOT NULL,
    likes_count int unsigned NOT NULL CHECK (likes_count >= 0),
    celebrations_count int unsigned NOT NULL CHECK (celebrations_count >= 0),
    golazos_count int unsigned NOT NULL CHECK (golazos_count >= 0),
    comments_count int unsigned NOT NULL CHECK (comments_count >= 0),
    shares_count int unsigned NOT NULL CHECK (shares_count >= 0),
    views_count int unsigned NOT NULL CHECK (views_count >= 0),
    is_pinned tinyint(1) NOT NULL,
    is_archived tinyint(1) NOT NULL,
    allow_comments tinyint(1) NOT NULL,
    is_public tinyint(1) NOT NULL,
    created_at datetime(6) NOT NULL,
    updated_at datetime(6) NOT NULL,
    user_id {uuid} NOT NULL,
    short_id varchar(8) NOT NULL UNIQUE,
    KEY posts_user_id_dfa368_idx (user_id, created_at DESC),
    KEY posts_categor_b285e2_idx (category, created_at DESC),
    KEY posts_post_ty_2afc3b_idx (post_type, created_at DESC),
    KEY posts_is_publ_6eff95_idx (is_public, created_at DESC),
    CONSTRAINT posts_user_id_4291758d_fk_users_id
        FOREIGN KEY (user_id) REFERENCES users (id)
){table};

CREATE TABLE IF NOT EXISTS stories (
    id {uuid} NOT NULL PRIMARY KEY,
    media varchar(100) NOT NULL,
    media_type varchar(10) NOT NULL,
    thumbnail varchar(100) NULL,
    views_count int unsigned NOT NULL CHECK (views_count >= 0),
    created_at datetime(6) NOT NULL,
    expires_at datetime(6) NOT NULL,
    user_id {uuid} NOT NULL,
    CONSTRAINT stories_user_id_9073c7a2_fk_users_id
        FOREIGN KEY (user_id) REFERENCES users (id)
){table};
