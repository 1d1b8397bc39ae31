//! Tests which source wins, and the sentence about each wrong value.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::*;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn settings(pairs: &[(&str, &str)]) -> Result<Settings, String> {
    let pairs = pairs.iter().map(|(name, value)| (format!("PREGON_{name}"), (*value).into()));
    Raw::gather(pairs, Vec::new()).and_then(|raw| Settings::check(&raw)).map_err(|error| error.to_string())
}

#[test]
fn the_defaults_serve_this_machine() {
    let settings = settings(&[]).unwrap();
    assert_eq!(settings.listen, ["127.0.0.1:8000".parse().unwrap(), "[::1]:8000".parse().unwrap()]);
    assert_eq!(settings.database.file(), Some(Path::new("data/pregon.db")));
    assert_eq!(settings.media_dir, Path::new("data/media"));
    assert_eq!((settings.write_lanes, settings.io, settings.rate_limits), (1, Io::Auto, true));
    assert_eq!(
        (settings.drain, settings.mask_contacts, settings.metrics_public),
        (Duration::from_secs(2), true, false)
    );
    assert!((1..=limits::SHARDS_MAX).contains(&settings.shards));
    assert!(settings.origins.allows(Some("capacitor://localhost"), "127.0.0.1:8000"));
    assert!(settings.origins.allows(None, "127.0.0.1:8000"));
    assert_eq!(settings.public_url("127.0.0.1:8123".parse().unwrap()), "http://127.0.0.1:8123");
    assert_eq!(settings.public_url("[::]:81".parse().unwrap()), "http://localhost:81");
}

#[test]
fn with_a_certificate_the_server_is_reached_by_https_and_tickets_have_a_secret_of_their_own() {
    let files = [("TLS_CERT", "a.pem"), ("TLS_KEY", "b.pem"), ("JWT_SECRET", SECRET), ("HSTS_SECONDS", "300")];
    let settings = |more: &[(&str, &str)]| settings(&[&files[..], more].concat()).unwrap();
    let usual = settings(&[]);
    assert_eq!(usual.public_url("127.0.0.1:8123".parse().unwrap()), "https://127.0.0.1:8123");
    assert_eq!(usual.public_url("[::]:81".parse().unwrap()), "https://localhost:81");
    assert_eq!((usual.hsts, usual.sizes().tls), (Duration::from_secs(300), true));
    assert!(usual.tls_ticket_secret.is_none(), "the secret of tokens is none of tickets");
    let own = settings(&[("TLS_TICKET_SECRET", "of tickets, long enough")]);
    assert_eq!(own.tls_ticket_secret.unwrap().bytes(), b"of tickets, long enough");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    std::fs::write(&file, "in a file, long enough\n").unwrap();
    let kept = settings(&[("TLS_TICKET_SECRET_FILE", file.to_str().unwrap())]);
    assert_eq!(kept.tls_ticket_secret.unwrap().bytes(), b"in a file, long enough");
}

#[test]
fn beyond_this_machine_tls_is_asked_for_unless_a_proxy_may_have_it() {
    let tls = [("TLS_CERT", "a.pem"), ("TLS_KEY", "b.pem")];
    for (listen, more, is_open) in [
        ("127.0.0.1:1,[::1]:1", &[][..], false),
        ("127.0.0.1:1,0.0.0.0:1", &[], true),
        ("[::]:1", &[], true),
        ("0.0.0.0:1", &tls, false),
        ("0.0.0.0:1", &[("TRUSTED_PROXIES", "10.0.0.0/8")], false),
    ] {
        let given = [&[("LISTEN", listen), ("JWT_SECRET", SECRET)][..], more].concat();
        assert_eq!(settings(&given).unwrap().is_open_to_listeners(), is_open, "{given:?}");
    }
}

#[test]
fn a_post_shows_no_more_reactions_than_a_frame_has_room_for() {
    let shown = |number| settings(&[("POST_REACTIONS_SHOWN", number)]).map(|settings| settings.post_reactions_shown);
    assert_eq!(shown("16"), Ok(limits::POST_REACTIONS_SHOWN_CEILING));
    let refused = shown("17").unwrap_err();
    assert!(refused.contains("PREGON_POST_REACTIONS_SHOWN") && refused.contains("from 0 to 16"), "{refused}");
}

#[test]
fn a_site_file_is_read_at_the_start_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("site.json");
    let read = || settings(&[("SITE_FILE", file.to_str().unwrap())]);
    let error = read().unwrap_err();
    assert!(error.starts_with("PREGON_SITE_FILE is ") && error.contains("cannot be read"), "{error}");
    std::fs::write(&file, "{\"menu\": [{\"label\": \"x\"}]}").unwrap();
    let error = read().unwrap_err();
    assert!(error.contains("route_key") && error.ends_with("PREGON_SITE_FILE=/etc/pregon/site.json."), "{error}");
    std::fs::write(&file, "{\"settings\": {\"maintenance_mode\": true}}").unwrap();
    assert!(read().is_ok());
    std::fs::write(&file, vec![b' '; 256 * 1024 + 1]).unwrap();
    assert!(read().unwrap_err().contains("more than 256 KiB"));
}

#[test]
fn flags_win_over_the_environment_over_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("some.toml");
    std::fs::write(&file, "shards = 3\nlisten = [\"127.0.0.1:1\"]\nrate_limits = false\nnode = \"file\"\n").unwrap();
    let environment = [("PREGON_CONFIG", file.to_str().unwrap()), ("PREGON_SHARDS", "4"), ("PREGON_NODE", "env")];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.into()));
    let raw = Raw::gather(environment, vec![(Setting::Node, "flag".into())]).unwrap();
    let settings = Settings::check(&raw).unwrap();
    assert_eq!((settings.shards, settings.node.as_str(), settings.rate_limits), (4, "flag", false));
    assert_eq!(settings.listen, ["127.0.0.1:1".parse().unwrap()]);
}

#[test]
fn a_file_with_faults_is_named_and_never_quoted() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("some.toml");
    let path = file.to_str().unwrap();
    let error = || settings(&[("CONFIG", path)]).unwrap_err();
    assert!(error().contains("cannot be read"));
    std::fs::write(&file, "jwt_secret = hunter2hunter2hunter2").unwrap();
    assert!(error().contains("not valid TOML in line 1") && !error().contains("hunter2"), "{}", error());
    std::fs::write(&file, "shards = 3\n\njwt_secret = \"hunter2").unwrap();
    assert!(error().contains("not valid TOML in line 3") && !error().contains("hunter2"), "{}", error());
    std::fs::write(&file, "shard = 3").unwrap();
    assert!(error().contains("\"shard\", but there is no such setting"), "{}", error());
    std::fs::write(&file, "[shards]\na = 3").unwrap();
    assert!(error().contains("neither text"), "{}", error());
}

#[test]
fn only_one_server_carries_djangos_channel_layer() {
    let database = ("DATABASE_URL", "mysql://root@db/x");
    for redis in ["redis-cluster://:hunter2@one:7000", "redis-sentinel://:hunter2@one:26379?sentinelServiceName=main"] {
        let sentence = settings(&[database, ("REDIS_URL", redis), ("DJANGO", "on")]).unwrap_err();
        assert!(sentence.contains("Django's channel layer is on one server"), "{sentence}");
        assert!(!sentence.contains("hunter2"), "{sentence}");
        settings(&[database, ("REDIS_URL", redis), ("DJANGO", "off"), ("JWT_SECRET", &"x".repeat(32))]).unwrap();
    }
}

#[test]
fn a_wrong_value_is_one_sentence_with_a_right_example() {
    for (name, value, part) in [
        ("SHARDS", "0", "must be a number from 1 to 64"),
        ("SHARDS", "65", "must be a number from 1 to 64"),
        ("SHARDS", "many", "\"many\""),
        ("WRITE_LANES", "4", "SQLite has one writer, for example PREGON_WRITE_LANES=1."),
        ("IO", "kqueue", "PREGON_IO=auto"),
        ("LISTEN", "8000", "PREGON_LISTEN=127.0.0.1:8000"),
        ("DATABASE_URL", "postgres://x", "PREGON_DATABASE_URL=sqlite://data/pregon.db"),
        ("DATABASE_URL", "sqlite://", "must be sqlite://"),
        ("DATABASE_URL", "sqlite://:memory:", "must be sqlite://"),
        ("DATABASE_URL", "mysql://root:hunter2@db", "names no database"),
        ("DATABASE_URL", "mysql://root:hunter2@db/x?hunter2=x&y=1", "must be right as in"),
        ("DATABASE_URL", "postgres://root:hunter2@db/x", "must begin with sqlite://, mysql:// or mariadb://"),
        ("DATABASE_URL_FILE", "/does/not/exist", "cannot be read"),
        ("REDIS_URL", "redis://:hunter2@db", "only nodes on one MySQL database need Redis"),
        ("DJANGO", "on", "needs Django's database"),
        ("DJANGO", "perhaps", "must be auto or on or off, for example PREGON_DJANGO=auto"),
        ("TLS_CERT", "x.pem", "PREGON_TLS_KEY=/etc/pregon/privkey.pem"),
        ("TLS_KEY", "x.pem", "PREGON_TLS_CERT=/etc/pregon/fullchain.pem"),
        ("TLS_TICKET_SECRET", "hunter2", "has 7 bytes, but must have at least 16"),
        ("HSTS_SECONDS", "300", "must be 0 where PREGON_TLS_CERT is not set"),
        ("HSTS_SECONDS", "-1", "must be a number from 0 to"),
        ("DB_ZONE", "America/Bogota", "must be UTC with SQLite"),
        ("DB_ZONE", "Bogota", "PREGON_DB_ZONE=America/Bogota"),
        ("TIME_STYLE", "local", "must be utc or naive"),
        ("JWT_SECRET", "hunter2", "has 7 bytes, but must have at least 16"),
        ("RATE_LIMITS", "maybe", "must be on or off"),
        ("REQUIRE_ORIGIN", "maybe", "must be on or off"),
        ("ALLOWED_ORIGINS", "a.example,https://", "PREGON_ALLOWED_ORIGINS is \"https://\""),
        ("DRAIN_SECONDS", "-1", "from 0 to 3600"),
        ("PUBLIC_URL", "chat.example.com", "https://chat.example.com"),
        ("TRUSTED_PROXIES", "10.0.0.0/33", "10.0.0.0/8"),
        ("METRICS", "open", "must be loopback or public"),
        ("LOG_FORMAT", "xml", "must be text or json"),
        ("LOG_LEVEL", "=,=", "PREGON_LOG_LEVEL=info"),
        ("NODE", "a b", "PREGON_NODE=chat-1"),
    ] {
        let sentence = settings(&[(name, value)]).unwrap_err();
        assert!(sentence.contains(part) && sentence.contains(&format!("PREGON_{name}")), "{sentence}");
        assert!(sentence.ends_with('.') && !sentence.contains('\n') && !sentence.contains("hunter2"), "{sentence}");
    }
}

#[test]
fn a_server_has_lanes_a_zone_and_a_secret_that_is_given() {
    let url = ("DATABASE_URL", "mariadb://root:hunter2@db:3307/social");
    let bare = settings(&[url]).unwrap();
    assert_eq!(
        (bare.database.to_string(), bare.write_lanes),
        ("social on db:3307".to_owned(), (cores() / 2).clamp(1, 4))
    );
    assert_eq!((bare.zone, bare.json_times), (Zone::Utc, JsonTimes::Utc));
    assert_eq!(bare.media_dir, Path::new("data/media"));
    assert!(!format!("{bare:?}").contains("hunter2"));
    let sentence = bare.secret().unwrap_err().to_string();
    assert!(sentence.starts_with("PREGON_JWT_SECRET is not set") && sentence.contains("SECRET_KEY"), "{sentence}");

    let zone = ("DB_ZONE", "America/Bogota");
    let full = settings(&[url, zone, ("TIME_STYLE", "naive"), ("WRITE_LANES", "8"), ("JWT_SECRET", SECRET)]).unwrap();
    let bogota = "America/Bogota".parse().unwrap();
    assert_eq!((full.zone, full.json_times, full.write_lanes), (bogota, JsonTimes::Naive(bogota), 8));
    assert_eq!(full.secret().unwrap().bytes(), SECRET.as_bytes());
    assert!(settings(&[url, ("WRITE_LANES", "33")]).unwrap_err().contains("from 1 to 32"));
    // With SQLite the zone only affects how times are shown.
    let shown = settings(&[zone, ("TIME_STYLE", "naive")]).unwrap();
    assert_eq!((shown.zone, shown.json_times), (Zone::Utc, JsonTimes::Naive(bogota)));
}

#[test]
fn beyond_this_machine_a_secret_and_limits_are_required() {
    let open = ("LISTEN", "0.0.0.0:8000");
    assert!(settings(&[open]).unwrap_err().contains("PREGON_JWT_SECRET is not set"));
    let secret = ("JWT_SECRET", SECRET);
    let checked = settings(&[open, secret]).unwrap();
    assert!(!checked.origins.allows(Some("http://localhost:3000"), "chat.example.com"));
    assert!(settings(&[open, secret, ("RATE_LIMITS", "off")]).unwrap_err().contains("may be off only"));
    assert!(!format!("{checked:?}").contains(SECRET));
}

#[test]
fn a_secret_is_made_once_and_kept_for_its_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/deep/x.db", folder.path().display());
    let settings = settings(&[("DATABASE_URL", &url)]).unwrap();
    let secret = settings.secret().unwrap();
    assert_eq!((secret.bytes().len(), settings.secret().unwrap()), (64, secret));
    let kept = folder.path().join("deep/x.db.jwt-secret");
    assert_eq!(std::fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(kept.parent().unwrap()).unwrap().count(), 1, "no draft is left");
    std::fs::write(&kept, "short").unwrap();
    assert!(settings.secret().unwrap_err().to_string().starts_with("PREGON_JWT_SECRET is not set, and"));
}

#[test]
fn a_secret_file_is_read_and_replaces_what_the_file_below_says() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    std::fs::write(&file, format!("{SECRET}\n")).unwrap();
    let checked = settings(&[("JWT_SECRET_FILE", file.to_str().unwrap())]).unwrap();
    assert_eq!(checked.secret().unwrap().bytes(), SECRET.as_bytes());
    std::fs::write(&file, "short").unwrap();
    assert!(settings(&[("JWT_SECRET_FILE", file.to_str().unwrap())]).unwrap_err().contains("JWT_SECRET_FILE"));
    assert!(settings(&[("JWT_SECRET_FILE", "/does/not/exist")]).unwrap_err().contains("cannot be read"));
}

#[test]
fn the_documentation_lists_the_settings() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once("the_documentation_lists_the_settings -->\n").unwrap();
    let (listed, after) = rest.split_once("<!-- /settings -->").unwrap();
    let right = format!("\n{}\n", documentation());
    if listed != right && std::env::var_os("UPDATE_DOCS").is_some() {
        let text = format!("{before}the_documentation_lists_the_settings -->\n{right}<!-- /settings -->{after}");
        std::fs::write(&path, text).unwrap();
        return;
    }
    assert!(listed == right, "run: UPDATE_DOCS=1 cargo test --lib the_documentation_lists_the_settings");
}

#[test]
fn defaults_are_those_of_the_limits() {
    let number = |setting: Setting| setting.usual().unwrap().parse::<u64>().unwrap();
    assert_eq!(number(Setting::DrainSeconds), limits::DRAIN_ALONE.as_secs());
    assert_eq!(number(Setting::TokenGraceSeconds), limits::TOKEN_GRACE.as_secs());
    assert_eq!(number(Setting::ActiveCheckSeconds), limits::ACTIVE_CHECK.as_secs());
    assert_eq!(number(Setting::UploadGraceSeconds), limits::UPLOAD_GRACE.as_secs());
    assert_eq!(number(Setting::PresenceRoomMax), u64::from(limits::PRESENCE_ROOM_MAX));
    assert_eq!(number(Setting::PostReactionsShown), u64::from(limits::POST_REACTIONS_SHOWN));
}

#[test]
fn the_socket_of_conformance_suites_is_for_this_machine_alone_and_is_not_shown() {
    assert!(!settings(&[]).unwrap().echo);
    assert!(settings(&[("ECHO", "on")]).unwrap().echo);
    let public = [("ECHO", "on"), ("LISTEN", "127.0.0.1:8000,0.0.0.0:8001"), ("JWT_SECRET", SECRET)];
    let refused = settings(&public).err().unwrap();
    assert!(refused.starts_with("PREGON_ECHO is \"on\"") && refused.contains("this machine alone"), "{refused}");
    assert_eq!(Setting::Echo.flag(), None);
    assert!(!documentation().contains("PREGON_ECHO"));
}

#[test]
fn a_file_of_keys_takes_the_place_of_the_secret() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    let name = path.display().to_string();
    let with = |json: &str, more: &[(&str, &str)]| {
        std::fs::write(&path, json).unwrap();
        settings(&[&[("JWT_KEYS", name.as_str())], more].concat())
    };
    let make = |kid: &str| crate::access::jwk::make(jsonwebtoken::Algorithm::EdDSA, kid).unwrap();
    let private = serde_json::json!({"keys": [make("a")]}).to_string();
    let public = serde_json::json!({"keys": [crate::access::jwk::public_half(&make("a")).unwrap()]}).to_string();
    let open = ("LISTEN", "0.0.0.0:8000");
    let checked = with(&private, &[open]).unwrap();
    assert_eq!(checked.tokens().unwrap().keys().signer().kid(), Some("a"));
    assert!(!format!("{checked:?}").contains("\"d\""));
    // Public keys alone sign nothing; the secret does then.
    assert!(with(&public, &[]).unwrap_err().contains("none of its keys can sign"));
    assert_eq!(with(&public, &[("JWT_SECRET", SECRET)]).unwrap().tokens().unwrap().keys().signer().kid(), None);
    let twice = serde_json::json!({"keys": [make("a"), make("a")]}).to_string();
    assert!(with(&twice, &[]).unwrap_err().contains("two of its keys have the kid \"a\""));
    let weak = r#"{"keys": [{"kty": "oct", "kid": "weak", "k": "c2hvcnQ"}]}"#;
    let error = with(weak, &[]).unwrap_err();
    assert!(
        error.starts_with("PREGON_JWT_KEYS is") && error.contains("key 1 (\"weak\")") && !error.contains("c2hvcnQ")
    );
    assert!(with("no json", &[]).unwrap_err().contains("line 1"));
    assert!(with(&" ".repeat(257 * 1024), &[]).unwrap_err().contains("more than 256 KiB"));
    std::fs::remove_file(&path).unwrap();
    assert!(settings(&[("JWT_KEYS", &name)]).unwrap_err().contains("cannot be read"));
    assert!(settings(&[("JWT_AUDIENCE", &"x".repeat(257))]).unwrap_err().contains("at most 256 bytes"));
}

#[test]
fn beyond_this_machine_a_short_secret_is_refused() {
    let short = ("JWT_SECRET", "sixteen bytes, 16");
    assert!(settings(&[short]).is_ok());
    assert!(settings(&[("LISTEN", "0.0.0.0:8000"), short]).unwrap_err().contains("at least 32"));
    for name in ["JWT_SECRET", "ADMIN_KEY"] {
        let example = settings(&[(name, "CHANGE-ME-CHANGE-ME-CHANGE-ME-CHANGE-ME")]).unwrap_err();
        assert!(example.contains("that of the example"), "{example}");
    }
}

#[test]
fn urls_with_passwords_are_read_from_files() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let database = file("database", "mysql://u:hunter2@db/social\n");
    let redis = file("redis", " redis://:hunter2@cache:6379/1 \n");
    let files = [("DATABASE_URL_FILE", database.as_str()), ("REDIS_URL_FILE", &redis), ("JWT_SECRET", SECRET)];
    let checked = settings(&files).unwrap();
    assert!(matches!(checked.database, Database::Mysql(_)) && checked.redis.is_some());
    assert!(!format!("{checked:?}").contains("hunter2"));
    let broken = file("redis", "redis://:hunter2@");
    let error = settings(&[files[0], ("REDIS_URL_FILE", &broken), files[2]]).unwrap_err();
    assert!(error.contains("PREGON_REDIS_URL") && !error.contains("hunter2"), "{error}");
    let error = settings(&[files[0], ("REDIS_URL_FILE", "/does/not/exist"), files[2]]).unwrap_err();
    assert!(error.starts_with("PREGON_REDIS_URL_FILE is"), "{error}");
}
