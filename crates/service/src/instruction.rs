//! What a backend orders for open sessions: made by the gateway, kept by the bus, carried out by every edge.
//!
//! The one place that knows how such an order is written, and which event type it has. It travels on
//! [`Channel::sessions`], which no client and no publisher can name.

use platepal_bus::{Bus, BusError};
use platepal_events::{Channel, Event, Timestamp};
use platepal_proto::v1;
use serde::{Deserialize, Serialize};

/// Client ids that one order may spare.
pub const EXCEPT_MAX: usize = 1_000;

/// An order for all sessions that a [`Whom`] means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Instruction {
    /// End them.
    Disconnect {
        /// Who is meant.
        whom: Whom,
        /// The close code; `None`: each protocol's own.
        code: Option<u16>,
        /// What is said with it; may be empty.
        reason: String,
        /// Client ids that stay.
        except: Vec<String>,
    },
    /// Give them one more channel, if they can hold several.
    Subscribe {
        /// Who is meant.
        whom: Whom,
        /// Which channel.
        channel: Channel,
        /// Until when; `None`: as long as the session.
        until: Option<Timestamp>,
    },
    /// Take a channel from them.
    Unsubscribe {
        /// Who is meant.
        whom: Whom,
        /// Which channel.
        channel: Channel,
    },
    /// Change when they end.
    Refresh {
        /// Who is meant.
        whom: Whom,
        /// Their new end; `None`: now.
        until: Option<Timestamp>,
    },
}

/// Which sessions are meant: those to which everything that is given applies. At least one part is given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Whom {
    /// The user's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The id that the client was told when it connected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// The secret of a session without socket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
}

/// Why an event is no order that can be carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an order for sessions can't be read, so nobody carries it out: {0}")]
pub struct InstructionError(String);

/// How an order is written. Moments are in microseconds since 1970.
#[derive(Serialize, Deserialize)]
struct Written {
    whom: Whom,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    channel: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    code: Option<u16>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    reason: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    except: Vec<String>,
}

impl Instruction {
    /// The last word of its event type, as metrics and logs name it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Disconnect { .. } => "disconnect",
            Self::Subscribe { .. } => "subscribe",
            Self::Unsubscribe { .. } => "unsubscribe",
            Self::Refresh { .. } => "refresh",
        }
    }

    /// Who is meant.
    pub fn whom(&self) -> &Whom {
        match self {
            Self::Disconnect { whom, .. }
            | Self::Subscribe { whom, .. }
            | Self::Unsubscribe { whom, .. }
            | Self::Refresh { whom, .. } => whom,
        }
    }

    /// Gives the order: returns when it is kept, so that every edge will hear of it.
    pub async fn give(&self, bus: &dyn Bus, now: Timestamp) -> Result<(), BusError> {
        let event = self.write(now).map_err(|why| BusError::Refused(why.to_string()))?;
        bus.append(&[Channel::sessions()], &event).await.map(drop)
    }

    /// The order as an event.
    pub fn write(&self, now: Timestamp) -> Result<Event, InstructionError> {
        let whom = self.whom().clone();
        let empty = Written {
            whom,
            channel: None,
            until: None,
            code: None,
            reason: String::new(),
            except: Vec::new(),
        };
        let micros = |until: &Option<Timestamp>| until.map(Timestamp::micros);
        let written = match self {
            Self::Disconnect { code, reason, except, .. } => {
                Written { code: *code, reason: reason.clone(), except: except.clone(), ..empty }
            }
            Self::Subscribe { channel, until, .. } => {
                Written { channel: Some(channel.to_string()), until: micros(until), ..empty }
            }
            Self::Unsubscribe { channel, .. } => Written { channel: Some(channel.to_string()), ..empty },
            Self::Refresh { until, .. } => Written { until: micros(until), ..empty },
        };
        let payload = serde_json::to_vec(&written).map_err(|why| InstructionError(why.to_string()))?;
        let message = v1::Event {
            r#type: format!("session.{}", self.word()),
            payload: payload.into(),
            ..v1::Event::default()
        };
        Event::parse(message, now).map_err(|why| InstructionError(why.to_string()))
    }

    /// The order in an event; `None` if the event is none.
    pub fn read(event: &Event) -> Option<Result<Self, InstructionError>> {
        let word = event.kind.as_str().strip_prefix("session.")?;
        Some(Self::read_as(word, &event.payload))
    }

    fn read_as(word: &str, payload: &[u8]) -> Result<Self, InstructionError> {
        let Written { whom, channel, until, code, reason, except } =
            serde_json::from_slice(payload).map_err(|why| InstructionError(why.to_string()))?;
        if whom == Whom::default() {
            return Err(InstructionError("it names nobody".to_owned()));
        }
        let until = until.map(Timestamp::from_micros);
        let channel = || {
            let name = channel.as_deref().unwrap_or_default();
            name.parse::<Channel>().map_err(|why| InstructionError(why.to_string()))
        };
        match word {
            "disconnect" => Ok(Self::Disconnect { whom, code, reason, except }),
            "subscribe" => Ok(Self::Subscribe { channel: channel()?, whom, until }),
            "unsubscribe" => Ok(Self::Unsubscribe { channel: channel()?, whom }),
            "refresh" => Ok(Self::Refresh { whom, until }),
            _ => Err(InstructionError(format!("there is no order {word:?}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn now() -> Timestamp {
        Timestamp::from_micros(1_796_000_000_123_456)
    }

    fn whom() -> Whom {
        Whom { user: Some("7".into()), client: Some("c".into()), session: None }
    }

    #[test]
    fn what_is_written_is_read() {
        let channel: Channel = "chat:88".parse().unwrap();
        let all = [
            Instruction::Disconnect {
                whom: whom(),
                code: Some(4100),
                reason: "bye".into(),
                except: vec!["a".into()],
            },
            Instruction::Disconnect { whom: whom(), code: None, reason: String::new(), except: vec![] },
            Instruction::Subscribe { whom: whom(), channel: channel.clone(), until: Some(now()) },
            Instruction::Unsubscribe { whom: whom(), channel },
            Instruction::Refresh { whom: whom(), until: None },
            Instruction::Refresh { whom: whom(), until: Some(now()) },
        ];
        for instruction in all {
            let event = instruction.write(now()).unwrap();
            assert!(event.kind.is_known(), "{} is in the catalogue", event.kind);
            assert_eq!(Instruction::read(&event), Some(Ok(instruction)));
        }
    }

    #[test]
    fn an_order_that_names_nobody_is_for_nobody() {
        for (word, payload) in [
            ("disconnect", r#"{"whom":{}}"#),
            ("disconnect", "{}"),
            ("disconnect", "7"),
            ("subscribe", r#"{"whom":{"user":"7"}}"#),
            ("subscribe", r#"{"whom":{"user":"7"},"channel":"sessions"}"#),
            ("dance", r#"{"whom":{"user":"7"}}"#),
        ] {
            assert!(Instruction::read_as(word, payload.as_bytes()).is_err(), "{word} {payload}");
        }
    }
}
