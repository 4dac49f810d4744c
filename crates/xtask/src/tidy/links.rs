//! Links between documents lead somewhere.

use super::{
    Finding,
    files::{Files, extension},
};

pub(super) fn check(files: &Files) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in files.iter().filter(|(path, _)| extension(path) == "md") {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for (index, line) in text.lines().enumerate() {
            for target in targets(line) {
                let place = resolve(folder, target);
                if !place.is_some_and(|place| place.is_empty() || files.has(&place)) {
                    findings.push(Finding {
                        file: path.to_owned(),
                        line: index + 1,
                        advice: format!("links to {target}, which is not there"),
                    });
                }
            }
        }
    }
    findings
}

/// Targets of the links of a line that point into the repository.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices("](").filter_map(|(start, _)| {
        let target = line.get(start + 2..)?.split(')').next()?;
        let target = target.split('#').next()?;
        let is_ours = !target.is_empty() && !target.contains(':') && !target.contains(' ');
        is_ours.then_some(target)
    })
}

/// A path from the top of the repository; `None` if it leaves it.
fn resolve(folder: &str, target: &str) -> Option<String> {
    let base = if target.starts_with('/') { "" } else { folder };
    let mut parts: Vec<&str> = Vec::new();
    for part in base.split('/').chain(target.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_that_leads_nowhere_is_found() {
        let files = Files::from(&[
            (
                "docs/a.md",
                "[b](b.md) [c](../c.md#part) [d](d.md) [web](https://example.com) [here](#x) [f](../docs)",
            ),
            ("docs/b.md", "[out](../../out.md)"),
            ("c.md", ""),
        ]);
        let found: Vec<String> = check(&files).iter().map(Finding::to_string).collect();
        assert_eq!(
            found,
            [
                "docs/a.md:1: links to d.md, which is not there",
                "docs/b.md:1: links to ../../out.md, which is not there",
            ]
        );
    }
}
