//! What the platform says by itself, by name.

use std::collections::BTreeMap;

/// Texts that are there unless the settings say otherwise. `{name}` stands for the agent's name.
const DEFAULTS: &[(&str, &str)] = &[
    ("agent_joined", "{name} has joined the chat."),
    ("agent_changed", "{name} takes over from here."),
    ("agent_left", "The agent has left the chat; somebody else will be with you soon."),
    ("room_closed", "This chat is closed."),
    ("wait", "Thank you for your patience; somebody will be with you soon."),
];

/// The texts.
#[derive(Debug, Clone)]
pub(crate) struct Canned(BTreeMap<String, String>);

impl Default for Canned {
    fn default() -> Self {
        Self(DEFAULTS.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect())
    }
}

impl Canned {
    /// The defaults with those of a JSON object in their place; an empty text says nothing.
    pub(crate) fn parse(json: &str) -> Result<Self, String> {
        let own: BTreeMap<String, String> = serde_json::from_str(json).map_err(|why| why.to_string())?;
        let mut texts = Self::default();
        texts.0.extend(own);
        Ok(texts)
    }

    /// The text of a name; `None`: there is none, or it is empty.
    pub(crate) fn text(&self, name: &str, agent: &str) -> Option<String> {
        let text = self.0.get(name).filter(|text| !text.is_empty())?;
        Some(text.replace("{name}", if agent.is_empty() { "An agent" } else { agent }))
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn own_texts_take_the_place_of_the_defaults() {
        let texts =
            Canned::parse(r#"{"agent_joined":"{name} ist da.","wait":"","hours":"Open 9-17."}"#).unwrap();
        assert_eq!(texts.text("agent_joined", "Sam").unwrap(), "Sam ist da.");
        assert_eq!(texts.text("agent_changed", "").unwrap(), "An agent takes over from here.");
        assert_eq!(texts.text("wait", ""), None);
        assert_eq!(texts.text("hours", "").unwrap(), "Open 9-17.");
        assert!(Canned::parse("[1]").is_err());
    }
}
