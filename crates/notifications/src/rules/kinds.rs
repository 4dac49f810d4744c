//! Types of notifications, and what they are about.

use platepal_proto::v1;
use serde::{Deserialize, Serialize};

/// The longest name of a type, in characters.
const TYPE_CHARS_MAX: usize = 64;

/// What a notification is about; preferences are by category.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Category {
    Orders,
    Payments,
    Promotions,
    Reviews,
    System,
    Deliveries,
    Shifts,
    Earnings,
    Chat,
}

/// How much it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Priority {
    Low,
    Normal,
    /// Passes quiet hours and snooze.
    High,
}

/// A way out beside the inbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Way {
    Push,
    Email,
    Sms,
    /// Only in what became of a notification.
    Socket,
}

/// PlatePal's types.
const KNOWN: &[(&str, Category, Priority)] = &[
    ("ORDER_PLACED", Category::Orders, Priority::Normal),
    ("ORDER_ACCEPTED", Category::Orders, Priority::Normal),
    ("ORDER_READY", Category::Orders, Priority::Normal),
    ("ORDER_OUT_FOR_DELIVERY", Category::Orders, Priority::Normal),
    ("ORDER_DELIVERED", Category::Orders, Priority::Normal),
    ("ORDER_CANCELLED", Category::Orders, Priority::High),
    ("PAYMENT_SUCCESS", Category::Payments, Priority::Normal),
    ("PAYMENT_FAILED", Category::Payments, Priority::High),
    ("PROMOTION", Category::Promotions, Priority::Low),
    ("REVIEW_REQUEST", Category::Reviews, Priority::Low),
    ("SYSTEM", Category::System, Priority::Normal),
    ("DELIVERY_OFFER", Category::Deliveries, Priority::High),
    ("DELIVERY_OFFER_EXPIRED", Category::Deliveries, Priority::Normal),
    ("DELIVERY_CANCELLED", Category::Deliveries, Priority::High),
    ("SHIFT_REMINDER", Category::Shifts, Priority::Normal),
    ("SURGE_ALERT", Category::Shifts, Priority::Low),
    ("EARNINGS_PAYOUT", Category::Earnings, Priority::Normal),
    ("DOCUMENT_EXPIRY", Category::System, Priority::Normal),
    ("HIGH_PRIORITY_ALERT", Category::System, Priority::High),
];

/// What a type is about and how much it matters, unless it is said otherwise.
pub(crate) fn defaults(kind: &str) -> (Category, Priority) {
    let known = KNOWN.iter().find(|(name, ..)| *name == kind);
    known.map_or((Category::System, Priority::Normal), |(_, category, priority)| (*category, *priority))
}

/// Whether a text is a type's name.
pub(crate) fn is_type(kind: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    !kind.is_empty() && kind.len() <= TYPE_CHARS_MAX && kind.bytes().all(is_letter)
}

macro_rules! words {
    ($own:ident, $message:ty, $($name:ident $word:literal)+) => {
        impl $own {
            pub(crate) fn word(self) -> &'static str {
                match self { $( Self::$name => $word, )+ }
            }

            pub(crate) fn from_word(word: &str) -> Option<Self> {
                match word { $( $word => Some(Self::$name), )+ _ => None }
            }

            pub(crate) fn from_message(message: $message) -> Option<Self> {
                match message {
                    <$message>::Unspecified => None,
                    $( <$message>::$name => Some(Self::$name), )+
                }
            }

            pub(crate) fn to_message(self) -> $message {
                match self { $( Self::$name => <$message>::$name, )+ }
            }
        }
    };
}
words!(Category, v1::Category, Orders "ORDERS" Payments "PAYMENTS" Promotions "PROMOTIONS" Reviews "REVIEWS" System "SYSTEM"
    Deliveries "DELIVERIES" Shifts "SHIFTS" Earnings "EARNINGS" Chat "CHAT");
words!(Priority, v1::Priority, Low "low" Normal "normal" High "high");
words!(Way, v1::Way, Push "push" Email "email" Sms "sms" Socket "socket");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_of_ones_own_are_of_the_system() {
        assert_eq!(defaults("PROMOTION"), (Category::Promotions, Priority::Low));
        assert_eq!(defaults("LOYALTY_POINTS"), (Category::System, Priority::Normal));
        for kind in ["", "order", "ORDER-1", "Ö", &"A".repeat(65)] {
            assert!(!is_type(kind), "{kind}");
        }
        assert!(KNOWN.iter().all(|(name, ..)| is_type(name)));
    }
}
