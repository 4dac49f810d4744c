//! What became of a notification on each way out.

use platepal_events::Timestamp;
use platepal_proto::v1;
use platepal_service::sql::Transaction;

use super::{Store, StoreError};
use crate::rules::kinds::Way;

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Waiting,
    Shown,
    Sent,
    Failed,
    Skipped,
}

/// One way, or one device on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) way: Way,
    /// Empty: no certain one.
    pub(crate) device_id: String,
    pub(crate) state: State,
    pub(crate) why: String,
    pub(crate) attempts: i64,
    pub(crate) changed_at: i64,
}

impl State {
    const ALL: [Self; 5] = [Self::Waiting, Self::Shown, Self::Sent, Self::Failed, Self::Skipped];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Shown => "shown",
            Self::Sent => "sent",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }

    pub(crate) fn to_message(self) -> v1::DeliveryState {
        match self {
            Self::Waiting => v1::DeliveryState::Waiting,
            Self::Shown => v1::DeliveryState::Shown,
            Self::Sent => v1::DeliveryState::Sent,
            Self::Failed => v1::DeliveryState::Failed,
            Self::Skipped => v1::DeliveryState::Skipped,
        }
    }
}

impl Store {
    /// Notes how far a notification is on a way, in the place of what was noted before.
    pub(super) async fn note(
        &self,
        tx: &mut Transaction,
        notification_id: i64,
        (way, device_id): (Way, &str),
        (state, why): (State, &str),
        attempts: i64,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        tx.execute(
            "INSERT INTO notifications_deliveries (notification_id, way, device_id, state, why, attempts, changed_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (notification_id, way, device_id) \
             DO UPDATE SET state = $4, why = $5, attempts = $6, changed_at = $7",
            &[
                notification_id.into(),
                way.word().into(),
                device_id.into(),
                state.word().into(),
                why.into(),
                attempts.into(),
                now.micros().into(),
            ],
        )
        .await?;
        let labels = [("way", way.word()), ("state", state.word())];
        metrics::counter!("realtime_notifications_deliveries_total", &labels).increment(1);
        Ok(())
    }

    /// What became of a notification.
    pub(crate) async fn deliveries(&self, notification_id: i64) -> Result<Vec<Record>, StoreError> {
        let sql = "SELECT way, device_id, state, why, attempts, changed_at FROM notifications_deliveries \
                   WHERE notification_id = $1 ORDER BY way, device_id";
        let rows = self.database.rows(sql, &[notification_id.into()]).await?;
        let unknown = || StoreError::Word(notification_id);
        let records = rows.iter().map(|row| {
            let state = row.text("state")?;
            Ok(Record {
                way: Way::from_word(&row.text("way")?).ok_or_else(unknown)?,
                device_id: row.text("device_id")?,
                state: State::ALL.into_iter().find(|own| own.word() == state).ok_or_else(unknown)?,
                why: row.text("why")?,
                attempts: row.int("attempts")?,
                changed_at: row.int("changed_at")?,
            })
        });
        records.collect()
    }
}
