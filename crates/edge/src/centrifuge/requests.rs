//! `publish` and `rpc`: what a client sends goes to the domain that owns the channel or the method.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    Done,
    errors::{error, of_status},
    messages::{Empty, PublishRequest, Reply, RpcRequest, RpcResult},
    subscribe::{is_json, named},
};
use crate::{
    owners::Owners,
    session::{Session, User},
};

impl Session {
    pub(super) fn publish(&mut self, id: u32, request: PublishRequest, user: User) {
        let channel = match named(&request.channel) {
            Ok(channel) => channel,
            Err(refusal) => return self.refused(id, refusal),
        };
        if !is_json(&request.data) {
            return self.refuse(id, error(107));
        }
        let turn = self.lanes.turn(channel.kind().owner());
        let (edge, caller) = (Arc::clone(&self.edge), self.caller(user));
        let limit = self.edge.settings.call_timeout;
        self.spawn(async move {
            let sent = turn.ask(limit, edge.owners.send(&caller, &channel, request.data)).await;
            let answer = sent.map(|()| Reply { publish: Some(Empty {}), ..Reply::default() });
            Done::Answered(answer.map_err(|status| of_status(&status).into()), id)
        });
    }

    pub(super) fn rpc(&mut self, id: u32, request: RpcRequest, user: User) {
        let data = if request.data.is_empty() { Bytes::from_static(b"{}") } else { request.data };
        if !is_json(&data) {
            return self.refuse(id, error(107));
        }
        let Some(domain) = Owners::of_method(&request.method) else { return self.refuse(id, error(104)) };
        let turn = self.lanes.turn(domain);
        let (edge, caller) = (Arc::clone(&self.edge), self.caller(user));
        let limit = self.edge.settings.call_timeout;
        self.spawn(async move {
            let answer = match turn.ask(limit, edge.owners.call(&caller, None, &request.method, data)).await {
                Ok(data) if is_json(&data) => Ok(Reply { rpc: Some(RpcResult { data }), ..Reply::default() }),
                Ok(_) => {
                    tracing::error!(method = request.method, "a domain's answer to a call is not JSON");
                    Err(error(100).into())
                }
                Err(status) if status.code() == tonic::Code::Unimplemented => Err(error(104).into()),
                Err(status) => Err(of_status(&status).into()),
            };
            Done::Answered(answer, id)
        });
    }
}
