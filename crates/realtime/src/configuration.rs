//! All settings of a process, read once, with all mistakes reported together.

use platepal_events::Domain;
use platepal_settings::{Group, Mistakes, Reader, Spec};

use crate::cli::Role;

/// The settings of every crate. Groups that the process's roles do not use are read too, so that one
/// environment file with one meaning serves all processes; only what a role needs is required.
#[derive(Debug, Clone)]
pub(crate) struct Configuration {
    pub(crate) service: platepal_service::Settings,
    pub(crate) keys: platepal_auth::KeySettings,
    pub(crate) bus: platepal_bus::Settings,
    pub(crate) tokens: platepal_auth::Settings,
    pub(crate) shares: platepal_auth::ShareSettings,
    pub(crate) traces: platepal_service::trace::Settings,
    pub(crate) access: platepal_service::access::Settings,
    pub(crate) edge: platepal_edge::Settings,
    pub(crate) edges: platepal_service::edges::Settings,
    pub(crate) gateway: platepal_gateway::Settings,
    pub(crate) orders: platepal_orders::Settings,
    pub(crate) tracking: platepal_tracking::Settings,
    pub(crate) chat: platepal_chat::Settings,
    pub(crate) notifications: platepal_notifications::Settings,
    pub(crate) menus: platepal_menus::Settings,
    pub(crate) push: platepal_push::Settings,
    pub(crate) console: platepal_console::Settings,
    /// Every setting as it is, to be shown.
    pub(crate) effective: Vec<platepal_settings::Effective>,
}

/// Every group: its title and its settings, in the order of the reference page.
fn groups() -> [(&'static str, &'static [Spec]); 17] {
    fn group<G: Group>() -> (&'static str, &'static [Spec]) {
        (G::TITLE, G::SPECS)
    }
    [
        group::<platepal_service::Settings>(),
        group::<platepal_auth::Settings>(),
        group::<platepal_auth::KeySettings>(),
        group::<platepal_auth::ShareSettings>(),
        group::<platepal_edge::Settings>(),
        group::<platepal_service::edges::Settings>(),
        group::<platepal_gateway::Settings>(),
        group::<platepal_bus::Settings>(),
        group::<platepal_orders::Settings>(),
        group::<platepal_tracking::Settings>(),
        group::<platepal_chat::Settings>(),
        group::<platepal_notifications::Settings>(),
        group::<platepal_push::Settings>(),
        group::<platepal_menus::Settings>(),
        group::<platepal_console::Settings>(),
        group::<platepal_service::access::Settings>(),
        group::<platepal_service::trace::Settings>(),
    ]
}

/// The end of `--help`.
pub(crate) fn help() -> String {
    let mut page = String::from("Settings (environment variables):\n\n");
    for (title, specs) in groups() {
        page.push_str(&platepal_settings::help(title, specs));
        page.push('\n');
    }
    page
}

/// The reference page.
pub(crate) fn reference() -> String {
    let mut page = String::from(
        "# Settings\n\nEvery setting is an environment variable, read once at the start. All mistakes are \
         reported together, unknown `REALTIME_…` names too. This page is what `platepal-realtime settings` \
         prints.\n\n",
    );
    for (title, specs) in groups() {
        page.push_str(&platepal_settings::markdown(title, specs));
    }
    page.trim_end().to_owned() + "\n"
}

impl Configuration {
    /// Reads the settings of a process that runs these roles.
    pub(crate) fn read(mut reader: Reader, roles: &[Role]) -> Result<Self, Mistakes> {
        let configuration = Self::gather(&mut reader);
        if let Some(configuration) = &configuration {
            configuration.check(&mut reader, roles);
        }
        let known: Vec<Spec> = groups().iter().flat_map(|(_, specs)| specs.iter().copied()).collect();
        reader.finish(&known)?;
        // A group is only missing when its reading noted a mistake, which has just been reported.
        configuration.ok_or_else(|| Mistakes(vec!["a setting could not be read".to_owned()]))
    }

    /// Reads every group without checking how they fit together; `None` after a mistake.
    pub(crate) fn gather(reader: &mut Reader) -> Option<Self> {
        // Read all before missing any.
        let service = reader.read();
        let (keys, bus, tokens, access) = (reader.read(), reader.read(), reader.read(), reader.read());
        let (edge, gateway, orders, traces) = (reader.read(), reader.read(), reader.read(), reader.read());
        let (notifications, push, menus) = (reader.read(), reader.read(), reader.read());
        let (edges, tracking, shares, chat) = (reader.read(), reader.read(), reader.read(), reader.read());
        let console = reader.read();
        let effective = groups().iter().flat_map(|(_, specs)| reader.effective(specs)).collect();
        Some(Self {
            service: service?,
            keys: keys?,
            bus: bus?,
            tokens: tokens?,
            shares: shares?,
            traces: traces?,
            access: access?,
            edge: edge?,
            edges: edges?,
            gateway: gateway?,
            orders: orders?,
            tracking: tracking?,
            chat: chat?,
            notifications: notifications?,
            push: push?,
            menus: menus?,
            console: console?,
            effective,
        })
    }

    fn check(&self, reader: &mut Reader, roles: &[Role]) {
        let runs = |role| roles.contains(&role);
        self.service.check(reader, !self.keys.api_keys.is_empty());
        self.keys.check(reader);
        self.shares.check(reader, &self.tokens);
        self.access.check(reader);
        self.traces.check(reader);
        self.gateway.check(reader, self.bus.retention_age);
        self.orders.check(reader);
        self.chat.check(reader);
        self.notifications.check(reader, self.push.timeout);
        self.push.check(reader);
        self.menus.check(reader);
        self.console.check(reader, roles == [Role::Console]);
        if runs(Role::Edge) {
            self.tokens.check(reader);
            self.edge.check(reader);
        }
        let replicas = runs(Role::of(Domain::Tracking)) && self.bus.nats_url.is_some();
        self.tracking.check(reader, self.service.grpc_addr, replicas);
        let others = runs(Role::Edge) && self.bus.nats_url.is_some();
        self.edges.check(reader, self.service.grpc_addr, others);
        if roles.len() < Role::all_if_empty(&[]).len() && self.bus.nats_url.is_none() {
            reader.mistake(
                "REALTIME_NATS_URL must be set: this process runs only some of the roles, and they meet on NATS",
            );
        }
        for domain in Domain::ALL.into_iter().filter(|domain| !runs(Role::of(*domain))) {
            if self.service.domain_url(domain).is_none() && (runs(Role::Edge) || runs(Role::Gateway)) {
                reader.mistake(format!(
                    "REALTIME_{0}_URL must be set: this process does not run the {1} domain",
                    domain.word().to_uppercase(),
                    domain.word()
                ));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn mistakes(variables: &[(&str, &str)], roles: &[Role]) -> Vec<String> {
        let reader = Reader::new(variables.iter().copied());
        Configuration::read(reader, roles).err().map(|Mistakes(mistakes)| mistakes).unwrap_or_default()
    }

    #[test]
    fn the_settings_page_is_what_the_code_says() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/settings.md");
        let written = std::fs::read_to_string(page).unwrap_or_default();
        assert!(
            written == reference(),
            "docs/settings.md is old: run `cargo run -- settings > docs/settings.md`"
        );
    }

    #[test]
    fn a_tier_without_secrets_refuses_to_start_and_names_everything_that_is_missing() {
        let all = Role::all_if_empty(&[]);
        let mistakes = mistakes(&[("REALTIME_GRPC_ADDR", "0.0.0.0:50051"), ("REALTIME_NATS", "x")], &all);
        for name in ["REALTIME_JWT_SECRET", "REALTIME_API_KEYS", "REALTIME_NATS is not a setting"] {
            assert!(mistakes.iter().any(|mistake| mistake.contains(name)), "{name}: {mistakes:?}");
        }
    }

    #[test]
    fn a_single_role_says_what_it_needs_to_meet_the_others() {
        let secret = ("REALTIME_JWT_SECRET", "0123456789abcdef0123456789abcdef");
        let mistakes = mistakes(&[secret], &[Role::Edge]);
        for name in ["REALTIME_NATS_URL", "REALTIME_ORDERS_URL"] {
            assert!(mistakes.iter().any(|mistake| mistake.contains(name)), "{name}: {mistakes:?}");
        }
    }

    #[test]
    fn every_setting_is_declared_once() {
        let mut names: Vec<&str> =
            groups().iter().flat_map(|(_, specs)| specs.iter().map(|spec| spec.name)).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
