//! Shifts: a rider's position is taken during one only. The newest is kept with the rider.

use platepal_events::Timestamp;
use platepal_service::sql::{Row, Transaction};

use super::{Store, StoreError};

/// A rider's newest shift.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Shift {
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) ended_at: Option<Timestamp>,
}

/// What became of a shift to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Started {
    pub(crate) started_at: Timestamp,
    /// It was started before, and may have ended since.
    pub(crate) already: bool,
}

impl Shift {
    /// Whether the rider is working.
    pub(crate) fn runs(self) -> bool {
        self.started_at.is_some() && self.ended_at.is_none()
    }

    /// Whether a start at a moment is one that is known: of the shift that runs, or of one that has ended.
    fn knows_start(self, at: Timestamp) -> Option<Timestamp> {
        let started_at = self.started_at?;
        (self.runs() || self.ended_at.is_some_and(|ended_at| at <= ended_at)).then_some(started_at)
    }
}

impl Store {
    /// Starts a shift, unless one runs or the moment lies in one that has ended: a late repeat.
    pub(crate) async fn start_shift(
        &self,
        rider_id: &str,
        at: Timestamp,
        now: Timestamp,
    ) -> Result<Started, StoreError> {
        let mut tx = self.database.begin().await?;
        tx.execute(
            "INSERT INTO tracking_riders (rider_id, partition_no, state, seq, shift_started_at, shift_ended_at, \
             changed_at) VALUES ($1, $2, '', 0, NULL, NULL, $3) ON CONFLICT (rider_id) DO NOTHING",
            &[rider_id.into(), self.partition_of(rider_id).into(), now.micros().into()],
        )
        .await?;
        let shift = self.lock_shift(&mut tx, rider_id).await?;
        if let Some(started_at) = shift.knows_start(at) {
            return Ok(Started { started_at, already: true });
        }
        tx.execute(
            "UPDATE tracking_riders SET shift_started_at = $2, shift_ended_at = NULL, changed_at = $3 \
             WHERE rider_id = $1",
            &[rider_id.into(), at.micros().into(), now.micros().into()],
        )
        .await?;
        tx.commit().await?;
        metrics::counter!("realtime_tracking_shifts_total", "step" => "started").increment(1);
        Ok(Started { started_at: at, already: false })
    }

    /// Ends the shift that runs; false if there is none, or if it began after the moment.
    pub(crate) async fn end_shift(
        &self,
        rider_id: &str,
        at: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut tx = self.database.begin().await?;
        let shift = self.lock_shift(&mut tx, rider_id).await?;
        if !shift.runs() || shift.started_at.is_some_and(|started_at| at < started_at) {
            return Ok(false);
        }
        tx.execute(
            "UPDATE tracking_riders SET shift_ended_at = $2, changed_at = $3 WHERE rider_id = $1",
            &[rider_id.into(), at.micros().into(), now.micros().into()],
        )
        .await?;
        tx.commit().await?;
        metrics::counter!("realtime_tracking_shifts_total", "step" => "ended").increment(1);
        Ok(true)
    }

    /// The newest shift of a rider.
    pub(crate) async fn shift(&self, rider_id: &str) -> Result<Shift, StoreError> {
        let rows = self.database.rows(&format!("{SHIFT} WHERE rider_id = $1"), &[rider_id.into()]).await?;
        rows.first().map(read).transpose().map(Option::unwrap_or_default)
    }

    async fn lock_shift(&self, tx: &mut Transaction, rider_id: &str) -> Result<Shift, StoreError> {
        let sql = format!("{SHIFT} WHERE rider_id = $1{}", tx.for_update());
        tx.row(&sql, &[rider_id.into()]).await?.as_ref().map(read).transpose().map(Option::unwrap_or_default)
    }
}

const SHIFT: &str = "SELECT shift_started_at, shift_ended_at FROM tracking_riders";

fn read(row: &Row) -> Result<Shift, StoreError> {
    let moment = |column: &str| Ok::<_, StoreError>(row.maybe_int(column)?.map(Timestamp::from_micros));
    Ok(Shift { started_at: moment("shift_started_at")?, ended_at: moment("shift_ended_at")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_start_is_known_also_when_the_shift_has_ended_meanwhile() {
        let at = |micros| Some(Timestamp::from_micros(micros));
        let knows = |started_at, ended_at, moment| {
            Shift { started_at, ended_at }.knows_start(Timestamp::from_micros(moment))
        };
        assert_eq!(knows(None, None, 5), None);
        assert_eq!(knows(at(10), None, 99), at(10));
        assert_eq!(knows(at(10), at(20), 10), at(10));
        assert_eq!(knows(at(10), at(20), 21), None);
    }
}
