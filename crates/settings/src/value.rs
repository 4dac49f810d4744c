//! How each type of value is written and parsed.

use std::{fmt, net::SocketAddr, path::PathBuf, time::Duration};

use url::Url;

/// A type that a setting may have.
pub trait Value: Sized {
    /// How its values are written, for the reference page.
    const KIND: &'static str;
    /// Whether it must never be shown.
    const SECRET: bool = false;
    /// Parses a value; the error completes the sentence "REALTIME_X …".
    fn parse(text: &str) -> Result<Self, String>;
    /// The value of an optional setting that is not set; `None` for types that can't be absent.
    fn absent() -> Option<Self> {
        None
    }
}

/// Text that must not be shown: its `Debug` hides it and it has no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself; for signing and comparing, never for printing.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A number of bytes, written `65536`, `64KiB` or `8MiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub usize);

macro_rules! numbers {
    ($($type:ty),+) => {$(
        impl Value for $type {
            const KIND: &'static str = "number";
            fn parse(text: &str) -> Result<Self, String> {
                text.parse().map_err(|_| format!("must be a whole number of at most {}", <$type>::MAX))
            }
        }
    )+};
}
numbers!(u16, u32, u64, usize);

impl Value for f64 {
    const KIND: &'static str = "number";
    fn parse(text: &str) -> Result<Self, String> {
        text.parse::<f64>().ok().filter(|number| number.is_finite()).ok_or_else(|| "must be a number".into())
    }
}

impl Value for bool {
    const KIND: &'static str = "true or false";
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "true" | "1" | "yes" | "on" => Ok(true),
            "false" | "0" | "no" | "off" => Ok(false),
            _ => Err("must be true or false".into()),
        }
    }
}

impl Value for String {
    const KIND: &'static str = "text";
    fn parse(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }
}

impl Value for Secret {
    const KIND: &'static str = "secret";
    const SECRET: bool = true;
    fn parse(text: &str) -> Result<Self, String> {
        Ok(Self(text.to_owned()))
    }
}

impl Value for PathBuf {
    const KIND: &'static str = "path";
    fn parse(text: &str) -> Result<Self, String> {
        Ok(text.into())
    }
}

impl Value for SocketAddr {
    const KIND: &'static str = "address:port";
    fn parse(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| "must be an IP address and a port, like 127.0.0.1:8000".into())
    }
}

impl Value for Url {
    const KIND: &'static str = "URL";
    // URLs of databases and NATS carry passwords.
    const SECRET: bool = true;
    fn parse(text: &str) -> Result<Self, String> {
        text.parse().map_err(|why| format!("must be a URL: {why}"))
    }
}

impl Value for Duration {
    const KIND: &'static str = "duration";
    fn parse(text: &str) -> Result<Self, String> {
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let millis_per_unit = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err("must be a duration like 250ms, 25s, 10m, 24h or 30d".into()),
        };
        number
            .parse::<u64>()
            .ok()
            .and_then(|number| number.checked_mul(millis_per_unit))
            .map(Duration::from_millis)
            .ok_or_else(|| "must be a duration like 250ms, 25s, 10m, 24h or 30d".into())
    }
}

impl Value for ByteSize {
    const KIND: &'static str = "bytes";
    fn parse(text: &str) -> Result<Self, String> {
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let shift = match unit {
            "" | "B" => 0,
            "KiB" => 10,
            "MiB" => 20,
            "GiB" => 30,
            _ => return Err("must be a size like 65536, 64KiB or 8MiB".into()),
        };
        number
            .parse::<usize>()
            .ok()
            .and_then(|number| number.checked_mul(1 << shift))
            .map(ByteSize)
            .ok_or_else(|| "must be a size like 65536, 64KiB or 8MiB".into())
    }
}

impl<T: Value> Value for Option<T> {
    const KIND: &'static str = T::KIND;
    const SECRET: bool = T::SECRET;
    fn parse(text: &str) -> Result<Self, String> {
        T::parse(text).map(Some)
    }
    fn absent() -> Option<Self> {
        Some(None)
    }
}

impl<T: Value> Value for Vec<T> {
    const KIND: &'static str = "list, comma separated";
    const SECRET: bool = T::SECRET;
    fn parse(text: &str) -> Result<Self, String> {
        text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(T::parse).collect()
    }
    fn absent() -> Option<Self> {
        Some(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_need_a_unit_that_people_read() {
        assert_eq!(Duration::parse("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(Duration::parse("24h"), Ok(Duration::from_secs(86_400)));
        assert!(Duration::parse("25").is_err(), "seconds or milliseconds? say which");
        assert!(Duration::parse("99999999999999999999d").is_err());
        assert_eq!(ByteSize::parse("64KiB"), Ok(ByteSize(65_536)));
        assert!(ByteSize::parse("64kb").is_err());
    }

    #[test]
    fn a_list_forgives_spaces_and_a_last_comma() {
        assert_eq!(Vec::<u32>::parse("1, 2,3,"), Ok(vec![1, 2, 3]));
    }
}
