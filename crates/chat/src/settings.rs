//! The chat domain's settings.

use std::{path::PathBuf, time::Duration};

use platepal_events::millis;
use platepal_service::worker;
use platepal_settings::{ByteSize, Reader};
use url::Url;

use crate::rules::{
    canned::Canned,
    message::Limits,
    pace::Pace,
    words::{Action, Words},
};

platepal_settings::settings! {
    /// Chat: rooms, messages, the support desk, Django's copy.
    pub struct Settings {
        /// The longest message.
        chars: usize = "REALTIME_CHAT_CHARS", default "4000", bound { unit: "characters", full: "the message is refused, and its sender told so", metric: "realtime_chat_refused_total" };
        /// Messages that one user may send to one room within the pace's window.
        pace_messages: usize = "REALTIME_CHAT_PACE_MESSAGES", default "10", bound { unit: "messages per user, room and window", full: "the message is refused, and its sender told how long to wait", metric: "realtime_chat_refused_total" };
        /// The window in which they are counted.
        pace_window: Duration = "REALTIME_CHAT_PACE_WINDOW", default "10s", bound { unit: "time", full: "older messages no longer count", metric: "realtime_chat_refused_total" };
        /// Hosts at which attachments may be, e.g. `media.platepal.example, *.cdn.example`. Without any, there are no attachments.
        attachment_hosts: Vec<String> = "REALTIME_CHAT_ATTACHMENT_HOSTS", optional;
        /// The largest attachment, as its sender says it.
        attachment_bytes: ByteSize = "REALTIME_CHAT_ATTACHMENT_BYTES", default "25MiB", bound { unit: "bytes", full: "the message is refused, and its sender told so", metric: "realtime_chat_refused_total" };
        /// From the end of its order until a room is closed.
        order_grace: Duration = "REALTIME_CHAT_ORDER_GRACE", default "60m", bound { unit: "time", full: "the room closes: it can be read, nothing can be written", metric: "realtime_chat_rooms_closed_total" };
        /// Between two events that tell that somebody is typing.
        typing_interval: Duration = "REALTIME_CHAT_TYPING_INTERVAL", default "2s", bound { unit: "time per user and room", full: "not told; the next is", metric: "realtime_chat_typing_total" };
        /// After this long without a word, somebody is not typing any more.
        typing_time: Duration = "REALTIME_CHAT_TYPING_TIME", default "5s", bound { unit: "time", full: "the room is told that the user is not typing", metric: "realtime_chat_typing_total" };
        /// Users who type, in one process.
        typing_users: usize = "REALTIME_CHAT_TYPING_USERS", default "10000", bound { unit: "users in rooms", full: "that one more types is not told", metric: "realtime_chat_typing_total" };
        /// A file with words that must not be said, one a line.
        words: Option<PathBuf> = "REALTIME_CHAT_WORDS", optional;
        /// What is done with such a word: `mask` (stars instead of its letters) or `hold` (the message waits for somebody to decide).
        words_action: String = "REALTIME_CHAT_WORDS_ACTION", default "mask";
        /// Who is asked before a message is shown: a server of `MessageCheckService`, e.g. `http://moderation:50051`.
        check_url: Option<Url> = "REALTIME_CHAT_CHECK_URL", optional;
        /// How long that may take.
        check_timeout: Duration = "REALTIME_CHAT_CHECK_TIMEOUT", default "1s", bound { unit: "time", full: "as `REALTIME_CHAT_CHECK_FAILURE` says", metric: "realtime_chat_checks_total" };
        /// Questions to it that may be open at once.
        check_questions: usize = "REALTIME_CHAT_CHECK_QUESTIONS", default "64", bound { unit: "questions", full: "the next waits, within the timeout", metric: "realtime_chat_checks_total" };
        /// What becomes of a message when nobody answered: `hold` or `show`.
        check_failure: String = "REALTIME_CHAT_CHECK_FAILURE", default "hold";
        /// A JSON file with what the platform says by itself, by name: `agent_joined`, `agent_changed`, `agent_left`, `room_closed`, `wait`, and names of your own. An empty text says nothing.
        canned: Option<PathBuf> = "REALTIME_CHAT_CANNED", optional;
        /// Calls that share one commit.
        group: usize = "REALTIME_CHAT_GROUP", default "128", bound { unit: "messages", full: "the rest goes with the next commit", metric: "realtime_chat_commit_messages" };
        /// Lanes in which rooms are written side by side; with SQLite there is one.
        lanes: usize = "REALTIME_CHAT_LANES", default "4", bound { unit: "lanes", full: "rooms of one lane wait for each other's commit", metric: "realtime_chat_commit_messages" };
        /// How long a closed room and its messages are kept.
        keep: Duration = "REALTIME_CHAT_KEEP", default "365d", bound { unit: "time since it was closed", full: "the room and its messages are forgotten", metric: "realtime_chat_forgotten_total" };
        /// How long entries for Django's copy are kept while nobody reads them. Once there is a reader, they are kept until it has acknowledged them.
        mirror_keep: Duration = "REALTIME_CHAT_MIRROR_KEEP", default "7d", bound { unit: "time", full: "without any reader: the entry is forgotten", metric: "realtime_feed_forgotten_total" };
        /// How often timers and untold events are looked for.
        poll_interval: Duration = "REALTIME_CHAT_POLL_INTERVAL", default "500ms", bound { unit: "time", full: "looked again", metric: "realtime_chat_rooms_closed_total" };
        /// For how long an event may be kept but untold before the worker tells it: its own call is about to.
        relay_after: Duration = "REALTIME_CHAT_RELAY_AFTER", default "2s", bound { unit: "time", full: "the worker tells it", metric: "realtime_outbox_waiting_streams" };
        /// How often what is old is looked for.
        sweep_interval: Duration = "REALTIME_CHAT_SWEEP_INTERVAL", default "1m", bound { unit: "time", full: "looked again", metric: "realtime_chat_forgotten_total" };
        /// Rows that the worker takes at once.
        chunk: u32 = "REALTIME_CHAT_CHUNK", default "500", bound { unit: "rows", full: "the rest follows in the next round", metric: "realtime_chat_forgotten_total" };
    }
}

impl Settings {
    /// Notes values that can't work.
    pub fn check(&self, reader: &mut Reader) {
        if !matches!(self.words_action.as_str(), "mask" | "hold") {
            reader.mistake(format!(
                "REALTIME_CHAT_WORDS_ACTION must be mask or hold (it is {:?})",
                self.words_action
            ));
        }
        if !matches!(self.check_failure.as_str(), "hold" | "show") {
            reader.mistake(format!(
                "REALTIME_CHAT_CHECK_FAILURE must be hold or show (it is {:?})",
                self.check_failure
            ));
        }
        if self.poll_interval.is_zero() || self.poll_interval > Duration::from_secs(1) {
            reader.mistake(
                "REALTIME_CHAT_POLL_INTERVAL must be above zero and at most 1s: rooms close within a second",
            );
        }
        // A message's JSON has to fit an event: four bytes for each of its characters, or six where it is escaped.
        if !(1..=8_000).contains(&self.chars) {
            reader.mistake("REALTIME_CHAT_CHARS must be between 1 and 8000, so that a message fits an event");
        }
        let least = [self.pace_messages, self.group, self.lanes, self.check_questions, self.chunk as usize];
        if least.contains(&0) {
            reader.mistake(
                "REALTIME_CHAT_PACE_MESSAGES, _GROUP, _LANES, _CHECK_QUESTIONS and _CHUNK must be at least 1",
            );
        }
        // One statement writes a group, and an engine takes a bounded number of values.
        if self.group > 1_000 {
            reader.mistake("REALTIME_CHAT_GROUP must be at most 1000");
        }
        if self.typing_time <= self.typing_interval {
            reader.mistake("REALTIME_CHAT_TYPING_TIME must be above REALTIME_CHAT_TYPING_INTERVAL");
        }
    }

    pub(crate) fn limits(&self) -> Limits {
        Limits {
            chars: self.chars,
            hosts: self.attachment_hosts.clone(),
            attachment_bytes: self.attachment_bytes.0 as u64,
        }
    }

    pub(crate) fn message_pace(&self) -> Pace {
        Pace { messages: self.pace_messages, window_millis: millis(self.pace_window) }
    }

    pub(crate) fn pace(&self) -> worker::Pace {
        worker::Pace {
            poll_interval: self.poll_interval,
            relay_after: self.relay_after,
            sweep_interval: self.sweep_interval,
            chunk: self.chunk,
        }
    }

    /// The list of words; an error names the setting.
    pub(crate) fn read_words(&self) -> Result<Words, String> {
        let action = if self.words_action == "hold" { Action::Hold } else { Action::Mask };
        let Some(file) = &self.words else { return Ok(Words::parse("", action)) };
        let list = std::fs::read_to_string(file)
            .map_err(|why| format!("REALTIME_CHAT_WORDS: {} can't be read: {why}", file.display()))?;
        Ok(Words::parse(&list, action))
    }

    /// What the platform says by itself; an error names the setting.
    pub(crate) fn read_canned(&self) -> Result<Canned, String> {
        let Some(file) = &self.canned else { return Ok(Canned::default()) };
        let wrong = |why: String| format!("REALTIME_CHAT_CANNED: {} can't be used: {why}", file.display());
        let json = std::fs::read_to_string(file).map_err(|why| wrong(why.to_string()))?;
        Canned::parse(&json).map_err(|why| wrong(format!("it must be a JSON object of texts: {why}")))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn mistakes(variables: &[(&str, &str)]) -> Vec<String> {
        let mut reader = Reader::new(variables.iter().copied());
        let settings: Settings = reader.read().unwrap();
        settings.check(&mut reader);
        reader
            .finish(<Settings as platepal_settings::Group>::SPECS)
            .err()
            .map(|mistakes| mistakes.0)
            .unwrap_or_default()
    }

    #[test]
    fn what_can_not_work_is_said_by_name() {
        assert_eq!(mistakes(&[]), Vec::<String>::new());
        for (name, value) in [
            ("REALTIME_CHAT_WORDS_ACTION", "laugh"),
            ("REALTIME_CHAT_CHECK_FAILURE", "cry"),
            ("REALTIME_CHAT_POLL_INTERVAL", "2s"),
            ("REALTIME_CHAT_CHARS", "0"),
            ("REALTIME_CHAT_CHARS", "8001"),
            ("REALTIME_CHAT_TYPING_TIME", "1s"),
            ("REALTIME_CHAT_PACE_MESSAGES", "0"),
        ] {
            let mistakes = mistakes(&[(name, value)]);
            assert!(mistakes.len() == 1 && mistakes[0].contains(name), "{name}: {mistakes:?}");
        }
    }

    #[test]
    fn a_file_that_is_missing_is_named() {
        let reader = [("REALTIME_CHAT_WORDS", "/nowhere"), ("REALTIME_CHAT_CANNED", "/nowhere")];
        let settings: Settings = Reader::new(reader).read().unwrap();
        assert!(settings.read_words().unwrap_err().starts_with("REALTIME_CHAT_WORDS: /nowhere"));
        assert!(settings.read_canned().unwrap_err().starts_with("REALTIME_CHAT_CANNED: /nowhere"));
    }
}
