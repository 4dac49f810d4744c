//! Fixes as a client writes them: the `data` of a PlatePal frame.
//!
//! `{"latitude","longitude","accuracy","heading","speed","battery_level","recorded_at"}`, or a list of at most 1,000 of
//! them. Numbers may be texts, as Django's decimals are. What is not known is missing or null; without `accuracy` a fix
//! is taken for one of 30 m, without `recorded_at` it was recorded now. `recorded_at` is RFC 3339, or seconds since 1970.
//!
//! A fix of a list that is none costs the others nothing.

use platepal_events::Timestamp;
use serde_json::{Map, Value};

use super::fix::Fix;

/// The most fixes in one call.
pub(crate) const FIXES_MAX: usize = 1_000;
/// Accuracy of a fix that names none, in metres.
const ACCURACY_UNKNOWN_M: f64 = 30.0;
/// Seconds since 1970 above this are after the year 9999: somebody sent milliseconds.
const SECONDS_MAX: f64 = 253_402_300_799.0;

/// Why it is no fix. Names the field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WireError {
    #[error("data: not JSON: {0}")]
    Json(String),
    #[error("data: must be a fix {{\"latitude\":…,\"longitude\":…}} or a list of them")]
    Shape,
    #[error("data: the list is empty; send at least one fix")]
    Empty,
    #[error("data: {0} fixes, the limit is {FIXES_MAX}; send the rest in another frame")]
    TooMany(usize),
    #[error("{0}: is missing")]
    Missing(&'static str),
    #[error("{0}: must be a number")]
    Number(&'static str),
    #[error("recorded_at: must be RFC 3339, as 2026-11-24T11:30:00Z, or seconds since 1970")]
    Moment,
    #[error("recorded_at: these are milliseconds; seconds since 1970 are expected")]
    Milliseconds,
}

/// Reads one fix, or a list of at most [`FIXES_MAX`]. A fix that is none has its own error.
pub(crate) fn decode(data: &[u8], now: Timestamp) -> Result<Vec<Result<Fix, WireError>>, WireError> {
    let value: Value = serde_json::from_slice(data).map_err(|why| WireError::Json(why.to_string()))?;
    match value {
        Value::Object(fields) => Ok(vec![Ok(fix(&fields, now)?)]),
        Value::Array(list) if list.is_empty() => Err(WireError::Empty),
        Value::Array(list) if list.len() > FIXES_MAX => Err(WireError::TooMany(list.len())),
        Value::Array(list) => Ok(list
            .iter()
            .map(|value| value.as_object().ok_or(WireError::Shape).and_then(|fields| fix(fields, now)))
            .collect()),
        _ => Err(WireError::Shape),
    }
}

fn fix(fields: &Map<String, Value>, now: Timestamp) -> Result<Fix, WireError> {
    let recorded_at = match fields.get("recorded_at") {
        None | Some(Value::Null) => now,
        Some(value) => moment(value)?,
    };
    Ok(Fix {
        latitude: number(fields, "latitude")?.ok_or(WireError::Missing("latitude"))?,
        longitude: number(fields, "longitude")?.ok_or(WireError::Missing("longitude"))?,
        accuracy: number(fields, "accuracy")?.unwrap_or(ACCURACY_UNKNOWN_M),
        heading: number(fields, "heading")?,
        speed: number(fields, "speed")?,
        battery_level: number(fields, "battery_level")?,
        recorded_at,
    })
}

fn number(fields: &Map<String, Value>, name: &'static str) -> Result<Option<f64>, WireError> {
    let number = match fields.get(name) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Number(number)) => number.as_f64(),
        Some(Value::String(text)) => text.trim().parse().ok(),
        Some(_) => None,
    };
    number.filter(|number| number.is_finite()).map(Some).ok_or(WireError::Number(name))
}

fn moment(value: &Value) -> Result<Timestamp, WireError> {
    match value {
        Value::String(text) => text.parse().map_err(|_| WireError::Moment),
        Value::Number(number) => {
            let seconds = number.as_f64().ok_or(WireError::Moment)?;
            if seconds.abs() > SECONDS_MAX {
                return Err(WireError::Milliseconds);
            }
            Ok(Timestamp::from_micros((seconds * 1e6).round() as i64))
        }
        _ => Err(WireError::Moment),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use proptest::prelude::*;

    use super::*;
    use crate::rules::fix::tests::at;

    fn one(text: &str) -> Result<Fix, WireError> {
        decode(text.as_bytes(), at(0.0)).map(|mut fixes| fixes.remove(0).unwrap())
    }

    #[test]
    fn a_frame_of_the_rider_app_is_a_fix() {
        let fix = one(
            r#"{"latitude":60.17,"longitude":"24.94","accuracy":8,"heading":null,"speed":4.5,"battery_level":80,"x":1}"#,
        );
        let fix = fix.unwrap();
        assert_eq!((fix.latitude, fix.longitude, fix.accuracy), (60.17, 24.94, 8.0));
        assert_eq!((fix.heading, fix.speed, fix.recorded_at), (None, Some(4.5), at(0.0)));
    }

    #[test]
    fn a_moment_is_a_text_or_seconds() {
        for moment in ["\"2026-11-24T11:30:05+00:00\"", "\"2026-11-24T12:30:05+01:00\"", "1795519805"] {
            let fix = one(&format!(r#"{{"latitude":60,"longitude":24,"recorded_at":{moment}}}"#)).unwrap();
            assert_eq!((fix.recorded_at, fix.accuracy), (at(5.0), 30.0));
        }
    }

    #[test]
    fn each_mistake_names_its_field() {
        for (text, says) in [
            ("{", "data: not JSON"),
            ("7", "data: must be a fix"),
            ("[]", "data: the list is empty"),
            (r#"{"longitude":24}"#, "latitude: is missing"),
            (r#"{"latitude":60,"longitude":null}"#, "longitude: is missing"),
            (r#"{"latitude":true,"longitude":24}"#, "latitude: must be a number"),
            (r#"{"latitude":60,"longitude":24,"speed":"fast"}"#, "speed: must be a number"),
            (r#"{"latitude":60,"longitude":24,"recorded_at":"today"}"#, "recorded_at: must be RFC 3339"),
            (
                r#"{"latitude":60,"longitude":24,"recorded_at":1795519805000}"#,
                "recorded_at: these are milliseconds",
            ),
        ] {
            let error = one(text).unwrap_err().to_string();
            assert!(error.starts_with(says), "{text}: {error}");
        }
    }

    #[test]
    fn a_bad_fix_of_a_list_costs_the_others_nothing() {
        let fixes =
            decode(br#"[{"latitude":60,"longitude":24},7,{"latitude":61,"longitude":24}]"#, at(0.0)).unwrap();
        assert!(fixes[0].is_ok() && fixes[1] == Err(WireError::Shape) && fixes[2].is_ok());
        let many = format!("[{}7]", "7,".repeat(1_000));
        assert_eq!(decode(many.as_bytes(), at(0.0)), Err(WireError::TooMany(1_001)));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(text in "[\\[\\]{}:,\"a-z0-9.e+-]{0,80}") {
            let _ = decode(text.as_bytes(), at(0.0));
        }
    }
}
