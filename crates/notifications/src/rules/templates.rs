//! What a notification says, by type and language.
//!
//! A text has places, `{order_id}`, that are filled from the notification's data: its own fields first, then those of a
//! `payload` within, as Django's events have it; `{restaurant_name}` is found as `restaurant_name` and as the `name` of
//! `restaurant`. `{restaurant_name|The restaurant}` says what stands there when nothing is known; otherwise the place is
//! left out with the space before it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

/// The longest title and the longest message, in characters.
pub(crate) const TITLE_CHARS_MAX: usize = 120;
pub(crate) const MESSAGE_CHARS_MAX: usize = 1_000;

const BUILT_IN: &str = include_str!("templates.json");

/// What one type says in one language.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Template {
    title: String,
    message: String,
}

/// By language, then by type.
#[derive(Debug, Clone)]
pub(crate) struct Templates {
    texts: BTreeMap<String, BTreeMap<String, Template>>,
    language: String,
}

impl Templates {
    /// The built-in ones, with those of a JSON object (language → type → `title` and `message`) in their place.
    /// `language` is for users who have none.
    pub(crate) fn new(own: Option<&str>, language: &str) -> Result<Self, String> {
        let mut texts: BTreeMap<String, BTreeMap<String, Template>> =
            serde_json::from_str(BUILT_IN).map_err(|why| why.to_string())?;
        if let Some(own) = own {
            let own: BTreeMap<String, BTreeMap<String, Template>> =
                serde_json::from_str(own).map_err(|why| why.to_string())?;
            for (language, types) in own {
                texts.entry(language).or_default().extend(types);
            }
        }
        if !texts.contains_key(language) {
            let known: Vec<&str> = texts.keys().map(String::as_str).collect();
            return Err(format!("there are no texts in {language:?}, only in {}", known.join(", ")));
        }
        Ok(Self { texts, language: language.to_owned() })
    }

    /// Title and message of a type: in a language, or its first part (`de` for `de-AT`), or the usual language; a type
    /// without texts says its name.
    pub(crate) fn say(&self, kind: &str, language: &str, data: &Map<String, Value>) -> (String, String) {
        let part = language.split(['-', '_']).next().unwrap_or_default();
        let languages = [language, part, &self.language];
        let found = languages.iter().find_map(|language| self.texts.get(*language)?.get(kind));
        match found {
            Some(template) => (fill(&template.title, data), fill(&template.message, data)),
            None => (kind.replace('_', " ").to_lowercase(), String::new()),
        }
    }
}

fn fill(text: &str, data: &Map<String, Value>) -> String {
    let mut filled = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let Some((place, behind)) = after.split_once('}') else { break };
        filled.push_str(before);
        let (name, otherwise) =
            place.split_once('|').map_or((place, None), |(name, words)| (name, Some(words)));
        match (known(name, data), otherwise) {
            (Some(value), _) => filled.push_str(&value),
            (None, Some(words)) => filled.push_str(words),
            (None, None) => {
                let kept = filled.trim_end().len();
                filled.truncate(kept);
            }
        }
        rest = behind;
    }
    filled.push_str(rest);
    filled.trim().to_owned()
}

/// A field of this name, or the field of an object that its name is made of.
fn find<'a>(name: &str, data: &'a Map<String, Value>) -> Option<&'a Value> {
    data.get(name).or_else(|| {
        let (object, field) = name.split_once('_')?;
        data.get(object)?.get(field)
    })
}

/// A field that is a text or a number, at most 80 characters of it.
fn known(name: &str, data: &Map<String, Value>) -> Option<String> {
    let inner = data.get("payload").and_then(Value::as_object);
    let value = find(name, data).or_else(|| find(name, inner?))?;
    match value {
        Value::String(text) if !text.is_empty() => {
            Some(text.chars().filter(|letter| !letter.is_control()).take(80).collect())
        }
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn places_are_filled_in_the_users_language() {
        let templates = Templates::new(None, "en").unwrap();
        let data = object(json!({"order_id": 5012, "payload": {"restaurant_name": "Bella Napoli"}}));
        let (title, message) = templates.say("ORDER_ACCEPTED", "en", &data);
        assert_eq!(
            (title.as_str(), message.as_str()),
            ("Order accepted", "Bella Napoli is preparing your order 5012.")
        );
        let (title, _) = templates.say("ORDER_ACCEPTED", "de-AT", &data);
        assert_eq!(title, "Bestellung angenommen");
        assert_eq!(templates.say("ORDER_ACCEPTED", "xx", &data).0, "Order accepted");
        assert_eq!(templates.say("LOYALTY_POINTS", "en", &data), ("loyalty points".into(), String::new()));
        let (_, bare) = templates.say("ORDER_ACCEPTED", "en", &Map::new());
        assert_eq!(bare, "The restaurant is preparing your order.");
        let nested = object(json!({"id": 5012, "restaurant": {"id": 12, "name": "Sole"}}));
        assert_eq!(templates.say("ORDER_ACCEPTED", "en", &nested).1, "Sole is preparing your order.");
    }

    #[test]
    fn own_texts_take_the_place_of_built_in_ones() {
        let own = r#"{"en":{"SYSTEM":{"title":"Hello {name}!","message":"{"}},"fi":{}}"#;
        let templates = Templates::new(Some(own), "en").unwrap();
        assert_eq!(
            templates.say("SYSTEM", "en", &object(json!({"name": "Ada"}))),
            ("Hello Ada!".into(), "{".into())
        );
        assert!(Templates::new(Some("[]"), "en").is_err());
        assert!(Templates::new(None, "tlh").unwrap_err().contains("de, en"));
    }

    #[test]
    fn every_type_says_something_in_every_built_in_language() {
        let templates = Templates::new(None, "en").unwrap();
        let english: Vec<&String> = templates.texts.get("en").unwrap().keys().collect();
        assert_eq!(english.len(), 19);
        for types in templates.texts.values() {
            assert_eq!(types.keys().collect::<Vec<_>>(), english);
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,60}", name in "[a-z]{0,3}", value in "\\PC{0,100}") {
            let data = object(json!({ name: value }));
            let _ = fill(&text, &data);
        }
    }
}
