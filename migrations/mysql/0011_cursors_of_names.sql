-- The place of the message that a client named: a repetition is acknowledged with it. 0: an older version named it. MySQL has no
-- ADD COLUMN IF NOT EXISTS.
SET @pregon_alter = IF(
    (SELECT count(*) FROM information_schema.columns WHERE table_schema = database()
        AND table_name = 'pregon_client_ids' AND column_name = 'seq') = 0,
    'ALTER TABLE pregon_client_ids ADD COLUMN epoch int unsigned NOT NULL DEFAULT 0, ADD COLUMN seq bigint unsigned NOT NULL DEFAULT 0',
    'DO 0'
);
PREPARE pregon_alter FROM @pregon_alter;
EXECUTE pregon_alter;
DEALLOCATE PREPARE pregon_alter;

-- What 0010 should have done: versions before this one ran no statement of a migration that makes no table.
SET @pregon_alter = IF(
    (SELECT count(*) FROM information_schema.statistics WHERE table_schema = database()
        AND table_name = 'pregon_events' AND index_name = 'pregon_events_created_idx') = 0,
    'ALTER TABLE pregon_events ADD INDEX pregon_events_created_idx (created_at)',
    'DO 0'
);
PREPARE pregon_alter FROM @pregon_alter;
EXECUTE pregon_alter;
DEALLOCATE PREPARE pregon_alter;
