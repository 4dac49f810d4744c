//! Words that do not occur, and where they may.

use super::{
    Finding,
    files::{Files, extension},
};

/// This file has to name them.
const HERE: &str = "crates/xtask/src/tidy/words.rs";

struct Word {
    text: &'static str,
    /// Extensions of the files that it concerns.
    concerns: &'static [&'static str],
    /// Beginnings or ends of paths where it may stand.
    allowed: &'static [&'static str],
    /// What to do instead.
    advice: &'static str,
}

const RUST: &[&str] = &["rs"];
const CODE_AND_DOCS: &[&str] = &["md", "proto", "py", "rs", "sh", "toml", "ts", "yaml", "yml"];
const ELSEWHERE: &str = "is a path of one machine; write one that holds on every machine";

const WORDS: &[Word] = &[
    Word {
        text: "unsafe",
        concerns: RUST,
        allowed: &[],
        advice: "nothing here needs it; look for a library that is sound",
    },
    Word {
        text: "env::var",
        concerns: RUST,
        allowed: &["crates/settings/", "crates/testkit/", "crates/xtask/", "/build.rs"],
        advice: "only platepal-settings reads the environment; declare a setting",
    },
    Word {
        text: "thread::sleep",
        concerns: RUST,
        allowed: &[],
        advice: "blocks a thread, and in tests hides races; wait for the condition",
    },
    Word {
        text: "unbounded_channel",
        concerns: RUST,
        allowed: &[],
        advice: "every queue has a bound; take its size from the settings",
    },
    Word { text: "/work/", concerns: CODE_AND_DOCS, allowed: &[], advice: ELSEWHERE },
    Word { text: "/root/", concerns: CODE_AND_DOCS, allowed: &["deploy/"], advice: ELSEWHERE },
    Word { text: "/tmp/", concerns: CODE_AND_DOCS, allowed: &["deploy/"], advice: ELSEWHERE },
];

pub(super) fn check(files: &Files) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in files.iter().filter(|(path, _)| *path != HERE) {
        for word in WORDS.iter().filter(|word| word.concerns(path)) {
            // A path of one machine is wrong in a comment as well.
            let everywhere = word.text.starts_with('/');
            let lines = text
                .lines()
                .enumerate()
                .filter(|(_, line)| (everywhere || !is_comment(path, line)) && occurs(word.text, line));
            findings.extend(lines.map(|(index, _)| Finding {
                file: path.to_owned(),
                line: index + 1,
                advice: format!("`{}`: {}", word.text, word.advice),
            }));
        }
    }
    findings
}

impl Word {
    fn concerns(&self, path: &str) -> bool {
        let allowed = self.allowed.iter().any(|place| path.starts_with(place) || path.ends_with(place));
        self.concerns.contains(&extension(path)) && !allowed
    }
}

/// Comments of Rust may speak of what code must not do.
fn is_comment(path: &str, line: &str) -> bool {
    extension(path) == "rs" && line.trim_start().starts_with("//")
}

/// Whether a word stands in a line by itself: not as a part of a longer name or path.
fn occurs(word: &str, line: &str) -> bool {
    let in_name = |character: Option<char>| character.is_some_and(|c| c.is_alphanumeric() || c == '_');
    line.match_indices(word).any(|(start, _)| {
        let before = line.get(..start).and_then(|text| text.chars().next_back());
        let after = line.get(start + word.len()..).and_then(|text| text.chars().next());
        let (is_path, is_family) = (word.starts_with('/'), word.contains("::"));
        // A path is not one in an address, nor under another folder; `env::var` stands for `env::vars` too.
        let goes_on = in_name(before) || (is_path && matches!(before, Some('.' | '/' | '}' | '-')));
        !goes_on && (is_path || is_family || !in_name(after))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(path: &str, text: &str) -> Vec<usize> {
        check(&Files::from(&[(path, text)])).into_iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn a_forbidden_word_is_found_with_its_line() {
        assert_eq!(findings("crates/a/src/b.rs", "//! B.\nfn b() {\n    unsafe { c() }\n}\n"), [3]);
        assert_eq!(findings("crates/a/src/b.rs", "let a = std::env::var(\"A\");"), [1]);
        assert_eq!(findings("crates/a/src/b.rs", "let a = std::env::vars_os();"), [1]);
    }

    #[test]
    fn a_word_is_no_part_of_another() {
        assert!(findings("crates/a/src/b.rs", "#![deny(unsafe_code)]").is_empty());
        assert!(findings("docs/a.md", "see https://example.com/work/life and ./tmp/a").is_empty());
    }

    #[test]
    fn comments_may_name_it() {
        assert!(findings("crates/a/src/b.rs", "// never thread::sleep here").is_empty());
    }

    #[test]
    fn paths_of_one_machine_are_found_in_docs() {
        assert_eq!(findings("docs/a.md", "\nlook into `/tmp/log`"), [2]);
    }

    #[test]
    fn some_places_may_read_the_environment() {
        assert!(findings("crates/settings/src/reader.rs", "std::env::vars_os()").is_empty());
        assert!(findings("crates/proto/build.rs", "env::var(\"OUT_DIR\")").is_empty());
    }
}
