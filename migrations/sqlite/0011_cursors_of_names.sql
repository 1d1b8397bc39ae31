-- The place of the message that a client named: a repetition is acknowledged with it. 0: an older version named it.
ALTER TABLE pregon_client_ids ADD COLUMN epoch int NOT NULL DEFAULT 0;
ALTER TABLE pregon_client_ids ADD COLUMN seq int NOT NULL DEFAULT 0;
