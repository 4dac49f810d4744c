//! SQL that PostgreSQL and SQLite both understand, so that a store is written once.
//!
//! The two differ for us in one thing only, how a row is locked ([`Transaction::for_update`]); every column is
//! a `BIGINT` or a `TEXT`, and parameters are `$1`, `$2`. Where a store needs more of one engine than that,
//! match on [`Database`].
//!
//! Invariant: the text of a statement is made of constants and of table names from the code, never of anything
//! from outside; values go in as parameters.

use std::fmt::Write as _;

use metrics::{counter, describe_counter};
use sqlx::{AssertSqlSafe, Row as _, Sqlite, postgres::PgRow, sqlite::SqliteRow};

use crate::Database;

/// What the driver says when a statement fails.
pub type Error = sqlx::Error;

const WAITS: &str = "realtime_database_waits_total";
const ERRORS: &str = "realtime_database_errors_total";

/// Statements with more parameters than this have a list of some length in them. Kept prepared, every length would push
/// another statement out of the cache of the connection.
const PREPARED_VALUES_MAX: usize = 20;

/// Describes the metrics of all databases.
pub(crate) fn describe_metrics() {
    describe_counter!(WAITS, "Times a caller found all connections to the database in use, and waited");
    describe_counter!(ERRORS, "Statements that the database did not do, or not in time");
}

fn count_error(_: &sqlx::Error) {
    counter!(ERRORS).increment(1);
}

/// A parameter.
#[derive(Debug, Clone, Copy)]
pub enum Value<'a> {
    /// A number, or null.
    Int(Option<i64>),
    /// A text, or null.
    Text(Option<&'a str>),
}

impl From<i64> for Value<'_> {
    fn from(value: i64) -> Self {
        Self::Int(Some(value))
    }
}

impl From<Option<i64>> for Value<'_> {
    fn from(value: Option<i64>) -> Self {
        Self::Int(value)
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(value: &'a str) -> Self {
        Self::Text(Some(value))
    }
}

impl<'a> From<&'a String> for Value<'a> {
    fn from(value: &'a String) -> Self {
        Self::Text(Some(value))
    }
}

/// A row that a statement gave.
#[derive(Debug)]
pub struct Row(Inner);

enum Inner {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("row")
    }
}

impl Row {
    /// A number.
    pub fn int(&self, column: &str) -> Result<i64, sqlx::Error> {
        match &self.0 {
            Inner::Sqlite(row) => row.try_get(column),
            Inner::Postgres(row) => row.try_get(column),
        }
    }

    /// A number that may be null.
    pub fn maybe_int(&self, column: &str) -> Result<Option<i64>, sqlx::Error> {
        match &self.0 {
            Inner::Sqlite(row) => row.try_get(column),
            Inner::Postgres(row) => row.try_get(column),
        }
    }

    /// A text.
    pub fn text(&self, column: &str) -> Result<String, sqlx::Error> {
        match &self.0 {
            Inner::Sqlite(row) => row.try_get(column),
            Inner::Postgres(row) => row.try_get(column),
        }
    }

    /// A text that may be null.
    pub fn maybe_text(&self, column: &str) -> Result<Option<String>, sqlx::Error> {
        match &self.0 {
            Inner::Sqlite(row) => row.try_get(column),
            Inner::Postgres(row) => row.try_get(column),
        }
    }
}

/// A transaction; dropped without [`Transaction::commit`], nothing of it happened.
#[derive(Debug)]
pub enum Transaction {
    /// Of the one connection to the file.
    Sqlite(sqlx::Transaction<'static, Sqlite>),
    /// Of one connection of the pool.
    Postgres(sqlx::Transaction<'static, sqlx::Postgres>),
}

/// `($1, $2), ($3, $4)`: rows for `VALUES`, whose parameters are `rows.as_flattened()`. As a table of its own, `(VALUES
/// ...) AS v`, its columns are `column1`, `column2`. The engines take 32,000 parameters at least; a caller's rows are
/// bounded far below.
pub fn list<const N: usize>(rows: &[[Value<'_>; N]]) -> String {
    let mut list = String::with_capacity(rows.len() * (N * 6 + 4));
    for row in 0..rows.len() {
        list.push_str(if row == 0 { "(" } else { ", (" });
        for column in 1..=N {
            let comma = if column == 1 { "" } else { ", " };
            // Writing to a text can't fail.
            let _ = write!(list, "{comma}${}", row * N + column);
        }
        list.push(')');
    }
    list
}

macro_rules! bound {
    ($sql:expr, $values:expr) => {{
        let query = sqlx::query(AssertSqlSafe($sql));
        let mut query = query.persistent($values.len() <= PREPARED_VALUES_MAX);
        for value in $values {
            query = match *value {
                Value::Int(value) => query.bind(value),
                Value::Text(value) => query.bind(value.map(str::to_owned)),
            };
        }
        query
    }};
}

/// SQLite takes `$1` for a name and looks through all names for it, `?1` for the number that it is.
fn numbered(sql: &str) -> String {
    sql.replace('$', "?")
}

impl Database {
    /// Counts a caller that is about to wait for a connection.
    fn count_wait(&self) {
        let (idle, open, most) = match self {
            Self::Sqlite(pool) => (pool.num_idle(), pool.size(), pool.options().get_max_connections()),
            Self::Postgres(pool) => (pool.num_idle(), pool.size(), pool.options().get_max_connections()),
        };
        if idle == 0 && open >= most {
            counter!(WAITS).increment(1);
        }
    }

    /// Begins a transaction.
    pub async fn begin(&self) -> Result<Transaction, sqlx::Error> {
        self.count_wait();
        match self {
            Self::Sqlite(pool) => pool.begin().await.map(Transaction::Sqlite),
            Self::Postgres(pool) => pool.begin().await.map(Transaction::Postgres),
        }
        .inspect_err(count_error)
    }

    /// The rows that a statement of its own gives.
    pub async fn rows(&self, sql: &str, values: &[Value<'_>]) -> Result<Vec<Row>, sqlx::Error> {
        self.count_wait();
        match self {
            Self::Sqlite(pool) => bound!(numbered(sql), values)
                .fetch_all(pool)
                .await
                .map(|rows| rows.into_iter().map(|row| Row(Inner::Sqlite(row))).collect()),
            Self::Postgres(pool) => bound!(sql.to_owned(), values)
                .fetch_all(pool)
                .await
                .map(|rows| rows.into_iter().map(|row| Row(Inner::Postgres(row))).collect()),
        }
        .inspect_err(count_error)
    }

    /// Runs a statement of its own; how many rows it touched.
    pub async fn execute(&self, sql: &str, values: &[Value<'_>]) -> Result<u64, sqlx::Error> {
        self.count_wait();
        match self {
            Self::Sqlite(pool) => {
                bound!(numbered(sql), values).execute(pool).await.map(|done| done.rows_affected())
            }
            Self::Postgres(pool) => {
                bound!(sql.to_owned(), values).execute(pool).await.map(|done| done.rows_affected())
            }
        }
        .inspect_err(count_error)
    }
}

impl Transaction {
    /// What follows a `SELECT` whose rows this transaction is about to change. SQLite has one connection and
    /// so one transaction at a time: there is nothing to lock.
    pub fn for_update(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "",
            Self::Postgres(_) => " FOR UPDATE",
        }
    }

    /// The rows that a statement gives.
    pub async fn rows(&mut self, sql: &str, values: &[Value<'_>]) -> Result<Vec<Row>, sqlx::Error> {
        match self {
            Self::Sqlite(transaction) => bound!(numbered(sql), values)
                .fetch_all(&mut **transaction)
                .await
                .map(|rows| rows.into_iter().map(|row| Row(Inner::Sqlite(row))).collect()),
            Self::Postgres(transaction) => bound!(sql.to_owned(), values)
                .fetch_all(&mut **transaction)
                .await
                .map(|rows| rows.into_iter().map(|row| Row(Inner::Postgres(row))).collect()),
        }
        .inspect_err(count_error)
    }

    /// The first row that a statement gives.
    pub async fn row(&mut self, sql: &str, values: &[Value<'_>]) -> Result<Option<Row>, sqlx::Error> {
        Ok(self.rows(sql, values).await?.into_iter().next())
    }

    /// Runs a statement; how many rows it touched.
    pub async fn execute(&mut self, sql: &str, values: &[Value<'_>]) -> Result<u64, sqlx::Error> {
        match self {
            Self::Sqlite(transaction) => bound!(numbered(sql), values)
                .execute(&mut **transaction)
                .await
                .map(|done| done.rows_affected()),
            Self::Postgres(transaction) => bound!(sql.to_owned(), values)
                .execute(&mut **transaction)
                .await
                .map(|done| done.rows_affected()),
        }
        .inspect_err(count_error)
    }

    /// Makes it happen; durable when this returns.
    pub async fn commit(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(transaction) => transaction.commit().await,
            Self::Postgres(transaction) => transaction.commit().await,
        }
        .inspect_err(count_error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_numbers_its_parameters_row_by_row() {
        let rows: Vec<[Value<'_>; 2]> = vec![[1.into(), "a".into()], [2.into(), "b".into()]];
        assert_eq!(list(&rows), "($1, $2), ($3, $4)");
        assert_eq!(rows.as_flattened().len(), 4);
        assert_eq!(list::<3>(&[]), "");
    }
}
