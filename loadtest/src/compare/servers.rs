//! The servers that can be compared: where their programs are, and how they start and stop.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::cells::Cell;
use super::results::Contender;
use crate::compression;
use crate::fixture::Fixture;
use crate::proc::Watched;
use crate::scenario::Run;
use crate::target::Target;
use crate::tls::{self, TlsOptions};
use crate::v1::Protocol;

/// A Python server takes two seconds on a quiet machine.
const START: Duration = Duration::from_secs(30);

/// A room server that this repository contains or installs.
struct Known {
    name: &'static str,
    title: &'static str,
    language: &'static str,
    place: Place,
    /// It needs so long per delivery that only the small cells make sense.
    is_slow: bool,
}

enum Place {
    /// Built with this program.
    Beside { program: &'static str, flags: &'static [&'static str] },
    /// Put into the peers folder by `loadtest/peers/install`.
    Installed,
}

const KNOWN: &[Known] = &[
    beside("epoll", "bare loop on epoll, one `send` per turn and member", "peer-epoll", &[]),
    beside("epoll-single", "bare loop on epoll, one `send` per message and member", "peer-epoll", &["--no-coalesce"]),
    beside("uring", "bare loop on io_uring, one batched send per turn and member", "peer-uring", &[]),
    beside(
        "uring-single",
        "bare loop on io_uring, one batched send per message and member",
        "peer-uring",
        &["--no-coalesce"],
    ),
    installed("uws", "uWebSockets, its own pub/sub", "C++", false),
    installed("axum", "axum + tokio broadcast channel", "Rust", false),
    installed("ws", "ws on Node", "JavaScript", false),
    installed("channels", "Django Channels + Daphne, in-memory layer", "Python", true),
    installed("channels-redis", "Django Channels + Daphne, Redis layer (Daphne's CPU alone)", "Python", true),
];

const fn beside(
    name: &'static str,
    title: &'static str,
    program: &'static str,
    flags: &'static [&'static str],
) -> Known {
    Known { name, title, language: "Rust", place: Place::Beside { program, flags }, is_slow: false }
}

const fn installed(name: &'static str, title: &'static str, language: &'static str, is_slow: bool) -> Known {
    Known { name, title, language, place: Place::Installed, is_slow }
}

/// A server that takes part.
pub struct Server {
    pub contender: Contender,
    is_slow: bool,
    launch: Launch,
}

enum Launch {
    /// A plain room server: PROGRAM HOST:PORT and flags.
    Plain { program: PathBuf, flags: &'static [&'static str] },
    /// pregon on one shard.
    Pregon { program: PathBuf, way: Way },
}

/// How pregon sends, and how clients speak with it.
#[derive(Clone, Debug, Default)]
pub struct Way {
    /// `PREGON_IO`, where named.
    pub io: Option<String>,
    pub protocol: Protocol,
    pub is_encrypted: bool,
}

/// A server process that is ended when this is dropped.
pub struct Running {
    child: Child,
    pub run: Run,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// A known name, or the path of any program that takes HOST:PORT. The error says what to do.
    pub fn peer(name: &str, peers_dir: &Path) -> Result<Self> {
        let Some(known) = KNOWN.iter().find(|known| known.name == name) else {
            ensure!(Path::new(name).is_file(), "there is no program {name}");
            let contender = Contender { name: name.into(), title: name.into(), language: "?", is_pregon: false };
            let launch = Launch::Plain { program: name.into(), flags: &[] };
            return Ok(Self { contender, is_slow: false, launch });
        };
        let (program, flags) = match known.place {
            Place::Beside { program, flags } => (std::env::current_exe()?.with_file_name(program), flags),
            Place::Installed => (peers_dir.join("bin").join(name), [].as_slice()),
        };
        if !program.is_file() {
            match known.place {
                Place::Beside { .. } => bail!("{} is missing: cargo build --release -p loadtest", program.display()),
                Place::Installed => bail!("{} is missing: loadtest/peers/install {name}", program.display()),
            }
        }
        Ok(Self {
            contender: Contender {
                name: name.to_owned(),
                title: known.title.to_owned(),
                language: known.language,
                is_pregon: false,
            },
            is_slow: known.is_slow,
            launch: Launch::Plain { program: std::path::absolute(program)?, flags },
        })
    }

    /// One shard of pregon.
    pub fn pregon(program: &Path, way: Way) -> Result<Self> {
        ensure!(program.is_file(), "there is no program {}: cargo build --release", program.display());
        let (suffix, spoken) = match way.protocol {
            Protocol::V0 => ("", ""),
            Protocol::V1 => ("-v1", ", pregon.v1"),
        };
        let (sealed, encrypted) = if way.is_encrypted { ("-tls", ", TLS") } else { ("", "") };
        let io = way.io.as_ref();
        let name = io.map_or("pregon".to_owned(), |io| format!("pregon-{io}")) + suffix + sealed;
        let title = io.map_or("pregon".to_owned(), |io| format!("pregon ({io})")) + spoken + encrypted;
        Ok(Self {
            contender: Contender { name, title, language: "Rust", is_pregon: true },
            is_slow: false,
            launch: Launch::Pregon { program: std::path::absolute(program)?, way },
        })
    }

    /// What clients speak with it.
    pub fn protocol(&self) -> Protocol {
        match self.launch {
            Launch::Pregon { ref way, .. } => way.protocol,
            Launch::Plain { .. } => Protocol::V0,
        }
    }

    /// Whether the server supports this cell.
    pub fn can(&self, cell: &Cell) -> bool {
        cell.is_small || !self.is_slow
    }

    /// Starts it on this thread's core and waits until it accepts connections.
    pub fn start(&self, cell: &Cell, scratch: &Path) -> Result<Running> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        // Another server may have had the port before.
        tls::speak_plainly(address);
        let (command, target) = match &self.launch {
            Launch::Plain { program, flags } => {
                let mut command = Command::new(program);
                command.arg(address.to_string()).args(*flags).current_dir(scratch);
                if compression::is_on() && self.contender.name == "uws" {
                    command.arg("--compression");
                }
                (command, Target::Plain)
            }
            Launch::Pregon { program, way } => {
                let home = Home::of(self, cell, scratch);
                let mut command = home.command(program);
                command.arg("serve").env("PREGON_LISTEN", address.to_string());
                if let Some(io) = &way.io {
                    command.env("PREGON_IO", io);
                }
                if compression::is_on() {
                    command.env("PREGON_COMPRESSION", "all");
                }
                if way.is_encrypted {
                    let [certificate, key] = tls::certificate(&home.0)?;
                    command.env("PREGON_TLS_CERT", certificate).env("PREGON_TLS_KEY", key);
                    tls::speak(address, "localhost", &TlsOptions { tls_insecure: true, ..TlsOptions::default() })?;
                }
                (command, Target::Pregon(home.fixture()?, way.protocol))
            }
        };
        start(command, address, target)
    }
}

/// One pregon's database with the rooms of one cell.
pub struct Home(PathBuf);

impl Home {
    pub fn of(server: &Server, cell: &Cell, scratch: &Path) -> Self {
        Self(scratch.join(format!("{}-{}x{}", server.contender.name, cell.rooms, cell.members)))
    }

    pub fn fixture(&self) -> Result<Fixture> {
        Fixture::load(&self.0.join("fixture.json"))
    }

    fn command(&self, pregon: &Path) -> Command {
        let database = self.0.join("p.db");
        let mut command = Command::new(pregon);
        command
            .current_dir(&self.0)
            .env("PREGON_DATABASE_URL", format!("sqlite://{}", database.display()))
            .env("PREGON_JWT_SECRET", "a secret for load tests on this machine only")
            .env("PREGON_SHARDS", "1")
            .env("PREGON_RATE_LIMITS", "off");
        command
    }

    /// Creates the users and rooms of the cell; every user is in one room.
    pub fn seed(&self, server: &Server, cell: &Cell) -> Result<()> {
        let Launch::Pregon { program, .. } = &server.launch else {
            return Ok(());
        };
        std::fs::create_dir_all(&self.0).with_context(|| format!("cannot make {}", self.0.display()))?;
        let mut command = self.command(program);
        command.args(["seed", "--users", &(cell.rooms * cell.members).to_string()]);
        command.args(["--rooms", &cell.rooms.to_string(), "--members", &cell.members.to_string()]);
        let done = command
            .args(["--out", "fixture.json"])
            .stdout(Stdio::null())
            .status()
            .with_context(|| format!("cannot run {}", program.display()))?;
        ensure!(done.success(), "`pregon seed` failed: {done}");
        Ok(())
    }
}

fn start(mut command: Command, address: SocketAddr, target: Target) -> Result<Running> {
    let program = command.get_program().display().to_string();
    // The pipe closes when this process ends. A helper of the server (its Redis) reads it and then ends, too.
    let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn();
    let child = child.with_context(|| format!("cannot run {program}"))?;
    let watched = Watched::new(&[child.id()]);
    let mut running = Running {
        child,
        run: Run { server_address: address, url: format!("ws://{address}"), target, server: Some(watched?) },
    };
    let deadline = Instant::now() + START;
    while TcpStream::connect(address).is_err() {
        if let Some(status) = running.child.try_wait()? {
            bail!("{program} ended at once: {status}");
        }
        ensure!(Instant::now() < deadline, "{program}: nothing listens on {address} after {} s", START.as_secs());
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(running)
}

/// Tells a misspelt name from a server that could not be installed.
pub fn check_name(name: &str) -> Result<()> {
    let known: Vec<&str> = KNOWN.iter().map(|known| known.name).collect();
    let is_known = known.contains(&name) || name.contains('/');
    ensure!(is_known, "no server is called {name}; there are: {}, or the path of a program", known.join(" "));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_said_with_what_to_do() {
        let error = |name: &str| match Server::peer(name, Path::new("/nonexistent")) {
            Err(error) => error.to_string(),
            Ok(server) => panic!("{} was found", server.contender.name),
        };
        assert!(check_name("nginx").is_err_and(|error| error.to_string().contains("there are: epoll")));
        assert!(check_name("uws").is_ok() && check_name("./uws").is_ok());
        assert!(error("uws").contains("loadtest/peers/install uws"));
        assert!(error("/nonexistent/server").contains("/nonexistent/server"));
        assert!(Server::pregon(Path::new("/nonexistent/pregon"), Way::default()).is_err());
    }

    #[test]
    fn slow_servers_take_small_cells_alone() {
        let server = |is_slow| Server {
            contender: Contender { name: String::new(), title: String::new(), language: "?", is_pregon: false },
            is_slow,
            launch: Launch::Plain { program: PathBuf::new(), flags: &[] },
        };
        let small = |cell: &&Cell| server(true).can(cell);
        let cells = super::super::cells::CELLS;
        assert!(cells.iter().filter(small).count() > 2 && !server(true).can(&cells[0]));
        assert!(cells.iter().all(|cell| server(false).can(cell)));
    }
}
