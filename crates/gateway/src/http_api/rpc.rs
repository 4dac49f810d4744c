//! `rpc`: a domain's method, called by a backend.

use bytes::Bytes;
use platepal_auth::Role;
use platepal_events::Domain;
use platepal_proto::v1;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tonic::Code;

use super::{
    Answer, Api, Problem,
    answer::{done, parse},
};
use crate::publish::no_link;

/// The user that a domain sees when a backend calls: with the API key it may do what administrators may.
const BACKEND: &str = "backend";

#[derive(Deserialize)]
struct Asked<'a> {
    method: String,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct Called {
    data: Box<RawValue>,
}

impl Api {
    pub(super) async fn rpc(&self, body: &[u8]) -> Answer {
        let not_found = || Problem::new(104, "method not found");
        let Asked { method, params } = parse(body)?;
        let (word, name) = method.split_once('.').ok_or_else(not_found)?;
        let domain = Domain::ALL.into_iter().find(|domain| domain.word() == word).ok_or_else(not_found)?;
        let link = self.links.get(domain).ok_or_else(|| no_link(domain))?;
        let request = v1::CallRequest {
            principal: Some(v1::Principal {
                user_id: BACKEND.to_owned(),
                roles: vec![Role::Admin.to_string()],
                restaurant_ids: Vec::new(),
            }),
            method: name.to_owned(),
            data: params.map(|params| Bytes::copy_from_slice(params.get().as_bytes())).unwrap_or_default(),
            token: String::new(),
            channel: String::new(),
            client_id: String::new(),
        };
        let answer = link.domain(self.message_bytes_max).call(request).await.map_err(|status| {
            if status.code() == Code::Unimplemented { not_found() } else { status.into() }
        })?;
        let data = String::from_utf8(answer.into_inner().data.to_vec()).map_err(Problem::internal)?;
        let data = if data.is_empty() { "null".to_owned() } else { data };
        done(&Called { data: RawValue::from_string(data).map_err(Problem::internal)? })
    }
}
