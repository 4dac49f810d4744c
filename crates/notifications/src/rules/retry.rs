//! When a push that did not go out is tried again.

/// The first wait, in milliseconds; it doubles.
const FIRST_MILLIS: i64 = 2_000;
/// The longest.
const LONGEST_MILLIS: i64 = 10 * 60 * 1_000;

/// Milliseconds until the next attempt after so many; `None`: given up. `asked` is what the service asks for,
/// `jitter` between 0 and 1 spreads those that failed together.
pub(crate) fn wait(attempts: i64, attempts_max: i64, asked: Option<i64>, jitter: f64) -> Option<i64> {
    if attempts >= attempts_max {
        return None;
    }
    let doublings = u32::try_from((attempts - 1).clamp(0, 30)).unwrap_or_default();
    let wait = FIRST_MILLIS.saturating_mul(1_i64 << doublings).min(LONGEST_MILLIS);
    let spread = (wait as f64 * (0.5 + jitter.clamp(0.0, 1.0) / 2.0)).round() as i64;
    Some(asked.unwrap_or_default().max(spread))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_ten_minutes_and_end() {
        let waits: Vec<_> = (1..=5).map(|attempts| wait(attempts, 5, None, 1.0)).collect();
        assert_eq!(waits, [Some(2_000), Some(4_000), Some(8_000), Some(16_000), None]);
        assert_eq!(wait(50, 100, None, 1.0), Some(600_000));
        assert_eq!(wait(1, 5, None, 0.0), Some(1_000));
    }

    #[test]
    fn what_the_service_asks_for_is_waited_at_least() {
        assert_eq!(wait(1, 5, Some(120_000), 0.5), Some(120_000));
        assert_eq!(wait(4, 5, Some(10), 1.0), Some(16_000));
    }
}
