//! How fast somebody may write: so many messages in a window that slides.

use platepal_events::Timestamp;

/// So many messages in a time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) messages: usize,
    pub(crate) window_millis: i64,
}

impl Pace {
    /// Whole seconds to wait until one more may be sent; `None`: it may be now. `newest_first` are the moments of at
    /// least the last [`Pace::messages`].
    pub(crate) fn wait(self, newest_first: &[Timestamp], now: Timestamp) -> Option<i64> {
        let oldest = newest_first.get(self.messages.saturating_sub(1))?;
        // A clock that went back makes nobody wait longer than the window.
        let age = now.millis_since(*oldest).max(0);
        (age < self.window_millis).then(|| (self.window_millis - age + 999) / 1_000)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    const PACE: Pace = Pace { messages: 10, window_millis: 10_000 };

    #[test]
    fn the_eleventh_message_in_ten_seconds_waits_for_the_first_to_be_ten_seconds_old() {
        let at = |millis: i64| Timestamp::from_micros(millis * 1_000);
        let sent: Vec<Timestamp> = (0..10).rev().map(|n| at(n * 100)).collect();
        assert_eq!(PACE.wait(&sent, at(1_000)), Some(9));
        assert_eq!(PACE.wait(&sent, at(9_999)), Some(1));
        assert_eq!(PACE.wait(&sent, at(10_000)), None);
        assert_eq!(PACE.wait(&sent[..9], at(1_000)), None);
        assert_eq!(PACE.wait(&sent, at(-5_000)), Some(10));
    }

    proptest! {
        #[test]
        fn who_waits_as_told_may_send_and_no_window_has_more_than_its_messages(gaps in proptest::collection::vec(0i64..3_000, 1..60)) {
            let (mut sent, mut now): (Vec<Timestamp>, i64) = (Vec::new(), 0);
            for gap in gaps {
                now += gap;
                let newest_first: Vec<Timestamp> = sent.iter().rev().take(10).copied().collect();
                if let Some(seconds) = PACE.wait(&newest_first, Timestamp::from_micros(now * 1_000)) {
                    now += seconds * 1_000;
                    prop_assert_eq!(PACE.wait(&newest_first, Timestamp::from_micros(now * 1_000)), None);
                }
                sent.push(Timestamp::from_micros(now * 1_000));
            }
            for eleven in sent.windows(11) {
                prop_assert!(eleven.last().unwrap().millis_since(*eleven.first().unwrap()) >= 10_000);
            }
        }
    }
}
