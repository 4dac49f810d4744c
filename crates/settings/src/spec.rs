//! What is known of a setting before it is read.

use crate::Reader;

/// One setting: everything that help, the reference page and the parser need.
#[derive(Debug, Clone, Copy)]
pub struct Spec {
    /// The environment variable.
    pub name: &'static str,
    /// What it does, as sentences.
    pub doc: &'static str,
    /// How its value is written, e.g. `duration`.
    pub kind: &'static str,
    /// True: never printed, and `NAME_FILE` may name a file that holds it.
    pub secret: bool,
    /// What holds when it is not set.
    pub fallback: Fallback,
    /// Only for what limits something.
    pub bound: Option<Bound>,
}

/// What holds when a setting is not set.
#[derive(Debug, Clone, Copy)]
pub enum Fallback {
    /// This text, parsed like a set value.
    Default(&'static str),
    /// Nothing; the feature is off.
    Optional,
    /// The process refuses to start; the text says why there is no default.
    Required(&'static str),
}

/// A limit, with what a user wants to know of it.
#[derive(Debug, Clone, Copy)]
pub struct Bound {
    /// Of what it is a number.
    pub unit: &'static str,
    /// What happens when it is reached.
    pub full: &'static str,
    /// The metric in which one sees that it was reached.
    pub metric: &'static str,
}

/// A struct declared by [`crate::settings!`].
pub trait Group: Sized {
    /// First sentences of the struct's documentation.
    const TITLE: &'static str;
    /// Its settings.
    const SPECS: &'static [Spec];
    /// Reads every field; `None` when at least one was wrong, which the reader has then noted.
    fn read(reader: &mut Reader) -> Option<Self>;
}
