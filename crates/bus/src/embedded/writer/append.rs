//! One event into one channel, inside the writer's transaction.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use metrics::counter;
use platepal_events::{Channel, Class, Event, EventId, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};

use super::Bounds;
use crate::{embedded::log::from_sql, measure};

/// Ids of *latest* events that are remembered. Beyond it the oldest is forgotten, also if it is inside the
/// duplicate window; a repeat then counts as new, which for a value that replaces itself is harmless.
const RECENT_IDS_MAX: usize = 65_536;

/// What is to be kept.
pub(super) struct New<'a> {
    pub channel: &'a Channel,
    pub event: &'a Arc<Event>,
    pub body: &'a [u8],
    pub now: Timestamp,
}

/// What subscriptions are told after the commit.
pub(super) struct Told {
    pub channel: Channel,
    pub event: Arc<Event>,
    pub offset: u64,
    pub previous: u64,
}

/// A channel's row.
#[derive(Clone, Copy)]
struct Row {
    id: i64,
    head: i64,
    floor: i64,
    retained: i64,
}

/// Its offset, and whether the channel had it already.
pub(super) fn append(
    transaction: &Connection,
    recent: &mut RecentIds,
    bounds: &Bounds,
    new: New<'_>,
    told: &mut Vec<Told>,
) -> rusqlite::Result<(u64, bool)> {
    match new.event.kind.class() {
        Class::Log => append_log(transaction, bounds, &new, told),
        Class::Latest => replace_latest(transaction, recent, bounds, &new, told),
    }
}

fn append_log(
    transaction: &Connection,
    bounds: &Bounds,
    new: &New<'_>,
    told: &mut Vec<Told>,
) -> rusqlite::Result<(u64, bool)> {
    let known = transaction
        .prepare_cached("SELECT id, head, floor, retained FROM channels WHERE name = ?1")?
        .query_row([new.channel.as_str()], |row| {
            Ok(Row { id: row.get(0)?, head: row.get(1)?, floor: row.get(2)?, retained: row.get(3)? })
        })
        .optional()?;
    if let Some(row) = &known
        && let Some(offset) = repeated(transaction, bounds, row, new)?
    {
        return Ok((from_sql(offset), true));
    }
    let now = new.now.micros();
    let row = match known {
        Some(row) => row,
        None => {
            transaction
                .prepare_cached("INSERT INTO channels VALUES (NULL, ?1, ?2, 0, 0, 0, 0, 0, ?3)")?
                .execute(params![new.channel.as_str(), new.channel.kind().word(), now])?;
            Row { id: transaction.last_insert_rowid(), head: 0, floor: 0, retained: 0 }
        }
    };
    transaction
        .prepare_cached(
            "INSERT INTO log (channel, previous, event_id, kept_at, event) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![row.id, row.head, new.event.id.as_str(), now, new.body])?;
    let offset = transaction.last_insert_rowid();
    let (floor, retained) = trimmed(transaction, bounds, &row)?;
    transaction
        .prepare_cached(
            "UPDATE channels SET head = ?2, floor = ?3, retained = ?4, kept_at = ?5,
             born = CASE born WHEN 0 THEN ?2 ELSE born END WHERE id = ?1",
        )?
        .execute(params![row.id, offset, floor, retained, now])?;
    let offset = from_sql(offset);
    told.push(Told {
        channel: new.channel.clone(),
        event: Arc::clone(new.event),
        offset,
        previous: from_sql(row.head),
    });
    Ok((offset, false))
}

/// Where the channel has this event already.
fn repeated(
    transaction: &Connection,
    bounds: &Bounds,
    row: &Row,
    new: &New<'_>,
) -> rusqlite::Result<Option<i64>> {
    let found: Option<(i64, i64)> = transaction
        .prepare_cached("SELECT offset, kept_at FROM log WHERE channel = ?1 AND event_id = ?2")?
        .query_row(params![row.id, new.event.id.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((offset, kept_at)) = found else { return Ok(None) };
    if offset > row.floor || kept_at > before(new.now, bounds.duplicate_window) {
        return Ok(Some(offset));
    }
    // No longer retained and out of the window, but not swept yet: it makes room.
    transaction.prepare_cached("DELETE FROM log WHERE offset = ?1")?.execute([offset])?;
    Ok(None)
}

/// The floor and the number above it, once one more event is in the channel.
fn trimmed(transaction: &Connection, bounds: &Bounds, row: &Row) -> rusqlite::Result<(i64, i64)> {
    let most = i64::from(bounds.retention_events);
    let excess = row.retained + 1 - most;
    if excess <= 0 {
        return Ok((row.floor, row.retained + 1));
    }
    counter!(measure::TRIMMED).increment(from_sql(excess));
    let floor = transaction
        .prepare_cached(
            "SELECT offset FROM log WHERE channel = ?1 AND offset > ?2 ORDER BY offset LIMIT 1 OFFSET ?3",
        )?
        .query_row(params![row.id, row.floor, excess - 1], |row| row.get(0))?;
    Ok((floor, most))
}

fn replace_latest(
    transaction: &Connection,
    recent: &mut RecentIds,
    bounds: &Bounds,
    new: &New<'_>,
    told: &mut Vec<Told>,
) -> rusqlite::Result<(u64, bool)> {
    recent.forget_before(before(new.now, bounds.duplicate_window));
    if let Some(sequence) = recent.get(new.channel, &new.event.id) {
        return Ok((sequence, true));
    }
    // The ids in memory are gone after a restart; the value itself still knows its own.
    let same: Option<i64> = transaction
        .prepare_cached("SELECT sequence FROM latest WHERE channel = ?1 AND key = ?2 AND event_id = ?3")?
        .query_row(params![new.channel.as_str(), &*new.event.key, new.event.id.as_str()], |row| row.get(0))
        .optional()?;
    if let Some(sequence) = same {
        return Ok((from_sql(sequence), true));
    }
    transaction
        .prepare_cached(
            "INSERT OR REPLACE INTO latest (channel, key, event_id, kept_at, event) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            new.channel.as_str(),
            &*new.event.key,
            new.event.id.as_str(),
            new.now.micros(),
            new.body
        ])?;
    let sequence = from_sql(transaction.last_insert_rowid());
    recent.insert(new.channel, &new.event.id, sequence, new.now.micros());
    told.push(Told {
        channel: new.channel.clone(),
        event: Arc::clone(new.event),
        offset: sequence,
        previous: 0,
    });
    Ok((sequence, false))
}

/// So long ago, in microseconds.
pub(in crate::embedded) fn before(now: Timestamp, age: Duration) -> i64 {
    now.micros().saturating_sub(i64::try_from(age.as_micros()).unwrap_or(i64::MAX))
}

/// Offsets can't be compared with a file's, so an offset that was rolled back must not stay here:
/// [`RecentIds::forget`] after every failed commit.
#[derive(Debug, Default)]
pub(super) struct RecentIds {
    sequences: HashMap<(Channel, EventId), u64>,
    oldest_first: VecDeque<(i64, (Channel, EventId))>,
}

impl RecentIds {
    fn get(&self, channel: &Channel, id: &EventId) -> Option<u64> {
        self.sequences.get(&(channel.clone(), id.clone())).copied()
    }

    fn insert(&mut self, channel: &Channel, id: &EventId, sequence: u64, at: i64) {
        if self.oldest_first.len() >= RECENT_IDS_MAX {
            self.forget_oldest();
        }
        let name = (channel.clone(), id.clone());
        self.sequences.insert(name.clone(), sequence);
        self.oldest_first.push_back((at, name));
    }

    fn forget_before(&mut self, at: i64) {
        while self.oldest_first.front().is_some_and(|(kept_at, _)| *kept_at <= at) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, name)) = self.oldest_first.pop_front() {
            self.sequences.remove(&name);
        }
    }

    pub fn forget(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn recent_ids_are_bounded_and_leave_with_their_window() {
        let mut recent = RecentIds::default();
        let channel: Channel = "rider:1".parse().unwrap();
        let id = |n: usize| -> EventId { n.to_string().parse().unwrap() };
        for n in 0..RECENT_IDS_MAX + 10 {
            recent.insert(&channel, &id(n), 7, i64::try_from(n).unwrap());
        }
        assert_eq!(recent.sequences.len(), RECENT_IDS_MAX);
        assert_eq!(recent.get(&channel, &id(3)), None);
        assert_eq!(recent.get(&channel, &id(50)), Some(7));
        recent.forget_before(50);
        assert_eq!(recent.get(&channel, &id(50)), None);
        assert_eq!(recent.get(&channel, &id(51)), Some(7));
    }
}
