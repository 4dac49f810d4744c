//! The log's file: its tables, how it is opened, and what its errors mean.
//!
//! `log` has a row per channel and event; a row is *retained* while its offset is above the `floor` of its
//! channel. Moving a floor is what retention does, at once and exactly; rows below it are swept later, and kept
//! within the duplicate window to recognise repeats.

use std::{path::Path, time::Duration};

use platepal_events::Epoch;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension};
use uuid::Uuid;

use crate::BusError;

/// Of the tables below; a file with a higher one was written by a later release.
const SCHEMA: i64 = 1;

const TABLES: &str = "
    CREATE TABLE meta (name TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
    CREATE TABLE channels (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        kind TEXT NOT NULL,
        born INTEGER NOT NULL,       -- offset of the first event since this row was made
        head INTEGER NOT NULL,       -- offset of the newest event
        floor INTEGER NOT NULL,      -- events up to here are no longer retained
        swept INTEGER NOT NULL,      -- rows up to here are deleted
        retained INTEGER NOT NULL,   -- events above the floor
        kept_at INTEGER NOT NULL     -- of the newest event
    ) STRICT;
    CREATE INDEX channels_to_sweep ON channels (id) WHERE swept < floor;
    CREATE INDEX channels_empty ON channels (kept_at) WHERE swept = head;
    CREATE TABLE log (
        offset INTEGER PRIMARY KEY AUTOINCREMENT,
        channel INTEGER NOT NULL,
        previous INTEGER NOT NULL,
        event_id TEXT NOT NULL,
        kept_at INTEGER NOT NULL,
        event BLOB NOT NULL
    ) STRICT;
    CREATE INDEX log_of_channel ON log (channel, offset);
    CREATE UNIQUE INDEX log_event ON log (channel, event_id);
    CREATE TABLE latest (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        channel TEXT NOT NULL,
        key TEXT NOT NULL,
        event_id TEXT NOT NULL,
        kept_at INTEGER NOT NULL,
        event BLOB NOT NULL,
        UNIQUE (channel, key)
    ) STRICT;
    CREATE TABLE groups (
        name TEXT PRIMARY KEY,
        acknowledged INTEGER NOT NULL -- all events up to here are acknowledged, or not for this group
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE acknowledged (
        name TEXT NOT NULL,
        offset INTEGER NOT NULL,
        PRIMARY KEY (name, offset)
    ) STRICT, WITHOUT ROWID;
";

/// Opens the file for writing; makes it, with a new epoch, if it is not there.
pub(super) fn open(path: &Path) -> Result<(Connection, Epoch), BusError> {
    let mut connection = Connection::open(path).map_err(refused)?;
    prepare(&connection).map_err(refused)?;
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(refused)?;
    match version {
        0 => create(&mut connection).map_err(refused)?,
        SCHEMA => {}
        other => {
            return Err(BusError::Mismatch(format!(
                "{} has format {other}, this release knows {SCHEMA}; use the release that wrote it, or move the \
                 file away to start with an empty bus",
                path.display()
            )));
        }
    }
    let epoch: String = connection
        .query_row("SELECT value FROM meta WHERE name = 'epoch'", [], |row| row.get(0))
        .map_err(refused)?;
    Ok((connection, Epoch::new(epoch)))
}

/// Opens the file for reading.
pub(super) fn open_to_read(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.busy_timeout(Duration::from_secs(1))?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}

fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(Duration::from_secs(1))?;
    connection.set_prepared_statement_cache_capacity(64);
    connection.pragma_update(None, "journal_mode", "wal")?;
    // In WAL mode only FULL syncs the log at every commit.
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "journal_size_limit", 64 << 20)?;
    // Pages that are written again and again, as those of newest values, are moved into the file less often.
    connection.pragma_update(None, "wal_autocheckpoint", 4_000)?;
    connection.pragma_update(None, "cache_size", -16_384)
}

fn create(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    transaction.execute_batch(TABLES)?;
    let epoch = Uuid::new_v4().simple().to_string();
    transaction.execute("INSERT INTO meta VALUES ('epoch', ?1), ('aged', 0), ('probe', 0)", [epoch])?;
    transaction.pragma_update(None, "user_version", SCHEMA)?;
    transaction.commit()
}

/// The newest offset ever given; 0 before the first.
pub(super) fn newest_offset(connection: &Connection) -> rusqlite::Result<u64> {
    let newest: Option<i64> = connection
        .query_row("SELECT seq FROM sqlite_sequence WHERE name = 'log'", [], |row| row.get(0))
        .optional()?;
    Ok(from_sql(newest.unwrap_or_default()))
}

/// SQLite's integers are signed; offsets start at 1 and never reach its end.
pub(super) fn to_sql(offset: u64) -> i64 {
    i64::try_from(offset).unwrap_or(i64::MAX)
}

/// The other way round.
pub(super) fn from_sql(offset: i64) -> u64 {
    u64::try_from(offset).unwrap_or_default()
}

/// What an error means while the log is used. Nothing of the failed transaction is kept.
pub(super) fn unavailable(why: rusqlite::Error) -> BusError {
    match why.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => BusError::Unavailable(format!(
            "its disk is full ({why}); nothing was kept; free some space, it goes on by itself"
        )),
        Some(
            ErrorCode::SystemIoFailure
            | ErrorCode::CannotOpen
            | ErrorCode::ReadOnly
            | ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::PermissionDenied
            | ErrorCode::OutOfMemory
            | ErrorCode::FileLockingProtocolFailed,
        ) => BusError::Unavailable(format!(
            "its disk does not take what is written ({why}); nothing was kept; it goes on by itself when the disk does"
        )),
        _ => refused(why),
    }
}

/// What an error means that no repeat mends.
pub(super) fn refused(why: rusqlite::Error) -> BusError {
    match why.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => BusError::Refused(format!(
            "its file is damaged ({why}); stop the process, move bus.sqlite away (readers then take a snapshot) or \
             restore it from a backup"
        )),
        _ => BusError::Refused(format!("its file bus.sqlite can't be used: {why}")),
    }
}
