//! A program that serves on its own port, and ends with the test process, however that ends.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

/// How long a server may take to start or to stop.
const PATIENCE: Duration = Duration::from_secs(60);

/// Starts and ends the server as its parent, so that an ended server is really gone. When the test process ends, the
/// pipe to the guard closes; the guard then kills the server and removes its folder, also after a panic or `kill -9`.
/// It prints nothing then, because nobody reads it and the failed write would end the guard.
const GUARD: &str = r#"
folder=$1
shift
while read -r order signal; do
  case $order in
    start) "$@" </dev/null >&2 & server=$!; echo "$server" ;;
    end) kill -"$signal" "$server"; wait "$server"; server=; echo ended ;;
  esac
done
exec 2>/dev/null
if [ -n "$server" ]; then kill -KILL "$server"; wait "$server"; fi
rm -rf "$folder"
"#;

/// A running server, its guard and its folder.
pub struct Service {
    guard: Mutex<Guard>,
    folder: PathBuf,
    log: Arc<Mutex<Vec<String>>>,
    ready: &'static str,
}

struct Guard {
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    lines: Receiver<String>,
    server: u32,
}

impl Service {
    /// Runs a program that prints a line with `ready` when it serves. `folder` is removed when the service is dropped.
    pub fn start(folder: PathBuf, program: &Path, arguments: &[String], ready: &'static str) -> Self {
        let mut command = Command::new("sh");
        command.arg("-c").arg(GUARD).arg("guard").arg(&folder).arg(program).args(arguments);
        // A terminal's Ctrl-C reaches only the test process; the guard then sees its end.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let (sender, lines) = channel();
        let said = BufReader::new(child.stderr.take().unwrap());
        let kept = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in said.lines().map_while(Result::ok) {
                kept.lock().unwrap().push(line.clone());
                let _ = sender.send(line);
            }
        });
        let orders = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().unwrap());
        let guard = Mutex::new(Guard { child, orders, answers, lines, server: 0 });
        let service = Self { guard, folder, log, ready };
        service.start_again();
        service
    }

    /// Starts the ended server on the same folder and port. Returns when it serves.
    pub fn start_again(&self) {
        let mut guard = self.guard.lock().unwrap();
        guard.lines.try_iter().for_each(drop);
        guard.server = guard.order("start").parse().unwrap();
        loop {
            match guard.lines.recv_timeout(PATIENCE) {
                Ok(line) if line.contains(self.ready) => return,
                Ok(line) if !line.contains("Aborting") && !line.contains("Address already in use") => {}
                _ => panic!("{} does not start:\n{}", self.folder.display(), self.log()),
            }
        }
    }

    /// Ends the server with a signal, `KILL` or `TERM`. Returns when it is gone.
    pub fn end(&self, signal: &str) {
        assert_eq!(self.guard.lock().unwrap().order(&format!("end {signal}")), "ended");
    }

    /// Sends the server a signal that does not end it, `STOP` or `CONT`.
    pub fn signal(&self, signal: &str) {
        let server = self.guard.lock().unwrap().server.to_string();
        assert!(Command::new("kill").args([&format!("-{signal}"), &server]).status().unwrap().success());
    }

    /// Everything that the server has printed.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().join("\n")
    }
}

impl Guard {
    fn order(&mut self, order: &str) -> String {
        writeln!(self.orders.as_mut().unwrap(), "{order}").unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        answer.trim().to_owned()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.orders = None;
        let _ = self.child.wait();
    }
}

/// A folder that its service's guard removes.
pub fn new_folder(name: &str) -> PathBuf {
    tempfile::Builder::new().prefix(&format!("pregon-{name}-")).tempdir().unwrap().keep()
}

/// A port of 127.0.0.1 that the system gives to nobody else while this exists. A service may listen on it, also again
/// after a restart: the socket that holds it is bound but does not listen, and both allow the address to be reused.
pub struct HeldPort(Socket);

impl HeldPort {
    pub fn new() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_reuse_address(true).unwrap();
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        Self(socket)
    }

    pub fn number(&self) -> u16 {
        self.0.local_addr().unwrap().as_socket_ipv4().unwrap().port()
    }
}
