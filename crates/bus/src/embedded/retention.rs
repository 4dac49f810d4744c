//! Letting go of what is too old, in small steps between appends.
//!
//! By number, a channel's floor moves with the append that exceeds it (`writer/append.rs`); here floors move by
//! age, and rows below a floor are deleted once they are out of the duplicate window.

use std::{collections::HashMap, time::Duration};

use metrics::counter;
use platepal_events::Timestamp;
use rusqlite::{Connection, params};
use tokio::sync::mpsc;

use super::{
    log::from_sql,
    writer::{Bounds, Command, before},
};
use crate::measure;

/// Rows that one step of each kind touches.
const STEP_ROWS: i64 = 2_000;
/// The shortest and the longest time between two sweeps.
const EVERY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));
/// A channel without retained events is forgotten after so many times the retention.
const FORGET_AFTER_RETENTIONS: u32 = 7;

/// Asks the writer to sweep, from time to time, while there is one.
pub(super) async fn tick(commands: mpsc::WeakSender<Command>, retention_age: Duration) {
    let mut ticks = tokio::time::interval((retention_age / 20).clamp(EVERY.0, EVERY.1));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(commands) = commands.upgrade() else { return };
        // A full queue means that there is more urgent work; the next tick will do.
        if let Err(mpsc::error::TrySendError::Closed(_)) = commands.try_send(Command::Sweep) {
            return;
        }
    }
}

/// One step of each kind.
pub(super) fn sweep(transaction: &Connection, bounds: &Bounds, now: Timestamp) -> rusqlite::Result<()> {
    age(transaction, before(now, bounds.retention_age))?;
    delete_below_floors(transaction, before(now, bounds.duplicate_window))?;
    transaction
        .prepare_cached(
            "DELETE FROM latest WHERE sequence IN
             (SELECT sequence FROM latest ORDER BY sequence LIMIT ?1) AND kept_at <= ?2",
        )?
        .execute(params![STEP_ROWS, before(now, bounds.retention_age)])?;
    transaction
        .prepare_cached(
            "DELETE FROM channels WHERE id IN
             (SELECT id FROM channels WHERE swept = head AND kept_at <= ?1 ORDER BY kept_at LIMIT ?2)",
        )?
        .execute(params![before(now, bounds.retention_age * FORGET_AFTER_RETENTIONS), STEP_ROWS])?;
    Ok(())
}

/// Moves floors over events that are too old. Offsets and times grow together, so one mark in `meta` says how
/// far that has been done.
fn age(transaction: &Connection, too_old: i64) -> rusqlite::Result<()> {
    let aged: i64 = transaction
        .prepare_cached("SELECT value FROM meta WHERE name = 'aged'")?
        .query_row([], |row| row.get(0))?;
    let mut floors: HashMap<i64, i64> = HashMap::new();
    let mut mark = aged;
    {
        let mut statement = transaction.prepare_cached(
            "SELECT offset, channel, kept_at FROM log WHERE offset > ?1 ORDER BY offset LIMIT ?2",
        )?;
        let mut rows = statement.query(params![aged, STEP_ROWS])?;
        while let Some(row) = rows.next()? {
            if row.get::<_, i64>(2)? > too_old {
                break;
            }
            mark = row.get(0)?;
            floors.insert(row.get(1)?, mark);
        }
    }
    if mark == aged {
        return Ok(());
    }
    for (channel, floor) in floors {
        let gone: i64 = transaction
            .prepare_cached(
                "SELECT count(*) FROM log JOIN channels ON channels.id = log.channel
                 WHERE log.channel = ?1 AND offset > channels.floor AND offset <= ?2",
            )?
            .query_row(params![channel, floor], |row| row.get(0))?;
        transaction
            .prepare_cached(
                "UPDATE channels SET floor = max(floor, ?2), retained = retained - ?3 WHERE id = ?1",
            )?
            .execute(params![channel, floor, gone])?;
        counter!(measure::TRIMMED).increment(from_sql(gone));
    }
    transaction.prepare_cached("UPDATE meta SET value = ?1 WHERE name = 'aged'")?.execute([mark])?;
    Ok(())
}

fn delete_below_floors(transaction: &Connection, out_of_window: i64) -> rusqlite::Result<()> {
    let channels: Vec<(i64, i64, i64)> = transaction
        .prepare_cached("SELECT id, swept, floor FROM channels WHERE swept < floor LIMIT ?1")?
        .query_map([STEP_ROWS], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<Result<_, _>>()?;
    let mut room = STEP_ROWS;
    for (channel, swept, floor) in channels {
        let rows: Vec<(i64, i64)> = transaction
            .prepare_cached(
                "SELECT offset, kept_at FROM log WHERE channel = ?1 AND offset > ?2 AND offset <= ?3
                 ORDER BY offset LIMIT ?4",
            )?
            .query_map(params![channel, swept, floor, room], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<_, _>>()?;
        let is_all = i64::try_from(rows.len()).unwrap_or(i64::MAX) < room;
        let old: Vec<i64> = rows
            .iter()
            .take_while(|(_, kept_at)| *kept_at <= out_of_window)
            .map(|(offset, _)| *offset)
            .collect();
        for offset in &old {
            transaction.prepare_cached("DELETE FROM log WHERE offset = ?1")?.execute([offset])?;
        }
        let done =
            if is_all && old.len() == rows.len() { floor } else { old.last().copied().unwrap_or(swept) };
        transaction
            .prepare_cached("UPDATE channels SET swept = ?2 WHERE id = ?1")?
            .execute(params![channel, done])?;
        room -= i64::try_from(old.len()).unwrap_or(i64::MAX);
        if room <= 0 {
            break;
        }
    }
    Ok(())
}
