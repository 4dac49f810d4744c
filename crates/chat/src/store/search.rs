//! Searching words: the one thing that the two engines do differently.
//!
//! PostgreSQL has an index of the words of each message (`to_tsvector`, without stemming, as a room's language is not
//! known); SQLite a table of them (FTS5), kept by triggers.

use platepal_service::Database;
use sqlx::AssertSqlSafe;

use super::{
    Store, StoreError,
    messages::{MESSAGE, read_message},
};
use crate::rules::message::Message;

const POSTGRES: &[&str] = &[
    "CREATE INDEX IF NOT EXISTS chat_messages_words ON chat_messages USING GIN (to_tsvector('simple', content))",
];

const SQLITE: &[&str] = &[
    "CREATE VIRTUAL TABLE IF NOT EXISTS chat_words USING fts5(content, tokenize = 'unicode61')",
    "CREATE TRIGGER IF NOT EXISTS chat_words_insert AFTER INSERT ON chat_messages BEGIN \
     INSERT INTO chat_words (rowid, content) VALUES (new.id, new.content); END",
    "CREATE TRIGGER IF NOT EXISTS chat_words_update AFTER UPDATE OF content ON chat_messages BEGIN \
     UPDATE chat_words SET content = new.content WHERE rowid = new.id; END",
    "CREATE TRIGGER IF NOT EXISTS chat_words_delete AFTER DELETE ON chat_messages BEGIN \
     DELETE FROM chat_words WHERE rowid = old.id; END",
];

/// Makes what is searched with, if it is not there.
pub(super) async fn index(database: &Database) -> Result<(), sqlx::Error> {
    match database {
        Database::Sqlite(pool) => {
            for sql in SQLITE {
                sqlx::query(AssertSqlSafe(*sql)).execute(pool).await?;
            }
        }
        Database::Postgres(pool) => {
            // Two replicas that make it at once: one of them is told that it is there.
            let mut tx = pool.begin().await?;
            sqlx::query("SELECT pg_advisory_xact_lock(7267401)").execute(&mut *tx).await?;
            for sql in POSTGRES {
                sqlx::query(AssertSqlSafe(*sql)).execute(&mut *tx).await?;
            }
            tx.commit().await?;
        }
    }
    Ok(())
}

/// Where is searched.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Within<'a> {
    Room(&'a str),
    /// All rooms in which a user is.
    RoomsOf(&'a str),
}

impl Store {
    /// Messages that have all these words, the newest first.
    pub(crate) async fn search(
        &self,
        within: Within<'_>,
        words: &str,
        limit: i64,
    ) -> Result<Vec<Message>, StoreError> {
        let words: Vec<&str> =
            words.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
        if words.is_empty() {
            return Ok(Vec::new());
        }
        let (found, query) = match &self.database {
            Database::Sqlite(_) => {
                let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
                ("m.id IN (SELECT rowid FROM chat_words WHERE chat_words MATCH $1)", quoted.join(" "))
            }
            Database::Postgres(_) => {
                ("to_tsvector('simple', m.content) @@ plainto_tsquery('simple', $1)", words.join(" "))
            }
        };
        let (room, id) = match within {
            Within::Room(room_id) => ("m.room_id = $2", room_id),
            Within::RoomsOf(user_id) => {
                ("m.room_id IN (SELECT room_id FROM chat_members WHERE user_id = $2)", user_id)
            }
        };
        let sql = format!(
            "{MESSAGE} WHERE {found} AND {room} AND m.status = 'shown' AND m.deleted_at IS NULL ORDER BY m.id DESC LIMIT $3"
        );
        let rows = self.database.rows(&sql, &[(&query).into(), id.into(), limit.into()]).await?;
        rows.iter().map(read_message).collect()
    }
}
