//! Every bound of the server, and the relations between bounds, which are asserted when the server is compiled.

mod adjustable;
pub mod bounds;
mod clients;
mod events;
pub mod frames;
pub mod memory;
mod nodes;
mod operator;
mod push;
mod search;
mod tls;
mod v1;

pub use self::adjustable::*;
pub use self::clients::*;
pub use self::events::*;
pub use self::nodes::*;
pub use self::operator::*;
pub use self::push::*;
pub use self::search::*;
pub use self::tls::*;
pub use self::v1::*;

use std::time::Duration;

pub use self::bounds::Bounds;

/// Lines of the log that clients may cause per second for one reason; the rest is counted.
pub const LOG_LINES_PER_SECOND: u32 = 5;

/// Shards a process may have: the width of a set of shards.
pub const SHARDS_MAX: usize = 64;

// --- the wire ---

/// A client's message, over all its fragments, in bytes. Beyond it the session ends with 1009.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// The same for the socket of conformance suites, whose longest messages are of this size.
pub const ECHO_MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// A shard's share of unfinished messages where there is such a socket: a few of them, in buffers that grew by doubling. Only a
/// server that listens on loopback alone has one.
pub const ECHO_UNFINISHED_BYTES_MAX: usize = 8 * ECHO_MESSAGE_BYTES_MAX;
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
/// Bytes at which a topic's open chunk is closed and another one is opened. A larger frame gets a chunk of its own.
pub const CHUNK_BYTES: usize = 16 * 1024;
/// Bytes of a publication. If a batch has more for a topic, it is split into several. A single frame may be longer.
pub const PUBLICATION_BYTES_MAX: usize = 256 * 1024;
/// Bytes of one write to one socket. What waits beyond it is written after all other sockets had their turn.
pub const WRITE_BYTES_MAX: usize = 64 * 1024;
/// Bytes of one stretch of the walk, about 4 ms.
pub const STRETCH_BYTES_MAX: usize = 4 * 1024 * 1024;
/// A turn ends when this time is over and the stretch under way is done, so that handshakes, timers and pings do not
/// wait for a flood.
pub const TURN_TIME_MAX: Duration = Duration::from_millis(10);
/// Visits of the walk between two looks at the shard's input, if the last look found something from one peer.
pub const STRETCH_VISITS_MIN: usize = 64;
/// The same if the last look found something from many peers: what came will cause many visits.
pub const STRETCH_VISITS_BUSY: usize = 256;
/// The same if several looks found nothing: there is nothing that could join the walk.
pub const STRETCH_VISITS_MAX: usize = 512;
/// Parts of one `writev`.
pub const WRITE_PARTS_MAX: usize = 16;
/// Sockets that one look at the shard's input serves.
pub const LOOK_EVENTS_MAX: usize = 64;
/// Inbox messages that one look serves.
pub const LOOK_MESSAGES_MAX: usize = 64;
/// If more visits than this wait, the shard reads no more than the walk delivers: what is not read yet waits in the
/// sender's socket instead of every receiver's outbox.
pub const WALK_VISITS_SHORT: usize = 256;
/// Looks and stretches of one turn. Then the shard's runtime gets its turn (handshakes, timers).
pub const TURN_ROUNDS_MAX: usize = 32;
/// Visits of one turn, about 10 ms.
pub const TURN_VISITS_MAX: usize = 2048;
/// Messages in a shard's inbox. Full: the publisher waits (lanes, control) or stops reading (other shards).
pub const INBOX_MESSAGES_MAX: usize = 8 * 1024;
/// Bytes of frames in a shard's inbox. Full: the same. An empty inbox takes a message of any size.
pub const INBOX_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Messages for other shards that wait in a shard while inboxes are full. Full: messages that may be dropped are
/// dropped, and new sockets are sent away with 1013. Only the joins and leaves of sessions wait beyond it, two for each
/// session.
pub const OVERFLOW_MESSAGES_MAX: usize = 1024;
/// Bytes of frames in these messages. Full: the same.
pub const OVERFLOW_BYTES_MAX: usize = 2 * 1024 * 1024;

// --- a session ---

/// A session whose socket is full gets no more ephemeral frames while it is behind by more than this.
pub const OUTBOX_SHARED_BYTES_MAX: usize = 64 * 1024;
/// If a session's socket and peer take nothing for longer than this, and it owes less than a chunk, its durable frames
/// move to a buffer of its own, so that it keeps no chunk in memory.
pub const OUTBOX_STALL: Duration = Duration::from_secs(1);
/// The most that one session may owe, in answers that it does not read or while it takes nothing. Beyond it, it is let
/// go with 4008.
pub const OUTBOX_OWED_BYTES_MAX: usize = 1024 * 1024;
/// A session that owes more than [`OUTBOX_OWED_BYTES_MAX`] is let go when its peer takes nothing for longer than this.
/// A session that reads, however slowly, is kept while the shard's sum allows it.
pub const OUTBOX_PATIENCE: Duration = Duration::from_secs(3);
/// The same for a session whose socket was full before and took more later: on a busy machine a reader may not get to
/// read for seconds.
pub const READER_PATIENCE: Duration = Duration::from_secs(4);
/// Ranges that may wait for a session whose socket is full. Beyond it they are copied into a buffer of its own.
pub const OUTBOX_PARTS_MAX: usize = 4096;
/// A session's own buffer grows by at least this much.
pub const DEBT_STEP_BYTES: usize = 64 * 1024;
/// Memory of everything that waits for sessions, in chunks and in their own buffers, over all shards; each shard has
/// its share. When the share is used up, the shard's largest debtors go first.
pub const WAITING_BYTES_MAX: usize = 192 * 1024 * 1024;
/// The least that a shard's share is, however many shards there are.
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
/// The most that is read of the rest of a request's body after its answer, so that the connection can serve another
/// request. Beyond it the connection ends.
pub const LEFTOVER_BYTES_MAX: u64 = 64 * 1024;
/// How long that rest is waited for. The answer waits for it, too.
pub const LEFTOVER_PATIENCE: Duration = Duration::from_millis(500);
/// How long a connection that ends before everything was read goes on reading. If it were closed at once, it would be
/// reset, and the answer might be lost with it (RFC 9112 §9.6).
pub const LINGER: Duration = Duration::from_secs(2);
/// From SIGTERM to the last session's goodbye, unless set otherwise. No other node takes over the sessions, so a longer
/// drain is a longer absence: the app's hooks try again after 1, 3 and 7 s, and some of them never after that.
pub const DRAIN_ALONE: Duration = Duration::from_secs(2);
/// Between two requests of a connection. It is longer than proxies keep theirs (nginx: 60 s), so that the proxy closes
/// first and none of its requests meets a closing connection.
pub const IDLE_CONNECTION: Duration = Duration::from_secs(90);
/// How long a peer may take nothing of an answer; then its connection ends. (nginx's `send_timeout` is the same.)
pub const ANSWER_PATIENCE: Duration = Duration::from_secs(60);
/// How long connections have for the rest of their request after the listeners are closed.
pub const LAST_REQUEST_PATIENCE: Duration = Duration::from_secs(1);
/// From the end of a token to the end of its sessions (4001), unless set otherwise.
pub const TOKEN_GRACE: Duration = Duration::from_secs(60);
/// The longest life of a session; ends with 1001 so that the client comes back.
pub const SESSION_LIFE: Duration = Duration::from_secs(24 * 3600);

// --- rooms ---

/// The most participants for which a room may be set to send `user_status` frames: every join looks through those
/// present.
pub const PRESENCE_ROOM_CEILING: u32 = 2000;
/// The most participants with which a room sends `user_status` frames, unless set otherwise.
pub const PRESENCE_ROOM_MAX: u32 = 200;
/// From a user's last socket in a room to `offline`.
pub const PRESENCE_GRACE: Duration = Duration::from_secs(5);
/// How often the clients of a room that is not told who comes and goes are told at most how many are there.
pub const PRESENCE_COUNT_EVERY: Duration = Duration::from_secs(2);

/// How often the participant rows of rooms with listeners are checked for rows that other programs deleted.
pub const PARTICIPANT_SWEEP: Duration = Duration::from_secs(5);
/// Rooms that one query of that check asks for.
pub const SWEEP_ROOMS_MAX: usize = 200;

// --- feeds ---

/// Entries of authors' lists that a shard adds or removes between two looks at its input.
pub const FEED_SLICE_ENTRIES: usize = 1024;
/// Lists of authors that are read or worked off at the same time, over all shards. Further feeds wait for their turn.
pub const FEED_LOADS_MAX: usize = 4;
/// Feeds that wait for their list. Full: the feed is let go with 1013.
pub const FEED_LOADS_WAITING_MAX: usize = 64 * 1024;
/// Publications that a shard keeps for feeds that are loading. Beyond it the feeds that began to load first are let go
/// with 1013.
pub const FEED_RECENT_MAX: usize = 64 * 1024;
/// Bytes of these publications on a shard. Shards share their memory, so all shards together keep no more.
pub const FEED_RECENT_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes of remembered lists of authors: some 400 lists of 5,000 authors.
pub const FEED_LISTS_BYTES_MAX: usize = 32 * 1024 * 1024;
/// `post_reaction` frames of one post that may go at once, and reaction notifications to its author.
pub const REACTIONS_AT_ONCE: u32 = 10;
/// After these: one in this time, with the latest counts.
pub const REACTIONS_EVERY: Duration = Duration::from_millis(100);
/// `post_updated` after comments and shares: at most one per post in this time.
pub const POST_UPDATED_EVERY: Duration = Duration::from_millis(250);
/// On a post's sockets, `post_updated` comes no sooner than this after any other frame: a client that keeps only the
/// last frame would never see the comment that moved the counter.
pub const POST_UPDATED_AFTER: Duration = Duration::from_millis(100);
/// Where other frames come without a pause, `post_updated` comes all the same when this has passed.
pub const POST_UPDATED_BY: Duration = Duration::from_secs(1);
/// How often the users behind open feed, post and notification sockets are checked, unless set otherwise.
pub const ACTIVE_CHECK: Duration = Duration::from_secs(60);
/// Sessions that a shard looks at for that check before it goes on with its work.
pub const ACTIVE_CHECK_SESSIONS_MAX: u32 = 2048;
/// Topics that a shard looks at before it goes on, when it is asked which topics have listeners.
pub const TOPICS_ASKED_MAX: u32 = 4096;
/// Users that one query of the check asks for.
pub const ACTIVE_CHECK_USERS_MAX: usize = 500;

// --- beside Django ---

/// Queues of this process in Django's channel layer: a sender drops what does not fit into a queue of 100 messages.
pub const CHANNEL_QUEUES: usize = 8;
/// Bytes of a message of the channel layer; larger ones are skipped. A post with all its reactions may be some
/// megabytes long.
pub const CHANNEL_ELEMENT_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Depth of maps and lists within each other in such a message. The backend's have six or seven levels: comments have
/// replies.
pub const CHANNEL_DEPTH_MAX: usize = 64;
/// Messages that one reply of Redis brings from one queue.
pub const CHANNEL_POPS_MAX: usize = 100;
/// Groups that one pipeline joins and leaves.
pub const CHANNEL_ORDERS_MAX: usize = 500;
/// Changed topics that wait for the listener. Full: all topics are looked through instead.
pub const CHANNEL_CHANGES_MAX: usize = 16 * 1024;
/// From the last listener's end to the leave of a group.
pub const CHANNEL_LINGER: Duration = Duration::from_secs(10);
/// How often a membership is renewed. Django forgets memberships older than 24 h.
pub const CHANNEL_REFRESH: Duration = Duration::from_secs(600);
/// How often this process tells others that it lives, and looks for queues of dead processes.
pub const CHANNEL_HEARTBEAT: Duration = Duration::from_secs(10);
/// A process that was not heard of for this long is dead: others clear its queues away.
pub const CHANNEL_DEAD_AFTER: Duration = Duration::from_secs(60);
/// Redis counts as away when it has not answered for this long.
pub const CHANNEL_ANSWER_TIMEOUT: Duration = Duration::from_secs(3);
/// The first pause before another attempt to reach Redis. Each further pause is twice as long.
pub const CHANNEL_PAUSE_MIN: Duration = Duration::from_millis(100);
/// The longest pause.
pub const CHANNEL_PAUSE_MAX: Duration = Duration::from_secs(2);
/// Posts with bells that wait for an answer. Full: further bells are dropped, as Django's own queues would.
pub const BELLS_MAX: usize = 16 * 1024;
/// Comments of one post with bells that wait. Full: the same.
pub const BELL_COMMENTS_MAX: usize = 256;
/// Posts whose rows are read at the same time.
pub const BELL_READS_MAX: usize = 4;
/// How often rows that Django added to live topics are looked for.
pub const TAIL_EVERY: Duration = Duration::from_millis(250);
/// How far back that look reaches. A row has the time when it was made, by another machine's clock, not the time of its
/// commit.
pub const TAIL_NEAR: Duration = Duration::from_secs(5);
/// How often a look reaches as far back as the overlap.
pub const TAIL_FAR_EVERY: Duration = Duration::from_secs(5);
/// The overlap. If a transaction takes longer than this, its rows are not told.
pub const TAIL_OVERLAP: Duration = Duration::from_secs(60);
/// Topics that one query asks for.
pub const TAIL_TOPICS_MAX: usize = 256;
/// Rows of one answer; the rest is asked for again.
pub const TAIL_PAGE_ROWS: usize = 5000;
/// Rows that wait for their places at the same time.
pub const TAIL_WRITES_MAX: usize = 256;
/// Rows that are remembered, so that each is told once.
pub const TAIL_ROWS_MAX: usize = 256 * 1024;
/// How long the places of adopted rows are kept: far longer than the rows can be found.
pub const ADOPTED_KEPT_HOURS: i64 = 24;
/// How often pregon checks whether Django changed whom users with open feeds hear. A check that takes more than half of
/// this makes it less often.
pub const FOLLOWS_SWEEP: Duration = Duration::from_secs(3);
/// Users that one query of that check asks for.
pub const FOLLOWS_SWEEP_USERS_MAX: usize = 256;
/// How often the users and participants behind open sockets are checked beside Django, unless it is set to be more
/// often.
pub const BESIDE_SWEEP: Duration = Duration::from_secs(3);
/// Posts and comments for which pregon remembers what was told of them.
pub const TOLD_MAX: usize = 64 * 1024;

// --- the store ---

/// Writes that wait for a lane. Full: the sender gets an error frame and keeps its message.
pub const LANE_WRITES_MAX: usize = 4096;
/// Writes in one transaction.
pub const BATCH_WRITES_MAX: usize = 1000;
/// Rows that one `mark_as_read` inserts, or that one write to all notifications of a user changes.
pub const READ_ALL_ROWS_MAX: usize = 500;
/// Read frames that one `mark_as_read` sends, for the newest messages.
pub const READ_ALL_FRAMES_MAX: usize = 50;
/// `mark_as_read`s with more than [`READ_ALL_ROWS_MAX`] rows, whose remaining rows wait for an idle moment.
pub const READ_ALL_RESTS_MAX: usize = 1024;
/// The number up to which unread messages are counted.
pub const UNREAD_COUNT_MAX: usize = 1000;
/// The number up to which followers, posts and comments are counted row by row where other programs may write: that
/// takes about two milliseconds. If a column says that there are more, the column is believed.
pub const LIVE_COUNT_MAX: u64 = 10_000;
/// Reads that wait for a connection. Full: the caller is told to try again later.
pub const READS_WAITING_MAX: usize = 4096;
/// Rows that one slice of housekeeping deletes.
pub const RETENTION_ROWS_MAX: usize = 500;
/// Pages of SQLite's write-ahead log after which they are copied into the file.
pub const WAL_CHECKPOINT_PAGES: usize = 16 * 1024;
/// Pages of the log above which writers wait for the end of a checkpoint, so that the log starts anew.
pub const WAL_PAGES_MAX: usize = 48 * 1024;
/// How long after a message its twins are recognized.
pub const TWIN_WINDOW: Duration = Duration::from_secs(10);
/// Messages that are remembered for this.
pub const TWIN_MESSAGES_MAX: usize = 64 * 1024;
/// After a user's reaction to a post gave its author a notification, no other reaction of that user to that post gives
/// one for this long. The same holds for a user's follows, friend requests and their acceptances.
pub const NOTICE_WINDOW: Duration = Duration::from_secs(3600);
/// Comments that one write deletes. If a comment has more answers, or a post more comments, further writes delete the
/// rest.
pub const COMMENTS_DELETED_MAX: usize = 200;
/// Levels of answers that one write looks down. Deeper answers are moved up before they are deleted.
pub const DELETED_LEVELS_MAX: usize = 50;
/// Writes in one deletion. Each row is moved up at most once before it is deleted, so a million comments go in so many
/// writes. The bound ends a request even if answers are written faster than they are deleted.
pub const DELETION_WRITES_MAX: usize = 10_000;
/// How long a deletion that has begun goes on trying while writes are refused for the moment.
pub const DELETION_PATIENCE: Duration = Duration::from_secs(30);
/// MySQL: users whose names are looked at together.
pub const NAMES_READ_MAX: usize = 1000;
/// MySQL: users whose words are written in one transaction.
pub const NAMES_WRITTEN_MAX: usize = 100;
/// MySQL: how long after a look at all names the next one begins. It is [`NAMES_REST`] times the length of the look if
/// that is longer.
pub const NAMES_EVERY: Duration = Duration::from_secs(30);
/// The pause between two looks at all names is at least so many times as long as a look.
pub const NAMES_REST: u32 = 20;
/// How long a `client_id` is remembered.
pub const CLIENT_ID_HOURS: i64 = 24;
/// Events of a topic that are always kept.
pub const EVENTS_KEPT_MIN: u64 = 1000;
/// Events younger than this are always kept.
pub const EVENTS_KEPT_HOURS: i64 = 24;
/// MySQL: how long a statement waits for a lock that another transaction holds.
pub const LOCK_WAIT: Duration = Duration::from_secs(5);
/// MySQL: how long the server may work on one statement.
pub const STATEMENT_TIMEOUT: Duration = Duration::from_secs(15);
/// MySQL: how long an answer may take before the connection counts as lost.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// MySQL: how long a batch waits for a database that is away (it restarts) or whose rows are locked. Then the senders
/// are told to try again later.
pub const LANE_PATIENCE: Duration = Duration::from_secs(15);
/// MySQL: bytes of a batch's changes after which they are sent before the batch ends; servers accept at least 4 MB at
/// once.
pub const TRIP_BYTES_MAX: usize = 1024 * 1024;
/// MySQL: write lanes, each a thread and a connection.
pub const WRITE_LANES_MAX: usize = 32;
/// MySQL: write lanes at most, unless set otherwise: one for two cores. Batches of more lanes are smaller, and cost the
/// database more for each write.
pub const WRITE_LANES: usize = 4;
/// MySQL: connections that read and write directly, unless set otherwise.
pub const DIRECT_CONNECTIONS: usize = 8;
/// Keys of one list in a statement.
pub const LIST_KEYS_MAX: usize = 256;
/// MySQL: how often a direct write begins anew after a deadlock or a lost connection.
pub const DIRECT_ATTEMPTS_MAX: u32 = 5;
/// MySQL: topics that one slice of housekeeping goes through.
pub const RETENTION_TOPICS_MAX: usize = 50;
/// MySQL: a connection that is idle for so long is closed by the server, and opened again when it is needed.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(120);
/// MySQL: how long opening a connection may take.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// MySQL: how often a server says that it is running.
pub const NODE_BEAT: Duration = Duration::from_secs(5);
/// MySQL: a server that has not said so for this long counts as stopped.
pub const NODE_SILENT: Duration = Duration::from_secs(15);
/// MySQL: the row of a server that has been silent for this long is deleted.
pub const NODE_FORGOTTEN: Duration = Duration::from_secs(3600);
/// How long cached answers about accounts and participants are believed.
pub const ADMISSION_CACHE_SECONDS: i64 = 5;
/// Entries of each of these caches: as many users are remembered who come, or ask for something, within that time.
pub const REMEMBERED_ENTRIES: usize = 8 * 1024;
/// Entries of each other cache.
pub const CACHE_ENTRIES: usize = 64 * 1024;

// --- tokens ---

/// Life of an access token.
pub const ACCESS_TOKEN_SECONDS: i64 = 3600;
/// Life of a refresh token.
pub const REFRESH_TOKEN_SECONDS: i64 = 30 * 24 * 3600;
/// Ended logins whose sockets one look closes.
pub const ENDED_LOGINS_MAX: usize = 16 * 1024;
/// How long a look for a login's sockets waits after the login ended, so that one look serves many logins.
pub const ENDED_LOGINS_GATHER: Duration = Duration::from_millis(100);
/// How far back a look right after the end of a login reaches: longer than a transaction takes.
pub const ENDED_LOGINS_NEAR: Duration = Duration::from_secs(10);
/// How far back each regular look reaches beyond the one before, because a handshake may take long after it was judged,
/// and because other nodes' clocks differ.
pub const ENDED_LOGINS_OVERLAP: Duration = Duration::from_secs(60);
/// A token, in bytes. Ours have about 330, with RSA up to 1,100.
pub const TOKEN_BYTES_MAX: usize = 4 * 1024;
/// Keys in a file of keys.
pub const KEYS_MAX: usize = 64;
/// A file of keys, in bytes. A private key of RSA with 4096 bits has 3.2 KiB.
pub const KEY_FILE_BYTES_MAX: usize = 256 * 1024;
/// A key's name, in bytes.
pub const KID_BYTES_MAX: usize = 256;
/// How often the file of keys is looked at.
pub const KEY_FILE_LOOK: Duration = Duration::from_secs(5);
/// Whom tokens are for or from, in bytes.
pub const PARTY_BYTES_MAX: usize = 256;

// --- REST ---

/// Rows a page of a list.
pub const PAGE_ROWS: u32 = 20;
/// Rows a page where the client may choose.
pub const PAGE_ROWS_MAX: u32 = 50;
/// Rows a page of one author's posts.
pub const AUTHOR_PAGE_ROWS: u32 = 12;
/// People in the list of those whom a user has blocked.
pub const BLOCKED_SHOWN_MAX: u32 = 1000;
/// People whom one user is kept apart from: the newest of those who were blocked, and of those who have blocked. All sessions of a
/// user share the list of up to 4 KiB.
pub const APART_MAX: u32 = 256;
/// People that are suggested to a user.
pub const SUGGESTED_MAX: u32 = 10;
/// `interests` and `social_links` that pregon takes, each in bytes of JSON.
pub const PROFILE_LIST_BYTES_MAX: usize = 640;
/// A file of the operator's with the site's flags and menu, in bytes.
pub const SITE_FILE_BYTES_MAX: u64 = 256 * 1024;
/// People that a new room may begin with, beside its creator.
pub const ROOM_PARTICIPANTS_NEW_MAX: usize = 1000;
/// Other participants of a room that a list of rooms shows.
pub const PARTICIPANTS_LISTED_MAX: u32 = 8;
/// Participants on one page when a single room is shown.
pub const PARTICIPANTS_SHOWN_MAX: u32 = 200;
/// A user who left a group on their own is added to it again at most once in this time.
pub const ADDED_AGAIN_HOURS: i64 = 24;
/// How long the database may take to answer whether it is there.
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
pub const ANSWERS_BYTES_MAX: usize = 196 * 1024 * 1024;
/// Those of one client (an IPv4 address, an IPv6 /48). Full: the same.
pub const CLIENT_ANSWERS_BYTES_MAX: usize = 24 * 1024 * 1024;
/// Password hashes computed at the same time.
pub const HASHES_MAX: usize = 2;
/// Requests that wait for a password hash; clients take turns. Full: the client with the most waiting requests loses
/// its last one, or else the newcomer is refused, with 503 and Retry-After.
pub const HASHES_WAITING_MAX: usize = 64;
/// How long the whole body of a request may take after its head; for uploads, how long each piece may take after the
/// one before, and how long all their texts may take together.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// Uploads under way at the same time. Full: the user with the most uploads loses the oldest one to a user with fewer,
/// else 503 with Retry-After.
pub const UPLOADS_MAX: usize = 32;
/// The same for one user. Full: 503 with Retry-After.
pub const USER_UPLOADS_MAX: usize = 8;
/// MiB that one user may upload at once, and again per day, unless set otherwise.
pub const UPLOAD_QUOTA_MB: u32 = 1024;
/// A picture's sides, in pixels.
pub const PICTURE_SIDE_MAX: usize = 32 * 1024;
/// Pixels of a picture: a program that shows it needs four bytes for each. The largest telephones take pictures of 200
/// million pixels, but hardly in a file of this size.
pub const PICTURE_PIXELS_MAX: usize = 128 * 1024 * 1024;
/// How long an uploaded file may take, however small it is, unless set otherwise.
pub const UPLOAD_GRACE: Duration = Duration::from_secs(60);
/// After that time, the file must have come at least at this rate, in bytes per second, over all that came.
pub const UPLOAD_BYTES_PER_SECOND_MIN: usize = 32 * 1024;
/// Files that may belong to nobody and wait to be looked up, and files that one look through the media folder takes.
pub const LITTER_MAX: usize = 64 * 1024;
/// Posts, comments or users that one query of such a look reads.
pub const LITTER_ROWS: usize = 2000;
/// How often the media folder is searched for files that no row names.
pub const MEDIA_SWEEP: Duration = Duration::from_secs(3600);
/// Files younger than this may still get their row.
pub const MEDIA_SWEEP_AGE: Duration = Duration::from_secs(3600);
/// Attempts to log in that one address may make with one login at once, and again per minute.
pub const LOGIN_ATTEMPTS_MAX: u32 = 10;
/// Attempts to log in that one address may make at once, and again per minute. An IPv6 /64 counts as one address; a /56
/// has twice as many attempts, a /48 four times.
pub const ADDRESS_ATTEMPTS_MAX: u32 = 60;
/// Attempts to register: the same.
pub const REGISTRATIONS_MAX: u32 = 30;
/// What an attempt to register costs in addition if the answer is that the e-mail address or name is taken.
pub const TAKEN_COST: u32 = 4;
/// People that one user may put into rooms at once. A larger new room uses all of it.
pub const PARTICIPANTS_AT_ONCE: u32 = 200;
/// And again per second.
pub const PARTICIPANTS_PER_SECOND: u32 = 2;
/// Reactions that a post shows, the newest ones, unless set otherwise. Each brings a whole profile.
pub const POST_REACTIONS_SHOWN: u32 = 10;
/// Reactions that a post may be set to show: with so many, its frame is still below what a session may owe
/// ([`frames`]).
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
/// Up to so many posts of a circle, they are gathered by author and sorted.
pub const SORTED_POSTS_MAX: u64 = 4096;
/// People in a list without pages: followers, friend requests.
pub const PEOPLE_LISTED_MAX: u32 = 1000;
/// Requests that one user may make at once.
pub const USER_REQUESTS_MAX: u32 = 200;
/// Requests that one user may make per second after that.
pub const USER_REQUESTS_PER_SECOND: u32 = 50;
/// Bytes of a form before a part's content: the rest of the part before it, and the part's head. They are gathered in
/// memory.
pub const PART_HEAD_BYTES_MAX: usize = 64 * 1024;
/// A user may make one handshake on a room or post in this time. Further ones are held back.
pub const HANDSHAKE_EVERY: Duration = Duration::from_secs(1);
/// How long a handshake is held back at most; then it is refused with 503.
pub const HANDSHAKE_HELD_MAX: Duration = Duration::from_secs(15);
/// Handshakes that are held back for one user and room or post. Further ones are refused at once.
pub const HANDSHAKES_HELD_KEY_MAX: usize = 32;
/// The same for one user over all rooms and posts.
pub const HANDSHAKES_HELD_USER_MAX: usize = 256;
/// Sockets of one user on one room or post. When one more comes, the oldest is let go with 1013.
pub const SOCKETS_PER_PLACE_MAX: usize = 8;
/// The same for a user's feeds, and for a user's notification sockets.
pub const SOCKETS_PER_LISTENER_MAX: usize = 32;
/// Pairs of a user and a room or post whose last handshake is remembered. Above this number, pairs that may come again
/// at once are forgotten; there are more if more came within that time.
pub const HANDSHAKE_KEYS_MAX: usize = 4 * 1024;
/// Addresses, logins and users that a rate limiter remembers. Above this number it forgets those that have their full
/// allowance again.
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
const _: () = assert!(LANE_PATIENCE.as_secs() < DELETION_PATIENCE.as_secs(), "a deletion outlasts a waiting batch");
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
