-- Rows that another program added to `messages` and `notifications`, with the places that they were given in their
-- topics' order: each gets one, whoever finds it. Times are microseconds since 1970, in no zone.
CREATE TABLE IF NOT EXISTS pregon_adopted (
    row_id {uuid} NOT NULL PRIMARY KEY,
    topic char(40) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    epoch int unsigned NOT NULL,
    seq bigint unsigned NOT NULL,
    created_at bigint NOT NULL,
    KEY pregon_adopted_created_idx (created_at)
) ENGINE=InnoDB;
