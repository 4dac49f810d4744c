//! How much one client may send: a bucket of tokens that fills with time.

use tokio::time::Instant;

/// Messages over the limit that are answered before the client is closed.
const WARNINGS: u16 = 50;

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
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
}
