-- Rows that another program added to `messages` and `notifications`, with the places that they were given in their
-- topics' order: each gets one, whoever finds it. Times are microseconds since 1970.
CREATE TABLE pregon_adopted (
    row_id char(32) NOT NULL PRIMARY KEY,
    topic char(40) NOT NULL,
    epoch int NOT NULL,
    seq int NOT NULL,
    created_at int NOT NULL
) WITHOUT ROWID;
