-- Who has blocked whom.
CREATE TABLE pregon_blocks (
    blocker_id char(32) NOT NULL,
    blocked_id char(32) NOT NULL,
    created_at int NOT NULL,
    PRIMARY KEY (blocker_id, blocked_id)
) WITHOUT ROWID;
CREATE INDEX pregon_blocks_blocked_idx ON pregon_blocks (blocked_id, blocker_id);
