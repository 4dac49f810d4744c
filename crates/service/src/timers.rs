//! Timers that live in a domain's database: they survive restarts and fire once, whichever replica fires them.
//!
//! Firing is the domain's: in one transaction it locks what the timer is about, takes the timer
//! ([`Timers::take`]) and writes what follows from it. Of two replicas one finds the timer gone. The lock
//! comes first and the timer second, as in every other transaction of a domain, so they can't lock each other
//! out.
//!
//! Table, made by the domain's migrations: `{domain}_timers(subject, name, due_at)`.

use platepal_events::Timestamp;

use crate::{
    Database,
    sql::{self, Transaction, Value},
};

/// Something that becomes due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timer {
    /// What it is about, e.g. an order's id.
    pub subject: String,
    /// Which of the subject's timers.
    pub name: String,
    /// When.
    pub due_at: Timestamp,
}

/// A domain's timers. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Timers {
    database: Database,
    domain: &'static str,
}

impl Timers {
    /// The timers in the table of a domain.
    pub fn new(database: Database, domain: &'static str) -> Self {
        Self { database, domain }
    }

    /// Makes these the only timers of a subject.
    pub async fn replace(
        &self,
        tx: &mut Transaction,
        subject: &str,
        timers: &[(&str, Timestamp)],
    ) -> Result<(), sqlx::Error> {
        self.replace_all(tx, &[(subject, timers)]).await
    }

    /// Makes these the only timers of their subjects: at most 1,000 of each.
    pub async fn replace_all(
        &self,
        tx: &mut Transaction,
        subjects: &[(&str, &[(&str, Timestamp)])],
    ) -> Result<(), sqlx::Error> {
        let names: Vec<[Value<'_>; 1]> = subjects.iter().map(|(subject, _)| [(*subject).into()]).collect();
        if names.is_empty() {
            return Ok(());
        }
        let sql =
            format!("DELETE FROM {}_timers WHERE subject IN (VALUES {})", self.domain, sql::list(&names));
        tx.execute(&sql, names.as_flattened()).await?;
        let timers =
            subjects.iter().flat_map(|(subject, timers)| timers.iter().map(move |own| (*subject, own)));
        let rows: Vec<[Value<'_>; 3]> = timers
            .map(|(subject, (name, due_at))| [subject.into(), (*name).into(), due_at.micros().into()])
            .collect();
        if rows.is_empty() {
            return Ok(());
        }
        let sql =
            format!("INSERT INTO {}_timers (subject, name, due_at) VALUES {}", self.domain, sql::list(&rows));
        tx.execute(&sql, rows.as_flattened()).await?;
        Ok(())
    }

    /// What is due, the longest first.
    pub async fn due(&self, now: Timestamp, limit: i64) -> Result<Vec<Timer>, sqlx::Error> {
        let sql = format!(
            "SELECT subject, name, due_at FROM {}_timers WHERE due_at <= $1 ORDER BY due_at LIMIT $2",
            self.domain
        );
        let rows = self.database.rows(&sql, &[now.micros().into(), limit.into()]).await?;
        rows.iter()
            .map(|row| {
                Ok(Timer {
                    subject: row.text("subject")?,
                    name: row.text("name")?,
                    due_at: Timestamp::from_micros(row.int("due_at")?),
                })
            })
            .collect()
    }

    /// Takes a timer; false if it was taken, moved or cancelled meanwhile.
    pub async fn take(&self, tx: &mut Transaction, timer: &Timer) -> Result<bool, sqlx::Error> {
        let sql =
            format!("DELETE FROM {}_timers WHERE subject = $1 AND name = $2 AND due_at = $3", self.domain);
        let values = [(&timer.subject).into(), (&timer.name).into(), timer.due_at.micros().into()];
        Ok(tx.execute(&sql, &values).await? > 0)
    }

    /// When the next timer is due.
    pub async fn next(&self) -> Result<Option<Timestamp>, sqlx::Error> {
        let sql = format!("SELECT MIN(due_at) AS next FROM {}_timers", self.domain);
        let rows = self.database.rows(&sql, &[]).await?;
        let next = rows.first().map(|row| row.maybe_int("next")).transpose()?.flatten();
        Ok(next.map(Timestamp::from_micros))
    }
}
