//! What a process runs with, to be shown to people: no secrets.

use crate::{Fallback, Reader, Spec};

/// One setting as a process has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective {
    /// Its name.
    pub name: &'static str,
    /// Its value as text; of a secret only that there is one, and no address with its password.
    pub value: String,
    /// `default`, `environment` or `file`; `unset` when it is optional.
    pub source: &'static str,
}

impl Reader {
    /// The settings of these specs, as they are.
    pub fn effective(&self, specs: &[Spec]) -> Vec<Effective> {
        specs.iter().map(|spec| self.effective_of(spec)).collect()
    }

    fn effective_of(&self, spec: &Spec) -> Effective {
        let text = self.variable(spec.name).filter(|text| !text.is_empty());
        let (value, source) = match (text, spec.fallback) {
            (Some(_), _) if spec.secret => ("set".to_owned(), "environment"),
            (Some(text), _) => (without_passwords(text), "environment"),
            (None, _) if spec.secret && self.is_set(spec.name) => ("set".to_owned(), "file"),
            (None, Fallback::Default(text)) => (text.to_owned(), "default"),
            (None, Fallback::Optional | Fallback::Required(_)) => (String::new(), "unset"),
        };
        Effective { name: spec.name, value, source }
    }
}

/// Addresses without what stands before their host: users, passwords and tokens.
fn without_passwords(text: &str) -> String {
    let one = |part: &str| match part.split_once("://") {
        Some((scheme, rest)) => {
            let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
            match authority.rsplit_once('@') {
                Some((_, host)) => {
                    format!("{scheme}://…@{host}{}", rest.get(authority.len()..).unwrap_or_default())
                }
                None => part.to_owned(),
            }
        }
        None => part.to_owned(),
    };
    text.split(',').map(one).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use crate::Secret;

    crate::settings! {
        /// Of a lamp.
        pub struct Lamp {
            /// Where it is.
            url: Option<String> = "REALTIME_LAMP_URL", optional;
            /// What opens it.
            key: Option<Secret> = "REALTIME_LAMP_KEY", optional;
            /// How bright.
            watts: u32 = "REALTIME_LAMP_WATTS", default "40";
        }
    }

    fn shown(variables: &[(&str, &str)]) -> Vec<(String, &'static str)> {
        let effective = Reader::new(variables.iter().copied()).effective(Lamp::SPECS);
        effective.into_iter().map(|own| (own.value, own.source)).collect()
    }

    #[test]
    fn a_value_is_shown_with_where_it_comes_from_and_no_secret_is() {
        assert_eq!(
            shown(&[]),
            [(String::new(), "unset"), (String::new(), "unset"), ("40".to_owned(), "default")]
        );
        let Lamp { url, key, watts } = Reader::new(Vec::<(String, String)>::new()).read().unwrap();
        assert_eq!((url, key.is_none(), watts), (None, true, 40), "as it is read");
        let all = shown(&[
            ("REALTIME_LAMP_URL", "x"),
            ("REALTIME_LAMP_KEY", "hush"),
            ("REALTIME_LAMP_WATTS", "60"),
        ]);
        let expected = [("x", "environment"), ("set", "environment"), ("60", "environment")];
        assert_eq!(all, expected.map(|(value, source)| (value.to_owned(), source)));
        assert_eq!(shown(&[("REALTIME_LAMP_KEY_FILE", "/etc/key")])[1], ("set".to_owned(), "file"));
    }

    #[test]
    fn an_address_is_shown_without_its_password() {
        for (given, expected) in [
            (
                "postgres://user:pass@db:5432/platepal?sslmode=require",
                "postgres://…@db:5432/platepal?sslmode=require",
            ),
            ("nats://token@a:4222,nats://b:4222", "nats://…@a:4222,nats://b:4222"),
            ("http://orders:50051", "http://orders:50051"),
            ("https://a/b@c", "https://a/b@c"),
            ("a@b", "a@b"),
            ("x://p@ss@host", "x://…@host"),
        ] {
            assert_eq!(without_passwords(given), expected);
        }
    }
}
