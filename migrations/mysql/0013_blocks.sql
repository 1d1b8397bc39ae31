-- Who has blocked whom. Times are microseconds since 1970, in no zone.
CREATE TABLE IF NOT EXISTS pregon_blocks (
    blocker_id {uuid} NOT NULL,
    blocked_id {uuid} NOT NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (blocker_id, blocked_id),
    KEY pregon_blocks_blocked_idx (blocked_id, blocker_id)
) ENGINE=InnoDB;
