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
    /// Microseconds since 1970; as JSON a moment, as everywhere.
    #[serde(default, with = "moment")]
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

/// A moment as RFC 3339. What was kept before as microseconds is read, too.
mod moment {
    use platepal_events::Timestamp;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Text(String),
        Micros(i64),
    }

    #[allow(clippy::ref_option, reason = "serde wants it so")]
    pub(super) fn serialize<S: Serializer>(micros: &Option<i64>, serializer: S) -> Result<S::Ok, S::Error> {
        micros.map(|micros| Timestamp::from_micros(micros).to_string()).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
        match Option::<Written>::deserialize(deserializer)? {
            None => Ok(None),
            Some(Written::Micros(micros)) => Ok(Some(micros)),
            Some(Written::Text(text)) => {
                let moment: Timestamp = text.parse().map_err(D::Error::custom)?;
                Ok(Some(moment.micros()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn a_snooze_is_a_moment_in_json_and_was_microseconds_once() {
        let read = |json: &str| serde_json::from_str::<Preferences>(json).unwrap().snoozed_until;
        let micros = Some(1_795_519_800_000_000);
        assert_eq!(read(r#"{"snoozed_until":"2026-11-24T11:30:00Z"}"#), micros);
        assert_eq!(read(r#"{"snoozed_until":1795519800000000}"#), micros);
        assert_eq!((read(r#"{"snoozed_until":null}"#), read("{}")), (None, None));
        let written = serde_json::to_value(Preferences { snoozed_until: micros, ..Preferences::default() });
        assert_eq!(written.unwrap()["snoozed_until"], "2026-11-24T11:30:00.000000+00:00");
        assert!(serde_json::from_str::<Preferences>(r#"{"snoozed_until":"soon"}"#).is_err());
    }

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
