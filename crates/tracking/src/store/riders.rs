//! Riders as the rules remember them, and the fixes that a stored one does not include yet.

use std::fmt::Write as _;

use platepal_events::Timestamp;
use platepal_service::sql::{Transaction, Value};

use super::{Store, StoreError, deliveries, shifts::Shift};
use crate::rules::{fix::Fix, rider::Rider};

/// Rows that one statement writes: a call to the database costs more than a row, and a statement of this size is
/// prepared once.
const ROWS_PER_STATEMENT: usize = 100;

/// A rider as it was stored.
#[derive(Debug)]
pub(crate) struct Stored {
    /// `None`: no state was stored yet.
    pub(crate) rider: Option<Rider>,
    /// The newest fixes that are in it.
    pub(crate) seq: i64,
    pub(crate) shift: Shift,
    /// Taken after it, in order.
    pub(crate) later: Vec<Batch>,
    /// Those that last.
    pub(crate) deliveries: Vec<deliveries::Read>,
}

/// The fixes of one call.
#[derive(Debug, Clone)]
pub(crate) struct Batch {
    pub(crate) seq: i64,
    pub(crate) taken_at: Timestamp,
    pub(crate) fixes: Vec<Fix>,
}

impl Store {
    /// A rider; `None` if there never was a shift.
    pub(crate) async fn rider(&self, rider_id: &str) -> Result<Option<Stored>, StoreError> {
        let sql =
            "SELECT state, seq, shift_started_at, shift_ended_at FROM tracking_riders WHERE rider_id = $1";
        let rows = self.database.rows(sql, &[rider_id.into()]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let state = row.text("state")?;
        let unreadable = |why| StoreError::State(format!("rider {rider_id}"), why);
        let rider =
            if state.is_empty() { None } else { Some(serde_json::from_str(&state).map_err(unreadable)?) };
        let seq = row.int("seq")?;
        let moment = |column: &str| Ok::<_, StoreError>(row.maybe_int(column)?.map(Timestamp::from_micros));
        let shift = Shift { started_at: moment("shift_started_at")?, ended_at: moment("shift_ended_at")? };
        let sql =
            "SELECT seq, taken_at, fixes FROM tracking_fixes WHERE rider_id = $1 AND seq > $2 ORDER BY seq";
        let mut later = Vec::new();
        for row in self.database.rows(sql, &[rider_id.into(), seq.into()]).await? {
            later.push(Batch {
                seq: row.int("seq")?,
                taken_at: Timestamp::from_micros(row.int("taken_at")?),
                fixes: serde_json::from_str(&row.text("fixes")?).map_err(unreadable)?,
            });
        }
        let deliveries = self.open_deliveries_of(rider_id).await?;
        Ok(Some(Stored { rider, seq, shift, later, deliveries }))
    }

    /// Keeps fixes that are about to be acknowledged.
    pub(crate) async fn keep_fixes(
        &self,
        tx: &mut Transaction,
        batches: &[(&str, &Batch)],
    ) -> Result<(), StoreError> {
        for batches in batches.chunks(ROWS_PER_STATEMENT) {
            let mut texts = Vec::with_capacity(batches.len());
            for (rider_id, batch) in batches {
                let unwritable = |why| StoreError::State(format!("rider {rider_id}"), why);
                texts.push(serde_json::to_string(&batch.fixes).map_err(unwritable)?);
            }
            let mut sql = "INSERT INTO tracking_fixes (rider_id, seq, taken_at, fixes) VALUES ".to_owned();
            let mut values: Vec<Value<'_>> = Vec::with_capacity(batches.len() * 4);
            for ((rider_id, batch), text) in batches.iter().zip(&texts) {
                let at = values.len();
                let comma = if at == 0 { "" } else { ", " };
                // Writing to a text can't fail.
                let _ = write!(sql, "{comma}(${}, ${}, ${}, ${})", at + 1, at + 2, at + 3, at + 4);
                let row = [(*rider_id).into(), batch.seq.into(), batch.taken_at.micros().into(), text.into()];
                values.extend::<[Value<'_>; 4]>(row);
            }
            tx.execute(&sql, &values).await?;
        }
        Ok(())
    }

    /// Stores a rider with all fixes up to `seq`; the fixes themselves are needed no more.
    pub(crate) async fn save_rider(
        &self,
        tx: &mut Transaction,
        rider: &Rider,
        (partition, seq): (i64, i64),
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let rider_id = rider.rider_id();
        let state = serde_json::to_string(rider)
            .map_err(|why| StoreError::State(format!("rider {rider_id}"), why))?;
        tx.execute(
            "UPDATE tracking_riders SET state = $2, seq = $3, partition_no = $4, changed_at = $5 WHERE rider_id = $1",
            &[rider_id.into(), (&state).into(), seq.into(), partition.into(), now.micros().into()],
        )
        .await?;
        tx.execute(
            "DELETE FROM tracking_fixes WHERE rider_id = $1 AND seq <= $2",
            &[rider_id.into(), seq.into()],
        )
        .await?;
        Ok(())
    }

    /// Riders of a partition who are on a shift.
    pub(crate) async fn riders_on_shift(&self, partition: i64) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT rider_id FROM tracking_riders WHERE partition_no = $1 AND shift_started_at IS NOT NULL \
                   AND shift_ended_at IS NULL ORDER BY rider_id";
        let rows = self.database.rows(sql, &[partition.into()]).await?;
        rows.iter().map(|row| Ok(row.text("rider_id")?)).collect()
    }
}
