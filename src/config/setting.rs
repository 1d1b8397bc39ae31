//! The settings, each declared once: its names, what it takes, its default, and what help and documentation say of it.

use crate::config::ConfigError;

/// What holds where a setting is not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usual {
    /// This text, as if it had been given.
    Is(&'static str),
    /// What the server finds out by itself, in words.
    Depends(&'static str),
}

/// All there is to say of a setting.
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

// Name, key in the file, what it takes, its default; then what --help says, and what docs/operations.md adds to that.
settings! {
    Listen "listen" "ADDRESSES" Is("127.0.0.1:8000,[::1]:8000"),
        "Addresses to listen on, separated by commas",
        "Port 0 lets the system choose. Beyond loopback a token secret is required.";
    DatabaseUrl "database_url" "URL" Is("sqlite://data/pregon.db"),
        "The database: sqlite://FILE, or mysql://USER:PASSWORD@HOST:PORT/NAME",
        "A file's folder is made; a database on a server is prepared by `pregon migrate`. Others on the machine can see flags, so a password \
         belongs in the environment or in a file.";
    DatabaseUrlFile "database_url_file" "FILE" Depends("none"),
        "A file that holds the database's URL, since a password may be in it", "";
    WriteLanes "write_lanes" "N" Depends("4 on MySQL, 1 on SQLite"),
        "Connections that write to the database, up to 32 on MySQL",
        "SQLite has one writer.";
    DbZone "db_zone" "ZONE" Is("UTC"),
        "The zone of the times in a MySQL database, such as America/Bogota",
        "It must be set where Django made the tables: Django's `TIME_ZONE`, or `UTC` where it has `USE_TZ = True`.";
    TimeStyle "time_style" "STYLE" Is("utc"),
        "How times look in JSON: utc or naive",
        "`naive`: local times of `PREGON_DB_ZONE` without a suffix, as Django writes them with `USE_TZ = False`.";
    Django "django" "WHETHER" Is("auto"),
        "Is there a Django beside pregon? auto, on or off",
        "`auto`: yes if the database has the table `django_migrations`.";
    RedisUrl "redis_url" "URL" Depends("none"),
        "The Redis of Django's channel layer: redis://[USER:PASSWORD@]HOST:PORT/DATABASE",
        "Without it, open pages do not see posts, comments and reactions that Django writes until they are loaded again.";
    JwtSecret "jwt_secret" "TEXT" Depends("made on the first start, beside an SQLite file"),
        "What tokens are signed with, at least 16 bytes",
        "Required when listening beyond loopback, and on MySQL. Beside Django it is the key that Django signs tokens with \
         (`JWT_SECRET_KEY`, else `SECRET_KEY`).";
    JwtSecretFile "jwt_secret_file" "FILE" Depends("none"),
        "A file that holds what tokens are signed with", "";
    Shards "shards" "N" Depends("one per core"),
        "Engine threads, 1 to 64",
        "They are pinned within the process's affinity mask.";
    Io "io" "NAME" Is("auto"),
        "How frames leave: auto, uring or epoll",
        "`uring`: frames for many sockets leave in one system call (needs Linux 6.0; the server does not start without it); `epoll`: one by \
         one; `auto`: `uring` where the kernel allows it, else `epoll`.";
    AllowedOrigins "allowed_origins" "ORIGINS" Depends("the same host; on loopback also localhost, 127.0.0.1, [::1], any port"),
        "Which pages may call: host names, .domains, origins with scheme and port, or *", "";
    RequireOrigin "require_origin" "ON_OFF" Is("off"),
        "Refuse sockets without an Origin, too", "";
    RateLimits "rate_limits" "ON_OFF" Is("on"),
        "Limit requests, logins and handshakes by rate; off only on loopback",
        "`/metrics` shows it. One user's handshakes on one room or post are let through once a second; the rest wait for up to 15 s. One \
         user has at most 8 sockets on one room or post, 32 feed sockets and 32 notification sockets; the oldest goes with 1013.";
    DrainSeconds "drain_seconds" "SECONDS" Is("2"),
        "From SIGTERM to the last session's goodbye, at most 3600",
        "Longer is of use only where other nodes take over.";
    TokenGraceSeconds "token_grace_seconds" "SECONDS" Is("60"),
        "From a token's end to the end of its sockets", "";
    PostUpdates "post_updates" "WHEN" Is("coalesced"),
        "When a post's whole object is sent after its counters moved: coalesced or always",
        "`coalesced`: `post_updated` after comments and shares, at most one per post in 250 ms; `always`: after every change of a counter, \
         reactions too.";
    StrictTokens "strict_tokens" "ON_OFF" Is("off"),
        "Feed and notification sockets end with their token, like others",
        "Otherwise they live up to 24 h while their user is active.";
    ActiveCheckSeconds "active_check_seconds" "SECONDS" Is("60"),
        "How often users behind open feed, post and notification sockets are looked at",
        "Deactivated ones hear 4001, as do sockets of logins that another node ended.";
    EndLogins "end_logins" "ON_OFF" Is("on"),
        "A password change ends the user's other logins, a logout its own, with their tokens and sockets",
        "A login is all tokens that were renewed from it or that it was renewed from; its sockets hear 4001. On this node at once; on other nodes \
         REST refuses within 5 s, and open sockets end at the next look (`PREGON_ACTIVE_CHECK_SECONDS`). `off`, as in Django: a logout takes back \
         the refresh token that comes along, and nothing else ends.";
    RotateRefresh "rotate_refresh" "ON_OFF" Is("off"),
        "A refresh token is good for one use, and whoever uses it again ends its login",
        "Only for clients that keep the new one; the app's page does not.";
    PresenceRoomMax "presence_room_max" "N" Is("200"),
        "The largest room with user_status frames", "";
    PostReactionsShown "post_reactions_shown" "N" Is("10"),
        "How many of its newest reactions a post lists with their users",
        "At most 16, so that one frame of a post never makes a reader too slow.";
    PublicUrl "public_url" "URL" Depends("the first listen address"),
        "Where clients reach this server; the base of media URLs",
        "A server that listens on `0.0.0.0` or `[::]` without it says so at the start: REST names files by the host of each request (if pages \
         of that host may call), frames by paths such as `/media/…`.";
    MediaDir "media_dir" "FOLDER" Depends("`media`, beside the database"),
        "Where uploads are kept",
        "New users get copies of `defaults/default-avatar.png` and `defaults/default-cover.png` in it, if you put them there.";
    WebDir "web_dir" "FOLDER" Depends("the binary"),
        "For work on the page: read its files from this folder (web) at each request",
        "A reload then shows a change without a build.";
    UploadGraceSeconds "upload_grace_seconds" "SECONDS" Is("60"),
        "How long any uploaded file may take",
        "A file that takes longer must have come at 32 KiB/s or more on average.";
    UploadQuotaMb "upload_quota_mb" "MIB" Is("1024"),
        "MiB that one user may upload at once; 0: no quota",
        "As much comes back over 24 h. Beyond it 429. A restart forgets what was used.";
    KeepLocation "keep_location" "ON_OFF" Is("off"),
        "Pictures keep where they were taken",
        "Otherwise GPS, maker's notes, XMP and IPTC are blanked in JPEG, PNG and WebP; orientation and colour profile stay. Other formats are \
         stored as they come.";
    MediaSweep "media_sweep" "ON_OFF" Is("off"),
        "Remove uploads that no row names, once an hour",
        "The first time is an hour after the start. Removed are files from `posts/`, `comments/`, `avatars/` and `covers/` that are older than an \
         hour, are named `<uuid>.<extension>`, and are named by no post, no comment and no user of this database: uploads that a crash cut off, pictures of comments \
         that went with a long thread. Turn it on only where the media folder belongs to this database alone; files of another database (a \
         restored copy, a second server, another program) would be removed. Files that a deletion or an edit leaves are removed in either \
         case. On MySQL no file is ever removed, since another program's rows may name it.";
    SiteFile "site_file" "FILE" Depends("none"),
        "A file of JSON for /api/site-settings/: its flags and the entries of its menu",
        "`{\"settings\": {\"maintenance_mode\": true}, \"menu\": [{\"route_key\": \"feed\", \"label\": \"Inicio\", \"path\": \"/feed\", \"icon\": \"Home\", \
         \"order\": 1}]}`, at most 256 KiB. `settings` are laid over the usual flags; `menu` replaces the five usual entries.";
    TrustedProxies "trusted_proxies" "NETWORKS" Depends("none"),
        "Proxies whose X-Forwarded-For is believed", "";
    Metrics "metrics" "WHO" Is("loopback"),
        "Who may read /metrics: loopback or public", "";
    MaskContacts "mask_contacts" "ON_OFF" Is("on"),
        "Hide e-mail addresses and telephone numbers unless their owner shows them", "";
    Node "node" "NAME" Depends("the host's name with a random suffix"),
        "This node's name in the log", "";
    LogFormat "log_format" "FORMAT" Is("text"),
        "The form of the log: text or json", "";
    LogLevel "log_level" "LEVEL" Is("info"),
        "What is logged: a level or a filter, such as info,pregon=debug", "";
    TlsCert "tls_cert" "FILE" Depends("none"),
        "Not served yet: a proxy in front of pregon does TLS", "";
    TlsKey "tls_key" "FILE" Depends("none"),
        "Not served yet: a proxy in front of pregon does TLS", "";
}

impl Setting {
    /// Its name in the configuration file.
    pub fn key(self) -> &'static str {
        self.declaration().key
    }

    /// Its name in the environment, by which errors call it.
    pub fn environment(self) -> String {
        format!("PREGON_{}", self.key().to_ascii_uppercase())
    }

    /// Its flag, without the dashes; `None` for a secret, since arguments are seen by everybody on a machine, and for what
    /// this version does not serve.
    pub fn flag(self) -> Option<String> {
        (self != Self::JwtSecret && self.is_served()).then(|| self.key().replace('_', "-"))
    }

    /// Does this version do what it sets?
    fn is_served(self) -> bool {
        !matches!(self, Self::TlsCert | Self::TlsKey)
    }

    /// What stands for its value in the help.
    pub fn takes(self) -> &'static str {
        self.declaration().takes
    }

    /// The text that holds where it is not given; `None` if that depends.
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

    /// The sentence on a wrong value.
    pub fn wrong(self, value: &str, must: &str, example: &str) -> ConfigError {
        let name = self.environment();
        ConfigError(format!("{name} is {value:?}, but {must}, for example {name}={example}."))
    }
}

/// The table of all settings in docs/operations.md.
pub fn documentation() -> String {
    let mut table = "| environment | default | |\n| --- | --- | --- |\n".to_owned();
    for setting in Setting::ALL.iter().filter(|setting| setting.is_served()) {
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
