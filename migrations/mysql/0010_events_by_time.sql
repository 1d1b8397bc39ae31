-- Nodes that cannot hear each other by Redis read the newest events of all topics. MySQL has no ADD INDEX IF NOT EXISTS.
SET @pregon_alter = IF(
    (SELECT count(*) FROM information_schema.statistics WHERE table_schema = database()
        AND table_name = 'pregon_events' AND index_name = 'pregon_events_created_idx') = 0,
    'ALTER TABLE pregon_events ADD INDEX pregon_events_created_idx (created_at)',
    'DO 0'
);
PREPARE pregon_alter FROM @pregon_alter;
EXECUTE pregon_alter;
DEALLOCATE PREPARE pregon_alter;
