//! What clients call by name has JSON on both sides.

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};
use tonic::Status;

use crate::grpc::invalid;

/// The arguments of a call: a JSON object, or nothing for an empty one. `shape` is an example for the error.
///
/// # Errors
/// `INVALID_ARGUMENT`: it is none, or not of that shape.
pub fn arguments<T: DeserializeOwned>(data: &[u8], shape: &str) -> Result<T, Status> {
    let data = if data.is_empty() { b"{}" } else { data };
    if data.trim_ascii_start().first() != Some(&b'{') {
        return Err(invalid("data", format!("must be like {shape}")));
    }
    serde_json::from_slice(data).map_err(|why| invalid("data", format!("must be like {shape}: {why}")))
}

/// The answer to a call.
///
/// # Errors
/// `INTERNAL`: it can't be written as JSON.
pub fn answer(value: &impl Serialize) -> Result<Bytes, Status> {
    serde_json::to_vec(value).map(Bytes::from).map_err(|why| Status::internal(why.to_string()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Lamp {
        #[serde(default)]
        watts: u32,
    }

    #[test]
    fn arguments_are_an_object_or_nothing() {
        assert_eq!(arguments::<Lamp>(b"", "{}").unwrap(), Lamp { watts: 0 });
        assert_eq!(arguments::<Lamp>(br#" {"watts":5}"#, "{}").unwrap(), Lamp { watts: 5 });
        for wrong in ["[5]", "5", "null", "{", r#"{"watts":"5"}"#] {
            let status = arguments::<Lamp>(wrong.as_bytes(), r#"{"watts":5}"#).unwrap_err();
            assert!(status.message().starts_with(r#"data: must be like {"watts":5}"#), "{status}");
        }
    }
}
