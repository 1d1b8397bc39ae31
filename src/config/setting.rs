//! The settings, each declared once with its names, values, default, help and documentation.

use crate::config::ConfigError;

/// The value of a setting that is not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usual {
    /// This text, as if it were given.
    Is(&'static str),
    /// A value that the server finds out; described in words.
    Depends(&'static str),
}

/// Everything that is known about a setting.
struct Declaration {
    key: &'static str,
    takes: &'static str,
    usual: Usual,
    help: &'static str,
    more: &'static str,
}

macro_rules! settings {
    ($($name:ident $key:literal $takes:literal $usual:expr, $help:literal, $more:literal;)*) => {
        /// The name of a setting.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Setting {
            $(#[doc = concat!("`", $key, "`")] $name,)*
        }

        impl Setting {
            /// Every setting, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            fn declaration(self) -> Declaration {
                match self {
                    $(Self::$name => Declaration { key: $key, takes: $takes, usual: $usual, help: $help, more: $more },)*
                }
            }
        }
    };
}

use Usual::{Depends, Is};

// Name, key in the file, accepted values, default; then the text of --help, and the addition in docs/operations.md.
settings! {
    Listen "listen" "ADDRESSES" Is("127.0.0.1:8000,[::1]:8000"),
        "Addresses to listen on, separated by commas",
        "Port 0 lets the system choose. Beyond loopback a token secret or keys are required.";
    DatabaseUrl "database_url" "URL" Is("sqlite://data/pregon.db"),
        "The database: sqlite://FILE, or mysql://USER:PASSWORD@HOST:PORT/NAME",
        "The folder of an SQLite file is created; a MySQL database needs `pregon migrate`. Everybody on the machine can see flags, so a \
         password belongs in the environment or in a file.";
    DatabaseUrlFile "database_url_file" "FILE" Depends("none"),
        "A file that holds the database's URL, since a password may be in it", "";
    WriteLanes "write_lanes" "N" Depends("half the cores, 1 to 4; 1 on SQLite"),
        "Connections that write to the database, up to 32 on MySQL",
        "SQLite has one writer. More lanes mean smaller batches: see \"Tune\".";
    Durability "durability" "WORD" Is("stored"),
        "What an acknowledgement of pregon.v1 says at best: stored or replicated",
        "`replicated`: it says so where a MySQL or MariaDB server with semi-synchronous replication had a replica's acknowledgement of the \
         batch, and `stored` where it had not. This costs a round trip a batch.";
    DbZone "db_zone" "ZONE" Is("UTC"),
        "The zone of the times in a MySQL database, such as America/Bogota",
        "Set it if Django made the tables: to Django's `TIME_ZONE`, or to `UTC` if Django has `USE_TZ = True`.";
    TimeStyle "time_style" "STYLE" Is("utc"),
        "How times look in JSON: utc or naive",
        "`naive`: local times of `PREGON_DB_ZONE` without a suffix, as Django writes them with `USE_TZ = False`.";
    Django "django" "WHETHER" Is("auto"),
        "Whether Django runs beside pregon: auto, on or off",
        "`auto`: yes if the database has the table `django_migrations`.";
    RedisUrl "redis_url" "URL" Depends("none"),
        "The Redis of all nodes and of Django's channel layer: redis://[USER:PASSWORD@]HOST:PORT/DATABASE",
        "Without it, nodes do not hear each other, and open pages show Django's posts, comments and reactions only after a reload. Without \
         Django also `redis-sentinel://HOST:PORT/DATABASE?sentinelServiceName=NAME&node=HOST:PORT` or \
         `redis-cluster://HOST:PORT?node=HOST:PORT`.";
    RedisUrlFile "redis_url_file" "FILE" Depends("none"),
        "A file that holds the URL of Redis, since a password may be in it", "";
    JwtSecret "jwt_secret" "TEXT" Depends("made on the first start, beside an SQLite file"),
        "The secret that signs tokens, at least 16 bytes",
        "Required when listening beyond loopback (at least 32 bytes then), and on MySQL, unless `PREGON_JWT_KEYS` has a key that signs. Beside Django \
         it is the key that Django signs tokens with (`JWT_SECRET_KEY`, else `SECRET_KEY`).";
    JwtSecretFile "jwt_secret_file" "FILE" Depends("none"),
        "A file that holds the secret that signs tokens", "";
    JwtKeys "jwt_keys" "FILE" Depends("none"),
        "A file of keys for tokens, a JSON Web Key Set, in place of the secret or beside it",
        "It is read again when it changes and at SIGHUP. Tokens name their key by `kid`, each key is for one algorithm, and the first one that can \
         sign signs: see \"Keys of tokens\".";
    JwtAudience "jwt_audience" "TEXT" Depends("none: nobody asks"),
        "What tokens must have as their aud, or in it; new ones get it",
        "Set it where others sign tokens, too: else those that were meant for another service are taken.";
    JwtIssuer "jwt_issuer" "TEXT" Depends("none: nobody asks"),
        "What tokens must have as their iss; new ones get it", "";
    AdminAddress "admin_address" "ADDRESS" Is("127.0.0.1:8010"),
        "Where operators' commands are heard (`pregon sessions`, `pregon rebalance`), if there is a key",
        "Each node has its own. Beyond loopback the key needs 32 bytes; the connection is not encrypted, so keep it in a network of your own.";
    AdminKey "admin_key" "TEXT" Depends("none: nothing is heard"),
        "The key that operators' commands show, at least 16 bytes",
        "A node without one does nothing that operators ask, by other nodes either.";
    AdminKeyFile "admin_key_file" "FILE" Depends("none"),
        "A file that holds the key of operators' commands", "";
    RebalanceSkew "rebalance_skew" "PERCENT" Is("0"),
        "From how many percent above the mean a node gives sessions of pregon.v1 to other nodes by itself; 0: never",
        "Only useful where new connections go to the node with the fewest (`least_conn` in nginx): elsewhere clients may come back to the node that they left. At \
         most a tenth of a node's sessions move a minute, each at most every 5 minutes.";
    TlsCert "tls_cert" "FILE" Depends("none"),
        "A file with the server's certificate and those that signed it (PEM): clients are then served by TLS alone",
        "With `PREGON_TLS_KEY`. All addresses of `PREGON_LISTEN` speak https and wss then; operators' listener does not. Both files are read again when they \
         change, and at SIGHUP: see \"TLS\".";
    TlsKey "tls_key" "FILE" Depends("none"),
        "A file with the certificate's key (PEM, not encrypted)", "";
    TlsTicketSecret "tls_ticket_secret" "TEXT" Depends("random, of each process"),
        "The secret from which keys of TLS tickets are made, at least 16 bytes",
        "Clients resume on all nodes that have the same one, and after a restart. Who knows it can pass for this server to clients that come back: it must be no secret \
         that other programs have, such as the one that signs tokens.";
    TlsTicketSecretFile "tls_ticket_secret_file" "FILE" Depends("none"),
        "A file that holds that secret", "";
    HstsSeconds "hsts_seconds" "SECONDS" Is("0"),
        "How long browsers are told to use TLS alone for this host (Strict-Transport-Security); 0: they are told nothing",
        "Only with `PREGON_TLS_CERT`. It holds for all ports of the host and cannot be taken back before its end: begin with 300, then 31536000.";
    Shards "shards" "N" Depends("one per core"),
        "Engine threads, 1 to 64",
        "They are pinned within the process's affinity mask.";
    Io "io" "NAME" Is("auto"),
        "How frames are sent: auto, uring or epoll",
        "`uring`: one system call sends frames to many sockets (needs Linux 6.0; the server does not start without it); `epoll`: one by \
         one; `auto`: `uring` if the kernel allows it, else `epoll`.";
    Compression "compression" "WHICH" Is("feeds"),
        "Which sockets' messages are compressed if the client offers it: off, feeds or all",
        "`feeds`: feeds, posts and notifications; `all`: also chat rooms and `pregon.v1`. Frames of 200 bytes and more are a fifth to two thirds shorter then, \
         compressed once for all who listen. But browsers compress whatever they send, too, and that has to be inflated frame by frame.";
    AllowedOrigins "allowed_origins" "ORIGINS" Depends("the same host; on loopback also localhost, 127.0.0.1, [::1], any port"),
        "Which pages may call: host names, .domains, origins with scheme and port, or *", "";
    RequireOrigin "require_origin" "ON_OFF" Is("off"),
        "Also refuse sockets without an Origin", "";
    RateLimits "rate_limits" "ON_OFF" Is("on"),
        "Limit requests, logins, handshakes, frames and sockets by rate and number; off only on loopback",
        "`/metrics` shows whether they are on; \"Limits\" below lists them. One user may open one socket per second on the same room or post; further handshakes wait for up to 15 s. One \
         user has at most 8 sockets on one room or post, 32 feed sockets and 32 notification sockets; beyond that the oldest is closed with 1013.";
    SocketsPerUser "sockets_per_user" "N" Is("128"),
        "Sockets of one user on a node, 8 to 10000; when one more comes, the oldest is closed with 1013", "";
    SocketsPerAddress "sockets_per_address" "N" Is("2000"),
        "Connections of one address on a node; further ones are refused",
        "An IPv6 /64 counts as one. Not counted: this machine, and proxies of `PREGON_TRUSTED_PROXIES`, whose clients are counted instead by their word.";
    UnauthenticatedSockets "unauthenticated_sockets" "N" Is("4000"),
        "Connections of nobody on a node; further ones are closed",
        "Those without a request yet, and as many of `pregon.v1` until they say whose they are. One address may have a sixteenth of them; those of trusted \
         proxies and of this machine count only once they have come in.";
    AcceptsPerSecond "accepts_per_second" "N" Is("5000"),
        "Connections that a node accepts in a second; further ones wait",
        "One address may have a quarter of them; what it opens beyond that is closed.";
    EphemeralFramesPerSecond "ephemeral_frames_per_second" "N" Is("50"),
        "Typing and signals of one socket in a second, 1 to 1000; further ones are dropped",
        "A user's sockets together may send four times as many, here and in the next two. Two seconds' worth may come at once.";
    DurableFramesPerSecond "durable_frames_per_second" "N" Is("20"),
        "Messages, edits, reactions and reads of one socket in a second, 1 to 1000; further ones get an error",
        "Ten seconds' worth may come at once.";
    RequestFramesPerSecond "request_frames_per_second" "N" Is("50"),
        "Other frames of one socket in a second, 1 to 1000: pings, subscriptions, questions",
        "Ten seconds' worth may come at once, and 512 at least. In `pregon.v1` further ones get an error, else they are ignored. Whoever goes on sending too much \
         of anything is closed with 4029.";
    OutboxKb "outbox_kb" "KIB" Is("1024"),
        "KiB that may wait for a socket which does not take them, 1024 to 4096; then it is closed with 4008",
        "A socket of `pregon.v1` loses its topics first.";
    HandshakeSeconds "handshake_seconds" "SECONDS" Is("10"),
        "Time for the head of a connection's first request, 1 to 60", "";
    BodySeconds "body_seconds" "SECONDS" Is("30"),
        "Time for the body of a request, or for the next piece of an upload, 1 to 600; then 408", "";
    AnswerSeconds "answer_seconds" "SECONDS" Is("60"),
        "How long a client may take nothing of an answer, 1 to 600; then its connection is closed",
        "Over that time it must take 4 KiB/s on average.";
    DrainSeconds "drain_seconds" "SECONDS" Is("2"),
        "Time from SIGTERM to the end of the last session, at most 3600",
        "A longer time only helps if other nodes take over.";
    TokenGraceSeconds "token_grace_seconds" "SECONDS" Is("60"),
        "Time from a token's end to the end of its sockets", "";
    PostUpdates "post_updates" "WHEN" Is("coalesced"),
        "When a post's whole object is sent after its counters changed: coalesced or always",
        "`coalesced`: `post_updated` after comments and shares, at most one per post in 250 ms; `always`: after every change of a counter, \
         reactions too.";
    StrictTokens "strict_tokens" "ON_OFF" Is("off"),
        "Feed and notification sockets end with their token, like others",
        "With `off` they live up to 24 h while their user is active.";
    ActiveCheckSeconds "active_check_seconds" "SECONDS" Is("60"),
        "How often users behind open feed, post and notification sockets are checked",
        "Sockets of deactivated users are closed with 4001, and so are sockets of logins that another node ended.";
    EndLogins "end_logins" "ON_OFF" Is("on"),
        "A password change ends the user's other logins, a logout its own, with their tokens and sockets",
        "A login is the chain of tokens that were renewed from one another; its sockets are closed with 4001. On this node that happens at once; on \
         other nodes REST refuses within 5 s, and open sockets end at once by Redis, otherwise at the next check (`PREGON_ACTIVE_CHECK_SECONDS`). `off`, as in Django: a logout \
         revokes the refresh token sent with it, and nothing else ends.";
    RotateRefresh "rotate_refresh" "ON_OFF" Is("off"),
        "A refresh token may be used once; a second use ends its login",
        "Only for clients that store the new refresh token; the app's page does not.";
    PresenceRoomMax "presence_room_max" "N" Is("200"),
        "The largest room with user_status frames", "";
    PostReactionsShown "post_reactions_shown" "N" Is("10"),
        "How many of its newest reactions a post lists with their users",
        "At most 16, so that one frame of a post never makes a reader too slow.";
    PublicUrl "public_url" "URL" Depends("the first listen address"),
        "Where clients reach this server; the base of media URLs",
        "Without it, a server that listens on `0.0.0.0` or `[::]` warns at the start: REST then names files by each request's host (if pages \
         of that host may call), and frames by paths such as `/media/…`.";
    MediaDir "media_dir" "FOLDER" Depends("`media`, beside the database"),
        "Where uploads are stored",
        "New users get copies of `defaults/default-avatar.png` and `defaults/default-cover.png` in it, if you put them there.";
    WebDir "web_dir" "FOLDER" Depends("the binary"),
        "For work on the page: read its files from this folder (web) at each request",
        "A reload then shows a change without a build.";
    UploadGraceSeconds "upload_grace_seconds" "SECONDS" Is("60"),
        "How long any uploaded file may take",
        "A file that takes longer must arrive at 32 KiB/s or more on average.";
    UploadQuotaMb "upload_quota_mb" "MIB" Is("1024"),
        "MiB that one user may upload at once; 0: no quota",
        "It refills over 24 h. Uploads beyond it get 429. A restart resets it.";
    UploadsPerHour "uploads_per_hour" "N" Is("300"),
        "Files that one user may upload in an hour; 0: no limit", "Uploads beyond it get 429. A restart resets it.";
    KeepLocation "keep_location" "ON_OFF" Is("off"),
        "Pictures keep the place where they were taken",
        "With `off`, GPS, maker's notes, XMP and IPTC are blanked in JPEG, PNG and WebP; orientation and colour profile stay. Other formats are \
         stored unchanged.";
    MediaSweep "media_sweep" "ON_OFF" Is("off"),
        "Remove uploads that no row names, once an hour",
        "The first sweep is an hour after the start. It removes files from `posts/`, `comments/`, `avatars/` and `covers/` that are older than an \
         hour, are named `<uuid>.<extension>`, and are named by no post, comment or user of this database: uploads that a crash cut off, and \
         pictures of comments that were deleted with a long thread. Turn it on only if the media folder belongs to this database alone; files of \
         another database (a restored copy, a second server, another program) would be removed. Files that a deletion or an edit orphans are \
         removed in either case. On MySQL no file is ever removed, because another program's rows may name it.";
    SiteFile "site_file" "FILE" Depends("none"),
        "A JSON file for /api/site-settings/ with flags and menu entries",
        "`{\"settings\": {\"maintenance_mode\": true}, \"menu\": [{\"route_key\": \"feed\", \"label\": \"Inicio\", \"path\": \"/feed\", \"icon\": \"Home\", \
         \"order\": 1}]}`, at most 256 KiB. `settings` override the default flags; `menu` replaces the five default entries.";
    PushContact "push_contact" "URL" Depends("none: nothing is pushed"),
        "Whom push services may write to, mailto: or https:; turns Web Push on",
        "See \"Web Push\".";
    PushKey "push_key" "KEY" Depends("made on the first start, in the database"),
        "The private key that push services know this server by: P-256, base64url",
        "With another key browsers have to subscribe again.";
    PushKeyFile "push_key_file" "FILE" Depends("none"),
        "A file that holds that key", "";
    PushHosts "push_hosts" "HOSTS" Is("fcm.googleapis.com,.push.services.mozilla.com,.push.apple.com,.notify.windows.com"),
        "The push services that may be used: hosts, .domains, or * for any with a public address", "";
    PushContent "push_content" "WORD" Is("all"),
        "What a push says: all, groups or none",
        "`all`: who wrote, and the first 300 characters; `groups`: of private rooms only that there is a message; `none`: of nothing more than that. Push \
         services cannot read it in any case; whoever holds the device can.";
    PushDelayMs "push_delay_ms" "MILLISECONDS" Is("2000"),
        "How long a message waits for later ones of its room before it is pushed, at most 60000",
        "Whoever reads it meanwhile is not told.";
    PushTtlSeconds "push_ttl_seconds" "SECONDS" Is("86400"),
        "How long push services keep a push for a device that is off, at most 2419200", "";
    PushPage "push_page" "URL" Depends("`PREGON_PUBLIC_URL` with a slash"),
        "The page that a push opens",
        "`#/chat/<room>`, `#/post/<post>` or `#/feed` is put behind it.";
    TrustedProxies "trusted_proxies" "NETWORKS" Depends("none"),
        "Proxies whose X-Forwarded-For is trusted", "";
    Metrics "metrics" "WHO" Is("loopback"),
        "Who may read /metrics: loopback or public", "";
    MaskContacts "mask_contacts" "ON_OFF" Is("on"),
        "Hide e-mail addresses and telephone numbers unless their owner shows them", "";
    Node "node" "NAME" Depends("the host's name with a random suffix"),
        "This node's name in the log and for operators", "";
    LogFormat "log_format" "FORMAT" Is("text"),
        "The form of the log: text or json", "";
    LogLevel "log_level" "LEVEL" Is("info"),
        "What is logged: a level or a filter, such as info,pregon=debug", "";
    Echo "echo" "ON_OFF" Is("off"),
        "For conformance suites: the socket /ws/echo/ sends back what comes; only on loopback", "";
    PushLoopback "push_loopback" "ON_OFF" Is("off"),
        "For tests: push services at http://127.0.0.1; only on loopback", "";
}

impl Setting {
    /// Its name in the configuration file.
    pub fn key(self) -> &'static str {
        self.declaration().key
    }

    /// Its name in the environment, which errors use.
    pub fn environment(self) -> String {
        format!("PREGON_{}", self.key().to_ascii_uppercase())
    }

    /// Its flag, without the dashes. `None` for secrets, because everybody on a machine can see arguments, and for
    /// settings that help and documentation do not show.
    pub fn flag(self) -> Option<String> {
        (!matches!(self, Self::JwtSecret | Self::AdminKey | Self::PushKey | Self::TlsTicketSecret) && self.is_shown())
            .then(|| self.key().replace('_', "-"))
    }

    /// Whether help and documentation show the setting: not what only conformance suites need.
    fn is_shown(self) -> bool {
        !matches!(self, Self::Echo | Self::PushLoopback)
    }

    /// The placeholder for its value in the help.
    pub fn takes(self) -> &'static str {
        self.declaration().takes
    }

    /// The default text; `None` if the default depends on something else.
    pub(super) fn usual(self) -> Option<&'static str> {
        match self.declaration().usual {
            Is(text) => Some(text),
            Depends(_) => None,
        }
    }

    /// Its line in the help.
    pub fn help(self) -> String {
        let Declaration { usual, help, .. } = self.declaration();
        match usual {
            Depends("none") => help.to_owned(),
            Is(usual) | Depends(usual) => format!("{help} [default: {}]", usual.replace('`', "")),
        }
    }

    /// The sentence about a wrong value.
    pub fn wrong(self, value: &str, must: &str, example: &str) -> ConfigError {
        let name = self.environment();
        ConfigError(format!("{name} is {value:?}, but {must}, for example {name}={example}."))
    }
}

/// The table of all settings in docs/operations.md.
pub fn documentation() -> String {
    let mut table = "| environment | default | |\n| --- | --- | --- |\n".to_owned();
    for setting in Setting::ALL.iter().filter(|setting| setting.is_shown()) {
        let Declaration { usual, help, more, .. } = setting.declaration();
        let usual = match usual {
            Is(text) => format!("`{text}`"),
            Depends(words) => words.to_owned(),
        };
        let stop = if more.is_empty() { "" } else { ". " };
        table += &format!("| `{}` | {usual} | {help}{stop}{more} |\n", setting.environment());
    }
    table
}
