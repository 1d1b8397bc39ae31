//! `pregon check`: one line for each thing that the server needs, with advice where it is missing.

use std::process::ExitCode;

use anyhow::Result;
use rustix::process::{Resource, getrlimit};

use crate::cli::finding::Finding;
use crate::cli::output::say;
use crate::cli::{database, redis};
use crate::clock::Timestamp;
use crate::config::{Database, Settings, TlsFiles};
use crate::domain::write::Durability;
use crate::engine::net::send::{Io, Sender};
use crate::limits::memory::{Sizes, sum};
use crate::limits::{STRETCH_VISITS_MAX, TLS_WARN_DAYS};
use crate::server::OPEN_TO_LISTENERS;
use crate::server::tls::certificate;

/// With fewer, a server takes some hundred connections and then fails in odd ways.
const FILES_MIN: u64 = 4096;
/// A date before this program was written.
const EARLIEST: Timestamp = Timestamp(1_735_689_600_000_000);

/// Prints all lines. It succeeds only if nothing is wrong.
pub fn run(settings: &Settings) -> Result<ExitCode> {
    let mut findings: Vec<(&str, Finding)> =
        vec![("database", tables(settings).into()), ("servers", servers(settings).into())];
    if settings.durability == Durability::Replicated {
        findings.push(("replicas", replicas(settings)));
    }
    findings.extend(redis::check(settings));
    if settings.is_open_to_listeners() {
        findings.push(("tls", Finding::Doubtful(OPEN_TO_LISTENERS.to_owned())));
    }
    if let Some(files) = &settings.tls {
        findings.push(("certificate", certificate(settings, files, Timestamp::now())));
    }
    findings.extend([
        ("secret", secret(settings).into()),
        ("media", media(settings).into()),
        ("memory", memory(settings).into()),
        ("file limit", file_limit().into()),
        ("network", network(settings.io).into()),
        ("clock", clock(Timestamp::now()).into()),
    ]);
    let mut code = ExitCode::SUCCESS;
    for (name, finding) in findings {
        match finding {
            Finding::Fine(how) => say(&format!("ok    {name}: {how}"))?,
            Finding::Doubtful(what) => say(&format!("LOOK  {name}: {what}"))?,
            Finding::Wrong(what) => {
                say(&format!("WRONG {name}: {what}"))?;
                code = ExitCode::FAILURE;
            }
        }
    }
    Ok(code)
}

fn tables(settings: &Settings) -> Result<String, String> {
    let place = &settings.database;
    let (to_do, zone_to_set) = database::steps_to_do(settings).map_err(|error| format!("{error:#}"))?;
    if let Some(sentence) = zone_to_set {
        return Err(sentence);
    }
    if let Some(sentence) = database::characters_to_change(settings).map_err(|error| format!("{error:#}"))? {
        return Err(sentence);
    }
    match (to_do, place) {
        (0, _) => Ok(format!("{place} is up to date")),
        (to_do, Database::Sqlite(_)) => Ok(format!(
            "{place} needs {to_do} migration(s): the server applies them at its start, or pregon migrate does now"
        )),
        (to_do, Database::Mysql(_)) => Err(format!(
            "{place} lacks {to_do} migration(s): show them with pregon migrate --dry-run, then run pregon migrate"
        )),
    }
}

/// A check beside the one server that runs is no fault.
fn servers(settings: &Settings) -> Result<String, String> {
    const ALONE: &str = "clients of one server hear nothing live of what clients of another do";
    let found = match database::servers(settings) {
        Ok(Some(found)) => found,
        Ok(None) => return Ok("the file's lock lets one in at a time".to_owned()),
        // What is wrong with the database is said before.
        Err(error) => return Ok(format!("whether one runs cannot be told: {error:#}")),
    };
    match found.as_slice() {
        [] => Ok("none runs on this database".to_owned()),
        [one] => Ok(format!("one runs already, {one}: start no other on this database, since {ALONE}")),
        several => {
            let names: Vec<String> = several.iter().map(ToString::to_string).collect();
            Err(format!("{} run on this database, but {ALONE}: stop all but one of {}", names.len(), names.join("; ")))
        }
    }
}

/// What acknowledgements are to say, and what the server has for it.
fn replicas(settings: &Settings) -> Finding {
    const WANTED: &str = "PREGON_DURABILITY=replicated";
    match database::semi_sync(settings) {
        Ok(Some(found)) if !found.is_known => Finding::Wrong(format!(
            "{WANTED}, but the server has no semi-synchronous replication: install MySQL's plugin for it, or set \
             PREGON_DURABILITY=stored"
        )),
        Ok(Some(found)) if !found.is_on || found.replicas == 0 => Finding::Wrong(format!(
            "{WANTED}, but no replica acknowledges what is committed (status {}, {} replicas): set \
             rpl_semi_sync_master_enabled (MySQL: rpl_semi_sync_source_enabled) here and its counterpart on a replica; until \
             then acknowledgements say stored",
            if found.is_on { "ON" } else { "OFF" },
            found.replicas
        )),
        Ok(Some(found)) => Finding::Fine(format!("{} acknowledge(s) what is committed", found.replicas)),
        Ok(None) => Finding::Wrong(format!("{WANTED}, but SQLite has no replicas")),
        // What is wrong with the database is said before.
        Err(error) => Finding::Doubtful(format!("whether there are any cannot be told: {error:#}")),
    }
}

fn secret(settings: &Settings) -> Result<String, String> {
    if let Some(file) = &settings.jwt_keys {
        let loaded = file.load().map_err(|unusable| unusable.why)?;
        let (keys, signer) = (loaded.keys.all().len(), loaded.keys.signer());
        let open = if loaded.is_open_to_all { ", which every program on this machine can read: chmod o-r" } else { "" };
        let left_out: String = loaded.left_out.iter().map(|why| format!("; left out: {why}")).collect();
        return Ok(format!(
            "{keys} keys, {} signs by {:?}, in {}{open}{left_out}",
            signer.kid().unwrap_or("the one without a kid"),
            signer.algorithm(),
            file.path().display()
        ));
    }
    if settings.jwt_secret.is_some() {
        return Ok("set".to_owned());
    }
    settings.secret().map(|_| "stored beside the database".to_owned()).map_err(|error| error.to_string())
}

/// What clients are shown, and for how long they take it.
fn certificate(settings: &Settings, files: &TlsFiles, now: Timestamp) -> Finding {
    let certificate = match certificate::read(files, now) {
        Ok(certificate) => certificate,
        Err(sentence) => return Finding::Wrong(sentence),
    };
    let (days, names) = (certificate.days_left(now), certificate.names.join(", "));
    let what = format!("for {names}, until {} ({days} days)", certificate.not_after);
    if days < TLS_WARN_DAYS {
        return Finding::Doubtful(format!("{what}: have it renewed"));
    }
    if certificate.is_without_issuer {
        return Finding::Doubtful(format!(
            "{what}, but PREGON_TLS_CERT holds the server's certificate alone: clients that do not know who signed it refuse it; \
             where there is a file with the whole chain (fullchain.pem), name that one"
        ));
    }
    let host = settings.public_url.as_ref().and_then(|url| Some(url::Url::parse(url).ok()?.host_str()?.to_owned()));
    match host.filter(|host| !certificate.is_for(host)) {
        Some(host) => Finding::Doubtful(format!(
            "{what}, but not for {host}, which PREGON_PUBLIC_URL names: clients refuse it there"
        )),
        None => Finding::Fine(what),
    }
}

fn media(settings: &Settings) -> Result<String, String> {
    let path = &settings.media_dir;
    let probe = path.join(format!(".check-{}", std::process::id()));
    let tried = std::fs::create_dir_all(path)
        .and_then(|()| std::fs::write(&probe, b"pregon"))
        .and_then(|()| std::fs::remove_file(&probe));
    match tried {
        Ok(()) => Ok(format!("{} takes files", path.display())),
        Err(error) => {
            Err(format!("{} is not writable ({error}): make it writable or set PREGON_MEDIA_DIR", path.display()))
        }
    }
}

/// What may wait, whatever clients do; beside it a server needs some ten MiB and a few KiB for each socket.
fn memory(settings: &Settings) -> Result<String, String> {
    let Sizes { shards, lanes, .. } = settings.sizes();
    let mebibytes = sum(settings.sizes()).div_ceil(1024 * 1024);
    Ok(format!(
        "at most {mebibytes} MiB wait in queues and for slow readers, with {shards} shards and {lanes} write lane(s)"
    ))
}

fn file_limit() -> Result<String, String> {
    // The server raises its own limit to the hard limit, so the hard limit counts.
    match getrlimit(Resource::Nofile).maximum {
        None => Ok("none".to_owned()),
        Some(most) if most >= FILES_MIN => Ok(format!("{most} open files")),
        Some(most) => Err(format!(
            "{most} open files, but each connection is one: raise it, for example with LimitNOFILE=1048576 in the \
             service's unit, or ulimit -Hn 1048576"
        )),
    }
}

fn network(io: Io) -> Result<String, String> {
    match Sender::new(io, STRETCH_VISITS_MAX).map(|sender| sender.io()) {
        Ok(Io::Uring) => Ok("frames are sent by io_uring".to_owned()),
        Ok(_) if io == Io::Auto => {
            Ok("frames are sent one by one: this kernel or container does not allow io_uring".to_owned())
        }
        Ok(_) => Ok("frames are sent one by one, as PREGON_IO says".to_owned()),
        Err(error) => Err(format!("this kernel or container does not allow io_uring ({error}): set PREGON_IO=auto")),
    }
}

fn clock(now: Timestamp) -> Result<String, String> {
    if now < EARLIEST {
        return Err(format!("it cannot be {now}: set the system's clock, because tokens and messages depend on it"));
    }
    Ok(now.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_of_another_century_is_wrong() {
        assert!(clock(Timestamp(0)).unwrap_err().contains("1970-01-01"));
        assert!(clock(Timestamp::now()).is_ok());
    }
}
