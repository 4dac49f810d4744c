//! Links for somebody without an account: a signed token that opens the channel of one delivery, read only.
//!
//! The edge verifies it with the same secret. What it opens is decided like everybody else's access: by
//! [`Tracking::may_follow`], for as long as the delivery lasts.

use std::time::Duration;

use platepal_auth::{Principal, ShareSigner};
use platepal_events::{Channel, ChannelKind, Timestamp};
use platepal_proto::v1;
use platepal_service::{domain::Verdict, grpc::invalid, outbox::untold_status};
use tonic::Status;

use super::{
    Tracking,
    deliveries::{id, unknown},
    store_status,
};
use crate::{rules::record::Delivery, settings::Settings};

/// Signs links. Without a secret it signs none.
#[derive(Clone)]
pub(crate) struct Shares {
    signer: Option<ShareSigner>,
    valid_for: Duration,
    valid_for_max: Duration,
}

impl Shares {
    pub(crate) fn new(signer: Option<ShareSigner>, settings: &Settings) -> Self {
        Self { signer, valid_for: settings.share_time, valid_for_max: settings.share_time_max }
    }
}

impl Tracking {
    pub(crate) async fn share_delivery(
        &self,
        request: v1::ShareDeliveryRequest,
    ) -> Result<v1::ShareDeliveryResponse, Status> {
        let v1::ShareDeliveryRequest { delivery_id, valid_for } = request;
        id("delivery_id", &delivery_id)?;
        let longest = self.shares.valid_for_max;
        let valid_for = match valid_for.map(Duration::try_from) {
            Some(time) => time.map_err(|_| invalid("valid_for", "must not be negative"))?,
            None => self.shares.valid_for,
        };
        if valid_for < Duration::from_secs(1) || valid_for > longest {
            return Err(invalid(
                "valid_for",
                format!("must be from 1 s to {} s (REALTIME_TRACKING_SHARE_TIME_MAX)", longest.as_secs()),
            ));
        }
        let signer = self.shares.signer.as_ref().ok_or_else(|| {
            Status::failed_precondition(
                "links can't be signed: set REALTIME_SHARE_SECRET to at least 32 bytes, the same for tracking \
                 and the edges",
            )
        })?;
        let read = self.store.delivery(&delivery_id).await.map_err(store_status)?;
        let read = read.ok_or_else(|| unknown(&delivery_id))?;
        if !read.delivery.lasts() {
            return Err(Status::failed_precondition(format!("delivery {delivery_id} has ended")));
        }
        let (token, expires_at) = signer
            .sign(&delivery_id, valid_for, self.clock.now())
            .map_err(|why| Status::internal(format!("the link could not be signed: {why}")))?;
        metrics::counter!("realtime_tracking_links_total").increment(1);
        Ok(v1::ShareDeliveryResponse {
            path: format!("/ws/track/{delivery_id}?token={token}"),
            token,
            expires_at: Some(expires_at.into()),
        })
    }

    /// Allows a user to read a channel.
    pub(super) async fn allow(
        &self,
        user: &str,
        channel: &Channel,
        expires_at: Option<Timestamp>,
    ) -> Result<(), Status> {
        refuse_own_feed(channel)?;
        self.store.grants.grant(user, channel, expires_at).await.map_err(|why| store_status(why.into()))
    }

    /// Takes a grant back and tells the edges; true if there was one.
    pub(super) async fn disallow(&self, user: &str, channel: &Channel) -> Result<bool, Status> {
        refuse_own_feed(channel)?;
        let now = self.clock.now();
        let revoked = self.store.grants.revoke(user, channel, now).await;
        let (stream, existed) = revoked.map_err(|why| store_status(why.into()))?;
        self.store.outbox.drain(&stream, now).await.map_err(untold_status)?;
        Ok(existed)
    }

    /// May this principal read one of this domain's channels?
    pub(super) async fn may_read(&self, principal: &Principal, token: &str, channel: &Channel) -> Verdict {
        let shared = principal.shared_delivery();
        if channel.kind() == ChannelKind::Track {
            return self.may_follow(principal, token, shared, channel).await;
        }
        if shared.is_some() {
            return Verdict::Denied("a link opens its own delivery alone".to_owned());
        }
        self.access.decide(principal, token, channel).await
    }

    /// May this principal follow a delivery? `shared`: the one that its link is for.
    async fn may_follow(
        &self,
        principal: &Principal,
        token: &str,
        shared: Option<&str>,
        channel: &Channel,
    ) -> Verdict {
        let read = match self.store.delivery(channel.id()).await {
            Ok(read) => read,
            Err(why) => return Verdict::Undecided(why.to_string()),
        };
        if let Some(shared) = shared.filter(|shared| *shared != channel.id()) {
            return Verdict::Denied(format!("this link is for delivery {shared} alone"));
        }
        let Some(read) = read else {
            return match shared {
                Some(_) => Verdict::Denied("this delivery was forgotten".to_owned()),
                None => self.access.decide(principal, token, channel).await,
            };
        };
        if !read.delivery.lasts() {
            return Verdict::Denied(format!("the delivery has ended: {}", read.delivery.status().word()));
        }
        if shared.is_some() {
            return Verdict::Allowed(self.valid_for);
        }
        let Delivery { customer_id, rider_id, restaurant_id, .. } = &read.delivery;
        let user = principal.user_id.as_str();
        if user == customer_id || user == rider_id {
            return Verdict::Allowed(self.valid_for);
        }
        let verdict = self.access.decide(principal, token, channel).await;
        // Whoever may read the restaurant's feed may see who comes for its orders.
        match Channel::new(ChannelKind::Restaurant, restaurant_id) {
            Ok(restaurant) if matches!(verdict, Verdict::Denied(_)) => {
                self.access.decide(principal, token, &restaurant).await
            }
            _ => verdict,
        }
    }
}

fn refuse_own_feed(channel: &Channel) -> Result<(), Status> {
    if channel.kind().is_own_feed() {
        return Err(invalid(
            "channel",
            format!("{channel} is a user's own feed, which nobody else may read; grant another channel"),
        ));
    }
    Ok(())
}
