//! `pregon keys`: makes, orders and removes the keys of tokens in their file.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use crate::access::jwk;
use crate::access::keys::{Keys, KeysError};
use crate::cli::arguments::KeysVerb;
use crate::cli::output::say;

/// Does it. No setting is needed: a server reads the file again by itself.
pub fn run(verb: &KeysVerb) -> Result<()> {
    let _turn = match verb {
        KeysVerb::Add { file, .. } | KeysVerb::First { file, .. } | KeysVerb::Remove { file, .. } => Some(turn(file)?),
        KeysVerb::List { .. } | KeysVerb::Public { .. } => None,
    };
    match verb {
        KeysVerb::Add { file, algorithm, kid } => add(file, algorithm, kid.as_deref()),
        KeysVerb::First { file, kid } => {
            let mut keys = read(file)?;
            let key = keys.remove(place(&keys, kid, file)?);
            keys.insert(0, key);
            write(file, &keys)?;
            say(&format!("{kid:?} is the first key: it signs if it has a private half"))?;
            Ok(())
        }
        KeysVerb::Remove { file, kid } => {
            let mut keys = read(file)?;
            let was_signer = keys.iter().any(can_sign);
            keys.remove(place(&keys, kid, file)?);
            if was_signer && !keys.iter().any(can_sign) {
                bail!(
                    "{kid:?} is the only key that signs: servers would keep it. Add another first (pregon keys add), or give the \
                     servers PREGON_JWT_SECRET and delete the file's last key by hand; nothing is changed"
                );
            }
            write(file, &keys)?;
            say(&format!("{kid:?} is removed: a server refuses what it signed as soon as it has read the file (5 s)"))?;
            Ok(())
        }
        KeysVerb::List { file } => list(file),
        KeysVerb::Public { file } => {
            let public: Vec<Value> = read(file)?.iter().filter_map(jwk::public_half).collect();
            say(&serde_json::to_string_pretty(&json!({ "keys": public }))?)?;
            Ok(())
        }
    }
}

/// Holds the file's folder until it is dropped, so that of two that change keys at once neither undoes what the other did.
fn turn(file: &Path) -> Result<fs::File> {
    let file = at_last(file);
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let held = fs::File::open(folder).with_context(|| format!("{} cannot be opened", folder.display()))?;
    held.lock().with_context(|| format!("{} cannot be locked", folder.display()))?;
    Ok(held)
}

/// Where links lead: the file itself is replaced, not a link to it.
fn at_last(file: &Path) -> PathBuf {
    fs::canonicalize(file).unwrap_or_else(|_| file.to_owned())
}

fn add(file: &Path, algorithm: &str, kid: Option<&str>) -> Result<()> {
    let algorithm: Algorithm = algorithm.parse().map_err(|_| anyhow!("{algorithm} is no algorithm of tokens"))?;
    let kid = kid.map_or_else(|| format!("{:08x}", rand::random::<u32>()), str::to_owned);
    let mut keys = if file.exists() { read(file)? } else { Vec::new() };
    keys.push(jwk::make(algorithm, &kid).context("no key could be made: the system gives no random numbers")?);
    let signs_at_once = !keys[..keys.len() - 1].iter().any(can_sign);
    write(file, &keys)?;
    let next = if signs_at_once {
        "it signs as soon as a server has read it"
    } else {
        "once every server has read it, pregon keys first makes it sign"
    };
    say(&format!("{kid:?} ({algorithm:?}) is added to {}: {next}", file.display()))?;
    Ok(())
}

/// It has a private half, so the first of these signs.
fn can_sign(key: &Value) -> bool {
    jwk::read(json!({ "keys": [key] }).to_string().as_bytes())
        .is_ok_and(|set| set.keys.iter().any(|key| key.can_sign()))
}

fn list(file: &Path) -> Result<()> {
    let json = fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let read = jwk::read(&json).map_err(|why| anyhow!("{}: {why}", file.display()))?;
    let signer = read.keys.iter().position(|key| key.can_sign());
    for (place, key) in read.keys.iter().enumerate() {
        let does = match (Some(place) == signer, key.can_sign()) {
            (true, _) => "signs",
            (false, true) => "could sign",
            (false, false) => "checks",
        };
        say(&format!("{}\t{:?}\t{does}", key.kid().unwrap_or("-"), key.algorithm()))?;
    }
    for why in read.left_out {
        say(&format!("left out\t{why}"))?;
    }
    Ok(())
}

/// The keys as they stand there, with members that are not known here.
fn read(file: &Path) -> Result<Vec<Value>> {
    let named = file.display();
    let json = fs::read(file).with_context(|| format!("{named} cannot be read"))?;
    jwk::read(&json).map_err(|why| anyhow!("{named}: {why}"))?;
    match serde_json::from_slice::<Value>(&json).ok().and_then(|mut set| set.get_mut("keys").map(Value::take)) {
        Some(Value::Array(keys)) => Ok(keys),
        _ => bail!("{named} is not {{\"keys\": [...]}}"),
    }
}

fn place(keys: &[Value], kid: &str, file: &Path) -> Result<usize> {
    let found = keys.iter().position(|key| key["kid"] == kid);
    found.with_context(|| format!("no key in {} has the kid {kid:?}: pregon keys list shows them", file.display()))
}

/// Puts a whole file in the place of the old one, so that a server never reads half of it. Its owner and its rights stay; a
/// new one is its owner's alone.
fn write(file: &Path, keys: &[Value]) -> Result<()> {
    let set = json!({ "keys": keys });
    let json = serde_json::to_vec_pretty(&set)?;
    let read = jwk::read(&json).map_err(|why| anyhow!("{why}: nothing is changed"))?;
    // Where none of them signs, the secret may.
    if let Err(twice @ KeysError::Twice(_)) = Keys::of(read.keys) {
        bail!("{twice}: nothing is changed");
    }
    let target = &at_last(file);
    let draft = target.with_extension(format!("draft-{}", std::process::id()));
    let written = (|| {
        let mut new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        new.write_all(&json)?;
        new.write_all(b"\n")?;
        if let Ok(old) = fs::metadata(target) {
            new.set_permissions(fs::Permissions::from_mode(old.permissions().mode()))?;
            // Only root may give files away.
            let _ = std::os::unix::fs::fchown(&new, Some(old.uid()), Some(old.gid()));
        }
        new.sync_all()?;
        fs::rename(&draft, target)
    })();
    if written.is_err() {
        let _ = fs::remove_file(&draft);
    }
    written.with_context(|| format!("{} cannot be written", file.display()))
}
