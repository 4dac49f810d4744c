//! Which crate may use which. ARCHITECTURE.md draws it; this holds it.

use std::{collections::BTreeSet, path::Path};

use anyhow::{Context, Result};
use serde_json::Value;

use super::Finding;
use crate::shell::{command, quiet};

const BEDROCK: &[&str] = &["auth", "bus", "events", "proto", "service", "settings"];
const WITH_ROADS: &[&str] = &["auth", "bus", "events", "proto", "roads", "service", "settings"];
const WITH_PUSH: &[&str] = &["auth", "bus", "events", "proto", "push", "service", "settings"];

/// What a crate may use of ours, as short names. Crates that are not named here are rooms at the top (edge,
/// gateway, and each domain): they use the bedrock and never each other, so that a new domain changes no rule.
fn allowed(name: &str) -> Allowed {
    match name {
        "proto" | "roads" | "settings" | "xtask" => Allowed::Only(&[]),
        "events" | "testkit" => Allowed::Only(&["proto"]),
        "auth" | "push" => Allowed::Only(&["events", "settings"]),
        "bus" => Allowed::Only(&["events", "proto", "settings"]),
        "service" => Allowed::Only(&["auth", "bus", "events", "proto", "settings"]),
        // The binary composes all rooms; measurements look into any, and start real servers.
        "realtime" => Allowed::AllBut(&["bench", "testkit", "xtask"]),
        // Of the domains, only tracking knows streets.
        "tracking" => Allowed::Only(WITH_ROADS),
        // And only notifications reaches devices.
        "notifications" => Allowed::Only(WITH_PUSH),
        "bench" => Allowed::AllBut(&["realtime", "xtask"]),
        "fuzz" => Allowed::AllBut(&["bench", "realtime", "testkit", "xtask"]),
        _ => Allowed::Only(BEDROCK),
    }
}

enum Allowed {
    Only(&'static [&'static str]),
    AllBut(&'static [&'static str]),
}

impl Allowed {
    fn has(&self, name: &str) -> bool {
        match self {
            Self::Only(names) => names.contains(&name),
            Self::AllBut(names) => !names.contains(&name),
        }
    }
}

/// Checks the workspace at `root`.
pub(super) fn check(root: &Path) -> Result<Vec<Finding>> {
    let mut metadata = command("cargo", ["metadata", "--no-deps", "--format-version", "1", "--offline"]);
    metadata.current_dir(root);
    let text = quiet(metadata).context("`cargo metadata` failed; run it to see why")?;
    let metadata: Value = serde_json::from_str(&text).context("`cargo metadata` did not print JSON")?;
    Ok(find(root, &metadata))
}

fn find(root: &Path, metadata: &Value) -> Vec<Finding> {
    let packages = || metadata.get("packages").and_then(Value::as_array).into_iter().flatten();
    let ours: BTreeSet<&str> = packages().filter_map(|package| package.get("name")?.as_str()).collect();
    let mut findings = Vec::new();
    for package in packages() {
        let text = |key: &str| package.get(key).and_then(Value::as_str).unwrap_or_default();
        let name = short(text("name"));
        let manifest = Path::new(text("manifest_path"));
        let dependencies = package.get("dependencies").and_then(Value::as_array).into_iter().flatten();
        for dependency in dependencies {
            let full = dependency.get("name").and_then(Value::as_str).unwrap_or_default();
            let is_dev = dependency.get("kind").and_then(Value::as_str) == Some("dev");
            let used = short(full);
            let fine = !ours.contains(full) || allowed(name).has(used) || (is_dev && used == "testkit");
            if !fine {
                findings.push(Finding {
                    file: manifest.strip_prefix(root).unwrap_or(manifest).display().to_string(),
                    line: line_of(manifest, full),
                    advice: advice(name, used, is_dev),
                });
            }
        }
    }
    findings
}

fn advice(name: &str, used: &str, is_dev: bool) -> String {
    if used == "testkit" {
        return format!("{name} uses testkit outside its tests; move it to [dev-dependencies]");
    }
    let kind = if is_dev { " (in its tests)" } else { "" };
    format!(
        "{name} must not use {used}{kind}: arrows point from the binary down to proto and settings, and the \
         rooms at the top never use each other; learn it from events, or move what both need into a crate below"
    )
}

fn short(name: &str) -> &str {
    name.strip_prefix("platepal-").unwrap_or(name)
}

fn line_of(manifest: &Path, name: &str) -> usize {
    let text = std::fs::read_to_string(manifest).unwrap_or_default();
    text.lines().position(|line| line.starts_with(name)).map_or(1, |index| index + 1)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn uses(name: &str, used: &str, kind: Option<&str>) -> Vec<String> {
        let metadata = json!({"packages": [
            {"name": used, "manifest_path": "", "dependencies": []},
            {"name": name, "manifest_path": "/top/crates/x/Cargo.toml", "dependencies": [{"name": used, "kind": kind}]},
        ]});
        find(Path::new("/top"), &metadata).into_iter().map(|finding| finding.advice).collect()
    }

    #[test]
    fn a_domain_must_not_use_another() {
        assert!(uses("platepal-orders", "platepal-chat", None)[0].starts_with("orders must not use chat"));
        assert_eq!(uses("platepal-orders", "platepal-edge", Some("dev")).len(), 1);
        assert_eq!(uses("platepal-edge", "platepal-orders", None).len(), 1);
    }

    #[test]
    fn a_domain_uses_the_bedrock() {
        assert!(uses("platepal-orders", "platepal-service", None).is_empty());
        assert!(uses("platepal-tracking", "platepal-roads", None).is_empty());
        assert_eq!(uses("platepal-orders", "platepal-roads", None).len(), 1);
        assert!(uses("platepal-notifications", "platepal-push", None).is_empty());
        assert_eq!(uses("platepal-orders", "platepal-push", None).len(), 1);
    }

    #[test]
    fn nothing_below_uses_what_is_above() {
        assert_eq!(uses("platepal-events", "platepal-bus", None).len(), 1);
        assert_eq!(uses("platepal-settings", "platepal-proto", Some("build")).len(), 1);
        assert_eq!(uses("platepal-push", "platepal-service", None).len(), 1);
    }

    #[test]
    fn testkit_is_for_tests() {
        assert!(uses("platepal-orders", "platepal-testkit", Some("dev")).is_empty());
        assert!(uses("platepal-orders", "platepal-testkit", None)[0].contains("[dev-dependencies]"));
        assert!(uses("platepal-realtime", "platepal-testkit", None)[0].contains("[dev-dependencies]"));
        assert!(uses("bench", "platepal-testkit", None).is_empty());
    }
}
