//! Secrets: not guessable, not a demo's, and not readable by everybody.

use std::{collections::HashSet, fs, os::unix::fs::PermissionsExt, path::Path};

use platepal_settings::Reader;

use super::{Finding, Patient};
use crate::{cli::Role, demo};

const CHECK: &str = "secrets";
/// A secret with fewer different characters was not made by a generator.
const DIFFERENT_CHARS_MIN: usize = 10;
/// How Django begins a secret that it made for development.
const STARTPROJECT: &str = "django-insecure-";
/// How secrets begin that stand in examples and were never meant to be kept.
const EXAMPLES: [&str; 5] = ["changeme", "change-me", "secret", "password", "0123456789"];

pub(super) fn check(patient: &Patient<'_>, reader: &Reader) -> Vec<Finding> {
    let configuration = patient.configuration;
    let mut findings = Vec::new();
    let demo = demo::secrets::made_here();
    let tokens = configuration.tokens.secret.iter().filter(|_| patient.runs(Role::Edge));
    let tokens = tokens.map(|secret| ("REALTIME_JWT_SECRET", secret.reveal()));
    let keys = configuration.keys.api_keys.iter().map(|key| {
        let key = key.reveal();
        ("REALTIME_API_KEYS", key.split_once('=').map_or(key, |(_, key)| key))
    });
    let secrets: Vec<(&str, &str)> = tokens.chain(keys).collect();
    for (setting, secret) in &secrets {
        if let Some(why) = weakness(secret) {
            findings.push(Finding::fail(
                CHECK,
                format!("{setting} {why}; make one with `openssl rand -base64 48`"),
            ));
        }
        if secret.starts_with(STARTPROJECT) {
            let advice =
                "is the one that `startproject` wrote into Django's settings, and known to all who saw those";
            findings.push(Finding::warn(CHECK, format!("{setting} {advice}; give Django another")));
        }
        if demo.iter().any(|made| made == secret) {
            let advice =
                "holds what a demo generated here; make one of its own for anything but trying things";
            findings.push(Finding::warn(CHECK, format!("{setting} {advice}")));
        }
    }
    let different: HashSet<&str> = secrets.iter().map(|(_, secret)| *secret).collect();
    if different.len() < secrets.len() {
        let message =
            "one secret serves two purposes: give REALTIME_JWT_SECRET and each of REALTIME_API_KEYS its own";
        findings.push(Finding::warn(CHECK, message));
    }
    for (setting, file) in reader.secret_files() {
        findings.extend(readers_of(setting, file));
    }
    if findings.is_empty() {
        findings.push(Finding::ok(
            CHECK,
            match secrets.len() {
                0 => "none is set".to_owned(),
                count => format!("{count} looked at: long, of their own, and not for everybody to read"),
            },
        ));
    }
    findings
}

/// Why a secret could be guessed.
fn weakness(secret: &str) -> Option<&'static str> {
    let lower = secret.to_ascii_lowercase();
    if EXAMPLES.iter().any(|example| lower.starts_with(example)) {
        return Some("begins like an example that everybody knows");
    }
    let different: HashSet<char> = secret.chars().collect();
    (different.len() < DIFFERENT_CHARS_MIN).then_some("has too few different characters")
}

fn readers_of(setting: &str, file: &Path) -> Option<Finding> {
    // A file that can't be read is a mistake of the settings, which is reported there.
    let mode = fs::metadata(file).ok()?.permissions().mode();
    let shown = file.display();
    if mode & 0o002 != 0 {
        return Some(Finding::fail(CHECK, format!("{setting}: everybody may write {shown}; `chmod 600` it")));
    }
    (mode & 0o004 != 0).then(|| {
        Finding::warn(CHECK, format!("{setting}: everybody on this host may read {shown}; `chmod 600` it"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_and_monotonous_secrets_are_weak() {
        for weak in [
            "changeme-k3@9fja0fj3q0f9jq309fjq",
            "Secret-secret-secret-secret-1234",
            "aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbbb",
        ] {
            assert!(weakness(weak).is_some(), "{weak}");
        }
        assert_eq!(weakness("vN3kq8zXtR5mW2yB7cJ4hG6fD9sL1pA0"), None);
    }
}
