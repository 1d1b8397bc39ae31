-- The newest reactions of a message, however many it has.
CREATE INDEX message_reactions_newest_idx ON message_reactions (message_id, created_at DESC, id DESC);
