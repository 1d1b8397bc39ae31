//! Every bound of the server, with the relations between bounds asserted when it is compiled.

pub mod bounds;
mod events;
pub mod frames;
pub mod memory;

pub use self::events::*;

use std::time::Duration;

pub use self::bounds::Bounds;

/// Lines of the log that clients may cause for one reason in one second; the rest is counted.
pub const LOG_LINES_PER_SECOND: u32 = 5;

/// Shards a process may have: the width of a set of shards.
pub const SHARDS_MAX: usize = 64;

// --- the wire ---

/// A client's message, over all its fragments, in bytes. Beyond it the session ends with 1009.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// A chat message's or edit's content in characters (Unicode code points), after trimming.
pub const CONTENT_CHARS_MAX: usize = 2000;
/// The `data` of a `signal` frame, in bytes of JSON.
pub const SIGNAL_BYTES_MAX: usize = 4 * 1024;
/// Depth of JSON that is passed on as it came.
pub const JSON_DEPTH_MAX: usize = 128;
/// A `client_id`, in bytes.
pub const CLIENT_ID_BYTES_MAX: usize = 64;

// --- a shard ---

/// Bytes a shard reads from one socket at a time.
pub const RECEIVE_BUFFER_BYTES: usize = 64 * 1024;
/// Bytes at which a topic's open chunk is closed and another is opened. A larger frame has a chunk of its own.
pub const CHUNK_BYTES: usize = 16 * 1024;
/// A publication, in bytes: what a batch has for a topic beyond this goes as another one. A frame alone may be longer.
pub const PUBLICATION_BYTES_MAX: usize = 256 * 1024;
/// Bytes of one write to one socket: what waits beyond it gets its turn when all others had theirs.
pub const WRITE_BYTES_MAX: usize = 64 * 1024;
/// Bytes of one stretch of the walk, about 4 ms.
pub const STRETCH_BYTES_MAX: usize = 4 * 1024 * 1024;
/// A turn ends after this time, with the stretch that is under way: handshakes, timers and pings do not wait for a flood.
pub const TURN_TIME_MAX: Duration = Duration::from_millis(10);
/// Visits of the walk between two looks at the shard's input, after a look that found something from one peer.
pub const STRETCH_VISITS_MIN: usize = 64;
/// The same after a look that found something from many peers: what came has many visits to cause.
pub const STRETCH_VISITS_BUSY: usize = 256;
/// The same when look after look found nothing: nothing is there that could join the walk.
pub const STRETCH_VISITS_MAX: usize = 512;
/// Parts of one `writev`.
pub const WRITE_PARTS_MAX: usize = 16;
/// Sockets that one look at the shard's input serves.
pub const LOOK_EVENTS_MAX: usize = 64;
/// Inbox messages that one look serves.
pub const LOOK_MESSAGES_MAX: usize = 64;
/// Visits that may wait before the shard reads only as much as the walk gets rid of: what is read later waits in the sender's
/// socket, not in every receiver's outbox.
pub const WALK_VISITS_SHORT: usize = 256;
/// Looks and stretches of one turn; then the shard's runtime gets its turn (handshakes, timers).
pub const TURN_ROUNDS_MAX: usize = 32;
/// Visits of one turn, about 10 ms.
pub const TURN_VISITS_MAX: usize = 2048;
/// Messages in a shard's inbox. Full: the publisher waits (lanes, control) or stops reading (other shards).
pub const INBOX_MESSAGES_MAX: usize = 8 * 1024;
/// Bytes of frames in a shard's inbox. Full: the same. An empty inbox takes a message of any size.
pub const INBOX_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Messages for other shards that may wait in a shard while inboxes are full. Full: what may be dropped is, and new sockets are
/// sent away with 1013. Beyond it wait only the comings and goings of sessions, two for each.
pub const OVERFLOW_MESSAGES_MAX: usize = 1024;
/// Bytes of frames in them. Full: the same.
pub const OVERFLOW_BYTES_MAX: usize = 2 * 1024 * 1024;

// --- a session ---

/// A session whose socket is full and that is behind by more than this gets no more ephemeral frames.
pub const OUTBOX_SHARED_BYTES_MAX: usize = 64 * 1024;
/// A session whose socket and peer take nothing for longer than this, and that owes less than a chunk, pins no chunk: its
/// durable frames move to a buffer of its own.
pub const OUTBOX_STALL: Duration = Duration::from_secs(1);
/// What one session may owe before it is let go with 4008: in answers that it does not read, or while it takes nothing.
pub const OUTBOX_OWED_BYTES_MAX: usize = 1024 * 1024;
/// A session that owes more than that is let go when its peer takes nothing for longer than this. One that reads, however
/// slowly, is kept while the shard's sum allows it.
pub const OUTBOX_PATIENCE: Duration = Duration::from_secs(3);
/// The same for a session whose socket was full once and took more later: on a busy machine a reader may not get to read for
/// seconds.
pub const READER_PATIENCE: Duration = Duration::from_secs(4);
/// Ranges that may wait for a session whose socket is full; beyond it they are copied into a buffer of its own.
pub const OUTBOX_PARTS_MAX: usize = 4096;
/// A session's own buffer grows by at least this.
pub const DEBT_STEP_BYTES: usize = 64 * 1024;
/// Memory of all that waits for sessions, in chunks and in their own buffers, over all shards, each of which has its share.
/// When a shard's share is reached, its largest debtors go first.
pub const WAITING_BYTES_MAX: usize = 192 * 1024 * 1024;
/// A shard's share at least, however many there are.
pub const SHARD_WAITING_BYTES_MIN: usize = 8 * 1024 * 1024;
/// Memory of clients' messages whose end has not come, over all shards, each of which has its share. Full: the sessions that
/// hold most of it are let go with 1013. A message that comes whole takes none of it.
pub const UNFINISHED_BYTES_MAX: usize = 16 * 1024 * 1024;
/// A shard's share at least, however many there are.
pub const SHARD_UNFINISHED_BYTES_MIN: usize = 1024 * 1024;
/// What one session may hold of it: a buffer that grew by doubling, and what is known of the frame.
pub const SESSION_UNFINISHED_BYTES_MAX: usize = 2 * MESSAGE_BYTES_MAX + 1024;

/// From the queued close frame to the reset of a connection whose peer does not take it.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// Silence after which the server asks with a protocol ping.
pub const PING_AFTER: Duration = Duration::from_secs(20);
/// From an unanswered ping to the end of the connection.
pub const PONG_TIMEOUT: Duration = Duration::from_secs(30);
/// From the accepted connection, or from the first byte of a further request, to that request's complete head.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// What is read of a request's body behind its answer, so that its connection serves on; beyond it the connection ends.
pub const LEFTOVER_BYTES_MAX: u64 = 64 * 1024;
/// How long that is waited for: the answer waits, too.
pub const LEFTOVER_PATIENCE: Duration = Duration::from_millis(500);
/// How long a connection that ends before all was read takes in what still comes: closed at once, it would be reset, and the
/// answer might be lost with it (RFC 9112 §9.6).
pub const LINGER: Duration = Duration::from_secs(2);
/// From SIGTERM to the last session's goodbye, unless set otherwise. No other node takes over whoever is sent away, so a
/// longer drain is a longer absence: the app's hooks try again after 1, 3 and 7 s, some of them never after that.
pub const DRAIN_ALONE: Duration = Duration::from_secs(2);
/// Between two requests of a connection: longer than proxies keep theirs (nginx: 60 s), so that it is they who close and
/// none of their requests meets a closing connection.
pub const IDLE_CONNECTION: Duration = Duration::from_secs(90);
/// What a peer may take to take some more of an answer; then its connection ends. (nginx's `send_timeout` is the same.)
pub const ANSWER_PATIENCE: Duration = Duration::from_secs(60);
/// When the listeners are closed: what connections that were accepted before have for the rest of their request.
pub const LAST_REQUEST_PATIENCE: Duration = Duration::from_secs(1);
/// From the end of a token to the end of its sessions (4001), unless set otherwise.
pub const TOKEN_GRACE: Duration = Duration::from_secs(60);
/// The longest life of a session; ends with 1001 so that the client comes back.
pub const SESSION_LIFE: Duration = Duration::from_secs(24 * 3600);

// --- the bounds of a shard as a value ---

// --- rooms ---

/// Participants up to which a room may be set to send `user_status` frames: every join looks through the present.
pub const PRESENCE_ROOM_CEILING: u32 = 2000;
/// Participants up to which a room sends `user_status` frames, unless set otherwise.
pub const PRESENCE_ROOM_MAX: u32 = 200;
/// From a user's last socket in a room to `offline`.
pub const PRESENCE_GRACE: Duration = Duration::from_secs(4);

/// How often participant rows of live rooms are looked at, for those that others deleted.
pub const PARTICIPANT_SWEEP: Duration = Duration::from_secs(5);
/// Rooms that one query of that sweep asks for.
pub const SWEEP_ROOMS_MAX: usize = 200;

// --- feeds ---

/// Entries of authors' lists that a shard adds or takes away between two looks at its input.
pub const FEED_SLICE_ENTRIES: usize = 1024;
/// Lists of authors that are read or worked off at the same time, over all shards. More feeds wait for their turn.
pub const FEED_LOADS_MAX: usize = 4;
/// Feeds that wait for it. Full: the feed is let go with 1013.
pub const FEED_LOADS_WAITING_MAX: usize = 64 * 1024;
/// Publications that a shard keeps for feeds that are loading. Beyond it those that began first are let go with 1013.
pub const FEED_RECENT_MAX: usize = 64 * 1024;
/// What they may have together. Shards share them.
pub const FEED_RECENT_BYTES_MAX: usize = 64 * 1024 * 1024;
/// What remembered lists of authors may have together: some 400 of 5,000 authors.
pub const FEED_LISTS_BYTES_MAX: usize = 32 * 1024 * 1024;
/// `post_reaction` frames of one post that may go at once, and notifications of them to its author.
pub const REACTIONS_AT_ONCE: u32 = 10;
/// Beyond them: one in this time, with the latest counts.
pub const REACTIONS_EVERY: Duration = Duration::from_millis(100);
/// `post_updated` after comments and shares: at most one per post in this time.
pub const POST_UPDATED_EVERY: Duration = Duration::from_millis(250);
/// On a post's sockets it comes at the end of that time, and not sooner than this after any other frame: clients that keep the
/// last frame alone would never see the comment that moved the counter.
pub const POST_UPDATED_AFTER: Duration = Duration::from_millis(100);
/// Where frames come without a pause, it comes all the same when this has passed.
pub const POST_UPDATED_BY: Duration = Duration::from_secs(1);
/// How often the users behind open feed, post and notification sockets are looked at, unless set otherwise.
pub const ACTIVE_CHECK: Duration = Duration::from_secs(60);
/// Sessions that a shard looks at for that before it goes on with its work.
pub const ACTIVE_CHECK_SESSIONS_MAX: u32 = 2048;
/// Topics that a shard looks at in one go when it is asked which have listeners.
pub const TOPICS_ASKED_MAX: u32 = 4096;
/// Users that one query of that look asks for.
pub const ACTIVE_CHECK_USERS_MAX: usize = 500;

// --- beside Django ---

/// Queues of this process in Django's channel layer: a sender drops what a queue of 100 messages has no room for.
pub const CHANNEL_QUEUES: usize = 8;
/// A message of the channel layer, in bytes; larger ones are passed over. A post with all its reactions may have some.
pub const CHANNEL_ELEMENT_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Maps and lists within each other in such a message. The backend's have six or seven: comments have replies.
pub const CHANNEL_DEPTH_MAX: usize = 64;
/// Messages that one reply of Redis brings from one queue.
pub const CHANNEL_POPS_MAX: usize = 100;
/// Groups that one pipeline joins and leaves.
pub const CHANNEL_ORDERS_MAX: usize = 500;
/// Changes of who is listened to that may wait. Full: all topics are looked through instead.
pub const CHANNEL_CHANGES_MAX: usize = 16 * 1024;
/// From the last listener's end to the leave of a group.
pub const CHANNEL_LINGER: Duration = Duration::from_secs(10);
/// How often a membership is said again. Django forgets those older than 24 h.
pub const CHANNEL_REFRESH: Duration = Duration::from_secs(600);
/// How often this process tells others that it lives, and looks for queues that were left behind.
pub const CHANNEL_HEARTBEAT: Duration = Duration::from_secs(10);
/// Queues not heard of for this long are cleared away by others.
pub const CHANNEL_DEAD_AFTER: Duration = Duration::from_secs(60);
/// Redis is away when it has not answered for this long.
pub const CHANNEL_ANSWER_TIMEOUT: Duration = Duration::from_secs(3);
/// The first pause before another attempt to reach Redis; each is twice the one before.
pub const CHANNEL_PAUSE_MIN: Duration = Duration::from_millis(100);
/// The longest pause.
pub const CHANNEL_PAUSE_MAX: Duration = Duration::from_secs(2);
/// Posts that something is to be told of. Full: what is new is passed over, as Django would.
pub const BELLS_MAX: usize = 16 * 1024;
/// Comments of one post that something is to be told of. Full: likewise.
pub const BELL_COMMENTS_MAX: usize = 256;
/// Posts whose rows are read at the same time.
pub const BELL_READS_MAX: usize = 4;
/// How often rows that Django added to live topics are looked for.
pub const TAIL_EVERY: Duration = Duration::from_millis(250);
/// How far that look reaches back: rows have the time of their making by another machine's clock, not of their commit.
pub const TAIL_NEAR: Duration = Duration::from_secs(5);
/// How often it is looked as far back as the overlap reaches.
pub const TAIL_FAR_EVERY: Duration = Duration::from_secs(5);
/// The overlap: what a transaction leaves behind that took longer than this, is not told.
pub const TAIL_OVERLAP: Duration = Duration::from_secs(60);
/// Topics that one query asks for.
pub const TAIL_TOPICS_MAX: usize = 256;
/// Rows of one answer; the rest is asked for.
pub const TAIL_PAGE_ROWS: usize = 5000;
/// Rows that wait for their places at the same time.
pub const TAIL_WRITES_MAX: usize = 256;
/// Rows that are remembered so that they are told once.
pub const TAIL_ROWS_MAX: usize = 256 * 1024;
/// Which rows have their places, is known this long: far longer than they can be found.
pub const ADOPTED_KEPT_HOURS: i64 = 24;
/// How often it is looked whether Django changed whom users with open feeds hear; less often where a look takes more than
/// half of this.
pub const FOLLOWS_SWEEP: Duration = Duration::from_secs(3);
/// Users that one query of that look asks for.
pub const FOLLOWS_SWEEP_USERS_MAX: usize = 256;
/// How often users and participants behind open sockets are looked at beside Django, unless it is set more often.
pub const BESIDE_SWEEP: Duration = Duration::from_secs(3);
/// Posts and comments of which it is remembered what was told.
pub const TOLD_MAX: usize = 64 * 1024;

// --- the store ---

/// Writes that wait for a lane. Full: the sender gets an error frame and keeps its message.
pub const LANE_WRITES_MAX: usize = 4096;
/// Writes of one transaction.
pub const BATCH_WRITES_MAX: usize = 1000;
/// Rows that one `mark_as_read` inserts, or that one write about all notifications of a user changes.
pub const READ_ALL_ROWS_MAX: usize = 500;
/// Read frames that one `mark_as_read` sends: the newest.
pub const READ_ALL_FRAMES_MAX: usize = 50;
/// `mark_as_read`s of more rows than that whose remaining rows wait for an idle moment.
pub const READ_ALL_RESTS_MAX: usize = 1024;
/// Unread messages are counted up to here.
pub const UNREAD_COUNT_MAX: usize = 1000;
/// Followers, posts and comments are counted row by row, where other programs may write, up to here: some two
/// milliseconds. Where a column says that there are more, it is believed.
pub const LIVE_COUNT_MAX: u64 = 10_000;
/// Reads that wait for a connection. Full: the caller is told to try again later.
pub const READS_WAITING_MAX: usize = 4096;
/// Rows that one slice of housekeeping deletes.
pub const RETENTION_ROWS_MAX: usize = 500;
/// Pages of SQLite's write-ahead log after which they are copied into the file.
pub const WAL_CHECKPOINT_PAGES: usize = 16 * 1024;
/// Pages of the log above which writers wait for the end of a checkpoint, so that the log starts anew.
pub const WAL_PAGES_MAX: usize = 48 * 1024;
/// Twins are looked for this long.
pub const TWIN_WINDOW: Duration = Duration::from_secs(10);
/// Messages remembered for twins.
pub const TWIN_MESSAGES_MAX: usize = 64 * 1024;
/// After a notification of a user's reaction to a post, its author hears of no other reaction of that user to it; and
/// after one of a follow, a friend request or its acceptance, of no other of that user's.
pub const NOTICE_WINDOW: Duration = Duration::from_secs(3600);
/// Comments that one write deletes; of a comment with more answers, or a post with more comments, more writes delete the
/// rest.
pub const COMMENTS_DELETED_MAX: usize = 200;
/// Levels of answers that one write looks down: what is deeper is moved up before it is deleted.
pub const DELETED_LEVELS_MAX: usize = 50;
/// Writes of one deletion: each row is moved up at most once before it goes, so a million comments go in as many. Answers
/// that are written faster than they are deleted do not keep a request for ever.
pub const DELETION_WRITES_MAX: usize = 10_000;
/// How long a deletion that has begun tries to go on while writes are refused for the moment.
pub const DELETION_PATIENCE: Duration = Duration::from_secs(30);
/// People that a search finds by the beginnings of words, beside who is called exactly so.
pub const SEARCH_FOUND_MAX: u32 = 1000;
/// Words of a search; more are passed over.
pub const SEARCH_WORDS_MAX: usize = 4;
/// SQLite: searches that wait for their thread.
pub const SEARCHES_WAITING_MAX: usize = 64;
/// MySQL: connections of searches.
pub const SEARCH_CONNECTIONS: usize = 2;
/// MySQL: users whose names are looked at together.
pub const NAMES_READ_MAX: usize = 1000;
/// MySQL: users whose words are written in one transaction.
pub const NAMES_WRITTEN_MAX: usize = 100;
/// MySQL: after a look at all names, the next begins so much later, or later by [`NAMES_REST`] times what it took.
pub const NAMES_EVERY: Duration = Duration::from_secs(30);
/// So many times as long as a look at all names takes, nobody looks.
pub const NAMES_REST: u32 = 20;
/// A `client_id` is remembered this long.
pub const CLIENT_ID_HOURS: i64 = 24;
/// Events of a topic that are always kept.
pub const EVENTS_KEPT_MIN: u64 = 1000;
/// Events younger than this are always kept.
pub const EVENTS_KEPT_HOURS: i64 = 24;
/// MySQL: how long a statement waits for a lock that another holds.
pub const LOCK_WAIT: Duration = Duration::from_secs(5);
/// MySQL: how long the server works at one statement.
pub const STATEMENT_TIMEOUT: Duration = Duration::from_secs(15);
/// MySQL: how long an answer may take to come before the connection counts as lost.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// MySQL: how long a batch waits for a database that is away (it restarts) or locked by somebody. Then its senders are told
/// to try again later.
pub const LANE_PATIENCE: Duration = Duration::from_secs(15);
/// MySQL: bytes of a batch's changes after which they are sent before its end; servers take 4 MB and more at once.
pub const TRIP_BYTES_MAX: usize = 1024 * 1024;
/// MySQL: write lanes, each a thread and a connection.
pub const WRITE_LANES_MAX: usize = 32;
/// MySQL: write lanes, unless set otherwise.
pub const WRITE_LANES: usize = 4;
/// MySQL: connections that read and write directly, unless set otherwise.
pub const DIRECT_CONNECTIONS: usize = 8;
/// Keys of one list in a statement.
pub const LIST_KEYS_MAX: usize = 256;
/// MySQL: how often a direct write begins anew after a deadlock or a lost connection.
pub const DIRECT_ATTEMPTS_MAX: u32 = 5;
/// MySQL: topics that one slice of housekeeping sweeps.
pub const RETENTION_TOPICS_MAX: usize = 50;
/// MySQL: a connection that says nothing for so long is closed by the server, and opened anew when it is needed.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(120);
/// MySQL: how long opening a connection may take.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// MySQL: how often a server says that it runs.
pub const NODE_BEAT: Duration = Duration::from_secs(5);
/// MySQL: a server that has not said so for longer does not run.
pub const NODE_SILENT: Duration = Duration::from_secs(15);
/// MySQL: its row goes when it has been silent for so long.
pub const NODE_FORGOTTEN: Duration = Duration::from_secs(3600);
/// Cached answers on accounts and participants are believed this long.
pub const ADMISSION_CACHE_SECONDS: i64 = 5;
/// Entries of each of these caches: so many users who come, or ask for something, within that time are remembered.
pub const REMEMBERED_ENTRIES: usize = 8 * 1024;
/// Entries of each other cache.
pub const CACHE_ENTRIES: usize = 64 * 1024;

// --- tokens ---

/// Life of an access token.
pub const ACCESS_TOKEN_SECONDS: i64 = 3600;
/// Life of a refresh token.
pub const REFRESH_TOKEN_SECONDS: i64 = 30 * 24 * 3600;
/// Ended logins of one look at whose sockets are to close.
pub const ENDED_LOGINS_MAX: usize = 16 * 1024;
/// From the end of a login to the look for its sockets, so that one look serves many.
pub const ENDED_LOGINS_GATHER: Duration = Duration::from_millis(100);
/// How far a look at once reaches back: longer than a transaction takes.
pub const ENDED_LOGINS_NEAR: Duration = Duration::from_secs(10);
/// How far each regular look reaches back beyond the one before: handshakes that were judged before and took long, and
/// other nodes' clocks.
pub const ENDED_LOGINS_OVERLAP: Duration = Duration::from_secs(60);
/// A token, in bytes. Ours have about 330.
pub const TOKEN_BYTES_MAX: usize = 4 * 1024;

// --- REST ---

/// Rows a page of a list.
pub const PAGE_ROWS: u32 = 20;
/// Rows a page where the client may choose.
pub const PAGE_ROWS_MAX: u32 = 50;
/// Rows a page of one author's posts.
pub const AUTHOR_PAGE_ROWS: u32 = 12;
/// People that are suggested to a user.
pub const SUGGESTED_MAX: u32 = 10;
/// `interests` and `social_links` that pregon takes, each in bytes of JSON.
pub const PROFILE_LIST_BYTES_MAX: usize = 640;
/// A file of the operator's with the site's flags and menu, in bytes.
pub const SITE_FILE_BYTES_MAX: u64 = 256 * 1024;
/// People that a new room may begin with, beside its maker.
pub const ROOM_PARTICIPANTS_NEW_MAX: usize = 1000;
/// Others that a room shows in a list of rooms.
pub const PARTICIPANTS_LISTED_MAX: u32 = 8;
/// Participants that a room by itself shows, a page.
pub const PARTICIPANTS_SHOWN_MAX: u32 = 200;
/// Whoever left a group by themselves is added to it again at most once in this time.
pub const ADDED_AGAIN_HOURS: i64 = 24;
/// Characters of a search that are looked for.
pub const SEARCH_CHARS_MAX: usize = 100;
/// The database's answer to the question whether it is there.
pub const PING_TIMEOUT: Duration = Duration::from_secs(2);
/// A JSON or form body, in bytes.
pub const BODY_BYTES_MAX: usize = 256 * 1024;
/// An uploaded file, in bytes.
pub const UPLOAD_BYTES_MAX: usize = 25 * 1024 * 1024;
/// A user's picture, in bytes.
pub const AVATAR_BYTES_MAX: usize = 5 * 1024 * 1024;
/// The picture at the head of a user's profile, in bytes.
pub const COVER_BYTES_MAX: usize = 10 * 1024 * 1024;
/// Memory of answers that wait for their readers. Full: 503 with Retry-After.
pub const ANSWERS_BYTES_MAX: usize = 240 * 1024 * 1024;
/// Those of one client (an IPv4 address, an IPv6 /48). Full: the same.
pub const CLIENT_ANSWERS_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Password hashes computed at the same time.
pub const HASHES_MAX: usize = 2;
/// Requests that wait for a password hash; clients take turns. Full: the last of whoever has most there, else the newcomer,
/// hears 503 with Retry-After.
pub const HASHES_WAITING_MAX: usize = 64;
/// From a request's head to its whole body; for uploads, from one piece to the next, and for their texts together.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// Uploads under way at the same time. Full: one of whoever has most gives its turn to whoever has less, else 503 with
/// Retry-After.
pub const UPLOADS_MAX: usize = 32;
/// Those of one user. Full: 503 with Retry-After.
pub const USER_UPLOADS_MAX: usize = 8;
/// What one user may upload at once, in MiB, and then a day, unless set otherwise.
pub const UPLOAD_QUOTA_MB: u32 = 1024;
/// A picture's sides, in pixels.
pub const PICTURE_SIDE_MAX: usize = 32 * 1024;
/// A picture's pixels: whoever shows it has four bytes for each. The largest telephones' have 200 million, but hardly in a
/// file of this size.
pub const PICTURE_PIXELS_MAX: usize = 128 * 1024 * 1024;
/// What an uploaded file may take, however small, unless set otherwise.
pub const UPLOAD_GRACE: Duration = Duration::from_secs(60);
/// Beyond that, a file must come as fast as this, in bytes a second, over all that came.
pub const UPLOAD_BYTES_PER_SECOND_MIN: usize = 32 * 1024;
/// Files that may be nobody's and wait to be looked up, and files of one look through the media folder.
pub const LITTER_MAX: usize = 64 * 1024;
/// Posts, comments or users that one query of such a look reads.
pub const LITTER_ROWS: usize = 2000;
/// How often the media folder is looked through for files that nobody names.
pub const MEDIA_SWEEP: Duration = Duration::from_secs(3600);
/// Younger files may still get their row.
pub const MEDIA_SWEEP_AGE: Duration = Duration::from_secs(3600);
/// Attempts to log in that one address may make with one login at once, and then a minute.
pub const LOGIN_ATTEMPTS_MAX: u32 = 10;
/// Attempts to log in that one address may make at once, and then a minute. An IPv6 /64 counts as one; a /56 has twice as
/// many, a /48 four times.
pub const ADDRESS_ATTEMPTS_MAX: u32 = 60;
/// Attempts to register: the same.
pub const REGISTRATIONS_MAX: u32 = 30;
/// What the answer costs beyond the attempt that an e-mail address or a name is taken.
pub const TAKEN_COST: u32 = 4;
/// People that one user may put into rooms at once; a larger new room takes all of it.
pub const PARTICIPANTS_AT_ONCE: u32 = 200;
/// And then a second.
pub const PARTICIPANTS_PER_SECOND: u32 = 2;
/// Reactions that a post shows, the newest, unless set otherwise. Each brings a whole profile.
pub const POST_REACTIONS_SHOWN: u32 = 10;
/// Reactions that a post may be set to show: as many as leave its frame below what a session may owe ([`frames`]).
pub const POST_REACTIONS_SHOWN_CEILING: u32 = 16;
/// Reactions that a message shows, the newest.
pub const MESSAGE_REACTIONS_SHOWN: usize = 10;
/// Characters that a reply shows of the message it answers.
pub const REPLY_CHARS_SHOWN: usize = 100;
/// Comments that a post shows, the first.
pub const COMMENTS_SHOWN: u32 = 5;
/// Replies that a comment shows, the first.
pub const REPLIES_SHOWN: u32 = 3;
/// Levels of replies below a comment that are shown with it.
pub const REPLY_LEVELS_SHOWN: u32 = 3;
/// The same within a post, which goes out as a frame after every comment.
pub const POST_REPLY_LEVELS_SHOWN: u32 = 1;
/// A comment's content in characters.
pub const COMMENT_CHARS_MAX: usize = 500;
/// Addresses of pictures that a post has.
pub const POST_IMAGES_MAX: usize = 20;
/// A circle's posts up to which they are gathered by author and sorted.
pub const SORTED_POSTS_MAX: u64 = 4096;
/// People in a list without pages: followers, friend requests.
pub const PEOPLE_LISTED_MAX: u32 = 1000;
/// Requests that one user may make at once.
pub const USER_REQUESTS_MAX: u32 = 200;
/// Requests that one user may go on making, a second.
pub const USER_REQUESTS_PER_SECOND: u32 = 50;
/// Bytes of a form before a part's content: what is left of the part before it, and its head. They are gathered in memory.
pub const PART_HEAD_BYTES_MAX: usize = 64 * 1024;
/// A user's handshakes on one room or post: one in this time. Further ones are held back.
pub const HANDSHAKE_EVERY: Duration = Duration::from_secs(1);
/// How long a handshake is held back at most; then it is refused with 503.
pub const HANDSHAKE_HELD_MAX: Duration = Duration::from_secs(15);
/// Handshakes that are held back for one user and room or post. Beyond it they are refused at once.
pub const HANDSHAKES_HELD_KEY_MAX: usize = 32;
/// The same for one user in all.
pub const HANDSHAKES_HELD_USER_MAX: usize = 256;
/// Sockets of one user on one room or post. For one more the oldest is let go with 1013.
pub const SOCKETS_PER_PLACE_MAX: usize = 8;
/// A user's feeds, and a user's sockets for notifications: the same.
pub const SOCKETS_PER_LISTENER_MAX: usize = 32;
/// Users' rooms and posts whose last handshake is remembered before those are forgotten that may come again at once; more where more came
/// within that time.
pub const HANDSHAKE_KEYS_MAX: usize = 4 * 1024;
/// Addresses, logins and users that a rate limiter remembers before it forgets those that rested.
pub const RATE_KEYS_MAX: usize = 64 * 1024;

const _: () = assert!(SHARDS_MAX <= 64, "a set of shards is one u64");
const _: () = assert!(SIGNAL_BYTES_MAX < MESSAGE_BYTES_MAX);
const _: () =
    assert!(CONTENT_CHARS_MAX * 12 < MESSAGE_BYTES_MAX, "content of \\u-escaped surrogate pairs fits a message");
const _: () =
    assert!(LOOK_EVENTS_MAX * RECEIVE_BUFFER_BYTES <= SHARD_WAITING_BYTES_MIN / 2, "a look cannot overshoot by much");
const _: () =
    assert!(WRITE_BYTES_MAX * 8 <= STRETCH_BYTES_MAX, "a stretch serves several sessions that are far behind");
const _: () = assert!(WRITE_BYTES_MAX <= WRITE_PARTS_MAX * CHUNK_BYTES, "full chunks fill a write");
const _: () = assert!(PUBLICATION_BYTES_MAX < OUTBOX_OWED_BYTES_MAX, "one publication makes nobody too slow");
const _: () =
    assert!(PUBLICATION_BYTES_MAX * 4 <= INBOX_BYTES_MAX && PUBLICATION_BYTES_MAX * 4 <= SHARD_WAITING_BYTES_MIN);
const _: () = assert!(OUTBOX_STALL.as_secs() < OUTBOX_PATIENCE.as_secs());
const _: () = assert!(OUTBOX_PATIENCE.as_secs() < READER_PATIENCE.as_secs());
const _: () =
    assert!(OUTBOX_PARTS_MAX * 64 <= OUTBOX_OWED_BYTES_MAX, "the ranges of a session cost less than its debt may");
const _: () = assert!(PRESENCE_ROOM_MAX <= PRESENCE_ROOM_CEILING);
const _: () = assert!(STRETCH_VISITS_MIN <= STRETCH_VISITS_BUSY && STRETCH_VISITS_BUSY <= STRETCH_VISITS_MAX);
const _: () = assert!(STRETCH_VISITS_MAX <= TURN_VISITS_MAX);
const _: () = assert!(CHUNK_BYTES < OUTBOX_SHARED_BYTES_MAX);
const _: () = assert!(OUTBOX_SHARED_BYTES_MAX < OUTBOX_OWED_BYTES_MAX);
const _: () = assert!(OUTBOX_OWED_BYTES_MAX * 2 <= SHARD_WAITING_BYTES_MIN);
const _: () = assert!(BATCH_WRITES_MAX <= LANE_WRITES_MAX);
const _: () = assert!(READ_ALL_FRAMES_MAX <= READ_ALL_ROWS_MAX);
const _: () = assert!(TAIL_EVERY.as_millis() * 2 < 1000, "what Django adds is told within a second");
const _: () = assert!(TAIL_WRITES_MAX < LANE_WRITES_MAX && TAIL_NEAR.as_secs() <= TAIL_OVERLAP.as_secs());
const _: () = assert!(CHANNEL_REFRESH.as_secs() * 10 < 86_400, "Django forgets members of that age");
const _: () = assert!(CHANNEL_HEARTBEAT.as_secs() * 3 < CHANNEL_DEAD_AFTER.as_secs());
const _: () = assert!(0 < DELETED_LEVELS_MAX && 0 < COMMENTS_DELETED_MAX, "each write deletes or moves up some");
const _: () = assert!(LANE_PATIENCE.as_secs() < DELETION_PATIENCE.as_secs(), "it outlasts a batch that waits in vain");
const _: () = assert!(WAL_CHECKPOINT_PAGES < WAL_PAGES_MAX);
const _: () = assert!(WRITE_LANES <= WRITE_LANES_MAX);
const _: () = assert!(LOCK_WAIT.as_secs() * 2 < LANE_PATIENCE.as_secs(), "a batch asks for a lock more than once");
const _: () = assert!(LOCK_WAIT.as_secs() < STATEMENT_TIMEOUT.as_secs());
const _: () = assert!(STATEMENT_TIMEOUT.as_secs() < ANSWER_TIMEOUT.as_secs(), "the server gives up first");
const _: () =
    assert!(NODE_BEAT.as_secs() * 3 <= NODE_SILENT.as_secs() && NODE_SILENT.as_secs() < NODE_FORGOTTEN.as_secs());
const _: () = assert!(
    SESSION_UNFINISHED_BYTES_MAX * 4 <= SHARD_UNFINISHED_BYTES_MIN,
    "a few long messages leave room for others"
);
const _: () = assert!(PAGE_ROWS <= PAGE_ROWS_MAX);
const _: () = assert!(POST_REACTIONS_SHOWN <= POST_REACTIONS_SHOWN_CEILING);
const _: () = assert!(CLIENT_ANSWERS_BYTES_MAX * 4 <= ANSWERS_BYTES_MAX, "a few clients leave room for others");
const _: () =
    assert!(ENDED_LOGINS_GATHER.as_millis() < 1000 && ENDED_LOGINS_GATHER.as_secs() < ENDED_LOGINS_NEAR.as_secs());
const _: () = assert!(PARTICIPANTS_LISTED_MAX < PARTICIPANTS_SHOWN_MAX);
const _: () = assert!(BODY_BYTES_MAX <= UPLOAD_BYTES_MAX);
const _: () = assert!(AVATAR_BYTES_MAX <= UPLOAD_BYTES_MAX && COVER_BYTES_MAX <= UPLOAD_BYTES_MAX);
const _: () = assert!(0 < USER_UPLOADS_MAX && USER_UPLOADS_MAX * 4 <= UPLOADS_MAX, "a few users leave room for others");
const _: () = assert!(BODY_TIMEOUT.as_secs() <= UPLOAD_GRACE.as_secs(), "a small upload has the time of a small body");
const _: () = assert!(UPLOAD_BYTES_MAX / UPLOAD_BYTES_PER_SECOND_MIN <= 900, "a turn ends within a quarter of an hour");
