//! Making a push fit: services take about 4 KB. What is cut is marked, so that the app fetches the rest.

use serde_json::Value;

use crate::push::Push;

/// A body that is cut is not cut below this many characters as long as leaving out the data helps.
const BODY_CHARS_MIN: usize = 60;
/// What a cut text ends with.
const ELLIPSIS: char = '…';

/// What of a push is shown.
#[derive(Debug, Clone)]
pub(crate) struct Shown<'a> {
    pub(crate) id: &'a str,
    pub(crate) title: String,
    pub(crate) body: String,
    pub(crate) data: Option<&'a Value>,
    pub(crate) tag: &'a str,
    /// Whether something is missing.
    pub(crate) shortened: bool,
}

/// The message that `build` makes of a push in at most `bytes_max` bytes of JSON: whole, or with a shorter body, or
/// without data, or with a shorter title. `None` if even that is too large.
pub(crate) fn fit(push: &Push, bytes_max: usize, build: impl Fn(&Shown<'_>) -> Value) -> Option<Vec<u8>> {
    let (title, body) = (push.title.as_str(), push.body.as_str());
    let data = Some(&push.data).filter(|data| !data.is_null());
    let write = |title_chars: Option<usize>, body_chars: Option<usize>, data: Option<&Value>| {
        let missing = push.data != Value::Null && data.is_none();
        let shown = Shown {
            id: &push.id,
            title: cut(title, title_chars),
            body: cut(body, body_chars),
            data,
            tag: push.tag(),
            shortened: title_chars.is_some() || body_chars.is_some() || missing,
        };
        let message = build(&shown).to_string().into_bytes();
        (message.len() <= bytes_max).then_some(message)
    };
    // A character is at least a byte: what is longer is not looked at again and again.
    let longest = |text: &str| text.chars().take(bytes_max).count();
    let with_data = || {
        let chars = longest_that(longest(body), |chars| write(None, Some(chars), data).is_some())?;
        (chars >= BODY_CHARS_MIN).then(|| write(None, Some(chars), data))?
    };
    let without_data = || {
        let chars = longest_that(longest(body), |chars| write(None, Some(chars), None).is_some())?;
        write(None, Some(chars), None)
    };
    let only_title = || {
        let chars = longest_that(longest(title), |chars| write(Some(chars), Some(0), None).is_some())?;
        write(Some(chars), Some(0), None)
    };
    write(None, None, data)
        .or_else(with_data)
        .or_else(|| write(None, None, None))
        .or_else(without_data)
        .or_else(only_title)
}

/// The first characters of a text and an ellipsis; the whole text without a number.
fn cut(text: &str, chars: Option<usize>) -> String {
    match chars {
        None => text.to_owned(),
        Some(_) if text.is_empty() => String::new(),
        Some(chars) => text.chars().take(chars).chain([ELLIPSIS]).collect(),
    }
}

/// The largest number up to `max` that fits, if 0 does; what fits shrinks as the number grows.
fn longest_that(max: usize, fits: impl Fn(usize) -> bool) -> Option<usize> {
    if !fits(0) {
        return None;
    }
    let (mut good, mut bad) = (0, max.saturating_add(1));
    while bad - good > 1 {
        let middle = good.midpoint(bad);
        if fits(middle) {
            good = middle;
        } else {
            bad = middle;
        }
    }
    Some(good)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::push::Urgency;

    fn push(title: &str, body: &str, data: Value) -> Push {
        let (id, title, body) = ("n-1".to_owned(), title.to_owned(), body.to_owned());
        Push { id, title, body, data, topic: None, urgency: Urgency::Normal, ttl: None }
    }

    fn build(shown: &Shown<'_>) -> Value {
        let mut message = json!({"id": shown.id, "title": shown.title, "body": shown.body, "tag": shown.tag});
        if let Some(data) = shown.data {
            message["data"] = data.clone();
        }
        if shown.shortened {
            message["shortened"] = json!(true);
        }
        message
    }

    fn fitted(push: &Push, bytes_max: usize) -> Value {
        serde_json::from_slice(&fit(push, bytes_max, build).unwrap()).unwrap()
    }

    #[test]
    fn what_fits_is_whole() {
        let push = push("Your order", "is at the door", json!({"order_id": 5012}));
        let expected = json!({"id": "n-1", "title": "Your order", "body": "is at the door", "tag": "n-1",
            "data": {"order_id": 5012}});
        assert_eq!(fitted(&push, 200), expected);
    }

    #[test]
    fn a_long_body_is_shortened_and_the_data_stays() {
        let push = push("Your order", &"ü\"".repeat(10_000), json!({"order_id": 5012}));
        let message = fitted(&push, 1_000);
        assert_eq!(message["data"], json!({"order_id": 5012}));
        assert_eq!(message["shortened"], json!(true));
        let body = message["body"].as_str().unwrap();
        assert!(body.ends_with('…') && body.len() > 600, "{}", body.len());
        assert!(fit(&push, 1_000, build).unwrap().len() > 990, "as much as fits");
    }

    #[test]
    fn data_that_is_too_large_is_left_out_and_the_body_stays_whole() {
        let message = fitted(&push("Your order", "is at the door", json!("x".repeat(50_000))), 1_000);
        assert_eq!(message["body"], "is at the door");
        assert_eq!((&message["data"], &message["shortened"]), (&Value::Null, &json!(true)));
    }

    #[test]
    fn a_title_that_is_too_long_is_shortened_last_and_an_id_never() {
        let message = fitted(&push(&"T".repeat(9_000), "is at the door", Value::Null), 500);
        assert!(message["title"].as_str().unwrap().ends_with("T…"));
        assert_eq!(message["body"], "…");
        let mut push = push("Your order", "", Value::Null);
        push.id = "n".repeat(600);
        assert_eq!(fit(&push, 500, build), None);
    }

    proptest! {
        #[test]
        fn whatever_is_pushed_fits(title in ".{0,300}", body in ".{0,3000}", data in ".{0,3000}", max in 100usize..5_000) {
            let push = push(&title, &body, json!(data));
            let message = fit(&push, max, build).unwrap();
            prop_assert!(message.len() <= max);
            let message: Value = serde_json::from_slice(&message).unwrap();
            prop_assert_eq!(&message["id"], "n-1");
            let is_whole = message["title"] == title && message["body"] == body && message["data"] == data;
            prop_assert_eq!(message["shortened"] == json!(true), !is_whole);
        }
    }
}
