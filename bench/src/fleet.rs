//! Riders who drive: each on a shift with a delivery of a customer of its own, to and fro on a street of Helsinki.
//!
//! Rider, delivery and customer have the same number, from 1.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::ensure;
use platepal_events::Timestamp;
use platepal_proto::v1::{self, DeliveryStatus, FixOutcome};
use platepal_testkit::{Clients, Tier};
use tokio::task::JoinSet;

use crate::machine;

/// Connections to the gateway.
const CONNECTIONS: usize = 8;
/// Calls under way while the fleet is made.
const MAKING: u64 = 128;
/// A courier's pace, metres per second.
const PACE: f64 = 8.0;
/// Length of the street, metres.
const STREET_M: f64 = 1_200.0;
/// Its southern end, and how far apart streets are, degrees: within the map of the roads' tests.
const SOUTH: f64 = 60.164_5;
const WEST: f64 = 24.936;
const STREETS: u64 = 200;
const STREET_APART: f64 = 0.000_08;
/// Metres of a degree of latitude.
const DEGREE_M: f64 = 111_195.0;
/// Shifts began so long ago.
const SHIFT_SECONDS: i64 = 3_600;
/// A call that takes longer has failed.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Riders of one tier. Cheap to clone.
#[derive(Clone)]
pub struct Fleet {
    clients: Arc<Vec<Clients>>,
    riders: u64,
    tally: Arc<Tally>,
}

/// What became of the fixes.
#[derive(Debug, Default)]
pub struct Tally {
    /// Answered as shown or kept.
    pub kept: AtomicU64,
    /// Answered in another way.
    pub refused: AtomicU64,
}

impl Fleet {
    /// Starts the shifts, and a delivery for each rider, on its way to the customer.
    pub async fn start(tier: &Tier, riders: u64) -> anyhow::Result<Self> {
        let clients = (0..CONNECTIONS).map(|_| tier.grpc()).collect();
        let fleet = Self { clients: Arc::new(clients), riders, tally: Arc::default() };
        let next = Arc::new(AtomicU64::new(1));
        let mut makers = JoinSet::new();
        for _ in 0..MAKING {
            let (fleet, next) = (fleet.clone(), Arc::clone(&next));
            makers.spawn(async move {
                loop {
                    let rider = next.fetch_add(1, Ordering::Relaxed);
                    if rider > fleet.riders {
                        return anyhow::Ok(());
                    }
                    fleet.make(rider).await?;
                }
            });
        }
        while let Some(done) = makers.join_next().await {
            done??;
        }
        Ok(fleet)
    }

    async fn make(&self, rider: u64) -> anyhow::Result<()> {
        let mut tracking = self.clients(rider).tracking();
        let at = Some(machine::now().plus_millis(-SHIFT_SECONDS * 1_000).into());
        tracking.start_shift(v1::StartShiftRequest { rider_id: rider.to_string(), at }).await?;
        let longitude = longitude(rider);
        let delivery = v1::Delivery {
            delivery_id: rider.to_string(),
            order_id: rider.to_string(),
            status: DeliveryStatus::InTransit.into(),
            customer_id: rider.to_string(),
            restaurant_id: (1 + rider % 500).to_string(),
            rider_id: rider.to_string(),
            pickup: Some(v1::Place { latitude: SOUTH - 0.005, longitude }),
            dropoff: Some(v1::Place { latitude: SOUTH + STREET_M / DEGREE_M + 0.003, longitude }),
            version: 1,
            ..Default::default()
        };
        let put = v1::PutDeliveryRequest {
            event_id: String::new(),
            delivery: Some(delivery),
            channels: Vec::new(),
        };
        tracking.put_delivery(put).await?;
        Ok(())
    }

    /// How many there are.
    pub fn riders(&self) -> u64 {
        self.riders
    }

    /// What became of the fixes so far.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    fn clients(&self, rider: u64) -> &Clients {
        let index = usize::try_from(rider).unwrap_or_default() % self.clients.len().max(1);
        // There is one at least.
        self.clients.get(index).unwrap_or_else(|| unreachable!("a fleet has connections"))
    }

    /// Every rider sends a fix in each interval, spread evenly over it, until the time is over; each fix is recorded
    /// when it is sent.
    pub async fn drive(&self, interval: Duration, time: Duration) -> anyhow::Result<()> {
        let began = Instant::now();
        let pause = interval.div_f64(self.riders as f64);
        let mut calls = JoinSet::new();
        for number in 0_u64.. {
            let due = pause.mul_f64(number as f64);
            if due >= time {
                break;
            }
            tokio::time::sleep_until((began + due).into()).await;
            let (fleet, rider) = (self.clone(), 1 + number % self.riders);
            calls.spawn(async move {
                let now = machine::now();
                fleet.report(fleet.message(rider, 0, 1, now)).await
            });
            while let Some(done) = calls.try_join_next() {
                done??;
            }
        }
        while let Some(done) = calls.join_next().await {
            done??;
        }
        Ok(())
    }

    /// Sends as fast as it is answered: `fixes` of a rider in each call, so many calls under way. They are recorded a
    /// second apart, the last about now. Returns how many were sent.
    pub async fn rush(&self, fixes: u64, calls: u64, in_flight: u64) -> anyhow::Result<u64> {
        let next = Arc::new(AtomicU64::new(0));
        let rounds = calls.div_ceil(self.riders);
        let first = machine::now().plus_millis(-i64::try_from(rounds * fixes)? * 1_000);
        let mut callers = JoinSet::new();
        for _ in 0..in_flight {
            let (fleet, next) = (self.clone(), Arc::clone(&next));
            callers.spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= calls {
                        return anyhow::Ok(());
                    }
                    let (rider, round) = (1 + number % fleet.riders, number / fleet.riders);
                    fleet.report(fleet.message(rider, round, fixes, first)).await?;
                }
            });
        }
        while let Some(done) = callers.join_next().await {
            done??;
        }
        Ok(calls * fixes)
    }

    /// The same over one stream of each connection.
    pub async fn relay(&self, fixes: u64, calls: u64) -> anyhow::Result<u64> {
        let rounds = calls.div_ceil(self.riders);
        let first = machine::now().plus_millis(-i64::try_from(rounds * fixes)? * 1_000);
        let connections = self.clients.len() as u64;
        let mut relays = JoinSet::new();
        for connection in 0..connections {
            let fleet = self.clone();
            relays.spawn(async move {
                let (riders, of_round) = (fleet.riders, fleet.clone());
                // Riders of this connection only: those of one rider stay in order.
                let messages = (0..calls)
                    .filter(move |number| (1 + number % riders) % connections == connection)
                    .map(move |number| {
                        let (rider, round) = (1 + number % riders, number / riders);
                        of_round.message(rider, round, fixes, first)
                    });
                let mut tracking = fleet.clients(connection).tracking();
                let mut answers = tracking.stream_fixes(tokio_stream::iter(messages)).await?.into_inner();
                while let Some(answer) = tokio::time::timeout(TIMEOUT, answers.message()).await?? {
                    fleet.count(&answer)?;
                }
                anyhow::Ok(())
            });
        }
        while let Some(done) = relays.join_next().await {
            done??;
        }
        Ok(calls * fixes)
    }

    /// Fixes of a rider, a second apart.
    fn message(&self, rider: u64, round: u64, fixes: u64, first: Timestamp) -> v1::ReportFixesRequest {
        let of_round = |index: u64| {
            let seconds = round * fixes + index;
            let at = first.plus_millis(i64::try_from(seconds).unwrap_or_default() * 1_000);
            fix(rider, at.micros() as f64 / 1e6, at)
        };
        v1::ReportFixesRequest { rider_id: rider.to_string(), fixes: (0..fixes).map(of_round).collect() }
    }

    async fn report(&self, request: v1::ReportFixesRequest) -> anyhow::Result<()> {
        let rider = request.rider_id.parse().unwrap_or_default();
        let mut tracking = self.clients(rider).tracking();
        let answer = tokio::time::timeout(TIMEOUT, tracking.report_fixes(request)).await??.into_inner();
        self.count(&answer)
    }

    fn count(&self, answer: &v1::ReportFixesResponse) -> anyhow::Result<()> {
        for answer in &answer.answers {
            match answer.outcome() {
                FixOutcome::Shown | FixOutcome::Kept => self.tally.kept.fetch_add(1, Ordering::Relaxed),
                _ => self.tally.refused.fetch_add(1, Ordering::Relaxed),
            };
        }
        ensure!(!answer.answers.is_empty(), "fixes were not answered");
        Ok(())
    }
}

fn longitude(rider: u64) -> f64 {
    WEST + (rider % STREETS) as f64 * STREET_APART
}

/// Where a rider is at a moment: at an even pace to and fro.
fn fix(rider: u64, seconds: f64, at: Timestamp) -> v1::Fix {
    let way = (seconds + rider as f64 * 7.0) * PACE % (2.0 * STREET_M);
    let (metres, heading) = if way < STREET_M { (way, 0.0) } else { (2.0 * STREET_M - way, 180.0) };
    v1::Fix {
        latitude: SOUTH + metres / DEGREE_M,
        longitude: longitude(rider),
        accuracy: 6.0,
        heading: Some(heading),
        speed: Some(PACE),
        battery_level: Some(80.0),
        recorded_at: Some(at.into()),
    }
}
