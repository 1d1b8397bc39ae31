-- Logins that are over. `goes_on` 0: the login `family` is; 1: all of the user's logins that had begun by then, save `family`.
-- A row goes when no token of these logins can be good any more. Times are microseconds since 1970, in no zone.
CREATE TABLE IF NOT EXISTS pregon_ended_logins (
    user_id {uuid} NOT NULL,
    goes_on tinyint(1) NOT NULL,
    family {uuid} NOT NULL,
    ended_at bigint NOT NULL,
    expires bigint NOT NULL,
    PRIMARY KEY (user_id, goes_on, family),
    KEY pregon_ended_logins_ended_idx (ended_at),
    KEY pregon_ended_logins_expires_idx (expires)
) ENGINE=InnoDB;

-- Who left a group by themselves, and when somebody last added them to it again.
CREATE TABLE IF NOT EXISTS pregon_left_rooms (
    room_id {uuid} NOT NULL,
    user_id {uuid} NOT NULL,
    left_at bigint NOT NULL,
    added_at bigint NOT NULL,
    PRIMARY KEY (room_id, user_id)
) ENGINE=InnoDB;
