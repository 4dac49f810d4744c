//! How files are: they open by saying what they are, are short, and are named after an idea.

use super::{
    Finding,
    files::{Files, extension},
};

/// A file that grows beyond this holds more than one idea.
const LINES_MAX: usize = 600;
/// Names that say what kind of thing is inside, and not what it is about.
const NAMELESS: &[&str] = &["common", "helpers", "helper", "misc", "types", "util", "utils"];

/// Languages that we write.
const SOURCES: &[&str] = &["rs", "py", "ts", "tsx", "js", "mjs"];

pub(super) fn check(files: &Files) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in files.iter().filter(|(path, _)| SOURCES.contains(&extension(path))) {
        let mut add = |line: usize, advice: String| {
            findings.push(Finding { file: path.to_owned(), line, advice });
        };
        if extension(path) == "rs" && !text.starts_with("//!") {
            add(1, "must open with `//!`: what this owns, and what it must never do".to_owned());
        }
        let lines = text.lines().count();
        if lines > LINES_MAX {
            add(LINES_MAX + 1, format!("has {lines} lines, more than {LINES_MAX}; split it by idea"));
        }
        let nameless = path.split('/').find(|part| {
            let stem = part.split('.').next().unwrap_or_default();
            NAMELESS.contains(&stem)
        });
        if let Some(name) = nameless {
            add(1, format!("`{name}` names a kind, not an idea; name it after what it is about"));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(path: &str, text: &str) -> usize {
        check(&Files::from(&[(path, text)])).len()
    }

    #[test]
    fn a_file_says_what_it_is() {
        assert_eq!(findings("crates/a/src/b.rs", "fn b() {}\n"), 1);
        assert_eq!(findings("crates/a/src/b.rs", "//! B.\nfn b() {}\n"), 0);
    }

    #[test]
    fn a_file_is_short() {
        let lines = |count: usize| format!("//! B.\n{}", "\n".repeat(count - 1));
        assert_eq!(findings("crates/a/src/b.rs", &lines(600)), 0);
        assert_eq!(findings("crates/a/src/b.rs", &lines(601)), 1);
    }

    #[test]
    fn a_file_is_named_after_an_idea() {
        assert_eq!(findings("crates/a/src/utils.rs", "//! B.\n"), 1);
        assert_eq!(findings("crates/a/src/common/b.rs", "//! B.\n"), 1);
        assert_eq!(findings("crates/a/src/commons.rs", "//! B.\n"), 0);
        assert_eq!(findings("docs/types.md", ""), 0);
    }
}
