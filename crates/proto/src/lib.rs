//! Code generated from `/proto/platepal/realtime/v1`: messages, gRPC clients and servers.
//!
//! Invariant: nothing here is written by hand. To change a message, change its `.proto`.
#![allow(missing_docs, clippy::doc_markdown, clippy::large_enum_variant)]

/// Version 1 of the public API.
pub mod v1 {
    tonic::include_proto!("platepal.realtime.v1");
}

/// The compiled `.proto` files, for gRPC reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
