//! What was learned of streets' speeds: one row, to which all replicas add.

use platepal_events::Timestamp;
use platepal_roads::{Class, Speeds};

use super::{Store, StoreError};

/// The only row.
const NAME: &str = "learned";

/// What one drive says of one class of street.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Lesson {
    pub(crate) class: Class,
    pub(crate) metres: f64,
    pub(crate) seconds: f64,
}

impl Store {
    /// What was learned so far; `None`: nothing.
    pub(crate) async fn speeds(&self) -> Result<Option<Speeds>, StoreError> {
        let rows =
            self.database.rows("SELECT speeds FROM tracking_speeds WHERE name = $1", &[NAME.into()]).await?;
        rows.first().map(|row| read(&row.text("speeds")?)).transpose()
    }

    /// Adds lessons to what was learned by anybody; what is known now.
    pub(crate) async fn learn(&self, lessons: &[Lesson], now: Timestamp) -> Result<Speeds, StoreError> {
        let mut tx = self.database.begin().await?;
        tx.execute(
            "INSERT INTO tracking_speeds (name, speeds, changed_at) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING",
            &[NAME.into(), write(&Speeds::default())?.as_str().into(), now.micros().into()],
        )
        .await?;
        let sql = format!("SELECT speeds FROM tracking_speeds WHERE name = $1{}", tx.for_update());
        let row = tx.row(&sql, &[NAME.into()]).await?;
        let mut speeds = row.map(|row| read(&row.text("speeds")?)).transpose()?.unwrap_or_default();
        for Lesson { class, metres, seconds } in lessons {
            speeds.learn(*class, *metres, *seconds);
        }
        tx.execute(
            "UPDATE tracking_speeds SET speeds = $2, changed_at = $3 WHERE name = $1",
            &[NAME.into(), write(&speeds)?.as_str().into(), now.micros().into()],
        )
        .await?;
        tx.commit().await?;
        Ok(speeds)
    }
}

fn read(text: &str) -> Result<Speeds, StoreError> {
    serde_json::from_str(text).map_err(unreadable)
}

fn write(speeds: &Speeds) -> Result<String, StoreError> {
    serde_json::to_string(speeds).map_err(unreadable)
}

fn unreadable(why: serde_json::Error) -> StoreError {
    StoreError::State("what was learned of speeds".to_owned(), why)
}
