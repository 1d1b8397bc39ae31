//! The store on the private MariaDB: a database for each test, with any form of id columns.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use mysql_async::prelude::Queryable;
use pregon::limits;
use pregon::store::Store;
use pregon::store::mysql::{self, IdForm, Link, MysqlOptions, MysqlStore};
use tokio::sync::OnceCell;

use super::private::MariaDb;
use super::{Backend, Recorder, TestClock};

/// The form of id columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ids {
    /// Native columns everywhere, as our migrations make them here.
    Uuid,
    /// `char(32)` everywhere, as on MySQL 8, MariaDB before 10.7, or with Django before 5.
    Char,
    /// `char(32)`, but native for columns without foreign keys: an old database that newer programs have extended.
    Mixed,
}

/// A MariaDB database, which stays in its server until that ends.
#[derive(Clone)]
pub struct Maria {
    server: &'static MariaDb,
    database: Arc<OnceCell<String>>,
    ids: Ids,
    zone: &'static str,
    lanes: usize,
}

impl Maria {
    pub fn new(ids: Ids) -> Self {
        Self::on(MariaDb::shared(), ids)
    }

    /// A database of a server that is not the shared one.
    pub fn on(server: &'static MariaDb, ids: Ids) -> Self {
        Self { server, database: Arc::default(), ids, zone: "UTC", lanes: limits::WRITE_LANES }
    }

    /// A database with its times in a zone, as Django's are.
    pub fn in_zone(ids: Ids, zone: &'static str) -> Self {
        Self { zone, ..Self::new(ids) }
    }

    /// The same with another number of lanes.
    pub fn with_lanes(self, lanes: usize) -> Self {
        Self { lanes, ..self }
    }

    /// The database's name. The first call creates it, with the tables that another program would have made.
    pub async fn database(&self) -> &str {
        let made = async {
            let database = self.server.new_database().await;
            if self.ids == Ids::Mixed {
                let mut connection = self.server.connect(&database).await;
                for statement in anothers_tables() {
                    connection.query_drop(statement).await.unwrap();
                }
                connection.disconnect().await.unwrap();
            }
            let link = Link::parse(&self.server.url(&database)).unwrap();
            let form = if self.ids == Ids::Char { IdForm::Text } else { IdForm::Fitting };
            mysql::migrate(&link, form).await.unwrap();
            database
        };
        self.database.get_or_init(|| made).await
    }

    /// A connection beside the store's.
    pub async fn connect(&self) -> mysql_async::Conn {
        self.server.connect(self.database().await).await
    }

    /// The address of the database.
    pub async fn url(&self) -> String {
        self.server.url(self.database().await)
    }

    /// The columns of a query's first row, as texts; NULL is empty.
    pub async fn texts(&self, query: &str) -> Vec<String> {
        let mut connection = self.server.connect(self.database().await).await;
        let row: mysql_async::Row = connection.query_first(query).await.unwrap().expect("a row");
        let texts = row.unwrap().into_iter().map(mysql_async::from_value::<Option<String>>);
        texts.map(Option::unwrap_or_default).collect()
    }

    pub async fn open_store(&self, port: Arc<Recorder>, clock: &TestClock) -> Arc<MysqlStore> {
        let link = Link::parse(&self.url().await).unwrap();
        let zone = self.zone.parse().unwrap();
        let clock = clock.as_clock();
        MysqlStore::open(MysqlOptions { lanes: self.lanes, zone, clock, ..MysqlOptions::new(link) }, port)
            .await
            .unwrap()
    }
}

#[async_trait]
impl Backend for Maria {
    async fn open(&self, port: Arc<Recorder>, clock: &TestClock) -> Arc<dyn Store> {
        self.open_store(port, clock).await
    }

    async fn sql(&self, text: &str) {
        let mut connection = self.server.connect(self.database().await).await;
        connection.query_drop(text).await.unwrap();
        connection.disconnect().await.unwrap();
    }

    async fn number(&self, query: &str) -> i64 {
        let mut connection = self.server.connect(self.database().await).await;
        let number: Option<i64> = connection.query_first(query).await.unwrap();
        connection.disconnect().await.unwrap();
        number.unwrap()
    }
}

/// Our migrations' tables as another program would have made them, in both forms.
fn anothers_tables() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations/mysql");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort_unstable();
    let text: String = files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
    let statements = text.split(";\n").filter(|statement| statement.contains("CREATE TABLE"));
    let statements = statements.filter(|statement| !statement.contains("pregon_"));
    let mixed =
        |statement: &str| statement.lines().map(|line| with_ids(line, statement)).collect::<Vec<_>>().join("\n");
    statements.map(|statement| mixed(statement).replace("{table}", " ENGINE=InnoDB")).collect()
}

fn with_ids(line: &str, statement: &str) -> String {
    const REFERRED_TO: [&str; 5] = ["users", "chat_rooms", "messages", "posts", "comments"];
    let is_referred_to = REFERRED_TO.iter().any(|table| statement.contains(&format!(" {table} (\n")));
    let is_native = match line.split_whitespace().next() {
        Some("id") => !is_referred_to,
        Some("story_id" | "comment_id" | "post_id" | "friend_request_id") => line.ends_with("{uuid} NULL,"),
        _ => false,
    };
    line.replace("{uuid}", if is_native { "uuid" } else { "char(32)" })
}
