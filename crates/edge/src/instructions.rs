//! Follows what is ordered for open sessions from elsewhere, and has those concerned carry it out: grants that
//! the domains took back, tokens that are refused from now on, and what backends order through the gateway.
//!
//! What was ordered while this edge was cut off is carried out when it is back, for those sessions that were
//! open when it was ordered. What is no longer kept by then can only have taken rights away that are asked for
//! again, so all sessions ask again.

use std::{sync::Arc, time::Duration};

use metrics::counter;
use platepal_bus::{Bus, BusError, Delivery, Subscription};
use platepal_events::{Channel, Entry, Timestamp};
use platepal_service::{
    Gate,
    instruction::{Instruction, Whom},
    revocation::Revocation,
};

use crate::{
    Edge,
    access::revoked,
    close::Code,
    queue::Order,
    sessions::{ClientId, Open, Selector},
};

/// The first wait after the bus could not be reached; it doubles.
const RETRY_FIRST: Duration = Duration::from_millis(100);
/// The longest.
const RETRY_MAX: Duration = Duration::from_secs(5);
/// A session that began so much later than an order was kept is not meant by it. Not less, as the bus's clock
/// and ours may differ.
const LATER_MILLIS: i64 = 2_000;

/// Runs until told to end. The gate opens once orders are heard.
pub(crate) async fn run(edge: Arc<Edge>, bus: Arc<dyn Bus>, gate: Gate) {
    let told = edge.shutdown.told();
    tokio::pin!(told);
    tokio::select! {
        () = follow(&edge, &*bus, &gate) => {}
        () = &mut told => {}
    }
}

async fn follow(edge: &Edge, bus: &dyn Bus, gate: &Gate) {
    let mut wait = RETRY_FIRST;
    loop {
        match listen(edge, bus).await {
            Ok(mut subscription) => {
                wait = RETRY_FIRST;
                // What was said while nobody listened is not known.
                edge.ask_again();
                gate.open();
                while let Some(delivery) = subscription.next().await {
                    hear(edge, delivery);
                }
                gate.close("revocations are not heard: the bus was shut down");
            }
            Err(why) => gate.close(format!("revocations are not heard: {why}")),
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(RETRY_MAX);
    }
}

/// Hears what is said from now on, and which tokens were revoked before.
async fn listen(edge: &Edge, bus: &dyn Bus) -> Result<Subscription, BusError> {
    let subscription = bus.subscribe(&Channel::sessions()).await?;
    for entry in bus.latest(&Channel::sessions()).await? {
        edge.token_revoked(&entry);
    }
    Ok(subscription)
}

fn hear(edge: &Edge, delivery: Delivery) {
    match delivery {
        Delivery::Reset { .. } => edge.ask_again(),
        Delivery::Entry(entry) if entry.event.kind.as_str() == "grant.revoked" => {
            edge.grant_revoked(&entry);
        }
        Delivery::Entry(entry) if edge.token_revoked(&entry) => {}
        Delivery::Entry(entry) => match Instruction::read(&entry.event) {
            Some(Ok(instruction)) => edge.carry_out(&instruction, entry.kept_at),
            Some(Err(why)) => tracing::warn!(event = %entry.event.id, %why, "an order is left alone"),
            None => {}
        },
        Delivery::Passing(_) => {}
    }
}

impl Edge {
    /// Every answer on who may read what is forgotten, and asked for again.
    fn ask_again(&self) {
        self.access.revoke_all();
        self.sessions.recheck_all();
    }

    fn grant_revoked(&self, entry: &Entry) {
        let Some((user, channel)) = revoked(&entry.event) else {
            // Whom it concerns can't be read, so it may concern everybody.
            tracing::warn!(event = %entry.event.id, "a revocation can't be read; all sockets ask again");
            return self.ask_again();
        };
        tracing::debug!(user, %channel, "a grant was revoked");
        self.access.revoke(user.as_deref(), channel.as_str());
        self.sessions.recheck(user.as_deref(), &channel);
    }

    /// True: that is what the entry is about.
    fn token_revoked(&self, entry: &Entry) -> bool {
        match Revocation::read(&entry.event) {
            None => return false,
            Some(Err(why)) => tracing::warn!(event = %entry.event.id, %why, "its tokens are accepted"),
            Some(Ok(revocation)) => {
                let user = revocation.user.clone();
                // First, so that whoever comes now is refused, and then those who are here.
                self.revocations.hear(revocation, self.clock.now());
                for (_, open) in self.sessions.select(&Selector { user: Some(&user), ..Selector::default() })
                {
                    open.queue.order(Order::CheckToken);
                }
            }
        }
        true
    }

    fn carry_out(&self, instruction: &Instruction, kept_at: Timestamp) {
        let mut open = self.meant(instruction.whom());
        open.retain(|(_, open)| open.connected_at.millis_since(kept_at) < LATER_MILLIS);
        if let Instruction::Disconnect { except, .. } = instruction {
            let spared: Vec<ClientId> = except.iter().filter_map(|id| self.sessions.client_of(id)).collect();
            open.retain(|(id, _)| !spared.contains(id));
        }
        tracing::debug!(order = instruction.word(), sessions = open.len(), "an order from elsewhere");
        counter!("realtime_edge_instructions_total", "kind" => instruction.word(), "count" => "orders")
            .increment(1);
        counter!("realtime_edge_instructions_total", "kind" => instruction.word(), "count" => "sessions")
            .increment(open.len() as u64);
        for (_, open) in open {
            let queue = &open.queue;
            match instruction {
                Instruction::Disconnect { code, reason, .. } => {
                    let close = Code::Disconnected.because(reason.clone());
                    let close = code.map_or(close.clone(), |code| close.numbered(code));
                    queue.order(Order::End(close));
                }
                Instruction::Subscribe { channel, until, .. } => {
                    queue.order(Order::Subscribe(channel.clone(), *until));
                }
                Instruction::Unsubscribe { channel, .. } => queue.order(Order::Unsubscribe(channel.clone())),
                Instruction::Refresh { until: Some(until), .. } => queue.order(Order::ExpireAt(*until)),
                Instruction::Refresh { until: None, .. } => queue.order(Order::End(Code::Expired.into())),
            }
        }
    }

    /// The sessions of this edge that are meant.
    fn meant(&self, whom: &Whom) -> Vec<(ClientId, Open)> {
        let client = whom.client.as_deref().map(|name| self.sessions.client_of(name));
        if let Some(None) = client {
            // It is another edge's.
            return Vec::new();
        }
        self.sessions.select(&Selector {
            user: whom.user.as_deref(),
            client: client.flatten(),
            secret: whom.session.as_deref(),
            channel: None,
        })
    }
}
