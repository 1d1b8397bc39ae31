-- Logins that are over. `goes_on` 0: the login `family` is; 1: all of the user's logins that had begun by then, save `family`.
-- A row goes when no token of these logins can be good any more. Times are microseconds since 1970.
CREATE TABLE pregon_ended_logins (
    user_id char(32) NOT NULL,
    goes_on int NOT NULL,
    family char(32) NOT NULL,
    ended_at int NOT NULL,
    expires int NOT NULL,
    PRIMARY KEY (user_id, goes_on, family)
) WITHOUT ROWID;
CREATE INDEX pregon_ended_logins_ended_idx ON pregon_ended_logins (ended_at);
CREATE INDEX pregon_ended_logins_expires_idx ON pregon_ended_logins (expires);

-- Who left a group by themselves, and when somebody last added them to it again.
CREATE TABLE pregon_left_rooms (
    room_id char(32) NOT NULL,
    user_id char(32) NOT NULL,
    left_at int NOT NULL,
    added_at int NOT NULL,
    PRIMARY KEY (room_id, user_id)
) WITHOUT ROWID;
