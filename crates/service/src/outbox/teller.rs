//! Telling: what waits in streams goes to the bus, and is marked.
//!
//! Invariant: an event is marked only after the bus has it, and one of a stream only after those before it.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use futures_util::future::join_all;
use platepal_bus::Bus;
use platepal_events::{Channel, Class, Event, Position, Timestamp, millis};
use tracing::{Instrument, Span};

use super::{CHUNK_EVENTS, OutboxError, Place, named};
use crate::{
    Database,
    sql::{self, Row, Transaction, Value},
    trace,
};

/// What [`Teller::tell`] reads.
const ROW: &str = "o.stream, o.seq, o.event_id, o.kind, o.at, o.version, o.payload, o.latest_key, o.traceparent, o.channels, o.put_at";
/// From this age on a row may have been told longer ago than the bus remembers event ids; the log is asked.
const DOUBTFUL_AGE: Duration = Duration::from_secs(60);

/// Marks of one statement.
const MARKS_MAX: usize = 1_000;

/// Tells a domain's streams. Cheap to clone.
#[derive(Clone)]
pub(super) struct Teller {
    pub(super) database: Database,
    pub(super) bus: Arc<dyn Bus>,
    pub(super) domain: &'static str,
    /// Told rows go at once.
    pub(super) forgets: bool,
}

/// A stream to tell.
pub(super) struct Job {
    pub(super) stream: Channel,
    pub(super) now: Timestamp,
    /// Who asked, in traces.
    pub(super) caller: Span,
}

/// What became of a stream.
struct Told {
    marks: Vec<Mark>,
    failed: Option<OutboxError>,
}

impl Teller {
    /// Tells what waits in streams, a chunk of each; how many events of each.
    pub(super) async fn tell_streams(&self, jobs: &[Job]) -> Vec<Result<usize, OutboxError>> {
        // By their names, so that two replicas lock them in one order; each once.
        let streams: BTreeMap<&str, &Job> = jobs.iter().map(|job| (job.stream.as_str(), job)).collect();
        let streams: Vec<&Job> = streams.into_values().collect();
        let told = match &self.database {
            Database::Sqlite(_) => self.tell_alone(&streams).await,
            Database::Postgres(_) => self.tell_locked(&streams).await,
        };
        // What fails here is the database, for all of them.
        let told = match told {
            Ok(told) => told,
            Err(why) => return jobs.iter().map(|_| Err(why.clone())).collect(),
        };
        let told: HashMap<&str, Told> = streams.iter().map(|job| job.stream.as_str()).zip(told).collect();
        jobs.iter()
            .map(|job| match told.get(job.stream.as_str()) {
                Some(Told { failed: Some(why), .. }) => Err(why.clone()),
                Some(Told { marks, .. }) => Ok(marks.len()),
                None => Ok(0),
            })
            .collect()
    }

    /// One process: a stream has one lane, and no transaction waits for the bus.
    async fn tell_alone(&self, streams: &[&Job]) -> Result<Vec<Told>, OutboxError> {
        let names = names(streams);
        // Events are told in order and marked with their stream: what waits are the numbers after it.
        let sql = format!(
            "SELECT {ROW} FROM (VALUES {1}) AS v JOIN {0}_streams s ON s.stream = v.column1 \
             JOIN {0}_outbox o ON o.stream = s.stream AND o.seq > s.told_seq AND o.seq <= s.told_seq + {CHUNK_EVENTS} \
             ORDER BY o.stream, o.seq",
            self.domain,
            sql::list(&names)
        );
        let rows = self.database.rows(&sql, names.as_flattened()).await?;
        if rows.is_empty() {
            return Ok(streams.iter().map(|_| Told { marks: Vec::new(), failed: None }).collect());
        }
        let told = self.tell_rows(streams, &rows).await?;
        let mut tx = self.database.begin().await?;
        self.mark(&mut tx, &told).await?;
        tx.commit().await?;
        Ok(told)
    }

    /// Many processes: the rows are locked until they are told.
    async fn tell_locked(&self, streams: &[&Job]) -> Result<Vec<Told>, OutboxError> {
        let names = names(streams);
        let mut tx = self.database.begin().await?;
        let sql = format!(
            "SELECT {ROW} FROM (VALUES {1}) AS v CROSS JOIN LATERAL (SELECT * FROM {0}_outbox WHERE stream = v.column1 \
             AND kept IS NULL ORDER BY seq LIMIT {CHUNK_EVENTS}{2}) AS o",
            self.domain,
            sql::list(&names),
            tx.for_update()
        );
        let rows = tx.rows(&sql, names.as_flattened()).await?;
        let told = self.tell_rows(streams, &rows).await?;
        self.mark(&mut tx, &told).await?;
        tx.commit().await?;
        Ok(told)
    }

    /// Tells rows of streams, the streams side by side, each in order up to the first event that fails.
    async fn tell_rows(&self, streams: &[&Job], rows: &[Row]) -> Result<Vec<Told>, OutboxError> {
        let mut waiting: HashMap<String, Vec<&Row>> = HashMap::new();
        for row in rows {
            waiting.entry(row.text("stream")?).or_default().push(row);
        }
        let told = streams.iter().map(|job| {
            let rows = waiting.remove(job.stream.as_str()).unwrap_or_default();
            async move { self.tell_stream(job, &rows).await }
        });
        Ok(join_all(told).await)
    }

    /// Tells rows of one stream. Values of different keys have no order among each other, so a run of them goes to the bus
    /// at once.
    async fn tell_stream(&self, job: &Job, rows: &[&Row]) -> Told {
        let mut marks = Vec::with_capacity(rows.len());
        let waiting: Result<Vec<Waiting>, _> =
            rows.iter().map(|row| Waiting::read(&job.stream, row)).collect();
        // A row that does not read stops its stream: those before it are told first.
        let (waiting, broken) = match waiting {
            Ok(waiting) => (waiting, None),
            Err(why) => {
                let readable = rows.iter().map_while(|row| Waiting::read(&job.stream, row).ok());
                (readable.collect(), Some(why))
            }
        };
        for run in runs(&waiting) {
            let told = join_all(run.iter().map(|waiting| self.tell(job, waiting))).await;
            for (waiting, places) in run.iter().zip(told) {
                match places {
                    Ok(places) => marks.push(Mark { stream: job.stream.clone(), seq: waiting.seq, places }),
                    Err(why) => return Told { marks, failed: Some(why) },
                }
            }
        }
        Told { marks, failed: broken }
    }

    async fn tell(&self, job: &Job, waiting: &Waiting) -> Result<Vec<Place>, OutboxError> {
        let Job { stream, now, caller } = job;
        let Waiting { event, channels, put_at, .. } = waiting;
        let age = now.millis_since(*put_at);
        // A value that is told again is the same value.
        let doubtful = age >= millis(DOUBTFUL_AGE) && event.kind.class() == Class::Log;
        let mut places = Vec::with_capacity(channels.len());
        let mut missing = Vec::with_capacity(channels.len());
        for channel in channels {
            match if doubtful { self.bus.find(channel, &event.id).await? } else { None } {
                Some(offset) => {
                    let epoch = self.bus.head(channel).await?.epoch;
                    places.push(Place { channel: channel.clone(), position: Position { epoch, offset } });
                }
                None => missing.push(channel.clone()),
            }
        }
        // The relay tells long after the call that put the event; its part of the trace is the event's.
        let span = caller.in_scope(|| {
            let span =
                tracing::debug_span!("outbox.tell", %stream, event.id = %event.id, event.r#type = %event.kind);
            trace::follow(&span, &event.traceparent);
            span
        });
        let appended = self.bus.append(&missing, event).instrument(span).await?;
        let new = missing.into_iter().zip(appended);
        places.extend(new.map(|(channel, appended)| Place { channel, position: appended.position }));
        metrics::counter!("realtime_outbox_told_total", "domain" => self.domain).increment(1);
        metrics::histogram!("realtime_outbox_lag_seconds", "domain" => self.domain)
            .record(std::time::Duration::from_millis(age.max(0).unsigned_abs()));
        Ok(places)
    }

    /// Writes that events were told, and up to where their streams are.
    async fn mark(&self, tx: &mut Transaction, told: &[Told]) -> Result<(), sqlx::Error> {
        let marks: Vec<&Mark> = told.iter().flat_map(|told| &told.marks).collect();
        // As many as one statement takes.
        for marks in marks.chunks(MARKS_MAX) {
            self.mark_rows(tx, marks).await?;
            self.mark_streams(tx, marks).await?;
        }
        Ok(())
    }

    async fn mark_rows(&self, tx: &mut Transaction, marks: &[&Mark]) -> Result<(), sqlx::Error> {
        let domain = self.domain;
        if self.forgets {
            let rows: Vec<[Value<'_>; 2]> =
                marks.iter().map(|mark| [mark.stream.as_str().into(), mark.seq.into()]).collect();
            let sql =
                format!("DELETE FROM {domain}_outbox WHERE (stream, seq) IN (VALUES {})", sql::list(&rows));
            tx.execute(&sql, rows.as_flattened()).await?;
        } else {
            let kept: Vec<String> = marks.iter().map(|mark| write_places(&mark.places)).collect();
            let rows: Vec<[Value<'_>; 3]> = marks
                .iter()
                .zip(&kept)
                .map(|(mark, kept)| [mark.stream.as_str().into(), mark.seq.into(), kept.into()])
                .collect();
            let sql = format!(
                "UPDATE {domain}_outbox SET kept = v.column3, payload = '' FROM (VALUES {}) AS v \
                 WHERE stream = v.column1 AND seq = v.column2 AND kept IS NULL",
                sql::list(&rows)
            );
            tx.execute(&sql, rows.as_flattened()).await?;
        }
        Ok(())
    }

    async fn mark_streams(&self, tx: &mut Transaction, marks: &[&Mark]) -> Result<(), sqlx::Error> {
        let domain = self.domain;
        // The newest of a stream; its place in its own channel is that of the newest that was told there.
        let mut newest: BTreeMap<&str, (i64, Option<&Position>)> = BTreeMap::new();
        for Mark { stream, seq, places } in marks {
            let own = places.iter().find(|place| place.channel == *stream).map(|place| &place.position);
            let newest = newest.entry(stream.as_str()).or_default();
            *newest = (*seq, own.or(newest.1));
        }
        let rows: Vec<[Value<'_>; 4]> = newest
            .iter()
            .map(|(stream, (seq, own))| {
                let epoch = own.map(|position| position.epoch.as_str());
                let offset = own.and_then(|position| i64::try_from(position.offset).ok());
                [(*stream).into(), (*seq).into(), Value::Text(epoch), offset.into()]
            })
            .collect();
        let sql = format!(
            "UPDATE {domain}_streams SET told_seq = v.column2, told_epoch = COALESCE(v.column3, told_epoch), \
             told_offset = COALESCE(v.column4, told_offset) FROM (VALUES {}) AS v WHERE stream = v.column1",
            sql::list(&rows)
        );
        tx.execute(&sql, rows.as_flattened()).await?;
        Ok(())
    }
}

fn names<'a>(streams: &[&'a Job]) -> Vec<[Value<'a>; 1]> {
    streams.iter().map(|job| [job.stream.as_str().into()]).collect()
}

/// An event that waits.
struct Waiting {
    seq: i64,
    event: Event,
    channels: Vec<Channel>,
    put_at: Timestamp,
}

impl Waiting {
    fn read(stream: &Channel, row: &Row) -> Result<Self, OutboxError> {
        let broken = |why: String| OutboxError::Row { stream: stream.to_string(), why };
        Ok(Self {
            seq: row.int("seq")?,
            event: Event {
                id: row.text("event_id")?.parse().map_err(|why| broken(format!("{why}")))?,
                kind: row.text("kind")?.parse().map_err(|why| broken(format!("{why}")))?,
                timestamp: Timestamp::from_micros(row.int("at")?),
                version: row.text("version")?.into(),
                payload: row.text("payload")?.into_bytes().into(),
                key: row.text("latest_key")?.into(),
                traceparent: row.text("traceparent")?.into(),
            },
            channels: row.text("channels")?.split(' ').filter_map(named).collect(),
            put_at: Timestamp::from_micros(row.int("put_at")?),
        })
    }
}

/// Splits what waits in a stream into what can be told at once: values of different keys, or one event of the log.
fn runs(mut waiting: &[Waiting]) -> Vec<&[Waiting]> {
    let mut runs = Vec::new();
    while !waiting.is_empty() {
        let mut keys = HashSet::new();
        let is_value = |own: &Waiting| own.event.kind.class() == Class::Latest;
        let values = waiting.iter().take_while(|own| is_value(own) && keys.insert(&own.event.key)).count();
        let (run, rest) = waiting.split_at(values.max(1));
        runs.push(run);
        waiting = rest;
    }
    runs
}

/// An event that was told.
#[derive(Debug, Clone)]
struct Mark {
    stream: Channel,
    seq: i64,
    places: Vec<Place>,
}

fn write_places(places: &[Place]) -> String {
    let lines: Vec<String> = places
        .iter()
        .map(|place| format!("{} {} {}", place.channel, place.position.offset, place.position.epoch.as_str()))
        .collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use platepal_events::{EventId, EventType};

    use super::*;

    #[test]
    fn values_go_side_by_side_until_a_key_comes_again_and_events_of_the_log_alone() {
        let waiting: Vec<Waiting> = "a b a L L c b"
            .split(' ')
            .zip(1..)
            .map(|(key, seq)| {
                let (kind, key) = if key == "L" { ("menu.updated", "") } else { ("menu_item", key) };
                let event =
                    Event::new(EventId::make(), EventType::named(kind), "{}", Timestamp::from_micros(0));
                let event = Event { key: key.into(), ..event };
                Waiting { seq, event, channels: Vec::new(), put_at: Timestamp::from_micros(0) }
            })
            .collect();
        let runs: Vec<Vec<i64>> =
            runs(&waiting).iter().map(|run| run.iter().map(|own| own.seq).collect()).collect();
        assert_eq!(runs, [vec![1, 2], vec![3], vec![4], vec![5], vec![6, 7]]);
    }
}
