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
    /// Create users, rooms and follows in bulk, for demonstrations and load tests
    Seed(SeedArguments),
    /// Copy the database, even while it is in use
    Backup {
        /// A new file
        file: PathBuf,
    },
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
            command.args(flags(false)).after_help("Settings are flags, too: `pregon --help` lists them.")
        })
    });
    command.args(flags(true)).after_long_help("Each setting also has a name in the environment (PREGON_LISTEN) and in pregon.toml (listen); a flag wins over the \
         environment, the environment over the file. docs/operations.md says more about each.")
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
    let given = std::iter::once(matches).chain(of_command).flat_map(|matches| {
        let flags = Setting::ALL.iter().filter(|setting| setting.flag().is_some());
        flags.filter_map(|setting| Some((*setting, matches.get_one::<String>(setting.key())?.clone())))
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
