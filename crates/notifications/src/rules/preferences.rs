//! What a user wants: which ways for which category, quiet hours, a time zone, a language.

use std::collections::{BTreeMap, BTreeSet};

use chrono_tz::Tz;
use platepal_events::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    kinds::{Category, Way},
    quiet::QuietHours,
};

/// A user's wishes. Whoever said nothing gets everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Preferences {
    #[serde(default)]
    pub(crate) muted: BTreeMap<Category, BTreeSet<Way>>,
    #[serde(default)]
    pub(crate) quiet_hours: Option<QuietHours>,
    /// Of the IANA database; empty: UTC.
    #[serde(default)]
    pub(crate) time_zone: String,
    /// Empty: that of the settings.
    #[serde(default)]
    pub(crate) language: String,
    /// Microseconds since 1970.
    #[serde(default)]
    pub(crate) snoozed_until: Option<i64>,
}

impl Preferences {
    pub(crate) fn mutes(&self, category: Category, way: Way) -> bool {
        self.muted.get(&category).is_some_and(|ways| ways.contains(&way))
    }

    /// A zone that is not known any more is UTC.
    pub(crate) fn zone(&self) -> Tz {
        self.time_zone.parse().unwrap_or(Tz::UTC)
    }

    /// Until when nobody is to be disturbed, if that is so at a moment.
    pub(crate) fn disturb_at(&self, now: Timestamp) -> Timestamp {
        let snoozed =
            self.snoozed_until.map(Timestamp::from_micros).filter(|until| *until > now).unwrap_or(now);
        let quiet = self.quiet_hours.and_then(|quiet| quiet.end(snoozed, self.zone()));
        quiet.unwrap_or(snoozed)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_snooze_that_ends_at_night_lasts_until_the_morning() {
        let preferences = Preferences {
            quiet_hours: Some(QuietHours { from: 22 * 60, to: 7 * 60 }),
            snoozed_until: Some("2026-01-10T23:00:00Z".parse::<Timestamp>().unwrap().micros()),
            ..Preferences::default()
        };
        let at = |text: &str| preferences.disturb_at(text.parse().unwrap()).to_string();
        assert_eq!(at("2026-01-10T12:00:00Z"), "2026-01-11T07:00:00.000000+00:00");
        assert_eq!(at("2026-01-11T12:00:00Z"), "2026-01-11T12:00:00.000000+00:00");
    }
}
