//! Opens what is kept on disk: the database and the uploads.

use std::fs::File;
use std::sync::Arc;

use anyhow::Context;
use tokio::runtime::Runtime;

use crate::config::{Database, Settings};
use crate::rest::uploads::orphans::Litter;
use crate::rest::uploads::upload::MediaDir;
use crate::server::nodes::Nodes;
use crate::server::one_server;
use crate::store::django::Beside;
use crate::store::mysql::{self, MysqlOptions, MysqlStore};
use crate::store::sqlite::{SqliteOptions, SqliteStore};
use crate::store::{LanePort, Store};

/// An open database and an open folder of uploads.
pub(super) struct Storage {
    pub store: Arc<dyn Store>,
    pub media: Arc<MediaDir>,
    /// The same store, if it is a MySQL server that other programs may use, too.
    mysql: Option<Arc<MysqlStore>>,
    /// Tells other servers on the same database about this one.
    pub nodes: Option<Nodes>,
    /// While this file is open, no other server opens the database.
    _served_here: Option<File>,
}

impl Storage {
    /// Opens both. Lanes hand over what they committed to `port`; `litter` lists the files that are to be removed from
    /// the folder.
    ///
    /// # Errors
    /// When another server has the file, the database does not answer or is not migrated, or the folder cannot be
    /// written. The text says what to do.
    pub fn open(
        settings: &Settings,
        control: &Runtime,
        port: Arc<dyn LanePort>,
        litter: Arc<Litter>,
    ) -> anyhow::Result<Self> {
        let served_here = settings.database.file().map(one_server::lock).transpose()?.flatten();
        let (store, mysql) = open_store(settings, control, port)?;
        let nodes =
            mysql.clone().map(|store| control.block_on(Nodes::enter(store, &settings.node, settings.redis.is_some())));
        let media = Arc::new(open_media(settings, litter)?);
        Ok(Self { store, media, mysql, nodes, _served_here: served_here })
    }

    /// The rows that a Django beside pregon may write.
    pub fn rows(&self) -> Option<Arc<dyn Beside>> {
        self.mysql.clone().map(|store| -> Arc<dyn Beside> { store })
    }
}

/// A store, and the same store again if it is a MySQL server.
type Opened = (Arc<dyn Store>, Option<Arc<MysqlStore>>);

fn open_store(settings: &Settings, control: &Runtime, port: Arc<dyn LanePort>) -> anyhow::Result<Opened> {
    let shown_reactions = settings.post_reactions_shown;
    Ok(match &settings.database {
        Database::Sqlite(file) => {
            let options = SqliteOptions { shown_reactions, ..SqliteOptions::new(file.clone()) };
            (SqliteStore::open(options, port)?, None)
        }
        Database::Mysql(link) => {
            let (lanes, zone) = (settings.write_lanes, settings.zone);
            let durability = settings.durability;
            let options = MysqlOptions { lanes, zone, shown_reactions, durability, ..MysqlOptions::new(link.clone()) };
            let plan = control.block_on(mysql::plan(link))?;
            if let Some(sentence) = settings.zone_to_set(&plan) {
                anyhow::bail!(sentence);
            }
            let store = control.block_on(MysqlStore::open(options, port))?;
            (store.clone(), Some(store))
        }
    })
}

fn open_media(settings: &Settings, litter: Arc<Litter>) -> anyhow::Result<MediaDir> {
    let path = &settings.media_dir;
    let media = MediaDir::open(path.clone()).with_context(|| {
        format!("{} cannot be made or written: make it writable, or set PREGON_MEDIA_DIR", path.display())
    })?;
    let media = media.with_grace(settings.upload_grace).with_quota(settings.upload_quota_mb).with_litter(litter);
    let uploads = if settings.rate_limits { settings.limits.uploads_per_hour } else { 0 };
    let media = media.with_uploads_per_hour(uploads).with_body_deadline(settings.limits.body);
    Ok(media.with_location_kept(settings.keep_location))
}
