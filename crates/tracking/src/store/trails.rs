//! Trails: pieces of ways, simplified before they come here, and what of them must not be kept.

use platepal_events::Timestamp;
use platepal_service::sql::{Row, Transaction};
use serde::{Deserialize, Serialize};

use super::{Store, StoreError, deliveries};
use crate::rules::{
    place::Place,
    trail::{self, TrailPoint},
};

/// Points of one piece; the next begins another row.
const PIECE_POINTS: usize = 100;
/// A way that was silent for so long goes on in another piece, in milliseconds.
const PIECE_GAP_MILLIS: i64 = 10 * 60 * 1_000;

/// What was forgotten with a rider.
#[derive(Debug, Default)]
pub(crate) struct Erased {
    pub(crate) points: u64,
    /// Deliveries whose newest position may be this rider's.
    pub(crate) deliveries: Vec<deliveries::Read>,
}

impl Store {
    /// Keeps points of a rider's way, in order of time; `delivery_id` is empty outside of a delivery. They go on the
    /// newest piece as long as they follow it; points that were kept before change nothing.
    pub(crate) async fn extend_trail(
        &self,
        tx: &mut Transaction,
        rider_id: &str,
        delivery_id: &str,
        points: &[TrailPoint],
    ) -> Result<(), StoreError> {
        let (Some(first), Some(last)) = (points.first(), points.last()) else { return Ok(()) };
        let sql = format!(
            "{PIECE} WHERE rider_id = $1 AND delivery_id = $2 AND started_at <= $3 ORDER BY started_at DESC LIMIT 1{}",
            tx.for_update()
        );
        let values = [rider_id.into(), delivery_id.into(), last.at.micros().into()];
        let newest = tx.row(&sql, &values).await?.as_ref().map(read).transpose()?;
        let goes_on = |piece: &Piece| {
            piece.points.len() + points.len() <= PIECE_POINTS
                && piece.points.last().is_some_and(|end| first.at.millis_since(end.at) < PIECE_GAP_MILLIS)
        };
        match newest.filter(goes_on) {
            Some(mut piece) => {
                piece.points.extend_from_slice(points);
                self.save_piece(tx, rider_id, delivery_id, Some(piece.started_at), piece.points).await
            }
            None => self.save_piece(tx, rider_id, delivery_id, None, points.to_vec()).await,
        }
    }

    /// Writes a piece, in place of the one that began at a moment.
    async fn save_piece(
        &self,
        tx: &mut Transaction,
        rider_id: &str,
        delivery_id: &str,
        instead_of: Option<Timestamp>,
        points: Vec<TrailPoint>,
    ) -> Result<(), StoreError> {
        let points = trail::in_order(points);
        if let Some(started_at) = instead_of
            && points.first().is_none_or(|first| first.at != started_at)
        {
            tx.execute(
                "DELETE FROM tracking_trails WHERE rider_id = $1 AND delivery_id = $2 AND started_at = $3",
                &[rider_id.into(), delivery_id.into(), started_at.micros().into()],
            )
            .await?;
        }
        let (Some(first), Some(last)) = (points.first(), points.last()) else { return Ok(()) };
        tx.execute(
            "INSERT INTO tracking_trails (rider_id, delivery_id, started_at, ended_at, points) \
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT (rider_id, delivery_id, started_at) \
             DO UPDATE SET ended_at = $4, points = $5",
            &[
                rider_id.into(),
                delivery_id.into(),
                first.at.micros().into(),
                last.at.micros().into(),
                write(&points, rider_id)?.as_str().into(),
            ],
        )
        .await?;
        Ok(())
    }

    /// Takes out of the trail of a rider's newest shift, once it has ended, what lies around its ends. `ends`: where
    /// that is; the trail's own last point is taken for one too, as the shift may have ended without a fix.
    pub(crate) async fn forget_ends(&self, rider_id: &str, ends: &[Place]) -> Result<(), StoreError> {
        let shift = self.shift(rider_id).await?;
        let (Some(started_at), Some(ended_at)) = (shift.started_at, shift.ended_at) else { return Ok(()) };
        let mut tx = self.database.begin().await?;
        let sql = format!(
            "{PIECE} WHERE rider_id = $1 AND ended_at >= $2 AND started_at <= $3 ORDER BY started_at{}",
            tx.for_update()
        );
        let values = [rider_id.into(), started_at.micros().into(), ended_at.micros().into()];
        let rows = tx.rows(&sql, &values).await?;
        let pieces = rows.iter().map(read).collect::<Result<Vec<Piece>, _>>()?;
        let mut ends = ends.to_vec();
        if ends.is_empty() {
            let last = pieces.iter().filter_map(|piece| piece.points.last()).max_by_key(|point| point.at);
            ends.extend(last.map(|point| point.place));
        }
        for piece in pieces {
            let left = trail::without_ends(piece.points.clone(), &ends, &self.settings.limits());
            if left != piece.points {
                self.save_piece(&mut tx, rider_id, &piece.delivery_id, Some(piece.started_at), left).await?;
            }
        }
        tx.commit().await?;
        Ok(())
    }

    /// The way of a delivery within a time, by whoever brought it.
    pub(crate) async fn trail_of_delivery(
        &self,
        delivery_id: &str,
        window: (Timestamp, Timestamp),
    ) -> Result<Vec<TrailPoint>, StoreError> {
        self.trail("delivery_id", delivery_id, window).await
    }

    /// The way of a rider within a time.
    pub(crate) async fn trail_of_rider(
        &self,
        rider_id: &str,
        window: (Timestamp, Timestamp),
    ) -> Result<Vec<TrailPoint>, StoreError> {
        self.trail("rider_id", rider_id, window).await
    }

    async fn trail(
        &self,
        column: &'static str,
        id: &str,
        (from, to): (Timestamp, Timestamp),
    ) -> Result<Vec<TrailPoint>, StoreError> {
        let sql = format!(
            "{PIECE} WHERE {column} = $1 AND ended_at >= $2 AND started_at <= $3 ORDER BY started_at"
        );
        let values = [id.into(), from.micros().into(), to.micros().into()];
        let rows = self.database.rows(&sql, &values).await?;
        let mut points = Vec::new();
        for row in &rows {
            points.extend(read(row)?.points.into_iter().filter(|point| from <= point.at && point.at <= to));
        }
        Ok(trail::in_order(points))
    }

    /// Erases a rider: trails, fixes, state, shifts. Deliveries stay, without the way.
    pub(crate) async fn erase_rider(&self, rider_id: &str) -> Result<Erased, StoreError> {
        let mut erased = Erased { deliveries: self.newest_deliveries_of(rider_id).await?, points: 0 };
        loop {
            let mut tx = self.database.begin().await?;
            let sql = format!("{PIECE} WHERE rider_id = $1 ORDER BY started_at LIMIT $2{}", tx.for_update());
            let rows = tx.rows(&sql, &[rider_id.into(), i64::from(self.settings.chunk).into()]).await?;
            for row in &rows {
                let piece = read(row)?;
                erased.points += piece.points.len() as u64;
                tx.execute(
                    "DELETE FROM tracking_trails WHERE rider_id = $1 AND delivery_id = $2 AND started_at = $3",
                    &[rider_id.into(), (&piece.delivery_id).into(), piece.started_at.micros().into()],
                )
                .await?;
            }
            if rows.is_empty() {
                for sql in [
                    "DELETE FROM tracking_riders WHERE rider_id = $1",
                    "DELETE FROM tracking_fixes WHERE rider_id = $1",
                ] {
                    tx.execute(sql, &[rider_id.into()]).await?;
                }
            }
            tx.commit().await?;
            if rows.is_empty() {
                return Ok(erased);
            }
        }
    }
}

const PIECE: &str = "SELECT delivery_id, started_at, points FROM tracking_trails";

struct Piece {
    delivery_id: String,
    started_at: Timestamp,
    points: Vec<TrailPoint>,
}

/// A piece as it is kept: its polyline, and milliseconds since its first moment.
#[derive(Serialize, Deserialize)]
struct Written {
    line: String,
    after: Vec<i64>,
}

fn write(points: &[TrailPoint], rider_id: &str) -> Result<String, StoreError> {
    let line = trail::polyline(points.iter().map(|point| point.place));
    let first = points.first().map(|first| first.at);
    let after = points.iter().map(|point| first.map_or(0, |first| point.at.millis_since(first))).collect();
    serde_json::to_string(&Written { line, after }).map_err(|why| StoreError::State(rider_id.to_owned(), why))
}

fn read(row: &Row) -> Result<Piece, StoreError> {
    let started_at = Timestamp::from_micros(row.int("started_at")?);
    let delivery_id = row.text("delivery_id")?;
    let unreadable = || StoreError::Trail(started_at);
    let Written { line, after } = serde_json::from_str(&row.text("points")?).map_err(|_| unreadable())?;
    let places = trail::places(&line).filter(|places| places.len() == after.len()).ok_or_else(unreadable)?;
    let points = places.into_iter().zip(after);
    let points =
        points.map(|(place, after)| TrailPoint { place, at: started_at.plus_millis(after) }).collect();
    Ok(Piece { delivery_id, started_at, points })
}
