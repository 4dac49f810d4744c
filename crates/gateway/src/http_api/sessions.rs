//! `subscribe`, `unsubscribe`, `disconnect`, `refresh`: orders for open sessions.

use platepal_proto::v1;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    Answer, Api, Problem,
    answer::{is_given, nothing, parse, refuse},
    publish::named,
};

/// Who is meant, in every one of these.
#[derive(Deserialize)]
struct Whom {
    user: Option<String>,
    client: Option<String>,
    session: Option<String>,
}

#[derive(Deserialize)]
struct Subscribe {
    channel: String,
    /// Seconds since 1970.
    expire_at: Option<i64>,
    info: Option<Box<RawValue>>,
    b64info: Option<Box<RawValue>>,
    data: Option<Box<RawValue>>,
    b64data: Option<Box<RawValue>>,
    recover_since: Option<Box<RawValue>>,
    r#override: Option<Box<RawValue>>,
    label_filter: Option<Box<RawValue>>,
    all_users: Option<bool>,
}

#[derive(Deserialize)]
struct Unsubscribe {
    channel: String,
}

#[derive(Deserialize)]
struct Disconnect {
    disconnect: Option<Close>,
    whitelist: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Close {
    code: Option<u32>,
    reason: Option<String>,
}

#[derive(Deserialize)]
struct Refresh {
    expired: Option<bool>,
    /// Seconds since 1970.
    expire_at: Option<i64>,
    info: Option<Box<RawValue>>,
}

fn selector(body: &[u8]) -> Result<Option<v1::Selector>, Problem> {
    let Whom { user, client, session } = parse(body)?;
    Ok(Some(v1::Selector {
        user_id: user.unwrap_or_default(),
        client_id: client.unwrap_or_default(),
        session: session.unwrap_or_default(),
    }))
}

fn moment(seconds: Option<i64>) -> Option<prost_types::Timestamp> {
    seconds.filter(|seconds| *seconds != 0).map(|seconds| prost_types::Timestamp { seconds, nanos: 0 })
}

impl Api {
    pub(super) async fn subscribe(&self, body: &[u8]) -> Answer {
        let request: Subscribe = parse(body)?;
        refuse(&[
            ("info", is_given(request.info.as_deref())),
            ("b64info", is_given(request.b64info.as_deref())),
            ("data", is_given(request.data.as_deref())),
            ("b64data", is_given(request.b64data.as_deref())),
            ("recover_since", is_given(request.recover_since.as_deref())),
            ("override", is_given(request.r#override.as_deref())),
            ("label_filter", is_given(request.label_filter.as_deref())),
            ("all_users", request.all_users.unwrap_or_default()),
        ])?;
        let channel = named(&request.channel)?.to_string();
        let expires_at = moment(request.expire_at);
        let order = v1::SubscribeRequest { selector: selector(body)?, channel, expires_at };
        self.instructor.subscribe(order).await?;
        nothing()
    }

    pub(super) async fn unsubscribe(&self, body: &[u8]) -> Answer {
        let Unsubscribe { channel } = parse(body)?;
        let channel = named(&channel)?.to_string();
        let order = v1::UnsubscribeRequest { selector: selector(body)?, channel };
        self.instructor.unsubscribe(order).await?;
        nothing()
    }

    pub(super) async fn disconnect(&self, body: &[u8]) -> Answer {
        let Disconnect { disconnect, whitelist } = parse(body)?;
        let Close { code, reason } = disconnect.unwrap_or(Close { code: None, reason: None });
        let order = v1::DisconnectRequest {
            selector: selector(body)?,
            code: code.unwrap_or_default(),
            reason: reason.unwrap_or_default(),
            except: whitelist.unwrap_or_default(),
        };
        self.instructor.disconnect(order).await?;
        nothing()
    }

    pub(super) async fn refresh(&self, body: &[u8]) -> Answer {
        let Refresh { expired, expire_at, info } = parse(body)?;
        refuse(&[("info", is_given(info.as_deref()))])?;
        let order = v1::RefreshRequest {
            selector: selector(body)?,
            expired: expired.unwrap_or_default(),
            expires_at: moment(expire_at),
        };
        self.instructor.refresh(order).await?;
        nothing()
    }
}
