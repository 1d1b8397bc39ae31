-- What pages about one user ask for: the users whom most follow, an author's own posts with the private ones, and the
-- reactions that a user has given.
CREATE INDEX users_most_followed_idx ON users (followers_count DESC, id) WHERE is_active = 1;
CREATE INDEX posts_of_author_idx ON posts (user_id, created_at DESC, id DESC);
CREATE INDEX post_reactions_of_user_idx ON post_reactions (user_id, reaction_type);
