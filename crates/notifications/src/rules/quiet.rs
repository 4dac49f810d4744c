//! Hours in which nobody wants to be woken, in the user's own time: they may span midnight, and days on which clocks
//! change have an hour more or less.

use chrono::{DateTime, Days, LocalResult, NaiveDateTime, NaiveTime, TimeDelta, TimeZone, Timelike, Utc};
use chrono_tz::Tz;
use platepal_events::Timestamp;
use serde::{Deserialize, Serialize};

/// Minutes of a day.
pub(crate) const DAY_MINUTES: u32 = 24 * 60;

/// From one minute of the day until another, without it. `from` after `to` spans midnight; both the same: never.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct QuietHours {
    pub(crate) from: u32,
    pub(crate) to: u32,
}

impl QuietHours {
    /// When it is quiet no more, if it is quiet at a moment.
    pub(crate) fn end(self, at: Timestamp, zone: Tz) -> Option<Timestamp> {
        let local = local(at, zone);
        let minute = local.time().hour() * 60 + local.time().minute();
        let (is_quiet, ends_tomorrow) = match (self.from, self.to) {
            (from, to) if from < to => ((from..to).contains(&minute), false),
            (from, to) if from > to => (minute >= from || minute < to, minute >= from),
            _ => (false, false),
        };
        if !is_quiet {
            return None;
        }
        let day = if ends_tomorrow { local.date().checked_add_days(Days::new(1))? } else { local.date() };
        let time = NaiveTime::from_hms_opt(self.to / 60, self.to % 60, 0)?;
        let end = moment(day.and_time(time), zone)?;
        // The hour that comes twice may have its end behind it.
        (end > at).then_some(end).or_else(|| Some(at.plus_millis(60_000)))
    }
}

/// The date in a zone, as text.
pub(crate) fn day(at: Timestamp, zone: Tz) -> String {
    local(at, zone).date().to_string()
}

fn local(at: Timestamp, zone: Tz) -> NaiveDateTime {
    let utc = DateTime::<Utc>::from_timestamp_micros(at.micros()).unwrap_or_default();
    utc.with_timezone(&zone).naive_local()
}

/// The moment at which clocks show a time: of two the later one, so that nobody is woken early; of none, as the clocks
/// were put forward over it, the first after.
fn moment(local: NaiveDateTime, zone: Tz) -> Option<Timestamp> {
    let mut shown = local;
    // No clock is put forward by more than a day.
    for _ in 0..=DAY_MINUTES / 15 {
        match zone.from_local_datetime(&shown) {
            LocalResult::Single(at) => return Some(Timestamp::from_micros(at.timestamp_micros())),
            LocalResult::Ambiguous(_, later) => {
                return Some(Timestamp::from_micros(later.timestamp_micros()));
            }
            LocalResult::None => shown = shown.checked_add_signed(TimeDelta::minutes(15))?,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    const NIGHT: QuietHours = QuietHours { from: 22 * 60, to: 7 * 60 };

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn helsinki(quiet: QuietHours, moment: &str) -> Option<String> {
        quiet.end(at(moment), chrono_tz::Europe::Helsinki).map(|end| end.to_string())
    }

    #[test]
    fn a_night_spans_midnight() {
        // Two hours ahead of UTC in winter.
        assert_eq!(helsinki(NIGHT, "2026-01-10T19:59:59Z"), None);
        let seven = Some("2026-01-11T05:00:00.000000+00:00".to_owned());
        assert_eq!(helsinki(NIGHT, "2026-01-10T20:00:00Z"), seven);
        assert_eq!(helsinki(NIGHT, "2026-01-11T04:59:59Z"), seven);
        assert_eq!(helsinki(NIGHT, "2026-01-11T05:00:00Z"), None);
    }

    #[test]
    fn the_nights_on_which_clocks_change_end_by_the_clock() {
        // On 29 March 2026 clocks go from 3 to 4, on 25 October from 4 back to 3.
        assert_eq!(helsinki(NIGHT, "2026-03-28T21:00:00Z").unwrap(), "2026-03-29T04:00:00.000000+00:00");
        assert_eq!(helsinki(NIGHT, "2026-10-24T21:00:00Z").unwrap(), "2026-10-25T05:00:00.000000+00:00");
        // An end that no clock shows is the first moment after; of one that is shown twice, the later.
        let to_half_past_three = QuietHours { to: 3 * 60 + 30, ..NIGHT };
        assert_eq!(
            helsinki(to_half_past_three, "2026-03-28T22:00:00Z").unwrap(),
            "2026-03-29T01:00:00.000000+00:00"
        );
        assert_eq!(
            helsinki(to_half_past_three, "2026-10-24T22:00:00Z").unwrap(),
            "2026-10-25T01:30:00.000000+00:00"
        );
    }

    #[test]
    fn a_siesta_is_within_a_day_and_the_same_minute_twice_is_never() {
        let siesta = QuietHours { from: 13 * 60, to: 15 * 60 };
        assert_eq!(helsinki(siesta, "2026-01-10T12:00:00Z").unwrap(), "2026-01-10T13:00:00.000000+00:00");
        assert_eq!(helsinki(siesta, "2026-01-10T10:59:00Z"), None);
        assert_eq!(helsinki(QuietHours { from: 60, to: 60 }, "2026-01-09T23:00:00Z"), None);
    }

    proptest! {
        #[test]
        fn it_ends_later_within_about_a_day_and_is_not_quiet_then(
            minutes in 0i64..2_000_000, from in 0u32..DAY_MINUTES, to in 0u32..DAY_MINUTES, zone in 0usize..6
        ) {
            let zones = [
                chrono_tz::UTC, chrono_tz::Europe::Helsinki, chrono_tz::America::New_York,
                chrono_tz::Australia::Lord_Howe, chrono_tz::Asia::Kolkata, chrono_tz::Pacific::Apia,
            ];
            let zone = zones.get(zone).copied().unwrap();
            let quiet = QuietHours { from, to };
            let now = at("2023-01-01T00:00:00Z").plus_millis(minutes * 60_000);
            if let Some(end) = quiet.end(now, zone) {
                prop_assert!(end > now);
                prop_assert!(end.millis_since(now) <= 26 * 3_600_000);
            }
        }
    }
}
