//! Which ways a notification goes beside the inbox, and when.

use platepal_events::Timestamp;

use super::{
    kinds::{Category, Priority, Way},
    preferences::Preferences,
};

/// What is done on one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plan {
    /// Not before this moment.
    At(Timestamp),
    /// Not at all; why.
    Skip(&'static str),
}

/// What is known when a notification is made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case<'a> {
    pub(crate) category: Category,
    pub(crate) priority: Priority,
    pub(crate) preferences: &'a Preferences,
    /// Promotions that went out to the user today.
    pub(crate) promotions_today: i64,
    pub(crate) promotions_max: i64,
    /// How long a device has to show it before it is pushed.
    pub(crate) grace_millis: i64,
    pub(crate) now: Timestamp,
}

impl Case<'_> {
    pub(crate) fn plan(&self, way: Way) -> Plan {
        let preferences = self.preferences;
        if way == Way::Socket {
            return Plan::At(self.now);
        }
        if preferences.mutes(self.category, way) {
            return Plan::Skip("muted by the user's preferences");
        }
        if self.category == Category::Promotions && self.promotions_today >= self.promotions_max {
            return Plan::Skip("the day's promotions have gone out");
        }
        let disturbs = matches!(way, Way::Push | Way::Sms);
        let at = if disturbs && self.priority != Priority::High {
            preferences.disturb_at(self.now)
        } else {
            self.now
        };
        let grace = if way == Way::Push { self.grace_millis } else { 0 };
        Plan::At(at.max(self.now.plus_millis(grace)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::rules::quiet::QuietHours;

    fn night() -> Preferences {
        Preferences { quiet_hours: Some(QuietHours { from: 22 * 60, to: 7 * 60 }), ..Preferences::default() }
    }

    fn case(preferences: &Preferences, priority: Priority, category: Category) -> Case<'_> {
        Case {
            category,
            priority,
            preferences,
            promotions_today: 0,
            promotions_max: 3,
            grace_millis: 5_000,
            now: "2026-01-10T23:00:00Z".parse().unwrap(),
        }
    }

    fn at(text: &str) -> Plan {
        Plan::At(text.parse().unwrap())
    }

    #[test]
    fn at_night_pushes_and_texts_wait_for_the_morning_and_mail_does_not() {
        let preferences = night();
        let plan = |priority, way| case(&preferences, priority, Category::Orders).plan(way);
        assert_eq!(plan(Priority::Normal, Way::Push), at("2026-01-11T07:00:00Z"));
        assert_eq!(plan(Priority::Normal, Way::Sms), at("2026-01-11T07:00:00Z"));
        assert_eq!(plan(Priority::Normal, Way::Email), at("2026-01-10T23:00:00Z"));
        assert_eq!(plan(Priority::High, Way::Push), at("2026-01-10T23:00:05Z"));
    }

    #[test]
    fn by_day_a_push_waits_for_a_device_to_show_it() {
        let preferences = Preferences::default();
        let plan = |way| case(&preferences, Priority::Normal, Category::Orders).plan(way);
        assert_eq!(plan(Way::Push), at("2026-01-10T23:00:05Z"));
        assert_eq!(plan(Way::Sms), at("2026-01-10T23:00:00Z"));
    }

    #[test]
    fn what_is_muted_and_too_many_promotions_stay_in_the_inbox() {
        let mut preferences = Preferences::default();
        preferences.muted.entry(Category::Orders).or_default().insert(Way::Push);
        assert!(matches!(
            case(&preferences, Priority::High, Category::Orders).plan(Way::Push),
            Plan::Skip(_)
        ));
        assert!(matches!(
            case(&preferences, Priority::High, Category::Payments).plan(Way::Push),
            Plan::At(_)
        ));
        let promotion =
            Case { promotions_today: 3, ..case(&preferences, Priority::High, Category::Promotions) };
        assert!(matches!(promotion.plan(Way::Email), Plan::Skip(_)));
    }
}
