//! A domain's database: PostgreSQL, or an SQLite file when embedded.

use std::{path::Path, str::FromStr, time::Duration};

use sqlx::{
    Connection as _, PgPool, SqlitePool,
    migrate::Migrator,
    postgres::{PgConnectOptions, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use crate::Settings;

/// A connection to PostgreSQL that was idle for longer is asked whether it is alive before it is used.
const TRUSTED_IDLE: Duration = Duration::from_secs(1);
/// Pages of SQLite's log (4 KiB each) after which they are written into the file: one that was changed often is then
/// written once. The log is about as large, 32 MB.
const CHECKPOINT_PAGES: u32 = 8_000;

/// An open pool.
#[derive(Debug, Clone)]
pub enum Database {
    /// One file, one process.
    Sqlite(SqlitePool),
    /// Many processes.
    Postgres(PgPool),
}

/// Why a database can't be used.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The server or the file did not open.
    #[error("can't open {what}: {source}; check {setting}")]
    Open {
        /// Which database.
        what: String,
        /// The setting to look at.
        setting: &'static str,
        /// What the driver said.
        source: sqlx::Error,
    },
    /// The schema can't be brought up to date.
    #[error("can't migrate the {domain} database: {source}")]
    Migrate {
        /// Whose tables.
        domain: &'static str,
        /// What went wrong.
        source: sqlx::migrate::MigrateError,
    },
}

impl Database {
    /// Brings a domain's tables up to date. Several replicas may do so at once. Domains may share one database: each
    /// has a record of its own, `{domain}_migrations`.
    pub async fn migrate(&self, domain: &'static str, mut migrations: Migrator) -> Result<(), DatabaseError> {
        migrations.dangerous_set_table_name(format!("{domain}_migrations"));
        let migrated = match self {
            Self::Sqlite(pool) => migrations.run(pool).await,
            Self::Postgres(pool) => migrations.run(pool).await,
        };
        migrated.map_err(|source| DatabaseError::Migrate { domain, source })
    }

    /// Opens what the settings name: PostgreSQL, or `{domain}.db` in the data folder.
    pub async fn open(settings: &Settings, domain: &'static str) -> Result<Self, DatabaseError> {
        match &settings.database_url {
            Some(url) => {
                Self::postgres(url.as_str(), settings.database_connections, settings.database_timeout).await
            }
            None => {
                Self::sqlite(&settings.data_dir.join(format!("{domain}.db")), settings.database_timeout).await
            }
        }
    }

    /// Opens PostgreSQL.
    pub async fn postgres(url: &str, connections: u32, timeout: Duration) -> Result<Self, DatabaseError> {
        let open = async {
            let options = PgConnectOptions::from_str(url)?.application_name("platepal-realtime");
            PgPoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(timeout)
                // One that was in use just now is there; asking it each time is a round trip for each transaction.
                .test_before_acquire(false)
                .before_acquire(|connection, meta| {
                    Box::pin(async move {
                        if meta.idle_for > TRUSTED_IDLE {
                            connection.ping().await?;
                        }
                        Ok(true)
                    })
                })
                .connect_with(options)
                .await
        };
        open.await.map(Self::Postgres).map_err(|source| DatabaseError::Open {
            what: "PostgreSQL".to_owned(),
            setting: "REALTIME_DATABASE_URL",
            source,
        })
    }

    /// Opens or makes an SQLite file; a commit is on disk when it returns.
    pub async fn sqlite(file: &Path, timeout: Duration) -> Result<Self, DatabaseError> {
        let error = |source| DatabaseError::Open {
            what: format!("the SQLite file {}", file.display()),
            setting: "REALTIME_DATA_DIR",
            source,
        };
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder).map_err(|why| error(sqlx::Error::Io(why)))?;
        }
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(timeout)
            .pragma("wal_autocheckpoint", CHECKPOINT_PAGES.to_string());
        // One connection: SQLite has one writer anyway, and a read in between never meets a busy database.
        SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(timeout)
            // A file doesn't go away, and asking is a hop to SQLite's thread and back.
            .test_before_acquire(false)
            .connect_with(options)
            .await
            .map(Self::Sqlite)
            .map_err(error)
    }
}
