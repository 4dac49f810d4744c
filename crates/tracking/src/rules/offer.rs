//! Who gets a delivery. An offer is settled once; of one delivery's offers one is accepted, and whoever comes later is
//! told that it is gone. After so many offers that nobody took the delivery escalates, once.

use platepal_events::Timestamp;
use platepal_proto::v1;
use serde::{Deserialize, Serialize};

/// Where an offer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum OfferStatus {
    Offered,
    Accepted,
    Declined,
    Expired,
    Cancelled,
}

impl OfferStatus {
    pub(crate) const ALL: [Self; 5] =
        [Self::Offered, Self::Accepted, Self::Declined, Self::Expired, Self::Cancelled];

    /// As Django spells it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Offered => "OFFERED",
            Self::Accepted => "ACCEPTED",
            Self::Declined => "DECLINED",
            Self::Expired => "EXPIRED",
            Self::Cancelled => "CANCELLED",
        }
    }

    pub(crate) fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.word().eq_ignore_ascii_case(word))
    }

    pub(crate) fn from_message(status: v1::OfferStatus) -> Option<Self> {
        Self::from_word(status.as_str_name().strip_prefix("OFFER_STATUS_")?)
    }

    pub(crate) fn to_message(self) -> v1::OfferStatus {
        v1::OfferStatus::from_str_name(&format!("OFFER_STATUS_{}", self.word())).unwrap_or_default()
    }

    /// The event type that tells it.
    pub(crate) fn type_name(self) -> &'static str {
        match self {
            Self::Offered => "job_offer",
            Self::Accepted => "offer.accepted",
            Self::Declined => "offer.declined",
            Self::Expired => "offer.expired",
            Self::Cancelled => "offer.cancelled",
        }
    }
}

/// An offer as far as these rules need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Offer {
    pub(crate) offer_id: String,
    pub(crate) status: OfferStatus,
    pub(crate) expires_at: Timestamp,
}

/// What became of a wish to settle an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Settled {
    /// It is settled so, now.
    Now(OfferStatus),
    /// It had been settled so before: a repeat.
    Again(OfferStatus),
    /// It is settled otherwise, by this call or before: tell the caller how.
    Otherwise {
        /// How it is settled.
        is: OfferStatus,
        /// That has to be written down: it was still open, and is too late or gone.
        write: bool,
    },
    /// `OFFERED` is not a way to settle.
    NotAWay,
}

/// Settles an offer. `taken`: another offer of the same delivery has been accepted.
///
/// A rider who accepts after the time finds it expired, also when no timer has said so yet; who accepts what another
/// one has finds it cancelled.
pub(crate) fn settle(offer: &Offer, wish: OfferStatus, taken: bool, now: Timestamp) -> Settled {
    match (offer.status, wish) {
        (_, OfferStatus::Offered) => Settled::NotAWay,
        (OfferStatus::Offered, OfferStatus::Accepted) if taken => {
            Settled::Otherwise { is: OfferStatus::Cancelled, write: true }
        }
        (OfferStatus::Offered, OfferStatus::Accepted | OfferStatus::Declined) if now >= offer.expires_at => {
            Settled::Otherwise { is: OfferStatus::Expired, write: true }
        }
        // A timer that rings early has nothing to say.
        (OfferStatus::Offered, OfferStatus::Expired) if now < offer.expires_at => {
            Settled::Otherwise { is: OfferStatus::Offered, write: false }
        }
        (OfferStatus::Offered, wish) => Settled::Now(wish),
        (is, wish) if is == wish => Settled::Again(is),
        (is, _) => Settled::Otherwise { is, write: false },
    }
}

/// Whether a delivery has to escalate after its offers became these: so many were declined or expired, and none was
/// accepted. It is for the caller to remember that it did.
pub(crate) fn escalates(offers: impl IntoIterator<Item = OfferStatus>, offers_max: u32) -> bool {
    let mut refused = 0_u32;
    for status in offers {
        match status {
            OfferStatus::Accepted => return false,
            OfferStatus::Declined | OfferStatus::Expired => refused = refused.saturating_add(1),
            OfferStatus::Offered | OfferStatus::Cancelled => {}
        }
    }
    refused >= offers_max.max(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn offer(id: &str, status: OfferStatus) -> Offer {
        Offer { offer_id: id.to_owned(), status, expires_at: at(60) }
    }

    #[test]
    fn an_offer_is_settled_once_and_whoever_comes_second_is_told_how() {
        let open = offer("a", OfferStatus::Offered);
        assert_eq!(settle(&open, OfferStatus::Declined, false, at(1)), Settled::Now(OfferStatus::Declined));
        let declined = offer("a", OfferStatus::Declined);
        assert_eq!(
            settle(&declined, OfferStatus::Declined, false, at(2)),
            Settled::Again(OfferStatus::Declined)
        );
        let told = Settled::Otherwise { is: OfferStatus::Declined, write: false };
        assert_eq!(settle(&declined, OfferStatus::Accepted, false, at(2)), told);
    }

    #[test]
    fn the_second_rider_who_accepts_finds_it_gone() {
        let open = offer("b", OfferStatus::Offered);
        let gone = Settled::Otherwise { is: OfferStatus::Cancelled, write: true };
        assert_eq!(settle(&open, OfferStatus::Accepted, true, at(1)), gone);
    }

    #[test]
    fn accepting_too_late_is_expiry_and_an_early_timer_says_nothing() {
        let open = offer("a", OfferStatus::Offered);
        let expired = Settled::Otherwise { is: OfferStatus::Expired, write: true };
        assert_eq!(settle(&open, OfferStatus::Accepted, false, at(60)), expired);
        let early = Settled::Otherwise { is: OfferStatus::Offered, write: false };
        assert_eq!(settle(&open, OfferStatus::Expired, false, at(59)), early);
        assert_eq!(settle(&open, OfferStatus::Expired, false, at(60)), Settled::Now(OfferStatus::Expired));
    }

    #[test]
    fn five_offers_that_nobody_took_escalate_and_cancelled_ones_do_not_count() {
        use OfferStatus::*;
        assert!(!escalates([Declined, Expired, Expired, Declined], 5));
        assert!(!escalates([Declined, Expired, Expired, Declined, Cancelled, Offered], 5));
        assert!(escalates([Declined, Expired, Expired, Declined, Cancelled, Expired], 5));
        assert!(!escalates([Declined, Expired, Expired, Declined, Expired, Accepted], 5));
    }

    #[test]
    fn every_status_survives_its_message() {
        for status in OfferStatus::ALL {
            assert_eq!(OfferStatus::from_message(status.to_message()), Some(status));
        }
    }

    proptest! {
        #[test]
        fn what_is_settled_stays_as_it_is(is in 1_usize..5, wish in 1_usize..5, taken: bool, now in 0_i64..120) {
            let status = OfferStatus::ALL.into_iter().nth(is).unwrap_or(OfferStatus::Declined);
            let wish = OfferStatus::ALL.into_iter().nth(wish).unwrap_or(OfferStatus::Declined);
            let kept = match settle(&offer("a", status), wish, taken, at(now)) {
                Settled::Again(is) | Settled::Otherwise { is, write: false } => is == status,
                Settled::Now(_) | Settled::Otherwise { write: true, .. } | Settled::NotAWay => false,
            };
            prop_assert!(kept);
        }
    }
}
