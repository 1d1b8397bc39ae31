-- What people are found by: the words of their names, whatever their case and accents. The tables of users are another
-- program's, perhaps, and get no index and no trigger: pregon writes this with its own users, and looks at the others'
-- names from time to time.
CREATE TABLE IF NOT EXISTS pregon_words (
    word varchar(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci NOT NULL,
    user_id {own_uuid} NOT NULL,
    PRIMARY KEY (word, user_id),
    KEY pregon_words_user_idx (user_id, word)
) ENGINE=InnoDB;

-- The names whose words are there.
CREATE TABLE IF NOT EXISTS pregon_named (
    user_id {own_uuid} NOT NULL PRIMARY KEY,
    names varchar(700) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL
) ENGINE=InnoDB;
