//! What is said between the page's customer and whoever brings the order: riders say where they are, and answer.
//!
//! The customer's words come as Django gets them, by the chat's mirror; riders' go the way of the backend.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use platepal_proto::v1;
use rand::{Rng, seq::IndexedRandom};
use serde::Deserialize;
use tokio::time::sleep;

use super::backend::Backend;

/// Who reads the mirror.
const READER: &str = "demo";
/// Before the mirror is read again after a failure.
const AGAIN: Duration = Duration::from_secs(1);
/// How long somebody on a bicycle takes to answer.
const ANSWER: std::ops::Range<f32> = 1.5..3.5;
/// Rooms whose riders are remembered.
const ROOMS_MAX: usize = 64;

/// What riders answer to words that have one of these in them.
const ANSWERS: &[(&[&str], &[&str])] = &[
    (
        &["where", "long", "when"],
        &["Look at the map, I am the dot that moves 🙂", "A few minutes, I am pedalling!"],
    ),
    (
        &["door", "code", "floor", "stairs", "bell"],
        &["Thanks, got it!", "Good to know, see you at the door."],
    ),
    (&["thank", "great", "super"], &["You're welcome!", "My pleasure 😊"]),
    (&["hello", "hi ", "hey", "moi"], &["Moi!", "Hello there!"]),
];
const OTHERWISE: &[&str] = &["Okay!", "Got it.", "👍", "On a bike right now, but I read you."];

/// Conversations. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Talk {
    backend: Backend,
    /// Who brings the order of a room.
    riders: Arc<Mutex<HashMap<String, String>>>,
}

/// A message as the mirror has it.
#[derive(Deserialize)]
struct Message {
    id: u64,
    sender: Option<u64>,
    content: String,
    edited_at: Option<String>,
    deleted_at: Option<String>,
}

impl Talk {
    pub(crate) fn new(backend: Backend) -> Self {
        Self { backend, riders: Arc::default() }
    }

    /// Opens the room of an order. A demo goes on without chat.
    pub(crate) async fn begin(&self, order_id: i64, customer: &str, rider_id: &str, rider: &str) {
        let room_id = order_id.to_string();
        {
            let mut riders = self.riders.lock();
            if riders.len() >= ROOMS_MAX {
                riders.clear();
            }
            riders.insert(room_id.clone(), rider_id.to_owned());
        }
        let member = |user_id: &str, role: v1::MemberRole, name: &str| v1::Member {
            user_id: user_id.to_owned(),
            role: role.into(),
            name: name.to_owned(),
            ..Default::default()
        };
        let room = v1::Room {
            room_id: room_id.clone(),
            r#type: v1::RoomType::RiderCustomer.into(),
            order_id: room_id,
            members: vec![
                member(customer, v1::MemberRole::Customer, "You"),
                member(rider_id, v1::MemberRole::Courier, rider),
            ],
            ..Default::default()
        };
        if let Err(why) = self.backend.put_room(room).await {
            tracing::warn!("the chat of order {order_id} could not be opened: {why}");
        }
    }

    /// Has the rider of an order say something.
    pub(crate) async fn say(&self, order_id: i64, words: &str) {
        self.say_in(&order_id.to_string(), words).await;
    }

    async fn say_in(&self, room_id: &str, words: &str) {
        let Some(rider) = self.riders.lock().get(room_id).cloned() else { return };
        if let Err(why) = self.backend.say(room_id, &rider, words).await {
            tracing::warn!("what rider {rider} said did not reach room {room_id}: {why}");
        }
    }

    /// Has riders answer what the customer says, until it is dropped.
    pub(crate) async fn answer(self) {
        loop {
            if let Err(why) = self.listen().await {
                tracing::debug!("the chat's mirror can't be read: {why}");
            }
            sleep(AGAIN).await;
        }
    }

    async fn listen(&self) -> Result<(), tonic::Status> {
        let mut entries = self.backend.mirror(READER).await?;
        let mut answered = 0;
        while let Some(entry) = entries.message().await? {
            let message =
                serde_json::from_slice::<Message>(&entry.payload).ok().filter(|_| entry.kind == "message");
            let is_new = |message: &Message| {
                message.id > answered && message.edited_at.is_none() && message.deleted_at.is_none()
            };
            let is_own = |message: &Message| {
                message.sender.is_some_and(|sender| sender.to_string() == super::CUSTOMER)
            };
            if let Some(message) = message.filter(|message| is_own(message) && is_new(message)) {
                answered = message.id;
                let pause = rand::rng().random_range(ANSWER);
                sleep(Duration::from_secs_f32(pause)).await;
                self.say_in(&entry.subject, reply(&message.content)).await;
            }
            self.backend.acknowledge_mirror(READER, entry.position).await?;
        }
        Ok(())
    }
}

fn reply(words: &str) -> &'static str {
    let words = format!("{} ", words.to_lowercase());
    let known = ANSWERS.iter().find(|(triggers, _)| triggers.iter().any(|trigger| words.contains(trigger)));
    let answers = known.map_or(OTHERWISE, |(_, answers)| answers);
    answers.choose(&mut rand::rng()).copied().unwrap_or("Okay!")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn riders_answer_what_they_are_asked() {
        assert!(ANSWERS[0].1.contains(&reply("WHERE are you?")));
        assert!(ANSWERS[1].1.contains(&reply("The code is 1234")));
        assert!(OTHERWISE.contains(&reply("…")));
    }
}
