-- Posts' reactions, comments, shares and bookmarks, and notifications: as in 0001, exactly what the backend's own
-- migrations make.

CREATE TABLE IF NOT EXISTS post_reactions (
    id {uuid} NOT NULL PRIMARY KEY,
    reaction_type varchar(15) NOT NULL,
    created_at datetime(6) NOT NULL,
    post_id {uuid} NOT NULL,
    user_id {uuid} NOT NULL,
    UNIQUE KEY post_reactions_user_id_post_id_reaction_type_24723eac_uniq (user_id, post_id, reaction_type),
    KEY post_reacti_post_id_6674a6_idx (post_id, reaction_type),
    KEY post_reacti_user_id_d13d8c_idx (user_id, created_at DESC),
    CONSTRAINT post_reactions_post_id_31c1e1da_fk_posts_id
        FOREIGN KEY (post_id) REFERENCES posts (id),
    CONSTRAINT post_reactions_user_id_a5d827c4_fk_users_id
        FOREIGN KEY (user_id) REFERENCES users (id)
){table};

CREATE TABLE IF NOT EXISTS comments (
    id {uuid} NOT NULL PRIMARY KEY,
    content longtext NOT NULL,
    image varchar(100) NULL,
    likes_count int unsigned NOT NULL CHECK (likes_count >= 0),
    replies_count int unsigned NOT NULL CHECK (replies_count >= 0),
    is_edited tinyint(1) NOT NULL,
    created_at datetime(6) NOT NULL,
    updated_at datetime(6) NOT NULL,
    parent_id {uuid} NULL,
    user_id {uuid} NOT NULL,
    post_id {uuid} NOT NULL,
    KEY comments_post_id_015fcc_idx (post_id, created_at),
    KEY comments_parent__149355_idx (parent_id, created_at),
    KEY comments_user_id_a80af7_idx (user_id, created_at DESC),
    CONSTRAINT comments_parent_id_d317363b_fk_comments_id
        FOREIGN KEY (parent_id) REFERENCES comments (id),
    CONSTRAINT comments_user_id_b8fd0b64_fk_users_id
        FOREIGN KEY (user_id) REFERENCES users (id),
    CONSTRAINT comments_post_id_67cfce36_fk_posts_id
        FOREIGN KEY (post_id) REFERENCES posts (id)
){table};

CREATE TABLE IF NOT EXISTS comment_likes (
    id {uuid} NOT NULL PRIMARY KEY,
    created_at datetime(6) NOT NULL,
    comment_id {uuid} NOT NULL,
    user_id {uuid} NOT NULL,
    UNIQUE KEY comment_likes_user_id_comment_id_6298ff55_uniq (user_id, comment_id),
    KEY comment_lik_comment_9e1199_idx (comment_id, created_at DESC),
    KEY comment_lik_user_id_219cf2_idx (user_id, created_at DESC),
    CONSTRAINT comment_likes_comment_id_46bef86d_fk_comments_id
        FOREIGN KEY (comment_id) REFERENCES comments (id),
    CONSTRAINT comment_likes_user_id_c5a9587c_fk_users_id
        FOREIGN KEY (user_id) REFERENCES users (id)
){table};

CREATE TABLE IF NOT EXISTS post_shares (
    id {uuid} NOT NULL PRIMARY KEY,
    message longtext NOT NULL,
    created_at datetime(6) NOT NULL,
    post_id {uuid} NOT NULL,
    user_id {uuid} NOT NULL,
    UNIQUE KEY post_shares_user_id_post_id_a060fa21_uniq (user_id, post_id),
    CONSTRAINT post_shares_post_id_9fb2561f_fk_posts_id
        FOREIGN KEY (post_id) REFERENCES posts (id),
    CONSTRAINT post_shares_user_id_cab9d5be_fk_users_id
        FOREIGN KEY (user_id) REFERENCES users (id)
){table};

CREATE TABLE IF NOT EXISTS post_bookmarks (
    id {uuid} NOT NULL PRIMARY KEY,
    created_at datetime(6) NOT NULL,
    post_id {uuid} NOT NULL,
    user_id {uuid} NOT NULL,
    UNIQUE KEY post_bookmarks_user_id_post_id_d70271ad_uniq (user_id, post_id),
    CONSTRAINT post_bookmarks_post_id_ebbc9298_fk_posts_id
        FOREIGN KEY (post_id) REFERENCES posts (id),
    CONSTRAINT post_bookmarks_user_id_c31fa900_fk_users_id
        FOREIGN KEY (user_id) REFERENCES users (id)
){table};

CREATE TABLE IF NOT EXISTS notifications (
    id {uuid} NOT NULL PRIMARY KEY,
    notification_type varchar(20) NOT NULL,
    post_id {uuid} NULL,
    comment_id {uuid} NULL,
    message longtext NOT NULL,
    is_read tinyint(1) NOT NULL,
    created_at datetime(6) NOT NULL,
    read_at datetime(6) NULL,
    recipient_id {uuid} NOT NULL,
    sender_id {uuid} NOT NULL,
    friend_request_id {uuid} NULL,
    story_id {uuid} NULL,
    KEY notificatio_recipie_2d3764_idx (recipient_id, created_at DESC),
    KEY notificatio_recipie_583549_idx (recipient_id, is_read),
    KEY notificatio_sender__6aaec3_idx (sender_id, created_at DESC),
    CONSTRAINT notifications_recipient_id_e1133bac_fk_users_id
        FOREIGN KEY (recipient_id) REFERENCES users (id),
    CONSTRAINT notifications_sender_id_57e62d28_fk_users_id
        FOREIGN KEY (sender_id) REFERENCES users (id)
){table};
