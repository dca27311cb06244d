//! Connections to the database: how one is made, and how it waits.

use crate::error::{Tried, damaged, told};
use crate::folder::{Folder, Identity};
use crate::park::{self, Connected};
use crate::schema;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tandem_engine::log::{StoreError, Stored};

/// How long a transaction waits for other processes'.
pub(crate) const PATIENCE_MS: u64 = 10_000;
/// How many statements a connection keeps prepared; there are fewer.
const STATEMENTS_MAX: usize = 64;

/// An open connection.
pub(crate) struct Open {
    pub(crate) connection: Connection,
    _counted: Connected,
    /// The process that opened it. No other one may touch it.
    pub(crate) process: u32,
    /// The file it was opened on.
    pub(crate) identity: Option<Identity>,
    /// Of the transactions that erased bytes, how many it knows to be out of the write-ahead file.
    pub(crate) truncated: u64,
    /// What `synchronous` is set to.
    durable: Option<bool>,
    patience_ms: Arc<AtomicU64>,
}

impl Open {
    /// Opens the database of a folder, which must be there and be Tandem's.
    pub(crate) fn new(folder: &Folder) -> Tried<Self> {
        let path = folder.database();
        let Some(identity) = Folder::identity(&path) else {
            return Err(StoreError::Unavailable(format!(
                "{} is gone: `tandem restore FILE` brings the log back from a backup",
                path.display()
            ))
            .into());
        };
        let patience_ms = Arc::new(AtomicU64::new(PATIENCE_MS));
        let counted = Connected::new();
        let mut connection = connect(&path, Arc::clone(&patience_ms))?;
        // The file isn't touched on closing: it may have been replaced under its name.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        if std::fs::metadata(&path).is_ok_and(|metadata| metadata.len() == 0) {
            return Err(damaged(folder, &"it is empty").into());
        }
        schema::check(&mut connection, folder)?;
        Ok(Self {
            connection,
            _counted: counted,
            process: std::process::id(),
            identity: Some(identity),
            truncated: 0,
            durable: None,
            patience_ms,
        })
    }

    /// Whether transactions from now on are on disk when they return. Those that aren't are lost by a power cut only, and
    /// never apart from those before them. Not inside a transaction.
    pub(crate) fn set_durable(&mut self, durable: bool) -> Tried {
        if self.durable != Some(durable) {
            let level = if durable { "FULL" } else { "NORMAL" };
            self.connection.pragma_update(None, "synchronous", level)?;
            self.durable = Some(durable);
        }
        Ok(())
    }

    /// Empties the write-ahead file. False if readers, or another writer, were in the way all the time.
    pub(crate) fn truncate_write_ahead(&mut self, patience_ms: u64) -> Tried<bool> {
        let busy = self.with_patience(patience_ms, |connection| {
            let mut checkpoint = connection.prepare("PRAGMA wal_checkpoint(TRUNCATE)")?;
            Ok(checkpoint.query_row((), |row| row.get::<_, i64>(0))?)
        });
        Ok(busy? == 0)
    }

    /// Does something that gives up at once where other processes are in the way.
    pub(crate) fn impatiently<T>(
        &mut self,
        act: impl FnOnce(&mut Connection) -> Tried<T>,
    ) -> Tried<T> {
        self.with_patience(0, act)
    }

    fn with_patience<T>(
        &mut self,
        patience_ms: u64,
        act: impl FnOnce(&mut Connection) -> Tried<T>,
    ) -> Tried<T> {
        self.patience_ms.store(patience_ms, Relaxed);
        let answer = act(&mut self.connection);
        self.patience_ms.store(PATIENCE_MS, Relaxed);
        answer
    }
}

/// Makes a complete, empty database under its name. False if there is one.
pub(crate) fn create(folder: &Folder) -> Stored<bool> {
    let path = folder.database();
    if path.exists() {
        return Ok(false);
    }
    if let Some(left) = folder
        .write_ahead()
        .iter()
        .find(|path| std::fs::metadata(path).is_ok_and(|metadata| metadata.len() > 0))
    {
        return Err(StoreError::Damaged(format!(
            "{} is missing, but {} is there: bring the database back, or move that file away to begin anew",
            path.display(),
            left.display()
        )));
    }
    folder.place(&path, |unfinished| {
        let _counted = Connected::new();
        let made = connect(unfinished, Arc::default()).and_then(|mut connection| {
            schema::create(&mut connection)?;
            Ok(connection.close().map_err(|(_, error)| error)?)
        });
        made.map_err(|trouble| told(folder, trouble))?;
        File::open(unfinished)
            .and_then(|file| file.sync_all())
            .map_err(|error| crate::error::io("write", unfinished, &error))
    })
}

fn connect(path: &Path, patience_ms: Arc<AtomicU64>) -> Tried<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW
        | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let mut connection = Connection::open_with_flags(path, flags)?;
    be_patient(&mut connection, patience_ms)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    // Else a statement is planned anew whenever another position is asked for, which takes longer than to read a record.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    // In memory only: what is written must not be in temporary files too.
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "secure_delete", true)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    Ok(connection)
}

/// Waits for other processes, but not while a fork waits for this thread.
fn be_patient(connection: &mut Connection, patience_ms: Arc<AtomicU64>) -> Tried {
    let mut began = Instant::now();
    connection.busy_handler(Some(move |times: i32| {
        if times == 0 {
            began = Instant::now();
        }
        if park::is_wanted() || began.elapsed().as_millis() >= u128::from(patience_ms.load(Relaxed))
        {
            return false;
        }
        // Short ones: whoever sleeps long comes too late again and again where others write all the time.
        let pause_ms = 1 << times.clamp(0, 2);
        std::thread::sleep(Duration::from_millis(pause_ms));
        true
    }))?;
    Ok(())
}
