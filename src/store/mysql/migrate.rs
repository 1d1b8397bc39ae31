//! The schema's migrations: which exist, which a database has had, which belong to another program, and running the
//! rest.

use std::fmt;

use crate::clock::Timestamp;
use crate::store::StoreError;
use crate::store::mysql::columns::{self, Columns};
use crate::store::mysql::connection::{Link, MysqlError};
use crate::store::mysql::driver::View;
use crate::store::mysql::shared::Shared;

struct Migration {
    number: u32,
    name: &'static str,
    /// Whether the backend's own migrations make these tables, too. Existing ones are left alone.
    is_shared: bool,
    sql: &'static str,
}

macro_rules! migrations {
    ($($number:literal $name:literal $is_shared:literal,)*) => {
        [$(Migration {
            number: $number,
            name: $name,
            is_shared: $is_shared,
            sql: include_str!(concat!("../../../migrations/mysql/", $name, ".sql")),
        },)*]
    };
}

const MIGRATIONS: [Migration; 11] = migrations! {
    1 "0001_people_and_chat" true,
    2 "0002_event_log" false,
    3 "0003_feed" true,
    4 "0004_adopted_rows" false,
    6 "0006_logins_and_leaves" false,
    8 "0008_people_search" false,
    9 "0009_nodes" false,
    10 "0010_events_by_time" false,
    11 "0011_cursors_of_names" false,
    13 "0013_blocks" false,
    14 "0014_push" false,
};

/// The native type of ids, if the server has one.
const NATIVE: &str = "uuid";

/// The tables that another program's database must have.
const NEEDED: [&str; 15] = [
    "users",
    "user_follows",
    "friendships",
    "chat_rooms",
    "chat_participants",
    "messages",
    "message_reactions",
    "message_reads",
    "posts",
    "post_reactions",
    "comments",
    "comment_likes",
    "post_shares",
    "post_bookmarks",
    "notifications",
];

/// The state of a migration in this database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// It was applied at this time.
    Applied(String),
    /// Pending.
    ToDo,
    /// The tables belong to another program: nothing is changed.
    LeftAlone,
}

/// A migration in the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanLine {
    /// Its number, from 1.
    pub number: u32,
    /// The file's name in `migrations/mysql`, without `.sql`.
    pub name: &'static str,
    /// Its state in this database.
    pub step: Step,
}

impl fmt::Display for PlanLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.step {
            Step::Applied(when) => write!(f, "{}  applied {when}", self.name),
            Step::ToDo => write!(f, "{}  to do", self.name),
            Step::LeftAlone => write!(f, "{}  left alone: another program's tables are there", self.name),
        }
    }
}

/// Whether another program made the shared tables. If so, the zone of its times is unknown.
pub fn is_anothers(plan: &[PlanLine]) -> bool {
    plan.iter().any(|line| line.step == Step::LeftAlone)
}

/// How new tables store ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdForm {
    /// As the database's tables do already, else native if the server has that type.
    Fitting,
    /// `char(32)`, whatever the server has. For tests.
    Text,
}

/// The plan, without applying it.
///
/// # Errors
/// The database cannot be used, lacks tables of the program it belongs to, or has a newer schema.
pub async fn plan(link: &Link) -> Result<Vec<PlanLine>, StoreError> {
    let shared = Shared::alone(link.clone());
    let mut driver = shared.open_at_start().await?;
    let mut view = shared.view(&mut driver, Timestamp::now());
    let found = look(&mut view).await.map_err(|error| link.opening(&error))?;
    let plan = found.plan(link.place());
    drop(driver.connection.disconnect().await);
    plan
}

/// One sentence about tables whose texts cannot store emoji, with what to do.
///
/// # Errors
/// The database cannot be used.
pub async fn characters_to_change(link: &Link) -> Result<Option<String>, StoreError> {
    let shared = Shared::alone(link.clone());
    let mut driver = shared.open_at_start().await?;
    let mut view = shared.view(&mut driver, Timestamp::now());
    // Ids are left out: they are ASCII, and InnoDB refuses to change a column under a foreign key (error 1833).
    let sql = "SELECT table_name, column_name, column_type, collation_name, is_nullable = 'YES', column_default \
        FROM information_schema.columns AS c \
        WHERE table_schema = database() AND character_set_name IN ('utf8', 'utf8mb3') AND column_type <> 'char(32)' \
        AND NOT EXISTS (SELECT 1 FROM information_schema.key_column_usage AS k \
            WHERE k.table_schema = c.table_schema AND k.referenced_table_name IS NOT NULL AND ( \
                (k.table_name = c.table_name AND k.column_name = c.column_name) OR \
                (k.referenced_table_name = c.table_name AND k.referenced_column_name = c.column_name))) \
        ORDER BY table_name, ordinal_position";
    let found = view.rows(sql, &[], |row| {
        Ok(NarrowColumn {
            table: row.text(0)?,
            name: row.text(1)?,
            kind: row.text(2)?,
            collation: row.text(3)?,
            is_nullable: row.flag(4)?,
            default: row.optional_text(5)?,
        })
    });
    let found = found.await.map_err(|error| link.opening(&error))?;
    drop(driver.connection.disconnect().await);
    Ok(alteration(link.place(), &found))
}

/// A text column whose character set has no emoji.
struct NarrowColumn {
    table: String,
    name: String,
    /// Such as `varchar(150)`.
    kind: String,
    collation: String,
    is_nullable: bool,
    default: Option<String>,
}

impl NarrowColumn {
    /// Its definition with `utf8mb4`, otherwise unchanged.
    fn widened(&self) -> String {
        let rest = self.collation.split_once('_').map_or("unicode_ci", |(_, rest)| rest);
        let null = if self.is_nullable { "NULL" } else { "NOT NULL" };
        let default = match self.default.as_deref() {
            None | Some("NULL") => String::new(),
            // MariaDB reports a text in quotation marks, MySQL without.
            Some(text) if text.starts_with('\'') => format!(" DEFAULT {text}"),
            Some(text) => format!(" DEFAULT '{}'", text.replace('\'', "''")),
        };
        let Self { name, kind, .. } = self;
        format!("MODIFY {name} {kind} CHARACTER SET utf8mb4 COLLATE utf8mb4_{rest} {null}{default}")
    }
}

fn alteration(place: &str, found: &[NarrowColumn]) -> Option<String> {
    let known: Vec<_> = found.iter().filter(|column| NEEDED.contains(&column.table.as_str())).collect();
    let tables: Vec<_> = known.chunk_by(|one, next| one.table == next.table).collect();
    let names: Vec<&str> = tables.iter().map(|columns| columns[0].table.as_str()).collect();
    let alters = tables.iter().map(|columns| {
        let changes: Vec<String> = columns.iter().map(|column| column.widened()).collect();
        format!("ALTER TABLE {} {};", columns[0].table, changes.join(", "))
    });
    (!names.is_empty()).then(|| {
        format!(
            "{place} stores texts of {} in utf8mb3, which has no emoji: such messages are refused. With a backup and both \
             programs stopped, run: {}",
            names.join(", "),
            alters.collect::<Vec<_>>().join(" ")
        )
    })
}

/// Applies the pending migrations of [`plan`], one program at a time. An interrupted migration is repeated: each of its
/// statements skips what already exists. (MySQL commits each statement by itself.)
///
/// # Errors
/// As [`plan`].
pub async fn migrate(link: &Link, form: IdForm) -> Result<Vec<PlanLine>, StoreError> {
    let shared = Shared::alone(link.clone());
    let mut driver = shared.open_at_start().await?;
    let mut view = shared.view(&mut driver, Timestamp::now());
    let lock = format!("pregon-migrate-{}", link.database());
    let lock: String = lock.chars().take(64).collect();
    let is_ours = view.row("SELECT get_lock(?, 10)", &[&lock], |row| row.flag(0)).await;
    if is_ours.map_err(|error| link.opening(&error))? != Some(true) {
        return Err(StoreError::Unavailable(format!("another program is migrating {}: wait for it", link.place())));
    }
    let plan = look(&mut view).await.map_err(|error| link.opening(&error))?.plan(link.place())?;
    take(&mut view, &plan, form).await.map_err(|error| link.opening(&error))?;
    // The lock ends with the connection.
    drop(driver.connection.disconnect().await);
    Ok(plan)
}

/// Refuses to serve a database that lacks a migration.
pub(super) async fn require(view: &mut View<'_>, link: &Link) -> Result<(), StoreError> {
    let plan = look(view).await.map_err(|error| link.opening(&error))?.plan(link.place())?;
    match plan.iter().find(|line| line.step == Step::ToDo) {
        None => Ok(()),
        Some(line) => Err(StoreError::Unavailable(format!(
            "{} lacks the migration {}: run pregon migrate (first with --dry-run, which only shows what it would do)",
            link.place(),
            line.name
        ))),
    }
}

/// What the database contains.
#[derive(Default)]
struct Found {
    tables: Vec<String>,
    columns: Columns,
    /// The migrations that were begun, and when each one ended.
    ledger: Vec<(u32, Option<String>)>,
}

async fn look(view: &mut View<'_>) -> Result<Found, MysqlError> {
    let sql = "SELECT table_name FROM information_schema.tables WHERE table_schema = database()";
    let tables = view.rows(sql, &[], |row| row.text(0)).await?;
    let ledger = if tables.iter().any(|table| table == "pregon_migrations") {
        let sql = "SELECT number, applied_at FROM pregon_migrations ORDER BY number";
        view.rows(sql, &[], |row| Ok((row.optional_u32(0)?.unwrap_or(0), row.optional_text(1)?))).await?
    } else {
        Vec::new()
    };
    Ok(Found { tables, columns: columns::of_database(view).await?, ledger })
}

impl Found {
    fn has(&self, table: &str) -> bool {
        self.tables.iter().any(|has| has == table)
    }

    /// Whether another program made the shared tables.
    fn is_foreign(&self) -> bool {
        let is_ours =
            MIGRATIONS.iter().any(|step| step.is_shared && self.ledger.iter().any(|(had, _)| *had == step.number));
        !is_ours && NEEDED.iter().any(|table| self.has(table))
    }

    /// Refuses tables that another program made or changed so that they cannot be read or written.
    fn require_columns(&self, place: &str) -> Result<(), StoreError> {
        let is_done = |step: &&Migration| self.ledger.iter().any(|(had, when)| *had == step.number && when.is_some());
        if !self.is_foreign() && !MIGRATIONS.iter().all(|step| is_done(&step)) {
            // The pending migrations may add what is missing.
            return Ok(());
        }
        let shared: String = MIGRATIONS.iter().filter(|step| step.is_shared).map(|step| step.sql).collect();
        match columns::complaint(&self.columns, &NEEDED, &shared).as_str() {
            "" => Ok(()),
            what => Err(StoreError::Unavailable(format!(
                "{place} {what}: run the other program's migrations up to where both agree, or use a pregon that knows them"
            ))),
        }
    }

    fn plan(&self, place: &str) -> Result<Vec<PlanLine>, StoreError> {
        if self.ledger.iter().any(|(number, _)| MIGRATIONS.iter().all(|step| step.number != *number)) {
            return Err(StoreError::Unavailable(format!(
                "{place} was made by a newer pregon: use that one, or restore a backup that is older"
            )));
        }
        let is_foreign = self.is_foreign();
        let missing: Vec<&str> = NEEDED.into_iter().filter(|table| !self.has(table)).collect();
        if is_foreign && !missing.is_empty() {
            return Err(StoreError::Unavailable(format!(
                "{place} has tables of another program, but lacks {}: run that program's migrations, or name an empty \
                 database",
                missing.join(", ")
            )));
        }
        self.require_columns(place)?;
        let step = |migration: &Migration| match self.ledger.iter().find(|(had, _)| *had == migration.number) {
            Some((_, Some(when))) => Step::Applied(when.clone()),
            None if is_foreign && migration.is_shared => Step::LeftAlone,
            Some((_, None)) | None => Step::ToDo,
        };
        let line = |migration: &Migration| {
            let Migration { number, name, .. } = migration;
            PlanLine { number: *number, name, step: step(migration) }
        };
        Ok(MIGRATIONS.iter().map(line).collect())
    }
}

async fn take(view: &mut View<'_>, plan: &[PlanLine], form: IdForm) -> Result<(), MysqlError> {
    if plan.iter().all(|line| line.step != Step::ToDo) {
        return Ok(());
    }
    view.run(
        "CREATE TABLE IF NOT EXISTS pregon_migrations (number int unsigned NOT NULL PRIMARY KEY, \
         name varchar(64) NOT NULL, applied_at char(26) NULL) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4",
    )
    .await?;
    let id = id_type(view, form).await?;
    let table = table_options(view).await?;
    for migration in &MIGRATIONS {
        if !plan.iter().any(|line| line.number == migration.number && line.step == Step::ToDo) {
            continue;
        }
        // Recorded before the first table is made. If this is interrupted, the record shows that the table is ours.
        let sql = "INSERT IGNORE INTO pregon_migrations (number, name, applied_at) VALUES (?, ?, NULL)";
        view.execute(sql, &[&migration.number, &migration.name]).await?;
        // ASCII fits beside another program's columns, whatever their collation.
        let own = if id == NATIVE { NATIVE } else { "char(32) CHARACTER SET ascii COLLATE ascii_bin" };
        let sql = migration.sql.replace("{uuid}", id).replace("{own_uuid}", own).replace("{table}", table);
        for statement in sql.split(";\n").filter(|statement| says_something(statement)) {
            view.run(statement).await?;
        }
        let now = Timestamp::now().database_text();
        let sql = "UPDATE pregon_migrations SET applied_at = ? WHERE number = ?";
        view.execute(sql, &[&now, &migration.number]).await?;
    }
    Ok(())
}

/// Is there more than blanks and comments?
fn says_something(statement: &str) -> bool {
    statement.lines().map(str::trim).any(|line| !line.is_empty() && !line.starts_with("--"))
}

async fn id_type(view: &mut View<'_>, form: IdForm) -> Result<&'static str, MysqlError> {
    const TEXT: &str = "char(32)";
    if form == IdForm::Text {
        return Ok(TEXT);
    }
    let sql = "SELECT data_type FROM information_schema.columns \
        WHERE table_schema = database() AND table_name = 'users' AND column_name = 'id'";
    if let Some(present) = view.row(sql, &[], |row| row.text(0)).await? {
        return Ok(if present == NATIVE { NATIVE } else { TEXT });
    }
    let version = view.row("SELECT version()", &[], |row| row.text(0)).await?.unwrap_or_default();
    Ok(if has_native_ids(&version) { NATIVE } else { TEXT })
}

/// Whether the server has native ids: MariaDB from 10.7 on.
fn has_native_ids(version: &str) -> bool {
    let mut numbers = version.split(|letter: char| !letter.is_ascii_digit()).map(|number| number.parse().unwrap_or(0));
    let (major, minor): (u32, u32) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    version.contains("MariaDB") && (major, minor) >= (10, 7)
}

/// The database's own character set and collation if they are suitable, so that they match later tables of other
/// programs.
async fn table_options(view: &mut View<'_>) -> Result<&'static str, MysqlError> {
    let set = view.row("SELECT @@character_set_database", &[], |row| row.text(0)).await?;
    Ok(if set.as_deref() == Some("utf8mb4") { " ENGINE=InnoDB" } else { " ENGINE=InnoDB DEFAULT CHARSET=utf8mb4" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn native_ids_are_a_matter_of_name_and_version() {
        for version in ["10.11.19-MariaDB-0+deb12u1", "11.4.2-MariaDB", "10.7.1-MariaDB"] {
            assert!(has_native_ids(version), "{version}");
        }
        for version in ["10.4.34-MariaDB", "8.0.36", "8.4.0-commercial", ""] {
            assert!(!has_native_ids(version), "{version}");
        }
    }

    #[test]
    fn tables_that_hold_no_emoji_are_named_with_what_mends_them() {
        let column = |table: &str, name: &str, collation: &str, default: Option<&str>| NarrowColumn {
            table: table.into(),
            name: name.into(),
            kind: "varchar(9)".into(),
            collation: collation.into(),
            is_nullable: default.is_none(),
            default: default.map(str::to_owned),
        };
        assert_eq!(alteration("x", &[column("django_migrations", "name", "utf8mb3_general_ci", None)]), None);
        let found = [
            column("messages", "content", "utf8mb3_general_ci", None),
            column("messages", "file", "utf8mb3_bin", Some("''")),
            column("users", "username", "utf8_unicode_ci", Some("it's")),
        ];
        let said = alteration("x", &found).unwrap();
        assert!(said.starts_with("x stores texts of messages, users in utf8mb3"), "{said}");
        assert_eq!(
            said.split_once("run: ").unwrap().1,
            "ALTER TABLE messages MODIFY content varchar(9) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci NULL, \
             MODIFY file varchar(9) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL DEFAULT ''; \
             ALTER TABLE users MODIFY username varchar(9) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci NOT NULL \
             DEFAULT 'it''s';"
        );
    }

    #[test]
    fn another_programs_tables_are_left_alone_and_must_be_all_there() {
        let found = |tables: &[&str], ledger: &[(u32, Option<&str>)]| Found {
            tables: tables.iter().map(|table| (*table).to_owned()).collect(),
            ledger: ledger.iter().map(|(number, when)| (*number, when.map(str::to_owned))).collect(),
            ..Found::default()
        };
        let steps =
            |found: Found| found.plan("x").map(|plan| plan.into_iter().map(|line| line.step).collect::<Vec<_>>());
        let to_do = Step::ToDo;
        let alone = Step::LeftAlone;
        let all_to_do = [(); MIGRATIONS.len()].map(|()| to_do.clone());
        assert_eq!(steps(found(&[], &[])).unwrap(), all_to_do);
        assert_eq!(steps(found(&["django_migrations"], &[])).unwrap()[0], to_do);
        let own = [(); MIGRATIONS.len() - 3].map(|()| to_do.clone());
        let foreign = [&[alone.clone(), to_do.clone(), alone.clone()][..], &own].concat();
        assert_eq!(steps(found(&NEEDED, &[])).unwrap(), foreign);
        let error = steps(found(&["users", "posts"], &[])).unwrap_err().to_string();
        assert!(error.contains("lacks user_follows, friendships, chat_rooms"), "{error}");
        // Interrupted after its first table: the table is ours, so the migration goes on.
        assert_eq!(steps(found(&["users"], &[(1, None)])).unwrap(), all_to_do);
        let done = found(&NEEDED, &[(2, Some("then"))]);
        let on = [&[alone.clone(), Step::Applied("then".into()), alone][..], &own].concat();
        assert_eq!(steps(done).unwrap(), on);
        assert!(steps(found(&[], &[(1000, None)])).unwrap_err().to_string().contains("newer pregon"));
    }
}
