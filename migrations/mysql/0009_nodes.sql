-- The servers on this database, each with a row for as long as it runs. Times are microseconds since 1970 by the
-- database's own clock.
CREATE TABLE IF NOT EXISTS pregon_nodes (
    id {own_uuid} NOT NULL PRIMARY KEY,
    name varchar(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    host varchar(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    pid int unsigned NOT NULL,
    version varchar(32) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    started_at bigint NOT NULL,
    seen_at bigint NOT NULL,
    KEY pregon_nodes_seen_idx (seen_at)
) ENGINE=InnoDB;
