//! The event that is measured: the same frame, of about 200 bytes, for every server.
//!
//! It carries a number, by which a loss or a repeat is noticed, and the moment of its publishing. Both have a fixed
//! length and a fixed spelling, so that a reader finds them without parsing JSON.

use memchr::memmem::Finder;
use platepal_events::Timestamp;

/// A type that no domain owns: our gateway puts it straight on the bus, as peers do.
pub const TYPE: &str = "system_alert";

const NUMBER: &str = "\"n\":\"";
const NUMBER_DIGITS: usize = 12;
const BETWEEN: usize = "\",\"at\":\"".len();
const MESSAGE: &str = "\"content\":\"n=";
const BETWEEN_IN_MESSAGES: usize = " at=".len();
const AT_DIGITS: usize = 16;
/// In a position, what follows the moment of its fix.
const AFTER_POSITIONS_MOMENT: &str = "\",\"phase\":";

/// What a frame says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Its number.
    pub number: u64,
    /// When it was published, in microseconds of the run's clock.
    pub at_micros: u64,
}

/// The event's id.
pub fn event_id(number: u64) -> String {
    format!("0b2d3b1e-7d1c-4f4e-9d57-{number:012}")
}

/// What the publisher has to say: `data` of the frame.
pub fn data(mark: Mark) -> String {
    format!(r#"{{"n":"{:012}","at":"{:016}"}}"#, mark.number, mark.at_micros)
}

/// The whole frame, for servers that send what they are given.
pub fn frame(mark: Mark) -> String {
    format!(
        r#"{{"type":"{TYPE}","data":{},"event_id":"{}","timestamp":"2026-11-24T11:30:00.123456+00:00","version":"1.0"}}"#,
        data(mark),
        event_id(mark.number)
    )
}

/// A chat message that says the same.
pub fn message(mark: Mark) -> String {
    format!("n={:012} at={:016}", mark.number, mark.at_micros)
}

/// Finds marks.
#[derive(Debug)]
pub struct Marks(Kind);

#[derive(Debug)]
enum Kind {
    /// In the events of this module.
    Ours(Finder<'static>),
    /// In riders' positions: the moment of the fix. Positions have no number.
    Positions { finder: Finder<'static>, epoch: Timestamp },
    /// In chat messages.
    Messages(Finder<'static>),
}

impl Default for Marks {
    fn default() -> Self {
        Self(Kind::Ours(Finder::new(NUMBER)))
    }
}

impl Marks {
    /// Takes the moment at which a position was recorded for that of its publishing; `epoch` is when the run's clock
    /// began.
    pub fn of_positions(epoch: Timestamp) -> Self {
        Self(Kind::Positions { finder: Finder::new(AFTER_POSITIONS_MOMENT), epoch })
    }

    /// Marks as [`message`] writes them.
    pub fn of_messages() -> Self {
        Self(Kind::Messages(Finder::new(MESSAGE)))
    }

    /// The mark of a frame; none if it is not one of ours.
    pub fn read(&self, frame: &[u8]) -> Option<Mark> {
        match &self.0 {
            Kind::Ours(finder) => numbered(frame.get(finder.find(frame)? + NUMBER.len()..)?, BETWEEN),
            Kind::Messages(finder) => {
                numbered(frame.get(finder.find(frame)? + MESSAGE.len()..)?, BETWEEN_IN_MESSAGES)
            }
            Kind::Positions { finder, epoch } => {
                let before = frame.get(..finder.find(frame)?)?;
                let start = memchr::memrchr(b'"', before)? + 1;
                let moment = std::str::from_utf8(before.get(start..)?).ok()?.parse::<Timestamp>().ok()?;
                let at_micros = u64::try_from(moment.micros().checked_sub(epoch.micros())?).ok()?;
                Some(Mark { number: 0, at_micros })
            }
        }
    }
}

/// A mark at the beginning of a text, with so many characters between its two numbers.
fn numbered(text: &[u8], between: usize) -> Option<Mark> {
    let number = digits(text.get(..NUMBER_DIGITS)?)?;
    let at = NUMBER_DIGITS + between;
    Some(Mark { number, at_micros: digits(text.get(at..at + AT_DIGITS)?)? })
}

fn digits(text: &[u8]) -> Option<u64> {
    text.iter()
        .try_fold(0_u64, |value, byte| byte.is_ascii_digit().then(|| value * 10 + u64::from(byte - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_has_its_mark_and_the_size_that_the_docs_name() {
        let mark = Mark { number: 5_012, at_micros: 1_234_567 };
        let frame = frame(mark);
        assert_eq!(Marks::default().read(frame.as_bytes()), Some(mark));
        assert!((170..=220).contains(&frame.len()), "{}", frame.len());
        assert!(serde_json::from_str::<serde_json::Value>(&frame).is_ok());
    }

    #[test]
    fn a_position_is_marked_by_the_moment_of_its_fix() {
        let epoch: Timestamp = "2026-11-24T11:30:00Z".parse().unwrap();
        let frame = format!(
            r#"{{"type":"rider_location","data":{{"payload":{{"eta_minutes":4,"timestamp":"{}","phase":"ON_THE_WAY"}}}},"timestamp":"x"}}"#,
            epoch.plus_millis(1_500)
        );
        let marks = Marks::of_positions(epoch);
        assert_eq!(marks.read(frame.as_bytes()), Some(Mark { number: 0, at_micros: 1_500_000 }));
        assert_eq!(marks.read(b"{\"type\":\"delivery_status_changed\"}"), None);
    }

    #[test]
    fn a_message_has_its_mark() {
        let mark = Mark { number: 5_012, at_micros: 1_234_567 };
        let frame = format!(r#"{{"type":"chat_message","data":{{"id":1,"content":"{}"}}}}"#, message(mark));
        assert_eq!(Marks::of_messages().read(frame.as_bytes()), Some(mark));
    }

    #[test]
    fn other_frames_have_none() {
        for text in ["", "{\"n\":\"12", "{\"n\":\"00000000001x\",\"at\":\"0000000000000001\"}"] {
            assert_eq!(Marks::default().read(text.as_bytes()), None);
        }
    }
}
