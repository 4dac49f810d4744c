//! How devices are reached: keys, accounts, hosts, times. Each service is off until its keys are set.

use std::{path::PathBuf, time::Duration};

use platepal_settings::{Reader, Secret};
use serde::Deserialize;
use url::Url;

use crate::{apns::Provider, fcm::Account, guard::is_pattern, keys::VapidKeys};

platepal_settings::settings! {
    /// Push: how devices are reached. Each service is off until its keys are set.
    pub struct Settings {
        /// Web push: the private key, 32 bytes in base64url. `platepal-realtime vapid` makes a pair.
        vapid_private_key: Option<Secret> = "REALTIME_PUSH_VAPID_PRIVATE_KEY", optional;
        /// Web push: where push services reach whoever is responsible, `mailto:…` or `https://…`.
        vapid_contact: Option<String> = "REALTIME_PUSH_VAPID_CONTACT", optional;
        /// Web push: hosts at which browsers may have their endpoints; `*.` stands for every name below.
        hosts: Vec<String> = "REALTIME_PUSH_HOSTS", default "fcm.googleapis.com, *.push.services.mozilla.com, *.notify.windows.com, web.push.apple.com, *.push.apple.com";
        /// Web push: hosts that may have addresses of your own network, over http too. For tests; empty in production.
        private_hosts: Vec<String> = "REALTIME_PUSH_PRIVATE_HOSTS", optional;
        /// How long one request to a push service may take.
        timeout: Duration = "REALTIME_PUSH_TIMEOUT", default "10s", bound { unit: "time", full: "the push is tried again later", metric: "realtime_push_seconds" };
        /// How long connecting may take of it.
        connect_timeout: Duration = "REALTIME_PUSH_CONNECT_TIMEOUT", default "5s", bound { unit: "time", full: "the push is tried again later", metric: "realtime_push_seconds" };
        /// For how long a push service keeps a push for a device that is away.
        ttl: Duration = "REALTIME_PUSH_TTL", default "24h", bound { unit: "time", full: "the service drops the push; the inbox has it", metric: "realtime_push_sent_total" };
        /// Firebase: the file with the service account's key (JSON).
        fcm_credentials: Option<PathBuf> = "REALTIME_PUSH_FCM_CREDENTIALS", optional;
        /// Firebase: where it is.
        fcm_url: Url = "REALTIME_PUSH_FCM_URL", default "https://fcm.googleapis.com";
        /// Apple: the file with the signing key (`.p8`).
        apns_key: Option<PathBuf> = "REALTIME_PUSH_APNS_KEY", optional;
        /// Apple: the key's id.
        apns_key_id: Option<String> = "REALTIME_PUSH_APNS_KEY_ID", optional;
        /// Apple: the team's id.
        apns_team: Option<String> = "REALTIME_PUSH_APNS_TEAM", optional;
        /// Apple: the app's bundle id.
        apns_topic: Option<String> = "REALTIME_PUSH_APNS_TOPIC", optional;
        /// Apple: where it is; `https://api.sandbox.push.apple.com` for apps under development.
        apns_url: Url = "REALTIME_PUSH_APNS_URL", default "https://api.push.apple.com";
        /// Certificates (PEM) that are trusted beside the system's, for Firebase's and Apple's addresses.
        ca: Option<PathBuf> = "REALTIME_PUSH_CA", optional;
    }
}

/// The part of a service account's file that is needed.
#[derive(Deserialize)]
struct AccountFile {
    project_id: String,
    client_email: String,
    private_key: String,
    token_uri: Url,
}

impl Settings {
    /// Notes values that can't work, and services that are half configured.
    pub fn check(&self, reader: &mut Reader) {
        for mistake in self.mistakes() {
            reader.mistake(mistake);
        }
    }

    pub(crate) fn mistakes(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        if self.vapid_private_key.is_some() != self.vapid_contact.is_some() {
            mistakes.push(
                "REALTIME_PUSH_VAPID_PRIVATE_KEY and REALTIME_PUSH_VAPID_CONTACT belong together".into(),
            );
        }
        if let Some(contact) = &self.vapid_contact
            && !contact.starts_with("mailto:")
            && !contact.starts_with("https://")
        {
            mistakes.push(format!(
                "REALTIME_PUSH_VAPID_CONTACT must start with mailto: or https:// (it is {contact:?})"
            ));
        }
        let apns = [
            self.apns_key.is_some(),
            self.apns_key_id.is_some(),
            self.apns_team.is_some(),
            self.apns_topic.is_some(),
        ];
        if apns.contains(&true) && apns.contains(&false) {
            mistakes.push(
                "REALTIME_PUSH_APNS_KEY, _APNS_KEY_ID, _APNS_TEAM and _APNS_TOPIC belong together".into(),
            );
        }
        for (name, hosts, may_be_many) in [
            ("REALTIME_PUSH_HOSTS", &self.hosts, true),
            ("REALTIME_PUSH_PRIVATE_HOSTS", &self.private_hosts, false),
        ] {
            for host in hosts.iter().filter(|host| !is_pattern(host, may_be_many)) {
                mistakes.push(format!("{name}: {host:?} is no host in lower case, without scheme and port"));
            }
        }
        if self.timeout.is_zero() || self.timeout > Duration::from_secs(30) {
            mistakes.push("REALTIME_PUSH_TIMEOUT must be above zero and at most 30s".into());
        }
        if self.ttl > Duration::from_secs(28 * 24 * 3_600) {
            mistakes.push("REALTIME_PUSH_TTL must be at most 28d: push services keep nothing longer".into());
        }
        mistakes
    }

    /// The keys of web push and the contact, if they are set.
    pub(crate) fn vapid(&self) -> Result<Option<(VapidKeys, String)>, String> {
        let (Some(key), Some(contact)) = (&self.vapid_private_key, &self.vapid_contact) else {
            return Ok(None);
        };
        let keys = VapidKeys::parse(key.reveal())
            .map_err(|why| format!("REALTIME_PUSH_VAPID_PRIVATE_KEY: the key {why}"))?;
        Ok(Some((keys, contact.clone())))
    }

    /// Firebase's account, if one is named.
    pub(crate) fn fcm_account(&self) -> Result<Option<Account>, String> {
        let Some(file) = &self.fcm_credentials else { return Ok(None) };
        let wrong =
            |why: String| format!("REALTIME_PUSH_FCM_CREDENTIALS: {} can't be used: {why}", file.display());
        let json = std::fs::read_to_string(file).map_err(|why| wrong(why.to_string()))?;
        // The error of the parser may show what it read.
        let account: AccountFile =
            serde_json::from_str(&json).map_err(|_| wrong("it is no service account's key".into()))?;
        let AccountFile { project_id, client_email, private_key, token_uri } = account;
        Account::new(project_id, client_email, &private_key, token_uri).map(Some).map_err(wrong)
    }

    /// Apple's key, if one is named.
    pub(crate) fn apns_provider(&self) -> Result<Option<Provider>, String> {
        let (Some(file), Some(key_id), Some(team), Some(topic)) =
            (&self.apns_key, &self.apns_key_id, &self.apns_team, &self.apns_topic)
        else {
            return Ok(None);
        };
        let wrong = |why: String| format!("REALTIME_PUSH_APNS_KEY: {} can't be used: {why}", file.display());
        let pem = std::fs::read(file).map_err(|why| wrong(why.to_string()))?;
        Provider::new(&pem, key_id, team, topic).map(Some).map_err(wrong)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn mistakes(variables: &[(&str, &str)]) -> Vec<String> {
        Reader::new(variables.iter().copied()).read::<Settings>().unwrap().mistakes()
    }

    #[test]
    fn nothing_set_is_no_mistake_and_half_a_service_is() {
        assert_eq!(mistakes(&[]), Vec::<String>::new());
        for (name, value) in [
            ("REALTIME_PUSH_VAPID_PRIVATE_KEY", "x"),
            ("REALTIME_PUSH_APNS_TEAM", "x"),
            ("REALTIME_PUSH_HOSTS", "https://push.example.com"),
            ("REALTIME_PUSH_HOSTS", "*.com"),
            ("REALTIME_PUSH_PRIVATE_HOSTS", "*.local.example"),
            ("REALTIME_PUSH_TIMEOUT", "1m"),
            ("REALTIME_PUSH_TTL", "29d"),
        ] {
            let mistakes = mistakes(&[(name, value)]);
            assert_eq!(mistakes.len(), 1, "{name}: {mistakes:?}");
        }
        let contact =
            [("REALTIME_PUSH_VAPID_PRIVATE_KEY", "x"), ("REALTIME_PUSH_VAPID_CONTACT", "ada@example.org")];
        assert!(mistakes(&contact)[0].contains("mailto:"));
    }

    #[test]
    fn files_that_can_not_be_used_are_named_and_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        std::fs::write(&file, "hunter2").unwrap();
        let file = file.to_str().unwrap();
        let settings: Settings = Reader::new([
            ("REALTIME_PUSH_FCM_CREDENTIALS", file),
            ("REALTIME_PUSH_APNS_KEY", file),
            ("REALTIME_PUSH_APNS_KEY_ID", "k"),
            ("REALTIME_PUSH_APNS_TEAM", "t"),
            ("REALTIME_PUSH_APNS_TOPIC", "com.example.app"),
        ])
        .read()
        .unwrap();
        for why in [settings.fcm_account().err().unwrap(), settings.apns_provider().err().unwrap()] {
            assert!(why.contains(file) && !why.contains("hunter2"), "{why}");
        }
    }
}
