//! The list of words that must not be said as they are: masked with stars, or held for somebody to decide.
//!
//! A word is what stands between characters that are neither letters nor digits; big and small letters are the same.

use std::collections::HashSet;

/// What is done with a listed word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Mask,
    Hold,
}

/// Words, and what is done with them.
#[derive(Debug, Clone)]
pub(crate) struct Words {
    listed: HashSet<String>,
    action: Action,
}

/// What the list, or somebody who was asked, says of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Show,
    /// Shown with these words instead.
    Mask(String),
    /// Kept until somebody decides; why.
    Hold(String),
}

impl Words {
    /// From a list, a word a line; lines that start with `#` are remarks.
    pub(crate) fn parse(list: &str, action: Action) -> Self {
        let lines = list.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        Self { listed: lines.map(str::to_lowercase).collect(), action }
    }

    pub(crate) fn judge(&self, content: &str) -> Verdict {
        if self.listed.is_empty() {
            return Verdict::Show;
        }
        let found: Vec<&str> = words(content).filter(|word| self.has(word)).collect();
        match self.action {
            _ if found.is_empty() => Verdict::Show,
            Action::Hold => Verdict::Hold("a listed word".into()),
            Action::Mask => Verdict::Mask(self.masked(content)),
        }
    }

    fn has(&self, word: &str) -> bool {
        self.listed.contains(&word.to_lowercase())
    }

    /// The first letter stays, so that one sees that a word was there.
    fn masked(&self, content: &str) -> String {
        let mut masked = String::with_capacity(content.len());
        let mut rest = content;
        while let Some(begin) = rest.find(char::is_alphanumeric) {
            let (between, from) = rest.split_at(begin);
            let end = from.find(|letter: char| !letter.is_alphanumeric()).unwrap_or(from.len());
            let (word, after) = from.split_at(end);
            masked.push_str(between);
            if self.has(word) {
                let mut letters = word.chars();
                masked.extend(letters.next());
                masked.extend(letters.map(|_| '*'));
            } else {
                masked.push_str(word);
            }
            rest = after;
        }
        masked.push_str(rest);
        masked
    }
}

fn words(content: &str) -> impl Iterator<Item = &str> {
    content.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(action: Action) -> Words {
        Words::parse("# remarks\nDarn\n\n blöd \n", action)
    }

    #[test]
    fn a_listed_word_is_masked_whatever_its_letters_and_a_longer_one_is_not() {
        let judged = words(Action::Mask).judge("DARN, that is blöd! Darning is fine.");
        assert_eq!(judged, Verdict::Mask("D***, that is b***! Darning is fine.".into()));
        assert_eq!(words(Action::Mask).judge("all is well"), Verdict::Show);
        assert_eq!(words(Action::Hold).judge("darn"), Verdict::Hold("a listed word".into()));
        assert_eq!(Words::parse("", Action::Hold).judge("darn"), Verdict::Show);
    }

    proptest! {
        #[test]
        fn what_is_masked_has_no_listed_word_and_as_many_characters(content in "(darn|blöd|[a-z]{1,5}|\\PC){0,12}") {
            let list = words(Action::Mask);
            let masked = match list.judge(&content) {
                Verdict::Mask(masked) => masked,
                _ => content.clone(),
            };
            prop_assert_eq!(list.judge(&masked), Verdict::Show);
            prop_assert_eq!(masked.chars().count(), content.chars().count());
        }
    }
}
