//! What others ask of this edge: who is connected, what is read.

use platepal_events::Channel;
use platepal_proto::v1;

use crate::{
    Edge,
    sessions::{ClientId, Open, Selector, users},
};

/// Sessions in an answer, unless it is asked for another number.
const SESSIONS_DEFAULT: u32 = 1_000;

impl Edge {
    /// Who is connected to this edge.
    pub(crate) fn connected_here(&self, request: &v1::ConnectedRequest) -> v1::ConnectedHereResponse {
        let user = Some(request.user_id.as_str()).filter(|user| !user.is_empty());
        let open = match request.channel.parse::<Channel>() {
            Ok(channel) => {
                let mut open = self.sessions.of(&self.hub.clients(&channel));
                open.retain(|(_, open)| user.is_none_or(|user| open.user.as_str() == user));
                open
            }
            Err(_) if request.channel.is_empty() => {
                self.sessions.select(&Selector { user, ..Selector::default() })
            }
            // Nobody reads what can't be named.
            Err(_) => Vec::new(),
        };
        let limit = if request.limit == 0 { SESSIONS_DEFAULT } else { request.limit };
        let limit = if request.counts_only { 0 } else { usize::try_from(limit).unwrap_or(usize::MAX) };
        v1::ConnectedHereResponse {
            clients: count(open.len()),
            user_ids: users(&open).into_iter().map(ToString::to_string).collect(),
            sessions: open
                .into_iter()
                .take(limit)
                .map(|(id, open)| self.session_message(id, &open))
                .collect(),
        }
    }

    fn session_message(&self, id: ClientId, open: &Open) -> v1::Session {
        v1::Session {
            client_id: self.sessions.client_name(id),
            user_id: open.user.to_string(),
            protocol: open.protocol.to_owned(),
            address: open.address.map(|address| address.to_string()).unwrap_or_default(),
            edge: self.sessions.edge_name(),
            connected_at: Some(open.connected_at.into()),
            expires_at: Some(open.expires_at.into()),
            channels: open.channels.iter().map(ToString::to_string).collect(),
            info: open.info.as_deref().map(|info| info.to_owned().into()).unwrap_or_default(),
        }
    }

    /// Which channels are read on this edge, and by how many; `*` in the pattern stands for any characters.
    pub(crate) fn channels_here(&self, request: &v1::ChannelsRequest) -> v1::ChannelsResponse {
        let mut channels = self.hub.channels();
        channels.retain(|(channel, _)| fits(channel.as_str(), &request.pattern));
        channels.sort_by_key(|(_, clients)| std::cmp::Reverse(*clients));
        let limit = if request.limit == 0 { SESSIONS_DEFAULT } else { request.limit };
        let channels = channels.into_iter().take(usize::try_from(limit).unwrap_or(usize::MAX));
        v1::ChannelsResponse {
            clients: channels.map(|(channel, clients)| (channel.to_string(), count(clients))).collect(),
            silent_edges: Vec::new(),
        }
    }

    /// What became of an event on this edge.
    pub(crate) fn journey_here(&self, request: &v1::JourneyRequest) -> Option<v1::JourneyHere> {
        let channel: Channel = request.channel.parse().ok()?;
        let journey = self.hub.journey(&channel, &request.event_id.parse().ok()?)?;
        journey.message(self.sessions.edge_name())
    }

    /// How much this edge holds.
    pub(crate) fn status_here(&self) -> v1::Edge {
        let (clients, users) = self.sessions.counts();
        let channels = self.hub.channels();
        v1::Edge {
            id: self.sessions.edge_name(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: Some(self.started_at.into()),
            clients: count(clients),
            users: count(users),
            channels: count(channels.len()),
            subscriptions: count(channels.iter().map(|(_, clients)| clients).sum()),
            answered: true,
        }
    }

    /// Who is connected, on all edges.
    pub(crate) async fn connected(&self, request: v1::ConnectedRequest) -> v1::ConnectedResponse {
        self.edges.connected(request).await
    }
}

fn count(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Whether a name fits a pattern in which `*` stands for any characters; an empty one fits all.
fn fits(name: &str, pattern: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = name.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() || pattern.is_empty() };
    for part in parts {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, yes) in [
            ("", true),
            ("*", true),
            ("chat:*", true),
            ("*:88", true),
            ("c*t*8", true),
            ("chat:88", true),
            ("chat", false),
            ("chat:88*8", false),
            ("*:8", false),
            ("order:*", false),
        ] {
            assert_eq!(fits("chat:88", pattern), yes, "{pattern}");
        }
    }
}
