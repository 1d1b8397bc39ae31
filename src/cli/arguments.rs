//! The arguments, as clap reads them.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::config::Setting;

/// A real-time server for chat and social feeds.
#[derive(Debug, Parser)]
#[command(name = "pregon", version)]
pub struct Arguments {
    #[command(flatten)]
    pub flags: Flags,
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve (what happens without a command, too)
    Serve,
    /// Bring the database to this version's tables
    Migrate {
        /// Only say what would be done
        #[arg(long)]
        dry_run: bool,
    },
    /// Check database, Redis, secret, file limit and clock, and say what to do about what is wrong
    Check,
    /// Print an access token for development
    Token {
        /// A username or a user's id
        #[arg(long, value_name = "NAME_OR_ID")]
        user: String,
        /// How long it is valid
        #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..))]
        hours: u32,
    },
    /// Make users, rooms and follows in bulk, for demonstrations and load tests
    Seed(SeedArguments),
    /// Copy the database, also while it is in use
    Backup {
        /// A new file
        file: PathBuf,
    },
}

/// What to make in bulk.
#[derive(Debug, Args)]
pub struct SeedArguments {
    /// Users
    #[arg(long, default_value_t = 1000)]
    pub users: usize,
    /// Rooms
    #[arg(long, default_value_t = 10)]
    pub rooms: usize,
    /// Members of each room [default: 100, or all users where they are fewer]
    #[arg(long)]
    pub members: Option<usize>,
    /// How many others each user follows
    #[arg(long, default_value_t = 0)]
    pub follows: usize,
    /// How long the tokens are valid
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..))]
    pub token_hours: u32,
    /// Everybody's password
    #[arg(long, default_value = "pregon-demo")]
    pub password: String,
    /// Go ahead in a database that holds other users
    #[arg(long)]
    pub allow_existing: bool,
    /// Where ids and tokens are written, as JSON, for its owner's eyes only
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

/// A flag for each setting. The secret has none, since arguments are seen by everybody on a machine.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Settings (each also as PREGON_… in the environment, or in pregon.toml)")]
pub struct Flags {
    /// Addresses to listen on [default: 127.0.0.1:8000,[::1]:8000]
    #[arg(long, global = true, value_name = "ADDRESSES")]
    listen: Option<String>,
    /// The database: sqlite://… or mysql://…, which others on the machine can see here [default: sqlite://data/pregon.db]
    #[arg(long, global = true, value_name = "URL")]
    database_url: Option<String>,
    /// The Redis of Django's channel layer: redis://host:port/database
    #[arg(long, global = true, value_name = "URL")]
    redis_url: Option<String>,
    /// A file that holds the secret tokens are signed with [default: one is made beside the database]
    #[arg(long, global = true, value_name = "FILE")]
    jwt_secret_file: Option<String>,
    /// Engine threads, 1 to 64 [default: one a core]
    #[arg(long, global = true, value_name = "N")]
    shards: Option<String>,
    /// Database writers, up to 32 on MySQL [default: 4 on MySQL, 1 on SQLite]
    #[arg(long, global = true, value_name = "N")]
    write_lanes: Option<String>,
    /// How frames leave: auto, uring (one system call for many sockets) or epoll [default: auto]
    #[arg(long, global = true, value_name = "NAME")]
    io: Option<String>,
    /// This node's name [default: the host's, with a random suffix]
    #[arg(long, global = true, value_name = "NAME")]
    node: Option<String>,
    /// Which pages may call: host names, .domains, origins or * [default: the same host]
    #[arg(long, global = true, value_name = "ORIGINS")]
    allowed_origins: Option<String>,
    /// Refuse sockets without an origin, too: on or off [default: off]
    #[arg(long, global = true, value_name = "ON_OFF")]
    require_origin: Option<String>,
    /// on or off; off only on loopback [default: on]
    #[arg(long, global = true, value_name = "ON_OFF")]
    rate_limits: Option<String>,
    /// From SIGTERM to the last session's goodbye [default: 2]
    #[arg(long, global = true, value_name = "SECONDS")]
    drain_seconds: Option<String>,
    /// From a token's end to the end of its sockets [default: 60]
    #[arg(long, global = true, value_name = "SECONDS")]
    token_grace_seconds: Option<String>,
    /// Participants up to which a room sends user_status frames [default: 200]
    #[arg(long, global = true, value_name = "N")]
    presence_room_max: Option<String>,
    /// Reactions that a post's JSON lists, the newest [default: 10]
    #[arg(long, global = true, value_name = "N")]
    post_reactions_shown: Option<String>,
    /// Where clients reach this server [default: the first listen address]
    #[arg(long, global = true, value_name = "URL")]
    public_url: Option<String>,
    /// Where uploads are kept [default: media, beside the database]
    #[arg(long, global = true, value_name = "FOLDER")]
    media_dir: Option<String>,
    /// Proxies whose X-Forwarded-For is believed [default: none]
    #[arg(long, global = true, value_name = "NETWORKS")]
    trusted_proxies: Option<String>,
    /// Who may read /metrics: loopback or public [default: loopback]
    #[arg(long, global = true, value_name = "WHO")]
    metrics: Option<String>,
    /// Hide e-mail addresses and telephone numbers unless their owner shows them [default: on]
    #[arg(long, global = true, value_name = "ON_OFF")]
    mask_contacts: Option<String>,
    /// text or json [default: text]
    #[arg(long, global = true, value_name = "FORMAT")]
    log_format: Option<String>,
    /// A level or filter [default: info]
    #[arg(long, global = true, value_name = "LEVEL")]
    log_level: Option<String>,
}

impl Flags {
    /// The flags that were given.
    pub fn texts(self) -> Vec<(Setting, String)> {
        let Self { listen, database_url, redis_url, jwt_secret_file, shards, write_lanes, io, node, .. } = self;
        let Self { allowed_origins, require_origin, rate_limits, drain_seconds, public_url, media_dir, .. } = self;
        let Self { token_grace_seconds, presence_room_max, post_reactions_shown, .. } = self;
        let Self { trusted_proxies, metrics, mask_contacts, log_format, log_level, .. } = self;
        [
            (Setting::Listen, listen),
            (Setting::DatabaseUrl, database_url),
            (Setting::RedisUrl, redis_url),
            (Setting::JwtSecretFile, jwt_secret_file),
            (Setting::Shards, shards),
            (Setting::WriteLanes, write_lanes),
            (Setting::Io, io),
            (Setting::Node, node),
            (Setting::AllowedOrigins, allowed_origins),
            (Setting::RequireOrigin, require_origin),
            (Setting::RateLimits, rate_limits),
            (Setting::DrainSeconds, drain_seconds),
            (Setting::TokenGraceSeconds, token_grace_seconds),
            (Setting::PresenceRoomMax, presence_room_max),
            (Setting::PostReactionsShown, post_reactions_shown),
            (Setting::PublicUrl, public_url),
            (Setting::MediaDir, media_dir),
            (Setting::TrustedProxies, trusted_proxies),
            (Setting::Metrics, metrics),
            (Setting::MaskContacts, mask_contacts),
            (Setting::LogFormat, log_format),
            (Setting::LogLevel, log_level),
        ]
        .into_iter()
        .filter_map(|(setting, text)| Some((setting, text?)))
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn arguments_are_well_formed() {
        Arguments::command().debug_assert();
        let parsed = Arguments::parse_from(["pregon", "token", "--user", "ana", "--shards", "4"]);
        assert_eq!(parsed.flags.texts(), [(Setting::Shards, "4".to_owned())]);
        assert!(Arguments::parse_from(["pregon", "--listen", "127.0.0.1:0"]).command.is_none());
    }
}
