//! How much and how often: buckets of tokens that fill with time.
//!
//! Pure: the moment is passed in, nothing waits here.

use std::time::Duration;

use rand::Rng;
use tokio::time::Instant;

/// Messages over the limit that are answered before the client is closed.
const WARNINGS: u16 = 50;
/// How much sooner than its time a connection may be told to reconnect, as a share of it.
const LIFETIME_SPREAD: f64 = 0.2;

/// What to do with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    Admit,
    /// Answer with an error frame.
    Warn,
    /// Close: it was warned often enough.
    Close,
}

/// One connection's rate. Small, as there is one per connection.
#[derive(Debug)]
pub(crate) struct Rate {
    tokens: f32,
    at: Instant,
    warnings: u16,
}

impl Rate {
    pub fn new(burst: u32, now: Instant) -> Self {
        Self { tokens: burst as f32, at: now, warnings: 0 }
    }

    pub fn admit(&mut self, per_second: u32, burst: u32, now: Instant) -> Admission {
        let filled = now.saturating_duration_since(self.at).as_secs_f32() * per_second as f32;
        self.at = now;
        self.tokens = (self.tokens + filled).min(burst as f32);
        if self.tokens >= burst as f32 {
            self.warnings = 0;
        }
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return Admission::Admit;
        }
        self.warnings = self.warnings.saturating_add(1);
        if self.warnings > WARNINGS { Admission::Close } else { Admission::Warn }
    }

    /// A ping or a pong: it costs as much as a message. Over the limit nothing is answered, as an answer would
    /// be a third frame for one; true: it was too many for too long, close.
    pub fn is_flooded(&mut self, per_second: u32, burst: u32, now: Instant) -> bool {
        self.admit(per_second, burst, now) == Admission::Close
    }
}

/// When a connection that began now has lived long enough. Those that came together do not go together.
pub(crate) fn end_of_life(
    lifetime_max: Option<Duration>,
    now: Instant,
    rng: &mut impl Rng,
) -> Option<Instant> {
    let share = 1.0 - rng.random_range(0.0..LIFETIME_SPREAD);
    now.checked_add(lifetime_max?.mul_f64(share))
}

/// So many a second, and so many at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Allowance {
    pub per_second: u32,
    pub burst: u32,
}

impl Allowance {
    /// The time in which one is earned.
    fn gap(self) -> Duration {
        Duration::from_secs(1) / self.per_second.max(1)
    }
}

/// What is left of an allowance that many share, as the moment at which nothing of it is used any more. A bucket
/// of tokens in one number: what comes too early can be given the moment at which it is on time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    full_at: Instant,
}

impl Pace {
    pub fn new(now: Instant) -> Self {
        Self { full_at: now }
    }

    /// Takes one, and how long to wait for it. The error is how long it would be, if that is more than `patience`;
    /// then nothing is taken.
    pub fn reserve(
        &mut self,
        allowance: Allowance,
        now: Instant,
        patience: Duration,
    ) -> Result<Duration, Duration> {
        let full_at = self.full_at.max(now) + allowance.gap();
        let wait = full_at.saturating_duration_since(now + allowance.gap() * allowance.burst.max(1));
        if wait > patience {
            return Err(wait);
        }
        self.full_at = full_at;
        Ok(wait)
    }

    /// What was taken is not used.
    pub fn give_back(&mut self, allowance: Allowance) {
        self.full_at = self.full_at.checked_sub(allowance.gap()).unwrap_or(self.full_at);
    }

    /// Whether nothing of the allowance is used.
    pub fn is_full(&self, now: Instant) -> bool {
        self.full_at <= now
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn a_burst_is_admitted_then_warned_then_closed_and_a_pause_forgives() {
        let start = Instant::now();
        let mut rate = Rate::new(3, start);
        let outcomes: Vec<Admission> = (0..54).map(|_| rate.admit(1, 3, start)).collect();
        assert_eq!(outcomes.iter().filter(|o| **o == Admission::Admit).count(), 3);
        assert_eq!(outcomes.iter().filter(|o| **o == Admission::Warn).count(), 50);
        assert_eq!(outcomes.last(), Some(&Admission::Close));
        assert_eq!(rate.admit(1, 3, start + Duration::from_secs(4)), Admission::Admit);
        assert_eq!(rate.warnings, 0);
    }

    #[test]
    fn pings_cost_what_messages_cost() {
        let start = Instant::now();
        let mut rate = Rate::new(3, start);
        assert!((0..53).all(|_| !rate.is_flooded(1, 3, start)));
        assert_eq!(rate.admit(1, 3, start), Admission::Close);
        assert!(rate.is_flooded(1, 3, start));
        // A client that pings in time does so for ever.
        let mut rate = Rate::new(3, start);
        assert!((0..1_000).all(|n| !rate.is_flooded(1, 3, start + Duration::from_secs(n))));
    }

    #[test]
    fn connections_that_came_together_do_not_go_together() {
        let (now, day) = (Instant::now(), Duration::from_secs(86_400));
        let mut rng = rand::rngs::SmallRng::seed_from_u64(1);
        let mut ends: Vec<Duration> =
            (0..100).map(|_| end_of_life(Some(day), now, &mut rng).unwrap() - now).collect();
        ends.sort();
        ends.dedup();
        assert_eq!(ends.len(), 100);
        assert!(ends.iter().all(|end| *end > day.mul_f64(0.79) && *end <= day));
        assert_eq!(end_of_life(None, now, &mut rng), None);
    }

    proptest! {
        #[test]
        fn in_no_time_more_pass_than_were_allowed(
            per_second in 1_u32..1_000,
            burst in 1_u32..50,
            patience_ms in 0_u64..500,
            steps_ms in proptest::collection::vec(0_u64..40, 1..200),
        ) {
            let allowance = Allowance { per_second, burst };
            let patience = Duration::from_millis(patience_ms);
            let start = Instant::now();
            let (mut now, mut pace, mut passed) = (start, Pace::new(start), Vec::new());
            for step in steps_ms {
                now += Duration::from_millis(step);
                match pace.reserve(allowance, now, patience) {
                    Ok(wait) => {
                        prop_assert!(wait <= patience);
                        passed.push((now + wait) - start);
                    }
                    Err(wait) => prop_assert!(wait > patience),
                }
            }
            passed.sort();
            for (first, from) in passed.iter().enumerate() {
                for (last, to) in passed.iter().enumerate().skip(first) {
                    let earned = (*to - *from).as_secs_f64() * f64::from(per_second);
                    prop_assert!((last - first + 1) as f64 <= f64::from(burst) + earned + 1e-3 + 1.0);
                }
            }
        }
    }
}
