//! The command line's arguments, parsed by clap.

use std::path::PathBuf;

use clap::{Arg, ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::config::Setting;

/// A real-time server for chat and social feeds.
#[derive(Debug, Parser)]
#[command(name = "pregon", version)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the server (also the default without a command)
    Serve,
    /// Create or update this version's tables in the database
    Migrate {
        /// Only show what would be done
        #[arg(long)]
        dry_run: bool,
    },
    /// Check the database, Redis, secret, file limit and clock, and say how to fix each problem
    Check,
    /// Print an access token for development
    Token {
        /// A username or a user's id
        #[arg(long, value_name = "NAME_OR_ID")]
        user: String,
        /// How many hours it is valid
        #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..))]
        hours: u32,
    },
    /// Make, order and remove the keys of tokens in a file (PREGON_JWT_KEYS)
    Keys {
        #[command(subcommand)]
        verb: KeysVerb,
    },
    /// Create users, rooms and follows in bulk, for demonstrations and load tests
    Seed(SeedArguments),
    /// List the open connections of a user, a room or a node, tell their clients something, or cut them, on all nodes
    Sessions {
        #[command(subcommand)]
        verb: SessionsVerb,
    },
    /// Have nodes with more connections than the mean give some of pregon.v1 to the others
    Rebalance(Pace),
    /// Copy the database, even while it is in use
    Backup {
        /// A new file
        file: PathBuf,
    },
}

/// What can be done with the keys of tokens.
#[derive(Debug, Subcommand)]
pub enum KeysVerb {
    /// Make a key that can sign and add it as the last one; without a file, make the file
    Add {
        /// The file of keys
        file: PathBuf,
        /// What the key is for
        #[arg(long, value_name = "NAME", default_value = "EdDSA", value_parser = ["EdDSA", "ES256", "ES384", "HS256"])]
        algorithm: String,
        /// The key's name [default: a random one]
        #[arg(long, value_name = "NAME")]
        kid: Option<String>,
    },
    /// Make a key the first one: the first that can sign signs
    First {
        /// The file of keys
        file: PathBuf,
        /// The key's name
        kid: String,
    },
    /// Remove a key: tokens that it signed are refused
    Remove {
        /// The file of keys
        file: PathBuf,
        /// The key's name
        kid: String,
    },
    /// Show the keys' names and algorithms, and which one signs
    List {
        /// The file of keys
        file: PathBuf,
    },
    /// Print the keys' public halves, for other programs that check tokens
    Public {
        /// The file of keys
        file: PathBuf,
    },
}

/// What can be done with connections.
#[derive(Debug, Subcommand)]
pub enum SessionsVerb {
    /// Show them
    List(Listed),
    /// Send their clients a text, as a frame of the type notice
    Tell {
        #[command(flatten)]
        whose: Whose,
        /// What to tell, up to 1000 characters
        #[arg(long)]
        text: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Close them (1012: clients come again); in a room, those of pregon.v1 lose the room alone
    Cut {
        #[command(flatten)]
        whose: Whose,
        /// Close them with 4003: clients stay away
        #[arg(long)]
        stay_away: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// Which connections to list.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("which").args(["of_user", "of_room", "of_node"]).required(true).multiple(true))]
pub struct Listed {
    /// Those of this user: a username or an id
    #[arg(id = "of_user", long = "user", value_name = "NAME_OR_ID", conflicts_with = "of_room")]
    pub user: Option<String>,
    /// Those that listen to this room
    #[arg(id = "of_room", long = "room", value_name = "ID")]
    pub room: Option<String>,
    /// Those on this node alone, by its PREGON_NODE
    #[arg(id = "of_node", long = "node", value_name = "NAME")]
    pub node: Option<String>,
    /// Go on from this place of the node's list
    #[arg(long, value_name = "PLACE", requires = "of_node")]
    pub from: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Whose connections are meant.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct Whose {
    /// Those of this user: a username or an id
    #[arg(long, value_name = "NAME_OR_ID")]
    pub user: Option<String>,
    /// Those that listen to this room
    #[arg(long, value_name = "ID")]
    pub room: Option<String>,
}

/// How fast connections move.
#[derive(Debug, Args)]
pub struct Pace {
    /// Over how many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub over: u32,
    /// At most this part of a node's connections a minute
    #[arg(long, value_name = "PERCENT", default_value_t = 25, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub percent: u32,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// The size of the data to create.
#[derive(Debug, Args)]
pub struct SeedArguments {
    /// Users
    #[arg(long, default_value_t = 1000)]
    pub users: usize,
    /// Rooms
    #[arg(long, default_value_t = 10)]
    pub rooms: usize,
    /// Members of each room [default: 100, or all users if there are fewer]
    #[arg(long)]
    pub members: Option<usize>,
    /// How many others each user follows
    #[arg(long, default_value_t = 0)]
    pub follows: usize,
    /// How many hours the tokens are valid
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..))]
    pub token_hours: u32,
    /// Everybody's password
    #[arg(long, default_value = "pregon-demo")]
    pub password: String,
    /// Allow a database that already holds other users
    #[arg(long)]
    pub allow_existing: bool,
    /// The JSON file for ids and tokens, readable only by its owner
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

/// The settings given as flags.
#[derive(Debug, Default)]
pub struct Flags(Vec<(Setting, String)>);

impl Flags {
    /// The settings given as flags. Those after the command come last.
    pub fn texts(self) -> Vec<(Setting, String)> {
        self.0
    }
}

/// Parses this process's arguments. Prints help or a usage error and exits in the cases in which clap does.
pub fn parse() -> (Flags, Option<Command>) {
    let matches = command().get_matches();
    read(&matches).unwrap_or_else(|error| error.exit())
}

/// All commands. Each accepts every setting as a flag, but only `pregon --help` lists them.
fn command() -> clap::Command {
    let command = Arguments::command().after_help("Settings are flags, too: `pregon --help` lists them.");
    let names: Vec<String> = command.get_subcommands().map(|command| command.get_name().to_owned()).collect();
    let command = names.into_iter().fold(command, |command, name| {
        command.mut_subcommand(name, |command| {
            let verbs: Vec<String> = command.get_subcommands().map(|verb| verb.get_name().to_owned()).collect();
            let command = verbs.into_iter().fold(command, |command, verb| {
                command.mut_subcommand(verb, |verb| verb.args(flags(false).filter(is_for_verbs)))
            });
            command.args(flags(false)).after_help("Settings are flags, too: `pregon --help` lists them.")
        })
    });
    command.args(flags(true)).after_long_help("Each setting also has a name in the environment (PREGON_LISTEN) and in pregon.toml (listen); a flag wins over the \
         environment, the environment over the file. docs/operations.md says more about each.")
}

/// Is the flag of a setting that the verbs of a command need?
fn is_for_verbs(flag: &Arg) -> bool {
    [Setting::AdminAddress, Setting::AdminKeyFile].iter().any(|setting| flag.get_id() == setting.key())
}

fn flags(is_listed: bool) -> impl Iterator<Item = Arg> {
    Setting::ALL.iter().filter_map(move |setting| {
        let flag = Arg::new(setting.key()).long(setting.flag()?).value_name(setting.takes()).help(setting.help());
        Some(flag.help_heading("Settings").hide(!is_listed).hide_short_help(true))
    })
}

fn read(matches: &ArgMatches) -> Result<(Flags, Option<Command>), clap::Error> {
    let Arguments { command } = Arguments::from_arg_matches(matches)?;
    let of_command = matches.subcommand().map(|(_, matches)| matches);
    let of_verb = of_command.and_then(ArgMatches::subcommand).map(|(_, matches)| matches);
    let given = std::iter::once(matches).chain(of_command).chain(of_verb).flat_map(|matches| {
        let flags = Setting::ALL.iter().filter(|setting| setting.flag().is_some());
        flags.filter_map(|setting| {
            // Verbs take those settings alone that they need.
            let text = matches.try_get_one::<String>(setting.key()).ok()??;
            Some((*setting, text.clone()))
        })
    });
    Ok((Flags(given.collect()), command))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> (Vec<(Setting, String)>, Option<Command>) {
        let matches = command().try_get_matches_from(arguments).unwrap();
        let (flags, command) = read(&matches).unwrap();
        (flags.texts(), command)
    }

    #[test]
    fn arguments_are_well_formed() {
        command().debug_assert();
        let (flags, _) =
            parsed(&["pregon", "--shards", "2", "token", "--user", "ana", "--shards", "4", "--db-zone", "UTC"]);
        let shards = |number: &str| (Setting::Shards, number.to_owned());
        assert_eq!(flags, [shards("2"), (Setting::DbZone, "UTC".to_owned()), shards("4")]);
        assert!(parsed(&["pregon", "--listen", "127.0.0.1:0"]).1.is_none());
    }

    #[test]
    fn the_verbs_of_sessions_say_whose() {
        let list = ["pregon", "sessions", "list", "--node", "chat-1", "--admin-address", "127.0.0.1:9"];
        let (flags, command) = parsed(&list);
        assert_eq!(
            flags,
            [(Setting::AdminAddress, "127.0.0.1:9".to_owned())],
            "the list's node is not this one's name"
        );
        let Some(Command::Sessions { verb: SessionsVerb::List(list) }) = command else { panic!("{command:?}") };
        assert_eq!(list.node.as_deref(), Some("chat-1"));
        let wrong: [&[&str]; 6] = [
            &["sessions"],
            &["sessions", "list"],
            &["sessions", "list", "--user", "ana", "--from", "0.1"],
            &["sessions", "cut"],
            &["sessions", "tell", "--user", "ana"],
            &["sessions", "cut", "--user", "ana", "--room", "x"],
        ];
        for arguments in wrong {
            let refused = command_of(arguments).is_err();
            assert!(refused, "{arguments:?}");
        }
        assert!(command_of(&["sessions", "list", "--user", "ana", "--node", "chat-1"]).is_ok());
    }

    fn command_of(arguments: &[&str]) -> Result<(), clap::Error> {
        let all = std::iter::once("pregon").chain(arguments.iter().copied());
        read(&command().try_get_matches_from(all)?).map(drop)
    }

    #[test]
    fn every_setting_but_the_secret_is_listed_once_and_only_by_the_long_help() {
        let long = command().render_long_help().to_string();
        let short = command().render_help().to_string();
        for setting in Setting::ALL {
            let Some(flag) = setting.flag() else { continue };
            assert_eq!(long.matches(&format!("--{flag} <")).count(), 1, "{flag}");
            assert!(!short.contains(&format!("--{flag} <")), "{flag}");
        }
        assert!(!long.contains("--jwt-secret <"));
        let mut whole = command();
        whole.build();
        let seed = whole.find_subcommand_mut("seed").unwrap().render_long_help().to_string();
        assert!(seed.contains("--users <") && !seed.contains("--listen <"), "{seed}");
    }
}
