//! Notifications and preferences: from the wire, with a clear error for each field, and back.

use std::collections::{BTreeMap, BTreeSet};

use platepal_events::Timestamp;
use platepal_proto::v1;
use platepal_service::grpc::{fields, invalid};
use serde_json::{Map, Value};
use tonic::Status;

use crate::{
    rules::{
        kinds::{self, Category, Priority, Way},
        payload::Notification,
        preferences::Preferences,
        quiet::{DAY_MINUTES, QuietHours},
        templates::{MESSAGE_CHARS_MAX, TITLE_CHARS_MAX},
    },
    store::inbox::New,
};

/// The largest data, in bytes.
const DATA_BYTES_MAX: usize = 16 * 1024;
/// The longest key, in characters.
const KEY_CHARS_MAX: usize = 128;
/// The longest language, in characters.
const LANGUAGE_CHARS_MAX: usize = 16;
/// The longest time for which a push is of use: four weeks, as push services keep none longer.
const TTL_SECONDS_MAX: i64 = 28 * 24 * 3_600;

pub(super) fn new(request: v1::NotifyRequest, traceparent: String) -> Result<New, Status> {
    let (category, priority) = (request.category(), request.priority());
    let ways: Vec<v1::Way> = request.ways().collect();
    let v1::NotifyRequest { user_id, r#type, title, message, data, dedupe_key, collapse_key, ttl, .. } =
        request;
    fields::id("user_id", &user_id)?;
    if !kinds::is_type(&r#type) {
        return Err(invalid("type", "must be 1-64 characters of A-Z 0-9 _"));
    }
    fields::text("title", &title, TITLE_CHARS_MAX)?;
    fields::text("message", &message, MESSAGE_CHARS_MAX)?;
    fields::text("dedupe_key", &dedupe_key, KEY_CHARS_MAX)?;
    fields::text("collapse_key", &collapse_key, KEY_CHARS_MAX)?;
    let words = match (title.is_empty(), message.is_empty()) {
        (true, true) => None,
        (true, false) => return Err(invalid("title", "must be set when there is a message")),
        (false, _) => Some((title, message)),
    };
    let defaults = kinds::defaults(&r#type);
    Ok(New {
        user_id,
        category: Category::from_message(category).unwrap_or(defaults.0),
        priority: Priority::from_message(priority).unwrap_or(defaults.1),
        kind: r#type,
        words,
        data: object(&data)?,
        dedupe_key: Some(dedupe_key).filter(|key| !key.is_empty()),
        collapse_key,
        ways: self::ways("ways", &ways)?.unwrap_or_else(|| BTreeSet::from([Way::Push])),
        ttl: self::ttl(ttl)?,
        traceparent,
    })
}

fn object(data: &[u8]) -> Result<Map<String, Value>, Status> {
    if data.len() > DATA_BYTES_MAX {
        return Err(invalid("data", format!("{} bytes, the limit is {DATA_BYTES_MAX}", data.len())));
    }
    if data.is_empty() {
        return Ok(Map::new());
    }
    let object: Map<String, Value> = serde_json::from_slice(data)
        .map_err(|why| invalid("data", format!("must be a JSON object: {why}")))?;
    // PostgreSQL keeps no such text; in JSON it is written with a backslash.
    if data.windows(6).any(|six| six == b"\\u0000") {
        return Err(invalid("data", "must not have the character U+0000"));
    }
    Ok(object)
}

/// `None`: none is named.
fn ways(field: &str, ways: &[v1::Way]) -> Result<Option<BTreeSet<Way>>, Status> {
    let known = ways.iter().map(|way| {
        let own = Way::from_message(*way).filter(|way| *way != Way::Socket);
        own.ok_or_else(|| invalid(field, "must be PUSH, EMAIL or SMS"))
    });
    let known = known.collect::<Result<BTreeSet<_>, _>>()?;
    Ok(Some(known).filter(|known| !known.is_empty()))
}

fn ttl(ttl: Option<prost_types::Duration>) -> Result<Option<i64>, Status> {
    match ttl {
        None => Ok(None),
        Some(ttl) if (0..=TTL_SECONDS_MAX).contains(&ttl.seconds) && ttl.nanos >= 0 => Ok(Some(ttl.seconds)),
        Some(_) => Err(invalid("ttl", "must be from 0 to 28 days")),
    }
}

pub(super) fn message(notification: Notification) -> v1::Notification {
    let at = |micros| Timestamp::from_micros(micros).into();
    v1::Notification {
        id: notification.id.unsigned_abs(),
        user_id: notification.user_id,
        r#type: notification.kind,
        title: notification.title,
        message: notification.message,
        data: notification.data.into_bytes().into(),
        category: notification.category.to_message().into(),
        priority: notification.priority.to_message().into(),
        created_at: Some(at(notification.created_at)),
        read_at: notification.read_at.map(at),
        sequence: notification.sequence.unsigned_abs(),
    }
}

pub(super) fn preferences(message: v1::Preferences) -> Result<Preferences, Status> {
    let mut muted: BTreeMap<Category, BTreeSet<Way>> = BTreeMap::new();
    for one in &message.muted {
        let category = Category::from_message(one.category()).ok_or_else(|| {
            invalid("preferences.muted.category", "must be a category that this version knows")
        })?;
        let named: Vec<v1::Way> = one.ways().collect();
        let ways = ways("preferences.muted.ways", &named)?
            .ok_or_else(|| invalid("preferences.muted.ways", "must name at least one"))?;
        muted.entry(category).or_default().extend(ways);
    }
    let quiet_hours = message.quiet_hours.map(|hours| match hours {
        v1::QuietHours { from, to } if from < DAY_MINUTES && to < DAY_MINUTES => Ok(QuietHours { from, to }),
        _ => Err(invalid("preferences.quiet_hours", "must be minutes since midnight, 0 to 1439")),
    });
    if !message.time_zone.is_empty() && message.time_zone.parse::<chrono_tz::Tz>().is_err() {
        return Err(invalid(
            "preferences.time_zone",
            "must be a zone of the IANA database, e.g. Europe/Helsinki",
        ));
    }
    let is_tag = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if message.language.len() > LANGUAGE_CHARS_MAX || !message.language.bytes().all(is_tag) {
        return Err(invalid("preferences.language", "must be like en or de-AT"));
    }
    let snoozed_until = fields::maybe_moment("preferences.snoozed_until", message.snoozed_until)?;
    Ok(Preferences {
        muted,
        quiet_hours: quiet_hours.transpose()?,
        time_zone: message.time_zone,
        language: message.language,
        snoozed_until: snoozed_until.map(Timestamp::micros),
    })
}

pub(super) fn preferences_message(preferences: Preferences) -> v1::Preferences {
    let muted = preferences.muted.into_iter().map(|(category, ways)| v1::Muted {
        category: category.to_message().into(),
        ways: ways.into_iter().map(|way| way.to_message().into()).collect(),
    });
    v1::Preferences {
        muted: muted.collect(),
        quiet_hours: preferences.quiet_hours.map(|QuietHours { from, to }| v1::QuietHours { from, to }),
        time_zone: preferences.time_zone,
        language: preferences.language,
        snoozed_until: preferences.snoozed_until.map(|micros| Timestamp::from_micros(micros).into()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use platepal_service::grpc::blamed_field;

    use super::*;

    fn request() -> v1::NotifyRequest {
        v1::NotifyRequest { user_id: "7".into(), r#type: "SYSTEM".into(), ..Default::default() }
    }

    #[test]
    fn each_error_names_its_field() {
        let cases = [
            (v1::NotifyRequest { user_id: String::new(), ..request() }, "user_id"),
            (v1::NotifyRequest { r#type: "system".into(), ..request() }, "type"),
            (v1::NotifyRequest { title: "x".repeat(121), ..request() }, "title"),
            (v1::NotifyRequest { message: "x".into(), ..request() }, "title"),
            (v1::NotifyRequest { title: "x".into(), message: "\0".into(), ..request() }, "message"),
            (v1::NotifyRequest { data: "[1]".into(), ..request() }, "data"),
            (v1::NotifyRequest { data: r#"{"a":"\u0000"}"#.into(), ..request() }, "data"),
            (v1::NotifyRequest { data: vec![b' '; DATA_BYTES_MAX + 1].into(), ..request() }, "data"),
            (v1::NotifyRequest { dedupe_key: "x".repeat(129), ..request() }, "dedupe_key"),
            (v1::NotifyRequest { collapse_key: "x".repeat(129), ..request() }, "collapse_key"),
            (v1::NotifyRequest { ways: vec![v1::Way::Socket.into()], ..request() }, "ways"),
            (
                v1::NotifyRequest { ttl: Some(prost_types::Duration { seconds: -1, nanos: 0 }), ..request() },
                "ttl",
            ),
        ];
        for (message, field) in cases {
            let status = new(message, String::new()).unwrap_err();
            assert_eq!(status.code(), tonic::Code::InvalidArgument);
            assert_eq!(blamed_field(&status), field, "{status}");
        }
        let made = new(request(), String::new()).unwrap();
        assert_eq!((made.ways, made.words), (BTreeSet::from([Way::Push]), None));
    }

    #[test]
    fn wishes_that_can_not_be_are_refused_by_name() {
        let hours = |from, to| Some(v1::QuietHours { from, to });
        let muted =
            |category: v1::Category, ways: Vec<i32>| vec![v1::Muted { category: category.into(), ways }];
        let cases = [
            (
                v1::Preferences { time_zone: "Mars/Olympus".into(), ..Default::default() },
                "preferences.time_zone",
            ),
            (
                v1::Preferences { quiet_hours: hours(1_440, 0), ..Default::default() },
                "preferences.quiet_hours",
            ),
            (v1::Preferences { language: "e n".into(), ..Default::default() }, "preferences.language"),
            (
                v1::Preferences { muted: muted(v1::Category::Unspecified, vec![1]), ..Default::default() },
                "preferences.muted.category",
            ),
            (
                v1::Preferences { muted: muted(v1::Category::Orders, vec![]), ..Default::default() },
                "preferences.muted.ways",
            ),
        ];
        for (message, field) in cases {
            assert_eq!(blamed_field(&preferences(message).unwrap_err()), field);
        }
        let full = v1::Preferences {
            muted: muted(v1::Category::Promotions, vec![v1::Way::Push.into(), v1::Way::Sms.into()]),
            quiet_hours: hours(1_320, 420),
            time_zone: "Europe/Helsinki".into(),
            language: "de".into(),
            snoozed_until: Some(prost_types::Timestamp { seconds: 5, nanos: 0 }),
        };
        assert_eq!(preferences_message(preferences(full.clone()).unwrap()), full);
    }
}
