//! All servers next to each other, what failed, and how it was measured.

use std::fmt::Write as _;

use super::{markdown, number};
use crate::{
    peers::Peer,
    results::{Findings, Measured, Run},
};

/// There is no such thing for this server.
const NOTHING: &str = "–";

/// A column per server.
pub(super) fn table(run: &Run) -> String {
    let columns: Vec<(Peer, &Findings)> = run
        .peers
        .iter()
        .filter(|(_, findings)| findings.left_out.is_none())
        .map(|(peer, findings)| (*peer, findings))
        .collect();
    let mut rows: Vec<Vec<String>> = Vec::new();
    let head = std::iter::once(String::new()).chain(columns.iter().map(|(peer, _)| peer.title().to_owned()));
    rows.push(head.collect());
    let mut row = |title: String, value: &dyn Fn(&Findings) -> Option<String>| {
        let values =
            columns.iter().map(|(_, findings)| value(findings).unwrap_or_else(|| NOTHING.to_owned()));
        let row: Vec<String> = std::iter::once(title).chain(values).collect();
        // A measure that was not asked for has no row.
        if row.iter().skip(1).any(|value| value != NOTHING) {
            rows.push(row);
        }
    };
    row("idle connection, a feed each, KB".into(), &|f| {
        show(f.idle_own.as_ref(), |idle| number(idle.bytes_each / 1e3))
    });
    row("idle connection, one feed, KB".into(), &|f| {
        show(f.idle_shared.as_ref(), |idle| number(idle.bytes_each / 1e3))
    });
    for (index, readers) in run.plan.fan_out.iter().enumerate() {
        row(format!("fan-out to {}, CPU-s per million", number(*readers as f64)), &|f| {
            show(f.fan_out.get(index), |cost| number(cost.server_seconds))
        });
    }
    row("unicast, an event per call, CPU-s per million".into(), &|f| {
        show(f.unicast.as_ref(), |unicast| number(unicast.cost.server_seconds))
    });
    row("– of these, publishing alone".into(), &|f| {
        show(f.unicast.as_ref(), |unicast| number(unicast.publishing_seconds))
    });
    row("unicast, 100 events per call, CPU-s per million".into(), &|f| {
        show(f.unicast_batched.as_ref(), |unicast| number(unicast.cost.server_seconds))
    });
    row("– of these, publishing alone".into(), &|f| {
        show(f.unicast_batched.as_ref(), |unicast| number(unicast.publishing_seconds))
    });
    row("highest rate without a loss, deliveries/s".into(), &|f| {
        show(f.highest.as_ref(), |highest| number(highest.cost.per_second))
    });
    row("– there, CPU-s per million".into(), &|f| {
        show(f.highest.as_ref(), |highest| number(highest.cost.server_seconds))
    });
    row(format!("storm of {}: all back, s", number(run.plan.storm_clients as f64)), &|f| {
        show(f.storm.as_ref(), |storm| number(storm.back_seconds))
    });
    row("– all recovered, s".into(), &|f| {
        show(f.storm.as_ref(), |storm| storm.recovered_seconds.map_or("never".to_owned(), number))
    });
    row(
        format!("– lost of {} missed", number((run.plan.storm_clients * run.plan.storm_missed) as f64)),
        &|f| {
            show(
                f.storm.as_ref(),
                |storm| {
                    if storm.lost == 0 { "0".to_owned() } else { number(storm.lost as f64) }
                },
            )
        },
    );
    row("– CPU-s of server / clients".into(), &|f| {
        show(f.storm.as_ref(), |storm| [storm.server_seconds, storm.load_seconds].map(number).join(" / "))
    });
    row("latency p50 / p99 / p99.9, ms".into(), &|f| {
        show(f.latency.as_ref(), |latency| {
            [latency.p50, latency.p99, latency.p999].map(|micros| number(micros as f64 / 1e3)).join(" / ")
        })
    });
    if rows.len() == 1 {
        return String::new();
    }
    markdown(&rows)
}

fn show<T>(measured: Option<&Measured<T>>, text: impl FnOnce(&T) -> String) -> Option<String> {
    Some(match measured? {
        Measured::Got(value) => text(value),
        Measured::Failed(_) => "failed".to_owned(),
    })
}

/// Why something failed, and what ended each search for the highest rate.
pub(super) fn failures(run: &Run) -> String {
    let mut text = String::new();
    for (peer, f) in &run.peers {
        let mut add = |what: &str, why: Option<&str>| {
            if let Some(why) = why {
                let _ = writeln!(text, "- {}, {what}: {why}", peer.title());
            }
        };
        add("idle, a feed each", why(f.idle_own.as_ref()));
        add("idle, one feed", why(f.idle_shared.as_ref()));
        for (cost, readers) in f.fan_out.iter().zip(&run.plan.fan_out) {
            add(&format!("fan-out to {}", number(*readers as f64)), why(Some(cost)));
        }
        add("unicast", why(f.unicast.as_ref()));
        add("unicast in batches", why(f.unicast_batched.as_ref()));
        add("highest rate", why(f.highest.as_ref()));
        add("storm", why(f.storm.as_ref()));
        add("latency", why(f.latency.as_ref()));
        let highest = f.highest.as_ref().and_then(Measured::got);
        add("what ended the search for the highest rate", highest.map(|highest| highest.ended_by.as_str()));
    }
    if text.is_empty() { text } else { format!("\n{text}") }
}

fn why<T>(measured: Option<&Measured<T>>) -> Option<&str> {
    match measured? {
        Measured::Failed(why) => Some(why),
        Measured::Got(_) => None,
    }
}

/// What the rows mean.
pub(super) fn method(run: &Run) -> String {
    let plan = &run.plan;
    let costs = run.peers.values().flat_map(|findings| &findings.fan_out).filter_map(Measured::got);
    let load = costs.map(|cost| cost.load_seconds).fold(f64::INFINITY, f64::min);
    format!(
        "
How it was measured (the programs of the peers are in `bench/peers/`, the measures in `bench/src/measures/`):

- Every server gets the same frame of about 200 bytes, and starts anew for each measure. Ours is one process with all
  roles on its embedded bus, which syncs to the disk before it answers a publisher; peers keep nothing, or keep it in
  memory. Ours checks a token per connection; peers check none. Channels use the in-memory channel layer, one process.
- CPU time is that of all processes of the server, user and system, and includes taking the event from the publisher:
  by gRPC for ours, by an HTTP POST for the others; publisher and readers are in another process, which does not count.
  On loopback the kernel's work for receiving counts for the sender.
  The readers are one light program, which itself took {} CPU-s per million fan-out deliveries from the server
  that left it the least time to wait.
- **Idle**: memory (Pss) of the server after {} more connections, without what the kernel holds for sockets. Recovery
  of what a client missed is on where a server has it: ours, Socket.IO, nchan.
- **Fan-out**: one channel; the next event is published when everybody has the last one, so each delivery is a write
  of its own.
- **Unicast**: {} channels with a reader each, 64 calls under way (4 with batches). *Publishing alone* is the same
  with channels that nobody reads.
- **Highest rate**: {} readers of one channel; the rate is doubled until something is lost, a reader is closed or the
  server needs more than 10 % longer than the publisher, then the border is narrowed. What fell behind without a loss
  counts. Readers share the cores with the server.
- **Storm**: {} clients with a channel each are reset at once, miss {} events each, and come back at once, as their
  protocol resumes (`since_event_id`; connection state recovery; nchan's message id). ws and Channels can't resume: what
  was published meanwhile is lost. A refused client tries again after 100 ms.
- **Latency**: from the publisher's call to the reader's read, {} readers with a channel each, {} events/s in all.
",
        number(load),
        number(plan.idle as f64),
        number(plan.unicast_readers as f64),
        number(plan.highest_readers as f64),
        number(plan.storm_clients as f64),
        plan.storm_missed,
        number(plan.latency_readers as f64),
        number(plan.latency_rate),
    )
}
